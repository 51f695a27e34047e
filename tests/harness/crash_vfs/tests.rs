//! A journal that syncs survives every image; one that does not is caught.

use rusqlite::{Connection, OpenFlags};

use super::*;

const SEED: u64 = 1;

/// Commits two rows with these settings, and marks each when its commit has returned.
fn record(settings: &str) -> IoLog {
    let folder = tempfile::tempdir().unwrap();
    let recording = Recording::start(folder.path()).unwrap();
    let path = folder.path().join("journal.db");
    let journal = Connection::open_with_flags(path, OpenFlags::default()).unwrap();
    journal.execute_batch(settings).unwrap();
    journal
        .execute_batch("CREATE TABLE filed (n INTEGER, text TEXT)")
        .unwrap();
    for n in 1..=2 {
        let text = "x".repeat(6000); // more than a page, so that a commit has several frames
        journal
            .execute("INSERT INTO filed VALUES (?, ?)", (n, text))
            .unwrap();
        recording.mark(n.to_string());
    }
    journal.close().unwrap();
    let log = recording.finish();
    log.check_complete().unwrap();
    log
}

/// Every image in which something that was marked as saved is missing, or that is damaged.
fn losses(log: &IoLog) -> Vec<String> {
    let mut losses = Vec::new();
    for n in log.crash_points() {
        for image in log.crash_images(n, SEED) {
            let folder = tempfile::tempdir().unwrap();
            image.materialise(folder.path()).unwrap();
            if let Err(loss) = recover(folder.path(), image.markers_before()) {
                losses.push(format!("{image}: {loss}"));
            }
        }
    }
    losses
}

fn recover(folder: &Path, promised: &[String]) -> Result<(), String> {
    let flags = OpenFlags::default();
    let path = folder.join("journal.db");
    let journal = Connection::open_with_flags_and_vfs(path, flags, "unix").unwrap();
    let verdict = journal.query_row("PRAGMA integrity_check", [], |row| row.get(0));
    let verdict: String = verdict.map_err(|error| format!("damaged: {error}"))?;
    if verdict != "ok" {
        return Err(format!("damaged: {verdict}"));
    }
    for n in promised {
        let count = "SELECT count(*) FROM filed WHERE n = ?";
        let found = journal.query_row(count, [n], |row| row.get(0));
        if found != Ok(1) {
            return Err(format!("row {n} is lost: {found:?}"));
        }
    }
    Ok(())
}

fn found(losses: &[String], what: &str) -> bool {
    losses.iter().any(|loss| loss.contains(what))
}

#[test]
fn a_journal_that_syncs_survives_every_crash() {
    let log = record("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL");
    assert_eq!(losses(&log), Vec::<String>::new(), "{log:#?}");
}

#[test]
fn a_journal_that_does_not_sync_is_caught() {
    let log = record("PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF");
    let losses = losses(&log);
    assert!(found(&losses, "row 1 is lost"), "{losses:#?}");
}

#[test]
fn a_journal_that_syncs_only_at_checkpoints_is_caught() {
    let log = record("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL");
    let losses = losses(&log);
    assert!(found(&losses, "row 1 is lost"), "{losses:#?}");
    // NORMAL may lose the newest commits, but never damages.
    assert!(!found(&losses, "damaged"), "{losses:#?}");
}

#[test]
fn a_deletion_that_is_not_synced_is_caught() {
    // FULL leaves the deletion of a rollback journal, which is its commit, to the disk's mood.
    let full = record("PRAGMA journal_mode = DELETE; PRAGMA synchronous = FULL");
    assert!(!losses(&full).is_empty());
    let extra = record("PRAGMA journal_mode = DELETE; PRAGMA synchronous = EXTRA");
    assert_eq!(losses(&extra), Vec::<String>::new(), "{extra:#?}");
}

#[test]
fn nothing_goes_around_the_recording() {
    // `record` itself checks that the log explains the files.
    record("PRAGMA mmap_size = 1000000; PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 1");
    record("PRAGMA mmap_size = 1000000; PRAGMA page_size = 512; PRAGMA journal_mode = PERSIST");
    record("PRAGMA journal_mode = TRUNCATE");
}
