//! Keeps the gate at the rate that holds now: by the clock of the branch and the configuration file as it is
//! now, and where that says nothing of it by central's word. A file that cannot be understood is said so of,
//! and what held before goes on.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use branchline_agent_api::LimitBy;
use branchline_protocol::rate::Rate;
use notify::{RecursiveMode, Watcher};
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use crate::config::{Bulk, Config, Timetable};
use crate::link::gate::Gate;
use crate::store::desk::Policy;

/// How often the clock and the file are looked at, whether or not the system tells of changes.
const LOOK_EVERY: Duration = Duration::from_secs(3);
/// A file that was just changed may still be being written.
const SETTLE: Duration = Duration::from_millis(200);

/// What is wrong with the configuration file as it is now, if anything: the settings from before hold.
pub type SettingsFault = Option<String>;

/// What the status shows of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RateStatus {
    /// What is wrong with the configuration file.
    pub fault: SettingsFault,
    /// Whose word holds; `None` where nobody says anything.
    pub by: Option<LimitBy>,
}

/// What the configuration says: its rates, or `None` where it has none.
type Own = Option<Timetable>;

/// What the configuration says of rates.
pub fn own(bulk: &Bulk) -> Result<Own, String> {
    let plan = bulk.plan()?;
    Ok(bulk.is_set().then_some(plan))
}

/// Follows the clock, the file and central's word until shutdown.
pub async fn follow(
    path: PathBuf,
    own: Own,
    mut central: watch::Receiver<Policy>,
    gate: Arc<Gate>,
    status: watch::Sender<RateStatus>,
    shutdown: CancellationToken,
) {
    let changed = Arc::new(Notify::new());
    let _watcher = watch_folder(&path, changed.clone());
    let mut own = own;
    let mut stamp = stamp_of(&path);
    loop {
        let said = central.borrow_and_update().rate;
        let by = apply(own.as_ref(), said, &gate);
        status.send_if_modified(|status| std::mem::replace(&mut status.by, by) != by);
        tokio::select! {
            () = shutdown.cancelled() => return,
            Ok(()) = central.changed() => continue,
            () = changed.notified() => tokio::time::sleep(SETTLE).await,
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
        let now = stamp_of(&path);
        if now == stamp {
            continue;
        }
        stamp = now;
        match read(path.clone()).await {
            Ok(read) => {
                if read != own {
                    tracing::info!("the rates for files have changed");
                    own = read;
                }
                status.send_modify(|status| status.fault = None);
            }
            Err(said) => {
                tracing::warn!(fault = %said, "the changed configuration cannot be used; the settings from before hold");
                status.send_modify(|status| status.fault = Some(said));
            }
        }
    }
}

/// The rate that holds now, and whose word that is.
fn apply(own: Option<&Timetable>, central: Option<Rate>, gate: &Gate) -> Option<LimitBy> {
    let (limit, by) = match (own, central) {
        (Some(timetable), _) => (now_of(timetable), Some(LimitBy::Configuration)),
        (None, Some(rate)) => (rate.limit(), Some(LimitBy::Central)),
        (None, None) => (None, None),
    };
    if limit != gate.limit() {
        tracing::info!(bytes_per_second = limit, ?by, "the rate for files");
        gate.set_limit(limit);
    }
    by
}

fn now_of(timetable: &Timetable) -> Option<u64> {
    let now = jiff::Zoned::now();
    let weekday = usize::try_from(now.weekday().to_monday_zero_offset()).unwrap_or(0);
    let minute = u16::from(now.hour().unsigned_abs()) * 60 + u16::from(now.minute().unsigned_abs());
    timetable.at(weekday, minute)
}

async fn read(path: PathBuf) -> Result<Own, String> {
    let read = move || {
        let config = Config::read(&path).map_err(|fault| fault.to_string())?;
        own(&config.bulk)
    };
    match tokio::task::spawn_blocking(read).await {
        Ok(read) => read,
        Err(fault) => Err(fault.to_string()),
    }
}

/// Tells when anything in the file's folder changes: editors put a new file in the old one's place. Where
/// the system cannot watch, the clock's looks find it.
fn watch_folder(path: &Path, changed: Arc<Notify>) -> Option<notify::RecommendedWatcher> {
    let folder = path.parent()?;
    let watcher = notify::recommended_watcher(move |_| changed.notify_one());
    let watching = watcher.and_then(|mut watcher| {
        watcher.watch(folder, RecursiveMode::NonRecursive)?;
        Ok(watcher)
    });
    watching
        .inspect_err(|fault| tracing::debug!(error = %fault, "watch the configuration's folder"))
        .ok()
}

/// Changes whenever the file does.
fn stamp_of(path: &Path) -> Option<(SystemTime, u64)> {
    let facts = std::fs::metadata(path).ok()?;
    Some((facts.modified().ok()?, facts.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Waits for a condition that other tasks bring about.
    async fn until(what: &str, mut condition: impl FnMut() -> bool) {
        for _ in 0..3_000 {
            if condition() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{what}");
    }

    #[tokio::test]
    async fn a_changed_file_changes_the_rate_and_a_faulty_one_keeps_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("agent.toml");
        let write = |bulk: &str| {
            let new = folder.path().join("agent.toml.new");
            std::fs::write(&new, format!("server = \"x\"\n[bulk]\n{bulk}\n")).unwrap();
            std::fs::rename(&new, &path).unwrap();
        };
        write("rate = \"2 Mbit/s\"");
        let timetable = own(&Config::read(&path).unwrap().bulk).unwrap();
        let gate = Arc::new(Gate::default());
        let (fault, faults) = watch::channel(RateStatus::default());
        let central = watch::Sender::new(Policy::default());
        let say = |rate: Option<&str>| {
            let rate = rate.map(|rate| rate.parse().unwrap());
            central.send_modify(|policy| policy.rate = rate);
        };
        let shutdown = CancellationToken::new();
        let mut tasks = tokio::task::JoinSet::new();
        tasks.spawn(follow(
            path.clone(),
            timetable,
            central.subscribe(),
            gate.clone(),
            fault,
            shutdown.clone(),
        ));
        until("the first rate", || gate.limit() == Some(250_000)).await;
        write("timetable = [\"00:00-24:00 256 kbit/s\"]");
        until("the changed rate", || gate.limit() == Some(32_000)).await;
        write("rate = \"fast, please\"");
        until("the fault", || faults.borrow().fault.is_some()).await;
        assert!(
            faults
                .borrow()
                .fault
                .as_ref()
                .unwrap()
                .contains("fast, please")
        );
        assert_eq!(gate.limit(), Some(32_000));
        std::fs::remove_file(&path).unwrap();
        write("rate = \"unlimited\"");
        until("the mended file", || faults.borrow().fault.is_none()).await;
        assert_eq!(gate.limit(), None);
        // Central's word holds where the branch says nothing, and only there.
        say(Some("512 kbit/s"));
        assert_eq!(faults.borrow().by, Some(LimitBy::Configuration));
        write("");
        until("central's rate", || gate.limit() == Some(64_000)).await;
        until("whose it is", || {
            faults.borrow().by == Some(LimitBy::Central)
        })
        .await;
        say(Some("1 Mbit/s"));
        until("central's next", || gate.limit() == Some(125_000)).await;
        write("rate = \"2 Mbit/s\"");
        until("the branch's own", || gate.limit() == Some(250_000)).await;
        write("");
        say(None);
        until("nobody's", || faults.borrow().by.is_none()).await;
        assert_eq!(gate.limit(), None);
        shutdown.cancel();
        tasks.join_all().await;
    }
}
