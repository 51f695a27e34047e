//! One ticket with all that belongs to it.

use branchline_protocol::time::UnixMillis;
use rusqlite::{Connection, OptionalExtension, Row};

use super::listing::{COLUMNS, TicketSummary, summary};
use super::{ReadModel, ReadModelError};

/// Entries and files that are shown with a ticket, of each.
const SHOWN: i64 = 1_000;

/// A ticket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TicketView {
    /// As in a listing.
    pub summary: TicketSummary,
    /// As filed.
    pub description: String,
    /// Whom to ask, in one line.
    pub contact: String,
    /// The device or workplace concerned.
    pub asset: Option<String>,
    /// The ticket that goes on in its place.
    pub merged_into: Option<String>,
    /// Tickets in whose place it goes on; the first 1,000.
    pub merged: Vec<String>,
    /// What happened after its filing, in order; the last 1,000.
    pub timeline: Vec<TimelineEntry>,
    /// Its files, in order; the first 1,000.
    pub files: Vec<FileView>,
}

/// Something that happened on a ticket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimelineEntry {
    /// The event's position.
    pub position: u64,
    /// By central's clock.
    pub at: UnixMillis,
    /// By the branch's clock, RFC 3339, where a branch said it.
    pub said_at: Option<String>,
    /// `comment`, `withdrawn`, `file`, `reply`, `note`, `moved`, `assigned`, `classified`, `tagged` or
    /// `merged`.
    pub kind: String,
    /// Who; empty where nobody but the branch did it by speaking.
    pub who: String,
    /// What: the text, the file's name, the state's word, the operator to whom (empty: to nobody), priority and
    /// category with a blank between them, the tags one below the other, the number of the other ticket.
    pub said: String,
    /// The file that was attached, or the files that went with a reply.
    pub files: Vec<FileView>,
}

/// A file of a ticket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileView {
    /// Its id: the operation that attached it.
    pub id: [u8; 16],
    /// As given at the branch: not to be used as a path.
    pub name: String,
    /// Bytes.
    pub size: u64,
    /// The word of its state.
    pub state: String,
    /// A signature, or who released it and why.
    pub detail: Option<String>,
}

impl ReadModel {
    /// The ticket of this number.
    pub async fn ticket(&self, number: String) -> Result<Option<TicketView>, ReadModelError> {
        self.ask(move |connection| show(connection, &number)).await
    }
}

fn show(connection: &Connection, number: &str) -> Result<Option<TicketView>, ReadModelError> {
    let found = connection
        .prepare_cached(&format!(
            "SELECT {COLUMNS}, description, contact, asset,
                 (SELECT number FROM tickets AS next WHERE next.ticket = tickets.merged_into)
             FROM tickets WHERE number = ?1"
        ))?
        .query_row([number], |row| {
            Ok(TicketView {
                summary: summary(row)?,
                description: row.get(25)?,
                contact: row.get(26)?,
                asset: row.get(27)?,
                merged_into: row.get(28)?,
                merged: Vec::new(),
                timeline: Vec::new(),
                files: Vec::new(),
            })
        })
        .optional()?;
    let Some(mut view) = found else {
        return Ok(None);
    };
    view.merged = merged(connection, view.summary.row)?;
    view.timeline = timeline(connection, view.summary.row)?;
    view.files = files(connection, view.summary.row)?;
    Ok(Some(view))
}

fn merged(connection: &Connection, ticket: i64) -> Result<Vec<String>, ReadModelError> {
    let mut statement = connection.prepare_cached(
        "SELECT number FROM tickets WHERE merged_into = ?1 ORDER BY ticket LIMIT ?2",
    )?;
    let rows = statement.query_map([ticket, SHOWN], |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn timeline(connection: &Connection, ticket: i64) -> Result<Vec<TimelineEntry>, ReadModelError> {
    let mut statement = connection.prepare_cached(
        "SELECT position, at, said_at, kind, who, said FROM timeline
         WHERE ticket = ?1 ORDER BY position DESC LIMIT ?2",
    )?;
    let rows = statement.query_map([ticket, SHOWN], |row| {
        Ok(TimelineEntry {
            position: u64::try_from(row.get::<_, i64>(0)?).unwrap_or_default(),
            at: UnixMillis(row.get(1)?),
            said_at: row.get(2)?,
            kind: row.get(3)?,
            who: row.get(4)?,
            said: row.get(5)?,
            files: Vec::new(),
        })
    })?;
    let mut entries = rows.collect::<Result<Vec<_>, _>>()?;
    entries.reverse();
    for entry in &mut entries {
        entry.files = files_of(connection, ticket, entry)?;
    }
    Ok(entries)
}

fn files_of(
    connection: &Connection,
    ticket: i64,
    entry: &TimelineEntry,
) -> Result<Vec<FileView>, ReadModelError> {
    let sql = match entry.kind.as_str() {
        "file" => "SELECT id, name, size, state, detail FROM files WHERE ticket = ?1 AND file = ?2",
        // A file that no branch attached was judged before it was offered, and may have been again since.
        "reply" => {
            "SELECT given.id, given.name, given.size, coalesce(files.state, given.state, 'clean'),
                 coalesce(files.detail, given.detail)
             FROM reply_files AS given LEFT JOIN files ON files.id = given.id
             WHERE given.ticket = ?1 AND position = ?2 ORDER BY place"
        }
        _ => return Ok(Vec::new()),
    };
    let position = i64::try_from(entry.position).unwrap_or(i64::MAX);
    let mut statement = connection.prepare_cached(sql)?;
    let rows = statement.query_map([ticket, position], file)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn files(connection: &Connection, ticket: i64) -> Result<Vec<FileView>, ReadModelError> {
    let mut statement = connection.prepare_cached(
        "SELECT id, name, size, state, detail FROM files WHERE ticket = ?1 ORDER BY file LIMIT ?2",
    )?;
    let rows = statement.query_map([ticket, SHOWN], file)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn file(row: &Row<'_>) -> rusqlite::Result<FileView> {
    Ok(FileView {
        id: row.get(0)?,
        name: row.get(1)?,
        size: u64::try_from(row.get::<_, i64>(2)?).unwrap_or_default(),
        state: row.get(3)?,
        detail: row.get(4)?,
    })
}
