//! The ledger: central's authoritative store of streams, operations, events and agents.
//!
//! On the data's way: `ingress → [ledger] → inspection → outbox → desk`. The ingress hands over what
//! an agent submitted; the ledger decides with [`branchline_protocol::receiver`] inside one
//! transaction and answers after that transaction is durable (P3).
//!
//! The trait speaks domain verbs and hides where the rows lie: [`sqlite`] today; every backend runs
//! the same contract test. A ledger is shared by processes (the server, its command line, later other
//! servers), so that nothing here may be remembered between two calls.

use std::future::Future;
use std::pin::Pin;

use branchline_protocol::event::Event;
use branchline_protocol::id::{AgentId, BranchCode, Seq, StreamId, TicketNumber};
use branchline_protocol::time::UnixMillis;

mod append;
mod desk;
mod files;
mod giving;
mod history;
mod identity;
mod operators;
mod outbox;
mod records;
mod trail;

#[cfg(test)]
pub(crate) mod contract;
pub mod sqlite;

pub use branchline_protocol::desk::TicketState;

pub use append::{Acknowledged, Append, Appended, Batch};
pub use desk::{CatalogueChange, Change, Command, Commanded, DeskLedger};
pub use files::{
    Announce, Announced, ChunkPlace, ChunksKept, DedupScope, FileFilter, FileLedger, FileRecord,
    KeepChunks, KeptChunk, MoveFile, ObjectName, PlacedChunk, UploadBounds, Want,
};
pub use giving::{Abandoned, FileGiven, GIVEN_BYTES, GIVEN_FILES, GiveFile, GivenUp};
pub use history::{History, HistoryEntry, HistoryLedger};
pub use identity::{
    CERTIFICATES_KEPT, CertificateRecord, CertificateSerial, CertificateState, Enrol, Enrolled,
    Identified, IdentityLedger, NewCertificate, NewToken, Proof, TOKENS_LISTED, TRAIL_PAGE,
    TokenFor, TokenRecord,
};
pub use operators::{
    API_TOKENS_MOST, ApiTokenRecord, NAME_CHARS, NameFault, NewApiToken, NewOperator, NewPassword,
    NewSession, OPERATORS_MOST, OperatorChange, OperatorLedger, OperatorName, OperatorRecord,
    PasswordHash, Right, Role, SESSIONS_EACH, SessionRecord,
};
pub use outbox::{
    DEAD_LETTERS_MOST, DeadLetter, LETTERS_PAGE, Letter, LetterPage, OutboxLedger, TargetState,
};
pub use records::{
    AgentRecord, Answer, BranchRecord, Comment, Contact, HeldOperation, NewAgent, RefusedAgent,
    StreamRecord, TICKET_FILES, TicketFile, TicketFilter, TicketRow,
};
pub use trail::{Actor, Deed, TRAIL_GENESIS, TrailCheck, TrailEntry, TrailFault, TrailFilter};

/// What a verb of the ledger gives, later.
pub type Pending<'a, T> = Pin<Box<dyn Future<Output = Result<T, LedgerError>> + Send + 'a>>;

/// Why the ledger did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LedgerError {
    /// It does not answer just now: locked by another process, or its disk failed. Try again.
    #[error("the ledger does not answer: {0}")]
    Away(String),
    /// Its disk or its bound is full.
    #[error("the ledger is full: {0}")]
    Full(String),
    /// What it holds does not make sense, or this program has a fault. Trying again does not help.
    #[error("the ledger is broken: {0}")]
    Broken(String),
}

/// Events for a branch after a cursor.
#[derive(Debug, Clone)]
pub struct FeedPage {
    /// In order; at most [`branchline_protocol::limits::FEED_EVENTS`] and
    /// [`branchline_protocol::limits::FEED_BYTES`].
    pub events: Vec<Event>,
    /// Behind the last of them, or the one that was given where there is none.
    pub cursor: String,
    /// The cursor that was given is not of this ledger; the events start from the first.
    pub rewound: bool,
}

/// Which branches have news.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Newsflash {
    /// The last event looked at.
    pub through: u64,
    /// The branches with feed events before and at that, in no order.
    pub branches: Vec<BranchCode>,
}

/// Central's authoritative store.
pub trait Ledger: FileLedger + IdentityLedger + DeskLedger {
    /// Takes a submission, whole or not at all, and notes how its agent is in the same commit.
    fn append(&self, append: Append) -> Pending<'_, Appended>;

    /// The branch's feed after a cursor; without one, from the first event.
    fn feed(&self, branch: BranchCode, after: Option<String>) -> Pending<'_, FeedPage>;

    /// The branches that have news after this position; none at all where it is `None`, which asks
    /// only how far the events go.
    fn news(&self, after: Option<u64>) -> Pending<'_, Newsflash>;

    /// Registers an agent as the branch's next, and the branch with its first.
    fn register_agent(&self, agent: NewAgent) -> Pending<'_, AgentRecord>;

    /// An agent as it is registered now; asked for every request, so that taking a registration back
    /// has effect at once.
    fn agent(&self, id: AgentId) -> Pending<'_, Option<AgentRecord>>;

    /// All branches with their agents, by code and ordinal.
    fn branches(&self) -> Pending<'_, Vec<BranchRecord>>;

    /// Tickets by number.
    fn tickets(&self, filter: TicketFilter) -> Pending<'_, Vec<TicketRow>>;

    /// One ticket with all that belongs to it.
    fn ticket(&self, number: TicketNumber) -> Pending<'_, Option<TicketFile>>;

    /// A stream, for audit.
    fn stream(&self, id: StreamId) -> Pending<'_, Option<StreamRecord>>;

    /// What is held at a stream's positions after `after`, at most `most`, in order; for audit.
    fn held(&self, stream: StreamId, after: Seq, most: usize) -> Pending<'_, Vec<HeldOperation>>;

    /// Whether reads are answered.
    fn ready(&self) -> Pending<'_, ()>;
}

/// This process's clock, as the ledger records it and TLS reads it.
pub fn now() -> UnixMillis {
    UnixMillis(
        jiff::Timestamp::now()
            .as_millisecond()
            .saturating_add(clock_offset()),
    )
}

/// How far tests have this process's clock off, in milliseconds: `BRANCHLINE_CLOCK_OFFSET`, in seconds.
#[cfg(debug_assertions)]
fn clock_offset() -> i64 {
    static OFFSET: std::sync::OnceLock<i64> = std::sync::OnceLock::new();
    *OFFSET.get_or_init(|| {
        let seconds = std::env::var("BRANCHLINE_CLOCK_OFFSET").ok();
        let seconds = seconds.and_then(|seconds| seconds.parse::<i64>().ok());
        seconds.unwrap_or(0).saturating_mul(1_000)
    })
}

/// In a release the clock is the machine's.
#[cfg(not(debug_assertions))]
const fn clock_offset() -> i64 {
    0
}
