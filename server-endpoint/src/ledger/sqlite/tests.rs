//! What the contract does not cover, because only this file format can show it.

use std::path::Path;

use branchline_protocol::id::Seq;

use super::{FILE_NAME, SqliteLedger};
use crate::ledger::{Appended, Ledger, LedgerError, TicketFilter, contract};
use crate::testing::{TestAgent, unknown_kind};

fn make() -> (SqliteLedger, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let ledger = SqliteLedger::open(&folder.path().join(FILE_NAME)).unwrap();
    (ledger, folder)
}

contract::contract_tests!(make);

#[tokio::test]
async fn p2_a_ledger_restored_from_a_backup_is_noticed_and_made_whole() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(FILE_NAME);
    let ledger = SqliteLedger::open(&path).unwrap();
    let mut agent = TestAgent::register(&ledger, "LYN").await;
    agent.file(&["a"], 1);
    agent.submit_all(&ledger).await;
    drop(ledger);
    let backup = folder.path().join("backup.db");
    std::fs::copy(&path, &backup).unwrap();

    let ledger = SqliteLedger::open(&path).unwrap();
    agent.journal.push(unknown_kind("lost with the disk"));
    agent.cursor = Some(agent.submit_all(&ledger).await.news.cursor);
    agent.file(&["b"], 2);
    drop(ledger);
    restore(&backup, &path);

    let ledger = SqliteLedger::open(&path).unwrap();
    let appended = agent.append(&ledger, 2, 3).await;
    assert!(matches!(appended, Appended::Gap { head } if head == agent.position(1)));
    // Meanwhile another agent's news have taken the position that the cursor names.
    let mut other = TestAgent::register(&ledger, "LYN").await;
    other.journal.push(unknown_kind("in its place"));
    other.submit_all(&ledger).await;
    let held = agent.submit(&ledger, 1, 3).await;
    assert!(held.news.rewound);
    assert_eq!(held.news.events.len(), 2);
    let tickets = TicketFilter {
        most: 9,
        ..TicketFilter::default()
    };
    assert_eq!(ledger.tickets(tickets).await.unwrap().len(), 2);
}

fn restore(backup: &Path, path: &Path) {
    for suffix in ["-wal", "-shm"] {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        let _ = std::fs::remove_file(name);
    }
    std::fs::copy(backup, path).unwrap();
}

#[tokio::test]
async fn two_processes_append_to_one_stream_in_turn() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(FILE_NAME);
    // Two writers on one file, as two processes would have them.
    let ledgers = [
        SqliteLedger::open(&path).unwrap(),
        SqliteLedger::open(&path).unwrap(),
    ];
    let mut agent = TestAgent::register(&ledgers[0], "LYN").await;
    for serial in 1..=40 {
        agent.file(&[&format!("t{serial}")], serial);
    }
    for end in 1..=40 {
        // The same submission to both at once: one appends it, the other finds it there.
        let start = end - 1;
        let both = tokio::join!(
            agent.submit(&ledgers[0], start, end),
            agent.submit(&ledgers[1], start, end)
        );
        assert_eq!(both.0.appended + both.1.appended, 1, "operation {end}");
    }
    let held = ledgers[0].held(agent.stream, Seq(0), 100).await.unwrap();
    assert!(held.len() == 40 && held.iter().all(|held| held.effects == 1));
}

#[tokio::test]
async fn a_ledger_that_another_process_keeps_locked_is_away_for_writes_and_answers_reads() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(FILE_NAME);
    let ledger = SqliteLedger::open(&path).unwrap();
    let mut agent = TestAgent::register(&ledger, "LYN").await;
    agent.file(&["a"], 1);
    let settings = branchline_durable_sqlite::Settings::default();
    let locker = branchline_durable_sqlite::open_writer(&path, &settings).unwrap();
    locker.execute_batch("BEGIN IMMEDIATE").unwrap();
    let appended = ledger.append(agent.submission(0, 1)).await;
    assert!(
        matches!(appended, Err(LedgerError::Away(_))),
        "{appended:?}"
    );
    ledger.ready().await.unwrap();
    locker.execute_batch("ROLLBACK").unwrap();
    assert_eq!(agent.submit_all(&ledger).await.appended, 1);
}

