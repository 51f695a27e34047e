//! What the sync loop takes from the journal and writes back: operations to send, acknowledgements,
//! verdicts, forks, and news from the feed.

use branchline_durable_sqlite::{Lane, crash_point};
use branchline_protocol::chain::Position;
use branchline_protocol::event::{Event, EventBody, Rejection, Verdict};
use branchline_protocol::exchange::{Continues, FeedReply, ForkCause};
use branchline_protocol::id::{Digest, Seq, StreamId};
use branchline_protocol::limits;
use branchline_protocol::sender::{ForkFrom, Settled, StreamState};
use branchline_protocol::text::clipped;
use branchline_protocol::time::UnixMillis;
use rusqlite::{Connection, OptionalExtension};

use super::filing::checksum;
use super::{
    FEED_CURSOR, NewStream, SERIALS_USED, Store, StoreError, StreamRow, desk, file_states,
    from_sql, head, insert_stream, set_setting, setting, tickets, to_sql,
};

/// Operations read for sending.
#[derive(Debug, Default)]
pub struct LoadedOperations {
    /// Their bytes, in order, each proven by its checksum.
    pub operations: Vec<Vec<u8>>,
    /// The very next ones cannot be read, up to and with this position; only where `operations` is
    /// empty.
    pub damaged_through: Option<Seq>,
}

impl Store {
    /// The present stream, as the sender needs it.
    pub async fn stream_state(&self) -> Result<StreamState, StoreError> {
        self.read(|connection| Ok(state(connection)?)).await
    }

    /// Operations after a position: at most so many, at most so many bytes, and at least one if there
    /// is one. Stops before a damaged one; heals it first where its copy in the view is sound.
    pub async fn load(
        &self,
        after: Seq,
        most_bytes: usize,
        most_operations: usize,
    ) -> Result<LoadedOperations, StoreError> {
        let loaded = self
            .read(move |connection| load(connection, after, most_bytes, most_operations))
            .await?;
        if loaded.damaged_through.is_none() {
            return Ok(loaded);
        }
        let healed = self
            .writer
            .run(Lane::Control, move |connection| heal(connection, after))
            .await
            .unwrap_or(false);
        if !healed {
            return Ok(loaded);
        }
        tracing::warn!("a damaged journal row was healed from its copy");
        self.read(move |connection| load(connection, after, most_bytes, most_operations))
            .await
    }

    /// Keeps what central acknowledged and decided.
    pub async fn acknowledge(&self, settled: Settled, now: UnixMillis) -> Result<(), StoreError> {
        crash_point::reach("acknowledgement-received");
        let write = move |connection: &Connection| acknowledge(connection, &settled, now);
        let written = self.writer.run(Lane::Control, write).await;
        crash_point::reach("acknowledgement-committed");
        Ok(written?)
    }

    /// Central was restored: what comes after this position waits again.
    pub async fn rewind(&self, to: Position) -> Result<(), StoreError> {
        let write = move |connection: &Connection| {
            let row = StreamRow::read(connection)?;
            let position = row.position_of(to.seq);
            connection
                .prepare_cached(
                    "UPDATE stream SET acknowledged = ?1, digest = ?2 WHERE ordinal = ?3",
                )?
                .execute((to_sql(position), to.digest.0, row.ordinal))?;
            connection
                .prepare_cached("DELETE FROM acknowledgement WHERE position > ?1")?
                .execute([to_sql(position)])
        };
        self.writer.run(Lane::Control, write).await?;
        Ok(())
    }

    /// The journal's own digest at a position of the present stream, if it still retains what it
    /// takes to compute it.
    pub async fn digest_at(&self, seq: Seq) -> Result<Option<Digest>, StoreError> {
        self.read(move |connection| digest_at(connection, seq))
            .await
    }

    /// Opens a new stream in the journal's life. Costs one row, whatever waits.
    pub async fn fork(
        &self,
        cause: ForkCause,
        from: ForkFrom,
        serials_used: u32,
        now: UnixMillis,
    ) -> Result<StreamState, StoreError> {
        let write = move |connection: &Connection| {
            raise_serials_used(connection, serials_used)?;
            fork(connection, cause, from, now)?;
            state(connection)
        };
        Ok(self.writer.run(Lane::Control, write).await?)
    }

