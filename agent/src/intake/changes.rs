//! Waiting for something to change, so that a program on this computer need not ask again and again.
//!
//! A mark stands for all that the local API shows: the journal's commits and the way to central, in this
//! life of the agent. It says that something is new, never what; how far a file under way has come is not
//! in it, because that changes all the time.

use std::sync::OnceLock;
use std::time::Duration;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Extension, Query, State};
use branchline_agent_api::{CHANGES_WAIT_SECONDS, Changes, ChangesQuery};
use branchline_protocol::problem::{Problem, ProblemKind};

use crate::platform::Caller;
use crate::store::finding::Sight;
use crate::sync::SyncStatus;

use super::local_api::Shared;
use super::problems::Refusal;
use super::requests::JsonAnswer;

/// What changes together is told together.
const SETTLE: Duration = Duration::from_millis(50);

pub(super) async fn changes(
    State(desk): Shared,
    Extension(caller): Extension<Caller>,
    query: Result<Query<ChangesQuery>, QueryRejection>,
) -> Result<JsonAnswer<Changes>, Refusal> {
    let Query(query) = query.map_err(|fault| {
        let detail = format!("{fault}; use ?seen=MARK&news=ID&wait=SECONDS");
        Problem::new(ProblemKind::Malformed, detail)
    })?;
    if query.wait > CHANGES_WAIT_SECONDS {
        let detail = format!("wait must be at most {CHANGES_WAIT_SECONDS} seconds");
        return Err(Problem::new(ProblemKind::InvalidField, detail)
            .on_field("wait")
            .into());
    }
    let mut commits = desk.store.commits();
    let mut sync = desk.sync.clone();
    let seen = mark(*commits.borrow_and_update(), &sync.borrow_and_update());
    if query.seen == Some(seen) && query.wait > 0 {
        let changed = async {
            tokio::select! {
                changed = commits.changed() => changed.is_ok(),
                changed = sync.changed() => changed.is_ok(),
            }
        };
        let within = Duration::from_secs(query.wait);
        if matches!(tokio::time::timeout(within, changed).await, Ok(true)) {
            tokio::time::sleep(SETTLE).await;
        }
    }
    // Read before what it stands for: what changes meanwhile is then asked for once too often.
    let mark = mark(*desk.store.commits().borrow(), &desk.sync.borrow());
    let (news, newest) = desk.store.news(query.news, caller.user.clone()).await?;
    Ok(JsonAnswer(Changes {
        mark,
        colleagues: desk.sight_of(&caller) == Sight::All,
        user: caller.user,
        news,
        newest,
    }))
}

fn mark(commits: u64, sync: &SyncStatus) -> String {
    let link = &sync.link;
    let next = link.next_attempt.map_or(0, |at| at.0);
    format!(
        "{}-{commits}-{:?}-{}-{next}",
        life(),
        link.state,
        link.since.0
    )
}

/// Names this life of the agent.
fn life() -> i64 {
    static LIFE: OnceLock<i64> = OnceLock::new();
    *LIFE.get_or_init(|| crate::ids::now().0)
}
