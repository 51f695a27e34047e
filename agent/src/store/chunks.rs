//! `chunks.db`: the bytes of files, as chunks that several files may share.
//!
//! On the data's way: intake → chunker → **store** → sync → link.
//!
//! Invariants:
//! - A file of its own, with a writer of its own: what happens to it never touches the journal, and
//!   tickets are filed whatever its state (P7, P9).
//! - A file is *whole* once a commit has said so, and every commit is synced before it is answered. Only
//!   then is the operation that names it saved. Between the two a kill leaves an orphan; before the
//!   first, an unfinished file. Both are found at start and collected in slices.
//! - A chunk is kept once, however many files have it, and goes with the last of them. It is verified
//!   against its name whenever it is read (P4).
//! - Commits are a few MiB ([`COMMIT_BYTES`]), so that nothing dirty piles up behind them. While people
//!   file, `files::add_chunks` makes smaller ones with rests between them, so that no sync of theirs keeps a
//!   sync of the journal waiting for long (P7).
//! - Files stop at the quota, and where the disk would have less than the reserve left (P9).
//!
//! Layout: SQLite with a rollback journal and not a WAL, because a WAL writes each chunk twice; large
//! pages, because a chunk is a row of 64 KiB. A chunk is found by the first eight bytes of its hash: the
//! index over names is what every commit changes all over, and this keeps it small.
//!
//! Recovery: SQLite's own. A file that is no database any more, or whose tables are damaged, is set aside
//! whole (`chunks.damaged-TIME.db`, kept for IT) and a new one begun; the files that were in it and not
//! yet at central are marked as damaged ([`super::files`]).

mod collecting;
mod inspecting;
mod reading;
mod room;
mod taking;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use branchline_durable_sqlite::{
    CommitError, Durability, JobError, Journaling, Lane, OpenError, Settings, Writer, open_writer,
};
use branchline_protocol::time::UnixMillis;
use rusqlite::{Connection, ErrorCode};
use tokio::sync::Mutex;

use super::from_sql;

pub use inspecting::{ChunkInspection, Content, NotInspected};
pub use reading::Verified;
pub use room::Short;
pub use taking::Taken;

/// The file in the data folder.
pub const CHUNKS_FILE: &str = "chunks.db";
/// Bytes of chunks in one commit where nobody files: a few milliseconds of a disk's time. More
/// costs memory several times over: one commit is cut while another is filled and a third one written.
pub const COMMIT_BYTES: usize = 2 * 1024 * 1024;
/// A chunk of 64 KiB takes four pages and a bit; measured against 4, 8 and 32 KiB.
const PAGE_BYTES: u32 = 16 * 1024;
/// What a commit adds beyond this goes into the file before it, behind a synced rollback journal.
const CACHE_KIB: u32 = 4 * 1024;

/// How much room chunks may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChunkBounds {
    /// Bytes that they may take on the disk.
    pub quota_bytes: u64,
    /// Bytes that they leave free on it (P9).
    pub reserve_bytes: u64,
}

/// Why chunks could not be kept or read.
#[derive(Debug, thiserror::Error)]
pub enum ChunksError {
    /// There is no room (P9).
    #[error(transparent)]
    Short(#[from] Short),
    /// The file is damaged.
    #[error("{CHUNKS_FILE} is damaged: {0}")]
    Damaged(String),
    /// The disk or SQLite failed.
    #[error("{CHUNKS_FILE} cannot be used: {0}")]
    Failed(String),
    /// The agent is ending.
    #[error("the agent is ending")]
    Closed,
}

/// The chunks of one agent. Opened at the first use: a damaged or full disk must not keep the agent from
/// starting.
pub struct ChunkStore {
    path: PathBuf,
    bounds: ChunkBounds,
    opened: Mutex<Option<Arc<Opened>>>,
    facts: Arc<Facts>,
}

struct Opened {
    writer: Writer,
    /// Rows beyond this one were begun in this life of the agent.
    last_before: i64,
    /// Tells rows of this file from those of one that was set aside.
    life: u64,
}

/// What is known of the file without asking it.
#[derive(Default)]
struct Facts {
    used: AtomicU64,
    unused: AtomicU64,
}

impl Default for ChunkBounds {
    fn default() -> Self {
        Self {
            quota_bytes: 20 << 30,
            reserve_bytes: 1 << 30,
        }
    }
}

impl ChunkStore {
    /// The store in this folder; nothing is opened yet.
    pub fn new(folder: &Path, bounds: ChunkBounds) -> Self {
        Self {
            path: folder.join(CHUNKS_FILE),
            bounds,
            opened: Mutex::new(None),
            facts: Arc::default(),
        }
    }

