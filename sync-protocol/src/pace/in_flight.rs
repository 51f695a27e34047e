//! How many bodies are on their way at once: as many as throughput gains by. A clean link is full with
//! two (one travels while the other's answer comes back); on a lossy one each connection carries only
//! its share, and eight carry about seven times one.

use std::time::Duration;

use crate::limits::CHUNK_BODIES_IN_FLIGHT;

use super::rate;

/// Bodies at once on an unknown link.
const FIRST: usize = 2;
/// The least time over which throughput is compared.
const LEAST_WINDOW: Duration = Duration::from_secs(3);
/// The same in round trips: connections need several to find their speed.
const WINDOW_ROUND_TRIPS: u32 = 12;
/// Bodies that must have arrived in a window, for each that is on its way at once.
const WINDOW_BODIES: usize = 2;
/// A larger number must bring at least so much, in percent of what was, to be kept.
const WORTHWHILE: u64 = 112;
/// A smaller number is kept when it still brings so much.
const AS_GOOD: u64 = 92;
/// How long a number is kept after a try at more: more cost little, and losses make what was measured
/// uncertain.
const CONTENT: Duration = Duration::from_secs(15);
/// The same after a try at fewer, which costs what it loses.
const CONTENT_LONG: Duration = Duration::from_secs(60);

/// Climbs to the number of bodies beyond which throughput does not grow.
#[derive(Debug, Clone)]
pub struct InFlight {
    bodies: usize,
    window: Window,
    trial: Option<Trial>,
    content_until: Duration,
    /// The next trial is one of fewer.
    fewer_next: bool,
}

#[derive(Debug, Clone)]
struct Window {
    since: Duration,
    bytes: u64,
    bodies: usize,
    /// Bodies that our own pace held back: they say nothing of what more of them would bring.
    paced: usize,
}

#[derive(Debug, Clone, Copy)]
struct Trial {
    from: usize,
    rate: u64,
}

impl Window {
    fn new(since: Duration) -> Self {
        Self {
            since,
            bytes: 0,
            bodies: 0,
            paced: 0,
        }
    }
}

impl InFlight {
    /// For an unknown link.
    pub fn new(now: Duration) -> Self {
        Self {
            bodies: FIRST,
            window: Window::new(now),
            trial: None,
            content_until: Duration::ZERO,
            fewer_next: false,
        }
    }

    /// Bodies that may be on their way at once.
    pub fn bodies(&self) -> usize {
        self.bodies
    }

    /// A body arrived. `paced`: our own pace held it back for most of its way.
    pub fn arrived(&mut self, now: Duration, bytes: usize, paced: bool, round_trip: Duration) {
        self.window.bytes = self.window.bytes.saturating_add(bytes as u64);
        self.window.bodies += 1;
        self.window.paced += usize::from(paced);
        let length = now.saturating_sub(self.window.since);
        let enough = LEAST_WINDOW.max(round_trip * WINDOW_ROUND_TRIPS);
        if length >= enough && self.window.bodies >= WINDOW_BODIES * self.bodies {
            let rate = rate(self.window.bytes, length);
            let paced = self.window.paced * 2 > self.window.bodies;
            self.compare(now, rate, paced);
            self.window = Window::new(now);
        }
    }

    /// Bodies broke; one call for those that broke together.
    pub fn failed(&mut self, now: Duration) {
        self.bodies = (self.bodies / 2).max(1);
        self.trial = None;
        self.idle(now);
    }

    /// There was nothing to send up to now: what arrived before is not compared with what comes.
    pub fn idle(&mut self, now: Duration) {
        self.window = Window::new(now);
    }

    fn compare(&mut self, now: Duration, rate: u64, paced: bool) {
        match self.trial.take() {
            // What our own pace held back came faster by that, if at all.
            Some(trial) if self.bodies > trial.from => {
                if !paced && rate.saturating_mul(100) >= trial.rate.saturating_mul(WORTHWHILE) {
                    self.grow(rate);
                } else {
                    self.settle(now, trial.from, CONTENT);
                }
            }
            Some(trial) => {
                if rate.saturating_mul(100) < trial.rate.saturating_mul(AS_GOOD) {
                    self.settle(now, trial.from, CONTENT_LONG);
                } else {
                    self.settle(now, self.bodies, CONTENT);
                }
            }
            None if now < self.content_until => {}
            None if paced && self.bodies <= FIRST => {}
            None if (self.fewer_next || paced) && self.bodies > FIRST => {
                self.fewer_next = false;
                self.trial = Some(Trial {
                    from: self.bodies,
                    rate,
                });
                self.bodies = (self.bodies / 2).max(FIRST);
            }
            None => {
                self.fewer_next = true;
                self.grow(rate);
            }
        }
    }

