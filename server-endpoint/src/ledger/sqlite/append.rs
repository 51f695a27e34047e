//! One submission as one job of the writer: look up, place, judge, store.

use branchline_durable_sqlite::crash_point;
use branchline_protocol::chain::Position;
use branchline_protocol::event::{Verdict, VerdictAt};
use branchline_protocol::exchange::Continues;
use branchline_protocol::id::{Digest, Seq, StreamId};
use branchline_protocol::receiver::{Holdings, Origin, Placement, judge, place};
use rusqlite::{Connection, OptionalExtension, params};

use super::columns::{self, to_integer, whole};
use super::known::KnownHere;
use super::{agents, feed};
use crate::ledger::{Acknowledged, Append, Appended, LedgerError};
use store::Store;

mod store;

/// Bytes of verdicts in one answer; far below what an agent reads
/// ([`branchline_protocol::limits::ANSWER_BYTES`]), with room for the news beside them.
const VERDICT_BYTES: usize = 1024 * 1024;

pub(super) fn append(connection: &Connection, append: &Append) -> Result<Appended, LedgerError> {
    let Some(agent) = submitting_agent(connection, append)? else {
        return Ok(Appended::UnknownAgent);
    };
    let mut serials_used = agent.serials_used;
    let appended = append_as(connection, append, &agent, &mut serials_used)?;
    let acknowledged = match &appended {
        Appended::Held(held) => held.acknowledged.seq.0 - append.after.seq.0,
        _ => 0,
    };
    agents::note_contact(connection, agent.row, append, acknowledged, serials_used)?;
    if matches!(&appended, Appended::Held(held) if held.appended > 0) {
        crash_point::reach("append-before-commit");
    }
    Ok(appended)
}

struct Submitting {
    row: i64,
    origin: Origin,
    serials_used: u32,
}

struct StreamRow {
    row: i64,
    agent: i64,
    head: Position,
}

fn submitting_agent(
    connection: &Connection,
    append: &Append,
) -> Result<Option<Submitting>, LedgerError> {
    connection
        .prepare_cached("SELECT agent, branch, ordinal, serials_used FROM agents WHERE id = ?1")?
        .query_row([append.agent.as_bytes()], |row| {
            let agent = |row| -> Result<Submitting, LedgerError> {
                Ok(Submitting {
                    row: rusqlite::Row::get(row, 0)?,
                    origin: Origin {
                        branch: columns::branch(row, 1)?,
                        ordinal: whole(row.get(2)?, "an ordinal")?,
                    },
                    serials_used: whole(row.get(3)?, "a serial")?,
                })
            };
            Ok(agent(row))
        })
        .optional()?
        .transpose()
}

fn append_as(
    connection: &Connection,
    append: &Append,
    agent: &Submitting,
    serials_used: &mut u32,
) -> Result<Appended, LedgerError> {
    let stream = find_stream(connection, append.stream)?;
    if stream
        .as_ref()
        .is_some_and(|stream| stream.agent != agent.row)
    {
        return Ok(Appended::ForeignStream);
    }
    let head = stream.as_ref().map(|stream| stream.head);
    let continued = digest_continued(connection, append.continues.as_ref(), agent.row)?;
    let operations: Vec<&[u8]> = append.operations.iter().collect();
    let placement = place(
        append.stream,
        Holdings { head, continued },
        append.continues.as_ref(),
        append.after,
        &operations,
        |seq| digest_at(connection, stream.as_ref(), seq),
    )?;
    let (repeated, positions) = match placement {
        Placement::Gap { head } => return Ok(Appended::Gap { head }),
        Placement::Diverged { head, agreed } => {
            return Ok(Appended::Diverged {
                head,
                agreed,
                serials_used: *serials_used,
            });
        }
        Placement::Append {
            repeated,
            positions,
        } => (repeated, positions),
    };
    let stream = match stream {
        Some(stream) => stream,
        None => open_stream(connection, append, agent.row)?,
    };

    let mut verdicts = Verdicts::default();
    repeated_verdicts(connection, &stream, append.after, repeated, &mut verdicts)?;
    let mut known = KnownHere::new(connection, agent.row, &agent.origin, *serials_used)?;
    let mut store = Store::new(connection, &stream, agent, append.received_at)?;
    for (bytes, position) in operations.iter().zip(&positions).skip(repeated) {
        known.found = None;
        let judgement = judge(&mut known, &agent.origin, bytes)?;
        let used = store.keep(*position, bytes, &judgement, known.found)?;
        known.serials_used = known.serials_used.max(used);
        verdicts.add(position.seq, judgement.verdict());
    }
    *serials_used = known.serials_used;
    let gave_news = store.gave_news;

    let appended = positions.len() - repeated;
    let last = positions.last().copied().unwrap_or(append.after);
    let head = if appended > 0 {
        move_head(connection, &stream, last)?;
        last
    } else {
        stream.head
    };
    let news = feed::page(connection, &agent.origin.branch, append.cursor.as_deref())?;
    Ok(Appended::Held(Acknowledged {
        acknowledged: verdicts.reach(append.after, &positions).unwrap_or(last),
        head,
        serials_used: (head.seq > last.seq).then_some(*serials_used),
        verdicts: verdicts.list,
        news,
        branch: agent.origin.branch.clone(),
        appended,
        gave_news,
    }))
}

