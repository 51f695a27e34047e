//! P4: a file put together from its chunks, each proven, and the whole proven against its root.
//!
//! Reads the chunks in the manifest's order from wherever the ledger says they lie, and writes them to
//! quarantine, where the file appears whole or not at all. May be done again at any time, with the same
//! result; what was assembled before is only proven again.

use branchline_durable_sqlite::crash_point;
use branchline_protocol::frame::Encoding;
use branchline_protocol::id::Digest;
use branchline_protocol::manifest::ChunkRef;

use super::Fault;
use crate::ledger::{ChunkPlace, FileRecord, Ledger, PlacedChunk};
use crate::vault::{Prover, READ_BYTES, Shelf, Vault, VaultError, Writing};

/// Places asked of the ledger at once: some 16 MiB of file.
const PAGE_PLACES: usize = 256;
/// Bytes collected before they are written: large enough for a disk, small enough to hold twice.
const PIECE_BYTES: usize = 1024 * 1024;
/// Damaged chunks told in one go; what lies behind them is found the next time.
const DAMAGED_MOST: usize = 4_096;

/// What came of it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Assembled {
    /// It is durable on this shelf, and is what it should be.
    Whole(Shelf),
    /// These chunks are not where they should be, or not what they should be.
    Damaged(Vec<(ChunkRef, ChunkPlace)>),
    /// Every chunk is right, and together they are another file, of this root.
    OtherRoot(Digest),
    /// The ledger lacks chunks of it: it waits again.
    Incomplete,
}

/// Sees to it that the file lies whole in quarantine, or among the released where another file of the
/// same content was released.
pub(super) async fn assemble(
    ledger: &dyn Ledger,
    vault: &dyn Vault,
    file: &FileRecord,
) -> Result<Assembled, Fault> {
    // Released first: what is whole there is not replaced by what was left in quarantine.
    for shelf in [Shelf::Released, Shelf::Quarantine] {
        if is_whole(vault, shelf, file.root, file.size).await? {
            return Ok(Assembled::Whole(shelf));
        }
    }
    let mut assembly = Assembly::begin(vault, file).await?;
    let mut place = 0;
    loop {
        let page = ledger.chunks_of(file.id, place, PAGE_PLACES).await?;
        if page.is_empty() {
            break;
        }
        place = place.saturating_add(u32::try_from(page.len()).unwrap_or(u32::MAX));
        for placed in page {
            match placed.place {
                Some(at) => assembly.add(vault, placed, at).await?,
                None => return Ok(Assembled::Incomplete),
            }
        }
        if assembly.damaged.len() >= DAMAGED_MOST {
            break;
        }
    }
    if assembly.damaged.is_empty() && file.count != Some(place) {
        return Ok(Assembled::Incomplete);
    }
    assembly.finish(file).await
}

/// Whether a file that lies there is what its name says, every byte of it.
pub(super) async fn is_whole(
    vault: &dyn Vault,
    shelf: Shelf,
    root: Digest,
    size: u64,
) -> Result<bool, Fault> {
    if vault.file_size(shelf, root).await? != Some(size) {
        return Ok(false);
    }
    let mut reading = WholeFile::new(shelf, root, size);
    loop {
        match reading.next(vault).await {
            Ok(Some(_)) => {}
            Ok(None) => return Ok(reading.is_proven()),
            // Moved or deleted meanwhile.
            Err(Fault::Vault(VaultError::Missing(_))) => return Ok(false),
            Err(fault) => return Err(fault),
        }
    }
}

struct Assembly<'v> {
    /// `None` once damage was found: what is written then can be nothing.
    writing: Option<Box<dyn Writing + 'v>>,
    pieces: Vec<Vec<u8>>,
    collected: usize,
    hasher: blake3::Hasher,
    prover: Prover,
    damaged: Vec<(ChunkRef, ChunkPlace)>,
}

impl<'v> Assembly<'v> {
    async fn begin(vault: &'v dyn Vault, file: &FileRecord) -> Result<Self, Fault> {
        Ok(Self {
            writing: Some(vault.begin_file(file.root).await?),
            pieces: Vec::new(),
            collected: 0,
            hasher: blake3::Hasher::new(),
            prover: Prover::default(),
            damaged: Vec::new(),
        })
    }

