//! Decides when a dropped file is complete: pure, with the clock as an argument.
//!
//! On the data's way: **intake** → chunker → store. A program that copies a file into a drop folder
//! seldom says when it is done. What can be seen is: size, times and identity that stand still, that
//! nobody has the file open for writing (where the system can tell), and a rename into place, which
//! programs that know better use to say "complete". Taking too early would send half a file; so a
//! wrong guess is made on the side of waiting, and reading checks once more that nothing moved.

use std::time::Duration;

use crate::platform::FilePrint;

/// Longest time between two questions whether a file is still open for writing.
const WRITER_ASKED_EVERY: Duration = Duration::from_secs(60);

/// A moment on a clock that never goes back: the time since some start.
pub(super) type Moment = Duration;

/// Whether anybody has a file open for writing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Writer {
    /// Somebody has.
    Open,
    /// Nobody has, or nobody that this system lets the agent see.
    NoneSeen,
}

/// What to do with a file now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Decision {
    /// Look again then, or earlier if something happens to it.
    WaitUntil(Moment),
    /// Still for long enough, or moved into place: ask whether anybody writes to it, then
    /// [`Settling::asked`].
    AskForWriters,
    /// Take it.
    Take,
}

/// One file on its way to being complete.
#[derive(Debug, Clone)]
pub(super) struct Settling {
    settle: Duration,
    print: FilePrint,
    still_since: Moment,
    complete: bool,
    writers_met: u32,
}

impl Settling {
    /// A file seen for the first time. `moved_in`: it came by a rename, so it was complete before.
    pub(super) fn first(now: Moment, settle: Duration, print: FilePrint, moved_in: bool) -> Self {
        Self {
            settle,
            print,
            still_since: now,
            complete: moved_in,
            writers_met: 0,
        }
    }

    /// The file as it is now. A change of anything starts the time anew, and takes back that it was
    /// moved into place, unless it was moved into place again.
    pub(super) fn seen(&mut self, now: Moment, print: FilePrint, moved_in: bool) -> Decision {
        if print != self.print {
            *self = Self::first(now, self.settle, print, moved_in);
        }
        self.complete |= moved_in;
        self.decide(now)
    }

    fn decide(&self, now: Moment) -> Decision {
        let settled_at = self.still_since.saturating_add(self.settle);
        if self.complete || now >= settled_at {
            Decision::AskForWriters
        } else {
            Decision::WaitUntil(settled_at)
        }
    }

    /// The answer to [`Decision::AskForWriters`], from after the last [`Settling::seen`].
    pub(super) fn asked(&mut self, now: Moment, writer: Writer) -> Decision {
        match (self.decide(now), writer) {
            (Decision::AskForWriters, Writer::NoneSeen) => Decision::Take,
            (Decision::AskForWriters, Writer::Open) => {
                self.writers_met = self.writers_met.saturating_add(1);
                let doubled = self.settle.saturating_mul(1 << self.writers_met.min(6));
                let wait = doubled.min(WRITER_ASKED_EVERY.max(self.settle));
                Decision::WaitUntil(now.saturating_add(wait))
            }
            (wait, _) => wait,
        }
    }

    /// It changed while it was read, or cannot be read yet: whatever it was, it is not complete now.
    pub(super) fn start_again(&mut self, now: Moment, print: FilePrint) {
        *self = Self::first(now, self.settle, print, false);
    }

