//! Files at the branch: what the bulk lane asks of the store, and what it tells it.

use branchline_protocol::frame::Encoding;
use branchline_protocol::id::{Digest, FileId};
use branchline_protocol::manifest::{ChunkRef, ManifestFault};

use super::{Store, StoreError};

/// A file that central should get: its operation is acknowledged and was not rejected, its chunks are
/// here, and central has not said that it has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutgoingFile {
    /// The file.
    pub id: FileId,
    /// Bytes.
    pub size: u64,
    /// BLAKE3 of the whole.
    pub root: Digest,
    /// Chunks.
    pub count: u32,
}

/// A chunk as it is stored and sent.
#[derive(Debug, Clone)]
pub struct LoadedChunk {
    /// The chunk.
    pub chunk: ChunkRef,
    /// How it is stored.
    pub encoding: Encoding,
    /// Its bytes as stored; `None` where they decayed on the disk. Then the files that need it are
    /// marked as damaged, and no longer given out (P6).
    pub stored: Option<Vec<u8>>,
}

/// What central said of a file on the bulk lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UploadNote {
    /// It has every chunk; what becomes of the file comes through the feed. A later event that says
    /// `waiting` takes this back.
    Received,
    /// It will not take this file.
    Refused(ManifestFault),
}

impl Store {
    /// Files to send: the `smallest` smallest and the `oldest` oldest, without repeats.
    pub async fn files_to_send(
        &self,
        smallest: usize,
        oldest: usize,
    ) -> Result<Vec<OutgoingFile>, StoreError> {
        let _ = (smallest, oldest);
        Ok(Vec::new())
    }

    /// The chunks of a file from a place on, at most `most`, in order.
    pub async fn chunks_of(
        &self,
        file: FileId,
        from: u32,
        most: usize,
    ) -> Result<Vec<ChunkRef>, StoreError> {
        let _ = (file, from, most);
        Ok(Vec::new())
    }

    /// Chunks as stored, each verified against its hash (P4), in the order asked for.
    pub async fn load_chunks(&self, chunks: Vec<ChunkRef>) -> Result<Vec<LoadedChunk>, StoreError> {
        let _ = chunks;
        Ok(Vec::new())
    }

    /// Keeps what central said of a file.
    pub async fn note_upload(&self, file: FileId, note: UploadNote) -> Result<(), StoreError> {
        let _ = (file, note);
        Ok(())
    }
}
