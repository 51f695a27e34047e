//! What was taken from drop folders: filed with its memory in one commit, so that nothing is filed
//! twice.
//!
//! Invariants:
//! - A ticket from a drop folder, its files' operations, and the memory of those files are one commit.
//!   A kill before it leaves the files to be taken again; after it they are known.
//! - One row per folder and name: the last content that was filed under this name, and how the file
//!   looked then. A file that looks so still is not even read again; one that looks different is read,
//!   and filed if its content is different.
//! - Operations have ids that follow from folder, name, content and time, so that an agent that lost
//!   this memory (restored from an old image) asks for the same operations again, which changes nothing.
//! - Bounded ([`REMEMBERED_FILES`] per folder). The oldest is forgotten first, and only files that have
//!   left the folder are: a folder full of files that must be remembered takes no more (P8).

use std::collections::HashMap;

use branchline_agent_api::OperationSaved;
use branchline_durable_sqlite::{JobError, Lane, crash_point};
use branchline_protocol::id::{Digest, FileId, OperationId, TicketNumber};
use branchline_protocol::operation::Reporter;
use branchline_protocol::time::LocalTime;
use rusqlite::{Connection, OptionalExtension, Row};

use crate::chunker::Whole;
use crate::platform::FilePrint;

use super::chunks::Taken;
use super::files::AttachError;
use super::filing::{self, Ask, Filing, FilingError, TicketDraft};
use super::{Store, StoreError, from_sql, to_sql};

/// Files remembered of one folder: 25 MiB of journal.
pub const REMEMBERED_FILES: u64 = 100_000;
/// Files with the same number that are compared when one was renamed: hard links have many names.
const NAMES_OF_ONE: u32 = 16;

/// A drop folder, by the hash of its path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FolderKey([u8; 16]);

impl FolderKey {
    /// The key of the folder with this path, as bytes.
    pub fn of(path: &[u8]) -> Self {
        let mut key = [0; 16];
        blake3::Hasher::new_derive_key("branchline drop folder")
            .update(path)
            .finalize_xof()
            .fill(&mut key);
        Self(key)
    }

    /// The key's bytes.
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

/// A file that was taken from a folder before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remembered {
    /// Its name there, as bytes.
    pub name: Vec<u8>,
    /// How it looked with the content that was filed.
    pub print: FilePrint,
    /// BLAKE3 of that content.
    pub root: Digest,
    /// The operation that attached it.
    pub file: FileId,
    /// Whether it has left the folder since.
    pub gone: bool,
}

/// A ticket with files from a folder; all of it is saved, or nothing.
#[derive(Debug)]
pub struct DroppedTicket {
    /// The folder.
    pub folder: FolderKey,
    /// The ticket's id.
    pub id: OperationId,
    /// The branch's clock.
    pub at: LocalTime,
    /// The files' owner.
    pub by: Reporter,
    /// The ticket.
    pub draft: TicketDraft,
    /// Its files, at least one.
    pub files: Vec<DroppedFile>,
}

/// A file that was taken in whole.
#[derive(Debug, Clone)]
pub struct DroppedFile {
    /// The id of the operation that attaches it.
    pub id: OperationId,
    /// As filed.
    pub name: String,
    /// As named in the folder, as bytes.
    pub key: Vec<u8>,
    /// How it looked before and after it was read.
    pub print: FilePrint,
    /// What was taken in.
    pub taken: Taken,
    /// Its size and root.
    pub whole: Whole,
}

/// Why a ticket from a drop folder was not filed.
#[derive(Debug, thiserror::Error)]
pub enum DropError {
    /// Ticket or chunks could not be kept.
    #[error(transparent)]
    Attach(AttachError),
    /// Too many files lie in the folder that were filed and must be remembered.
    #[error(
        "the folder holds {REMEMBERED_FILES} files that have been filed; move or delete some of them"
    )]
    TooMany,
}

impl<E: Into<FilingError>> From<E> for DropError {
    fn from(fault: E) -> Self {
        Self::Attach(AttachError::Filing(fault.into()))
    }
}

