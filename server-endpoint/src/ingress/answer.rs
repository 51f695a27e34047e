//! Successful answers: JSON, packed where that is worth it and the agent can read it.

use axum::response::{IntoResponse, Response};
use branchline_protocol::exchange::FeedReply;
use branchline_protocol::limits::COMPRESS_FROM_BYTES;
use branchline_protocol::problem::ProblemKind;
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, VARY};
use http::{HeaderMap, HeaderValue};
use serde::Serialize;

use super::refusal::Refusal;
use crate::ledger::{FeedPage, now};

/// zstd's own default: most of the gain at a few milliseconds for the largest answer.
const ZSTD_LEVEL: i32 = 3;

pub(super) fn json(request: &HeaderMap, answer: &impl Serialize) -> Result<Response, Refusal> {
    let mut body = serde_json::to_vec(answer)
        .map_err(|_| Refusal::new(ProblemKind::Internal, "the answer cannot be written"))?;
    let mut packed = false;
    if body.len() >= COMPRESS_FROM_BYTES
        && reads_zstd(request)
        && let Ok(smaller) = zstd::bulk::compress(&body, ZSTD_LEVEL)
    {
        body = smaller;
        packed = true;
    }
    let mut response = body.into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(VARY, HeaderValue::from_static("accept-encoding"));
    if packed {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("zstd"));
    }
    Ok(response)
}

pub(super) fn feed_reply(page: FeedPage) -> FeedReply {
    FeedReply {
        feed: page.events,
        cursor: page.cursor,
        rewound: page.rewound,
        server_time: now(),
    }
}

fn reads_zstd(request: &HeaderMap) -> bool {
    let refused = |parameter: &str| {
        parameter
            .trim()
            .strip_prefix("q=")
            .is_some_and(|weight| weight.parse() == Ok(0.0_f32))
    };
    request
        .get_all(ACCEPT_ENCODING)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|choice| {
            let mut parts = choice.split(';');
            parts
                .next()
                .is_some_and(|coding| coding.trim().eq_ignore_ascii_case("zstd"))
                && !parts.any(refused)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zstd_is_used_only_where_it_is_read() {
        let reads = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT_ENCODING, value.parse().unwrap());
            reads_zstd(&headers)
        };
        assert!(reads("zstd") && reads("gzip, zstd;q=0.5") && reads("ZSTD"));
        assert!(!reads("gzip") && !reads("zstd;q=0") && !reads("zstd2") && !reads(""));
    }
}
