//! A letter as it is sent: what receivers read.

use branchline_protocol::id::{BranchCode, TicketNumber};
use serde::Serialize;
use serde_json::value::RawValue;

use crate::ledger::{DeadLetter, Letter};

/// What goes out, the same at each attempt.
#[derive(Debug, Clone)]
pub(super) struct Sending {
    /// Names the event.
    pub(super) id: String,
    /// The event's kind.
    pub(super) kind: String,
    /// JSON.
    pub(super) body: String,
    /// Letters of one thread go out one after another: those of a ticket, or else those of a branch.
    pub(super) thread: String,
}

#[derive(Serialize)]
struct Payload<'a> {
    r#type: &'a str,
    timestamp: String,
    data: Data<'a>,
}

#[derive(Serialize)]
struct Data<'a> {
    position: u64,
    branch: &'a BranchCode,
    ticket: Option<&'a TicketNumber>,
    event: &'a RawValue,
    #[serde(skip_serializing_if = "Option::is_none")]
    operation: Option<&'a RawValue>,
}

impl Sending {
    /// Of an event.
    pub(super) fn of(letter: &Letter) -> Self {
        let payload = Payload {
            r#type: &letter.kind,
            timestamp: letter.at.to_rfc3339(),
            data: Data {
                position: letter.position,
                branch: &letter.branch,
                ticket: letter.ticket.as_ref(),
                event: &letter.body,
                operation: letter.operation.as_deref(),
            },
        };
        let thread = match &letter.ticket {
            Some(number) => number.to_string(),
            None => letter.branch.to_string(),
        };
        Self {
            id: letter.id.clone(),
            kind: letter.kind.clone(),
            // Written by a derive, with no map keys that could fail.
            body: serde_json::to_string(&payload).unwrap_or_default(),
            thread,
        }
    }

    /// Of one that was given up, as it was.
    pub(super) fn again(dead: &DeadLetter) -> Self {
        Self {
            id: dead.id.clone(),
            kind: dead.kind.clone(),
            body: dead.body.clone(),
            thread: String::new(),
        }
    }
}
