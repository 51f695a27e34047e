//! What central says back: events, each at one global position, and verdicts on operations.
//!
//! The feed is the events that concern one branch, in order. Reading is lenient: an agent skips a
//! kind it does not know (a newer central's) and goes on, so that central may be upgraded first.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::desk::{Catalogue, OfferedFile, TicketState};
use crate::enrolment::SignedTrust;
use crate::file::FileState;
use crate::id::{CommandId, FileId, OperationId, Seq, TicketId, TicketNumber};
use crate::operation::Priority;
use crate::time::UnixMillis;

/// One event as it travels.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Event {
    /// Where it stands among all events of the organisation; only grows.
    pub position: u64,
    /// When central's ledger took it.
    pub at: UnixMillis,
    /// The kind's name.
    pub kind: String,
    /// What belongs to the kind; [`Event::body`] reads it.
    pub body: Box<RawValue>,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "body", rename_all = "snake_case")]
pub enum EventBody {
    /// Central holds a new ticket.
    TicketFiled {
        /// The ticket.
        ticket: TicketId,
        /// Its number at central, suffix included.
        number: TicketNumber,
    },
    /// Central had to tell two tickets with one number apart; this one got the suffix.
    TicketRenumbered {
        /// The ticket concerned.
        ticket: TicketId,
        /// As the agent gave it out.
        given: TicketNumber,
        /// As it is called from now on.
        number: TicketNumber,
    },
    /// Central holds a new comment.
    CommentAdded {
        /// The ticket it belongs to.
        ticket: TicketId,
        /// The operation that brought it.
        operation: OperationId,
    },
    /// The branch took a ticket back.
    TicketWithdrawn {
        /// The ticket concerned.
        ticket: TicketId,
        /// The operation that asked for it.
        operation: OperationId,
    },
    /// Central knows of a new file; its bytes come on the bulk lane.
    FileAttached {
        /// The ticket it belongs to.
        ticket: TicketId,
        /// The operation that announced it, which is the file's id too.
        operation: OperationId,
    },
    /// A file's state changed.
    FileMoved {
        /// The file: the id of the operation that attached it.
        file: FileId,
        /// What it is now.
        #[serde(flatten)]
        state: FileState,
    },
    /// Whom agents are to trust from now on; for every branch.
    TrustChanged {
        /// Signed by an anchor that they trust already.
        #[serde(flatten)]
        trust: SignedTrust,
    },
    /// Central answers.
    ReplyAdded {
        /// The ticket it belongs to.
        ticket: TicketId,
        /// Names it for ever.
        reply: CommandId,
        /// Who, as the branch is to see it; at most [`crate::limits::USER_CHARS`].
        by: String,
        /// At most [`crate::limits::TEXT_CHARS`].
        text: String,
        /// What goes with it; at most [`crate::limits::REPLY_FILES`].
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        files: Vec<OfferedFile>,
    },
    /// A ticket stands elsewhere now: by the desk, or because its branch spoke.
    TicketMoved {
        /// The ticket concerned.
        ticket: TicketId,
        /// Where it stands.
        state: TicketState,
        /// The operator, where it was one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<String>,
    },
    /// The desk sees it in another light.
    TicketClassified {
        /// The ticket concerned.
        ticket: TicketId,
        /// From now on.
        priority: Priority,
        /// From now on.
        category: String,
        /// The operator.
        by: String,
    },
    /// Another ticket goes on in place of this one.
    TicketMerged {
        /// The ticket that ends.
        ticket: TicketId,
        /// The one that goes on.
        into: TicketId,
        /// Its number.
        number: TicketNumber,
        /// The operator.
        by: String,
    },
    /// A note among central support; never in a feed.
    NoteAdded {
        /// The ticket it belongs to.
        ticket: TicketId,
        /// Names it for ever.
        note: CommandId,
        /// The operator.
        by: String,
        /// At most [`crate::limits::TEXT_CHARS`].
        text: String,
    },
    /// Somebody takes care of it, or nobody any more; never in a feed.
    TicketAssigned {
        /// The ticket concerned.
        ticket: TicketId,
        /// An operator.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        to: Option<String>,
        /// The operator who said so.
        by: String,
    },
    /// Its tags are these; never in a feed.
    TicketTagged {
        /// The ticket concerned.
        ticket: TicketId,
        /// All of them, sorted; at most [`crate::limits::TAGS`].
        tags: Vec<String>,
        /// The operator.
        by: String,
    },
    /// What branches file by from now on; for every branch.
    CatalogueChanged {
        /// The whole of it.
        catalogue: Catalogue,
    },
    /// How fast this branch may carry files.
    BandwidthChanged {
        /// Grows with every change.
        serial: u64,
        /// Words of a [`crate::rate::Rate`]; `None`: central says nothing of it any more.
        rate: Option<String>,
    },
    /// Central keeps an operation without effect, for this reason (P6).
    OperationRejected {
        /// Absent where not even an id could be read.
        operation: Option<OperationId>,
        /// Why.
        reason: Rejection,
    },
}

impl EventBody {
    /// Kind and body apart, as they are stored and sent.
    pub fn to_parts(&self) -> (String, Box<RawValue>) {
        #[derive(Deserialize)]
        struct Parts {
            kind: String,
            body: Box<RawValue>,
        }
        // Written and read back by the same derive, with no map keys that could fail.
        let text = serde_json::to_string(self).unwrap_or_default();
        serde_json::from_str(&text).map_or_else(
            |_| (String::new(), RawValue::NULL.to_owned()),
            |Parts { kind, body }| (kind, body),
        )
    }
}

impl Event {
    /// What happened, or `None` for a kind or a body that this version does not know.
    pub fn body(&self) -> Option<EventBody> {
        #[derive(Serialize)]
        struct Parts<'a> {
            kind: &'a str,
            body: &'a RawValue,
        }
        let text = serde_json::to_string(&Parts {
            kind: &self.kind,
            body: &self.body,
        })
        .ok()?;
        serde_json::from_str(&text).ok()
    }
}

/// What central decided of an operation. Anything without a verdict was accepted as it came.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verdict", rename_all = "snake_case")]
pub enum Verdict {
    /// In effect.
    Accepted,
    /// In effect, under another ticket number.
    Renumbered {
        /// The number from now on.
        number: TicketNumber,
    },
    /// Kept, acknowledged, without effect.
    Rejected {
        /// Why.
        reason: Rejection,
    },
}

/// Why an operation has no effect. The code is stable; the detail is for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{detail}")]
pub struct Rejection {
    /// For programs.
    pub code: RejectionCode,
    /// For people: names what is wrong and what to do. At most [`crate::limits::DETAIL_CHARS`].
    pub detail: String,
}

/// The kinds of rejection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RejectionCode {
    /// Not an operation at all.
    Malformed,
    /// A kind that this central does not know yet; kept whole until it does.
    UnknownKind,
    /// A field breaks a rule.
    InvalidField,
    /// It names a ticket that this branch does not have at central.
    UnknownTicket,
    /// The ticket had been withdrawn before.
    AlreadyWithdrawn,
    /// The ticket number is not one that this agent may give out.
    ForeignNumber,
    /// Another agent used this id.
    IdTaken,
    /// A code from a newer central.
    #[serde(other)]
    Other,
}

/// A verdict with the position of the operation it is on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerdictAt {
    /// In the stream that was submitted.
    pub seq: Seq,
    /// What was decided.
    #[serde(flatten)]
    pub verdict: Verdict,
}
