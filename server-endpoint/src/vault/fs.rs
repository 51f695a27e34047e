//! The vault in a folder.
//!
//! ```text
//! vault/partial/                 locked (flock): shared to begin a file, exclusively to remove left-overs
//! vault/partial/RANDOM           being written; locked by whoever writes it
//! vault/incoming/3f/OBJECT       an object, in the folder of its name's last byte
//! vault/quarantine/a0/ROOT       an assembled file, in the folder of its root's first byte
//! vault/released/a0/ROOT         a file that may be read
//! ```
//!
//! All of it is on one file system, and only the server's own user gets in (0700, 0600).
//!
//! Invariants:
//! - Whatever has its final name is whole: written under `partial/`, synced, then named. The answer comes
//!   after the folder with the name is synced, and the folders above it (P3).
//! - An object is named without replacing (`RENAME_NOREPLACE`, or a hard link where the file system lacks
//!   it). A file is named by the hash of its content, so that replacing puts the same bytes there.
//! - A move between shelves is one rename, which is whole or not at all.
//!
//! Recovery: after a crash `partial/` has files that nobody holds a lock on; they are removed by
//! [`Vault::prepare`], also while other processes write theirs. Objects that the ledger does not know
//! are left to collection, by age: the ledger may be about to learn of them.
//!
//! File work runs off the async threads, so many at once and no more.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use branchline_durable_sqlite::crash_point;
use branchline_protocol::id::Digest;
use branchline_protocol::time::UnixMillis;
use tokio::sync::Semaphore;
use uuid::Uuid;

use super::{Pending, READ_BYTES, Shelf, Vault, VaultError, Writing};
use crate::ledger::ObjectName;
use folders::Folders;
use partial::Partial;

mod folders;
mod partial;

/// The vault's folder in the data directory.
pub const FOLDER: &str = "vault";
/// File operations that run at once: enough to keep a disk's queue filled while some wait for a sync,
/// and few enough that the threads they hold are not missed.
const TURNS: usize = 16;

/// The vault in a folder.
#[derive(Clone)]
pub struct FsVault {
    disk: Arc<Disk>,
    turns: Arc<Semaphore>,
}

struct Disk {
    folders: Folders,
    /// Bytes that incoming objects leave free.
    reserve: u64,
}

/// What something is, and so where it is named.
#[derive(Debug, Clone, Copy)]
enum Named {
    Object(ObjectName),
    File(Shelf, Digest),
}

impl FsVault {
    /// The vault in this folder, leaving `reserve` bytes of its disk free. Nothing is looked at or made
    /// before it is needed: a vault that cannot be used is no reason not to start.
    pub fn new(root: PathBuf, reserve: u64) -> Self {
        let disk = Disk {
            folders: Folders::new(root),
            reserve,
        };
        Self {
            disk: Arc::new(disk),
            turns: Arc::new(Semaphore::new(TURNS)),
        }
    }

    fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Disk) -> Result<T, VaultError> + Send + 'static,
    ) -> Pending<'static, T> {
        let disk = self.disk.clone();
        let turns = self.turns.clone();
        Box::pin(async move { in_turn(&turns, move || work(&disk)).await })
    }

    fn begin(&self, named: Named) -> Pending<'_, Box<dyn Writing>> {
        let begun = self.run(move |disk| {
            disk.require_room(named)?;
            disk.folders.begin().map_err(away("begin a file"))
        });
        Box::pin(async move {
            let writing = FsWriting {
                vault: self.clone(),
                partial: Some(Arc::new(begun.await?)),
                named,
            };
            Ok(Box::new(writing) as Box<dyn Writing>)
        })
    }

    fn shift(&self, root: Digest, from: Shelf, to: Shelf) -> Pending<'_, ()> {
        self.run(move |disk| disk.shift(Named::File(from, root), Named::File(to, root)))
    }
}

/// Runs file work off the async threads when it is its turn.
async fn in_turn<T: Send + 'static>(
    turns: &Arc<Semaphore>,
    work: impl FnOnce() -> Result<T, VaultError> + Send + 'static,
) -> Result<T, VaultError> {
    let turn = turns.clone().acquire_owned().await;
    let working = tokio::task::spawn_blocking(move || {
        // Held here and not by the caller, who may have gone away while the work runs.
        let _turn = turn;
        work()
    });
    working
        .await
        .unwrap_or_else(|fault| Err(VaultError::Away(format!("file work failed: {fault}"))))
}

impl Disk {
    fn room(&self, reserve: u64) -> Result<u64, VaultError> {
        let space = self
            .folders
            .space()
            .map_err(away("ask for the free space"))?;
        let free = space.f_bavail.saturating_mul(space.f_frsize);
        Ok(free.saturating_sub(reserve))
    }

