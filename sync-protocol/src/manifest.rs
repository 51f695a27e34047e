//! A file as ordered chunks, as the bulk lane announces it.
//!
//! Stands between `chunker` and `ingress` on the data's way. What a file is (its ticket, name, size and
//! root) travels as an operation on the control lane; a manifest says which chunks make it up.
//!
//! Invariants:
//! - A chunk is named by hash *and* size: one who lies about a size names a chunk that never comes, and
//!   blocks nobody who tells the truth.
//! - Chunks follow one another without gap or overlap, so that a place's offset is the sum of the sizes
//!   before it; their sum is the file's size. Every chunk but the last has at least
//!   [`limits::CHUNK_LEAST_BYTES`], which bounds the count.
//! - A long manifest is announced in sections, in order; a section that repeats what is announced must
//!   repeat it exactly.

use serde::{Deserialize, Serialize};

use crate::file::FileState;
use crate::id::{ChunkHash, Digest, FileId};
use crate::limits;

/// A chunk: the hash of its bytes and how many there are. `["hash", size]` on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ChunkRef(pub ChunkHash, pub u32);

impl ChunkRef {
    /// BLAKE3 of its bytes.
    pub fn hash(&self) -> ChunkHash {
        self.0
    }

    /// Bytes, not compressed; 1 to [`limits::CHUNK_MOST_BYTES`].
    pub fn size(&self) -> u32 {
        self.1
    }

    /// The chunk that these bytes are.
    pub fn of(bytes: &[u8]) -> Self {
        let size = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        Self(Digest(*blake3::hash(bytes).as_bytes()), size)
    }
}

/// Part of a file's manifest: the chunks from one place on. With no chunks it asks how the file stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Section {
    /// The file: the id of the operation that attached it.
    pub file: FileId,
    /// Bytes of the whole file, as in its operation.
    pub size: u64,
    /// BLAKE3 of the whole file, as in its operation.
    pub root: Digest,
    /// Chunks of the whole file.
    pub count: u32,
    /// The place of the first chunk here, counted from 0.
    pub from: u32,
    /// At most [`limits::SECTION_CHUNKS`].
    pub chunks: Vec<ChunkRef>,
}

/// `POST /v1/manifests`: sections of as many files as fit.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Announcement {
    /// At most [`limits::ANNOUNCED_FILES`], with at most [`limits::SECTION_CHUNKS`] chunks together.
    pub files: Vec<Section>,
}

/// Why a section cannot be part of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum ManifestFault {
    /// Size or root are not those of the operation that attached the file, or of an earlier section.
    #[error("size, root or count are not those that the file was announced with before")]
    OtherFile,
    /// A file of this size cannot have so many chunks, or so few; or no file can have this size.
    #[error("a file of this size cannot have so many chunks")]
    Count,
    /// A chunk is empty, too small in the middle of a file, or too large.
    #[error("a chunk has a size that no chunk can have")]
    ChunkSize,
    /// With these chunks, and any that may still come, the file cannot have its size.
    #[error("the chunks do not add up to the file's size")]
    Sum,
    /// Places beyond the count, or a section that repeats other chunks than before.
    #[error("the section overlaps what was announced, with other chunks, or goes beyond the count")]
    Overlap,
    /// A fault of a newer central.
    #[error("central does not accept the manifest")]
    #[serde(other)]
    Other,
}

/// The fewest and the most chunks that a file of this size can have.
pub fn count_bounds(size: u64) -> (u64, u64) {
    let least = size.div_ceil(u64::from(limits::CHUNK_MOST_BYTES));
    // Each but the last has at least the least size, and the last at least one byte.
    let most = size.div_ceil(u64::from(limits::CHUNK_LEAST_BYTES));
    (least, most)
}

impl Section {
    /// Places behind this section's last chunk.
    pub fn end(&self) -> u64 {
        u64::from(self.from) + self.chunks.len() as u64
    }

    /// Bytes of the chunks in it.
    pub fn bytes(&self) -> u64 {
        self.chunks
            .iter()
            .map(|chunk| u64::from(chunk.size()))
            .sum()
    }

