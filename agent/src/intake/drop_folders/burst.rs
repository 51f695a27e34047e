//! Which files share a ticket: those that become complete close together. Pure, with the clock as an
//! argument.

use std::ffi::OsString;
use std::time::Duration;

use super::super::settle::Moment;

/// Files of one ticket.
pub(super) const MOST_FILES: usize = 100;
/// How long the first file of a burst may wait for others.
const LONGEST: Duration = Duration::from_secs(60);

/// Files that will share the next ticket.
#[derive(Debug)]
pub(super) struct Burst {
    quiet: Duration,
    files: Vec<OsString>,
    first: Moment,
    last: Moment,
}

impl Burst {
    /// None yet. A burst ends when nothing came for twice the time that a file takes to settle.
    pub(super) fn new(settle: Duration) -> Self {
        Self {
            quiet: settle.saturating_mul(2),
            files: Vec::new(),
            first: Moment::ZERO,
            last: Moment::ZERO,
        }
    }

    /// A file is complete. Answers whether there was room for it; where there was not, this burst is
    /// due.
    pub(super) fn add(&mut self, now: Moment, name: OsString) -> bool {
        if self.files.len() >= MOST_FILES {
            return false;
        }
        if self.files.is_empty() {
            self.first = now;
        }
        self.last = now;
        self.files.push(name);
        true
    }

    /// A file changed or went away before its burst ended.
    pub(super) fn remove(&mut self, name: &std::ffi::OsStr) {
        self.files.retain(|file| file != name);
    }

    /// When it ends, if nothing comes any more.
    pub(super) fn ends_at(&self) -> Option<Moment> {
        if self.files.is_empty() {
            return None;
        }
        if self.files.len() >= MOST_FILES {
            return Some(self.last);
        }
        let quiet = self.last.saturating_add(self.quiet);
        Some(quiet.min(self.first.saturating_add(LONGEST.max(self.quiet))))
    }

    /// Its files, if it has ended.
    pub(super) fn take(&mut self, now: Moment) -> Option<Vec<OsString>> {
        self.ends_at().filter(|end| now >= *end)?;
        Some(std::mem::take(&mut self.files))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTLE: Duration = Duration::from_secs(5);

    fn at(seconds: u64) -> Moment {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_burst_ends_when_nothing_comes_any_more() {
        let mut burst = Burst::new(SETTLE);
        assert_eq!(burst.ends_at(), None);
        for second in [1, 4, 12] {
            assert!(burst.add(at(second), format!("{second}").into()));
            assert_eq!(burst.take(at(second)), None);
        }
        burst.remove("4".as_ref());
        assert_eq!(burst.take(at(21)), None);
        assert_eq!(burst.take(at(22)).unwrap(), ["1", "12"]);
        assert_eq!(burst.ends_at(), None);
    }

    #[test]
    fn a_burst_is_bounded_in_time_and_count() {
        let seed = fastrand::u64(..);
        println!("seed {seed}");
        let mut rng = fastrand::Rng::with_seed(seed);
        for _ in 0..500 {
            let mut burst = Burst::new(SETTLE);
            let (mut now, mut first) = (at(0), None);
            let mut added = 0;
            for name in 0..1_000_u32 {
                now += Duration::from_millis(rng.u64(0..9_000));
                if let Some(files) = burst.take(now) {
                    assert!((1..=MOST_FILES).contains(&files.len()));
                    assert_eq!(files.len(), added);
                    (first, added) = (None, 0);
                }
                assert!(burst.add(now, name.to_string().into()), "was taken if full");
                added += 1;
                let first = *first.get_or_insert(now);
                assert!(burst.ends_at().unwrap() <= first + LONGEST);
            }
        }
    }
}
