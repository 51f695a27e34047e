//! Bytes of the next body of chunks: about a second's worth, so that a broken one costs little and the
//! round trip hides behind the bytes.

use std::time::Duration;

use crate::limits::{CHUNK_BODY_TARGET, LEAST_CHUNK_BODY_BYTES, MOST_CHUNK_BODY_BYTES};

use super::{bytes_within, rate};

/// Round trips of a body that are not counted.
const ROUND_TRIPS: u32 = 4;

/// Adapts the size of bodies to the link, between [`LEAST_CHUNK_BODY_BYTES`] and
/// [`MOST_CHUNK_BODY_BYTES`].
#[derive(Debug, Clone)]
pub struct BodySize {
    bytes: usize,
}

impl Default for BodySize {
    fn default() -> Self {
        Self {
            bytes: LEAST_CHUNK_BODY_BYTES,
        }
    }
}

impl BodySize {
    /// Bytes of chunks for the next body.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// A body of `sent` bytes was answered `took` after its first byte could go. `round_trip` is what
    /// any request takes: connections that warm up, lost packets and answers that travel cost about
    /// four, and a larger body pays them no more often.
    pub fn arrived(&mut self, sent: usize, took: Duration, round_trip: Duration) {
        let beyond = took
            .saturating_sub(round_trip * ROUND_TRIPS)
            .max(Duration::from_millis(1));
        let fits = bytes_within(rate(sent as u64, beyond), CHUNK_BODY_TARGET);
        let fits = usize::try_from(fits).unwrap_or(usize::MAX);
        // A body that was not full says nothing of what a full one would take, unless it was too slow.
        let was_full = sent >= self.bytes / 4 * 3;
        if fits > self.bytes && was_full {
            self.set(fits.min(self.bytes * 2));
        } else if fits < self.bytes && beyond > CHUNK_BODY_TARGET {
            self.set(fits.max(self.bytes / 2));
        }
    }

    /// A body broke, or something on the way found it too large.
    pub fn failed(&mut self) {
        self.set(self.bytes / 2);
    }

    fn set(&mut self, bytes: usize) {
        self.bytes = bytes.clamp(LEAST_CHUNK_BODY_BYTES, MOST_CHUNK_BODY_BYTES);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sends full bodies over a link of so many bytes per second.
    fn settle(size: &mut BodySize, link: u64, round_trip: Duration) {
        for _ in 0..40 {
            let sending = super::super::time_for(size.bytes() as u64, link);
            size.arrived(size.bytes(), sending + round_trip, round_trip);
        }
    }

    #[test]
    fn a_body_takes_about_a_second_on_any_link() {
        for (link, round_trip, least, most) in [
            (8_000, 600, LEAST_CHUNK_BODY_BYTES, LEAST_CHUNK_BODY_BYTES),
            (125_000, 50, 100_000, 160_000),
            (1_250_000, 50, 1_100_000, 1_600_000),
            (2_500_000, 600, 2_000_000, MOST_CHUNK_BODY_BYTES),
            (
                1_000_000_000,
                0,
                MOST_CHUNK_BODY_BYTES,
                MOST_CHUNK_BODY_BYTES,
            ),
        ] {
            let mut size = BodySize::default();
            settle(&mut size, link, Duration::from_millis(round_trip));
            let bytes = size.bytes();
            assert!((least..=most).contains(&bytes), "{link} B/s: {bytes}");
        }
    }

    #[test]
    fn it_follows_a_link_that_becomes_slow() {
        let mut size = BodySize::default();
        settle(&mut size, 10_000_000, Duration::from_millis(20));
        assert_eq!(size.bytes(), MOST_CHUNK_BODY_BYTES);
        settle(&mut size, 100_000, Duration::from_millis(20));
        assert!(size.bytes() <= 120_000, "{}", size.bytes());
    }

    #[test]
    fn failures_halve_and_the_least_stays() {
        let mut size = BodySize::default();
        settle(&mut size, 10_000_000, Duration::ZERO);
        size.failed();
        assert_eq!(size.bytes(), MOST_CHUNK_BODY_BYTES / 2);
        for _ in 0..50 {
            size.failed();
        }
        assert_eq!(size.bytes(), LEAST_CHUNK_BODY_BYTES);
    }

    #[test]
    fn a_small_last_body_changes_nothing_and_growth_is_at_most_twofold() {
        let mut size = BodySize::default();
        size.arrived(1_000, Duration::from_millis(1), Duration::ZERO);
        assert_eq!(size.bytes(), LEAST_CHUNK_BODY_BYTES);
        size.arrived(size.bytes(), Duration::from_micros(1), Duration::ZERO);
        assert_eq!(size.bytes(), LEAST_CHUNK_BODY_BYTES * 2);
        // A link of a long round trip warms up over several of them without a body looking slow.
        let long = Duration::from_millis(600);
        size.arrived(size.bytes(), long * 3, long);
        assert!(size.bytes() > LEAST_CHUNK_BODY_BYTES * 2);
    }
}
