//! The agent-facing HTTP: the first that central sees of a branch.
//!
//! On the data's way: `link ─── [ingress] → ledger + vault`. It proves who speaks, bounds what they send,
//! hands it to the ledger, and answers after the ledger's commit (P3). It decides nothing about
//! operations: whatever is inside one never fails the submission that carries it (P6).
//!
//! Everything from outside has a bound (P8): connections, headers, bodies before and after
//! decompression, the memory of all bodies together, and the time that each may take. What is over a
//! bound is refused with a problem document that says so, before it costs more than its headers where
//! that is possible.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post};
use branchline_protocol::exchange::{CHUNKS_PATH, FEED_PATH, MANIFESTS_PATH, OPERATIONS_PATH};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::ledger::{DedupScope, Ledger, UploadBounds};
use crate::vault::Vault;
use body::{BodyBudget, Reading};
use bulk::{ControlWork, Gate};
use bulletin::Bulletin;
use vault_health::VaultHealth;

mod admission;
mod answer;
mod body;
mod bulk;
mod bulletin;
mod chunks;
mod connections;
mod envelope;
mod feed;
mod health;
mod manifests;
mod operations;
mod refusal;
mod submission;
mod vault_health;

#[cfg(test)]
mod tests;

pub use bulk::BulkBounds;
pub use connections::accept_until;

/// What the ingress allows; the defaults are for production, tests take smaller ones.
#[derive(Debug, Clone)]
pub struct Bounds {
    /// Connections open at once.
    pub connections: usize,
    /// Bytes of all bodies in memory together, as they came and unpacked.
    pub bodies_bytes: usize,
    /// A body that does not move on for so long is given up.
    pub body_stall: Duration,
    /// The longest that one body may take.
    pub body_total: Duration,
    /// The longest that a request's headers may take, and that a connection may stay idle.
    pub headers_within: Duration,
    /// The longest that the peer may take nothing of an answer.
    pub write_stall: Duration,
    /// What the bulk lane may take.
    pub bulk: BulkBounds,
    /// What agents may have at central that is not settled yet.
    pub uploads: UploadBounds,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            // Each agent holds two, its submissions and its feed, and some more while it sends files.
            connections: 2_048,
            // Sixteen of the largest submissions.
            bodies_bytes: 32 * 1024 * 1024,
            body_stall: Duration::from_secs(15),
            // The largest operation on a link of 4 kbit/s.
            body_total: Duration::from_secs(300),
            headers_within: Duration::from_secs(30),
            write_stall: Duration::from_secs(30),
            bulk: BulkBounds::default(),
            uploads: UploadBounds {
                scope: DedupScope::default(),
                agent_bytes: 100 << 30,
                agent_files: 100_000,
                file_bytes: 100 << 30,
            },
        }
    }
}

/// What the routes share.
pub struct Ingress {
    ledger: Arc<dyn Ledger>,
    vault: Arc<dyn Vault>,
    bounds: Bounds,
    bodies: BodyBudget,
    /// Connections that may still come.
    places: Arc<Semaphore>,
    control: ControlWork,
    gate: Gate,
    vault_health: VaultHealth,
    bulletin: Bulletin,
    /// What must not be broken off when its caller goes away.
    tasks: TaskTracker,
    stopping: CancellationToken,
}

impl Ingress {
    /// An ingress to this ledger and vault, which answers what is open when `stopping` is cancelled.
    pub fn new(
        ledger: Arc<dyn Ledger>,
        vault: Arc<dyn Vault>,
        bounds: Bounds,
        stopping: CancellationToken,
    ) -> Arc<Self> {
        Arc::new(Self {
            ledger,
            vault,
            bodies: BodyBudget::new(bounds.bodies_bytes),
            places: Arc::new(Semaphore::new(bounds.connections)),
            control: ControlWork::default(),
            gate: Gate::new(&bounds.bulk),
            vault_health: VaultHealth::default(),
            bounds,
            bulletin: Bulletin::default(),
            tasks: TaskTracker::new(),
            stopping,
        })
    }

    /// The routes.
    pub fn router(self: &Arc<Self>) -> Router {
        Router::new()
            .route(OPERATIONS_PATH, post(operations::submit))
            .route(FEED_PATH, get(feed::read))
            .route(MANIFESTS_PATH, post(manifests::announce))
            .route(CHUNKS_PATH, post(chunks::take))
            .route("/livez", get(health::live))
            .route("/readyz", get(health::ready))
            .fallback(refusal::no_such_route)
            .method_not_allowed_fallback(refusal::no_such_method)
            .layer(from_fn_with_state(self.clone(), envelope::around))
            .with_state(self.clone())
    }

    fn control_bodies(&self) -> Reading<'_> {
        Reading {
            budget: &self.bodies,
            stall: self.bounds.body_stall,
            total: self.bounds.body_total,
        }
    }

    /// Looks for what other processes have written, until stopped.
    pub async fn watch_news(&self) {
        bulletin::watch(&self.bulletin, self.ledger.as_ref(), &self.stopping).await;
    }

    /// Waits for what goes on without its caller.
    pub async fn finish(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }
}
