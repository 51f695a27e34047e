//! What people wait for goes before files' bytes on the disk (P7).
//!
//! On the data's way: beside the store. A sync waits for whatever the disk was given before it, so files that
//! pour in hold a filing up by what one of their commits takes. While people file, those commits are small
//! and apart from one another; when nobody does, nothing is slower.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

/// How long after a filing the next one is expected.
const EXPECTED_WITHIN: Duration = Duration::from_millis(200);
/// How long bytes wait for filings that are under way: beside a crowd they are slow and not dead.
const YIELD: Duration = Duration::from_millis(50);
/// While people file, the disk has this many times as long a rest as a commit of bytes took.
const RESTS: u32 = 4;
/// The longest rest.
const LONGEST_REST: Duration = Duration::from_millis(100);

/// Filings under way, and when the last one was.
#[derive(Debug, Default)]
pub(super) struct Filings {
    seen: Mutex<Seen>,
    none_under_way: Notify,
}

#[derive(Debug, Default)]
struct Seen {
    under_way: u32,
    last: Option<Instant>,
}

/// A filing under way; over when dropped.
#[derive(Debug)]
pub(super) struct FilingUnderWay<'a>(&'a Filings);

impl Filings {
    /// Somebody files.
    pub(super) fn begin(&self) -> FilingUnderWay<'_> {
        self.lock().under_way += 1;
        FilingUnderWay(self)
    }

    /// Whether somebody files, or did a moment ago and may again.
    pub(super) fn are_expected(&self) -> bool {
        let seen = self.lock();
        let recent = seen
            .last
            .is_some_and(|last| last.elapsed() < EXPECTED_WITHIN);
        seen.under_way > 0 || recent
    }

    /// Waits until no filing is under way, but not for ever.
    pub(super) async fn go_first(&self) {
        let gone = async {
            loop {
                let told = self.none_under_way.notified();
                if self.lock().under_way == 0 {
                    return;
                }
                told.await;
            }
        };
        let _ = tokio::time::timeout(YIELD, gone).await;
    }

    /// Leaves the disk to people after a commit of bytes that took so long, where they are expected.
    pub(super) async fn rest_after(&self, commit: Duration) {
        if self.are_expected() {
            tokio::time::sleep((commit * RESTS).min(LONGEST_REST)).await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Seen> {
        // Nothing in here can panic half-way.
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for FilingUnderWay<'_> {
    fn drop(&mut self) {
        let mut seen = self.0.lock();
        seen.under_way = seen.under_way.saturating_sub(1);
        seen.last = Some(Instant::now());
        let is_last = seen.under_way == 0;
        drop(seen);
        if is_last {
            self.0.none_under_way.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn p7_bytes_wait_for_a_filing_and_never_for_ever() {
        let filings = Filings::default();
        assert!(!filings.are_expected());
        let before = tokio::time::Instant::now();
        filings.go_first().await;
        filings.rest_after(Duration::from_millis(10)).await;
        assert_eq!(before.elapsed(), Duration::ZERO, "nobody files");

        let filing = filings.begin();
        assert!(filings.are_expected());
        filings.go_first().await;
        assert_eq!(before.elapsed(), YIELD, "a crowd does not stop files");
        {
            let waiting = std::pin::pin!(filings.go_first());
            let ended = async { drop(filing) };
            tokio::join!(waiting, ended);
        }
        assert_eq!(
            before.elapsed(),
            YIELD,
            "goes on as soon as the filing ended"
        );
        assert!(filings.are_expected(), "the next one may come");
        filings.rest_after(Duration::from_millis(10)).await;
        assert_eq!(before.elapsed(), YIELD + Duration::from_millis(40));
    }
}