    /// Bytes that chunks take, as of the last commit; 0 before the first use.
    pub fn used_bytes(&self) -> u64 {
        self.facts.used.load(Ordering::Relaxed)
    }

    /// How much they may take.
    pub fn bounds(&self) -> ChunkBounds {
        self.bounds
    }

    /// The file, opened if it is not. Sets a damaged one aside.
    async fn opened(&self) -> Result<Arc<Opened>, ChunksError> {
        let mut opened = self.opened.lock().await;
        if let Some(opened) = opened.as_ref() {
            return Ok(opened.clone());
        }
        let (path, facts) = (self.path.clone(), self.facts.clone());
        let fresh = tokio::task::spawn_blocking(move || open(&path, &facts, crate::ids::now()));
        let fresh = fresh
            .await
            .unwrap_or_else(|fault| Err(ChunksError::Failed(fault.to_string())))?;
        let fresh = Arc::new(fresh);
        *opened = Some(fresh.clone());
        Ok(fresh)
    }

    /// Runs a job in the writer. Damage that it meets sets the file aside; the next job has a new one.
    async fn write<T: Send + 'static>(
        &self,
        job: impl FnOnce(&Connection) -> Result<T, ChunksError> + Send + 'static,
    ) -> Result<T, ChunksError> {
        let opened = self.opened().await?;
        self.write_in(opened, job).await
    }

    /// The same for a file that is being taken in; fails where what it was taken into was set aside.
    async fn write_of<T: Send + 'static>(
        &self,
        taken: Taken,
        job: impl FnOnce(&Connection) -> Result<T, ChunksError> + Send + 'static,
    ) -> Result<T, ChunksError> {
        let opened = self.opened().await?;
        if opened.life != taken.life {
            return Err(ChunksError::Damaged(
                "what was taken in so far was set aside with it".to_owned(),
            ));
        }
        self.write_in(opened, job).await
    }

    async fn write_in<T: Send + 'static>(
        &self,
        opened: Arc<Opened>,
        job: impl FnOnce(&Connection) -> Result<T, ChunksError> + Send + 'static,
    ) -> Result<T, ChunksError> {
        let facts = self.facts.clone();
        let written = opened
            .writer
            .run(Lane::Bulk, move |connection| {
                let done = job(connection)?;
                facts.read(connection)?;
                Ok::<T, ChunksError>(done)
            })
            .await
            .map_err(ChunksError::from);
        if let Err(ChunksError::Damaged(fault)) = &written {
            self.set_aside(opened, fault).await;
        }
        written
    }

    /// Reads in the writer's thread, before bulk work that waits: the file is its alone. Nothing that is
    /// met here sets the file aside: what can be read of it still is.
    async fn read<T: Send + 'static>(
        &self,
        query: impl FnOnce(&Connection) -> Result<T, ChunksError> + Send + 'static,
    ) -> Result<T, ChunksError> {
        let opened = self.opened().await?;
        Ok(opened.writer.run(Lane::Control, query).await?)
    }

    /// Ends the use of a damaged file and moves it aside. Others that use it finish with errors.
    async fn set_aside(&self, damaged: Arc<Opened>, fault: &str) {
        let mut opened = self.opened.lock().await;
        if !opened
            .as_ref()
            .is_some_and(|current| Arc::ptr_eq(current, &damaged))
        {
            return;
        }
        *opened = None;
        drop(damaged);
        if let Err(fault) = move_aside(&self.path, fault, crate::ids::now()) {
            tracing::error!(error = %fault, "set the damaged {CHUNKS_FILE} aside");
        }
    }
}

impl Facts {
    fn read(&self, connection: &Connection) -> rusqlite::Result<()> {
        let count = |pragma: &str| -> rusqlite::Result<u64> {
            connection
                .prepare_cached(pragma)?
                .query_row([], |row| row.get(0))
                .map(from_sql)
        };
        let unused = count("PRAGMA freelist_count")?;
        let used = count("PRAGMA page_count")?.saturating_sub(unused);
        let page = u64::from(PAGE_BYTES);
        self.used.store(used * page, Ordering::Relaxed);
        self.unused.store(unused * page, Ordering::Relaxed);
        Ok(())
    }
}

