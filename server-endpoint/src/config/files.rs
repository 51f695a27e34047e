//! `[files]` and `[scanner]`: how much of files central takes, and who scans them.

use std::path::PathBuf;

use serde::Deserialize;

/// `[files]` in `server.toml`. Every key has a default.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Files {
    /// GiB of files of one agent that are not settled yet.
    pub agent_gib: u64,
    /// Such files of one agent.
    pub agent_files: u64,
    /// GiB of the largest file.
    pub file_gib: u64,
    /// Days after which a file whose chunks do not come is given up.
    pub expire_days: u32,
    /// MiB that files leave free on the vault's disk (P9).
    pub reserve_mib: u64,
    /// Whose chunks count as held: `organisation` or `branch`.
    pub deduplicate: Deduplicate,
}

/// The words of `deduplicate`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Deduplicate {
    /// Any branch's.
    #[default]
    Organisation,
    /// The announcing branch's own.
    Branch,
}

impl Default for Files {
    fn default() -> Self {
        Self {
            agent_gib: 100,
            agent_files: 100_000,
            file_gib: 100,
            expire_days: 30,
            reserve_mib: 1024,
            deduplicate: Deduplicate::default(),
        }
    }
}

/// `[scanner]` in `server.toml`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Scanner {
    /// clamd's socket. Without one, files are held until a person releases them.
    pub socket: Option<PathBuf>,
}
