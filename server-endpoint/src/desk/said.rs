//! Reading what a request says: a JSON body within a bound.

use axum::body::{Body, HttpBody};
use axum::extract::{FromRequest, FromRequestParts, Path, Request};
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use http::request::Parts;
use http_body_util::{BodyExt, Limited};
use serde::de::DeserializeOwned;

use super::problem::{Kind, Refusal};

/// Bytes of a JSON body: far more than the longest reply.
pub(super) const BODY_BYTES: usize = 256 * 1024;

/// A JSON body.
pub(super) struct Said<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Said<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, _state: &S) -> Result<Self, Refusal> {
        let (parts, body) = request.into_parts();
        if !is_json(&parts.headers) {
            let detail = "the body must be application/json";
            return Err(Refusal::new(Kind::UnsupportedMedia, detail));
        }
        let bytes = read(body, BODY_BYTES).await?;
        let read = serde_json::from_slice(&bytes);
        // What serde says names fields and places, and what was read only where it is of the wrong kind.
        read.map(Self).map_err(|fault| {
            Refusal::new(Kind::Malformed, format!("the body cannot be read: {fault}"))
        })
    }
}

/// What the path names.
pub(super) struct Named(pub(super) String);

impl<S: Send + Sync> FromRequestParts<S> for Named {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        let named = Path::<String>::from_request_parts(parts, state).await;
        // What is not even text is nothing's name.
        let Path(name) = named.map_err(|_| Refusal::not_found("thing"))?;
        Ok(Self(name))
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let given = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let media = given.and_then(|value| value.split(';').next());
    media.is_some_and(|media| media.trim().eq_ignore_ascii_case("application/json"))
}

async fn read(body: Body, most: usize) -> Result<bytes::Bytes, Refusal> {
    let too_large = || {
        let detail = format!("the body is larger than {most} bytes");
        Err(Refusal::new(Kind::TooLarge, detail))
    };
    // What says itself that it is too large is not waited for.
    if usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX) > most {
        return too_large();
    }
    match Limited::new(body, most).collect().await {
        Ok(read) => Ok(read.to_bytes()),
        Err(fault) if fault.is::<http_body_util::LengthLimitError>() => too_large(),
        Err(_) => Err(Refusal::new(Kind::Malformed, "the body broke off")),
    }
}