    /// How far the feed has been read.
    pub async fn feed_cursor(&self) -> Result<Option<String>, StoreError> {
        self.read(|connection| Ok(setting(connection, FEED_CURSOR)?))
            .await
    }

    /// Keeps news from the feed and the cursor behind it, in one commit. Events may come again.
    pub async fn apply_feed(&self, reply: FeedReply) -> Result<(), StoreError> {
        let limit_bytes = self.settings.limit_bytes;
        crash_point::reach("feed-received");
        let write = move |connection: &Connection| {
            if reply.rewound {
                forget_feed(connection)?;
            }
            for event in &reply.feed {
                apply_event(connection, event, limit_bytes)?;
            }
            set_setting(connection, FEED_CURSOR, &reply.cursor)?;
            desk::policy(connection)
        };
        let written = self.writer.run(Lane::Control, write).await;
        crash_point::reach("feed-committed");
        let policy = written?;
        self.policy.send_if_modified(|known| {
            let changed = *known != policy;
            *known = policy;
            changed
        });
        self.given.notify_one();
        Ok(())
    }
}

fn state(connection: &Connection) -> rusqlite::Result<StreamState> {
    Ok(StreamRow::read(connection)?.state(head(connection)?))
}

fn load(
    connection: &Connection,
    after: Seq,
    most_bytes: usize,
    most_operations: usize,
) -> Result<LoadedOperations, StoreError> {
    let row = StreamRow::read(connection)?;
    let first = row.position_of(after).saturating_add(1);
    let head = head(connection)?;
    if first > head {
        return Ok(LoadedOperations::default());
    }
    let operations = read_sound(connection, first, most_bytes, most_operations)?;
    if !operations.is_empty() {
        return Ok(LoadedOperations {
            operations,
            damaged_through: None,
        });
    }
    // The first one is unreadable: how far does the damage go?
    let mut last = first;
    while last < head && read_sound(connection, last + 1, 1, 1)?.is_empty() {
        last += 1;
    }
    Ok(LoadedOperations {
        operations,
        damaged_through: Some(row.seq_of(last)),
    })
}

/// Operations from a position on, up to the first one that is missing, unreadable or altered.
fn read_sound(
    connection: &Connection,
    first: u64,
    most_bytes: usize,
    most_operations: usize,
) -> Result<Vec<Vec<u8>>, StoreError> {
    let sql = "SELECT position, checksum, bytes FROM operation WHERE position >= ?1
               ORDER BY position LIMIT ?2";
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query((to_sql(first), to_sql(most_operations as u64)))?;
    let mut operations = Vec::new();
    let mut total = 0;
    loop {
        let row = match rows.next() {
            Ok(Some(row)) => row,
            Ok(None) => break,
            Err(fault) => match StoreError::from(fault) {
                StoreError::Damaged(_) => break,
                other => return Err(other),
            },
        };
        let expected = to_sql(first.saturating_add(operations.len() as u64));
        let Ok((position, sum, bytes)) = sound_columns(row) else {
            break;
        };
        if position != expected || checksum(bytes) != sum {
            break;
        }
        total += bytes.len();
        if total > most_bytes && !operations.is_empty() {
            break;
        }
        operations.push(bytes.to_vec());
    }
    Ok(operations)
}

fn sound_columns<'r>(row: &'r rusqlite::Row<'_>) -> rusqlite::Result<(i64, [u8; 16], &'r [u8])> {
    let bytes = row.get_ref(2)?.as_blob()?;
    Ok((row.get(0)?, row.get(1)?, bytes))
}

/// Writes the operation after `after` again from its copy in the view, if that one is sound.
fn heal(connection: &Connection, after: Seq) -> rusqlite::Result<bool> {
    let position = to_sql(
        StreamRow::read(connection)?
            .position_of(after)
            .saturating_add(1),
    );
    let sum: Option<[u8; 16]> = connection
        .query_row(
            "SELECT checksum FROM operation WHERE position = ?1",
            [position],
            |row| row.get(0),
        )
        .optional()?;
    let copy: Option<Vec<u8>> = connection
        .query_row(
            "SELECT bytes FROM ticket WHERE position = ?1
             UNION ALL SELECT bytes FROM entry WHERE position = ?1",
            [position],
            |row| row.get(0),
        )
        .optional()?;
    let (Some(sum), Some(copy)) = (sum, copy) else {
        return Ok(false);
    };
    if checksum(&copy) != sum {
        return Ok(false);
    }
    connection
        .execute(
            "UPDATE operation SET bytes = ?1 WHERE position = ?2",
            (copy, position),
        )
        .map(|changed| changed == 1)
}

