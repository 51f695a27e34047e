//! Starting from a damaged journal: always start, set the bad part aside, carry the rest over, and
//! say so.
//!
//! A file that does not open, or whose tables or last rows cannot be read, is moved aside whole
//! (`journal.damaged-TIME.db`, kept for IT). A new journal takes over its tickets, its unsent
//! operations and its numbers as far as they can still be read: forwards until the damage, then
//! backwards from the end until the damage. What it carries over is a new stream that submits
//! everything again; operation ids make what central has a no-op (P2).

use std::path::{Path, PathBuf};

use branchline_durable_sqlite::{OpenError, Settings, open_reader, open_writer};
use branchline_protocol::exchange::{Continues, ForkCause};
use branchline_protocol::id::StreamId;
use branchline_protocol::time::UnixMillis;
use rusqlite::{Connection, OpenFlags, Row};

use super::filing::checksum;
use super::{NewStream, SERIALS_USED, StartError, StreamRow, head, insert_stream, set_setting};

/// Numbers left out after a salvage, because the last ones given out may be among the damage.
const SERIALS_LEFT_OUT: u32 = 1_000;

/// Looks at an existing journal without changing it. If it cannot be used, moves it aside and answers
/// where it is now.
pub(super) fn set_aside_if_damaged(
    path: &Path,
    now: UnixMillis,
) -> Result<Option<PathBuf>, StartError> {
    if !path.exists() {
        return Ok(None);
    }
    let fault = match examine(path) {
        Ok(()) => return Ok(None),
        Err(fault) => fault,
    };
    if !is_damage(&fault) {
        return Err(fault);
    }
    let aside = path.with_file_name(format!("journal.damaged-{}.db", now.0));
    tracing::error!(error = %fault, aside = %aside.display(), "the journal is damaged and was set aside");
    std::fs::rename(path, &aside)?;
    for suffix in ["-wal", "-shm"] {
        let side = with_suffix(path, suffix);
        if side.exists() {
            std::fs::rename(&side, with_suffix(&aside, suffix))?;
        }
    }
    Ok(Some(aside))
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// The pages that every filing and every start need: schema, stream, and the ends of the tables.
fn examine(path: &Path) -> Result<(), StartError> {
    let connection = open_writer(path, &Settings::default())?;
    let tables: i64 = connection.query_row(
        "SELECT count(*) FROM sqlite_schema WHERE name IN ('stream', 'operation', 'ticket')",
        [],
        |row| row.get(0),
    )?;
    if tables == 0 || never_used(&connection)? {
        return Ok(());
    }
    StreamRow::read(&connection)?;
    head(&connection)?;
    connection.query_row("SELECT max(serial) FROM ticket", [], |_| Ok(()))?;
    connection.query_row("SELECT max(id) FROM operation", [], |_| Ok(()))?;
    Ok(())
}

/// The very first start was cut short after it had made the tables and before it had opened a stream:
/// nothing was ever saved, and the next start goes on from there.
fn never_used(connection: &Connection) -> rusqlite::Result<bool> {
    connection.query_row(
        "SELECT NOT EXISTS (SELECT 1 FROM stream) AND NOT EXISTS (SELECT 1 FROM operation)",
        [],
        |row| row.get(0),
    )
}

fn is_damage(fault: &StartError) -> bool {
    use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase};
    let (StartError::Read(source) | StartError::Open(OpenError::Sqlite { source, .. })) = fault
    else {
        return false;
    };
    matches!(
        source.sqlite_error_code(),
        Some(DatabaseCorrupt | NotADatabase)
    ) || matches!(
        source,
        rusqlite::Error::InvalidColumnType(..) | rusqlite::Error::QueryReturnedNoRows
    )
}

/// Carries over what can still be read of a journal that was set aside.
pub(super) fn salvage(
    connection: &mut Connection,
    aside: &Path,
    now: UnixMillis,
) -> Result<(), StartError> {
    let transaction = connection.transaction()?;
    let kept = match open_aside(aside) {
        Some(old) => carry_over(&old, &transaction)?,
        None => 0,
    };
    let highest: Option<u32> =
        transaction.query_row("SELECT max(serial) FROM ticket", [], |row| row.get(0))?;
    let last = highest.unwrap_or(0).saturating_add(SERIALS_LEFT_OUT);
    set_setting(&transaction, SERIALS_USED, last)?;
    let first = StreamRow::read(&transaction)?.stream;
    let continues = Continues {
        stream: first,
        at: None,
        cause: ForkCause::JournalDamaged,
        lost: 0,
    };
    let oldest: Option<u64> = transaction
        .query_row("SELECT min(position) FROM operation", [], |row| {
            row.get::<_, Option<i64>>(0)
        })?
        .map(super::from_sql);
    let new = NewStream {
        stream: StreamId(crate::ids::new_uuid(now)),
        continues: serde_json::to_string(&continues).ok(),
        base: oldest.unwrap_or(1).saturating_sub(1),
    };
    insert_stream(&transaction, &new, now)?;
    transaction.execute(
        "INSERT OR IGNORE INTO exception (position, kind) VALUES (0, 'damaged')",
        [],
    )?;
    transaction.commit()?;
    tracing::warn!(
        kept,
        "carried over what could be read of the damaged journal"
    );
    Ok(())
}

