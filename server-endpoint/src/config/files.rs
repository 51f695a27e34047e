//! `[files]` and `[scanner]`: how much of files central takes, and who scans them.

use std::path::PathBuf;
use std::time::Duration;

use branchline_protocol::limits;
use serde::Deserialize;

const GIB: u64 = 1 << 30;

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

impl Files {
    /// Says which value cannot be, and why.
    pub(super) fn check(&self) -> Result<(), String> {
        let most = limits::FILE_BYTES / GIB;
        for (key, value) in [
            ("agent_gib", self.agent_gib),
            ("agent_files", self.agent_files),
            ("file_gib", self.file_gib),
            ("expire_days", self.expire_days.into()),
        ] {
            if value == 0 {
                return Err(format!("[files] {key} must be at least 1"));
            }
        }
        if self.file_gib > most {
            return Err(format!("[files] file_gib must be at most {most}"));
        }
        Ok(())
    }

    /// See [`Files::agent_gib`].
    pub fn agent_bytes(&self) -> u64 {
        self.agent_gib.saturating_mul(GIB)
    }

    /// See [`Files::file_gib`].
    pub fn file_bytes(&self) -> u64 {
        self.file_gib.saturating_mul(GIB).min(limits::FILE_BYTES)
    }

    /// See [`Files::reserve_mib`].
    pub fn reserve_bytes(&self) -> u64 {
        self.reserve_mib.saturating_mul(1 << 20)
    }

    /// See [`Files::expire_days`].
    pub fn expire_after(&self) -> Duration {
        Duration::from_secs(u64::from(self.expire_days) * 24 * 3_600)
    }
}

/// The longest that a scanner may be given for one file.
const SCAN_MOST_SECONDS: u64 = 3_600;

/// `[scanner]` in `server.toml`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Scanner {
    /// clamd's socket. Without one, files are held until a person releases them.
    pub socket: Option<PathBuf>,
    /// Seconds that it may take to take a piece of a file, and to judge the whole.
    pub timeout_seconds: u64,
    /// MiB of the largest file that it is asked about.
    pub largest_mib: u64,
}

impl Default for Scanner {
    fn default() -> Self {
        Self {
            socket: None,
            // clamd's own MaxScanTime is 120.
            timeout_seconds: 180,
            // clamd's own MaxFileSize.
            largest_mib: 100,
        }
    }
}

impl Scanner {
    /// Says which value cannot be, and why.
    pub(super) fn check(&self) -> Result<(), String> {
        if let Some(socket) = &self.socket
            && !socket.is_absolute()
        {
            return Err(format!(
                "[scanner] socket must be an absolute path, not {}",
                socket.display()
            ));
        }
        if !(1..=SCAN_MOST_SECONDS).contains(&self.timeout_seconds) {
            return Err(format!(
                "[scanner] timeout_seconds must be from 1 to {SCAN_MOST_SECONDS}"
            ));
        }
        if self.largest_mib == 0 {
            return Err("[scanner] largest_mib must be at least 1".to_owned());
        }
        Ok(())
    }

    /// See [`Scanner::timeout_seconds`].
    pub fn timeout(&self) -> Duration {
        Duration::from_secs(self.timeout_seconds)
    }

    /// See [`Scanner::largest_mib`].
    pub fn largest_bytes(&self) -> u64 {
        self.largest_mib.saturating_mul(1 << 20)
    }
}
