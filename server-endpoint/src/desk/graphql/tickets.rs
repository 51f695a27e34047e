//! Tickets as questions see them.

use async_graphql::{Enum, ID, SimpleObject};
use branchline_protocol::id::FileId;

use super::scalars::{Time, number};
use crate::desk::read_model::{self, FileView, TicketView};

macro_rules! words {
    ($(#[$doc:meta])* $name:ident, $other:ident: $($(#[$each:meta])* $value:ident = $word:literal,)*) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
        pub(crate) enum $name {
            $($(#[$each])* $value,)*
        }

        impl $name {
            /// The word in stores.
            #[allow(dead_code, reason = "not each is asked by")]
            pub(super) fn word(self) -> &'static str {
                match self { $(Self::$value => $word,)* }
            }

            pub(super) fn of(word: &str) -> Self {
                match word { $($word => Self::$value,)* _ => Self::$other }
            }
        }
    };
}

words! {
    /// Where a ticket stands.
    TicketState, Open:
    /// Nobody has taken it up.
    New = "new",
    /// Central is at it.
    Open = "open",
    /// Central waits for the branch.
    Waiting = "waiting",
    /// Central thinks that it is done.
    Resolved = "resolved",
    /// It is done.
    Closed = "closed",
    /// The branch took it back.
    Withdrawn = "withdrawn",
    /// Another ticket goes on in its place.
    Merged = "merged",
}

words! {
    /// How much it hurts.
    Priority, Normal:
    /// It can wait.
    Low = "low",
    /// As most.
    Normal = "normal",
    /// Work suffers.
    High = "high",
    /// Work stands still.
    Urgent = "urgent",
}

words! {
    /// What happened on a ticket.
    EntryKind, Note:
    /// The branch said more.
    Comment = "comment",
    /// The branch took it back.
    Withdrawn = "withdrawn",
    /// Central answered.
    Reply = "reply",
    /// Central noted; no branch sees it.
    Note = "note",
    /// It stands elsewhere.
    Moved = "moved",
    /// Somebody else takes care of it.
    Assigned = "assigned",
    /// Its priority or category changed.
    Classified = "classified",
    /// Its tags changed.
    Tagged = "tagged",
    /// Another ticket goes on in its place, or this one in another's.
    Merged = "merged",
    /// Something became of a file.
    File = "file",
}

/// Some tickets.
#[derive(SimpleObject)]
pub(crate) struct TicketPage {
    /// Newest first.
    tickets: Vec<TicketSummary>,
    /// Where the next page begins, if there is one.
    next: Option<String>,
}

/// A ticket in a listing.
#[derive(Clone, SimpleObject)]
pub(crate) struct TicketSummary {
    /// As it is called at central.
    number: String,
    branch: String,
    state: TicketState,
    priority: Priority,
    category: String,
    subject: String,
    /// Who filed it.
    reporter: String,
    /// Who takes care of it.
    assignee: Option<String>,
    tags: Vec<String>,
    /// By the branch's clock, RFC 3339.
    filed_at: String,
    /// When central had it.
    received_at: Time,
    /// When something last happened on it.
    changed_at: Time,
    /// What a command says that it saw.
    version: f64,
    comments: u32,
    replies: u32,
    files: u32,
    /// When it was answered and done; what is due is null where no goal is set.
    service: Option<Service>,
}

/// When a ticket is to be answered and done, in business hours, and when it was.
#[derive(Clone, SimpleObject)]
pub(crate) struct Service {
    /// Counted from when central had it.
    first_answer_due: Option<Time>,
    /// Counted from when the branch filed it.
    first_answer_due_from_filing: Option<Time>,
    /// When central first answered, or settled it without an answer.
    first_answered_at: Option<Time>,
    /// Counted from when central had it; null while it is paused.
    resolution_due: Option<Time>,
    /// Counted from when the branch filed it; null while it is paused.
    resolution_due_from_filing: Option<Time>,
    resolved_at: Option<Time>,
    /// The clock of the resolution stands still, because central waits for the branch.
    paused: bool,
    /// What is to be done first, by the clock that counts here.
    due_at: Option<Time>,
}

/// Which tickets, by what is due on them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
pub(crate) enum Due {
    /// Something was due before now.
    Overdue,
    /// Something is due within the next four hours, and nothing is overdue.
    Soon,
}

/// In which order tickets come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
pub(crate) enum TicketOrder {
    /// The newest first.
    Newest,
    /// What is due first; only tickets with something due.
    Due,
}

/// A ticket with all that belongs to it.
#[derive(SimpleObject)]
pub(crate) struct Ticket {
    summary: TicketSummary,
    description: String,
    /// Whom to ask, in one line.
    contact: String,
    /// The device or workplace concerned.
    asset: Option<String>,
    /// The ticket that goes on in its place.
    merged_into: Option<String>,
    /// The tickets in whose place it goes on.
    merged: Vec<String>,
    /// In order; the last 1,000.
    timeline: Vec<TimelineEntry>,
    /// In order; the first 1,000.
    files: Vec<File>,
}

/// Something that happened on a ticket.
#[derive(SimpleObject)]
pub(crate) struct TimelineEntry {
    position: f64,
    /// By central's clock.
    at: Time,
    /// By the branch's clock, RFC 3339, where a branch said it.
    said_at: Option<String>,
    kind: EntryKind,
    who: String,
    said: String,
    /// Files that came with it.
    files: Vec<File>,
}

/// A file.
#[derive(Clone, SimpleObject)]
pub(crate) struct File {
    id: ID,
    /// As given: not to be used as a path.
    name: String,
    /// Bytes.
    size: f64,
    /// The word of its state.
    state: String,
    /// A signature, or who released it and why.
    detail: Option<String>,
    /// Its content can be fetched.
    readable: bool,
}

/// Tickets of a branch in a state.
#[derive(SimpleObject)]
pub(crate) struct Tally {
    branch: String,
    state: TicketState,
    tickets: f64,
}

impl From<read_model::TicketPage> for TicketPage {
    fn from(page: read_model::TicketPage) -> Self {
        Self {
            tickets: page.tickets.into_iter().map(TicketSummary::from).collect(),
            next: page.next.map(|next| next.to_string()),
        }
    }
}

impl From<read_model::TicketSummary> for TicketSummary {
    fn from(ticket: read_model::TicketSummary) -> Self {
        let (received, filed) = (ticket.service.received, ticket.service.filed);
        Self {
            number: ticket.number,
            branch: ticket.branch,
            state: TicketState::of(&ticket.state),
            priority: Priority::of(&ticket.priority),
            category: ticket.category,
            subject: ticket.subject,
            reporter: ticket.reporter,
            assignee: ticket.assignee,
            tags: ticket.tags,
            filed_at: ticket.filed_at,
            received_at: Time(ticket.received_at),
            changed_at: Time(ticket.changed_at),
            version: number(ticket.version),
            comments: ticket.comments,
            replies: ticket.replies,
            files: ticket.files,
            service: Some(Service {
                first_answer_due: received.first_answer.map(Time),
                first_answer_due_from_filing: filed.first_answer.map(Time),
                first_answered_at: ticket.first_answered_at.map(Time),
                resolution_due: received.resolution.map(Time),
                resolution_due_from_filing: filed.resolution.map(Time),
                resolved_at: ticket.resolved_at.map(Time),
                paused: ticket.service.paused,
                due_at: ticket.service.next.map(Time),
            }),
        }
    }
}

impl From<TicketView> for Ticket {
    fn from(view: TicketView) -> Self {
        Self {
            summary: view.summary.into(),
            description: view.description,
            contact: view.contact,
            asset: view.asset,
            merged_into: view.merged_into,
            merged: view.merged,
            timeline: view.timeline.into_iter().map(TimelineEntry::from).collect(),
            files: view.files.into_iter().map(File::from).collect(),
        }
    }
}

impl From<read_model::TimelineEntry> for TimelineEntry {
    fn from(entry: read_model::TimelineEntry) -> Self {
        Self {
            position: number(entry.position),
            at: Time(entry.at),
            said_at: entry.said_at,
            kind: EntryKind::of(&entry.kind),
            who: entry.who,
            said: entry.said,
            files: entry.files.into_iter().map(File::from).collect(),
        }
    }
}

impl From<FileView> for File {
    fn from(file: FileView) -> Self {
        Self {
            id: FileId::from_bytes(file.id).to_string().into(),
            name: file.name,
            size: number(file.size),
            readable: matches!(file.state.as_str(), "clean" | "released"),
            state: file.state,
            detail: file.detail,
        }
    }
}

impl From<(String, String, u64)> for Tally {
    fn from((branch, state, tickets): (String, String, u64)) -> Self {
        Self {
            branch,
            state: TicketState::of(&state),
            tickets: number(tickets),
        }
    }
}
