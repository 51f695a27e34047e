//! Agents that proved who they are and were refused all the same: kept in the ledger, so that support sees it
//! before the branch calls.
//!
//! A refused agent tries again for ever, so that each is written down once in a while and not each time.
//! Whoever proves nothing is nobody's trouble here.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use branchline_protocol::id::AgentId;
use branchline_protocol::problem::ProblemKind;
use tokio::time::Instant;

use super::Ingress;
use super::refusal::Refusal;
use crate::ledger::now;

/// An agent's refusals are written down this often.
const EVERY: Duration = Duration::from_secs(60);
/// Agents that are remembered; beyond that, those who were refused longest ago are forgotten.
const REMEMBERED: usize = 4_096;

#[derive(Debug, Default)]
pub(super) struct Refused(Mutex<HashMap<AgentId, Instant>>);

impl Refused {
    /// Whether this one is to be written down now.
    fn is_due(&self, agent: AgentId, at: Instant) -> bool {
        let mut noted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let recent = |noted: &Instant| at.saturating_duration_since(*noted) < EVERY;
        if noted.get(&agent).is_some_and(recent) {
            return false;
        }
        if noted.len() >= REMEMBERED {
            noted.retain(|_, noted| recent(noted));
        }
        if noted.len() < REMEMBERED {
            noted.insert(agent, at);
        }
        true
    }
}

/// Keeps that this agent was refused, where it is for something that does not pass by itself.
pub(super) fn note(ingress: &Ingress, agent: AgentId, refusal: &Refusal) {
    let lasts = matches!(
        refusal.kind(),
        ProblemKind::UnsupportedVersion
            | ProblemKind::Unauthenticated
            | ProblemKind::CertificateExpired
            | ProblemKind::CertificateSuperseded
            | ProblemKind::Revoked
    );
    if !lasts || !ingress.refused.is_due(agent, Instant::now()) {
        return;
    }
    let (ledger, words) = (ingress.ledger.clone(), refusal.words());
    ingress.tasks.spawn(async move {
        if let Err(fault) = ledger.note_refusal(agent, words, now()).await {
            tracing::debug!(error = %fault, "keep that an agent was refused");
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p8_each_agent_is_written_down_once_in_a_while_and_memory_is_bounded() {
        let refused = Refused::default();
        let start = Instant::now();
        let agent = |number: u16| {
            let mut bytes = [7; 16];
            bytes[..2].copy_from_slice(&number.to_be_bytes());
            AgentId::from_bytes(bytes)
        };
        assert!(refused.is_due(agent(1), start));
        assert!(!refused.is_due(agent(1), start + EVERY / 2));
        assert!(refused.is_due(agent(2), start));
        assert!(refused.is_due(agent(1), start + EVERY));
        for number in 0..10_000 {
            refused.is_due(agent(number), start + EVERY);
        }
        assert!(refused.0.lock().unwrap().len() <= REMEMBERED);
        assert!(refused.is_due(agent(9_999), start + EVERY * 2));
    }
}
