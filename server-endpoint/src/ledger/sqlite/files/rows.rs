//! A file's row as the verbs decide on it: read, changed in memory, and saved in the same transaction.

use branchline_protocol::file::FileState;
use branchline_protocol::id::{BranchCode, Digest, FileId};
use branchline_protocol::time::UnixMillis;
use rusqlite::{Connection, OptionalExtension, Params, Row, params};

use super::states;
use crate::ledger::LedgerError;
use crate::ledger::sqlite::columns::{self, to_integer, whole};

const COLUMNS: &str = "file, id, agent, branch, ticket, size, root, state, detail, state_since, \
     version, sniffed, disguised, trouble, due, scope, count, announced, announced_bytes, missing, \
     missing_bytes, idle_since";

pub(super) struct FileRow {
    pub(super) row: i64,
    pub(super) id: FileId,
    pub(super) agent: i64,
    pub(super) branch: BranchCode,
    pub(super) ticket: i64,
    pub(super) size: u64,
    pub(super) root: Digest,
    pub(super) state: FileState,
    pub(super) state_since: UnixMillis,
    pub(super) version: u64,
    pub(super) sniffed: Option<String>,
    pub(super) disguised: bool,
    pub(super) trouble: Option<String>,
    pub(super) due: Option<i64>,
    pub(super) scope: String,
    pub(super) count: Option<u32>,
    pub(super) announced: u32,
    pub(super) announced_bytes: u64,
    pub(super) missing: u64,
    pub(super) missing_bytes: u64,
    pub(super) idle_since: Option<UnixMillis>,
}

impl FileRow {
    pub(super) fn find(connection: &Connection, id: FileId) -> Result<Option<Self>, LedgerError> {
        query(connection, "id = ?1", [id.as_bytes()])
    }

    /// The file of an agent; another agent's is none.
    pub(super) fn find_of(
        connection: &Connection,
        id: FileId,
        agent: i64,
    ) -> Result<Option<Self>, LedgerError> {
        query(
            connection,
            "id = ?1 AND agent = ?2",
            params![id.as_bytes(), agent],
        )
    }

    pub(super) fn at(connection: &Connection, row: i64) -> Result<Self, LedgerError> {
        query(connection, "file = ?1", [row])?
            .ok_or_else(|| columns::unfit("the file that a manifest is of"))
    }

    /// The file that waits longest for nothing, if it does so since before this.
    pub(super) fn idle_before(
        connection: &Connection,
        before: UnixMillis,
    ) -> Result<Option<Self>, LedgerError> {
        query(
            connection,
            "idle_since < ?1 ORDER BY idle_since LIMIT 1",
            [before.0],
        )
    }

    /// Whether it stands against its agent's bounds.
    pub(super) fn counts_as_begun(&self) -> bool {
        self.count.is_some() && !self.state.is_settled()
    }

    /// Whether every chunk of it has a place.
    pub(super) fn is_complete(&self) -> bool {
        self.count == Some(self.announced) && self.missing == 0
    }

    pub(super) fn save(&self, connection: &Connection) -> Result<(), LedgerError> {
        let (word, detail) = states::to_columns(&self.state);
        connection
            .prepare_cached(
                "UPDATE files SET state = ?2, detail = ?3, state_since = ?4, version = ?5,
                     sniffed = ?6, disguised = ?7, trouble = ?8, due = ?9, scope = ?10, count = ?11,
                     announced = ?12, announced_bytes = ?13, missing = ?14, missing_bytes = ?15,
                     idle_since = ?16
                 WHERE file = ?1",
            )?
            .execute(params![
                self.row,
                word,
                detail,
                self.state_since.0,
                to_integer(self.version),
                self.sniffed,
                self.disguised,
                self.trouble,
                self.due,
                self.scope,
                self.count,
                self.announced,
                to_integer(self.announced_bytes),
                to_integer(self.missing),
                to_integer(self.missing_bytes),
                self.idle_since.map(|at| at.0),
            ])?;
        Ok(())
    }

    fn read(row: &Row<'_>) -> Result<Self, LedgerError> {
        Ok(Self {
            row: row.get(0)?,
            id: FileId::from_bytes(row.get(1)?),
            agent: row.get(2)?,
            branch: columns::branch(row, 3)?,
            ticket: row.get(4)?,
            size: columns::count(row, 5)?,
            root: columns::digest(row, 6)?,
            state: states::from_columns(row.get_ref(7)?.as_str().unwrap_or_default(), row.get(8)?)?,
            state_since: columns::millis(row, 9)?,
            version: columns::count(row, 10)?,
            sniffed: row.get(11)?,
            disguised: row.get(12)?,
            trouble: row.get(13)?,
            due: row.get(14)?,
            scope: row.get(15)?,
            count: row
                .get::<_, Option<i64>>(16)?
                .map(|count| whole(count, "a count"))
                .transpose()?,
            announced: whole(row.get(17)?, "a count")?,
            announced_bytes: columns::count(row, 18)?,
            missing: columns::count(row, 19)?,
            missing_bytes: columns::count(row, 20)?,
            idle_since: row.get::<_, Option<i64>>(21)?.map(UnixMillis),
        })
    }
}

fn query(
    connection: &Connection,
    which: &str,
    parameters: impl Params,
) -> Result<Option<FileRow>, LedgerError> {
    connection
        .prepare_cached(&format!("SELECT {COLUMNS} FROM files WHERE {which}"))?
        .query_row(parameters, |row| Ok(FileRow::read(row)))
        .optional()?
        .transpose()
}

/// An agent's row and branch.
pub(super) fn agent(
    connection: &Connection,
    id: branchline_protocol::id::AgentId,
) -> Result<Option<(i64, BranchCode)>, LedgerError> {
    connection
        .prepare_cached("SELECT agent, branch FROM agents WHERE id = ?1")?
        .query_row([id.as_bytes()], |row| {
            let agent = row.get(0)?;
            Ok(columns::branch(row, 1).map(|branch| (agent, branch)))
        })
        .optional()?
        .transpose()
}
