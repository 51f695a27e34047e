//! What the ledger knows of identities: branches, enrolment tokens, agents' certificates, operators, and
//! the trail of who did what.
//!
//! Invariants:
//! - No secret is here that anybody could use: of tokens, sessions and API tokens there are hashes, of
//!   passwords argon2id's, of keys and certificates only names.
//! - An enrolment takes a use of its token once: the same token with the same key is the same enrolment.
//! - Until an agent's new certificate is proven in use, the one before it stays good; from then on it is
//!   superseded. One agent has at most one proven and one unproven certificate.
//! - The trail is only appended to. What it records is in the same transaction as what it is about.

use branchline_protocol::enrolment::JournalOf;
use branchline_protocol::id::{AgentId, BranchCode, Digest};
use branchline_protocol::time::UnixMillis;

use super::{AgentRecord, Pending};

/// Names a certificate of ours: its serial number, 16 random bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CertificateSerial(pub [u8; 16]);

/// Who did something, for the trail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Actor {
    /// Somebody at the command line, by the name that the operating system knows.
    CommandLine(String),
    /// An operator, by name.
    Operator(String),
    /// An agent.
    Agent(AgentId),
    /// Whoever holds an enrolment token, from this address.
    Bearer(String),
    /// The server itself.
    Server,
}

/// Something worth knowing later.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deed {
    /// Who.
    pub actor: Actor,
    /// What: a stable word, such as `agent-revoked`.
    pub action: &'static str,
    /// To what or whom: an agent, a file, an operator.
    pub subject: String,
    /// More, for people; at most 500 characters.
    pub detail: String,
    /// From where, as far as is known.
    pub address: Option<String>,
    /// When, by central's clock.
    pub at: UnixMillis,
}

/// A deed in the trail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrailEntry {
    /// Its place; only grows.
    pub position: u64,
    /// The actor, as it is written.
    pub actor: String,
    /// See [`Deed`].
    pub action: String,
    /// See [`Deed`].
    pub subject: String,
    /// See [`Deed`].
    pub detail: String,
    /// See [`Deed`].
    pub address: Option<String>,
    /// See [`Deed`].
    pub at: UnixMillis,
    /// BLAKE3 of the entry before and of this one, so that a change shows.
    pub digest: Digest,
}

/// Which entries of the trail.
#[derive(Debug, Clone, Default)]
pub struct TrailFilter {
    /// Not before.
    pub since: Option<UnixMillis>,
    /// Of this actor.
    pub actor: Option<String>,
    /// Of this action.
    pub action: Option<String>,
    /// On this subject.
    pub subject: Option<String>,
    /// Behind this position.
    pub after: u64,
    /// At most so many.
    pub most: usize,
}

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
    /// It was taken back.
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
    /// The agent that the token is for was revoked since.
    Revoked,
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
    /// How the agent proved itself: by a token, by a good certificate, or by one that needed the grace.
    pub deed: Deed,
}

/// Where a certificate stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CertificateState {
    /// Issued, and not seen in use yet.
    Unproven,
    /// In use.
    Proven,
    /// A later one is in use.
    Superseded,
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

    /// All tokens, newest first, at most 1,000.
    fn tokens(&self) -> Pending<'_, Vec<TokenRecord>>;

    /// Takes a token back; false where there is none of this number.
    fn revoke_token(&self, number: u64, deed: Deed) -> Pending<'_, bool>;

    /// Joins.
    fn enrol(&self, enrol: Enrol) -> Pending<'_, Enrolled>;

    /// Keeps a certificate before it is given out. An unproven one of the same agent gives way.
    fn keep_certificate(&self, certificate: NewCertificate) -> Pending<'_, ()>;

    /// Who stands behind a certificate; `None` for an agent that the ledger does not know.
    fn identify(
        &self,
        agent: AgentId,
        serial: CertificateSerial,
    ) -> Pending<'_, Option<Identified>>;

    /// The certificate was used: it is proven, and the others of its agent are superseded.
    fn prove_certificate(
        &self,
        agent: AgentId,
        serial: CertificateSerial,
        at: UnixMillis,
    ) -> Pending<'_, ()>;

    /// An agent's certificates, newest first, at most 100; those that ended long ago are forgotten.
    fn certificates(&self, agent: AgentId) -> Pending<'_, Vec<CertificateRecord>>;

    /// Revokes an agent; false where it is unknown. It stays revoked until a token for it is used.
    fn revoke_agent(&self, agent: AgentId, deed: Deed) -> Pending<'_, bool>;

    /// The agents revoked at places after this one, and the last place, so that open connections end;
    /// with `None` only the last place.
    fn revocations(&self, after: Option<u64>) -> Pending<'_, (u64, Vec<AgentId>)>;

    /// Tells every branch whom to trust from now on, in each one's feed.
    fn publish_trust(
        &self,
        trust: branchline_protocol::enrolment::SignedTrust,
        deed: Deed,
    ) -> Pending<'_, ()>;

    /// Adds to the trail.
    fn record(&self, deed: Deed) -> Pending<'_, ()>;

    /// Reads the trail, oldest first.
    fn trail(&self, filter: TrailFilter) -> Pending<'_, Vec<TrailEntry>>;
}
