//! How often somebody may fail to join: a bound for each network, and one for what goes into the trail.
//!
//! A token's secret cannot be guessed; the bounds are there for the work that guessing makes, and for the
//! trail, which only grows.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::authority::patience::Network;

/// One more after so long.
const REFILL: Duration = Duration::from_secs(30);
/// Networks that are remembered; each is forgotten when it could have its whole burst again.
const NETWORKS: usize = 4_096;
/// Failures of all that the trail takes at once.
const RECORDED_BURST: u32 = 200;
/// One more after so long: at most 8,640 a day.
const RECORDED_REFILL: Duration = Duration::from_secs(10);

/// What was tried.
#[derive(Debug)]
pub(super) struct Attempts {
    tried: Mutex<Tried>,
    /// Failures at once of one network.
    burst: u32,
}

#[derive(Debug, Default)]
struct Tried {
    by: HashMap<Network, Bucket>,
    recorded: Bucket,
    unrecorded: u64,
}

/// When all that was taken will be there again; `None`: it is.
#[derive(Debug, Default, Clone, Copy)]
struct Bucket(Option<Instant>);

impl Bucket {
    /// Takes one, or says when there will be one.
    fn take(&mut self, now: Instant, burst: u32, refill: Duration) -> Result<(), Duration> {
        let whole_at = self.0.map_or(now, |at| at.max(now)) + refill;
        let over = (whole_at - now).saturating_sub(refill * burst);
        if over.is_zero() {
            self.0 = Some(whole_at);
            Ok(())
        } else {
            Err(over)
        }
    }

    fn give_back(&mut self, refill: Duration) {
        self.0 = self.0.and_then(|at| at.checked_sub(refill));
    }

    fn is_whole(self, now: Instant) -> bool {
        self.0.is_none_or(|at| at <= now)
    }
}

impl Attempts {
    /// So many failures at once of one network.
    pub(super) fn new(burst: u32) -> Self {
        Self {
            tried: Mutex::default(),
            burst,
        }
    }

    /// Counts an attempt as one that fails, or says when to come back.
    pub(super) fn begin(&self, network: Network, now: Instant) -> Result<(), Duration> {
        let mut tried = self.lock();
        if tried.by.len() >= NETWORKS && !tried.by.contains_key(&network) {
            tried.forget(now);
        }
        let bucket = tried.by.entry(network).or_default();
        bucket.take(now, self.burst, REFILL)
    }

    /// It did not fail.
    pub(super) fn succeeded(&self, network: Network) {
        if let Some(bucket) = self.lock().by.get_mut(&network) {
            bucket.give_back(REFILL);
        }
    }

    /// Whether a failure is written into the trail, and how many were not since the last that was.
    pub(super) fn to_record(&self, now: Instant) -> Option<u64> {
        let mut tried = self.lock();
        if tried
            .recorded
            .take(now, RECORDED_BURST, RECORDED_REFILL)
            .is_ok()
        {
            Some(std::mem::take(&mut tried.unrecorded))
        } else {
            tried.unrecorded += 1;
            None
        }
    }

    fn lock(&self) -> MutexGuard<'_, Tried> {
        // Nothing in here can panic half-way.
        self.tried.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tried {
    /// Makes room: those who could have their whole burst again, else whoever comes nearest to that.
    fn forget(&mut self, now: Instant) {
        self.by.retain(|_, bucket| !bucket.is_whole(now));
        if self.by.len() >= NETWORKS {
            let nearest = self.by.iter().min_by_key(|(_, bucket)| bucket.0);
            if let Some(network) = nearest.map(|(network, _)| *network) {
                self.by.remove(&network);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BURST: u32 = 20;

    fn network(number: u32) -> Network {
        Network::of(std::net::Ipv4Addr::from(number).into())
    }

    #[test]
    fn failures_of_one_network_are_bounded_and_leave_others_alone() {
        let attempts = Attempts::new(BURST);
        let start = Instant::now();
        for _ in 0..BURST {
            assert_eq!(attempts.begin(network(1), start), Ok(()));
        }
        assert_eq!(attempts.begin(network(1), start), Err(REFILL));
        assert_eq!(attempts.begin(network(2), start), Ok(()));
        let later = start + REFILL;
        assert_eq!(attempts.begin(network(1), later), Ok(()));
        assert!(attempts.begin(network(1), later).is_err());
    }

    #[test]
    fn those_that_succeed_are_not_counted() {
        let attempts = Attempts::new(BURST);
        let now = Instant::now();
        for _ in 0..10 * BURST {
            assert_eq!(attempts.begin(network(1), now), Ok(()));
            attempts.succeeded(network(1));
        }
    }

    #[test]
    fn p8_what_is_remembered_is_bounded() {
        let attempts = Attempts::new(BURST);
        let now = Instant::now();
        for number in 0..2 * u32::try_from(NETWORKS).unwrap() {
            assert_eq!(attempts.begin(network(number), now), Ok(()));
        }
        assert_eq!(attempts.lock().by.len(), NETWORKS);
        let recorded = (0..1_000).filter(|_| attempts.to_record(now).is_some());
        assert_eq!(recorded.count(), 200);
        let later = now + RECORDED_REFILL;
        assert_eq!(attempts.to_record(later), Some(800));
    }
}
