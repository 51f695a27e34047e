//! The desk: what central support works with.
//!
//! On the data's way: `ledger → outbox → [desk]`. Questions are answered from the read model, which goes on
//! when the ledger is away (P10); whatever changes something goes to the ledger.
//!
//! It has a listener of its own with bounds of its own, so that neither branches nor support can take the
//! other's place (P7). Who calls is proven for every request ([`callers`]); what each route asks for is in
//! the one table of [`Desk::router`]. Everything from outside has a bound (P8).

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::{delete, get, patch, post, put};
use http::{Method, Uri};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::authority::Authority;
use crate::authority::operators::Operators;
use crate::inspection::ScannerWatch;
use crate::ledger::{DeskLedger, HistoryLedger, Ledger, LedgerError, OperatorLedger, OutboxLedger};
use crate::vault::Vault;

mod around;
mod branches;
mod callers;
mod commands;
mod console;
mod files;
mod fleet;
mod giving;
mod graphql;
mod health;
mod listener;
mod live;
mod metrics;
pub mod openapi;
mod people;
mod problem;
pub mod read_model;
mod said;
mod session;

#[cfg(test)]
mod tests;

use branches::Snapshot;
use callers::Callers;
use problem::Refusal;
use read_model::ReadModel;

pub use listener::accept_until;

/// The ledger, with every verb that the desk uses.
pub trait DeskStore: Ledger + OperatorLedger + HistoryLedger + DeskLedger + OutboxLedger {}

impl<T: Ledger + OperatorLedger + HistoryLedger + DeskLedger + OutboxLedger> DeskStore for T {}

/// What the desk allows; the defaults are for production, tests take smaller ones.
#[derive(Debug, Clone)]
pub struct Bounds {
    /// Connections at once, handshakes under way included.
    pub connections: usize,
    /// Of one address.
    pub connections_of_address: usize,
    /// The longest that a handshake may take.
    pub handshake_within: Duration,
    /// The longest that a request's headers may take, and that a connection may stay idle.
    pub headers_within: Duration,
    /// The longest that the peer may take nothing of an answer.
    pub write_stall: Duration,
    /// How long a connection is used before it is closed in good order.
    pub connection_total: Duration,
    /// Requests that are answered at once.
    pub requests: usize,
    /// How long a request waits for its turn.
    pub turn_within: Duration,
    /// The longest that one may take, where it does not say otherwise.
    pub request_within: Duration,
    /// How long a proof of who calls waits for the ledger before what is remembered is used.
    pub proof_within: Duration,
    /// Files that are fetched at once.
    pub downloads: usize,
    /// Files for replies that are taken at once.
    pub uploads: usize,
    /// Bytes of the largest.
    pub upload_bytes: u64,
    /// One that does not move on for so long is given up.
    pub upload_stall: Duration,
    /// The longest that one may take.
    pub upload_within: Duration,
    /// How long an answer waits until the questions' answers know of what it did.
    pub shown_within: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            // 200 consoles with a live connection and their questions, and as many programs again.
            connections: 2_048,
            // A whole office, or a proxy, may be behind one address.
            connections_of_address: 1_024,
            handshake_within: Duration::from_secs(10),
            headers_within: Duration::from_secs(30),
            write_stall: Duration::from_secs(30),
            connection_total: Duration::from_secs(60 * 60),
            requests: 64,
            turn_within: Duration::from_secs(5),
            request_within: Duration::from_secs(20),
            proof_within: Duration::from_secs(2),
            // Each holds two or three MiB.
            downloads: 32,
            // Each holds some chunks.
            uploads: 8,
            // More than a manual or a driver; what is larger than the scanner takes must be released by hand.
            upload_bytes: 256 * 1024 * 1024,
            upload_stall: Duration::from_secs(30),
            upload_within: Duration::from_secs(30 * 60),
            shown_within: Duration::from_secs(1),
        }
    }
}

/// How browsers and programs reach the desk.
#[derive(Clone)]
pub enum Way {
    /// TLS with the server's certificate.
    Tls(Arc<rustls::ServerConfig>),
    /// Plain HTTP, to this machine alone.
    InsecureLoopback,
}

/// What the routes share.
pub struct Desk {
    store: Arc<dyn DeskStore>,
    vault: Arc<dyn Vault>,
    model: Arc<ReadModel>,
    operators: Operators,
    callers: Callers,
    snapshot: Snapshot,
    schema: graphql::Schema,
    live: live::Live,
    metrics: metrics::Metrics,
    way: Way,
    bounds: Bounds,
    /// How agents are asked to join.
    enrolling: Enrolling,
    /// What is watched besides.
    watched: Watched,
    /// Requests that may still be begun.
    turns: Arc<Semaphore>,
    /// Files that may still be fetched.
    downloads: Arc<Semaphore>,
    /// Files for replies that may still be taken.
    uploads: Arc<Semaphore>,
    /// What goes on behind an answer's head.
    tasks: TaskTracker,
    stopping: CancellationToken,
}

/// What a desk stands on.
pub struct Surroundings {
    /// Where everything is kept.
    pub store: Arc<dyn DeskStore>,
    /// Where files are.
    pub vault: Arc<dyn Vault>,
    /// What questions are answered from.
    pub model: Arc<ReadModel>,
    /// How it is reached.
    pub way: Way,
    /// How agents are asked to join.
    pub enrolling: Enrolling,
    /// What is watched besides.
    pub watched: Watched,
}

