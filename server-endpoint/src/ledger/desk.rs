//! Commands of the desk: what central support does to tickets, and what branches file by.
//!
//! On the data's way: `desk → [ledger] → feed`. Invariants:
//! - A command carries the version of the ticket that whoever gave it saw. One that saw an older ticket
//!   changes nothing and hears which version is the present one, so that nobody answers what was answered.
//! - A command's id names it for ever: giving it again answers as the first time and changes nothing.
//! - What changes a ticket is an event in the same commit; a ticket's version is the position of the last
//!   event on it that a person should have seen. What becomes of its files is none.

use branchline_protocol::desk::{Catalogue, OfferedFile, TicketState};
use branchline_protocol::id::{BranchCode, CommandId, FileId, TicketNumber};
use branchline_protocol::operation::{FieldFault, Priority};
use branchline_protocol::time::UnixMillis;

use super::{Deed, FileGiven, GiveFile, GivenUp, OperatorName, Pending};

/// Something to be done to a ticket.
#[derive(Debug, Clone)]
pub struct Command {
    /// Made by the client, so that asking again is harmless.
    pub id: CommandId,
    /// The ticket concerned.
    pub ticket: TicketNumber,
    /// Its version as it was seen.
    pub saw: u64,
    /// Who is to be named: an operator, or a program's token.
    pub by: String,
    /// By central's clock.
    pub at: UnixMillis,
    /// What.
    pub change: Change,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// An answer to the branch.
    Reply {
        /// At most [`branchline_protocol::limits::TEXT_CHARS`].
        text: String,
        /// Files of the ticket's branch, or given for it, that central has clean or released; at most
        /// [`branchline_protocol::limits::REPLY_FILES`].
        files: Vec<FileId>,
        /// Where the ticket stands after it, if elsewhere. An answer to a new ticket opens it.
        then: Option<TicketState>,
    },
    /// A note that no branch sees.
    Note {
        /// At most [`branchline_protocol::limits::TEXT_CHARS`].
        text: String,
    },
    /// It stands elsewhere.
    Move {
        /// See [`TicketState::desk_may_move`].
        to: TicketState,
    },
    /// Somebody takes care of it; `None`: nobody. Whoever takes a new ticket opens it.
    Assign {
        /// An operator who is there.
        to: Option<OperatorName>,
    },
    /// It is seen in another light.
    Classify {
        /// From now on.
        priority: Priority,
        /// From now on; at most [`branchline_protocol::limits::CATEGORY_CHARS`].
        category: String,
    },
    /// Its tags are these.
    Tag {
        /// All of them, in any order; at most [`branchline_protocol::limits::TAGS`] of
        /// [`branchline_protocol::limits::TAG_CHARS`].
        tags: Vec<String>,
    },
    /// Another ticket goes on in its place, for good. What the branch still says on this one opens that one.
    Merge {
        /// Of the same branch, and neither withdrawn nor merged.
        into: TicketNumber,
    },
}

/// What became of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Commanded {
    /// Done, now or when it was given first.
    Done {
        /// The ticket's version after it.
        version: u64,
    },
    /// The ticket was changed since it was seen; nothing was done.
    Stale {
        /// The present version.
        version: u64,
    },
    /// There is no such ticket.
    UnknownTicket,
    /// It breaks a rule; nothing was done.
    Refused(FieldFault),
    /// The id is another command's.
    IdTaken,
}

/// What became of a change to the catalogue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CatalogueChange {
    /// In every branch's feed, under this serial.
    Done(u64),
    /// It was changed since it was seen.
    Stale(u64),
    /// It breaks a rule.
    Refused(FieldFault),
}

/// Takes what the desk commands.
pub trait DeskLedger: Send + Sync {
    /// Carries a command out, or nothing of it. On a withdrawn or merged ticket, only notes and tags are taken.
    fn command(&self, command: Command) -> Pending<'_, Commanded>;

    /// A file that went with a reply to this branch, as it was offered; `None` where it did not. Whether it
    /// may still be read is the file's own state to say.
    fn offered(&self, branch: BranchCode, file: FileId) -> Pending<'_, Option<OfferedFile>>;

    /// Whether this one may give a file of so many bytes for a reply to this ticket, asked before they
    /// come; else what [`DeskLedger::give_file`] would answer.
    fn may_give(
        &self,
        ticket: TicketNumber,
        by: String,
        bytes: u64,
    ) -> Pending<'_, Option<FileGiven>>;

    /// Takes a file for a reply, whose bytes are durable in the vault: from now on it is inspection's.
    /// Nothing of it is in a feed before a reply carries it. On the bulk lane.
    fn give_file(&self, give: GiveFile) -> Pending<'_, FileGiven>;

    /// Gives up files that were given before `before` and that no reply took; they expire, with their
    /// events, which no feed has. Answers with what may be deleted; after a crash it is asked again, and
    /// answers with what is left to do.
    fn abandon_given(&self, before: UnixMillis, at: UnixMillis) -> Pending<'_, GivenUp>;

    /// These were given up, and their bytes are deleted.
    fn forget_given(&self, files: Vec<FileId>) -> Pending<'_, ()>;

    /// What branches file by; serial 0 before anybody said something of it.
    fn catalogue(&self) -> Pending<'_, Catalogue>;

    /// Changes it; its `serial` is the one that was seen.
    fn change_catalogue(&self, catalogue: Catalogue, deed: Deed) -> Pending<'_, CatalogueChange>;

    /// Bandwidth that branches may use for files, where central says so.
    fn bandwidths(&self) -> Pending<'_, Vec<(BranchCode, String)>>;

    /// Says how much a branch may use, in the words of a [`branchline_protocol::rate::Rate`], which the
    /// caller has checked; `None` leaves it to the branch. `false`: no such branch.
    fn set_bandwidth(
        &self,
        branch: BranchCode,
        rate: Option<String>,
        deed: Deed,
    ) -> Pending<'_, bool>;
}
