//! The ledger in one SQLite file.
//!
//! Invariants:
//! - Every change is one job of the writer, so one transaction: what is answered is committed and
//!   synced, with all that belongs to it (P3). Many agents' submissions share one commit.
//! - `operations` holds each operation once, by (agent, id); row order is the order of effect. A
//!   repeat adds a row to `positions` and nothing else (P2).
//! - A stream's `positions` are 1 to its head without holes, and the head's digest is that of its last
//!   position. The head moves only from where this transaction read it; anything else is
//!   [`LedgerError::Broken`] and rolled back.
//! - An operation that has an effect, or is rejected, has an event in the same transaction; events
//!   are never changed or deleted, and their positions never used again.
//! - The bytes of operations and events are stored as they came and never encoded again.
//!
//! Layout: `migrations/V1__ledger.sql`, `V2__files.sql` for files (see [`files`]), `V3__identity.sql` for
//! identities (see [`identity`]), `V4__operators.sql` for operators (see [`operators`]) and `V5__desk.sql` for
//! what the desk does (see [`desk`]). A ticket's row holds what deciding and listing need; its subject and the
//! rest are read from its operation's bytes.
//!
//! Recovery is SQLite's own. A ledger restored from a backup is noticed by the agents: their streams
//! are ahead of its heads ([`Appended::Gap`]), and their feed cursors name events that it does not
//! have, or has otherwise ([`FeedPage::rewound`]).

use std::path::Path;

use branchline_durable_sqlite::{
    CommitError, JobError, Lane, OpenError, Readers, ReadersFault, Settings, Writer,
};
use branchline_protocol::id::{AgentId, BranchCode, Seq, StreamId, TicketNumber};
use rusqlite::{Connection, ErrorCode};

use super::{
    AgentRecord, Append, Appended, BranchRecord, FeedPage, HeldOperation, History, HistoryLedger,
    Ledger, LedgerError, NewAgent, Newsflash, Pending, StreamRecord, TicketFile, TicketFilter,
    TicketRow,
};

mod agents;
mod append;
mod columns;
mod desk;
mod feed;
mod files;
mod history;
mod holdings;
mod identity;
mod known;
#[cfg(test)]
mod older;
mod operators;
mod outbox;
mod tickets;

#[cfg(test)]
mod tests;

mod migrations {
    refinery::embed_migrations!("src/ledger/sqlite/migrations");
}

/// The file's name in the data directory.
pub const FILE_NAME: &str = "ledger.db";
/// Page cache of the writer: the inner pages of every index, so that an append reads next to nothing.
const WRITER_CACHE_KIB: u32 = 16 * 1024;

/// Queries that run at once: enough that a long listing does not hold up the feeds.
const READERS: usize = 4;
/// Page cache of each.
const READER_CACHE_KIB: u32 = 2 * 1024;

/// The ledger in one SQLite file.
pub struct SqliteLedger {
    writer: Writer,
    readers: Readers,
    /// Tests have it not answer.
    #[cfg(test)]
    away: std::sync::atomic::AtomicBool,
}

impl SqliteLedger {
    /// Opens the file, makes it where it is missing, and brings its tables to this version.
    pub fn open(path: &Path) -> Result<Self, LedgerError> {
        let settings = Settings {
            cache_kib: WRITER_CACHE_KIB,
            ..Settings::default()
        };
        let writer = Writer::start(path, &settings, migrate)?;
        Ok(Self {
            writer,
            readers: Readers::new(path, READERS, READER_CACHE_KIB),
            #[cfg(test)]
            away: std::sync::atomic::AtomicBool::new(false),
        })
    }

    /// From now on it answers nothing, or answers again.
    #[cfg(test)]
    pub(crate) fn set_away(&self, away: bool) {
        self.away.store(away, std::sync::atomic::Ordering::SeqCst);
    }

    #[cfg(test)]
    fn check_there(&self) -> Result<(), LedgerError> {
        if self.away.load(std::sync::atomic::Ordering::SeqCst) {
            return Err(LedgerError::Away("the test says so".to_owned()));
        }
        Ok(())
    }

    async fn write<T: Send + 'static>(
        &self,
        lane: Lane,
        job: impl FnOnce(&Connection) -> Result<T, LedgerError> + Send + 'static,
    ) -> Result<T, LedgerError> {
        #[cfg(test)]
        self.check_there()?;
        self.writer
            .run(lane, job)
            .await
            .map_err(|failed| match failed {
                JobError::Job(own) => own,
                JobError::Commit(commit @ CommitError::Full { .. }) => {
                    LedgerError::Full(commit.to_string())
                }
                JobError::Commit(commit) => LedgerError::Away(commit.to_string()),
            })
    }

    /// Work for files, behind all work for tickets (P7).
    fn write_bulk<T: Send + 'static>(
        &self,
        job: impl FnOnce(&Connection) -> Result<T, LedgerError> + Send + 'static,
    ) -> Pending<'_, T> {
        Box::pin(self.write(Lane::Bulk, job))
    }

    fn read<T: Send + 'static>(
        &self,
        query: impl FnOnce(&Connection) -> Result<T, LedgerError> + Send + 'static,
    ) -> Pending<'_, T> {
        #[cfg(test)]
        if let Err(away) = self.check_there() {
            return Box::pin(std::future::ready(Err(away)));
        }
        Box::pin(self.readers.read(query))
    }
}

