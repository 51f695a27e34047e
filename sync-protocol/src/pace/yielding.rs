//! The rate at which the link's queue stays short for everybody else.
//!
//! A tiny request is timed again and again while bulk goes. What it takes beyond the least that it took
//! in the last minutes is the queue that it waited in, and most of that queue is ours. The rate grows
//! while the queue is short and is cut below what the link carries when it is long, so that the queue
//! drains. A lost packet makes one probe late and is no queue: the median of three decides on cuts,
//! while a single late probe is enough not to grow.
//!
//! A cut goes below what the link carries, so that the queue empties and the least is seen again: one that
//! always stood would come to count as the distance.

use std::collections::VecDeque;
use std::time::Duration;

use super::{Meter, bytes_within, micros};

/// Bytes per second on an unknown link: 256 kbit/s, from which half a second reaches 2 Mbit/s.
const FIRST: u64 = 32 * 1024;
/// The least, whatever others do to the link: bulk yields and does not starve.
const FLOOR: u64 = 4 * 1024;
/// And this part of what the link has carried lately.
const FLOOR_PART: u64 = 16;
/// A queue this long is short enough, beyond a part of the round trip.
const TARGET: Duration = Duration::from_millis(15);
/// The part of the least round trip that the target has on top.
const TARGET_PART: u32 = 10;
/// Two packets, which may wait before a probe.
const TARGET_BYTES: u64 = 3_000;
/// The longest that they count for.
const TARGET_MOST: Duration = Duration::from_millis(500);
/// Probes of which the median decides.
const PROBES: usize = 3;
/// Short probes in a row that are usual while the rate hovers around what the link carries.
const STEADY_RUN: u64 = 20;
/// How long one of the least round trips is remembered; there are [`BASES`].
const BASE_SLOT: Duration = Duration::from_secs(60);
const BASES: usize = 5;
/// Over how long the rate is measured that the link takes.
const MEASURED_OVER: Duration = Duration::from_secs(1);
/// How often the memory of the best rate loses a tenth.
const BEST_FADES: Duration = Duration::from_secs(10);
/// How often the link is probed at most and at least, once the rate has been found.
const PROBE_OFTEN: Duration = Duration::from_millis(100);
const PROBE_SELDOM: Duration = Duration::from_secs(1);
/// Bytes that a probe costs, both directions and packets' headers included.
const PROBE_BYTES: u64 = 600;
/// Probes may take one part in so many of what the link takes.
const PROBE_PART: u64 = 64;

/// A delay-based controller.
#[derive(Debug, Clone)]
pub struct Yielding {
    rate: u64,
    /// Still looking for the rate of an unknown link.
    seeking: bool,
    taken: Meter,
    /// What the link took when the rate was last cut: about what it carries for us now.
    carried: u64,
    /// What it has carried at best, fading by half in a minute.
    best: u64,
    best_at: Duration,
    recent: VecDeque<Duration>,
    /// Start of the slot and the least in it.
    bases: VecDeque<(Duration, Duration)>,
    /// Short probes in a row.
    short_run: u32,
    cut_at: Option<Duration>,
    /// Cut once without a probe having been answered since.
    cut_in_the_dark: bool,
}

impl Yielding {
    /// For an unknown link.
    pub fn new(now: Duration) -> Self {
        Self {
            rate: FIRST,
            seeking: true,
            taken: Meter::new(now, MEASURED_OVER),
            carried: 0,
            best: 0,
            best_at: now,
            recent: VecDeque::with_capacity(PROBES),
            bases: VecDeque::with_capacity(BASES),
            short_run: 0,
            cut_at: None,
            cut_in_the_dark: false,
        }
    }

    /// Bytes per second that may go.
    pub fn rate(&self) -> u64 {
        self.rate
    }

    /// The least round trip of the last minutes.
    pub fn base(&self) -> Option<Duration> {
        self.bases.iter().map(|(_, least)| *least).min()
    }

    /// The median round trip of the last probes.
    pub fn round_trip(&self) -> Option<Duration> {
        let mut recent: Vec<Duration> = self.recent.iter().copied().collect();
        recent.sort_unstable();
        recent.get(recent.len() / 2).copied()
    }

    /// The queue that is short enough: on a slow link two packets take a while by themselves.
    pub fn target(&self) -> Duration {
        let packets = super::time_for(TARGET_BYTES, self.carried.max(self.rate)).min(TARGET_MOST);
        TARGET + self.base().unwrap_or_default() / TARGET_PART + packets
    }

    /// How long after the last probe the next one goes.
    pub fn probe_after(&mut self, now: Duration) -> Duration {
        if self.seeking {
            let base = self.base().unwrap_or(PROBE_OFTEN);
            return (base * 2).clamp(Duration::from_millis(50), PROBE_OFTEN);
        }
        let may_take = self.taken.rate(now).max(self.best / 2) / PROBE_PART;
        super::time_for(PROBE_BYTES, may_take).clamp(PROBE_OFTEN, PROBE_SELDOM)
    }

    /// When a probe that was not answered counts as late, after it went.
    pub fn overdue_after(&self) -> Duration {
        match self.base() {
            Some(base) => base + self.target() * 4,
            None => Duration::from_secs(3),
        }
    }

    /// The link took these.
    pub fn took(&mut self, now: Duration, bytes: u64) {
        self.taken.add(now, bytes);
    }

    /// Bytes per second that the link took lately.
    pub fn taken(&mut self, now: Duration) -> u64 {
        self.taken.rate(now)
    }

    /// A probe was answered.
    pub fn probed(&mut self, now: Duration, round_trip: Duration) {
        self.remember_base(now, round_trip);
        self.cut_in_the_dark = false;
        self.sample(now, round_trip);
    }

