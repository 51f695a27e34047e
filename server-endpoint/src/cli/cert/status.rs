//! `cert status`: everything that ends some day, and what somebody should do about it, first.

use std::path::Path;

use branchline_protocol::time::UnixMillis;
use clap::Args;
use serde::Serialize;

use super::super::{Failure, authority, block_on, open_ledger, output};
use crate::authority::{Authority, Holding, HoldingKind, Part};
use crate::config::Config;
use crate::ledger::{AgentRecord, Ledger, now};

const DAY: i64 = 24 * 3_600 * 1_000;
/// A given certificate is somebody's to renew: they should have this long.
const GIVEN_DAYS: i64 = 30;
/// The server's own renews itself with a third of its life left; this little means that it cannot.
const OWN_DAYS: i64 = 60;
/// A rollover of a CA takes months.
const CA_DAYS: i64 = 2 * 365;
/// An agent in contact has renewed long before this.
const AGENT_DAYS: i64 = 14;

#[derive(Debug, Args)]
pub(in crate::cli) struct StatusArgs {
    /// JSON, for programs
    #[arg(long)]
    json: bool,
}

pub(super) fn execute(data_dir: &Path, args: &StatusArgs) -> Result<(), Failure> {
    let ledger = open_ledger(data_dir)?;
    let config = Config::read(data_dir)?;
    let open = authority::open(data_dir, &config)?;
    let holdings = open.holdings()?;
    let branches = block_on(async { Ok(ledger.branches().await?) })?;
    let mut agents: Vec<&AgentRecord> = branches
        .iter()
        .flat_map(|branch| &branch.agents)
        .filter(|agent| agent.revoked_at.is_none())
        .collect();
    agents.sort_by_key(|agent| (agent.certificate_until.is_none(), agent.certificate_until));
    let seen = Seen {
        now: now(),
        given: open.is_given(),
        bundle: open.trust().serial,
        grace_days: config.authority.grace_days.into(),
        holdings: &holdings,
        agents: &agents,
    };
    if args.json {
        output::json(&seen.json(&open));
        return Ok(());
    }
    seen.print();
    Ok(())
}

struct Seen<'a> {
    now: UnixMillis,
    given: bool,
    bundle: u64,
    grace_days: i64,
    holdings: &'a [Holding],
    /// Those whose certificate ends first, first; not the revoked.
    agents: &'a [&'a AgentRecord],
}