/// Verdicts other than accepted, as many as fit an answer.
#[derive(Default)]
struct Verdicts {
    list: Vec<VerdictAt>,
    bytes: usize,
    /// The first that did not fit.
    cut: Option<Seq>,
}

impl Verdicts {
    fn add(&mut self, seq: Seq, verdict: Verdict) {
        let size = match &verdict {
            Verdict::Accepted => return,
            Verdict::Renumbered { .. } => 100,
            // Every character of a detail may be one that JSON escapes.
            Verdict::Rejected { reason } => 100 + 6 * reason.detail.len(),
        };
        self.bytes += size;
        if self.cut.is_none() && self.bytes > VERDICT_BYTES && !self.list.is_empty() {
            self.cut = Some(seq);
        }
        if self.cut.is_none() {
            self.list.push(VerdictAt { seq, verdict });
        }
    }

    /// The position before the first verdict that did not fit.
    fn reach(&self, after: Position, positions: &[Position]) -> Option<Position> {
        let cut = self.cut?;
        let before = cut.0.checked_sub(after.seq.0)?.checked_sub(2)?;
        positions.get(usize::try_from(before).ok()?).copied()
    }
}

fn find_stream(connection: &Connection, id: StreamId) -> Result<Option<StreamRow>, LedgerError> {
    connection
        .prepare_cached("SELECT stream, agent, head_seq, head_digest FROM streams WHERE id = ?1")?
        .query_row([id.as_bytes()], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
        })
        .optional()?
        .map(|(row, agent, seq, digest)| {
            let head = Position {
                seq: Seq(whole(seq, "a position")?),
                digest: Digest(digest),
            };
            Ok(StreamRow { row, agent, head })
        })
        .transpose()
}

/// Another agent's stream counts as none.
fn digest_continued(
    connection: &Connection,
    continues: Option<&Continues>,
    agent: i64,
) -> Result<Option<Digest>, LedgerError> {
    let needed = continues.and_then(|continues| Some((continues.stream, continues.at?.seq)));
    let Some((stream, seq)) = needed else {
        return Ok(None);
    };
    let stream = find_stream(connection, stream)?.filter(|stream| stream.agent == agent);
    digest_at(connection, stream.as_ref(), seq)
}

fn digest_at(
    connection: &Connection,
    stream: Option<&StreamRow>,
    seq: Seq,
) -> Result<Option<Digest>, LedgerError> {
    let Some(stream) = stream else {
        return Ok(None);
    };
    if seq == stream.head.seq {
        return Ok(Some(stream.head.digest));
    }
    let digest = connection
        .prepare_cached("SELECT digest FROM positions WHERE stream = ?1 AND seq = ?2")?
        .query_row(params![stream.row, to_integer(seq.0)], |row| row.get(0))
        .optional()?;
    Ok(digest.map(Digest))
}

fn open_stream(
    connection: &Connection,
    append: &Append,
    agent: i64,
) -> Result<StreamRow, LedgerError> {
    let head = Position::genesis(append.stream);
    let continues = append
        .continues
        .map(|continues| serde_json::to_string(&continues).unwrap_or_default());
    connection
        .prepare_cached(
            "INSERT INTO streams (id, agent, opened_at, head_seq, head_digest, continues)
             VALUES (?1, ?2, ?3, 0, ?4, ?5)",
        )?
        .execute(params![
            append.stream.as_bytes(),
            agent,
            append.received_at.0,
            head.digest.0,
            continues
        ])?;
    Ok(StreamRow {
        row: connection.last_insert_rowid(),
        agent,
        head,
    })
}

fn repeated_verdicts(
    connection: &Connection,
    stream: &StreamRow,
    after: Position,
    repeated: usize,
    verdicts: &mut Verdicts,
) -> Result<(), LedgerError> {
    if repeated == 0 {
        return Ok(());
    }
    let mut statement = connection.prepare_cached(
        "SELECT seq, verdict FROM positions JOIN operations USING (operation)
         WHERE stream = ?1 AND seq > ?2 AND seq <= ?3 AND verdict IS NOT NULL ORDER BY seq",
    )?;
    let through = after.seq.plus(repeated as u64);
    let mut rows = statement.query(params![
        stream.row,
        to_integer(after.seq.0),
        to_integer(through.0)
    ])?;
    while let Some(row) = rows.next()? {
        verdicts.add(Seq(columns::count(row, 0)?), columns::verdict(row, 1)?);
    }
    Ok(())
}

fn move_head(
    connection: &Connection,
    stream: &StreamRow,
    head: Position,
) -> Result<(), LedgerError> {
    let moved = connection
        .prepare_cached(
            "UPDATE streams SET head_seq = ?2, head_digest = ?3
             WHERE stream = ?1 AND head_seq = ?4 AND head_digest = ?5",
        )?
        .execute(params![
            stream.row,
            to_integer(head.seq.0),
            head.digest.0,
            to_integer(stream.head.seq.0),
            stream.head.digest.0
        ])?;
    // The promise of one order hangs on it (P2), so that it is asked in production too.
    if moved == 1 {
        Ok(())
    } else {
        Err(columns::unfit("the head that this transaction read"))
    }
}
