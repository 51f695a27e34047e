//! The agent's journal and the branch's own view of its tickets: the only SQL at the branch.
//!
//! On the data's way: intake → chunker → **store** → sync → link.
//!
//! Invariants:
//! - An operation is answered "saved" after the commit that holds it was synced (P1). It is written
//!   once and never changed; position grows by one with each.
//! - `operation` is the journal, what will be sent; `ticket` and `entry` are the branch's view and
//!   hold the same bytes again. Either copy heals the other while the checksum of one still agrees.
//! - A stream is a view on the journal: `seq = position − base`. Its digests are computed while
//!   sending, not stored per operation, so that a fork costs one row whatever waits behind it.
//! - `stream.acknowledged` is a position that central has confirmed with the right digest. It moves
//!   back only when central has shown that it was restored to an earlier state.
//! - The file is bounded ([`StoreSettings::limit_bytes`]); filing stops [`RESERVE_BYTES`] before the
//!   hard bound, so that acknowledgements, which make room, always fit (P8).
//!
//! Recovery: SQLite replays the WAL. A damaged row is healed from its other copy or set aside with an
//! `exception`; a file that cannot be opened is moved aside whole, what can still be read of it is
//! carried into a new one, and the agent starts all the same ([`recovery`]).

pub mod chunks;
pub mod desk;
pub mod dropped;
mod file_list;
mod file_states;
pub mod files;
pub mod filing;
pub mod finding;
pub mod given;
pub mod inspect;
mod keeping;
mod news;
mod outgoing;
pub mod owner;
mod precedence;
pub mod recovery;
mod tickets;
mod upkeep;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::Mutex;

use branchline_durable_sqlite::{
    CommitError, JobError, OpenError, Readers, ReadersFault, Settings, Writer,
};
use branchline_protocol::chain::Position;
use branchline_protocol::enrolment::JournalOf;
use branchline_protocol::id::{AgentId, BranchCode, Digest, Seq, StreamId};
use branchline_protocol::sender::StreamState;
use branchline_protocol::time::UnixMillis;
use rusqlite::{Connection, OptionalExtension};
use tokio::sync::{Notify, watch};

pub use chunks::ChunkBounds;
pub use outgoing::LoadedOperations;
pub use upkeep::StoreFacts;

use chunks::{ChunkStore, Taken};

mod migrations {
    refinery::embed_migrations!("src/store/migrations");
}

/// Kept free below the hard bound for acknowledgements and verdicts.
pub const RESERVE_BYTES: u64 = 8 * 1024 * 1024;
/// The least that [`StoreSettings::limit_bytes`] may be.
pub const LEAST_LIMIT_BYTES: u64 = 2 * 1024 * 1024;
/// SQLite's page size here.
const PAGE_BYTES: u64 = 4_096;
/// The journal's file in the data folder.
pub const JOURNAL_FILE: &str = "journal.db";

/// What the store needs to know.
#[derive(Debug, Clone)]
pub struct StoreSettings {
    /// The agent's data folder.
    pub folder: PathBuf,
    /// Bytes that operations and view may take.
    pub limit_bytes: u64,
    /// The branch, for ticket numbers.
    pub branch: BranchCode,
    /// Which of its agents, for ticket numbers.
    pub ordinal: u16,
    /// Whose journal it is; `None` for whoever only looks into one.
    pub agent: Option<AgentId>,
    /// How much room files may take.
    pub chunks: ChunkBounds,
}

/// Why the store could not answer.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The journal's file or disk is full.
    #[error("the journal has no space left")]
    Full,
    /// Part of the file is damaged.
    #[error("the journal is damaged: {0}")]
    Damaged(String),
    /// The disk or SQLite failed.
    #[error("the journal cannot be used: {0}")]
    Failed(String),
    /// The agent is ending.
    #[error("the agent is ending")]
    Closed,
}

/// Why the store could not be opened at all.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// SQLite could not open the file.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The file system said no.
    #[error("open the journal: {0}")]
    Io(#[from] std::io::Error),
    /// The tables could not be brought to this version.
    #[error("migrate the journal: {0}")]
    Migrate(#[from] refinery::Error),
    /// The tables are not what they should be.
    #[error("read the journal: {0}")]
    Read(#[from] rusqlite::Error),
    /// The journal is another agent's.
    #[error(
        "the journal in this folder is that of agent {} of branch {} ({}), and this is agent {} of branch \
         {} ({}): a journal is never continued by another agent; put back the identity that belongs to it, \
         or give this agent a data_dir of its own",
        journal.ordinal, journal.branch, journal.agent, own.ordinal, own.branch, own.agent
    )]
    OtherJournal {
        /// Whose it is.
        journal: Box<JournalOf>,
        /// Who we are.
        own: Box<JournalOf>,
    },
}

