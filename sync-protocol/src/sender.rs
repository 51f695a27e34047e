//! The agent's end of a stream: what to send next, and what an answer means.
//!
//! The shell around it owns journal and network. It asks [`Sender::poll`] what to do, does it, and
//! tells what happened through the `handle_*` verbs; nothing else changes the state. Polling order:
//! a fork, a comparison with central's head, the submission in flight, the delay, the next
//! submission, the heartbeat.
//!
//! Invariants:
//! - One submission is in flight at most, so answers cannot be taken for one another.
//! - The acknowledged position moves forward only by an answer whose digest is the one computed here
//!   from the journal's own bytes, and back only to a position where that digest agrees too.
//! - Whatever cannot be reconciled ends in a new stream, which submits again what might be missing;
//!   operation ids make what central already has a no-op (P2). So every answer leads on.
//!
//! Times are durations since the agent's start, by a clock that does not jump.

use std::time::Duration;

use crate::chain::Position;
use crate::event::VerdictAt;
use crate::exchange::{Continues, ForkCause, SubmissionReply};
use crate::id::{Digest, Seq, StreamId};
use crate::limits;
use crate::outcome::Outcome;

/// What the journal knows of the stream that it is writing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamState {
    /// The stream.
    pub stream: StreamId,
    /// Which one it continues, and why.
    pub continues: Option<Continues>,
    /// How far central has acknowledged it.
    pub acknowledged: Position,
    /// The journal's last operation.
    pub head: Seq,
}

/// What to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Read operations after `after`, tell [`Sender::handle_loaded`], and send what it answers.
    Submit {
        /// What they come after.
        after: Position,
        /// At most so many bytes of operations; one operation always fits.
        most_bytes: usize,
        /// At most so many operations.
        most_operations: usize,
    },
    /// Compute the journal's own digest at this position and tell [`Sender::handle_comparison`].
    Compare {
        /// Central's head.
        central: Position,
    },
    /// Open a new stream in the journal, then start over with its [`StreamState`].
    Fork {
        /// Why.
        cause: ForkCause,
        /// What the new stream starts with.
        from: ForkFrom,
        /// Ticket serials up to this one are given out already.
        serials_used: u32,
    },
    /// Nothing before this time, unless something happens.
    WaitUntil(Duration),
}

/// What a new stream starts with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ForkFrom {
    /// The first operation that is not acknowledged.
    Unacknowledged,
    /// The oldest operation that the journal retains.
    Retained,
    /// The first operation behind this damaged one.
    Behind(Seq),
}

/// What came of reading the journal.
#[derive(Debug)]
pub enum Loaded<'a> {
    /// These, in order; fewer than there are where a damaged one follows.
    Operations(&'a [&'a [u8]]),
    /// The very next ones are damaged, up to and with this position; they are set aside (P6).
    Damaged {
        /// The last of them.
        through: Seq,
    },
}

/// A reply taken: for the journal to keep.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settled {
    /// The new acknowledged position.
    pub acknowledged: Position,
    /// What central decided on operations up to there.
    pub verdicts: Vec<VerdictAt>,
    /// Central holds operations that this journal has never written.
    pub journal_is_behind: bool,
}

/// A reply that does not fit what was submitted: a fault at central or something on the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("central's answer does not fit what was submitted")]
pub struct Unfit;

#[derive(Debug)]
struct InFlight {
    after: Position,
    positions: Vec<Position>,
    bytes: usize,
    since: Duration,
}

