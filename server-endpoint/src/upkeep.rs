//! What nobody asks for and must happen all the same: uploads that were abandoned expire, files that central
//! support gave and sent with no reply go, and objects of the vault that nobody uses are deleted. At start, then every hour.
//!
//! On the data's way: beside `ledger + vault`. Each step can be repeated, by several processes at once:
//! the ledger decides what expires and what is used. An object becomes an orphan when a request ended
//! between the vault and the ledger. It is deleted only when it is so old that no request can still be
//! about to tell the ledger of it.

use std::sync::Arc;
use std::time::Duration;

use branchline_protocol::time::UnixMillis;
use tokio_util::sync::CancellationToken;

use crate::ledger::{Ledger, LedgerError, now};
use crate::vault::{Shelf, Vault, VaultError};

/// How often.
const EVERY: Duration = Duration::from_secs(3_600);
/// How old an object without an owner must be: far beyond the time that any request may take, and the
/// ledger any commit.
const ORPHAN_AGE: Duration = Duration::from_secs(24 * 3_600);
/// How long a file that central support gave waits for the reply that it was for.
const UNUSED_FOR: Duration = Duration::from_secs(7 * 24 * 3_600);
/// Objects that the ledger is asked about, or that are deleted, at once.
const OBJECTS: usize = 500;

pub(crate) struct Upkeep {
    pub(crate) ledger: Arc<dyn Ledger>,
    pub(crate) vault: Arc<dyn Vault>,
    /// Age of the last chunk of an upload that is given up.
    pub(crate) expire_after: Duration,
}

/// Why a round was not finished; the next one starts again.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UpkeepError {
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    #[error(transparent)]
    Vault(#[from] VaultError),
}

impl Upkeep {
    /// Works until stopped.
    pub(crate) async fn until(&self, stopping: &CancellationToken) {
        loop {
            tokio::select! {
                () = self.round(now()) => {}
                () = stopping.cancelled() => return,
            }
            tokio::select! {
                () = tokio::time::sleep(EVERY) => {}
                () = stopping.cancelled() => return,
            }
        }
    }

    /// One round; what fails is said and left to the next. Dropped at any point it leaves nothing amiss.
    pub(crate) async fn round(&self, at: UnixMillis) {
        if let Err(fault) = self.vault.prepare().await {
            tracing::error!(error = %fault, "prepare the vault; tickets go on, files wait");
        }
        match self.expire(at).await {
            Ok(0) => {}
            Ok(objects) => tracing::info!(objects, "deleted what abandoned uploads left"),
            Err(fault) => tracing::warn!(error = %fault, "expire abandoned uploads"),
        }
        match self.abandon(at).await {
            Ok(0) => {}
            Ok(files) => tracing::info!(files, "gave up files that no reply took"),
            Err(fault) => tracing::warn!(error = %fault, "give up files that no reply took"),
        }
        match self.collect(at).await {
            Ok(0) => {}
            Ok(objects) => tracing::info!(objects, "deleted objects that nobody uses"),
            Err(fault) => tracing::warn!(error = %fault, "collect objects that nobody uses"),
        }
    }

    async fn expire(&self, at: UnixMillis) -> Result<usize, UpkeepError> {
        let objects = self
            .ledger
            .expire_uploads(before(at, self.expire_after), at)
            .await?;
        for some in objects.chunks(OBJECTS) {
            self.vault.delete_objects(some.to_vec()).await?;
        }
        Ok(objects.len())
    }

    async fn abandon(&self, at: UnixMillis) -> Result<usize, UpkeepError> {
        let up = self
            .ledger
            .abandon_given(before(at, UNUSED_FOR), at)
            .await?;
        for some in up.objects.chunks(OBJECTS) {
            self.vault.delete_objects(some.to_vec()).await?;
        }
        for root in up.files.iter().filter_map(|given| given.root) {
            self.vault.discard(Shelf::Released, root).await?;
            self.vault.discard(Shelf::Quarantine, root).await?;
        }
        let gone = up.files.iter().map(|given| given.file).collect();
        self.ledger.forget_given(gone).await?;
        Ok(up.files.len())
    }

    async fn collect(&self, at: UnixMillis) -> Result<usize, UpkeepError> {
        let mut deleted = 0;
        for part in 0..=u8::MAX {
            let old = self
                .vault
                .objects_before(part, before(at, ORPHAN_AGE))
                .await?;
            for some in old.chunks(OBJECTS) {
                let used = self.ledger.objects_in_use(some.to_vec()).await?;
                let orphans: Vec<_> = some
                    .iter()
                    .copied()
                    .filter(|name| !used.contains(name))
                    .collect();
                deleted += orphans.len();
                self.vault.delete_objects(orphans).await?;
            }
        }
        Ok(deleted)
    }
}

fn before(at: UnixMillis, age: Duration) -> UnixMillis {
    let age = i64::try_from(age.as_millis()).unwrap_or(i64::MAX);
    UnixMillis(at.0.saturating_sub(age))
}