    /// Assembling is what makes room again, so that it may go further than what comes in (P9).
    fn require_room(&self, named: Named) -> Result<(), VaultError> {
        let reserve = match named {
            Named::Object(_) => self.reserve,
            Named::File(..) => self.reserve / 2,
        };
        if self.room(reserve)? == 0 {
            let words = format!("less than {reserve} bytes are left on its disk");
            return Err(VaultError::Full(words));
        }
        Ok(())
    }

    fn append(
        &self,
        partial: &Partial,
        named: Named,
        pieces: &[Vec<u8>],
    ) -> Result<(), VaultError> {
        self.require_room(named)?;
        let mut file = partial.file();
        pieces
            .iter()
            .try_for_each(|piece| file.write_all(piece))
            .map_err(away("write"))
    }

    fn seal(&self, mut partial: Partial, named: Named) -> Result<(), VaultError> {
        crash_point::reach("vault-written");
        partial.file().sync_all().map_err(away("sync a file"))?;
        crash_point::reach("vault-synced");
        let folder = self.folder(named).map_err(away("make a folder"))?;
        let path = folder.join(named.file_name());
        let placed = match named {
            Named::Object(_) => partial.name_new(&path),
            Named::File(..) => partial.name(&path),
        };
        match placed {
            Err(fault) if fault.kind() == ErrorKind::AlreadyExists => {
                return Err(VaultError::Taken(named.to_string()));
            }
            placed => placed.map_err(away("name a file"))?,
        }
        sync_folder(&folder).map_err(away("sync a folder"))?;
        crash_point::reach("vault-sealed");
        Ok(())
    }

    /// The folder that `named` is in, made and durable.
    fn folder(&self, named: Named) -> io::Result<PathBuf> {
        self.folders.ensure(named.shelf(), named.part())
    }

    fn path(&self, named: Named) -> PathBuf {
        self.folders
            .path(named.shelf(), named.part())
            .join(named.file_name())
    }

    fn read(&self, named: Named, offset: u64, length: usize) -> Result<Vec<u8>, VaultError> {
        if length > READ_BYTES {
            let words = format!("a read of {length} bytes; at most {READ_BYTES} are allowed");
            return Err(VaultError::Away(words));
        }
        let missing = |fault: io::Error| match fault.kind() {
            ErrorKind::NotFound => VaultError::Missing(named.to_string()),
            ErrorKind::UnexpectedEof => {
                let end = offset.saturating_add(length as u64);
                VaultError::Missing(format!("{named} up to byte {end}"))
            }
            _ => away("read a file")(fault),
        };
        let file = File::open(self.path(named)).map_err(missing)?;
        let mut bytes = vec![0; length];
        file.read_exact_at(&mut bytes, offset).map_err(missing)?;
        Ok(bytes)
    }

    fn shift(&self, from: Named, to: Named) -> Result<(), VaultError> {
        let folder = self.folder(to).map_err(away("make a folder"))?;
        let path = folder.join(to.file_name());
        match std::fs::rename(self.path(from), &path) {
            Ok(()) => {}
            Err(fault) if fault.kind() == ErrorKind::NotFound => {
                // An attempt before this one may have come so far and no further.
                let there = path.try_exists().map_err(away("look for a file"))?;
                if !there {
                    return Err(VaultError::Missing(from.to_string()));
                }
            }
            Err(fault) => return Err(away("move a file")(fault)),
        }
        sync_folder(&folder).map_err(away("sync a folder"))?;
        crash_point::reach("vault-shifted");
        match sync_folder(&self.folders.path(from.shelf(), from.part())) {
            Err(fault) if fault.kind() != ErrorKind::NotFound => Err(away("sync a folder")(fault)),
            _ => Ok(()),
        }
    }

    fn objects_before(&self, part: u8, before: UnixMillis) -> Result<Vec<ObjectName>, VaultError> {
        let before = SystemTime::UNIX_EPOCH
            + Duration::from_millis(u64::try_from(before.0).unwrap_or_default());
        let entries = match std::fs::read_dir(self.folders.path("incoming", part)) {
            Err(fault) if fault.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(away("list a folder"))?,
        };
        let mut found = Vec::new();
        for entry in entries {
            let entry = entry.map_err(away("list a folder"))?;
            let name = entry.file_name();
            let Some(name) = name.to_str().and_then(|name| Uuid::parse_str(name).ok()) else {
                continue;
            };
            // Deleted since it was listed, where there is none.
            let sealed = entry.metadata().and_then(|metadata| metadata.modified());
            if sealed.is_ok_and(|sealed| sealed < before) {
                found.push(ObjectName(name));
            }
        }
        Ok(found)
    }
}

fn remove(path: &Path) -> Result<(), VaultError> {
    match std::fs::remove_file(path) {
        Err(fault) if fault.kind() != ErrorKind::NotFound => Err(away("delete a file")(fault)),
        // Should a loss of power bring it back, collection finds it again.
        _ => Ok(()),
    }
}