fn migrate(connection: &mut Connection) -> Result<(), LedgerError> {
    // In one transaction with the note that it was done: a loss of power between the two would leave a
    // ledger that no start gets past.
    migrations::migrations::runner()
        .set_grouped(true)
        .run(connection)
        .map(|_| ())
        .map_err(|fault| LedgerError::Broken(format!("migrate its tables: {fault}")))
}

impl HistoryLedger for SqliteLedger {
    fn history(&self, after: Option<String>, most: usize) -> Pending<'_, History> {
        self.read(move |connection| history::page(connection, after.as_deref(), most))
    }
}

impl Ledger for SqliteLedger {
    fn append(&self, append: Append) -> Pending<'_, Appended> {
        Box::pin(self.write(Lane::Control, move |connection| {
            append::append(connection, &append)
        }))
    }

    fn feed(&self, branch: BranchCode, after: Option<String>) -> Pending<'_, FeedPage> {
        self.read(move |connection| feed::page(connection, &branch, after.as_deref()))
    }

    fn news(&self, after: Option<u64>) -> Pending<'_, Newsflash> {
        self.read(move |connection| feed::news(connection, after))
    }

    fn register_agent(&self, agent: NewAgent) -> Pending<'_, AgentRecord> {
        Box::pin(self.write(Lane::Control, move |connection| {
            agents::register(connection, agent)
        }))
    }

    fn agent(&self, id: AgentId) -> Pending<'_, Option<AgentRecord>> {
        self.read(move |connection| agents::find(connection, id))
    }

    fn branches(&self) -> Pending<'_, Vec<BranchRecord>> {
        self.read(agents::branches)
    }

    fn tickets(&self, filter: TicketFilter) -> Pending<'_, Vec<TicketRow>> {
        self.read(move |connection| tickets::list(connection, &filter))
    }

    fn ticket(&self, number: TicketNumber) -> Pending<'_, Option<TicketFile>> {
        self.read(move |connection| tickets::show(connection, &number))
    }

    fn stream(&self, id: StreamId) -> Pending<'_, Option<StreamRecord>> {
        self.read(move |connection| holdings::stream(connection, id))
    }

    fn held(&self, stream: StreamId, after: Seq, most: usize) -> Pending<'_, Vec<HeldOperation>> {
        self.read(move |connection| holdings::held(connection, stream, after, most))
    }

    fn ready(&self) -> Pending<'_, ()> {
        self.read(|connection| {
            connection
                .prepare_cached("SELECT count(*) FROM streams WHERE stream = 0")?
                .query_row([], |_| Ok(()))?;
            Ok(())
        })
    }
}

impl From<rusqlite::Error> for LedgerError {
    fn from(fault: rusqlite::Error) -> Self {
        let words = fault.to_string();
        match fault.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::Full(words),
            Some(
                ErrorCode::DatabaseBusy
                | ErrorCode::DatabaseLocked
                | ErrorCode::SystemIoFailure
                | ErrorCode::CannotOpen
                | ErrorCode::FileLockingProtocolFailed
                | ErrorCode::OutOfMemory,
            ) => Self::Away(words),
            _ => Self::Broken(words),
        }
    }
}

impl From<OpenError> for LedgerError {
    fn from(fault: OpenError) -> Self {
        match fault {
            OpenError::SqliteTooOld(_) => Self::Broken(fault.to_string()),
            OpenError::Sqlite { path, source } => match Self::from(source) {
                Self::Away(words) => Self::Away(format!("open {}: {words}", path.display())),
                Self::Full(words) => Self::Full(format!("open {}: {words}", path.display())),
                Self::Broken(words) => Self::Broken(format!("open {}: {words}", path.display())),
            },
        }
    }
}

impl From<ReadersFault> for LedgerError {
    fn from(fault: ReadersFault) -> Self {
        match fault {
            ReadersFault::Busy => Self::Away(fault.to_string()),
            ReadersFault::Panicked(_) => Self::Broken(fault.to_string()),
        }
    }
}

impl From<std::io::Error> for LedgerError {
    fn from(fault: std::io::Error) -> Self {
        Self::Away(fault.to_string())
    }
}
