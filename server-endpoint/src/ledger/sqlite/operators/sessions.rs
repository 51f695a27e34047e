//! Sessions, by the hashes of their secrets.

use branchline_protocol::id::Digest;
use branchline_protocol::time::UnixMillis;
use rusqlite::{Connection, OptionalExtension, params};

use super::people;
use crate::ledger::sqlite::columns;
use crate::ledger::sqlite::identity::trail;
use crate::ledger::{Deed, LedgerError, NewSession, OperatorName, SESSIONS_EACH, SessionRecord};

pub(super) fn open(connection: &Connection, new: &NewSession) -> Result<bool, LedgerError> {
    let at = new.deed.at.0;
    let operator: Option<i64> = connection
        .prepare_cached(
            "UPDATE operators SET signed_in_at = ?3
             WHERE name = ?1 AND password = ?2 AND must_change = 0 RETURNING operator",
        )?
        .query_row(params![new.name.as_str(), new.proven.0, at], |row| {
            row.get(0)
        })
        .optional()?;
    let Some(operator) = operator else {
        return Ok(false);
    };
    connection
        .prepare_cached("DELETE FROM sessions WHERE ends_at <= ?1")?
        .execute([at])?;
    connection
        .prepare_cached(
            "INSERT INTO sessions (hash, operator, made_at, used_at, ends_at, address)
             VALUES (?1, ?2, ?3, ?3, ?4, ?5)",
        )?
        .execute(params![
            new.hash.0,
            operator,
            at,
            new.ends_at.0,
            new.address
        ])?;
    let kept = i64::try_from(SESSIONS_EACH).unwrap_or(i64::MAX);
    connection
        .prepare_cached(
            "DELETE FROM sessions WHERE operator = ?1 AND session <=
                 (SELECT session FROM sessions WHERE operator = ?1
                  ORDER BY session DESC LIMIT 1 OFFSET ?2)",
        )?
        .execute([operator, kept])?;
    trail::add(connection, &new.deed)?;
    Ok(true)
}

pub(super) fn find(
    connection: &Connection,
    hash: Digest,
    at: UnixMillis,
    idle: i64,
) -> Result<Option<SessionRecord>, LedgerError> {
    connection
        .prepare_cached(
            "SELECT name, role, sessions.made_at, used_at, ends_at
             FROM sessions JOIN operators USING (operator)
             WHERE hash = ?1 AND ends_at > ?2 AND used_at + ?3 > ?2",
        )?
        .query_row(params![hash.0, at.0, idle], |row| {
            let record = || -> Result<SessionRecord, LedgerError> {
                Ok(SessionRecord {
                    name: people::name(row, 0)?,
                    role: people::role(row, 1)?,
                    made_at: columns::millis(row, 2)?,
                    used_at: columns::millis(row, 3)?,
                    ends_at: columns::millis(row, 4)?,
                })
            };
            Ok(record())
        })
        .optional()?
        .transpose()
}

pub(super) fn note_use(
    connection: &Connection,
    hash: Digest,
    at: UnixMillis,
) -> Result<(), LedgerError> {
    connection
        .prepare_cached("UPDATE sessions SET used_at = max(used_at, ?2) WHERE hash = ?1")?
        .execute(params![hash.0, at.0])?;
    Ok(())
}

pub(super) fn close(connection: &Connection, hash: Digest, deed: &Deed) -> Result<(), LedgerError> {
    let closed = connection
        .prepare_cached("DELETE FROM sessions WHERE hash = ?1")?
        .execute([hash.0])?;
    if closed == 1 {
        trail::add(connection, deed)?;
    }
    Ok(())
}

pub(super) fn end_all(connection: &Connection, name: &OperatorName) -> Result<(), LedgerError> {
    connection
        .prepare_cached(
            "DELETE FROM sessions WHERE operator = (SELECT operator FROM operators WHERE name = ?1)",
        )?
        .execute([name.as_str()])?;
    Ok(())
}
