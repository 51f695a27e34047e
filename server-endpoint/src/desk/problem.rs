//! Everything at the desk that is not a success, as a problem document (RFC 9457).
//!
//! Same form as at the ingress, with the id of the request in it, so that a person can name it to whoever
//! reads the log. The id is put in by [`super::around`], which knows it.

use std::time::Duration;

use axum::response::{IntoResponse, Response};
use branchline_protocol::operation::FieldFault;
use branchline_protocol::problem::{ErrorClass, MEDIA_TYPE};
use branchline_protocol::text::clipped;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, Method, StatusCode, Uri};
use serde::Serialize;

use super::read_model::ReadModelError;
use crate::ledger::LedgerError;

/// When to come back to a desk that has too much at once.
const BUSY_FOR: Duration = Duration::from_secs(2);
/// When to come back to a ledger that does not answer.
const AWAY_FOR: Duration = Duration::from_secs(5);

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $word:literal, $status:ident, $class:ident, $title:literal;)*) => {
        /// The stable types of problems at the desk.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(super) enum Kind {
            $($(#[$doc])* $name,)*
        }

        impl Kind {
            /// The `type` on the wire.
            pub(super) fn tag(self) -> &'static str {
                match self { $(Self::$name => concat!("urn:branchline:problem:", $word),)* }
            }
            /// The HTTP status it goes with.
            pub(super) fn status(self) -> StatusCode {
                match self { $(Self::$name => StatusCode::$status,)* }
            }
            /// Who must act.
            pub(super) fn class(self) -> ErrorClass {
                match self { $(Self::$name => ErrorClass::$class,)* }
            }
            fn title(self) -> &'static str {
                match self { $(Self::$name => $title,)* }
            }
        }
    };
}

kinds! {
    /// The body or a parameter cannot be read.
    Malformed = "malformed", BAD_REQUEST, FixInput, "The request cannot be read";
    /// A field breaks a rule; `field` names it.
    InvalidField = "invalid-field", UNPROCESSABLE_ENTITY, FixInput, "A field is not acceptable";
    /// Larger than the limit that the detail names.
    TooLarge = "too-large", PAYLOAD_TOO_LARGE, FixInput, "Too large";
    /// No such route, ticket, file, branch, agent, operator or token.
    NotFound = "not-found", NOT_FOUND, FixInput, "Not found";
    /// The route exists, the method does not.
    MethodNotAllowed = "method-not-allowed", METHOD_NOT_ALLOWED, FixInput, "Method not allowed";
    /// The content type is not one that is spoken here.
    UnsupportedMedia = "unsupported-media", UNSUPPORTED_MEDIA_TYPE, FixInput, "Unsupported content";
    /// The request makes no sense in the present state.
    Conflict = "conflict", CONFLICT, FixInput, "Conflict";
    /// It was changed since it was seen; `version` is the present one.
    Stale = "stale", CONFLICT, FixInput, "Changed in the meantime";
    /// Nobody is signed in, or the token is not good.
    Unauthenticated = "unauthenticated", UNAUTHORIZED, FixInput, "Not signed in";
    /// Name or password are wrong.
    SignInFailed = "sign-in-failed", UNAUTHORIZED, FixInput, "Not signed in";
    /// The password is right, and somebody else knows it.
    PasswordChangeNeeded = "password-change-needed", FORBIDDEN, FixInput, "Change the password first";
    /// The one who asks may not do this.
    Forbidden = "forbidden", FORBIDDEN, CallIt, "Not allowed";
    /// The request may come from another site.
    CrossSite = "cross-site", FORBIDDEN, CallIt, "Not from the console";
    /// Too many attempts failed.
    TooManyAttempts = "too-many-attempts", TOO_MANY_REQUESTS, TryAgain, "Too many attempts";
    /// A part of a file that is not there.
    NoSuchRange = "no-such-range", RANGE_NOT_SATISFIABLE, FixInput, "No such part";
    /// Too much at once.
    Busy = "busy", SERVICE_UNAVAILABLE, TryAgain, "Busy";
    /// The ledger does not answer.
    Unavailable = "unavailable", SERVICE_UNAVAILABLE, TryAgain, "Temporarily unavailable";
    /// No space left.
    StoreFull = "store-full", INSUFFICIENT_STORAGE, CallIt, "No space left";
    /// It took too long.
    TooSlow = "too-slow", REQUEST_TIMEOUT, TryAgain, "The request took too long";
    /// A fault of central's own.
    Internal = "internal", INTERNAL_SERVER_ERROR, CallIt, "Internal fault";
}

/// The document.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub(super) struct Document {
    /// A stable name.
    #[serde(rename = "type")]
    kind: &'static str,
    /// The same each time.
    title: &'static str,
    /// The HTTP status.
    status: u16,
    /// For people.
    detail: String,
    /// Who must act: `try_again`, `fix_input` or `call_it`.
    #[schema(value_type = String)]
    class: ErrorClass,
    /// The field that breaks a rule.
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<String>,
    /// The present version of what was changed in the meantime.
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<u64>,
    /// Since when the ledger does not answer, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<String>,
    /// Names the request in central's log.
    request_id: String,
}

