//! What the contract does not cover: ledgers of before there was a desk.

use branchline_durable_sqlite::{Settings, open_writer};
use branchline_protocol::desk::TicketState;
use branchline_protocol::file::FileState;

use crate::ledger::contract::attached::{TestFile, attach, move_to, receive};
use crate::ledger::contract::desk::{done, reply, shown};
use crate::ledger::sqlite::older::older;
use crate::ledger::sqlite::{FILE_NAME, SqliteLedger};
use crate::testing::{TestAgent, comment, withdrawal};

#[tokio::test]
async fn tickets_of_before_are_new_and_can_be_answered() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(FILE_NAME);
    let ledger = SqliteLedger::open(&path).unwrap();
    let mut agent = TestAgent::register(&ledger, "LYN").await;
    let file = TestFile::new("f", &["x"]);
    attach(&ledger, &mut agent, &file, "f").await;
    agent.file(&["b", "c"], 2);
    agent.journal.push(comment("on b", "b"));
    agent.journal.push(withdrawal("w", "c"));
    agent.submit(&ledger, 2, 6).await;
    receive(&ledger, &agent, &file, "one").await;
    move_to(&ledger, &file, FileState::Scanning).await;
    let mut before = Vec::new();
    for serial in 1..=3 {
        before.push(shown(&ledger, &agent.number(serial)).await.row);
    }
    drop(ledger);
    let old = folder.path().join("old.db");
    older(&path, &old, 2);
    let connection = open_writer(&old, &Settings::default()).unwrap();
    connection
        .execute_batch("UPDATE tickets SET state = 'open' WHERE state = 'new'")
        .unwrap();
    drop(connection);

    let ledger = SqliteLedger::open(&old).unwrap();
    let states = [TicketState::New, TicketState::New, TicketState::Withdrawn];
    for (before, state) in before.iter().zip(states) {
        let now = shown(&ledger, &before.number).await.row;
        assert_eq!((now.state, now.version), (state, before.version));
    }
    done(&ledger, "r", &agent.number(1), reply("hello")).await;
}