impl Store {
    /// Files a ticket with its files and remembers them. An `Ok` is durable (P1); asking again changes
    /// nothing.
    pub async fn file_dropped(&self, ticket: DroppedTicket) -> Result<OperationSaved, DropError> {
        crash_point::reach("dropped-taken-in");
        let taken: Vec<Taken> = ticket.files.iter().map(|file| file.taken).collect();
        for file in &ticket.files {
            let whole = self.make_whole(file.taken, FileId::from(file.id), file.whole);
            if let Err(fault) = whole.await {
                self.abandon_all(taken);
                return Err(DropError::Attach(fault));
            }
        }
        crash_point::reach("dropped-whole");
        let settings = self.settings.clone();
        let saved = self
            .writer
            .run(Lane::Bulk, move |connection| {
                let saved = save(connection, &settings, ticket);
                crash_point::reach("dropped-written");
                saved
            })
            .await;
        crash_point::reach("dropped-filed");
        match saved {
            Ok(saved) => Ok(saved),
            Err(JobError::Job(refused)) => {
                self.abandon_all(taken);
                Err(refused)
            }
            // Nobody knows whether it was saved; asking again tells.
            Err(JobError::Commit(failed)) => Err(StoreError::from(failed).into()),
        }
    }

    fn abandon_all(&self, taken: Vec<Taken>) {
        for one in taken {
            self.abandon(one);
        }
    }

    /// What is remembered of files with these names.
    pub async fn dropped_before(
        &self,
        folder: FolderKey,
        names: Vec<Vec<u8>>,
    ) -> Result<HashMap<Vec<u8>, Remembered>, StoreError> {
        self.read(move |connection| {
            let sql = format!("{COLUMNS} WHERE folder = ?1 AND name = ?2");
            let mut statement = connection.prepare_cached(&sql)?;
            let mut found = HashMap::new();
            for name in names {
                let row = statement
                    .query_row((folder.0, &name), remembered)
                    .optional()?;
                found.extend(row.map(|row| (name, row)));
            }
            Ok(found)
        })
        .await
    }

    /// What is remembered of a file by its number, whatever it was called then.
    pub async fn dropped_as(
        &self,
        folder: FolderKey,
        identity: [u8; 16],
    ) -> Result<Vec<Remembered>, StoreError> {
        self.read(move |connection| {
            let sql = format!("{COLUMNS} WHERE folder = ?1 AND identity = ?2 LIMIT ?3");
            let mut statement = connection.prepare_cached(&sql)?;
            let rows = statement.query_map((folder.0, identity, NAMES_OF_ONE), remembered)?;
            Ok(rows.collect::<rusqlite::Result<_>>()?)
        })
        .await
    }

    /// Remembers that content that was filed before is in the folder as `name`, looking like this.
    pub async fn recall_dropped(
        &self,
        folder: FolderKey,
        before: Remembered,
        name: Vec<u8>,
        print: FilePrint,
    ) -> Result<(), StoreError> {
        let write = move |connection: &Connection| {
            if before.name != name {
                connection
                    .prepare_cached("DELETE FROM dropped WHERE folder = ?1 AND name = ?2")?
                    .execute((folder.0, &before.name))?;
            }
            remember(connection, folder, &name, print, before.root, before.file)
        };
        Ok(self.writer.run(Lane::Bulk, write).await?)
    }

    /// Names remembered as lying in a folder, after this one, in order.
    pub async fn dropped_here(
        &self,
        folder: FolderKey,
        after: Vec<u8>,
        most: u32,
    ) -> Result<Vec<Vec<u8>>, StoreError> {
        self.read(move |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT name FROM dropped WHERE folder = ?1 AND name > ?2 AND gone = 0
                     ORDER BY name LIMIT ?3",
            )?;
            let rows = statement.query_map((folder.0, after, most), |row| row.get(0))?;
            Ok(rows.collect::<rusqlite::Result<_>>()?)
        })
        .await
    }

    /// Remembers that files have left a folder.
    pub async fn dropped_gone(
        &self,
        folder: FolderKey,
        names: Vec<Vec<u8>>,
    ) -> Result<(), StoreError> {
        let write = move |connection: &Connection| {
            let mut statement = connection
                .prepare_cached("UPDATE dropped SET gone = 1 WHERE folder = ?1 AND name = ?2")?;
            for name in &names {
                statement.execute((folder.0, name))?;
            }
            Ok::<(), rusqlite::Error>(())
        };
        Ok(self.writer.run(Lane::Bulk, write).await?)
    }

    /// Files that lie in a folder and that central has received whole, after this name, in order.
    pub async fn dropped_received(
        &self,
        folder: FolderKey,
        after: Vec<u8>,
        most: u32,
    ) -> Result<Vec<Remembered>, StoreError> {
        self.read(move |connection| {
            let sql = format!(
                "{COLUMNS} WHERE folder = ?1 AND name > ?2 AND gone = 0 AND EXISTS (
                         SELECT 1 FROM file WHERE file.id = dropped.file
                         AND standing IN ('received', 'settled', 'given_up'))
                     ORDER BY name LIMIT ?3"
            );
            let mut statement = connection.prepare_cached(&sql)?;
            let rows = statement.query_map((folder.0, after, most), remembered)?;
            Ok(rows.collect::<rusqlite::Result<_>>()?)
        })
        .await
    }
}

