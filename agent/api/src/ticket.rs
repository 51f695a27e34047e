//! Tickets as the branch sees them.

use branchline_protocol::desk::{OfferedFile, TicketState};
use branchline_protocol::event::Rejection;
use branchline_protocol::id::{CommandId, OperationId, TicketId, TicketNumber};
use branchline_protocol::operation::{Contact, Priority};
use branchline_protocol::time::{LocalTime, UnixMillis};
use serde::{Deserialize, Deserializer, Serialize};

use crate::FileSummary;

/// `POST /v1/tickets`. Limits are those of [`branchline_protocol::limits`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileTicket {
    /// Names the filing, so that asking again after a lost answer files nothing twice. The agent
    /// makes one where it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<OperationId>,
    /// One line.
    pub subject: String,
    /// Any number of lines.
    pub description: String,
    /// One of the catalogue's, or any other text; `general` where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
    /// `normal` where absent.
    #[serde(default)]
    pub priority: Priority,
    /// Whom to ask; the caller's user name where it is empty.
    #[serde(default, deserialize_with = "known_contact_fields")]
    pub contact: Contact,
    /// The device or workplace concerned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asset: Option<String>,
}

/// A contact as operations carry it takes members of newer versions; one that a program asks with
/// does not, because a misspelt field would be lost without a word.
fn known_contact_fields<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Contact, D::Error> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Known {
        name: Option<String>,
        phone: Option<String>,
        mail: Option<String>,
    }
    let Known { name, phone, mail } = Known::deserialize(deserializer)?;
    Ok(Contact { name, phone, mail })
}

/// `POST /v1/tickets/NUMBER/comments`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AddComment {
    /// As in [`FileTicket`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<OperationId>,
    /// Any number of lines.
    pub text: String,
}

/// `POST /v1/tickets/NUMBER/withdrawal`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WithdrawTicket {
    /// As in [`FileTicket`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<OperationId>,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// The answer to everything that saves: given only after the commit was synced (P1).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperationSaved {
    /// The operation.
    pub operation: OperationId,
    /// The ticket that it made or belongs to.
    pub number: TicketNumber,
    /// When it was saved, by the branch's clock.
    pub saved_at: LocalTime,
    /// It had been saved before under the same id, and nothing was added.
    pub repeated: bool,
}

/// How far an operation has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Delivery {
    /// Saved here, not yet acknowledged by central.
    Waiting,
    /// Central has it, durably.
    Received,
    /// Central has it and did not accept it.
    Rejected {
        /// Why, and what to do.
        reason: Rejection,
    },
    /// Its record was damaged on this disk before central had it; it must be filed again.
    Damaged,
}

/// One line of the list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TicketSummary {
    /// The number to use, with central's suffix if it got one.
    pub number: TicketNumber,
    /// For ever.
    pub id: TicketId,
    /// As filed.
    pub subject: String,
    /// As central sees it, or as filed.
    pub category: String,
    /// As central sees it, or as filed.
    pub priority: Priority,
    /// Operating-system user who filed it.
    pub reporter: String,
    /// By the branch's clock.
    pub filed_at: LocalTime,
    /// How far it has come.
    pub delivery: Delivery,
    /// Taken back by the branch.
    pub withdrawn: bool,
    /// Where it stands, as central said last: `new` before it said anything.
    #[serde(default = "unheard")]
    pub state: TicketState,
    /// The ticket that goes on in its place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub merged_into: Option<TicketNumber>,
    /// How many answers of central are kept here.
    #[serde(default)]
    pub replies: u32,
    /// How its files are.
    #[serde(default)]
    pub files: FileCounts,
}

/// A ticket's files in numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileCounts {
    /// In all.
    pub all: u32,
    /// Those that central does not have yet.
    pub unsent: u32,
    /// Those that central has and has not judged.
    pub unjudged: u32,
    /// Those that came to nothing.
    pub failed: u32,
}

fn unheard() -> TicketState {
    TicketState::New
}

/// Which tickets a list is of: `GET /v1/tickets?before=SERIAL&limit=N&mine=true&search=WORDS`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TicketQuery {
    /// Only those with a serial below this: the `next` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<u32>,
    /// How many; 1 to [`crate::LIST_TICKETS`], 50 where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
    /// Only those that the caller filed.
    #[serde(default)]
    pub mine: bool,
    /// Only those in which every word of this stands; at most [`crate::SEARCH_CHARS`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub search: Option<String>,
}

/// The answer to a list, newest first. A page may be short, even empty, and have a `next`: one question
/// looks at a bounded number of tickets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TicketList {
    /// At most [`crate::LIST_TICKETS`].
    pub tickets: Vec<TicketSummary>,
    /// The `before` of the next page, absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<u32>,
}

/// `GET /v1/tickets/NUMBER`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TicketDetails {
    /// What the list says.
    pub summary: TicketSummary,
    /// As filed.
    pub description: String,
    /// As filed.
    pub contact: Contact,
    /// As filed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asset: Option<String>,
    /// What came after the filing, in order.
    pub entries: Vec<Entry>,
    /// Its files in order, at most [`crate::LIST_FILES`].
    #[serde(default)]
    pub files: Vec<FileSummary>,
    /// What central answered, in order.
    #[serde(default)]
    pub replies: Vec<Reply>,
}

/// An answer of central support.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reply {
    /// Names it for ever.
    pub id: CommandId,
    /// By central's clock.
    pub at: UnixMillis,
    /// Who at central.
    pub by: String,
    /// What.
    pub text: String,
    /// Files that central gave with it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<OfferedFile>,
}

/// What came after the filing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// What it is.
    pub kind: EntryKind,
    /// Its text; empty for a withdrawal without reason.
    pub text: String,
    /// Operating-system user.
    pub by: String,
    /// By the branch's clock.
    pub at: LocalTime,
    /// How far it has come.
    pub delivery: Delivery,
}

/// The kinds of [`Entry`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EntryKind {
    /// A comment by the branch.
    Comment,
    /// The branch took the ticket back.
    Withdrawal,
}
