//! What whoever filed should hear of: answers, and what went wrong.
//!
//! On the way back: feed → **store** → local API. Invariants:
//! - News are written by triggers, in the commit that makes them true, so that none is passed over.
//! - They are for telling once and are bounded: the oldest go, and a salvaged journal has none. The tickets
//!   themselves are what counts.
//! - Ids grow and are never given out again: a program holds the last one it told.

use branchline_agent_api::{LIST_NEWS, News, NewsKind};
use branchline_protocol::operation::{Body, Operation, Parsed};
use rusqlite::Connection;
use tokio::sync::watch;

use super::{Store, StoreError, StoreSettings, from_sql, tickets, to_sql};

impl Store {
    /// Grows with every commit of the journal.
    pub fn commits(&self) -> watch::Receiver<u64> {
        self.writer.commits()
    }

    /// News behind this one on tickets that this user filed, oldest first, and the last one there is.
    /// Without `after` there is nothing to tell, only the last one.
    pub async fn news(
        &self,
        after: Option<u64>,
        user: String,
    ) -> Result<(Vec<News>, u64), StoreError> {
        let settings = self.settings.clone();
        self.read(move |connection| {
            let newest = newest(connection)?;
            let Some(after) = after else {
                return Ok((Vec::new(), newest));
            };
            let (told, reached) = told(connection, &settings, after, &user)?;
            Ok((told, reached.unwrap_or(newest)))
        })
        .await
    }
}

/// Also where the last has gone: its id is remembered by SQLite.
fn newest(connection: &Connection) -> rusqlite::Result<u64> {
    connection
        .prepare_cached("SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'news'")?
        .query_row([], |row| row.get(0))
        .map(from_sql)
}

/// Also how far it looked, where it did not reach the end.
fn told(
    connection: &Connection,
    settings: &StoreSettings,
    after: u64,
    user: &str,
) -> rusqlite::Result<(Vec<News>, Option<u64>)> {
    let mut statement = connection.prepare_cached(
        "SELECT news.id, news.kind, ticket.serial, ticket.central_serial, ticket.suffix, ticket.bytes
         FROM news JOIN ticket ON ticket.serial = news.serial WHERE news.id > ?1 ORDER BY news.id",
    )?;
    let mut rows = statement.query([to_sql(after)])?;
    let mut told = Vec::new();
    while let Some(row) = rows.next()? {
        let id = from_sql(row.get(0)?);
        let bytes: Vec<u8> = row.get(5)?;
        let Ok(Parsed::Known(operation)) = Operation::parse(&bytes) else {
            continue;
        };
        let Body::TicketFiled(filed) = operation.body else {
            continue;
        };
        if operation.by.user != user {
            continue;
        }
        let kind: String = row.get(1)?;
        told.push(News {
            id,
            number: tickets::shown_number(settings, row.get(2)?, row.get(3)?, row.get(4)?),
            subject: filed.subject,
            kind: match kind.as_str() {
                "answer" => NewsKind::Answer,
                "asked" => NewsKind::Asked,
                "resolved" => NewsKind::Resolved,
                "file" => NewsKind::File,
                _ => NewsKind::Refused,
            },
        });
        if told.len() == LIST_NEWS {
            return Ok((told, Some(id)));
        }
    }
    Ok((told, None))
}
