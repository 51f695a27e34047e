//! Files that begin at central: what goes to a branch with a reply.
//!
//! On the way back: `desk → vault → [ledger] → inspection → … → feed`. Invariants:
//! - Such a file is a file like any other: nobody reads it, and no reply carries it, before a verdict on
//!   exactly its bytes (P5).
//! - It belongs to a ticket's branch from the beginning, and goes to no other.
//! - Its chunks are nobody else's: what a branch announces never finds them, so that no branch can learn
//!   what central gave to another one.
//! - One that no reply took is given up after a time, and its bytes go (P8).

use branchline_protocol::id::{Digest, FileId, TicketNumber};
use branchline_protocol::operation::FieldFault;
use branchline_protocol::time::UnixMillis;

use super::{Deed, KeptChunk, ObjectName};

/// Files that one operator or program may have given to central and not sent with a reply.
pub const GIVEN_FILES: u64 = 100;
/// Their bytes together.
pub const GIVEN_BYTES: u64 = 4 * 1024 * 1024 * 1024;

/// A file whose bytes are durable in the vault, for a reply to a ticket.
#[derive(Debug, Clone)]
pub struct GiveFile {
    /// Made by whoever gives it.
    pub id: FileId,
    /// The ticket that it is for.
    pub ticket: TicketNumber,
    /// As it is to be called; at most [`branchline_protocol::limits::FILE_NAME_CHARS`].
    pub name: String,
    /// BLAKE3 of the whole.
    pub root: Digest,
    /// Where its chunks lie; synced, directory included (P3).
    pub object: ObjectName,
    /// All of them in their order, one or more; together they are the file.
    pub chunks: Vec<KeptChunk>,
    /// An operator, or a program's token.
    pub by: String,
    /// For the trail.
    pub deed: Deed,
    /// By central's clock.
    pub at: UnixMillis,
}

impl GiveFile {
    /// Bytes of the whole.
    pub fn size(&self) -> u64 {
        let sizes = self.chunks.iter().map(|kept| u64::from(kept.chunk.size()));
        sizes.sum()
    }
}

/// What came of [`GiveFile`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileGiven {
    /// Inspection has it.
    Received,
    /// There is no such ticket.
    UnknownTicket,
    /// It breaks a rule; nothing was kept.
    Refused(FieldFault),
    /// Whoever gives it has too much that no reply took: send it, or wait.
    TooMuch,
}

/// A file that was given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Abandoned {
    /// Which.
    pub file: FileId,
    /// What it is called in the vault, where no other file has the same content.
    pub root: Option<Digest>,
}

/// What [`super::DeskLedger::abandon_given`] gave up.
#[derive(Debug, Clone, Default)]
pub struct GivenUp {
    /// Objects in which no chunk lies any more.
    pub objects: Vec<ObjectName>,
    /// Files whose content may go; then they are to be forgotten.
    pub files: Vec<Abandoned>,
}
