//! What has changed: so that a program need not ask again and again, and what it should tell its user.

use branchline_protocol::id::TicketNumber;
use serde::{Deserialize, Serialize};

/// `GET /v1/changes?seen=MARK&news=ID&wait=SECONDS`: answered at once where something has changed since
/// `seen`, or there are news behind `news`; else when something does, or after `wait` seconds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChangesQuery {
    /// The mark of the answer before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen: Option<String>,
    /// The `newest` of the answer before. Without it nothing is told, only where news are now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub news: Option<u64>,
    /// At most [`crate::CHANGES_WAIT_SECONDS`].
    #[serde(default)]
    pub wait: u64,
}

/// What has changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changes {
    /// Stands for everything as it is now; another one means that something has changed. Says nothing else.
    pub mark: String,
    /// Who asks, as the agent knows the caller.
    pub user: String,
    /// Whether the caller may see what colleagues filed.
    pub colleagues: bool,
    /// On the caller's own tickets, oldest first; at most [`crate::LIST_NEWS`].
    pub news: Vec<News>,
    /// The `news` to ask with next.
    pub newest: u64,
}

/// Something that whoever filed a ticket should hear of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct News {
    /// Grows.
    pub id: u64,
    /// The ticket.
    pub number: TicketNumber,
    /// As filed.
    pub subject: String,
    /// What.
    pub kind: NewsKind,
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NewsKind {
    /// Central answered.
    Answer,
    /// Central waits for the branch.
    Asked,
    /// Central thinks that it is done.
    Resolved,
    /// Central did not accept something, or it was damaged here first.
    Refused,
    /// A file came to nothing.
    File,
}
