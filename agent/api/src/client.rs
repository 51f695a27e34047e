//! The client: one request, one answer, over the agent's socket or pipe.

mod attach;

use std::fmt::Write;
use std::path::Path;
use std::time::Duration;

use branchline_protocol::desk::Catalogue;
use branchline_protocol::file::{Actor, FileFault};
use branchline_protocol::id::{FileId, TicketNumber};
use branchline_protocol::problem::{ErrorClass, Problem};
use serde::Serialize;
use serde::de::DeserializeOwned;

pub use attach::{Attachment, Progress};

use crate::{
    AddComment, CATALOGUE_PATH, CHANGES_PATH, Changes, ChangesQuery, FILES_PATH, FileList,
    FileSummary, FileTicket, GIVEN_PATH, GivenFile, OperationSaved, STATUS_PATH, Status,
    TICKETS_PATH, TicketDetails, TicketList, TicketQuery, WithdrawTicket,
};

/// Longer than the agent's own bound on a commit; beyond it the agent is not coming back.
const PATIENCE: Duration = Duration::from_secs(60);

/// The largest file from one disk to another.
const CONTENT_WITHIN: Duration = Duration::from_secs(24 * 3_600);

/// Why there is no good answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The agent is not running, or this user may not speak to it.
    #[error("the agent does not answer at {socket}: {fault}")]
    NotRunning {
        /// The socket or pipe.
        socket: String,
        /// What the operating system said.
        fault: String,
    },
    /// The agent said no.
    #[error("{}", .0.detail)]
    Problem(Box<Problem>),
    /// The file to attach cannot be.
    #[error("{detail}. {}", .fault.advice())]
    File {
        /// What is wrong with it, and what to do.
        fault: FileFault,
        /// The file, and what the operating system said.
        detail: String,
    },
    /// What answered is not the agent.
    #[error("what answers is not a Branchline agent: {0}")]
    Unreadable(String),
}

impl ClientError {
    /// Who must act.
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::NotRunning { .. } => ErrorClass::TryAgain,
            Self::Problem(problem) => problem.class,
            Self::File { fault, .. } => match fault.actor() {
                Actor::Nobody => ErrorClass::TryAgain,
                Actor::Filer => ErrorClass::FixInput,
                Actor::BranchIt | Actor::CentralIt => ErrorClass::CallIt,
            },
            Self::Unreadable(_) => ErrorClass::CallIt,
        }
    }
}

/// A handle on the local agent. Cheap to keep; finds the agent again after a restart by itself. A
/// filing without an id is never asked for twice, so give it one.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    socket: String,
}

impl Client {
    /// A client of the agent at this Unix socket or named pipe. Connects at the first request.
    pub fn new(socket: &Path) -> Result<Self, ClientError> {
        // No TLS is spoken here; the HTTP client wants to know which one it would be.
        let _ = rustls::crypto::ring::default_provider().install_default();
        // No authority either: a computer need not have a list of them.
        let builder = reqwest::Client::builder()
            .no_proxy()
            .tls_certs_only([])
            .timeout(PATIENCE);
        #[cfg(unix)]
        let builder = builder.unix_socket(socket);
        #[cfg(windows)]
        let builder = builder.windows_named_pipe(socket);
        let http = builder
            .build()
            .map_err(|fault| ClientError::Unreadable(fault.to_string()))?;
        Ok(Self {
            http,
            socket: socket.display().to_string(),
        })
    }

    /// Files a ticket. An `Ok` means that it is on disk (P1).
    pub async fn file_ticket(&self, ticket: &FileTicket) -> Result<OperationSaved, ClientError> {
        self.post(TICKETS_PATH, ticket, ticket.id.is_some()).await
    }

    /// Adds a comment.
    pub async fn add_comment(
        &self,
        number: &TicketNumber,
        comment: &AddComment,
    ) -> Result<OperationSaved, ClientError> {
        let path = format!("{TICKETS_PATH}/{number}/comments");
        self.post(&path, comment, comment.id.is_some()).await
    }

    /// Takes a ticket back.
    pub async fn withdraw_ticket(
        &self,
        number: &TicketNumber,
        withdrawal: &WithdrawTicket,
    ) -> Result<OperationSaved, ClientError> {
        let path = format!("{TICKETS_PATH}/{number}/withdrawal");
        self.post(&path, withdrawal, withdrawal.id.is_some()).await
    }

    /// Tickets before this serial, newest first.
    pub async fn tickets(
        &self,
        before: Option<u32>,
        limit: u32,
    ) -> Result<TicketList, ClientError> {
        let query = TicketQuery {
            before,
            limit: Some(limit),
            ..TicketQuery::default()
        };
        self.find_tickets(&query).await
    }

