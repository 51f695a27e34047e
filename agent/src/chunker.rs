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
use fastcdc::v2020::{Normalization, cut, select_masks};

use squeeze::Squeeze;

const LEAST: usize = limits::CHUNK_LEAST_BYTES as usize;
const AVERAGE: usize = limits::CHUNK_AVERAGE_BYTES as usize;
const MOST: usize = limits::CHUNK_MOST_BYTES as usize;

/// A chunk, ready to be stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FinishedChunk {
    /// Its name.
    pub chunk: ChunkRef,
    /// How its bytes are stored.
    pub encoding: Encoding,
    /// Its bytes as stored.
    pub stored: Vec<u8>,
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
    /// Bytes from `done` on wait for a boundary.
    buffer: Vec<u8>,
    done: usize,
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
            buffer: Vec::new(),
            done: 0,
        }
    }

    /// Takes the file's next bytes and puts the chunks that they finish behind those in `finished`.
    pub fn push(&mut self, bytes: &[u8], finished: &mut Vec<FinishedChunk>) {
        self.whole.update(bytes);
        self.size = self.size.saturating_add(bytes.len() as u64);
        self.buffer.drain(..self.done);
        self.done = 0;
        self.buffer.extend_from_slice(bytes);
        // A boundary depends on what may be the largest chunk, so that much must be there.
        while self.waiting().len() >= MOST {
            self.cut_one(finished);
        }
    }

    /// The file has ended.
    pub fn finish(mut self, finished: &mut Vec<FinishedChunk>) -> Whole {
        while !self.waiting().is_empty() {
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

    fn waiting(&self) -> &[u8] {
        self.buffer.get(self.done..).unwrap_or_default()
    }

    fn cut_one(&mut self, finished: &mut Vec<FinishedChunk>) {
        let waiting = self.buffer.get(self.done..).unwrap_or_default();
        let Masks { strict, loose } = self.masks;
        let (_, length) = cut(
            waiting,
            LEAST,
            AVERAGE,
            MOST,
            strict,
            loose,
            strict << 1,
            loose << 1,
        );
        let bytes = waiting.get(..length).unwrap_or(waiting);
        self.done += bytes.len();
        self.count = self.count.saturating_add(1);
        let chunk = ChunkRef::of(bytes);
        let (encoding, stored) = self.squeeze.smaller(bytes);
        finished.push(FinishedChunk {
            chunk,
            encoding,
            stored,
        });
    }
}
