//! Keeps what serves fresh: renews the server's own certificate at two thirds of its life, and takes up
//! what was changed in the folder (by a rollover's command) or in a given certificate's files.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use branchline_protocol::time::UnixMillis;
use tokio_util::sync::CancellationToken;

use super::loaded::Stamp;
use super::standing::Standing;
use super::{Authority, AuthorityError, folder, init};
use crate::ledger::now;

/// How often the files are looked at: a few calls of `stat`, and a person who switched waits for it.
const EVERY: Duration = Duration::from_secs(2);

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tended {
    /// Nothing was due.
    Nothing,
    /// Files had changed, and hold now.
    Reloaded,
    /// The server's certificate was renewed, and holds now.
    Renewed,
}

impl Authority {
    /// Does what is due, once. Where that fails, what held before goes on.
    pub fn tend(&self, now: UnixMillis) -> Result<Tended, AuthorityError> {
        let mut done = Tended::Nothing;
        if Stamp::of(&self.folder, &self.tls) != self.live.now().stamp {
            self.reload()?;
            done = Tended::Reloaded;
        }
        if self.tls.certificate.is_none() && is_due(self.live.now().server_validity, now) {
            renew(&self.folder, now)?;
            self.reload()?;
            done = Tended::Renewed;
        }
        Ok(done)
    }

    /// Tends until the server stops. A failure is logged when it begins and when it changes.
    pub async fn tend_until(self: Arc<Self>, stopping: CancellationToken) {
        let mut failing = None;
        loop {
            tokio::select! {
                () = stopping.cancelled() => return,
                () = tokio::time::sleep(EVERY) => {}
            }
            let authority = self.clone();
            let tended = tokio::task::spawn_blocking(move || authority.tend(now())).await;
            let fault = match tended {
                Ok(Ok(Tended::Nothing)) => None,
                Ok(Ok(Tended::Reloaded)) => {
                    tracing::info!("certificates were changed on disk and hold from now on");
                    None
                }
                Ok(Ok(Tended::Renewed)) => {
                    tracing::info!("renewed the server's certificate");
                    None
                }
                Ok(Err(fault)) => Some(fault.to_string()),
                Err(fault) => Some(fault.to_string()),
            };
            if let Some(fault) = &fault
                && failing.as_ref() != Some(fault)
            {
                tracing::error!(error = %fault, "keep certificates fresh; those in use stay");
            }
            failing = fault;
        }
    }
}

fn is_due((from, until): (UnixMillis, UnixMillis), now: UnixMillis) -> bool {
    let life = until.0.saturating_sub(from.0);
    now.0 >= from.0.saturating_add(life / 3 * 2)
}

/// Makes the server's certificate anew, from what signs at this moment.
fn renew(authority: &Path, now: UnixMillis) -> Result<(), AuthorityError> {
    let _alone = folder::lock(authority)?;
    let standing = Standing::read_made(authority)?;
    init::write_server(
        authority,
        standing.current,
        standing.old,
        &standing.names,
        now,
    )
}

/// Gives the server's own certificate other names.
pub(super) fn rename(
    authority: &Path,
    names: &[String],
    now: UnixMillis,
) -> Result<Vec<String>, AuthorityError> {
    let names = init::with_loopback(names);
    super::make::alternatives(&names)?;
    let _alone = folder::lock(authority)?;
    let mut standing = Standing::read_made(authority)?;
    standing.names.clone_from(&names);
    init::write_server(
        authority,
        standing.current,
        standing.old,
        &standing.names,
        now,
    )?;
    standing.write(authority)?;
    Ok(names)
}
