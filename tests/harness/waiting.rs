//! Waiting on conditions, never on time.

use std::time::{Duration, Instant};

/// How long anything may take before a test gives up; far beyond what it should take, because
/// machines are shared.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// The same for what becomes of files, which are carried, verified and scanned one after another.
pub const FILE_PATIENCE: Duration = Duration::from_secs(240);

/// Waits until `condition` gives something. Panics with `what` when it takes too long.
pub fn wait_for<T>(what: &str, condition: impl FnMut() -> Option<T>) -> T {
    wait_within(PATIENCE, what, condition)
}

/// The same with another patience.
pub fn wait_within<T>(
    patience: Duration,
    what: &str,
    mut condition: impl FnMut() -> Option<T>,
) -> T {
    let started = Instant::now();
    let mut pause = Duration::from_millis(1);
    loop {
        if let Some(found) = condition() {
            return found;
        }
        assert!(
            started.elapsed() < patience,
            "waited {patience:?} for {what}"
        );
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(50));
    }
}

/// The same for conditions that ask over the network.
pub async fn wait_until<T, F>(what: &str, mut condition: impl FnMut() -> F) -> T
where
    F: Future<Output = Option<T>>,
{
    let started = Instant::now();
    let mut pause = Duration::from_millis(1);
    loop {
        if let Some(found) = condition().await {
            return found;
        }
        assert!(
            started.elapsed() < PATIENCE,
            "waited {PATIENCE:?} for {what}"
        );
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_millis(50));
    }
}
