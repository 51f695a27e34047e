//! The writer's inbox: two lanes, each with a bound, control before bulk.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Which jobs go first. A commit never mixes waiting control work with more bulk work than it must
/// (P7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lane {
    /// Tickets, acknowledgements, replies.
    Control,
    /// Files.
    Bulk,
}

pub(crate) struct JobQueue<J> {
    lanes: Mutex<Lanes<J>>,
    filled: Condvar,
}

struct Lanes<J> {
    control: VecDeque<J>,
    bulk: VecDeque<J>,
    closed: bool,
}

/// What a wait ended with.
pub(crate) enum Taken<J> {
    Job(Lane, J),
    Nothing,
    Closed,
}

impl<J> JobQueue<J> {
    pub(crate) fn new() -> Self {
        let lanes = Lanes {
            control: VecDeque::new(),
            bulk: VecDeque::new(),
            closed: false,
        };
        Self {
            lanes: Mutex::new(lanes),
            filled: Condvar::new(),
        }
    }

    /// The caller holds a permit of the lane's bound. Answers `false` once closed.
    pub(crate) fn push(&self, lane: Lane, job: J) -> bool {
        let mut lanes = self.lock();
        if lanes.closed {
            return false;
        }
        match lane {
            Lane::Control => lanes.control.push_back(job),
            Lane::Bulk => lanes.bulk.push_back(job),
        }
        drop(lanes);
        self.filled.notify_one();
        true
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    pub(crate) fn take_now(&self) -> Option<(Lane, J)> {
        self.lock().pop()
    }

    /// Control work only.
    pub(crate) fn take_control_now(&self) -> Option<(Lane, J)> {
        self.lock().pop_control()
    }

    pub(crate) fn take_within(&self, patience: Duration) -> Taken<J> {
        let lanes = self.lock();
        let (mut lanes, _) = self
            .filled
            .wait_timeout_while(lanes, patience, |lanes| lanes.is_empty() && !lanes.closed)
            .unwrap_or_else(PoisonError::into_inner);
        match lanes.pop() {
            Some((lane, job)) => Taken::Job(lane, job),
            None if lanes.closed => Taken::Closed,
            None => Taken::Nothing,
        }
    }

    /// Jobs already pushed are still taken.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.filled.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, Lanes<J>> {
        // Nothing in here can panic half-way.
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<J> Lanes<J> {
    fn is_empty(&self) -> bool {
        self.control.is_empty() && self.bulk.is_empty()
    }

    fn pop(&mut self) -> Option<(Lane, J)> {
        let bulk = |lanes: &mut Self| lanes.bulk.pop_front().map(|job| (Lane::Bulk, job));
        self.pop_control().or_else(|| bulk(self))
    }

    fn pop_control(&mut self) -> Option<(Lane, J)> {
        self.control.pop_front().map(|job| (Lane::Control, job))
    }
}
