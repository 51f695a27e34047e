//! Reading a request's JSON and writing an answer's, with errors that name the field.

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{FromRequest, FromRequestParts, Path, Request};
use axum::response::{IntoResponse, Response};
use branchline_agent_api::REQUEST_BYTES;
use branchline_protocol::id::TicketNumber;
use branchline_protocol::problem::{Problem, ProblemKind};
use futures_util::StreamExt;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use http::request::Parts;
use http::{HeaderMap, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::problems::Refusal;

/// How long a body may take on a local connection.
const BODY_WITHIN: Duration = Duration::from_secs(15);

/// Bytes of a refused body that are read and thrown away before the answer.
const DRAINED_BYTES: usize = 16 * 1024 * 1024;
/// How long that may take.
const DRAIN_WITHIN: Duration = Duration::from_secs(2);

/// A request's body as JSON.
pub(super) struct JsonBody<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for JsonBody<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, state: &S) -> Result<Self, Refusal> {
        if let Err(problem) = check_headers(request.headers()) {
            drain(request.into_body()).await;
            return Err(problem.into());
        }
        let body = tokio::time::timeout(BODY_WITHIN, Bytes::from_request(request, state))
            .await
            .map_err(|_| Problem::new(ProblemKind::TooSlow, "the body did not arrive in time"))?
            .map_err(|rejection| unread(rejection.status()))?;
        parse(&body).map(Self)
    }
}

/// Takes what a refused client is still sending: one whose connection closes while it writes never
/// reads why.
async fn drain(body: Body) {
    let taken = async {
        let mut pieces = body.into_data_stream();
        let mut bytes = 0;
        while let Some(Ok(piece)) = pieces.next().await {
            bytes += piece.len();
            if bytes > DRAINED_BYTES {
                return;
            }
        }
    };
    let _ = tokio::time::timeout(DRAIN_WITHIN, taken).await;
}

fn check_headers(headers: &HeaderMap) -> Result<(), Problem> {
    let said = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let media_type = said(CONTENT_TYPE).and_then(|value| value.split(';').next());
    if !media_type.is_some_and(|given| given.trim().eq_ignore_ascii_case("application/json")) {
        let detail = "send JSON, with the header Content-Type: application/json";
        return Err(Problem::new(ProblemKind::UnsupportedMedia, detail));
    }
    if headers.contains_key(CONTENT_ENCODING) && said(CONTENT_ENCODING) != Some("identity") {
        let detail = "send the body as it is, without Content-Encoding";
        return Err(Problem::new(ProblemKind::UnsupportedMedia, detail));
    }
    // Refused before it is waited for.
    let length = said(CONTENT_LENGTH).and_then(|length| length.parse::<u64>().ok());
    if length.is_some_and(|length| length > REQUEST_BYTES as u64) {
        return Err(too_large());
    }
    Ok(())
}

fn too_large() -> Problem {
    let detail = format!("a request has at most {REQUEST_BYTES} bytes; attach long texts as files");
    Problem::new(ProblemKind::TooLarge, detail)
}

fn unread(status: StatusCode) -> Problem {
    if status == StatusCode::PAYLOAD_TOO_LARGE {
        too_large()
    } else {
        Problem::new(ProblemKind::Malformed, "the body broke off")
    }
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refusal> {
    // Left to itself, serde would read an array as the fields in the order of their declaration.
    if body.trim_ascii_start().first() == Some(&b'[') {
        let detail = "the body is an array; send an object with named fields";
        return Err(Problem::new(ProblemKind::Malformed, detail).into());
    }
    let mut reader = serde_json::Deserializer::from_slice(body);
    let value = serde_path_to_error::deserialize(&mut reader).map_err(|fault| {
        let path = fault.path().to_string();
        let said = fault.inner().to_string();
        let field = match missing(&said) {
            Some(missing) => Some(missing.to_owned()),
            // "?" stands where a name broke off.
            None => Some(path).filter(|path| path != "." && !path.contains('?')),
        };
        let problem = Problem::new(ProblemKind::Malformed, said);
        match field {
            Some(field) => problem.on_field(field),
            None => problem,
        }
    })?;
    reader
        .end()
        .map_err(|fault| Problem::new(ProblemKind::Malformed, fault.to_string()))?;
    Ok(value)
}

/// The field that serde names in words alone, because there is no place to point at.
fn missing(said: &str) -> Option<&str> {
    let named = ["missing field `", "duplicate field `"];
    let rest = named.iter().find_map(|words| said.strip_prefix(words))?;
    let (field, _) = rest.split_once('`')?;
    Some(field)
}

/// The ticket's number in a path.
pub(super) struct Number(pub(super) TicketNumber);

impl<S: Send + Sync> FromRequestParts<S> for Number {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        let number = match Path::<String>::from_request_parts(parts, state).await {
            Ok(Path(text)) => text
                .parse::<TicketNumber>()
                .map_err(|fault| fault.to_string()),
            Err(fault) => Err(fault.to_string()),
        };
        number.map(Self).map_err(|detail| {
            let problem = Problem::new(ProblemKind::InvalidField, detail);
            problem.on_field("number").into()
        })
    }
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
