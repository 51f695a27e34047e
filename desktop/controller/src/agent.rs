//! What the client asks of the agent, as a trait, so that tests have one in memory.

use std::future::Future;
use std::io;
use std::path::Path;

use branchline_agent_api::{
    AddComment, Attachment, Changes, ChangesQuery, Client, ClientError, FileSaved, FileTicket,
    GivenFile, OperationSaved, Progress, Status, TicketDetails, TicketList, TicketQuery,
    WithdrawTicket,
};
use branchline_protocol::desk::Catalogue;
use branchline_protocol::id::{FileId, TicketNumber};

/// An answer on its way.
pub trait Answer<T>: Future<Output = Result<T, ClientError>> + Send {}

impl<T, F: Future<Output = Result<T, ClientError>> + Send> Answer<T> for F {}

/// The local agent. The verbs are those of [`Client`], and so are their promises.
pub trait Agent: Clone + Send + Sync + 'static {
    /// Files a ticket; `Ok` means that it is on disk (P1).
    fn file_ticket(&self, ticket: &FileTicket) -> impl Answer<OperationSaved>;
    /// Adds a comment.
    fn add_comment(&self, on: &TicketNumber, comment: &AddComment) -> impl Answer<OperationSaved>;
    /// Attaches a file of the disk.
    fn attach_file(
        &self,
        attachment: &Attachment,
        path: &Path,
        progress: Progress,
    ) -> impl Answer<FileSaved>;
    /// Takes a ticket back.
    fn withdraw(&self, number: &TicketNumber, ask: &WithdrawTicket) -> impl Answer<OperationSaved>;
    /// Tickets, newest first.
    fn tickets(&self, query: &TicketQuery) -> impl Answer<TicketList>;
    /// One ticket with all that came after it.
    fn ticket(&self, number: &TicketNumber) -> impl Answer<TicketDetails>;
    /// What people file by.
    fn catalogue(&self) -> impl Answer<Catalogue>;
    /// How the agent is.
    fn status(&self) -> impl Answer<Status>;
    /// Waits until something changes.
    fn changes(&self, query: &ChangesQuery) -> impl Answer<Changes>;
    /// A file that central gave with a reply.
    fn given(&self, id: FileId) -> impl Answer<GivenFile>;
    /// Its bytes, handed to `take` as they come, to be proven by whoever takes them.
    fn given_content(
        &self,
        id: FileId,
        take: impl FnMut(&[u8]) -> io::Result<()> + Send,
    ) -> impl Answer<()>;
}

impl Agent for Client {
    fn file_ticket(&self, ticket: &FileTicket) -> impl Answer<OperationSaved> {
        Self::file_ticket(self, ticket)
    }
    fn add_comment(&self, on: &TicketNumber, comment: &AddComment) -> impl Answer<OperationSaved> {
        Self::add_comment(self, on, comment)
    }
    fn attach_file(
        &self,
        attachment: &Attachment,
        path: &Path,
        progress: Progress,
    ) -> impl Answer<FileSaved> {
        Self::attach_file(self, attachment, path, progress)
    }
    fn withdraw(&self, number: &TicketNumber, ask: &WithdrawTicket) -> impl Answer<OperationSaved> {
        self.withdraw_ticket(number, ask)
    }
    fn tickets(&self, query: &TicketQuery) -> impl Answer<TicketList> {
        self.find_tickets(query)
    }
    fn ticket(&self, number: &TicketNumber) -> impl Answer<TicketDetails> {
        Self::ticket(self, number)
    }
    fn catalogue(&self) -> impl Answer<Catalogue> {
        Self::catalogue(self)
    }
    fn status(&self) -> impl Answer<Status> {
        Self::status(self)
    }
    fn changes(&self, query: &ChangesQuery) -> impl Answer<Changes> {
        Self::changes(self, query)
    }
    fn given(&self, id: FileId) -> impl Answer<GivenFile> {
        Self::given(self, id)
    }
    fn given_content(
        &self,
        id: FileId,
        take: impl FnMut(&[u8]) -> io::Result<()> + Send,
    ) -> impl Answer<()> {
        Self::given_content(self, id, take)
    }
}
