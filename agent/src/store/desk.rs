//! What central support said back, kept for reading offline: replies, where tickets stand, the catalogue,
//! and how much bandwidth files may use.
//!
//! On the way back: feed → **store** → local API. Invariants:
//! - It is written in the commit that moves the feed's cursor, so that nothing is passed over; a reply has
//!   its id, so that an event that comes again changes nothing.
//! - Everything is bounded before it is kept, whatever central sends (P8): what does not fit is cut or left
//!   out, and the oldest replies go first.
//! - The branch's own copy of what it filed is never touched: central's word stands beside it.
//!
//! Recovery: none of its own. A salvaged journal has no cursor, and the feed tells everything again; replies
//! that central lost with its own disk stay, because somebody may have read them.

use branchline_agent_api::Reply;
use branchline_protocol::desk::{Catalogue, OfferedFile, TicketState};
use branchline_protocol::event::{Event, EventBody};
use branchline_protocol::id::{CommandId, TicketId, TicketNumber};
use branchline_protocol::limits;
use branchline_protocol::operation::Priority;
use branchline_protocol::rate::Rate;
use branchline_protocol::text::{Shape, clipped, fault};
use branchline_protocol::time::UnixMillis;
use rusqlite::{Connection, OptionalExtension};
use tokio::sync::watch;

use super::{Store, from_sql, given, set_setting, setting, to_sql};

#[cfg(test)]
mod tests;

/// Replies kept of one ticket: more than a person reads.
const REPLIES_OF_TICKET: u32 = 500;
/// The part of the journal's bound that replies may take.
const PART_OF_JOURNAL: u64 = 8;
/// Bytes of replies, however large the journal may be: thousands of long ones.
const REPLIES_BYTES: u64 = 64 * 1024 * 1024;
/// A reply's row besides its texts.
const ROW_BYTES: usize = 100;

const CATALOGUE: &str = "catalogue";
/// The serial of the catalogue heard last; 0 after central was restored.
const CATALOGUE_SERIAL: &str = "catalogue_serial";
const BANDWIDTH: &str = "bandwidth";
const BANDWIDTH_SERIAL: &str = "bandwidth_serial";

/// What central wants branches to go by.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Policy {
    /// What people file by; empty before central said anything.
    pub catalogue: Catalogue,
    /// How fast files may go, where central says so.
    pub rate: Option<Rate>,
}

impl Store {
    /// What central wants the branch to go by; changes with the feed.
    pub fn policy(&self) -> watch::Receiver<Policy> {
        self.policy.subscribe()
    }
}

/// As it is kept. What cannot be read counts as not said.
pub(super) fn policy(connection: &Connection) -> rusqlite::Result<Policy> {
    let text: Option<String> = setting(connection, CATALOGUE)?;
    let catalogue = text.and_then(|text| serde_json::from_str(&text).ok());
    let rate: Option<String> = setting(connection, BANDWIDTH)?;
    Ok(Policy {
        catalogue: catalogue.unwrap_or_default(),
        rate: rate.and_then(|rate| rate.parse().ok()),
    })
}

/// Central was restored: what it said of tickets since is void, and its serials begin anew.
pub(super) fn forget(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute(
        "UPDATE ticket SET central_state = NULL, central_priority = NULL, central_category = NULL,
             merged_into = NULL
         WHERE central_state IS NOT NULL OR central_priority IS NOT NULL",
        [],
    )?;
    set_setting(connection, CATALOGUE_SERIAL, 0)?;
    set_setting(connection, BANDWIDTH_SERIAL, 0)
}

