//! Everything that is not a success, as the problem document that it is answered with.

use std::time::Duration;

use axum::response::{IntoResponse, Response};
use branchline_protocol::problem::{MEDIA_TYPE, Problem, ProblemKind};
use http::header::{CONNECTION, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, Method, StatusCode, Uri};

use crate::ledger::LedgerError;

/// When to come back to a server that has too much at once: long enough for what is under way to end.
const BUSY_FOR: Duration = Duration::from_secs(2);
/// When to come back to a ledger that does not answer.
const AWAY_FOR: Duration = Duration::from_secs(5);
/// When to come back to a disk that is full: somebody has to make room first.
const FULL_FOR: Duration = Duration::from_secs(60);

/// A request refused.
#[derive(Debug)]
pub(super) struct Refusal {
    problem: Box<Problem>,
    /// The connection's place is needed for others.
    hangs_up: bool,
    /// When to come back, where it is not the usual.
    after: Option<Duration>,
}

impl Refusal {
    pub(super) fn new(kind: ProblemKind, detail: impl Into<String>) -> Self {
        Problem::new(kind, detail).into()
    }

    /// The same, with which the connection ends.
    pub(super) fn and_hang_up(mut self) -> Self {
        self.hangs_up = true;
        self
    }

    /// The same, with a time to come back at.
    pub(super) fn after(mut self, wait: Duration) -> Self {
        self.after = Some(wait);
        self
    }

    /// Whether it is central's own trouble rather than the sender's.
    pub(super) fn is_ours(&self) -> bool {
        self.problem.status >= 500
    }

    /// What it says, in one line.
    pub(super) fn words(&self) -> String {
        format!("{}: {}", self.problem.title, self.problem.detail)
    }

    pub(super) fn kind(&self) -> ProblemKind {
        self.problem.kind
    }

    fn retry_after(&self) -> Option<Duration> {
        if self.after.is_some() {
            return self.after;
        }
        match self.problem.kind {
            ProblemKind::Busy => Some(BUSY_FOR),
            ProblemKind::Unavailable => Some(AWAY_FOR),
            ProblemKind::StoreFull => Some(FULL_FOR),
            _ => None,
        }
    }
}

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        Self {
            problem: Box::new(problem),
            hangs_up: false,
            after: None,
        }
    }
}

impl From<LedgerError> for Refusal {
    fn from(fault: LedgerError) -> Self {
        // The words behind it are for central's own log: an agent can do nothing about them.
        tracing::error!(error = %fault, "the ledger did not answer a request");
        match fault {
            LedgerError::Away(_) => Self::new(
                ProblemKind::Unavailable,
                "central's ledger does not answer just now; the same request may succeed later",
            ),
            LedgerError::Full(_) => Self::new(
                ProblemKind::StoreFull,
                "central has no space left; nothing of this request was kept",
            ),
            LedgerError::Broken(_) => Self::new(
                ProblemKind::Internal,
                "central's ledger has a fault; its log says more",
            ),
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        tracing::info!(problem = self.problem.kind.tag(), "refused");
        let status = StatusCode::from_u16(self.problem.kind.status())
            .unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = serde_json::to_vec(&self.problem).unwrap_or_default();
        let mut response = (status, body).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        if let Some(after) = self.retry_after() {
            headers.insert(RETRY_AFTER, after.as_secs().max(1).into());
        }
        if self.hangs_up {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Certificate"));
        }
        response
    }
}

pub(super) async fn no_such_route(uri: Uri) -> Refusal {
    let path = branchline_protocol::text::clipped(uri.path(), 100);
    Refusal::new(ProblemKind::NotFound, format!("there is no {path} here"))
}

pub(super) async fn no_such_method(method: Method, uri: Uri) -> Refusal {
    let detail = format!("{} does not take {method}", uri.path());
    Refusal::new(ProblemKind::MethodNotAllowed, detail)
}
