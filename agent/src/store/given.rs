//! Files that central gave with replies: which are wanted, and which are here.
//!
//! On the way back: feed → **store** → sync fetches them → local API. Invariants:
//! - A file is known in the commit that keeps its reply.
//! - They have a part of the quota for files; where it is full, the oldest make room, and say so.
//! - Bytes lie in `given/` of the data folder: `ID.part` while they come, `ID` once the whole was proven by its
//!   root and synced (P4). Only then is the file `here`, and nothing else is ever read out of it.
//!
//! Recovery: a part goes on from its length; a whole file that a crash left without its note is proven again
//! and noted.

use std::path::PathBuf;

use branchline_durable_sqlite::Lane;
use branchline_protocol::desk::OfferedFile;
use branchline_protocol::id::{Digest, FileId};
use rusqlite::{Connection, OptionalExtension, Row};

use super::{Store, StoreError, from_sql, to_sql};

/// Files that are known at most; more are not fetched.
const FILES_MOST: u64 = 10_000;
/// The folder in the data folder.
const FOLDER: &str = "given";
/// The part of the quota for files that these may take.
const PART_OF_QUOTA: u64 = 4;

/// How it stands with such a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// To be fetched.
    Wanted,
    /// Whole and proven.
    Here,
    /// Central does not give it any more.
    Refused,
    /// It was here, and made room for newer ones.
    Gone,
}

impl Standing {
    fn word(self) -> &'static str {
        match self {
            Self::Wanted => "wanted",
            Self::Here => "here",
            Self::Refused => "refused",
            Self::Gone => "gone",
        }
    }
}

impl Store {
    /// Files that are to be fetched, small ones first.
    pub async fn given_wanted(&self, most: u32) -> Result<Vec<OfferedFile>, StoreError> {
        self.read(move |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT id, name, size, root FROM given WHERE standing = 'wanted'
                 ORDER BY size LIMIT ?1",
            )?;
            let rows = statement.query_map([most], file)?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
        .await
    }

    /// One file, and how it stands.
    pub async fn given(&self, id: FileId) -> Result<Option<(OfferedFile, Standing)>, StoreError> {
        self.read(move |connection| {
            let found = connection
                .prepare_cached("SELECT id, name, size, root, standing FROM given WHERE id = ?1")?
                .query_row([id.as_bytes()], |row| {
                    let standing = match row.get_ref(4)?.as_str()? {
                        "here" => Standing::Here,
                        "refused" => Standing::Refused,
                        "gone" => Standing::Gone,
                        _ => Standing::Wanted,
                    };
                    Ok((file(row)?, standing))
                })
                .optional()?;
            Ok(found)
        })
        .await
    }

    /// The file that has been given longest of those that are here: ids follow the time.
    pub async fn given_oldest(&self) -> Result<Option<FileId>, StoreError> {
        self.read(|connection| {
            let oldest = connection
                .prepare_cached("SELECT id FROM given WHERE standing = 'here' ORDER BY id LIMIT 1")?
                .query_row([], |row| row.get(0))
                .optional()?;
            Ok(oldest.map(FileId::from_bytes))
        })
        .await
    }

    /// Notes what became of it.
    pub async fn note_given(&self, id: FileId, standing: Standing) -> Result<(), StoreError> {
        let write = move |connection: &Connection| {
            connection
                .prepare_cached("UPDATE given SET standing = ?2 WHERE id = ?1")?
                .execute((id.as_bytes(), standing.word()))
        };
        self.writer.run(Lane::Bulk, write).await?;
        Ok(())
    }

    /// Where the whole file lies, once it is here.
    pub fn given_path(&self, id: FileId) -> PathBuf {
        self.given_folder().join(id.to_string())
    }

    /// Where they all lie.
    pub fn given_folder(&self) -> PathBuf {
        self.settings.folder.join(FOLDER)
    }

    /// Bytes that they may take together, and bytes of the disk to be left free (P9).
    pub fn given_bounds(&self) -> (u64, u64) {
        let chunks = &self.settings.chunks;
        (chunks.quota_bytes / PART_OF_QUOTA, chunks.reserve_bytes)
    }

    /// Resolves when central may have given something.
    pub async fn given_news(&self) {
        self.given.notified().await;
    }
}

fn file(row: &Row<'_>) -> rusqlite::Result<OfferedFile> {
    Ok(OfferedFile {
        file: FileId::from_bytes(row.get(0)?),
        name: row.get(1)?,
        size: from_sql(row.get(2)?),
        root: Digest(row.get(3)?),
    })
}

/// From now on the file is wanted, unless it is here. Given again, it is asked for again.
pub(super) fn keep(
    connection: &Connection,
    serial: u32,
    files: &[OfferedFile],
) -> rusqlite::Result<()> {
    for file in files {
        let known: i64 =
            connection.query_row("SELECT count(*) FROM given", [], |row| row.get(0))?;
        if from_sql(known) >= FILES_MOST {
            return Ok(());
        }
        connection
            .prepare_cached(
                "INSERT INTO given (id, serial, name, size, root) VALUES (?1, ?2, ?3, ?4, ?5)
                 ON CONFLICT (id) DO UPDATE SET standing = 'wanted'
                     WHERE standing IN ('refused', 'gone')",
            )?
            .execute((
                file.file.as_bytes(),
                serial,
                &file.name,
                to_sql(file.size),
                file.root.0,
            ))?;
    }
    Ok(())
}
