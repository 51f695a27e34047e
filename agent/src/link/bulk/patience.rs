//! How long lack of progress is borne before a connection is given up.
//!
//! While pieces go, the connection must ask for the next within seconds: little of a body fits into the
//! kernel, so that a link that is away shows at once. Once all is out, only the answer is left, and behind
//! a proxy that buffers whole bodies that takes as long as the bytes need from there: it is measured
//! against the rate at which bodies were answered before, generously. Whoever was given up without need
//! doubles the patience for the next, until one is answered.

use std::time::Duration;

use super::paced_body::{Phase, Seen};

/// A piece is taken within this on any link that moves, beyond some round trips.
const PIECE_WITHIN: Duration = Duration::from_secs(3);
/// Round trips that a piece may take: lost packets are sent again after one or two.
const PIECE_ROUND_TRIPS: u32 = 4;
/// An answer comes within this beyond what its bytes need.
const ANSWER_WITHIN: Duration = Duration::from_secs(15);
/// The bytes may take so many times as long as they took before.
const SLOWER: u64 = 4;
/// The slowest that a link is taken for: 16 kbit/s.
const SLOWEST: u64 = 2_048;
/// The longest that an answer is waited for.
const MOST: Duration = Duration::from_secs(300);
/// The most that patience doubles to.
const MOST_FACTOR: u32 = 16;

/// Grows with stalls, starts over with an answer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    factor: u32,
    /// Bytes per second at which bodies were answered.
    rate: Option<u64>,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            factor: 1,
            rate: None,
        }
    }
}

impl Patience {
    /// A body was answered.
    pub(super) fn answered(&mut self, bytes: u64, took: Duration) {
        self.factor = 1;
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX).max(1);
        let rate = bytes.saturating_mul(1_000_000) / micros;
        self.rate = Some(match self.rate {
            Some(before) => (before / 4).saturating_mul(3).saturating_add(rate / 4),
            None => rate,
        });
    }

    /// A connection was given up.
    pub(super) fn lost(&mut self) {
        self.factor = (self.factor * 2).min(MOST_FACTOR);
    }

    /// How long the other side's system may leave bytes unacknowledged.
    pub(super) fn unacknowledged(&self, distance: Option<Duration>) -> Duration {
        (self.piece_within(distance) * 3 / 2).min(MOST)
    }

    /// Whether a body of so many bytes has stalled.
    pub(super) fn is_over(&self, seen: Seen, bytes: u64, distance: Option<Duration>) -> bool {
        let waited = seen.since.elapsed();
        match seen.phase {
            Phase::Held => false,
            Phase::Given => waited > self.piece_within(distance),
            Phase::AllOut => waited > self.answer_within(bytes, distance),
        }
    }

    fn piece_within(&self, distance: Option<Duration>) -> Duration {
        let round_trips = distance.unwrap_or_default() * PIECE_ROUND_TRIPS;
        (PIECE_WITHIN.max(round_trips) * self.factor).min(MOST)
    }

    fn answer_within(&self, bytes: u64, distance: Option<Duration>) -> Duration {
        let rate = (self.rate.unwrap_or(0) / SLOWER).max(SLOWEST);
        let sending = Duration::from_secs(bytes / rate);
        let round_trips = distance.unwrap_or_default() * PIECE_ROUND_TRIPS;
        ((ANSWER_WITHIN.max(round_trips) + sending) * self.factor).min(MOST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1024 * 1024;

    #[test]
    fn a_piece_has_seconds_and_an_answer_what_its_bytes_need() {
        let mut patience = Patience::default();
        assert_eq!(patience.piece_within(None), PIECE_WITHIN);
        let satellite = Some(Duration::from_millis(1_500));
        assert_eq!(patience.piece_within(satellite), Duration::from_secs(6));
        patience.answered(MIB, Duration::from_secs(1));
        let within = patience.answer_within(8 * MIB, None);
        assert!((45..60).contains(&within.as_secs()), "{within:?}");
    }

    #[test]
    fn stalls_make_patient_up_to_a_bound_and_an_answer_ends_that() {
        let mut patience = Patience::default();
        patience.lost();
        assert_eq!(patience.piece_within(None), PIECE_WITHIN * 2);
        for _ in 0..40 {
            patience.lost();
        }
        assert_eq!(patience.piece_within(None), PIECE_WITHIN * MOST_FACTOR);
        assert!(patience.answer_within(8 * MIB, None) <= MOST);
        patience.answered(1, Duration::from_secs(1));
        assert_eq!(patience.piece_within(None), PIECE_WITHIN);
    }
}
