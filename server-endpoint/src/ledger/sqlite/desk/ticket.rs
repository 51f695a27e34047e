//! A ticket as the desk changes it: its row, and the events that move it.

use branchline_protocol::desk::TicketState;
use branchline_protocol::event::EventBody;
use branchline_protocol::id::{BranchCode, TicketId, TicketNumber};
use branchline_protocol::time::UnixMillis;
use rusqlite::{CachedStatement, Connection, OptionalExtension, Params, params};

use crate::ledger::LedgerError;
use crate::ledger::sqlite::columns::{self, to_integer, unfit};

/// How many merges are followed from a ticket to the one that goes on.
const MERGES_FOLLOWED: usize = 64;

const COLUMNS: &str =
    "tickets.operation, id, branch, ordinal, serial, suffix, state, version, assignee, merged_into";

/// What deciding on a ticket needs.
#[derive(Debug, Clone)]
pub(in crate::ledger::sqlite) struct Ticket {
    pub(super) row: i64,
    pub(super) id: TicketId,
    pub(super) number: TicketNumber,
    pub(in crate::ledger::sqlite) state: TicketState,
    pub(super) version: u64,
    pub(super) assignee: Option<String>,
    merged_into: Option<i64>,
}

/// When something happens, and the row of the operation that caused it, where a branch did.
#[derive(Debug, Clone, Copy)]
pub(in crate::ledger::sqlite) struct Cause {
    pub(in crate::ledger::sqlite) at: UnixMillis,
    pub(in crate::ledger::sqlite) operation: Option<i64>,
}

/// Whether the feed tells it to the branch. Whatever is not named here stays at central.
fn is_for_branch(body: &EventBody) -> bool {
    matches!(
        body,
        EventBody::ReplyAdded { .. }
            | EventBody::TicketMoved { .. }
            | EventBody::TicketClassified { .. }
            | EventBody::TicketMerged { .. }
    )
}

impl Ticket {
    pub(in crate::ledger::sqlite) fn by_number(
        connection: &Connection,
        number: &TicketNumber,
    ) -> Result<Option<Self>, LedgerError> {
        let numbers = params![
            number.branch.as_str(),
            number.ordinal,
            number.serial,
            number.suffix
        ];
        let which = "branch = ?1 AND ordinal = ?2 AND serial = ?3 AND suffix = ?4";
        Self::find(connection, which, numbers)
    }

    pub(in crate::ledger::sqlite) fn by_id(
        connection: &Connection,
        id: TicketId,
    ) -> Result<Self, LedgerError> {
        let found = Self::find(connection, "operations.id = ?1", [id.as_bytes()])?;
        found.ok_or_else(|| unfit("a ticket that was seen a moment ago"))
    }

    fn find(
        connection: &Connection,
        which: &str,
        parameters: impl Params,
    ) -> Result<Option<Self>, LedgerError> {
        let mut statement = connection.prepare_cached(&format!(
            "SELECT {COLUMNS} FROM tickets JOIN operations USING (operation) WHERE {which}"
        ))?;
        Self::only(&mut statement, parameters)
    }

    fn only(
        statement: &mut CachedStatement<'_>,
        parameters: impl Params,
    ) -> Result<Option<Self>, LedgerError> {
        statement
            .query_row(parameters, |row| {
                Ok(columns::number(row, 2).and_then(|number| {
                    Ok(Self {
                        row: row.get(0)?,
                        id: TicketId::from_bytes(row.get(1)?),
                        number,
                        state: columns::state(row, 6)?,
                        version: columns::count(row, 7)?,
                        assignee: row.get(8)?,
                        merged_into: row.get(9)?,
                    })
                }))
            })
            .optional()?
            .transpose()
    }

    pub(in crate::ledger::sqlite) fn row(&self) -> i64 {
        self.row
    }

    pub(in crate::ledger::sqlite) fn branch(&self) -> &BranchCode {
        &self.number.branch
    }

    /// Adds an event on this ticket and does to the row what it says. Answers whether it is news for the
    /// branch.
    pub(in crate::ledger::sqlite) fn take(
        &mut self,
        connection: &Connection,
        cause: Cause,
        body: &EventBody,
    ) -> Result<bool, LedgerError> {
        let for_feed = is_for_branch(body);
        let (kind, text) = body.to_parts();
        connection
            .prepare_cached(
                "INSERT INTO events (at, branch, operation, ticket, for_feed, kind, body)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            )?
            .execute(params![
                cause.at.0,
                self.branch().as_str(),
                cause.operation,
                self.row,
                for_feed,
                kind,
                text.get()
            ])?;
        self.version = columns::whole(connection.last_insert_rowid(), "a position")?;
        self.follow(connection, body)?;
        connection
            .prepare_cached(
                "UPDATE tickets SET version = ?2, state = ?3, assignee = ?4, merged_into = ?5
                 WHERE operation = ?1",
            )?
            .execute(params![
                self.row,
                to_integer(self.version),
                self.state.as_str(),
                self.assignee,
                self.merged_into
            ])?;
        Ok(for_feed)
    }

    fn follow(&mut self, connection: &Connection, body: &EventBody) -> Result<(), LedgerError> {
        match body {
            EventBody::TicketMoved { state, .. } => self.state = *state,
            EventBody::TicketAssigned { to, .. } => self.assignee.clone_from(to),
            // What was merged stays so: the other ticket goes on.
            EventBody::TicketWithdrawn { .. } if self.state != TicketState::Merged => {
                self.state = TicketState::Withdrawn;
            }
            EventBody::TicketMerged { into, .. } => {
                self.state = TicketState::Merged;
                self.merged_into = Some(Self::by_id(connection, *into)?.row);
            }
            EventBody::TicketClassified {
                priority, category, ..
            } => {
                connection
                    .prepare_cached(
                        "UPDATE tickets SET priority = ?2, category = ?3 WHERE operation = ?1",
                    )?
                    .execute(params![self.row, priority.as_str(), category])?;
            }
            EventBody::TicketTagged { tags, .. } => {
                // A list of texts, which serde can always write.
                let tags = serde_json::to_string(tags).unwrap_or_default();
                connection
                    .prepare_cached("UPDATE tickets SET tags = ?2 WHERE operation = ?1")?
                    .execute(params![self.row, tags])?;
            }
            _ => {}
        }
        Ok(())
    }

    /// The branch has added something, so that the ticket is open again: it, or the one that goes on in its
    /// place. Answers whether that is news for the branch.
    pub(in crate::ledger::sqlite) fn open_again(
        mut self,
        connection: &Connection,
        cause: Cause,
    ) -> Result<bool, LedgerError> {
        let mut statement = connection.prepare_cached(&format!(
            "SELECT {COLUMNS} FROM tickets JOIN operations USING (operation)
             WHERE tickets.operation = ?1"
        ))?;
        for _ in 0..MERGES_FOLLOWED {
            let Some(into) = self.merged_into else { break };
            let next = Self::only(&mut statement, [into])?;
            self = next.ok_or_else(|| unfit("the ticket that goes on"))?;
        }
        let state = self.state.after_branch_spoke();
        if state == self.state {
            return Ok(false);
        }
        let body = EventBody::TicketMoved {
            ticket: self.id,
            state,
            by: None,
        };
        self.take(connection, cause, &body)
    }
}
