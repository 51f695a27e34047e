//! What the desk did, and what came of what a branch said: each an event that says all there is to know.

use branchline_protocol::desk::{OfferedFile, TicketState};
use branchline_protocol::event::EventBody;
use rusqlite::{Connection, OptionalExtension, params};

use super::{Entry, add_entry, changed, count, integer, move_ticket, touch};
use crate::desk::read_model::ReadModelError;
use crate::ledger::HistoryEntry;

/// The row of the ticket that is to be searched by other words now.
pub(super) fn apply(
    connection: &Connection,
    entry: &HistoryEntry,
    body: &EventBody,
) -> Result<Option<i64>, ReadModelError> {
    let ticket = match body {
        EventBody::ReplyAdded { ticket, .. }
        | EventBody::NoteAdded { ticket, .. }
        | EventBody::TicketMoved { ticket, .. }
        | EventBody::TicketAssigned { ticket, .. }
        | EventBody::TicketClassified { ticket, .. }
        | EventBody::TicketTagged { ticket, .. }
        | EventBody::TicketMerged { ticket, .. } => *ticket,
        _ => return Ok(None),
    };
    let Some(row) = touch(connection, entry, ticket)? else {
        return Ok(None);
    };
    let told = told(body);
    let said = Entry {
        kind: told.kind,
        said_at: None,
        who: told.who,
        said: &told.said,
    };
    add_entry(connection, entry, row, &said)?;
    match body {
        EventBody::ReplyAdded { files, .. } => {
            count(connection, row, "replies")?;
            note_answer(connection, entry, row)?;
            add_files(connection, entry, row, files)?;
        }
        EventBody::TicketMoved { state, .. } => {
            move_ticket(connection, row, *state)?;
            note_resolution(connection, entry, row, *state)?;
        }
        EventBody::TicketAssigned { to, .. } => {
            connection
                .prepare_cached("UPDATE tickets SET assignee = ?2 WHERE ticket = ?1")?
                .execute(params![row, to])?;
        }
        EventBody::TicketClassified {
            priority, category, ..
        } => {
            connection
                .prepare_cached(
                    "UPDATE tickets SET priority = ?2, category = ?3 WHERE ticket = ?1",
                )?
                .execute(params![row, priority.as_str(), category])?;
        }
        EventBody::TicketTagged { tags, .. } => tag(connection, row, tags)?,
        EventBody::TicketMerged { into, .. } => {
            move_ticket(connection, row, TicketState::Merged)?;
            merge(connection, entry, row, into.as_bytes())?;
        }
        _ => {}
    }
    Ok(Some(row))
}

/// An event as an entry of the timeline.
struct Told<'a> {
    kind: &'static str,
    who: &'a str,
    said: String,
}

fn told(body: &EventBody) -> Told<'_> {
    let (kind, who, said) = match body {
        EventBody::ReplyAdded { by, text, .. } => ("reply", by.as_str(), text.clone()),
        EventBody::NoteAdded { by, text, .. } => ("note", by.as_str(), text.clone()),
        EventBody::TicketMoved { state, by, .. } => (
            "moved",
            by.as_deref().unwrap_or_default(),
            state.as_str().to_owned(),
        ),
        EventBody::TicketAssigned { to, by, .. } => {
            ("assigned", by.as_str(), to.clone().unwrap_or_default())
        }
        EventBody::TicketClassified {
            priority,
            category,
            by,
            ..
        } => (
            "classified",
            by.as_str(),
            format!("{} {category}", priority.as_str()),
        ),
        EventBody::TicketTagged { tags, by, .. } => ("tagged", by.as_str(), tags.join("\n")),
        EventBody::TicketMerged { number, by, .. } => ("merged", by.as_str(), number.to_string()),
        _ => ("", "", String::new()),
    };
    Told { kind, who, said }
}

/// The clock of the first answer stops.
fn note_answer(
    connection: &Connection,
    entry: &HistoryEntry,
    ticket: i64,
) -> Result<(), ReadModelError> {
    connection
        .prepare_cached(
            "UPDATE tickets SET first_answered_at = coalesce(first_answered_at, ?2)
             WHERE ticket = ?1",
        )?
        .execute(params![ticket, entry.at.0])?;
    Ok(())
}

/// The clock of the resolution stops, or goes on.
fn note_resolution(
    connection: &Connection,
    entry: &HistoryEntry,
    ticket: i64,
    state: TicketState,
) -> Result<(), ReadModelError> {
    if matches!(state, TicketState::Resolved | TicketState::Closed) {
        // What is settled needs no answer any more.
        note_answer(connection, entry, ticket)?;
        connection
            .prepare_cached(
                "UPDATE tickets SET resolved_at = coalesce(resolved_at, ?2) WHERE ticket = ?1",
            )?
            .execute(params![ticket, entry.at.0])?;
    } else {
        connection
            .prepare_cached("UPDATE tickets SET resolved_at = NULL WHERE ticket = ?1")?
            .execute([ticket])?;
    }
    Ok(())
}

fn add_files(
    connection: &Connection,
    entry: &HistoryEntry,
    ticket: i64,
    files: &[OfferedFile],
) -> Result<(), ReadModelError> {
    let mut statement = connection.prepare_cached(
        "INSERT INTO reply_files (ticket, position, place, id, name, size)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?;
    for (place, file) in (0_i64..).zip(files) {
        statement.execute(params![
            ticket,
            integer(entry.position),
            place,
            file.file.as_bytes(),
            file.name,
            integer(file.size)
        ])?;
    }
    Ok(())
}

fn tag(connection: &Connection, ticket: i64, tags: &[String]) -> Result<(), ReadModelError> {
    let before: String = connection
        .prepare_cached("SELECT tags FROM tickets WHERE ticket = ?1")?
        .query_row([ticket], |row| row.get(0))?;
    for tag in before.lines() {
        connection
            .prepare_cached("DELETE FROM tags WHERE tag = ?1 AND ticket = ?2")?
            .execute(params![tag, ticket])?;
    }
    for tag in tags {
        connection
            .prepare_cached("INSERT OR IGNORE INTO tags (tag, ticket) VALUES (?1, ?2)")?
            .execute(params![tag, ticket])?;
    }
    connection
        .prepare_cached("UPDATE tickets SET tags = ?2 WHERE ticket = ?1")?
        .execute(params![ticket, tags.join("\n")])?;
    Ok(())
}

/// The ticket that goes on shows it too; nobody has to have seen that before answering there.
fn merge(
    connection: &Connection,
    entry: &HistoryEntry,
    ticket: i64,
    into: &[u8],
) -> Result<(), ReadModelError> {
    let into: Option<i64> = connection
        .prepare_cached("SELECT ticket FROM tickets WHERE id = ?1")?
        .query_row([into], |row| row.get(0))
        .optional()?;
    let Some(into) = into else {
        return Ok(());
    };
    connection
        .prepare_cached("UPDATE tickets SET merged_into = ?2 WHERE ticket = ?1")?
        .execute([ticket, into])?;
    let number: String = connection
        .prepare_cached("SELECT number FROM tickets WHERE ticket = ?1")?
        .query_row([ticket], |row| row.get(0))?;
    let by = entry.body.as_ref().map(told);
    let said = Entry {
        kind: "merged",
        said_at: None,
        who: by.as_ref().map_or("", |told| told.who),
        said: &number,
    };
    add_entry(connection, entry, into, &said)?;
    changed(connection, entry, into)
}