/// Read connections: one for the sync loop, one for people, one to spare.
const READERS: usize = 3;
/// Page cache of each.
const READER_CACHE_KIB: u32 = 512;

/// The store. One per process and folder.
pub struct Store {
    writer: Writer,
    readers: Readers,
    settings: StoreSettings,
    chunks: ChunkStore,
    /// Filings, before which files' bytes yield.
    filings: precedence::Filings,
    /// Told when there is something to collect.
    collecting: Notify,
    /// Files whose taking in broke off.
    abandoned: Mutex<Vec<Taken>>,
    /// What central wants the branch to go by.
    policy: watch::Sender<desk::Policy>,
    /// Told when central may have given files.
    given: Notify,
}

impl Store {
    /// Opens the journal in its folder, makes it if it is missing, and recovers what can be recovered
    /// if it is damaged. Reads a handful of pages, whatever waits in it.
    pub fn open(settings: StoreSettings, now: UnixMillis) -> Result<Self, StartError> {
        std::fs::create_dir_all(&settings.folder)?;
        let path = settings.folder.join(JOURNAL_FILE);
        let damaged = recovery::set_aside_if_damaged(&path, now)?;
        let mut policy = desk::Policy::default();
        let writer = Writer::start(&path, &sqlite_settings(&settings), |connection| {
            prepare(connection, now)?;
            if let Some(damaged) = &damaged {
                recovery::salvage(connection, damaged, now)?;
            }
            owner::claim(connection, &settings)?;
            policy = desk::policy(connection)?;
            Ok::<(), StartError>(())
        })?;
        let readers = Readers::new(&path, READERS, READER_CACHE_KIB);
        let chunks = ChunkStore::new(&settings.folder, settings.chunks);
        Ok(Self {
            writer,
            readers,
            settings,
            chunks,
            filings: precedence::Filings::default(),
            collecting: Notify::new(),
            abandoned: Mutex::default(),
            policy: watch::Sender::new(policy),
            given: Notify::new(),
        })
    }

    /// The journal's file.
    pub fn path(&self) -> &Path {
        self.readers.path()
    }

    /// Runs a query of the journal on a read connection.
    async fn read<T: Send + 'static>(
        &self,
        query: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.readers.read(query).await
    }
}

fn sqlite_settings(settings: &StoreSettings) -> Settings {
    let hard = settings
        .limit_bytes
        .max(LEAST_LIMIT_BYTES)
        .saturating_add(RESERVE_BYTES);
    let most_pages = u32::try_from(hard / PAGE_BYTES).unwrap_or(u32::MAX - 1);
    Settings {
        most_pages: Some(most_pages),
        ..Settings::default()
    }
}

/// Brings the tables to this version and opens a first stream where there is none.
fn prepare(connection: &mut Connection, now: UnixMillis) -> Result<(), StartError> {
    // In one transaction with the note that it was done: a loss of power between the two would leave
    // a journal that no start gets past.
    migrations::migrations::runner()
        .set_grouped(true)
        .run(connection)?;
    let streams: i64 = connection.query_row("SELECT count(*) FROM stream", [], |row| row.get(0))?;
    if streams == 0 {
        let stream = StreamId(crate::ids::new_uuid(now));
        insert_stream(
            connection,
            &NewStream {
                stream,
                continues: None,
                base: 0,
            },
            now,
        )?;
    }
    Ok(())
}

pub(crate) struct NewStream {
    pub(crate) stream: StreamId,
    pub(crate) continues: Option<String>,
    pub(crate) base: u64,
}

fn insert_stream(
    connection: &Connection,
    new: &NewStream,
    now: UnixMillis,
) -> rusqlite::Result<()> {
    let sql = "INSERT INTO stream (id, continues, base, acknowledged, digest, opened_at)
               VALUES (?1, ?2, ?3, ?3, ?4, ?5)";
    let genesis = Position::genesis(new.stream).digest;
    connection
        .prepare_cached(sql)?
        .execute((
            new.stream.as_bytes(),
            &new.continues,
            to_sql(new.base),
            genesis.0,
            now.0,
        ))
        .map(|_| ())
}

/// The present stream as a row.
pub(crate) struct StreamRow {
    pub(crate) ordinal: i64,
    pub(crate) stream: StreamId,
    pub(crate) continues: Option<String>,
    pub(crate) base: u64,
    /// A position in the journal, not a sequence number.
    pub(crate) acknowledged: u64,
    pub(crate) digest: Digest,
    pub(crate) acknowledged_at: Option<UnixMillis>,
}

