//! What outside systems are told of: every event as a letter, and how far each target has them.
//!
//! On the data's way: `ledger → [outbox's part of it] → outbox`. Invariants:
//! - A target's mark stands behind the last event that it has, or that was given up for it: whatever fails,
//!   letters behind the mark go out again (at least once), each under the id that it had.
//! - A letter that was given up is kept whole, beside the reason, until somebody sends it again or forgets
//!   it: the event may be unreadable by then.

use branchline_protocol::id::{BranchCode, TicketNumber};
use branchline_protocol::time::UnixMillis;
use serde_json::value::RawValue;

use super::Pending;

/// Dead letters of one target that are kept: the oldest are forgotten, which is logged.
pub const DEAD_LETTERS_MOST: usize = 10_000;
/// Letters in one page.
pub const LETTERS_PAGE: usize = 100;

/// An event as it goes to outside systems.
#[derive(Debug, Clone)]
pub struct Letter {
    /// Names the event for ever, also after a restore gave its position to another.
    pub id: String,
    /// Where it stands among all events.
    pub position: u64,
    /// When the ledger took it.
    pub at: UnixMillis,
    /// Of which branch.
    pub branch: BranchCode,
    /// The kind's name.
    pub kind: String,
    /// The ticket concerned, by its number.
    pub ticket: Option<TicketNumber>,
    /// The event.
    pub body: Box<RawValue>,
    /// What the branch said, where that was the cause.
    pub operation: Option<Box<RawValue>>,
}

/// Some letters, and the mark behind them.
#[derive(Debug, Clone)]
pub struct LetterPage {
    /// In order.
    pub letters: Vec<Letter>,
    /// Behind the last of them, or the one that was given where there is none.
    pub mark: String,
}

/// A letter that was given up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// Its number among all dead letters.
    pub number: u64,
    /// For whom it was.
    pub target: String,
    /// The letter's id.
    pub id: String,
    /// The event's kind.
    pub kind: String,
    /// What was sent, exactly.
    pub body: String,
    /// Why it was given up.
    pub reason: String,
    /// When.
    pub at: UnixMillis,
    /// Somebody wants it sent again.
    pub again: bool,
}

/// How a target does.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TargetState {
    /// Behind the last event that it has.
    pub mark: String,
    /// When it last took something.
    pub last_taken_at: Option<UnixMillis>,
    /// Since when it takes nothing; `None` while it does.
    pub failing_since: Option<UnixMillis>,
    /// What it last failed with.
    pub last_failure: Option<String>,
}

/// Keeps what the outbox needs to go on after any end.
pub trait OutboxLedger: Send + Sync {
    /// The mark behind the last event there is: where a new target begins.
    fn newest_mark(&self) -> Pending<'_, String>;

    /// At most [`LETTERS_PAGE`] letters behind a mark; from the first where the mark is not of this ledger.
    fn letters(&self, mark: String) -> Pending<'_, LetterPage>;

    /// How a target does; `None` for one that was never there.
    fn target(&self, name: String) -> Pending<'_, Option<TargetState>>;

    /// All targets that ever were, by name.
    fn targets(&self) -> Pending<'_, Vec<(String, TargetState)>>;

    /// Keeps how a target does.
    fn keep_target(&self, name: String, state: TargetState) -> Pending<'_, ()>;

    /// Keeps a letter that was given up. One that is there already is kept once.
    fn bury(&self, letter: DeadLetter) -> Pending<'_, ()>;

    /// Dead letters behind a number, of one target or of all; at most `most`.
    fn dead_letters(
        &self,
        target: Option<String>,
        after: u64,
        most: usize,
    ) -> Pending<'_, Vec<DeadLetter>>;

    /// How many dead letters each target has that has any.
    fn dead_letter_counts(&self) -> Pending<'_, Vec<(String, u64)>>;

    /// Has dead letters sent again: these, or all of a target where none is named. Gives how many.
    fn send_again(&self, target: String, numbers: Vec<u64>) -> Pending<'_, u64>;

    /// The first dead letters of a target that are to be sent again.
    fn wanted_again(&self, target: String, most: usize) -> Pending<'_, Vec<DeadLetter>>;

    /// A dead letter has arrived, or is to be forgotten.
    fn forget(&self, number: u64) -> Pending<'_, ()>;
}
