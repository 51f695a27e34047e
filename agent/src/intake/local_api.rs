//! The local API's server: HTTP/1.1 over a Unix socket or a named pipe, the caller known from the
//! operating system. Routes and types are those of `branchline-agent-api`.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Extension, Query, State};
use axum::routing::{get, post};
use branchline_agent_api::{
    AddComment, FileTicket, LIST_TICKETS, OperationSaved, REQUEST_BYTES, SEARCH_CHARS, Status,
    TicketDetails, TicketList, TicketQuery, WithdrawTicket,
};
use branchline_protocol::desk::Catalogue;
use branchline_protocol::enrolment::JournalOf;
use branchline_protocol::id::{OperationId, TicketNumber};
use branchline_protocol::operation::Reporter;
use branchline_protocol::problem::{Problem, ProblemKind};
use http::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::Service;

use crate::platform::{Caller, LocalListener};
use crate::store::Store;
use crate::store::filing::{Ask, Filing, TicketDraft};
use crate::store::finding::{Question, Sight};
use crate::sync::bulk::BulkView;
use crate::sync::{Appended, SyncStatus, UploadProgress};

use super::changes;
use super::counter::{Counter, MembershipView};
use super::drop_folders::DropFolders;
use super::given;
use super::impatient::Impatient;
use super::problems::Refusal;
use super::requests::{JsonAnswer, JsonBody, Number};
use super::taking::FileIntake;
use super::uploads;

/// Connections at once: every program of a busy terminal server, and a bound all the same (P8).
const CONNECTIONS: usize = 256;
/// How long a client may take over a request's head or body.
const REQUEST_WITHIN: Duration = Duration::from_secs(15);
/// How long a client may take nothing of its answer.
const WRITE_STALL: Duration = Duration::from_secs(15);
/// The category of a ticket that names none.
const DEFAULT_CATEGORY: &str = "general";
/// Tickets in a list that names no limit.
const DEFAULT_LIST: u32 = 50;

/// What the routes work with.
pub struct Desk {
    /// Where everything is saved.
    pub store: Arc<Store>,
    /// Wakes the sync loop.
    pub appended: Arc<Appended>,
    /// What the sync loop says of the link.
    pub sync: watch::Receiver<SyncStatus>,
    /// Takes files in.
    pub intake: Arc<FileIntake>,
    /// How far files have gone.
    pub uploads: Arc<UploadProgress>,
    /// How they go.
    pub bulk: BulkView,
    /// Whose journal it is, for the status.
    pub owner: JournalOf,
    /// For the status.
    pub membership: MembershipView,
    /// For the status.
    pub drop_folders: DropFolders,
    /// Everybody on this computer sees everybody's tickets.
    pub colleagues: bool,
}

pub(super) type Shared = State<Arc<Desk>>;

/// Serves until shutdown, then lets requests under way finish.
pub async fn serve(mut listener: LocalListener, counter: Counter, shutdown: CancellationToken) {
    let turns = Arc::new(Semaphore::new(CONNECTIONS));
    let connections = TaskTracker::new();
    loop {
        let Ok(turn) = turns.clone().acquire_owned().await else {
            break;
        };
        let stream = tokio::select! {
            () = shutdown.cancelled() => break,
            accepted = listener.accept() => match accepted {
                Ok(stream) => stream,
                Err(fault) => {
                    // Out of file handles, most likely: others must end first.
                    tracing::warn!(error = %fault, "accept a local connection");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            },
        };
        let (counter, shutdown) = (counter.clone(), shutdown.clone());
        connections.spawn(async move {
            let _turn = turn;
            match LocalListener::caller(&stream).await {
                Ok(caller) => {
                    let stream = TokioIo::new(Impatient::new(stream, WRITE_STALL));
                    serve_connection(stream, counter, caller, shutdown).await;
                }
                Err(fault) => tracing::warn!(error = %fault, "identify a local caller"),
            }
        });
    }
    connections.close();
    connections.wait().await;
}

async fn serve_connection<I>(
    io: TokioIo<I>,
    counter: Counter,
    caller: Caller,
    shutdown: CancellationToken,
) where
    I: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(caller.clone());
        counter.routes().call(request)
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(REQUEST_WITHIN)
        // Scripts close their side behind the request (`nc -N`) and wait for the answer.
        .half_close(true)
        .serve_connection(io, service);
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = shutdown.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(fault) = ended {
        tracing::debug!(error = %fault, "a local connection broke");
    }
}

