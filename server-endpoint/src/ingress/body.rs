//! Reading a JSON body: bounded in bytes, in memory shared with the others of its lane, and in time.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use branchline_protocol::exchange::{DIGEST_HEADER, body_digest};
use branchline_protocol::problem::ProblemKind;
use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use http_body_util::BodyExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use zstd::zstd_safe;

use super::refusal::Refusal;

/// The unit in which the memory of bodies is counted.
const SHARE_BYTES: usize = 16 * 1024;
/// What counts as moving on, within [`super::Bounds::body_stall`].
pub(super) const PROGRESS_BYTES: usize = 1024;
/// The memory that all bodies together may take.
#[derive(Debug)]
pub(super) struct BodyBudget(Arc<Semaphore>);

/// A body's part of it, given back when dropped.
#[derive(Debug, Default)]
pub(super) struct Share(Option<OwnedSemaphorePermit>);

impl Share {
    fn shrink_to(&mut self, bytes: usize) {
        if let Some(held) = &mut self.0 {
            let over = held
                .num_permits()
                .saturating_sub(bytes.div_ceil(SHARE_BYTES));
            drop(held.split(over));
        }
    }
}

impl BodyBudget {
    pub(super) fn new(bytes: usize) -> Self {
        Self(Arc::new(Semaphore::new(bytes / SHARE_BYTES)))
    }

    /// Makes the share cover so many bytes, or says that too much is under way.
    pub(super) fn cover(&self, share: &mut Share, bytes: usize) -> Result<(), Refusal> {
        let held = share
            .0
            .as_ref()
            .map_or(0, OwnedSemaphorePermit::num_permits);
        let more = bytes.div_ceil(SHARE_BYTES).saturating_sub(held);
        if more == 0 {
            return Ok(());
        }
        let more = u32::try_from(more).unwrap_or(u32::MAX);
        let permit = self
            .0
            .clone()
            .try_acquire_many_owned(more)
            .map_err(|_| busy())?;
        match &mut share.0 {
            Some(held) => held.merge(permit),
            None => share.0 = Some(permit),
        }
        Ok(())
    }

    pub(super) fn has_room(&self, bytes: usize) -> bool {
        self.0.available_permits() >= bytes.div_ceil(SHARE_BYTES)
    }
}

/// How a body is encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Encoding {
    Plain,
    Zstd,
}

/// Within what a body is read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reading<'a> {
    pub(super) budget: &'a BodyBudget,
    /// A body that does not move on for so long is given up.
    pub(super) stall: Duration,
    /// The longest that it may take.
    pub(super) total: Duration,
    /// Bytes that it may have, before and after compression.
    pub(super) most: usize,
}

/// Reads a JSON body and unpacks it. The share goes with the bytes for as long as they live.
pub(super) async fn read(
    reading: Reading<'_>,
    headers: &HeaderMap,
    body: &mut Body,
) -> Result<(Vec<u8>, Share), Refusal> {
    require_json(headers)?;
    let encoding = encoding(headers)?;
    let announced = announced(headers, reading.most)?;
    if !reading.budget.has_room(announced) {
        return Err(busy());
    }
    let mut share = Share::default();
    let bytes = receive(reading, body, announced, &mut share).await?;
    require_undamaged(headers, &bytes)?;
    match encoding {
        Encoding::Plain => Ok((bytes, share)),
        Encoding::Zstd => {
            let most = unpacked_at_most(&bytes, reading.most)?;
            reading.budget.cover(&mut share, bytes.len() + most)?;
            let unpacked = unpack(&bytes, most)?;
            share.shrink_to(unpacked.len());
            Ok((unpacked, share))
        }
    }
}

async fn receive(
    reading: Reading<'_>,
    body: &mut Body,
    announced: usize,
    share: &mut Share,
) -> Result<Vec<u8>, Refusal> {
    let last = Instant::now() + reading.total;
    let mut stall = Instant::now() + reading.stall;
    let mut progress = 0;
    let mut bytes = Vec::with_capacity(announced);
    loop {
        let frame = match tokio::time::timeout_at(stall.min(last), body.frame()).await {
            Err(_) => return Err(too_slow()),
            Ok(None) => return Ok(bytes),
            Ok(Some(Err(_))) => {
                return Err(Refusal::new(ProblemKind::Malformed, "the body broke off"));
            }
            Ok(Some(Ok(frame))) => frame,
        };
        let Some(data) = frame.data_ref() else {
            continue;
        };
        let length = bytes.len() + data.len();
        if length > reading.most {
            return Err(too_large(reading.most));
        }
        reading.budget.cover(share, length)?;
        bytes.extend_from_slice(data);
        if length - progress >= PROGRESS_BYTES {
            progress = length;
            stall = Instant::now() + reading.stall;
        }
    }
}

