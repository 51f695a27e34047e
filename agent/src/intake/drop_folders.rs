//! Drop folders: files that become tickets by themselves.
//!
//! On the data's way: **intake** → chunker → store. Each rule of the configuration has a thread that
//! hears of changes and looks for itself ([`rule`]); files that have settled ([`super::settle`]) are
//! read into the store ([`taking`]) and filed together with the memory that they were.
//!
//! What holds, whatever happens:
//! - A file is filed when it is complete, and once; again when it has new content. A kill at any point
//!   leaves it to be found again at the next start, or filed.
//! - The source is never changed, locked or moved, unless the rule says `move_to_sent` and central has
//!   received it.
//! - A file that cannot be taken is tried again for ever, holds up no other, and is in the status.

mod burst;
mod context;
mod folder;
mod names;
mod rule;
mod sent;
mod taking;
mod tracked;
mod watch;
mod words;

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use branchline_agent_api::{DropFolderState, DropFolderStatus};
use futures_util::FutureExt;
use tokio::runtime::Handle;
use tokio_util::task::TaskTracker;

use crate::config::DropFolder;

use context::Context;
pub use context::Surroundings;
use rule::Rule;

/// How long a rule that failed for a reason of its own rests.
const REST: Duration = Duration::from_secs(30);

/// The drop folders at work, for the status.
#[derive(Default)]
pub struct DropFolders {
    statuses: Vec<Arc<Mutex<DropFolderStatus>>>,
}

impl DropFolders {
    /// Starts a thread for each rule; `tasks` waits for their ends.
    pub fn start(rules: Vec<DropFolder>, agent: &Surroundings, tasks: &TaskTracker) -> Self {
        let mut statuses = Vec::new();
        for rule in rules {
            let cx = Arc::new(Context::new(rule, agent.clone()));
            statuses.push(cx.status());
            let (runtime, token, of) = (Handle::current(), tasks.token(), cx.clone());
            let work = move || {
                let _token = token;
                runtime.block_on(keep_running(of));
            };
            let thread = std::thread::Builder::new().name("drop-folder".to_owned());
            if let Err(fault) = thread.spawn(work) {
                cx.become_state(DropFolderState::Trouble, Some(fault.to_string()));
            }
        }
        Self { statuses }
    }

    /// How each is, in the order of the configuration.
    pub fn statuses(&self) -> Vec<DropFolderStatus> {
        let all = self.statuses.iter();
        all.map(|one| one.lock().unwrap_or_else(PoisonError::into_inner).clone())
            .collect()
    }
}

/// A panic in one rule ends neither the agent nor, for long, the rule (P6).
async fn keep_running(cx: Arc<Context>) {
    let shutdown = cx.agent.shutdown.clone();
    while !shutdown.is_cancelled() {
        let ran = AssertUnwindSafe(Rule::new(cx.clone()).run());
        if ran.catch_unwind().await.is_err() {
            tracing::error!(folder = %cx.rule.path.display(), "a drop folder's loop panicked");
            let words = "it failed for a reason of its own; it starts again by itself".to_owned();
            cx.become_state(DropFolderState::Trouble, Some(words));
            tokio::select! {
                () = shutdown.cancelled() => {}
                () = tokio::time::sleep(REST) => {}
            }
        }
    }
}
