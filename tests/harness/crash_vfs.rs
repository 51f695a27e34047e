//! A recording SQLite VFS, for attacking P1 (saved means saved). It sits in front of the
//! system's own VFS, passes everything through, and keeps a log of what SQLite wrote, synced and
//! deleted below a folder. From that log it builds the disks that a power loss after any entry
//! could have left behind: unsynced writes kept, dropped, reordered or torn.
//!
//! What is durable: a sync of a file covers every write to it that had ended when the sync began,
//! and the file's own directory entry. A sync of the directory (which SQLite asks for with some
//! deletions, and which the first sync of a new journal or WAL brings) covers the entries of all
//! files in it. Everything else is up to the disk.
//!
//! Only SQLite's own calls are seen. Files that exist at the start are taken as durable; `-shm`
//! files are left out, for they do not survive a crash and recovery rebuilds them. Start a
//! recording before the databases are opened: reading a database file beside SQLite and closing it
//! drops this process's POSIX locks on it.

use std::collections::btree_map::Entry as Found;
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

mod disk;
mod sqlite;
#[cfg(test)]
mod tests;

pub use disk::CrashImage;

use disk::{Disk, SECTOR_TORN_IMAGES, Survival};

/// The recording VFS, in place as the default of this process.
#[derive(Debug, Clone, Copy)]
pub struct CrashVfs(());

impl CrashVfs {
    /// Registers the VFS once per process; every connection opened afterwards without naming a
    /// VFS goes through it. The one that it wraps stays reachable under its own name (`unix`).
    #[allow(clippy::must_use_candidate, reason = "called for its effect")]
    pub fn install() -> Self {
        sqlite::real_vfs();
        Self(())
    }
}

/// What SQLite does below one folder, from `start` to `finish`.
#[derive(Debug)]
pub struct Recording {
    root: PathBuf,
}

impl Recording {
    /// Starts to record below `folder`; what is in it now counts as durable.
    ///
    /// # Errors
    /// If the folder cannot be read, or it or a part of it is being recorded already.
    pub fn start(folder: &Path) -> io::Result<Self> {
        CrashVfs::install();
        let root = folder.canonicalize()?;
        let before = read_tree(&root)?;
        let mut recordings = recordings();
        if recordings
            .iter()
            .any(|log| log.root.starts_with(&root) || root.starts_with(&log.root))
        {
            return Err(io::Error::new(
                io::ErrorKind::AlreadyExists,
                "already being recorded",
            ));
        }
        let named = before
            .keys()
            .enumerate()
            .map(|(file, name)| (name.clone(), file))
            .collect();
        recordings.push(IoLog {
            root: root.clone(),
            files: before.len(),
            before,
            named,
            entries: Vec::new(),
        });
        Ok(Self { root })
    }

    /// Notes that something happened in the world outside, such as an answer that was given.
    pub fn mark(&self, label: impl Into<String>) {
        with_log(&self.root, |log, _| {
            log.entries.push(Entry::Mark(label.into()));
        });
    }

    /// Stops recording.
    #[must_use]
    pub fn finish(self) -> IoLog {
        self.take()
            .unwrap_or_else(|| unreachable!("only finish and drop take a recording away"))
    }

    fn take(&self) -> Option<IoLog> {
        let mut recordings = recordings();
        let at = recordings.iter().position(|log| log.root == self.root)?;
        Some(recordings.remove(at))
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        self.take();
    }
}

/// Everything that was seen, in the order in which it ended.
#[derive(Debug)]
pub struct IoLog {
    root: PathBuf,
    /// The files at the start, which have the first numbers in this order.
    before: BTreeMap<PathBuf, Vec<u8>>,
    /// Which file has a name now. A name that is deleted and made anew is a new file.
    named: HashMap<PathBuf, FileNo>,
    files: usize,
    entries: Vec<Entry>,
}

type FileNo = usize;

enum Entry {
    Create {
        name: PathBuf,
        file: FileNo,
    },
    Write {
        file: FileNo,
        offset: usize,
        bytes: Vec<u8>,
    },
    Truncate {
        file: FileNo,
        size: usize,
    },
    /// Covers the entries below `covers`; with `folder`, the names in that folder as well.
    Sync {
        file: FileNo,
        covers: usize,
        folder: Option<PathBuf>,
    },
    /// With `covers`, the folder was synced after it, covering the entries below that as well.
    Delete {
        name: PathBuf,
        covers: Option<usize>,
    },
    Mark(String),
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Create { name, file } => write!(f, "create {} as #{file}", name.display()),
            Self::Write {
                file,
                offset,
                bytes,
            } => {
                write!(f, "write #{file} {}@{offset}", bytes.len())
            }
            Self::Truncate { file, size } => write!(f, "truncate #{file} to {size}"),
            Self::Sync {
                file,
                covers,
                folder,
            } => {
                let and_folder = if folder.is_some() {
                    " and its folder"
                } else {
                    ""
                };
                write!(f, "sync #{file}{and_folder}, covering the first {covers}")
            }
            Self::Delete { name, covers: None } => write!(f, "delete {}", name.display()),
            Self::Delete { name, .. } => write!(f, "delete {}, sync its folder", name.display()),
            Self::Mark(label) => write!(f, "mark {label:?}"),
        }
    }
}

