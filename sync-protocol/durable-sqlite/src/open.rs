//! Opening a database file with the settings that the promises need, and nothing left to defaults.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

/// The oldest SQLite that may be linked, as `SQLITE_VERSION_NUMBER`.
pub const LEAST_SQLITE: i32 = 3_051_003;

/// What a commit guarantees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// Synced before it returns: survives power loss (P1, P3).
    Full,
    /// Synced at checkpoints: survives a crash of the process, and a power loss may take the last
    /// commits. For what can be made again.
    Normal,
}

/// How a commit becomes one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Journaling {
    /// Changes go into a log and later into the file: the fewest syncs, and every byte written twice.
    /// For many small commits.
    Wal,
    /// What is overwritten is kept aside until the commit, and what is added goes to its place at once:
    /// every new byte is written once, at the price of three or four syncs a commit. For few large
    /// commits. The connection has the file for itself: nobody else can read it meanwhile.
    Rollback,
}

/// How a file is opened.
#[derive(Debug, Clone)]
pub struct Settings {
    /// What a commit guarantees.
    pub durability: Durability,
    /// How it does.
    pub journaling: Journaling,
    /// Bytes of a page of a new file; 4 KiB unless said.
    pub page_bytes: u32,
    /// Page cache per connection, in KiB (P8).
    pub cache_kib: u32,
    /// Pages at which the file is full, if bounded (P8).
    pub most_pages: Option<u32>,
    /// Whether a new file can be made smaller again by `PRAGMA incremental_vacuum`.
    pub shrinks: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            durability: Durability::Full,
            journaling: Journaling::Wal,
            page_bytes: 4_096,
            cache_kib: 2_048,
            most_pages: None,
            shrinks: false,
        }
    }
}

/// Why a file could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The program was built with a SQLite that loses data.
    #[error("the SQLite linked is {0}, and versions before 3.51.3 can lose commits; rebuild")]
    SqliteTooOld(&'static str),
    /// SQLite says no.
    #[error("open {path}: {source}")]
    Sqlite {
        /// The file.
        path: PathBuf,
        /// What SQLite said.
        source: rusqlite::Error,
    },
}

/// The log beside the file is cut back to this when it is reset, so that one burst does not keep the disk
/// (WAL files grew to 115 GB elsewhere: codebase-memory-mcp#1137).
const LOG_BYTES_KEPT: u32 = 16 * 1024 * 1024;
/// How long a statement waits for another process's lock before it fails.
const LOCK_WAIT: Duration = Duration::from_secs(10);
/// Prepared statements kept per connection: all that either store has.
const STATEMENTS_KEPT: usize = 128;

/// Opens the file for writing, makes it if it is missing, and recovers it if it was left in use.
pub fn open_writer(path: &Path, settings: &Settings) -> Result<Connection, OpenError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE;
    let connection = open(path, flags, settings)?;
    let synchronous = match settings.durability {
        Durability::Full => "FULL",
        Durability::Normal => "NORMAL",
    };
    let pragmas = || -> rusqlite::Result<()> {
        // These two have an effect on a file that holds nothing yet, and none on others.
        connection.pragma_update(None, "page_size", settings.page_bytes)?;
        if settings.shrinks {
            connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
        }
        let mode = match settings.journaling {
            Journaling::Wal => "WAL",
            Journaling::Rollback => {
                // Its header is overwritten and synced at the commit: no file is made, removed, opened
                // or cut, so that the folder need not be synced either.
                connection.pragma_update_and_check(
                    None,
                    "locking_mode",
                    "EXCLUSIVE",
                    |_| Ok(()),
                )?;
                "PERSIST"
            }
        };
        connection.pragma_update_and_check(None, "journal_mode", mode, |_| Ok(()))?;
        connection.pragma_update(None, "synchronous", synchronous)?;
        connection.pragma_update_and_check(None, "wal_autocheckpoint", 0, |_| Ok(()))?;
        connection
            .pragma_update_and_check(None, "journal_size_limit", LOG_BYTES_KEPT, |_| Ok(()))?;
        if let Some(pages) = settings.most_pages {
            connection.pragma_update_and_check(None, "max_page_count", pages, |_| Ok(()))?;
        }
        connection.pragma_update(None, "foreign_keys", "OFF")
    };
    pragmas().map_err(|source| OpenError::Sqlite {
        path: path.to_owned(),
        source,
    })?;
    Ok(connection)
}

/// Opens an existing file for reading. The connection refuses to write and does not checkpoint.
pub fn open_reader(path: &Path, settings: &Settings) -> Result<Connection, OpenError> {
    let connection = open(path, OpenFlags::SQLITE_OPEN_READ_WRITE, settings)?;
    connection
        .pragma_update(None, "query_only", true)
        .and_then(|()| {
            connection.set_db_config(
                rusqlite::config::DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE,
                true,
            )
        })
        .map_err(|source| OpenError::Sqlite {
            path: path.to_owned(),
            source,
        })?;
    Ok(connection)
}

fn open(path: &Path, flags: OpenFlags, settings: &Settings) -> Result<Connection, OpenError> {
    if rusqlite::version_number() < LEAST_SQLITE {
        return Err(OpenError::SqliteTooOld(rusqlite::version()));
    }
    let at = |source| OpenError::Sqlite {
        path: path.to_owned(),
        source,
    };
    let flags = flags | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(at)?;
    connection.busy_timeout(LOCK_WAIT).map_err(at)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_KEPT);
    let cache = -i64::from(settings.cache_kib);
    connection
        .pragma_update(None, "cache_size", cache)
        .map_err(at)?;
    connection
        .pragma_update(None, "temp_store", "MEMORY")
        .map_err(at)?;
    Ok(connection)
}
