//! The agent's local API: what a person's program says to the agent on the same machine.
//!
//! Stands before `intake` on the data's way. The CLI and the desktop client use it, over a Unix socket
//! or a named pipe; the agent serves the same types. Knows no SQL and no rules: those live in the
//! agent, and errors come back as problem documents that name the field and who must act.

mod changes;
mod client;
mod file;
mod status;
mod ticket;

pub use changes::{Changes, ChangesQuery, News, NewsKind};
pub use client::{Attachment, Client, ClientError, Progress};
pub use file::{
    FileList, FileRefused, FileSaved, FileSummary, FileTaking, FilesStatus, GivenFile, GivenState,
    LimitBy, SendingStatus, Upload,
};
pub use status::{
    DROP_FOLDER_TROUBLES, DropFolderState, DropFolderStatus, EnrolmentState, EnrolmentStatus,
    FileTrouble, LastError, LinkState, LinkStatus, Status,
};
pub use ticket::{
    AddComment, Delivery, Entry, EntryKind, FileCounts, FileTicket, OperationSaved, Reply,
    TicketDetails, TicketList, TicketQuery, TicketSummary, WithdrawTicket,
};

/// `POST` files a ticket; `GET ?before=SERIAL&limit=N` lists them, newest first.
pub const TICKETS_PATH: &str = "/v1/tickets";
/// `GET ?before=POSITION&limit=N` lists files, newest first; `GET` of one by its id. A file is attached
/// by `POST /v1/tickets/NUMBER/files?name=NAME&id=UUID&size=BYTES` with its bytes as the body.
pub const FILES_PATH: &str = "/v1/files";
/// `GET` of one by its id: a file that central gave with a reply; `/content` behind it: its bytes, once they
/// are whole and proven.
pub const GIVEN_PATH: &str = "/v1/given";
/// `GET`: what central wants people to file by, as last heard; there offline too.
pub const CATALOGUE_PATH: &str = "/v1/catalogue";
/// `GET`: waits until something changes; see [`ChangesQuery`].
pub const CHANGES_PATH: &str = "/v1/changes";
/// Seconds that such a question may wait: less than what a client has patience for.
pub const CHANGES_WAIT_SECONDS: u64 = 30;
/// News in one answer.
pub const LIST_NEWS: usize = 50;
/// Characters of a search.
pub const SEARCH_CHARS: usize = 200;
/// `GET`: how the agent is.
pub const STATUS_PATH: &str = "/v1/status";
/// Bytes of a request body: the longest texts with every character escaped.
pub const REQUEST_BYTES: usize = 256 * 1024;
/// Tickets in one answer to a list.
pub const LIST_TICKETS: u32 = 200;
/// Files in one answer to a list, and with one ticket.
pub const LIST_FILES: u32 = 200;
