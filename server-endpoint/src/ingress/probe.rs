//! `POST /v1/probe`: measures the way for `doctor`. The body is counted and thrown away, piece by piece.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use branchline_protocol::enrolment::ProbeReply;
use branchline_protocol::limits::CHUNK_BODY_BYTES;
use branchline_protocol::problem::ProblemKind;
use http::header::{CONTENT_LENGTH, VIA};
use http::request::Parts;
use http_body_util::BodyExt;
use tokio::time::Instant;

use super::peer::Peer;
use super::refusal::Refusal;
use super::{Ingress, admission, answer, body};
use crate::ledger::now;

/// Characters of a `Via` that are told.
const VIA_CHARS: usize = 200;
/// What of a body is in memory at once.
const PIECE_BYTES: usize = 64 * 1024;

pub(super) async fn measure(
    State(ingress): State<Arc<Ingress>>,
    request: Request,
) -> Result<Response, Refusal> {
    let (parts, mut body) = request.into_parts();
    let answer = take(&ingress, &parts, &mut body).await;
    ingress.let_go(&answer, body);
    answer
}

async fn take(ingress: &Ingress, parts: &Parts, body: &mut Body) -> Result<Response, Refusal> {
    // Before the ledger is asked: a body that was collected on the way is all here by then.
    let head_at = Instant::now();
    let agent = admission::admit(ingress, parts).await?;
    let said = parts.headers.get(CONTENT_LENGTH);
    let said = said.and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if said.is_some_and(|said| said > CHUNK_BODY_BYTES) {
        return Err(too_large());
    }
    // It measures what files would meet, and yields as they do.
    let _pass = ingress.admit_bulk(agent.id, PIECE_BYTES)?;
    let bytes = count(ingress, body).await?;
    let peer = parts.extensions.get::<Arc<Peer>>();
    let via = parts
        .headers
        .get(VIA)
        .map(|via| String::from_utf8_lossy(via.as_bytes()).into_owned());
    let reply = ProbeReply {
        bytes: u64::try_from(bytes).unwrap_or(u64::MAX),
        body_millis: millis(head_at.elapsed()),
        peer: peer.map_or_else(String::new, |peer| peer.address.to_canonical().to_string()),
        http_version: format!("{:?}", parts.version),
        through_proxy: peer.is_some_and(|peer| peer.speaks_for_others()),
        via: via.map(|via| branchline_protocol::text::clipped(&via, VIA_CHARS).to_owned()),
        server_time: now(),
    };
    answer::json(&parts.headers, &reply)
}

async fn count(ingress: &Ingress, body: &mut Body) -> Result<usize, Refusal> {
    let bounds = ingress.bounds.bulk;
    let last = Instant::now() + bounds.body_total;
    let mut stall = Instant::now() + bounds.body_stall;
    let (mut bytes, mut progress) = (0, 0);
    loop {
        let frame = match tokio::time::timeout_at(stall.min(last), body.frame()).await {
            Err(_) => return Err(body::too_slow()),
            Ok(None) => return Ok(bytes),
            Ok(Some(Err(_))) => {
                return Err(Refusal::new(ProblemKind::Malformed, "the body broke off"));
            }
            Ok(Some(Ok(frame))) => frame,
        };
        bytes += frame.data_ref().map_or(0, bytes::Bytes::len);
        if bytes > CHUNK_BODY_BYTES {
            return Err(too_large());
        }
        if bytes - progress >= body::PROGRESS_BYTES {
            progress = bytes;
            stall = Instant::now() + bounds.body_stall;
        }
    }
}

fn too_large() -> Refusal {
    let detail = format!("the body of a probe may have {CHUNK_BODY_BYTES} bytes");
    Refusal::new(ProblemKind::TooLarge, detail)
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
