//! What the ledger knows of operators: who may work at central, their sessions, and programs' tokens.
//!
//! Beside the data's way: whoever reads or answers tickets is asked for here first.
//!
//! Invariants:
//! - Nothing here can be used by whoever steals it: passwords are argon2id's hashes, sessions and API
//!   tokens are hashes of 256 random bits.
//! - A session ends with the password, the role, or the operator that it was opened with, in the same
//!   transaction.
//! - There is always an administrator, once there was one.
//! - Each change is in the trail, in the same transaction.

use std::fmt;
use std::str::FromStr;

use branchline_protocol::id::Digest;
use branchline_protocol::time::UnixMillis;

use super::{Deed, IdentityLedger, Pending};

/// Operators that an organisation may have: far more than any support desk.
pub const OPERATORS_MOST: usize = 1_000;
/// Sessions of one operator; one more ends the oldest.
pub const SESSIONS_EACH: usize = 20;
/// API tokens that may be good at once, and that a listing shows.
pub const API_TOKENS_MOST: usize = 1_000;
/// Characters of an operator's or an API token's name.
pub const NAME_CHARS: usize = 60;

/// An operator's name: 2 to [`NAME_CHARS`] small letters, digits, and `.`, `-`, `_`, `@`, beginning with
/// a letter, so that no two look alike.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OperatorName(String);

/// Why a text is not an operator's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "an operator's name is 2 to {NAME_CHARS} small letters (a to z), digits, and . - _ @, and begins with \
     a letter"
)]
pub struct NameFault;

impl OperatorName {
    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for OperatorName {
    type Err = NameFault;

    fn from_str(text: &str) -> Result<Self, NameFault> {
        let allowed = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || b".-_@".contains(&c);
        let fits = (2..=NAME_CHARS).contains(&text.len())
            && text.bytes().all(allowed)
            && text.starts_with(|c: char| c.is_ascii_lowercase());
        fits.then(|| Self(text.to_owned())).ok_or(NameFault)
    }
}

impl fmt::Display for OperatorName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What somebody may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, clap::ValueEnum)]
pub enum Right {
    /// Search and read tickets, and get files that were released.
    Read,
    /// Answer, assign and move tickets.
    Reply,
    /// Release a file that no scanner judged, and have files scanned again.
    Release,
    /// Operators, tokens, agents, the catalogue, the trail.
    Administer,
}

impl Right {
    /// All of them, in order.
    pub const ALL: [Self; 4] = [Self::Read, Self::Reply, Self::Release, Self::Administer];

    /// The word in stores, listings and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Reply => "reply",
            Self::Release => "release",
            Self::Administer => "administer",
        }
    }
}

impl FromStr for Right {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let named = |right: &Self| right.as_str() == text;
        Self::ALL.into_iter().find(named).ok_or(())
    }
}

/// What an operator is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, clap::ValueEnum)]
pub enum Role {
    /// Reads.
    Viewer,
    /// Reads and answers.
    Support,
    /// Does everything.
    Administrator,
}

impl Role {
    /// What it may do.
    pub fn rights(self) -> &'static [Right] {
        match self {
            Self::Viewer => &[Right::Read],
            Self::Support => &[Right::Read, Right::Reply],
            Self::Administrator => &Right::ALL,
        }
    }

    /// The word in stores, listings and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Support => "support",
            Self::Administrator => "administrator",
        }
    }
}

impl FromStr for Role {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "viewer" => Ok(Self::Viewer),
            "support" => Ok(Self::Support),
            "administrator" => Ok(Self::Administrator),
            _ => Err(()),
        }
    }
}

/// A password as it is kept: argon2id's text, with its salt and costs.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash(pub String);

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash(…)")
    }
}

/// An operator to add.
#[derive(Debug, Clone)]
pub struct NewOperator {
    /// By what name.
    pub name: OperatorName,
    /// As what.
    pub role: Role,
    /// The first password.
    pub password: PasswordHash,
    /// See [`OperatorRecord`].
    pub must_change: bool,
    /// Who adds it.
    pub deed: Deed,
}

/// An operator as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperatorRecord {
    /// Its name.
    pub name: OperatorName,
    /// What it is.
    pub role: Role,
    /// Its password.
    pub password: PasswordHash,
    /// Somebody else knows the password; it is good for nothing but setting another.
    pub must_change: bool,
    /// When it was added.
    pub made_at: UnixMillis,
    /// When the password was set.
    pub password_at: UnixMillis,
    /// When it last signed in.
    pub signed_in_at: Option<UnixMillis>,
    /// Sessions that were not ended; some may be over.
    pub sessions: u64,
}

/// What came of a change to an operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OperatorChange {
    /// It is so.
    Done,
    /// There is no such operator.
    Unknown,
    /// It is the last administrator, and stays one.
    LastAdministrator,
}

