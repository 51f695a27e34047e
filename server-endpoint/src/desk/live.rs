//! Live updates: each event as it happens, to every console that watches.
//!
//! One reader follows the read model for all consoles and keeps the last changes in memory. A console
//! holds nothing but its place: it takes what comes behind that from there, or, when it was away for
//! longer, from the read model, so that it misses nothing and hears nothing twice. One that is too slow
//! loses its connection and nothing else: it comes back with its place (P8).

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::Stream;
use tokio::sync::watch;

use super::Desk;
use super::problem::{Kind, Refusal};
use super::read_model::ChangeView;

mod socket;

pub(super) use socket::open;

/// Changes kept in memory: minutes of the busiest central.
const KEPT: usize = 2_000;
/// Changes taken at once for one console.
const TAKEN: usize = 100;
/// Changes read at once for all.
const PAGE: usize = 500;

/// What all consoles share.
pub(super) struct Live {
    kept: Mutex<Kept>,
    head: watch::Sender<Head>,
    pub(super) sockets: socket::Sockets,
}

/// How far the one reader has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Head {
    position: u64,
    /// Grows when what was told before is not so any more: the ledger was restored.
    era: u64,
}

/// The last changes; all that came behind `from`.
#[derive(Default)]
struct Kept {
    from: u64,
    changes: VecDeque<Arc<ChangeView>>,
}

impl Live {
    /// Before anything has happened.
    pub(super) fn new(position: u64) -> Self {
        let kept = Kept {
            from: position,
            changes: VecDeque::new(),
        };
        Self {
            kept: Mutex::new(kept),
            head: watch::Sender::new(Head { position, era: 0 }),
            sockets: socket::Sockets::default(),
        }
    }

    /// What came behind a position, if that is still kept.
    fn behind(&self, position: u64) -> Option<VecDeque<Arc<ChangeView>>> {
        let kept = self.lock();
        if position < kept.from {
            return None;
        }
        let first = kept
            .changes
            .partition_point(|change| change.position <= position);
        Some(kept.changes.range(first..).take(TAKEN).cloned().collect())
    }

    fn keep(&self, changes: Vec<ChangeView>) {
        let mut kept = self.lock();
        kept.changes.extend(changes.into_iter().map(Arc::new));
        while kept.changes.len() > KEPT {
            if let Some(oldest) = kept.changes.pop_front() {
                kept.from = oldest.position;
            }
        }
    }

    pub(super) fn begin_again(&self, position: u64) {
        let mut kept = self.lock();
        kept.changes.clear();
        kept.from = position;
        drop(kept);
        self.head.send_modify(|head| {
            head.position = position;
            head.era += 1;
        });
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        // Nothing in here can panic half-way.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Follows the read model for all consoles, until stopped.
pub(super) async fn watch(desk: &Desk) {
    let mut freshness = desk.model.freshness();
    let mut rewinds = freshness.borrow_and_update().rewinds;
    loop {
        let now = *freshness.borrow_and_update();
        let head = *desk.live.head.borrow();
        if now.rewinds != rewinds || now.position < head.position {
            rewinds = now.rewinds;
            desk.live.begin_again(now.position);
        } else if let Err(fault) = read_on(desk, now.position).await {
            tracing::warn!(error = %fault, "read what changed");
        }
        tokio::select! {
            changed = freshness.changed() => if changed.is_err() { return },
            () = desk.stopping.cancelled() => return,
        }
    }
}

async fn read_on(desk: &Desk, through: u64) -> Result<(), super::read_model::ReadModelError> {
    loop {
        let head = desk.live.head.borrow().position;
        let page = desk.model.changes(head, PAGE).await?;
        let read = page.last().map_or(through, |last| last.position);
        let whole = page.len() < PAGE;
        desk.live.keep(page);
        // Events that say nothing here are passed over with the page's last.
        let position = if whole { read.max(through) } else { read };
        desk.live.head.send_modify(|head| head.position = position);
        if whole {
            return Ok(());
        }
    }
}

/// One console's place.
struct Place {
    desk: Arc<Desk>,
    position: u64,
    era: u64,
    head: watch::Receiver<Head>,
    taken: VecDeque<Arc<ChangeView>>,
    ended: bool,
}

/// What changes, from behind `after` on, or from now on.
pub(super) fn follow(
    desk: Arc<Desk>,
    after: Option<u64>,
) -> impl Stream<Item = Result<Arc<ChangeView>, Refusal>> {
    let mut head = desk.live.head.subscribe();
    let now = *head.borrow_and_update();
    let place = Place {
        desk,
        position: after.unwrap_or(now.position),
        era: now.era,
        head,
        taken: VecDeque::new(),
        ended: false,
    };
    futures_util::stream::unfold(place, |mut place| async move {
        let next = place.next().await?;
        place.ended = next.is_err();
        Some((next, place))
    })
}

impl Place {
    async fn next(&mut self) -> Option<Result<Arc<ChangeView>, Refusal>> {
        loop {
            if self.ended {
                return None;
            }
            if let Some(change) = self.taken.pop_front() {
                self.position = change.position;
                return Some(Ok(change));
            }
            let head = *self.head.borrow_and_update();
            if head.era != self.era || self.position > head.position {
                return Some(Err(Refusal::new(
                    Kind::Conflict,
                    "central does not know of that position any more; load again what you show",
                )));
            }
            if self.position < head.position {
                match self.take(head).await {
                    Ok(()) => continue,
                    Err(refusal) => return Some(Err(refusal)),
                }
            }
            tokio::select! {
                changed = self.head.changed() => changed.ok()?,
                () = self.desk.stopping.cancelled() => return None,
            }
        }
    }

    async fn take(&mut self, head: Head) -> Result<(), Refusal> {
        let kept = self.desk.live.behind(self.position);
        self.taken = if let Some(kept) = kept {
            kept
        } else {
            let read = self.desk.model.changes(self.position, TAKEN).await?;
            read.into_iter().map(Arc::new).collect()
        };
        // What came after we looked is for the next look.
        self.taken.retain(|change| change.position <= head.position);
        if self.taken.is_empty() {
            self.position = head.position;
        }
        Ok(())
    }
}
