//! Reading files: records, listings, the order of inspection, and where chunks lie.

use branchline_protocol::file::FileState;
use branchline_protocol::frame::Encoding;
use branchline_protocol::id::{AgentId, BranchCode, ChunkHash, FileId, TicketId};
use branchline_protocol::manifest::ChunkRef;
use branchline_protocol::operation::Body;
use branchline_protocol::time::{LocalTime, UnixMillis};
use rusqlite::{Connection, OptionalExtension, Params, Row, params};
use uuid::Uuid;

use super::states;
use crate::ledger::sqlite::columns::{self, to_integer, unfit, whole};
use crate::ledger::{ChunkPlace, FileFilter, FileRecord, LedgerError, ObjectName, PlacedChunk};

const RECORD_COLUMNS: &str = "files.id, tickets.branch, tickets.ordinal, tickets.serial, \
     tickets.suffix, filing.id, agents.id, files.branch, files.root, files.state, \
     files.detail, files.state_since, files.version, files.sniffed, files.disguised, \
     files.announced_bytes - files.missing_bytes, files.count, files.trouble, attaching.bytes, \
     files.size, given.name, given.by, given.at";
const RECORD_TABLES: &str = "files JOIN tickets ON tickets.operation = files.ticket
     JOIN operations AS filing ON filing.operation = files.ticket
     LEFT JOIN agents USING (agent)
     LEFT JOIN operations AS attaching ON attaching.operation = files.file
     LEFT JOIN given ON given.file = files.file";

pub(in crate::ledger::sqlite) fn file(
    connection: &Connection,
    id: FileId,
) -> Result<Option<FileRecord>, LedgerError> {
    let found = records(connection, "files.id = ?1", [id.as_bytes()])?;
    Ok(found.into_iter().next())
}

/// The files that a branch attached to a ticket, by its row, in the order of attaching.
pub(in crate::ledger::sqlite) fn of_ticket(
    connection: &Connection,
    ticket: i64,
    most: usize,
) -> Result<Vec<FileRecord>, LedgerError> {
    records(
        connection,
        "files.ticket = ?1 AND given.file IS NULL ORDER BY files.file LIMIT ?2",
        params![ticket, to_integer(most as u64)],
    )
}

pub(super) fn list(
    connection: &Connection,
    filter: &FileFilter,
) -> Result<Vec<FileRecord>, LedgerError> {
    let ticket = match filter.ticket {
        None => None,
        Some(ticket) => match ticket_row(connection, ticket)? {
            None => return Ok(Vec::new()),
            row => row,
        },
    };
    let after = match filter.after {
        None => 0,
        Some(after) => match file_row(connection, after)? {
            None => return Ok(Vec::new()),
            Some(row) => row,
        },
    };
    // One index serves: the narrowest that was asked for.
    let mut which = "files.file > ?1".to_owned();
    if ticket.is_some() {
        which.push_str(" AND files.ticket = ?2");
    }
    if filter.state.is_some() {
        which.push_str(" AND files.state = ?3");
    }
    if filter.branch.is_some() {
        which.push_str(" AND files.branch = ?4");
    }
    if filter.root.is_some() {
        which.push_str(" AND files.root = ?5");
    }
    which.push_str(" ORDER BY files.file LIMIT ?6");
    records(
        connection,
        &which,
        params![
            after,
            ticket,
            filter.state,
            filter.branch.as_ref().map(BranchCode::as_str),
            filter.root.map(|root| root.0),
            to_integer(filter.most as u64)
        ],
    )
}

pub(super) fn to_inspect(
    connection: &Connection,
    most: usize,
) -> Result<Vec<FileRecord>, LedgerError> {
    records(
        connection,
        "files.due IS NOT NULL ORDER BY files.due LIMIT ?1",
        [to_integer(most as u64)],
    )
}

fn file_row(connection: &Connection, id: FileId) -> Result<Option<i64>, LedgerError> {
    Ok(connection
        .prepare_cached("SELECT file FROM files WHERE id = ?1")?
        .query_row([id.as_bytes()], |row| row.get(0))
        .optional()?)
}

fn ticket_row(connection: &Connection, ticket: TicketId) -> Result<Option<i64>, LedgerError> {
    Ok(connection
        .prepare_cached(
            "SELECT operation FROM tickets JOIN operations USING (operation) WHERE id = ?1",
        )?
        .query_row([ticket.as_bytes()], |row| row.get(0))
        .optional()?)
}

