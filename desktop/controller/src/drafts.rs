//! What was begun and is not saved with the agent yet, kept on disk so that a crash, a log-off or an agent
//! that is away loses nothing.
//!
//! Layout: `drafts/ID.json`, one file each, replaced as a whole (written beside, synced, renamed, folder
//! synced); what was pasted lies beside as `ID/FILE`. Invariants:
//! - A draft has the ids of its operations from its beginning, and keeps them: handing it in again after a
//!   lost answer files nothing twice.
//! - It goes away when the agent has answered for all of it, or when its person throws it away.
//!
//! Recovery: a file that cannot be read is set aside under another name, and the others are there. Files of
//! the disk are kept as paths and read when they are handed in; one that is gone by then is said by name.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use branchline_protocol::id::{OperationId, TicketNumber};
use branchline_protocol::limits;
use branchline_protocol::text::clipped;
use serde::{Deserialize, Serialize};

use crate::view::DraftText;

/// Drafts kept at once: one for each ticket that somebody may be answering, and room.
pub const DRAFTS: usize = 200;
/// Files of one draft.
pub const DRAFT_FILES: usize = 50;
/// Bytes of something pasted: a large screen, several times.
pub const PASTED_BYTES: usize = 64 * 1024 * 1024;

/// A draft as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Draft {
    /// Names the draft, and its first operation.
    pub id: OperationId,
    /// The ticket that it adds to; absent for a new one.
    pub on: Option<TicketNumber>,
    /// What was written.
    pub text: DraftText,
    /// Its files, in order.
    pub files: Vec<DraftFile>,
    /// It was handed in.
    pub handed_in: bool,
    /// The ticket it became or was added to, once the agent has answered for the text.
    pub number: Option<TicketNumber>,
}

/// A file of a draft.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DraftFile {
    /// Names it, and its operation.
    pub id: OperationId,
    /// Where it is.
    pub path: PathBuf,
    /// Its name.
    pub name: String,
    /// Its size when it was added.
    pub size: u64,
    /// It was pasted: the copy here is the only one, and goes with the draft.
    pub pasted: bool,
    /// The agent has answered for it.
    pub saved: bool,
}

impl Draft {
    /// What it says can still be changed.
    pub fn is_writable(&self) -> bool {
        !self.handed_in && self.number.is_none()
    }

    /// Nothing was written and nothing added.
    pub fn is_empty(&self) -> bool {
        let DraftText {
            subject,
            text,
            asset,
            ..
        } = &self.text;
        let blank = |text: &str| text.trim().is_empty();
        self.files.is_empty() && blank(subject) && blank(text) && blank(asset)
    }
}

/// Why a draft cannot be changed as asked.
#[derive(Debug, thiserror::Error)]
pub enum DraftError {
    /// There is none of this id any more.
    #[error("there is no such draft")]
    Unknown,
    /// It was handed in: what it says is on its way.
    #[error("the draft has been handed in")]
    HandedIn,
    /// There are too many files, or too many drafts.
    #[error("there are too many of them")]
    TooMany,
    /// The disk said no. What is in memory holds.
    #[error("keep a draft: {0}")]
    Disk(#[from] io::Error),
}

/// All drafts of this person.
#[derive(Debug)]
pub struct Drafts {
    folder: PathBuf,
    kept: Mutex<BTreeMap<OperationId, Draft>>,
}

impl Drafts {
    /// Those of this folder, which is made where it is missing.
    pub fn open(folder: &Path) -> io::Result<Self> {
        make_private(folder)?;
        let mut kept = BTreeMap::new();
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if path.extension().is_none_or(|extension| extension != "json") {
                continue;
            }
            match read(&path) {
                Ok(draft) => {
                    kept.insert(draft.id, draft);
                }
                Err(fault) => {
                    // Whoever wrote it can still be helped by hand; the others must not wait for that.
                    tracing::warn!(error = %fault, file = %path.display(), "set a draft aside");
                    let _ = fs::rename(&path, path.with_extension("damaged"));
                }
            }
        }
        Ok(Self {
            folder: folder.to_owned(),
            kept: Mutex::new(kept),
        })
    }