/// A password to set.
#[derive(Debug, Clone)]
pub struct NewPassword {
    /// Whose.
    pub name: OperatorName,
    /// The new one.
    pub password: PasswordHash,
    /// See [`OperatorRecord`].
    pub must_change: bool,
    /// The one that was proven for this; `None` where nobody has to. Another one by now is a refusal.
    pub proven: Option<PasswordHash>,
    /// Who sets it.
    pub deed: Deed,
}

/// A session to open.
#[derive(Debug, Clone)]
pub struct NewSession {
    /// Hash of its secret.
    pub hash: Digest,
    /// Whose.
    pub name: OperatorName,
    /// The password that was proven for it. Another one by now is a refusal.
    pub proven: PasswordHash,
    /// When it ends at the latest.
    pub ends_at: UnixMillis,
    /// From where.
    pub address: String,
    /// The signing in.
    pub deed: Deed,
}

/// A session that is open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionRecord {
    /// Whose.
    pub name: OperatorName,
    /// What that is now.
    pub role: Role,
    /// When it was opened.
    pub made_at: UnixMillis,
    /// When it was last used, to the minute.
    pub used_at: UnixMillis,
    /// When it ends at the latest.
    pub ends_at: UnixMillis,
}

/// An API token to keep.
#[derive(Debug, Clone)]
pub struct NewApiToken {
    /// What it is for, for people.
    pub name: String,
    /// Hash of its secret.
    pub hash: Digest,
    /// What it may do.
    pub rights: Vec<Right>,
    /// When it ends, if it does.
    pub expires_at: Option<UnixMillis>,
    /// Who makes it.
    pub deed: Deed,
}

/// An API token as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiTokenRecord {
    /// Names it for people and commands: its place among API tokens.
    pub number: u64,
    /// What it is for.
    pub name: String,
    /// What it may do.
    pub rights: Vec<Right>,
    /// Who made it, as the trail writes it.
    pub made_by: String,
    /// When.
    pub made_at: UnixMillis,
    /// When it ends, if it does.
    pub expires_at: Option<UnixMillis>,
    /// It was taken back.
    pub revoked: bool,
    /// When it was last used, to the minute.
    pub used_at: Option<UnixMillis>,
}

/// Operators, sessions, API tokens.
pub trait OperatorLedger: IdentityLedger {
    /// Adds an operator; false where the name is taken. [`super::LedgerError::Full`] at [`OPERATORS_MOST`].
    fn add_operator(&self, new: NewOperator) -> Pending<'_, bool>;

    /// All, by name.
    fn operators(&self) -> Pending<'_, Vec<OperatorRecord>>;

    /// One.
    fn operator(&self, name: OperatorName) -> Pending<'_, Option<OperatorRecord>>;

    /// Gives another role, and ends the operator's sessions.
    fn set_role(&self, name: OperatorName, role: Role, deed: Deed) -> Pending<'_, OperatorChange>;

    /// Sets a password, and ends the operator's sessions; false where there is no such operator, or
    /// another password than the one that was proven.
    fn set_password(&self, new: NewPassword) -> Pending<'_, bool>;

    /// Removes an operator, and ends its sessions.
    fn remove_operator(&self, name: OperatorName, deed: Deed) -> Pending<'_, OperatorChange>;

    /// Opens a session; false where there is no such operator, or another password than the one that was
    /// proven, or one that must be changed.
    fn open_session(&self, new: NewSession) -> Pending<'_, bool>;

    /// The session of this hash, if it is open at `at` and was used in the last `idle` milliseconds.
    fn session(
        &self,
        hash: Digest,
        at: UnixMillis,
        idle: i64,
    ) -> Pending<'_, Option<SessionRecord>>;

    /// Notes that a session was used.
    fn use_session(&self, hash: Digest, at: UnixMillis) -> Pending<'_, ()>;

    /// Ends a session; a repeat changes nothing.
    fn close_session(&self, hash: Digest, deed: Deed) -> Pending<'_, ()>;

    /// Keeps an API token. [`super::LedgerError::Full`] at [`API_TOKENS_MOST`] that are good.
    fn add_api_token(&self, new: NewApiToken) -> Pending<'_, ApiTokenRecord>;

    /// All API tokens, newest first, at most [`API_TOKENS_MOST`].
    fn api_tokens(&self) -> Pending<'_, Vec<ApiTokenRecord>>;

    /// The API token of this hash, if it is good at `at`.
    fn api_token(&self, hash: Digest, at: UnixMillis) -> Pending<'_, Option<ApiTokenRecord>>;

    /// Notes that an API token was used.
    fn use_api_token(&self, number: u64, at: UnixMillis) -> Pending<'_, ()>;

    /// Takes an API token back; false where there is none of this number.
    fn revoke_api_token(&self, number: u64, deed: Deed) -> Pending<'_, bool>;
}
