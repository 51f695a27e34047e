//! Objects of the vault, and how many chunks lie in each: one with none is nobody's, and its row goes.

use rusqlite::{Connection, OptionalExtension, params};
use uuid::Uuid;

use crate::ledger::{LedgerError, ObjectName};

/// The object's row, if a chunk lies in it.
pub(super) fn find(connection: &Connection, name: ObjectName) -> Result<Option<i64>, LedgerError> {
    Ok(connection
        .prepare_cached("SELECT object FROM objects WHERE name = ?1")?
        .query_row([name.0.as_bytes()], |row| row.get(0))
        .optional()?)
}

/// Notes that so many more chunks lie in it; answers with its row.
pub(super) fn add_to(
    connection: &Connection,
    name: ObjectName,
    chunks: i64,
) -> Result<i64, LedgerError> {
    Ok(connection
        .prepare_cached(
            "INSERT INTO objects (name, chunks) VALUES (?1, ?2)
             ON CONFLICT (name) DO UPDATE SET chunks = chunks + excluded.chunks RETURNING object",
        )?
        .query_row(params![name.0.as_bytes(), chunks], |row| row.get(0))?)
}

/// Notes that so many chunks lie in it no longer; answers with its name if none is left.
pub(super) fn take_from(
    connection: &Connection,
    object: i64,
    chunks: i64,
) -> Result<Option<ObjectName>, LedgerError> {
    let (left, name): (i64, [u8; 16]) = connection
        .prepare_cached(
            "UPDATE objects SET chunks = chunks - ?2 WHERE object = ?1 RETURNING chunks, name",
        )?
        .query_row(params![object, chunks], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })?;
    if left > 0 {
        return Ok(None);
    }
    connection
        .prepare_cached("DELETE FROM objects WHERE object = ?1")?
        .execute([object])?;
    Ok(Some(ObjectName(Uuid::from_bytes(name))))
}

/// Those of these in which a chunk lies.
pub(super) fn in_use(
    connection: &Connection,
    objects: Vec<ObjectName>,
) -> Result<Vec<ObjectName>, LedgerError> {
    let mut used = Vec::new();
    for name in objects {
        if find(connection, name)?.is_some() {
            used.push(name);
        }
    }
    Ok(used)
}
