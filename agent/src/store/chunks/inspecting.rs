//! Looking into `chunks.db` from outside, for IT: whether what waits for central is there and sound.
//! Changes nothing. The running agent has the file for itself, so that this is for when it does not run.

use std::path::Path;
use std::time::Duration;

use branchline_protocol::frame::Encoding;
use branchline_protocol::id::{Digest, FileId};
use branchline_protocol::manifest::ChunkRef;
use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension};
use serde::Serialize;

use super::reading::is_sound;
use super::{CHUNKS_FILE, ChunksError};

/// How long another process's lock is waited for: an agent that runs keeps it.
const LOCK_WAIT: Duration = Duration::from_millis(300);

/// `chunks.db`, opened for reading.
pub struct ChunkInspection {
    connection: Connection,
}

/// Why there is nothing to look into.
#[derive(Debug, thiserror::Error)]
pub enum NotInspected {
    /// No file was ever taken in.
    #[error("no file was taken in yet")]
    NotThere,
    /// The agent has it.
    #[error("the agent runs and has {CHUNKS_FILE} for itself")]
    InUse,
    /// It cannot be read.
    #[error(transparent)]
    Chunks(#[from] ChunksError),
}

/// How the content of one file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Content {
    /// All of it is there, and what was read of it is what its names say.
    Sound,
    /// Some of it is not there.
    Missing,
    /// Some of it is not what its name says.
    Damaged,
}

impl ChunkInspection {
    /// Opens the file in a data folder, and sees that its tables can be read.
    pub fn open(folder: &Path) -> Result<Self, NotInspected> {
        let path = folder.join(CHUNKS_FILE);
        if !path.exists() {
            return Err(NotInspected::NotThere);
        }
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&path, flags).map_err(not_read)?;
        connection.busy_timeout(LOCK_WAIT).map_err(not_read)?;
        connection
            .pragma_update(None, "query_only", true)
            .map_err(not_read)?;
        // Between the making of the file and of its tables an agent that has just started holds no lock.
        let tables: u32 = connection
            .query_row("SELECT count(*) FROM sqlite_master", [], |row| row.get(0))
            .map_err(not_read)?;
        if tables == 0 {
            return Err(NotInspected::NotThere);
        }
        for sql in [
            "SELECT max(id) FROM chunk",
            "SELECT max(id) FROM file",
            "SELECT max(file) FROM place",
            "SELECT max(chunk) FROM decayed",
        ] {
            let read = connection.query_row(sql, [], |_| Ok(()));
            read.map_err(not_read)?;
        }
        Ok(Self { connection })
    }

    /// Whether a file's chunks are there, and none is known to have decayed. Reads none of them.
    pub fn glance(&self, file: FileId) -> Result<Content, ChunksError> {
        let Some((row, count)) = self.find(file)? else {
            return Ok(Content::Missing);
        };
        let (there, decayed): (u32, u32) = self
            .connection
            .prepare_cached(
                "SELECT count(chunk.id), count(decayed.chunk) FROM place
                 LEFT JOIN chunk ON chunk.id = place.chunk
                 LEFT JOIN decayed ON decayed.chunk = place.chunk
                 WHERE place.file = ?1",
            )?
            .query_row([row], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(if there != count {
            Content::Missing
        } else if decayed > 0 {
            Content::Damaged
        } else {
            Content::Sound
        })
    }

    /// The same, having read each chunk and compared it with its name. `chunks` counts them.
    pub fn verify(&self, file: FileId, chunks: &mut u64) -> Result<Content, ChunksError> {
        let seen = self.glance(file)?;
        let Some((row, _)) = self.find(file)? else {
            return Ok(seen);
        };
        if seen != Content::Sound {
            return Ok(seen);
        }
        let mut statement = self.connection.prepare_cached(
            "SELECT chunk.hash, chunk.size, chunk.encoding, chunk.bytes
             FROM place JOIN chunk ON chunk.id = place.chunk
             WHERE place.file = ?1 ORDER BY place.place",
        )?;
        let mut rows = statement.query([row])?;
        loop {
            let sound = match rows.next() {
                Ok(None) => return Ok(Content::Sound),
                Ok(Some(row)) => is_row_sound(row),
                Err(fault) => match fault.into() {
                    // Its pages cannot be read.
                    ChunksError::Damaged(_) => false,
                    other => return Err(other),
                },
            };
            *chunks += 1;
            if !sound {
                return Ok(Content::Damaged);
            }
        }
    }

    fn find(&self, file: FileId) -> Result<Option<(i64, u32)>, ChunksError> {
        let found = self
            .connection
            .prepare_cached("SELECT id, count FROM file WHERE name = ?1")?
            .query_row([file.as_bytes()], |row| Ok((row.get(0)?, row.get(1)?)));
        Ok(found.optional()?)
    }
}

fn is_row_sound(row: &rusqlite::Row<'_>) -> bool {
    let read = || -> rusqlite::Result<(ChunkRef, Option<Encoding>, Vec<u8>)> {
        let chunk = ChunkRef(Digest(row.get(0)?), row.get(1)?);
        Ok((chunk, Encoding::from_byte(row.get(2)?), row.get(3)?))
    };
    match read() {
        Ok((chunk, Some(encoding), stored)) => is_sound(chunk, encoding, &stored),
        _ => false,
    }
}

fn not_read(fault: rusqlite::Error) -> NotInspected {
    match fault.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => NotInspected::InUse,
        _ => NotInspected::Chunks(fault.into()),
    }
}
