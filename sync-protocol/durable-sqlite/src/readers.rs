//! The connections that read: a few, opened when first needed, each for one query at a time, so that
//! reading never waits for the writer.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rusqlite::Connection;
use tokio::sync::Semaphore;

use crate::open::{OpenError, Settings, open_reader};

/// How long a query waits for a connection before its caller is told to come back.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why a query was not run, or not to its end.
#[derive(Debug, thiserror::Error)]
pub enum ReadersFault {
    /// All connections are in use, and were for ten seconds. Try again.
    #[error("all its readers are busy")]
    Busy,
    /// The query panicked.
    #[error("a query failed: {0}")]
    Panicked(String),
}

/// Read connections to one file.
pub struct Readers {
    idle: Arc<Idle>,
    turns: Arc<Semaphore>,
}

struct Idle {
    path: PathBuf,
    cache_kib: u32,
    connections: Mutex<Vec<Connection>>,
}

impl Readers {
    /// At most so many connections at once, each with a page cache of so many KiB. Opens nothing yet.
    pub fn new(path: &Path, connections: usize, cache_kib: u32) -> Self {
        let idle = Idle {
            path: path.to_owned(),
            cache_kib,
            connections: Mutex::default(),
        };
        Self {
            idle: Arc::new(idle),
            turns: Arc::new(Semaphore::new(connections)),
        }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.idle.path
    }

    /// Runs a query on one consistent state of the file, off the async threads.
    pub async fn read<T, E>(
        &self,
        query: impl FnOnce(&Connection) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<OpenError> + From<rusqlite::Error> + From<ReadersFault> + Send + 'static,
    {
        let turn = tokio::time::timeout(PATIENCE, self.turns.clone().acquire_owned()).await;
        let Ok(Ok(turn)) = turn else {
            return Err(ReadersFault::Busy.into());
        };
        let idle = self.idle.clone();
        let reading = tokio::task::spawn_blocking(move || {
            // Held here and not by the caller, who may have gone away while the query runs.
            let _turn = turn;
            idle.with_connection(query)
        });
        match reading.await {
            Ok(result) => result,
            Err(fault) => Err(ReadersFault::Panicked(fault.to_string()).into()),
        }
    }
}

impl Idle {
    fn with_connection<T, E: From<OpenError> + From<rusqlite::Error>>(
        &self,
        query: impl FnOnce(&Connection) -> Result<T, E>,
    ) -> Result<T, E> {
        let kept = self.lock().pop();
        let connection = match kept {
            Some(connection) => connection,
            None => self.open()?,
        };
        let transaction = connection.unchecked_transaction()?;
        let result = query(&transaction);
        let ended = transaction.commit();
        // A connection that failed, or saw damage, keeps nothing cached for the next query.
        if result.is_ok() && ended.is_ok() {
            self.lock().push(connection);
        }
        result
    }

    fn open(&self) -> Result<Connection, OpenError> {
        let settings = Settings {
            cache_kib: self.cache_kib,
            ..Settings::default()
        };
        open_reader(&self.path, &settings)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Connection>> {
        // Nothing in here can panic half-way.
        self.connections
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
