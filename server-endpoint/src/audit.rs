//! Compares what a branch's journal says with what central holds, stream by stream: the proof, in
//! figures, of "exactly once, in order" (P2).
//!
//! Both sides are read in order and side by side, so that a million operations take no more memory
//! than a few thousand. Effects are counted from the ledger's events, not from what keeps them single.

use std::io::BufRead;

use branchline_protocol::chain::Position;
use branchline_protocol::id::{AgentId, BranchCode, Seq, StreamId};
use serde::Serialize;

use crate::ledger::{HeldOperation, Ledger, LedgerError};
use export::{Export, Exported};
use held::HeldPages;

mod export;
mod held;

#[cfg(test)]
mod tests;

/// Why an audit could not be carried out.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// The export is not one, or is damaged.
    #[error("line {line}: {fault}")]
    Export {
        /// Counted from 1.
        line: u64,
        /// What is wrong with it.
        fault: String,
    },
    /// The ledger did not answer.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

/// What came of one stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StreamAudit {
    /// The branch, as the export names it.
    pub branch: BranchCode,
    /// The agent.
    pub agent: AgentId,
    /// The stream.
    pub stream: StreamId,
    /// Operations that the journal has written to it.
    pub at_branch: u64,
    /// Operations that central holds of it.
    pub at_central: u64,
    /// Acknowledged, and not at central or without effect there.
    pub lost: u64,
    /// Effects beyond the first.
    pub twice: u64,
    /// Effects that came before one that the journal has earlier.
    pub out_of_order: u64,
    /// Positions at which the two hold different things.
    pub different: u64,
    /// The first of them.
    pub first_difference: Option<Seq>,
    /// Not acknowledged, and not at central yet.
    pub waiting: u64,
    /// Damaged at the branch before central had them.
    pub damaged: u64,
    /// Central knows the stream as another agent's.
    pub foreign: bool,
    /// Nothing of the above is wrong.
    pub equal: bool,
}

/// Audits every stream of an export, and tells of each as soon as it is through.
pub async fn audit(
    ledger: &dyn Ledger,
    input: impl BufRead,
    mut tell: impl FnMut(&StreamAudit),
) -> Result<(), AuditError> {
    let mut export = Export::open(input)?;
    let mut comparison: Option<Comparison<'_>> = None;
    while let Some(exported) = export.next()? {
        match exported {
            Exported::Stream {
                stream,
                acknowledged,
            } => {
                if let Some(done) = comparison.take() {
                    tell(&done.finish().await?);
                }
                let (agent, branch) = (export.agent, export.branch.clone());
                let started =
                    Comparison::start(ledger, agent, branch, stream, acknowledged).await?;
                comparison = Some(started);
            }
            Exported::Operation(operation) => match &mut comparison {
                Some(comparison) => comparison.take(&operation).await?,
                None => return Err(export.unfit("an operation stands before any stream")),
            },
        }
    }
    if let Some(done) = comparison {
        tell(&done.finish().await?);
    }
    Ok(())
}

/// One stream, half-way through.
struct Comparison<'l> {
    found: StreamAudit,
    acknowledged: Position,
    held: HeldPages<'l>,
    /// Held positions up to and with the acknowledged one.
    acknowledged_held: u64,
    without_effect: u64,
    last_effect: u64,
}

impl<'l> Comparison<'l> {
    async fn start(
        ledger: &'l dyn Ledger,
        agent: AgentId,
        branch: BranchCode,
        stream: StreamId,
        acknowledged: Position,
    ) -> Result<Self, AuditError> {
        let record = ledger.stream(stream).await?;
        let found = StreamAudit {
            branch,
            agent,
            stream,
            at_branch: acknowledged.seq.0,
            at_central: 0,
            lost: 0,
            twice: 0,
            out_of_order: 0,
            different: 0,
            first_difference: None,
            waiting: 0,
            damaged: 0,
            foreign: record.is_some_and(|record| record.agent != agent),
            equal: false,
        };
        Ok(Self {
            found,
            acknowledged,
            held: HeldPages::new(ledger, stream),
            acknowledged_held: 0,
            without_effect: 0,
            last_effect: 0,
        })
    }

    /// Takes the journal's next operation.
    async fn take(&mut self, operation: &export::ExportedOperation) -> Result<(), AuditError> {
        self.found.at_branch = self.found.at_branch.max(operation.seq.0);
        while let Some(held) = self.held.next_before(operation.seq).await? {
            self.count(&held);
        }
        let Some(held) = self.held.next_at(operation.seq).await? else {
            if operation.damaged {
                self.found.damaged += 1;
            } else if operation.seq > self.acknowledged.seq {
                self.found.waiting += 1;
            }
            return Ok(());
        };
        self.count(&held);
        // Central has no id of what it could not read.
        let other_id = operation.id.is_some() && held.id.is_some() && operation.id != held.id;
        let other_digest = operation.digest.is_some_and(|digest| digest != held.digest);
        if other_id || other_digest {
            self.differs(operation.seq);
        }
        Ok(())
    }

    async fn finish(mut self) -> Result<StreamAudit, AuditError> {
        while let Some(held) = self.held.next().await? {
            self.count(&held);
        }
        let mut found = self.found;
        let missing = self
            .acknowledged
            .seq
            .0
            .saturating_sub(self.acknowledged_held);
        found.lost = missing + self.without_effect;
        let wrong = [
            found.lost,
            found.twice,
            found.out_of_order,
            found.different,
            found.damaged,
        ];
        found.equal = wrong.iter().all(|count| *count == 0) && !found.foreign;
        Ok(found)
    }

    fn count(&mut self, held: &HeldOperation) {
        self.found.at_central += 1;
        if held.seq <= self.acknowledged.seq {
            self.acknowledged_held += 1;
        }
        if held.seq == self.acknowledged.seq && held.digest != self.acknowledged.digest {
            self.differs(held.seq);
        }
        let Some(effect) = held.first_effect else {
            self.without_effect += 1;
            return;
        };
        // A repeat's effect belongs to where the operation came first.
        if held.repeat {
            return;
        }
        self.found.twice += held.effects.saturating_sub(1);
        if effect <= self.last_effect {
            self.found.out_of_order += 1;
        }
        self.last_effect = self.last_effect.max(effect);
    }

    fn differs(&mut self, seq: Seq) {
        let counted = self.held.counted_different(seq);
        if !counted {
            self.found.different += 1;
            self.found.first_difference.get_or_insert(seq);
        }
    }
}
