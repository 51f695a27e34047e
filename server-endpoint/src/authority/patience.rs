//! How often somebody may fail, and how long after that: pure, with bounded memory.
//!
//! Each attempt counts as a failure when it begins, and is given back when it succeeds; so a hundred at
//! once are a hundred. Some failures are free. From then on each makes the next one wait twice as long,
//! up to a bound; as time goes by, failures are forgotten one by one.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// The rule.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// Failures that cost nothing.
    pub free: u32,
    /// What the next one waits.
    pub first: Duration,
    /// What none waits longer than.
    pub most: Duration,
    /// After which one failure is forgotten.
    pub forget: Duration,
    /// Keys remembered; beyond that, whoever has failed least is forgotten.
    pub keys: usize,
}

/// Who has failed how often.
#[derive(Debug)]
pub struct Failures<K> {
    rule: Patience,
    by: HashMap<K, Tried>,
}

#[derive(Debug, Clone, Copy)]
struct Tried {
    failures: u32,
    /// From when on the next failure is forgotten.
    since: Instant,
    /// When the next attempt may begin.
    free_at: Instant,
}

impl<K: Copy + Eq + Hash> Failures<K> {
    /// Nobody has.
    pub fn new(rule: Patience) -> Self {
        Self {
            rule,
            by: HashMap::new(),
        }
    }

    /// Whether an attempt may begin, or after what time.
    pub fn may_begin(&mut self, key: K, now: Instant) -> Result<(), Duration> {
        let Some(tried) = self.by.get_mut(&key) else {
            return Ok(());
        };
        tried.forget(self.rule.forget, now);
        match tried.free_at.saturating_duration_since(now) {
            Duration::ZERO => Ok(()),
            wait => Err(wait),
        }
    }

    /// Counts an attempt as one that fails.
    pub fn begin(&mut self, key: K, now: Instant) {
        if !self.by.contains_key(&key) && self.by.len() >= self.rule.keys {
            self.forget_one(now);
        }
        let rule = self.rule;
        let tried = self.by.entry(key).or_insert(Tried {
            failures: 0,
            since: now,
            free_at: now,
        });
        tried.forget(rule.forget, now);
        tried.failures = tried.failures.saturating_add(1);
        if let Some(paid) = tried.failures.checked_sub(rule.free + 1) {
            let wait = rule
                .first
                .saturating_mul(2_u32.saturating_pow(paid.min(31)));
            tried.free_at = now + wait.min(rule.most);
        }
    }

    /// Gives back an attempt that succeeded.
    pub fn succeeded(&mut self, key: K, now: Instant) {
        if let Some(tried) = self.by.get_mut(&key) {
            tried.failures = tried.failures.saturating_sub(1);
            tried.free_at = now;
            if tried.failures == 0 {
                self.by.remove(&key);
            }
        }
    }

    /// How many are remembered.
    pub fn len(&self) -> usize {
        self.by.len()
    }

    /// Whether nobody has failed.
    pub fn is_empty(&self) -> bool {
        self.by.is_empty()
    }

    fn forget_one(&mut self, now: Instant) {
        let forget = self.rule.forget;
        self.by.retain(|_, tried| {
            tried.forget(forget, now);
            tried.failures > 0
        });
        if self.by.len() < self.rule.keys {
            return;
        }
        let least = self.by.iter();
        let least = least.min_by_key(|(_, tried)| (tried.failures, tried.since));
        if let Some(key) = least.map(|(key, _)| *key) {
            self.by.remove(&key);
        }
    }
}

impl Tried {
    fn forget(&mut self, each: Duration, now: Instant) {
        while self.failures > 0 && now.saturating_duration_since(self.since) >= each {
            self.failures -= 1;
            self.since += each;
        }
        if self.failures == 0 {
            self.since = now;
        }
    }
}

/// How many records of failures a time may have; what is more is counted.
#[derive(Debug)]
pub struct Records {
    most: u32,
    each: Duration,
    left: u32,
    until: Option<Instant>,
    unrecorded: u64,
}

impl Records {
    /// At most so many in each time of that length.
    pub fn new(most: u32, each: Duration) -> Self {
        Self {
            most,
            each,
            left: 0,
            until: None,
            unrecorded: 0,
        }
    }

    /// Whether this one is to be recorded, and how many before it were not.
    pub fn take(&mut self, now: Instant) -> Option<u64> {
        if self.until.is_none_or(|until| now >= until) {
            self.left = self.most;
            self.until = Some(now + self.each);
        }
        let Some(left) = self.left.checked_sub(1) else {
            self.unrecorded += 1;
            return None;
        };
        self.left = left;
        Some(std::mem::take(&mut self.unrecorded))
    }
}

