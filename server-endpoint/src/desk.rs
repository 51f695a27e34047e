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
use axum::routing::{get, post};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::authority::operators::Operators;
use crate::ledger::{HistoryLedger, Ledger, OperatorLedger};
use crate::vault::Vault;

mod around;
mod branches;
mod callers;
mod graphql;
mod health;
mod listener;
mod problem;
pub mod read_model;
mod said;
mod session;

#[cfg(test)]
mod tests;

use branches::Snapshot;
use callers::Callers;
use read_model::ReadModel;

pub use listener::accept_until;

/// The ledger, with every verb that the desk uses.
pub trait DeskStore: Ledger + OperatorLedger + HistoryLedger {}

impl<T: Ledger + OperatorLedger + HistoryLedger> DeskStore for T {}

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
    way: Way,
    bounds: Bounds,
    /// Requests that may still be begun.
    turns: Arc<Semaphore>,
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
}

impl Desk {
    /// A desk that answers what is open when `stopping` is cancelled.
    pub fn new(around: Surroundings, bounds: Bounds, stopping: CancellationToken) -> Arc<Self> {
        Arc::new(Self {
            operators: Operators::new(around.store.clone()),
            store: around.store,
            vault: around.vault,
            model: around.model,
            callers: Callers::default(),
            snapshot: Snapshot::default(),
            schema: graphql::schema(),
            way: around.way,
            turns: Arc::new(Semaphore::new(bounds.requests)),
            bounds,
            stopping,
        })
    }

    /// The routes. What each asks of its caller is the type that its handler takes: see [`callers`].
    pub fn router(self: &Arc<Self>) -> Router {
        Router::new()
            .route("/livez", get(health::live))
            .route("/readyz", get(health::ready))
            .route(
                "/desk/v1/session",
                get(session::show)
                    .post(session::sign_in)
                    .delete(session::sign_out),
            )
            .route("/desk/v1/password", post(session::change_password))
            .route("/desk/v1/graphql", post(graphql::answer))
            .route_layer(from_fn_with_state(self.clone(), around::in_turn))
            .fallback(problem::no_such_route)
            .method_not_allowed_fallback(problem::no_such_method)
            .layer(from_fn_with_state(self.clone(), around::around))
            .with_state(self.clone())
    }

    /// Keeps the read model and what is answered from memory up to date, until stopped.
    pub async fn tend(&self) {
        tokio::join!(
            self.model.follow(self.store.as_ref(), &self.stopping),
            branches::watch(self),
        );
    }

    fn is_tls(&self) -> bool {
        matches!(self.way, Way::Tls(_))
    }
}
