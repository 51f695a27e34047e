//! Whether a request of the bulk lane is taken just now (P7, P8).
//!
//! Bulk has bounds of its own: requests at once, of all and of one agent, and memory. And it is turned
//! away first: while control work waits at the ledger, while the memory of submissions is half used, or
//! while connections get scarce, a bulk request is told to come back, long before a submission is.
//!
//! A body of chunks takes memory once, when it is let in: what it can hold at most, which for a small
//! body is the body. So nobody waits for memory while holding some.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use branchline_protocol::id::AgentId;
use branchline_protocol::limits::SUBMISSION_BYTES;
use branchline_protocol::problem::ProblemKind;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Ingress;
use super::body::{BodyBudget, Reading, Share};
use super::refusal::Refusal;
use crate::vault::Prover;

/// What the bulk lane may take.
#[derive(Debug, Clone, Copy)]
pub struct BulkBounds {
    /// Requests at once.
    pub requests: usize,
    /// Requests at once of one agent.
    pub agent_requests: usize,
    /// Bytes of all its bodies in memory together.
    pub bytes: usize,
    /// A body that does not move on for so long is given up.
    pub body_stall: Duration,
    /// The longest that one body may take.
    pub body_total: Duration,
    /// With so many submissions at the ledger, bulk waits.
    pub yields_to: usize,
    /// And with one that has been there for so long.
    pub yields_after: Duration,
}

impl Default for BulkBounds {
    fn default() -> Self {
        Self {
            // Sixty-four agents on slow links, whose bodies are small.
            requests: 256,
            // What an agent has in flight, and some that its link has lost without a word.
            agent_requests: branchline_protocol::limits::CHUNK_BODIES_IN_FLIGHT + 4,
            // Some twenty bodies of the largest kind.
            bytes: 40 * 1024 * 1024,
            body_stall: Duration::from_secs(30),
            // 8 MiB at 64 kbit/s take 17 minutes.
            body_total: Duration::from_secs(30 * 60),
            yields_to: 32,
            yields_after: Duration::from_millis(500),
        }
    }
}

/// Submissions that are at the ledger just now.
#[derive(Debug, Default)]
pub(super) struct ControlWork(Mutex<AtLedger>);

#[derive(Debug, Default)]
struct AtLedger {
    next: u64,
    since: BTreeMap<u64, Instant>,
}

/// One of them, until dropped.
pub(super) struct AtWork<'a> {
    work: &'a ControlWork,
    id: u64,
}

impl ControlWork {
    pub(super) fn begin(&self) -> AtWork<'_> {
        let mut at_ledger = self.lock();
        let id = at_ledger.next;
        at_ledger.next += 1;
        at_ledger.since.insert(id, Instant::now());
        AtWork { work: self, id }
    }

    fn goes_first(&self, bounds: &BulkBounds) -> bool {
        let at_ledger = self.lock();
        let oldest = at_ledger.since.values().next();
        at_ledger.since.len() >= bounds.yields_to
            || oldest.is_some_and(|since| since.elapsed() >= bounds.yields_after)
    }

    fn lock(&self) -> MutexGuard<'_, AtLedger> {
        // Nothing in here can panic half-way.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for AtWork<'_> {
    fn drop(&mut self) {
        self.work.lock().since.remove(&self.id);
    }
}

/// The bulk lane's own bounds.
pub(super) struct Gate {
    requests: Arc<Semaphore>,
    memory: BodyBudget,
    agents: Arc<Agents>,
    agent_requests: usize,
    verifying: Arc<Semaphore>,
    provers: Mutex<Vec<Prover>>,
}

/// Requests under way, by agent; those with none are not here.
#[derive(Debug, Default)]
struct Agents(Mutex<HashMap<AgentId, usize>>);

/// A request that was let in, until dropped.
pub(super) struct Pass {
    _request: OwnedSemaphorePermit,
    _memory: Share,
    _agent: AgentTurn,
}

struct AgentTurn {
    agents: Arc<Agents>,
    agent: AgentId,
}

