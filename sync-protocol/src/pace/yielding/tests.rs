//! The controller against a simulated link: a queue in front of a fixed rate, probes that wait in it.

use super::*;

const STEP: Duration = Duration::from_millis(1);

/// A link with one queue, into which bulk goes at the controller's rate.
struct Link {
    now: Duration,
    carries: u64,
    round_trip: Duration,
    /// Bytes that fit into the queue.
    room: u64,
    queued: u64,
    /// Bytes that others put into the queue per second.
    others: u64,
    /// Bulk goes no faster than this whatever it may: losses.
    bulk_most: u64,
    loss_per_mille: u64,
    seed: u64,
    probe_at: Duration,
    /// When each probe comes back and what it took.
    probes: Vec<(Duration, Duration)>,
    carried: u64,
    waits: Vec<Duration>,
}

impl Link {
    fn new(carries: u64, round_trip_ms: u64) -> Self {
        let round_trip = Duration::from_millis(round_trip_ms);
        Self {
            now: Duration::ZERO,
            carries,
            round_trip,
            room: carries, // a second
            queued: 0,
            others: 0,
            bulk_most: u64::MAX,
            loss_per_mille: 0,
            seed: 7,
            probe_at: Duration::ZERO,
            probes: Vec::new(),
            carried: 0,
            waits: Vec::new(),
        }
    }

    fn chance(&mut self) -> u64 {
        self.seed = self
            .seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.seed >> 33) % 1_000
    }

    fn run(&mut self, controller: &mut Yielding, time: Duration) {
        let end = self.now + time;
        self.carried = 0;
        self.waits.clear();
        while self.now < end {
            self.now += STEP;
            let bulk = bytes_within(controller.rate().min(self.bulk_most), STEP);
            controller.took(self.now, bulk);
            self.carried += bulk;
            let arriving = bulk + bytes_within(self.others, STEP);
            self.queued = (self.queued + arriving).min(self.room);
            self.queued -= self.queued.min(bytes_within(self.carries, STEP));
            self.waits
                .push(super::super::time_for(self.queued, self.carries));
            if self.now >= self.probe_at {
                let lost = self.chance() < self.loss_per_mille;
                let again = Duration::from_millis(if lost { 250 } else { 0 });
                let wait = super::super::time_for(self.queued, self.carries);
                let took = self.round_trip + wait + again;
                self.probes.push((self.now + took, took));
                self.probe_at = self.now + controller.probe_after(self.now);
            }
            let (now, mut back) = (self.now, Vec::new());
            self.probes.retain(|(at, took)| {
                let is_back = *at <= now;
                if is_back {
                    back.push(*took);
                }
                !is_back
            });
            for took in back {
                controller.probed(now, took);
            }
        }
    }

    fn wait_at_most(&self, permille: usize) -> Duration {
        let mut waits = self.waits.clone();
        waits.sort_unstable();
        waits[(waits.len() - 1) * permille / 1_000]
    }
}

const MINUTE: Duration = Duration::from_secs(60);

#[test]
fn the_queue_stays_short_and_the_link_full() {
    for (carries, round_trip) in [
        (16_000, 100),
        (125_000, 50),
        (1_250_000, 50),
        (1_250_000, 300),
        (2_500_000, 600),
        (12_500_000, 40),
    ] {
        let mut link = Link::new(carries, round_trip);
        let mut controller = Yielding::new(Duration::ZERO);
        link.run(&mut controller, MINUTE / 2);
        link.run(&mut controller, MINUTE * 3);
        let used = link.carried * 100 / (carries * 180);
        let (median, most) = (link.wait_at_most(500), link.wait_at_most(990));
        println!("{carries} B/s, {round_trip} ms: {used}%, queue {median:?}, p99 {most:?}");
        assert!(used >= 80, "{carries} B/s, {round_trip} ms: {used}%");
        let target = controller.target();
        assert!(
            most <= target * 3,
            "{carries} B/s, {round_trip} ms: {most:?}"
        );
    }
}

