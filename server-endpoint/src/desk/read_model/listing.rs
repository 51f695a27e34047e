//! Tickets in pages: filtered, searched, newest first.
//!
//! A page ends at a ticket, and the next begins behind it, so that tickets that arrive meanwhile neither
//! repeat one nor leave one out.

use branchline_protocol::id::BranchCode;
use branchline_protocol::time::UnixMillis;
use rusqlite::types::Value;
use rusqlite::{Connection, Row, params_from_iter};

use super::{ReadModel, ReadModelError, search};

/// Tickets on one page, at most.
pub const PAGE_TICKETS: usize = 200;

/// Which tickets.
#[derive(Debug, Clone, Default)]
pub struct TicketQuery {
    /// Words, all of which a ticket must have: in its number, subject, text, people, branch or files.
    pub search: String,
    /// Of these branches; of all where empty.
    pub branches: Vec<BranchCode>,
    /// In these states; in any where empty.
    pub states: Vec<String>,
    /// Of these priorities; of any where empty.
    pub priorities: Vec<String>,
    /// In these categories; in any where empty.
    pub categories: Vec<String>,
    /// With one of these tags; with any or none where empty.
    pub tags: Vec<String>,
    /// This operator's.
    pub assignee: Option<String>,
    /// Nobody's; together with `assignee`, those too.
    pub unassigned: bool,
    /// Behind this ticket ([`TicketPage::next`]).
    pub after: Option<i64>,
    /// At most so many, and never more than [`PAGE_TICKETS`].
    pub most: usize,
}

/// Some tickets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TicketPage {
    /// Newest first.
    pub tickets: Vec<TicketSummary>,
    /// Where the next page begins, if there is one.
    pub next: Option<i64>,
}

/// A ticket in a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TicketSummary {
    /// Its row; newer ones are higher.
    pub row: i64,
    /// As it is called at central.
    pub number: String,
    /// Its branch.
    pub branch: String,
    /// Where it stands.
    pub state: String,
    /// How much it hurts.
    pub priority: String,
    /// As filed.
    pub category: String,
    /// As filed.
    pub subject: String,
    /// Who filed it.
    pub reporter: String,
    /// By the branch's clock, RFC 3339.
    pub filed_at: String,
    /// When central had it.
    pub received_at: UnixMillis,
    /// When something last happened on it.
    pub changed_at: UnixMillis,
    /// The position of the last event on it that a person should have seen: what a command says that it
    /// saw.
    pub version: u64,
    /// How many there are.
    pub comments: u32,
    /// How many there are.
    pub files: u32,
    /// How many there are.
    pub replies: u32,
    /// The operator who takes care of it.
    pub assignee: Option<String>,
    /// Sorted.
    pub tags: Vec<String>,
    /// When central first answered, or settled it without an answer.
    pub first_answered_at: Option<UnixMillis>,
    /// Since when it is resolved or closed.
    pub resolved_at: Option<UnixMillis>,
}

pub(super) const COLUMNS: &str = "tickets.ticket, tickets.number, tickets.branch, state, priority, \
     category, tickets.subject, reporter, filed_at, received_at, changed_at, version, comments, \
     tickets.files, replies, assignee, tags, first_answered_at, resolved_at";

impl ReadModel {
    /// A page of tickets.
    pub async fn tickets(&self, query: TicketQuery) -> Result<TicketPage, ReadModelError> {
        self.ask(move |connection| page(connection, &query)).await
    }

