//! What is held, position by position, for whoever compares it with a branch's journal.

use branchline_protocol::chain::Position;
use branchline_protocol::id::{AgentId, OperationId, Seq, StreamId};
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::columns::{self, to_integer};
use crate::ledger::{HeldOperation, LedgerError, StreamRecord};

pub(super) fn stream(
    connection: &Connection,
    id: StreamId,
) -> Result<Option<StreamRecord>, LedgerError> {
    connection
        .prepare_cached(
            "SELECT agents.id, branch, head_seq, head_digest
             FROM streams JOIN agents USING (agent) WHERE streams.id = ?1",
        )?
        .query_row([id.as_bytes()], |row| Ok(stream_record(row)))
        .optional()?
        .transpose()
}

fn stream_record(row: &Row<'_>) -> Result<StreamRecord, LedgerError> {
    Ok(StreamRecord {
        agent: AgentId::from_bytes(row.get(0)?),
        branch: columns::branch(row, 1)?,
        head: Position {
            seq: Seq(columns::count(row, 2)?),
            digest: columns::digest(row, 3)?,
        },
    })
}

/// Counts effects from the events themselves, and by id, so that a fault in what keeps them single
/// would show. A renumbering is part of the filing that it goes with, a ticket's opening again of the
/// comment that opens it, and what becomes of a file is not its attaching.
pub(super) fn held(
    connection: &Connection,
    stream: StreamId,
    after: Seq,
    most: usize,
) -> Result<Vec<HeldOperation>, LedgerError> {
    let mut effects = connection.prepare_cached(
        "SELECT count(*), min(position) FROM events
         WHERE operation = ?1 AND kind NOT IN ('ticket_renumbered', 'ticket_moved', 'file_moved')",
    )?;
    let mut effects_by_id = connection.prepare_cached(
        "SELECT count(*), min(position) FROM operations JOIN events USING (operation)
         WHERE id = ?1 AND agent = ?2 AND kind NOT IN ('ticket_renumbered', 'ticket_moved', 'file_moved')",
    )?;
    let mut statement = connection.prepare_cached(
        "SELECT seq, digest, operation, operations.id, operations.agent, repeat
         FROM positions JOIN operations USING (operation)
         WHERE stream = (SELECT stream FROM streams WHERE streams.id = ?1) AND seq > ?2
         ORDER BY seq LIMIT ?3",
    )?;
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    let mut rows = statement.query(params![stream.as_bytes(), to_integer(after.0), most])?;
    let mut held = Vec::new();
    while let Some(row) = rows.next()? {
        let operation: i64 = row.get(2)?;
        let id = row.get::<_, Option<[u8; 16]>>(3)?;
        let agent: i64 = row.get(4)?;
        let counted = |row: &Row<'_>| Ok((row.get::<_, i64>(0)?, row.get::<_, Option<i64>>(1)?));
        let (count, first) = match &id {
            Some(id) => effects_by_id.query_row(params![id, agent], counted)?,
            None => effects.query_row([operation], counted)?,
        };
        held.push(HeldOperation {
            seq: Seq(columns::count(row, 0)?),
            digest: columns::digest(row, 1)?,
            id: id.map(OperationId::from_bytes),
            effects: columns::whole(count, "a count")?,
            first_effect: first
                .map(|first| columns::whole(first, "a position"))
                .transpose()?,
            repeat: row.get(5)?,
        });
    }
    Ok(held)
}
