//! Saving what a person asked for: one job in the writer, answered after its commit (P1).

use branchline_agent_api::OperationSaved;
use branchline_durable_sqlite::{JobError, Lane, crash_point};
use branchline_protocol::id::{Digest, OperationId, TicketId, TicketNumber};
use branchline_protocol::operation::{
    Body, CommentAdded, Contact, FieldFault, FileAttached, Operation, Parsed, Priority, Reporter,
    TicketFiled, TicketWithdrawn,
};
use branchline_protocol::time::LocalTime;
use rusqlite::{Connection, OptionalExtension};

use super::{PAGE_BYTES, SERIALS_USED, Store, StoreError, StoreSettings, StreamRow, head, setting};
use super::{from_sql, to_sql};

/// Something asked for, before it has a number and a position.
#[derive(Debug, Clone)]
pub struct Filing {
    /// Made by the client, or by the agent where the client made none.
    pub id: OperationId,
    /// The branch's clock.
    pub at: LocalTime,
    /// The caller.
    pub by: Reporter,
    /// What is asked for.
    pub ask: Ask,
}

/// What can be asked for.
#[derive(Debug, Clone)]
pub enum Ask {
    /// A new ticket.
    Ticket(TicketDraft),
    /// A comment on a ticket of this agent.
    Comment {
        /// The ticket.
        number: TicketNumber,
        /// The text.
        text: String,
    },
    /// Taking a ticket of this agent back.
    Withdrawal {
        /// The ticket.
        number: TicketNumber,
        /// Why.
        reason: Option<String>,
    },
    /// A file for a ticket of this agent; its chunks are durable already.
    File {
        /// The ticket.
        number: TicketNumber,
        /// As given, made safe.
        name: String,
        /// Bytes.
        size: u64,
        /// BLAKE3 of the whole.
        root: Digest,
    },
}

/// A ticket without its number.
#[derive(Debug, Clone)]
pub struct TicketDraft {
    /// One line.
    pub subject: String,
    /// Any number of lines.
    pub description: String,
    /// A category's name.
    pub category: String,
    /// How much it hurts.
    pub priority: Priority,
    /// Whom to ask.
    pub contact: Contact,
    /// The device or workplace concerned.
    pub asset: Option<String>,
}

/// Why nothing was saved.
#[derive(Debug, thiserror::Error)]
pub enum FilingError {
    /// A field breaks a rule.
    #[error(transparent)]
    Invalid(#[from] FieldFault),
    /// This agent has no such ticket.
    #[error("there is no ticket {0} here")]
    UnknownTicket(TicketNumber),
    /// It was taken back before.
    #[error("ticket {0} has been withdrawn")]
    Withdrawn(TicketNumber),
    /// The id names another operation already.
    #[error("the id {0} has been used for something else; use a new one")]
    IdTaken(OperationId),
    /// The journal is at its bound, even without what it only retains.
    #[error(
        "the journal has reached its limit of {0} MiB and holds only what central does not have yet"
    )]
    AtLimit(u64),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<rusqlite::Error> for FilingError {
    fn from(fault: rusqlite::Error) -> Self {
        Self::Store(fault.into())
    }
}

/// Retained operations given up at a time to make room for a new one.
const GIVEN_UP_AT_ONCE: u32 = 500;

impl Store {
    /// Saves a filing. An `Ok` is durable (P1); asking again with the same id changes nothing.
    pub async fn save(&self, filing: Filing) -> Result<OperationSaved, FilingError> {
        crash_point::reach("filing-received");
        let settings = self.settings.clone();
        let under_way = self.filings.begin();
        let saved = self
            .writer
            .run(Lane::Control, move |connection| {
                let saved = save(connection, &settings, filing);
                crash_point::reach("filing-written");
                saved
            })
            .await
            .map_err(|fault| match fault {
                JobError::Job(own) => own,
                JobError::Commit(failed) => FilingError::Store(failed.into()),
            })?;
        drop(under_way);
        crash_point::reach("filing-committed");
        Ok(saved)
    }
}

