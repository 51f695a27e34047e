//! A person's release of a file that no scanner judged: on record, with a name and a reason.
//!
//! Only what was held, or was too large to scan. What was found infected or is not the file that was
//! announced is never released, nor is another copy of such content.

use branchline_protocol::file::FileState;
use branchline_protocol::id::FileId;
use branchline_protocol::limits;
use branchline_protocol::text::{self, Shape};

use super::{Fault, assemble, recovery};
use crate::ledger::{Actor, Deed, FileRecord, Ledger, MoveFile, now};
use crate::vault::{Shelf, Vault};

/// Why a file was not released.
#[derive(Debug, thiserror::Error)]
pub enum ReleaseFault {
    /// There is no such file.
    #[error("central has no file {0}")]
    Unknown(FileId),
    /// It is in no state that a person decides about.
    #[error("the file is {}: only a file that is held or too_large can be released by hand", .0.word())]
    NotHeld(FileState),
    /// Another copy of this content was found infected.
    #[error("the same content was found infected ({signature}) in file {file}; it is not released")]
    Infected {
        /// The other file.
        file: FileId,
        /// What was found.
        signature: String,
    },
    /// What lies in the vault is not the file any more (P4).
    #[error(
        "the file is damaged in central's vault; IT must restore it from a backup, or the branch attach it again"
    )]
    Damaged,
    /// It was moved at the same moment, perhaps by a scanner.
    #[error("the file was judged at the same moment; look again")]
    Moved,
    /// Name or reason cannot be kept.
    #[error("{0}")]
    Words(String),
    /// Ledger or vault do not answer.
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl From<crate::ledger::LedgerError> for ReleaseFault {
    fn from(fault: crate::ledger::LedgerError) -> Self {
        Self::Fault(fault.into())
    }
}

/// Who decided, and why.
#[derive(Debug, Clone)]
pub struct Decided {
    /// What the branch is told of who it was; one line of at most [`limits::USER_CHARS`].
    pub by: String,
    /// One line of at most [`limits::DETAIL_CHARS`].
    pub reason: String,
    /// Who it was for central, for the trail.
    pub actor: Actor,
}

/// Releases a file, and records that in the trail in the same commit. Answers with the file as it is then; it may be read from then on, even where
/// an error says that it could not be moved yet.
pub async fn release(
    ledger: &dyn Ledger,
    vault: &dyn Vault,
    id: FileId,
    decided: &Decided,
) -> Result<FileRecord, ReleaseFault> {
    for (what, words, most) in [
        ("the name", &decided.by, limits::USER_CHARS),
        ("the reason", &decided.reason, limits::DETAIL_CHARS),
    ] {
        if let Some(fault) = text::fault(words, Shape::Line, most) {
            return Err(ReleaseFault::Words(format!("{what} {fault}")));
        }
    }
    let Some(file) = ledger.file(id).await? else {
        return Err(ReleaseFault::Unknown(id));
    };
    if !matches!(file.state, FileState::Held | FileState::TooLarge) {
        return Err(ReleaseFault::NotHeld(file.state));
    }
    if let Some(found) = recovery::newest_finding(ledger, file.root).await? {
        let signature = match found.state {
            FileState::Infected { signature } => signature,
            _ => String::new(),
        };
        return Err(ReleaseFault::Infected {
            file: found.id,
            signature,
        });
    }
    if !lies_whole(vault, &file).await? {
        return Err(ReleaseFault::Damaged);
    }
    let at = now();
    let moved = MoveFile {
        file: id,
        version: file.version,
        state: FileState::Released {
            by: decided.by.clone(),
            reason: decided.reason.clone(),
        },
        sniffed: None,
        disguised: file.disguised,
        deed: Some(Deed {
            actor: decided.actor.clone(),
            action: "file-released",
            subject: id.to_string(),
            detail: format!("by {}: {}", decided.by, decided.reason),
            address: None,
            at,
        }),
        at,
    };
    let Some(released) = ledger.move_file(moved).await? else {
        return Err(ReleaseFault::Moved);
    };
    recovery::promote(ledger, vault, &released).await?;
    Ok(released)
}

/// Whether it is on one of the shelves as it was announced, every byte of it: what decayed is not released.
async fn lies_whole(vault: &dyn Vault, file: &FileRecord) -> Result<bool, Fault> {
    for shelf in [Shelf::Released, Shelf::Quarantine] {
        if assemble::is_whole(vault, shelf, file.root, file.size).await? {
            return Ok(true);
        }
    }
    Ok(false)
}
