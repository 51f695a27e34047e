//! The history of all branches. Its cursors are the feed's: a position, and a tag of what stands there.

use branchline_protocol::event::EventBody;
use branchline_protocol::operation::{Operation, Parsed};
use rusqlite::{Connection, Row, params};

use super::columns;
use super::feed::{StoredEvent, start_of};
use crate::ledger::{History, HistoryEntry, LedgerError};

pub(super) fn page(
    connection: &Connection,
    after: Option<&str>,
    most: usize,
) -> Result<History, LedgerError> {
    let start = start_of(connection, after)?;
    let mut history = History {
        entries: Vec::new(),
        cursor: match start {
            Some(_) => after.unwrap_or_default().to_owned(),
            None => String::new(),
        },
        rewound: start.is_none(),
    };
    let mut statement = connection.prepare_cached(
        "SELECT position, at, operation, kind, body, branch, bytes
         FROM events LEFT JOIN operations USING (operation)
         WHERE position > ?1 ORDER BY position LIMIT ?2",
    )?;
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    let mut rows = statement.query(params![columns::to_integer(start.unwrap_or(0)), most])?;
    while let Some(row) = rows.next()? {
        let stored = StoredEvent::read(row)?;
        history.cursor = stored.cursor();
        history.entries.push(entry(&stored, row)?);
    }
    Ok(history)
}

fn entry(stored: &StoredEvent, row: &Row<'_>) -> Result<HistoryEntry, LedgerError> {
    let body = stored.event.body();
    let caused = matches!(
        body,
        Some(
            EventBody::TicketFiled { .. }
                | EventBody::CommentAdded { .. }
                | EventBody::TicketWithdrawn { .. }
                | EventBody::FileAttached { .. }
        )
    );
    Ok(HistoryEntry {
        position: stored.event.position,
        at: stored.event.at,
        branch: columns::branch(row, 5)?,
        body,
        operation: if caused { operation(row) } else { None },
    })
}

/// A row that does not hold its operation any more costs its reader that one, and not all behind it.
fn operation(row: &Row<'_>) -> Option<Operation> {
    let bytes = row.get_ref(6).ok()?.as_blob().ok()?;
    match Operation::parse(bytes) {
        Ok(Parsed::Known(operation)) => Some(operation),
        _ => None,
    }
}