pub(super) fn save(
    connection: &Connection,
    settings: &StoreSettings,
    filing: Filing,
) -> Result<OperationSaved, FilingError> {
    if let Some(bytes) = saved_before(connection, filing.id)? {
        return repeat(connection, settings, &filing, &bytes);
    }
    make_room(connection, settings)?;
    let (body, serial) = match filing.ask {
        Ask::Ticket(draft) => number_ticket(connection, settings, draft)?,
        Ask::Comment { number, text } => {
            let (ticket, serial) = open_ticket(connection, settings, &number)?;
            (Body::CommentAdded(CommentAdded { ticket, text }), serial)
        }
        Ask::Withdrawal { number, reason } => {
            let (ticket, serial) = open_ticket(connection, settings, &number)?;
            (
                Body::TicketWithdrawn(TicketWithdrawn { ticket, reason }),
                serial,
            )
        }
        Ask::File {
            number,
            name,
            size,
            root,
        } => {
            let (ticket, serial) = open_ticket(connection, settings, &number)?;
            let attached = FileAttached {
                ticket,
                name,
                size,
                root,
            };
            (Body::FileAttached(attached), serial)
        }
    };
    let operation = Operation {
        id: filing.id,
        at: filing.at,
        by: filing.by,
        body,
    };
    if let Some(fault) = operation.faults().into_iter().next() {
        return Err(fault.into());
    }
    insert(connection, &operation, serial)?;
    let number = TicketNumber::given(settings.branch.clone(), settings.ordinal, serial);
    Ok(OperationSaved {
        operation: operation.id,
        number,
        saved_at: operation.at,
        repeated: false,
    })
}

fn insert(connection: &Connection, operation: &Operation, serial: u32) -> rusqlite::Result<()> {
    let bytes = operation.encode();
    let position = to_sql(head(connection)?.saturating_add(1));
    let id = operation.id.as_bytes();
    connection
        .prepare_cached(
            "INSERT INTO operation (position, id, checksum, recorded_at, bytes)
             VALUES (?1, ?2, ?3, ?4, ?5)",
        )?
        .execute((
            position,
            id,
            checksum(&bytes),
            operation.at.millis.0,
            &bytes,
        ))?;
    if let Body::TicketFiled(_) = operation.body {
        connection
            .prepare_cached(
                "INSERT INTO ticket (serial, id, position, bytes) VALUES (?1, ?2, ?3, ?4)",
            )?
            .execute((serial, id, position, &bytes))?;
        return Ok(());
    }
    connection
        .prepare_cached("INSERT INTO entry (position, serial, bytes) VALUES (?1, ?2, ?3)")?
        .execute((position, serial, &bytes))?;
    if let Body::TicketWithdrawn(_) = operation.body {
        connection
            .prepare_cached("UPDATE ticket SET withdrawn = 1 WHERE serial = ?1")?
            .execute([serial])?;
    }
    if let Body::FileAttached(file) = &operation.body {
        connection
            .prepare_cached(
                "INSERT INTO file (id, position, serial, size) VALUES (?1, ?2, ?3, ?4)",
            )?
            .execute((id, position, serial, to_sql(file.size)))?;
    }
    Ok(())
}

/// Sixteen bytes are plenty against decay; the chain guards the rest.
pub(super) fn checksum(bytes: &[u8]) -> [u8; 16] {
    let mut checksum = [0; 16];
    blake3::Hasher::new()
        .update(bytes)
        .finalize_xof()
        .fill(&mut checksum);
    checksum
}

fn saved_before(connection: &Connection, id: OperationId) -> rusqlite::Result<Option<Vec<u8>>> {
    connection
        .prepare_cached("SELECT bytes FROM operation WHERE id = ?1")?
        .query_row([id.as_bytes()], |row| row.get(0))
        .optional()
}