/// Keeps an event, if it is one of the desk's. Events on tickets of other agents are passed over.
pub(super) fn apply(
    connection: &Connection,
    event: &Event,
    body: &EventBody,
    limit_bytes: u64,
) -> rusqlite::Result<()> {
    match body {
        EventBody::ReplyAdded {
            ticket,
            reply,
            by,
            text,
            files,
        } => {
            let Some(serial) = serial_of(connection, *ticket)? else {
                return Ok(());
            };
            let said = Reply {
                id: *reply,
                at: event.at,
                by: clipped(&by.replace(char::is_control, " "), limits::USER_CHARS).to_owned(),
                text: clipped(text, limits::TEXT_CHARS).to_owned(),
                files: sound(files),
            };
            // Heard again, it gives nothing again.
            if keep_reply(connection, serial, event.position, &said)? {
                given::keep(connection, serial, &said.files)?;
            }
            make_room(connection, serial, limit_bytes)
        }
        EventBody::TicketMoved { ticket, state, .. } => {
            // What only the branch or a merge can bring about is not believed, nor what nobody here knows.
            let known = !state.is_final() && *state != TicketState::Other;
            if known {
                set(connection, *ticket, "central_state", state.as_str())?;
                tell_once(connection, *ticket, event.position)?;
            }
            Ok(())
        }
        EventBody::TicketClassified {
            ticket,
            priority,
            category,
            ..
        } => {
            if fault(category, Shape::Line, limits::CATEGORY_CHARS).is_none() {
                set(connection, *ticket, "central_priority", priority.as_str())?;
                set(connection, *ticket, "central_category", category)?;
            }
            Ok(())
        }
        EventBody::TicketMerged { ticket, number, .. } => {
            let merged = TicketState::Merged.as_str();
            set(connection, *ticket, "central_state", merged)?;
            set(connection, *ticket, "merged_into", &number.to_string())
        }
        EventBody::CatalogueChanged { catalogue } => keep_catalogue(connection, catalogue),
        EventBody::BandwidthChanged { serial, rate } => {
            keep_rate(connection, *serial, rate.as_deref())
        }
        _ => Ok(()),
    }
}

fn serial_of(connection: &Connection, ticket: TicketId) -> rusqlite::Result<Option<u32>> {
    connection
        .prepare_cached("SELECT serial FROM ticket WHERE id = ?1")?
        .query_row([ticket.as_bytes()], |row| row.get(0))
        .optional()
}

fn set(
    connection: &Connection,
    ticket: TicketId,
    column: &'static str,
    value: &str,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached(&format!("UPDATE ticket SET {column} = ?2 WHERE id = ?1"))?
        .execute((ticket.as_bytes(), value))
        .map(|_| ())
}

/// A reply that moved its ticket, which is the event before the move: that it asks, or says that all is done,
/// is the one piece of news.
fn tell_once(connection: &Connection, ticket: TicketId, moved: u64) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "WITH told AS (
                 SELECT news.id, news.kind FROM news JOIN ticket USING (serial)
                 JOIN reply USING (serial) WHERE ticket.id = ?1 AND reply.position = ?2 - 1
                 ORDER BY news.id DESC LIMIT 2)
             DELETE FROM news WHERE kind = 'answer' AND id = (SELECT min(id) FROM told)
                 AND (SELECT kind FROM told ORDER BY id DESC LIMIT 1) IN ('asked', 'resolved')",
        )?
        .execute((ticket.as_bytes(), to_sql(moved)))
        .map(|_| ())
}

/// Files that can be ones, as many as go with a reply.
fn sound(files: &[OfferedFile]) -> Vec<OfferedFile> {
    let sound = files
        .iter()
        .filter(|file| file.size <= limits::FILE_BYTES)
        .take(limits::REPLY_FILES);
    let named = sound.map(|file| OfferedFile {
        name: clipped(
            &file.name.replace(char::is_control, " "),
            limits::FILE_NAME_CHARS,
        )
        .to_owned(),
        ..file.clone()
    });
    named.collect()
}

