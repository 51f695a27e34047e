//! The rows that one operation leaves behind: itself, its position, its ticket, its events.

use branchline_protocol::chain::Position;
use branchline_protocol::event::{EventBody, Verdict};
use branchline_protocol::id::{OperationId, TicketId, TicketNumber};
use branchline_protocol::operation::{Body, FileAttached, Operation, Parsed, TicketFiled};
use branchline_protocol::receiver::Judgement;
use branchline_protocol::time::UnixMillis;
use rusqlite::{CachedStatement, Connection, params};
use serde_json::value::RawValue;

use super::{StreamRow, Submitting};
use crate::ledger::LedgerError;
use crate::ledger::sqlite::columns::{to_integer, unfit, verdict_text};
use crate::ledger::sqlite::desk::ticket::{Cause, Ticket};

/// The statements of one submission, prepared once for all its operations.
pub(super) struct Store<'c> {
    connection: &'c Connection,
    stream: i64,
    agent: &'c Submitting,
    at: UnixMillis,
    /// Whether an event for the feed was stored.
    pub(super) gave_news: bool,
    operation: CachedStatement<'c>,
    position: CachedStatement<'c>,
    ticket: CachedStatement<'c>,
    event: CachedStatement<'c>,
}

/// An event and how it is filed.
struct Filing {
    kind: String,
    body: Box<RawValue>,
    ticket: Option<i64>,
    for_feed: bool,
}

