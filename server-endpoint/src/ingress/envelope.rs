//! What goes around every request: its id, its span in the log, the protocol's version, where it
//! comes from, and what happens when its handler panics.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Instant;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use branchline_protocol::exchange::{PROTOCOL_VERSION, VERSION_HEADER};
use branchline_protocol::problem::ProblemKind;
use futures_util::FutureExt;
use http::HeaderMap;
use tracing::Instrument;

use super::peer::{Peer, Way};
use super::refusal::Refusal;
use super::{Ingress, client_cert};
use crate::request_id;

pub(super) async fn around(
    State(ingress): State<Arc<Ingress>>,
    request: Request,
    next: Next,
) -> Response {
    let id = request_id::of(request.headers());
    let span = tracing::info_span!(
        "request",
        id = id.to_str().unwrap_or_default(),
        method = %request.method(),
        path = branchline_protocol::text::clipped(request.uri().path(), 100),
        agent = tracing::field::Empty,
    );
    let mut response = answer(&ingress, request, next).instrument(span).await;
    let headers = response.headers_mut();
    headers.insert(request_id::HEADER, id);
    headers.insert(VERSION_HEADER, PROTOCOL_VERSION.into());
    response
}

async fn answer(ingress: &Ingress, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let peer = request.extensions().get::<Arc<Peer>>();
    let response = match turn_away(ingress, peer.map(AsRef::as_ref), request.headers()) {
        Some(refusal) => refusal.into_response(),
        // A panic is this request's own fault; the connection's other requests go on.
        None => AssertUnwindSafe(next.run(request))
            .catch_unwind()
            .await
            .unwrap_or_else(|_| {
                tracing::error!("a request handler panicked");
                Refusal::new(
                    ProblemKind::Internal,
                    "central has a fault; its log says more",
                )
                .into_response()
            }),
    };
    let status = response.status().as_u16();
    let millis = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    tracing::debug!(
        status,
        millis,
        stopping = ingress.stopping.is_cancelled(),
        "answered"
    );
    response
}

/// What nothing is done for, whatever is asked.
fn turn_away(ingress: &Ingress, peer: Option<&Peer>, headers: &HeaderMap) -> Option<Refusal> {
    if ingress.door.way == Way::InsecureLoopback && peer.is_some_and(|peer| !peer.is_this_machine())
    {
        let detail = "plain HTTP is answered to this machine only";
        return Some(Refusal::new(ProblemKind::Unauthenticated, detail));
    }
    if client_cert::is_claimed(headers) && !peer.is_some_and(Peer::speaks_for_others) {
        tracing::warn!("somebody who may not speak for agents sent Client-Cert");
        let detail = "Client-Cert and Client-Cert-Chain are believed from proxies that central's \
                      settings name, and from nobody else; whoever stands in between must take \
                      them away";
        return Some(Refusal::new(ProblemKind::Malformed, detail).and_hang_up());
    }
    None
}
