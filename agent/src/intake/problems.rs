//! Errors of the local API as problem documents: what is wrong, what to do, who must act.

use axum::response::{IntoResponse, Response};
use branchline_protocol::limits;
use branchline_protocol::problem::{ErrorClass, MEDIA_TYPE, Problem, ProblemKind};
use http::StatusCode;
use http::header::CONTENT_TYPE;

use crate::store::StoreError;
use crate::store::filing::FilingError;

/// Characters of a field's name in a problem; ours have at most two dozen.
const FIELD_CHARS: usize = 60;

/// An error on its way out.
pub(super) struct Refusal(Box<Problem>);

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        Self(Box::new(problem))
    }
}

impl From<FilingError> for Refusal {
    fn from(fault: FilingError) -> Self {
        let said = fault.to_string();
        match fault {
            FilingError::Invalid(fault) => {
                Problem::new(ProblemKind::InvalidField, said).on_field(fault.field)
            }
            FilingError::UnknownTicket(_) => Problem::new(ProblemKind::NotFound, said),
            FilingError::Withdrawn(_) => Problem::new(
                ProblemKind::Conflict,
                format!("{said}; file a new ticket instead"),
            ),
            FilingError::IdTaken(_) => Problem::new(ProblemKind::Conflict, said).on_field("id"),
            FilingError::AtLimit(_) => Problem::new(
                ProblemKind::StoreFull,
                format!("not saved: {said}; restore the link or raise journal_limit_mib"),
            ),
            FilingError::Store(fault) => {
                let Refusal(mut problem) = fault.into();
                problem.detail.insert_str(0, "not saved: ");
                return Refusal(problem);
            }
        }
        .into()
    }
}

impl From<StoreError> for Refusal {
    fn from(fault: StoreError) -> Self {
        match fault {
            StoreError::Full => Problem::new(
                ProblemKind::StoreFull,
                "the disk of this computer is full; free space on it",
            ),
            StoreError::Damaged(_) | StoreError::Failed(_) => {
                let mut problem = Problem::new(ProblemKind::Unavailable, fault.to_string());
                problem.class = ErrorClass::CallIt;
                problem
            }
            StoreError::Closed => Problem::new(
                ProblemKind::Unavailable,
                "the agent is ending; it comes back by itself",
            ),
        }
        .into()
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let Self(mut problem) = self;
        // What was sent may stand in it, and an answer does not grow with the request (P8).
        clip(&mut problem.detail, limits::DETAIL_CHARS);
        if let Some(field) = &mut problem.field {
            clip(field, FIELD_CHARS);
        }
        let status =
            StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        if problem.class == ErrorClass::CallIt {
            tracing::warn!(
                kind = problem.kind.tag(),
                detail = problem.detail,
                "refused a local request"
            );
        }
        let body = serde_json::to_vec(&problem).unwrap_or_default();
        (status, [(CONTENT_TYPE, MEDIA_TYPE)], body).into_response()
    }
}

fn clip(text: &mut String, most_chars: usize) {
    let kept = branchline_protocol::text::clipped(text, most_chars).len();
    text.truncate(kept);
}
