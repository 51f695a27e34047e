//! The read model: tickets, what was said on them, their files, and a full-text index, in a SQLite file of
//! its own that can be deleted at any time.
//!
//! On the data's way: `ledger → [desk]`. Invariants:
//! - It holds nothing that the ledger does not: it is made of the ledger's history alone, in its order, and
//!   each page of history is one transaction with the cursor behind it. Applying a page twice, or none for
//!   a while, changes nothing in the end.
//! - Questions never touch the ledger, so that they are answered while it is away (P10), and say as of
//!   when ([`Freshness`]).
//! - A new one is built beside the old one, which answers until the new one has caught up.
//!
//! Layout: `readmodel-N.db`; the highest N that is whole is the one in use. Recovery: none. A file that is
//! damaged, of another version, or not of this ledger (which was restored) is left, and the next is built.

mod applying;
mod changes;
mod due;
mod files;
mod listing;
mod schema;
mod search;
mod showing;
pub mod wish;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use branchline_durable_sqlite::{
    CommitError, Durability, JobError, Lane, OpenError, Readers, ReadersFault, Settings, Writer,
};
use branchline_protocol::time::UnixMillis;
use rusqlite::Connection;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use crate::ledger::{History, HistoryLedger, LedgerError, now};
use crate::service::Goals;

pub use changes::{ChangeView, PAGE_CHANGES};
pub use listing::{Order, PAGE_TICKETS, Place, TicketPage, TicketQuery, TicketSummary};
pub use showing::{FileView, TicketView, TimelineEntry};

/// The folder's name in the data directory.
pub const FOLDER: &str = "desk";

/// Events in one transaction.
const PAGE_EVENTS: usize = 500;
/// How often the ledger is asked where nobody says that there is news: other processes write it, too.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Questions that are answered at once.
const READERS: usize = 4;
/// Page cache of each, and of the writer: the upper pages of the indexes.
const CACHE_KIB: u32 = 8 * 1024;

/// Why the read model did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum ReadModelError {
    /// The ledger does not answer; questions are answered all the same.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// Its file cannot be used just now.
    #[error("the read model does not answer: {0}")]
    Away(String),
    /// Its file is not what it should be; it is built again.
    #[error("the read model is damaged: {0}")]
    Damaged(String),
}

/// As of when questions are answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Freshness {
    /// The last event that is in it.
    pub position: u64,
    /// Since when it cannot follow the ledger; `None` while it does.
    pub behind_since: Option<UnixMillis>,
    /// How often, since it was opened, what it had said was not so any more: the ledger was restored.
    pub rewinds: u64,
}

/// The read model of one central.
pub struct ReadModel {
    folder: PathBuf,
    goals: Arc<Goals>,
    in_use: RwLock<Arc<Generation>>,
    freshness: watch::Sender<Freshness>,
    /// Told when there is something to read in the ledger.
    news: Arc<Notify>,
}

/// One file.
struct Generation {
    number: u64,
    path: PathBuf,
    goals: Arc<Goals>,
    /// As of its opening.
    whole: bool,
    writer: Writer,
    readers: Readers,
    cursor: Mutex<Option<String>>,
    /// Its file goes with the last question to it.
    has_had_its_time: AtomicBool,
}

impl Drop for Generation {
    fn drop(&mut self) {
        if self.has_had_its_time.load(Ordering::Relaxed) {
            files::remove(&self.path);
        }
    }
}

impl ReadModel {
    /// Opens the newest whole file of this folder, or begins one, folder included; nothing is ever due. Needs
    /// no ledger.
    pub fn open(folder: &Path) -> Result<Self, ReadModelError> {
        Self::open_with(folder, Goals::default())
    }

    /// As [`ReadModel::open`], with service goals. Where they are not the ones that tickets were counted by,
    /// [`ReadModel::follow`] counts them again.
    pub fn open_with(folder: &Path, goals: Goals) -> Result<Self, ReadModelError> {
        std::fs::create_dir_all(folder)?;
        let goals = Arc::new(goals);
        let generation = files::open_newest(folder, &goals)?;
        let position = generation.position()?;
        let freshness = Freshness {
            position,
            ..Freshness::default()
        };
        Ok(Self {
            folder: folder.to_owned(),
            goals,
            in_use: RwLock::new(Arc::new(generation)),
            freshness: watch::Sender::new(freshness),
            news: Arc::default(),
        })
    }

