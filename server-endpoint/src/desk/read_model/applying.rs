//! A page of history becomes rows: one transaction, with the cursor behind it.
//!
//! What does not fit (a comment on a ticket that is not here, an operation that cannot be read any more)
//! leaves nothing behind and stops nothing (P6): the ledger has it, and the next version may show it.

use std::collections::BTreeSet;

use branchline_protocol::event::EventBody;
use branchline_protocol::file::FileState;
use branchline_protocol::id::{TicketId, TicketNumber};
use branchline_protocol::operation::{Body, Contact, FileAttached, Operation, TicketFiled};
use rusqlite::{Connection, OptionalExtension, params};

use super::{ReadModelError, changes, due, schema, search};
use crate::ledger::{History, HistoryEntry, TicketState};
use crate::service::Goals;

mod desk;

pub(super) fn apply(
    connection: &Connection,
    page: &History,
    goals: &Goals,
) -> Result<(), ReadModelError> {
    let mut changed = BTreeSet::new();
    for entry in &page.entries {
        changed.extend(apply_entry(connection, entry)?);
        changes::note(connection, entry)?;
    }
    // Once per page, however much was said on a ticket in it.
    for ticket in changed {
        search::index(connection, ticket)?;
        if !goals.is_empty() {
            due::count(connection, goals, ticket)?;
        }
    }
    schema::keep_cursor(connection, &page.cursor)
}

/// The row of the ticket that is to be searched by other words now.
fn apply_entry(
    connection: &Connection,
    entry: &HistoryEntry,
) -> Result<Option<i64>, ReadModelError> {
    let Some(body) = &entry.body else {
        return Ok(None);
    };
    match (body, &entry.operation) {
        (EventBody::FileMoved { file, state }, _) => {
            move_file(connection, entry, &file.as_bytes()[..], state)?;
            Ok(None)
        }
        (EventBody::TicketRenumbered { ticket, .. }, _) => touch(connection, entry, *ticket),
        (body, Some(operation)) => apply_said(connection, entry, body, operation),
        (body, None) => desk::apply(connection, entry, body),
    }
}

/// What a branch said. Events that it only caused are the desk's.
fn apply_said(
    connection: &Connection,
    entry: &HistoryEntry,
    body: &EventBody,
    operation: &Operation,
) -> Result<Option<i64>, ReadModelError> {
    let said = |kind, said| Entry {
        kind,
        said_at: Some(operation.at.to_string()),
        who: &operation.by.user,
        said,
    };
    let row = match (body, &operation.body) {
        (EventBody::TicketFiled { ticket, number }, Body::TicketFiled(filed)) => {
            return add_ticket(connection, entry, *ticket, number, operation, filed).map(Some);
        }
        (EventBody::CommentAdded { ticket, .. }, Body::CommentAdded(comment)) => {
            let Some(row) = touch(connection, entry, *ticket)? else {
                return Ok(None);
            };
            add_entry(connection, entry, row, &said("comment", &comment.text))?;
            count(connection, row, "comments")?;
            row
        }
        (EventBody::TicketWithdrawn { ticket, .. }, Body::TicketWithdrawn(withdrawn)) => {
            let Some(row) = touch(connection, entry, *ticket)? else {
                return Ok(None);
            };
            let reason = withdrawn.reason.as_deref().unwrap_or_default();
            add_entry(connection, entry, row, &said("withdrawn", reason))?;
            move_ticket(connection, row, TicketState::Withdrawn)?;
            row
        }
        (EventBody::FileAttached { ticket, .. }, Body::FileAttached(file)) => {
            let Some(row) = touch(connection, entry, *ticket)? else {
                return Ok(None);
            };
            add_file(connection, entry, row, operation, file)?;
            add_entry(connection, entry, row, &said("file", &file.name))?;
            count(connection, row, "files")?;
            row
        }
        _ => return Ok(None),
    };
    Ok(Some(row))
}

fn add_ticket(
    connection: &Connection,
    entry: &HistoryEntry,
    id: TicketId,
    number: &TicketNumber,
    operation: &Operation,
    filed: &TicketFiled,
) -> Result<i64, ReadModelError> {
    let row = integer(entry.position);
    connection
        .prepare_cached(
            "INSERT INTO tickets (ticket, id, number, branch, state, priority, category, subject,
                 description, reporter, contact, asset, filed_at, received_at, changed_at, version)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?14, ?1)",
        )?
        .execute(params![
            row,
            id.as_bytes(),
            number.to_string(),
            entry.branch.as_str(),
            TicketState::New.as_str(),
            filed.priority.as_str(),
            filed.category,
            filed.subject,
            filed.description,
            operation.by.user,
            contact(&filed.contact),
            filed.asset,
            operation.at.to_string(),
            entry.at.0,
        ])?;
    tally(
        connection,
        entry.branch.as_str(),
        TicketState::New.as_str(),
        1,
    )?;
    Ok(row)
}