fn records(
    connection: &Connection,
    which: &str,
    parameters: impl Params,
) -> Result<Vec<FileRecord>, LedgerError> {
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {RECORD_COLUMNS} FROM {RECORD_TABLES} WHERE {which}"
    ))?;
    let mut rows = statement.query(parameters)?;
    let mut files = Vec::new();
    while let Some(row) = rows.next()? {
        files.push(record(row)?);
    }
    Ok(files)
}

fn record(row: &Row<'_>) -> Result<FileRecord, LedgerError> {
    let origin = origin(row)?;
    let state: FileState =
        states::from_columns(row.get_ref(9)?.as_str().unwrap_or_default(), row.get(10)?)?;
    Ok(FileRecord {
        id: FileId::from_bytes(row.get(0)?),
        ticket: TicketId::from_bytes(row.get(5)?),
        number: columns::number(row, 1)?,
        agent: row.get::<_, Option<[u8; 16]>>(6)?.map(AgentId::from_bytes),
        branch: columns::branch(row, 7)?,
        name: origin.name,
        size: origin.size,
        root: columns::digest(row, 8)?,
        attached_at: origin.at,
        reporter: origin.by,
        state,
        state_since: columns::millis(row, 11)?,
        version: columns::count(row, 12)?,
        sniffed: row.get(13)?,
        disguised: row.get(14)?,
        held_bytes: columns::count(row, 15)?,
        count: row
            .get::<_, Option<i64>>(16)?
            .map(|count| whole(count, "a count"))
            .transpose()?,
        trouble: row.get(17)?,
    })
}

/// Who made the file known, and as what.
struct Origin {
    name: String,
    size: u64,
    at: LocalTime,
    by: String,
}

fn origin(row: &Row<'_>) -> Result<Origin, LedgerError> {
    if let Some(name) = row.get(20)? {
        return Ok(Origin {
            name,
            size: columns::count(row, 19)?,
            at: LocalTime {
                millis: UnixMillis(row.get(22)?),
                offset_minutes: 0,
            },
            by: row.get(21)?,
        });
    }
    let operation = columns::operation(row, 18)?;
    let Body::FileAttached(attached) = operation.body else {
        return Err(unfit("a file's attaching"));
    };
    Ok(Origin {
        name: attached.name,
        size: attached.size,
        at: operation.at,
        by: operation.by.user,
    })
}

/// What [`place`] reads, of [`PLACE_TABLES`].
pub(super) const PLACE_COLUMNS: &str =
    "objects.name, chunks.offset, chunks.stored, chunks.encoding, assembled.root";
/// Chunks and what they may lie in.
pub(super) const PLACE_TABLES: &str = "chunks LEFT JOIN objects USING (object)
     LEFT JOIN files AS assembled ON assembled.file = chunks.file";

/// Where a chunk lies, from five columns.
pub(super) fn place(row: &Row<'_>, from: usize) -> Result<Option<ChunkPlace>, LedgerError> {
    let object: Option<[u8; 16]> = row.get(from)?;
    let root: Option<[u8; 32]> = row.get(from + 4)?;
    Ok(match (object, root) {
        (Some(name), _) => Some(ChunkPlace::Object {
            object: ObjectName(Uuid::from_bytes(name)),
            offset: columns::count(row, from + 1)?,
            stored: whole(row.get(from + 2)?, "a chunk's stored size")?,
            encoding: Encoding::from_byte(whole(row.get(from + 3)?, "an encoding")?)
                .ok_or_else(|| unfit("an encoding"))?,
        }),
        (None, Some(root)) => Some(ChunkPlace::File {
            root: branchline_protocol::id::Digest(root),
            offset: columns::count(row, from + 1)?,
        }),
        (None, None) => None,
    })
}

pub(super) fn chunks_of(
    connection: &Connection,
    file: FileId,
    from: u32,
    most: usize,
) -> Result<Vec<PlacedChunk>, LedgerError> {
    let Some(file) = file_row(connection, file)? else {
        return Ok(Vec::new());
    };
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {PLACE_COLUMNS}, hash, chunks.size
         FROM manifests JOIN {PLACE_TABLES}
         WHERE manifests.chunk = chunks.chunk AND manifests.file = ?1 AND place >= ?2
         ORDER BY place LIMIT ?3"
    ))?;
    let mut rows = statement.query(params![file, from, to_integer(most as u64)])?;
    let mut chunks = Vec::new();
    while let Some(row) = rows.next()? {
        let hash: ChunkHash = columns::digest(row, 5)?;
        let size = whole(row.get(6)?, "a chunk's size")?;
        chunks.push(PlacedChunk {
            chunk: ChunkRef(hash, size),
            place: place(row, 0)?,
        });
    }
    Ok(chunks)
}