impl InFlight {
    /// The reply acknowledges part of what was submitted, with the digest computed here.
    fn fits(&self, reply: &SubmissionReply) -> bool {
        let acknowledged = reply.acknowledged;
        let expected = if self.positions.is_empty() {
            acknowledged == self.after
        } else {
            self.positions.contains(&acknowledged)
        };
        expected && reply.head.seq >= acknowledged.seq
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Duty {
    Fork {
        cause: ForkCause,
        from: ForkFrom,
        serials_used: u32,
    },
    Compare {
        central: Position,
    },
}

/// The state machine.
#[derive(Debug)]
pub struct Sender {
    state: StreamState,
    duty: Option<Duty>,
    in_flight: Option<InFlight>,
    batch_bytes: usize,
    not_before: Duration,
    /// From when on a new operation may cut the delay short.
    hurry_from: Duration,
    heartbeat_at: Duration,
    /// The present stream was opened here and nothing of it was ever answered with a reply.
    fresh_fork: bool,
}

impl Sender {
    /// Starts with what the journal holds; says so to central at once.
    pub fn new(now: Duration, state: StreamState) -> Self {
        Self {
            state,
            duty: None,
            in_flight: None,
            batch_bytes: limits::FIRST_BATCH_BYTES,
            not_before: now,
            hurry_from: now,
            heartbeat_at: now,
            fresh_fork: false,
        }
    }

    /// What to do next.
    pub fn poll(&self, now: Duration) -> Action {
        match &self.duty {
            Some(Duty::Fork {
                cause,
                from,
                serials_used,
            }) => {
                return Action::Fork {
                    cause: *cause,
                    from: *from,
                    serials_used: *serials_used,
                };
            }
            Some(Duty::Compare { central }) => return Action::Compare { central: *central },
            None => {}
        }
        if self.in_flight.is_some() {
            return Action::WaitUntil(Duration::MAX);
        }
        let due = if self.waiting() > 0 {
            Duration::ZERO
        } else {
            self.heartbeat_at
        };
        let at = due.max(self.not_before);
        if at > now {
            return Action::WaitUntil(at);
        }
        Action::Submit {
            after: self.state.acknowledged,
            most_bytes: self.batch_bytes,
            most_operations: limits::SUBMISSION_OPERATIONS,
        }
    }

    /// What was read for a submission. `None`: nothing to send, poll again.
    pub fn handle_loaded(&mut self, now: Duration, loaded: &Loaded<'_>) -> Option<Position> {
        let operations = match loaded {
            Loaded::Operations(operations) => *operations,
            Loaded::Damaged { through } => {
                let from = ForkFrom::Behind(*through);
                self.fork(ForkCause::JournalDamaged, from, 0);
                return None;
            }
        };
        let after = self.state.acknowledged;
        let mut position = after;
        let positions: Vec<Position> = operations
            .iter()
            .map(|operation| {
                position = position.then(operation);
                position
            })
            .collect();
        self.state.head = self.state.head.max(position.seq);
        let bytes = operations.iter().map(|operation| operation.len()).sum();
        self.in_flight = Some(InFlight {
            after,
            positions,
            bytes,
            since: now,
        });
        Some(after)
    }

    /// Central's reply to the submission in flight. After [`Unfit`] the submission still counts as
    /// in flight, until [`Sender::handle_outcome`] says how to go on.
    pub fn handle_reply(
        &mut self,
        now: Duration,
        reply: &SubmissionReply,
    ) -> Result<Settled, Unfit> {
        let in_flight = self
            .in_flight
            .take_if(|sent| sent.fits(reply))
            .ok_or(Unfit)?;
        let acknowledged = reply.acknowledged;
        self.state.acknowledged = acknowledged;
        self.fresh_fork = false;
        self.not_before = now;
        self.hurry_from = now;
        self.heartbeat_at = now.saturating_add(limits::HEARTBEAT);
        self.adapt_batch(in_flight.bytes, now.saturating_sub(in_flight.since));
        let journal_is_behind = reply.head.seq > self.state.head;
        if journal_is_behind {
            let serials_used = reply.serials_used.unwrap_or(0);
            self.fork(
                ForkCause::AgentRestored,
                ForkFrom::Unacknowledged,
                serials_used,
            );
        }
        let verdicts = reply
            .verdicts
            .iter()
            .filter(|at| at.seq > in_flight.after.seq && at.seq <= acknowledged.seq)
            .cloned()
            .collect();
        Ok(Settled {
            acknowledged,
            verdicts,
            journal_is_behind,
        })
    }

    /// Anything but a reply. `delay` is how long to wait where the outcome asks for waiting: the
    /// shell's back-off, jitter and `Retry-After` included.
    pub fn handle_outcome(&mut self, now: Duration, outcome: &Outcome, delay: Duration) {
        let Some(in_flight) = self.in_flight.take() else {
            return;
        };
        // A central that finds no stream of ours acceptable must not be asked, nor the journal forked,
        // as fast as the link allows.
        let disputed = matches!(outcome, Outcome::Gap { .. } | Outcome::Diverged { .. });
        if disputed && self.fresh_fork {
            self.delay(now, delay, true);
        }
        match outcome {
            Outcome::Done => {}
            Outcome::Gap { head } if head.seq < self.state.acknowledged.seq => {
                self.duty = Some(Duty::Compare { central: *head });
            }
            // Nothing acknowledged here to fall back to: what this stream continues is missing.
            Outcome::Gap { .. } if self.state.acknowledged.seq == Seq(0) => {
                self.fork(ForkCause::CentralRestored, ForkFrom::Retained, 0);
            }
            Outcome::Diverged {
                agreed,
                serials_used,
            } => {
                let from = if *agreed {
                    ForkFrom::Unacknowledged
                } else {
                    ForkFrom::Retained
                };
                self.fork(ForkCause::AgentRestored, from, *serials_used);
            }
            Outcome::Smaller { .. } if in_flight.positions.len() > 1 => {
                // Down to one operation at a time if need be; that one waits for its turn.
                self.batch_bytes = (in_flight.bytes / 2).max(1);
                self.not_before = now;
            }
            Outcome::Retry { not_before, .. } => {
                self.batch_bytes = (self.batch_bytes / 2).max(limits::LEAST_BATCH_BYTES);
                self.delay(now, delay, not_before.is_some());
            }
            Outcome::Gap { .. }
            | Outcome::Smaller { .. }
            | Outcome::Renew { .. }
            | Outcome::Reenrol { .. }
            | Outcome::Refused { .. } => self.delay(now, delay, true),
        }
    }

    /// What central refused this agent for has been mended: it is asked again at once.
    pub fn handle_mended(&mut self, now: Duration) {
        self.not_before = now;
        self.hurry_from = now;
        self.heartbeat_at = now;
    }

    /// The journal's own digest where [`Action::Compare`] asked, `None` where it no longer retains
    /// what it would take to know. Answers with the position to fall back to, for the journal to keep.
    pub fn handle_comparison(&mut self, own: Option<Digest>) -> Option<Position> {
        let Some(Duty::Compare { central }) = self.duty.take() else {
            return None;
        };
        // A stream that continues another and is gone altogether may have lost the other's too.
        let whole = central.seq > Seq(0) || self.state.continues.is_none();
        if own == Some(central.digest) && whole {
            self.state.acknowledged = central;
            return Some(central);
        }
        self.fork(ForkCause::CentralRestored, ForkFrom::Retained, 0);
        None
    }

    /// The journal has grown. Cuts a delay short that nobody asked for, but not again and again.
    pub fn handle_appended(&mut self, now: Duration, head: Seq) {
        self.state.head = self.state.head.max(head);
        self.not_before = self.not_before.min(now.max(self.hurry_from));
    }

    /// Something shows that central can be reached again, or that it should be asked at once.
    pub fn handle_sign_of_life(&mut self, now: Duration) {
        self.not_before = self.not_before.min(now.max(self.hurry_from));
        self.heartbeat_at = self.heartbeat_at.min(now);
    }

    /// A new stream takes the place of the present one; what is known of the link stays.
    pub fn handle_forked(&mut self, state: StreamState) {
        self.state = state;
        self.duty = None;
        self.in_flight = None;
        self.fresh_fork = true;
    }

    /// The stream and how far it is acknowledged.
    pub fn state(&self) -> &StreamState {
        &self.state
    }

    /// Whether a submission is on its way.
    pub fn is_in_flight(&self) -> bool {
        self.in_flight.is_some()
    }

    /// Whether the present stream was opened here and nothing of it was ever answered with a reply: a
    /// dispute about it is not the usual aftermath of a restore.
    pub fn is_fresh_fork(&self) -> bool {
        self.fresh_fork
    }

    /// Operations not yet acknowledged.
    pub fn waiting(&self) -> u64 {
        self.state
            .head
            .0
            .saturating_sub(self.state.acknowledged.seq.0)
    }

    fn fork(&mut self, cause: ForkCause, from: ForkFrom, serials_used: u32) {
        self.duty = Some(Duty::Fork {
            cause,
            from,
            serials_used,
        });
    }

    /// `asked`: somebody said when to come back, so that not even a new operation comes earlier.
    fn delay(&mut self, now: Duration, delay: Duration, asked: bool) {
        self.not_before = now.saturating_add(delay);
        self.hurry_from = if asked {
            self.not_before
        } else {
            now.saturating_add(HURRY_APART)
        };
    }

    /// Aims at [`limits::BATCH_TARGET`] per submission, by what the last full one took.
    fn adapt_batch(&mut self, bytes: usize, took: Duration) {
        let was_full = bytes >= self.batch_bytes / 2;
        if !was_full {
            return;
        }
        let factor =
            (limits::BATCH_TARGET.as_secs_f64() / took.as_secs_f64().max(0.001)).clamp(0.5, 4.0);
        // Bounded by a few mebibytes, far from what a float or usize could not hold.
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "the product is positive and at most four times a small bound"
        )]
        let next = (self.batch_bytes as f64 * factor) as usize;
        self.batch_bytes = next.clamp(limits::LEAST_BATCH_BYTES, limits::MOST_BATCH_BYTES);
    }
}

/// How far apart new operations may cut a delay short: a person filing while the link is down gets
/// an attempt at once, a script filing a thousand does not cause a thousand.
const HURRY_APART: Duration = Duration::from_secs(5);
