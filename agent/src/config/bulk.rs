//! `[bulk]`: how fast files may go out. Read again while the agent runs.
//!
//! Stands beside `sync` on the data's way, which asks [`Timetable::at`] what holds now. Strict: what
//! cannot be understood is named together with the right form, and never guessed at.

mod timetable;

use serde::Deserialize;

pub use timetable::Timetable;

/// `[bulk]` in `agent.toml`. Every key has a default.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Bulk {
    /// The rate at all times that the timetable does not name (`2 Mbit/s`); no limit where absent.
    pub rate: Option<String>,
    /// Rates by time of day at the branch (`08:00-18:00 256 kbit/s`); the first that fits counts.
    pub timetable: Vec<String>,
}

impl Bulk {
    /// Whether the branch says anything of it itself; what central says counts only where it does not.
    pub fn is_set(&self) -> bool {
        self.rate.is_some() || !self.timetable.is_empty()
    }

    /// What cannot be understood, named.
    pub(super) fn fault(&self) -> Option<String> {
        self.plan().err()
    }

    /// The rates, understood; the error names the entry and shows the right form.
    pub fn plan(&self) -> Result<Timetable, String> {
        Timetable::read(self.rate.as_deref(), &self.timetable)
    }
}
