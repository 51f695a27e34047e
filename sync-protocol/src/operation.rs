//! What a branch can say: operations, how they are encoded, and when one is valid.
//!
//! On the wire and in every store an operation is one JSON object,
//! `{"id", "at", "by", "kind", "body"}`. Invariants:
//! - The exact bytes that the agent encoded are what is stored, hashed, sent and kept; nobody ever
//!   re-encodes them ([`crate::chain`]).
//! - Reading is lenient about kinds and members it does not know (a newer agent's), strict about
//!   those it does. An unknown kind keeps its whole bytes ([`Parsed::Unknown`], P6).
//! - Validity is one pure function that the agent applies before it says "saved" and central applies
//!   before it takes effect, so that a rejection is a version difference or an attack, not a habit.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::id::{Digest, OperationId, TicketId, TicketNumber};
use crate::limits;
use crate::text::{Shape, fault};
use crate::time::LocalTime;

/// One operation, understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation {
    /// Names it for ever; made by the client that asked, so that asking again is harmless.
    pub id: OperationId,
    /// When the branch's clock says it was asked for.
    pub at: LocalTime,
    /// Who asked, as the agent's operating system knows them.
    pub by: Reporter,
    /// What was asked.
    pub body: Body,
}

/// Who asked for an operation. The agent records the local API's caller; no client can choose it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reporter {
    /// Operating-system user name at the branch.
    pub user: String,
}

/// What can be asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// A new ticket.
    TicketFiled(TicketFiled),
    /// More text on a ticket.
    CommentAdded(CommentAdded),
    /// The branch no longer needs the ticket.
    TicketWithdrawn(TicketWithdrawn),
    /// A file for a ticket; its chunks travel on the bulk lane.
    FileAttached(FileAttached),
}

/// A new ticket; its [`TicketId`] is the operation's id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TicketFiled {
    /// Made by the agent.
    pub number: TicketNumber,
    /// One line; at most [`limits::SUBJECT_CHARS`].
    pub subject: String,
    /// Any number of lines; at most [`limits::TEXT_CHARS`].
    pub description: String,
    /// One of central's categories, or free text; at most [`limits::CATEGORY_CHARS`].
    pub category: String,
    /// How much it hurts.
    pub priority: Priority,
    /// Whom to ask.
    pub contact: Contact,
    /// The device or workplace concerned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asset: Option<String>,
}

/// How much a ticket hurts, in the words of the person who filed it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Priority {
    /// Can wait.
    Low,
    /// The usual.
    #[default]
    Normal,
    /// Work is impeded.
    High,
    /// Work has stopped.
    Urgent,
}

impl Priority {
    /// The word on the wire, in the CLI and in stores.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Normal => "normal",
            Self::High => "high",
            Self::Urgent => "urgent",
        }
    }
}

/// Whom central support asks back: at least one of the three is there.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Contact {
    /// A person or a desk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Digits, spaces and `+ - / ( ) .`, and letters for extensions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phone: Option<String>,
    /// A mail address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mail: Option<String>,
}

/// More text on a ticket of the same branch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommentAdded {
    /// The ticket it belongs to.
    pub ticket: TicketId,
    /// At most [`limits::TEXT_CHARS`].
    pub text: String,
}

/// The branch takes a ticket back. It stays on record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TicketWithdrawn {
    /// The ticket taken back.
    pub ticket: TicketId,
    /// Why; at most [`limits::TEXT_CHARS`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// A file attached to a ticket; its [`crate::id::FileId`] is the operation's id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileAttached {
    /// The ticket it belongs to.
    pub ticket: TicketId,
    /// The file's name as given at the branch; at most [`limits::FILE_NAME_CHARS`].
    pub name: String,
    /// Bytes.
    pub size: u64,
    /// BLAKE3 of the whole file.
    pub root: Digest,
}

/// What the bytes of an operation turned out to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Parsed {
    /// Understood; not yet validated.
    Known(Operation),
    /// A kind from a newer version: kept whole, with a verdict that says so.
    Unknown {
        /// Its id, so that a repeat is still recognised.
        id: OperationId,
        /// The kind as given, clipped.
        kind: String,
    },
}

