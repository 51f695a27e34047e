//! Chunks that are not where the ledger said, or not what it said: their places are taken away, and
//! whoever still needs them waits for them again.

use std::collections::HashMap;

use branchline_protocol::file::FileState;
use branchline_protocol::id::FileId;
use branchline_protocol::manifest::ChunkRef;
use branchline_protocol::time::UnixMillis;
use rusqlite::{Connection, params};

use super::chunks::each_use;
use super::reading::{PLACE_COLUMNS, PLACE_TABLES, place};
use super::rows::FileRow;
use super::{objects, states};
use crate::ledger::{ChunkPlace, LedgerError};

/// What a file that was judged before says of it.
const TROUBLE: &str = "part of its content was lost in the vault after it was judged";

/// Loses these chunks where they still lie in the place named: one that got another place meanwhile is
/// not lost. Answers with the files that wait for one of them.
pub(super) fn lose(
    connection: &Connection,
    chunks: &[(ChunkRef, ChunkPlace)],
    at: UnixMillis,
) -> Result<Vec<FileId>, LedgerError> {
    let mut files: HashMap<i64, FileRow> = HashMap::new();
    for (chunk, lost) in chunks {
        for (row, object) in lying_at(connection, *chunk, *lost)? {
            connection
                .prepare_cached(
                    "UPDATE chunks SET object = NULL, file = NULL, offset = NULL, stored = NULL,
                         encoding = NULL
                     WHERE chunk = ?1",
                )?
                .execute([row])?;
            if let Some(object) = object {
                objects::take_from(connection, object, 1)?;
            }
            tell_files(connection, row, chunk.size(), &mut files)?;
        }
    }
    let mut waiting = Vec::new();
    for file in files.values_mut() {
        if file.state.awaits_inspection() {
            states::enter(connection, file, FileState::Waiting, at)?;
        }
        match &file.state {
            FileState::Waiting => waiting.push(file.id),
            FileState::Corrupt | FileState::Expired => {}
            _ => file.trouble = Some(TROUBLE.to_owned()),
        }
        file.save(connection)?;
    }
    Ok(waiting)
}

/// Rows of the chunk that lie in this place, with the row of the object, if it is one.
fn lying_at(
    connection: &Connection,
    chunk: ChunkRef,
    lost: ChunkPlace,
) -> Result<Vec<(i64, Option<i64>)>, LedgerError> {
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {PLACE_COLUMNS}, chunk, object FROM {PLACE_TABLES} WHERE hash = ?1 AND chunks.size = ?2"
    ))?;
    let mut rows = statement.query(params![chunk.hash().0, chunk.size()])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        if place(row, 0)? == Some(lost) {
            found.push((row.get(5)?, row.get(6)?));
        }
    }
    Ok(found)
}

/// Adds the chunk to what its files miss.
fn tell_files(
    connection: &Connection,
    chunk: i64,
    size: u32,
    files: &mut HashMap<i64, FileRow>,
) -> Result<(), LedgerError> {
    let mut miss = connection
        .prepare_cached("INSERT INTO missing (file, place, chunk) VALUES (?1, ?2, ?3)")?;
    each_use(connection, chunk, files, |file, place, copies| {
        miss.execute(params![file.row, place, chunk])?;
        file.missing += 1;
        file.missing_bytes += copies * u64::from(size);
        Ok(())
    })
}
