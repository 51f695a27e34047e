//! The agent-facing HTTP: the first that central sees of a branch.
//!
//! On the data's way: `link ─── [ingress] → ledger + vault`. It proves who speaks, bounds what they send,
//! hands it to the ledger, and answers after the ledger's commit (P3). It decides nothing about
//! operations: whatever is inside one never fails the submission that carries it (P6).
//!
//! Who speaks is settled in two steps: what the connection proves, once (`connections`, `peer`), and
//! whether that is good now, for every request (`admission`).
//!
//! Everything from outside has a bound (P8): connections, headers, bodies before and after
//! decompression, the memory of all bodies together, and the time that each may take. What is over a
//! bound is refused with a problem document that says so, before it costs more than its headers where
//! that is possible.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, HttpBody};
use axum::middleware::from_fn_with_state;
use axum::response::Response;
use axum::routing::{get, post};
use branchline_protocol::enrolment::{CERTIFICATE_PATH, ENROLMENT_PATH, PROBE_PATH};
use branchline_protocol::exchange::{
    CHUNKS_PATH, FEED_PATH, FILES_PATH, MANIFESTS_PATH, OPERATIONS_PATH,
};
use branchline_protocol::id::AgentId;
use branchline_protocol::limits::SUBMISSION_BYTES;
use tokio::sync::{Notify, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::authority::patience::Network;
use crate::ledger::{DedupScope, Ledger, UploadBounds};
use crate::vault::Vault;
use attempts::Attempts;
use body::{BodyBudget, Reading};
use bulk::{ControlWork, Gate};
use bulletin::Bulletin;
use refusal::Refusal;
use refused::Refused;
use vault_health::VaultHealth;
use visitors::Visitors;

mod admission;
mod answer;
mod attempts;
mod body;
mod bulk;
mod bulletin;
mod chunks;
mod client_cert;
mod connections;
mod enrolment;
mod envelope;
mod feed;
mod given;
mod health;
mod manifests;
mod operations;
mod peer;
mod probe;
mod refusal;
mod refused;
mod renewal;
mod revocations;
mod submission;
mod vault_health;
mod visitors;

#[cfg(test)]
mod tests;

pub use bulk::BulkBounds;
pub use connections::accept_until;
pub use peer::{Door, Way};

/// What the ingress allows; the defaults are for production, tests take smaller ones.
#[derive(Debug, Clone)]
pub struct Bounds {
    /// Connections of agents, and of proxies that speak for them, open at once.
    pub connections: usize,
    /// Of one agent; the oldest gives way.
    pub agent_connections: usize,
    /// Feed requests of one agent that are held; the oldest is answered.
    pub agent_feeds: usize,
    /// Connections that have not shown a certificate, handshakes under way included; the oldest gives way.
    pub strangers: usize,
    /// Of one address.
    pub strangers_of_address: usize,
    /// How long one of them may live.
    pub stranger_total: Duration,
    /// The longest that a handshake may take.
    pub handshake_within: Duration,
    /// Enrolments at once.
    pub enrolments: usize,
    /// Enrolments at once that fail, of one address; then one in half a minute.
    pub enrolment_failures: u32,
    /// Renewals at once.
    pub renewals: usize,
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
            // Those, as many again whose loss nobody has noticed yet, and some.
            agent_connections: 48,
            agent_feeds: 4,
            // A fleet that returns makes some hundred handshakes in a second.
            strangers: 512,
            // Many branches may come through one gateway.
            strangers_of_address: 128,
            stranger_total: Duration::from_secs(120),
            // Two round trips, on a link that loses most of them.
            handshake_within: Duration::from_secs(20),
            // Each is a commit or two and a signature: hundreds in a second.
            enrolments: 32,
            // A branch whose agents were all given the same wrong token.
            enrolment_failures: 20,
            renewals: 32,
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
    /// How agents prove who they are.
    door: Door,
    bodies: BodyBudget,
    /// Connections of agents that may still come.
    places: Arc<Semaphore>,
    /// Connections that have proved nothing.
    strangers: Arc<Visitors<Network>>,
    /// Connections of agents.
    connected: Arc<Visitors<AgentId>>,
    /// Feed requests that are held.
    listening: Arc<Visitors<AgentId>>,
    attempts: Attempts,
    /// Enrolments that may still come.
    joining: Arc<Semaphore>,
    /// Renewals that may still come.
    renewing: Arc<Semaphore>,
    control: ControlWork,
    gate: Gate,
    vault_health: VaultHealth,
    /// Agents that were refused of late.
    refused: Refused,
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
        door: Door,
        bounds: Bounds,
        stopping: CancellationToken,
    ) -> Arc<Self> {
        let strangers = Visitors::new(bounds.strangers_of_address, bounds.strangers);
        Arc::new(Self {
            ledger,
            vault,
            door,
            strangers,
            connected: Visitors::new(bounds.agent_connections, bounds.connections),
            listening: Visitors::new(bounds.agent_feeds, bounds.connections),
            attempts: Attempts::new(bounds.enrolment_failures),
            joining: Arc::new(Semaphore::new(bounds.enrolments)),
            renewing: Arc::new(Semaphore::new(bounds.renewals)),
            bodies: BodyBudget::new(bounds.bodies_bytes),
            places: Arc::new(Semaphore::new(bounds.connections)),
            control: ControlWork::default(),
            gate: Gate::new(&bounds.bulk),
            vault_health: VaultHealth::default(),
            refused: Refused::default(),
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
            .route(&format!("{FILES_PATH}/{{id}}"), get(given::part))
            .route(ENROLMENT_PATH, post(enrolment::join))
            .route(CERTIFICATE_PATH, post(renewal::renew))
            .route(PROBE_PATH, post(probe::measure))
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
            most: SUBMISSION_BYTES,
        }
    }

    /// The rest of a body whose request was refused goes on coming, and is thrown away for a while.
    fn let_go(&self, answer: &Result<Response, Refusal>, body: Body) {
        if answer.is_err() && !body.is_end_stream() {
            self.tasks.spawn(crate::lingering::linger(body));
        }
    }

    /// Tells this one, too, that there is news of some branch.
    pub fn tell(&self, news: Arc<Notify>) {
        self.bulletin.tell(news);
    }

    /// Looks for what other processes have written, until stopped.
    pub async fn watch_news(&self) {
        bulletin::watch(&self.bulletin, self.ledger.as_ref(), &self.stopping).await;
    }

    /// Ends what agents have open that are revoked by other processes, until stopped.
    pub async fn watch_revocations(&self) {
        revocations::watch(self).await;
    }

    /// Waits for what goes on without its caller.
    pub async fn finish(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }
}