/// Another one each time; `BRANCHLINE_SEED` runs one again.
#[tokio::test]
async fn files_do_as_the_reference_does() {
    let given = std::env::var("BRANCHLINE_SEED").ok();
    let seed = given.map_or_else(|| fastrand::u64(..), |text| text.parse().expect("a number"));
    println!("BRANCHLINE_SEED={seed}");
    for run in 0..8 {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE_NAME);
        let ledger = SqliteLedger::open(&path).unwrap();
        let settings = branchline_durable_sqlite::Settings::default();
        let rows = branchline_durable_sqlite::open_reader(&path, &settings).unwrap();
        let check = || nothing_contradicts_itself(&rows);
        contract::random::files_do_as_the_reference_does(&ledger, seed ^ run, 150, check).await;
    }
}

/// Everything that is counted or kept twice, compared with what it is made of.
fn nothing_contradicts_itself(rows: &rusqlite::Connection) {
    for contradiction in [
        // Counters of files.
        "SELECT f.file FROM files f WHERE announced <>
             (SELECT count(*) FROM manifests m WHERE m.file = f.file)",
        "SELECT f.file FROM files f WHERE announced_bytes <> (SELECT coalesce(sum(c.size), 0)
             FROM manifests m JOIN chunks c USING (chunk) WHERE m.file = f.file)",
        "SELECT f.file FROM files f WHERE missing <>
             (SELECT count(*) FROM missing m WHERE m.file = f.file)",
        "SELECT f.file FROM files f WHERE missing_bytes <> (SELECT coalesce(sum(c.size), 0)
             FROM manifests m JOIN chunks c USING (chunk)
             WHERE m.file = f.file AND c.object IS NULL AND c.file IS NULL)",
        "SELECT file FROM files WHERE announced > 0 AND count IS NULL",
        "SELECT f.file FROM files f WHERE version <> (SELECT count(*) FROM events e
             WHERE e.operation = f.file AND e.kind = 'file_moved')",
        "SELECT file FROM files WHERE (due IS NOT NULL) <> (state IN ('received', 'scanning'))",
        "SELECT file FROM files WHERE state = 'received' AND (missing > 0 OR announced <> count)",
        "SELECT file FROM files WHERE state = 'waiting' AND missing = 0 AND announced = count",
        // The missing are the first places of chunks that lie nowhere; no others.
        "SELECT m.file FROM missing m LEFT JOIN chunks c USING (chunk)
             WHERE c.chunk IS NULL OR c.object IS NOT NULL OR c.file IS NOT NULL",
        "SELECT u.file FROM uses u JOIN chunks c USING (chunk)
             LEFT JOIN missing m ON m.file = u.file AND m.place = u.place AND m.chunk = u.chunk
             WHERE (m.file IS NULL) <> (c.object IS NOT NULL OR c.file IS NOT NULL)",
        "SELECT u.file FROM uses u LEFT JOIN
             (SELECT file, chunk, min(place) AS place, count(*) AS copies FROM manifests
              GROUP BY file, chunk) m
             ON m.file = u.file AND m.chunk = u.chunk
             WHERE m.file IS NULL OR (m.place, m.copies) <> (u.place, u.copies)",
        "SELECT m.file FROM manifests m LEFT JOIN uses u ON u.file = m.file AND u.chunk = m.chunk
             WHERE u.file IS NULL",
        "SELECT u.file FROM uses u JOIN files f USING (file) WHERE u.agent <> f.agent",
        // Chunks that nobody has; chunks in two places; objects and what lies in them.
        "SELECT chunk FROM chunks WHERE chunk NOT IN (SELECT chunk FROM uses)",
        "SELECT chunk FROM chunks WHERE object IS NOT NULL AND file IS NOT NULL",
        "SELECT o.object FROM objects o WHERE chunks = 0 OR chunks <>
             (SELECT count(*) FROM chunks c WHERE c.object = o.object)",
        "SELECT chunk FROM chunks WHERE object IS NOT NULL AND object NOT IN (SELECT object FROM objects)",
        // What stands against an agent's bounds.
        "SELECT a.agent FROM agents a WHERE (begun_files, begun_bytes) <>
             (SELECT count(*), coalesce(sum(size), 0) FROM files f WHERE f.agent = a.agent
              AND count IS NOT NULL AND state IN ('waiting', 'received', 'scanning'))",
        // The last event of a file tells its state.
        "SELECT f.file FROM files f WHERE state <> coalesce((SELECT e.body ->> '$.state'
             FROM events e WHERE e.operation = f.file AND e.kind = 'file_moved'
             ORDER BY position DESC LIMIT 1), 'waiting')",
    ] {
        let mut statement = rows.prepare_cached(contradiction).unwrap();
        assert!(!statement.exists([]).unwrap(), "{contradiction}");
    }
}