impl Seen<'_> {
    fn days_left(&self, until: UnixMillis) -> i64 {
        until.0.saturating_sub(self.now.0).div_euclid(DAY)
    }

    /// An agent that once said which bundle it has, and has not the newest. What it never said, nobody
    /// knows: it has not been heard of.
    fn lags(&self, agent: &AgentRecord) -> bool {
        agent.trust.unwrap_or(0) < self.bundle
    }

    /// What somebody should do, the most pressing first.
    fn attention(&self) -> Vec<String> {
        let mut all = Vec::new();
        for holding in self.holdings {
            let left = self.days_left(holding.not_after);
            match holding.kind {
                HoldingKind::Server if left < 0 => all.push(
                    "the server's certificate has ended: agents cannot prove this server and wait"
                        .to_owned(),
                ),
                HoldingKind::Server if self.given && left < GIVEN_DAYS => all.push(format!(
                    "the given server certificate ends in {left} days; put a new one in its place"
                )),
                HoldingKind::Server if !self.given && left < OWN_DAYS => all.push(format!(
                    "the server's certificate ends in {left} days and was not renewed; is `serve` \
                     running, and what does its log say?"
                )),
                HoldingKind::Issuing | HoldingKind::Root { .. }
                    if holding.part == Part::Current && left < CA_DAYS =>
                {
                    let what = what(holding);
                    all.push(format!(
                        "the {what} ends in {left} days; begin with `cert next-root`"
                    ));
                }
                _ => {}
            }
        }
        self.attention_to_agents(&mut all);
        for holding in self.holdings {
            if let (HoldingKind::Root { key_here: true }, Part::Current) =
                (holding.kind, holding.part)
            {
                all.push(
                    "the root's key lies on this machine; serving does without it, so keep it \
                     elsewhere (authority/root-N.key, and two copies of it)"
                        .to_owned(),
                );
            }
        }
        all
    }

    fn attention_to_agents(&self, all: &mut Vec<String>) {
        let ends = |agent: &&&AgentRecord| agent.certificate_until.map(|at| self.days_left(at));
        let ended = self
            .agents
            .iter()
            .filter(|agent| ends(agent).is_some_and(|left| left < 0));
        let lost = ended
            .clone()
            .filter(|agent| ends(agent).is_some_and(|left| left < -self.grace_days))
            .count();
        let ended = ended.count() - lost;
        let soon = self
            .agents
            .iter()
            .filter(|agent| ends(agent).is_some_and(|left| (0..AGENT_DAYS).contains(&left)))
            .count();
        let lagging = self.agents.iter().filter(|agent| self.lags(agent)).count();
        if lost > 0 {
            all.push(format!(
                "{}: ended too long ago to renew; join them again (`token create --agent`)",
                certificates(lost)
            ));
        }
        if ended > 0 {
            all.push(format!(
                "{}: ended; they renew once they are online",
                certificates(ended)
            ));
        }
        if soon > 0 {
            all.push(format!(
                "{}: end within {AGENT_DAYS} days",
                certificates(soon)
            ));
        }
        let rolling = self
            .holdings
            .iter()
            .any(|holding| holding.part != Part::Current);
        if lagging > 0 && (rolling || self.bundle > 1) {
            all.push(format!(
                "{lagging} agents have not said that they have trust bundle {}",
                self.bundle
            ));
        }
    }

    fn print(&self) {
        let attention = self.attention();
        if attention.is_empty() {
            output::line("nothing needs attention");
        }
        for (index, text) in attention.iter().enumerate() {
            output::line(&format!("{}. {text}", index + 1));
        }
        output::line("");
        let header = ["CERTIFICATE", "PART", "DAYS LEFT", "UNTIL", "SHA-256"];
        let mut rows = vec![header.map(str::to_owned).to_vec()];
        rows.extend(self.holdings.iter().map(|holding| {
            vec![
                what(holding).to_owned(),
                part(holding.part).to_owned(),
                self.days_left(holding.not_after).to_string(),
                output::moment(holding.not_after),
                holding.fingerprint.to_string(),
            ]
        }));
        output::table(&rows);
        if self.agents.is_empty() {
            return;
        }
        output::line("");
        let header = [
            "AGENT",
            "DAYS LEFT",
            "UNTIL",
            "TRUST BUNDLE",
            "LAST CONTACT",
        ];
        let mut rows = vec![header.map(str::to_owned).to_vec()];
        rows.extend(self.agents.iter().map(|agent| {
            let until = agent.certificate_until;
            let trust = agent
                .trust
                .map_or_else(|| "-".to_owned(), |serial| serial.to_string());
            let behind = if self.lags(agent) { " (behind)" } else { "" };
            let contact = agent.contact.as_ref();
            vec![
                authority::agent_name(agent),
                until.map_or_else(|| "-".to_owned(), |until| self.days_left(until).to_string()),
                until.map_or_else(|| "-".to_owned(), output::moment),
                format!("{trust}{behind}"),
                contact.map_or_else(
                    || "never".to_owned(),
                    |contact| output::ago(contact.at, self.now),
                ),
            ]
        }));
        output::table(&rows);
    }

    fn json(&self, open: &Authority) -> StatusJson {
        let certificates = self.holdings.iter().map(|holding| CertificateJson {
            certificate: what(holding),
            part: part(holding.part),
            days_left: self.days_left(holding.not_after),
            not_after: holding.not_after.to_rfc3339(),
            sha256: holding.fingerprint.to_string(),
        });
        let agents = self.agents.iter().map(|agent| AgentJson {
            agent: agent.id.to_string(),
            name: authority::agent_name(agent),
            days_left: agent.certificate_until.map(|until| self.days_left(until)),
            certificate_until: agent.certificate_until.map(UnixMillis::to_rfc3339),
            trust: agent.trust,
            has_newest_trust: !self.lags(agent),
        });
        StatusJson {
            attention: self.attention(),
            trust: self.bundle,
            trusted: open.trusted().iter().map(ToString::to_string).collect(),
            names: open.names(),
            certificates: certificates.collect(),
            agents: agents.collect(),
        }
    }
}

fn certificates(count: usize) -> String {
    match count {
        1 => "1 agent's certificate".to_owned(),
        count => format!("{} agents' certificates", output::count(count as u64)),
    }
}

fn what(holding: &Holding) -> &'static str {
    match holding.kind {
        HoldingKind::Server => "server",
        HoldingKind::Issuing => "issuing CA",
        HoldingKind::Root { .. } => "root",
    }
}

fn part(part: Part) -> &'static str {
    match part {
        Part::Current => "current",
        Part::Next => "next",
        Part::Old => "old",
    }
}

#[derive(Serialize)]
struct StatusJson {
    attention: Vec<String>,
    trust: u64,
    trusted: Vec<String>,
    names: Vec<String>,
    certificates: Vec<CertificateJson>,
    agents: Vec<AgentJson>,
}

#[derive(Serialize)]
struct CertificateJson {
    certificate: &'static str,
    part: &'static str,
    days_left: i64,
    not_after: String,
    sha256: String,
}

#[derive(Serialize)]
struct AgentJson {
    agent: String,
    name: String,
    days_left: Option<i64>,
    certificate_until: Option<String>,
    trust: Option<u64>,
    has_newest_trust: bool,
}