/// The bytes are not an operation.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// Larger than [`limits::OPERATION_BYTES`].
    #[error("an operation has {0} bytes; at most {max} are allowed", max = limits::OPERATION_BYTES)]
    TooLarge(usize),
    /// Not the JSON object it should be; no id could be read.
    #[error("not an operation: {0}")]
    Envelope(String),
    /// The envelope is sound, the body is not what its kind says.
    #[error("the body of {kind} does not fit: {fault}")]
    Body {
        /// The operation concerned.
        id: OperationId,
        /// The kind named.
        kind: &'static str,
        /// What the reader said.
        fault: String,
    },
}

/// One field that breaks a rule; the message names field and rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{field} {fault}")]
pub struct FieldFault {
    /// The field's name on the wire, dotted where nested (`contact.mail`).
    pub field: String,
    /// Completes the sentence that begins with the field's name.
    pub fault: String,
}

#[derive(Serialize, Deserialize)]
struct Envelope<'a> {
    id: OperationId,
    at: LocalTime,
    by: Reporter,
    #[serde(borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    body: &'a RawValue,
}

#[derive(Serialize)]
struct EnvelopeOut<'a, B> {
    id: OperationId,
    at: LocalTime,
    by: &'a Reporter,
    kind: &'static str,
    body: &'a B,
}

const TICKET_FILED: &str = "ticket_filed";
const COMMENT_ADDED: &str = "comment_added";
const TICKET_WITHDRAWN: &str = "ticket_withdrawn";
const FILE_ATTACHED: &str = "file_attached";

impl Body {
    /// The kind's name on the wire.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::TicketFiled(_) => TICKET_FILED,
            Self::CommentAdded(_) => COMMENT_ADDED,
            Self::TicketWithdrawn(_) => TICKET_WITHDRAWN,
            Self::FileAttached(_) => FILE_ATTACHED,
        }
    }

    /// The ticket concerned, where it is another operation's.
    pub fn ticket(&self) -> Option<TicketId> {
        match self {
            Self::TicketFiled(_) => None,
            Self::CommentAdded(body) => Some(body.ticket),
            Self::TicketWithdrawn(body) => Some(body.ticket),
            Self::FileAttached(body) => Some(body.ticket),
        }
    }
}

impl Operation {
    /// The bytes of this operation, for ever. Compact JSON, no surrounding white space.
    pub fn encode(&self) -> Vec<u8> {
        match &self.body {
            Body::TicketFiled(body) => self.encode_with(body),
            Body::CommentAdded(body) => self.encode_with(body),
            Body::TicketWithdrawn(body) => self.encode_with(body),
            Body::FileAttached(body) => self.encode_with(body),
        }
    }

    fn encode_with<B: Serialize>(&self, body: &B) -> Vec<u8> {
        let envelope = EnvelopeOut {
            id: self.id,
            at: self.at,
            by: &self.by,
            kind: self.body.kind(),
            body,
        };
        // Only a map with keys that are not strings, or a failing writer, could make this fail.
        serde_json::to_vec(&envelope).unwrap_or_default()
    }

    /// Reads an operation's bytes. Says nothing about validity.
    pub fn parse(bytes: &[u8]) -> Result<Parsed, Malformed> {
        if bytes.len() > limits::OPERATION_BYTES {
            return Err(Malformed::TooLarge(bytes.len()));
        }
        if bytes.first() != Some(&b'{') {
            return Err(Malformed::Envelope("it is not a JSON object".to_owned()));
        }
        let envelope: Envelope<'_> =
            serde_json::from_slice(bytes).map_err(|e| Malformed::Envelope(e.to_string()))?;
        let body = match envelope.kind.as_ref() {
            TICKET_FILED => Body::TicketFiled(body(&envelope, TICKET_FILED)?),
            COMMENT_ADDED => Body::CommentAdded(body(&envelope, COMMENT_ADDED)?),
            TICKET_WITHDRAWN => Body::TicketWithdrawn(body(&envelope, TICKET_WITHDRAWN)?),
            FILE_ATTACHED => Body::FileAttached(body(&envelope, FILE_ATTACHED)?),
            other => {
                let kind = crate::text::clipped(other, 60).to_owned();
                return Ok(Parsed::Unknown {
                    id: envelope.id,
                    kind,
                });
            }
        };
        Ok(Parsed::Known(Self {
            id: envelope.id,
            at: envelope.at,
            by: envelope.by,
            body,
        }))
    }

