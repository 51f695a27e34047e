//! What every piece of bulk passes before it goes on the link: the rate that IT allows, the rate at which
//! the link's queue stays short, and a pause while tickets are being sent (P7).
//!
//! The decisions are [`branchline_protocol::pace`]'s; here they meet the clock. Pieces pass one at a
//! time, in the order in which they asked, whatever connection they are for.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use branchline_protocol::pace::{Bucket, Pause, Yielding};
use tokio::sync::Notify;
use tokio::time::Instant;

/// Unused time under the rate that IT allows is worth so much: enough to even out the clock's ticks.
const LIMIT_BURST: Duration = Duration::from_millis(50);
/// The same under the rate at which the queue stays short.
const PACE_BURST: Duration = Duration::from_millis(5);
/// What may always go at once: a packet.
const LEAST_BURST: u64 = 1_400;
/// A piece takes at most so long at the rate that IT allows.
const PIECE_OF_LIMIT: u64 = 50; // parts of a second

/// The slowest that the link is taken for while tickets are sent.
const SLOWEST_CONTROL: u64 = 8 * 1024;
/// What a new connection sends without waiting for an answer.
const AT_ONCE_BYTES: usize = 14 * 1024;

/// One per agent: all bulk connections share it.
#[derive(Debug)]
pub struct Gate {
    started: Instant,
    turn: tokio::sync::Mutex<()>,
    changed: Notify,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    limit: Option<Bucket>,
    pace: Bucket,
    yielding: Yielding,
    pause: Pause,
    sent: u64,
}

/// While it lives, the control lane has something under way.
#[derive(Debug)]
pub struct ControlTurn(Arc<Gate>);

impl Drop for ControlTurn {
    fn drop(&mut self) {
        let now = self.0.now();
        self.0.state().pause.end(now);
        self.0.changed.notify_waiters();
    }
}

impl Default for Gate {
    fn default() -> Self {
        let now = Duration::ZERO;
        let yielding = Yielding::new(now);
        Self {
            started: Instant::now(),
            turn: tokio::sync::Mutex::new(()),
            changed: Notify::new(),
            state: Mutex::new(State {
                limit: None,
                pace: Bucket::new(now, yielding.rate(), PACE_BURST, LEAST_BURST),
                yielding,
                pause: Pause::new(now),
                sent: 0,
            }),
        }
    }
}

impl Gate {
    /// A gate whose own pace does not hinder.
    #[cfg(test)]
    pub(crate) fn unpaced() -> Self {
        let gate = Self::default();
        gate.state().pace = Bucket::new(Duration::ZERO, 1 << 40, PACE_BURST, LEAST_BURST);
        gate
    }

    /// Waits until a piece may go, and gives its length: at least a byte and at most `most`.
    pub async fn pass(&self, most: usize) -> usize {
        let _turn = self.turn.lock().await;
        loop {
            // Asked for before looking, so that no change between the two is missed.
            let changed = self.changed.notified();
            let wait = {
                let mut state = self.state();
                let now = self.now();
                let wait = state.wait(now);
                if wait.is_zero() {
                    return state.take(now, most);
                }
                wait
            };
            let _ = tokio::time::timeout(wait, changed).await;
        }
    }

    /// Something went without passing: requests' heads and announcements. It is made up for.
    pub fn charge(&self, bytes: usize) {
        let now = self.now();
        self.state().account(now, bytes as u64);
    }

    /// The rate that IT allows, in bytes per second; takes effect at once.
    pub fn set_limit(&self, limit: Option<u64>) {
        let now = self.now();
        let mut state = self.state();
        match (&mut state.limit, limit) {
            (Some(bucket), Some(rate)) => bucket.set_rate(now, rate),
            (current, limit) => {
                *current = limit.map(|rate| Bucket::new(now, rate, LIMIT_BURST, LEAST_BURST));
            }
        }
        drop(state);
        self.changed.notify_waiters();
    }

    /// The rate that IT allows now.
    pub fn limit(&self) -> Option<u64> {
        self.state().limit.as_ref().map(Bucket::rate)
    }

    /// The control lane has so many bytes under way until the turn is dropped. Bulk stands back while
    /// they are being sent, at the rate at which the link carried bulk; for a few packets hardly at all,
    /// because the queue that they meet is short already.
    pub fn control_turn(self: &Arc<Self>, bytes: usize) -> ControlTurn {
        let now = self.now();
        let mut state = self.state();
        let rate = state.yielding.taken(now).max(SLOWEST_CONTROL);
        let sending = Duration::from_micros(bytes as u64 * 2_000_000 / rate);
        let warming_up = match state.yielding.base() {
            // More than goes at once needs several round trips to find its speed.
            Some(distance) if bytes > AT_ONCE_BYTES => distance * 2,
            _ => Duration::ZERO,
        };
        state.pause.begin(now, sending + warming_up);
        drop(state);
        ControlTurn(self.clone())
    }

    /// Bytes that went on the link for bulk, heads and announcements included.
    pub fn sent(&self) -> u64 {
        self.state().sent
    }

