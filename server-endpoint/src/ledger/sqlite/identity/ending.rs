//! How an agent's rights end: by a revocation, or because it joined again elsewhere.

use branchline_protocol::id::AgentId;
use branchline_protocol::time::UnixMillis;
use rusqlite::{Connection, params};

use super::{tokens, trail};
use crate::ledger::sqlite::columns::{self, to_integer};
use crate::ledger::{Deed, LedgerError};

pub(super) fn revoke_agent(
    connection: &Connection,
    agent: AgentId,
    deed: &Deed,
) -> Result<bool, LedgerError> {
    let Some(row) = tokens::agent_row(connection, agent)? else {
        return Ok(false);
    };
    connection
        .prepare_cached("UPDATE agents SET revoked_at = coalesce(revoked_at, ?2) WHERE agent = ?1")?
        .execute([row, deed.at.0])?;
    // A token of before would lift the revocation.
    connection
        .prepare_cached(
            "UPDATE tokens SET revoked_at = ?2 WHERE agent = ?1 AND revoked_at IS NULL",
        )?
        .execute([row, deed.at.0])?;
    end_all(connection, row, deed.at)?;
    trail::add(connection, deed)?;
    Ok(true)
}

/// The agent joins again: whatever it had before is good for nothing any more.
pub(super) fn end_for_another(
    connection: &Connection,
    agent: i64,
    at: UnixMillis,
) -> Result<(), LedgerError> {
    connection
        .prepare_cached("UPDATE agents SET revoked_at = NULL WHERE agent = ?1")?
        .execute([agent])?;
    end_all(connection, agent, at)
}

fn end_all(connection: &Connection, agent: i64, at: UnixMillis) -> Result<(), LedgerError> {
    connection
        .prepare_cached("UPDATE enrolments SET ended = 1 WHERE agent = ?1")?
        .execute([agent])?;
    connection
        .prepare_cached("UPDATE certificates SET state = 'revoked' WHERE agent = ?1")?
        .execute([agent])?;
    connection
        .prepare_cached("INSERT INTO revocations (agent, at) VALUES (?1, ?2)")?
        .execute(params![agent, at.0])?;
    Ok(())
}

pub(super) fn revocations(
    connection: &Connection,
    after: Option<u64>,
) -> Result<(u64, Vec<AgentId>), LedgerError> {
    let last = connection
        .prepare_cached("SELECT coalesce(max(place), 0) FROM revocations")?
        .query_row([], |row| Ok(columns::count(row, 0)))??;
    let mut ended = Vec::new();
    if let Some(after) = after {
        let mut statement = connection.prepare_cached(
            "SELECT DISTINCT agents.id FROM revocations JOIN agents USING (agent) WHERE place > ?1",
        )?;
        let mut rows = statement.query([to_integer(after)])?;
        while let Some(row) = rows.next()? {
            ended.push(AgentId::from_bytes(row.get(0)?));
        }
    }
    Ok((last, ended))
}