    /// The fault that this section has whatever came before it. `before` is the sum of the sizes of all
    /// chunks before [`Section::from`].
    pub fn fault(&self, before: u64) -> Option<ManifestFault> {
        let count = u64::from(self.count);
        let (least, most) = count_bounds(self.size);
        if self.size > limits::FILE_BYTES || !(least..=most).contains(&count) {
            return Some(ManifestFault::Count);
        }
        if self.end() > count {
            return Some(ManifestFault::Overlap);
        }
        let sizes_fit = self.chunks.iter().enumerate().all(|(index, chunk)| {
            let is_last = u64::from(self.from) + index as u64 + 1 == count;
            let least = if is_last {
                1
            } else {
                limits::CHUNK_LEAST_BYTES
            };
            (least..=limits::CHUNK_MOST_BYTES).contains(&chunk.size())
        });
        if !sizes_fit {
            return Some(ManifestFault::ChunkSize);
        }
        // What is still to come has at least a byte for the last chunk and the least for the others, and
        // at most the most for each. None of this can overflow: the count is bounded by now.
        let to_come = count - self.end();
        let least_to_come = to_come.saturating_sub(1) * u64::from(limits::CHUNK_LEAST_BYTES)
            + u64::from(to_come > 0);
        let most_to_come = to_come * u64::from(limits::CHUNK_MOST_BYTES);
        let fits = before
            .checked_add(self.bytes())
            .and_then(|end| self.size.checked_sub(end))
            .is_some_and(|rest| (least_to_come..=most_to_come).contains(&rest));
        (!fits).then_some(ManifestFault::Sum)
    }
}

/// Places in a row. `[from, count]` on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Places(pub u32, pub u32);

/// How a file stands at central.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "standing", rename_all = "snake_case")]
pub enum Standing {
    /// Send the chunks that are missing, and the sections that were not announced.
    Wanted {
        /// Places announced so far, from 0 without gap.
        announced: u32,
        /// Places announced whose chunks central does not hold; each chunk once, at its first place; at
        /// most [`limits::MISSING_RANGES`] and not beyond [`limits::MISSING_CHUNKS`] chunks. More may be
        /// missing behind the last of them.
        missing: Vec<Places>,
    },
    /// All chunks are durable at central, or it holds the file already: nothing more to send.
    Received {
        /// What became of it so far.
        state: FileState,
    },
    /// Central has no such file of this agent: its operation has not arrived, or was rejected.
    NotAttached,
    /// Central is at a bound of files for this agent; later, when others are done.
    NoRoom,
    /// The manifest cannot be this file's. It stays as it was announced before.
    Refused {
        /// Why.
        fault: ManifestFault,
    },
    /// A standing of a newer central; later again.
    #[serde(other)]
    Other,
}

/// How one file stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileStanding {
    /// The file.
    pub file: FileId,
    /// How it stands.
    #[serde(flatten)]
    pub standing: Standing,
}

/// The answer to an [`Announcement`]: one standing per section, in its order.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct AnnouncementReply {
    /// In the order of the sections.
    pub files: Vec<FileStanding>,
}

/// The answer to `POST /v1/chunks`. Every frame without an exception is durable at central (P3).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ChunksReply {
    /// Frames in the body.
    pub frames: u32,
    /// Those that are not durable, by their index in the body.
    #[serde(default)]
    pub exceptions: Vec<FrameException>,
    /// Files that lack nothing any more.
    #[serde(default)]
    pub received: Vec<FileId>,
}

/// One frame that was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct FrameException {
    /// Counted from 0.
    pub frame: u32,
    /// Why.
    pub fault: FrameRefusal,
}

/// Why a frame was not taken; the frames beside it were.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum FrameRefusal {
    /// Its bytes are not those that its hash names (P4): damaged on the way or on the branch's disk.
    #[error("the bytes are not those that the hash names")]
    Corrupt,
    /// No announced file of this agent wants it.
    #[error("no announced file wants this chunk")]
    NotAnnounced,
    /// A refusal of a newer central.
    #[error("central does not take the chunk")]
    #[serde(other)]
    Other,
}