fn open_aside(aside: &Path) -> Option<Connection> {
    open_reader(aside, &Settings::default())
        .ok()
        .or_else(|| Connection::open_with_flags(aside, OpenFlags::SQLITE_OPEN_READ_ONLY).ok())
}

fn carry_over(old: &Connection, new: &Connection) -> rusqlite::Result<usize> {
    for direction in ["ASC", "DESC"] {
        let sql = format!(
            "SELECT serial, id, position, suffix, withdrawn, bytes FROM ticket ORDER BY serial {direction}"
        );
        copy_until_damage(old, &sql, |row| {
            new.prepare_cached("INSERT OR IGNORE INTO ticket (serial, id, position, suffix, withdrawn, bytes) VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?
                .execute((
                    row.get::<_, i64>(0)?,
                    row.get::<_, Vec<u8>>(1)?,
                    row.get::<_, i64>(2)?,
                    row.get::<_, i64>(3)?,
                    row.get::<_, i64>(4)?,
                    row.get::<_, Vec<u8>>(5)?,
                ))
        })?;
        // A journal of an earlier version has no such column, and none of these.
        let sql = format!(
            "SELECT serial, central_serial FROM ticket WHERE central_serial IS NOT NULL
             ORDER BY serial {direction}"
        );
        copy_until_damage(old, &sql, |row| {
            new.prepare_cached("UPDATE ticket SET central_serial = ?2 WHERE serial = ?1")?
                .execute((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?))
        })?;
        let sql =
            format!("SELECT position, serial, bytes FROM entry ORDER BY position {direction}");
        copy_until_damage(old, &sql, |row| {
            new.prepare_cached(
                "INSERT OR IGNORE INTO entry (position, serial, bytes) VALUES (?1, ?2, ?3)",
            )?
            .execute((
                row.get::<_, i64>(0)?,
                row.get::<_, i64>(1)?,
                row.get::<_, Vec<u8>>(2)?,
            ))
        })?;
    }
    // The view's copies fill in what the journal lost: the order of positions is the branch's order.
    let mut kept = 0;
    for (source, name) in [(old, "operation"), (new, "ticket"), (new, "entry")] {
        for direction in ["ASC", "DESC"] {
            let sql = format!("SELECT position, bytes FROM {name} ORDER BY position {direction}");
            kept += copy_until_damage(source, &sql, |row| {
                keep_operation(new, row.get(0)?, &row.get::<_, Vec<u8>>(1)?)
            })?;
        }
    }
    close_gaps(new)?;
    super::file_states::rebuild(new)?;
    super::dropped::carry_over(old, new)?;
    super::owner::carry_over(old, new)?;
    Ok(kept)
}

/// Ends at the damage without a fault; a fault of the new journal is one.
pub(super) fn copy_until_damage(
    old: &Connection,
    sql: &str,
    mut keep: impl FnMut(&Row<'_>) -> rusqlite::Result<usize>,
) -> rusqlite::Result<usize> {
    let Ok(mut statement) = old.prepare(sql) else {
        return Ok(0);
    };
    let Ok(mut rows) = statement.query([]) else {
        return Ok(0);
    };
    let mut kept = 0;
    while let Ok(Some(row)) = rows.next() {
        kept += match keep(row) {
            Err(rusqlite::Error::InvalidColumnType(..)) => 0,
            other => other?,
        };
    }
    Ok(kept)
}

fn keep_operation(new: &Connection, position: i64, bytes: &[u8]) -> rusqlite::Result<usize> {
    use branchline_protocol::operation::{Operation, Parsed};
    let Ok(Parsed::Known(operation)) = Operation::parse(bytes) else {
        return Ok(0);
    };
    new.prepare_cached(
        "INSERT OR IGNORE INTO operation (position, id, checksum, recorded_at, bytes)
         VALUES (?1, ?2, ?3, ?4, ?5)",
    )?
    .execute((
        position,
        operation.id.as_bytes(),
        checksum(bytes),
        operation.at.millis.0,
        bytes,
    ))
}

/// Positions follow one another without gaps: the journal's reader takes a gap for damage.
fn close_gaps(new: &Connection) -> rusqlite::Result<()> {
    let positions: Vec<i64> = new
        .prepare("SELECT position FROM operation ORDER BY position")?
        .query_map([], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    for (next, position) in (1_i64..).zip(positions) {
        if position != next {
            for table in ["operation", "ticket", "entry"] {
                let sql = format!("UPDATE {table} SET position = ?1 WHERE position = ?2");
                new.prepare_cached(&sql)?.execute((next, position))?;
            }
        }
    }
    Ok(())
}
