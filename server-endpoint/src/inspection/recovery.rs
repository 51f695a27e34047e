//! Where a committed verdict and the vault's shelves differ, the shelves follow.
//!
//! Between the commit of a verdict and the move of the file there may be a crash. Nobody can read what
//! should not be read meanwhile, because every read asks the ledger; this sets the disk right as well.

use branchline_protocol::file::FileState;
use branchline_protocol::id::{Digest, FileId};
use branchline_protocol::time::UnixMillis;

use super::Fault;
use crate::ledger::{FileFilter, FileRecord, Ledger, MoveFile, now};
use crate::vault::{Shelf, Vault, VaultError};

/// Files asked of the ledger at once.
const PAGE: usize = 256;
/// Attempts to move a file that others move at the same time.
const RACES: usize = 5;

/// Puts every file where its verdict says. Goes through all judged files in pages; what one of them
/// lacks is no reason to leave out the others.
pub(super) async fn recover(ledger: &dyn Ledger, vault: &dyn Vault) -> Result<(), Fault> {
    for word in ["infected", "clean", "released"] {
        let mut after = None;
        while let Some(file) = next_page(ledger, word, &mut after, vault).await? {
            tracing::debug!(after = %file, word, "looked through judged files");
        }
    }
    Ok(())
}

async fn next_page(
    ledger: &dyn Ledger,
    word: &'static str,
    after: &mut Option<FileId>,
    vault: &dyn Vault,
) -> Result<Option<FileId>, Fault> {
    let filter = FileFilter {
        state: Some(word),
        after: *after,
        most: PAGE,
        ..FileFilter::default()
    };
    let files = ledger.files(filter).await?;
    for file in &files {
        let is_released = vault.file_size(Shelf::Released, file.root).await?.is_some();
        if file.state.is_readable() {
            if !is_released {
                promote(ledger, vault, file).await?;
            }
        } else if is_released {
            condemn(ledger, vault, file, file.state_since).await?;
        }
    }
    *after = files.last().map(|file| file.id);
    Ok(*after)
}

/// Moves a file that may be read to where it can be. A file whose content was found infected since, in
/// another copy, stays where it is.
pub(super) async fn promote(
    ledger: &dyn Ledger,
    vault: &dyn Vault,
    file: &FileRecord,
) -> Result<(), Fault> {
    let found = newest_finding(ledger, file.root).await?;
    if found.is_some_and(|found| found.state_since > file.state_since) {
        return Ok(());
    }
    match vault.promote(file.root).await {
        Err(VaultError::Missing(_)) => {
            tracing::error!(
                file = %file.id, ticket = %file.number, root = %file.root,
                "a file that may be read is not in the vault"
            );
            Ok(())
        }
        promoted => Ok(promoted?),
    }
}

/// Takes away what was found infected: every file of the same content that was judged until `through`,
/// and then the content itself.
pub(super) async fn condemn(
    ledger: &dyn Ledger,
    vault: &dyn Vault,
    infected: &FileRecord,
    through: UnixMillis,
) -> Result<(), Fault> {
    let mut later_verdict = false;
    let mut after = None;
    loop {
        let files = ledger.files(of_root(infected.root, after)).await?;
        for file in &files {
            if file.state.is_readable() && file.state_since > through {
                later_verdict = true;
            } else if file.state.is_readable() {
                withdraw_verdict(ledger, file, infected, through).await?;
            }
        }
        after = files.last().map(|file| file.id);
        if after.is_none() {
            break;
        }
    }
    if later_verdict {
        return Ok(());
    }
    match vault.withdraw(infected.root).await {
        Err(VaultError::Missing(_)) => Ok(()),
        withdrawn => Ok(withdrawn?),
    }
}

async fn withdraw_verdict(
    ledger: &dyn Ledger,
    file: &FileRecord,
    infected: &FileRecord,
    through: UnixMillis,
) -> Result<(), Fault> {
    let mut seen = Some(file.clone());
    for _ in 0..RACES {
        let Some(file) =
            seen.filter(|file| file.state.is_readable() && file.state_since <= through)
        else {
            return Ok(());
        };
        let moved = MoveFile {
            file: file.id,
            version: file.version,
            state: infected.state.clone(),
            sniffed: None,
            disguised: file.disguised,
            deed: None,
            at: now(),
        };
        if ledger.move_file(moved).await?.is_some() {
            tracing::warn!(
                file = %file.id, ticket = %file.number, was = file.state.word(),
                "the same content was found infected: the file is withdrawn"
            );
            return Ok(());
        }
        seen = ledger.file(file.id).await?;
    }
    Ok(())
}

/// The latest verdict on this content that found something.
pub(super) async fn newest_finding(
    ledger: &dyn Ledger,
    root: Digest,
) -> Result<Option<FileRecord>, Fault> {
    let mut newest: Option<FileRecord> = None;
    let mut after = None;
    loop {
        let files = ledger.files(of_root(root, after)).await?;
        after = files.last().map(|file| file.id);
        if after.is_none() {
            return Ok(newest);
        }
        for file in files {
            let finding = matches!(file.state, FileState::Infected { .. });
            let newer = newest
                .as_ref()
                .is_none_or(|newest| file.state_since > newest.state_since);
            if finding && newer {
                newest = Some(file);
            }
        }
    }
}

fn of_root(root: Digest, after: Option<FileId>) -> FileFilter {
    FileFilter {
        root: Some(root),
        after,
        most: PAGE,
        ..FileFilter::default()
    }
}
