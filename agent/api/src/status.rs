//! How the agent is, in terms that a person and a script can read.

use branchline_protocol::chain::Position;
use branchline_protocol::file::FileFault;
use branchline_protocol::id::{AgentId, BranchCode, Seq, StreamId};
use branchline_protocol::problem::ErrorClass;
use branchline_protocol::time::UnixMillis;
use serde::{Deserialize, Serialize};

use crate::FilesStatus;

/// `GET /v1/status`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// The agent's version.
    pub version: String,
    /// The branch; like the three behind it absent until this machine has joined.
    pub branch: Option<BranchCode>,
    /// Which of the branch's agents.
    pub ordinal: Option<u16>,
    /// The agent's identity.
    pub agent: Option<AgentId>,
    /// Where central is.
    pub server: Option<String>,
    /// How it stands with the agent's certificate.
    #[serde(default)]
    pub enrolment: EnrolmentStatus,
    /// The way to central.
    pub link: LinkStatus,
    /// Operations saved here and not yet acknowledged by central.
    pub waiting: u64,
    /// Tickets that they are on.
    #[serde(default)]
    pub waiting_tickets: u64,
    /// When the oldest of them was saved.
    pub oldest_waiting: Option<UnixMillis>,
    /// When central last acknowledged an operation.
    pub last_acknowledgement: Option<UnixMillis>,
    /// What went wrong last, whether or not it has passed.
    pub last_error: Option<LastError>,
    /// Operations that central did not accept, within the retention time.
    pub rejected: u64,
    /// Operations whose record was found damaged before central had them.
    pub damaged: u64,
    /// Bytes that the journal takes.
    pub journal_bytes: u64,
    /// Bytes that it may take.
    pub journal_limit_bytes: u64,
    /// Bytes free on its disk.
    pub disk_free: Option<u64>,
    /// How files are.
    #[serde(default)]
    pub files: FilesStatus,
    /// The journal's present stream; absent where there is no journal yet.
    pub stream: Option<StreamId>,
    /// Its last operation.
    pub head: Seq,
    /// How far central has acknowledged it.
    pub acknowledged: Option<Position>,
    /// The drop folders, in the order of the configuration.
    #[serde(default)]
    pub drop_folders: Vec<DropFolderStatus>,
}

/// A drop folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DropFolderStatus {
    /// The folder.
    pub path: String,
    /// How its files are noticed.
    pub state: DropFolderState,
    /// Why it is not simply watched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub words: Option<String>,
    /// Files seen in it and not yet filed.
    pub waiting: u64,
    /// Files filed since the agent started.
    pub taken: u64,
    /// When the last of them was.
    pub last_taken: Option<UnixMillis>,
    /// What went wrong last, whether or not it has passed.
    pub last_error: Option<LastError>,
    /// Files that cannot be taken just now; at most [`DROP_FOLDER_TROUBLES`].
    #[serde(default)]
    pub troubles: Vec<FileTrouble>,
}

/// Files in [`DropFolderStatus::troubles`].
pub const DROP_FOLDER_TROUBLES: usize = 20;

/// How the files of a drop folder are noticed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DropFolderState {
    /// It has not been looked at yet.
    Starting,
    /// The system tells of changes.
    Watching,
    /// It is looked at every few seconds.
    Polling,
    /// It is not there; it is used again when it returns.
    Missing,
    /// It cannot be used.
    Trouble,
}

/// A file that cannot be taken just now. It is tried again by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileTrouble {
    /// Its name.
    pub name: String,
    /// What is wrong; says who must act.
    pub fault: FileFault,
    /// What the system said.
    pub words: String,
    /// Since when.
    pub since: UnixMillis,
    /// When it is tried again.
    pub next_attempt: UnixMillis,
}

/// How it stands with the agent's certificate.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct EnrolmentStatus {
    /// In one word.
    pub state: EnrolmentState,
    /// What is in the way of joining or renewing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<LastError>,
    /// When the certificate ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate_until: Option<UnixMillis>,
    /// From when on it is renewed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renewal_due: Option<UnixMillis>,
    /// The serial of the anchors that central may be proven by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trust: Option<u64>,
}

/// Whether this machine has joined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EnrolmentState {
    /// It has not, and waits for a token.
    NotEnrolled,
    /// It has a token and is at it.
    Enrolling,
    /// It has.
    #[default]
    Enrolled,
    /// It has, and gets its next certificate.
    Renewing,
    /// It had, and central does not know it any more: it waits for a token. Filing goes on.
    TokenNeeded,
}

/// The way to central.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkStatus {
    /// What it is now.
    pub state: LinkState,
    /// Since when.
    pub since: UnixMillis,
    /// When the agent tries again, while it is not connected.
    pub next_attempt: Option<UnixMillis>,
}

/// What the way to central is now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LinkState {
    /// The agent has started and not yet heard anything.
    Starting,
    /// Central answers.
    Connected,
    /// Central cannot be reached, or asks to wait.
    Waiting,
    /// Central answers and refuses this agent: IT must act.
    Refused,
}

/// Something that went wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastError {
    /// When.
    pub at: UnixMillis,
    /// Who must act.
    pub class: ErrorClass,
    /// One sentence.
    pub words: String,
}
