//! Whom an agent trusts to be central, and how that changes without anybody visiting the branch.

use serde::{Deserialize, Serialize};

use super::{Der, Fingerprint};
use crate::limits;

/// What stands before a bundle's text when it is signed, so that the signature means nothing else.
pub const TRUST_CONTEXT: &[u8] = b"branchline trust bundle v1\0";

/// The anchors that may stand at the end of central's chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrustBundle {
    /// Only grows; a bundle whose serial is not higher changes nothing.
    pub serial: u64,
    /// 1 to [`limits::ANCHORS`] certificates.
    pub anchors: Vec<Der>,
}

/// A bundle on its way through the feed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedTrust {
    /// The exact JSON of a [`TrustBundle`]: what was signed, and never encoded again.
    pub bundle: String,
    /// SHA-256 of the anchor whose key signed it; the agent must trust it already.
    pub signer: Fingerprint,
    /// ECDSA P-256 with SHA-256 (ASN.1) over [`TRUST_CONTEXT`] and the bundle's text.
    pub signature: Der,
}

impl TrustBundle {
    /// Whether it keeps the bounds.
    pub fn is_sound(&self) -> bool {
        (1..=limits::ANCHORS).contains(&self.anchors.len())
    }
}

impl SignedTrust {
    /// The bytes that the signature is over.
    pub fn signed_bytes(&self) -> Vec<u8> {
        [TRUST_CONTEXT, self.bundle.as_bytes()].concat()
    }

    /// What was signed, if it is a bundle within its bounds. Nothing may be taken from it before the
    /// signature is proven.
    pub fn read(&self) -> Option<TrustBundle> {
        let bundle: TrustBundle = serde_json::from_str(&self.bundle).ok()?;
        bundle.is_sound().then_some(bundle)
    }
}
