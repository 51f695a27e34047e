//! The one way to the content of a file: released, and proven again while it is read.
//!
//! Every read asks the ledger whether the file may be read (P5), and gives out only bytes of chunks that
//! are what the manifest says (P4). A disk that decays gives an error that names the place, and no bytes.

use branchline_protocol::file::FileState;
use branchline_protocol::file_name;
use branchline_protocol::id::FileId;
use branchline_protocol::manifest::ChunkRef;

use super::{Fault, recovery};
use crate::ledger::{FileRecord, Ledger};
use crate::vault::{Shelf, Vault, VaultError};

/// Places asked of the ledger at once.
const PAGE_PLACES: usize = 1_024;
/// Bytes that one read gives at most.
pub const READ_BYTES: usize = 1024 * 1024;

/// Why there are no bytes.
#[derive(Debug, thiserror::Error)]
pub enum ReadFault {
    /// There is no such file.
    #[error("central has no file {0}")]
    Unknown(FileId),
    /// Nobody may read it (P5).
    #[error("the file is {}: only a file that is clean or was released can be read", .0.word())]
    NotReadable(FileState),
    /// It ends before that.
    #[error("the file has {size} bytes, and none from {offset} on")]
    BeyondEnd {
        /// Bytes of the file.
        size: u64,
        /// What was asked for.
        offset: u64,
    },
    /// What lies in the vault is not the file any more (P4).
    #[error(
        "the file is damaged in central's vault at byte {0}; IT must restore it from a backup, or the branch attach it again"
    )]
    Damaged(u64),
    /// Ledger or vault do not answer.
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl From<crate::ledger::LedgerError> for ReadFault {
    fn from(fault: crate::ledger::LedgerError) -> Self {
        Self::Fault(fault.into())
    }
}

/// A file that may be read, as long as it may.
pub struct Content<'a> {
    ledger: &'a dyn Ledger,
    vault: &'a dyn Vault,
    file: FileRecord,
    /// The chunks of one page of the manifest, each with its offset, in order.
    page: Vec<(u64, ChunkRef)>,
    /// The place and the offset behind that page.
    behind: (u32, u64),
    /// The chunk that was read last, by its offset.
    last: Option<(u64, Vec<u8>)>,
}

impl<'a> Content<'a> {
    /// Opens a file, if it may be read.
    pub async fn open(
        ledger: &'a dyn Ledger,
        vault: &'a dyn Vault,
        id: FileId,
    ) -> Result<Self, ReadFault> {
        let file = readable(ledger, id).await?;
        Ok(Self {
            ledger,
            vault,
            file,
            page: Vec::new(),
            behind: (0, 0),
            last: None,
        })
    }

    /// What it is.
    pub fn file(&self) -> &FileRecord {
        &self.file
    }

    /// Bytes.
    pub fn size(&self) -> u64 {
        self.file.size
    }

    /// What to call it on somebody's disk.
    pub fn safe_name(&self) -> String {
        file_name::safe_name(&self.file.name)
    }

    /// Bytes from `offset` on: at least one, at most `most` and [`READ_BYTES`].
    pub async fn read(&mut self, offset: u64, most: usize) -> Result<Vec<u8>, ReadFault> {
        // Asked again each time: somebody may have found something meanwhile.
        self.file = readable(self.ledger, self.file.id).await?;
        if offset >= self.file.size {
            return Err(ReadFault::BeyondEnd {
                size: self.file.size,
                offset,
            });
        }
        let most = most.clamp(1, READ_BYTES);
        let mut bytes = Vec::new();
        let mut at = offset;
        while bytes.len() < most && at < self.file.size {
            let (start, chunk) = self.chunk_at(at).await?;
            let content = self.chunk(start, chunk).await?;
            let from = usize::try_from(at - start).unwrap_or(usize::MAX);
            let room = most - bytes.len();
            let piece = content.get(from..).ok_or(ReadFault::Damaged(at))?;
            let piece = piece.get(..room).unwrap_or(piece);
            bytes.extend_from_slice(piece);
            at += piece.len() as u64;
        }
        Ok(bytes)
    }

    /// The chunk that covers a byte, with its own offset.
    async fn chunk_at(&mut self, offset: u64) -> Result<(u64, ChunkRef), ReadFault> {
        if self.page.first().is_none_or(|(first, _)| *first > offset) {
            self.page.clear();
            self.behind = (0, 0);
        }
        while self.behind.1 <= offset {
            let (place, start) = self.behind;
            let chunks = self.ledger.chunks_of(self.file.id, place, PAGE_PLACES);
            let chunks = chunks.await?;
            if chunks.is_empty() {
                return Err(ReadFault::Damaged(offset));
            }
            let mut at = start;
            self.page.clear();
            for placed in &chunks {
                self.page.push((at, placed.chunk));
                at += u64::from(placed.chunk.size());
            }
            let places = u32::try_from(chunks.len()).unwrap_or(u32::MAX);
            self.behind = (place.saturating_add(places), at);
        }
        let index = self.page.partition_point(|(start, _)| *start <= offset);
        index
            .checked_sub(1)
            .and_then(|index| self.page.get(index))
            .copied()
            .ok_or(ReadFault::Damaged(offset))
    }

    /// A chunk's bytes, proven.
    async fn chunk(&mut self, start: u64, chunk: ChunkRef) -> Result<&[u8], ReadFault> {
        if self.last.as_ref().is_none_or(|(at, _)| *at != start) {
            let bytes = self.read_released(start, chunk.size() as usize).await?;
            if ChunkRef::of(&bytes) != chunk {
                tracing::error!(
                    file = %self.file.id, root = %self.file.root, offset = start,
                    "a released file is damaged in the vault"
                );
                return Err(ReadFault::Damaged(start));
            }
            self.last = Some((start, bytes));
        }
        Ok(self.last.as_ref().map_or(&[], |(_, bytes)| bytes))
    }

    async fn read_released(&self, offset: u64, length: usize) -> Result<Vec<u8>, ReadFault> {
        let root = self.file.root;
        let read = |shelf| self.vault.read_file(shelf, root, offset, length);
        match read(Shelf::Released).await {
            Err(VaultError::Missing(_)) => {}
            found => return found.map_err(|fault| ReadFault::Fault(fault.into())),
        }
        // A crash may have come between the verdict and the move.
        recovery::promote(self.ledger, self.vault, &self.file).await?;
        match read(Shelf::Released).await {
            Err(VaultError::Missing(_)) => Err(ReadFault::Damaged(offset)),
            found => found.map_err(|fault| ReadFault::Fault(fault.into())),
        }
    }
}

async fn readable(ledger: &dyn Ledger, id: FileId) -> Result<FileRecord, ReadFault> {
    let Some(file) = ledger.file(id).await? else {
        return Err(ReadFault::Unknown(id));
    };
    if file.state.is_readable() {
        Ok(file)
    } else {
        Err(ReadFault::NotReadable(file.state))
    }
}
