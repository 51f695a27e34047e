//! Linux: files that only the service may read. The file's mode and owner protect them.

use std::fs::{File, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

/// Readable and writable by the owner alone.
const OWNER_ONLY: u32 = 0o600;

/// A new, empty file that its owner alone may read. What a crash left under the name is replaced. It
/// belongs to whoever owns the folder, so that what an administrator makes is the service's.
pub fn make_private(path: &Path) -> io::Result<File> {
    match std::fs::remove_file(path) {
        Err(fault) if fault.kind() != io::ErrorKind::NotFound => return Err(fault),
        _ => {}
    }
    let file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(OWNER_ONLY)
        .open(path)?;
    give_to_folders_owner(&file, path)?;
    Ok(file)
}

/// An empty file to lock, made where it is missing.
pub fn open_private(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(OWNER_ONLY)
        .open(path)?;
    give_to_folders_owner(&file, path)?;
    Ok(file)
}

fn give_to_folders_owner(file: &File, path: &Path) -> io::Result<()> {
    let Some(folder) = path.parent() else {
        return Ok(());
    };
    let (folder, own) = (std::fs::metadata(folder)?, file.metadata()?);
    if (folder.uid(), folder.gid()) == (own.uid(), own.gid()) {
        return Ok(());
    }
    let given = std::os::unix::fs::fchown(file, Some(folder.uid()), Some(folder.gid()));
    match given {
        // A folder whose group alone differs is the owner's all the same.
        Err(_) if folder.uid() == own.uid() => Ok(()),
        given => given,
    }
}

/// Gives a file the mode and owner of the one whose place it takes.
pub fn look_like(file: &File, former: &Metadata) -> io::Result<()> {
    let own = file.metadata()?;
    if (own.uid(), own.gid()) != (former.uid(), former.gid()) {
        std::os::unix::fs::fchown(file, Some(former.uid()), Some(former.gid()))?;
    }
    file.set_permissions(former.permissions())
}

/// Makes what happened to a folder's names last.
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Whether others than its owner can read or write a file.
pub fn is_exposed(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|facts| facts.permissions().mode() & 0o077 != 0)
}

/// Encrypts a secret for this machine where the system offers that; here the file's mode protects it.
pub fn seal(_secret: &[u8]) -> io::Result<Option<Vec<u8>>> {
    Ok(None)
}

/// What [`seal`] encrypted.
pub fn unseal(_sealed: &[u8]) -> io::Result<Vec<u8>> {
    Err(io::Error::new(
        io::ErrorKind::Unsupported,
        "this was sealed on another system",
    ))
}
