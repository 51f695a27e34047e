//! `[files]`: how much room files may take at the branch.

use serde::Deserialize;

/// `[files]` in `agent.toml`. Every key has a default.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Files {
    /// MiB that chunks may take on the disk.
    pub quota_mib: u64,
    /// MiB that files leave free on the disk, for tickets and for everybody else (P9).
    pub reserve_mib: u64,
    /// MiB of the largest file.
    pub file_mib: u64,
}

impl Default for Files {
    fn default() -> Self {
        Self {
            quota_mib: 20 * 1024,
            reserve_mib: 1024,
            file_mib: 10 * 1024,
        }
    }
}

/// Bounds of each, in MiB.
const MIB: std::ops::RangeInclusive<u64> = 1..=16 * 1024 * 1024;

impl Files {
    /// The value outside its bounds, named.
    pub(super) fn fault(&self) -> Option<String> {
        let keys = [
            ("quota_mib", self.quota_mib),
            ("reserve_mib", self.reserve_mib),
            ("file_mib", self.file_mib),
        ];
        keys.into_iter()
            .find(|(_, value)| !MIB.contains(value))
            .map(|(key, value)| {
                format!(
                    "files.{key} = {value} is outside {} to {}",
                    MIB.start(),
                    MIB.end()
                )
            })
    }

    /// [`Files::quota_mib`] in bytes.
    pub fn quota_bytes(&self) -> u64 {
        self.quota_mib.saturating_mul(1024 * 1024)
    }

    /// [`Files::reserve_mib`] in bytes.
    pub fn reserve_bytes(&self) -> u64 {
        self.reserve_mib.saturating_mul(1024 * 1024)
    }

    /// [`Files::file_mib`] in bytes.
    pub fn file_bytes(&self) -> u64 {
        self.file_mib.saturating_mul(1024 * 1024)
    }
}
