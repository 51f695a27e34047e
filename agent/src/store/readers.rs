//! Read connections: a few, lent to blocking threads, so that reading never waits for the writer.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use branchline_durable_sqlite::{Settings, open_reader};
use rusqlite::Connection;
use tokio::sync::Semaphore;

use super::StoreError;

/// One for the sync loop, one for people, one to spare.
const READERS: usize = 3;
/// Page cache of each, in KiB.
const CACHE_KIB: u32 = 512;

pub(super) struct Readers {
    path: PathBuf,
    idle: Arc<Mutex<Vec<Connection>>>,
    turns: Semaphore,
}

impl Readers {
    pub(super) fn new(path: PathBuf) -> Self {
        Self {
            path,
            idle: Arc::default(),
            turns: Semaphore::new(READERS),
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Runs `query` on a read connection in a thread that may block.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        query: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let _turn = self.turns.acquire().await.map_err(|_| StoreError::Closed)?;
        let idle = self.idle.clone();
        let path = self.path.clone();
        let work = move || {
            let lent = idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let connection = match lent {
                Some(connection) => connection,
                None => open_reader(
                    &path,
                    &Settings {
                        cache_kib: CACHE_KIB,
                        ..Settings::default()
                    },
                )
                .map_err(|fault| StoreError::Failed(fault.to_string()))?,
            };
            let answer = query(&connection);
            // A connection that saw damage keeps nothing of it cached for the next query.
            if !matches!(answer, Err(StoreError::Damaged(_))) {
                idle.lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push(connection);
            }
            answer
        };
        tokio::task::spawn_blocking(work)
            .await
            .unwrap_or_else(|fault| Err(StoreError::Failed(fault.to_string())))
    }
}