    async fn add(
        &mut self,
        vault: &dyn Vault,
        placed: PlacedChunk,
        at: ChunkPlace,
    ) -> Result<(), Fault> {
        let chunk = placed.chunk;
        let Some(plain) = read_chunk(vault, &mut self.prover, chunk, at).await? else {
            self.damaged.push((chunk, at));
            self.writing = None;
            self.pieces.clear();
            return Ok(());
        };
        let Some(writing) = &mut self.writing else {
            return Ok(());
        };
        self.hasher.update(&plain);
        self.collected += plain.len();
        self.pieces.push(plain);
        if self.collected >= PIECE_BYTES {
            self.collected = 0;
            writing.append(std::mem::take(&mut self.pieces)).await?;
        }
        Ok(())
    }

    async fn finish(self, file: &FileRecord) -> Result<Assembled, Fault> {
        let Some(mut writing) = self.writing else {
            return Ok(Assembled::Damaged(self.damaged));
        };
        let found = Digest(*self.hasher.finalize().as_bytes());
        if found != file.root {
            return Ok(Assembled::OtherRoot(found));
        }
        if !self.pieces.is_empty() {
            writing.append(self.pieces).await?;
        }
        crash_point::reach("inspection-proven");
        writing.seal().await?;
        Ok(Assembled::Whole(Shelf::Quarantine))
    }
}

/// A chunk's own bytes, proven; `None` where they are gone or are others.
pub(super) async fn read_chunk(
    vault: &dyn Vault,
    prover: &mut Prover,
    chunk: ChunkRef,
    place: ChunkPlace,
) -> Result<Option<Vec<u8>>, Fault> {
    let (encoding, read) = match place {
        ChunkPlace::Object {
            object,
            offset,
            stored,
            encoding,
        } => {
            let length = stored as usize;
            // More than a chunk can be stored as: the row is not true.
            if length > READ_BYTES {
                return Ok(None);
            }
            (encoding, vault.read_object(object, offset, length).await)
        }
        ChunkPlace::File { root, offset } => {
            let length = chunk.size() as usize;
            (
                Encoding::Plain,
                read_assembled(vault, root, offset, length).await,
            )
        }
    };
    match read {
        Ok(stored) => Ok(prover.prove(chunk, encoding, &stored).map(<[u8]>::to_vec)),
        Err(VaultError::Missing(_)) => Ok(None),
        Err(fault) => Err(fault.into()),
    }
}

/// Reads from whichever shelf the file is on; it may be moved between two looks, but not twice.
async fn read_assembled(
    vault: &dyn Vault,
    root: Digest,
    offset: u64,
    length: usize,
) -> Result<Vec<u8>, VaultError> {
    for shelf in [Shelf::Released, Shelf::Quarantine, Shelf::Released] {
        match vault.read_file(shelf, root, offset, length).await {
            Err(VaultError::Missing(_)) => {}
            read => return read,
        }
    }
    Err(VaultError::Missing(root.to_string()))
}

/// An assembled file read once from beginning to end, and hashed on the way.
pub(super) struct WholeFile {
    shelf: Shelf,
    root: Digest,
    size: u64,
    read: u64,
    hasher: blake3::Hasher,
}

impl WholeFile {
    pub(super) fn new(shelf: Shelf, root: Digest, size: u64) -> Self {
        Self {
            shelf,
            root,
            size,
            read: 0,
            hasher: blake3::Hasher::new(),
        }
    }

    /// The next bytes, at most 1 MiB; `None` behind the last.
    pub(super) async fn next(&mut self, vault: &dyn Vault) -> Result<Option<Vec<u8>>, Fault> {
        let left = self.size.saturating_sub(self.read);
        let length = usize::try_from(left).map_or(PIECE_BYTES, |left| left.min(PIECE_BYTES));
        if length == 0 {
            return Ok(None);
        }
        let bytes = vault
            .read_file(self.shelf, self.root, self.read, length)
            .await?;
        self.read += bytes.len() as u64;
        // Some milliseconds of work, so that requests on this thread have their turn between.
        self.hasher.update(&bytes);
        Ok(Some(bytes))
    }

    /// Whether everything was read, and is what the root names.
    pub(super) fn is_proven(&self) -> bool {
        self.read == self.size && Digest(*self.hasher.finalize().as_bytes()) == self.root
    }
}
