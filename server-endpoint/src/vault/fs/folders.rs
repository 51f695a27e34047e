//! The vault's folders: made when first needed, and durable before anything in them is answered for.

use std::collections::HashSet;
use std::fmt::Write;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use rustix::fs::{FlockOperation, StatVfs, flock, statvfs};

use super::partial::Partial;
use super::{make_folder, sync_folder};

const PARTIAL: &str = "partial";
const SHELVES: [&str; 4] = [PARTIAL, "incoming", "quarantine", "released"];

pub(super) struct Folders {
    root: PathBuf,
    /// Those that this process has seen become durable. Another one may have made a folder a moment ago
    /// and not have synced it yet.
    durable: Mutex<HashSet<(&'static str, u8)>>,
}

impl Folders {
    pub(super) fn new(root: PathBuf) -> Self {
        Self {
            root,
            durable: Mutex::default(),
        }
    }

    /// Of the disk that they are on.
    pub(super) fn space(&self) -> io::Result<StatVfs> {
        match statvfs(&self.root).map_err(io::Error::from) {
            Err(fault) if fault.kind() == ErrorKind::NotFound => {
                self.prepare()?;
                Ok(statvfs(&self.root)?)
            }
            space => space,
        }
    }

    /// Makes what is missing, and removes what nobody writes any more.
    pub(super) fn prepare(&self) -> io::Result<()> {
        make_folder(&self.root)?;
        for shelf in SHELVES {
            make_folder(&self.root.join(shelf))?;
        }
        sync_folder(&self.root)?;
        if let Some(above) = self.root.parent() {
            sync_folder(above)?;
        }
        self.sweep()
    }

    /// Removes what nobody writes any more. Nothing can be begun meanwhile: a file that is made and not
    /// locked yet would look like a left-over.
    fn sweep(&self) -> io::Result<()> {
        let folder = self.root.join(PARTIAL);
        let sweeping = File::open(&folder)?;
        flock(&sweeping, FlockOperation::LockExclusive)?;
        for entry in std::fs::read_dir(&folder)? {
            match remove_unlocked(&entry?.path()) {
                Err(fault) if fault.kind() != ErrorKind::NotFound => return Err(fault),
                _ => {}
            }
        }
        Ok(())
    }

    /// Begins a file that has no name yet.
    pub(super) fn begin(&self) -> io::Result<Partial> {
        let folder = self.root.join(PARTIAL);
        let not_swept = match File::open(&folder) {
            Err(fault) if fault.kind() == ErrorKind::NotFound => {
                self.prepare()?;
                File::open(&folder)?
            }
            opened => opened?,
        };
        flock(&not_swept, FlockOperation::LockShared)?;
        Partial::begin(folder.join(random_name()?))
    }

    pub(super) fn path(&self, of: &str, part: u8) -> PathBuf {
        self.root.join(of).join(format!("{part:02x}"))
    }

    /// The folder, made and durable.
    pub(super) fn ensure(&self, of: &'static str, part: u8) -> io::Result<PathBuf> {
        let path = self.path(of, part);
        let known = self.lock().contains(&(of, part));
        // Somebody may have tidied up.
        if known && path.is_dir() {
            return Ok(path);
        }
        let above = self.root.join(of);
        match make_folder(&path) {
            Err(fault) if fault.kind() == ErrorKind::NotFound => {
                self.prepare()?;
                make_folder(&path)?;
            }
            made => made?,
        }
        sync_folder(&above)?;
        self.lock().insert((of, part));
        Ok(path)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashSet<(&'static str, u8)>> {
        // Nothing in here can panic half-way.
        self.durable.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn random_name() -> io::Result<String> {
    let mut random = [0; 16];
    getrandom::fill(&mut random).map_err(io::Error::other)?;
    let mut name = String::with_capacity(32);
    for byte in random {
        let _ = write!(name, "{byte:02x}");
    }
    Ok(name)
}

/// Removes a file unless somebody, of whatever process, holds its lock.
fn remove_unlocked(path: &Path) -> io::Result<()> {
    let file = File::open(path)?;
    if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
        return Ok(());
    }
    std::fs::remove_file(path)
}
