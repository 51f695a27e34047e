//! How Branchline opens SQLite and commits in groups: the floor under the agent's journal and under
//! central's ledger (`store` and `ledger` on the data's way).
//!
//! Invariants:
//! - A job's result is given out only after the commit that holds it was synced (P1, P3).
//! - One process has one writer thread per file ([`Writer`]); readers are connections of their own
//!   that cannot write and never checkpoint.
//! - Many waiting jobs share one commit, and so one sync; a job that fails is rolled back alone.
//! - The linked SQLite is at least [`LEAST_SQLITE`]: 3.7.0 to 3.51.2 can lose committed WAL data when
//!   two connections write and checkpoint (libsql#2271, litestream#1432).
//!
//! Recovery: SQLite's own, from the WAL or the rollback journal, at the first open. After a commit that failed with an I/O
//! error nobody knows what the disk holds, so the writer drops its connection and opens a new one,
//! which reads the disk again; the jobs of that commit are told that it is not known.

pub mod crash_point;
mod job_queue;
mod open;
mod readers;
mod writer;

pub use job_queue::Lane;
pub use open::{
    Durability, Journaling, LEAST_SQLITE, OpenError, Settings, open_reader, open_writer,
};
pub use readers::{Readers, ReadersFault};
pub use rusqlite;
pub use writer::{CommitError, JobError, Writer};
