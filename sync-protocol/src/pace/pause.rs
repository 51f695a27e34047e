//! How long bulk stands back while tickets are being sent: at once, and never for good.

use std::time::Duration;

/// The longest that bulk stands back at a stretch.
const MOST: Duration = Duration::from_secs(1);
/// A second of standing back is earned by so many of going on, so that a backlog of tickets takes at
/// most half of the time from files.
const EARNED_IN: u32 = 1;
/// What must be earned before bulk stands back again, once it used up what it had.
const LEAST_EARNED: Duration = Duration::from_millis(200);

/// Counts what is being sent on the control lane, and the time that bulk may stand back for it.
#[derive(Debug, Clone)]
pub struct Pause {
    busy: u32,
    /// Bulk stands back until then at most.
    until: Duration,
    /// Time that bulk may still stand back.
    credit: Duration,
    used_up: bool,
    counted: Duration,
}

impl Pause {
    /// Nothing is being sent.
    pub fn new(now: Duration) -> Self {
        Self {
            busy: 0,
            until: now,
            credit: MOST,
            used_up: false,
            counted: now,
        }
    }

    /// The control lane has something under way, whose bytes take so long to send.
    pub fn begin(&mut self, now: Duration, sending: Duration) {
        self.count(now);
        self.busy = self.busy.saturating_add(1);
        self.until = self.until.max(now.saturating_add(sending));
    }

    /// It is done.
    pub fn end(&mut self, now: Duration) {
        self.count(now);
        self.busy = self.busy.saturating_sub(1);
        if self.busy == 0 {
            self.until = now;
        }
    }

    /// How long bulk stands back from now on if nothing changes; nothing if it goes on.
    pub fn wait(&mut self, now: Duration) -> Duration {
        self.count(now);
        if self.used_up {
            Duration::ZERO
        } else {
            self.until.saturating_sub(now).min(self.credit)
        }
    }

    fn count(&mut self, now: Duration) {
        let passed = now.saturating_sub(self.counted);
        let stood_back = if self.used_up {
            Duration::ZERO
        } else {
            let most = self.until.saturating_sub(self.counted);
            passed.min(most).min(self.credit)
        };
        self.counted = self.counted.max(now);
        self.credit -= stood_back;
        if !stood_back.is_zero() && self.credit.is_zero() {
            self.used_up = true;
        }
        self.credit = (self.credit + passed.saturating_sub(stood_back) / EARNED_IN).min(MOST);
        if self.credit >= LEAST_EARNED {
            self.used_up = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEP: Duration = Duration::from_millis(5);

    /// Part of the time, in percent, that bulk went on while `busy` said that tickets were under way.
    fn went_on(busy: impl Fn(Duration) -> bool) -> u32 {
        let mut pause = Pause::new(Duration::ZERO);
        let (mut now, mut was_busy, mut on) = (Duration::ZERO, false, 0);
        let steps = 12_000;
        for _ in 0..steps {
            match (was_busy, busy(now)) {
                (false, true) => pause.begin(now, MOST * 100),
                (true, false) => pause.end(now),
                _ => {}
            }
            was_busy = busy(now);
            on += u32::from(pause.wait(now).is_zero());
            now += STEP;
        }
        on * 100 / steps
    }

    #[test]
    fn bulk_goes_on_at_least_half_of_the_time_whatever_tickets_do() {
        assert_eq!(went_on(|_| false), 100);
        let always = went_on(|_| true);
        assert!((48..=55).contains(&always), "{always}%");
        let often = went_on(|now| now.as_millis() % 100 < 90);
        assert!((48..=60).contains(&often), "{often}%");
    }

    #[test]
    fn a_ticket_now_and_then_finds_the_way_free() {
        let mut pause = Pause::new(Duration::ZERO);
        let mut now = Duration::ZERO;
        for _ in 0..100 {
            now += Duration::from_secs(1);
            pause.begin(now, MOST);
            now += Duration::from_millis(60);
            assert!(!pause.wait(now).is_zero());
            pause.end(now);
            assert!(pause.wait(now).is_zero());
        }
    }

    #[test]
    fn a_small_ticket_holds_bulk_for_as_long_as_its_bytes_take() {
        let mut pause = Pause::new(Duration::ZERO);
        pause.begin(STEP, STEP);
        assert_eq!(pause.wait(STEP), STEP);
        assert!(pause.wait(STEP * 2).is_zero(), "its answer is still out");
        pause.end(STEP * 20);
        assert!(pause.wait(STEP * 20).is_zero());
    }

    #[test]
    fn two_at_once_count_until_both_are_done() {
        let mut pause = Pause::new(Duration::ZERO);
        pause.begin(STEP, MOST);
        pause.begin(STEP, MOST);
        pause.end(STEP * 2);
        assert!(!pause.wait(STEP * 2).is_zero());
        pause.end(STEP * 3);
        assert!(pause.wait(STEP * 3).is_zero());
    }
}
