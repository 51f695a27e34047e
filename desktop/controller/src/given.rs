//! Files that central gave with its answers: how they stand here, and putting one where its person wants it.
//!
//! Invariants:
//! - Under the chosen name lies the whole file, proven by its root (P4), or what lay there before. Bytes go
//!   into a file beside it, which takes its name once it is whole and synced, and goes away otherwise.
//! - Nothing is opened or run, and nothing is written that could be.
//! - The name that central gave is never a path: what is offered to the person is made safe first.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use branchline_agent_api::{ClientError, GivenState, TicketDetails};
use branchline_protocol::desk::OfferedFile;
use branchline_protocol::file_name::safe_name;
use branchline_protocol::id::FileId;
use branchline_protocol::problem::ErrorClass;

use crate::agent::Agent;
use crate::controller::{Controller, new_id};
use crate::drafts::sync_folder;
use crate::view::{FileKept, Trouble};
use crate::words::{Language, put};

/// How the files of a ticket's answers stand.
pub type Standings = HashMap<FileId, GivenState>;

/// Why a file is not where it was wanted.
#[derive(Debug, thiserror::Error)]
pub enum GivenFault {
    /// The agent does not give it.
    #[error(transparent)]
    Agent(#[from] ClientError),
    /// It is not on this computer.
    #[error("the file is not here")]
    NotHere(GivenState),
    /// What is here is not what central gave.
    #[error("the file was damaged on this computer's disk")]
    Decayed,
    /// It cannot be written at that place.
    #[error("write the file: {0}")]
    Place(#[source] io::Error),
}

impl GivenFault {
    /// Who must act.
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::Agent(fault) => fault.class(),
            Self::NotHere(GivenState::Wanted) => ErrorClass::TryAgain,
            Self::NotHere(_) => ErrorClass::FixInput,
            Self::Place(fault) if has_no_room(fault) || is_wrong_place(fault) => {
                ErrorClass::FixInput
            }
            Self::Place(_) | Self::Decayed => ErrorClass::CallIt,
        }
    }

    fn trouble(&self, language: Language) -> Trouble {
        let words = language.words();
        let (what, todo) = match (self, self.class()) {
            (Self::Decayed, _) => words.given_decayed,
            (Self::NotHere(GivenState::Wanted), _) => words.given_later,
            (Self::Place(fault), _) if has_no_room(fault) => words.place_full,
            (Self::Place(_), ErrorClass::FixInput) => words.place_wrong,
            (Self::Place(_), _) => words.place_fault,
            (_, ErrorClass::TryAgain) => words.given_away,
            (_, ErrorClass::FixInput) => words.given_not_here,
            (_, ErrorClass::CallIt) => words.given_fault,
        };
        Trouble {
            what: put(what, &self.to_string()),
            todo: todo.to_owned(),
        }
    }
}

fn has_no_room(fault: &io::Error) -> bool {
    matches!(
        fault.kind(),
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge
    )
}

/// Another folder or another name would do.
fn is_wrong_place(fault: &io::Error) -> bool {
    matches!(
        fault.kind(),
        ErrorKind::NotFound
            | ErrorKind::PermissionDenied
            | ErrorKind::ReadOnlyFilesystem
            | ErrorKind::NotADirectory
            | ErrorKind::IsADirectory
            | ErrorKind::DirectoryNotEmpty
            | ErrorKind::InvalidFilename
            | ErrorKind::InvalidInput
            | ErrorKind::ResourceBusy
    )
}

impl<A: Agent> Controller<A> {
    /// A file that central gave and that is on this computer.
    pub async fn given(&self, id: FileId) -> Result<OfferedFile, FileKept> {
        let given = self.agent().given(id).await;
        let fault = match given {
            Ok(given) if given.state == GivenState::Here => return Ok(given.file),
            Ok(given) => GivenFault::NotHere(given.state),
            Err(fault) => fault.into(),
        };
        Err(self.not_kept(&fault))
    }

    /// Puts it where its person chose, over what is there: they were asked. Whole and proven when it returns
    /// that it was kept. Disks and shares may make it wait, so that it has a thread of its own.
    pub async fn keep_given(&self, file: OfferedFile, to: PathBuf) -> FileKept {
        let (agent, runtime) = (self.agent().clone(), tokio::runtime::Handle::current());
        let place = to.clone();
        let putting =
            tokio::task::spawn_blocking(move || runtime.block_on(fetch(&agent, &file, &to)));
        let fetched = putting
            .await
            .unwrap_or_else(|fault| Err(GivenFault::Place(io::Error::other(fault))));
        match fetched {
            Ok(()) => FileKept::Kept {
                words: put(
                    self.language().words().kept_at,
                    &place.display().to_string(),
                ),
            },
            Err(fault) => self.not_kept(&fault),
        }
    }

