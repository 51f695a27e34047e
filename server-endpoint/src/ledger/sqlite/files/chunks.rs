//! Chunks as they come: which may, where they lie from then on, and the files that they complete.
//!
//! Invariant: a chunk that has a place keeps it until that place is lost or its file is assembled. So an
//! upload that wakes late finds every place taken, and changes nothing.

use std::collections::HashMap;

use branchline_protocol::file::FileState;
use branchline_protocol::id::{AgentId, BranchCode};
use branchline_protocol::manifest::ChunkRef;
use rusqlite::{CachedStatement, Connection, params};

use super::rows::{self, FileRow};
use super::{objects, states};
use crate::ledger::sqlite::columns;
use crate::ledger::{ChunksKept, KeepChunks, KeptChunk, LedgerError, ObjectName, Want};

/// A chunk's row as it concerns one agent.
struct Named {
    row: i64,
    /// The object in which it lies, and where in it.
    object: Option<(i64, i64)>,
    is_held: bool,
}

/// Finds chunks that announced files of one agent have. One chunk has several rows where the scope of
/// deduplication was changed between two files.
struct Finder<'c> {
    agent: i64,
    branch: BranchCode,
    statement: CachedStatement<'c>,
}

impl<'c> Finder<'c> {
    fn new(
        connection: &'c Connection,
        agent: i64,
        branch: BranchCode,
    ) -> Result<Self, LedgerError> {
        let statement = connection.prepare_cached(
            "SELECT chunk, object, offset, object IS NOT NULL OR file IS NOT NULL FROM chunks
             WHERE hash = ?1 AND size = ?2 AND scope IN ('', ?3)
                 AND EXISTS (SELECT 1 FROM uses WHERE uses.chunk = chunks.chunk AND agent = ?4)",
        )?;
        Ok(Self {
            agent,
            branch,
            statement,
        })
    }

    fn find(&mut self, chunk: ChunkRef) -> Result<Vec<Named>, LedgerError> {
        let mut rows = self.statement.query(params![
            chunk.hash().0,
            chunk.size(),
            self.branch.as_str(),
            self.agent
        ])?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            let object: Option<i64> = row.get(1)?;
            let offset: Option<i64> = row.get(2)?;
            found.push(Named {
                row: row.get(0)?,
                object: object.zip(offset),
                is_held: row.get(3)?,
            });
        }
        Ok(found)
    }
}

pub(super) fn wants(
    connection: &Connection,
    agent: AgentId,
    chunks: &[ChunkRef],
) -> Result<Vec<Want>, LedgerError> {
    let Some((agent, branch)) = rows::agent(connection, agent)? else {
        return Ok(vec![Want::NotAnnounced; chunks.len()]);
    };
    let mut finder = Finder::new(connection, agent, branch)?;
    chunks
        .iter()
        .map(|chunk| {
            let found = finder.find(*chunk)?;
            Ok(if found.is_empty() {
                Want::NotAnnounced
            } else if found.iter().all(|named| named.is_held) {
                Want::Held
            } else {
                Want::Wanted
            })
        })
        .collect()
}

/// Keeps the chunks from this one on, at most `most`.
pub(super) fn keep(
    connection: &Connection,
    keep: &KeepChunks,
    from: usize,
    most: usize,
) -> Result<ChunksKept, LedgerError> {
    let mut kept = ChunksKept::default();
    let chunks = keep.chunks.iter().enumerate().skip(from).take(most);
    let Some((agent, branch)) = rows::agent(connection, keep.agent)? else {
        kept.not_announced = chunks.map(|(index, _)| index).collect();
        return Ok(kept);
    };
    let mut finder = Finder::new(connection, agent, branch)?;
    let mut object = objects::find(connection, keep.object)?;
    let mut files = HashMap::new();
    for (index, chunk) in chunks {
        let found = finder.find(chunk.chunk)?;
        if found.is_empty() {
            kept.not_announced.push(index);
        }
        let mut lies_here = false;
        for named in found {
            if named.is_held {
                // Or kept here before, by a request whose answer was lost.
                lies_here |= named.object.is_some_and(|(row, offset)| {
                    Some(row) == object && u64::try_from(offset) == Ok(chunk.offset)
                });
                continue;
            }
            let row = objects::add_to(connection, keep.object, 1)?;
            object = Some(row);
            lies_here = true;
            give_place(connection, named.row, row, chunk)?;
            tell_files(connection, named.row, chunk.chunk.size(), &mut files)?;
        }
        kept.used += usize::from(lies_here);
    }
    for file in files.values_mut() {
        finish(connection, keep, agent, file, &mut kept)?;
    }
    Ok(kept)
}

