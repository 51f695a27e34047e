//! Tickets in pages: filtered, searched, newest first, or what is due first.
//!
//! A page ends at a ticket, and the next begins behind it, so that tickets that arrive meanwhile neither
//! repeat one nor leave one out. By what is due, a ticket whose due changes meanwhile may do either.

use std::fmt;
use std::str::FromStr;

use branchline_protocol::id::BranchCode;
use branchline_protocol::time::UnixMillis;
use rusqlite::types::Value;
use rusqlite::{Connection, Row, params_from_iter};

use super::{ReadModel, ReadModelError, search};
use crate::service::{Clock, Service};

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
    /// With something that was due before this time.
    pub due_before: Option<UnixMillis>,
    /// With nothing that was due before this time, and something that is due later.
    pub due_from: Option<UnixMillis>,
    /// In which order.
    pub order: Order,
    /// Behind this ticket ([`TicketPage::next`]).
    pub after: Option<Place>,
    /// At most so many, and never more than [`PAGE_TICKETS`].
    pub most: usize,
}

/// Some tickets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TicketPage {
    /// Newest first.
    pub tickets: Vec<TicketSummary>,
    /// Where the next page begins, if there is one.
    pub next: Option<Place>,
}

/// In which order tickets come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Order {
    /// By their rows, which is the order in which central had them.
    #[default]
    Newest,
    /// What is due first; only tickets with something due.
    Due,
}

/// A ticket's place in an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// What was due on it; only where tickets are in that order.
    pub due: Option<i64>,
    /// Its row.
    pub row: i64,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.due {
            Some(due) => write!(f, "{due}.{}", self.row),
            None => write!(f, "{}", self.row),
        }
    }
}

/// The text is no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not the next of a page")]
pub struct NoPlace;

impl FromStr for Place {
    type Err = NoPlace;

    fn from_str(text: &str) -> Result<Self, NoPlace> {
        let (due, row) = match text.split_once('.') {
            Some((due, row)) => (Some(due.parse().map_err(|_| NoPlace)?), row),
            None => (None, text),
        };
        let row = row.parse().map_err(|_| NoPlace)?;
        Ok(Self { due, row })
    }
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
    /// What is due on it, and when.
    pub service: Service,
}

pub(super) const COLUMNS: &str = "tickets.ticket, tickets.number, tickets.branch, state, priority, \
     category, tickets.subject, reporter, filed_at, received_at, changed_at, version, comments, \
     tickets.files, replies, assignee, tags, first_answered_at, resolved_at, \
     answer_due, resolution_due, answer_due_filed, resolution_due_filed, paused, due_at";

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
    // One more tells whether there are more.
    let limit = i64::try_from(most + 1).unwrap_or(i64::MAX);
    let mut asked = Asked::default();
    match search::question(&query.search) {
        Some(question) => asked.found(query, question, limit),
        // Words of which none can be looked for are in no ticket.
        None if !query.search.trim().is_empty() => {
            return Ok(TicketPage {
                tickets: Vec::new(),
                next: None,
            });
        }
        None if query.order == Order::Newest && query.states.len() > 1 => {
            asked.of_states(query, limit);
        }
        None => asked.listed(query, limit),
    }
    let mut statement = connection.prepare_cached(&asked.sql)?;
    let rows = statement.query_map(params_from_iter(asked.given), summary)?;
    let mut tickets = rows.collect::<Result<Vec<_>, _>>()?;
    let more = tickets.len() > most;
    tickets.truncate(most);
    let place = |last: &TicketSummary| Place {
        due: match query.order {
            Order::Due => last.service.next.map(|due| due.0),
            Order::Newest => None,
        },
        row: last.row,
    };
    let next = tickets.last().filter(|_| more).map(place);
    Ok(TicketPage { tickets, next })
}

/// A question in SQL. SQLite keeps no statistics here, so that each shape says by itself which index leads;
/// `+` keeps a column from doing so.
#[derive(Default)]
struct Asked {
    sql: String,
    given: Vec<Value>,
    /// Before each column that is filtered by.
    plus: &'static str,
}

impl Asked {
    /// The index of words leads, newest first as it is stored.
    fn found(&mut self, query: &TicketQuery, question: String, limit: i64) {
        self.plus = "+";
        self.sql = format!(
            "SELECT {COLUMNS} FROM search CROSS JOIN tickets ON tickets.ticket = search.rowid
             WHERE search MATCH ?"
        );
        self.given.push(question.into());
        self.filter(query, &query.states);
        self.ordered(query, "search.rowid", limit);
    }