    /// A probe that counted as overdue was answered after all.
    pub fn answered_late(&mut self, now: Duration, round_trip: Duration) {
        self.remember_base(now, round_trip);
        self.cut_in_the_dark = false;
    }

    /// A probe is unanswered after so long.
    pub fn overdue(&mut self, now: Duration, waited: Duration) {
        if self.base().is_some() {
            self.sample(now, waited);
        }
    }

    /// The link was away and is back: what it carried is where to begin, not the floor.
    pub fn resumed(&mut self) {
        self.recent.clear();
        self.cut_in_the_dark = false;
        self.rate = self.rate.max(self.best / 2);
    }

    fn sample(&mut self, now: Duration, round_trip: Duration) {
        if self.recent.len() == PROBES {
            self.recent.pop_front();
        }
        self.recent.push_back(round_trip);
        let base = self.base().unwrap_or(round_trip);
        let target = self.target();
        let last = round_trip.saturating_sub(base);
        let median = self.round_trip().unwrap_or(round_trip).saturating_sub(base);
        if last * 2 >= target {
            self.short_run = 0;
            // What is seen now left a round trip ago: growing on would overshoot by as much again.
            self.seeking &= last < target;
        }
        if median > target && self.recent.len() == PROBES {
            let part = match median.as_micros() / target.as_micros().max(1) {
                0 | 1 => 85,
                2 | 3 => 65,
                _ => 40,
            };
            self.cut(now, part);
        } else if last > target {
            self.brake();
        } else if last * 2 < target {
            self.short_run = self.short_run.saturating_add(1);
            self.grow(now);
        }
    }

    /// Down to a part, in percent, of what the link carries.
    fn cut(&mut self, now: Duration, part: u64) {
        // One cut shows in the probes a round trip later, and in their median another two probes later.
        let shows_after =
            self.round_trip().unwrap_or_default() + self.probe_after(now).min(PROBE_SELDOM / 2) * 2;
        let too_soon = self
            .cut_at
            .is_some_and(|at| now.saturating_sub(at) < shows_after);
        if too_soon || self.cut_in_the_dark {
            return;
        }
        let taken = self.taken.rate(now);
        if taken < FLOOR {
            return; // nothing of ours goes: the queue is not ours, or the link is away
        }
        self.cut_at = Some(now);
        self.cut_in_the_dark = true;
        self.carried = self.rate.min(taken);
        self.fade_best(now);
        if self.seeking {
            // While seeking, the rate is ahead of what was measured, and beyond what the link carries.
            self.carried = self.carried.max(self.rate / 3 * 2);
            self.best = self.best.max(self.carried / 2);
        } else {
            self.best = self.best.max(self.carried);
        }
        self.seeking = false;
        let floor = FLOOR.max(self.best / FLOOR_PART);
        self.rate = (self.carried / 100 * part).max(floor);
    }

    fn fade_best(&mut self, now: Duration) {
        while now.saturating_sub(self.best_at) >= BEST_FADES {
            self.best = self.best / 10 * 9;
            self.best_at += BEST_FADES;
        }
    }

    /// One late probe: a queue that begins, or a loss. Costs little where it was a loss.
    fn brake(&mut self) {
        if !self.cut_in_the_dark && self.rate > self.carried / 10 * 8 {
            self.rate -= self.rate / 100 * 4;
        }
    }

    fn grow(&mut self, now: Duration) {
        let taken = self.taken.rate(now);
        // A rate that is not used says nothing, and would be a burst once it is.
        let unused = if self.seeking { 4 } else { 2 };
        let most = taken.saturating_mul(unused).max(FIRST);
        if self.rate >= most {
            return;
        }
        // What a step does shows a round trip and a probe later, in the median yet later: steps are
        // such that about as much is added in that time, whatever the distance.
        let probe = micros(self.probe_after(now)).max(1);
        let distance = micros(self.base().unwrap_or_default());
        let permille = if self.seeking {
            (1_000 * probe / (probe + distance)).min(500)
        } else if self.rate < self.carried / 10 * 8 {
            300 * probe / (probe * 2 + distance)
        } else if self.rate < self.best / 2 && self.short_run > 10 {
            (1_000 * probe / (probe + distance)).min(500) // others have left
        } else {
            // The longer the queue stays short, the more has become free.
            let run = u64::from(self.short_run) * probe / (probe + distance);
            let usual = STEADY_RUN * micros(PROBE_OFTEN) / probe;
            let more = run.saturating_sub(usual.max(6)) * 3;
            (60 + more).min(1_000) * probe / (probe * 3 + distance)
        };
        let more = (self.rate.saturating_mul(permille) / 1_000).max(1);
        self.rate = self.rate.saturating_add(more).min(most);
    }

    fn remember_base(&mut self, now: Duration, round_trip: Duration) {
        match self.bases.back_mut() {
            Some((since, least)) if now.saturating_sub(*since) < BASE_SLOT => {
                *least = (*least).min(round_trip);
            }
            _ => {
                if self.bases.len() == BASES {
                    self.bases.pop_front();
                }
                self.bases.push_back((now, round_trip));
            }
        }
    }

    /// Bytes of one piece: about what goes within a moment, so that whatever else wants to go does not
    /// wait behind a large one.
    pub fn piece(&self) -> usize {
        const LEAST: u64 = 1_400;
        const MOST: u64 = 16 * 1024;
        let bytes = bytes_within(self.rate(), Duration::from_millis(10)).clamp(LEAST, MOST);
        usize::try_from(bytes).unwrap_or(16 * 1024)
    }
}

#[cfg(test)]
mod tests;