#[test]
fn an_unknown_link_is_full_within_seconds() {
    for (carries, round_trip, within) in [
        (1_250_000, 50, 3),
        (12_500_000, 300, 6),
        (125_000_000, 1, 2),
    ] {
        let mut link = Link::new(carries, round_trip);
        let mut controller = Yielding::new(Duration::ZERO);
        link.run(&mut controller, Duration::from_secs(within));
        link.run(&mut controller, Duration::from_secs(10));
        let used = link.carried * 100 / (carries * 10);
        assert!(used >= 70, "{carries} B/s after {within} s: {used}%");
    }
}

#[test]
fn losses_are_not_taken_for_a_queue() {
    let mut link = Link::new(1_250_000, 300);
    link.loss_per_mille = 40;
    link.bulk_most = 110_000; // what one connection that backs off at each loss carries
    let mut controller = Yielding::new(Duration::ZERO);
    link.run(&mut controller, MINUTE);
    link.run(&mut controller, MINUTE * 4);
    let used = link.carried * 100 / (110_000 * 240);
    assert!(used >= 90, "{used}% of what the connection carries");
}

#[test]
fn bulk_gives_way_to_others_and_does_not_starve() {
    let mut link = Link::new(1_250_000, 50);
    let mut controller = Yielding::new(Duration::ZERO);
    link.run(&mut controller, MINUTE);
    link.others = 1_000_000;
    link.run(&mut controller, MINUTE);
    let beside = link.carried / 60;
    assert!((50_000..=260_000).contains(&beside), "{beside} B/s");
    let most = link.wait_at_most(900);
    assert!(most < Duration::from_millis(80), "{most:?}");
    // Others who fill the link and its queue by themselves do not silence it.
    link.others = 2_000_000;
    link.run(&mut controller, MINUTE);
    assert!(link.carried / 60 >= FLOOR, "{} B/s", link.carried / 60);
    assert!(link.carried / 60 <= 300_000, "{} B/s", link.carried / 60);
    // They leave.
    link.others = 0;
    link.run(&mut controller, Duration::from_secs(10));
    link.run(&mut controller, MINUTE);
    let used = link.carried * 100 / (1_250_000 * 60);
    assert!(used >= 75, "{used}%");
}

#[test]
fn a_standing_queue_does_not_become_the_distance() {
    let mut link = Link::new(1_250_000, 50);
    let mut controller = Yielding::new(Duration::ZERO);
    for _ in 0..30 {
        link.run(&mut controller, MINUTE);
        let base = controller.base().unwrap();
        assert!(base <= Duration::from_millis(60), "{base:?}");
    }
}

#[test]
fn a_route_that_became_longer_is_learnt_within_minutes() {
    let mut link = Link::new(1_250_000, 50);
    let mut controller = Yielding::new(Duration::ZERO);
    link.run(&mut controller, MINUTE);
    link.round_trip = Duration::from_millis(250);
    link.run(&mut controller, MINUTE * 7);
    link.run(&mut controller, MINUTE);
    let used = link.carried * 100 / (1_250_000 * 60);
    assert!(used >= 75, "{used}%");
}

#[test]
fn an_outage_costs_one_cut_and_the_rate_comes_back() {
    let mut link = Link::new(1_250_000, 50);
    let mut controller = Yielding::new(Duration::ZERO);
    link.run(&mut controller, MINUTE);
    let before = controller.rate();
    let mut now = link.now;
    for _ in 0..100 {
        now += Duration::from_millis(200);
        controller.overdue(now, controller.overdue_after());
    }
    assert!(controller.rate() >= before / 8, "{}", controller.rate());
    controller.resumed();
    assert!(controller.rate() >= before / 3, "{}", controller.rate());
}

#[test]
fn pieces_are_a_moment_of_the_rate() {
    let mut controller = Yielding::new(Duration::ZERO);
    for (rate, piece) in [(4_096, 1_400), (1_000_000, 10_000), (1 << 30, 16 * 1024)] {
        controller.rate = rate;
        assert_eq!(controller.piece(), piece);
    }
}
