//! The connections that read: a few, opened when first needed, each for one query at a time.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use branchline_durable_sqlite::{Settings, open_reader};
use rusqlite::Connection;
use tokio::sync::Semaphore;

use crate::ledger::LedgerError;

/// Queries that run at once: enough that a long listing does not hold up the feeds.
const CONNECTIONS: usize = 4;
/// Page cache of each.
const CACHE_KIB: u32 = 2 * 1024;
/// How long a query waits for a connection before its caller is told to come back.
const PATIENCE: Duration = Duration::from_secs(10);

pub(super) struct Readers {
    idle: Arc<Idle>,
    turns: Arc<Semaphore>,
}

struct Idle {
    path: PathBuf,
    connections: Mutex<Vec<Connection>>,
}

impl Readers {
    pub(super) fn new(path: &Path) -> Self {
        let idle = Idle {
            path: path.to_owned(),
            connections: Mutex::default(),
        };
        Self {
            idle: Arc::new(idle),
            turns: Arc::new(Semaphore::new(CONNECTIONS)),
        }
    }

    /// Runs a query on one consistent state of the ledger, off the async threads.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        query: impl FnOnce(&Connection) -> Result<T, LedgerError> + Send + 'static,
    ) -> Result<T, LedgerError> {
        let turn = tokio::time::timeout(PATIENCE, self.turns.clone().acquire_owned()).await;
        let Ok(Ok(turn)) = turn else {
            return Err(LedgerError::Away("all its readers are busy".into()));
        };
        let idle = self.idle.clone();
        let reading = tokio::task::spawn_blocking(move || {
            // Held here and not by the caller, who may have gone away while the query runs.
            let _turn = turn;
            idle.with_connection(query)
        });
        match reading.await {
            Ok(result) => result,
            Err(fault) => Err(LedgerError::Broken(format!("a query failed: {fault}"))),
        }
    }
}

impl Idle {
    fn with_connection<T>(
        &self,
        query: impl FnOnce(&Connection) -> Result<T, LedgerError>,
    ) -> Result<T, LedgerError> {
        let kept = self.lock().pop();
        let connection = match kept {
            Some(connection) => connection,
            None => self.open()?,
        };
        let transaction = connection.unchecked_transaction()?;
        let result = query(&transaction);
        let ended = transaction.commit();
        // A connection that failed is not used again.
        if result.is_ok() && ended.is_ok() {
            self.lock().push(connection);
        }
        result
    }

    fn open(&self) -> Result<Connection, LedgerError> {
        let settings = Settings {
            cache_kib: CACHE_KIB,
            ..Settings::default()
        };
        Ok(open_reader(&self.path, &settings)?)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Connection>> {
        // Nothing in here can panic half-way.
        self.connections
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
