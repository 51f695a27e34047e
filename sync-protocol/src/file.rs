//! What becomes of a file at central, and for each failure who must act.
//!
//! On the data's way a file's state moves as inspection does: `vault → inspection → feed`. It reaches the
//! branch as [`crate::event::EventBody::FileMoved`].

use serde::{Deserialize, Serialize};

/// What became of a file.
///
/// ```text
/// waiting → received → scanning → clean | infected | held | too_large | corrupt
///    ▲          │  (bytes decayed)               held | too_large → released (by a person, on record)
///    └──────────┴── waiting again; expired when its chunks do not come
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum FileState {
    /// Central knows of it and lacks chunks.
    Waiting,
    /// Every chunk is durable at central.
    Received,
    /// Its root is being verified and its content scanned.
    Scanning,
    /// A scanner found nothing, in exactly these bytes (P5).
    Clean,
    /// A scanner found something.
    Infected {
        /// What it calls what it found.
        signature: String,
    },
    /// No scanner is there to ask; a person may release it.
    Held,
    /// Larger than the scanner takes; a person may release it.
    TooLarge,
    /// Its chunks are proven, and together they are not the file that was announced.
    Corrupt,
    /// A person released it without a clean verdict, on record.
    Released {
        /// Who; at most [`crate::limits::USER_CHARS`].
        by: String,
        /// Why, in their words; at most [`crate::limits::DETAIL_CHARS`].
        #[serde(default)]
        reason: String,
    },
    /// Its chunks did not come for too long, and were thrown away.
    Expired,
    /// A state of a newer central.
    #[serde(other)]
    Other,
}

/// Who must act on a file that did not simply become clean.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Actor {
    /// Nobody: it goes on by itself.
    Nobody,
    /// Whoever filed it.
    Filer,
    /// IT of the branch.
    BranchIt,
    /// Whoever runs central.
    CentralIt,
}

/// What can go wrong with a file, from the branch's disk to the verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FileFault {
    /// It cannot be read at the branch.
    Unreadable,
    /// It changed while it was read.
    Unstable,
    /// The branch's quota for files is used up (P9).
    BranchQuota,
    /// Its disk is (P9).
    BranchDisk,
    /// Chunks decayed on the branch's disk before central had them.
    BranchDamaged,
    /// The operation that attached it was rejected.
    Rejected,
    /// The manifest does not describe the file that was attached.
    Manifest,
    /// Central's quota for this agent is used up.
    CentralQuota,
    /// Central's disk is full.
    CentralDisk,
    /// Objects decayed in central's vault; the branch sends them again.
    VaultDamaged,
    /// The whole is not what was announced.
    Corrupt,
    /// The scanner does not answer; the verdict comes later.
    ScannerAway,
    /// There is no scanner.
    NoScanner,
    /// Larger than the scanner takes.
    TooLargeToScan,
    /// The scanner found something.
    Infected,
    /// Its chunks did not come for too long.
    Expired,
}

impl FileFault {
    /// Every fault, in the order of the data's way.
    pub const ALL: &[Self] = &[
        Self::Unreadable,
        Self::Unstable,
        Self::BranchQuota,
        Self::BranchDisk,
        Self::BranchDamaged,
        Self::Rejected,
        Self::Manifest,
        Self::CentralQuota,
        Self::CentralDisk,
        Self::VaultDamaged,
        Self::Corrupt,
        Self::ScannerAway,
        Self::NoScanner,
        Self::TooLargeToScan,
        Self::Infected,
        Self::Expired,
    ];

    /// Who must act.
    pub fn actor(self) -> Actor {
        match self {
            Self::Unreadable
            | Self::Unstable
            | Self::BranchDamaged
            | Self::Rejected
            | Self::Corrupt
            | Self::Infected
            | Self::Expired => Actor::Filer,
            // With a manifest, our own programs disagree.
            Self::BranchQuota | Self::BranchDisk | Self::Manifest => Actor::BranchIt,
            Self::CentralQuota | Self::CentralDisk | Self::NoScanner | Self::TooLargeToScan => {
                Actor::CentralIt
            }
            Self::VaultDamaged | Self::ScannerAway => Actor::Nobody,
        }
    }

