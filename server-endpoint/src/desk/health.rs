//! Whether the desk lives, and whether it can do its work: for whoever watches over it. No caller is
//! asked for, so that nothing is said that matters.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use serde::Serialize;

use super::Desk;

/// How ready it is.
#[derive(Serialize, utoipa::ToSchema)]
pub(super) struct Readiness {
    /// Questions are answered.
    questions: bool,
    /// Commands are taken, and questions answered as of now.
    commands: bool,
}

/// It runs.
#[utoipa::path(get, path = "/livez", responses((status = 200)))]
pub(super) async fn live() -> StatusCode {
    StatusCode::OK
}

/// Whether it can work: 200 where questions are answered, even where commands are not.
#[utoipa::path(
    get, path = "/readyz",
    responses((status = 200, body = Readiness), (status = 503, body = Readiness))
)]
pub(super) async fn ready(State(desk): State<Arc<Desk>>) -> (StatusCode, Json<Readiness>) {
    let readiness = Readiness {
        questions: desk.model.tally().await.is_ok(),
        commands: desk.model.freshness().borrow().behind_since.is_none(),
    };
    let status = if readiness.questions {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (status, Json(readiness))
}