/// Where somebody calls from, as far as limits are concerned: an IPv4 address, or an IPv6 network of 64
/// bits, which is what one subscriber has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Network(IpAddr);

impl Network {
    /// That of an address.
    pub fn of(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V6(address) => IpAddr::V6((address.to_bits() & !u128::from(u64::MAX)).into()),
            address @ IpAddr::V4(_) => address,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULE: Patience = Patience {
        free: 3,
        first: Duration::from_secs(1),
        most: Duration::from_secs(60),
        forget: Duration::from_secs(300),
        keys: 100,
    };

    fn attempt(failures: &mut Failures<u32>, key: u32, now: Instant) -> Result<(), Duration> {
        failures.may_begin(key, now)?;
        failures.begin(key, now);
        Ok(())
    }

    #[test]
    fn failures_beyond_the_free_ones_wait_longer_and_longer() {
        let mut failures = Failures::new(RULE);
        let mut now = Instant::now();
        for _ in 0..4 {
            assert_eq!(attempt(&mut failures, 1, now), Ok(()));
        }
        for seconds in [1, 2, 4, 8, 16, 32, 60, 60] {
            let wait = Duration::from_secs(seconds);
            assert_eq!(attempt(&mut failures, 1, now), Err(wait));
            assert_eq!(attempt(&mut failures, 2, now), Ok(()), "another");
            failures.succeeded(2, now);
            now += wait;
            assert_eq!(attempt(&mut failures, 1, now), Ok(()));
        }
    }

    #[test]
    fn over_a_day_few_get_through() {
        let mut failures = Failures::new(RULE);
        let start = Instant::now();
        let through = (0..24 * 3_600).filter(|second| {
            attempt(&mut failures, 1, start + Duration::from_secs(*second)).is_ok()
        });
        assert!((200..1_500).contains(&through.count()));
    }

    #[test]
    fn success_gives_back_its_own_attempt_and_no_other() {
        let mut failures = Failures::new(RULE);
        let now = Instant::now();
        for _ in 0..1_000 {
            assert_eq!(attempt(&mut failures, 1, now), Ok(()));
            failures.succeeded(1, now);
        }
        assert!(failures.is_empty());
        for _ in 0..3 {
            assert_eq!(attempt(&mut failures, 1, now), Ok(()));
            assert_eq!(attempt(&mut failures, 1, now), Ok(()));
            failures.succeeded(1, now);
        }
        assert_eq!(attempt(&mut failures, 1, now), Ok(()));
        assert!(attempt(&mut failures, 1, now).is_err());
    }

    #[test]
    fn p8_memory_is_bounded_and_the_worst_are_remembered() {
        let mut failures = Failures::new(RULE);
        let now = Instant::now();
        for _ in 0..4 {
            assert_eq!(attempt(&mut failures, 0, now), Ok(()));
        }
        for key in 1..10_000 {
            assert_eq!(attempt(&mut failures, key, now), Ok(()));
        }
        assert_eq!(failures.len(), RULE.keys);
        assert!(attempt(&mut failures, 0, now).is_err());
        // Later, all of it is forgotten.
        let later = now + 4 * RULE.forget;
        assert_eq!(attempt(&mut failures, 10_000, later), Ok(()));
        assert_eq!(failures.len(), 1);
    }

    #[test]
    fn p8_records_are_bounded_and_count_what_they_leave_out() {
        let mut records = Records::new(3, Duration::from_secs(60));
        let now = Instant::now();
        let taken: Vec<_> = (0..10).map(|_| records.take(now)).collect();
        assert_eq!(taken[..4], [Some(0), Some(0), Some(0), None]);
        let later = now + Duration::from_secs(60);
        assert_eq!(records.take(later), Some(7));
        assert_eq!(records.take(later), Some(0));
    }

    #[test]
    fn a_subscriber_is_one_network() {
        let network = |text: &str| Network::of(text.parse().unwrap());
        assert_eq!(network("2001:db8::1"), network("2001:db8::ffff:1"));
        assert_ne!(network("2001:db8::1"), network("2001:db8:0:1::1"));
        assert_eq!(network("::ffff:10.0.0.1"), network("10.0.0.1"));
        assert_ne!(network("10.0.0.2"), network("10.0.0.1"));
    }
}
