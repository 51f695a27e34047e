//! The outbox's rows: letters are read from the events themselves, marks are the feed's cursors.

use branchline_protocol::text::clipped;
use branchline_protocol::time::UnixMillis;
use rusqlite::{Connection, OptionalExtension, Row, params};
use serde_json::value::RawValue;

use super::columns::{self, to_integer};
use super::feed::{StoredEvent, start_of};
use super::{Lane, SqliteLedger};
use crate::ledger::{
    DEAD_LETTERS_MOST, DeadLetter, LETTERS_PAGE, LedgerError, Letter, LetterPage, OutboxLedger,
    Pending, TargetState,
};

/// Characters of a reason or a failure.
const REASON_CHARS: usize = branchline_protocol::limits::DETAIL_CHARS;

impl OutboxLedger for SqliteLedger {
    fn newest_mark(&self) -> Pending<'_, String> {
        self.read(|connection| {
            let newest = connection
                .prepare_cached(
                    "SELECT position, at, operation, kind, body FROM events
                     ORDER BY position DESC LIMIT 1",
                )?
                .query_row([], |row| Ok(StoredEvent::read(row)))
                .optional()?
                .transpose()?;
            Ok(newest.map_or_else(String::new, |event| event.cursor()))
        })
    }

    fn letters(&self, mark: String) -> Pending<'_, LetterPage> {
        self.read(move |connection| letters(connection, &mark))
    }

    fn target(&self, name: String) -> Pending<'_, Option<TargetState>> {
        self.read(move |connection| {
            let found = connection
                .prepare_cached(&format!(
                    "SELECT {STATE} FROM outbox_targets WHERE name = ?1"
                ))?
                .query_row([name], state)
                .optional()?;
            Ok(found)
        })
    }

    fn targets(&self) -> Pending<'_, Vec<(String, TargetState)>> {
        self.read(|connection| {
            let mut statement = connection.prepare_cached(&format!(
                "SELECT {STATE}, name FROM outbox_targets ORDER BY name"
            ))?;
            let rows = statement.query_map([], |row| Ok((row.get(4)?, state(row)?)))?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
    }

    fn keep_target(&self, name: String, state: TargetState) -> Pending<'_, ()> {
        self.outbox_write(move |connection| {
            connection
                .prepare_cached(
                    "INSERT OR REPLACE INTO outbox_targets
                         (name, mark, last_taken_at, failing_since, last_failure)
                     VALUES (?1, ?2, ?3, ?4, ?5)",
                )?
                .execute(params![
                    name,
                    state.mark,
                    state.last_taken_at.map(|at| at.0),
                    state.failing_since.map(|at| at.0),
                    state
                        .last_failure
                        .map(|words| clipped(&words, REASON_CHARS).to_owned()),
                ])?;
            Ok(())
        })
    }

    fn bury(&self, letter: DeadLetter) -> Pending<'_, ()> {
        self.outbox_write(move |connection| bury(connection, &letter))
    }

    fn dead_letters(
        &self,
        target: Option<String>,
        after: u64,
        most: usize,
    ) -> Pending<'_, Vec<DeadLetter>> {
        self.read(move |connection| {
            let most = i64::try_from(most).unwrap_or(i64::MAX);
            dead(
                connection,
                "(?1 IS NULL OR target = ?1) AND number > ?2",
                params![target, to_integer(after), most],
            )
        })
    }

    fn dead_letter_counts(&self) -> Pending<'_, Vec<(String, u64)>> {
        self.read(|connection| {
            let mut statement = connection
                .prepare_cached("SELECT target, count(*) FROM outbox_dead GROUP BY target")?;
            let mut rows = statement.query([])?;
            let mut counts = Vec::new();
            while let Some(row) = rows.next()? {
                counts.push((row.get(0)?, columns::count(row, 1)?));
            }
            Ok(counts)
        })
    }

    fn send_again(&self, target: String, numbers: Vec<u64>) -> Pending<'_, u64> {
        self.outbox_write(move |connection| {
            let numbers: Vec<i64> = numbers.into_iter().map(to_integer).collect();
            if numbers.is_empty() {
                let changed = connection
                    .prepare_cached("UPDATE outbox_dead SET again = 1 WHERE target = ?1")?
                    .execute([&target])?;
                return Ok(changed as u64);
            }
            let mut wanted = connection.prepare_cached(
                "UPDATE outbox_dead SET again = 1 WHERE target = ?1 AND number = ?2",
            )?;
            let mut changed = 0;
            for number in numbers {
                changed += wanted.execute(params![target, number])? as u64;
            }
            Ok(changed)
        })
    }

    fn wanted_again(&self, target: String, most: usize) -> Pending<'_, Vec<DeadLetter>> {
        self.read(move |connection| {
            let most = i64::try_from(most).unwrap_or(i64::MAX);
            dead(
                connection,
                "target = ?1 AND again = 1 AND number > ?2",
                params![target, 0, most],
            )
        })
    }

    fn forget(&self, number: u64) -> Pending<'_, ()> {
        self.outbox_write(move |connection| {
            connection
                .prepare_cached("DELETE FROM outbox_dead WHERE number = ?1")?
                .execute([to_integer(number)])?;
            Ok(())
        })
    }
}

