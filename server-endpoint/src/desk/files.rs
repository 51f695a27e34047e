//! Files at the desk: their content by parts, and a person's release.
//!
//! Content is given out as a thing to keep and never as a thing to show: whatever it is, a browser saves
//! it and runs nothing of it. Every part is proven against the ledger and the manifest while it is read
//! (P4, P5), and the reader's session is asked for while it lasts.

use std::fmt::Write;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::response::Response;
use branchline_protocol::id::FileId;
use http::header::{
    ACCEPT_RANGES, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_SECURITY_POLICY,
    CONTENT_TYPE, ETAG, IF_RANGE, RANGE,
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde::{Deserialize, Serialize};
use tokio::sync::{OwnedSemaphorePermit, mpsc};

use super::Desk;
use super::callers::{Reader, Releaser, Who};
use super::problem::{Kind, Refusal};
use super::said::{Named, Said};
use crate::inspection::released::{Content, READ_BYTES, ReadFault};
use crate::inspection::{Decided, Fault, ReleaseFault, release};
use crate::ledger::{Ledger, Right};
use crate::vault::VaultError;

/// Parts of one file that wait to be sent.
const READ_AHEAD: usize = 1;
/// How often the reader's session is asked for.
const STILL_IN: Duration = Duration::from_secs(2);

impl From<ReadFault> for Refusal {
    fn from(fault: ReadFault) -> Self {
        match fault {
            ReadFault::Unknown(_) => Self::not_found("file"),
            ReadFault::NotReadable(_) => Self::new(Kind::Conflict, fault.to_string()),
            ReadFault::BeyondEnd { .. } => Self::new(Kind::NoSuchRange, fault.to_string()),
            ReadFault::Damaged(_) => Self::new(Kind::Internal, fault.to_string()),
            ReadFault::Fault(fault) => fault.into(),
        }
    }
}

impl From<Fault> for Refusal {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Ledger(fault) => fault.into(),
            Fault::Vault(VaultError::Full(_)) => {
                let detail = "central's disk has no room for files; central's IT must make some";
                Self::new(Kind::StoreFull, detail)
            }
            Fault::Vault(fault) => {
                tracing::error!(error = %fault, "the vault did not answer the desk");
                let detail = "central's vault does not answer just now; try again later";
                Self::new(Kind::Unavailable, detail)
            }
        }
    }
}

/// The content of a file that was found clean or was released, whole or by one range.
#[utoipa::path(
    get, path = "/desk/v1/files/{id}",
    params(("id" = String, Path, description = "The file's id")),
    responses(
        (status = 200, description = "All of it", content_type = "application/octet-stream"),
        (status = 206, description = "The part that was asked for", content_type = "application/octet-stream"),
        (status = 404, body = super::problem::Document),
        (status = 409, description = "Nobody may read it", body = super::problem::Document),
        (status = 416, body = super::problem::Document),
    )
)]
pub(super) async fn content(
    State(desk): State<Arc<Desk>>,
    Reader(who): Reader,
    Named(id): Named,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let id: FileId = id.parse().map_err(|_| Refusal::not_found("file"))?;
    let place = desk.downloads.clone().try_acquire_owned();
    let place = place.map_err(|_| {
        Refusal::new(
            Kind::Busy,
            "too many files are fetched at this moment; try again",
        )
    })?;
    let ledger: &dyn Ledger = desk.store.as_ref();
    let file = Content::open(ledger, desk.vault.as_ref(), id).await;
    let file = file.map_err(|fault| Refusal::from(fault).since(desk.away_since()))?;
    let (size, name) = (file.size(), file.safe_name());
    let tag = format!("\"{}\"", file.file().root);
    drop(file);
    let part = asked_part(&headers, &tag, size)?;
    let range = part.clone().unwrap_or(0..size);
    let (parts, coming) = mpsc::channel(READ_AHEAD);
    let reading = Reading {
        desk: desk.clone(),
        who,
        id,
        range: range.clone(),
        parts,
        _place: place,
    };
    desk.tasks.spawn(reading.read());
    let coming = futures_util::stream::unfold(coming, |mut coming| async {
        let part = coming.recv().await?;
        Some((part, coming))
    });
    let mut response = Response::new(Body::from_stream(coming));
    let head = response.headers_mut();
    head.insert(CONTENT_LENGTH, (range.end - range.start).into());
    for (name, value) in [
        (CONTENT_TYPE, "application/octet-stream".to_owned()),
        (CONTENT_DISPOSITION, disposition(&name)),
        (
            CONTENT_SECURITY_POLICY,
            "sandbox; default-src 'none'".to_owned(),
        ),
        (
            HeaderName::from_static("cross-origin-resource-policy"),
            "same-origin".to_owned(),
        ),
        (ACCEPT_RANGES, "bytes".to_owned()),
        (ETAG, tag),
    ] {
        if let Ok(value) = HeaderValue::try_from(value) {
            head.insert(name, value);
        }
    }
    if part.is_some() {
        let value = format!("bytes {}-{}/{size}", range.start, range.end - 1);
        if let Ok(value) = HeaderValue::try_from(value) {
            head.insert(CONTENT_RANGE, value);
        }
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
    }
    Ok(response)
}