/// Gives every chunk of a file whose chunks are its own alone its place in one object.
pub(super) fn keep_own(
    connection: &Connection,
    file: &FileRow,
    object: ObjectName,
    chunks: &[KeptChunk],
) -> Result<(), LedgerError> {
    let mut find = connection.prepare_cached(
        "SELECT chunk, object IS NOT NULL FROM chunks WHERE hash = ?1 AND size = ?2 AND scope = ?3",
    )?;
    let mut files = HashMap::new();
    for kept in chunks {
        let (hash, size) = (kept.chunk.hash().0, kept.chunk.size());
        let (chunk, is_held): (i64, bool) = find
            .query_row(params![hash, size, file.scope], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })?;
        // The file has it in an earlier place, too.
        if is_held {
            continue;
        }
        let object = objects::add_to(connection, object, 1)?;
        give_place(connection, chunk, object, kept)?;
        tell_files(connection, chunk, size, &mut files)?;
    }
    for file in files.values() {
        file.save(connection)?;
    }
    Ok(())
}

fn give_place(
    connection: &Connection,
    chunk: i64,
    object: i64,
    kept: &KeptChunk,
) -> Result<(), LedgerError> {
    connection
        .prepare_cached(
            "UPDATE chunks SET object = ?2, offset = ?3, stored = ?4, encoding = ?5
             WHERE chunk = ?1",
        )?
        .execute(params![
            chunk,
            object,
            columns::to_integer(kept.offset),
            kept.stored,
            kept.encoding.to_byte()
        ])?;
    Ok(())
}

/// Takes the chunk off what its files miss.
fn tell_files(
    connection: &Connection,
    chunk: i64,
    size: u32,
    files: &mut HashMap<i64, FileRow>,
) -> Result<(), LedgerError> {
    let mut found = connection
        .prepare_cached("DELETE FROM missing WHERE file = ?1 AND place = ?2 AND chunk = ?3")?;
    each_use(connection, chunk, files, |file, place, copies| {
        let deleted = found.execute(params![file.row, place, chunk])?;
        // That a file is whole hangs on this count (P4), so that it is asked in production too.
        if deleted != 1 || file.missing == 0 {
            return Err(columns::unfit("a missing chunk of a file that lacks it"));
        }
        file.missing -= 1;
        file.missing_bytes = file.missing_bytes.saturating_sub(copies * u64::from(size));
        Ok(())
    })
}

/// Calls `tell` for each file that has the chunk, with the place at which it has it first and how many
/// times it has it.
pub(super) fn each_use(
    connection: &Connection,
    chunk: i64,
    files: &mut HashMap<i64, FileRow>,
    mut tell: impl FnMut(&mut FileRow, i64, u64) -> Result<(), LedgerError>,
) -> Result<(), LedgerError> {
    let mut uses =
        connection.prepare_cached("SELECT file, place, copies FROM uses WHERE chunk = ?1")?;
    let mut rows = uses.query([chunk])?;
    while let Some(row) = rows.next()? {
        let (file, place): (i64, i64) = (row.get(0)?, row.get(1)?);
        let copies = columns::count(row, 2)?;
        tell(loaded(connection, files, file)?, place, copies)?;
    }
    Ok(())
}

/// The file, read once in this job.
fn loaded<'f>(
    connection: &Connection,
    files: &'f mut HashMap<i64, FileRow>,
    row: i64,
) -> Result<&'f mut FileRow, LedgerError> {
    use std::collections::hash_map::Entry;
    Ok(match files.entry(row) {
        Entry::Occupied(known) => known.into_mut(),
        Entry::Vacant(unread) => unread.insert(FileRow::at(connection, row)?),
    })
}

fn finish(
    connection: &Connection,
    keep: &KeepChunks,
    agent: i64,
    file: &mut FileRow,
    kept: &mut ChunksKept,
) -> Result<(), LedgerError> {
    if file.state == FileState::Waiting {
        file.idle_since = Some(keep.at);
        if file.is_complete() {
            states::enter(connection, file, FileState::Received, keep.at)?;
            if file.agent == agent {
                kept.received.push(file.id);
            }
            kept.news_for.push(file.branch.clone());
        }
    }
    file.save(connection)
}
