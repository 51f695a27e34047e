//! Branches, agents, and what agents last said of themselves.

use branchline_protocol::id::{AgentId, BranchCode};
use branchline_protocol::text::clipped;
use branchline_protocol::time::UnixMillis;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::{columns, desk};
use crate::ledger::{
    AgentRecord, Append, BranchRecord, Contact, LedgerError, NewAgent, RefusedAgent,
};

/// Characters kept of an agent's version.
const VERSION_CHARS: usize = 60;
/// Characters kept of why an agent was refused.
const WHY_CHARS: usize = 300;

const AGENT_COLUMNS: &str = "id, branch, ordinal, registered_at, \
     contact_at, version, clock_skew, waiting, oldest_waiting, disk_free, damaged, \
     revoked_at, certificate_until, trust, refused_at, refused_why";

pub(super) fn register(connection: &Connection, new: NewAgent) -> Result<AgentRecord, LedgerError> {
    add_branch(connection, &new.branch, new.branch_name.as_deref(), new.at)?;
    let ordinal = free_ordinal(connection, &new.branch)?;
    let joining = Joining {
        id: new.id,
        branch: new.branch,
        ordinal,
        at: new.at,
    };
    Ok(add(connection, joining)?.1)
}

/// Makes a branch, or gives it another name.
pub(super) fn add_branch(
    connection: &Connection,
    code: &BranchCode,
    name: Option<&str>,
    at: UnixMillis,
) -> Result<(), LedgerError> {
    let is_there = connection
        .prepare_cached("SELECT 1 FROM branches WHERE code = ?1")?
        .exists([code.as_str()])?;
    connection
        .prepare_cached(
            "INSERT INTO branches (code, name, added_at) VALUES (?1, ?2, ?3)
             ON CONFLICT (code) DO UPDATE SET name = coalesce(excluded.name, name)",
        )?
        .execute(params![code.as_str(), name, at.0])?;
    if is_there {
        return Ok(());
    }
    desk::settings::tell_new_branch(connection, code, at)
}

/// An agent that is added.
pub(super) struct Joining {
    pub(super) id: AgentId,
    pub(super) branch: BranchCode,
    pub(super) ordinal: u16,
    pub(super) at: UnixMillis,
}

/// Adds an agent; answers with its row's number too.
pub(super) fn add(
    connection: &Connection,
    new: Joining,
) -> Result<(i64, AgentRecord), LedgerError> {
    connection
        .prepare_cached(
            "INSERT INTO agents (id, branch, ordinal, registered_at)
             VALUES (?1, ?2, ?3, ?4)",
        )?
        .execute(params![
            new.id.as_bytes(),
            new.branch.as_str(),
            new.ordinal,
            new.at.0
        ])?;
    let record = AgentRecord {
        id: new.id,
        branch: new.branch,
        ordinal: new.ordinal,
        registered_at: new.at,
        revoked_at: None,
        certificate_until: None,
        trust: None,
        contact: None,
        refused: None,
    };
    Ok((connection.last_insert_rowid(), record))
}

/// The ordinal of the branch's next agent: one more than the highest, because whoever had a lower one may
/// still have tickets on paper; where the highest is taken, the lowest that is free.
pub(super) fn free_ordinal(
    connection: &Connection,
    branch: &BranchCode,
) -> Result<u16, LedgerError> {
    let next: i64 = connection
        .prepare_cached("SELECT coalesce(max(ordinal), 0) + 1 FROM agents WHERE branch = ?1")?
        .query_row([branch.as_str()], |row| row.get(0))?;
    if let Ok(next) = u16::try_from(next) {
        return Ok(next);
    }
    let gap: Option<i64> = connection
        .prepare_cached(
            "SELECT min(ordinal) + 1 FROM
                 (SELECT 0 AS ordinal UNION ALL SELECT ordinal FROM agents WHERE branch = ?1) AS taken
             WHERE NOT EXISTS (SELECT 1 FROM agents
                 WHERE branch = ?1 AND agents.ordinal = taken.ordinal + 1)",
        )?
        .query_row([branch.as_str()], |row| row.get(0))?;
    gap.and_then(|gap| u16::try_from(gap).ok())
        .ok_or_else(|| LedgerError::Full(format!("{branch} has 65,535 agents")))
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

pub(super) fn of_row(
    connection: &Connection,
    agent: i64,
) -> Result<Option<AgentRecord>, LedgerError> {
    connection
        .prepare_cached(&format!(
            "SELECT {AGENT_COLUMNS} FROM agents WHERE agent = ?1"
        ))?
        .query_row([agent], |row| Ok(self::agent(row)))
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
                 oldest_waiting = ?6, disk_free = ?7, damaged = ?8, serials_used = ?9,
                 certificate_until = coalesce(?10, certificate_until), trust = coalesce(?11, trust)
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
            health.certificate_until.map(|until| until.0),
            health.trust.map(columns::to_integer),
        ])?;
    Ok(())
}

/// Kept until the agent is heard again ([`agent`]).
pub(super) fn note_refusal(
    connection: &Connection,
    agent: AgentId,
    why: &str,
    at: UnixMillis,
) -> Result<(), LedgerError> {
    connection
        .prepare_cached("UPDATE agents SET refused_at = ?2, refused_why = ?3 WHERE id = ?1")?
        .execute(params![agent.as_bytes(), at.0, clipped(why, WHY_CHARS)])?;
    Ok(())
}

fn agent(row: &Row<'_>) -> Result<AgentRecord, LedgerError> {
    let contact_at: Option<i64> = row.get(4)?;
    let contact = match contact_at {
        None => None,
        Some(at) => Some(Contact {
            at: UnixMillis(at),
            version: row.get(5)?,
            clock_skew: row.get(6)?,
            waiting: columns::count(row, 7)?,
            oldest_waiting: row.get::<_, Option<i64>>(8)?.map(UnixMillis),
            disk_free: columns::optional_count(row, 9)?,
            damaged: columns::count(row, 10)?,
        }),
    };
    let refused_at: Option<i64> = row.get(14)?;
    let refused = match refused_at.filter(|at| contact_at.is_none_or(|heard| heard < *at)) {
        None => None,
        Some(at) => Some(RefusedAgent {
            at: UnixMillis(at),
            why: row.get(15)?,
        }),
    };
    Ok(AgentRecord {
        id: AgentId::from_bytes(row.get(0)?),
        branch: columns::branch(row, 1)?,
        ordinal: columns::whole(row.get(2)?, "an ordinal")?,
        registered_at: columns::millis(row, 3)?,
        revoked_at: row.get::<_, Option<i64>>(11)?.map(UnixMillis),
        certificate_until: row.get::<_, Option<i64>>(12)?.map(UnixMillis),
        trust: columns::optional_count(row, 13)?,
        contact,
        refused,
    })
}
