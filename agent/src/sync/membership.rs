//! Who this agent is, over time: joining, renewing, and whom it trusts. One task owns it; the lanes tell it
//! what they hear, and it gives the link what to show.
//!
//! On the data's way: beside **sync**. Invariants:
//! - The link shows a certificate only after it stands in the identity's file, and the next one only after
//!   central has answered a request that showed it. Until then both lanes go on with the present one.
//! - Only central's word leads to enrolling again: that it does not know this agent, or does not renew what
//!   it shows. Then a token is waited for; an identity is never made up, and a wrong clock is no reason.
//! - What is due is measured by central's clock, as heard in its answers.
//! - Other anchors stand in the file before the feed's cursor moves on.
//!
//! Recovery: the file says which step comes next ([`crate::identity`]); each step can be repeated.

mod joining;
mod renewing;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use branchline_agent_api::{EnrolmentState, EnrolmentStatus, LastError};
use branchline_protocol::enrolment::{JournalOf, SignedTrust};
use branchline_protocol::id::Digest;
use branchline_protocol::outcome::{Outcome, Trouble};
use branchline_protocol::problem::ErrorClass;
use branchline_protocol::time::UnixMillis;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::identity::token_sources::TokenSources;
use crate::identity::{Change, Identity, IdentityError, IdentityFile, TrustFault, Which, verified};
use crate::link::Link;
use crate::link::proxy::LinkSettings;

use super::enrolment::blocking;
use super::renewal;
use super::retry::RetryDelay;

/// How often tokens and the identity's file are looked for while this machine has not joined.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How often the identity's file and the calendar are looked at once it has.
const CHECK_EVERY: Duration = Duration::from_secs(5);

/// What it works with.
#[derive(Debug, Clone)]
pub struct MembershipSettings {
    /// The agent's data folder.
    pub folder: PathBuf,
    /// Where tokens may lie.
    pub sources: TokenSources,
    /// How central is reached.
    pub link: LinkSettings,
    /// Where central is, if not where the identity says.
    pub server: Option<String>,
    /// Whose journal this machine has.
    pub journal_of: Option<JournalOf>,
}

/// What the lanes and the status see of it.
#[derive(Debug, Clone)]
pub struct Membership {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    file: IdentityFile,
    state: Mutex<State>,
    /// For the task: there is something to do.
    wake: Notify,
    /// For the control lane: central may think otherwise of us now.
    mended: Notify,
    status: watch::Sender<EnrolmentStatus>,
    link: watch::Sender<Option<Link>>,
}

#[derive(Debug, Default)]
struct State {
    identity: Option<Identity>,
    asked: Asked,
    /// How far central's clock is before ours, in milliseconds; `None` until central was heard.
    central_ahead: Option<i64>,
}

/// What central's answers ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Asked {
    #[default]
    Nothing,
    /// Another certificate.
    Renewal,
    /// Joining again, with a token.
    Token,
}

/// The task.
pub struct MembershipTask {
    shared: Arc<Shared>,
    settings: MembershipSettings,
    retry: RetryDelay,
    not_before: Instant,
    /// The tokens that were tried last.
    tried: Vec<Digest>,
    /// What is used up and may still lie about.
    to_erase: Option<Digest>,
    /// The file as it was read last.
    stamp: Option<(SystemTime, u64)>,
}

impl Membership {
    /// Reads who this agent is. Nothing is asked of central before [`MembershipTask::run`].
    pub fn open(settings: MembershipSettings) -> (Self, MembershipTask) {
        let shared = Arc::new(Shared {
            file: IdentityFile::in_folder(&settings.folder),
            state: Mutex::default(),
            wake: Notify::new(),
            mended: Notify::new(),
            status: watch::Sender::new(EnrolmentStatus {
                state: EnrolmentState::NotEnrolled,
                ..EnrolmentStatus::default()
            }),
            link: watch::Sender::new(None),
        });
        let mut task = MembershipTask {
            shared: shared.clone(),
            settings,
            retry: RetryDelay::new(),
            not_before: Instant::now(),
            tried: Vec::new(),
            to_erase: None,
            stamp: None,
        };
        task.read_file();
        (Self { shared }, task)
    }

    /// Who this agent is, if it has joined.
    pub fn identity(&self) -> Option<Identity> {
        self.shared.state().identity.clone()
    }

    /// For the status.
    pub fn status(&self) -> watch::Receiver<EnrolmentStatus> {
        self.shared.status.subscribe()
    }

