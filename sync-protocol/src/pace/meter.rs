//! Bytes per second over the last moments.

use std::collections::VecDeque;
use std::time::Duration;

use super::rate;

/// Slots of the window: what leaves it leaves in steps of this part.
const SLOTS: u32 = 10;

/// A sliding window over bytes that moved.
#[derive(Debug, Clone)]
pub struct Meter {
    window: Duration,
    started: Duration,
    /// Number of the slot, and bytes in it.
    slots: VecDeque<(u64, u64)>,
}

impl Meter {
    /// A meter that began at `now`.
    pub fn new(now: Duration, window: Duration) -> Self {
        Self {
            window: window.max(Duration::from_millis(1)),
            started: now,
            slots: VecDeque::new(),
        }
    }

    /// These moved.
    pub fn add(&mut self, now: Duration, bytes: u64) {
        let slot = self.slot(now);
        match self.slots.back_mut() {
            Some((last, sum)) if *last >= slot => *sum = sum.saturating_add(bytes),
            _ => self.slots.push_back((slot, bytes)),
        }
        self.forget(slot);
    }

    /// Bytes per second over the window, or since the beginning where that is shorter.
    pub fn rate(&mut self, now: Duration) -> u64 {
        self.forget(self.slot(now));
        let sum = self.slots.iter().map(|(_, bytes)| *bytes).sum();
        let span = now
            .saturating_sub(self.started)
            .clamp(self.window / SLOTS, self.window);
        rate(sum, span)
    }

    fn slot(&self, now: Duration) -> u64 {
        let part = (self.window / SLOTS).as_micros().max(1);
        u64::try_from(now.as_micros() / part).unwrap_or(u64::MAX)
    }

    fn forget(&mut self, slot: u64) {
        while let Some((oldest, _)) = self.slots.front()
            && slot.saturating_sub(*oldest) >= u64::from(SLOTS)
        {
            self.slots.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_shows_the_last_window() {
        let mut meter = Meter::new(Duration::ZERO, Duration::from_secs(1));
        let step = Duration::from_millis(10);
        let mut now = Duration::ZERO;
        for _ in 0..300 {
            now += step;
            meter.add(now, 1_000);
        }
        let busy = meter.rate(now);
        assert!((90_000..=110_000).contains(&busy), "{busy}");
        assert_eq!(meter.rate(now + Duration::from_secs(2)), 0);
        assert!(meter.slots.len() <= 11);
    }
}
