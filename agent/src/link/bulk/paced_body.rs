//! A request's body that passes the gate piece by piece, and shows how far it is.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf, Bytes};
use hyper::body::{Body, Frame, SizeHint};
use tokio::time::Instant;

use crate::link::gate::Gate;

type Passing = Pin<Box<dyn Future<Output = usize> + Send>>;

pub(super) struct PacedBody {
    gate: Arc<Gate>,
    parts: VecDeque<Bytes>,
    left: u64,
    passing: Option<Passing>,
    progress: Progress,
}

/// Where a body is; shared with whoever watches for stalls.
#[derive(Debug, Clone)]
pub(super) struct Progress(Arc<Mutex<Seen>>);

/// What can be seen of a body from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seen {
    /// Where it is.
    pub(super) phase: Phase,
    /// Since when.
    pub(super) since: Instant,
    went: u64,
    held: Duration,
}

/// Where a body is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Our own pace holds the next piece.
    Held,
    /// A piece was given to the connection, which has not asked for the next.
    Given,
    /// All of it was given to the connection: the answer is due.
    AllOut,
}

impl Progress {
    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn becomes(&self, phase: Phase, bytes: u64) {
        let mut seen = self.lock();
        let now = Instant::now();
        if seen.phase == Phase::Held {
            let held = now.duration_since(seen.since);
            seen.held += held;
        }
        seen.phase = phase;
        seen.since = now;
        seen.went += bytes;
    }

    /// Where the body is now.
    pub(super) fn seen(&self) -> Seen {
        *self.lock()
    }

    /// Time during which our own pace held it.
    pub(super) fn held(&self) -> Duration {
        self.lock().held
    }

    /// Bytes given to the connection.
    pub(super) fn went(&self) -> u64 {
        self.lock().went
    }

    /// Whether all of it was given to the connection.
    pub(super) fn is_all_out(&self) -> bool {
        self.lock().phase == Phase::AllOut
    }
}

impl PacedBody {
    pub(super) fn new(gate: Arc<Gate>, parts: Vec<Bytes>) -> (Self, Progress) {
        let left = parts.iter().map(|part| part.len() as u64).sum();
        let phase = if left == 0 {
            Phase::AllOut
        } else {
            Phase::Held
        };
        let progress = Progress(Arc::new(Mutex::new(Seen {
            phase,
            since: Instant::now(),
            went: 0,
            held: Duration::ZERO,
        })));
        let body = Self {
            gate,
            parts: parts.into(),
            left,
            passing: None,
            progress: progress.clone(),
        };
        (body, progress)
    }

    /// Bytes of the whole.
    pub(super) fn bytes(&self) -> u64 {
        self.left
    }

    fn next_piece(&mut self, most: usize) -> Bytes {
        while self.parts.front().is_some_and(Bytes::is_empty) {
            self.parts.pop_front();
        }
        let Some(front) = self.parts.front_mut() else {
            return Bytes::new();
        };
        let piece = front.split_to(most.min(front.remaining()));
        self.left = self.left.saturating_sub(piece.len() as u64);
        piece
    }
}

impl Body for PacedBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        if self.passing.is_none() {
            let most = self
                .parts
                .iter()
                .find(|part| !part.is_empty())
                .map_or(0, Bytes::len);
            let gate = self.gate.clone();
            self.passing = Some(Box::pin(async move { gate.pass(most).await }));
            self.progress.becomes(Phase::Held, 0);
        }
        let Some(passing) = &mut self.passing else {
            return Poll::Pending;
        };
        let Poll::Ready(most) = passing.as_mut().poll(context) else {
            return Poll::Pending;
        };
        self.passing = None;
        let piece = self.next_piece(most);
        let phase = if self.left == 0 {
            Phase::AllOut
        } else {
            Phase::Given
        };
        self.progress.becomes(phase, piece.len() as u64);
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}
