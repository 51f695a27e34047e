//! How long to wait before the next attempt: the only user of the `backoff` crate, which computes the
//! growing interval and nothing else.
//!
//! Jitter is added after the cap: where the cap clamps it, a fleet that was cut off together returns
//! together (fleet#53357).

use std::time::Duration;

use backoff::ExponentialBackoff;
use backoff::backoff::Backoff;
use branchline_protocol::outcome::Outcome;

/// The first delay after a failure.
const FIRST: Duration = Duration::from_millis(500);
/// The longest delay before jitter: what an employee waits at most after the link is back.
const CAP: Duration = Duration::from_secs(60);
/// The delay before jitter where central refuses this agent until IT acts.
const REFUSED: Duration = Duration::from_secs(60);

/// Counts failures in a row.
pub(super) struct RetryDelay {
    backoff: ExponentialBackoff,
    random: fastrand::Rng,
}

impl RetryDelay {
    pub(super) fn new() -> Self {
        Self::with_random(fastrand::Rng::new())
    }

    fn with_random(random: fastrand::Rng) -> Self {
        let backoff = ExponentialBackoff {
            current_interval: FIRST,
            initial_interval: FIRST,
            randomization_factor: 0.0,
            multiplier: 2.0,
            max_interval: CAP,
            max_elapsed_time: None,
            ..ExponentialBackoff::default()
        };
        Self { backoff, random }
    }

    /// It worked.
    pub(super) fn reset(&mut self) {
        self.backoff.reset();
    }

    /// The delay that this outcome asks for.
    pub(super) fn after(&mut self, outcome: &Outcome) -> Duration {
        let base = match outcome {
            Outcome::Retry { not_before, .. } => {
                let own = self.backoff.next_backoff().unwrap_or(CAP);
                own.max(not_before.unwrap_or(Duration::ZERO))
            }
            Outcome::Smaller { .. } => self.backoff.next_backoff().unwrap_or(CAP),
            Outcome::Refused { .. } | Outcome::Reenrol { .. } | Outcome::Renew { .. } => REFUSED,
            Outcome::Done | Outcome::Gap { .. } | Outcome::Diverged { .. } => {
                self.backoff.next_backoff().unwrap_or(CAP)
            }
        };
        base + base.mul_f64(self.random.f64() / 2.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use branchline_protocol::outcome::{Failure, Heard, classify};

    #[test]
    fn jitter_is_still_there_at_the_cap() {
        let seed = 42;
        println!("seed {seed}");
        let mut retry = RetryDelay::with_random(fastrand::Rng::with_seed(seed));
        let failed = classify(Heard::Failed(Failure::Connect));
        let delays: Vec<Duration> = (0..200).map(|_| retry.after(&failed)).collect();
        assert!(delays[0] >= FIRST && delays[0] <= FIRST * 3 / 2);
        let capped = &delays[20..];
        assert!(
            capped
                .iter()
                .all(|delay| *delay >= CAP && *delay <= CAP * 3 / 2)
        );
        let (least, most) = (capped.iter().min().unwrap(), capped.iter().max().unwrap());
        assert!(
            *most > *least + CAP / 3,
            "{least:?} to {most:?} is no spread"
        );
        retry.reset();
        assert!(retry.after(&failed) < FIRST * 2);
    }

    #[test]
    fn nobody_comes_back_before_retry_after() {
        let mut retry = RetryDelay::new();
        let asked = Duration::from_secs(300);
        let busy = classify(Heard::Answer {
            status: 503,
            problem: None,
            retry_after: Some(asked),
        });
        assert!(retry.after(&busy) >= asked);
    }
}
