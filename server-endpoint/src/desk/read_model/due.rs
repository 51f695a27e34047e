//! What is due on tickets, written beside them, so that it can be asked for and sorted by.
//!
//! It follows from the rows of the ticket and from the goals ([`crate::service`]), whichever way the rows came
//! there. Goals that changed are taken up page by page while questions go on; a stop half-way goes on where it
//! was.

use branchline_protocol::desk::TicketState;
use branchline_protocol::time::{LocalTime, UnixMillis};
use rusqlite::{Connection, OptionalExtension, params};

use super::{ReadModel, ReadModelError};
use crate::service::{Facts, Goals};

/// Tickets that are counted again in one transaction.
const PAGE_TICKETS: i64 = 500;

impl ReadModel {
    /// How many tickets have something that was due before a time.
    pub async fn overdue(&self, at: UnixMillis) -> Result<u64, ReadModelError> {
        self.ask(move |connection| {
            let count: i64 = connection
                .prepare_cached("SELECT count(*) FROM tickets WHERE due_at < ?1")?
                .query_row([at.0], |row| row.get(0))?;
            Ok(u64::try_from(count).unwrap_or_default())
        })
        .await
    }
}

/// Other goals than the ones that were counted by: all tickets are to be counted again.
pub(super) fn take_goals(connection: &Connection, goals: &str) -> Result<(), ReadModelError> {
    connection.execute(
        "UPDATE self SET goals = ?1, counted_to = 0 WHERE goals <> ?1",
        [goals],
    )?;
    Ok(())
}

/// Counts the next tickets by the present goals; whether there are more.
pub(super) fn count_again(connection: &Connection, goals: &Goals) -> Result<bool, ReadModelError> {
    let counted: Option<i64> = connection
        .prepare_cached("SELECT counted_to FROM self")?
        .query_row([], |row| row.get(0))?;
    let Some(counted) = counted else {
        return Ok(false);
    };
    let tickets: Vec<i64> = connection
        .prepare_cached("SELECT ticket FROM tickets WHERE ticket > ?1 ORDER BY ticket LIMIT ?2")?
        .query_map([counted, PAGE_TICKETS], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    for ticket in &tickets {
        count(connection, goals, *ticket)?;
    }
    connection
        .prepare_cached("UPDATE self SET counted_to = ?1")?
        .execute([tickets.last()])?;
    Ok(!tickets.is_empty())
}

/// Counts one ticket.
pub(super) fn count(
    connection: &Connection,
    goals: &Goals,
    ticket: i64,
) -> Result<(), ReadModelError> {
    let facts = connection
        .prepare_cached(
            "SELECT priority, category, state, filed_at, received_at, first_answered_at, resolved_at
             FROM tickets WHERE ticket = ?1",
        )?
        .query_row([ticket], |row| {
            let received = UnixMillis(row.get(4)?);
            let filed: Result<LocalTime, _> = row.get_ref(3)?.as_str()?.parse();
            let state = row.get_ref(2)?.as_str()?.parse();
            Ok(Facts {
                priority: row.get(0)?,
                category: row.get(1)?,
                state: state.unwrap_or(TicketState::Other),
                // A clock gone mad says nothing of how long the branch has waited.
                filed: filed.map_or(received, |filed| filed.millis),
                received,
                answered: row.get::<_, Option<i64>>(5)?.map(UnixMillis),
                resolved: row.get::<_, Option<i64>>(6)?.map(UnixMillis),
                moves: Vec::new(),
            })
        })
        .optional()?;
    let Some(mut facts) = facts else {
        return Ok(());
    };
    if !goals.is_empty() {
        facts.moves = moves(connection, ticket)?;
    }
    let service = goals.of(&facts);
    let millis = |at: Option<UnixMillis>| at.map(|at| at.0);
    connection
        .prepare_cached(
            "UPDATE tickets SET answer_due = ?2, resolution_due = ?3, answer_due_filed = ?4,
                 resolution_due_filed = ?5, paused = ?6, due_at = ?7 WHERE ticket = ?1",
        )?
        .execute(params![
            ticket,
            millis(service.received.first_answer),
            millis(service.received.resolution),
            millis(service.filed.first_answer),
            millis(service.filed.resolution),
            service.paused,
            millis(service.next),
        ])?;
    Ok(())
}

fn moves(
    connection: &Connection,
    ticket: i64,
) -> Result<Vec<(UnixMillis, TicketState)>, ReadModelError> {
    let mut statement = connection.prepare_cached(
        "SELECT at, said FROM timeline WHERE ticket = ?1 AND kind = 'moved' ORDER BY position",
    )?;
    let rows = statement.query_map([ticket], |row| {
        let state = row.get_ref(1)?.as_str()?.parse();
        Ok((UnixMillis(row.get(0)?), state.unwrap_or(TicketState::Other)))
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}