/// A file on its way out.
struct Reading {
    desk: Arc<Desk>,
    who: Who,
    id: FileId,
    range: Range<u64>,
    parts: mpsc::Sender<Result<Bytes, std::io::Error>>,
    _place: OwnedSemaphorePermit,
}

impl Reading {
    /// Reads until the end, or until nobody takes more, or until the reader may not any more. What breaks
    /// off is shorter than was announced, so that nobody takes it for whole.
    async fn read(self) {
        if let Err(refusal) = self.read_all().await {
            tracing::warn!(file = %self.id, fault = refusal.detail(), "a file was broken off");
            let broken = Err(std::io::Error::other("broken off"));
            // Whoever has gone need not hear it.
            let _ = self.parts.send(broken).await;
        }
    }

    async fn read_all(&self) -> Result<(), Refusal> {
        let ledger: &dyn Ledger = self.desk.store.as_ref();
        let mut content = Content::open(ledger, self.desk.vault.as_ref(), self.id).await?;
        let mut asked = Instant::now();
        let mut at = self.range.start;
        while at < self.range.end {
            if asked.elapsed() > STILL_IN {
                asked = Instant::now();
                let caller = self.desk.caller(&self.who.credential, true).await?;
                if !caller.is_some_and(|caller| caller.may(Right::Read)) {
                    return Err(Refusal::new(Kind::Unauthenticated, "the session has ended"));
                }
            }
            let left = usize::try_from(self.range.end - at).unwrap_or(usize::MAX);
            let bytes = content.read(at, left.min(READ_BYTES)).await?;
            at += bytes.len() as u64;
            if self.parts.send(Ok(bytes.into())).await.is_err() {
                return Ok(());
            }
        }
        Ok(())
    }
}

/// The part that is asked for; `None`: all of it. What is no single range in bytes is not looked at, as
/// RFC 9110 has it.
fn asked_part(headers: &HeaderMap, tag: &str, size: u64) -> Result<Option<Range<u64>>, Refusal> {
    let text = |name| {
        headers
            .get(name)
            .and_then(|value: &HeaderValue| value.to_str().ok())
    };
    let Some((first, last)) = text(RANGE)
        .and_then(|range| range.strip_prefix("bytes="))
        .and_then(|range| range.split_once('-'))
    else {
        return Ok(None);
    };
    if text(IF_RANGE).is_some_and(|given| given != tag) {
        return Ok(None);
    }
    let beyond = || {
        let detail = format!("the file has {size} bytes, and not the part that was asked for");
        Err(Refusal::new(Kind::NoSuchRange, detail))
    };
    let range = match (first.parse::<u64>(), last.parse::<u64>()) {
        (Ok(first), Ok(last)) if last >= first => first..size.min(last.saturating_add(1)),
        (Ok(first), Err(_)) if last.is_empty() => first..size,
        (Err(_), Ok(0)) if first.is_empty() => return beyond(),
        (Err(_), Ok(last)) if first.is_empty() => size.saturating_sub(last)..size,
        _ => return Ok(None),
    };
    if range.start >= range.end {
        return beyond();
    }
    Ok(Some(range))
}

/// To be kept under this name: plain for old programs, and encoded whole (RFC 6266, RFC 8187).
fn disposition(name: &str) -> String {
    let plain: String = name
        .chars()
        .map(|c| {
            let kept = c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ' ');
            if kept { c } else { '_' }
        })
        .collect();
    let mut encoded = String::with_capacity(3 * name.len());
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_') {
            encoded.push(char::from(byte));
        } else {
            // Writing into memory does not fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    format!("attachment; filename=\"{plain}\"; filename*=UTF-8''{encoded}")
}

