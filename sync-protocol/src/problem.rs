//! Errors as they travel: RFC 9457 problem documents with a stable `type` and a class that tells
//! who must act. The local API and central's ingress answer with the same document.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::chain::Position;

/// The media type of a problem document (RFC 9457).
pub const MEDIA_TYPE: &str = "application/problem+json";

/// Who must act on an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorClass {
    /// Nobody: the same request may succeed later.
    TryAgain,
    /// Whoever asked: the request itself is wrong.
    FixInput,
    /// The IT department: a setting, a disk, a network.
    CallIt,
}

impl fmt::Display for ErrorClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TryAgain => "try again",
            Self::FixInput => "fix the input",
            Self::CallIt => "call IT",
        })
    }
}

macro_rules! problem_kinds {
    ($($(#[$doc:meta])* $name:ident = $tag:literal, $status:literal, $class:ident, $title:literal;)*) => {
        /// The stable types of problems.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum ProblemKind {
            $($(#[$doc])* #[serde(rename = $tag)] $name,)*
            /// A type from a newer version.
            #[serde(other, rename = "urn:branchline:problem:other")]
            Other,
        }

        impl ProblemKind {
            /// Every kind that this version can answer with, in the order of PROTOCOL.md.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The `type` on the wire.
            pub fn tag(self) -> &'static str {
                match self { $(Self::$name => $tag,)* Self::Other => "urn:branchline:problem:other" }
            }
            /// The HTTP status it goes with.
            pub fn status(self) -> u16 {
                match self { $(Self::$name => $status,)* Self::Other => 500 }
            }
            /// Who must act.
            pub fn class(self) -> ErrorClass {
                match self { $(Self::$name => ErrorClass::$class,)* Self::Other => ErrorClass::CallIt }
            }
            /// A few words, the same each time.
            pub fn title(self) -> &'static str {
                match self { $(Self::$name => $title,)* Self::Other => "Unknown problem" }
            }
        }
    };
}

problem_kinds! {
    /// The body or a parameter cannot be read.
    Malformed = "urn:branchline:problem:malformed", 400, FixInput, "The request cannot be read";
    /// A field breaks a rule; `field` names it.
    InvalidField = "urn:branchline:problem:invalid-field", 422, FixInput, "A field is not acceptable";
    /// Larger than the limit that the detail names.
    TooLarge = "urn:branchline:problem:too-large", 413, FixInput, "Too large";
    /// No such route, ticket or operation.
    NotFound = "urn:branchline:problem:not-found", 404, FixInput, "Not found";
    /// The route exists, the method does not.
    MethodNotAllowed = "urn:branchline:problem:method-not-allowed", 405, FixInput, "Method not allowed";
    /// The content type or encoding is not one that is spoken here.
    UnsupportedMedia = "urn:branchline:problem:unsupported-media", 415, FixInput, "Unsupported content";
    /// The request makes no sense in the present state, such as withdrawing twice.
    Conflict = "urn:branchline:problem:conflict", 409, FixInput, "Conflict";
    /// Another protocol version than this side speaks.
    UnsupportedVersion = "urn:branchline:problem:unsupported-version", 400, CallIt, "Unsupported protocol version";
    /// No credentials, or not in the form they must have.
    Unauthenticated = "urn:branchline:problem:unauthenticated", 401, CallIt, "No valid credentials";
    /// Central does not know this agent.
    UnknownAgent = "urn:branchline:problem:unknown-agent", 401, CallIt, "Unknown agent";
    /// The client certificate has expired; only the renewal's route takes it.
    CertificateExpired = "urn:branchline:problem:certificate-expired", 401, TryAgain, "The certificate has expired";
    /// A newer certificate of this agent is in use; only the renewal's route takes this one.
    CertificateSuperseded = "urn:branchline:problem:certificate-superseded", 401, TryAgain, "The certificate was replaced";
    /// The agent was revoked, or its certificate expired longer ago than the grace period.
    Revoked = "urn:branchline:problem:revoked", 401, CallIt, "Revoked";
    /// The enrolment token is not one of this central, or was revoked.
    UnknownToken = "urn:branchline:problem:unknown-token", 401, CallIt, "Unknown enrolment token";
    /// The enrolment token has expired.
    TokenExpired = "urn:branchline:problem:token-expired", 401, CallIt, "The enrolment token has expired";
    /// The enrolment token has no uses left.
    TokenUsedUp = "urn:branchline:problem:token-used-up", 401, CallIt, "The enrolment token is used up";
    /// The one who asks is known and may not do this.
    Forbidden = "urn:branchline:problem:forbidden", 403, CallIt, "Not allowed";
    /// The stream belongs to another agent.
    ForeignStream = "urn:branchline:problem:foreign-stream", 403, CallIt, "Another agent's stream";
    /// Central has less of the stream than the agent was told; `head` says how much.
    Gap = "urn:branchline:problem:gap", 409, TryAgain, "Central has an earlier position";
    /// The stream forked; `head` is central's.
    Diverged = "urn:branchline:problem:diverged", 409, TryAgain, "The stream has forked";
    /// Too much at once; `Retry-After` says when to come back.
    Busy = "urn:branchline:problem:busy", 503, TryAgain, "Busy";
    /// The store does not answer.
    Unavailable = "urn:branchline:problem:unavailable", 503, TryAgain, "Temporarily unavailable";
    /// The store is at its bound or the disk is full.
    StoreFull = "urn:branchline:problem:store-full", 507, CallIt, "No space left";
    /// The sender took too long.
    TooSlow = "urn:branchline:problem:too-slow", 408, TryAgain, "The request took too long";
    /// The body is not the one whose digest was sent with it.
    Damaged = "urn:branchline:problem:damaged", 400, TryAgain, "Damaged on the way";
    /// A fault of this program.
    Internal = "urn:branchline:problem:internal", 500, CallIt, "Internal error";
}

/// A problem document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// The stable type.
    #[serde(rename = "type")]
    pub kind: ProblemKind,
    /// A few words, the same each time.
    pub title: String,
    /// The HTTP status, repeated for readers without it.
    pub status: u16,
    /// What is wrong this time, and what to do.
    pub detail: String,
    /// Who must act.
    pub class: ErrorClass,
    /// The field concerned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// With gap and diverged: central's head.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head: Option<Position>,
    /// With diverged: whether `after` itself was still common ground.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agreed: Option<bool>,
    /// With diverged: the highest ticket serial that central has seen of this agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serials_used: Option<u32>,
}

impl Problem {
    /// A problem of this kind, with what is wrong this time.
    pub fn new(kind: ProblemKind, detail: impl Into<String>) -> Self {
        Self {
            kind,
            title: kind.title().to_owned(),
            status: kind.status(),
            detail: detail.into(),
            class: kind.class(),
            field: None,
            head: None,
            agreed: None,
            serials_used: None,
        }
    }

    /// The same, naming the field concerned.
    #[must_use]
    pub fn on_field(mut self, field: impl Into<String>) -> Self {
        self.field = Some(field.into());
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} ({})", self.title, self.detail, self.class)
    }
}