    /// All of them, oldest first.
    pub fn all(&self) -> Vec<Draft> {
        self.lock().values().cloned().collect()
    }

    /// One of them.
    pub fn get(&self, id: OperationId) -> Option<Draft> {
        self.lock().get(&id).cloned()
    }

    /// The one that is being written on this ticket, or for a new one; begun where there is none.
    pub fn begun(
        &self,
        on: Option<&TicketNumber>,
        id: impl FnOnce() -> OperationId,
    ) -> Result<Draft, DraftError> {
        let mut kept = self.lock();
        let being_written = |draft: &&Draft| draft.is_writable() && draft.on.as_ref() == on;
        if let Some(draft) = kept.values().find(being_written) {
            return Ok(draft.clone());
        }
        if kept.len() >= DRAFTS {
            return Err(DraftError::TooMany);
        }
        let draft = Draft {
            id: id(),
            on: on.cloned(),
            text: DraftText::default(),
            files: Vec::new(),
            handed_in: false,
            number: None,
        };
        // In memory alone until something is written: an empty form is nothing to keep.
        kept.insert(draft.id, draft.clone());
        Ok(draft)
    }

    /// Keeps what was written. Durable when it returns.
    pub fn write(&self, id: OperationId, text: DraftText) -> Result<Draft, DraftError> {
        self.change(id, |draft| {
            if !draft.is_writable() {
                return Err(DraftError::HandedIn);
            }
            draft.text = bounded(text);
            Ok(())
        })
    }

    /// Adds files of the disk. They are looked at, not read.
    pub fn add_files(
        &self,
        id: OperationId,
        files: Vec<(OperationId, PathBuf)>,
    ) -> Result<Draft, DraftError> {
        self.change(id, |draft| {
            if draft.handed_in {
                return Err(DraftError::HandedIn);
            }
            for (id, path) in files {
                let known = draft.files.iter().any(|file| file.path == path);
                let facts = fs::metadata(&path)?;
                if known || !facts.is_file() {
                    continue;
                }
                if draft.files.len() >= DRAFT_FILES {
                    return Err(DraftError::TooMany);
                }
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                let (name, size) = (name.into_owned(), facts.len());
                draft.files.push(DraftFile {
                    id,
                    path,
                    name,
                    size,
                    pasted: false,
                    saved: false,
                });
            }
            Ok(())
        })
    }

    /// Adds what was pasted; its bytes are kept here.
    pub fn add_pasted(
        &self,
        id: OperationId,
        file: OperationId,
        name: &str,
        bytes: &[u8],
    ) -> Result<Draft, DraftError> {
        if bytes.len() > PASTED_BYTES {
            return Err(DraftError::TooMany);
        }
        let draft = self.get(id).ok_or(DraftError::Unknown)?;
        if draft.handed_in {
            return Err(DraftError::HandedIn);
        }
        if draft.files.len() >= DRAFT_FILES {
            return Err(DraftError::TooMany);
        }
        let folder = self.folder.join(id.to_string());
        make_private(&folder)?;
        let path = folder.join(file.to_string());
        write_synced(&path, bytes)?;
        sync_folder(&folder)?;
        self.change(id, |draft| {
            draft.files.push(DraftFile {
                id: file,
                path,
                name: clipped(name, limits::FILE_NAME_CHARS).to_owned(),
                size: bytes.len() as u64,
                pasted: true,
                saved: false,
            });
            Ok(())
        })
    }

