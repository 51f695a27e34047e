//! When the lane tries again after a failure.
//!
//! A link that is away for seconds is the usual case at a branch, so that for the first minute the way is
//! tried every second or so; one that stays away is tried as rarely as on the control lane. Where central
//! itself answers, it says when to come, and that holds from the first time.

use std::time::Duration;

use branchline_protocol::outcome::Outcome;
use tokio::time::Instant;

use crate::sync::retry::RetryDelay;

/// For so long after the last success the way is tried often.
const QUICK_FOR: Duration = Duration::from_secs(60);
/// Then with this pause, and as much again at random: a fleet that was cut off together does not return
/// together.
const QUICK: Duration = Duration::from_millis(400);
/// A refusal may be a request that was damaged on the way: so many are tried again as failures are.
const REFUSALS: u32 = 3;

/// Counts failures in a row.
pub(super) struct Delay {
    retry: RetryDelay,
    not_before: Instant,
    /// When the last failure was heard of, while failing.
    failed_at: Option<Instant>,
    /// The way itself failed, and not central.
    by_the_way: bool,
    last_success: Instant,
    refusals: u32,
}

impl Delay {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            retry: RetryDelay::new(),
            not_before: now,
            failed_at: None,
            by_the_way: false,
            last_success: now,
            refusals: 0,
        }
    }

    pub(super) fn not_before(&self) -> Instant {
        self.not_before
    }

    pub(super) fn is_failing(&self) -> bool {
        self.failed_at.is_some()
    }

    /// An exchange worked. Answers whether that ends a failure.
    pub(super) fn got_through(&mut self) -> bool {
        let now = Instant::now();
        self.last_success = now;
        self.retry.reset();
        self.refusals = 0;
        self.by_the_way = false;
        self.not_before = now;
        self.failed_at.take().is_some()
    }

    /// Whether only the way failed, so that finding out about it needs no body.
    pub(super) fn is_by_the_way(&self) -> bool {
        self.failed_at.is_some() && self.by_the_way
    }

    /// Somebody answers the door: everything may go again. Failures are counted on until an exchange
    /// works.
    pub(super) fn door_is_open(&mut self) {
        self.failed_at = None;
        self.not_before = Instant::now();
    }

    /// The control lane got through: where only the way was the trouble, there is no reason to wait.
    pub(super) fn way_is_open(&mut self) {
        if self.by_the_way {
            self.not_before = Instant::now();
        }
    }

    /// An exchange that began at `begun` did not work. Gives the pause, or nothing where it broke
    /// together with one that was counted.
    pub(super) fn failed(&mut self, begun: Instant, outcome: &Outcome) -> Option<Duration> {
        if self.failed_at.is_some_and(|at| begun <= at) {
            return None;
        }
        let now = Instant::now();
        self.failed_at = Some(now);
        let (by_the_way, asked) = match outcome {
            Outcome::Retry {
                trouble,
                not_before,
            } => (!trouble.central_answered, not_before.is_some()),
            Outcome::Smaller { .. } => (true, false),
            _ => (false, false),
        };
        self.by_the_way = by_the_way;
        let pause = if by_the_way && !asked && now.duration_since(self.last_success) < QUICK_FOR {
            QUICK + QUICK.mul_f64(fastrand::f64())
        } else if let Outcome::Refused { trouble } = outcome
            && self.refusals < REFUSALS
        {
            self.refusals += 1;
            let trouble = trouble.clone();
            self.retry.after(&Outcome::Retry {
                not_before: None,
                trouble,
            })
        } else {
            self.retry.after(outcome)
        };
        self.not_before = now + pause;
        Some(pause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use branchline_protocol::outcome::{Failure, Heard, classify};
    use branchline_protocol::problem::{Problem, ProblemKind};

    fn broken() -> Outcome {
        classify(Heard::Failed(Failure::Interrupted))
    }

    fn said(kind: ProblemKind, retry_after: Option<u64>) -> Outcome {
        let problem = Problem::new(kind, "x");
        classify(Heard::Answer {
            status: kind.status(),
            problem: Some(&problem),
            retry_after: retry_after.map(Duration::from_secs),
        })
    }

    #[tokio::test(start_paused = true)]
    async fn a_link_that_is_away_is_tried_often_for_a_minute_and_then_rarely() {
        let mut delay = Delay::new(Instant::now());
        let (mut quick, mut last) = (0, Duration::ZERO);
        for _ in 0..200 {
            last = delay.failed(Instant::now(), &broken()).unwrap();
            quick += u32::from(last <= QUICK * 2);
            tokio::time::sleep(last + Duration::from_secs(1)).await;
        }
        assert!((25..60).contains(&quick), "{quick}");
        assert!(last >= Duration::from_secs(60));
        assert!(delay.got_through() && !delay.got_through());
        assert!(delay.failed(Instant::now(), &broken()).unwrap() <= QUICK * 2);
    }

    #[tokio::test(start_paused = true)]
    async fn what_breaks_together_counts_once() {
        let mut delay = Delay::new(Instant::now());
        let begun = Instant::now();
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(delay.failed(begun, &broken()).is_some());
        for _ in 0..7 {
            assert!(delay.failed(begun, &broken()).is_none());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn central_says_when_to_come_and_the_control_lane_does_not_override_it() {
        let mut delay = Delay::new(Instant::now());
        let busy = said(ProblemKind::Busy, Some(30));
        let begun = Instant::now();
        assert!(delay.failed(begun, &busy).unwrap() >= Duration::from_secs(30));
        delay.way_is_open();
        assert!(delay.not_before() >= begun + Duration::from_secs(30));
        tokio::time::advance(Duration::from_secs(60)).await;
        delay.failed(Instant::now(), &broken()).unwrap();
        delay.way_is_open();
        assert!(delay.not_before() <= Instant::now());
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_damaged_on_the_way_costs_seconds_and_a_refusal_that_stays_a_minute() {
        let mut delay = Delay::new(Instant::now());
        let malformed = said(ProblemKind::Malformed, None);
        for _ in 0..REFUSALS {
            tokio::time::advance(Duration::from_secs(10)).await;
            assert!(delay.failed(Instant::now(), &malformed).unwrap() < Duration::from_secs(10));
        }
        tokio::time::advance(Duration::from_secs(10)).await;
        assert!(delay.failed(Instant::now(), &malformed).unwrap() >= Duration::from_secs(60));
    }
}
