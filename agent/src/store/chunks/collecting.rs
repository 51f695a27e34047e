//! Giving room back: files that nobody needs any more, and the chunks that only they had. In slices, so
//! that nothing waits long behind it (P7).

use branchline_protocol::id::FileId;
use rusqlite::{Connection, OptionalExtension};

use super::{ChunkStore, ChunksError, Taken, room};

/// Places taken away in one commit: some ten megabytes of chunks.
const PLACES_AT_ONCE: u32 = 128;
/// Pages given back to the disk in one commit.
const PAGES_AT_ONCE: u32 = 256;
/// Names in one answer.
const NAMES_AT_ONCE: u32 = 200;

impl ChunkStore {
    /// Gives a file up that was being taken in. Its chunks go with [`ChunkStore::collect`].
    pub async fn discard(&self, taken: Taken) -> Result<(), ChunksError> {
        self.write_of(taken, move |connection| {
            connection
                .prepare_cached("UPDATE file SET name = NULL, root = x'' WHERE id = ?1")?
                .execute([taken.row])?;
            Ok(())
        })
        .await
    }

    /// Takes a whole file's name away. Its chunks go with [`ChunkStore::collect`].
    pub async fn forget(&self, name: FileId) -> Result<(), ChunksError> {
        self.write(move |connection| {
            connection
                .prepare_cached("UPDATE file SET name = NULL, root = x'' WHERE name = ?1")?
                .execute([name.as_bytes()])?;
            Ok(())
        })
        .await
    }

    /// The same for a whole file from before this start of the agent. One that was taken in again since,
    /// under the same name, stays.
    pub async fn forget_earlier(&self, name: FileId) -> Result<(), ChunksError> {
        let last_before = self.opened().await?.last_before;
        self.write(move |connection| {
            connection
                .prepare_cached(
                    "UPDATE file SET name = NULL, root = x'' WHERE name = ?1 AND id <= ?2",
                )?
                .execute((name.as_bytes(), last_before))?;
            Ok(())
        })
        .await
    }

    /// Whole files from before this start of the agent, after this one, in the order of their names. At
    /// most a slice of them; none means the end.
    pub async fn names_before(&self, after: Option<FileId>) -> Result<Vec<FileId>, ChunksError> {
        let last_before = self.opened().await?.last_before;
        self.read(move |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT name FROM file WHERE name > ?1 AND id <= ?2 ORDER BY name LIMIT ?3",
            )?;
            let after = after.map_or_else(Vec::new, |after| after.as_bytes().to_vec());
            let rows = statement.query_map((after, last_before, NAMES_AT_ONCE), |row| {
                Ok(FileId::from_bytes(row.get::<_, [u8; 16]>(0)?))
            })?;
            Ok(rows.collect::<rusqlite::Result<_>>()?)
        })
        .await
    }

    /// Takes away a slice of what nobody needs: unfinished files of an earlier life, files given up, and
    /// files that lost their name. Answers whether there is more.
    pub async fn collect(&self) -> Result<bool, ChunksError> {
        let last_before = self.opened().await?.last_before;
        self.write(move |connection| Ok(collect(connection, last_before)?))
            .await
    }

    /// Gives a slice of unused pages back to the disk. Answers whether there is more.
    pub async fn shrink(&self) -> Result<bool, ChunksError> {
        self.write(|connection| room::shrink(connection, PAGES_AT_ONCE))
            .await
    }
}

fn collect(connection: &Connection, last_before: i64) -> rusqlite::Result<bool> {
    // A file of this life that has neither name nor root is being taken in right now.
    let file: Option<i64> = connection
        .prepare_cached(
            "SELECT id FROM file WHERE name IS NULL AND (id <= ?1 OR root IS NOT NULL) LIMIT 1",
        )?
        .query_row([last_before], |row| row.get(0))
        .optional()?;
    let Some(file) = file else { return Ok(false) };
    let places: Vec<(i64, i64)> = connection
        .prepare_cached(
            "SELECT place, chunk FROM place WHERE file = ?1 ORDER BY place DESC LIMIT ?2",
        )?
        .query_map((file, PLACES_AT_ONCE), |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<rusqlite::Result<_>>()?;
    for &(place, chunk) in &places {
        connection
            .prepare_cached("DELETE FROM place WHERE file = ?1 AND place = ?2")?
            .execute((file, place))?;
        let gone = connection
            .prepare_cached(
                "DELETE FROM chunk WHERE id = ?1
                 AND NOT EXISTS (SELECT 1 FROM place WHERE chunk = ?1)",
            )?
            .execute([chunk])?;
        if gone > 0 {
            connection
                .prepare_cached("DELETE FROM decayed WHERE chunk = ?1")?
                .execute([chunk])?;
        }
    }
    if places.len() < PLACES_AT_ONCE as usize {
        connection
            .prepare_cached("DELETE FROM file WHERE id = ?1")?
            .execute([file])?;
    }
    Ok(true)
}