pub(super) fn router(desk: Arc<Desk>) -> Router {
    Router::new()
        .route("/v1/tickets", post(file_ticket).get(list_tickets))
        .route("/v1/tickets/{number}", get(show_ticket))
        .route("/v1/tickets/{number}/comments", post(add_comment))
        .route("/v1/tickets/{number}/withdrawal", post(withdraw_ticket))
        .route("/v1/tickets/{number}/files", post(uploads::attach_file))
        .route("/v1/files", get(uploads::list_files))
        .route("/v1/files/{id}", get(uploads::show_file))
        .route("/v1/given/{id}", get(given::show))
        .route("/v1/given/{id}/content", get(given::content))
        .route("/v1/changes", get(changes::changes))
        .route("/v1/catalogue", get(catalogue))
        .route("/v1/status", get(status))
        .fallback(no_such_route)
        .method_not_allowed_fallback(no_such_method)
        .layer(DefaultBodyLimit::max(REQUEST_BYTES))
        .with_state(desk)
}

async fn no_such_route() -> Refusal {
    Problem::new(
        ProblemKind::NotFound,
        "this agent has no such route; it may be older than you",
    )
    .into()
}

async fn no_such_method() -> Refusal {
    Problem::new(
        ProblemKind::MethodNotAllowed,
        "this route takes other methods",
    )
    .into()
}

async fn file_ticket(
    State(desk): Shared,
    Extension(caller): Extension<Caller>,
    JsonBody(ask): JsonBody<FileTicket>,
) -> Result<JsonAnswer<OperationSaved>, Refusal> {
    let mut contact = ask.contact;
    if contact.name.is_none() && contact.phone.is_none() && contact.mail.is_none() {
        contact.name = Some(caller.user.clone());
    }
    let draft = TicketDraft {
        subject: ask.subject,
        description: ask.description.replace("\r\n", "\n"),
        category: ask.category.unwrap_or_else(|| DEFAULT_CATEGORY.to_owned()),
        priority: ask.priority,
        contact,
        asset: ask.asset,
    };
    desk.save(caller, ask.id, Ask::Ticket(draft)).await
}

async fn add_comment(
    State(desk): Shared,
    Extension(caller): Extension<Caller>,
    Number(number): Number,
    JsonBody(ask): JsonBody<AddComment>,
) -> Result<JsonAnswer<OperationSaved>, Refusal> {
    desk.must_see(&caller, &number).await?;
    let text = ask.text.replace("\r\n", "\n");
    desk.save(caller, ask.id, Ask::Comment { number, text })
        .await
}

async fn withdraw_ticket(
    State(desk): Shared,
    Extension(caller): Extension<Caller>,
    Number(number): Number,
    JsonBody(ask): JsonBody<WithdrawTicket>,
) -> Result<JsonAnswer<OperationSaved>, Refusal> {
    desk.must_see(&caller, &number).await?;
    let reason = ask.reason.map(|reason| reason.replace("\r\n", "\n"));
    desk.save(caller, ask.id, Ask::Withdrawal { number, reason })
        .await
}