impl SqliteLedger {
    /// Behind all work for branches (P7): outside systems can wait.
    fn outbox_write<T: Send + 'static>(
        &self,
        job: impl FnOnce(&Connection) -> Result<T, LedgerError> + Send + 'static,
    ) -> Pending<'_, T> {
        Box::pin(self.write(Lane::Bulk, job))
    }
}

fn letters(connection: &Connection, mark: &str) -> Result<LetterPage, LedgerError> {
    let start = start_of(connection, Some(mark))?;
    let mut page = LetterPage {
        letters: Vec::new(),
        mark: match start {
            Some(_) => mark.to_owned(),
            None => String::new(),
        },
    };
    let mut statement = connection.prepare_cached(
        "SELECT position, events.at, events.operation, kind, body, events.branch,
             operations.bytes, tickets.branch, ordinal, serial, suffix
         FROM events
         LEFT JOIN operations ON operations.operation = events.operation
         LEFT JOIN tickets ON tickets.operation = coalesce(events.ticket,
             CASE kind WHEN 'ticket_filed' THEN events.operation END)
         WHERE position > ?1 ORDER BY position LIMIT ?2",
    )?;
    let most = i64::try_from(LETTERS_PAGE).unwrap_or(i64::MAX);
    let mut rows = statement.query(params![to_integer(start.unwrap_or(0)), most])?;
    while let Some(row) = rows.next()? {
        let stored = StoredEvent::read(row)?;
        page.mark = stored.cursor();
        page.letters.push(letter(stored, row)?);
    }
    Ok(page)
}

fn letter(stored: StoredEvent, row: &Row<'_>) -> Result<Letter, LedgerError> {
    let ticket = row.get_ref(7)? != rusqlite::types::ValueRef::Null;
    Ok(Letter {
        id: stored.cursor(),
        position: stored.event.position,
        at: stored.event.at,
        branch: columns::branch(row, 5)?,
        ticket: ticket.then(|| columns::number(row, 7)).transpose()?,
        operation: operation(row),
        kind: stored.event.kind,
        body: stored.event.body,
    })
}

/// As the branch said it; one that cannot be read costs its letter that part.
fn operation(row: &Row<'_>) -> Option<Box<RawValue>> {
    let bytes = row.get_ref(6).ok()?.as_blob().ok()?;
    let text = std::str::from_utf8(bytes).ok()?;
    RawValue::from_string(text.to_owned()).ok()
}

const STATE: &str = "mark, last_taken_at, failing_since, last_failure";

fn state(row: &Row<'_>) -> rusqlite::Result<TargetState> {
    Ok(TargetState {
        mark: row.get(0)?,
        last_taken_at: row.get::<_, Option<i64>>(1)?.map(UnixMillis),
        failing_since: row.get::<_, Option<i64>>(2)?.map(UnixMillis),
        last_failure: row.get(3)?,
    })
}

fn bury(connection: &Connection, letter: &DeadLetter) -> Result<(), LedgerError> {
    connection
        .prepare_cached(
            "INSERT INTO outbox_dead (target, id, kind, body, reason, at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
             ON CONFLICT (target, id) DO UPDATE
             SET reason = excluded.reason, at = excluded.at, again = 0",
        )?
        .execute(params![
            letter.target,
            letter.id,
            letter.kind,
            letter.body,
            clipped(&letter.reason, REASON_CHARS),
            letter.at.0
        ])?;
    let forgotten = connection
        .prepare_cached(
            "DELETE FROM outbox_dead WHERE target = ?1 AND number <= (
                 SELECT number FROM outbox_dead WHERE target = ?1
                 ORDER BY number DESC LIMIT 1 OFFSET ?2)",
        )?
        .execute(params![letter.target, to_integer(DEAD_LETTERS_MOST as u64)])?;
    if forgotten > 0 {
        tracing::warn!(
            system = letter.target,
            forgotten,
            "more dead letters than are kept: the oldest were forgotten"
        );
    }
    Ok(())
}

fn dead(
    connection: &Connection,
    which: &str,
    given: &[&dyn rusqlite::ToSql],
) -> Result<Vec<DeadLetter>, LedgerError> {
    let mut statement = connection.prepare_cached(&format!(
        "SELECT number, target, id, kind, body, reason, at, again FROM outbox_dead
         WHERE {which} ORDER BY number LIMIT ?3"
    ))?;
    let mut rows = statement.query(given)?;
    let mut letters = Vec::new();
    while let Some(row) = rows.next()? {
        letters.push(DeadLetter {
            number: columns::count(row, 0)?,
            target: row.get(1)?,
            id: row.get(2)?,
            kind: row.get(3)?,
            body: row.get(4)?,
            reason: row.get(5)?,
            at: columns::millis(row, 6)?,
            again: row.get(7)?,
        });
    }
    Ok(letters)
}
