//! Files that begin at central: taken whole in one commit, marked when a reply takes them, and given up
//! when none does.
//!
//! Invariants, besides those of manifests and chunks:
//! - Their rows are numbered from [`FIRST`] on, which no operation reaches: that tells them apart.
//! - A file is given up by its state first, so that no reply takes it any more; then its places go, in
//!   steps; then its bytes; and only then it is forgotten. A crash between is gone on from.

use branchline_protocol::file::FileState;
use branchline_protocol::id::{Digest, FileId};
use branchline_protocol::limits;
use branchline_protocol::operation::FieldFault;
use branchline_protocol::text::{Shape, fault};
use branchline_protocol::time::UnixMillis;
use rusqlite::{Connection, OptionalExtension, params};

use super::rows::FileRow;
use super::settling::Step;
use super::{chunks, manifests, states};
use crate::ledger::sqlite::columns::{self, to_integer, unfit};
use crate::ledger::sqlite::desk::ticket::Ticket;
use crate::ledger::sqlite::identity::trail;
use crate::ledger::{Abandoned, FileGiven, GIVEN_BYTES, GIVEN_FILES, GiveFile, LedgerError};
use branchline_protocol::id::TicketNumber;

/// The first number of a file that no operation attached.
const FIRST: i64 = 1 << 62;
/// Stands for central where an agent stands else.
const NO_AGENT: i64 = 0;
/// Places that one step takes back.
const STEP_PLACES_BACK: u32 = 512;
/// Files told at once as ready to be deleted.
const TOLD: i64 = 500;

/// Whether no operation attached it.
pub(in crate::ledger::sqlite) fn is_given(row: i64) -> bool {
    row >= FIRST
}

/// Whether this one may give a file of so many bytes for this ticket; else why not.
pub(in crate::ledger::sqlite) fn hindrance(
    connection: &Connection,
    number: &TicketNumber,
    by: &str,
    bytes: u64,
) -> Result<Option<FileGiven>, LedgerError> {
    let Some(ticket) = Ticket::by_number(connection, number)? else {
        return Ok(Some(FileGiven::UnknownTicket));
    };
    if ticket.state.is_final() {
        let fault = format!("is {}, which is for good: nobody answers it", ticket.state);
        return Ok(Some(refused("ticket", fault)));
    }
    let (files, held) = connection
        .prepare_cached(
            "SELECT count(*), coalesce(sum(size), 0) FROM given JOIN files USING (file)
             WHERE by = ?1 AND standing = 'kept'",
        )?
        .query_row([by], |row| {
            Ok((columns::count(row, 0), columns::count(row, 1)))
        })?;
    let too_much = files? >= GIVEN_FILES || held?.saturating_add(bytes) > GIVEN_BYTES;
    Ok(too_much.then_some(FileGiven::TooMuch))
}

fn refused(field: &str, fault: impl Into<String>) -> FileGiven {
    FileGiven::Refused(FieldFault {
        field: field.to_owned(),
        fault: fault.into(),
    })
}

/// Takes a file whose bytes are in the vault.
pub(in crate::ledger::sqlite) fn give(
    connection: &Connection,
    give: &GiveFile,
) -> Result<FileGiven, LedgerError> {
    if let Some(fault) = fault(&give.name, Shape::Line, limits::FILE_NAME_CHARS) {
        return Ok(refused("name", fault));
    }
    if give.chunks.is_empty() {
        return Ok(refused("content", "has no bytes"));
    }
    if let Some(hindrance) = hindrance(connection, &give.ticket, &give.by, give.size())? {
        return Ok(hindrance);
    }
    let ticket = Ticket::by_number(connection, &give.ticket)?;
    let ticket = ticket.ok_or_else(|| unfit("a ticket that was seen a moment ago"))?;
    let mut file = add_row(connection, give, &ticket)?;
    let places: Vec<_> = give.chunks.iter().map(|kept| kept.chunk).collect();
    manifests::append(connection, &mut file, &places)?;
    file.save(connection)?;
    chunks::keep_own(connection, &file, give.object, &give.chunks)?;
    let mut file = FileRow::at(connection, file.row)?;
    if !file.is_complete() {
        return Err(unfit("a chunk of each place of a file that came whole"));
    }
    states::enter(connection, &mut file, FileState::Received, give.at)?;
    file.save(connection)?;
    trail::add(connection, &give.deed)?;
    Ok(FileGiven::Received)
}