    /// Waits until this machine has joined.
    pub async fn joined(&self) -> Option<Identity> {
        let mut status = self.status();
        let joined = status.wait_for(|status| status.certificate_until.is_some());
        joined.await.ok()?;
        self.identity()
    }

    /// Waits until there is a way to central.
    pub async fn link(&self) -> Option<Link> {
        let mut link = self.shared.link.subscribe();
        let made = link.wait_for(Option::is_some).await.ok()?;
        made.clone()
    }

    /// Waits until central may think otherwise of this agent.
    pub(super) async fn mended(&self) {
        self.shared.mended.notified().await;
    }

    /// Central answered; this is its clock.
    pub(super) fn heard(&self, central: UnixMillis) {
        let mut state = self.shared.state();
        let first = state.central_ahead.is_none();
        state.central_ahead = Some(central.0.saturating_sub(crate::ids::now().0));
        // It knows us, whatever it said before.
        let known_again = std::mem::take(&mut state.asked) == Asked::Token;
        drop(state);
        if first || known_again {
            self.shared.wake.notify_one();
        }
    }

    /// A request had another outcome than its reply.
    pub(super) fn outcome(&self, outcome: &Outcome) {
        let asked = match outcome {
            Outcome::Renew { .. } => Asked::Renewal,
            Outcome::Reenrol { .. } => Asked::Token,
            _ => return,
        };
        self.shared.ask(asked);
    }

    /// When the certificate ends, and the serial of the anchors: for central to see.
    pub(super) fn health(&self) -> (Option<UnixMillis>, Option<u64>) {
        let status = self.shared.status.borrow();
        (status.certificate_until, status.trust)
    }

    /// Central's feed names other anchors. They are in the file when this answers `Ok`, unless they are
    /// refused, which is logged and never stops the feed (P6).
    pub(super) async fn trust_changed(&self, signed: SignedTrust) -> Result<(), IdentityError> {
        let file = self.shared.file.clone();
        let kept = blocking(move || {
            file.change(Change::Trust, |kept| {
                let Some(identity) = &mut kept.identity else {
                    return false;
                };
                match verified(&identity.trust, &signed) {
                    Ok(trust) => {
                        tracing::info!(
                            serial = trust.serial,
                            "other anchors are trusted from now on"
                        );
                        identity.trust = trust;
                        true
                    }
                    Err(TrustFault::NotNewer) => false,
                    Err(fault) => {
                        tracing::error!(%fault, "refused other anchors from the feed");
                        false
                    }
                }
            })
        })
        .await?;
        if let Some(identity) = kept.identity {
            self.shared.become_identity(&identity);
        }
        Ok(())
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ask(&self, asked: Asked) {
        let mut state = self.state();
        if state.asked == asked {
            return;
        }
        state.asked = asked;
        drop(state);
        self.wake.notify_one();
    }

    /// The file holds this now: the link shows it from the next request on.
    fn become_identity(&self, identity: &Identity) {
        let mut state = self.state();
        let changed = state.identity.as_ref().is_none_or(|former| {
            former.trust != identity.trust || former.current.facts() != identity.current.facts()
        });
        state.identity = Some(identity.clone());
        drop(state);
        if changed
            && let Some(link) = self.link.borrow().as_ref()
            && let Some(showing) = identity.showing(Which::Current)
            && let Err(fault) = link.adopt(&showing)
        {
            tracing::error!(%fault, "the link cannot show the agent's certificate");
        }
        if changed {
            self.mended.notify_one();
        }
        self.status.send_modify(|status| {
            let facts = identity.current.facts();
            status.certificate_until = Some(facts.not_after);
            status.renewal_due = Some(renewal::due(facts));
            status.trust = Some(identity.trust.serial);
        });
    }

    /// Answers whether it was another.
    fn become_state(&self, state: EnrolmentState) -> bool {
        self.status.send_if_modified(|status| {
            let changed = status.state != state;
            status.state = state;
            changed
        })
    }

    /// Logged where the words change, not at each attempt.
    fn trouble(&self, trouble: &Trouble) {
        let said = self
            .status
            .borrow()
            .trouble
            .as_ref()
            .map(|error| error.words.clone());
        if said.as_ref() != Some(&trouble.words) {
            tracing::warn!(trouble = trouble.words, "the agent's certificate");
        }
        self.status.send_modify(|status| {
            status.trouble = Some(LastError {
                at: crate::ids::now(),
                class: trouble.class,
                words: trouble.words.clone(),
            });
        });
    }

    fn no_trouble(&self) {
        self.status.send_modify(|status| status.trouble = None);
    }
}

/// What a fault of this machine is to whoever reads the status.
fn call_it(fault: &dyn std::fmt::Display) -> Trouble {
    Trouble {
        class: ErrorClass::CallIt,
        central_answered: false,
        words: format!("{fault}."),
    }
}

impl MembershipTask {
    /// Runs until shutdown.
    pub async fn run(mut self, shutdown: CancellationToken) {
        loop {
            let step = async {
                let pause = self.step().await;
                let _ = tokio::time::timeout(pause, self.shared.wake.notified()).await;
            };
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = step => {}
            }
        }
    }

