//! What became of each file, as the journal keeps it: told by the bulk lane, by the feed, and by decay.
//!
//! A file's *standing* is what the branch still has to do for it; its *state* is what central said last.
//! Both are views: the operation that attached it is the truth, and central tells the rest again.

use branchline_protocol::file::FileState;
use branchline_protocol::id::FileId;
use branchline_protocol::operation::{Body, Operation, Parsed};
use branchline_protocol::time::UnixMillis;
use rusqlite::Connection;

use super::to_sql;

/// Keeps what the feed says of a file. Files of other agents' operations are passed over.
pub(super) fn apply(
    connection: &Connection,
    file: FileId,
    state: &FileState,
    now: UnixMillis,
) -> rusqlite::Result<()> {
    let text = serde_json::to_string(state).unwrap_or_default();
    connection
        .prepare_cached("UPDATE file SET state = ?1 WHERE id = ?2")?
        .execute((text, file.as_bytes()))?;
    let id = file.as_bytes();
    if *state == FileState::Waiting {
        // Central lost chunks of it. What is not here any more cannot be sent again.
        let sql = "UPDATE file SET settled_at = NULL, standing =
                       CASE WHEN standing IN ('given_up', 'damaged') THEN 'damaged' ELSE 'open' END
                   WHERE id = ?1";
        connection.prepare_cached(sql)?.execute([id])?;
    } else if state.is_settled() {
        let sql = "UPDATE file SET standing = 'settled', settled_at = coalesce(settled_at, ?2)
                   WHERE id = ?1 AND standing <> 'given_up'";
        connection.prepare_cached(sql)?.execute((id, now.0))?;
    } else {
        let sql = "UPDATE file SET standing = 'received'
                   WHERE id = ?1 AND standing NOT IN ('settled', 'given_up')";
        connection.prepare_cached(sql)?.execute([id])?;
    }
    Ok(())
}

/// The operation that attached a file was rejected: nothing is to be sent. Its chunks are kept for a
/// while, because a central that was restored may think otherwise.
pub(super) fn reject(
    connection: &Connection,
    position: u64,
    now: UnixMillis,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "UPDATE file SET standing = 'settled', settled_at = ?2
             WHERE position = ?1 AND standing = 'open'",
        )?
        .execute((to_sql(position), now.0))
        .map(|_| ())
}

/// Rejections of these positions are void: central decides again.
pub(super) fn reconsider(connection: &Connection, after: u64, to: u64) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "UPDATE file SET standing = 'open', settled_at = NULL
             WHERE standing = 'settled' AND position IN (
                 SELECT position FROM exception
                 WHERE kind = 'rejected' AND position > ?1 AND position <= ?2)",
        )?
        .execute((to_sql(after), to_sql(to)))
        .map(|_| ())
}

/// Central was restored: what it said is void, and it may lack what it had.
pub(super) fn forget(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute(
        "UPDATE file SET state = NULL, settled_at = NULL,
             standing = CASE WHEN standing IN ('received', 'settled', 'refused') THEN 'open'
                        ELSE standing END",
        [],
    )?;
    Ok(())
}

/// Makes the table again from the branch's view, after a salvage.
pub(super) fn rebuild(connection: &Connection) -> rusqlite::Result<()> {
    let mut statement = connection.prepare("SELECT position, serial, bytes FROM entry")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let bytes: Vec<u8> = row.get(2)?;
        let Ok(Parsed::Known(operation)) = Operation::parse(&bytes) else {
            continue;
        };
        let Body::FileAttached(file) = &operation.body else {
            continue;
        };
        connection
            .prepare_cached(
                "INSERT OR IGNORE INTO file (id, position, serial, size) VALUES (?1, ?2, ?3, ?4)",
            )?
            .execute((
                operation.id.as_bytes(),
                row.get::<_, i64>(0)?,
                row.get::<_, u32>(1)?,
                to_sql(file.size),
            ))?;
    }
    Ok(())
}
