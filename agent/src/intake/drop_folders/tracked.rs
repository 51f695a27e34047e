//! What a rule knows of one file that is not filed yet. Pure, with the clock as an argument.

use std::time::Duration;

use branchline_protocol::file::FileFault;
use branchline_protocol::time::UnixMillis;

use crate::platform::FilePrint;

use super::super::settle::{Decision, Moment, Settling};

/// How often a file may change while it is read before that is said.
const READS_BEFORE_TROUBLE: u32 = 3;
/// First and longest time before a file that could not be taken is tried again.
const FIRST_BACKOFF: Duration = Duration::from_secs(2);
const LONGEST_BACKOFF: Duration = Duration::from_secs(600);
/// Longest where it is room that is missing, which comes back when other files have arrived.
const LONGEST_FOR_ROOM: Duration = Duration::from_secs(60);

/// Where a file stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// It is looked at again then.
    Settling(Moment),
    /// It is complete and waits for its burst to end or for its turn.
    Ready,
    /// It is being read.
    Taking,
}

/// Why a file could not be taken when it was tried last.
#[derive(Debug, Clone)]
pub(super) struct Trouble {
    pub(super) fault: FileFault,
    pub(super) words: String,
    pub(super) since: UnixMillis,
}

/// One file.
#[derive(Debug, Clone)]
pub(super) struct Tracked {
    pub(super) settling: Settling,
    pub(super) stage: Stage,
    pub(super) trouble: Option<Trouble>,
    failures: u32,
    changes: u32,
    not_before: Moment,
}

impl Tracked {
    /// A file seen for the first time; it is looked at again at once.
    pub(super) fn new(now: Moment, settle: Duration, print: FilePrint, moved_in: bool) -> Self {
        Self {
            settling: Settling::first(now, settle, print, moved_in),
            stage: Stage::Settling(now),
            trouble: None,
            failures: 0,
            changes: 0,
            not_before: Moment::ZERO,
        }
    }

    /// When it must be looked at, if only time is waited for.
    pub(super) fn due(&self) -> Option<Moment> {
        match self.stage {
            Stage::Settling(at) => Some(at),
            Stage::Ready | Stage::Taking => None,
        }
    }

    /// The file as it is now. Answers whether it is time to ask who writes to it.
    pub(super) fn seen(&mut self, now: Moment, print: FilePrint, moved_in: bool) -> bool {
        if self.stage == Stage::Taking {
            // Reading compares for itself.
            return false;
        }
        let unchanged = print == self.settling.print();
        let decision = self.settling.seen(now, print, moved_in);
        if self.stage == Stage::Ready && unchanged {
            return false;
        }
        // What was in its way may have gone with the change.
        if !unchanged {
            self.not_before = Moment::ZERO;
        }
        match decision {
            Decision::WaitUntil(until) => {
                self.stage = Stage::Settling(until);
                false
            }
            Decision::AskForWriters | Decision::Take if now < self.not_before => {
                self.stage = Stage::Settling(self.not_before);
                false
            }
            Decision::AskForWriters | Decision::Take => {
                self.stage = Stage::Settling(now);
                true
            }
        }
    }

    /// Something was heard of a file that could not be taken: perhaps whoever held it let go.
    pub(super) fn heard(&mut self, now: Moment) {
        if self.trouble.is_some() {
            self.not_before = self.not_before.min(now.saturating_add(FIRST_BACKOFF));
        }
    }

    /// It changed while it was read.
    pub(super) fn changed(&mut self, now: Moment, print: FilePrint, at: UnixMillis) {
        self.settling.start_again(now, print);
        self.stage = Stage::Settling(now);
        self.changes = self.changes.saturating_add(1);
        if self.changes >= READS_BEFORE_TROUBLE {
            let words = format!("it changed while it was read, {} times", self.changes);
            self.failed(now, FileFault::Unstable, words, at);
        }
    }

    /// It could not be taken; later again, never given up.
    pub(super) fn failed(&mut self, now: Moment, fault: FileFault, words: String, at: UnixMillis) {
        let longest = match fault {
            FileFault::BranchQuota | FileFault::BranchDisk => LONGEST_FOR_ROOM,
            _ => LONGEST_BACKOFF,
        };
        let wait = FIRST_BACKOFF.saturating_mul(1 << self.failures.min(12));
        self.failures = self.failures.saturating_add(1);
        self.not_before = now.saturating_add(wait.min(longest));
        self.stage = Stage::Settling(self.not_before);
        let since = self.trouble.as_ref().map_or(at, |before| before.since);
        self.trouble = Some(Trouble {
            fault,
            words,
            since,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn print(n: i64) -> FilePrint {
        FilePrint {
            identity: [0; 16],
            size: 1,
            modified: n,
            changed: n,
        }
    }

    fn at(seconds: u64) -> Moment {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_file_that_cannot_be_taken_is_tried_for_ever_ever_less_often() {
        let mut file = Tracked::new(at(0), at(1), print(0), true);
        let mut now = at(0);
        for round in 0..20_u32 {
            assert!(file.seen(now, print(0), false), "round {round}");
            file.failed(
                now,
                FileFault::Unreadable,
                "locked".into(),
                UnixMillis(i64::from(round)),
            );
            let next = file.due().unwrap();
            let expected = (2_u64 << round).min(600);
            assert_eq!(next, now + at(expected), "round {round}");
            assert!(!file.seen(next.saturating_sub(at(1)), print(0), false));
            now = next;
        }
        assert_eq!(file.trouble.as_ref().unwrap().since, UnixMillis(0));
        // Whoever held it let go: soon again, but no faster than at first.
        assert!(file.seen(now, print(0), false));
        file.failed(now, FileFault::Unreadable, "locked".into(), UnixMillis(9));
        file.heard(now + at(1));
        assert!(!file.seen(now + at(2), print(0), false));
        assert!(file.seen(now + at(3), print(0), false));
        // It changed: only settling is waited for.
        file.failed(now, FileFault::Unreadable, "locked".into(), UnixMillis(9));
        assert!(!file.seen(now + at(4), print(1), false));
        assert!(file.seen(now + at(5), print(1), false));
    }

    #[test]
    fn what_changes_in_a_burst_or_while_it_is_read_settles_again() {
        let mut file = Tracked::new(at(0), at(5), print(0), true);
        assert!(file.seen(at(0), print(0), false));
        file.stage = Stage::Ready;
        assert!(!file.seen(at(1), print(0), false));
        assert_eq!(file.stage, Stage::Ready);
        assert!(!file.seen(at(2), print(1), false));
        assert_eq!(file.stage, Stage::Settling(at(7)));
        for (round, n) in [(1, 2), (2, 3), (3, 4)] {
            file.stage = Stage::Taking;
            assert!(!file.seen(at(8), print(n), false));
            file.changed(at(8), print(n), UnixMillis(0));
            assert_eq!(file.trouble.is_some(), round == 3, "round {round}");
        }
        assert_eq!(file.trouble.unwrap().fault, FileFault::Unstable);
    }
}
