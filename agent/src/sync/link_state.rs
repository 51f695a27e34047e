//! What the way to central is now and since when, in words for the status.

use std::time::Duration;

use branchline_agent_api::{LastError, LinkState, LinkStatus};
use branchline_protocol::outcome::{Outcome, Trouble};
use branchline_protocol::problem::ErrorClass;
use branchline_protocol::time::UnixMillis;
use tokio::sync::watch;

use super::SyncStatus;

/// Says how the link is; the loop has it.
pub struct LinkWatch {
    status: watch::Sender<SyncStatus>,
}

impl LinkWatch {
    /// One, and where what it says can be read.
    pub fn new() -> (Self, watch::Receiver<SyncStatus>) {
        let link = LinkStatus {
            state: LinkState::Starting,
            since: crate::ids::now(),
            next_attempt: None,
        };
        let (status, receiver) = watch::channel(SyncStatus {
            link,
            last_error: None,
        });
        (Self { status }, receiver)
    }

    pub(super) fn is_connected(&self) -> bool {
        self.status.borrow().link.state == LinkState::Connected
    }

    pub(super) fn connected(&self) {
        self.become_state(LinkState::Connected, None);
    }

    /// A submission did not get through; it is tried again after `delay`.
    /// `disputed`: the stream is one that the agent opened because the last one was disputed too.
    pub(super) fn outcome(&self, outcome: &Outcome, delay: Duration, disputed: bool) {
        let again = UnixMillis(
            crate::ids::now()
                .0
                .saturating_add(i64::try_from(delay.as_millis()).unwrap_or(0)),
        );
        match outcome {
            Outcome::Gap { .. } | Outcome::Diverged { .. } if disputed => {
                self.trouble(&Trouble {
                    class: ErrorClass::CallIt,
                    central_answered: true,
                    words: "Central disputes every stream that this agent opens.".to_owned(),
                });
                self.become_state(LinkState::Refused, Some(again));
            }
            // Central answered, and the exchange goes on at once.
            Outcome::Done | Outcome::Gap { .. } | Outcome::Diverged { .. } => {}
            Outcome::Smaller { trouble } => self.trouble(trouble),
            Outcome::Retry { trouble, .. } => {
                self.trouble(trouble);
                self.become_state(LinkState::Waiting, Some(again));
            }
            Outcome::Renew { trouble }
            | Outcome::Reenrol { trouble }
            | Outcome::Refused { trouble } => {
                self.trouble(trouble);
                self.become_state(LinkState::Refused, Some(again));
            }
        }
    }

    pub(super) fn trouble(&self, trouble: &Trouble) {
        let (class, words) = (trouble.class, trouble.words.clone());
        let error = LastError {
            at: crate::ids::now(),
            class,
            words,
        };
        self.status
            .send_modify(|status| status.last_error = Some(error));
    }

    fn become_state(&self, state: LinkState, next_attempt: Option<UnixMillis>) {
        let changed = self.status.borrow().link.state != state;
        if changed {
            // Logged where the state changes, not at each attempt: a branch may be offline for days.
            let last = self
                .status
                .borrow()
                .last_error
                .clone()
                .map(|error| error.words);
            if state == LinkState::Connected {
                tracing::info!("connected to central");
            } else {
                tracing::warn!(?state, trouble = last, "no connection to central");
            }
        }
        self.status.send_modify(|status| {
            if changed {
                status.link.since = crate::ids::now();
            }
            status.link.state = state;
            status.link.next_attempt = next_attempt;
        });
    }
}