    /// Bytes per second that went lately.
    pub fn going(&self) -> u64 {
        let now = self.now();
        self.state().yielding.taken(now)
    }

    /// The least round trip of the last minutes, if one was measured.
    pub fn distance(&self) -> Option<Duration> {
        self.state().yielding.base()
    }

    /// The link is back after it was away.
    pub fn resumed(&self) {
        let now = self.now();
        let mut state = self.state();
        state.yielding.resumed();
        state.adopt_rate(now);
        drop(state);
        self.changed.notify_waiters();
    }

    /// What a probe found; see [`Yielding`].
    pub(super) fn probed(&self, found: Probed) {
        let now = self.now();
        let mut state = self.state();
        match found {
            Probed::Answered(round_trip) => state.yielding.probed(now, round_trip),
            Probed::Late(round_trip) => state.yielding.answered_late(now, round_trip),
            Probed::Overdue(waited) => state.yielding.overdue(now, waited),
        }
        state.adopt_rate(now);
        tracing::trace!(
            ?found,
            rate = state.yielding.rate(),
            taken = state.yielding.taken(now),
            base = ?state.yielding.base(),
            "probed"
        );
        drop(state);
        self.changed.notify_waiters();
    }

    /// When the next probe goes after the last, and when one counts as late.
    pub(super) fn probe_times(&self) -> (Duration, Duration) {
        let now = self.now();
        let mut state = self.state();
        (
            state.yielding.probe_after(now),
            state.yielding.overdue_after(),
        )
    }

    fn now(&self) -> Duration {
        self.started.elapsed()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Each change of it is whole, whatever panicked beside it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What came of a probe.
#[derive(Debug, Clone, Copy)]
pub(super) enum Probed {
    /// Answered in time.
    Answered(Duration),
    /// Not answered so far.
    Overdue(Duration),
    /// Answered after it counted as overdue.
    Late(Duration),
}

impl State {
    fn wait(&mut self, now: Duration) -> Duration {
        let paused = self.pause.wait(now);
        let limited = self
            .limit
            .as_mut()
            .map_or(Duration::ZERO, |limit| limit.wait(now));
        paused.max(limited).max(self.pace.wait(now))
    }

    fn take(&mut self, now: Duration, most: usize) -> usize {
        let mut piece = self.yielding.piece();
        if let Some(limit) = &self.limit {
            let moment = (limit.rate() / PIECE_OF_LIMIT).max(LEAST_BURST);
            piece = piece.min(usize::try_from(moment).unwrap_or(piece));
        }
        let piece = piece.min(most).max(1);
        self.account(now, piece as u64);
        piece
    }

    fn account(&mut self, now: Duration, bytes: u64) {
        if let Some(limit) = &mut self.limit {
            limit.take(now, bytes);
        }
        self.pace.take(now, bytes);
        self.yielding.took(now, bytes);
        self.sent = self.sent.saturating_add(bytes);
    }

    fn adopt_rate(&mut self, now: Duration) {
        let rate = self.yielding.rate();
        if rate != self.pace.rate() {
            self.pace.set_rate(now, rate);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Passes pieces for so long; bytes that went.
    async fn run(gate: &Gate, time: Duration) -> u64 {
        let (before, end) = (gate.sent(), Instant::now() + time);
        while Instant::now() < end {
            gate.pass(16 * 1024).await;
        }
        gate.sent() - before
    }

    #[tokio::test(start_paused = true)]
    async fn the_rate_over_ten_seconds_is_within_five_percent_and_changes_live() {
        let gate = Gate::unpaced();
        let ten = Duration::from_secs(10);
        for rate in [32_000, 250_000, 1_250_000] {
            gate.set_limit(Some(rate));
            let went = run(&gate, ten).await;
            assert!(went.abs_diff(rate * 10) * 20 <= rate * 10, "{rate}: {went}");
        }
        gate.set_limit(None);
        assert_eq!(gate.limit(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_limit_that_is_lifted_frees_who_waits() {
        let gate = Arc::new(Gate::unpaced());
        gate.set_limit(Some(1_000));
        gate.charge(10_000_000);
        let waiting = gate.pass(1);
        tokio::pin!(waiting);
        assert!(
            tokio::time::timeout(Duration::from_secs(5), &mut waiting)
                .await
                .is_err()
        );
        gate.set_limit(None);
        assert_eq!(waiting.await, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn bulk_stands_back_for_tickets_and_does_not_starve() {
        let gate = Arc::new(Gate::unpaced());
        gate.set_limit(Some(1_000_000));
        gate.pass(1_000).await;
        let turn = gate.control_turn(1_000_000_000);
        let stood_back = tokio::time::timeout(Duration::from_millis(900), gate.pass(1_000)).await;
        assert!(stood_back.is_err());
        drop(turn);
        let goes_on = tokio::time::timeout(Duration::from_millis(50), gate.pass(1_000)).await;
        assert!(goes_on.is_ok());
        let _turn = gate.control_turn(1_000_000_000);
        let went = run(&gate, Duration::from_secs(20)).await;
        assert!(went > 8_000_000, "{went}");
    }
}
