//! What the contract does not cover, because only this file format can show it.

use branchline_durable_sqlite::{Settings, open_writer};
use futures_util::future::join_all;

use crate::ledger::contract::joining::{branch_token, deed, enrol};
use crate::ledger::sqlite::older::older;
use crate::ledger::sqlite::{FILE_NAME, SqliteLedger};
use crate::ledger::{Enrolled, IdentityLedger, Ledger, TrailFilter};
use crate::testing::{TestAgent, unknown_kind};

#[tokio::test]
async fn one_use_raced_for_by_fifty_from_two_processes_makes_one_agent() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(FILE_NAME);
    let ledgers = [
        SqliteLedger::open(&path).unwrap(),
        SqliteLedger::open(&path).unwrap(),
    ];
    branch_token(&ledgers[0], "t", "LYN", 1).await;
    let racing = (0..50).map(|key| ledgers[key % 2].enrol(enrol("t", &key.to_string())));
    let answers = join_all(racing).await;
    let joined = answers
        .iter()
        .filter(|answer| matches!(answer, Ok(Enrolled::Agent(_))))
        .count();
    assert_eq!(joined, 1, "{answers:?}");
    assert_eq!(ledgers[1].branches().await.unwrap()[0].agents.len(), 1);
}

#[tokio::test]
async fn the_trail_cannot_be_changed_or_shortened() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(FILE_NAME);
    let ledger = SqliteLedger::open(&path).unwrap();
    for subject in ["a", "b", "c"] {
        ledger.record(deed("file-released", subject)).await.unwrap();
    }
    let before = ledger.trail(whole()).await.unwrap();
    let connection = open_writer(&path, &Settings::default()).unwrap();
    for forbidden in [
        "UPDATE trail SET actor = 'server' WHERE position = 2",
        "UPDATE trail SET position = 9 WHERE position = 2",
        "DELETE FROM trail WHERE position = 2",
        "DELETE FROM trail",
        "INSERT OR REPLACE INTO trail SELECT 2, at, actor, 'x', subject, detail, address, digest
             FROM trail WHERE position = 1",
        "INSERT INTO trail SELECT 3, at, actor, action, subject, detail, address, digest FROM trail
             WHERE position = 1 ON CONFLICT DO UPDATE SET action = 'x'",
    ] {
        let fault = connection.execute_batch(forbidden).unwrap_err();
        assert!(
            fault.to_string().contains("only appended to"),
            "{forbidden}: {fault}"
        );
    }
    assert_eq!(ledger.trail(whole()).await.unwrap(), before);
}

fn whole() -> TrailFilter {
    TrailFilter {
        most: 100,
        ..TrailFilter::default()
    }
}

/// A ledger of before identities: an agent, its stream, its feed, and the cursor that it has of it.
#[tokio::test]
async fn a_ledger_of_before_is_brought_along_whole() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(FILE_NAME);
    let ledger = SqliteLedger::open(&path).unwrap();
    let mut agent = TestAgent::register(&ledger, "LYN").await;
    for word in ["a", "b"] {
        agent.journal.push(unknown_kind(word));
    }
    agent.file(&["t"], 1);
    let held = agent.submit_all(&ledger).await;
    let known = ledger.agent(agent.id).await.unwrap();
    drop(ledger);

    let old = folder.path().join("old.db");
    older(&path, &old, 2);

    let ledger = SqliteLedger::open(&old).unwrap();
    let brought = ledger.agent(agent.id).await.unwrap();
    assert_eq!(format!("{brought:?}"), format!("{known:?}"));
    let code = agent.branch.clone();
    let page = ledger.feed(code.clone(), Some(held.news.cursor)).await;
    let page = page.unwrap();
    assert!(
        page.events.is_empty() && !page.rewound,
        "the cursor is known"
    );
    let page = ledger.feed(code, None).await.unwrap();
    assert_eq!(page.events.len(), 2);
    agent.journal.push(unknown_kind("c"));
    let held = agent.submit_all(&ledger).await;
    assert_eq!((held.appended, held.news.events.len()), (1, 3));
}
