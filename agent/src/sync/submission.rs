//! Making one submission: operations from the journal, the agent's health, and the request.

use branchline_protocol::exchange::{Health, SubmissionHead, SubmissionReply, encode_submission};
use branchline_protocol::id::Seq;
use branchline_protocol::sender::Loaded;

use crate::link::Answer;
use crate::store::{Store, StoreError};

use super::SyncLoop;
use super::membership::Membership;

pub(super) type Submitted = Answer<SubmissionReply>;

impl SyncLoop {
    /// Reads what goes next and sends it, if there is something to send.
    pub(super) async fn submit(
        &mut self,
        after: Seq,
        most_bytes: usize,
        most_operations: usize,
    ) -> Result<(), StoreError> {
        let loaded = self.store.load(after, most_bytes, most_operations).await?;
        if let Some(through) = loaded.damaged_through {
            tracing::error!(%after, %through, "operations are damaged on disk and set aside");
            self.sender
                .handle_loaded(self.now(), &Loaded::Damaged { through });
            return Ok(());
        }
        let operations: Vec<&[u8]> = loaded.operations.iter().map(Vec::as_slice).collect();
        let begun = self
            .sender
            .handle_loaded(self.now(), &Loaded::Operations(&operations));
        let Some(after) = begun else { return Ok(()) };
        let health = health(&self.store, &self.membership).await?;
        let state = self.sender.state();
        let head = SubmissionHead {
            stream: state.stream,
            continues: state.continues.filter(|_| after.seq == Seq(0)),
            after,
            cursor: self.feed.cursor().map(str::to_owned),
            health,
        };
        tracing::debug!(after = %after.seq, operations = operations.len(), head = %self.head(), "submitting");
        let body = encode_submission(&head, &operations);
        drop(loaded);
        let link = self.link.clone();
        let turn = self.bulk.gate.control_turn(body.len());
        self.in_flight = Some(Box::pin(async move {
            let _turn = turn;
            link.submit(body).await
        }));
        Ok(())
    }
}

async fn health(store: &Store, membership: &Membership) -> Result<Health, StoreError> {
    let facts = store.facts().await?;
    let (certificate_until, trust) = membership.health();
    Ok(Health {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        clock: crate::ids::now(),
        waiting: facts.waiting,
        oldest_waiting: facts.oldest_waiting,
        disk_free: crate::platform::disk_free(store.path()),
        damaged: facts.damaged,
        certificate_until,
        trust,
    })
}
