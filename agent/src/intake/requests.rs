//! Reading a request's JSON and writing an answer's, with errors that name the field.

use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::response::{IntoResponse, Response};
use branchline_agent_api::REQUEST_BYTES;
use branchline_protocol::problem::{Problem, ProblemKind};
use http::StatusCode;
use http::header::CONTENT_TYPE;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::problems::Refusal;

/// How long a body may take on a local connection.
const BODY_WITHIN: Duration = Duration::from_secs(15);

/// A request's body as JSON.
pub(super) struct JsonBody<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for JsonBody<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, state: &S) -> Result<Self, Refusal> {
        let is_json = request
            .headers()
            .get(CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .is_some_and(|value| value.split(';').next() == Some("application/json"));
        if !is_json {
            let detail = "send JSON, with the header Content-Type: application/json";
            return Err(Problem::new(ProblemKind::UnsupportedMedia, detail).into());
        }
        let body = tokio::time::timeout(BODY_WITHIN, Bytes::from_request(request, state))
            .await
            .map_err(|_| Problem::new(ProblemKind::TooSlow, "the body did not arrive in time"))?
            .map_err(|rejection| unread(rejection.status()))?;
        parse(&body).map(Self)
    }
}

fn unread(status: StatusCode) -> Problem {
    if status == StatusCode::PAYLOAD_TOO_LARGE {
        let detail =
            format!("a request has at most {REQUEST_BYTES} bytes; attach long texts as files");
        Problem::new(ProblemKind::TooLarge, detail)
    } else {
        Problem::new(ProblemKind::Malformed, "the body broke off")
    }
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refusal> {
    let mut reader = serde_json::Deserializer::from_slice(body);
    let value = serde_path_to_error::deserialize(&mut reader).map_err(|fault| {
        let field = fault.path().to_string();
        let problem = Problem::new(ProblemKind::Malformed, fault.inner().to_string());
        if field == "." {
            problem
        } else {
            problem.on_field(field)
        }
    })?;
    reader
        .end()
        .map_err(|fault| Problem::new(ProblemKind::Malformed, fault.to_string()))?;
    Ok(value)
}

/// An answer as JSON.
pub(super) struct JsonAnswer<T>(pub(super) T);

impl<T: Serialize> IntoResponse for JsonAnswer<T> {
    fn into_response(self) -> Response {
        match serde_json::to_vec(&self.0) {
            Ok(body) => ([(CONTENT_TYPE, "application/json")], body).into_response(),
            Err(fault) => Refusal::from(Problem::new(ProblemKind::Internal, fault.to_string()))
                .into_response(),
        }
    }
}