/// Whether it is new.
fn keep_reply(
    connection: &Connection,
    serial: u32,
    position: u64,
    reply: &Reply,
) -> rusqlite::Result<bool> {
    // A list of plain fields, which serde can always write.
    let files = serde_json::to_string(&reply.files).unwrap_or_default();
    let bytes = ROW_BYTES + reply.by.len() + reply.text.len() + files.len();
    connection
        .prepare_cached(
            "INSERT OR IGNORE INTO reply (id, serial, position, at, by_whom, text, files, bytes)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        )?
        .execute((
            reply.id.as_bytes(),
            serial,
            to_sql(position),
            reply.at.0,
            &reply.by,
            &reply.text,
            files,
            to_sql(bytes as u64),
        ))
        .map(|kept| kept == 1)
}

/// The oldest go where there are too many: on this ticket, or in all.
fn make_room(connection: &Connection, serial: u32, limit_bytes: u64) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "DELETE FROM reply WHERE id IN (SELECT id FROM reply WHERE serial = ?1
                 ORDER BY position DESC LIMIT -1 OFFSET ?2)",
        )?
        .execute((serial, REPLIES_OF_TICKET))?;
    let most = to_sql((limit_bytes / PART_OF_JOURNAL).min(REPLIES_BYTES));
    loop {
        let total: i64 = connection
            .prepare_cached("SELECT bytes FROM reply_total")?
            .query_row([], |row| row.get(0))?;
        if total <= most {
            return Ok(());
        }
        let gone = connection
            .prepare_cached(
                "DELETE FROM reply WHERE id =
                     (SELECT id FROM reply ORDER BY position LIMIT 1)",
            )?
            .execute([])?;
        if gone == 0 {
            return Ok(());
        }
    }
}

fn keep_catalogue(connection: &Connection, catalogue: &Catalogue) -> rusqlite::Result<()> {
    let known: Option<i64> = setting(connection, CATALOGUE_SERIAL)?;
    if catalogue.serial <= from_sql(known.unwrap_or(0)) || catalogue.fault().is_some() {
        return Ok(());
    }
    // Written by a derive; its maps' keys are texts.
    let text = serde_json::to_string(catalogue).unwrap_or_default();
    set_setting(connection, CATALOGUE, text)?;
    set_setting(connection, CATALOGUE_SERIAL, to_sql(catalogue.serial))
}

fn keep_rate(connection: &Connection, serial: u64, rate: Option<&str>) -> rusqlite::Result<()> {
    let known: Option<i64> = setting(connection, BANDWIDTH_SERIAL)?;
    let readable = rate.is_none_or(|rate| rate.parse::<Rate>().is_ok());
    if serial <= from_sql(known.unwrap_or(0)) || !readable {
        return Ok(());
    }
    // Nothing is no rate, which reads as not said.
    set_setting(connection, BANDWIDTH, rate.unwrap_or_default())?;
    set_setting(connection, BANDWIDTH_SERIAL, to_sql(serial))
}

/// A ticket's replies, in the order in which central gave them.
pub(super) fn replies(connection: &Connection, serial: u32) -> rusqlite::Result<Vec<Reply>> {
    let mut statement = connection.prepare_cached(
        "SELECT id, at, by_whom, text, files FROM reply WHERE serial = ?1 ORDER BY position, at",
    )?;
    let rows = statement.query_map([serial], |row| {
        let files: String = row.get(4)?;
        Ok(Reply {
            id: CommandId::from_bytes(row.get(0)?),
            at: UnixMillis(row.get(1)?),
            by: row.get(2)?,
            text: row.get(3)?,
            files: serde_json::from_str(&files).unwrap_or_default(),
        })
    })?;
    rows.collect()
}

/// How many replies a ticket has.
pub(super) fn reply_count(connection: &Connection, serial: u32) -> rusqlite::Result<u32> {
    connection
        .prepare_cached("SELECT count(*) FROM reply WHERE serial = ?1")?
        .query_row([serial], |row| row.get(0))
}

/// What central made of a ticket, as its columns say; what cannot be read counts as not said.
#[derive(Debug, Clone, Default)]
pub(super) struct Made {
    pub(super) state: Option<TicketState>,
    pub(super) priority: Option<Priority>,
    pub(super) category: Option<String>,
    pub(super) merged_into: Option<TicketNumber>,
}

impl Made {
    pub(super) const COLUMNS: &'static str =
        "central_state, central_priority, central_category, merged_into";

    /// From [`Self::COLUMNS`], the first of which is at `from`.
    pub(super) fn read(row: &rusqlite::Row<'_>, from: usize) -> rusqlite::Result<Self> {
        let text = |column: usize| row.get::<_, Option<String>>(from + column);
        let priority = text(1)?.map(serde_json::Value::String);
        Ok(Self {
            state: text(0)?.and_then(|word| word.parse().ok()),
            priority: priority.and_then(|word| serde_json::from_value(word).ok()),
            category: text(2)?,
            merged_into: text(3)?.and_then(|number| number.parse().ok()),
        })
    }
}