    /// What is wrong and what to do, for the person who must act.
    pub fn advice(self) -> &'static str {
        match self {
            Self::Unreadable => {
                "The file cannot be read; close the program that holds it, or check its permissions."
            }
            Self::Unstable => {
                "The file keeps changing while it is read; attach it when nothing writes to it."
            }
            Self::BranchQuota => {
                "The branch's space for files is used up until earlier files have arrived; tickets are still taken."
            }
            Self::BranchDisk => "The branch's disk is full; make room. Tickets are still taken.",
            Self::BranchDamaged => {
                "The file was damaged on the branch's disk before central had it; attach it again."
            }
            Self::Rejected => "Central did not accept the file; its entry says why.",
            Self::Manifest => {
                "What the agent says of the file does not fit; report this with the agent's log."
            }
            Self::CentralQuota => {
                "Central holds as much for this agent as it may; it goes on when earlier files are done, or with a larger quota."
            }
            Self::CentralDisk => "Central's disk for files is full; make room there.",
            Self::VaultDamaged => {
                "Central lost part of the file to a disk fault; the branch sends it again by itself."
            }
            Self::Corrupt => "What arrived is not the file that was announced; attach it again.",
            Self::ScannerAway => {
                "The virus scanner does not answer just now; the verdict comes by itself."
            }
            Self::NoScanner => {
                "Central has no virus scanner; an administrator can release the file by hand."
            }
            Self::TooLargeToScan => {
                "The file is larger than the virus scanner takes; an administrator can release it by hand."
            }
            Self::Infected => {
                "The virus scanner found something in the file; nobody can open it. Clean the source and attach it again."
            }
            Self::Expired => "The file did not arrive in time and was given up; attach it again.",
        }
    }
}

impl FileState {
    /// The word in stores, listings and JSON.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Received => "received",
            Self::Scanning => "scanning",
            Self::Clean => "clean",
            Self::Infected { .. } => "infected",
            Self::Held => "held",
            Self::TooLarge => "too_large",
            Self::Corrupt => "corrupt",
            Self::Released { .. } => "released",
            Self::Expired => "expired",
            Self::Other => "other",
        }
    }

    /// Whether anybody may read its content (P5).
    pub fn is_readable(&self) -> bool {
        matches!(self, Self::Clean | Self::Released { .. })
    }

    /// Whether inspection still has to look at it by itself.
    pub fn awaits_inspection(&self) -> bool {
        matches!(self, Self::Received | Self::Scanning)
    }

    /// Whether the branch may give its copy up: central has every byte and has looked at them.
    pub fn is_settled(&self) -> bool {
        !matches!(
            self,
            Self::Waiting | Self::Received | Self::Scanning | Self::Other
        )
    }

    /// What went wrong, if anything did.
    pub fn fault(&self) -> Option<FileFault> {
        match self {
            Self::Infected { .. } => Some(FileFault::Infected),
            Self::Held => Some(FileFault::NoScanner),
            Self::TooLarge => Some(FileFault::TooLargeToScan),
            Self::Corrupt => Some(FileFault::Corrupt),
            Self::Expired => Some(FileFault::Expired),
            Self::Waiting
            | Self::Received
            | Self::Scanning
            | Self::Clean
            | Self::Released { .. }
            | Self::Other => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_names_who_must_act_and_what_to_do() {
        for fault in FileFault::ALL {
            assert!(fault.advice().ends_with('.'), "{fault:?}");
            let _ = fault.actor();
        }
        for state in [
            FileState::Infected {
                signature: "X".into(),
            },
            FileState::Corrupt,
            FileState::Expired,
        ] {
            assert!(!state.is_readable() && state.is_settled() && state.fault().is_some());
        }
        assert!(FileState::Clean.is_readable() && FileState::Clean.fault().is_none());
    }
}