    /// Leaves a file out, unless it is saved already.
    pub fn remove_file(&self, id: OperationId, file: OperationId) -> Result<Draft, DraftError> {
        let mut gone = None;
        let changed = self.change(id, |draft| {
            let place = draft
                .files
                .iter()
                .position(|known| known.id == file && !known.saved);
            gone = place.map(|place| draft.files.remove(place));
            Ok(())
        })?;
        if let Some(file) = gone.filter(|file| file.pasted) {
            let _ = fs::remove_file(file.path);
        }
        Ok(changed)
    }

    /// Handed in, or given back to be changed.
    pub fn hand_in(&self, id: OperationId, handed_in: bool) -> Result<Draft, DraftError> {
        self.change(id, |draft| {
            draft.handed_in = handed_in;
            Ok(())
        })
    }

    /// The agent has answered for the text.
    pub fn text_saved(&self, id: OperationId, number: TicketNumber) -> Result<Draft, DraftError> {
        self.change(id, |draft| {
            draft.number = Some(number);
            Ok(())
        })
    }

    /// The agent has answered for a file.
    pub fn file_saved(&self, id: OperationId, file: OperationId) -> Result<Draft, DraftError> {
        self.change(id, |draft| {
            for known in draft.files.iter_mut().filter(|known| known.id == file) {
                known.saved = true;
            }
            Ok(())
        })
    }

    /// Goes away for good.
    pub fn remove(&self, id: OperationId) -> Result<(), DraftError> {
        let mut kept = self.lock();
        let path = self.path(id);
        if path.exists() {
            fs::remove_file(&path)?;
            sync_folder(&self.folder)?;
        }
        let pasted = self.folder.join(id.to_string());
        if pasted.exists() {
            let _ = fs::remove_dir_all(pasted);
        }
        kept.remove(&id);
        Ok(())
    }

    /// Changes a draft, durably. Where the disk says no, memory keeps the change all the same: it is the
    /// only copy then.
    fn change(
        &self,
        id: OperationId,
        change: impl FnOnce(&mut Draft) -> Result<(), DraftError>,
    ) -> Result<Draft, DraftError> {
        let mut kept = self.lock();
        let draft = kept.get_mut(&id).ok_or(DraftError::Unknown)?;
        change(draft)?;
        let bytes = serde_json::to_vec_pretty(draft).map_err(io::Error::other)?;
        let path = self.path(id);
        let beside = path.with_extension("new");
        write_synced(&beside, &bytes)?;
        fs::rename(&beside, &path)?;
        sync_folder(&self.folder)?;
        Ok(draft.clone())
    }

    fn path(&self, id: OperationId) -> PathBuf {
        self.folder.join(format!("{id}.json"))
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<OperationId, Draft>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Bounds what is kept, whatever a window sends; the agent judges what is filed (P8).
fn bounded(text: DraftText) -> DraftText {
    // Beyond the agent's own bounds, so that what somebody pasted is not cut without a word.
    let keep = |text: String, most: usize| clipped(&text, most.saturating_mul(4)).to_owned();
    DraftText {
        subject: keep(text.subject, limits::SUBJECT_CHARS),
        text: keep(text.text, limits::TEXT_CHARS),
        category: keep(text.category, limits::CATEGORY_CHARS),
        priority: keep(text.priority, limits::CATEGORY_CHARS),
        asset: keep(text.asset, limits::ASSET_CHARS),
        phone: keep(text.phone, limits::PHONE_CHARS),
    }
}

fn read(path: &Path) -> io::Result<Draft> {
    serde_json::from_slice(&fs::read(path)?).map_err(io::Error::other)
}

pub(crate) fn write_synced(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

#[cfg(unix)]
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// NTFS keeps its own log of names.
#[cfg(not(unix))]
pub(crate) fn sync_folder(_folder: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(unix)]
pub(crate) fn make_private(folder: &Path) -> io::Result<()> {
    use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)?;
    fs::set_permissions(folder, fs::Permissions::from_mode(0o700))
}

/// A person's own folder on Windows is theirs alone.
#[cfg(not(unix))]
pub(crate) fn make_private(folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)
}

#[cfg(test)]
mod tests;
