//! The branch's view of its tickets, read-only: what a person sees, offline too.

use branchline_agent_api::{Delivery, Entry, EntryKind, TicketDetails, TicketSummary};
use branchline_protocol::desk::TicketState;
use branchline_protocol::event::{Rejection, RejectionCode};
use branchline_protocol::id::{TicketId, TicketNumber};
use branchline_protocol::operation::{Body, Operation, Parsed, TicketFiled};
use rusqlite::{Connection, OptionalExtension, Row};

use super::desk::{self, Made};
use super::{Store, StoreError, StoreSettings, StreamRow, from_sql, to_sql};

pub(super) struct TicketRow {
    pub(super) serial: u32,
    /// Central's, where it is another.
    pub(super) central_serial: Option<u32>,
    id: TicketId,
    pub(super) position: u64,
    pub(super) suffix: u32,
    withdrawn: bool,
    pub(super) bytes: Vec<u8>,
    made: Made,
}

impl TicketRow {
    pub(super) fn columns() -> String {
        let made = Made::COLUMNS;
        format!("serial, id, position, suffix, withdrawn, bytes, central_serial, {made}")
    }

    pub(super) fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            serial: row.get(0)?,
            id: TicketId::from_bytes(row.get(1)?),
            position: from_sql(row.get(2)?),
            suffix: row.get(3)?,
            withdrawn: row.get(4)?,
            bytes: row.get(5)?,
            central_serial: row.get(6)?,
            made: Made::read(row, 7)?,
        })
    }
}

/// The number that people see: central's.
pub(super) fn shown_number(
    settings: &StoreSettings,
    serial: u32,
    central_serial: Option<u32>,
    suffix: u32,
) -> TicketNumber {
    let serial = central_serial.unwrap_or(serial);
    let mut number = TicketNumber::given(settings.branch.clone(), settings.ordinal, serial);
    number.suffix = suffix;
    number
}

/// The serial under which a ticket is kept here, by a number of this agent: the one that is shown, or
/// else the one that was given and may stand on paper.
pub(super) fn serial_of(
    connection: &Connection,
    number: &TicketNumber,
) -> rusqlite::Result<Option<u32>> {
    connection
        .prepare_cached(
            "SELECT serial FROM ticket
             WHERE central_serial = ?1 AND suffix = ?2 OR serial = ?1 AND (suffix = ?2 OR ?2 = 1)
             ORDER BY coalesce(central_serial, serial) = ?1 AND suffix = ?2 DESC LIMIT 1",
        )?
        .query_row((number.serial, number.suffix), |row| row.get(0))
        .optional()
}

/// Central has this number for a ticket, which replaces what was known of it; one that is not of this
/// agent is not believed.
pub(super) fn renumber(
    connection: &Connection,
    serial: u32,
    number: &TicketNumber,
) -> rusqlite::Result<()> {
    let bytes: Vec<u8> = connection
        .prepare_cached("SELECT bytes FROM ticket WHERE serial = ?1")?
        .query_row([serial], |row| row.get(0))?;
    let is_own = filed(&bytes).is_some_and(|(filed, _)| {
        filed.number.branch == number.branch && filed.number.ordinal == number.ordinal
    });
    if is_own {
        let central_serial = (number.serial != serial).then_some(number.serial);
        connection
            .prepare_cached("UPDATE ticket SET central_serial = ?1, suffix = ?2 WHERE serial = ?3")?
            .execute((central_serial, number.suffix, serial))?;
    }
    Ok(())
}

impl Store {
    /// One ticket with all that came after it, or `None` where this agent has no such ticket.
    pub async fn ticket(&self, number: TicketNumber) -> Result<Option<TicketDetails>, StoreError> {
        let settings = self.settings.clone();
        self.read(move |connection| details(connection, &settings, &number))
            .await
    }
}

