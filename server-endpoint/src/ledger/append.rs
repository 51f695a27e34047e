//! What an append takes and gives: a submission as bytes and bounds, and what came of it.

use std::ops::Range;

use branchline_protocol::chain::Position;
use branchline_protocol::event::VerdictAt;
use branchline_protocol::exchange::{Continues, Health};
use branchline_protocol::id::{AgentId, BranchCode, StreamId};
use branchline_protocol::time::UnixMillis;
use bytes::Bytes;

use super::FeedPage;

/// Operations as they lie in a request's body: one buffer, and where each begins and ends in it.
#[derive(Debug, Clone, Default)]
pub struct Batch {
    body: Bytes,
    bounds: Vec<Range<usize>>,
}

impl Batch {
    /// Operations at these places of a buffer.
    pub fn new(body: Bytes, bounds: Vec<Range<usize>>) -> Self {
        Self { body, bounds }
    }

    /// The exact bytes of each.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.bounds
            .iter()
            .map(|bounds| self.body.get(bounds.clone()).unwrap_or_default())
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.bounds.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.bounds.is_empty()
    }
}

/// A submission of an agent that has proved who it is.
#[derive(Debug, Clone)]
pub struct Append {
    /// The agent.
    pub agent: AgentId,
    /// Whose next operations these are.
    pub stream: StreamId,
    /// Which stream that one continues.
    pub continues: Option<Continues>,
    /// What they come after.
    pub after: Position,
    /// The operations; may be none.
    pub operations: Batch,
    /// How far the agent has read its feed.
    pub cursor: Option<String>,
    /// How the agent is.
    pub health: Health,
    /// When it arrived, by central's clock.
    pub received_at: UnixMillis,
}

/// What came of it.
#[derive(Debug)]
pub enum Appended {
    /// Every operation is held, from now or from before.
    Held(Acknowledged),
    /// Central holds less of the stream than `after`.
    Gap {
        /// Central's head.
        head: Position,
    },
    /// The agent's stream and central's are two different ones.
    Diverged {
        /// Central's head.
        head: Position,
        /// Whether `after` is common ground.
        agreed: bool,
        /// The highest ticket serial seen of this agent.
        serials_used: u32,
    },
    /// The stream is another agent's.
    ForeignStream,
    /// The agent is not registered (any more).
    UnknownAgent,
}

/// A submission that is held.
#[derive(Debug)]
pub struct Acknowledged {
    /// How far, within what was submitted. Less than all of it only where the verdicts would not fit
    /// an answer; the rest is acknowledged when it is submitted again.
    pub acknowledged: Position,
    /// Central's head of the stream.
    pub head: Position,
    /// The highest ticket serial seen of this agent, where `head` is beyond what was submitted.
    pub serials_used: Option<u32>,
    /// Verdicts other than accepted up to `acknowledged`.
    pub verdicts: Vec<VerdictAt>,
    /// What the branch's feed holds after the agent's cursor.
    pub news: FeedPage,
    /// The agent's branch.
    pub branch: BranchCode,
    /// Operations that were new.
    pub appended: usize,
    /// Whether this gave its branch news.
    pub gave_news: bool,
}
