//! The trail: who did what, in entries that are only appended and whose digests chain, so that a change
//! shows.
//!
//! Beside the data's way: every verb of the ledger that changes who may do what takes a [`Deed`] and adds
//! it in the same transaction.
//!
//! Invariants: positions are 1, 2, 3… without holes; an entry's digest is [`TrailEntry::digest_after`] the
//! digest of the one before ([`TRAIL_GENESIS`] before the first). Who can write the file can still cut off
//! its end, or write the whole chain anew: against that, keep the last digest somewhere else.

use std::fmt;

use branchline_protocol::id::{AgentId, Digest};
use branchline_protocol::text::clipped;
use branchline_protocol::time::UnixMillis;

/// Characters of an actor, as it is written.
const ACTOR_CHARS: usize = 160;
/// Characters of a subject.
const SUBJECT_CHARS: usize = 200;
/// Characters of a detail.
const DETAIL_CHARS: usize = branchline_protocol::limits::DETAIL_CHARS;
/// Characters of an address.
const ADDRESS_CHARS: usize = 64;
/// What stands before the first entry's digest.
pub const TRAIL_GENESIS: Digest = Digest([0; 32]);

/// What an entry's digest is over besides its fields, so that it is no other digest.
const CONTEXT: &[u8] = b"branchline-trail-v1";

/// Who did something, for the trail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Actor {
    /// Somebody at the command line, by the name that the operating system knows.
    CommandLine(String),
    /// An operator, by name.
    Operator(String),
    /// A program, by the number of its API token.
    ApiToken(u64),
    /// An agent.
    Agent(AgentId),
    /// Whoever holds an enrolment token, or tries to sign in, from this address.
    Bearer(String),
    /// The server itself.
    Server,
}

impl fmt::Display for Actor {
    /// As it is written in the trail.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CommandLine(user) => write!(f, "command-line:{user}"),
            Self::Operator(name) => write!(f, "operator:{name}"),
            Self::ApiToken(number) => write!(f, "api-token:{number}"),
            Self::Agent(id) => write!(f, "agent:{id}"),
            Self::Bearer(address) => write!(f, "bearer:{address}"),
            Self::Server => f.write_str("server"),
        }
    }
}

/// Something worth knowing later.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deed {
    /// Who.
    pub actor: Actor,
    /// What: a stable word, such as `agent-revoked`.
    pub action: &'static str,
    /// To what or whom: an agent, a file, an operator; cut to [`SUBJECT_CHARS`].
    pub subject: String,
    /// More, for people; cut to [`DETAIL_CHARS`].
    pub detail: String,
    /// From where, as far as is known.
    pub address: Option<String>,
    /// When, by central's clock.
    pub at: UnixMillis,
}

/// A deed in the trail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrailEntry {
    /// Its place: 1 for the first, and one more for each.
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
    /// Of this actor, as it is written.
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

impl TrailEntry {
    /// The entry that a deed becomes.
    pub fn of(deed: &Deed, position: u64, before: Digest) -> Self {
        let cut = |text: &str, most| clipped(text, most).to_owned();
        let mut entry = Self {
            position,
            actor: cut(&deed.actor.to_string(), ACTOR_CHARS),
            action: deed.action.to_owned(),
            subject: cut(&deed.subject, SUBJECT_CHARS),
            detail: cut(&deed.detail, DETAIL_CHARS),
            address: deed.address.as_deref().map(|from| cut(from, ADDRESS_CHARS)),
            at: deed.at,
            digest: TRAIL_GENESIS,
        };
        entry.digest = entry.digest_after(before);
        entry
    }

    /// What the digest must be where the entry before has this one.
    pub fn digest_after(&self, before: Digest) -> Digest {
        let mut hasher = blake3::Hasher::new();
        hasher.update(CONTEXT);
        hasher.update(&before.0);
        hasher.update(&self.position.to_le_bytes());
        hasher.update(&self.at.0.to_le_bytes());
        hasher.update(&[u8::from(self.address.is_some())]);
        let address = self.address.as_deref().unwrap_or_default();
        // Each with its length, so that nothing can move from one field to the next.
        for text in [
            &self.actor,
            &self.action,
            &self.subject,
            &self.detail,
            address,
        ] {
            hasher.update(&(text.len() as u64).to_le_bytes());
            hasher.update(text.as_bytes());
        }
        Digest(*hasher.finalize().as_bytes())
    }
}

/// Goes through the trail from its beginning, and says where it does not hold together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TrailCheck {
    /// How far it has gone.
    pub position: u64,
    /// The digest there.
    pub digest: Digest,
}

/// Where and how the trail does not hold together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TrailFault {
    /// An entry is not there.
    #[error("entry {0} is missing")]
    Missing(u64),
    /// An entry, or the one before it, is not what was recorded.
    #[error("entry {0} is not what was recorded, or the one before it is not")]
    Changed(u64),
}

impl Default for TrailCheck {
    fn default() -> Self {
        Self {
            position: 0,
            digest: TRAIL_GENESIS,
        }
    }
}

impl TrailCheck {
    /// Goes one entry on. After a fault, the rest is checked against what stands there.
    pub fn next(&mut self, entry: &TrailEntry) -> Result<(), TrailFault> {
        let expected = self.position + 1;
        let fault = if entry.position != expected {
            Err(TrailFault::Missing(expected))
        } else if entry.digest_after(self.digest) != entry.digest {
            Err(TrailFault::Changed(entry.position))
        } else {
            Ok(())
        };
        self.position = entry.position;
        self.digest = entry.digest;
        fault
    }
}
