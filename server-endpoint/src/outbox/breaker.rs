//! When a target that fails is tried again: pure, with time and chance as arguments.
//!
//! A letter that fails alone waits alone. When letters fail one after another, whichever they are, it is
//! the target: then all wait, and one at a time tries, more and more rarely.

use std::time::Duration;

/// Failures in a row after which it is the target and not the letter.
const IN_A_ROW: u32 = 5;
/// Between the first attempts.
const FIRST: Duration = Duration::from_secs(1);
/// Between attempts at most.
const MOST: Duration = Duration::from_secs(600);
/// The longest time that a target may ask for.
const ASKED_MOST: Duration = Duration::from_secs(3_600);

/// How a target does.
#[derive(Debug, Default)]
pub(super) struct Breaker {
    in_a_row: u32,
    /// Counted from whatever time the caller counts from.
    not_before: Duration,
}

impl Breaker {
    /// Whether all wait, and one at a time tries.
    pub(super) fn is_open(&self) -> bool {
        self.in_a_row >= IN_A_ROW
    }

    /// How long whoever is to try must wait.
    pub(super) fn wait(&self, now: Duration) -> Duration {
        if self.is_open() {
            self.not_before.saturating_sub(now)
        } else {
            Duration::ZERO
        }
    }

    /// It took a letter, or refused one with reason: it is there.
    pub(super) fn answered(&mut self) {
        *self = Self::default();
    }

    /// It did not. Gives how long the letter concerned waits, as its `attempt`th failure.
    pub(super) fn failed(
        &mut self,
        now: Duration,
        attempt: u32,
        asked: Option<Duration>,
        chance: f64,
    ) -> Duration {
        let own = pause(attempt, asked, chance);
        // What was on its way when the others began to wait says nothing new.
        if !self.is_open() || now >= self.not_before {
            self.in_a_row = self.in_a_row.saturating_add(1);
            let since = self.in_a_row.saturating_sub(IN_A_ROW) + 1;
            self.not_before = now + pause(since, asked, chance);
        }
        own
    }
}

/// Doubles with each failure; between half of it and all of it, so that targets do not meet.
fn pause(failures: u32, asked: Option<Duration>, chance: f64) -> Duration {
    let doubled = FIRST.saturating_mul(1 << failures.saturating_sub(1).min(16));
    let pause = doubled
        .min(MOST)
        .mul_f64(0.5 + chance.clamp(0.0, 1.0) / 2.0);
    pause.max(asked.unwrap_or_default().min(ASKED_MOST))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn one_bad_letter_among_good_ones_holds_up_nobody() {
        let mut breaker = Breaker::default();
        for attempt in 1..100 {
            let own = breaker.failed(SECOND * attempt, attempt, None, 1.0);
            assert!(own >= SECOND && own <= MOST);
            assert_eq!(breaker.wait(SECOND * attempt), Duration::ZERO);
            breaker.answered();
        }
    }

    #[test]
    fn a_dead_target_is_tried_more_and_more_rarely_and_never_given_up() {
        let mut breaker = Breaker::default();
        let (mut now, mut before) = (Duration::ZERO, Duration::ZERO);
        for failure in 1..60 {
            breaker.failed(now, 1, None, 1.0);
            let wait = breaker.wait(now);
            assert_eq!(breaker.is_open(), failure >= IN_A_ROW);
            assert!(wait >= before && wait <= MOST, "{wait:?}");
            (now, before) = (now + wait, wait);
        }
        assert_eq!(before, MOST);
        breaker.answered();
        assert_eq!(breaker.wait(now), Duration::ZERO);
    }

    #[test]
    fn those_that_fail_together_count_as_one() {
        let mut breaker = Breaker::default();
        for _ in 0..50 {
            breaker.failed(Duration::ZERO, 1, None, 1.0);
        }
        assert!(breaker.is_open());
        assert_eq!(breaker.wait(Duration::ZERO), FIRST);
    }

    #[test]
    fn what_a_target_asks_for_is_kept_within_bounds() {
        let mut breaker = Breaker::default();
        let asked = Some(SECOND * 90);
        assert_eq!(breaker.failed(Duration::ZERO, 1, asked, 0.0), SECOND * 90);
        let ever = Some(SECOND * 1_000_000);
        assert_eq!(breaker.failed(Duration::ZERO, 1, ever, 0.0), ASKED_MOST);
    }
}
