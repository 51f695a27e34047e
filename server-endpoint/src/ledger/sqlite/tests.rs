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
