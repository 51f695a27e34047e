//! What keeps the journal in its bounds, and what the status shows of it.

use branchline_durable_sqlite::Lane;
use branchline_protocol::id::{Seq, StreamId};
use branchline_protocol::time::UnixMillis;
use rusqlite::{Connection, OptionalExtension};

use super::filing::used_bytes;
use super::{Store, StoreError, StreamRow, head, to_sql};

/// Operations removed in one commit, so that a filing never waits long behind upkeep (P7).
const PRUNED_AT_ONCE: u32 = 1_000;

/// Waiting tickets and entries are counted up to here: beyond, nobody minds how many more there are.
const COUNTED: u32 = 10_000;

/// What the status shows of the store.
#[derive(Debug, Clone)]
pub struct StoreFacts {
    /// The present stream.
    pub stream: StreamId,
    /// Its last operation.
    pub head: Seq,
    /// How far it is acknowledged.
    pub acknowledged: branchline_protocol::chain::Position,
    /// When central last acknowledged an operation.
    pub last_acknowledgement: Option<UnixMillis>,
    /// Operations not yet acknowledged.
    pub waiting: u64,
    /// Tickets that they are on.
    pub waiting_tickets: u64,
    /// When the oldest of them was saved.
    pub oldest_waiting: Option<UnixMillis>,
    /// Operations that central did not accept.
    pub rejected: u64,
    /// Operations damaged before central had them.
    pub damaged: u64,
    /// Bytes in use.
    pub used_bytes: u64,
    /// Bytes allowed.
    pub limit_bytes: u64,
}

impl Store {
    /// What the status shows. A few look-ups, whatever waits.
    pub async fn facts(&self) -> Result<StoreFacts, StoreError> {
        let limit_bytes = self.settings.limit_bytes.max(super::LEAST_LIMIT_BYTES);
        self.read(move |connection| Ok(facts(connection, limit_bytes)?))
            .await
    }

    /// Removes operations that were acknowledged and are older than `before`; answers whether there
    /// may be more.
    pub async fn prune(&self, before: UnixMillis) -> Result<bool, StoreError> {
        let write = move |connection: &Connection| {
            let acknowledged = StreamRow::read(connection)?.acknowledged;
            prune_oldest(connection, acknowledged, Some(before), PRUNED_AT_ONCE)
        };
        Ok(self.writer.run(Lane::Bulk, write).await? == PRUNED_AT_ONCE as usize)
    }
}

fn facts(connection: &Connection, limit_bytes: u64) -> rusqlite::Result<StoreFacts> {
    let row = StreamRow::read(connection)?;
    let head = head(connection)?;
    let next = to_sql(row.acknowledged.saturating_add(1));
    let oldest_waiting = connection
        .prepare_cached("SELECT recorded_at FROM operation WHERE position = ?1")?
        .query_row([next], |row| row.get(0).map(UnixMillis))
        .optional()?;
    let waiting_tickets = connection
        .prepare_cached(
            "SELECT count(*) FROM (
                 SELECT serial FROM (SELECT serial FROM ticket WHERE position > ?1 LIMIT ?2)
                 UNION SELECT serial FROM (SELECT serial FROM entry WHERE position > ?1 LIMIT ?2))",
        )?
        .query_row((to_sql(row.acknowledged), COUNTED), |row| row.get(0))
        .map(super::from_sql)?;
    // Survives a fork: the last time that anything was acknowledged, in whichever stream.
    let last_acknowledgement = match row.acknowledged_at {
        Some(at) => Some(at),
        None => connection
            .prepare_cached("SELECT max(acknowledged_at) FROM stream")?
            .query_row([], |row| row.get::<_, Option<i64>>(0))?
            .map(UnixMillis),
    };
    let count = |kind: &str| -> rusqlite::Result<u64> {
        connection
            .prepare_cached("SELECT count(*) FROM exception WHERE kind = ?1")?
            .query_row([kind], |row| row.get::<_, i64>(0))
            .map(super::from_sql)
    };
    Ok(StoreFacts {
        stream: row.stream,
        head: row.seq_of(head),
        acknowledged: row.position(),
        last_acknowledgement,
        waiting: head.saturating_sub(row.acknowledged),
        waiting_tickets,
        oldest_waiting,
        rejected: count("rejected")?,
        damaged: count("damaged")?,
        used_bytes: used_bytes(connection)?,
        limit_bytes,
    })
}

/// Removes the oldest acknowledged operations, but never the journal's last, and never the
/// acknowledgement from which the digests of the rest are computed.
pub(super) fn prune_oldest(
    connection: &Connection,
    acknowledged: u64,
    before: Option<UnixMillis>,
    most: u32,
) -> rusqlite::Result<usize> {
    let last = acknowledged.min(head(connection)?.saturating_sub(1));
    let before = before.map_or(i64::MAX, |before| before.0);
    let removed = connection
        .prepare_cached(
            "DELETE FROM operation WHERE position IN (
                 SELECT position FROM operation WHERE position <= ?1 ORDER BY position LIMIT ?3)
             AND recorded_at < ?2",
        )?
        .execute((to_sql(last), before, most))?;
    if removed > 0 {
        connection
            .prepare_cached(
                "DELETE FROM acknowledgement WHERE position < (
                     SELECT max(position) FROM acknowledgement WHERE position < (
                         SELECT min(position) FROM operation))",
            )?
            .execute([])?;
    }
    Ok(removed)
}
