//! Reading chunks, each proven against its name before anybody gets it (P4).

use branchline_protocol::frame::Encoding;
use branchline_protocol::id::{Digest, FileId};
use branchline_protocol::limits;
use branchline_protocol::manifest::ChunkRef;
use rusqlite::{Connection, OptionalExtension};

use super::taking::find;
use super::{ChunkStore, ChunksError};

/// A chunk as stored, or word that it is not there any more.
#[derive(Debug, Clone)]
pub struct Verified {
    /// The chunk asked for.
    pub chunk: ChunkRef,
    /// How it is stored.
    pub encoding: Encoding,
    /// Its bytes as stored; `None` where they are missing or are not what the name says.
    pub stored: Option<Vec<u8>>,
}

impl ChunkStore {
    /// The root and count of a whole file, or `None` where there is none of this name.
    pub async fn whole(&self, name: FileId) -> Result<Option<(Digest, u32)>, ChunksError> {
        self.read(move |connection| {
            let found = connection
                .prepare_cached("SELECT root, count FROM file WHERE name = ?1")?
                .query_row([name.as_bytes()], |row| {
                    Ok((Digest(row.get(0)?), row.get(1)?))
                });
            Ok(found.optional()?)
        })
        .await
    }

    /// Which of these files are whole here, with their root and count.
    pub async fn wholes(
        &self,
        names: Vec<FileId>,
    ) -> Result<Vec<Option<(Digest, u32)>>, ChunksError> {
        self.read(move |connection| {
            let mut statement =
                connection.prepare_cached("SELECT root, count FROM file WHERE name = ?1")?;
            let mut found = Vec::new();
            for name in names {
                let one = statement.query_row([name.as_bytes()], |row| {
                    Ok((Digest(row.get(0)?), row.get(1)?))
                });
                found.push(one.optional()?);
            }
            Ok(found)
        })
        .await
    }

    /// The chunks of a file from a place on, at most `most`, in order.
    pub async fn chunks_of(
        &self,
        name: FileId,
        from: u32,
        most: usize,
    ) -> Result<Vec<ChunkRef>, ChunksError> {
        self.read(move |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT chunk.hash, chunk.size FROM place JOIN chunk ON chunk.id = place.chunk
                 WHERE place.file = (SELECT id FROM file WHERE name = ?1) AND place.place >= ?2
                 ORDER BY place.place LIMIT ?3",
            )?;
            let most = i64::try_from(most).unwrap_or(i64::MAX);
            let rows = statement.query_map((name.as_bytes(), from, most), |row| {
                Ok(ChunkRef(Digest(row.get(0)?), row.get(1)?))
            })?;
            Ok(rows.collect::<rusqlite::Result<_>>()?)
        })
        .await
    }

    /// Chunks as stored, in the order asked for.
    pub async fn load(&self, chunks: Vec<ChunkRef>) -> Result<Vec<Verified>, ChunksError> {
        let read = self.read(move |connection| {
            let loaded = chunks.into_iter().map(|one| load(connection, one));
            loaded.collect::<Result<Vec<Verified>, ChunksError>>()
        });
        let mut loaded = read.await?;
        let verify = move || {
            for one in &mut loaded {
                let stored = one.stored.take();
                one.stored = stored.filter(|stored| is_sound(one.chunk, one.encoding, stored));
            }
            loaded
        };
        tokio::task::spawn_blocking(verify)
            .await
            .map_err(|fault| ChunksError::Failed(fault.to_string()))
    }

    /// Remembers that a chunk has decayed, so that the next copy of it heals it. Answers which whole files
    /// have it, at most a thousand.
    pub async fn note_decayed(&self, chunk: ChunkRef) -> Result<Vec<FileId>, ChunksError> {
        self.write(move |connection| {
            let Some(id) = find(connection, chunk)? else {
                return Ok(Vec::new());
            };
            connection
                .prepare_cached("INSERT OR IGNORE INTO decayed (chunk) VALUES (?1)")?
                .execute([id])?;
            Ok(files_with(connection, id)?)
        })
        .await
    }

    /// The whole files that have this chunk and none that has decayed, at most a thousand.
    pub async fn sound_files_with(&self, chunk: ChunkRef) -> Result<Vec<FileId>, ChunksError> {
        self.read(move |connection| {
            let Some(id) = find(connection, chunk)? else {
                return Ok(Vec::new());
            };
            let mut sound = Vec::new();
            for name in files_with(connection, id)? {
                let decayed: bool = connection
                    .prepare_cached(
                        "SELECT EXISTS (SELECT 1 FROM decayed
                         JOIN place ON place.chunk = decayed.chunk
                         JOIN file ON file.id = place.file WHERE file.name = ?1)",
                    )?
                    .query_row([name.as_bytes()], |row| row.get(0))?;
                if !decayed {
                    sound.push(name);
                }
            }
            Ok(sound)
        })
        .await
    }
}

