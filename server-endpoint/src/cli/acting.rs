//! Who sits at the command line, for the trail.

use rustix::process::getuid;

use crate::ledger::{Actor, Deed, now};

/// Bytes of the list of users that are looked at.
const USERS_BYTES: usize = 1024 * 1024;

/// What somebody does here and now.
pub(super) fn deed(action: &'static str, subject: impl Into<String>, detail: String) -> Deed {
    Deed {
        actor: Actor::CommandLine(user()),
        action,
        subject: subject.into(),
        detail,
        address: None,
        at: now(),
    }
}

/// The user's name. Behind sudo it is the one who called it; only root can have been called so, as
/// anybody may put names into the environment.
pub(super) fn user() -> String {
    let uid = getuid();
    if uid.is_root()
        && let Ok(caller) = std::env::var("SUDO_USER")
        && !caller.is_empty()
    {
        return caller;
    }
    named(uid.as_raw()).unwrap_or_else(|| format!("uid {}", uid.as_raw()))
}

fn named(uid: u32) -> Option<String> {
    let users = std::fs::read("/etc/passwd").ok()?;
    let users = String::from_utf8_lossy(users.get(..USERS_BYTES).unwrap_or(&users)).into_owned();
    users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(uid)).then(|| name.to_owned())
    })
}
