//! What answers on the local API: the desk, and until this machine has joined a sign that says so.
//!
//! Ticket numbers and operation ids follow from the agent, so that nothing can be filed before there is
//! one; from then on there always is, whatever becomes of its certificate.

use std::sync::{Arc, PoisonError, RwLock};

use axum::Router;
use axum::extract::State;
use axum::routing::get;
use branchline_agent_api::{
    EnrolmentState, EnrolmentStatus, FilesStatus, LinkState, LinkStatus, Status,
};
use branchline_protocol::id::Seq;
use branchline_protocol::problem::{ErrorClass, Problem, ProblemKind};
use branchline_protocol::time::UnixMillis;
use tokio::sync::watch;

use crate::sync::membership::Membership;

use super::local_api::{Desk, router};
use super::problems::Refusal;
use super::requests::JsonAnswer;

/// Where the routes are; clones share them.
#[derive(Clone)]
pub struct Counter {
    routes: Arc<RwLock<Router>>,
}

/// What the status says of the agent's certificate.
#[derive(Debug, Clone)]
pub struct MembershipView {
    membership: Membership,
    status: watch::Receiver<EnrolmentStatus>,
    /// The server of the configuration, which goes before the identity's.
    server: Option<String>,
}

impl MembershipView {
    /// A view on it.
    pub fn new(membership: Membership, server: Option<String>) -> Self {
        let status = membership.status();
        Self {
            membership,
            status,
            server,
        }
    }

    pub(super) fn status(&self) -> EnrolmentStatus {
        self.status.borrow().clone()
    }

    pub(super) fn server(&self) -> Option<String> {
        let own = || self.membership.identity().map(|identity| identity.server);
        self.server.clone().or_else(own)
    }
}

/// What the sign says.
struct Sign {
    membership: MembershipView,
    since: UnixMillis,
}

impl Counter {
    /// A counter with a sign.
    pub fn not_joined(membership: MembershipView) -> Self {
        let sign = Sign {
            membership,
            since: crate::ids::now(),
        };
        let routes = Router::new()
            .route("/v1/status", get(status))
            .fallback(refuse)
            .with_state(Arc::new(sign));
        Self {
            routes: Arc::new(RwLock::new(routes)),
        }
    }

    /// From the next request on the desk answers, on connections of before too.
    pub fn open(&self, desk: Arc<Desk>) {
        *self.routes.write().unwrap_or_else(PoisonError::into_inner) = router(desk);
    }

    pub(super) fn routes(&self) -> Router {
        self.routes
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

async fn status(State(sign): State<Arc<Sign>>) -> JsonAnswer<Status> {
    let enrolment = sign.membership.status();
    JsonAnswer(Status {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        branch: None,
        ordinal: None,
        agent: None,
        server: sign.membership.server(),
        last_error: enrolment.trouble.clone(),
        enrolment,
        link: LinkStatus {
            state: LinkState::Starting,
            since: sign.since,
            next_attempt: None,
        },
        waiting: 0,
        waiting_tickets: 0,
        oldest_waiting: None,
        last_acknowledgement: None,
        rejected: 0,
        damaged: 0,
        journal_bytes: 0,
        journal_limit_bytes: 0,
        disk_free: None,
        files: FilesStatus::default(),
        stream: None,
        head: Seq(0),
        acknowledged: None,
        drop_folders: Vec::new(),
    })
}

async fn refuse(State(sign): State<Arc<Sign>>) -> Refusal {
    let enrolment = sign.membership.status();
    let why = match (enrolment.state, enrolment.trouble) {
        (EnrolmentState::Enrolling, None) => "it is about to; try again in a moment".to_owned(),
        (_, Some(trouble)) => trouble.words,
        (_, None) => "IT must enrol it (branchline-agent enroll)".to_owned(),
    };
    let mut problem = Problem::new(
        ProblemKind::Unavailable,
        format!("not saved: this computer has not joined central yet: {why}"),
    );
    problem.class = ErrorClass::CallIt;
    problem.into()
}