    /// How many tickets there are: branch, state, number.
    pub async fn tally(&self) -> Result<Vec<(String, String, u64)>, ReadModelError> {
        self.ask(|connection| {
            let mut statement = connection.prepare_cached(
                "SELECT branch, state, tickets FROM tally WHERE tickets > 0 ORDER BY branch, state",
            )?;
            let rows = statement.query_map([], |row| {
                let tickets = u64::try_from(row.get::<_, i64>(2)?).unwrap_or_default();
                Ok((row.get(0)?, row.get(1)?, tickets))
            })?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
        .await
    }
}

fn page(connection: &Connection, query: &TicketQuery) -> Result<TicketPage, ReadModelError> {
    let most = query.most.clamp(1, PAGE_TICKETS);
    let mut given: Vec<Value> = Vec::new();
    let (from, order) = match search::question(&query.search) {
        Some(question) => {
            given.push(question.into());
            (
                "search JOIN tickets ON tickets.ticket = search.rowid WHERE search MATCH ?",
                "search.rowid",
            )
        }
        // Words of which none can be looked for are in no ticket.
        None if !query.search.trim().is_empty() => {
            return Ok(TicketPage {
                tickets: Vec::new(),
                next: None,
            });
        }
        None => ("tickets WHERE 1", "tickets.ticket"),
    };
    let mut sql = format!("SELECT {COLUMNS} FROM {from}");
    let branches = query
        .branches
        .iter()
        .map(|branch| branch.as_str().to_owned());
    among(&mut sql, &mut given, "tickets.branch", branches);
    among(&mut sql, &mut given, "state", query.states.iter().cloned());
    among(
        &mut sql,
        &mut given,
        "priority",
        query.priorities.iter().cloned(),
    );
    among(
        &mut sql,
        &mut given,
        "category",
        query.categories.iter().cloned(),
    );
    if !query.tags.is_empty() {
        sql.push_str(" AND EXISTS (SELECT 1 FROM tags WHERE tags.ticket = tickets.ticket");
        among(&mut sql, &mut given, "tag", query.tags.iter().cloned());
        sql.push(')');
    }
    match (&query.assignee, query.unassigned) {
        (Some(name), or_nobody) => {
            sql.push_str(if or_nobody {
                " AND (assignee = ? OR assignee IS NULL)"
            } else {
                " AND assignee = ?"
            });
            given.push(name.clone().into());
        }
        (None, true) => sql.push_str(" AND assignee IS NULL"),
        (None, false) => {}
    }
    if let Some(after) = query.after {
        sql.extend([" AND ", order, " < ?"]);
        given.push(after.into());
    }
    sql.extend([" ORDER BY ", order, " DESC LIMIT ?"]);
    // One more tells whether there are more.
    given.push(i64::try_from(most + 1).unwrap_or(i64::MAX).into());
    let mut statement = connection.prepare_cached(&sql)?;
    let rows = statement.query_map(params_from_iter(given), summary)?;
    let mut tickets = rows.collect::<Result<Vec<_>, _>>()?;
    let more = tickets.len() > most;
    tickets.truncate(most);
    let next = tickets.last().filter(|_| more).map(|last| last.row);
    Ok(TicketPage { tickets, next })
}

fn among(
    sql: &mut String,
    given: &mut Vec<Value>,
    column: &str,
    wanted: impl ExactSizeIterator<Item = String>,
) {
    if wanted.len() > 0 {
        let places = vec!["?"; wanted.len()].join(", ");
        sql.extend([" AND ", column, " IN (", &places, ")"]);
        given.extend(wanted.map(Value::from));
    }
}

pub(super) fn summary(row: &Row<'_>) -> rusqlite::Result<TicketSummary> {
    Ok(TicketSummary {
        row: row.get(0)?,
        number: row.get(1)?,
        branch: row.get(2)?,
        state: row.get(3)?,
        priority: row.get(4)?,
        category: row.get(5)?,
        subject: row.get(6)?,
        reporter: row.get(7)?,
        filed_at: row.get(8)?,
        received_at: UnixMillis(row.get(9)?),
        changed_at: UnixMillis(row.get(10)?),
        version: u64::try_from(row.get::<_, i64>(11)?).unwrap_or_default(),
        comments: row.get(12)?,
        files: row.get(13)?,
        replies: row.get(14)?,
        assignee: row.get(15)?,
        tags: row
            .get_ref(16)?
            .as_str()?
            .lines()
            .map(str::to_owned)
            .collect(),
        first_answered_at: row.get::<_, Option<i64>>(17)?.map(UnixMillis),
        resolved_at: row.get::<_, Option<i64>>(18)?.map(UnixMillis),
    })
}
