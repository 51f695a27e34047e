//! `GET /v1/files/{id}`: a part of a file that central gave to the agent's branch with a reply. On the bulk
//! lane.
//!
//! Whether the branch may have it is asked of the ledger for every part (P5), and every part is proven
//! against the manifest while it is read (P4). An answer is one part and never a stream, so that whatever
//! buffers bodies on the way changes nothing, and a broken one costs little.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::Response;
use branchline_protocol::exchange::{DIGEST_HEADER, body_digest};
use branchline_protocol::id::FileId;
use branchline_protocol::limits::FILE_PART_BYTES;
use branchline_protocol::problem::ProblemKind;
use http::header::{CONTENT_RANGE, CONTENT_TYPE, RANGE};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, StatusCode};

use super::refusal::Refusal;
use super::{Ingress, admission};
use crate::inspection::Fault;
use crate::inspection::released::{Content, ReadFault};

pub(super) async fn part(
    State(ingress): State<Arc<Ingress>>,
    Path(id): Path<String>,
    parts: Parts,
) -> Result<Response, Refusal> {
    let agent = admission::admit(&ingress, &parts).await?;
    let _pass = ingress.admit_bulk(agent.id, FILE_PART_BYTES)?;
    let id: FileId = id.parse().map_err(|_| unknown())?;
    let offered = ingress.ledger.offered(agent.branch, id).await?;
    let offered = offered.ok_or_else(unknown)?;
    let (from, most) = asked(&parts.headers, offered.size)?;
    let ledger = ingress.ledger.as_ref();
    let mut content = Content::open(ledger, ingress.vault.as_ref(), id).await?;
    if content.file().root != offered.root {
        return Err(unknown());
    }
    let bytes = content.read(from, most).await?;
    let last = from.saturating_add(bytes.len() as u64).saturating_sub(1);
    let range = format!("bytes {from}-{last}/{}", offered.size);
    let digest = body_digest(&bytes);
    let mut response = Response::new(Body::from(bytes));
    *response.status_mut() = StatusCode::PARTIAL_CONTENT;
    let headers = response.headers_mut();
    let octets = HeaderValue::from_static("application/octet-stream");
    headers.insert(CONTENT_TYPE, octets);
    if let Ok(range) = HeaderValue::try_from(range) {
        headers.insert(CONTENT_RANGE, range);
    }
    if let Ok(digest) = HeaderValue::try_from(digest) {
        headers.insert(DIGEST_HEADER, digest);
    }
    Ok(response)
}

/// The same for a file that is not there, was never given to this branch, or may not be read any more: ids
/// tell nothing.
fn unknown() -> Refusal {
    Refusal::new(
        ProblemKind::NotFound,
        "central gives this branch no such file, or not any more",
    )
}

/// From where, and how much at most.
fn asked(headers: &HeaderMap, size: u64) -> Result<(u64, usize), Refusal> {
    let wrong = || {
        let detail = format!("ask for Range: bytes=FROM-TO within the file's {size} bytes");
        Refusal::new(ProblemKind::InvalidField, detail)
    };
    let range = headers
        .get(RANGE)
        .and_then(|range| range.to_str().ok())
        .and_then(|range| range.strip_prefix("bytes="))
        .and_then(|range| range.split_once('-'))
        .ok_or_else(wrong)?;
    let (from, to): (u64, u64) = match (range.0.parse(), range.1.parse()) {
        (Ok(from), Ok(to)) => (from, to),
        _ => return Err(wrong()),
    };
    if from > to || from >= size {
        return Err(wrong());
    }
    let most = usize::try_from(to - from).unwrap_or(usize::MAX);
    Ok((from, most.saturating_add(1).min(FILE_PART_BYTES)))
}

impl From<ReadFault> for Refusal {
    fn from(fault: ReadFault) -> Self {
        match fault {
            ReadFault::Unknown(_) | ReadFault::NotReadable(_) | ReadFault::BeyondEnd { .. } => {
                unknown()
            }
            ReadFault::Damaged(_) => Self::new(
                ProblemKind::Internal,
                "the file is damaged in central's vault; central's IT must restore it",
            ),
            ReadFault::Fault(Fault::Ledger(fault)) => fault.into(),
            ReadFault::Fault(Fault::Vault(fault)) => {
                tracing::error!(error = %fault, "the vault did not answer an agent");
                Self::new(
                    ProblemKind::Unavailable,
                    "central's vault does not answer just now; the same request may succeed later",
                )
            }
        }
    }
}
