//! What runs the agent as a service: systemd. It is told when the agent answers and when it ends, and is
//! kept from restarting it as long as it lives. Without systemd none of this does anything.

use std::io;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::time::Duration;

use listenfd::ListenFd;
use sd_notify::NotifyState;

/// Employees' programs may connect now.
pub fn tell_ready() {
    tell(&[NotifyState::Ready]);
}

/// The agent is ending.
pub fn tell_stopping() {
    tell(&[NotifyState::Stopping]);
}

/// The agent answers.
pub fn tell_alive() {
    tell(&[NotifyState::Watchdog]);
}

/// How often [`tell_alive`] is expected; `None` where nobody does.
pub fn alive_every() -> Option<Duration> {
    // Twice in the time after which systemd would restart the agent.
    sd_notify::watchdog_enabled().map(|within| within / 2)
}

/// The package's unit says what is started, and nothing here changes it.
pub fn revise_command(_revise: impl FnOnce(&str) -> Option<String>) -> io::Result<()> {
    Ok(())
}

fn tell(what: &[NotifyState<'_>]) {
    if let Err(fault) = sd_notify::notify(what) {
        tracing::warn!(%fault, "tell systemd");
    }
}

/// The local API's socket where systemd holds it, so that who calls while the agent restarts waits
/// instead of being turned away. It has to be the one of the settings: the commands find it there.
pub(super) fn inherited(path: &Path) -> io::Result<Option<UnixListener>> {
    let Some(listener) = ListenFd::from_env().take_unix_listener(0)? else {
        return Ok(None);
    };
    let address = listener.local_addr()?;
    if address.as_pathname() == Some(path) {
        return Ok(Some(listener));
    }
    let given = address
        .as_pathname()
        .unwrap_or(Path::new("a socket without a name"));
    Err(io::Error::new(
        io::ErrorKind::InvalidInput,
        format!(
            "systemd gives {}, where the settings say socket = \"{}\"; change ListenStream of \
             branchline-agent.socket, or socket",
            given.display(),
            path.display()
        ),
    ))
}
