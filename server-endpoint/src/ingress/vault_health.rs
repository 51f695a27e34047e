//! Whether the vault works, said once in the log when that changes: while it does not, every request of
//! the bulk lane finds out anew, and the control lane goes on.

use std::sync::atomic::{AtomicBool, Ordering};

use branchline_protocol::problem::ProblemKind;

use super::refusal::Refusal;
use crate::vault::VaultError;

#[derive(Debug, Default)]
pub(super) struct VaultHealth {
    in_trouble: AtomicBool,
}

impl VaultHealth {
    /// Something was put into it.
    pub(super) fn works(&self) {
        if self.in_trouble.swap(false, Ordering::Relaxed) {
            tracing::info!("the vault takes files again");
        }
    }

    /// What the agent is told. The words behind it are for central's own log.
    pub(super) fn refuse(&self, fault: &VaultError) -> Refusal {
        if !self.in_trouble.swap(true, Ordering::Relaxed) {
            tracing::error!(error = %fault, "the vault takes no files; tickets go on");
        }
        match fault {
            VaultError::Full(_) => Refusal::new(
                ProblemKind::StoreFull,
                "central has no space left for files; they wait at the branch, and tickets go on",
            ),
            VaultError::Away(_) | VaultError::Missing(_) | VaultError::Taken(_) => Refusal::new(
                ProblemKind::Unavailable,
                "central's vault does not answer just now; the same request may succeed later",
            ),
        }
    }
}