async fn list_tickets(
    State(desk): Shared,
    Extension(caller): Extension<Caller>,
    query: Result<Query<TicketQuery>, axum::extract::rejection::QueryRejection>,
) -> Result<JsonAnswer<TicketList>, Refusal> {
    let Query(query) = query.map_err(|fault| {
        Problem::new(
            ProblemKind::Malformed,
            format!("{fault}; use ?before=SERIAL&limit=N&mine=true&search=WORDS"),
        )
    })?;
    let limit = query.limit.unwrap_or(DEFAULT_LIST);
    let search = query.search.as_deref().unwrap_or_default();
    let fault = if !(1..=LIST_TICKETS).contains(&limit) {
        Some(("limit", format!("limit must be 1 to {LIST_TICKETS}")))
    } else if search.chars().count() > SEARCH_CHARS {
        Some((
            "search",
            format!("search has at most {SEARCH_CHARS} characters"),
        ))
    } else {
        None
    };
    if let Some((field, detail)) = fault {
        return Err(Problem::new(ProblemKind::InvalidField, detail)
            .on_field(field)
            .into());
    }
    let sight = if query.mine {
        Sight::Own(caller.user)
    } else {
        desk.sight_of(&caller)
    };
    let question = Question {
        before: query.before,
        limit,
        sight,
        search: query.search,
    };
    Ok(JsonAnswer(desk.store.tickets(question).await?))
}

async fn show_ticket(
    State(desk): Shared,
    Extension(caller): Extension<Caller>,
    Number(number): Number,
) -> Result<JsonAnswer<TicketDetails>, Refusal> {
    desk.must_see(&caller, &number).await?;
    let mut found = desk.store.ticket(number.clone()).await?;
    if let Some(ticket) = &mut found {
        desk.fill_progress(&mut ticket.files);
    }
    found.map(JsonAnswer).ok_or_else(|| no_such_ticket(&number))
}

/// Also for one that the caller may not see.
fn no_such_ticket(number: &TicketNumber) -> Refusal {
    Problem::new(
        ProblemKind::NotFound,
        format!("there is no ticket {number} here"),
    )
    .into()
}

async fn catalogue(State(desk): Shared) -> JsonAnswer<Catalogue> {
    JsonAnswer(desk.store.policy().borrow().catalogue.clone())
}

async fn status(State(desk): Shared) -> Result<JsonAnswer<Status>, Refusal> {
    let facts = desk.store.facts().await?;
    let SyncStatus { link, last_error } = desk.sync.borrow().clone();
    let owner = desk.owner.clone();
    let files = desk.files_status().await?;
    Ok(JsonAnswer(Status {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        branch: Some(owner.branch),
        ordinal: Some(owner.ordinal),
        agent: Some(owner.agent),
        server: desk.membership.server(),
        enrolment: desk.membership.status(),
        link,
        waiting: facts.waiting,
        waiting_tickets: facts.waiting_tickets,
        oldest_waiting: facts.oldest_waiting,
        last_acknowledgement: facts.last_acknowledgement,
        last_error,
        rejected: facts.rejected,
        damaged: facts.damaged,
        journal_bytes: facts.used_bytes,
        journal_limit_bytes: facts.limit_bytes,
        files,
        disk_free: crate::platform::disk_free(desk.store.path()),
        stream: Some(facts.stream),
        head: facts.head,
        acknowledged: Some(facts.acknowledged),
        drop_folders: desk.drop_folders.statuses(),
    }))
}

impl Desk {
    /// Whose tickets somebody may see here.
    pub(super) fn sight_of(&self, caller: &Caller) -> Sight {
        if self.colleagues || caller.is_administrator {
            Sight::All
        } else {
            Sight::Own(caller.user.clone())
        }
    }

    /// A ticket that somebody may not see is none to them.
    pub(super) async fn must_see(
        &self,
        caller: &Caller,
        number: &TicketNumber,
    ) -> Result<(), Refusal> {
        let sight = self.sight_of(caller);
        if self.store.is_seen(number.clone(), sight).await? {
            return Ok(());
        }
        Err(no_such_ticket(number))
    }

    async fn save(
        &self,
        caller: Caller,
        id: Option<OperationId>,
        ask: Ask,
    ) -> Result<JsonAnswer<OperationSaved>, Refusal> {
        let at = crate::ids::local_now();
        let id = id.unwrap_or_else(|| OperationId(crate::ids::new_uuid(at.millis)));
        let by = Reporter { user: caller.user };
        let saved = self.store.save(Filing { id, at, by, ask }).await?;
        self.appended.tell();
        Ok(JsonAnswer(saved))
    }
}
