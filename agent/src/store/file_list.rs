//! The branch's view of its files, read-only: what a person sees, offline too.

use branchline_agent_api::{Delivery, FileList, FileSummary, LIST_FILES, Upload};
use branchline_protocol::file::{FileFault, FileState};
use branchline_protocol::id::FileId;
use branchline_protocol::operation::{Body, Operation, Parsed};
use rusqlite::{Connection, OptionalExtension, Row};

use super::tickets::{self, delivery};
use super::{Store, StoreError, StoreSettings, StreamRow, from_sql, to_sql};

const SELECT: &str = "SELECT file.id, file.position, file.serial, file.standing, file.state, \
                      entry.bytes, ticket.suffix, ticket.central_serial FROM file
                      JOIN entry ON entry.position = file.position
                      JOIN ticket ON ticket.serial = file.serial";

struct FileRow {
    id: FileId,
    position: u64,
    serial: u32,
    standing: String,
    state: Option<String>,
    bytes: Vec<u8>,
    suffix: u32,
    central_serial: Option<u32>,
}

impl FileRow {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            id: FileId::from_bytes(row.get(0)?),
            position: from_sql(row.get(1)?),
            serial: row.get(2)?,
            standing: row.get(3)?,
            state: row.get(4)?,
            bytes: row.get(5)?,
            suffix: row.get(6)?,
            central_serial: row.get(7)?,
        })
    }
}

impl Store {
    /// Files before a position, newest first, at most `limit`.
    pub async fn files(&self, before: Option<u64>, limit: u32) -> Result<FileList, StoreError> {
        let settings = self.settings.clone();
        let limit = limit.clamp(1, LIST_FILES);
        self.read(move |connection| list(connection, &settings, before, limit))
            .await
    }

    /// One file, or `None` where this agent has no such file.
    pub async fn file(&self, id: FileId) -> Result<Option<FileSummary>, StoreError> {
        let settings = self.settings.clone();
        self.read(move |connection| {
            let acknowledged = StreamRow::read(connection)?.acknowledged;
            let row = connection
                .prepare_cached(&format!("{SELECT} WHERE file.id = ?1"))?
                .query_row([id.as_bytes()], FileRow::read)
                .optional()?;
            match row {
                Some(row) => summary(connection, &settings, &row, acknowledged),
                None => Ok(None),
            }
        })
        .await
    }
}

fn list(
    connection: &Connection,
    settings: &StoreSettings,
    before: Option<u64>,
    limit: u32,
) -> Result<FileList, StoreError> {
    let acknowledged = StreamRow::read(connection)?.acknowledged;
    let sql = format!("{SELECT} WHERE file.position < ?1 ORDER BY file.position DESC LIMIT ?2");
    let mut statement = connection.prepare_cached(&sql)?;
    let before = before.map_or(i64::MAX, to_sql);
    let mut files = Vec::new();
    let mut seen = 0;
    let mut last = None;
    for row in statement.query_map((before, limit), FileRow::read)? {
        let row = row?;
        seen += 1;
        last = Some(row.position);
        // A row that cannot be read must not hide the others (P6).
        files.extend(summary(connection, settings, &row, acknowledged)?);
    }
    Ok(FileList {
        files,
        next: last.filter(|_| seen == limit),
    })
}

/// The ticket's first files, in order.
pub(super) fn of_ticket(
    connection: &Connection,
    settings: &StoreSettings,
    serial: u32,
    acknowledged: u64,
) -> Result<Vec<FileSummary>, StoreError> {
    let sql = format!("{SELECT} WHERE file.serial = ?1 ORDER BY file.position LIMIT {LIST_FILES}");
    let mut statement = connection.prepare_cached(&sql)?;
    let mut files = Vec::new();
    for row in statement.query_map([serial], FileRow::read)? {
        files.extend(summary(connection, settings, &row?, acknowledged)?);
    }
    Ok(files)
}

fn summary(
    connection: &Connection,
    settings: &StoreSettings,
    row: &FileRow,
    acknowledged: u64,
) -> Result<Option<FileSummary>, StoreError> {
    let Ok(Parsed::Known(operation)) = Operation::parse(&row.bytes) else {
        return Ok(None);
    };
    let Body::FileAttached(file) = operation.body else {
        return Ok(None);
    };
    let delivery = delivery(connection, row.position, acknowledged)?;
    let state: Option<FileState> = row
        .state
        .as_deref()
        .and_then(|text| serde_json::from_str(text).ok());
    let upload = match row.standing.as_str() {
        "open" => Upload::Waiting,
        "damaged" => Upload::Damaged,
        "refused" => Upload::Refused,
        _ if matches!(delivery, Delivery::Rejected { .. }) => Upload::Refused,
        _ => Upload::Sent,
    };
    let fault = match (&delivery, upload) {
        (Delivery::Rejected { .. }, _) => Some(FileFault::Rejected),
        (_, Upload::Damaged) => Some(FileFault::BranchDamaged),
        (_, Upload::Refused) => Some(FileFault::Manifest),
        _ => state.as_ref().and_then(FileState::fault),
    };
    Ok(Some(FileSummary {
        id: row.id,
        position: row.position,
        number: tickets::shown_number(settings, row.serial, row.central_serial, row.suffix),
        name: file.name,
        size: file.size,
        root: file.root,
        by: operation.by.user,
        at: operation.at,
        delivery,
        upload,
        sent: None,
        state,
        fault,
    }))
}
