//! `POST /v1/chunks`: frames in, an answer once every chunk that is wanted and good is durable (P3, P4).
//!
//! While one batch of frames is proven and written, the next is read: a request holds two batches and the
//! frame that is coming in. The chunks of one request become one object of the vault. A frame that is bad
//! or that nobody wants is an exception in the answer; the others are taken (P6). A body that breaks off
//! costs the frame that it broke in: what came whole before is made durable all the same, whether
//! somebody is there to be told or not.

use std::sync::Arc;

use axum::body::{Body, HttpBody};
use axum::extract::{Request, State};
use axum::response::Response;
use branchline_protocol::frame::MEDIA_TYPE;
use branchline_protocol::id::AgentId;
use branchline_protocol::limits::{CHUNK_BODY_BYTES, CHUNK_MOST_BYTES};
use branchline_protocol::manifest::ChunksReply;
use branchline_protocol::problem::ProblemKind;
use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use http::request::Parts;
use tracing::Instrument;

use super::bulk::Pass;
use super::refusal::Refusal;
use super::{Ingress, admission, answer};
use frames::{BATCH_BYTES, Frames, READ_BYTES};
use taking::Taking;

mod frames;
mod taking;

/// The most that one request holds: a batch that is being read and one that is being written, each with
/// the frame and the piece of the body that completed it, and the frame that is coming in.
const HELD_BYTES: usize = 2 * (BATCH_BYTES + READ_BYTES) + 3 * CHUNK_MOST_BYTES as usize;

pub(super) async fn take(
    State(ingress): State<Arc<Ingress>>,
    request: Request,
) -> Result<Response, Refusal> {
    let (parts, mut body) = request.into_parts();
    // It goes on when its agent hangs up, however early: what came whole is worth keeping.
    let taking = {
        let (ingress, parts) = (ingress.clone(), parts.clone());
        async move {
            let taken = admit_and_take(&ingress, &parts, &mut body).await;
            (taken, body)
        }
    };
    let taken = ingress.tasks.spawn(taking.in_current_span()).await;
    let (taken, body) =
        taken.map_err(|_| Refusal::new(ProblemKind::Internal, "taking the chunks failed"))?;
    // A sender that still writes would otherwise not see its answer; when central stops, it comes again.
    if taken.is_err() && !body.is_end_stream() && !ingress.stopping.is_cancelled() {
        ingress.tasks.spawn(crate::lingering::linger(body));
    }
    answer::json(&parts.headers, &taken?)
}

async fn admit_and_take(
    ingress: &Arc<Ingress>,
    parts: &Parts,
    body: &mut Body,
) -> Result<ChunksReply, Refusal> {
    let (agent, _pass) = admit(ingress, parts).await?;
    take_in(ingress, agent, body).await
}

async fn admit(ingress: &Ingress, parts: &Parts) -> Result<(AgentId, Pass), Refusal> {
    let agent = admission::admit(ingress, parts).await?;
    require_chunks(&parts.headers)?;
    let announced = announced(&parts.headers)?;
    let pass = ingress.admit_bulk(agent.id, announced.min(HELD_BYTES))?;
    ingress.require_room().await?;
    Ok((agent.id, pass))
}

async fn take_in(
    ingress: &Arc<Ingress>,
    agent: AgentId,
    body: &mut Body,
) -> Result<ChunksReply, Refusal> {
    let mut frames = Frames::new(ingress, body);
    let mut taking = Taking::new(ingress.clone(), agent);
    let mut batch = frames.next().await;
    while !batch.frames.is_empty() {
        let ended = frames.has_ended();
        let taken = taking.add(batch.first, batch.frames);
        if ended {
            taken.await?;
            break;
        }
        // Where nothing can be kept, what still comes is not waited for.
        let next = async { Ok(frames.next().await) };
        ((), batch) = tokio::try_join!(taken, next)?;
    }
    let mut reply = taking.finish().await?;
    reply.frames = frames.finish()?;
    Ok(reply)
}

fn require_chunks(headers: &HeaderMap) -> Result<(), Refusal> {
    let given = headers.get(CONTENT_TYPE).map(http::HeaderValue::as_bytes);
    let is_chunks = given.is_some_and(|value| {
        let media_type = value.split(|byte| *byte == b';').next();
        media_type
            .unwrap_or_default()
            .trim_ascii()
            .eq_ignore_ascii_case(MEDIA_TYPE.as_bytes())
    });
    if !is_chunks {
        let detail = format!("the body must be {MEDIA_TYPE}");
        return Err(Refusal::new(ProblemKind::UnsupportedMedia, detail));
    }
    let encoded = headers
        .get_all(CONTENT_ENCODING)
        .iter()
        .any(|value| !matches!(value.as_bytes().trim_ascii(), b"" | b"identity"));
    if encoded {
        let detail = "a body of chunks has no content encoding; each chunk may have its own";
        return Err(Refusal::new(ProblemKind::UnsupportedMedia, detail));
    }
    Ok(())
}

/// What the body says that it has, or the most that is allowed where it does not say.
fn announced(headers: &HeaderMap) -> Result<usize, Refusal> {
    let length = headers
        .get(CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse::<usize>().ok())
        .unwrap_or(CHUNK_BODY_BYTES);
    if length > CHUNK_BODY_BYTES {
        return Err(frames::too_large());
    }
    Ok(length)
}
