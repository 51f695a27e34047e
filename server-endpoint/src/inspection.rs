//! Inspection: from a received file to a verdict, and from a clean verdict to what may be read.
//!
//! On the data's way: `ingress → ledger + vault → [inspection] → outbox → desk`. It runs beside the
//! ingress, a few files at once, and nobody who files waits for it.
//!
//! ```text
//! received ─ scanning ─ assembled, proven, sealed in quarantine ─ chunks settled ─ sniffed, scanned
//!                                                       └─ verdict committed ─ promoted to released
//! ```
//!
//! Invariants:
//! - P4: a file lies in quarantine whole and equal to its root, or not at all ([`assemble`]).
//! - P5: the verdict is the ledger's row, committed before anything is promoted, fenced by the version
//!   that was inspected, and of exactly the bytes of that root: they are hashed while they are handed to
//!   the scanner. There is one way to content, [`released`], and it asks the ledger each time.
//! - Every step can be repeated. Nothing is remembered that cannot be lost: after a crash [`recovery`]
//!   finishes what a committed verdict began, and everything else is begun again.
//! - A verdict is about bytes, so that a finding condemns every file of the same root.
//!
//! A scanner that is away delays verdicts and nothing else: files are still assembled, and wait for it.

use crate::ledger::LedgerError;
use crate::vault::VaultError;

mod assemble;
pub mod clamd;
mod inspector;
mod pauses;
mod proof;
mod recovery;
mod release;
pub mod released;
mod scanner_watch;
mod sniff;
mod steps;
mod verdict;

#[cfg(test)]
mod tests;

pub use inspector::Inspector;
pub use pauses::Pauses;
pub use proof::{Proof, prove};
pub use release::{Decided, ReleaseFault, release};
pub use scanner_watch::{ScannerWatch, Scanning};
pub use steps::{Scanner, Steps};

/// Why a step could not be made; it is made again later.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The ledger.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The vault.
    #[error(transparent)]
    Vault(#[from] VaultError),
}
