//! What the ledger tells of agents, tickets and streams.

use branchline_protocol::chain::Position;
use branchline_protocol::desk::{OfferedFile, TicketState};
use branchline_protocol::event::Verdict;
use branchline_protocol::id::{
    AgentId, BranchCode, CommandId, Digest, OperationId, Seq, TicketId, TicketNumber,
};
use branchline_protocol::operation::{Priority, TicketFiled, TicketWithdrawn};
use branchline_protocol::time::{LocalTime, UnixMillis};

use super::FileRecord;

/// An agent to register.
#[derive(Debug, Clone)]
pub struct NewAgent {
    /// Made by whoever registers it.
    pub id: AgentId,
    /// The branch that it is for.
    pub branch: BranchCode,
    /// What people call the branch; `None` leaves it as it is.
    pub branch_name: Option<String>,
    /// By central's clock.
    pub at: UnixMillis,
}

/// A registered agent.
#[derive(Debug, Clone)]
pub struct AgentRecord {
    /// The agent.
    pub id: AgentId,
    /// Its branch.
    pub branch: BranchCode,
    /// Which of the branch's agents.
    pub ordinal: u16,
    /// When it was registered.
    pub registered_at: UnixMillis,
    /// When it was revoked; `None` where it is not.
    pub revoked_at: Option<UnixMillis>,
    /// When its certificate ends, as it last said.
    pub certificate_until: Option<UnixMillis>,
    /// The serial of the trust bundle that it holds, as it last said.
    pub trust: Option<u64>,
    /// What it last said of itself; `None` before its first submission.
    pub contact: Option<Contact>,
    /// When it was last refused, where that was after its last submission.
    pub refused: Option<RefusedAgent>,
}

/// That central refused to speak with an agent that proved who it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedAgent {
    /// When it tried last, within a minute.
    pub at: UnixMillis,
    /// What it was told.
    pub why: String,
}

/// What an agent said of itself with its last submission.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contact {
    /// When, by central's clock.
    pub at: UnixMillis,
    /// The agent's version.
    pub version: String,
    /// By how many milliseconds its clock was ahead; transit time included.
    pub clock_skew: i64,
    /// Operations not yet acknowledged at that time.
    pub waiting: u64,
    /// When the oldest of them was asked for, by the agent's clock.
    pub oldest_waiting: Option<UnixMillis>,
    /// Bytes free on its disk.
    pub disk_free: Option<u64>,
    /// Operations it found damaged.
    pub damaged: u64,
}

/// A branch and its agents.
#[derive(Debug, Clone)]
pub struct BranchRecord {
    /// Its code.
    pub code: BranchCode,
    /// What people call it.
    pub name: Option<String>,
    /// By ordinal.
    pub agents: Vec<AgentRecord>,
}

/// Which tickets to list.
#[derive(Debug, Clone, Default)]
pub struct TicketFilter {
    /// Of this branch only.
    pub branch: Option<BranchCode>,
    /// Only those behind this number.
    pub after: Option<TicketNumber>,
    /// At most so many.
    pub most: usize,
}

/// A ticket in a listing.
#[derive(Debug, Clone)]
pub struct TicketRow {
    /// Names it for ever.
    pub id: TicketId,
    /// As it is called at central.
    pub number: TicketNumber,
    /// Where it stands.
    pub state: TicketState,
    /// When it was filed, by the branch's clock.
    pub filed_at: LocalTime,
    /// When central had it.
    pub received_at: UnixMillis,
    /// Who filed it.
    pub reporter: String,
    /// What was filed, the number as the agent gave it out included.
    pub filed: TicketFiled,
    /// The position of the last event on it that a person should have seen: what a command says that it saw.
    pub version: u64,
    /// As the desk sees it, or as filed.
    pub priority: Priority,
    /// As the desk sees it, or as filed.
    pub category: String,
    /// The operator who takes care of it.
    pub assignee: Option<String>,
    /// Sorted.
    pub tags: Vec<String>,
    /// The ticket that goes on in its place.
    pub merged_into: Option<TicketNumber>,
}

/// A ticket with all that belongs to it.
#[derive(Debug, Clone)]
pub struct TicketFile {
    /// The ticket.
    pub row: TicketRow,
    /// What was decided of its filing.
    pub verdict: Verdict,
    /// In the order in which central had them.
    pub comments: Vec<Comment>,
    /// What central said to the branch and, in notes, to itself; in order.
    pub answers: Vec<Answer>,
    /// Its first files, in the order in which central had word of them; at most [`TICKET_FILES`].
    pub files: Vec<FileRecord>,
    /// It has more files than those.
    pub more_files: bool,
    /// How the branch took it back.
    pub withdrawn: Option<(LocalTime, TicketWithdrawn)>,
}

/// Files shown with a ticket: more than a person looks through; a burst from a folder may have brought
/// any number.
pub const TICKET_FILES: usize = 1_000;

/// A comment on a ticket.
#[derive(Debug, Clone)]
pub struct Comment {
    /// The operation that brought it.
    pub operation: OperationId,
    /// When, by the branch's clock.
    pub at: LocalTime,
    /// When central had it.
    pub received_at: UnixMillis,
    /// Who.
    pub reporter: String,
    /// What.
    pub text: String,
}

/// A reply or a note of central support.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The command that brought it.
    pub id: CommandId,
    /// When, by central's clock.
    pub at: UnixMillis,
    /// Who.
    pub by: String,
    /// What.
    pub text: String,
    /// What goes with it to the branch.
    pub files: Vec<OfferedFile>,
    /// It never goes to a branch.
    pub is_note: bool,
}

/// A stream, for audit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamRecord {
    /// Whose it is.
    pub agent: AgentId,
    /// That agent's branch.
    pub branch: BranchCode,
    /// How far it goes at central.
    pub head: Position,
}

/// What stands at one position of a stream, for audit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeldOperation {
    /// The position.
    pub seq: Seq,
    /// The chain's digest there.
    pub digest: Digest,
    /// The operation's id, where one could be read.
    pub id: Option<OperationId>,
    /// The events by which this agent's operation of that id took effect: one, if all is well.
    pub effects: u64,
    /// The position of the first of them.
    pub first_effect: Option<u64>,
    /// The operation had come in another stream, or earlier in this one; this position repeats it.
    pub repeat: bool,
}
