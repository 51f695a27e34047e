//! What this person has read and been told already: `read.json`, replaced as a whole. Not worth a sync: what
//! a crash loses is told or marked once more.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

/// Tickets whose reading is remembered: the last ones by number.
const TICKETS: usize = 5_000;

#[derive(Debug, Default, Clone, Serialize, Deserialize)]
#[serde(default)]
struct Kept {
    /// The last of the agent's news that was announced.
    told: Option<u64>,
    /// Answers read, by ticket.
    read: BTreeMap<String, u32>,
}

/// The marks.
#[derive(Debug)]
pub(crate) struct ReadMarks {
    path: PathBuf,
    kept: Mutex<Kept>,
}

impl ReadMarks {
    pub(crate) fn open(folder: &Path) -> Self {
        let path = folder.join("read.json");
        let kept = fs::read(&path).ok();
        let kept = kept.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        Self {
            path,
            kept: Mutex::new(kept.unwrap_or_default()),
        }
    }

    pub(crate) fn told(&self) -> Option<u64> {
        self.with(|kept| kept.told)
    }

    pub(crate) fn set_told(&self, newest: u64) {
        if self.told() != Some(newest) {
            self.change(|kept| kept.told = Some(newest));
        }
    }

    pub(crate) fn read(&self, number: &str) -> u32 {
        self.with(|kept| kept.read.get(number).copied().unwrap_or(0))
    }

    /// Says whether this is new.
    pub(crate) fn set_read(&self, number: &str, replies: u32) -> bool {
        if self.read(number) == replies {
            return false;
        }
        self.change(|kept| {
            kept.read.insert(number.to_owned(), replies);
            while kept.read.len() > TICKETS {
                kept.read.pop_first();
            }
        });
        true
    }

    fn with<T>(&self, look: impl FnOnce(&Kept) -> T) -> T {
        look(&self.kept.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn change(&self, change: impl FnOnce(&mut Kept)) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut kept);
        let bytes = serde_json::to_vec(&*kept).unwrap_or_default();
        let beside = self.path.with_extension("new");
        if let Err(fault) = fs::write(&beside, bytes).and_then(|()| fs::rename(&beside, &self.path))
        {
            tracing::warn!(error = %fault, "keep what was read");
        }
    }
}
