//! What this person has switched: `settings.json` in their folder, replaced as a whole.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use branchline_desktop_controller::Language;
use branchline_desktop_controller::view::Settings;

/// The file, and what it says.
#[derive(Debug)]
pub(crate) struct SettingsFile {
    path: PathBuf,
    kept: Mutex<Settings>,
}

impl SettingsFile {
    pub(crate) fn open(folder: &Path) -> Self {
        let path = folder.join("settings.json");
        let kept = std::fs::read(&path).ok();
        let kept = kept.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        Self {
            path,
            kept: Mutex::new(kept.unwrap_or_default()),
        }
    }

    pub(crate) fn get(&self) -> Settings {
        self.kept
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Holds from now on; for the next start, too, unless the disk says no.
    pub(crate) fn set(&self, settings: Settings) {
        let bytes = serde_json::to_vec_pretty(&settings).unwrap_or_default();
        *self.kept.lock().unwrap_or_else(PoisonError::into_inner) = settings;
        let beside = self.path.with_extension("new");
        let written =
            std::fs::write(&beside, bytes).and_then(|()| std::fs::rename(&beside, &self.path));
        if let Err(fault) = written {
            tracing::warn!(error = %fault, "keep the settings");
        }
    }

    /// The one chosen, or the system's.
    pub(crate) fn language(&self) -> Language {
        let chosen = self.get().language;
        if chosen.is_empty() {
            Language::of(&sys_locale::get_locale().unwrap_or_default())
        } else {
            Language::of(&chosen)
        }
    }
}
