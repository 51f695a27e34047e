//! How branches are: their agents, what those last said of themselves, and what is wrong with them, the
//! worst first.
//!
//! Answered from a snapshot in memory that is taken from the ledger every few seconds, so that it is there
//! while the ledger is away (P10), and so that 200 consoles cost the ledger one question.

use std::cmp::Reverse;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use branchline_protocol::desk::Catalogue;
use branchline_protocol::id::BranchCode;
use branchline_protocol::time::UnixMillis;

use super::Desk;
use crate::ledger::{AgentRecord, BranchRecord, LedgerError, TargetState, now};

/// How often it is taken.
const EVERY: Duration = Duration::from_secs(5);

const MINUTE: i64 = 60 * 1_000;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
/// An agent that was not heard of for so long is silent: it submits, or asks, every few minutes.
const SILENT: i64 = 15 * MINUTE;
/// An agent that was heard of within this is connected: one with nothing to say submits nothing every five
/// minutes.
const CONNECTED: i64 = 6 * MINUTE;
/// A clock that is off by more makes times that people cannot believe.
const SKEW: i64 = 5 * MINUTE;
/// Work that waits for longer does not get through.
const WAITING: i64 = HOUR;
/// Bytes on a branch's disk, below which files will soon be refused.
const DISK: u64 = 1 << 30;
/// A certificate that ends sooner should have been renewed a month ago.
const CERTIFICATE: i64 = 14 * DAY;

/// Something that is wrong with an agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trouble {
    /// It found operations in its journal that it cannot read.
    Damaged,
    /// Its certificate has ended.
    CertificateExpired,
    /// Central refuses to speak with it.
    Refused,
    /// It was not heard of for a while.
    Silent,
    /// Its disk is nearly full.
    DiskLow,
    /// Its certificate ends soon.
    CertificateEnds,
    /// Something has waited there for long.
    WaitingLong,
    /// It was registered, and never came.
    NeverSeen,
    /// Its clock is off.
    ClockOff,
    /// Most others run a later version.
    OldVersion,
}

impl Trouble {
    /// All of them, the worst first.
    pub(super) const ALL: [Self; 10] = [
        Self::Damaged,
        Self::CertificateExpired,
        Self::Refused,
        Self::Silent,
        Self::DiskLow,
        Self::CertificateEnds,
        Self::WaitingLong,
        Self::NeverSeen,
        Self::ClockOff,
        Self::OldVersion,
    ];

    /// The word in the API.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Damaged => "damaged",
            Self::CertificateExpired => "certificate-expired",
            Self::Refused => "refused",
            Self::Silent => "silent",
            Self::DiskLow => "disk-low",
            Self::CertificateEnds => "certificate-ends",
            Self::WaitingLong => "waiting-long",
            Self::NeverSeen => "never-seen",
            Self::ClockOff => "clock-off",
            Self::OldVersion => "old-version",
        }
    }

    /// How much it asks for attention.
    fn weight(self) -> i32 {
        match self {
            Self::Damaged | Self::CertificateExpired => 50,
            Self::Refused => 45,
            Self::Silent => 40,
            Self::DiskLow => 30,
            Self::CertificateEnds | Self::WaitingLong => 20,
            Self::NeverSeen | Self::ClockOff => 10,
            Self::OldVersion => 5,
        }
    }
}

/// An agent, and what is wrong with it.
#[derive(Debug, Clone)]
pub(super) struct AgentView {
    pub(super) record: AgentRecord,
    pub(super) connected: bool,
    pub(super) troubles: Vec<Trouble>,
}

/// A branch with its agents.
#[derive(Debug, Clone)]
pub(super) struct BranchView {
    pub(super) code: BranchCode,
    pub(super) name: Option<String>,
    pub(super) bandwidth: Option<String>,
    pub(super) attention: i32,
    pub(super) agents: Vec<AgentView>,
}

/// What was last taken from the ledger.
#[derive(Debug, Clone)]
pub(super) struct Taken {
    pub(super) at: UnixMillis,
    /// Those that need attention first.
    pub(super) branches: Vec<BranchView>,
    /// Operators' names.
    pub(super) people: Vec<String>,
    /// What branches file by.
    pub(super) catalogue: Catalogue,
    /// Outside systems that are told what happens.
    pub(super) targets: Vec<TargetView>,
    /// Bytes that files may still take at central; `None` where the vault does not say.
    pub(super) room: Option<u64>,
}

/// How an outside system does.
#[derive(Debug, Clone)]
pub(super) struct TargetView {
    pub(super) name: String,
    pub(super) state: TargetState,
    pub(super) dead_letters: u64,
}

/// The snapshot.
#[derive(Default)]
pub(super) struct Snapshot(RwLock<Option<Arc<Taken>>>);