/// A request refused.
#[derive(Debug, Clone)]
pub(super) struct Refusal {
    kind: Kind,
    detail: String,
    field: Option<String>,
    version: Option<u64>,
    since: Option<String>,
    after: Option<Duration>,
}

impl Refusal {
    pub(super) fn new(kind: Kind, detail: impl Into<String>) -> Self {
        let after = match kind {
            Kind::Busy => Some(BUSY_FOR),
            Kind::Unavailable => Some(AWAY_FOR),
            _ => None,
        };
        Self {
            kind,
            detail: detail.into(),
            field: None,
            version: None,
            since: None,
            after,
        }
    }

    /// A field that breaks a rule.
    pub(super) fn field(field: impl Into<String>, fault: impl Into<String>) -> Self {
        let (field, fault) = (field.into(), fault.into());
        let mut refusal = Self::new(Kind::InvalidField, format!("{field} {fault}"));
        refusal.field = Some(field);
        refusal
    }

    /// Somebody else was faster.
    pub(super) fn stale(version: u64) -> Self {
        let detail = "it was changed since you looked; look again, and decide anew";
        let mut refusal = Self::new(Kind::Stale, detail);
        refusal.version = Some(version);
        refusal
    }

    pub(super) fn not_found(what: &str) -> Self {
        Self::new(Kind::NotFound, format!("there is no such {what}"))
    }

    /// Other words for people.
    pub(super) fn say(&mut self, detail: String) {
        self.detail = detail;
    }

    pub(super) fn after(mut self, wait: Duration) -> Self {
        self.after = Some(wait);
        self
    }

    /// The same, and since when that has been so.
    pub(super) fn since(mut self, since: Option<branchline_protocol::time::UnixMillis>) -> Self {
        if let (Some(since), Kind::Unavailable) = (since, self.kind) {
            let since = since.to_rfc3339();
            self.detail = format!("{} (since {since})", self.detail);
            self.since = Some(since);
        }
        self
    }

    pub(super) fn kind(&self) -> Kind {
        self.kind
    }

    /// For people.
    pub(super) fn detail(&self) -> &str {
        &self.detail
    }

    /// The answer, which names the request.
    pub(super) fn answer(self, request_id: &str) -> Response {
        let status = self.kind.status();
        let document = Document {
            kind: self.kind.tag(),
            title: self.kind.title(),
            status: status.as_u16(),
            detail: self.detail,
            class: self.kind.class(),
            field: self.field,
            version: self.version,
            since: self.since,
            request_id: request_id.to_owned(),
        };
        let body = serde_json::to_vec(&document).unwrap_or_default();
        let mut response = (status, body).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        if let Some(after) = self.after {
            headers.insert(RETRY_AFTER, after.as_secs().max(1).into());
        }
        response
    }
}

impl IntoResponse for Refusal {
    /// [`super::around`] writes the document.
    fn into_response(self) -> Response {
        let mut response = self.kind.status().into_response();
        response.extensions_mut().insert(Box::new(self));
        response
    }
}

impl From<LedgerError> for Refusal {
    fn from(fault: LedgerError) -> Self {
        // The words behind it are for central's own log.
        tracing::error!(error = %fault, "the ledger did not answer the desk");
        match fault {
            LedgerError::Away(_) => Self::away(),
            LedgerError::Full(_) => Self::new(
                Kind::StoreFull,
                "central has no space left, or has reached a limit; nothing was changed",
            ),
            LedgerError::Broken(_) => Self::new(
                Kind::Internal,
                "central's ledger has a fault; its log says more",
            ),
        }
    }
}

impl Refusal {
    /// The ledger does not answer.
    pub(super) fn away() -> Self {
        Self::new(
            Kind::Unavailable,
            "central's ledger does not answer just now, so that nothing can be changed; searching and \
             reading go on, and the same request may succeed later",
        )
    }
}

impl From<ReadModelError> for Refusal {
    fn from(fault: ReadModelError) -> Self {
        tracing::error!(error = %fault, "the read model did not answer");
        let detail =
            "central's read model does not answer just now; the same request may succeed later";
        Self::new(Kind::Unavailable, detail)
    }
}

impl From<FieldFault> for Refusal {
    fn from(fault: FieldFault) -> Self {
        Self::field(fault.field, fault.fault)
    }
}

pub(super) fn no_such_route(uri: &Uri) -> Refusal {
    let path = clipped(uri.path(), 100);
    Refusal::new(Kind::NotFound, format!("there is no {path} here"))
}

pub(super) fn no_such_method(method: &Method, uri: &Uri) -> Refusal {
    let path = clipped(uri.path(), 100);
    Refusal::new(
        Kind::MethodNotAllowed,
        format!("{path} does not take {method}"),
    )
}
