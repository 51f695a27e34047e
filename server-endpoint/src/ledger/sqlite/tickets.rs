//! Tickets, listed and shown. What was filed is read from the operation's own bytes.

use branchline_protocol::event::EventBody;
use branchline_protocol::id::{BranchCode, TicketNumber};
use branchline_protocol::operation::{Body, Operation};
use branchline_protocol::time::UnixMillis;
use rusqlite::{Connection, Row, params};

use super::feed::StoredEvent;
use super::{columns, files};
use crate::ledger::{
    Answer, Comment, LedgerError, TICKET_FILES, TicketFile, TicketFilter, TicketRow,
};

const TICKET_COLUMNS: &str = "branch, ordinal, serial, suffix, state, tickets.received_at, \
     operations.bytes, tickets.operation, operations.verdict, version, priority, category, assignee, \
     tags, merged_into";

pub(super) fn list(
    connection: &Connection,
    filter: &TicketFilter,
) -> Result<Vec<TicketRow>, LedgerError> {
    let range = if filter.branch.is_some() {
        "branch = ?1"
    } else {
        "branch >= ?1"
    };
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {TICKET_COLUMNS} FROM tickets JOIN operations USING (operation)
         WHERE {range} AND (branch, ordinal, serial, suffix) > (?2, ?3, ?4, ?5)
         ORDER BY branch, ordinal, serial, suffix LIMIT ?6"
    ))?;
    let (branch, ordinal, serial, suffix) = filter.after.as_ref().map_or(("", 0, 0, 0), |after| {
        let TicketNumber {
            branch,
            ordinal,
            serial,
            suffix,
        } = after;
        (branch.as_str(), *ordinal, *serial, *suffix)
    });
    let mut rows = statement.query(params![
        filter.branch.as_ref().map_or("", BranchCode::as_str),
        branch,
        ordinal,
        serial,
        suffix,
        i64::try_from(filter.most).unwrap_or(i64::MAX)
    ])?;
    let mut tickets = Vec::new();
    while let Some(row) = rows.next()? {
        tickets.push(ticket(connection, row)?);
    }
    Ok(tickets)
}

pub(super) fn show(
    connection: &Connection,
    number: &TicketNumber,
) -> Result<Option<TicketFile>, LedgerError> {
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {TICKET_COLUMNS} FROM tickets JOIN operations USING (operation)
         WHERE branch = ?1 AND ordinal = ?2 AND serial = ?3 AND suffix = ?4"
    ))?;
    let mut rows = statement.query(params![
        number.branch.as_str(),
        number.ordinal,
        number.serial,
        number.suffix
    ])?;
    let Some(row) = rows.next()? else {
        return Ok(None);
    };
    let mut file = TicketFile {
        row: ticket(connection, row)?,
        verdict: columns::verdict(row, 8)?,
        comments: Vec::new(),
        answers: Vec::new(),
        files: Vec::new(),
        more_files: false,
        withdrawn: None,
    };
    let ticket = row.get(7)?;
    add_history(connection, ticket, &mut file)?;
    file.answers = answers(connection, ticket)?;
    // One more tells whether there are more.
    file.files = files::reading::of_ticket(connection, ticket, TICKET_FILES + 1)?;
    file.more_files = file.files.len() > TICKET_FILES;
    file.files.truncate(TICKET_FILES);
    Ok(Some(file))
}

fn add_history(
    connection: &Connection,
    ticket: i64,
    file: &mut TicketFile,
) -> Result<(), LedgerError> {
    let mut statement = connection.prepare_cached(
        "SELECT received_at, bytes FROM events JOIN operations USING (operation)
         WHERE ticket = ?1 AND kind IN ('comment_added', 'ticket_withdrawn') ORDER BY position",
    )?;
    let mut rows = statement.query([ticket])?;
    while let Some(row) = rows.next()? {
        let operation = columns::operation(row, 1)?;
        let received_at = UnixMillis(row.get(0)?);
        match operation.body {
            Body::CommentAdded(comment) => file.comments.push(Comment {
                operation: operation.id,
                at: operation.at,
                received_at,
                reporter: operation.by.user,
                text: comment.text,
            }),
            Body::TicketWithdrawn(withdrawn) => file.withdrawn = Some((operation.at, withdrawn)),
            Body::TicketFiled(_) | Body::FileAttached(_) => {}
        }
    }
    Ok(())
}

fn answers(connection: &Connection, ticket: i64) -> Result<Vec<Answer>, LedgerError> {
    let mut statement = connection.prepare_cached(
        "SELECT position, at, operation, kind, body FROM events
         WHERE ticket = ?1 AND kind IN ('reply_added', 'note_added') ORDER BY position",
    )?;
    let mut rows = statement.query([ticket])?;
    let mut answers = Vec::new();
    while let Some(row) = rows.next()? {
        let event = StoredEvent::read(row)?.event;
        let (id, by, text, files, is_note) = match event.body() {
            Some(EventBody::ReplyAdded {
                reply,
                by,
                text,
                files,
                ..
            }) => (reply, by, text, files, false),
            Some(EventBody::NoteAdded { note, by, text, .. }) => (note, by, text, Vec::new(), true),
            _ => return Err(columns::unfit("a reply or a note")),
        };
        answers.push(Answer {
            id,
            at: event.at,
            by,
            text,
            files,
            is_note,
        });
    }
    Ok(answers)
}

fn ticket(connection: &Connection, row: &Row<'_>) -> Result<TicketRow, LedgerError> {
    let operation = columns::operation(row, 6)?;
    let Operation { id, at, by, body } = operation;
    let Body::TicketFiled(filed) = body else {
        return Err(columns::unfit("a ticket's filing"));
    };
    Ok(TicketRow {
        id: id.into(),
        number: columns::number(row, 0)?,
        state: columns::state(row, 4)?,
        filed_at: at,
        received_at: columns::millis(row, 5)?,
        reporter: by.user,
        version: columns::count(row, 9)?,
        priority: columns::priority(row, 10)?.unwrap_or(filed.priority),
        category: row
            .get::<_, Option<String>>(11)?
            .unwrap_or_else(|| filed.category.clone()),
        assignee: row.get(12)?,
        tags: columns::texts(row, 13)?,
        merged_into: match row.get(14)? {
            Some(into) => Some(number_of(connection, into)?),
            None => None,
        },
        filed,
    })
}

fn number_of(connection: &Connection, ticket: i64) -> Result<TicketNumber, LedgerError> {
    connection
        .prepare_cached("SELECT branch, ordinal, serial, suffix FROM tickets WHERE operation = ?1")?
        .query_row([ticket], |row| Ok(columns::number(row, 0)))?
}