impl StreamRow {
    pub(crate) fn read(connection: &Connection) -> rusqlite::Result<Self> {
        let sql = "SELECT ordinal, id, continues, base, acknowledged, digest, acknowledged_at
                   FROM stream ORDER BY ordinal DESC LIMIT 1";
        connection.prepare_cached(sql)?.query_row([], |row| {
            Ok(Self {
                ordinal: row.get(0)?,
                stream: StreamId::from_bytes(row.get(1)?),
                continues: row.get(2)?,
                base: from_sql(row.get(3)?),
                acknowledged: from_sql(row.get(4)?),
                digest: Digest(row.get(5)?),
                acknowledged_at: row.get::<_, Option<i64>>(6)?.map(UnixMillis),
            })
        })
    }

    pub(crate) fn position(&self) -> Position {
        Position {
            seq: self.seq_of(self.acknowledged),
            digest: self.digest,
        }
    }

    pub(crate) fn seq_of(&self, position: u64) -> Seq {
        Seq(position.saturating_sub(self.base))
    }

    pub(crate) fn position_of(&self, seq: Seq) -> u64 {
        self.base.saturating_add(seq.0)
    }

    pub(crate) fn state(&self, head: u64) -> StreamState {
        StreamState {
            stream: self.stream,
            continues: self
                .continues
                .as_deref()
                .and_then(|text| serde_json::from_str(text).ok()),
            acknowledged: self.position(),
            head: self.seq_of(head),
        }
    }
}

/// The journal's last position.
pub(crate) fn head(connection: &Connection) -> rusqlite::Result<u64> {
    let last: Option<i64> = connection
        .prepare_cached("SELECT max(position) FROM operation")?
        .query_row([], |row| row.get(0))?;
    let base: i64 = connection
        .prepare_cached("SELECT max(base, acknowledged) FROM stream ORDER BY ordinal DESC LIMIT 1")?
        .query_row([], |row| row.get(0))?;
    Ok(from_sql(last.unwrap_or(0).max(base)))
}

pub(crate) fn setting<T: rusqlite::types::FromSql>(
    connection: &Connection,
    name: &str,
) -> rusqlite::Result<Option<T>> {
    connection
        .prepare_cached("SELECT value FROM setting WHERE name = ?1")?
        .query_row([name], |row| row.get(0))
        .optional()
}

pub(crate) fn set_setting(
    connection: &Connection,
    name: &str,
    value: impl rusqlite::ToSql,
) -> rusqlite::Result<()> {
    let sql = "INSERT INTO setting (name, value) VALUES (?1, ?2)
               ON CONFLICT (name) DO UPDATE SET value = excluded.value";
    connection
        .prepare_cached(sql)?
        .execute((name, value))
        .map(|_| ())
}

/// How far the feed has been read.
pub(crate) const FEED_CURSOR: &str = "feed_cursor";
/// The highest ticket serial given out, also by an agent that this one was restored from.
pub(crate) const SERIALS_USED: &str = "serials_used";

/// SQLite's integers are signed; positions and counts stay far below.
pub(crate) fn to_sql(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

pub(crate) fn from_sql(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

impl From<rusqlite::Error> for StoreError {
    fn from(fault: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode;
        match fault.sqlite_error_code() {
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                Self::Damaged(fault.to_string())
            }
            Some(ErrorCode::DiskFull) => Self::Full,
            _ => Self::Failed(fault.to_string()),
        }
    }
}

impl From<OpenError> for StoreError {
    fn from(fault: OpenError) -> Self {
        match fault {
            OpenError::Sqlite { source, .. } => source.into(),
            OpenError::SqliteTooOld(_) => Self::Failed(fault.to_string()),
        }
    }
}

impl From<ReadersFault> for StoreError {
    fn from(fault: ReadersFault) -> Self {
        Self::Failed(fault.to_string())
    }
}

impl From<CommitError> for StoreError {
    fn from(fault: CommitError) -> Self {
        match fault {
            CommitError::Full { .. } => Self::Full,
            CommitError::Failed { fault, .. } => Self::Failed(fault),
            CommitError::Closed => Self::Closed,
        }
    }
}

impl From<JobError<rusqlite::Error>> for StoreError {
    fn from(fault: JobError<rusqlite::Error>) -> Self {
        match fault {
            JobError::Job(own) => own.into(),
            JobError::Commit(failed) => failed.into(),
        }
    }
}

impl From<JobError<Self>> for StoreError {
    fn from(fault: JobError<Self>) -> Self {
        match fault {
            JobError::Job(own) => own,
            JobError::Commit(failed) => failed.into(),
        }
    }
}
