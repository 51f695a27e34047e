//! Files as the branch sees them: from the disk here to the verdict at central.

use branchline_protocol::desk::OfferedFile;
use branchline_protocol::file::{FileFault, FileState};
use branchline_protocol::id::{Digest, FileId, TicketNumber};
use branchline_protocol::time::{LocalTime, UnixMillis};
use serde::{Deserialize, Serialize};

use crate::{Delivery, LastError};

/// The answer to `POST /v1/tickets/NUMBER/files`: given only after content and operation were synced (P1).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileSaved {
    /// The file.
    pub file: FileId,
    /// The ticket that it belongs to.
    pub number: TicketNumber,
    /// Its name as filed: without folders and control characters.
    pub name: String,
    /// Bytes.
    pub size: u64,
    /// BLAKE3 of the whole.
    pub root: Digest,
    /// When it was saved, by the branch's clock.
    pub saved_at: LocalTime,
    /// It had been saved before under the same id, and nothing was added.
    pub repeated: bool,
}

/// What the branch has done with a file's content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Upload {
    /// Central does not have all of it yet.
    Waiting,
    /// Central has every byte.
    Sent,
    /// Central will not take it.
    Refused,
    /// It decayed on this disk before central had it.
    Damaged,
}

/// A file with all that is known of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileSummary {
    /// The file.
    pub id: FileId,
    /// Its place among all that this agent saved; the `before` of the page behind it.
    pub position: u64,
    /// The ticket that it belongs to.
    pub number: TicketNumber,
    /// Its name as filed.
    pub name: String,
    /// Bytes.
    pub size: u64,
    /// BLAKE3 of the whole.
    pub root: Digest,
    /// Operating-system user who attached it.
    pub by: String,
    /// By the branch's clock.
    pub at: LocalTime,
    /// How far the word of it has come.
    pub delivery: Delivery,
    /// How far its content has.
    pub upload: Upload,
    /// Bytes that central has, while it is under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sent: Option<u64>,
    /// What became of it at central, once central has said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<FileState>,
    /// What went wrong with it, if anything did; [`FileFault::advice`] says what to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<FileFault>,
}

/// `GET /v1/files?before=POSITION&limit=N`, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileList {
    /// At most [`crate::LIST_FILES`].
    pub files: Vec<FileSummary>,
    /// The `before` of the next page, absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<u64>,
}

/// What `GET /v1/status` says of files.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FilesStatus {
    /// Files that central does not have yet.
    pub waiting: u64,
    /// Bytes of them.
    pub waiting_bytes: u64,
    /// Files that decayed here, or that central will not take.
    pub failed: u64,
    /// Bytes that files take on this disk.
    pub used_bytes: u64,
    /// Bytes that they may take.
    pub quota_bytes: u64,
    /// Bytes that they leave free on it.
    pub reserve_bytes: u64,
    /// What is being taken in just now.
    pub taking: Vec<FileTaking>,
    /// The last file that was refused for want of room, until the next one is taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<FileRefused>,
    /// How they go to central.
    #[serde(default)]
    pub sending: SendingStatus,
}

/// How files go to central.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SendingStatus {
    /// Bytes per second that go just now, headers included.
    pub bytes_per_second: u64,
    /// Bytes per second that are allowed just now; absent without a limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
    /// Whose word that is; absent where nobody says anything of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit_by: Option<LimitBy>,
    /// Bytes that went since the agent started, requests' heads and announcements included.
    pub sent_bytes: u64,
    /// What hinders it, while something does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<LastError>,
    /// What is wrong with the configuration file as it is now; the settings from before hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settings_fault: Option<String>,
}

/// A file that central gave with a reply.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GivenFile {
    /// What it is.
    #[serde(flatten)]
    pub file: OfferedFile,
    /// Whether it is here.
    pub state: GivenState,
}

/// Whether a file that central gave is here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GivenState {
    /// It is being fetched, or waits for the link or for room.
    Wanted,
    /// Whole, and proven.
    Here,
    /// Central does not give it any more.
    Refused,
    /// It was here, and made room for newer ones; given again, it comes again.
    Gone,
}

/// Who says how fast files may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LimitBy {
    /// This agent's configuration, which goes before central's word.
    Configuration,
    /// Central.
    Central,
}

/// A file that is being taken in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileTaking {
    /// Its id, once it is saved.
    pub id: FileId,
    /// Its name as it will be filed.
    pub name: String,
    /// Bytes so far.
    pub bytes: u64,
    /// Bytes in all, where they were said.
    pub size: Option<u64>,
}

/// A file that was refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileRefused {
    /// When.
    pub at: UnixMillis,
    /// Its name.
    pub name: String,
    /// Why.
    pub fault: FileFault,
}