/// One line, for people and for searching.
fn contact(contact: &Contact) -> String {
    let said = [&contact.name, &contact.phone, &contact.mail];
    let said: Vec<&str> = said.into_iter().flatten().map(String::as_str).collect();
    said.join(" · ")
}

/// The ticket changed; its row, if it is here.
fn touch(
    connection: &Connection,
    entry: &HistoryEntry,
    ticket: TicketId,
) -> Result<Option<i64>, ReadModelError> {
    let row = connection
        .prepare_cached(
            "UPDATE tickets SET changed_at = ?2, version = ?3 WHERE id = ?1 RETURNING ticket",
        )?
        .query_row(
            params![ticket.as_bytes(), entry.at.0, integer(entry.position)],
            |row| row.get(0),
        )
        .optional()?;
    Ok(row)
}

/// Something to stand in a ticket's timeline.
struct Entry<'a> {
    kind: &'static str,
    /// By the branch's clock, where a branch said it.
    said_at: Option<String>,
    who: &'a str,
    said: &'a str,
}

fn add_entry(
    connection: &Connection,
    entry: &HistoryEntry,
    ticket: i64,
    said: &Entry<'_>,
) -> Result<(), ReadModelError> {
    connection
        .prepare_cached(
            "INSERT INTO timeline (ticket, position, at, said_at, kind, who, said)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?
        .execute(params![
            ticket,
            integer(entry.position),
            entry.at.0,
            said.said_at,
            said.kind,
            said.who,
            said.said
        ])?;
    Ok(())
}

fn add_file(
    connection: &Connection,
    entry: &HistoryEntry,
    ticket: i64,
    operation: &Operation,
    file: &FileAttached,
) -> Result<(), ReadModelError> {
    connection
        .prepare_cached(
            "INSERT INTO files (file, id, ticket, name, size, state) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .execute(params![
            integer(entry.position),
            operation.id.as_bytes(),
            ticket,
            file.name,
            integer(file.size),
            FileState::Waiting.word()
        ])?;
    Ok(())
}

fn move_file(
    connection: &Connection,
    entry: &HistoryEntry,
    file: &[u8],
    state: &FileState,
) -> Result<(), ReadModelError> {
    let detail = match state {
        FileState::Infected { signature } => Some(signature.clone()),
        FileState::Released { by, reason } => Some(format!("{by}: {reason}")),
        _ => None,
    };
    let ticket: Option<i64> = connection
        .prepare_cached("UPDATE files SET state = ?2, detail = ?3 WHERE id = ?1 RETURNING ticket")?
        .query_row(params![file, state.word(), &detail], |row| row.get(0))
        .optional()?;
    connection
        .prepare_cached("UPDATE reply_files SET state = ?2, detail = ?3 WHERE id = ?1")?
        .execute(params![file, state.word(), detail])?;
    // Nobody has to have seen it before answering: the version stays, as it does in the ledger.
    if let Some(ticket) = ticket {
        changed(connection, entry, ticket)?;
    }
    Ok(())
}

fn changed(
    connection: &Connection,
    entry: &HistoryEntry,
    ticket: i64,
) -> Result<(), ReadModelError> {
    connection
        .prepare_cached("UPDATE tickets SET changed_at = ?2 WHERE ticket = ?1")?
        .execute(params![ticket, entry.at.0])?;
    Ok(())
}

fn count(connection: &Connection, ticket: i64, what: &'static str) -> Result<(), ReadModelError> {
    connection
        .prepare_cached(&format!(
            "UPDATE tickets SET {what} = {what} + 1 WHERE ticket = ?1"
        ))?
        .execute([ticket])?;
    Ok(())
}

fn move_ticket(
    connection: &Connection,
    ticket: i64,
    to: TicketState,
) -> Result<(), ReadModelError> {
    let (branch, from): (String, String) = connection
        .prepare_cached("SELECT branch, state FROM tickets WHERE ticket = ?1")?
        .query_row([ticket], |row| Ok((row.get(0)?, row.get(1)?)))?;
    // What was merged stays so, whatever its branch does.
    if from == TicketState::Merged.as_str() {
        return Ok(());
    }
    connection
        .prepare_cached("UPDATE tickets SET state = ?2 WHERE ticket = ?1")?
        .execute(params![ticket, to.as_str()])?;
    tally(connection, &branch, &from, -1)?;
    tally(connection, &branch, to.as_str(), 1)
}

fn tally(
    connection: &Connection,
    branch: &str,
    state: &str,
    more: i64,
) -> Result<(), ReadModelError> {
    connection
        .prepare_cached(
            "INSERT INTO tally (branch, state, tickets) VALUES (?1, ?2, ?3)
             ON CONFLICT (branch, state) DO UPDATE SET tickets = tickets + excluded.tickets",
        )?
        .execute(params![branch, state, more])?;
    Ok(())
}

/// SQLite counts in signed 64 bits; what a branch claims beyond that is as good as the most.
fn integer(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