    /// As of when questions are answered; changes with each page of history.
    pub fn freshness(&self) -> watch::Receiver<Freshness> {
        self.freshness.subscribe()
    }

    /// To be told when the ledger has something new.
    pub fn news(&self) -> Arc<Notify> {
        self.news.clone()
    }

    /// Follows the ledger until stopped. While the ledger is away it says since when, and goes on trying.
    pub async fn follow(&self, ledger: &dyn HistoryLedger, stopping: &CancellationToken) {
        tokio::join!(
            self.follow_ledger(ledger, stopping),
            stopping.run_until_cancelled(self.count_again()),
        );
    }

    async fn follow_ledger(&self, ledger: &dyn HistoryLedger, stopping: &CancellationToken) {
        loop {
            let step = async {
                self.rebuild_where_wished(ledger).await;
                match self.step(ledger).await {
                    Ok(true) => return,
                    Ok(false) => self.say(|freshness| freshness.behind_since = None),
                    Err(fault) => self.stumble(&fault, ledger).await,
                }
                tokio::select! {
                    () = self.news.notified() => {}
                    () = tokio::time::sleep(LOOK_EVERY) => {}
                }
            };
            tokio::select! {
                () = step => {}
                () = stopping.cancelled() => return,
            }
        }
    }

    /// Counts tickets by the present goals that were counted by others.
    async fn count_again(&self) {
        loop {
            match self.generation().count_again().await {
                Ok(true) => {}
                Ok(false) => return,
                Err(fault) => {
                    tracing::warn!(error = %fault, "count tickets by other service goals");
                    tokio::time::sleep(LOOK_EVERY).await;
                }
            }
        }
    }

    /// Builds everything anew from the ledger, and changes over when it has caught up.
    pub async fn rebuild(&self, ledger: &dyn HistoryLedger) -> Result<u64, ReadModelError> {
        let next = Arc::new(files::begin(
            &self.folder,
            self.generation().number + 1,
            &self.goals,
        )?);
        loop {
            let page = ledger.history(next.cursor(), PAGE_EVENTS).await?;
            if page.rewound {
                return Err(ReadModelError::Damaged(
                    "the ledger was restored meanwhile; build it again".to_owned(),
                ));
            }
            if page.entries.is_empty() {
                break;
            }
            next.apply(page).await?;
        }
        next.finish().await?;
        let position = next.position()?;
        let former = {
            let mut in_use = self.in_use.write().unwrap_or_else(PoisonError::into_inner);
            std::mem::replace(&mut *in_use, next)
        };
        former.has_had_its_time.store(true, Ordering::Relaxed);
        self.say(|freshness| freshness.position = position);
        Ok(position)
    }

    /// Somebody at the command line has wished for it ([`wish`]).
    async fn rebuild_where_wished(&self, ledger: &dyn HistoryLedger) {
        if !wish::is_there(&self.folder) {
            return;
        }
        tracing::info!("building the read model anew; questions are answered from the old one");
        match self.rebuild(ledger).await {
            Ok(position) => {
                tracing::info!(position, "the read model was built anew");
                wish::grant(&self.folder);
            }
            Err(fault) => tracing::warn!(error = %fault, "build the read model anew"),
        }
    }

    /// One page of history; whether there may be more.
    async fn step(&self, ledger: &dyn HistoryLedger) -> Result<bool, ReadModelError> {
        let generation = self.generation();
        let page = ledger.history(generation.cursor(), PAGE_EVENTS).await?;
        if page.rewound {
            tracing::warn!("the ledger is not the one that was read; building the read model anew");
            self.rebuild(ledger).await?;
            self.say(|freshness| freshness.rewinds += 1);
            return Ok(true);
        }
        let Some(last) = page.entries.last() else {
            return Ok(false);
        };
        let (position, more) = (last.position, page.entries.len() == PAGE_EVENTS);
        generation.apply(page).await?;
        self.say(|freshness| freshness.position = position);
        Ok(more)
    }

    async fn stumble(&self, fault: &ReadModelError, ledger: &dyn HistoryLedger) {
        let since = now();
        self.say(|freshness| {
            freshness.behind_since.get_or_insert(since);
        });
        tracing::warn!(error = %fault, "the read model cannot follow the ledger");
        if matches!(fault, ReadModelError::Damaged(_))
            && let Err(fault) = self.rebuild(ledger).await
        {
            tracing::warn!(error = %fault, "build the read model anew");
        }
    }

