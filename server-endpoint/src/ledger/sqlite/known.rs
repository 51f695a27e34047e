//! What [`judge`](branchline_protocol::receiver::judge) asks, answered from the transaction that it
//! decides in.

use branchline_protocol::event::Verdict;
use branchline_protocol::id::{FileId, OperationId, TicketId, TicketNumber};
use branchline_protocol::receiver::{Known, Origin, TicketFacts};
use rusqlite::{CachedStatement, Connection, OptionalExtension, params};

use super::columns;
use crate::ledger::{LedgerError, TicketState};

pub(super) struct KnownHere<'c> {
    agent: i64,
    origin: &'c Origin,
    /// No ticket of this agent has a serial above it.
    pub(super) serials_used: u32,
    /// The row of the operation last found.
    pub(super) found: Option<i64>,
    /// The id last asked for, where nobody has an operation of it: then there is no such ticket.
    nobodys: Option<OperationId>,
    by_id: CachedStatement<'c>,
    ticket: CachedStatement<'c>,
    suffix: CachedStatement<'c>,
    file: CachedStatement<'c>,
}

impl<'c> KnownHere<'c> {
    pub(super) fn new(
        connection: &'c Connection,
        agent: i64,
        origin: &'c Origin,
        serials_used: u32,
    ) -> Result<Self, LedgerError> {
        Ok(Self {
            agent,
            origin,
            serials_used,
            found: None,
            nobodys: None,
            by_id: connection
                .prepare_cached("SELECT operation, agent, verdict FROM operations WHERE id = ?1")?,
            ticket: connection.prepare_cached(
                "SELECT branch, ordinal, serial, suffix, state FROM tickets
                 JOIN operations USING (operation) WHERE id = ?1",
            )?,
            suffix: connection.prepare_cached(
                "SELECT max(suffix) FROM tickets
                 WHERE branch = ?1 AND ordinal = ?2 AND serial = ?3",
            )?,
            file: connection.prepare_cached("SELECT 1 FROM files WHERE id = ?1")?,
        })
    }
}

impl Known for KnownHere<'_> {
    type Error = LedgerError;

    fn operation(&mut self, id: OperationId) -> Result<Option<Verdict>, LedgerError> {
        self.nobodys = Some(id);
        let mut rows = self.by_id.query([id.as_bytes()])?;
        while let Some(row) = rows.next()? {
            self.nobodys = None;
            if row.get::<_, i64>(1)? == self.agent {
                self.found = Some(row.get(0)?);
                return columns::verdict(row, 2).map(Some);
            }
        }
        Ok(None)
    }

    fn ticket(&mut self, id: TicketId) -> Result<Option<TicketFacts>, LedgerError> {
        if self.nobodys.map(TicketId::from) == Some(id) {
            return Ok(None);
        }
        self.ticket
            .query_row([id.as_bytes()], |row| {
                Ok(columns::number(row, 0).and_then(|number| {
                    Ok(TicketFacts {
                        branch: number.branch.clone(),
                        number,
                        withdrawn: columns::state(row, 4)? == TicketState::Withdrawn,
                    })
                }))
            })
            .optional()?
            .transpose()
    }

    fn file_taken(&mut self, id: FileId) -> Result<bool, LedgerError> {
        if self.nobodys.map(FileId::from) == Some(id) {
            return Ok(false);
        }
        Ok(self.file.exists([id.as_bytes()])?)
    }

    fn highest_suffix(&mut self, given: &TicketNumber) -> Result<Option<u32>, LedgerError> {
        let own = given.branch == self.origin.branch && given.ordinal == self.origin.ordinal;
        if own && given.serial > self.serials_used {
            return Ok(None);
        }
        let suffix: Option<i64> = self.suffix.query_row(
            params![given.branch.as_str(), given.ordinal, given.serial],
            |row| row.get(0),
        )?;
        suffix
            .map(|suffix| columns::whole(suffix, "a suffix"))
            .transpose()
    }
}