const COLUMNS: &str =
    "SELECT name, identity, size, modified, changed, root, file, gone FROM dropped";

fn remembered(row: &Row<'_>) -> rusqlite::Result<Remembered> {
    Ok(Remembered {
        name: row.get(0)?,
        print: FilePrint {
            identity: row.get(1)?,
            size: from_sql(row.get(2)?),
            modified: row.get(3)?,
            changed: row.get(4)?,
        },
        root: Digest(row.get(5)?),
        file: FileId::from_bytes(row.get(6)?),
        gone: row.get(7)?,
    })
}

fn save(
    connection: &Connection,
    settings: &super::StoreSettings,
    ticket: DroppedTicket,
) -> Result<OperationSaved, DropError> {
    let DroppedTicket {
        folder,
        id,
        at,
        by,
        draft,
        files,
    } = ticket;
    make_room(connection, folder, files.len() as u64)?;
    let filing = |id, ask| Filing {
        id,
        at,
        by: by.clone(),
        ask,
    };
    // The id stands for the content: whatever else the words say now, this is the same ticket.
    let saved = match saved_before(connection, settings, id, at)? {
        Some(saved) => saved,
        None => filing::save(connection, settings, filing(id, Ask::Ticket(draft)))?,
    };
    for file in files {
        if !is_attached(connection, file.id)? {
            let ask = Ask::File {
                number: saved.number.clone(),
                name: file.name,
                size: file.whole.size,
                root: file.whole.root,
            };
            filing::save(connection, settings, filing(file.id, ask))?;
        }
        let attached = FileId::from(file.id);
        remember(
            connection,
            folder,
            &file.key,
            file.print,
            file.whole.root,
            attached,
        )?;
    }
    Ok(saved)
}

/// The ticket that has this id already, however long ago.
fn saved_before(
    connection: &Connection,
    settings: &super::StoreSettings,
    id: OperationId,
    at: LocalTime,
) -> rusqlite::Result<Option<OperationSaved>> {
    let serial: Option<u32> = connection
        .prepare_cached("SELECT serial FROM ticket WHERE id = ?1")?
        .query_row([id.as_bytes()], |row| row.get(0))
        .optional()?;
    Ok(serial.map(|serial| OperationSaved {
        operation: id,
        number: TicketNumber::given(settings.branch.clone(), settings.ordinal, serial),
        saved_at: at,
        repeated: true,
    }))
}

fn is_attached(connection: &Connection, id: OperationId) -> rusqlite::Result<bool> {
    connection
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM file WHERE id = ?1)")?
        .query_row([id.as_bytes()], |row| row.get(0))
}

/// At the bound, files that have left the folder are forgotten.
fn make_room(connection: &Connection, folder: FolderKey, more: u64) -> Result<(), DropError> {
    let count: Option<i64> = connection
        .prepare_cached("SELECT files FROM dropped_count WHERE folder = ?1")?
        .query_row([folder.0], |row| row.get(0))
        .optional()?;
    let excess = from_sql(count.unwrap_or(0))
        .saturating_add(more)
        .saturating_sub(REMEMBERED_FILES);
    if excess == 0 {
        return Ok(());
    }
    let forgotten = connection
        .prepare_cached(
            "DELETE FROM dropped WHERE folder = ?1 AND name IN (
                 SELECT name FROM dropped WHERE folder = ?1 AND gone = 1 ORDER BY taken LIMIT ?2)",
        )?
        .execute((folder.0, to_sql(excess)))?;
    if (forgotten as u64) < excess {
        return Err(DropError::TooMany);
    }
    Ok(())
}

