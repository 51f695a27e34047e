//! What the ledger knows of identities: branches, enrolment tokens, agents' certificates, operators, and
//! the trail of who did what.
//!
//! Invariants:
//! - No secret is here that anybody could use: of tokens, sessions and API tokens there are hashes, of
//!   passwords argon2id's, of keys and certificates only names.
//! - An enrolment takes a use of its token once: the same token with the same key is the same enrolment.
//! - Until an agent's new certificate is proven in use, the one before it stays good; from then on it is
//!   superseded. One agent has at most one proven and one unproven certificate.
//! - An agent that joins again does so alone: in the same transaction its certificates, and the enrolments
//!   that they came from, end for good. So does everything of an agent that is revoked, tokens for it
//!   included: a revocation is lifted only by a token that was made after it.
//! - The trail is only appended to. What it records is in the same transaction as what it is about.

use branchline_protocol::enrolment::JournalOf;
use branchline_protocol::id::{AgentId, BranchCode, Digest};
use branchline_protocol::time::UnixMillis;

use super::{AgentRecord, Deed, Pending, TrailEntry, TrailFilter};

/// Tokens in a listing.
pub const TOKENS_LISTED: usize = 1_000;
/// Certificates kept of an agent, and in a listing: sixteen years of renewals. Revoked ones are always kept.
pub const CERTIFICATES_KEPT: usize = 100;
/// Entries in one answer of the trail.
pub const TRAIL_PAGE: usize = 10_000;

/// Names a certificate of ours: its serial number, 16 random bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CertificateSerial(pub [u8; 16]);

/// What an enrolment token is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TokenFor {
    /// New agents of a branch.
    Branch(BranchCode),
    /// An agent that joins again, as itself.
    Agent(AgentId),
}

/// A token to keep.
#[derive(Debug, Clone)]
pub struct NewToken {
    /// Hash of its secret.
    pub hash: Digest,
    /// What it is for.
    pub purpose: TokenFor,
    /// Enrolments that it is good for; at least 1.
    pub uses: u32,
    /// When it ends.
    pub expires_at: UnixMillis,
    /// When and by whom it was made.
    pub made: Deed,
}

/// A token as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenRecord {
    /// Names it for people and commands: its place among tokens.
    pub number: u64,
    /// What it is for.
    pub purpose: TokenFor,
    /// Enrolments that it is good for.
    pub uses: u32,
    /// Enrolments so far.
    pub used: u32,
    /// When it was made.
    pub made_at: UnixMillis,
    /// When it ends.
    pub expires_at: UnixMillis,
    /// It was taken back, or the agent that it is for was revoked since it was made.
    pub revoked: bool,
}

/// An enrolment.
#[derive(Debug, Clone)]
pub struct Enrol {
    /// Hash of the token's secret.
    pub token: Digest,
    /// The agent's key ([`branchline_protocol::enrolment::key_digest`]).
    pub key: Digest,
    /// Its name if it is a new agent.
    pub candidate: AgentId,
    /// What its journal says that it was.
    pub journal_of: Option<JournalOf>,
    /// From where.
    pub address: String,
    /// By central's clock.
    pub at: UnixMillis,
}

/// What came of an enrolment.
#[derive(Debug, Clone)]
pub enum Enrolled {
    /// The agent, now or already.
    Agent(AgentRecord),
    /// No such token, or it was taken back.
    UnknownToken,
    /// The token has ended.
    Expired,
    /// The token has no uses left.
    UsedUp,
    /// The journal belongs to an agent that this token is not for; says what to do.
    OtherJournal(String),
    /// The agent was revoked since, or has joined again by another enrolment.
    Revoked,
}

/// How an agent proved itself when a certificate was made for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proof {
    /// It is joining with the token of this hash.
    Token(Digest),
    /// By its certificate of this name, which need not be known to the ledger.
    Certificate(CertificateSerial),
}

/// A certificate that was issued.
#[derive(Debug, Clone)]
pub struct NewCertificate {
    /// Its name.
    pub serial: CertificateSerial,
    /// Whose it is.
    pub agent: AgentId,
    /// Its key.
    pub key: Digest,
    /// From when it is good.
    pub not_before: UnixMillis,
    /// Until when.
    pub not_after: UnixMillis,
    /// The certificate itself, for repeats; DER.
    pub der: Vec<u8>,
    /// By central's clock.
    pub at: UnixMillis,
    /// How the agent proved itself.
    pub proof: Proof,
    /// The same in words: by a token, by a good certificate, or by one that needed the grace.
    pub deed: Deed,
}

