//! `[bulk]`: how fast files may go out. Read again while the agent runs.

use serde::Deserialize;

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
    /// What cannot be understood, named.
    pub(super) fn fault(&self) -> Option<String> {
        None
    }
}
