//! Who waits for news of which branch. A bell says only "look again": what there is stands in the
//! ledger, and a bell that rings for nothing costs one look.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use branchline_protocol::id::BranchCode;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use crate::ledger::Ledger;

/// How often the ledger is asked for what other processes wrote: once for all who wait.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// One bell per branch that somebody has listened for; as many as there are branches.
#[derive(Debug, Default)]
pub(super) struct Bulletin {
    bells: Mutex<HashMap<BranchCode, watch::Sender<()>>>,
    /// Told of news of any branch.
    of_any: OnceLock<Arc<Notify>>,
}

impl Bulletin {
    pub(super) fn listen(&self, branch: &BranchCode) -> watch::Receiver<()> {
        self.lock().entry(branch.clone()).or_default().subscribe()
    }

    /// From now on this one is told of news of any branch.
    pub(super) fn tell(&self, of_any: Arc<Notify>) {
        let _ = self.of_any.set(of_any);
    }

    /// A branch has filed something, which is no news for itself.
    pub(super) fn filed(&self) {
        if let Some(of_any) = self.of_any.get() {
            of_any.notify_one();
        }
    }

    pub(super) fn ring(&self, branch: &BranchCode) {
        self.filed();
        if let Some(bell) = self.lock().get(branch) {
            bell.send_replace(());
        }
    }

    fn ring_all(&self) {
        for bell in self.lock().values() {
            bell.send_replace(());
        }
    }

    fn somebody_listens(&self) -> bool {
        self.lock().values().any(|bell| bell.receiver_count() > 0)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<BranchCode, watch::Sender<()>>> {
        // Nothing in here can panic half-way.
        self.bells.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Rings for what this process did not write itself, until stopped.
pub(super) async fn watch(bulletin: &Bulletin, ledger: &dyn Ledger, stopping: &CancellationToken) {
    // Up to where the events are known to those who listen.
    let mut seen = None;
    loop {
        tokio::select! {
            () = tokio::time::sleep(LOOK_EVERY) => {}
            () = stopping.cancelled() => return,
        }
        if !bulletin.somebody_listens() {
            seen = None;
            continue;
        }
        // A ledger that is away is noticed by the requests themselves.
        let Ok(news) = ledger.news(seen).await else {
            continue;
        };
        if seen.replace(news.through).is_none() {
            // Something may have come between their own look and this first one.
            bulletin.ring_all();
        }
        for branch in &news.branches {
            bulletin.ring(branch);
        }
    }
}