impl Snapshot {
    /// What was last taken; `None` before the first.
    pub(super) fn now(&self) -> Option<Arc<Taken>> {
        self.0
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn put(&self, taken: Taken) {
        let mut kept = self.0.write().unwrap_or_else(PoisonError::into_inner);
        *kept = Some(Arc::new(taken));
    }
}

/// Takes the snapshot every few seconds, until stopped.
pub(super) async fn watch(desk: &Desk) {
    loop {
        let step = async {
            if let Err(fault) = take(desk).await {
                tracing::debug!(error = %fault, "ask the ledger how branches are");
            }
            tokio::time::sleep(EVERY).await;
        };
        tokio::select! {
            () = step => {}
            () = desk.stopping.cancelled() => return,
        }
    }
}

/// Takes it now.
pub(super) async fn take(desk: &Desk) -> Result<(), LedgerError> {
    let records = desk.store.branches().await?;
    let operators = desk.store.operators().await?;
    let bandwidths = desk.store.bandwidths().await?;
    let catalogue = desk.store.catalogue().await?;
    let known = desk.store.targets().await?;
    let dead = desk.store.dead_letter_counts().await?;
    let targets = desk.watched.targets.iter().map(|name| TargetView {
        name: name.clone(),
        state: of(&known, name),
        dead_letters: of(&dead, name),
    });
    let people = operators
        .into_iter()
        .map(|operator| operator.name.to_string());
    desk.snapshot.put(Taken {
        at: now(),
        branches: with_bandwidths(judge(records, now()), &bandwidths),
        catalogue,
        people: people.collect(),
        targets: targets.collect(),
        room: desk.vault.room().await.ok(),
    });
    Ok(())
}

fn of<T: Clone + Default>(all: &[(String, T)], name: &str) -> T {
    let found = all.iter().find(|(of, _)| of == name);
    found.map(|(_, it)| it.clone()).unwrap_or_default()
}

fn with_bandwidths(
    mut branches: Vec<BranchView>,
    bandwidths: &[(BranchCode, String)],
) -> Vec<BranchView> {
    for branch in &mut branches {
        let set = bandwidths.iter().find(|(code, _)| *code == branch.code);
        branch.bandwidth = set.map(|(_, rate)| rate.clone());
    }
    branches
}

/// Branches with what is wrong with them, the worst first.
fn judge(records: Vec<BranchRecord>, at: UnixMillis) -> Vec<BranchView> {
    let usual = usual_version(&records);
    let mut branches: Vec<BranchView> = records
        .into_iter()
        .map(|record| view(record, usual.as_deref(), at))
        .collect();
    branches.sort_by(|one, other| {
        let key =
            |branch: &BranchView| (Reverse(branch.attention), branch.code.as_str().to_owned());
        key(one).cmp(&key(other))
    });
    branches
}

fn view(record: BranchRecord, usual: Option<&str>, at: UnixMillis) -> BranchView {
    let agents: Vec<AgentView> = record
        .agents
        .into_iter()
        .map(|agent| AgentView {
            connected: is_connected(&agent, at),
            troubles: troubles(&agent, usual, at),
            record: agent,
        })
        .collect();
    let troubles = agents.iter().flat_map(|agent| &agent.troubles);
    BranchView {
        code: record.code,
        name: record.name,
        bandwidth: None,
        attention: troubles.map(|trouble| trouble.weight()).sum(),
        agents,
    }
}

fn is_connected(agent: &AgentRecord, at: UnixMillis) -> bool {
    let heard = agent.contact.as_ref().map(|contact| contact.at.0);
    agent.revoked_at.is_none() && heard.is_some_and(|heard| at.0.saturating_sub(heard) < CONNECTED)
}

fn troubles(agent: &AgentRecord, usual: Option<&str>, at: UnixMillis) -> Vec<Trouble> {
    // What was revoked is meant to be gone.
    if agent.revoked_at.is_some() {
        return Vec::new();
    }
    let mut found = Vec::new();
    let mut say = |is_so: bool, trouble| {
        if is_so {
            found.push(trouble);
        }
    };
    let left = agent
        .certificate_until
        .map(|until| until.0.saturating_sub(at.0));
    say(
        left.is_some_and(|left| left <= 0),
        Trouble::CertificateExpired,
    );
    say(
        left.is_some_and(|left| left > 0 && left < CERTIFICATE),
        Trouble::CertificateEnds,
    );
    say(agent.refused.is_some(), Trouble::Refused);
    let Some(contact) = &agent.contact else {
        say(true, Trouble::NeverSeen);
        return found;
    };
    say(contact.damaged > 0, Trouble::Damaged);
    say(at.0.saturating_sub(contact.at.0) > SILENT, Trouble::Silent);
    say(
        contact.disk_free.is_some_and(|free| free < DISK),
        Trouble::DiskLow,
    );
    // By the agent's own clock, which central knows the error of.
    let waited = contact.oldest_waiting.map(|oldest| {
        at.0.saturating_sub(oldest.0.saturating_sub(contact.clock_skew))
    });
    say(
        waited.is_some_and(|waited| waited > WAITING),
        Trouble::WaitingLong,
    );
    say(contact.clock_skew.abs() > SKEW, Trouble::ClockOff);
    say(
        usual.is_some_and(|usual| version(&contact.version) < version(usual)),
        Trouble::OldVersion,
    );
    found
}

/// The version that most agents run; the later one of two.
fn usual_version(records: &[BranchRecord]) -> Option<String> {
    let mut counts = std::collections::BTreeMap::<&str, usize>::new();
    for agent in records.iter().flat_map(|branch| &branch.agents) {
        if let (None, Some(contact)) = (agent.revoked_at, &agent.contact) {
            *counts.entry(&contact.version).or_default() += 1;
        }
    }
    let most = counts
        .into_iter()
        .max_by_key(|(name, count)| (*count, version(name)));
    most.map(|(name, _)| name.to_owned())
}

/// A version's numbers, for comparing.
fn version(text: &str) -> Vec<u64> {
    let numbers = text.split(|c: char| !c.is_ascii_digit());
    numbers.filter_map(|number| number.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use branchline_protocol::id::AgentId;

    use super::*;
    use crate::ledger::{Contact, RefusedAgent};

    const AT: UnixMillis = UnixMillis(1_800_000_000_000);

    fn agent(contact: Option<Contact>) -> AgentRecord {
        AgentRecord {
            id: AgentId::from_bytes([1; 16]),
            branch: "LYN".parse().unwrap(),
            ordinal: 1,
            registered_at: AT,
            revoked_at: None,
            certificate_until: Some(UnixMillis(AT.0 + 60 * DAY)),
            trust: None,
            contact,
            refused: None,
        }
    }

    fn well() -> Contact {
        Contact {
            at: UnixMillis(AT.0 - 1_000),
            version: "0.9.0".to_owned(),
            clock_skew: 100,
            waiting: 0,
            oldest_waiting: None,
            disk_free: Some(50 << 30),
            damaged: 0,
        }
    }

    #[test]
    fn each_trouble_is_said_and_only_that() {
        let with = |change: fn(&mut Contact)| {
            let mut contact = well();
            change(&mut contact);
            agent(Some(contact))
        };
        let mut refused = agent(Some(well()));
        refused.refused = Some(RefusedAgent {
            at: AT,
            why: "too old".to_owned(),
        });
        let mut ends = agent(Some(well()));
        ends.certificate_until = Some(UnixMillis(AT.0 + 13 * DAY));
        let mut expired = agent(Some(well()));
        expired.certificate_until = Some(AT);
        for (agent, expected) in [
            (agent(Some(well())), None),
            (agent(None), Some(Trouble::NeverSeen)),
            (with(|c| c.at.0 -= SILENT), Some(Trouble::Silent)),
            (with(|c| c.clock_skew = -SKEW - 1), Some(Trouble::ClockOff)),
            (
                with(|c| c.disk_free = Some(DISK - 1)),
                Some(Trouble::DiskLow),
            ),
            (with(|c| c.damaged = 1), Some(Trouble::Damaged)),
            (
                with(|c| c.oldest_waiting = Some(UnixMillis(AT.0 - WAITING - 1))),
                Some(Trouble::WaitingLong),
            ),
            (
                with(|c| c.version = "0.8.12".to_owned()),
                Some(Trouble::OldVersion),
            ),
            (with(|c| c.version = "0.10.0".to_owned()), None),
            (refused, Some(Trouble::Refused)),
            (ends, Some(Trouble::CertificateEnds)),
            (expired, Some(Trouble::CertificateExpired)),
        ] {
            let said = troubles(&agent, Some("0.9.0"), AT);
            assert_eq!(said, expected.into_iter().collect::<Vec<_>>());
        }
    }

    #[test]
    fn the_worst_comes_first_and_what_was_revoked_asks_for_nothing() {
        let branch = |code: &str, agent: AgentRecord| BranchRecord {
            code: code.parse().unwrap(),
            name: None,
            agents: vec![agent],
        };
        let mut gone = agent(None);
        gone.revoked_at = Some(AT);
        let mut damaged = well();
        damaged.damaged = 3;
        let judged = judge(
            vec![
                branch("AAA", gone),
                branch("BBB", agent(Some(well()))),
                branch("CCC", agent(None)),
                branch("DDD", agent(Some(damaged))),
            ],
            AT,
        );
        let order: Vec<&str> = judged.iter().map(|branch| branch.code.as_str()).collect();
        assert_eq!(order, ["DDD", "CCC", "AAA", "BBB"]);
        assert_eq!((judged[2].attention, judged[3].attention), (0, 0));
    }
}
