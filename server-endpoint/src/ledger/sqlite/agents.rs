//! Branches, agents, and what agents last said of themselves.

use branchline_protocol::id::AgentId;
use branchline_protocol::text::clipped;
use branchline_protocol::time::UnixMillis;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::columns;
use crate::ledger::{AgentRecord, Append, BranchRecord, Contact, LedgerError, NewAgent};

/// Characters kept of an agent's version.
const VERSION_CHARS: usize = 60;

const AGENT_COLUMNS: &str = "id, branch, ordinal, secret_hash, registered_at, \
     contact_at, version, clock_skew, waiting, oldest_waiting, disk_free, damaged";

pub(super) fn register(connection: &Connection, new: NewAgent) -> Result<AgentRecord, LedgerError> {
    connection
        .prepare_cached(
            "INSERT INTO branches (code, name, added_at) VALUES (?1, ?2, ?3)
             ON CONFLICT (code) DO UPDATE SET name = coalesce(excluded.name, name)",
        )?
        .execute(params![new.branch.as_str(), new.branch_name, new.at.0])?;
    let ordinal: i64 = connection
        .prepare_cached("SELECT coalesce(max(ordinal), 0) + 1 FROM agents WHERE branch = ?1")?
        .query_row([new.branch.as_str()], |row| row.get(0))?;
    let ordinal = u16::try_from(ordinal)
        .map_err(|_| LedgerError::Full(format!("{} has 65,535 agents", new.branch)))?;
    connection
        .prepare_cached(
            "INSERT INTO agents (id, branch, ordinal, secret_hash, registered_at)
             VALUES (?1, ?2, ?3, ?4, ?5)",
        )?
        .execute(params![
            new.id.as_bytes(),
            new.branch.as_str(),
            ordinal,
            new.secret_hash.0,
            new.at.0
        ])?;
    Ok(AgentRecord {
        id: new.id,
        branch: new.branch,
        ordinal,
        secret_hash: new.secret_hash,
        registered_at: new.at,
        contact: None,
    })
}

pub(super) fn find(
    connection: &Connection,
    id: AgentId,
) -> Result<Option<AgentRecord>, LedgerError> {
    connection
        .prepare_cached(&format!("SELECT {AGENT_COLUMNS} FROM agents WHERE id = ?1"))?
        .query_row([id.as_bytes()], |row| Ok(agent(row)))
        .optional()?
        .transpose()
}

pub(super) fn branches(connection: &Connection) -> Result<Vec<BranchRecord>, LedgerError> {
    let mut statement =
        connection.prepare_cached("SELECT code, name FROM branches ORDER BY code")?;
    let mut rows = statement.query([])?;
    let mut branches = Vec::new();
    while let Some(row) = rows.next()? {
        branches.push(BranchRecord {
            code: columns::branch(row, 0)?,
            name: row.get(1)?,
            agents: Vec::new(),
        });
    }
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {AGENT_COLUMNS} FROM agents WHERE branch = ?1 ORDER BY ordinal"
    ))?;
    for branch in &mut branches {
        let mut rows = statement.query([branch.code.as_str()])?;
        while let Some(row) = rows.next()? {
            branch.agents.push(agent(row)?);
        }
    }
    Ok(branches)
}

/// Rides in the commit of the submission that said it. What the agent said was waiting no longer is
/// once it hears that it is `acknowledged`.
pub(super) fn note_contact(
    connection: &Connection,
    agent: i64,
    append: &Append,
    acknowledged: u64,
    serials_used: u32,
) -> Result<(), LedgerError> {
    let (health, at) = (&append.health, append.received_at);
    let waiting = health.waiting.saturating_sub(acknowledged);
    let oldest_waiting = health.oldest_waiting.filter(|_| waiting > 0);
    connection
        .prepare_cached(
            "UPDATE agents SET contact_at = ?2, version = ?3, clock_skew = ?4, waiting = ?5,
                 oldest_waiting = ?6, disk_free = ?7, damaged = ?8, serials_used = ?9
             WHERE agent = ?1",
        )?
        .execute(params![
            agent,
            at.0,
            clipped(&health.version, VERSION_CHARS),
            health.clock.0.saturating_sub(at.0),
            columns::to_integer(waiting),
            oldest_waiting.map(|oldest| oldest.0),
            health.disk_free.map(columns::to_integer),
            columns::to_integer(health.damaged),
            serials_used,
        ])?;
    Ok(())
}

fn agent(row: &Row<'_>) -> Result<AgentRecord, LedgerError> {
    let contact_at: Option<i64> = row.get(5)?;
    let contact = match contact_at {
        None => None,
        Some(at) => Some(Contact {
            at: UnixMillis(at),
            version: row.get(6)?,
            clock_skew: row.get(7)?,
            waiting: columns::count(row, 8)?,
            oldest_waiting: row.get::<_, Option<i64>>(9)?.map(UnixMillis),
            disk_free: columns::optional_count(row, 10)?,
            damaged: columns::count(row, 11)?,
        }),
    };
    Ok(AgentRecord {
        id: AgentId::from_bytes(row.get(0)?),
        branch: columns::branch(row, 1)?,
        ordinal: columns::whole(row.get(2)?, "an ordinal")?,
        secret_hash: columns::digest(row, 3)?,
        registered_at: columns::millis(row, 4)?,
        contact,
    })
}