/// Carries what can be read of the memory over from a journal that was set aside.
pub(super) fn carry_over(old: &Connection, new: &Connection) -> rusqlite::Result<()> {
    for direction in ["ASC", "DESC"] {
        let sql = format!(
            "SELECT folder, name, identity, size, modified, changed, root, file, gone FROM dropped
             ORDER BY folder {direction}, name {direction}"
        );
        super::recovery::copy_until_damage(old, &sql, |row| {
            let kept = new
                .prepare_cached(
                    "INSERT OR IGNORE INTO dropped
                         (folder, name, identity, size, modified, changed, root, file, gone, taken)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9,
                         (SELECT coalesce(max(taken), 0) + 1 FROM dropped))",
                )?
                .execute((
                    row.get::<_, [u8; 16]>(0)?,
                    row.get::<_, Vec<u8>>(1)?,
                    row.get::<_, [u8; 16]>(2)?,
                    row.get::<_, i64>(3)?,
                    row.get::<_, i64>(4)?,
                    row.get::<_, i64>(5)?,
                    row.get::<_, [u8; 32]>(6)?,
                    row.get::<_, [u8; 16]>(7)?,
                    row.get::<_, bool>(8)?,
                ))?;
            Ok(kept)
        })?;
    }
    // What was remembered of a file whose filing is lost is no longer true: it is taken again.
    new.execute(
        "DELETE FROM dropped WHERE file NOT IN (SELECT id FROM file)",
        [],
    )?;
    Ok(())
}

fn remember(
    connection: &Connection,
    folder: FolderKey,
    name: &[u8],
    print: FilePrint,
    root: Digest,
    file: FileId,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO dropped
                 (folder, name, identity, size, modified, changed, root, file, taken)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8,
                 (SELECT coalesce(max(taken), 0) + 1 FROM dropped))
             ON CONFLICT (folder, name) DO UPDATE SET
                 identity = excluded.identity, size = excluded.size,
                 modified = excluded.modified, changed = excluded.changed,
                 root = excluded.root, file = excluded.file, taken = excluded.taken, gone = 0",
        )?
        .execute((
            folder.0,
            name,
            print.identity,
            to_sql(print.size),
            print.modified,
            print.changed,
            root.0,
            file.as_bytes(),
        ))
        .map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn memory() -> Connection {
        let mut connection = Connection::open_in_memory().unwrap();
        super::super::migrations::migrations::runner()
            .run(&mut connection)
            .unwrap();
        connection
    }

    fn print(n: i64) -> FilePrint {
        FilePrint {
            identity: [1; 16],
            size: 1,
            modified: n,
            changed: n,
        }
    }

    fn put(connection: &Connection, folder: FolderKey, n: u64) {
        let name = format!("{n:06}");
        let file = FileId::from_bytes([0; 16]);
        remember(
            connection,
            folder,
            name.as_bytes(),
            print(0),
            Digest([0; 32]),
            file,
        )
        .unwrap();
    }

    #[test]
    fn only_files_that_have_left_are_forgotten_the_oldest_first() {
        let connection = memory();
        let (folder, other) = (FolderKey::of(b"/in"), FolderKey::of(b"/other"));
        connection.execute_batch("BEGIN").unwrap();
        for n in 0..REMEMBERED_FILES {
            put(&connection, folder, n);
        }
        put(&connection, other, 0);
        connection
            .execute("UPDATE dropped SET gone = 1 WHERE folder = ?1", [other.0])
            .unwrap();
        let full = make_room(&connection, folder, 1);
        assert!(matches!(full, Err(DropError::TooMany)), "{full:?}");
        connection
            .execute(
                "UPDATE dropped SET gone = 1 WHERE CAST(name AS TEXT) IN ('000007', '000005')",
                [],
            )
            .unwrap();
        make_room(&connection, folder, 1).unwrap();
        let left = |name: &str| -> bool {
            let sql = "SELECT EXISTS (SELECT 1 FROM dropped WHERE name = ?1 AND folder = ?2)";
            connection
                .query_row(sql, (name.as_bytes(), folder.0), |row| row.get(0))
                .unwrap()
        };
        assert!(left("000004") && !left("000005") && left("000007"));
        make_room(&connection, other, REMEMBERED_FILES - 1).unwrap();
    }

    #[test]
    fn a_name_is_remembered_with_its_last_content() {
        let connection = memory();
        let folder = FolderKey::of(b"/in");
        put(&connection, folder, 1);
        connection
            .execute("UPDATE dropped SET gone = 1", [])
            .unwrap();
        let file = FileId::from_bytes([9; 16]);
        remember(
            &connection,
            folder,
            b"000001",
            print(5),
            Digest([3; 32]),
            file,
        )
        .unwrap();
        let row = connection.query_row(COLUMNS, [], remembered).unwrap();
        assert_eq!((row.print, row.file, row.gone), (print(5), file, false));
    }
}
