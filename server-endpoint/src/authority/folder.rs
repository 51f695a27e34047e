//! The authority's files in `DATA/authority`, and how they are written and read.
//!
//! Layout, all 0600 in a 0700 folder, PEM but for the last; N counts roots, from 1:
//!
//! | file | what |
//! |---|---|
//! | `root-N.pem`, `root-N.key` | a root CA; the key is only needed to publish trust, and can be kept elsewhere |
//! | `issuing-N.pem`, `issuing-N.key` | what signs agents', proxies' and the server's certificates |
//! | `cross-N.pem` | root N signed by the root before it, for agents that only know that one |
//! | `server.pem` | the server's own certificate with its chain, and its key: one file, so that they match |
//! | `authority.json` | which of them count ([`super::standing`]) |
//!
//! Invariants:
//! - A file is complete or not there: written under a temporary name, synced, renamed, folder synced.
//! - `authority.json` is written last. What it does not name does not count and is written over, so
//!   that whatever was interrupted is done again from the start.
//! - A key that others than its owner may read is not used.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rcgen::KeyPair;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

use super::AuthorityError;

/// The folder's name in the data directory.
pub const FOLDER: &str = "authority";
/// The file that says which of the others count.
pub(super) const STANDING: &str = "authority.json";
/// The server's own certificate and key.
pub(super) const SERVER: &str = "server.pem";

/// Bytes of any file here, or of a given certificate: chains take a few KiB.
const FILE_BYTES: u64 = 256 * 1024;

/// The certificate of root CA `number`.
pub(super) fn root(number: u32) -> String {
    format!("root-{number}.pem")
}

/// Its key.
pub(super) fn root_key(number: u32) -> String {
    format!("root-{number}.key")
}

/// The certificate of issuing CA `number`.
pub(super) fn issuing(number: u32) -> String {
    format!("issuing-{number}.pem")
}

/// Its key.
pub(super) fn issuing_key(number: u32) -> String {
    format!("issuing-{number}.key")
}

/// Root CA `number` signed by the one before.
pub(super) fn cross(number: u32) -> String {
    format!("cross-{number}.pem")
}

/// Makes the folder, readable by its owner alone.
pub(super) fn make(folder: &Path) -> Result<(), AuthorityError> {
    let made = DirBuilder::new().mode(0o700).create(folder);
    match made {
        Ok(()) => sync(folder.parent().unwrap_or(folder)),
        Err(fault) if fault.kind() == ErrorKind::AlreadyExists => Ok(()),
        Err(fault) => Err(AuthorityError::write(folder, fault)),
    }
}

/// Waits until no other process changes the folder, and keeps others from it while the answer lives.
pub(super) fn lock(folder: &Path) -> Result<File, AuthorityError> {
    let locked = File::open(folder).and_then(|file| {
        rustix::fs::flock(&file, rustix::fs::FlockOperation::LockExclusive)?;
        Ok(file)
    });
    match locked {
        Err(fault) if fault.kind() == ErrorKind::NotFound => {
            Err(AuthorityError::Missing(folder.to_owned()))
        }
        Err(fault) => Err(AuthorityError::read(folder, fault)),
        Ok(file) => Ok(file),
    }
}

/// Puts a file in place, whole, for its owner alone.
pub(super) fn write(path: &Path, content: &[u8]) -> Result<(), AuthorityError> {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    let temporary = PathBuf::from(name);
    let written = || {
        match std::fs::remove_file(&temporary) {
            Err(fault) if fault.kind() != ErrorKind::NotFound => return Err(fault),
            _ => {}
        }
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&temporary)?;
        file.write_all(content)?;
        file.sync_all()?;
        std::fs::rename(&temporary, path)
    };
    written().map_err(|fault| AuthorityError::write(path, fault))?;
    sync(path.parent().unwrap_or(path))
}

fn sync(folder: &Path) -> Result<(), AuthorityError> {
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(|fault| AuthorityError::write(folder, fault))
}

/// Reads a file that anybody may read.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, AuthorityError> {
    content(path, File::open(path))
}

/// Reads a file that only its owner may read; refuses it otherwise.
pub(super) fn read_secret(path: &Path) -> Result<Vec<u8>, AuthorityError> {
    let file = File::open(path);
    if let Ok(file) = &file {
        let about = file
            .metadata()
            .map_err(|fault| AuthorityError::read(path, fault))?;
        let mode = about.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            let path = path.to_owned();
            return Err(AuthorityError::TooOpen { path, mode });
        }
    }
    content(path, file)
}

fn content(path: &Path, file: std::io::Result<File>) -> Result<Vec<u8>, AuthorityError> {
    let mut bytes = Vec::new();
    file.and_then(|file| file.take(FILE_BYTES + 1).read_to_end(&mut bytes))
        .map_err(|fault| AuthorityError::read(path, fault))?;
    if bytes.len() as u64 > FILE_BYTES {
        let most = FILE_BYTES / 1024;
        let fault = format!("it is larger than {most} KiB, and so no certificate or key");
        return Err(AuthorityError::content(path, fault));
    }
    Ok(bytes)
}

/// The certificates in a PEM file, in order; at least one.
pub(super) fn certificates(
    path: &Path,
    pem: &[u8],
) -> Result<Vec<CertificateDer<'static>>, AuthorityError> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match read {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        Ok(_) => Err(AuthorityError::content(
            path,
            "there is no certificate (PEM) in it",
        )),
        Err(fault) => Err(AuthorityError::content(path, fault.to_string())),
    }
}

/// The one certificate in a file.
pub(super) fn certificate(path: &Path) -> Result<CertificateDer<'static>, AuthorityError> {
    let mut all = certificates(path, &read(path)?)?;
    Ok(all.swap_remove(0))
}

/// A key of a CA.
pub(super) fn key(path: &Path) -> Result<KeyPair, AuthorityError> {
    let pem = read_secret(path)?;
    let text = String::from_utf8_lossy(&pem);
    KeyPair::from_pem(&text)
        .map_err(|fault| AuthorityError::content(path, format!("no usable key: {fault}")))
}