    /// The file as it was seen last.
    pub(super) fn print(&self) -> FilePrint {
        self.print
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What happens to a file, and when.
    struct History {
        /// The file's true changes; the last may be a rename into place.
        changes: Vec<(Moment, FilePrint)>,
        /// When somebody has it open for writing.
        writing: Vec<(Moment, Moment)>,
        moved_in: Option<Moment>,
        settle: Duration,
        /// How coarse the file system's times are.
        grain: Duration,
    }

    fn millis(rng: &mut fastrand::Rng, most: u64) -> Duration {
        Duration::from_millis(rng.u64(0..=most))
    }

    fn print(size: u64, modified: Moment, identity: u8) -> FilePrint {
        let modified = i64::try_from(modified.as_nanos()).unwrap();
        FilePrint {
            identity: [identity; 16],
            size,
            modified,
            changed: modified,
        }
    }

    impl History {
        fn random(rng: &mut fastrand::Rng) -> Self {
            let settle = Duration::from_secs(rng.u64(1..=8));
            let grain = Duration::from_millis([1, 100, 900][rng.usize(0..3)]);
            let tick = |at: Moment| {
                let grain = grain.as_millis();
                Duration::from_millis(u64::try_from(at.as_millis() / grain * grain).unwrap())
            };
            let mut at = Duration::ZERO;
            let mut now = print(0, at, 1);
            let mut changes = vec![(at, now)];
            for _ in 0..rng.usize(0..12) {
                at += millis(rng, 2 * 8_000);
                now = match rng.u8(0..4) {
                    // Appended, rewritten in the same size, replaced, or its time put back.
                    0 => print(now.size + rng.u64(1..9_999), tick(at), now.identity[0]),
                    1 => print(now.size, tick(at), now.identity[0]),
                    2 => print(rng.u64(0..99), tick(at), now.identity[0].wrapping_add(1)),
                    _ => FilePrint {
                        changed: print(0, tick(at), 0).changed,
                        ..now
                    },
                };
                changes.push((at, now));
            }
            let mut writing = Vec::new();
            for _ in 0..rng.usize(0..3) {
                let from = millis(rng, 60_000);
                writing.push((from, from + millis(rng, 90_000)));
            }
            let moved_in = rng.bool().then(|| {
                at += millis(rng, 9_000);
                changes.push((at, print(rng.u64(0..99), tick(at), 200)));
                at
            });
            Self {
                changes,
                writing,
                moved_in,
                settle,
                grain,
            }
        }

        fn at(&self, now: Moment) -> FilePrint {
            let (_, print) = self.changes.iter().rfind(|(at, _)| *at <= now).unwrap();
            *print
        }

        fn last_change(&self, now: Moment) -> Moment {
            self.changes.iter().rfind(|(at, _)| *at <= now).unwrap().0
        }

        fn writer(&self, now: Moment) -> Writer {
            let open = |(from, to): &(Moment, Moment)| (*from..*to).contains(&now);
            if self.writing.iter().any(open) {
                Writer::Open
            } else {
                Writer::NoneSeen
            }
        }

        fn quiet_from(&self) -> Moment {
            let changed = self.changes.last().unwrap().0;
            let closed = self.writing.iter().map(|(_, to)| *to).max();
            changed.max(closed.unwrap_or_default())
        }
    }

    /// Looks at the file as the drop folder does: when it was told to, and now and then in between.
    /// Gives when it was taken. `tells_writers`: whether this system can say who writes.
    fn watch(history: &History, tells_writers: bool, rng: &mut fastrand::Rng) -> Moment {
        let mut now = millis(rng, 3_000);
        let mut told = false;
        let mut is_moved_in = |now: Moment| {
            let moved = !told && history.moved_in.is_some_and(|at| at <= now);
            told |= moved;
            moved
        };
        let mut settling = Settling::first(now, history.settle, history.at(now), is_moved_in(now));
        loop {
            let seen = settling.seen(now, history.at(now), is_moved_in(now));
            let decision = match seen {
                Decision::AskForWriters if tells_writers => {
                    settling.asked(now, history.writer(now))
                }
                Decision::AskForWriters => settling.asked(now, Writer::NoneSeen),
                wait => wait,
            };
            match decision {
                Decision::Take => return now,
                Decision::WaitUntil(until) => {
                    assert!(until > now, "waits for a moment that has passed");
                    let early = now + millis(rng, 4_000);
                    now = if rng.bool() { until } else { until.min(early) };
                }
                Decision::AskForWriters => panic!("asked twice"),
            }
        }
    }

    #[test]
    fn nothing_is_taken_while_it_changes_and_everything_is_once_it_is_still() {
        let seed = fastrand::u64(..);
        println!("seed {seed}");
        let mut rng = fastrand::Rng::with_seed(seed);
        for round in 0..20_000 {
            let history = History::random(&mut rng);
            let tells_writers = rng.bool();
            let taken = watch(&history, tells_writers, &mut rng);
            let still_for = taken.saturating_sub(history.last_change(taken));
            let was_moved_in = history
                .moved_in
                .is_some_and(|at| at <= taken && history.last_change(taken) == at);
            assert!(
                was_moved_in || still_for + history.grain >= history.settle,
                "round {round}: taken {still_for:?} after a change"
            );
            assert!(
                !tells_writers || history.writer(taken) == Writer::NoneSeen,
                "round {round}: taken from under its writer"
            );
            let longest = history.settle + WRITER_ASKED_EVERY + Duration::from_secs(4);
            assert!(
                taken <= history.quiet_from() + longest,
                "round {round}: taken only at {taken:?}"
            );
        }
    }

    #[test]
    fn a_file_moved_into_place_is_taken_at_once_unless_it_then_changes() {
        let settle = Duration::from_secs(5);
        let at = Duration::from_secs;
        let whole = print(9, at(1), 1);
        let mut moved = Settling::first(at(1), settle, whole, true);
        assert_eq!(moved.seen(at(1), whole, false), Decision::AskForWriters);
        assert_eq!(moved.asked(at(1), Writer::NoneSeen), Decision::Take);

        // Somebody still writes to what was moved: settled or not, it waits for them.
        assert_eq!(
            moved.asked(at(1), Writer::Open),
            Decision::WaitUntil(at(1) + 2 * settle)
        );
        let more = print(10, at(2), 1);
        assert_eq!(
            moved.seen(at(2), more, false),
            Decision::WaitUntil(at(2) + settle)
        );
        moved.start_again(at(3), more);
        assert_eq!(
            moved.seen(at(3), more, false),
            Decision::WaitUntil(at(3) + settle)
        );
    }
}