impl Vault for FsVault {
    fn prepare(&self) -> Pending<'_, ()> {
        self.run(|disk| disk.folders.prepare().map_err(away("make the vault")))
    }

    fn room(&self) -> Pending<'_, u64> {
        self.run(|disk| disk.room(disk.reserve))
    }

    fn begin_object(&self, name: ObjectName) -> Pending<'_, Box<dyn Writing>> {
        self.begin(Named::Object(name))
    }

    fn read_object(&self, name: ObjectName, offset: u64, length: usize) -> Pending<'_, Vec<u8>> {
        self.run(move |disk| disk.read(Named::Object(name), offset, length))
    }

    fn delete_objects(&self, names: Vec<ObjectName>) -> Pending<'_, ()> {
        self.run(move |disk| {
            names
                .into_iter()
                .try_for_each(|name| remove(&disk.path(Named::Object(name))))
        })
    }

    fn objects_before(&self, part: u8, before: UnixMillis) -> Pending<'_, Vec<ObjectName>> {
        self.run(move |disk| disk.objects_before(part, before))
    }

    fn begin_file(&self, root: Digest) -> Pending<'_, Box<dyn Writing>> {
        self.begin(Named::File(Shelf::Quarantine, root))
    }

    fn file_size(&self, at: Shelf, root: Digest) -> Pending<'_, Option<u64>> {
        self.run(
            move |disk| match std::fs::metadata(disk.path(Named::File(at, root))) {
                Err(fault) if fault.kind() == ErrorKind::NotFound => Ok(None),
                found => Ok(Some(found.map_err(away("look for a file"))?.len())),
            },
        )
    }

    fn read_file(
        &self,
        at: Shelf,
        root: Digest,
        offset: u64,
        length: usize,
    ) -> Pending<'_, Vec<u8>> {
        self.run(move |disk| disk.read(Named::File(at, root), offset, length))
    }

    fn promote(&self, root: Digest) -> Pending<'_, ()> {
        self.shift(root, Shelf::Quarantine, Shelf::Released)
    }

    fn withdraw(&self, root: Digest) -> Pending<'_, ()> {
        self.shift(root, Shelf::Released, Shelf::Quarantine)
    }

    fn discard(&self, at: Shelf, root: Digest) -> Pending<'_, ()> {
        self.run(move |disk| remove(&disk.path(Named::File(at, root))))
    }
}

struct FsWriting {
    vault: FsVault,
    /// Shared with the work that runs on it; `None` once sealed or dropped.
    partial: Option<Arc<Partial>>,
    named: Named,
}

impl Writing for FsWriting {
    fn append(&mut self, pieces: Vec<Vec<u8>>) -> Pending<'_, ()> {
        let named = self.named;
        let Some(partial) = self.partial.clone() else {
            return Box::pin(async { Err(VaultError::Away("the file is closed".into())) });
        };
        self.vault
            .run(move |disk| disk.append(&partial, named, &pieces))
    }

    fn seal(mut self: Box<Self>) -> Pending<'static, ()> {
        let named = self.named;
        let partial = self.partial.take().and_then(Arc::into_inner);
        self.vault.run(move |disk| match partial {
            Some(partial) => disk.seal(partial, named),
            // An append was given up while it ran: nobody knows what it wrote.
            None => Err(VaultError::Away("the file is still written to".into())),
        })
    }
}

impl Drop for FsWriting {
    fn drop(&mut self) {
        let Some(partial) = self.partial.take() else {
            return;
        };
        // Deleting a large file takes its time.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn_blocking(move || drop(partial));
        }
    }
}

impl Named {
    fn shelf(self) -> &'static str {
        match self {
            Self::Object(_) => "incoming",
            Self::File(Shelf::Quarantine, _) => "quarantine",
            Self::File(Shelf::Released, _) => "released",
        }
    }

    /// The byte that the folder is named by: one that is spread evenly.
    fn part(self) -> u8 {
        match self {
            Self::Object(name) => name.0.as_bytes().last().copied(),
            Self::File(_, root) => root.0.first().copied(),
        }
        .unwrap_or_default()
    }

    fn file_name(self) -> String {
        match self {
            Self::Object(name) => name.0.to_string(),
            Self::File(_, root) => root.to_string(),
        }
    }
}

impl std::fmt::Display for Named {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.shelf(), self.file_name())
    }
}

/// What an error of the file system means, while `doing`.
fn away(doing: &'static str) -> impl Fn(io::Error) -> VaultError {
    move |fault| {
        let words = format!("{doing}: {fault}");
        match fault.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => VaultError::Full(words),
            _ => VaultError::Away(words),
        }
    }
}

fn make_folder(path: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(path) {
        Err(fault) if fault.kind() == ErrorKind::AlreadyExists => Ok(()),
        made => made,
    }
}

fn make_file(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
}

/// What was named in a folder that was not synced may be gone after a loss of power.
fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

#[cfg(test)]
mod tests;