/// Files that are told of at once when a chunk decays or heals; more wait for their own reading.
const FILES_TOLD: u32 = 1_000;

fn files_with(connection: &Connection, chunk: i64) -> rusqlite::Result<Vec<FileId>> {
    let mut statement = connection.prepare_cached(
        "SELECT DISTINCT file.name FROM place JOIN file ON file.id = place.file
         WHERE place.chunk = ?1 AND file.name IS NOT NULL LIMIT ?2",
    )?;
    let rows = statement.query_map((chunk, FILES_TOLD), |row| {
        Ok(FileId::from_bytes(row.get::<_, [u8; 16]>(0)?))
    })?;
    rows.collect()
}

/// Not verified yet.
fn load(connection: &Connection, chunk: ChunkRef) -> Result<Verified, ChunksError> {
    let read = read(connection, chunk);
    let (encoding, stored) = match read {
        Ok(Some((encoding, stored))) => (encoding, Some(stored)),
        Ok(None) => (Encoding::Plain, None),
        Err(fault) => match ChunksError::from(fault) {
            // Pages that decayed take this chunk with them and no other.
            ChunksError::Damaged(_) => (Encoding::Plain, None),
            other => return Err(other),
        },
    };
    Ok(Verified {
        chunk,
        encoding,
        stored,
    })
}

fn read(connection: &Connection, chunk: ChunkRef) -> rusqlite::Result<Option<(Encoding, Vec<u8>)>> {
    let Some(id) = find(connection, chunk)? else {
        return Ok(None);
    };
    connection
        .prepare_cached("SELECT encoding, bytes FROM chunk WHERE id = ?1")?
        .query_row([id], |row| {
            let encoding: Option<u8> = row.get(0).ok();
            let stored: Option<Vec<u8>> = row.get(1).ok();
            Ok(encoding.and_then(Encoding::from_byte).zip(stored))
        })
        .optional()
        .map(Option::flatten)
}

/// Whether these are the bytes that the name says.
pub(super) fn is_sound(chunk: ChunkRef, encoding: Encoding, stored: &[u8]) -> bool {
    let size = chunk.size() as usize;
    if size > limits::CHUNK_MOST_BYTES as usize {
        return false;
    }
    match encoding {
        Encoding::Plain => ChunkRef::of(stored) == chunk,
        Encoding::Zstd => zstd::bulk::decompress(stored, size)
            .is_ok_and(|plain| stored.len() < size && ChunkRef::of(&plain) == chunk),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunk_that_lies_is_not_sound() {
        let bytes = vec![5; 40_000];
        let chunk = ChunkRef::of(&bytes);
        let squeezed = zstd::bulk::compress(&bytes, 3).unwrap();
        assert!(is_sound(chunk, Encoding::Plain, &bytes));
        assert!(is_sound(chunk, Encoding::Zstd, &squeezed));
        let bomb = zstd::bulk::compress(&vec![5; 40_000_000], 3).unwrap();
        assert!(!is_sound(chunk, Encoding::Zstd, &bomb));
        assert!(!is_sound(chunk, Encoding::Zstd, &bytes));
        assert!(!is_sound(chunk, Encoding::Plain, &squeezed));
    }
}