fn require_json(headers: &HeaderMap) -> Result<(), Refusal> {
    let given = headers.get(CONTENT_TYPE).map(http::HeaderValue::as_bytes);
    let media_type = given
        .and_then(|value| value.split(|byte| *byte == b';').next())
        .unwrap_or_default();
    if media_type
        .trim_ascii()
        .eq_ignore_ascii_case(b"application/json")
    {
        Ok(())
    } else {
        let detail = "the body must be application/json";
        Err(Refusal::new(ProblemKind::UnsupportedMedia, detail))
    }
}

/// What was bent on the way is not what the agent said (P4).
fn require_undamaged(headers: &HeaderMap, bytes: &[u8]) -> Result<(), Refusal> {
    let given = headers.get(DIGEST_HEADER).map(http::HeaderValue::as_bytes);
    if given.is_none_or(|given| given == body_digest(bytes).as_bytes()) {
        return Ok(());
    }
    let detail = "the body is not the one that was sent; it was damaged on the way";
    Err(Refusal::new(ProblemKind::Damaged, detail))
}

fn encoding(headers: &HeaderMap) -> Result<Encoding, Refusal> {
    let mut encodings = headers.get_all(CONTENT_ENCODING).iter();
    let given = encodings.next().map(|value| value.as_bytes().trim_ascii());
    match given {
        None | Some(b"identity" | b"") => Ok(Encoding::Plain),
        Some(b"zstd") if encodings.next().is_none() => Ok(Encoding::Zstd),
        Some(_) => {
            let detail = "the only content encoding that central reads is zstd, once";
            Err(Refusal::new(ProblemKind::UnsupportedMedia, detail))
        }
    }
}

/// What the body says that it has, 0 where it does not say.
fn announced(headers: &HeaderMap, most: usize) -> Result<usize, Refusal> {
    let length = headers
        .get(CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse::<usize>().ok())
        .unwrap_or(0);
    if length > most {
        return Err(too_large(most));
    }
    Ok(length)
}

/// What the body says that it unpacks to, or the most that is allowed where it does not say.
fn unpacked_at_most(packed: &[u8], most: usize) -> Result<usize, Refusal> {
    let said = zstd_safe::get_frame_content_size(packed).map_err(|_| not_zstd())?;
    // What the first frame says is said of no other.
    let one_frame = zstd_safe::find_frame_compressed_size(packed) == Ok(packed.len());
    match said.map(usize::try_from) {
        Some(Ok(size)) if size <= most && one_frame => Ok(size),
        Some(Ok(size)) if size <= most => Ok(most),
        Some(_) => Err(too_large(most)),
        None => Ok(most),
    }
}

/// In one step from buffer to buffer, so that a window of the sender's choosing is never allocated.
fn unpack(packed: &[u8], most: usize) -> Result<Vec<u8>, Refusal> {
    let mut unpacked = Vec::with_capacity(most);
    let mut context = zstd_safe::DCtx::create();
    match context.decompress(&mut unpacked, packed) {
        Ok(_) => {
            unpacked.shrink_to_fit();
            Ok(unpacked)
        }
        Err(code) if zstd_safe::get_error_name(code).contains("buffer is too small") => {
            Err(too_large(most))
        }
        Err(_) => Err(not_zstd()),
    }
}

fn not_zstd() -> Refusal {
    Refusal::new(
        ProblemKind::Malformed,
        "the body is not zstd, or was damaged on the way",
    )
}

fn too_large(most: usize) -> Refusal {
    let detail = format!(
        "a body may have {most} bytes here, before and after compression; send less at once"
    );
    Refusal::new(ProblemKind::TooLarge, detail)
}

pub(super) fn too_slow() -> Refusal {
    Refusal::new(
        ProblemKind::TooSlow,
        "the body took too long; send less at once",
    )
}

fn busy() -> Refusal {
    Refusal::new(
        ProblemKind::Busy,
        "central takes as much as it can just now",
    )
}
