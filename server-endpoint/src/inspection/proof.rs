//! Is everything that central holds of a file what it should be? Reads all of it, and changes nothing.
//!
//! May run beside a server that moves, settles and deletes: what looks damaged is looked up once more
//! before it is said.

use std::collections::BTreeMap;

use branchline_protocol::file::FileState;

use super::Fault;
use super::assemble::{is_whole, read_chunk};
use crate::ledger::{ChunkPlace, FileRecord, Ledger, PlacedChunk};
use crate::vault::{Prover, Shelf, Vault};

/// Places asked of the ledger at once.
const PAGE_PLACES: usize = 256;

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Proof {
    /// Chunks that were read.
    pub chunks: u64,
    /// Their bytes, not compressed.
    pub bytes: u64,
    /// Damaged or missing chunks, by the object or file of the vault in which they should lie.
    pub damaged: BTreeMap<String, u64>,
    /// It was assembled, and what lies under its root is not it, or is not there.
    pub not_whole: bool,
}

impl Proof {
    /// Whether nothing is wrong.
    pub fn is_sound(&self) -> bool {
        self.damaged.is_empty() && !self.not_whole
    }
}

/// Reads everything in the vault for this file.
pub async fn prove(
    ledger: &dyn Ledger,
    vault: &dyn Vault,
    file: &FileRecord,
) -> Result<Proof, Fault> {
    let mut proof = Proof::default();
    let mut prover = Prover::default();
    let mut place = 0;
    loop {
        let page = ledger.chunks_of(file.id, place, PAGE_PLACES).await?;
        if page.is_empty() {
            break;
        }
        for placed in page {
            let at = place;
            place = place.saturating_add(1);
            let Some(lies) = placed.place else {
                continue;
            };
            proof.chunks += 1;
            proof.bytes += u64::from(placed.chunk.size());
            let read = read_chunk(vault, &mut prover, placed.chunk, lies).await?;
            if read.is_some() {
                continue;
            }
            if let Some(lies) = still_there(ledger, file, at, placed).await? {
                let found = read_chunk(vault, &mut prover, placed.chunk, lies).await?;
                if found.is_none() {
                    *proof.damaged.entry(place_words(lies)).or_default() += 1;
                }
            }
        }
    }
    if is_assembled(&file.state) {
        let released = is_whole(vault, Shelf::Released, file.root, file.size).await?;
        proof.not_whole =
            !released && !is_whole(vault, Shelf::Quarantine, file.root, file.size).await?;
    }
    Ok(proof)
}

/// Where the chunk lies now, after it was not found where it lay a moment ago.
async fn still_there(
    ledger: &dyn Ledger,
    file: &FileRecord,
    at: u32,
    placed: PlacedChunk,
) -> Result<Option<ChunkPlace>, Fault> {
    let now = ledger.chunks_of(file.id, at, 1).await?;
    Ok(now
        .into_iter()
        .find(|now| now.chunk == placed.chunk)
        .and_then(|now| now.place))
}

fn is_assembled(state: &FileState) -> bool {
    matches!(
        state,
        FileState::Clean
            | FileState::Infected { .. }
            | FileState::Held
            | FileState::TooLarge
            | FileState::Released { .. }
    )
}

/// Where a chunk lies, by its name in the vault.
pub(super) fn place_words(place: ChunkPlace) -> String {
    match place {
        ChunkPlace::Object { object, .. } => format!("incoming/{}", object.0),
        ChunkPlace::File { root, .. } => format!("file {root}"),
    }
}