impl IoLog {
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Makes this the log of a disk that only pretends to sync: the same writes, and nothing is ever
    /// certain. For showing that a test notices.
    pub fn forget_syncs(&mut self) {
        for entry in &mut self.entries {
            match entry {
                Entry::Sync { covers, folder, .. } => (*covers, *folder) = (0, None),
                Entry::Delete { covers, .. } => *covers = None,
                _ => {}
            }
        }
    }

    /// The numbers of entries after which a crash is worth trying: all, less those right before a
    /// marker, where the disk is the same as right after it and less is promised.
    pub fn crash_points(&self) -> impl Iterator<Item = usize> {
        (0..=self.len()).filter(|&n| !matches!(self.entries.get(n), Some(Entry::Mark(_))))
    }

    /// Whether a crash after the first `n` entries falls between two writes, of which a log may have very
    /// many.
    #[must_use]
    pub fn is_inside_writes(&self, n: usize) -> bool {
        let is_write = |at: Option<usize>| {
            matches!(
                at.and_then(|at| self.entries.get(at)),
                Some(Entry::Write { .. })
            )
        };
        is_write(n.checked_sub(1)) && is_write(Some(n))
    }

    /// The disks that a crash right after the first `n` entries may leave: nothing unsynced kept,
    /// all of it kept, and mixtures that follow from the seed. One disk if nothing was unsynced.
    pub fn crash_images(&self, n: usize, seed: u64) -> impl Iterator<Item = CrashImage> {
        let disk = Disk::after(self, n.min(self.len()));
        let certain = disk.pending.is_empty() && disk.names.values().all(|name| name.len() == 1);
        let torn = (0..SECTOR_TORN_IMAGES)
            .map(Survival::TornSectors)
            .chain([Survival::TornByte]);
        [Survival::Nothing, Survival::Everything]
            .into_iter()
            .chain(torn)
            .take(if certain { 1 } else { usize::MAX })
            .map(move |survival| disk.image(survival, seed))
    }

    /// The proof that no write went around the recording, for a folder in which SQLite alone was
    /// at work.
    ///
    /// # Errors
    /// If the log does not explain what is in the folder now.
    pub fn check_complete(&self) -> io::Result<()> {
        let mut differing = read_tree(&self.root)?;
        for (name, content) in Disk::after(self, self.len())
            .image(Survival::Everything, 0)
            .files
        {
            match differing.entry(name) {
                Found::Occupied(same) if *same.get() == content => drop(same.remove()),
                Found::Occupied(_) => {}
                Found::Vacant(missing) => drop(missing.insert(content)),
            }
        }
        let differing: Vec<_> = differing.into_keys().collect();
        if differing.is_empty() {
            return Ok(());
        }
        Err(io::Error::other(format!(
            "files changed around the recording: {differing:?}"
        )))
    }

    fn file_at(&mut self, name: &Path) -> FileNo {
        self.named.get(name).copied().unwrap_or_else(|| {
            let file = self.files;
            self.files += 1;
            self.named.insert(name.to_owned(), file);
            self.entries.push(Entry::Create {
                name: name.to_owned(),
                file,
            });
            file
        })
    }

    /// A file was opened that is there already: nothing new, unless something other than SQLite
    /// made it since the start. A known file is not read, for closing it would drop its locks.
    fn adopt(&mut self, name: &Path) {
        if !self.named.contains_key(name)
            && let Ok(bytes) = fs::read(self.root.join(name))
        {
            let file = self.file_at(name);
            self.entries.push(Entry::Write {
                file,
                offset: 0,
                bytes,
            });
        }
    }
}
fn folder_of(name: &Path) -> &Path {
    name.parent().unwrap_or(Path::new(""))
}

fn read_tree(root: &Path) -> io::Result<BTreeMap<PathBuf, Vec<u8>>> {
    let mut files = BTreeMap::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder)? {
            let (path, kind) = entry.and_then(|entry| Ok((entry.path(), entry.file_type()?)))?;
            if kind.is_dir() {
                folders.push(path);
            } else if kind.is_file() && !path.as_os_str().as_bytes().ends_with(b"-shm") {
                let name = path.strip_prefix(root).unwrap_or(&path).to_owned();
                files.insert(name, fs::read(&path)?);
            }
        }
    }
    Ok(files)
}

// The recordings that are running, for SQLite's calls arrive with nothing but a path.

static RECORDINGS: Mutex<Vec<IoLog>> = Mutex::new(Vec::new());

fn recordings() -> MutexGuard<'static, Vec<IoLog>> {
    RECORDINGS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Calls `note` with the recording that `path` falls under, if any, and the name of it there.
fn with_log<T>(path: &Path, note: impl FnOnce(&mut IoLog, &Path) -> T) -> Option<T> {
    let mut recordings = recordings();
    recordings
        .iter_mut()
        .find_map(|log| {
            let name = path.strip_prefix(&log.root).ok()?.to_owned();
            Some((log, name))
        })
        .map(|(log, name)| note(log, &name))
}
