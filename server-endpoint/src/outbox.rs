//! What happens at central, told to outside systems: signed letters over HTTPS.
//!
//! On the data's way: `ledger → inspection → [outbox] → outside`. Nothing waits for it. Invariants:
//! - Each target has a task of its own: one that is slow, dead or faulty delays none of the others, and
//!   nothing else at central.
//! - At least once: the mark moves past a page of events only when each of its letters has arrived, or lies
//!   among the dead letters with the reason. A letter's id stays the same however often it is sent.
//! - In order per ticket: a letter goes out when the one before it on the same ticket is done.
//! - A target that fails is left alone for longer and longer ([`breaker`]); events wait in the ledger
//!   meanwhile, in no memory.
//! - Letters go to the addresses that the settings allow and nowhere else ([`addresses`]): a name that comes
//!   to mean another address, and a redirect, lead nowhere.

mod addresses;
mod breaker;
mod courier;
mod letter;
mod post;
mod signature;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::Target;
use crate::ledger::OutboxLedger;

pub use addresses::AddressFault;
pub use post::TargetFault;
pub use signature::{Secret, SecretFault};

use courier::Courier;
use post::Post;

/// Tells each target, until stopped. A target that cannot be used is said and left out; the others are told.
pub fn start(
    targets: &[Target],
    ledger: &Arc<dyn OutboxLedger>,
    tasks: &TaskTracker,
    stopping: &CancellationToken,
) {
    for target in targets {
        match Post::open(target) {
            Ok(post) => {
                let courier = Courier::new(target.clone(), post, ledger.clone());
                let stopping = stopping.clone();
                tasks.spawn(async move {
                    tokio::select! {
                        () = courier.run() => {}
                        () = stopping.cancelled() => {}
                    }
                });
            }
            Err(fault) => {
                tracing::error!(system = target.name, %fault, "this outside system is told nothing");
            }
        }
    }
}
