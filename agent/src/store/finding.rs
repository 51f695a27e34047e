//! Finding tickets: whose they are, and what stands in them. Read-only, and bounded per question (P8).

use branchline_agent_api::{FileCounts, LIST_TICKETS, TicketList};
use branchline_protocol::id::FileId;
use branchline_protocol::operation::{Body, Operation, Parsed};
use rusqlite::{Connection, OptionalExtension};

use super::tickets::{self, TicketRow};
use super::{Store, StoreError, StoreSettings, StreamRow, desk};

/// Tickets that one question looks at: some ten milliseconds. The rest is asked for with `next`.
const LOOKED_AT: u32 = 4_000;
/// Words of a search that count.
const SEARCH_WORDS: usize = 8;

/// Whose tickets somebody may see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sight {
    /// Everybody's.
    All,
    /// Those that this user filed.
    Own(String),
}

/// Which tickets are asked for.
#[derive(Debug, Clone)]
pub struct Question {
    /// With a serial below this.
    pub before: Option<u32>,
    /// At most so many.
    pub limit: u32,
    /// Whose.
    pub sight: Sight,
    /// Every word of it stands somewhere in the ticket.
    pub search: Option<String>,
}

impl Store {
    /// Tickets with a serial below `before`, newest first, at most `limit`. May give fewer, even none,
    /// and where to go on: it looks at a bounded number at once.
    pub async fn tickets(&self, question: Question) -> Result<TicketList, StoreError> {
        let settings = self.settings.clone();
        self.read(move |connection| find(connection, &settings, &question))
            .await
    }

    /// Whether there is such a ticket for whoever may see so much.
    pub async fn is_seen(
        &self,
        number: branchline_protocol::id::TicketNumber,
        sight: Sight,
    ) -> Result<bool, StoreError> {
        let Sight::Own(user) = sight else {
            return Ok(true);
        };
        self.read(move |connection| {
            let Some(serial) = tickets::serial_of(connection, &number)? else {
                return Ok(false);
            };
            let bytes: Option<Vec<u8>> = connection
                .prepare_cached("SELECT bytes FROM ticket WHERE serial = ?1")?
                .query_row([serial], |row| row.get(0))
                .optional()?;
            Ok(bytes
                .and_then(|bytes| tickets::filed(&bytes))
                .is_some_and(|(_, operation)| operation.by.user == user))
        })
        .await
    }
}

impl Store {
    /// Whether a file that central gave is one for whoever may see so much.
    pub async fn is_given_seen(&self, file: FileId, sight: Sight) -> Result<bool, StoreError> {
        let Sight::Own(user) = sight else {
            return Ok(true);
        };
        self.read(move |connection| {
            let bytes: Option<Vec<u8>> = connection
                .prepare_cached(
                    "SELECT ticket.bytes FROM given JOIN ticket ON ticket.serial = given.serial
                     WHERE given.id = ?1",
                )?
                .query_row([file.as_bytes()], |row| row.get(0))
                .optional()?;
            Ok(bytes
                .and_then(|bytes| tickets::filed(&bytes))
                .is_some_and(|(_, operation)| operation.by.user == user))
        })
        .await
    }
}

fn find(
    connection: &Connection,
    settings: &StoreSettings,
    question: &Question,
) -> Result<TicketList, StoreError> {
    let limit = question.limit.clamp(1, LIST_TICKETS) as usize;
    let words = words_of(question.search.as_deref().unwrap_or_default());
    let acknowledged = StreamRow::read(connection)?.acknowledged;
    let sql = format!(
        "SELECT {} FROM ticket WHERE serial < ?1 ORDER BY serial DESC LIMIT ?2",
        TicketRow::columns()
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let before = question.before.map_or(i64::MAX, i64::from);
    let mut rows = statement.query((before, LOOKED_AT))?;
    let mut found = Vec::new();
    let mut looked_at = 0;
    let mut last = None;
    while let Some(row) = rows.next()? {
        let row = TicketRow::read(row)?;
        looked_at += 1;
        last = Some(row.serial);
        // A row that cannot be read must not hide the others (P6).
        let Some((filed, operation)) = tickets::filed(&row.bytes) else {
            continue;
        };
        if matches!(&question.sight, Sight::Own(user) if operation.by.user != *user) {
            continue;
        }
        if !words.is_empty() && !mentions(connection, settings, &row, &words)? {
            continue;
        }
        let delivery = tickets::delivery(connection, row.position, acknowledged)?;
        found.push(tickets::summary(
            connection, settings, &row, filed, operation, delivery,
        )?);
        if found.len() == limit {
            break;
        }
    }
    let goes_on = found.len() == limit || looked_at == LOOKED_AT;
    Ok(TicketList {
        tickets: found,
        next: last.filter(|&serial| goes_on && serial > 1),
    })
}

fn words_of(search: &str) -> Vec<String> {
    search
        .split_whitespace()
        .take(SEARCH_WORDS)
        .map(str::to_lowercase)
        .collect()
}

/// Whether every word stands in the number, in what the branch wrote, in a file's name or in an answer.
fn mentions(
    connection: &Connection,
    settings: &StoreSettings,
    row: &TicketRow,
    words: &[String],
) -> rusqlite::Result<bool> {
    let number = tickets::shown_number(settings, row.serial, row.central_serial, row.suffix);
    let mut text = number.to_string().to_lowercase();
    append(&mut text, &row.bytes);
    let has_all = |text: &str| words.iter().all(|word| text.contains(word.as_str()));
    if has_all(&text) {
        return Ok(true);
    }
    let mut entries =
        connection.prepare_cached("SELECT bytes FROM entry WHERE serial = ?1 ORDER BY position")?;
    let mut rows = entries.query([row.serial])?;
    while let Some(entry) = rows.next()? {
        append(&mut text, &entry.get::<_, Vec<u8>>(0)?);
    }
    for reply in desk::replies(connection, row.serial)? {
        text.push('\n');
        text.push_str(&reply.text.to_lowercase());
    }
    Ok(has_all(&text))
}

fn append(text: &mut String, operation: &[u8]) {
    let Ok(Parsed::Known(operation)) = Operation::parse(operation) else {
        return;
    };
    let mut add = |part: &str| {
        text.push('\n');
        text.push_str(&part.to_lowercase());
    };
    add(&operation.by.user);
    match operation.body {
        Body::TicketFiled(filed) => {
            add(&filed.subject);
            add(&filed.description);
            filed.asset.iter().for_each(|asset| add(asset));
        }
        Body::CommentAdded(comment) => add(&comment.text),
        Body::FileAttached(file) => add(&file.name),
        Body::TicketWithdrawn(withdrawal) => withdrawal.reason.iter().for_each(|text| add(text)),
    }
}

/// How the ticket's files are, in numbers.
pub(super) fn file_counts(connection: &Connection, serial: u32) -> rusqlite::Result<FileCounts> {
    connection
        .prepare_cached(
            "SELECT count(*),
                 count(*) FILTER (WHERE standing = 'open'),
                 count(*) FILTER (WHERE standing = 'received'),
                 count(*) FILTER (WHERE standing IN ('refused', 'damaged')
                     OR json_extract(state, '$.state') IN ('infected', 'corrupt', 'expired')
                     OR EXISTS (SELECT 1 FROM exception WHERE exception.position = file.position))
             FROM file WHERE serial = ?1",
        )?
        .query_row([serial], |row| {
            Ok(FileCounts {
                all: row.get(0)?,
                unsent: row.get(1)?,
                unjudged: row.get(2)?,
                failed: row.get(3)?,
            })
        })
}