fn details(
    connection: &Connection,
    settings: &StoreSettings,
    number: &TicketNumber,
) -> Result<Option<TicketDetails>, StoreError> {
    if number.branch != settings.branch || number.ordinal != settings.ordinal {
        return Ok(None);
    }
    let acknowledged = StreamRow::read(connection)?.acknowledged;
    let sql = format!(
        "SELECT {} FROM ticket WHERE serial = ?1",
        TicketRow::columns()
    );
    let Some(serial) = serial_of(connection, number)? else {
        return Ok(None);
    };
    let row = connection
        .prepare_cached(&sql)?
        .query_row([serial], TicketRow::read)?;
    let Some((filed, operation)) = filed(&row.bytes) else {
        return Err(StoreError::Damaged(format!(
            "ticket {number} cannot be read"
        )));
    };
    let entries = entries(connection, row.serial, acknowledged)?;
    let attached = super::file_list::of_ticket(connection, settings, row.serial, acknowledged)?;
    let replies = desk::replies(connection, row.serial)?;
    let delivery = delivery(connection, row.position, acknowledged)?;
    let (description, contact, asset) = (
        filed.description.clone(),
        filed.contact.clone(),
        filed.asset.clone(),
    );
    let summary = summary(connection, settings, &row, filed, operation, delivery)?;
    Ok(Some(TicketDetails {
        summary,
        description,
        contact,
        asset,
        entries,
        files: attached,
        replies,
    }))
}

fn entries(
    connection: &Connection,
    serial: u32,
    acknowledged: u64,
) -> Result<Vec<Entry>, StoreError> {
    let mut statement = connection
        .prepare_cached("SELECT position, bytes FROM entry WHERE serial = ?1 ORDER BY position")?;
    let rows = statement.query_map([serial], |row| {
        Ok((from_sql(row.get(0)?), row.get::<_, Vec<u8>>(1)?))
    })?;
    let mut entries = Vec::new();
    for row in rows {
        let (position, bytes) = row?;
        let Ok(Parsed::Known(operation)) = Operation::parse(&bytes) else {
            continue;
        };
        let (kind, text) = match operation.body {
            Body::CommentAdded(comment) => (EntryKind::Comment, comment.text),
            Body::TicketWithdrawn(withdrawal) => {
                (EntryKind::Withdrawal, withdrawal.reason.unwrap_or_default())
            }
            Body::TicketFiled(_) | Body::FileAttached(_) => continue,
        };
        let delivery = delivery(connection, position, acknowledged)?;
        let (by, at) = (operation.by.user, operation.at);
        entries.push(Entry {
            kind,
            text,
            by,
            at,
            delivery,
        });
    }
    Ok(entries)
}

pub(super) fn filed(bytes: &[u8]) -> Option<(TicketFiled, Operation)> {
    match Operation::parse(bytes) {
        Ok(Parsed::Known(operation)) => match &operation.body {
            Body::TicketFiled(filed) => Some((filed.clone(), operation)),
            _ => None,
        },
        _ => None,
    }
}

pub(super) fn summary(
    connection: &Connection,
    settings: &StoreSettings,
    row: &TicketRow,
    filed: TicketFiled,
    operation: Operation,
    delivery: Delivery,
) -> rusqlite::Result<TicketSummary> {
    let made = row.made.clone();
    // The branch's own word holds before central has heard it; what was merged goes on elsewhere.
    let state = match made.state {
        Some(TicketState::Merged) => TicketState::Merged,
        _ if row.withdrawn => TicketState::Withdrawn,
        told => told.unwrap_or(TicketState::New),
    };
    Ok(TicketSummary {
        number: shown_number(settings, row.serial, row.central_serial, row.suffix),
        id: row.id,
        subject: filed.subject,
        category: made.category.unwrap_or(filed.category),
        priority: made.priority.unwrap_or(filed.priority),
        reporter: operation.by.user,
        filed_at: operation.at,
        delivery,
        withdrawn: row.withdrawn,
        state,
        merged_into: made.merged_into,
        replies: desk::reply_count(connection, row.serial)?,
        files: super::finding::file_counts(connection, row.serial)?,
    })
}

pub(super) fn delivery(
    connection: &Connection,
    position: u64,
    acknowledged: u64,
) -> rusqlite::Result<Delivery> {
    let exception: Option<(String, Option<String>)> = connection
        .prepare_cached("SELECT kind, reason FROM exception WHERE position = ?1")?
        .query_row([to_sql(position)], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    Ok(match exception {
        Some((kind, _)) if kind == "damaged" => Delivery::Damaged,
        Some((_, reason)) => Delivery::Rejected {
            reason: rejection(reason.as_deref()),
        },
        None if position <= acknowledged => Delivery::Received,
        None => Delivery::Waiting,
    })
}

fn rejection(text: Option<&str>) -> Rejection {
    text.and_then(|text| serde_json::from_str(text).ok())
        .unwrap_or_else(|| Rejection {
            code: RejectionCode::Other,
            detail: "central did not accept it".to_owned(),
        })
}
