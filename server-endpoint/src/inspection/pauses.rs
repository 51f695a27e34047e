//! How long to wait before the next attempt.

use std::time::Duration;

/// Growing pauses between attempts.
#[derive(Debug, Clone, Copy)]
pub struct Pauses {
    /// After the first attempt.
    pub first: Duration,
    /// Doubled to this at most, before jitter.
    pub longest: Duration,
}

impl Default for Pauses {
    fn default() -> Self {
        Self {
            first: Duration::from_secs(1),
            longest: Duration::from_secs(600),
        }
    }
}

impl Pauses {
    /// The pause after so many attempts, counted from 1, with up to a quarter more, so that what failed
    /// together does not come back together. The jitter is added after the cap, which would swallow it.
    pub(super) fn after(self, attempts: u32) -> Duration {
        let doublings = attempts.saturating_sub(1).min(30);
        let pause = self.first.saturating_mul(1 << doublings).min(self.longest);
        let mut random = [0];
        // Without random bits there is no jitter, and still a pause.
        let _ = getrandom::fill(&mut random);
        let [random] = random;
        pause + pause * u32::from(random) / 1_020
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_their_cap_and_differ() {
        let pauses = Pauses::default();
        let mut before = Duration::ZERO;
        for attempt in 1..=10 {
            let pause = pauses.after(attempt);
            assert!(pause >= Duration::from_secs(1 << (attempt - 1)).min(pauses.longest));
            assert!(pause <= pauses.longest * 5 / 4);
            assert!(pause > before || attempt > 9);
            before = pause;
        }
        let many: std::collections::HashSet<_> = (0..64).map(|_| pauses.after(u32::MAX)).collect();
        assert!(many.len() > 8, "{many:?}");
        assert!(many.iter().all(|pause| *pause >= pauses.longest));
    }
}
