//! The folder itself: whether it is there, may be used, and is still the same; and what lies in it.

use std::collections::HashSet;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use branchline_agent_api::DropFolderState;

use crate::platform::{FileFacts, FileKind, is_remote, look_at_folder};

use super::super::settle::Moment;
use super::watch::{Bell, Watch};

/// How long before a watch that was refused is asked for again.
const WATCH_AGAIN: Duration = Duration::from_secs(60);

/// How a folder can be used just now.
pub(super) enum Standing {
    /// It can be looked at; in this state, for this reason.
    Usable(DropFolderState, Option<String>),
    /// It is not there.
    Missing,
    /// It must not or cannot be used.
    Trouble(String),
}

/// One drop folder and the watch on it.
pub(super) struct Folder {
    path: PathBuf,
    own_folders: Vec<PathBuf>,
    bell: Arc<Bell>,
    identity: Option<[u8; 16]>,
    watch: Option<Watch>,
    refused: Option<(Moment, String)>,
}

impl Folder {
    pub(super) fn new(path: PathBuf, own_folders: Vec<PathBuf>, bell: Arc<Bell>) -> Self {
        Self {
            path,
            own_folders,
            bell,
            identity: None,
            watch: None,
            refused: None,
        }
    }

    /// Looks at the folder and watches it if it can. Comes before listing it, so that nothing is lost
    /// between the two. Answers also whether it is another folder than at the last visit.
    pub(super) fn visit(&mut self, now: Moment) -> (Standing, bool) {
        let facts = match look_at_folder(&self.path) {
            Ok(facts) => facts,
            Err(fault) => {
                let changed = self.leave();
                return (standing(&fault), changed);
            }
        };
        if let Some(words) = self.must_not_be_used(&facts) {
            let changed = self.leave();
            return (Standing::Trouble(words), changed);
        }
        let changed = self.identity != Some(facts.print.identity);
        if changed {
            self.leave();
            self.identity = Some(facts.print.identity);
        }
        (self.watched(now), changed)
    }

    /// Gives up the watch. Answers whether there was a folder before.
    pub(super) fn leave(&mut self) -> bool {
        self.watch = None;
        self.refused = None;
        self.identity.take().is_some()
    }

    fn watched(&mut self, now: Moment) -> Standing {
        if self.watch.is_some() {
            return Standing::Usable(DropFolderState::Watching, None);
        }
        let refused = match self.refused.take() {
            Some((until, words)) if now < until => (until, words),
            _ => match self.start_watch() {
                Ok(()) => return Standing::Usable(DropFolderState::Watching, None),
                Err(words) => (now.saturating_add(WATCH_AGAIN), words),
            },
        };
        let words = refused.1.clone();
        self.refused = Some(refused);
        Standing::Usable(DropFolderState::Polling, Some(words))
    }

    fn start_watch(&mut self) -> Result<(), String> {
        if is_remote(&self.path) {
            return Err("it lies on another machine, which does not tell of changes".to_owned());
        }
        self.watch = Some(Watch::start(&self.path, &self.bell)?);
        Ok(())
    }

    /// Settings cannot tell where a link leads; the disk can.
    fn must_not_be_used(&self, facts: &FileFacts) -> Option<String> {
        if facts.kind != FileKind::Folder {
            return Some("it is not a folder".to_owned());
        }
        let is_own = |own: &Path| {
            look_at_folder(own).is_ok_and(|own| own.print.identity == facts.print.identity)
        };
        self.own_folders
            .iter()
            .any(|own| is_own(own))
            .then(|| "it leads to the agent's own data or settings; name another folder".to_owned())
    }
}

fn standing(fault: &io::Error) -> Standing {
    match fault.kind() {
        io::ErrorKind::NotFound => Standing::Missing,
        _ => Standing::Trouble(fault.to_string()),
    }
}

/// Names in a folder, with a bound on what is remembered of them.
#[derive(Default)]
pub(super) struct Names {
    seen: HashSet<u64>,
    overflow: bool,
}

/// Names whose presence is remembered in one listing: 8 MiB, and ten times what is filed of one folder.
const SEEN_NAMES: usize = 1_000_000;

impl Names {
    /// A name is in the folder.
    pub(super) fn add(&mut self, name: &[u8]) {
        if self.seen.len() < SEEN_NAMES {
            self.seen.insert(hash(name));
        } else {
            self.overflow = true;
        }
    }

    /// Whether a name was surely not in the folder.
    pub(super) fn lacks(&self, name: &[u8]) -> bool {
        !self.overflow && !self.seen.contains(&hash(name))
    }
}

fn hash(name: &[u8]) -> u64 {
    let hash = *blake3::hash(name).as_bytes();
    hash.first_chunk::<8>()
        .map_or(0, |bytes| u64::from_be_bytes(*bytes))
}

/// A folder's names, one after another, however many there are.
pub(super) struct Listing(std::fs::ReadDir);

impl Listing {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        std::fs::read_dir(path).map(Self)
    }

    /// The next names, at most `most`; empty at the end.
    pub(super) fn next(&mut self, most: usize) -> io::Result<Vec<OsString>> {
        let names = self.0.by_ref().take(most);
        names
            .map(|entry| entry.map(|entry| entry.file_name()))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg_attr(
        windows,
        ignore = "Wine keeps the name of a folder that was removed while it is open"
    )]
    fn a_folder_that_is_replaced_is_noticed_and_the_agents_own_is_refused() {
        let top = tempfile::tempdir().unwrap();
        let (path, own) = (top.path().join("in"), top.path().join("own"));
        std::fs::create_dir(&own).unwrap();
        let mut folder = Folder::new(path.clone(), vec![own.clone()], Arc::default());
        let now = Moment::ZERO;
        assert!(matches!(folder.visit(now), (Standing::Missing, false)));
        std::fs::create_dir(&path).unwrap();
        assert!(matches!(folder.visit(now), (Standing::Usable(..), true)));
        assert!(matches!(folder.visit(now), (Standing::Usable(..), false)));
        std::fs::rename(&path, top.path().join("away")).unwrap();
        std::fs::create_dir(&path).unwrap();
        assert!(matches!(folder.visit(now), (Standing::Usable(..), true)));
        std::fs::remove_dir(&path).unwrap();
        std::fs::write(&path, "").unwrap();
        assert!(matches!(folder.visit(now), (Standing::Trouble(_), true)));
        #[cfg(unix)]
        {
            std::fs::remove_file(&path).unwrap();
            std::os::unix::fs::symlink(&own, &path).unwrap();
            assert!(matches!(folder.visit(now), (Standing::Trouble(_), _)));
        }
    }
}