fn add_row(
    connection: &Connection,
    give: &GiveFile,
    ticket: &Ticket,
) -> Result<FileRow, LedgerError> {
    let last: Option<i64> = connection
        .prepare_cached("SELECT max(file) FROM given")?
        .query_row([], |row| row.get(0))?;
    let row = last.map_or(FIRST, |last| last + 1);
    let count = u32::try_from(give.chunks.len()).map_err(|_| unfit("a count"))?;
    connection
        .prepare_cached(
            "INSERT INTO files (file, id, agent, branch, ticket, size, root, state, state_since,
                 scope, count)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
        )?
        .execute(params![
            row,
            give.id.as_bytes(),
            NO_AGENT,
            ticket.branch().as_str(),
            ticket.row(),
            to_integer(give.size()),
            give.root.0,
            FileState::Waiting.word(),
            give.at.0,
            // No branch's code has a slash.
            format!("given/{}", give.id),
            count
        ])?;
    connection
        .prepare_cached("INSERT INTO given (file, name, by, at) VALUES (?1, ?2, ?3, ?4)")?
        .execute(params![row, give.name, give.by, give.at.0])?;
    FileRow::at(connection, row)
}

/// A reply takes the file: it stays from now on.
pub(in crate::ledger::sqlite) fn mark_offered(
    connection: &Connection,
    file: FileId,
) -> Result<(), LedgerError> {
    connection
        .prepare_cached(
            "UPDATE given SET standing = 'offered'
             WHERE standing = 'kept' AND file = (SELECT file FROM files WHERE id = ?1)",
        )?
        .execute([file.as_bytes()])?;
    Ok(())
}

/// Gives up a file that no reply took since before `before`, or takes places of one that was given up. What
/// inspection has still to look at waits for its verdict.
pub(in crate::ledger::sqlite) fn abandon(
    connection: &Connection,
    before: UnixMillis,
    at: UnixMillis,
) -> Result<Step<()>, LedgerError> {
    let mut step = Step {
        freed: Vec::new(),
        next: None,
    };
    let begun = connection
        .prepare_cached(
            "SELECT file FROM given JOIN files USING (file)
             WHERE standing = 'abandoned' AND announced > 0 LIMIT 1",
        )?
        .query_row([], |row| row.get(0))
        .optional()?;
    if let Some(row) = begun {
        let mut file = FileRow::at(connection, row)?;
        step.freed = manifests::cut(connection, &mut file, STEP_PLACES_BACK)?;
        file.save(connection)?;
        step.next = Some(());
        return Ok(step);
    }
    let unused = connection
        .prepare_cached(
            "SELECT given.file FROM given JOIN files USING (file)
             WHERE standing = 'kept' AND given.at < ?1 AND due IS NULL LIMIT 1",
        )?
        .query_row([before.0], |row| row.get(0))
        .optional()?;
    if let Some(row) = unused {
        let mut file = FileRow::at(connection, row)?;
        states::enter(connection, &mut file, FileState::Expired, at)?;
        file.save(connection)?;
        connection
            .prepare_cached("UPDATE given SET standing = 'abandoned' WHERE file = ?1")?
            .execute([row])?;
        step.next = Some(());
    }
    Ok(step)
}

/// Files that were given up and whose places are gone.
pub(in crate::ledger::sqlite) fn abandoned(
    connection: &Connection,
) -> Result<Vec<Abandoned>, LedgerError> {
    let mut statement = connection.prepare_cached(
        "SELECT id, root, EXISTS (SELECT 1 FROM files AS other
             WHERE other.root = files.root AND other.file <> files.file AND other.state <> 'expired')
         FROM given JOIN files USING (file)
         WHERE standing = 'abandoned' AND announced = 0 LIMIT ?1",
    )?;
    let rows = statement.query_map([TOLD], |row| {
        let shared: bool = row.get(2)?;
        Ok(Abandoned {
            file: FileId::from_bytes(row.get(0)?),
            root: if shared {
                None
            } else {
                Some(Digest(row.get(1)?))
            },
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Their bytes are gone, or are another file's.
pub(in crate::ledger::sqlite) fn forget(
    connection: &Connection,
    files: &[FileId],
) -> Result<(), LedgerError> {
    let mut gone = connection.prepare_cached(
        "UPDATE given SET standing = 'gone'
         WHERE standing = 'abandoned' AND file = (SELECT file FROM files WHERE id = ?1)",
    )?;
    for file in files {
        gone.execute([file.as_bytes()])?;
    }
    Ok(())
}
