//! Taking a file in: an unfinished file, chunks behind one another, and the commit that makes it whole.

use std::sync::Arc;

use branchline_protocol::id::FileId;
use branchline_protocol::manifest::ChunkRef;
use rusqlite::{Connection, OptionalExtension};

use crate::chunker::{FinishedChunk, Whole};
use crate::store::to_sql;

use super::{ChunkStore, ChunksError, room};

/// A file that is being taken in, or is whole and has no name yet. Whoever gives it up tells
/// [`ChunkStore::discard`]; what is forgotten is collected at the next start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Taken {
    pub(super) row: i64,
    pub(super) life: u64,
}

impl ChunkStore {
    /// Whether this many bytes more would fit; asked before anything is taken in.
    pub async fn check_room(&self, bytes: u64) -> Result<(), ChunksError> {
        self.opened().await?;
        Ok(room::check(&self.path, self.bounds, &self.facts, bytes)?)
    }

    /// Begins a file.
    pub async fn begin(&self) -> Result<Taken, ChunksError> {
        let opened = self.opened().await?;
        let life = opened.life;
        let begin = move |connection: &Connection| {
            connection
                .prepare_cached("INSERT INTO file DEFAULT VALUES")?
                .execute([])?;
            let row = connection.last_insert_rowid();
            Ok(Taken { row, life })
        };
        self.write_in(opened, begin).await
    }

    /// Puts chunks behind those that the file has: the first of them at place `from`. The commit is
    /// synced. Those that are here already are not kept again, but one that had decayed is healed;
    /// answers which.
    pub async fn add(
        &self,
        taken: Taken,
        from: u32,
        chunks: Arc<Vec<FinishedChunk>>,
    ) -> Result<Vec<ChunkRef>, ChunksError> {
        let bytes = chunks.iter().map(|one| one.stored.len() as u64).sum();
        self.opened().await?;
        room::check(&self.path, self.bounds, &self.facts, bytes)?;
        self.write_of(taken, move |connection| {
            let any_decayed = any_decayed(connection)?;
            let mut healed = Vec::new();
            for (place, chunk) in (i64::from(from)..).zip(chunks.iter()) {
                let id = match find(connection, chunk.chunk)? {
                    Some(id) => {
                        if any_decayed && heal(connection, id, chunk)? {
                            healed.push(chunk.chunk);
                        }
                        id
                    }
                    None => insert(connection, chunk)?,
                };
                connection
                    .prepare_cached("INSERT INTO place (file, place, chunk) VALUES (?1, ?2, ?3)")?
                    .execute((taken.row, place, id))?;
            }
            Ok(healed)
        })
        .await
    }

    /// Makes the file whole and gives it its name. A file that had the name before was an orphan, and
    /// loses it. An `Ok` is durable.
    pub async fn complete(
        &self,
        taken: Taken,
        name: FileId,
        whole: Whole,
    ) -> Result<(), ChunksError> {
        self.write_of(taken, move |connection| {
            connection
                .prepare_cached("UPDATE file SET name = NULL WHERE name = ?1")?
                .execute([name.as_bytes()])?;
            let named = connection
                .prepare_cached(
                    "UPDATE file SET name = ?1, size = ?2, root = ?3, count = ?4 WHERE id = ?5",
                )?
                .execute((
                    name.as_bytes(),
                    to_sql(whole.size),
                    whole.root.0,
                    whole.count,
                    taken.row,
                ))?;
            if named == 1 {
                Ok(())
            } else {
                Err(ChunksError::Failed("the file taken in is gone".to_owned()))
            }
        })
        .await
    }
}

/// The chunk's row, if it is here.
pub(super) fn find(connection: &Connection, chunk: ChunkRef) -> rusqlite::Result<Option<i64>> {
    connection
        .prepare_cached(
            "SELECT id FROM chunk WHERE prefix = ?1 AND hash = ?2 AND size = ?3 LIMIT 1",
        )?
        .query_row((prefix(chunk), chunk.hash().0, chunk.size()), |row| {
            row.get(0)
        })
        .optional()
}

fn any_decayed(connection: &Connection) -> rusqlite::Result<bool> {
    connection
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM decayed)")?
        .query_row([], |row| row.get(0))
}

/// Writes a chunk that had decayed again. Answers whether it had.
fn heal(connection: &Connection, id: i64, chunk: &FinishedChunk) -> rusqlite::Result<bool> {
    let decayed = connection
        .prepare_cached("DELETE FROM decayed WHERE chunk = ?1")?
        .execute([id])?;
    if decayed == 0 {
        return Ok(false);
    }
    connection
        .prepare_cached("UPDATE chunk SET encoding = ?1, bytes = ?2 WHERE id = ?3")?
        .execute((chunk.encoding.to_byte(), chunk.stored.as_ref(), id))?;
    Ok(true)
}

fn insert(connection: &Connection, chunk: &FinishedChunk) -> rusqlite::Result<i64> {
    connection
        .prepare_cached(
            "INSERT INTO chunk (prefix, hash, size, encoding, bytes) VALUES (?1, ?2, ?3, ?4, ?5)",
        )?
        .execute((
            prefix(chunk.chunk),
            chunk.chunk.hash().0,
            chunk.chunk.size(),
            chunk.encoding.to_byte(),
            chunk.stored.as_ref(),
        ))?;
    Ok(connection.last_insert_rowid())
}

/// The first eight bytes of the hash.
fn prefix(chunk: ChunkRef) -> i64 {
    let hash = chunk.hash().0;
    let first = hash.first_chunk::<8>().copied().unwrap_or_default();
    i64::from_be_bytes(first)
}
