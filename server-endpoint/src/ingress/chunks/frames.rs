//! A body of chunks as it comes in: whole frames, in batches, until it ends, breaks off, stands still or
//! stops making sense. However it ends, the frames before that are given out.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use branchline_protocol::frame::{Decoder, Frame, FrameFault};
use branchline_protocol::limits::{CHUNK_BODY_BYTES, CHUNK_BODY_FRAMES};
use branchline_protocol::problem::ProblemKind;
use http_body_util::BodyExt;
use tokio::time::Instant;

use crate::ingress::Ingress;
use crate::ingress::body::{PROGRESS_BYTES, too_slow};
use crate::ingress::refusal::Refusal;

/// Bytes of chunks in a batch, but for the piece of the body that completes it: a few chunks, so that
/// asking the ledger and changing threads cost little beside proving them.
pub(super) const BATCH_BYTES: usize = 512 * 1024;
/// The most that comes of a body at once: a connection's read buffer.
pub(super) const READ_BYTES: usize = 64 * 1024;
/// How long a body may still go on when central stops: it was cut so that it should take about a second.
const WHEN_STOPPING: Duration = Duration::from_secs(1);

/// Frames that came one after another.
#[derive(Debug, Default)]
pub(super) struct Batch {
    /// The first one's index in the body.
    pub(super) first: u32,
    pub(super) frames: Vec<Frame>,
}

pub(super) struct Frames<'a> {
    ingress: &'a Arc<Ingress>,
    body: &'a mut Body,
    decoder: Decoder,
    /// Frames given out.
    given: u32,
    last: Instant,
    ended: Option<Result<(), Refusal>>,
}

impl<'a> Frames<'a> {
    pub(super) fn new(ingress: &'a Arc<Ingress>, body: &'a mut Body) -> Self {
        Self {
            last: Instant::now() + ingress.bounds.bulk.body_total,
            ingress,
            body,
            decoder: Decoder::new(),
            given: 0,
            ended: None,
        }
    }

    /// The next frames; none where the body has ended.
    pub(super) async fn next(&mut self) -> Batch {
        let mut batch = Batch {
            first: self.given,
            frames: Vec::new(),
        };
        let mut bytes = 0;
        let mut since_progress = 0;
        let mut stall = Instant::now() + self.ingress.bounds.bulk.body_stall;
        while bytes < BATCH_BYTES && self.ended.is_none() {
            let data = match self.piece(stall).await {
                Ok(Some(data)) => data,
                Ok(None) => {
                    let whole = self.decoder.finish();
                    self.ended = Some(whole.map(drop).map_err(refuse));
                    break;
                }
                Err(refusal) => {
                    self.ended = Some(Err(refusal));
                    break;
                }
            };
            let taken = self.decoder.take(&data, |frame| {
                bytes += frame.stored.len();
                batch.frames.push(frame);
            });
            if let Err(fault) = taken {
                self.ended = Some(Err(refuse(fault)));
            }
            since_progress += data.len();
            if since_progress >= PROGRESS_BYTES {
                since_progress = 0;
                stall = Instant::now() + self.ingress.bounds.bulk.body_stall;
            }
        }
        self.given = self.decoder.frames();
        batch
    }

    pub(super) fn has_ended(&self) -> bool {
        self.ended.is_some()
    }

    /// How many frames there were, or why there were no more.
    pub(super) fn finish(self) -> Result<u32, Refusal> {
        self.ended.unwrap_or(Ok(())).map(|()| self.given)
    }

    /// The next bytes of the body; `None` at its end.
    async fn piece(&mut self, stall: Instant) -> Result<Option<bytes::Bytes>, Refusal> {
        loop {
            let by = stall.min(self.last);
            let arrived = tokio::select! {
                biased;
                arrived = tokio::time::timeout_at(by, self.body.frame()) => arrived,
                () = stopped_for_long(self.ingress) => {
                    let detail = "central is stopping; what came whole before that is kept";
                    return Err(Refusal::new(ProblemKind::Unavailable, detail));
                }
            };
            return match arrived {
                Err(_) => Err(too_slow()),
                Ok(None) => Ok(None),
                Ok(Some(Err(_))) => Err(Refusal::new(
                    ProblemKind::Malformed,
                    "the body broke off; what came whole before that is kept",
                )),
                Ok(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) => Ok(Some(data)),
                    // Trailers say nothing here.
                    Err(_) => continue,
                },
            };
        }
    }
}

async fn stopped_for_long(ingress: &Ingress) {
    ingress.stopping.cancelled().await;
    tokio::time::sleep(WHEN_STOPPING).await;
}

fn refuse(fault: FrameFault) -> Refusal {
    match fault {
        FrameFault::TooMany | FrameFault::TooLong => too_large(),
        FrameFault::Magic | FrameFault::Header { .. } | FrameFault::Truncated { .. } => {
            Refusal::new(
                ProblemKind::Malformed,
                format!("{fault}; what came whole before that is kept"),
            )
        }
    }
}

pub(super) fn too_large() -> Refusal {
    let detail = format!(
        "a body of chunks may have {CHUNK_BODY_BYTES} bytes and {CHUNK_BODY_FRAMES} chunks; send \
         fewer chunks at once"
    );
    Refusal::new(ProblemKind::TooLarge, detail)
}
