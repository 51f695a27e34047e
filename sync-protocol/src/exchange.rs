//! The bodies of every call on the control lane, and the headers around them.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::chain::Position;
use crate::event::{Event, VerdictAt};
use crate::id::{Digest, StreamId};
use crate::time::UnixMillis;

/// The version that this crate speaks, in the header [`VERSION_HEADER`] of every request and answer.
pub const PROTOCOL_VERSION: u32 = 1;
/// Carries [`PROTOCOL_VERSION`].
pub const VERSION_HEADER: &str = "branchline-protocol";
/// Carries [`body_digest`] of a request's JSON, so that what was bent on the way is not taken for what was
/// said (P4): a manifest of other chunks would otherwise look like any other.
pub const DIGEST_HEADER: &str = "branchline-digest";
/// Submits operations.
pub const OPERATIONS_PATH: &str = "/v1/operations";
/// Reads the feed: `?after=CURSOR&wait=SECONDS`.
pub const FEED_PATH: &str = "/v1/feed";
/// Announces files by manifest, on the bulk lane.
pub const MANIFESTS_PATH: &str = "/v1/manifests";
/// Brings chunks of announced files, on the bulk lane.
pub const CHUNKS_PATH: &str = "/v1/chunks";
/// Where parts of files that central gave are fetched: `GET` of this, `/` and the file's id.
pub const FILES_PATH: &str = "/v1/files";

/// The value of [`DIGEST_HEADER`] for a body as it is sent: BLAKE3, as a digest is written.
pub fn body_digest(sent: &[u8]) -> String {
    Digest(*blake3::hash(sent).as_bytes()).to_string()
}

/// `POST /v1/operations`: the next operations of a stream, or none, to say that one lives.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Submission<'a> {
    /// Whose next operations these are.
    pub stream: StreamId,
    /// Present until the stream's first acknowledgement when it continues another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub continues: Option<Continues>,
    /// What they come after.
    pub after: Position,
    /// Their exact bytes, in order; at most [`crate::limits::SUBMISSION_OPERATIONS`].
    #[serde(borrow)]
    pub operations: Vec<&'a RawValue>,
    /// How far the agent has read its feed; absent where it has read nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// How the agent is.
    pub health: Health,
}

/// Why a stream begins where another ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Continues {
    /// The stream that ended.
    pub stream: StreamId,
    /// What central must hold of it, because the new stream starts after that. Absent where all that
    /// the journal retains is submitted again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Position>,
    /// Why it ended.
    pub cause: ForkCause,
    /// Operations that the journal lost before the new stream's first and that will never come.
    pub lost: u64,
}

/// Why an agent opened a new stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ForkCause {
    /// The agent was restored from an older image: central knew more of the stream, or other things.
    AgentRestored,
    /// Central was restored to before what the agent still has.
    CentralRestored,
    /// Rows of the journal were damaged on disk.
    JournalDamaged,
    /// A cause from a newer agent.
    #[serde(other)]
    Other,
}

/// How an agent is, for IT to see which branch is in trouble.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Health {
    /// The agent's version.
    pub version: String,
    /// The agent's clock, for the skew.
    pub clock: UnixMillis,
    /// Operations not yet acknowledged.
    pub waiting: u64,
    /// When the oldest of them was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oldest_waiting: Option<UnixMillis>,
    /// Bytes free on the journal's disk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk_free: Option<u64>,
    /// Operations of this journal that were found damaged before they were acknowledged.
    #[serde(default)]
    pub damaged: u64,
    /// When the agent's certificate ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate_until: Option<UnixMillis>,
    /// The serial of the trust bundle that it holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trust: Option<u64>,
}

/// The answer to a [`Submission`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SubmissionReply {
    /// How far this submission is durable at central: within what was submitted (P3).
    pub acknowledged: Position,
    /// Central's head of the stream, which may be further on.
    pub head: Position,
    /// Verdicts other than accepted on what was submitted, repeats included.
    #[serde(default)]
    pub verdicts: Vec<VerdictAt>,
    /// Where `head` is further on: the highest ticket serial that central has seen of this agent, so
    /// that one that was restored from an older image gives no number out again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serials_used: Option<u32>,
    /// News for the branch, as the feed would give them.
    pub news: FeedReply,
}

/// The answer to `GET /v1/feed`, and part of a [`SubmissionReply`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct FeedReply {
    /// Events after the cursor, in order.
    #[serde(default)]
    pub feed: Vec<Event>,
    /// The new cursor; opaque, at most [`crate::limits::CURSOR_BYTES`].
    pub cursor: String,
    /// The cursor was not of this ledger (it was restored): the feed starts again from the first
    /// event. Events are repeatable, so that reading them twice is harmless.
    #[serde(default)]
    pub rewound: bool,
    /// Central's clock.
    pub server_time: UnixMillis,
}

/// A [`Submission`] without its operations.
#[derive(Debug, Clone, Serialize)]
pub struct SubmissionHead {
    /// See [`Submission::stream`].
    pub stream: StreamId,
    /// See [`Submission::continues`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub continues: Option<Continues>,
    /// See [`Submission::after`].
    pub after: Position,
    /// See [`Submission::cursor`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// See [`Submission::health`].
    pub health: Health,
}

/// The body of a submission: the head's members, then each operation's bytes as they are. The bytes
/// come from a journal that encoded them; they are copied, not read again.
pub fn encode_submission(head: &SubmissionHead, operations: &[&[u8]]) -> Vec<u8> {
    let mut body = serde_json::to_vec(head).unwrap_or_default();
    body.pop(); // the object's closing brace
    let bytes: usize = operations.iter().map(|operation| operation.len() + 1).sum();
    body.reserve(bytes + OPERATIONS_MEMBER.len() + 2);
    body.extend_from_slice(OPERATIONS_MEMBER);
    for (index, operation) in operations.iter().enumerate() {
        if index > 0 {
            body.push(b',');
        }
        body.extend_from_slice(operation);
    }
    body.extend_from_slice(b"]}");
    body
}

const OPERATIONS_MEMBER: &[u8] = br#","operations":["#;
