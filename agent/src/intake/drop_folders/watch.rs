//! Being told of changes in a folder, by `notify`. What the system tells may be late, twice, or lost;
//! it only says where to look, and a slow rescan finds the rest.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use notify::event::{AccessKind, AccessMode, EventKind, ModifyKind, RenameMode};
use notify::{ErrorKind, Event, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::Notify;

/// Names kept between two looks; beyond that the whole folder is looked at (P8).
const NAMES: usize = 4_096;

/// What was heard since the last look.
#[derive(Debug, Default)]
pub(super) struct Heard {
    /// Names to look at, and whether each was moved into place and not written to since.
    pub(super) names: HashMap<OsString, bool>,
    /// Look at everything: something was lost, or the folder itself changed.
    pub(super) everything: bool,
}

/// Between whoever hears and the loop that looks.
#[derive(Debug, Default)]
pub(super) struct Bell {
    heard: Mutex<Heard>,
    rung: Notify,
}

impl Bell {
    /// Waits until there is something to look at.
    pub(super) async fn rung(&self) {
        self.rung.notified().await;
    }

    /// Takes what was heard.
    pub(super) fn take(&self) -> Heard {
        std::mem::take(&mut self.heard.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn hear(&self, hear: impl FnOnce(&mut Heard)) {
        hear(&mut self.heard.lock().unwrap_or_else(PoisonError::into_inner));
        self.rung.notify_one();
    }

    fn everything(&self) {
        self.hear(|heard| heard.everything = true);
    }

    /// `moved_in` is `None` for what says nothing about that.
    fn name(&self, name: &OsStr, moved_in: Option<bool>) {
        self.hear(|heard| {
            if let Some(known) = heard.names.get_mut(name) {
                *known = moved_in.unwrap_or(*known);
            } else if heard.names.len() < NAMES {
                heard
                    .names
                    .insert(name.to_owned(), moved_in.unwrap_or(false));
            } else {
                heard.everything = true;
            }
        });
    }

    /// What one event means for a folder.
    fn event(&self, folder: &Path, event: &Event) {
        if event.need_rescan() {
            return self.everything();
        }
        let moved_in = match event.kind {
            // The agent's own reading among them.
            EventKind::Access(kind) if kind != AccessKind::Close(AccessMode::Write) => return,
            EventKind::Modify(ModifyKind::Name(RenameMode::To | RenameMode::Both)) => Some(true),
            EventKind::Modify(ModifyKind::Metadata(_)) => None,
            _ => Some(false),
        };
        // A rename names the old place and the new one.
        let last = event.paths.len().saturating_sub(1);
        for (index, path) in event.paths.iter().enumerate() {
            match (path.file_name(), path.parent()) {
                _ if path == folder => self.everything(),
                (Some(name), Some(parent)) if parent == folder => {
                    self.name(name, moved_in.map(|moved_in| moved_in && index == last));
                }
                _ => {}
            }
        }
    }
}

/// Hears of a folder for as long as it lives.
pub(super) struct Watch {
    _watcher: RecommendedWatcher,
}

impl Watch {
    /// Watches a folder. The error says why not, in words for the status.
    pub(super) fn start(folder: &Path, bell: &Arc<Bell>) -> Result<Self, String> {
        if are_watches_refused() {
            return Err(limit_words());
        }
        let (heard, of): (Arc<Bell>, PathBuf) = (bell.clone(), folder.to_owned());
        let mut watcher = notify::recommended_watcher(move |event| match event {
            Ok(event) => heard.event(&of, &event),
            Err(_) => heard.everything(),
        })
        .map_err(|fault| words(&fault))?;
        watcher
            .watch(folder, RecursiveMode::NonRecursive)
            .map_err(|fault| words(&fault))?;
        Ok(Self { _watcher: watcher })
    }
}

fn words(fault: &notify::Error) -> String {
    const TOO_MANY_FILES: i32 = 24;
    match &fault.kind {
        ErrorKind::MaxFilesWatch => limit_words(),
        ErrorKind::Io(fault) if fault.raw_os_error() == Some(TOO_MANY_FILES) => limit_words(),
        _ => format!("the folder cannot be watched: {fault}"),
    }
}

fn limit_words() -> String {
    "the system's limit of watches is reached (on Linux fs.inotify.max_user_watches and \
     max_user_instances)"
        .to_owned()
}

/// Lets a test of the real program see what a machine does that has no watches left.
fn are_watches_refused() -> bool {
    cfg!(debug_assertions) && std::env::var_os("BRANCHLINE_NO_WATCHES").is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(kind: EventKind, paths: &[&str]) -> Event {
        let mut event = Event::new(kind);
        for path in paths {
            event = event.add_path(PathBuf::from(path));
        }
        event
    }

    #[test]
    fn a_rename_into_place_is_told_from_a_change() {
        let bell = Bell::default();
        let folder = Path::new("/in");
        let renamed = |mode| EventKind::Modify(ModifyKind::Name(mode));
        bell.event(
            folder,
            &event(renamed(RenameMode::Both), &["/in/a.part", "/in/a"]),
        );
        bell.event(folder, &event(renamed(RenameMode::To), &["/in/b"]));
        bell.event(folder, &event(renamed(RenameMode::From), &["/in/c"]));
        bell.event(folder, &event(renamed(RenameMode::To), &["/in/d"]));
        bell.event(folder, &event(EventKind::Any, &["/in/d", "/in/below/e"]));
        let owned = EventKind::Modify(ModifyKind::Metadata(notify::event::MetadataKind::Any));
        bell.event(folder, &event(owned, &["/in/b"]));
        let heard = bell.take();
        let mut names: Vec<_> = heard.names.into_iter().collect();
        names.sort();
        let expected = [
            ("a", true),
            ("a.part", false),
            ("b", true),
            ("c", false),
            ("d", false),
        ];
        assert_eq!(names, expected.map(|(name, moved)| (name.into(), moved)));
        assert!(!heard.everything);
    }

    #[test]
    fn at_the_bound_and_after_losses_everything_is_looked_at() {
        let bell = Bell::default();
        for n in 0..=NAMES {
            bell.name(OsStr::new(&n.to_string()), Some(true));
        }
        let heard = bell.take();
        assert!(heard.everything && heard.names.len() == NAMES);
        bell.event(Path::new("/in"), &event(EventKind::Any, &["/in"]));
        assert!(bell.take().everything);
        let lost = Event::new(EventKind::Other).set_flag(notify::event::Flag::Rescan);
        bell.event(Path::new("/in"), &lost);
        assert!(bell.take().everything);
        let read = EventKind::Access(AccessKind::Close(AccessMode::Read));
        bell.event(Path::new("/in"), &event(read, &["/in/a"]));
        assert!(bell.take().names.is_empty());
    }
}
