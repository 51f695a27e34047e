//! The vault: central's file bytes, from the chunks as they come to the files that may be read.
//!
//! On the data's way: `ingress → ledger + [vault] → inspection → outbox`. The ledger knows names and
//! places; here are the bytes. Three shelves:
//!
//! - **incoming**: objects, each with the chunks of one request as they came. An object is written once,
//!   sealed, read, and deleted when no chunk in it is needed any more.
//! - **quarantine**: assembled files, named by their root, that nobody but inspection reads (P5).
//! - **released**: files that may be read.
//!
//! Invariants, of every backend:
//! - What [`Writing::seal`] has answered is durable under its name, directories included (P3). What was
//!   not sealed is nowhere to be seen, whatever happens to the process.
//! - An object is never overwritten: a second one of its name is refused ([`VaultError::Taken`]).
//! - A file is named by the hash of its content. Whoever seals one has proven the content against the
//!   name, so that sealing it again puts the same bytes there, and heals them if they had decayed.
//! - Promoting and withdrawing can be repeated: whichever step a crash interrupted, the next attempt ends
//!   in the same state.
//! - Files stop before the disk is full: incoming objects leave the reserve free, and assembling, which
//!   is what makes room again, leaves half of it (P9).
//!
//! The verbs are those that an object store has as well: whole immutable objects, reads by range, listing
//! by part of the name, nothing renamed over. Every backend runs the same contract test.

use std::future::Future;
use std::pin::Pin;

use branchline_protocol::id::Digest;
use branchline_protocol::time::UnixMillis;

use crate::ledger::ObjectName;

mod fs;
mod proof;

#[cfg(test)]
pub(crate) mod contract;
#[cfg(test)]
pub(crate) mod faulty;

pub use fs::{FOLDER, FsVault};
pub use proof::Prover;

/// What a verb of the vault gives, later.
pub type Pending<'a, T> = Pin<Box<dyn Future<Output = Result<T, VaultError>> + Send + 'a>>;

/// The most that one read may ask for: bounds what a reader holds (P8).
pub const READ_BYTES: usize = 4 * 1024 * 1024;

/// Why the vault did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VaultError {
    /// The disk is full, or what is left is the reserve (P9). Nothing was kept.
    #[error("the vault is full: {0}")]
    Full(String),
    /// There is no such object or file, or it ends before what was asked for.
    #[error("the vault does not have {0}")]
    Missing(String),
    /// There is an object of this name already; it is left as it is.
    #[error("the vault has {0} already")]
    Taken(String),
    /// It does not answer, or its disk failed. Try again.
    #[error("the vault does not answer: {0}")]
    Away(String),
}

/// Where an assembled file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Shelf {
    /// For inspection only.
    Quarantine,
    /// For whoever may read the ticket.
    Released,
}

/// Something being written, which nobody sees before it is sealed. Dropped without that, it is gone.
pub trait Writing: Send {
    /// Adds these bytes, in their order. After an error nothing of it can be used.
    fn append(&mut self, pieces: Vec<Vec<u8>>) -> Pending<'_, ()>;

    /// Makes it durable under its name, directories included (P3).
    fn seal(self: Box<Self>) -> Pending<'static, ()>;
}

/// Central's file bytes.
pub trait Vault: Send + Sync {
    /// Makes what it needs where it is missing, and removes what was left half-written by a process that
    /// is gone. Can be repeated at any time.
    fn prepare(&self) -> Pending<'_, ()>;

    /// Bytes that incoming objects may still take before the reserve is reached.
    fn room(&self) -> Pending<'_, u64>;

    /// Begins an object of `incoming`.
    fn begin_object(&self, name: ObjectName) -> Pending<'_, Box<dyn Writing>>;

    /// Reads exactly `length` bytes, at most [`READ_BYTES`], from `offset` on.
    fn read_object(&self, name: ObjectName, offset: u64, length: usize) -> Pending<'_, Vec<u8>>;

    /// Deletes objects; those that are not there are no matter.
    fn delete_objects(&self, names: Vec<ObjectName>) -> Pending<'_, ()>;

    /// The objects whose name's last byte is `part` and that were sealed before `before`, in no order: a
    /// listing of all of them comes in 256 parts, so that none is too large.
    fn objects_before(&self, part: u8, before: UnixMillis) -> Pending<'_, Vec<ObjectName>>;

    /// Begins an assembled file, in quarantine. Whoever seals it has proven it against its root.
    fn begin_file(&self, root: Digest) -> Pending<'_, Box<dyn Writing>>;

    /// Bytes of an assembled file; `None` where it is not on this shelf.
    fn file_size(&self, at: Shelf, root: Digest) -> Pending<'_, Option<u64>>;

    /// Reads exactly `length` bytes, at most [`READ_BYTES`], from `offset` on.
    fn read_file(
        &self,
        at: Shelf,
        root: Digest,
        offset: u64,
        length: usize,
    ) -> Pending<'_, Vec<u8>>;

    /// Moves a file from quarantine to released. One that is released already is no matter.
    fn promote(&self, root: Digest) -> Pending<'_, ()>;

    /// Moves a file from released back to quarantine. One that is there already is no matter.
    fn withdraw(&self, root: Digest) -> Pending<'_, ()>;

    /// Deletes a file from a shelf; one that is not there is no matter.
    fn discard(&self, at: Shelf, root: Digest) -> Pending<'_, ()>;
}
