//! How an agent joins, how its certificate is renewed, and whom it trusts: what travels, and its rules.
//!
//! On the data's way: before it, and beside it from then on. Invariants:
//! - An agent's private key never leaves its machine: what goes up is a certificate signing request.
//! - The token's [`Fingerprint`] is the only trust that joining needs: the server proves itself by a
//!   chain that ends in a certificate with that fingerprint. No system roots, no trust on first use.
//! - A token's secret is stored at central as a hash; a repeat with the same token and the same key is
//!   the same enrolment and takes no further use.
//! - Whom the agent trusts changes only by a [`TrustBundle`] signed by an anchor that it trusts already,
//!   with a higher serial.
//!
//! Recovery: every call here can be repeated. An agent that lost an answer asks again with the same key.

mod der;
mod token;
mod trust;

use serde::{Deserialize, Serialize};

use crate::id::{AgentId, BranchCode, Digest};
use crate::time::UnixMillis;

pub use der::{Der, Fingerprint, FingerprintFault};
pub use token::{Secret, Token, TokenFault};
pub use trust::{SignedTrust, TRUST_CONTEXT, TrustBundle};

/// Joins: `POST`, with a token, without a client certificate.
pub const ENROLMENT_PATH: &str = "/v1/enrolment";
/// Renews: `POST`, with a client certificate that may have expired.
pub const CERTIFICATE_PATH: &str = "/v1/certificate";
/// Measures the way: `POST` any body of at most [`crate::limits::CHUNK_BODY_BYTES`].
pub const PROBE_PATH: &str = "/v1/probe";

/// `POST /v1/enrolment`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct EnrolmentRequest {
    /// The token's secret.
    pub secret: Secret,
    /// A PKCS #10 certificate signing request; only its key counts, and that its signature is good.
    pub request: Der,
    /// Whose journal this machine already has: the same agent joins again, with a token for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub journal_of: Option<JournalOf>,
    /// The agent's version.
    pub version: String,
    /// The agent's clock.
    pub clock: UnixMillis,
}

/// The identity that a journal was written under.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JournalOf {
    /// The agent.
    pub agent: AgentId,
    /// Its branch.
    pub branch: BranchCode,
    /// Which of the branch's agents.
    pub ordinal: u16,
}

/// The answer to an [`EnrolmentRequest`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnrolmentReply {
    /// The agent from now on.
    pub agent: AgentId,
    /// Its branch.
    pub branch: BranchCode,
    /// Which of the branch's agents.
    pub ordinal: u16,
    /// The certificate, and whom to trust.
    #[serde(flatten)]
    pub issued: Issued,
}

/// `POST /v1/certificate`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RenewalRequest {
    /// A certificate signing request for the new key. The same key gets the same certificate again.
    pub request: Der,
}

/// A certificate as central issued it; also the answer to a [`RenewalRequest`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Issued {
    /// The agent's certificate, then what leads to the anchor, without it.
    pub certificate: Vec<Der>,
    /// Whom to trust, as of now.
    pub trust: TrustBundle,
    /// Central's clock.
    pub server_time: UnixMillis,
}

/// The answer to `POST /v1/probe`: what central saw of the request, for `doctor`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProbeReply {
    /// Bytes of the body.
    pub bytes: u64,
    /// From the request's head to the last byte of its body, in milliseconds: much less than the sender
    /// took where somebody on the way collected the body first.
    pub body_millis: u64,
    /// The peer's address as central saw it: the agent's, a gateway's, or a proxy's.
    pub peer: String,
    /// The HTTP version that central saw.
    pub http_version: String,
    /// The request came through a proxy that ends TLS before central.
    pub through_proxy: bool,
    /// The `Via` header, where one came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub via: Option<String>,
    /// Central's clock.
    pub server_time: UnixMillis,
}

/// Names the public key of a certificate or request: BLAKE3 of its SubjectPublicKeyInfo (DER).
pub fn key_digest(subject_public_key_info: &[u8]) -> Digest {
    Digest(*blake3::hash(subject_public_key_info).as_bytes())
}