    /// Tickets, newest first: one's own, or those in which certain words stand.
    pub async fn find_tickets(&self, query: &TicketQuery) -> Result<TicketList, ClientError> {
        let mut path = format!("{TICKETS_PATH}?mine={}", query.mine);
        if let Some(before) = query.before {
            let _ = write!(path, "&before={before}");
        }
        if let Some(limit) = query.limit {
            let _ = write!(path, "&limit={limit}");
        }
        if let Some(search) = &query.search {
            path.push_str("&search=");
            path.push_str(&attach::escaped(search));
        }
        self.get(&path).await
    }

    /// Waits until something changes, as long as the query says.
    pub async fn changes(&self, query: &ChangesQuery) -> Result<Changes, ClientError> {
        let mut path = format!("{CHANGES_PATH}?wait={}", query.wait);
        if let Some(seen) = &query.seen {
            path.push_str("&seen=");
            path.push_str(&attach::escaped(seen));
        }
        if let Some(news) = query.news {
            let _ = write!(path, "&news={news}");
        }
        self.get(&path).await
    }

    /// One ticket with all that came after it.
    pub async fn ticket(&self, number: &TicketNumber) -> Result<TicketDetails, ClientError> {
        self.get(&format!("{TICKETS_PATH}/{number}")).await
    }

    /// Files before this position, newest first.
    pub async fn files(&self, before: Option<u64>, limit: u32) -> Result<FileList, ClientError> {
        let before = before.map_or_else(String::new, |before| format!("&before={before}"));
        self.get(&format!("{FILES_PATH}?limit={limit}{before}"))
            .await
    }

    /// One file.
    pub async fn file(&self, id: FileId) -> Result<FileSummary, ClientError> {
        self.get(&format!("{FILES_PATH}/{id}")).await
    }

    /// What central wants people to file by; serial 0 before it said anything.
    pub async fn catalogue(&self) -> Result<Catalogue, ClientError> {
        self.get(CATALOGUE_PATH).await
    }

    /// A file that central gave with a reply.
    pub async fn given(&self, id: FileId) -> Result<GivenFile, ClientError> {
        self.get(&format!("{GIVEN_PATH}/{id}")).await
    }

    /// Its bytes, handed to `take` as they come. They are the file only if its root says so: prove it.
    pub async fn given_content(
        &self,
        id: FileId,
        mut take: impl FnMut(&[u8]) -> std::io::Result<()>,
    ) -> Result<(), ClientError> {
        let broken = |fault: &dyn std::error::Error| ClientError::NotRunning {
            socket: self.socket.clone(),
            fault: innermost(fault),
        };
        let request = self
            .http
            .get(format!("http://agent{GIVEN_PATH}/{id}/content"))
            .timeout(CONTENT_WITHIN);
        let mut response = request.send().await.map_err(|fault| broken(&fault))?;
        if !response.status().is_success() {
            let body = response.bytes().await.map_err(|fault| broken(&fault))?;
            let problem = serde_json::from_slice(&body)
                .map_err(|fault| ClientError::Unreadable(fault.to_string()))?;
            return Err(ClientError::Problem(Box::new(problem)));
        }
        while let Some(piece) = response.chunk().await.map_err(|fault| broken(&fault))? {
            take(&piece).map_err(|fault| ClientError::Unreadable(fault.to_string()))?;
        }
        Ok(())
    }

    /// How the agent is.
    pub async fn status(&self) -> Result<Status, ClientError> {
        self.get(STATUS_PATH).await
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        self.answer(self.http.get(format!("http://agent{path}")), true)
            .await
    }

    async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
        repeatable: bool,
    ) -> Result<T, ClientError> {
        self.answer(
            self.http.post(format!("http://agent{path}")).json(body),
            repeatable,
        )
        .await
    }

    /// A connection kept from before the agent's restart breaks at its next use. What may be asked
    /// twice without harm is then asked again on a new one.
    async fn answer<T: DeserializeOwned>(
        &self,
        request: reqwest::RequestBuilder,
        repeatable: bool,
    ) -> Result<T, ClientError> {
        let again = if repeatable {
            request.try_clone()
        } else {
            None
        };
        let (succeeded, body) = match (exchange(request).await, again) {
            (Err(fault), Some(again)) if !fault.is_connect() && !fault.is_timeout() => {
                exchange(again).await
            }
            (first, _) => first,
        }
        .map_err(|fault| ClientError::NotRunning {
            socket: self.socket.clone(),
            fault: innermost(&fault),
        })?;
        if succeeded {
            return serde_json::from_slice(&body)
                .map_err(|fault| ClientError::Unreadable(fault.to_string()));
        }
        let problem = serde_json::from_slice(&body)
            .map_err(|fault| ClientError::Unreadable(fault.to_string()))?;
        Err(ClientError::Problem(Box::new(problem)))
    }
}

async fn exchange(request: reqwest::RequestBuilder) -> Result<(bool, Vec<u8>), reqwest::Error> {
    let response = request.send().await?;
    let succeeded = response.status().is_success();
    Ok((succeeded, response.bytes().await?.to_vec()))
}

/// The cause at the bottom is the one that a person can act on ("permission denied").
fn innermost(fault: &dyn std::error::Error) -> String {
    let mut cause = fault;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}
