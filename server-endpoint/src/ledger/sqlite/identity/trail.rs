//! The trail's rows. Triggers forbid changing and deleting them, for this program too.

use branchline_protocol::id::Digest;
use branchline_protocol::time::UnixMillis;
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::ledger::sqlite::columns::{self, to_integer};
use crate::ledger::{Deed, LedgerError, TRAIL_GENESIS, TRAIL_PAGE, TrailEntry, TrailFilter};

const COLUMNS: &str = "position, at, actor, action, subject, detail, address, digest";

/// Adds a deed, in the transaction of what it is about.
pub(in crate::ledger::sqlite) fn add(
    connection: &Connection,
    deed: &Deed,
) -> Result<(), LedgerError> {
    let last = connection
        .prepare_cached("SELECT position, digest FROM trail ORDER BY position DESC LIMIT 1")?
        .query_row([], |row| {
            Ok((columns::count(row, 0), columns::digest(row, 1)))
        })
        .optional()?;
    let (position, before) = match last {
        None => (0, TRAIL_GENESIS),
        Some((position, digest)) => (position?, digest?),
    };
    let entry = TrailEntry::of(deed, position + 1, before);
    connection
        .prepare_cached(&format!(
            "INSERT INTO trail ({COLUMNS}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)"
        ))?
        .execute(params![
            to_integer(entry.position),
            entry.at.0,
            entry.actor,
            entry.action,
            entry.subject,
            entry.detail,
            entry.address,
            entry.digest.0
        ])?;
    Ok(())
}

pub(super) fn list(
    connection: &Connection,
    filter: &TrailFilter,
) -> Result<Vec<TrailEntry>, LedgerError> {
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM trail
         WHERE position > ?1 AND (?2 IS NULL OR at >= ?2) AND (?3 IS NULL OR actor = ?3)
             AND (?4 IS NULL OR action = ?4) AND (?5 IS NULL OR subject = ?5)
         ORDER BY position LIMIT ?6"
    ))?;
    let most = i64::try_from(filter.most.min(TRAIL_PAGE)).unwrap_or(i64::MAX);
    let mut rows = statement.query(params![
        to_integer(filter.after),
        filter.since.map(|since| since.0),
        filter.actor,
        filter.action,
        filter.subject,
        most
    ])?;
    let mut entries = Vec::new();
    while let Some(row) = rows.next()? {
        entries.push(entry(row)?);
    }
    Ok(entries)
}

fn entry(row: &Row<'_>) -> Result<TrailEntry, LedgerError> {
    Ok(TrailEntry {
        position: columns::count(row, 0)?,
        at: UnixMillis(row.get(1)?),
        actor: row.get(2)?,
        action: row.get(3)?,
        subject: row.get(4)?,
        detail: row.get(5)?,
        address: row.get(6)?,
        digest: Digest(row.get(7)?),
    })
}