/// Parts of central of which the desk's figures tell.
#[derive(Debug, Clone, Default)]
pub struct Watched {
    /// How the virus scanner does.
    pub scanner: ScannerWatch,
    /// Names of the outbox's targets.
    pub targets: Vec<String>,
}

/// What enrolment tokens say.
pub struct Enrolling {
    /// Whose anchor they name.
    pub authority: Arc<Authority>,
    /// Where agents reach central.
    pub url: String,
}

impl Desk {
    /// A desk that answers what is open when `stopping` is cancelled.
    pub fn new(around: Surroundings, bounds: Bounds, stopping: CancellationToken) -> Arc<Self> {
        let position = around.model.freshness().borrow().position;
        Arc::new(Self {
            live: live::Live::new(position),
            metrics: metrics::Metrics::default(),
            operators: Operators::new(around.store.clone()),
            store: around.store,
            vault: around.vault,
            model: around.model,
            callers: Callers::default(),
            snapshot: Snapshot::default(),
            schema: graphql::schema(),
            way: around.way,
            enrolling: around.enrolling,
            watched: around.watched,
            turns: Arc::new(Semaphore::new(bounds.requests)),
            downloads: Arc::new(Semaphore::new(bounds.downloads)),
            uploads: Arc::new(Semaphore::new(bounds.uploads)),
            tasks: TaskTracker::new(),
            bounds,
            stopping,
        })
    }

    /// The routes. What each asks of its caller is the type that its handler takes: see [`callers`].
    pub fn router(self: &Arc<Self>) -> Router {
        Router::new()
            .merge(support())
            .merge(administration())
            .route_layer(from_fn_with_state(self.clone(), around::in_turn))
            // With a bound and a time of its own.
            .route("/desk/v1/files", post(giving::take))
            .fallback(console::show)
            .method_not_allowed_fallback(async |method: Method, uri: Uri| {
                problem::no_such_method(&method, &uri)
            })
            .layer(from_fn_with_state(self.clone(), around::around))
            .with_state(self.clone())
    }

    /// Keeps the read model and what is answered from memory up to date, until stopped.
    pub async fn tend(&self) {
        tokio::join!(
            self.model.follow(self.store.as_ref(), &self.stopping),
            branches::watch(self),
            live::watch(self),
        );
    }

    /// What the ledger answered, or why it did not, and since when.
    fn settled<T>(&self, answered: Result<T, LedgerError>) -> Result<T, Refusal> {
        answered.map_err(|fault| Refusal::from(fault).since(self.away_since()))
    }

    /// Waits a moment until questions are answered with what has just been done.
    async fn shown(&self, version: u64) {
        self.model.news().notify_one();
        let mut freshness = self.model.freshness();
        let reached = freshness.wait_for(|now| now.position >= version);
        // Whoever asks later sees it; it is done in any case.
        let _ = tokio::time::timeout(self.bounds.shown_within, reached).await;
    }

    /// Takes the snapshot anew, after something in it was changed.
    async fn look_again(&self) {
        self.model.news().notify_one();
        if let Err(fault) = branches::take(self).await {
            tracing::debug!(error = %fault, "ask the ledger how branches are");
        }
    }

    fn is_tls(&self) -> bool {
        matches!(self.way, Way::Tls(_))
    }
}

/// Health, sessions, questions, commands and files.
fn support() -> Router<Arc<Desk>> {
    Router::new()
        .route("/livez", get(health::live))
        .route("/readyz", get(health::ready))
        .route("/metrics", get(metrics::show))
        .route(
            "/desk/v1/session",
            get(session::show)
                .post(session::sign_in)
                .delete(session::sign_out),
        )
        .route("/desk/v1/password", post(session::change_password))
        .route("/desk/v1/graphql", post(graphql::answer))
        .route("/desk/v1/live", get(live::open))
        .route("/desk/v1/tickets/{number}/commands", post(commands::give))
        .route("/desk/v1/files/{id}", get(files::content))
        .route("/desk/v1/files/{id}/state", get(giving::state))
        .route("/desk/v1/files/{id}/release", post(files::let_go))
}

/// Branches, operators and programs.
fn administration() -> Router<Arc<Desk>> {
    Router::new()
        .route(
            "/desk/v1/catalogue",
            get(fleet::catalogue).put(fleet::change_catalogue),
        )
        .route(
            "/desk/v1/branches/{code}/bandwidth",
            put(fleet::set_bandwidth),
        )
        .route("/desk/v1/branches/{code}/tokens", post(fleet::make_token))
        .route("/desk/v1/enrolment-tokens", get(fleet::tokens))
        .route(
            "/desk/v1/enrolment-tokens/{number}",
            delete(fleet::revoke_token),
        )
        .route("/desk/v1/agents/{id}/revoke", post(fleet::revoke_agent))
        .route(
            "/desk/v1/operators",
            get(people::operators).post(people::add_operator),
        )
        .route(
            "/desk/v1/operators/{name}",
            patch(people::set_role).delete(people::remove_operator),
        )
        .route(
            "/desk/v1/operators/{name}/password",
            post(people::reset_password),
        )
        .route(
            "/desk/v1/api-tokens",
            get(people::api_tokens).post(people::make_api_token),
        )
        .route(
            "/desk/v1/api-tokens/{number}",
            delete(people::revoke_api_token),
        )
}
