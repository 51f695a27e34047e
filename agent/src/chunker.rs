//! Cuts a file into chunks where its content says so, names them, and makes them small.
//!
//! On the data's way: intake → **chunker** → store. Bytes go in as they come and finished chunks come
//! out; nothing is read or written here, and it holds at most one chunk and what was put in last.
//!
//! Invariants:
//! - The same bytes give the same chunks, however they were split on their way in, on every machine and
//!   in every version: a boundary that moved would send every file again. Golden tests pin them.
//! - Every chunk but the last has [`limits::CHUNK_LEAST_BYTES`] to [`limits::CHUNK_MOST_BYTES`]; the last
//!   has at least one byte, and an empty file has no chunk.
//! - A chunk is stored compressed only where that makes it smaller.

mod squeeze;
#[cfg(test)]
mod tests;

use branchline_protocol::frame::Encoding;
use branchline_protocol::id::Digest;
use branchline_protocol::limits;
use branchline_protocol::manifest::ChunkRef;
use bytes::{Bytes, BytesMut};
use fastcdc::v2020::{Normalization, cut, select_masks};

use squeeze::Squeeze;

const LEAST: usize = limits::CHUNK_LEAST_BYTES as usize;
const AVERAGE: usize = limits::CHUNK_AVERAGE_BYTES as usize;
const MOST: usize = limits::CHUNK_MOST_BYTES as usize;

/// Bytes that are allocated at a time.
const BLOCK_BYTES: usize = 1024 * 1024;

/// A chunk, ready to be stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FinishedChunk {
    /// Its name.
    pub chunk: ChunkRef,
    /// How its bytes are stored.
    pub encoding: Encoding,
    /// Its bytes as stored.
    pub stored: Bytes,
}

/// The whole, once its last byte is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Whole {
    /// Bytes.
    pub size: u64,
    /// BLAKE3 of all of them.
    pub root: Digest,
    /// Chunks.
    pub count: u32,
}

/// Cuts one file.
pub struct Chunker {
    masks: Masks,
    squeeze: Squeeze,
    whole: blake3::Hasher,
    size: u64,
    count: u32,
    /// What waits for a boundary. Chunks are lent out of it and not copied.
    buffer: BytesMut,
}

struct Masks {
    strict: u64,
    loose: u64,
}

impl Default for Chunker {
    fn default() -> Self {
        Self::new()
    }
}

impl Chunker {
    /// At a file's beginning.
    pub fn new() -> Self {
        let (strict, loose) = select_masks(AVERAGE, Normalization::Level1);
        Self {
            masks: Masks { strict, loose },
            squeeze: Squeeze::new(),
            whole: blake3::Hasher::new(),
            size: 0,
            count: 0,
            buffer: BytesMut::new(),
        }
    }

    /// Takes the file's next bytes and puts the chunks that they finish behind those in `finished`.
    pub fn push(&mut self, bytes: &[u8], finished: &mut Vec<FinishedChunk>) {
        self.whole.update(bytes);
        self.size = self.size.saturating_add(bytes.len() as u64);
        self.make_room(bytes.len());
        self.buffer.extend_from_slice(bytes);
        // A boundary depends on what may be the largest chunk, so that much must be there.
        while self.buffer.len() >= MOST {
            self.cut_one(finished);
        }
    }

    /// Chunks that are still lent keep the whole block that they lie in, so that blocks are large against
    /// what waits and is copied into the next.
    fn make_room(&mut self, bytes: usize) {
        let needed = self.buffer.len() + bytes;
        if self.buffer.capacity() < needed {
            let mut block = BytesMut::with_capacity(needed.max(BLOCK_BYTES));
            block.extend_from_slice(&self.buffer);
            self.buffer = block;
        }
    }

    /// The file has ended.
    pub fn finish(mut self, finished: &mut Vec<FinishedChunk>) -> Whole {
        while !self.buffer.is_empty() {
            self.cut_one(finished);
        }
        Whole {
            size: self.size,
            root: Digest(*self.whole.finalize().as_bytes()),
            count: self.count,
        }
    }

    /// Bytes taken so far.
    pub fn size(&self) -> u64 {
        self.size
    }

    fn cut_one(&mut self, finished: &mut Vec<FinishedChunk>) {
        let Masks { strict, loose } = self.masks;
        let (_, length) = cut(
            &self.buffer,
            LEAST,
            AVERAGE,
            MOST,
            strict,
            loose,
            strict << 1,
            loose << 1,
        );
        let bytes = self.buffer.split_to(length.min(self.buffer.len())).freeze();
        self.count = self.count.saturating_add(1);
        let chunk = ChunkRef::of(&bytes);
        let (encoding, stored) = self.squeeze.smaller(bytes);
        finished.push(FinishedChunk {
            chunk,
            encoding,
            stored,
        });
    }
}