fn acknowledge(
    connection: &Connection,
    settled: &Settled,
    now: UnixMillis,
) -> rusqlite::Result<()> {
    let row = StreamRow::read(connection)?;
    let position = row.position_of(settled.acknowledged.seq);
    if position <= row.acknowledged {
        return Ok(());
    }
    let digest = settled.acknowledged.digest.0;
    connection
        .prepare_cached(
            "UPDATE stream SET acknowledged = ?1, digest = ?2, acknowledged_at = ?3
             WHERE ordinal = ?4",
        )?
        .execute((to_sql(position), digest, now.0, row.ordinal))?;
    connection
        .prepare_cached(
            "INSERT OR REPLACE INTO acknowledgement (position, digest) VALUES (?1, ?2)",
        )?
        .execute((to_sql(position), digest))?;
    // Submitted again after a restore of central, an operation may fare better than it did.
    file_states::reconsider(connection, row.acknowledged, position)?;
    connection
        .prepare_cached(
            "DELETE FROM exception WHERE kind = 'rejected' AND position > ?1 AND position <= ?2",
        )?
        .execute((to_sql(row.acknowledged), to_sql(position)))?;
    for at in &settled.verdicts {
        apply_verdict(connection, row.position_of(at.seq), &at.verdict)?;
    }
    Ok(())
}

fn apply_verdict(
    connection: &Connection,
    position: u64,
    verdict: &Verdict,
) -> rusqlite::Result<()> {
    match verdict {
        Verdict::Accepted => {}
        Verdict::Renumbered { number } => {
            let serial: Option<u32> = connection
                .prepare_cached("SELECT serial FROM ticket WHERE position = ?1")?
                .query_row([to_sql(position)], |row| row.get(0))
                .optional()?;
            if let Some(serial) = serial {
                tickets::renumber(connection, serial, number)?;
            }
        }
        Verdict::Rejected { reason } => {
            // What central says is bounded as everything from outside is (P8).
            let detail = clipped(&reason.detail, limits::DETAIL_CHARS).to_owned();
            let reason = Rejection {
                code: reason.code,
                detail,
            };
            let reason = serde_json::to_string(&reason).unwrap_or_default();
            connection
                .prepare_cached(
                    "INSERT OR REPLACE INTO exception (position, kind, reason)
                     VALUES (?1, 'rejected', ?2)",
                )?
                .execute((to_sql(position), reason))?;
            file_states::reject(connection, position, crate::ids::now())?;
        }
    }
    Ok(())
}

/// Central was restored: what it decided since is void, and the feed tells the rest again.
fn forget_feed(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute(
        "UPDATE ticket SET suffix = 1, central_serial = NULL
         WHERE suffix <> 1 OR central_serial IS NOT NULL",
        [],
    )?;
    file_states::forget(connection)?;
    desk::forget(connection)?;
    connection
        .execute("DELETE FROM exception WHERE kind = 'rejected'", [])
        .map(|_| ())
}

/// A kind that this version does not know is passed over: it was not meant for it.
fn apply_event(connection: &Connection, event: &Event, limit_bytes: u64) -> rusqlite::Result<()> {
    match event.body() {
        Some(EventBody::TicketRenumbered { ticket, number, .. }) => {
            let serial: Option<u32> = connection
                .prepare_cached("SELECT serial FROM ticket WHERE id = ?1")?
                .query_row([ticket.as_bytes()], |row| row.get(0))
                .optional()?;
            serial.map_or(Ok(()), |serial| {
                tickets::renumber(connection, serial, &number)
            })
        }
        Some(EventBody::OperationRejected {
            operation: Some(operation),
            reason,
        }) => {
            let position: Option<i64> = connection
                .prepare_cached("SELECT position FROM operation WHERE id = ?1")?
                .query_row([operation.as_bytes()], |row| row.get(0))
                .optional()?;
            let Some(position) = position else {
                return Ok(());
            };
            apply_verdict(
                connection,
                from_sql(position),
                &Verdict::Rejected { reason },
            )
        }
        Some(EventBody::FileMoved { file, state }) => {
            file_states::apply(connection, file, &state, crate::ids::now())
        }
        Some(body) => desk::apply(connection, event, &body, limit_bytes),
        None => Ok(()),
    }
}