impl Gate {
    pub(super) fn new(bounds: &BulkBounds) -> Self {
        // Half the processors prove chunks, so that the other half is there for submissions.
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            requests: Arc::new(Semaphore::new(bounds.requests)),
            memory: BodyBudget::new(bounds.bytes),
            agents: Arc::default(),
            agent_requests: bounds.agent_requests,
            verifying: Arc::new(Semaphore::new((processors / 2).max(1))),
            provers: Mutex::default(),
        }
    }

    /// Runs work on chunks off the async threads, with few others at once.
    pub(super) async fn prove<T: Send + 'static>(
        &self,
        ingress: &Arc<Ingress>,
        work: impl FnOnce(&mut Prover) -> T + Send + 'static,
    ) -> Result<T, Refusal> {
        let turn = self.verifying.clone().acquire_owned().await;
        let ingress = ingress.clone();
        let proving = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            let mut prover = ingress.gate.idle().pop().unwrap_or_default();
            let result = work(&mut prover);
            ingress.gate.idle().push(prover);
            result
        });
        proving
            .await
            .map_err(|_| Refusal::new(ProblemKind::Internal, "proving the chunks failed"))
    }

    /// As many as ever worked at once.
    fn idle(&self) -> MutexGuard<'_, Vec<Prover>> {
        // Nothing in here can panic half-way.
        self.provers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ingress {
    /// Lets a request of the bulk lane in that holds so many bytes at most, or tells it to come back.
    pub(super) fn admit_bulk(&self, agent: AgentId, bytes: usize) -> Result<Pass, Refusal> {
        let scarce = self.bounds.connections / 8;
        if self.places.available_permits() < scarce {
            return Err(busy("connections are scarce just now").and_hang_up());
        }
        let control_waits = self.control.goes_first(&self.bounds.bulk)
            || !self.bodies.has_room(self.bounds.bodies_bytes / 2);
        if control_waits {
            return Err(busy("tickets go first just now"));
        }
        let gate = &self.gate;
        let agent = AgentTurn::take(&gate.agents, agent, gate.agent_requests)?;
        let request = gate.requests.clone().try_acquire_owned();
        let request =
            request.map_err(|_| busy("central takes as many files as it can just now"))?;
        let mut memory = Share::default();
        gate.memory.cover(&mut memory, bytes)?;
        Ok(Pass {
            _request: request,
            _memory: memory,
            _agent: agent,
        })
    }

    /// Within what the JSON of the bulk lane is read.
    pub(super) fn bulk_bodies(&self) -> Reading<'_> {
        Reading {
            budget: &self.gate.memory,
            stall: self.bounds.bulk.body_stall,
            total: self.bounds.body_total,
            most: SUBMISSION_BYTES,
        }
    }
}

impl Agents {
    fn lock(&self) -> MutexGuard<'_, HashMap<AgentId, usize>> {
        // Nothing in here can panic half-way.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl AgentTurn {
    fn take(agents: &Arc<Agents>, agent: AgentId, most: usize) -> Result<Self, Refusal> {
        let mut under_way = agents.lock();
        let count = under_way.get(&agent).copied().unwrap_or(0);
        if count >= most {
            return Err(busy(
                "central takes as many files of this agent as it can just now",
            ));
        }
        under_way.insert(agent, count + 1);
        drop(under_way);
        Ok(Self {
            agents: agents.clone(),
            agent,
        })
    }
}

impl Drop for AgentTurn {
    fn drop(&mut self) {
        let mut under_way = self.agents.lock();
        match under_way.get_mut(&self.agent) {
            Some(count @ 2..) => *count -= 1,
            _ => {
                under_way.remove(&self.agent);
            }
        }
    }
}

fn busy(detail: &'static str) -> Refusal {
    Refusal::new(ProblemKind::Busy, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p7_control_goes_first_when_it_waits_or_is_many() {
        let bounds = BulkBounds {
            yields_to: 3,
            yields_after: Duration::from_secs(3_600),
            ..BulkBounds::default()
        };
        let control = ControlWork::default();
        let mut at_work: Vec<_> = (0..2).map(|_| control.begin()).collect();
        assert!(!control.goes_first(&bounds));
        at_work.push(control.begin());
        assert!(control.goes_first(&bounds));
        at_work.remove(0);
        assert!(!control.goes_first(&bounds));
        let patient = BulkBounds {
            yields_after: Duration::ZERO,
            ..bounds
        };
        assert!(control.goes_first(&patient));
        at_work.clear();
        assert!(!control.goes_first(&patient));
    }

    #[test]
    fn p8_an_agent_has_a_few_turns_and_gives_them_back() {
        let agents = Arc::new(Agents::default());
        let [one, two] = [1, 2].map(|byte| AgentId::from_bytes([byte; 16]));
        let first = AgentTurn::take(&agents, one, 2).unwrap();
        let second = AgentTurn::take(&agents, one, 2).unwrap();
        assert!(AgentTurn::take(&agents, one, 2).is_err());
        let other = AgentTurn::take(&agents, two, 2).unwrap();
        drop(first);
        let third = AgentTurn::take(&agents, one, 2).unwrap();
        drop((second, third, other));
        assert!(agents.lock().is_empty());
    }
}