impl<'c> Store<'c> {
    pub(super) fn new(
        connection: &'c Connection,
        stream: &StreamRow,
        agent: &'c Submitting,
        at: UnixMillis,
    ) -> Result<Self, LedgerError> {
        Ok(Self {
            connection,
            stream: stream.row,
            agent,
            at,
            gave_news: false,
            operation: connection.prepare_cached(
                "INSERT INTO operations (agent, id, received_at, verdict, bytes)
                 VALUES (?1, ?2, ?3, ?4, ?5)",
            )?,
            position: connection.prepare_cached(
                "INSERT INTO positions (stream, seq, digest, operation, repeat, other_bytes)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )?,
            ticket: connection.prepare_cached(
                "INSERT INTO tickets
                     (operation, branch, ordinal, serial, suffix, state, filed_at, received_at,
                      version)
                 VALUES (?1, ?2, ?3, ?4, ?5, 'new', ?6, ?7, ?8)",
            )?,
            event: connection.prepare_cached(
                "INSERT INTO events (at, branch, operation, ticket, for_feed, kind, body)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            )?,
        })
    }

    /// Stores what was judged. `first` is the row of the operation that this one repeats. Answers
    /// with the highest ticket serial that the operation shows to be given out.
    pub(super) fn keep(
        &mut self,
        position: Position,
        bytes: &[u8],
        judgement: &Judgement,
        first: Option<i64>,
    ) -> Result<u32, LedgerError> {
        match judgement {
            Judgement::Repeat { verdict } => {
                let first = first.ok_or_else(|| unfit("the operation that is repeated"))?;
                let other = self.other_bytes(first, bytes)?;
                self.keep_position(position, first, true, other)?;
                match (verdict, other) {
                    (Verdict::Renumbered { number }, Some(bytes)) => {
                        self.tell_number(first, bytes, number)
                    }
                    _ => Ok(0),
                }
            }
            Judgement::Rejected { id, reason } => {
                let row = self.keep_operation(*id, judgement, bytes)?;
                self.keep_position(position, row, false, None)?;
                let body = EventBody::OperationRejected {
                    operation: *id,
                    reason: reason.clone(),
                };
                self.keep_event(row, &filing(&body, None, true))?;
                Ok(self.serial_of_rejected(bytes))
            }
            Judgement::Effect { operation, number } => {
                let row = self.keep_operation(Some(operation.id), judgement, bytes)?;
                self.keep_position(position, row, false, None)?;
                self.keep_effect(row, operation, number.as_ref())
            }
        }
    }

    /// A ticket that is filed again under another number keeps its own. The feed says so too, because a
    /// reply may be lost and what was said before a restore is void.
    fn tell_number(
        &mut self,
        row: i64,
        bytes: &[u8],
        number: &TicketNumber,
    ) -> Result<u32, LedgerError> {
        let Ok(Parsed::Known(operation)) = Operation::parse(bytes) else {
            return Ok(0);
        };
        let Body::TicketFiled(filed) = &operation.body else {
            return Ok(0);
        };
        let body = EventBody::TicketRenumbered {
            ticket: TicketId::from(operation.id),
            given: filed.number.clone(),
            number: number.clone(),
        };
        self.keep_event(row, &filing(&body, Some(row), true))?;
        self.connection
            .prepare_cached("UPDATE tickets SET version = ?2 WHERE operation = ?1")?
            .execute([row, self.connection.last_insert_rowid()])?;
        // The branch has given it out, on paper maybe.
        Ok(self.serial_of_own(&operation))
    }

    fn keep_effect(
        &mut self,
        row: i64,
        operation: &Operation,
        number: Option<&TicketNumber>,
    ) -> Result<u32, LedgerError> {
        match (&operation.body, number) {
            (Body::TicketFiled(filed), Some(number)) => {
                self.keep_ticket(row, operation, filed, number)?;
                Ok(number.serial)
            }
            (Body::TicketFiled(_), None) => Err(unfit("a ticket's number")),
            (Body::CommentAdded(comment), _) => {
                let body = EventBody::CommentAdded {
                    ticket: comment.ticket,
                    operation: operation.id,
                };
                let ticket = self.keep_on_ticket(row, comment.ticket, &body)?;
                self.open_again(row, ticket)
            }
            (Body::TicketWithdrawn(withdrawn), _) => {
                let body = EventBody::TicketWithdrawn {
                    ticket: withdrawn.ticket,
                    operation: operation.id,
                };
                self.keep_on_ticket(row, withdrawn.ticket, &body)?;
                Ok(0)
            }
            (Body::FileAttached(file), _) => {
                let body = EventBody::FileAttached {
                    ticket: file.ticket,
                    operation: operation.id,
                };
                let ticket = self.keep_on_ticket(row, file.ticket, &body)?;
                self.keep_file(row, operation, file, ticket.row())?;
                self.open_again(row, ticket)
            }
        }
    }

    fn keep_on_ticket(
        &mut self,
        row: i64,
        id: TicketId,
        body: &EventBody,
    ) -> Result<Ticket, LedgerError> {
        let mut ticket = Ticket::by_id(self.connection, id)?;
        self.gave_news |= ticket.take(self.connection, self.cause(row), body)?;
        Ok(ticket)
    }

    fn open_again(&mut self, row: i64, ticket: Ticket) -> Result<u32, LedgerError> {
        self.gave_news |= ticket.open_again(self.connection, self.cause(row))?;
        Ok(0)
    }

    fn cause(&self, row: i64) -> Cause {
        Cause {
            at: self.at,
            operation: Some(row),
        }
    }

    /// The file, as far as its operation tells: its chunks come on the bulk lane.
    fn keep_file(
        &self,
        row: i64,
        operation: &Operation,
        file: &FileAttached,
        ticket: i64,
    ) -> Result<(), LedgerError> {
        self.connection
            .prepare_cached(
                "INSERT INTO files (file, id, agent, branch, ticket, size, root, state, state_since)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 'waiting', ?8)",
            )?
            .execute(params![
                row,
                operation.id.as_bytes(),
                self.agent.row,
                self.agent.origin.branch.as_str(),
                ticket,
                to_integer(file.size),
                file.root.0,
                self.at.0
            ])?;
        Ok(())
    }

    fn keep_ticket(
        &mut self,
        row: i64,
        operation: &Operation,
        filed: &TicketFiled,
        number: &TicketNumber,
    ) -> Result<(), LedgerError> {
        let ticket = TicketId::from(operation.id);
        let body = EventBody::TicketFiled {
            ticket,
            number: number.clone(),
        };
        self.keep_event(row, &filing(&body, None, false))?;
        if number.suffix > 1 {
            let body = EventBody::TicketRenumbered {
                ticket,
                given: filed.number.clone(),
                number: number.clone(),
            };
            self.keep_event(row, &filing(&body, Some(row), true))?;
        }
        let version = self.connection.last_insert_rowid();
        self.ticket.execute(params![
            row,
            number.branch.as_str(),
            number.ordinal,
            number.serial,
            number.suffix,
            operation.at.millis.0,
            self.at.0,
            version
        ])?;
        Ok(())
    }

    fn keep_operation(
        &mut self,
        id: Option<OperationId>,
        judgement: &Judgement,
        bytes: &[u8],
    ) -> Result<i64, LedgerError> {
        let verdict = match judgement {
            Judgement::Effect { number, .. }
                if number.as_ref().is_none_or(|number| number.suffix == 1) =>
            {
                None
            }
            other => verdict_text(&other.verdict()),
        };
        self.operation.execute(params![
            self.agent.row,
            id.as_ref().map(OperationId::as_bytes),
            self.at.0,
            verdict,
            bytes
        ])?;
        Ok(self.connection.last_insert_rowid())
    }

    fn keep_position(
        &mut self,
        position: Position,
        operation: i64,
        repeat: bool,
        other_bytes: Option<&[u8]>,
    ) -> Result<(), LedgerError> {
        self.position.execute(params![
            self.stream,
            to_integer(position.seq.0),
            position.digest.0,
            operation,
            repeat,
            other_bytes
        ])?;
        Ok(())
    }

    fn keep_event(&mut self, operation: i64, filing: &Filing) -> Result<(), LedgerError> {
        self.event.execute(params![
            self.at.0,
            self.agent.origin.branch.as_str(),
            operation,
            filing.ticket,
            filing.for_feed,
            filing.kind,
            filing.body.get()
        ])?;
        self.gave_news |= filing.for_feed;
        Ok(())
    }

    fn other_bytes<'b>(
        &self,
        first: i64,
        bytes: &'b [u8],
    ) -> Result<Option<&'b [u8]>, LedgerError> {
        let same = self
            .connection
            .prepare_cached("SELECT bytes = ?2 FROM operations WHERE operation = ?1")?
            .query_row(params![first, bytes], |row| row.get::<_, bool>(0))?;
        Ok((!same).then_some(bytes))
    }

    /// A ticket that was rejected has used its number up at the branch all the same.
    fn serial_of_rejected(&self, bytes: &[u8]) -> u32 {
        match Operation::parse(bytes) {
            Ok(Parsed::Known(operation)) => self.serial_of_own(&operation),
            _ => 0,
        }
    }

    fn serial_of_own(&self, operation: &Operation) -> u32 {
        let Body::TicketFiled(filed) = &operation.body else {
            return 0;
        };
        let origin = &self.agent.origin;
        let own = filed.number.branch == origin.branch && filed.number.ordinal == origin.ordinal;
        if own { filed.number.serial } else { 0 }
    }
}

fn filing(body: &EventBody, ticket: Option<i64>, for_feed: bool) -> Filing {
    let (kind, body) = body.to_parts();
    Filing {
        kind,
        body,
        ticket,
        for_feed,
    }
}