/// Why a file is released.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ReleaseAsked {
    /// One line, which the branch sees.
    reason: String,
}

/// How a file is now.
#[derive(Serialize, utoipa::ToSchema)]
pub(super) struct FileState {
    /// The word of its state.
    state: String,
}

impl From<ReleaseFault> for Refusal {
    fn from(fault: ReleaseFault) -> Self {
        let words = fault.to_string();
        match fault {
            ReleaseFault::Unknown(_) => Self::not_found("file"),
            ReleaseFault::NotHeld(_) | ReleaseFault::Infected { .. } | ReleaseFault::Moved => {
                Self::new(Kind::Conflict, words)
            }
            ReleaseFault::Damaged => Self::new(Kind::Internal, words),
            ReleaseFault::Words(_) => Self::field("reason", words),
            ReleaseFault::Fault(fault) => fault.into(),
        }
    }
}

/// Releases a file that no scanner judged, on record.
#[utoipa::path(
    post, path = "/desk/v1/files/{id}/release", request_body = ReleaseAsked,
    params(("id" = String, Path, description = "The file's id")),
    responses(
        (status = 200, body = FileState),
        (status = 404, body = super::problem::Document),
        (status = 409, description = "It is not held, or was found infected", body = super::problem::Document),
    )
)]
pub(super) async fn let_go(
    State(desk): State<Arc<Desk>>,
    Releaser(who): Releaser,
    Named(id): Named,
    Said(asked): Said<ReleaseAsked>,
) -> Result<Json<FileState>, Refusal> {
    let id: FileId = id.parse().map_err(|_| Refusal::not_found("file"))?;
    let decided = Decided {
        by: who.name(),
        reason: asked.reason,
        actor: who.caller.actor.clone(),
    };
    let ledger: &dyn Ledger = desk.store.as_ref();
    let released = release(ledger, desk.vault.as_ref(), id, &decided).await;
    let released = released.map_err(|fault| Refusal::from(fault).since(desk.away_since()))?;
    desk.model.news().notify_one();
    let state = released.state.word().to_owned();
    Ok(Json(FileState { state }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_reaches_beyond_its_place_in_the_header() {
        for (name, expected) in [
            (
                "scan 1.pdf",
                "attachment; filename=\"scan 1.pdf\"; filename*=UTF-8''scan%201.pdf",
            ),
            (
                "a\"; x=\"\r\nSet-Cookie: y",
                "attachment; filename=\"a__ x____Set-Cookie_ y\"; \
                 filename*=UTF-8''a%22%3B%20x%3D%22%0D%0ASet-Cookie%3A%20y",
            ),
            ("é", "attachment; filename=\"_\"; filename*=UTF-8''%C3%A9"),
        ] {
            let said = disposition(name);
            assert_eq!(said, expected);
            assert!(HeaderValue::try_from(said).is_ok());
        }
    }

    #[test]
    fn parts_are_read_as_rfc_9110_has_them() {
        let part = |range: &str, tag: Option<&str>| {
            let mut headers = HeaderMap::new();
            headers.insert(RANGE, range.parse().unwrap());
            if let Some(tag) = tag {
                headers.insert(IF_RANGE, tag.parse().unwrap());
            }
            asked_part(&headers, "\"root\"", 100).map_err(|refusal| refusal.kind())
        };
        assert_eq!(part("bytes=0-9", None), Ok(Some(0..10)));
        assert_eq!(part("bytes=90-", None), Ok(Some(90..100)));
        assert_eq!(part("bytes=-10", None), Ok(Some(90..100)));
        assert_eq!(part("bytes=-1000", None), Ok(Some(0..100)));
        assert_eq!(
            part("bytes=99-18446744073709551615", None),
            Ok(Some(99..100))
        );
        assert_eq!(part("bytes=0-9", Some("\"root\"")), Ok(Some(0..10)));
        for ignored in [
            "bytes=9-0",
            "bytes=0-1,5-6",
            "bytes=a-b",
            "lines=1-2",
            "bytes=-",
        ] {
            assert_eq!(part(ignored, None), Ok(None), "{ignored}");
        }
        assert_eq!(part("bytes=0-9", Some("\"other\"")), Ok(None));
        for beyond in ["bytes=100-", "bytes=100-200", "bytes=-0"] {
            assert_eq!(part(beyond, None), Err(Kind::NoSuchRange), "{beyond}");
        }
    }
}