    /// Does what is to be done now. Answers when to look again, if nothing happens before.
    async fn step(&mut self) -> Duration {
        self.read_file();
        self.erase().await;
        let (identity, asked) = {
            let state = self.shared.state();
            (state.identity.clone(), state.asked)
        };
        let Some(identity) = identity else {
            self.join(EnrolmentState::NotEnrolled).await;
            let joined = self.shared.state().identity.is_some();
            return if joined { Duration::ZERO } else { LOOK_EVERY };
        };
        self.connect(&identity);
        let due = self.is_due(&identity);
        if asked == Asked::Token {
            if self.shared.status.borrow().trouble.is_none() {
                self.shared.trouble(&call_it(
                    &"central does not know this agent (any more): it must join again, with a token for the \
                      agent that it is; filing goes on",
                ));
            }
            self.join(EnrolmentState::TokenNeeded).await;
            return LOOK_EVERY;
        }
        if asked == Asked::Renewal || due || identity.next.is_some() {
            self.renew_in_time(identity).await;
            return self.until_next_attempt();
        }
        if self.shared.become_state(EnrolmentState::Enrolled) {
            self.shared.no_trouble();
        }
        CHECK_EVERY
    }

    fn until_next_attempt(&self) -> Duration {
        let left = self.not_before.saturating_duration_since(Instant::now());
        left.clamp(Duration::from_millis(1), CHECK_EVERY)
    }

    fn is_due(&self, identity: &Identity) -> bool {
        let ahead = self.shared.state().central_ahead;
        ahead.is_some_and(|ahead| {
            let central = crate::ids::now().0.saturating_add(ahead);
            central >= renewal::due(identity.current.facts()).0
        })
    }

    /// Reads the file if it is another than before: the command line may have enrolled this machine.
    fn read_file(&mut self) {
        let facts = std::fs::metadata(self.shared.file.path()).ok();
        let stamp = facts.and_then(|facts| Some((facts.modified().ok()?, facts.len())));
        if stamp.is_some() && stamp == self.stamp {
            return;
        }
        let kept = match self.shared.file.load() {
            Ok(kept) => kept,
            Err(fault) => {
                self.shared.trouble(&call_it(&fault));
                return;
            }
        };
        self.stamp = stamp;
        let Some(identity) = kept.identity else {
            return;
        };
        if let Some(owner) = &self.settings.journal_of
            && *owner != identity.journal_of()
        {
            self.shared.trouble(&call_it(&format_args!(
                "{} is that of agent {} of branch {}, and this computer's journal is that of agent {} of \
                 branch {}",
                self.shared.file.path().display(),
                identity.ordinal,
                identity.branch,
                owner.ordinal,
                owner.branch
            )));
            return;
        }
        self.to_erase = kept.joined_by;
        self.settle_on(&identity);
    }

    /// This is who the agent is.
    fn settle_on(&mut self, identity: &Identity) {
        self.settings.journal_of = Some(identity.journal_of());
        let mut state = self.shared.state();
        let former = state.identity.as_ref();
        let joined = former.is_none_or(|former| former.current.facts() != identity.current.facts());
        if joined {
            state.asked = Asked::Nothing;
        }
        drop(state);
        if joined {
            self.retry.reset();
            self.not_before = Instant::now();
            self.shared.no_trouble();
            self.shared.become_state(EnrolmentState::Enrolled);
        }
        self.shared.become_identity(identity);
    }

    /// Makes the link when there is an identity to make it of.
    fn connect(&mut self, identity: &Identity) {
        if self.shared.link.borrow().is_some() {
            return;
        }
        let Some(showing) = identity.showing(Which::Current) else {
            return;
        };
        match Link::mutual(self.server(identity), &showing, &self.settings.link) {
            Ok(link) => {
                self.shared.link.send_replace(Some(link));
            }
            Err(fault) => self.shared.trouble(&call_it(&fault)),
        }
    }

    fn server<'a>(&'a self, identity: &'a Identity) -> &'a str {
        self.settings.server.as_deref().unwrap_or(&identity.server)
    }
}
