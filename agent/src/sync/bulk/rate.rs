//! Keeps the gate at the rate that IT allows now: by the clock of the branch, and by the configuration
//! file as it is now. A file that cannot be understood is said so of, and what held before goes on.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use notify::{RecursiveMode, Watcher};
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use crate::config::{Config, Timetable};
use crate::link::gate::Gate;

/// How often the clock and the file are looked at, whether or not the system tells of changes.
const LOOK_EVERY: Duration = Duration::from_secs(3);
/// A file that was just changed may still be being written.
const SETTLE: Duration = Duration::from_millis(200);

/// What is wrong with the configuration file as it is now, if anything: the settings from before hold.
pub type SettingsFault = Option<String>;

/// Follows the clock and the file until shutdown.
pub async fn follow(
    path: PathBuf,
    timetable: Timetable,
    gate: Arc<Gate>,
    fault: watch::Sender<SettingsFault>,
    shutdown: CancellationToken,
) {
    let changed = Arc::new(Notify::new());
    let _watcher = watch_folder(&path, changed.clone());
    let mut timetable = timetable;
    let mut stamp = stamp_of(&path);
    loop {
        apply(&timetable, &gate);
        tokio::select! {
            () = shutdown.cancelled() => return,
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
                if read != timetable {
                    tracing::info!("the rates for files have changed");
                    timetable = read;
                }
                fault.send_replace(None);
            }
            Err(said) => {
                tracing::warn!(fault = %said, "the changed configuration cannot be used; the settings from before hold");
                fault.send_replace(Some(said));
            }
        }
    }
}

/// The rate that holds now.
fn apply(timetable: &Timetable, gate: &Gate) {
    let now = jiff::Zoned::now();
    let weekday = usize::try_from(now.weekday().to_monday_zero_offset()).unwrap_or(0);
    let minute = u16::from(now.hour().unsigned_abs()) * 60 + u16::from(now.minute().unsigned_abs());
    let limit = timetable.at(weekday, minute);
    if limit != gate.limit() {
        tracing::info!(bytes_per_second = limit, "the rate for files");
        gate.set_limit(limit);
    }
}

async fn read(path: PathBuf) -> Result<Timetable, String> {
    let read = move || {
        let config = Config::read(&path).map_err(|fault| fault.to_string())?;
        config.bulk.plan()
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
        let timetable = Config::read(&path).unwrap().bulk.plan().unwrap();
        let gate = Arc::new(Gate::default());
        let (fault, faults) = watch::channel(None);
        let shutdown = CancellationToken::new();
        let mut tasks = tokio::task::JoinSet::new();
        tasks.spawn(follow(
            path.clone(),
            timetable,
            gate.clone(),
            fault,
            shutdown.clone(),
        ));
        until("the first rate", || gate.limit() == Some(250_000)).await;
        write("timetable = [\"00:00-24:00 256 kbit/s\"]");
        until("the changed rate", || gate.limit() == Some(32_000)).await;
        write("rate = \"fast, please\"");
        until("the fault", || faults.borrow().is_some()).await;
        assert!(faults.borrow().as_ref().unwrap().contains("fast, please"));
        assert_eq!(gate.limit(), Some(32_000));
        std::fs::remove_file(&path).unwrap();
        write("rate = \"unlimited\"");
        until("the mended file", || faults.borrow().is_none()).await;
        assert_eq!(gate.limit(), None);
        shutdown.cancel();
        tasks.join_all().await;
    }
}
