//! Whether there is room for more chunks (P9), decided before anything is written.

use std::path::Path;

use branchline_protocol::file::FileFault;
use rusqlite::Connection;

use super::{ChunkBounds, ChunksError, Facts};
use std::sync::atomic::Ordering;

/// What there is too little of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Short {
    /// The branch's quota for files.
    #[error("the space that files may take here is used up")]
    Quota,
    /// The disk, less what is left free for tickets and others.
    #[error("this computer's disk has no room for files")]
    Disk,
}

impl Short {
    /// The same as it is reported.
    pub fn fault(self) -> FileFault {
        match self {
            Self::Quota => FileFault::BranchQuota,
            Self::Disk => FileFault::BranchDisk,
        }
    }
}

/// Says no where `more` bytes would break the quota or the reserve. Pages that are in the file and hold
/// nothing are taken before the file grows.
pub(super) fn check(
    path: &Path,
    bounds: ChunkBounds,
    facts: &Facts,
    more: u64,
) -> Result<(), Short> {
    let used = facts.used.load(Ordering::Relaxed);
    if used.saturating_add(more) > bounds.quota_bytes {
        return Err(Short::Quota);
    }
    let grows = more.saturating_sub(facts.unused.load(Ordering::Relaxed));
    let free = crate::platform::disk_free(path);
    if free.is_some_and(|free| free < bounds.reserve_bytes.saturating_add(grows)) {
        return Err(Short::Disk);
    }
    Ok(())
}

/// Gives pages that hold nothing back to the disk, some at a time. Answers whether there are more.
pub(super) fn shrink(connection: &Connection, pages: u32) -> Result<bool, ChunksError> {
    let unused = |connection: &Connection| -> rusqlite::Result<u32> {
        connection.query_row("PRAGMA freelist_count", [], |row| row.get(0))
    };
    if unused(connection)? == 0 {
        return Ok(false);
    }
    let mut statement =
        connection.prepare_cached(&format!("PRAGMA incremental_vacuum({pages})"))?;
    let mut rows = statement.query([])?;
    while rows.next()?.is_some() {}
    drop(rows);
    Ok(unused(connection)? > 0)
}
