//! `GET /v1/feed`: a branch's news after a cursor, at once where there are some, else as soon as
//! there are, within the time that the agent is ready to wait.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::response::Response;
use branchline_protocol::limits::FEED_WAIT;
use branchline_protocol::problem::ProblemKind;
use http::request::Parts;
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
    parts: Parts,
    query: Result<Query<FeedQuery>, QueryRejection>,
) -> Result<Response, Refusal> {
    let agent = admission::admit(&ingress, &parts).await?;
    let Query(query) = query.map_err(|fault| {
        Refusal::new(
            ProblemKind::Malformed,
            format!("the query cannot be read: {fault}"),
        )
    })?;
    let wait = Duration::from_secs(query.wait.unwrap_or(0)).min(FEED_WAIT);
    let deadline = Instant::now() + wait;
    let mut bell = ingress.bulletin.listen(&agent.branch);
    let held = ingress.listening.enter(agent.id);
    let mut dismissed = false;
    loop {
        // News from here on ring, so that none can slip in between reading and waiting.
        bell.mark_unchanged();
        let page = ingress
            .ledger
            .feed(agent.branch.clone(), query.after.clone())
            .await?;
        let over = dismissed || Instant::now() >= deadline || ingress.stopping.is_cancelled();
        if over || page.rewound || !page.events.is_empty() {
            return answer::json(&parts.headers, &answer::feed_reply(page));
        }
        tokio::select! {
            _ = bell.changed() => {}
            () = tokio::time::sleep_until(deadline) => {}
            () = ingress.stopping.cancelled() => {}
            // Revoked, perhaps: then this is not answered with news. Or there is a newer request.
            () = held.dismissed() => {
                admission::admit(&ingress, &parts).await?;
                dismissed = true;
            }
        }
    }
}
