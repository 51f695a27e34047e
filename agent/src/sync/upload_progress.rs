//! How far each file has gone to central, for people who look: the bulk lane writes, the local API reads.
//! In memory alone: after a restart it is asked of central again.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use branchline_protocol::id::FileId;

/// Bytes of each file under way that central has, its own count of duplicates included.
#[derive(Debug, Default)]
pub struct UploadProgress(Mutex<HashMap<FileId, u64>>);

impl UploadProgress {
    /// Central has so many bytes of the file.
    pub fn set(&self, file: FileId, bytes: u64) {
        self.lock().insert(file, bytes);
    }

    /// Nothing is known of the file any more: it is done, or will be begun anew.
    pub fn forget(&self, file: FileId) {
        self.lock().remove(&file);
    }

    /// Bytes of the file that central has, if it is under way.
    pub fn get(&self, file: FileId) -> Option<u64> {
        self.lock().get(&file).copied()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<FileId, u64>> {
        // A map of numbers is whole whatever panicked beside it.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
