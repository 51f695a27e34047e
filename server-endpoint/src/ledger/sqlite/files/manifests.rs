//! Manifests: places added at their end, and taken from their end again when a file is given up.
//!
//! Invariants, after every job:
//! - A file's places are 0 to `announced` without holes, and `announced_bytes` is the sum of their sizes.
//! - `uses` has one row per file and chunk; `missing` has one for each of those whose chunk lies nowhere.
//! - A chunk has a row while a manifest names it, and no longer.

use branchline_protocol::manifest::ChunkRef;
use rusqlite::{Connection, OptionalExtension, params};

use super::objects;
use super::rows::FileRow;
use crate::ledger::sqlite::columns::{self, whole};
use crate::ledger::{LedgerError, ObjectName};

/// Adds these chunks behind what is announced of the file. The caller saves the row.
pub(super) fn append(
    connection: &Connection,
    file: &mut FileRow,
    chunks: &[ChunkRef],
) -> Result<(), LedgerError> {
    let mut find = connection.prepare_cached(
        "SELECT chunk, object IS NOT NULL OR file IS NOT NULL FROM chunks
         WHERE hash = ?1 AND size = ?2 AND scope = ?3",
    )?;
    let mut add_chunk =
        connection.prepare_cached("INSERT INTO chunks (hash, size, scope) VALUES (?1, ?2, ?3)")?;
    let mut add_place = connection
        .prepare_cached("INSERT INTO manifests (file, place, chunk) VALUES (?1, ?2, ?3)")?;
    let mut add_use = connection.prepare_cached(
        "INSERT OR IGNORE INTO uses (chunk, agent, file, place, copies) VALUES (?1, ?2, ?3, ?4, 1)",
    )?;
    let mut add_copy = connection.prepare_cached(
        "UPDATE uses SET copies = copies + 1 WHERE chunk = ?1 AND agent = ?2 AND file = ?3",
    )?;
    let mut add_missing = connection
        .prepare_cached("INSERT INTO missing (file, place, chunk) VALUES (?1, ?2, ?3)")?;
    for chunk in chunks {
        let name = params![chunk.hash().0, chunk.size(), file.scope];
        let known = find
            .query_row(name, |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        let (row, is_held): (i64, bool) = if let Some(known) = known {
            known
        } else {
            add_chunk.execute(name)?;
            (connection.last_insert_rowid(), false)
        };
        let place = file.announced;
        add_place.execute(params![file.row, place, row])?;
        let is_first = add_use.execute(params![row, file.agent, file.row, place])? == 1;
        if !is_first {
            add_copy.execute(params![row, file.agent, file.row])?;
        }
        if !is_held {
            file.missing_bytes += u64::from(chunk.size());
            if is_first {
                add_missing.execute(params![file.row, place, row])?;
                file.missing += 1;
            }
        }
        file.announced += 1;
        file.announced_bytes += u64::from(chunk.size());
    }
    Ok(())
}

/// Whether the file's places from this one on are these chunks.
pub(super) fn repeats(
    connection: &Connection,
    file: &FileRow,
    from: u32,
    chunks: &[ChunkRef],
) -> Result<bool, LedgerError> {
    if chunks.is_empty() {
        return Ok(true);
    }
    let mut statement = connection.prepare_cached(
        "SELECT hash, chunks.size FROM manifests JOIN chunks USING (chunk)
         WHERE manifests.file = ?1 AND place >= ?2 ORDER BY place",
    )?;
    let mut rows = statement.query(params![file.row, from])?;
    for chunk in chunks {
        let Some(row) = rows.next()? else {
            return Ok(false);
        };
        let is_same = row.get_ref(0)?.as_blob().unwrap_or_default() == chunk.hash().0
            && row.get::<_, i64>(1)? == i64::from(chunk.size());
        if !is_same {
            return Ok(false);
        }
    }
    Ok(true)
}

struct LastPlace {
    at: u32,
    chunk: i64,
    size: u32,
    object: Option<i64>,
    is_held: bool,
}

/// Takes at most `most` places from the end of the manifest; what is left is a manifest announced that
/// far. Answers with objects in which no chunk lies any more. The caller saves the row.
pub(super) fn cut(
    connection: &Connection,
    file: &mut FileRow,
    most: u32,
) -> Result<Vec<ObjectName>, LedgerError> {
    let mut freed = Vec::new();
    let mut delete_use = connection.prepare_cached(
        "DELETE FROM uses WHERE chunk = ?1 AND agent = ?2 AND file = ?3 AND copies = 1",
    )?;
    let mut delete_copy = connection.prepare_cached(
        "UPDATE uses SET copies = copies - 1 WHERE chunk = ?1 AND agent = ?2 AND file = ?3",
    )?;
    let mut delete_missing =
        connection.prepare_cached("DELETE FROM missing WHERE file = ?1 AND place = ?2")?;
    let mut is_used =
        connection.prepare_cached("SELECT EXISTS (SELECT 1 FROM uses WHERE chunk = ?1)")?;
    let mut delete_chunk = connection.prepare_cached("DELETE FROM chunks WHERE chunk = ?1")?;
    for place in last_places(connection, file, most)? {
        let size = u64::from(place.size);
        file.announced = place.at;
        file.announced_bytes = file.announced_bytes.saturating_sub(size);
        if !place.is_held {
            file.missing_bytes = file.missing_bytes.saturating_sub(size);
        }
        let of = params![place.chunk, file.agent, file.row];
        if delete_use.execute(of)? == 0 {
            delete_copy.execute(of)?;
            continue;
        }
        if !place.is_held {
            // Its first place, as it was its last.
            delete_missing.execute(params![file.row, place.at])?;
            file.missing = file.missing.saturating_sub(1);
        }
        if !is_used.query_row([place.chunk], |row| row.get::<_, bool>(0))? {
            delete_chunk.execute([place.chunk])?;
            if let Some(object) = place.object {
                freed.extend(objects::take_from(connection, object, 1)?);
            }
        }
    }
    connection
        .prepare_cached("DELETE FROM manifests WHERE file = ?1 AND place >= ?2")?
        .execute(params![file.row, file.announced])?;
    Ok(freed)
}

fn last_places(
    connection: &Connection,
    file: &FileRow,
    most: u32,
) -> Result<Vec<LastPlace>, LedgerError> {
    let mut statement = connection.prepare_cached(
        "SELECT place, chunk, chunks.size, object, object IS NOT NULL OR chunks.file IS NOT NULL
         FROM manifests JOIN chunks USING (chunk)
         WHERE manifests.file = ?1 ORDER BY place DESC LIMIT ?2",
    )?;
    let mut rows = statement.query(params![file.row, most])?;
    let mut places = Vec::new();
    while let Some(row) = rows.next()? {
        places.push(LastPlace {
            at: whole(row.get(0)?, "a place")?,
            chunk: row.get(1)?,
            size: whole(row.get(2)?, "a chunk's size")?,
            object: row.get(3)?,
            is_held: row.get(4)?,
        });
    }
    if places.is_empty() && file.announced > 0 {
        return Err(columns::unfit("the places that its file counts"));
    }
    Ok(places)
}
