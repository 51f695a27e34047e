//! What goes around every request: its id, its span in the log, its turn and its time, the headers that
//! browsers are to keep to, and what happens when its handler panics.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Instant;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use branchline_protocol::text::clipped;
use futures_util::FutureExt;
use http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderName, HeaderValue};
use tracing::Instrument;

use super::Desk;
use super::listener::Peer;
use super::problem::{Kind, Refusal};
use crate::request_id;

/// What browsers keep to where an answer says nothing else: an API's answer is no page.
const HEADERS: [(HeaderName, &str); 4] = [
    (CACHE_CONTROL, "no-store"),
    (
        CONTENT_SECURITY_POLICY,
        "default-src 'none'; frame-ancestors 'none'",
    ),
    (REFERRER_POLICY, "no-referrer"),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
];

pub(super) async fn around(
    State(desk): State<Arc<Desk>>,
    request: Request,
    next: Next,
) -> Response {
    let id = request_id::of(request.headers());
    let name = id.to_str().unwrap_or_default().to_owned();
    let span = tracing::info_span!(
        "desk",
        id = name,
        method = %request.method(),
        path = clipped(request.uri().path(), 100),
        by = tracing::field::Empty,
    );
    let mut response = async {
        let started = Instant::now();
        let mut response = answer(&desk, request, next).await;
        if let Some(refusal) = response.extensions_mut().remove::<Box<Refusal>>() {
            let (problem, detail) = (refusal.kind().tag(), refusal.detail());
            tracing::info!(problem, detail, "refused");
            let allowed = response.headers_mut().remove(ALLOW);
            response = refusal.answer(&name);
            // What may be asked instead, where a method is refused.
            response.headers_mut().extend(allowed.map(|it| (ALLOW, it)));
        }
        let millis = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        desk.metrics.count(response.status(), started.elapsed());
        tracing::debug!(status = response.status().as_u16(), millis, "answered");
        response
    }
    .instrument(span)
    .await;
    let headers = response.headers_mut();
    headers.insert(request_id::HEADER, id);
    keep_browsers_to(headers);
    response
}

async fn answer(desk: &Desk, request: Request, next: Next) -> Response {
    let peer = request.extensions().get::<Peer>();
    if !desk.is_tls() && !peer.is_some_and(|peer| peer.address.to_canonical().is_loopback()) {
        let detail = "plain HTTP is answered to this machine only";
        return Refusal::new(Kind::Unauthenticated, detail).into_response();
    }
    // A panic is this request's own fault; the connection's other requests go on.
    let answering = AssertUnwindSafe(next.run(request)).catch_unwind();
    answering.await.unwrap_or_else(|_| {
        tracing::error!("a request handler of the desk panicked");
        Refusal::new(Kind::Internal, "central has a fault; its log says more").into_response()
    })
}

/// A request's turn, and its time: what is answered at once has a bound, and so has how long it takes.
pub(super) async fn in_turn(
    State(desk): State<Arc<Desk>>,
    request: Request,
    next: Next,
) -> Response {
    let bounds = &desk.bounds;
    let turn = tokio::time::timeout(bounds.turn_within, desk.turns.clone().acquire_owned());
    let Ok(Ok(_turn)) = turn.await else {
        let detail = "central answers too many requests at this moment; try again";
        return Refusal::new(Kind::Busy, detail).into_response();
    };
    let answered = tokio::time::timeout(bounds.request_within, next.run(request));
    answered.await.unwrap_or_else(|_| {
        let detail = "it took too long; what it was to change may be changed or not: look before you ask \
                      again";
        Refusal::new(Kind::TooSlow, detail).into_response()
    })
}

fn keep_browsers_to(headers: &mut HeaderMap) {
    for (name, value) in HEADERS {
        headers
            .entry(name)
            .or_insert(HeaderValue::from_static(value));
    }
}