    fn say(&self, change: impl FnOnce(&mut Freshness)) {
        self.freshness.send_if_modified(|freshness| {
            let before = *freshness;
            change(freshness);
            *freshness != before
        });
    }

    fn generation(&self) -> Arc<Generation> {
        self.in_use
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Connection) -> Result<T, ReadModelError> + Send + 'static,
    ) -> Result<T, ReadModelError> {
        self.generation().readers.read(question).await
    }
}

impl Generation {
    /// Opens a file, or makes it. A new one is `born_whole` where there is nothing that it has to catch up
    /// with before it is used.
    fn start(
        path: &Path,
        number: u64,
        born_whole: bool,
        goals: &Arc<Goals>,
    ) -> Result<Self, ReadModelError> {
        // What is lost here is made again.
        let settings = Settings {
            durability: Durability::Normal,
            cache_kib: CACHE_KIB,
            ..Settings::default()
        };
        let mut said = schema::Said {
            cursor: None,
            whole: false,
        };
        let writer = Writer::start(path, &settings, |connection| {
            said = schema::prepare(connection, &goals.fingerprint)?;
            if born_whole {
                schema::mark_whole(connection)?;
            }
            Ok::<(), ReadModelError>(())
        })?;
        Ok(Self {
            number,
            path: path.to_owned(),
            goals: goals.clone(),
            writer,
            readers: Readers::new(path, READERS, CACHE_KIB),
            whole: said.whole || born_whole,
            cursor: Mutex::new(said.cursor),
            has_had_its_time: AtomicBool::new(false),
        })
    }

    fn cursor(&self) -> Option<String> {
        self.lock().clone()
    }

    async fn apply(&self, page: History) -> Result<(), ReadModelError> {
        let cursor = page.cursor.clone();
        let goals = self.goals.clone();
        self.write(move |connection| applying::apply(connection, &page, &goals))
            .await?;
        *self.lock() = Some(cursor);
        Ok(())
    }

    async fn count_again(&self) -> Result<bool, ReadModelError> {
        let goals = self.goals.clone();
        self.write(move |connection| due::count_again(connection, &goals))
            .await
    }

    /// From now on it may be the one in use.
    async fn finish(&self) -> Result<(), ReadModelError> {
        self.write(schema::mark_whole).await
    }

    fn position(&self) -> Result<u64, ReadModelError> {
        position_in(&self.cursor().unwrap_or_default())
    }

    async fn write<T: Send + 'static>(
        &self,
        job: impl FnOnce(&Connection) -> Result<T, ReadModelError> + Send + 'static,
    ) -> Result<T, ReadModelError> {
        let written = self.writer.run(Lane::Bulk, job).await;
        written.map_err(|failed| match failed {
            JobError::Job(own) => own,
            JobError::Commit(commit) => commit.into(),
        })
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<String>> {
        // Nothing in here can panic half-way.
        self.cursor.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn position_in(cursor: &str) -> Result<u64, ReadModelError> {
    let position = cursor.split_once('-').map_or("0", |(position, _)| position);
    let damaged = |_| ReadModelError::Damaged("its cursor".to_owned());
    position.parse().map_err(damaged)
}

impl From<rusqlite::Error> for ReadModelError {
    fn from(fault: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode::{
            CannotOpen, DatabaseBusy, DatabaseLocked, DiskFull, OutOfMemory, SystemIoFailure,
        };
        match fault.sqlite_error_code() {
            Some(
                CannotOpen | DatabaseBusy | DatabaseLocked | DiskFull | OutOfMemory
                | SystemIoFailure,
            ) => Self::Away(fault.to_string()),
            _ => Self::Damaged(fault.to_string()),
        }
    }
}

impl From<OpenError> for ReadModelError {
    fn from(fault: OpenError) -> Self {
        match fault {
            OpenError::Sqlite { source, .. } => source.into(),
            OpenError::SqliteTooOld(_) => Self::Away(fault.to_string()),
        }
    }
}

impl From<ReadersFault> for ReadModelError {
    fn from(fault: ReadersFault) -> Self {
        Self::Away(fault.to_string())
    }
}

impl From<CommitError> for ReadModelError {
    fn from(fault: CommitError) -> Self {
        Self::Away(fault.to_string())
    }
}

impl From<std::io::Error> for ReadModelError {
    fn from(fault: std::io::Error) -> Self {
        Self::Away(fault.to_string())
    }
}