const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS chunk (
        id INTEGER PRIMARY KEY,
        prefix INTEGER NOT NULL,
        hash BLOB NOT NULL,
        size INTEGER NOT NULL,
        encoding INTEGER NOT NULL,
        bytes BLOB NOT NULL
    );
    CREATE INDEX IF NOT EXISTS chunk_prefix ON chunk (prefix);
    -- A file without a name is not whole, or is on its way out.
    CREATE TABLE IF NOT EXISTS file (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        name BLOB UNIQUE,
        size INTEGER NOT NULL DEFAULT 0,
        root BLOB,
        count INTEGER NOT NULL DEFAULT 0
    );
    CREATE TABLE IF NOT EXISTS place (
        file INTEGER NOT NULL,
        place INTEGER NOT NULL,
        chunk INTEGER NOT NULL,
        PRIMARY KEY (file, place)
    ) WITHOUT ROWID;
    CREATE INDEX IF NOT EXISTS place_chunk ON place (chunk);
    -- Chunks whose bytes are not what their name says any more; the next copy heals them.
    CREATE TABLE IF NOT EXISTS decayed (chunk INTEGER PRIMARY KEY);
    PRAGMA user_version = 1;
";

/// Files opened by this process.
static LIVES: AtomicU64 = AtomicU64::new(0);

fn settings() -> Settings {
    Settings {
        durability: Durability::Full,
        journaling: Journaling::Rollback,
        page_bytes: PAGE_BYTES,
        cache_kib: CACHE_KIB,
        most_pages: None,
        shrinks: true,
    }
}

fn open(path: &Path, facts: &Facts, now: UnixMillis) -> Result<Opened, ChunksError> {
    if path.exists()
        && let Err(ChunksError::Damaged(fault)) = examine(path)
    {
        move_aside(path, &fault, now).map_err(|fault| ChunksError::Failed(fault.to_string()))?;
    }
    let mut last_before = 0;
    let writer = Writer::start(path, &settings(), |connection| {
        connection.execute_batch(TABLES)?;
        last_before = connection.query_row("SELECT coalesce(max(id), 0) FROM file", [], |row| {
            row.get(0)
        })?;
        facts.read(connection)?;
        Ok::<(), ChunksError>(())
    })?;
    Ok(Opened {
        writer,
        last_before,
        life: LIVES.fetch_add(1, Ordering::Relaxed),
    })
}

/// The pages that taking in needs: schema and the ends of the tables.
fn examine(path: &Path) -> Result<(), ChunksError> {
    let connection = open_writer(path, &settings())?;
    connection.execute_batch(TABLES)?;
    for sql in [
        "SELECT max(id) FROM chunk",
        "SELECT max(prefix) FROM chunk",
        "SELECT max(id) FROM file",
        "SELECT max(file) FROM place",
        "SELECT max(chunk) FROM place",
    ] {
        connection.query_row(sql, [], |_| Ok(()))?;
    }
    Ok(())
}

fn move_aside(path: &Path, fault: &str, now: UnixMillis) -> std::io::Result<()> {
    let aside = path.with_file_name(format!("chunks.damaged-{}.db", now.0));
    tracing::error!(
        fault,
        aside = %aside.display(),
        "{CHUNKS_FILE} is damaged and was set aside; files that were in it must be attached again"
    );
    std::fs::rename(path, &aside)?;
    let side = |path: &Path| {
        let mut name = path.as_os_str().to_owned();
        name.push("-journal");
        PathBuf::from(name)
    };
    if side(path).exists() {
        std::fs::rename(side(path), side(&aside))?;
    }
    Ok(())
}

impl From<rusqlite::Error> for ChunksError {
    fn from(fault: rusqlite::Error) -> Self {
        match fault.sqlite_error_code() {
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                Self::Damaged(fault.to_string())
            }
            Some(ErrorCode::DiskFull) => Self::Short(Short::Disk),
            _ => Self::Failed(fault.to_string()),
        }
    }
}

impl From<OpenError> for ChunksError {
    fn from(fault: OpenError) -> Self {
        match fault {
            OpenError::Sqlite { source, .. } => source.into(),
            other @ OpenError::SqliteTooOld(_) => Self::Failed(other.to_string()),
        }
    }
}

impl From<std::io::Error> for ChunksError {
    fn from(fault: std::io::Error) -> Self {
        Self::Failed(fault.to_string())
    }
}

impl From<CommitError> for ChunksError {
    fn from(fault: CommitError) -> Self {
        match fault {
            CommitError::Full { .. } => Self::Short(Short::Disk),
            CommitError::Failed { fault, .. } => Self::Failed(fault),
            CommitError::Closed => Self::Closed,
        }
    }
}

impl From<JobError<Self>> for ChunksError {
    fn from(fault: JobError<Self>) -> Self {
        match fault {
            JobError::Job(own) => own,
            JobError::Commit(failed) => failed.into(),
        }
    }
}
