//! Reading an answer: bounded, decoded, and told apart into central's words and the way's.

use std::io::Read;
use std::time::Duration;

use branchline_protocol::exchange::{DIGEST_HEADER, body_digest};
use branchline_protocol::limits;
use branchline_protocol::outcome::{Failure, Heard, classify};
use branchline_protocol::problem::Problem;
use http::HeaderMap;
use http::header::{CONTENT_ENCODING, RETRY_AFTER};
use reqwest::RequestBuilder;
use serde::de::DeserializeOwned;

use super::{Answer, failure, request_id};

/// An answer read whole.
pub(super) struct Received {
    status: u16,
    retry_after: Option<Duration>,
    is_encoded: bool,
    /// Under which central has the request.
    id: Option<String>,
    /// Of the body as central sent it, where that was said.
    digest: Option<String>,
    body: Vec<u8>,
}

pub(super) async fn receive(
    request: RequestBuilder,
    through_proxy: bool,
) -> Result<Received, Failure> {
    let failed = |fault| failure::of_request(&fault, through_proxy);
    let mut response = request.send().await.map_err(failed)?;
    let mut received = Received::new(response.status().as_u16(), response.headers());
    while let Some(piece) = response.chunk().await.map_err(failed)? {
        received.take(&piece)?;
    }
    received.whole()
}

fn decode(body: &[u8]) -> Result<Vec<u8>, Failure> {
    let mut plain = Vec::new();
    let reader = zstd::stream::read::Decoder::with_buffer(body)
        .and_then(|mut reader| reader.window_log_max(WINDOW_LOG_MOST).map(|()| reader))
        .map_err(|_| Failure::Interrupted)?;
    reader
        .take(limits::ANSWER_BYTES as u64 + 1)
        .read_to_end(&mut plain)
        .map_err(|_| Failure::Interrupted)?;
    if plain.len() > limits::ANSWER_BYTES {
        Err(Failure::Oversized)
    } else {
        Ok(plain)
    }
}

/// 8 MiB: what level 3 uses at most; a larger window would let an answer take memory at will.
const WINDOW_LOG_MOST: u32 = 23;

impl Received {
    /// An answer of which only the head has come.
    pub(super) fn new(status: u16, headers: &HeaderMap) -> Self {
        let encoding = headers.get(CONTENT_ENCODING);
        let digest = headers.get(DIGEST_HEADER);
        Self {
            status,
            retry_after: retry_after(headers),
            is_encoded: encoding.is_some_and(|value| value == "zstd"),
            id: request_id::answered(headers),
            digest: digest.and_then(|value| value.to_str().ok().map(str::to_owned)),
            body: Vec::new(),
        }
    }

    /// Its status, and under which id central has the request.
    pub(super) fn named(&self) -> (u16, Option<String>) {
        (self.status, self.id.clone())
    }

    /// The next bytes of its body.
    pub(super) fn take(&mut self, piece: &[u8]) -> Result<(), Failure> {
        if self.body.len() + piece.len() > limits::ANSWER_BYTES {
            return Err(Failure::Oversized);
        }
        self.body.extend_from_slice(piece);
        Ok(())
    }

    /// All of its body has come.
    pub(super) fn whole(mut self) -> Result<Self, Failure> {
        if self.is_encoded {
            self.body = decode(&self.body)?;
        }
        Ok(self)
    }

    /// A part of a file, as it left central; anything but exactly that is somebody else's answer, or was
    /// bent on the way.
    pub(super) fn into_bytes(self) -> Answer<Vec<u8>> {
        if self.status != 206 {
            return self.into_outcome();
        }
        if self.digest.as_deref() != Some(&body_digest(&self.body)) {
            return Answer::Outcome(classify(Heard::Failed(Failure::Interrupted)));
        }
        Answer::Reply(self.body)
    }

    pub(super) fn into_answer<T: DeserializeOwned>(self) -> Answer<T> {
        let succeeded = (200..300).contains(&self.status);
        if succeeded && let Ok(reply) = serde_json::from_slice(&self.body) {
            return Answer::Reply(reply);
        }
        self.into_outcome()
    }

    fn into_outcome<T>(self) -> Answer<T> {
        let succeeded = (200..300).contains(&self.status);
        let problem: Option<Problem> = if succeeded {
            None
        } else {
            serde_json::from_slice(&self.body).ok()
        };
        Answer::Outcome(classify(Heard::Answer {
            status: self.status,
            problem: problem.as_ref(),
            retry_after: self.retry_after,
        }))
    }
}

/// Both forms of RFC 9110 §10.2.3; a date counts from the answer's own `Date`, so that a wrong clock
/// at the branch does not matter.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let then = date(value)?;
    let now = answered_at(headers).unwrap_or_else(jiff::Timestamp::now);
    Some(Duration::try_from(then.duration_since(now)).unwrap_or(Duration::ZERO))
}

/// The answer's own `Date`.
pub(super) fn answered_at(headers: &HeaderMap) -> Option<jiff::Timestamp> {
    date(headers.get(http::header::DATE)?.to_str().ok()?)
}

fn date(text: &str) -> Option<jiff::Timestamp> {
    let date = jiff::fmt::rfc2822::parse(text).ok()?;
    Some(date.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_takes_seconds_and_dates() {
        let mut headers = HeaderMap::new();
        assert_eq!(retry_after(&headers), None);
        headers.insert(RETRY_AFTER, "120".parse().unwrap());
        assert_eq!(retry_after(&headers), Some(Duration::from_secs(120)));
        headers.insert(
            http::header::DATE,
            "Sat, 21 Nov 2026 09:12:00 GMT".parse().unwrap(),
        );
        headers.insert(
            RETRY_AFTER,
            "Sat, 21 Nov 2026 09:12:30 GMT".parse().unwrap(),
        );
        assert_eq!(retry_after(&headers), Some(Duration::from_secs(30)));
        headers.insert(
            RETRY_AFTER,
            "Sat, 21 Nov 2026 09:00:00 GMT".parse().unwrap(),
        );
        assert_eq!(retry_after(&headers), Some(Duration::ZERO));
        headers.insert(RETRY_AFTER, "soon".parse().unwrap());
        assert_eq!(retry_after(&headers), None);
    }

    #[test]
    fn p4_a_part_that_is_not_what_was_sent_is_none() {
        let part = |digest: Option<&str>, body: &[u8]| {
            let mut headers = HeaderMap::new();
            if let Some(digest) = digest {
                headers.insert(DIGEST_HEADER, digest.parse().unwrap());
            }
            let mut received = Received::new(206, &headers);
            received.take(body).unwrap();
            matches!(received.into_bytes(), Answer::Reply(_))
        };
        let digest = body_digest(b"sent");
        assert!(part(Some(&digest), b"sent"));
        assert!(!part(Some(&digest), b"semt"));
        assert!(!part(None, b"sent"));
    }

    #[test]
    fn an_answer_that_swells_is_cut() {
        let bomb = zstd::bulk::compress(&vec![0; limits::ANSWER_BYTES + 1], 3).unwrap();
        assert!(bomb.len() < 10_000);
        assert_eq!(decode(&bomb), Err(Failure::Oversized));
    }
}
