//! What the store does by itself: collects orphans after a start, gives up settled files after their
//! retention, and gives room back. In slices with pauses, so that it delays nobody (P7).

use std::sync::PoisonError;
use std::time::Duration;

use branchline_protocol::id::FileId;
use rusqlite::Connection;
use tokio_util::sync::CancellationToken;

use super::chunks::ChunksError;
use super::{Store, StoreError};

/// Between two looks at what has outlived its retention.
const LOOK_EVERY: Duration = Duration::from_secs(60);
/// Between two slices of work.
const PAUSE: Duration = Duration::from_millis(20);

impl Store {
    /// Keeps the store of files tidy until shutdown. Troubles are logged and tried again later.
    pub async fn keep_files(&self, retention: Duration, shutdown: CancellationToken) {
        let mut orphans_gone = false;
        loop {
            let done = tokio::select! {
                () = shutdown.cancelled() => return,
                done = self.tidy_files(retention, &mut orphans_gone) => done,
            };
            if let Err(fault) = done {
                tracing::warn!(error = %fault, "tidy the store of files");
            }
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = self.collecting.notified() => {}
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
        }
    }

    /// One round.
    pub(super) async fn tidy_files(
        &self,
        retention: Duration,
        orphans_gone: &mut bool,
    ) -> Result<(), StoreError> {
        if !*orphans_gone {
            self.forget_orphans().await?;
            *orphans_gone = true;
        }
        self.tidy(retention).await
    }

    /// Whole files of an earlier life that no operation names, or that were being given up.
    async fn forget_orphans(&self) -> Result<(), StoreError> {
        let mut after = None;
        loop {
            let names = self.chunks.names_before(after).await?;
            let Some(&last) = names.last() else {
                return Ok(());
            };
            after = Some(last);
            let orphans = self.read(|connection| orphans(connection, names)).await?;
            for orphan in orphans {
                tracing::info!(file = %orphan, "collecting a file that no operation names");
                self.chunks.forget_earlier(orphan).await?;
            }
        }
    }

    async fn tidy(&self, retention: Duration) -> Result<(), StoreError> {
        let retention = i64::try_from(retention.as_millis()).unwrap_or(i64::MAX);
        let before = crate::ids::now().0.saturating_sub(retention);
        while self.give_up_settled(Some(before)).await? {
            tokio::time::sleep(PAUSE).await;
        }
        let abandoned = std::mem::take(
            &mut *self
                .abandoned
                .lock()
                .unwrap_or_else(PoisonError::into_inner),
        );
        for taken in abandoned {
            // What is not discarded now is found at the next start.
            if let Err(fault) = self.chunks.discard(taken).await {
                tracing::warn!(error = %fault, "give a file up that was being taken in");
            }
        }
        while self.chunks.collect().await? {
            tokio::time::sleep(PAUSE).await;
        }
        while self.shrink().await? {
            tokio::time::sleep(PAUSE).await;
        }
        Ok(())
    }

    /// A disk that is full cannot even be written to in order to free something; then it stays as it is.
    async fn shrink(&self) -> Result<bool, StoreError> {
        match self.chunks.shrink().await {
            Err(ChunksError::Short(_)) => Ok(false),
            other => Ok(other?),
        }
    }
}

fn orphans(connection: &Connection, names: Vec<FileId>) -> Result<Vec<FileId>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT EXISTS (SELECT 1 FROM file WHERE id = ?1 AND standing <> 'given_up')",
    )?;
    let mut orphans = Vec::new();
    for name in names {
        let is_known: bool = statement.query_row([name.as_bytes()], |row| row.get(0))?;
        if !is_known {
            orphans.push(name);
        }
    }
    Ok(orphans)
}