fn digest_at(connection: &Connection, seq: Seq) -> Result<Option<Digest>, StoreError> {
    let row = StreamRow::read(connection)?;
    let wanted = row.position_of(seq);
    let known: Option<(i64, [u8; 32])> = connection
        .prepare_cached(
            "SELECT position, digest FROM acknowledgement WHERE position <= ?1 AND position > ?2
             ORDER BY position DESC LIMIT 1",
        )?
        .query_row((to_sql(wanted), to_sql(row.base)), |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .optional()?;
    let mut at = known.map_or(Position::genesis(row.stream), |(position, digest)| {
        Position {
            seq: row.seq_of(from_sql(position)),
            digest: Digest(digest),
        }
    });
    while at.seq < seq {
        let next = row.position_of(at.seq).saturating_add(1);
        let missing = usize::try_from(seq.0 - at.seq.0).unwrap_or(usize::MAX);
        let operations = read_sound(connection, next, CHAINED_AT_ONCE_BYTES, missing.min(1_000))?;
        if operations.is_empty() {
            return Ok(None);
        }
        at = operations.iter().fold(at, |at, bytes| at.then(bytes));
    }
    Ok((at.seq == seq).then_some(at.digest))
}

/// Bytes held at a time while a digest is computed again.
const CHAINED_AT_ONCE_BYTES: usize = 1024 * 1024;

pub(super) fn fork(
    connection: &Connection,
    cause: ForkCause,
    from: ForkFrom,
    now: UnixMillis,
) -> rusqlite::Result<()> {
    let old = StreamRow::read(connection)?;
    let base = match from {
        ForkFrom::Unacknowledged => old.acknowledged,
        ForkFrom::Retained => {
            let oldest: Option<i64> =
                connection
                    .query_row("SELECT min(position) FROM operation", [], |row| row.get(0))?;
            oldest.map_or(old.acknowledged, |oldest| {
                from_sql(oldest).saturating_sub(1)
            })
        }
        ForkFrom::Behind(seq) => old.position_of(seq),
    };
    let mut lost = 0;
    for position in old.acknowledged.saturating_add(1)..=base {
        lost += connection
            .prepare_cached(
                "INSERT OR REPLACE INTO exception (position, kind) VALUES (?1, 'damaged')",
            )?
            .execute([to_sql(position)])? as u64;
    }
    let continues = continues(&old, cause, from, lost);
    let stream = StreamId(crate::ids::new_uuid(now));
    let continues = serde_json::to_string(&continues).ok();
    insert_stream(
        connection,
        &NewStream {
            stream,
            continues,
            base,
        },
        now,
    )?;
    connection.execute("DELETE FROM acknowledgement", [])?;
    Ok(())
}

/// What the new stream builds on. A stream that was never acknowledged is unknown to central, so the
/// new one takes its place and builds on what that one did.
fn continues(old: &StreamRow, cause: ForkCause, from: ForkFrom, lost: u64) -> Continues {
    let inherited = old
        .continues
        .as_deref()
        .and_then(|text| serde_json::from_str(text).ok());
    let acknowledged = old.position();
    let at = (from != ForkFrom::Retained).then_some(acknowledged);
    match inherited {
        Some(inherited) if acknowledged.seq == Seq(0) => {
            let inherited: Continues = inherited;
            let at = at.and(inherited.at);
            Continues {
                at,
                cause,
                lost: lost.saturating_add(inherited.lost),
                ..inherited
            }
        }
        _ => Continues {
            stream: old.stream,
            at,
            cause,
            lost,
        },
    }
}

fn raise_serials_used(connection: &Connection, serials_used: u32) -> rusqlite::Result<()> {
    let known: Option<u32> = setting(connection, SERIALS_USED)?;
    if known.unwrap_or(0) < serials_used {
        set_setting(connection, SERIALS_USED, serials_used)?;
    }
    Ok(())
}
