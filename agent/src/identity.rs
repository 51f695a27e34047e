//! Who this machine is to central, and whom it takes for central: keys, certificates, trust, and the one
//! file that holds them.
//!
//! On the data's way: beside it; [`crate::link`] shows what is here, [`crate::sync`] has it renewed.
//! Invariants:
//! - A private key is made on this machine, is only ever written into [`FILE_NAME`], and is never logged
//!   or shown.
//! - The file is replaced whole or not at all ([`IdentityFile::change`]): whatever power loss or full disk
//!   does, it is the former identity or the next one, and both are usable.
//! - A certificate is only kept with the key that it is for; another is refused when it is read.
//! - The present certificate stays in the file until the next one has been answered.
//!
//! Recovery: what stands in the file says which step comes next. A key without a certificate is asked for
//! again with the same request, so that no step costs a use of a token or a second certificate.

mod certificate;
mod file;
mod key;
pub mod token_sources;
mod trust;

#[cfg(test)]
mod tests;

use branchline_protocol::enrolment::{Der, JournalOf, TrustBundle};
use branchline_protocol::id::{AgentId, BranchCode, Digest};
use serde::{Deserialize, Serialize};

pub use certificate::{CertificateFault, Facts, KeyedCertificate};
pub use file::{Change, EnrolmentTurn, FILE_NAME, IdentityError, IdentityFile};
pub use key::{KeyFault, PrivateKey};
pub use trust::{TrustFault, fingerprint, verified};

/// Certificates between the agent's and the anchor, the agent's included: one issuing authority, a
/// cross-signed one, and room.
pub const CHAIN_MOST: usize = 8;

/// An agent's identity.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Identity {
    /// Where central is: `https://host[:port]`.
    pub server: String,
    /// The agent.
    pub agent: AgentId,
    /// Its branch.
    pub branch: BranchCode,
    /// Which of the branch's agents.
    pub ordinal: u16,
    /// Whom it takes for central.
    pub trust: TrustBundle,
    /// The certificate in use, or the former one while `next` has not been answered yet.
    pub current: KeyedCertificate,
    /// What takes its place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<Next>,
}

/// The certificate to come: first its key, then all of it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Next {
    /// Central has been or will be asked for a certificate for this key.
    Key(PrivateKey),
    /// Central has issued it, and has not been seen to accept it.
    Certificate(KeyedCertificate),
}

/// Which of an identity's certificates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// [`Identity::current`].
    Current,
    /// [`Identity::next`].
    Next,
}

/// What TLS needs of an identity: whom to trust, and what to show. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Showing {
    /// Anchors that central's chain may end in.
    pub trust: TrustBundle,
    /// What this agent shows.
    pub certificate: KeyedCertificate,
}

/// An enrolment that has been begun: its key is used again for the same token, so that a repeat is the
/// same enrolment.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PendingEnrolment {
    /// The key.
    pub key: PrivateKey,
    /// Hash of the token's secret.
    pub token: Digest,
}

/// All that the file holds.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Kept {
    /// Who the agent is, once it has joined.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<Identity>,
    /// An enrolment under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pending: Option<PendingEnrolment>,
    /// Hash of the secret of the token that it joined with: where that token still lies about, it is
    /// erased.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub joined_by: Option<Digest>,
}

impl Identity {
    /// What to show with one of its certificates; `None` where there is no next one.
    pub fn showing(&self, which: Which) -> Option<Showing> {
        let certificate = match (which, &self.next) {
            (Which::Current, _) => &self.current,
            (Which::Next, Some(Next::Certificate(certificate))) => certificate,
            (Which::Next, _) => return None,
        };
        Some(Showing {
            trust: self.trust.clone(),
            certificate: certificate.clone(),
        })
    }

    /// Whose journal this agent writes.
    pub fn journal_of(&self) -> JournalOf {
        JournalOf {
            agent: self.agent,
            branch: self.branch.clone(),
            ordinal: self.ordinal,
        }
    }
}

/// A certificate and what leads to the anchor, within bounds.
fn chain_within_bounds(chain: &[Der]) -> bool {
    (1..=CHAIN_MOST).contains(&chain.len())
}
