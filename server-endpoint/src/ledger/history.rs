//! Everything that happened at central, in order, with what was said: what the desk's read model is made of.
//!
//! On the data's way: `ledger → [history] → desk`. A reader keeps a cursor of its own and asks for what
//! comes after it, as often as it likes.

use branchline_protocol::event::EventBody;
use branchline_protocol::id::BranchCode;
use branchline_protocol::operation::Operation;
use branchline_protocol::time::UnixMillis;

use super::Pending;

/// Events of all branches after a cursor.
#[derive(Debug, Clone)]
pub struct History {
    /// In order.
    pub entries: Vec<HistoryEntry>,
    /// Behind the last of them, or the one that was given where there is none.
    pub cursor: String,
    /// The cursor that was given is not of this ledger, which was restored: the entries start from the
    /// first, and what was made of the others is to be thrown away.
    pub rewound: bool,
}

/// One event, and the operation that caused it.
#[derive(Debug, Clone)]
pub struct HistoryEntry {
    /// Where it stands among all events.
    pub position: u64,
    /// When the ledger took it.
    pub at: UnixMillis,
    /// Of which branch.
    pub branch: BranchCode,
    /// What happened; `None` for a kind that this version does not know.
    pub body: Option<EventBody>,
    /// What a branch said, where the event is the effect of that.
    pub operation: Option<Operation>,
}

/// Reads what happened.
pub trait HistoryLedger: Send + Sync {
    /// At most `most` events after a cursor; without one, from the first.
    fn history(&self, after: Option<String>, most: usize) -> Pending<'_, History>;
}