    /// Every field that breaks a rule, in the order of a form; empty when the operation is valid.
    pub fn faults(&self) -> Vec<FieldFault> {
        let mut faults = Faults::default();
        faults.text("by.user", &self.by.user, Shape::Line, limits::USER_CHARS);
        match &self.body {
            Body::TicketFiled(body) => ticket_faults(body, &mut faults),
            Body::CommentAdded(body) => {
                faults.text("text", &body.text, Shape::Lines, limits::TEXT_CHARS);
            }
            Body::TicketWithdrawn(body) => {
                faults.optional(
                    "reason",
                    body.reason.as_deref(),
                    Shape::Lines,
                    limits::TEXT_CHARS,
                );
            }
            Body::FileAttached(body) => {
                faults.text("name", &body.name, Shape::Line, limits::FILE_NAME_CHARS);
            }
        }
        faults.0
    }
}

fn body<'a, B: Deserialize<'a>>(
    envelope: &Envelope<'a>,
    kind: &'static str,
) -> Result<B, Malformed> {
    let malformed = |fault: String| Malformed::Body {
        id: envelope.id,
        kind,
        fault,
    };
    let text = envelope.body.get();
    if !text.starts_with('{') {
        return Err(malformed("it is not a JSON object".to_owned()));
    }
    serde_json::from_str(text).map_err(|fault| malformed(fault.to_string()))
}

#[derive(Default)]
struct Faults(Vec<FieldFault>);

impl Faults {
    fn add(&mut self, field: &str, fault: impl Into<String>) {
        self.0.push(FieldFault {
            field: field.to_owned(),
            fault: fault.into(),
        });
    }

    fn text(&mut self, field: &str, text: &str, shape: Shape, most_chars: usize) {
        if let Some(fault) = fault(text, shape, most_chars) {
            self.add(field, fault);
        }
    }

    fn optional(&mut self, field: &str, text: Option<&str>, shape: Shape, most_chars: usize) {
        if let Some(text) = text {
            self.text(field, text, shape, most_chars);
        }
    }
}

fn ticket_faults(body: &TicketFiled, faults: &mut Faults) {
    if body.number.suffix != 1 {
        faults.add("number", "must not have a suffix; only central adds one");
    }
    faults.text("subject", &body.subject, Shape::Line, limits::SUBJECT_CHARS);
    faults.text(
        "description",
        &body.description,
        Shape::Lines,
        limits::TEXT_CHARS,
    );
    faults.text(
        "category",
        &body.category,
        Shape::Line,
        limits::CATEGORY_CHARS,
    );
    contact_faults(&body.contact, faults);
    faults.optional(
        "asset",
        body.asset.as_deref(),
        Shape::Line,
        limits::ASSET_CHARS,
    );
}

fn contact_faults(contact: &Contact, faults: &mut Faults) {
    let Contact { name, phone, mail } = contact;
    if name.is_none() && phone.is_none() && mail.is_none() {
        faults.add(
            "contact",
            "must have a name, a phone number or a mail address",
        );
    }
    faults.optional(
        "contact.name",
        name.as_deref(),
        Shape::Line,
        limits::CONTACT_NAME_CHARS,
    );
    if let Some(phone) = phone {
        faults.text("contact.phone", phone, Shape::Line, limits::PHONE_CHARS);
        if !phone.chars().any(|c| c.is_ascii_digit()) {
            faults.add("contact.phone", "must contain digits");
        }
    }
    if let Some(mail) = mail {
        faults.text("contact.mail", mail, Shape::Line, limits::MAIL_CHARS);
        if !looks_like_mail(mail) {
            faults.add(
                "contact.mail",
                "is not a mail address such as name@example.org",
            );
        }
    }
}

/// Deliberately loose: what a person would call a mail address, quoted local parts excluded.
fn looks_like_mail(mail: &str) -> bool {
    mail.split_once('@').is_some_and(|(local, domain)| {
        !local.is_empty() && !domain.is_empty() && !domain.contains('@')
    }) && !mail.chars().any(char::is_whitespace)
}