/// Where a certificate stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CertificateState {
    /// Issued, and not seen in use yet.
    Unproven,
    /// In use.
    Proven,
    /// A later one is in use, or was issued before this one was ever used.
    Superseded,
    /// Its agent was revoked, or joined again, since: good for nothing, and never again.
    Revoked,
}

/// A certificate as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateRecord {
    /// Its name.
    pub serial: CertificateSerial,
    /// Whose it is.
    pub agent: AgentId,
    /// Its key.
    pub key: Digest,
    /// From when it is good.
    pub not_before: UnixMillis,
    /// Until when.
    pub not_after: UnixMillis,
    /// Where it stands.
    pub state: CertificateState,
    /// DER.
    pub der: Vec<u8>,
}

/// Who stands behind a certificate; asked for every request, so that what changed holds from the next on.
#[derive(Debug, Clone)]
pub struct Identified {
    /// The agent.
    pub agent: AgentRecord,
    /// The certificate, where the ledger knows it.
    pub certificate: Option<CertificateRecord>,
}

/// Identities.
pub trait IdentityLedger: Send + Sync {
    /// Makes a branch, or gives it another name.
    fn add_branch(&self, code: BranchCode, name: Option<String>, deed: Deed) -> Pending<'_, ()>;

    /// Keeps a token; `None` where its branch or agent is unknown.
    fn add_token(&self, token: NewToken) -> Pending<'_, Option<TokenRecord>>;

    /// All tokens, newest first, at most [`TOKENS_LISTED`].
    fn tokens(&self) -> Pending<'_, Vec<TokenRecord>>;

    /// Takes a token back; false where there is none of this number.
    fn revoke_token(&self, number: u64, deed: Deed) -> Pending<'_, bool>;

    /// Joins.
    fn enrol(&self, enrol: Enrol) -> Pending<'_, Enrolled>;

    /// Keeps a certificate before it is given out. An unproven one of the same agent gives way. False
    /// where the agent was revoked, or what it proved itself by ended, in the meantime: then the
    /// certificate must not be given out.
    fn keep_certificate(&self, certificate: NewCertificate) -> Pending<'_, bool>;

    /// Who stands behind a certificate; `None` for an agent that the ledger does not know.
    fn identify(
        &self,
        agent: AgentId,
        serial: CertificateSerial,
    ) -> Pending<'_, Option<Identified>>;

    /// The certificate was used: it is proven, and the others of its agent are superseded. One that is
    /// superseded or revoked by then stays so.
    fn prove_certificate(
        &self,
        agent: AgentId,
        serial: CertificateSerial,
        at: UnixMillis,
    ) -> Pending<'_, ()>;

    /// Central refused to speak with this agent, which proved who it is: when, and why, in a line. No matter
    /// where the agent is unknown.
    fn note_refusal(&self, agent: AgentId, why: String, at: UnixMillis) -> Pending<'_, ()>;

    /// An agent's certificates, newest first, at most [`CERTIFICATES_KEPT`]. Of the superseded ones beyond
    /// that the oldest are forgotten.
    fn certificates(&self, agent: AgentId) -> Pending<'_, Vec<CertificateRecord>>;

    /// Revokes an agent; false where it is unknown. It stays revoked until a token for it that was made
    /// after this is used. Of one that is revoked already, only its open connections end once more.
    fn revoke_agent(&self, agent: AgentId, deed: Deed) -> Pending<'_, bool>;

    /// The agents revoked, or joined again, at places after this one, and the last place, so that open
    /// connections end; with `None` only the last place.
    fn revocations(&self, after: Option<u64>) -> Pending<'_, (u64, Vec<AgentId>)>;

    /// Tells every branch that there is whom to trust from now on, in each one's feed, once: what was
    /// published before is not published again. A branch that is added later hears it when it enrolls.
    fn publish_trust(
        &self,
        trust: branchline_protocol::enrolment::SignedTrust,
        deed: Deed,
    ) -> Pending<'_, ()>;

    /// Adds to the trail.
    fn record(&self, deed: Deed) -> Pending<'_, ()>;

    /// Reads the trail, oldest first, at most [`TRAIL_PAGE`].
    fn trail(&self, filter: TrailFilter) -> Pending<'_, Vec<TrailEntry>>;
}
