//! A body of chunk frames, put together from chunks as they are stored.

use branchline_protocol::frame::{Encoding, HEADER_BYTES, Header, MAGIC};
use branchline_protocol::limits;
use branchline_protocol::manifest::ChunkRef;
use bytes::Bytes;

/// Frames, as they will go. Holds at most [`limits::CHUNK_BODY_BYTES`] and
/// [`limits::CHUNK_BODY_FRAMES`].
#[derive(Debug)]
pub struct ChunkBody {
    parts: Vec<Bytes>,
    bytes: usize,
    frames: usize,
}

impl Default for ChunkBody {
    fn default() -> Self {
        Self {
            parts: vec![Bytes::from_static(&MAGIC)],
            bytes: MAGIC.len(),
            frames: 0,
        }
    }
}

impl ChunkBody {
    /// Adds a chunk; gives it back where it would go over a bound.
    pub fn push(
        &mut self,
        chunk: ChunkRef,
        encoding: Encoding,
        stored: Vec<u8>,
    ) -> Result<(), Vec<u8>> {
        let fits = self.frames < limits::CHUNK_BODY_FRAMES
            && self.bytes + HEADER_BYTES + stored.len() <= limits::CHUNK_BODY_BYTES;
        let Some(length) = u32::try_from(stored.len()).ok().filter(|_| fits) else {
            return Err(stored);
        };
        let header = Header {
            chunk,
            encoding,
            stored: length,
        };
        self.parts.push(Bytes::copy_from_slice(&header.encode()));
        self.bytes += HEADER_BYTES + stored.len();
        self.parts.push(Bytes::from(stored));
        self.frames += 1;
        Ok(())
    }

    /// Bytes of the whole.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Chunks in it.
    pub fn frames(&self) -> usize {
        self.frames
    }

    pub(super) fn into_parts(self) -> Vec<Bytes> {
        self.parts
    }
}