/// The same filing again: the same answer. Another one under its id: a clear no.
fn repeat(
    connection: &Connection,
    settings: &StoreSettings,
    filing: &Filing,
    bytes: &[u8],
) -> Result<OperationSaved, FilingError> {
    let taken = FilingError::IdTaken(filing.id);
    let Ok(Parsed::Known(saved)) = Operation::parse(bytes) else {
        return Err(taken);
    };
    let same = match (&saved.body, &filing.ask) {
        (Body::TicketFiled(old), Ask::Ticket(new)) => {
            old.subject == new.subject && old.description == new.description
        }
        (Body::CommentAdded(old), Ask::Comment { text, .. }) => old.text == *text,
        (Body::TicketWithdrawn(old), Ask::Withdrawal { reason, .. }) => old.reason == *reason,
        (Body::FileAttached(old), Ask::File { size, root, .. }) => {
            old.size == *size && old.root == *root
        }
        _ => false,
    };
    let ticket = saved.body.ticket().unwrap_or(saved.id.into());
    let serial: Option<u32> = connection
        .prepare_cached("SELECT serial FROM ticket WHERE id = ?1")?
        .query_row([ticket.as_bytes()], |row| row.get(0))
        .optional()?;
    let (true, Some(serial)) = (same, serial) else {
        return Err(taken);
    };
    let number = TicketNumber::given(settings.branch.clone(), settings.ordinal, serial);
    Ok(OperationSaved {
        operation: saved.id,
        number,
        saved_at: saved.at,
        repeated: true,
    })
}

fn number_ticket(
    connection: &Connection,
    settings: &StoreSettings,
    draft: TicketDraft,
) -> Result<(Body, u32), FilingError> {
    let last: Option<u32> = connection
        .prepare_cached("SELECT max(serial) FROM ticket")?
        .query_row([], |row| row.get(0))?;
    let used: Option<u32> = setting(connection, SERIALS_USED)?;
    let serial = last.max(used).unwrap_or(0).saturating_add(1);
    let body = Body::TicketFiled(TicketFiled {
        number: TicketNumber::given(settings.branch.clone(), settings.ordinal, serial),
        subject: draft.subject,
        description: draft.description,
        category: draft.category,
        priority: draft.priority,
        contact: draft.contact,
        asset: draft.asset,
    });
    Ok((body, serial))
}

/// The ticket with this number, if it can still be added to.
pub(super) fn open_ticket(
    connection: &Connection,
    settings: &StoreSettings,
    number: &TicketNumber,
) -> Result<(TicketId, u32), FilingError> {
    let unknown = || FilingError::UnknownTicket(number.clone());
    if number.branch != settings.branch || number.ordinal != settings.ordinal {
        return Err(unknown());
    }
    let serial = super::tickets::serial_of(connection, number)?.ok_or_else(unknown)?;
    let (id, withdrawn): ([u8; 16], bool) = connection
        .prepare_cached("SELECT id, withdrawn FROM ticket WHERE serial = ?1")?
        .query_row([serial], |row| Ok((row.get(0)?, row.get(1)?)))?;
    if withdrawn {
        return Err(FilingError::Withdrawn(number.clone()));
    }
    Ok((TicketId::from_bytes(id), serial))
}

/// At the bound, operations that are only retained give way to new ones (P8).
fn make_room(connection: &Connection, settings: &StoreSettings) -> Result<(), FilingError> {
    let limit = settings.limit_bytes.max(super::LEAST_LIMIT_BYTES);
    if used_bytes(connection)? < limit {
        return Ok(());
    }
    let acknowledged = StreamRow::read(connection)?.acknowledged;
    super::upkeep::prune_oldest(connection, acknowledged, None, GIVEN_UP_AT_ONCE)?;
    if used_bytes(connection)? < limit {
        return Ok(());
    }
    Err(FilingError::AtLimit(limit / (1024 * 1024)))
}

/// Bytes of the file that hold something.
pub(super) fn used_bytes(connection: &Connection) -> rusqlite::Result<u64> {
    let count = |pragma: &str| -> rusqlite::Result<u64> {
        connection
            .prepare_cached(pragma)?
            .query_row([], |row| row.get(0))
            .map(from_sql)
    };
    Ok(count("PRAGMA page_count")?.saturating_sub(count("PRAGMA freelist_count")?) * PAGE_BYTES)
}
