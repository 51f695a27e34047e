//! The disks that a crash may leave: what a log makes certain, and what it leaves open.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::{Entry, FileNo, IoLog, folder_of};

/// Images per crash point in which an arbitrary subset of the unsynced writes reached the disk and
/// one of them only some of its sectors; one more image tears at an arbitrary byte.
pub(super) const SECTOR_TORN_IMAGES: u64 = 6;
const SECTOR: usize = 512;

/// What is known of the disk after some entries: what is certain, and what is still open.
pub(super) struct Disk<'log> {
    log: &'log IoLog,
    n: usize,
    certain: Vec<Vec<u8>>,
    /// Writes and truncates that no sync covers, in order, with the number of each one's epoch.
    pub(super) pending: Vec<(usize, &'log Entry)>,
    /// What each name may stand for: first what it certainly came to, then each later change.
    pub(super) names: BTreeMap<&'log Path, Vec<Option<FileNo>>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Survival {
    Nothing,
    Everything,
    TornSectors(u64),
    TornByte,
}

impl<'log> Disk<'log> {
    pub(super) fn after(log: &'log IoLog, n: usize) -> Self {
        let entries = || log.entries.iter().take(n).enumerate();
        let mut files_synced = vec![0; log.files];
        let mut folders_synced: HashMap<&Path, usize> = HashMap::new();
        for (_, entry) in entries() {
            let folder_sync = match entry {
                Entry::Sync {
                    file,
                    covers,
                    folder,
                } => {
                    files_synced[*file] = *covers.max(&files_synced[*file]);
                    folder.as_deref().map(|folder| (folder, *covers))
                }
                Entry::Delete { name, covers } => covers.map(|covers| (folder_of(name), covers)),
                _ => None,
            };
            if let Some((folder, covers)) = folder_sync {
                let synced = folders_synced.entry(folder).or_default();
                *synced = covers.max(*synced);
            }
        }

        let mut certain: Vec<Vec<u8>> = log.before.values().cloned().collect();
        certain.resize(log.files, Vec::new());
        let mut names: BTreeMap<_, _> = log
            .before
            .keys()
            .enumerate()
            .map(|(no, name)| (&**name, vec![Some(no)]))
            .collect();
        let mut pending = Vec::new();
        let mut epochs = vec![0; log.files];
        for (at, entry) in entries() {
            let folder_covers =
                |name| at < folders_synced.get(folder_of(name)).copied().unwrap_or(0);
            let (name, now, settled) = match entry {
                Entry::Write { file, .. } | Entry::Truncate { file, .. } => {
                    if at < files_synced[*file] {
                        apply(entry, &mut certain[*file]);
                    } else {
                        // A truncate is an epoch of its own.
                        let truncate = usize::from(matches!(entry, Entry::Truncate { .. }));
                        pending.push((epochs[*file] + truncate, entry));
                        epochs[*file] += 2 * truncate;
                    }
                    continue;
                }
                Entry::Create { name, file } => (
                    name,
                    Some(*file),
                    at < files_synced[*file] || folder_covers(name),
                ),
                Entry::Delete { name, covers } => {
                    (name, None, covers.is_some() || folder_covers(name))
                }
                Entry::Sync { .. } | Entry::Mark(_) => continue,
            };
            let history = names.entry(name).or_insert_with(|| vec![None]);
            if settled {
                history.clear();
            }
            history.push(now);
        }
        Self {
            log,
            n,
            certain,
            pending,
            names,
        }
    }

    pub(super) fn image(&self, survival: Survival, seed: u64) -> CrashImage {
        let variant = match survival {
            Survival::TornSectors(variant) => variant,
            _ => SECTOR_TORN_IMAGES,
        };
        let stream = (self.n as u64)
            .wrapping_mul(SECTOR_TORN_IMAGES + 1)
            .wrapping_add(variant);
        let mut random =
            fastrand::Rng::with_seed(seed ^ stream.wrapping_mul(0x9E37_79B9_7F4A_7C15));

        let mut contents = self.certain.clone();
        self.write_pending(survival, &mut random, &mut contents);
        let mut files = BTreeMap::new();
        for (name, history) in &self.names {
            let chosen = match survival {
                Survival::Nothing => history.first(),
                Survival::Everything => history.last(),
                _ => random.choice(history),
            };
            if let Some(Some(file)) = chosen {
                files.insert((*name).to_owned(), contents[*file].clone());
            }
        }
        let (markers, last) = self.log.entries.iter().take(self.n).fold(
            (Vec::new(), None),
            |(mut markers, _), entry| {
                if let Entry::Mark(label) = entry {
                    markers.push(label.clone());
                }
                (markers, Some(entry))
            },
        );
        let last = last.map_or("nothing".to_owned(), |entry| format!("{entry:?}"));
        let of = self.log.len();
        let label = format!(
            "crash after {} of {of} ({last}), {survival:?}, seed {seed}",
            self.n
        );
        CrashImage {
            files,
            markers,
            label,
        }
    }

