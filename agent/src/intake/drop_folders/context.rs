//! What every part of a drop folder's rule works with: the folder, the store, and the status that others
//! read.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use branchline_agent_api::{DropFolderState, DropFolderStatus, LastError};
use branchline_protocol::id::AgentId;
use branchline_protocol::limits;
use branchline_protocol::problem::ErrorClass;
use branchline_protocol::text::clipped;
use tokio_util::sync::CancellationToken;

use crate::config::DropFolder;
use crate::platform::name_bytes;
use crate::store::Store;
use crate::store::dropped::FolderKey;
use crate::sync::Appended;

use super::super::settle::Moment;

/// What drop folders need of the agent.
#[derive(Clone)]
pub struct Surroundings {
    /// Where everything is saved.
    pub store: Arc<Store>,
    /// Wakes the sync loop.
    pub appended: Arc<Appended>,
    /// Part of every id made here: two agents may have folders of the same name.
    pub agent: AgentId,
    /// Bytes of the largest file that is taken.
    pub file_bytes: u64,
    /// Folders that hold the agent's own files, which never leave the branch.
    pub own_folders: Vec<PathBuf>,
    /// Ends everything.
    pub shutdown: CancellationToken,
}

/// One rule's surroundings.
pub(super) struct Context {
    pub(super) rule: DropFolder,
    pub(super) key: FolderKey,
    pub(super) agent: Surroundings,
    status: Arc<Mutex<DropFolderStatus>>,
    started: Instant,
}

impl Context {
    pub(super) fn new(rule: DropFolder, agent: Surroundings) -> Self {
        let status = DropFolderStatus {
            path: rule.path.display().to_string(),
            state: DropFolderState::Starting,
            words: None,
            waiting: 0,
            taken: 0,
            last_taken: None,
            last_error: None,
            troubles: Vec::new(),
        };
        // A slash at the end makes no other folder of it.
        let path: PathBuf = rule.path.components().collect();
        Self {
            key: FolderKey::of(&name_bytes(path.as_os_str())),
            rule,
            agent,
            status: Arc::new(Mutex::new(status)),
            started: Instant::now(),
        }
    }

    /// The clock that settling goes by.
    pub(super) fn now(&self) -> Moment {
        self.started.elapsed()
    }

    /// The status that others read.
    pub(super) fn status(&self) -> Arc<Mutex<DropFolderStatus>> {
        self.status.clone()
    }

    /// Changes the status.
    pub(super) fn tell<T>(&self, change: impl FnOnce(&mut DropFolderStatus) -> T) -> T {
        change(&mut self.status.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Says how the folder is used now; logged when it changes.
    pub(super) fn become_state(&self, state: DropFolderState, words: Option<String>) {
        let changed = self.tell(|status| {
            let changed = status.state != state || status.words != words;
            status.state = state;
            status.words.clone_from(&words);
            changed
        });
        if !changed {
            return;
        }
        let folder = self.rule.path.display();
        let words = words.unwrap_or_default();
        match state {
            DropFolderState::Trouble => {
                tracing::warn!(%folder, words, "a drop folder cannot be used");
            }
            DropFolderState::Missing => tracing::warn!(%folder, "a drop folder is not there"),
            DropFolderState::Polling => {
                tracing::warn!(%folder, words, "a drop folder is not watched but looked at every few seconds");
            }
            DropFolderState::Starting | DropFolderState::Watching => {
                tracing::info!(%folder, "a drop folder is watched");
            }
        }
    }

    /// Keeps an error for the status; logged when it is another one than before.
    pub(super) fn error(&self, class: ErrorClass, words: &str) {
        let words = clipped(words, limits::DETAIL_CHARS).to_owned();
        let is_new = self.tell(|status| {
            let before = status.last_error.replace(LastError {
                at: crate::ids::now(),
                class,
                words: words.clone(),
            });
            before.is_none_or(|before| before.words != words)
        });
        if is_new {
            let folder = self.rule.path.display();
            tracing::warn!(%folder, words, "in a drop folder");
        }
    }
}
