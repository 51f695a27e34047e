//! What changed, in order: a line for each event, so that a console that was away can be told what it
//! missed.

use branchline_protocol::event::EventBody;
use branchline_protocol::id::TicketId;
use rusqlite::{Connection, OptionalExtension, params};

use super::listing::{COLUMNS, TicketSummary, summary};
use super::{ReadModel, ReadModelError};
use crate::ledger::HistoryEntry;

/// Changes in one answer.
pub const PAGE_CHANGES: usize = 500;

pub(super) const TABLE: &str = "
    -- A line for each event: its ticket's row, where it has one.
    CREATE TABLE changes (
        position INTEGER PRIMARY KEY,
        branch TEXT NOT NULL,
        kind TEXT NOT NULL,
        ticket INTEGER
    ) STRICT;
";

/// One event, for those who watch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangeView {
    /// Where it stands among all events.
    pub position: u64,
    /// Of which branch.
    pub branch: String,
    /// The event's kind.
    pub kind: String,
    /// The ticket concerned, as it is when this is read.
    pub ticket: Option<TicketSummary>,
}

impl ReadModel {
    /// What changed after a position, in order; at most `most` and [`PAGE_CHANGES`].
    pub async fn changes(
        &self,
        after: u64,
        most: usize,
    ) -> Result<Vec<ChangeView>, ReadModelError> {
        let most = i64::try_from(most.min(PAGE_CHANGES)).unwrap_or(1);
        let after = i64::try_from(after).unwrap_or(i64::MAX);
        self.ask(move |connection| page(connection, after, most))
            .await
    }
}

fn page(connection: &Connection, after: i64, most: i64) -> Result<Vec<ChangeView>, ReadModelError> {
    let mut statement = connection.prepare_cached(
        "SELECT position, branch, kind, ticket FROM changes WHERE position > ?1
         ORDER BY position LIMIT ?2",
    )?;
    let mut ticket =
        connection.prepare_cached(&format!("SELECT {COLUMNS} FROM tickets WHERE ticket = ?1"))?;
    let mut rows = statement.query([after, most])?;
    let mut changes = Vec::new();
    while let Some(row) = rows.next()? {
        let concerned: Option<i64> = row.get(3)?;
        let concerned = concerned.map(|row| ticket.query_row([row], summary).optional());
        changes.push(ChangeView {
            position: u64::try_from(row.get::<_, i64>(0)?).unwrap_or_default(),
            branch: row.get(1)?,
            kind: row.get(2)?,
            ticket: concerned.transpose()?.flatten(),
        });
    }
    Ok(changes)
}

/// Notes an event, after what it did to its ticket.
pub(super) fn note(connection: &Connection, entry: &HistoryEntry) -> Result<(), ReadModelError> {
    let Some(body) = &entry.body else {
        return Ok(());
    };
    let ticket = match body {
        EventBody::FileMoved { file, .. } => connection
            .prepare_cached("SELECT ticket FROM files WHERE id = ?1")?
            .query_row([&file.as_bytes()[..]], |row| row.get(0))
            .optional()?,
        other => match ticket_of(other) {
            Some(ticket) => connection
                .prepare_cached("SELECT ticket FROM tickets WHERE id = ?1")?
                .query_row([ticket.as_bytes()], |row| row.get::<_, i64>(0))
                .optional()?,
            None => None,
        },
    };
    let position = i64::try_from(entry.position).unwrap_or(i64::MAX);
    connection
        .prepare_cached(
            "INSERT INTO changes (position, branch, kind, ticket) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT DO NOTHING",
        )?
        .execute(params![
            position,
            entry.branch.as_str(),
            kind_of(body),
            ticket
        ])?;
    Ok(())
}

fn ticket_of(body: &EventBody) -> Option<TicketId> {
    match body {
        EventBody::TicketFiled { ticket, .. }
        | EventBody::TicketRenumbered { ticket, .. }
        | EventBody::CommentAdded { ticket, .. }
        | EventBody::TicketWithdrawn { ticket, .. }
        | EventBody::FileAttached { ticket, .. }
        | EventBody::ReplyAdded { ticket, .. }
        | EventBody::TicketMoved { ticket, .. }
        | EventBody::TicketClassified { ticket, .. }
        | EventBody::TicketMerged { ticket, .. }
        | EventBody::NoteAdded { ticket, .. }
        | EventBody::TicketAssigned { ticket, .. }
        | EventBody::TicketTagged { ticket, .. } => Some(*ticket),
        EventBody::FileMoved { .. }
        | EventBody::TrustChanged { .. }
        | EventBody::CatalogueChanged { .. }
        | EventBody::BandwidthChanged { .. }
        | EventBody::OperationRejected { .. } => None,
    }
}

/// The words of the wire.
fn kind_of(body: &EventBody) -> &'static str {
    match body {
        EventBody::TicketFiled { .. } => "ticket_filed",
        EventBody::TicketRenumbered { .. } => "ticket_renumbered",
        EventBody::CommentAdded { .. } => "comment_added",
        EventBody::TicketWithdrawn { .. } => "ticket_withdrawn",
        EventBody::FileAttached { .. } => "file_attached",
        EventBody::FileMoved { .. } => "file_moved",
        EventBody::TrustChanged { .. } => "trust_changed",
        EventBody::ReplyAdded { .. } => "reply_added",
        EventBody::TicketMoved { .. } => "ticket_moved",
        EventBody::TicketClassified { .. } => "ticket_classified",
        EventBody::TicketMerged { .. } => "ticket_merged",
        EventBody::NoteAdded { .. } => "note_added",
        EventBody::TicketAssigned { .. } => "ticket_assigned",
        EventBody::TicketTagged { .. } => "ticket_tagged",
        EventBody::CatalogueChanged { .. } => "catalogue_changed",
        EventBody::BandwidthChanged { .. } => "bandwidth_changed",
        EventBody::OperationRejected { .. } => "operation_rejected",
    }
}
