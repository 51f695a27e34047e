//! What the figures are compared with: the bare operation underneath each.

use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use branchline_durable_sqlite::{Settings, open_writer};

/// The argument with which this program idles as a bare process.
pub const IDLE: &str = "--idle";

/// Appends 4 KiB and syncs, `count` times; the time that each took.
pub fn append_and_sync(folder: &Path, count: usize) -> Vec<Duration> {
    let path = folder.join("baseline");
    let mut file = std::fs::File::create(&path).expect("make a file");
    let block = [0x5a_u8; 4_096];
    let samples = (0..count)
        .map(|_| {
            let started = Instant::now();
            file.write_all(&block).expect("append");
            file.sync_data().expect("sync");
            started.elapsed()
        })
        .collect();
    std::fs::remove_file(&path).expect("remove the file");
    samples
}

/// Rows of 1 KiB per second into a bare SQLite table with one index, 2,000 per synced commit: about
/// the least that either end of a drain must do.
pub fn bare_inserts(folder: &Path, count: u32) -> f64 {
    let path = folder.join("baseline.db");
    let connection = open_writer(&path, &Settings::default()).expect("open");
    connection
        .execute_batch("CREATE TABLE t (n INTEGER PRIMARY KEY, id BLOB UNIQUE, b BLOB)")
        .expect("make a table");
    let body = [0x5a_u8; 1_000];
    let started = Instant::now();
    let mut n = 0_u32;
    while n < count {
        connection.execute_batch("BEGIN IMMEDIATE").expect("begin");
        for _ in 0..2_000.min(count - n) {
            n += 1;
            let mut id = [0_u8; 16];
            id[12..].copy_from_slice(&n.to_be_bytes());
            connection
                .prepare_cached("INSERT INTO t VALUES (?1, ?2, ?3)")
                .and_then(|mut insert| insert.execute((n, id, body)))
                .expect("insert");
        }
        connection.execute_batch("COMMIT").expect("commit");
    }
    f64::from(count) / started.elapsed().as_secs_f64()
}

/// A process with the same runtime and one open SQLite file, doing nothing.
pub async fn idle() {
    let folder = tempfile::tempdir().expect("make a folder");
    let connection = open_writer(&folder.path().join("idle.db"), &Settings::default());
    println!("idle");
    let _ = tokio::signal::ctrl_c().await;
    drop(connection);
}
