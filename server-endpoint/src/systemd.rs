//! What runs the server as a service: systemd. It is told when agents are answered and when the server
//! ends, and is kept from restarting it as long as its runtime turns. Without systemd none of this does
//! anything.

use sd_notify::NotifyState;

/// Agents may connect now.
pub(crate) fn tell_ready() {
    tell(NotifyState::Ready);
}

/// The server is ending: requests under way are finished.
pub(crate) fn tell_stopping() {
    tell(NotifyState::Stopping);
}

/// Tells systemd that the server lives, twice in the time after which it would restart it. Never ends;
/// what is told says only that tasks get their turn: a ledger, disk or scanner that is away is no reason
/// to restart (P10).
pub(crate) async fn show_life() {
    let Some(within) = sd_notify::watchdog_enabled() else {
        return std::future::pending().await;
    };
    let mut ticks = tokio::time::interval(within / 2);
    loop {
        ticks.tick().await;
        tell(NotifyState::Watchdog);
    }
}

fn tell(what: NotifyState<'_>) {
    if let Err(fault) = sd_notify::notify(&[what]) {
        tracing::warn!(%fault, "tell systemd");
    }
}