    fn grow(&mut self, rate: u64) {
        let more = (self.bodies * 2).min(CHUNK_BODIES_IN_FLIGHT);
        if more > self.bodies {
            self.trial = Some(Trial {
                from: self.bodies,
                rate,
            });
            self.bodies = more;
        }
    }

    fn settle(&mut self, now: Duration, bodies: usize, content: Duration) {
        self.bodies = bodies;
        self.content_until = now + content;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROUND_TRIP: Duration = Duration::from_millis(50);

    /// Bodies of 100 kB over a link that carries `rate(n)` with n at once. Gives the numbers seen.
    fn run(
        in_flight: &mut InFlight,
        now: &mut Duration,
        time: Duration,
        paced: bool,
        rate: impl Fn(usize) -> u64,
    ) -> Vec<usize> {
        let end = *now + time;
        let mut seen = Vec::new();
        while *now < end {
            *now += super::super::time_for(100_000, rate(in_flight.bodies()));
            in_flight.arrived(*now, 100_000, paced, ROUND_TRIP);
            seen.push(in_flight.bodies());
        }
        seen
    }

    fn mean(seen: &[usize]) -> usize {
        seen.iter().sum::<usize>() * 10 / seen.len()
    }

    #[test]
    fn a_lossy_link_gets_eight_and_a_clean_one_two() {
        let mut now = Duration::ZERO;
        let mut lossy = InFlight::new(now);
        let minute = Duration::from_secs(60);
        run(&mut lossy, &mut now, minute, false, |n| 120_000 * n as u64);
        assert_eq!(lossy.bodies(), CHUNK_BODIES_IN_FLIGHT);
        let seen = run(&mut lossy, &mut now, minute * 5, false, |n| {
            120_000 * n as u64
        });
        assert!(mean(&seen) > 65, "{}", mean(&seen));

        let mut clean = InFlight::new(now);
        let seen = run(&mut clean, &mut now, minute * 5, false, |n| {
            if n == 1 { 900_000 } else { 1_200_000 }
        });
        assert!(mean(&seen) <= 24, "{}", mean(&seen));
    }

    #[test]
    fn a_link_that_becomes_clean_gets_fewer() {
        let mut now = Duration::ZERO;
        let mut in_flight = InFlight::new(now);
        let minute = Duration::from_secs(60);
        run(&mut in_flight, &mut now, minute, false, |n| {
            120_000 * n as u64
        });
        run(&mut in_flight, &mut now, minute * 4, false, |_| 1_200_000);
        assert!(in_flight.bodies() <= 4, "{}", in_flight.bodies());
    }

    #[test]
    fn what_our_own_pace_holds_back_gets_no_more_connections() {
        let mut now = Duration::ZERO;
        let mut in_flight = InFlight::new(now);
        let seen = run(
            &mut in_flight,
            &mut now,
            Duration::from_secs(300),
            true,
            |n| 100_000 * n as u64,
        );
        assert!(seen.iter().all(|bodies| *bodies == 2));
    }

    #[test]
    fn a_pace_that_grows_meanwhile_is_no_reason_for_more() {
        let mut now = Duration::ZERO;
        let mut in_flight = InFlight::new(now);
        run(
            &mut in_flight,
            &mut now,
            Duration::from_secs(4),
            false,
            |_| 100_000,
        );
        assert_eq!(in_flight.bodies(), 4);
        run(
            &mut in_flight,
            &mut now,
            Duration::from_secs(20),
            true,
            |_| 1_000_000,
        );
        assert_eq!(in_flight.bodies(), 2);
    }

    #[test]
    fn failures_halve_and_it_climbs_again() {
        let mut now = Duration::ZERO;
        let mut in_flight = InFlight::new(now);
        let minute = Duration::from_secs(60);
        run(&mut in_flight, &mut now, minute, false, |n| {
            120_000 * n as u64
        });
        for _ in 0..5 {
            in_flight.failed(now);
        }
        assert_eq!(in_flight.bodies(), 1);
        run(&mut in_flight, &mut now, minute, false, |n| {
            120_000 * n as u64
        });
        assert_eq!(in_flight.bodies(), CHUNK_BODIES_IN_FLIGHT);
    }
}