    /// Of each state as many as could be on the page, from its index alone, and of those the newest: no more
    /// is read however many tickets are in these states.
    fn of_states(&mut self, query: &TicketQuery, limit: i64) {
        let mut states = query.states.clone();
        states.sort_unstable();
        states.dedup();
        self.sql = format!("SELECT {COLUMNS} FROM tickets WHERE ticket IN (");
        for (place, state) in states.iter().enumerate() {
            self.sql
                .push_str(if place > 0 { " UNION ALL " } else { "" });
            self.sql
                .push_str("SELECT * FROM (SELECT tickets.ticket FROM tickets WHERE 1");
            self.filter(query, std::slice::from_ref(state));
            self.ordered(query, "tickets.ticket", limit);
            self.sql.push(')');
        }
        self.sql.push_str(") ORDER BY tickets.ticket DESC LIMIT ?");
        self.given.push(limit.into());
    }

    /// By its own order; where that is by what is due, its index leads.
    fn listed(&mut self, query: &TicketQuery, limit: i64) {
        if query.order == Order::Due {
            self.plus = "+";
        }
        self.sql = format!("SELECT {COLUMNS} FROM tickets WHERE 1");
        self.filter(query, &query.states);
        self.ordered(query, "tickets.ticket", limit);
    }

    /// Behind the page before, in order, and no more than a page.
    fn ordered(&mut self, query: &TicketQuery, row: &str, limit: i64) {
        match (query.order, query.after) {
            (Order::Newest, Some(after)) => {
                self.sql.extend([" AND ", row, " < ?"]);
                self.given.push(after.row.into());
            }
            (
                Order::Due,
                Some(Place {
                    due: Some(due),
                    row,
                }),
            ) => {
                self.sql.push_str(" AND (due_at, tickets.ticket) > (?, ?)");
                self.given.extend([due.into(), row.into()]);
            }
            _ => {}
        }
        match query.order {
            Order::Newest => self.sql.extend([" ORDER BY ", row, " DESC LIMIT ?"]),
            Order::Due => self
                .sql
                .push_str(" AND due_at IS NOT NULL ORDER BY due_at, tickets.ticket LIMIT ?"),
        }
        self.given.push(limit.into());
    }

    fn filter(&mut self, query: &TicketQuery, states: &[String]) {
        let branches = query
            .branches
            .iter()
            .map(|branch| branch.as_str().to_owned());
        self.among("tickets.branch", branches);
        self.among("state", states.iter().cloned());
        self.among("priority", query.priorities.iter().cloned());
        self.among("category", query.categories.iter().cloned());
        if !query.tags.is_empty() {
            self.sql
                .push_str(" AND EXISTS (SELECT 1 FROM tags WHERE tags.ticket = tickets.ticket");
            let plus = std::mem::take(&mut self.plus);
            self.among("tag", query.tags.iter().cloned());
            self.plus = plus;
            self.sql.push(')');
        }
        let plus = self.plus;
        match (&query.assignee, query.unassigned) {
            (Some(name), or_nobody) => {
                self.sql.extend([" AND (", plus, "assignee = ?"]);
                self.sql.push_str(if or_nobody {
                    " OR assignee IS NULL)"
                } else {
                    ")"
                });
                self.given.push(name.clone().into());
            }
            (None, true) => self.sql.extend([" AND ", plus, "assignee IS NULL"]),
            (None, false) => {}
        }
        if let Some(before) = query.due_before {
            self.sql.push_str(" AND due_at < ?");
            self.given.push(before.0.into());
        }
        if let Some(from) = query.due_from {
            self.sql.push_str(" AND due_at >= ?");
            self.given.push(from.0.into());
        }
    }

    fn among(&mut self, column: &str, wanted: impl ExactSizeIterator<Item = String>) {
        if wanted.len() > 0 {
            let places = vec!["?"; wanted.len()].join(", ");
            self.sql
                .extend([" AND ", self.plus, column, " IN (", &places, ")"]);
            self.given.extend(wanted.map(Value::from));
        }
    }
}

pub(super) fn summary(row: &Row<'_>) -> rusqlite::Result<TicketSummary> {
    let time =
        |place: usize| Ok::<_, rusqlite::Error>(row.get::<_, Option<i64>>(place)?.map(UnixMillis));
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
        first_answered_at: time(17)?,
        resolved_at: time(18)?,
        service: Service {
            received: Clock {
                first_answer: time(19)?,
                resolution: time(20)?,
            },
            filed: Clock {
                first_answer: time(21)?,
                resolution: time(22)?,
            },
            paused: row.get(23)?,
            next: time(24)?,
        },
    })
}
