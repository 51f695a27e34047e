//! `GET /v1/feed`: a branch's news after a cursor, at once where there are some, else as soon as
//! there are, within the time that the agent is ready to wait.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::response::Response;
use branchline_protocol::limits::{CURSOR_BYTES, FEED_WAIT};
use branchline_protocol::problem::ProblemKind;
use http::HeaderMap;
use serde::Deserialize;
use tokio::time::Instant;

use super::refusal::Refusal;
use super::{Ingress, admission, answer};

#[derive(Deserialize)]
pub(super) struct FeedQuery {
    after: Option<String>,
    /// Seconds.
    wait: Option<u64>,
}

pub(super) async fn read(
    State(ingress): State<Arc<Ingress>>,
    headers: HeaderMap,
    query: Result<Query<FeedQuery>, QueryRejection>,
) -> Result<Response, Refusal> {
    let agent = admission::admit(&ingress, &headers).await?;
    let Query(query) = query.map_err(|fault| {
        Refusal::new(
            ProblemKind::Malformed,
            format!("the query cannot be read: {fault}"),
        )
    })?;
    if let Some(after) = &query.after
        && (after.len() > CURSOR_BYTES || !after.bytes().all(is_cursor_byte))
    {
        return Err(Refusal::new(
            ProblemKind::Malformed,
            "after is no cursor that central gave out; leave it away to read from the start"
                .to_owned(),
        ));
    }
    let wait = Duration::from_secs(query.wait.unwrap_or(0)).min(FEED_WAIT);
    let deadline = Instant::now() + wait;
    let mut bell = ingress.bulletin.listen(&agent.branch);
    loop {
        // News from here on ring, so that none can slip in between reading and waiting.
        bell.mark_unchanged();
        let page = ingress
            .ledger
            .feed(agent.branch.clone(), query.after.clone())
            .await?;
        let over = Instant::now() >= deadline || ingress.stopping.is_cancelled();
        if over || page.rewound || !page.events.is_empty() {
            return answer::json(&headers, &answer::feed_reply(page));
        }
        tokio::select! {
            _ = bell.changed() => {}
            () = tokio::time::sleep_until(deadline) => {}
            () = ingress.stopping.cancelled() => {}
        }
    }
}

/// What cursors are made of (PROTOCOL §7).
fn is_cursor_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_')
}
