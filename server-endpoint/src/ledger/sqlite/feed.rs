//! The feed of a branch, and its cursors.
//!
//! A cursor is the position of the last event read and a tag hashed from that event's row. A ledger
//! that was restored from a backup gives the same positions out to other events; the tag tells.

use branchline_protocol::event::Event;
use branchline_protocol::id::BranchCode;
use branchline_protocol::limits;
use branchline_protocol::time::UnixMillis;
use rusqlite::{Connection, OptionalExtension, Row, params};
use serde_json::value::RawValue;

use super::columns::{self, to_integer};
use crate::ledger::{FeedPage, LedgerError, Newsflash};

/// Bytes of an event on the wire besides its body.
const EVENT_ENVELOPE_BYTES: usize = 120;

pub(super) fn page(
    connection: &Connection,
    branch: &BranchCode,
    after: Option<&str>,
) -> Result<FeedPage, LedgerError> {
    let given = after.unwrap_or_default();
    let start = start_of(connection, after)?;
    let rewound = start.is_none();
    let mut page = FeedPage {
        events: Vec::new(),
        cursor: if rewound { "" } else { given }.to_owned(),
        rewound,
    };
    let mut statement = connection.prepare_cached(
        "SELECT position, at, operation, kind, body FROM events
         WHERE branch = ?1 AND for_feed = 1 AND position > ?2 ORDER BY position LIMIT ?3",
    )?;
    let most = i64::try_from(limits::FEED_EVENTS).unwrap_or(i64::MAX);
    let mut rows = statement.query(params![
        branch.as_str(),
        to_integer(start.unwrap_or(0)),
        most
    ])?;
    let mut bytes = 0;
    while let Some(row) = rows.next()? {
        let stored = StoredEvent::read(row)?;
        bytes += EVENT_ENVELOPE_BYTES + stored.event.body.get().len();
        if bytes > limits::FEED_BYTES && !page.events.is_empty() {
            break;
        }
        page.cursor = stored.cursor();
        page.events.push(stored.event);
    }
    Ok(page)
}

pub(super) fn news(connection: &Connection, after: Option<u64>) -> Result<Newsflash, LedgerError> {
    let through = connection
        .prepare_cached("SELECT coalesce(max(position), 0) FROM events")?
        .query_row([], |row| Ok(columns::count(row, 0)))??;
    let mut branches = Vec::new();
    if let Some(after) = after {
        let mut statement = connection.prepare_cached(
            "SELECT DISTINCT branch FROM events NOT INDEXED
             WHERE position > ?1 AND position <= ?2 AND for_feed = 1",
        )?;
        let mut rows = statement.query([to_integer(after), to_integer(through)])?;
        while let Some(row) = rows.next()? {
            branches.push(columns::branch(row, 0)?);
        }
    }
    Ok(Newsflash { through, branches })
}

pub(super) struct StoredEvent {
    pub(super) event: Event,
    /// The cause, where an operation was.
    operation: Option<i64>,
}

impl StoredEvent {
    /// From columns position, at, operation, kind, body.
    pub(super) fn read(row: &Row<'_>) -> Result<Self, LedgerError> {
        let body: String = row.get(4)?;
        let event = Event {
            position: columns::count(row, 0)?,
            at: UnixMillis(row.get(1)?),
            kind: row.get(3)?,
            body: RawValue::from_string(body).map_err(|_| columns::unfit("an event's body"))?,
        };
        Ok(Self {
            event,
            operation: row.get(2)?,
        })
    }

    /// Behind this event.
    pub(super) fn cursor(&self) -> String {
        let mut hasher = blake3::Hasher::new();
        hasher.update(b"branchline-cursor-v1");
        for number in [
            to_integer(self.event.position),
            self.event.at.0,
            self.operation.unwrap_or(0),
        ] {
            hasher.update(&number.to_le_bytes());
        }
        hasher.update(self.event.kind.as_bytes());
        hasher.update(self.event.body.get().as_bytes());
        let tag = hasher.finalize().to_hex();
        let tag = tag.get(..16).unwrap_or_default();
        format!("{}-{tag}", self.event.position)
    }
}

/// The position that a reader's cursor stands for: the beginning without one, `None` where it is not one of
/// this ledger.
pub(super) fn start_of(
    connection: &Connection,
    after: Option<&str>,
) -> Result<Option<u64>, LedgerError> {
    match after.filter(|cursor| !cursor.is_empty()) {
        None => Ok(Some(0)),
        Some(cursor) => position_of(connection, cursor),
    }
}

fn position_of(connection: &Connection, cursor: &str) -> Result<Option<u64>, LedgerError> {
    let position = cursor
        .split_once('-')
        .and_then(|(position, _)| position.parse::<u64>().ok());
    let Some(position) = position else {
        return Ok(None);
    };
    let stored = connection
        .prepare_cached(
            "SELECT position, at, operation, kind, body FROM events WHERE position = ?1",
        )?
        .query_row([to_integer(position)], |row| Ok(StoredEvent::read(row)))
        .optional()?
        .transpose()?;
    let ours = stored.is_some_and(|stored| stored.cursor() == cursor);
    Ok(ours.then_some(position))
}