    fn write_pending(
        &self,
        survival: Survival,
        random: &mut fastrand::Rng,
        contents: &mut [Vec<u8>],
    ) {
        if survival == Survival::Nothing {
            return;
        }
        let whole = survival == Survival::Everything;
        // Disks that lack almost everything and disks that lack almost nothing hide other faults.
        let percent = random.choice([20, 50, 80, 95]).unwrap_or(50);
        let torn = if whole {
            None
        } else {
            random.choice(0..self.pending.len())
        };
        let mut reaching: Vec<_> = (0..self.pending.len())
            .filter(|&at| whole || Some(at) == torn || random.u8(0..100) < percent)
            .collect();
        if !whole {
            // Any order, except across a truncate: what it cut off cannot reach the disk later.
            random.shuffle(&mut reaching);
            reaching.sort_by_key(|&at| self.pending[at].0);
        }
        for at in reaching {
            let entry = self.pending[at].1;
            match entry {
                Entry::Write {
                    file,
                    offset,
                    bytes,
                } if Some(at) == torn => {
                    let content = &mut contents[*file];
                    if survival == Survival::TornByte {
                        let cut = random.usize(0..=bytes.len());
                        put(content, *offset, &bytes[..cut]);
                    } else {
                        put_some_sectors(content, *offset, bytes, random);
                    }
                }
                Entry::Write { file, .. } | Entry::Truncate { file, .. } => {
                    apply(entry, &mut contents[*file]);
                }
                _ => {}
            }
        }
    }
}

fn apply(entry: &Entry, content: &mut Vec<u8>) {
    match entry {
        Entry::Write { offset, bytes, .. } => put(content, *offset, bytes),
        Entry::Truncate { size, .. } => content.resize(*size, 0),
        _ => {}
    }
}

fn put(content: &mut Vec<u8>, offset: usize, bytes: &[u8]) {
    let end = offset + bytes.len();
    if content.len() < end {
        content.resize(end, 0);
    }
    content[offset..end].copy_from_slice(bytes);
}

fn put_some_sectors(
    content: &mut Vec<u8>,
    offset: usize,
    bytes: &[u8],
    random: &mut fastrand::Rng,
) {
    let mut from = 0;
    while from < bytes.len() {
        let to = bytes.len().min(from + SECTOR - (offset + from) % SECTOR);
        if random.bool() {
            put(content, offset + from, &bytes[from..to]);
        }
        from = to;
    }
}

/// One disk that a crash may have left. Its `Display` says where and how, to replay a failure.
#[derive(Debug, Clone)]
pub struct CrashImage {
    pub(super) files: BTreeMap<PathBuf, Vec<u8>>,
    markers: Vec<String>,
    label: String,
}

impl CrashImage {
    /// The markers that precede the crash, in order.
    #[must_use]
    pub fn markers_before(&self) -> &[String] {
        &self.markers
    }

    /// Writes the files into `folder`, which is made if missing.
    ///
    /// # Errors
    /// If the folder is not empty, or cannot be written.
    pub fn materialise(&self, folder: &Path) -> io::Result<()> {
        fs::create_dir_all(folder)?;
        if fs::read_dir(folder)?.next().is_some() {
            return Err(io::Error::new(
                io::ErrorKind::AlreadyExists,
                "the folder is not empty",
            ));
        }
        for (name, content) in &self.files {
            let path = folder.join(name);
            fs::create_dir_all(folder_of(&path))?;
            fs::write(path, content)?;
        }
        Ok(())
    }
}

impl fmt::Display for CrashImage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.label)
    }
}
