//! When the next piece may go at a given rate: a token bucket that may be in debt, so that a piece
//! larger than the bucket is paid off afterwards.

use std::time::Duration;

use super::{bytes_within, time_for};

/// Tokens are bytes. Unused time is kept for `burst` at most.
#[derive(Debug, Clone)]
pub struct Bucket {
    rate: u64,
    burst: Duration,
    least_burst: u64,
    /// Bytes that may go now; negative while in debt.
    tokens: i64,
    filled: Duration,
    /// What filling left over below one byte, in millionths of a byte.
    remainder: u64,
}

impl Bucket {
    /// An empty bucket at `now`. `burst` bounds what unused time is worth, never less than
    /// `least_burst` bytes.
    pub fn new(now: Duration, rate: u64, burst: Duration, least_burst: u64) -> Self {
        Self {
            rate,
            burst,
            least_burst,
            tokens: 0,
            filled: now,
            remainder: 0,
        }
    }

    /// Bytes per second.
    pub fn rate(&self) -> u64 {
        self.rate
    }

    /// Another rate from `now` on. Debt stays and is paid at the new rate, but is never worth more than
    /// a second of it: a rate that was cut live does not silence the lane.
    pub fn set_rate(&mut self, now: Duration, rate: u64) {
        self.fill(now);
        self.rate = rate;
        let most_debt = i64::try_from(rate.max(self.least_burst)).unwrap_or(i64::MAX);
        self.tokens = self.tokens.clamp(-most_debt, self.capacity());
    }

    /// How long until something may go; nothing if it may go now.
    pub fn wait(&mut self, now: Duration) -> Duration {
        self.fill(now);
        if self.tokens >= 0 && self.rate > 0 {
            return Duration::ZERO;
        }
        let debt = self.tokens.unsigned_abs();
        time_for(debt, self.rate)
    }

    /// Something went.
    pub fn take(&mut self, now: Duration, bytes: u64) {
        self.fill(now);
        self.tokens = self
            .tokens
            .saturating_sub(i64::try_from(bytes).unwrap_or(i64::MAX));
    }

    fn capacity(&self) -> i64 {
        let burst = bytes_within(self.rate, self.burst).max(self.least_burst);
        i64::try_from(burst).unwrap_or(i64::MAX)
    }

    fn fill(&mut self, now: Duration) {
        let passed = now.saturating_sub(self.filled);
        self.filled = self.filled.max(now);
        let fine = u128::from(self.rate) * passed.as_micros() + u128::from(self.remainder);
        let whole = i64::try_from(fine / 1_000_000).unwrap_or(i64::MAX);
        self.remainder = u64::try_from(fine % 1_000_000).unwrap_or(0);
        self.tokens = self.tokens.saturating_add(whole).min(self.capacity());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sends pieces as soon as they may go; bytes that went in `time`.
    fn run(bucket: &mut Bucket, from: Duration, time: Duration, piece: u64) -> u64 {
        let (mut now, mut sent) = (from, 0);
        loop {
            now += bucket.wait(now);
            if now >= from + time {
                return sent;
            }
            bucket.take(now, piece);
            sent += piece;
        }
    }

    #[test]
    fn over_ten_seconds_the_rate_is_within_five_percent() {
        for rate in [1_000, 8_000, 32_000, 250_000, 12_500_000, 1_000_000_000] {
            for piece in [1, 1_000, 4_096, 16_384_u64] {
                if piece * 200 > rate * 10 || rate / piece > 1_000_000 {
                    continue; // fewer than 200 pieces in 10 s are coarser than what is measured
                }
                let mut bucket =
                    Bucket::new(Duration::ZERO, rate, Duration::from_millis(250), piece);
                let sent = run(&mut bucket, Duration::ZERO, Duration::from_secs(10), piece);
                let ideal = rate * 10;
                assert!(
                    sent.abs_diff(ideal) * 20 <= ideal,
                    "{rate} B/s in {piece}: {sent}"
                );
            }
        }
    }

    #[test]
    fn idle_time_is_worth_a_burst_and_no_more() {
        let mut bucket = Bucket::new(Duration::ZERO, 100_000, Duration::from_millis(250), 1_000);
        let hour = Duration::from_secs(3_600);
        let sent = run(&mut bucket, hour, Duration::from_secs(1), 1_000);
        assert!((125_000..=127_000).contains(&sent), "{sent}");
    }

    #[test]
    fn a_new_rate_counts_at_once_and_old_debt_does_not_silence_it() {
        let mut bucket = Bucket::new(Duration::ZERO, 10_000_000, Duration::ZERO, 16_384);
        bucket.take(Duration::ZERO, 50_000_000);
        bucket.set_rate(Duration::ZERO, 1_000);
        assert!(bucket.wait(Duration::ZERO) <= Duration::from_secs(17));
        bucket.set_rate(Duration::ZERO, 1_000_000);
        assert!(bucket.wait(Duration::ZERO) <= Duration::from_millis(20));
    }

    #[test]
    fn nothing_per_second_is_nothing() {
        let mut bucket = Bucket::new(Duration::ZERO, 0, Duration::from_secs(1), 100);
        assert!(bucket.wait(Duration::from_secs(100)) >= Duration::from_secs(3_600));
    }
}
