//! `[[drop_folder]]`: folders whose files become tickets by themselves.

use std::path::PathBuf;

use branchline_protocol::operation::Priority;
use serde::Deserialize;

/// One `[[drop_folder]]` in `agent.toml`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DropFolder {
    /// The folder; not those below it.
    pub path: PathBuf,
    /// Names that are taken (`*.log`); all where there are none.
    #[serde(default)]
    pub patterns: Vec<String>,
    /// The tickets' category.
    #[serde(default = "default_category")]
    pub category: String,
    /// The tickets' priority.
    #[serde(default)]
    pub priority: Priority,
    /// Which files share a ticket.
    #[serde(default)]
    pub ticket_per: TicketPer,
    /// Move a file to `sent/` in the folder once central has acknowledged it.
    #[serde(default)]
    pub move_to_sent: bool,
}

/// Which files of a drop folder share a ticket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TicketPer {
    /// Each has its own.
    #[default]
    File,
    /// Those that arrive close together have one.
    Burst,
}

fn default_category() -> String {
    "drop folder".to_owned()
}

/// What cannot be used, named.
pub(super) fn fault(_folders: &[DropFolder]) -> Option<String> {
    None
}