    fn not_kept(&self, fault: &GivenFault) -> FileKept {
        tracing::warn!(error = %fault, "save a file that central gave");
        FileKept::Refused {
            trouble: fault.trouble(self.language()),
        }
    }

    /// How the files of its answers stand, as the agent knows.
    pub(crate) async fn standings(&self, ticket: &TicketDetails) -> Result<Standings, ClientError> {
        let mut standings = Standings::new();
        for file in ticket.replies.iter().flat_map(|reply| &reply.files) {
            let state = match self.agent().given(file.file).await {
                Ok(given) => given.state,
                // More than the agent keeps count of: it has not got it.
                Err(ClientError::Problem(_)) => GivenState::Gone,
                Err(fault) => return Err(fault),
            };
            standings.insert(file.file, state);
        }
        Ok(standings)
    }
}

/// The name to offer for it.
pub fn offered_name(file: &OfferedFile) -> String {
    safe_name(&file.name)
}

async fn fetch<A: Agent>(agent: &A, file: &OfferedFile, to: &Path) -> Result<(), GivenFault> {
    let mut beside = Beside::make(to).map_err(GivenFault::Place)?;
    let mut hasher = blake3::Hasher::new();
    let mut unwritten = None;
    let take = |piece: &[u8]| {
        hasher.update(piece);
        beside.file.write_all(piece).map_err(|fault| {
            unwritten = Some(fault);
            io::Error::other("it cannot be written")
        })
    };
    let fetched = agent.given_content(file.file, take).await;
    if let Some(fault) = unwritten {
        return Err(GivenFault::Place(fault));
    }
    fetched?;
    if *hasher.finalize().as_bytes() != file.root.0 {
        return Err(GivenFault::Decayed);
    }
    beside.become_file(to).map_err(GivenFault::Place)
}

/// What is written before it is whole, in the same folder. Gone when dropped, unless it took its name.
struct Beside {
    path: PathBuf,
    file: File,
}

impl Beside {
    fn make(to: &Path) -> io::Result<Self> {
        let path = folder_of(to).join(format!(".branchline-{}.part", new_id()));
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(&path)?;
        Ok(Self { path, file })
    }

    fn become_file(&self, to: &Path) -> io::Result<()> {
        self.file.sync_all()?;
        fs::rename(&self.path, to)?;
        // It is there; what a share cannot do does not undo that.
        if let Err(fault) = sync_folder(folder_of(to)) {
            tracing::debug!(error = %fault, "sync the folder of a saved file");
        }
        Ok(())
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_says_who_must_act_and_what_to_do_in_every_language() {
        let place = |kind: ErrorKind| GivenFault::Place(kind.into());
        let away = || ClientError::NotRunning {
            socket: "x".to_owned(),
            fault: "gone".to_owned(),
        };
        let faults = [
            (GivenFault::Agent(away()), ErrorClass::TryAgain),
            (
                GivenFault::Agent(ClientError::Unreadable("x".to_owned())),
                ErrorClass::CallIt,
            ),
            (
                GivenFault::NotHere(GivenState::Wanted),
                ErrorClass::TryAgain,
            ),
            (GivenFault::NotHere(GivenState::Gone), ErrorClass::FixInput),
            (
                GivenFault::NotHere(GivenState::Refused),
                ErrorClass::FixInput,
            ),
            (GivenFault::Decayed, ErrorClass::CallIt),
            (place(ErrorKind::StorageFull), ErrorClass::FixInput),
            (place(ErrorKind::PermissionDenied), ErrorClass::FixInput),
            (place(ErrorKind::Other), ErrorClass::CallIt),
        ];
        for language in Language::ALL {
            for (fault, class) in &faults {
                assert_eq!(fault.class(), *class, "{fault}");
                let told = fault.trouble(language);
                assert!(!told.what.is_empty() && !told.todo.is_empty(), "{told:?}");
                assert!(!told.what.contains("{}"), "{told:?}");
            }
        }
    }

    #[test]
    fn a_name_from_central_is_no_path() {
        let file = |name: &str| OfferedFile {
            file: new_id().into(),
            name: name.to_owned(),
            size: 0,
            root: branchline_protocol::id::Digest([0; 32]),
        };
        for (name, safe) in [
            ("../../etc/passwd", "passwd"),
            (r"C:\Windows\CON", "_CON"),
            (".bashrc", "_bashrc"),
            ("invoice\u{202e}fdp.exe", "invoice_fdp.exe"),
            ("", "file"),
        ] {
            assert_eq!(offered_name(&file(name)), safe, "{name}");
        }
    }
}
