//! The audit against journals that differ from central in each way.

use std::io::Cursor;

use branchline_protocol::chain::Position;
use branchline_protocol::id::{AgentId, StreamId};
use serde_json::json;

use super::{AuditError, StreamAudit, audit};
use crate::ledger::Ledger;
use crate::ledger::sqlite::SqliteLedger;
use crate::testing::TestAgent;

fn ledger() -> (SqliteLedger, tempfile::TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.db");
    (SqliteLedger::open(&path).unwrap(), folder, path)
}

fn header(agent: &TestAgent) -> String {
    let header = json!({
        "export": "branchline-digest-1",
        "agent": agent.id,
        "branch": agent.branch,
    });
    format!("{header}\n")
}

/// One stream with the operations behind `from`, as an agent exports it.
fn stream(agent: &TestAgent, from: usize, acknowledged: usize) -> String {
    let at = agent.position(acknowledged);
    let mut text = format!(
        "{}\n",
        json!({ "stream": agent.stream, "acknowledged": at })
    );
    let mut position = agent.position(from);
    for bytes in &agent.journal[from..] {
        position = position.then(bytes);
        let id = serde_json::from_slice::<serde_json::Value>(bytes).unwrap()["id"].clone();
        let line = json!({ "seq": position.seq, "id": id, "digest": position.digest });
        text += &line.to_string();
        text.push('\n');
    }
    text
}

async fn audited(ledger: &dyn Ledger, export: &str) -> Result<Vec<StreamAudit>, AuditError> {
    let mut found = Vec::new();
    audit(ledger, Cursor::new(export), |stream| {
        found.push(stream.clone());
    })
    .await?;
    Ok(found)
}

async fn audited_one(ledger: &dyn Ledger, export: &str) -> StreamAudit {
    let mut found = audited(ledger, export).await.unwrap();
    assert_eq!(found.len(), 1);
    found.remove(0)
}

#[tokio::test]
async fn equal_with_some_waiting_some_unheard_and_some_pruned() {
    let (ledger, _folder, _) = ledger();
    let mut agent = TestAgent::register(&ledger, "LYN").await;
    agent.file(&["a", "b", "c", "d", "e"], 1);
    agent.submit(&ledger, 0, 3).await;
    // The reply to the third was lost.
    let found = audited_one(&ledger, &(header(&agent) + &stream(&agent, 1, 2))).await;
    assert!(found.equal, "{found:?}");
    assert_eq!(
        (found.at_branch, found.at_central, found.waiting),
        (5, 3, 2)
    );
}

#[tokio::test]
async fn what_central_was_restored_to_before_is_lost() {
    let (ledger, _folder, _) = ledger();
    let mut agent = TestAgent::register(&ledger, "LYN").await;
    agent.file(&["a", "b", "c", "d"], 1);
    agent.submit(&ledger, 0, 1).await;
    for from in [0, 4] {
        let export = header(&agent) + &stream(&agent, from, 3);
        let found = audited_one(&ledger, &export).await;
        assert!(!found.equal);
        // Whether the journal still has their lines makes no difference.
        let missing = if from == 0 { (2, 1) } else { (2, 0) };
        assert_eq!((found.lost, found.waiting), missing, "{found:?}");
    }
    let unknown = agent.forked("never seen", None);
    let found = audited_one(&ledger, &(header(&agent) + &stream(&unknown, 0, 0))).await;
    assert!(found.equal && found.at_central == 0);
}

#[tokio::test]
async fn a_fault_in_the_ledger_shows() {
    let (ledger, _folder, path) = ledger();
    let mut agent = TestAgent::register(&ledger, "LYN").await;
    agent.file(&["a", "b", "c", "d"], 1);
    agent.submit_all(&ledger).await;
    let export = header(&agent) + &stream(&agent, 0, 4);
    assert!(audited_one(&ledger, &export).await.equal);
    let settings = branchline_durable_sqlite::Settings::default();
    let connection = branchline_durable_sqlite::open_writer(&path, &settings).unwrap();
    let spoil = |sql: &str| connection.execute_batch(sql).unwrap();

    // The second effect under the same row, and under another row of the same id.
    spoil(
        "INSERT INTO events (at, branch, operation, for_feed, kind, body)
           SELECT at, branch, operation, 0, kind, body FROM events WHERE position = 2",
    );
    assert_eq!(audited_one(&ledger, &export).await.twice, 1);
    spoil(
        "DROP INDEX operations_by_id;
           INSERT INTO operations SELECT 99, agent, id, received_at, verdict, bytes
               FROM operations WHERE operation = 2;
           UPDATE events SET operation = 99 WHERE position = 5",
    );
    assert_eq!(audited_one(&ledger, &export).await.twice, 1);
    spoil("DELETE FROM events WHERE position = 5; DELETE FROM operations WHERE operation = 99");
    assert!(audited_one(&ledger, &export).await.equal);

    spoil(
        "UPDATE events SET operation = 99 WHERE position = 3;
           UPDATE events SET operation = 3 WHERE position = 4;
           UPDATE events SET operation = 4 WHERE position = 3",
    );
    let found = audited_one(&ledger, &export).await;
    assert_eq!((found.out_of_order, found.equal), (1, false), "{found:?}");
    spoil("UPDATE events SET operation = position");

    spoil("DELETE FROM events WHERE position = 3");
    let found = audited_one(&ledger, &export).await;
    assert_eq!(
        (found.lost, found.equal),
        (1, false),
        "without effect: {found:?}"
    );
    spoil("DELETE FROM positions WHERE seq = 2");
    assert_eq!(audited_one(&ledger, &export).await.lost, 2);
}

#[tokio::test]
async fn another_content_or_another_agent_is_not_equal() {
    let (ledger, _folder, _) = ledger();
    let mut agent = TestAgent::register(&ledger, "LYN").await;
    agent.file(&["a", "b", "c"], 1);
    agent.submit_all(&ledger).await;
    let mut restored = agent.clone();
    restored.journal.truncate(1);
    restored.file(&["x", "y"], 2);
    let found = audited_one(&ledger, &(header(&agent) + &stream(&restored, 0, 1))).await;
    assert_eq!((found.different, found.equal), (2, false), "{found:?}");
    assert_eq!(found.first_difference.map(|seq| seq.0), Some(2));
    // Without lines, the acknowledged digest alone tells.
    let found = audited_one(&ledger, &(header(&agent) + &stream(&restored, 3, 3))).await;
    assert_eq!((found.different, found.equal), (1, false), "{found:?}");
    let other = TestAgent::register(&ledger, "PAR").await;
    let found = audited_one(&ledger, &(header(&other) + &stream(&agent, 0, 3))).await;
    assert!(found.foreign && !found.equal);
}

#[tokio::test]
async fn a_repeat_in_a_new_stream_is_equal_and_damage_is_told() {
    let (ledger, _folder, _) = ledger();
    let mut agent = TestAgent::register(&ledger, "LYN").await;
    agent.file(&["a", "b"], 1);
    agent.submit_all(&ledger).await;
    let mut forked = agent.forked("second", None);
    forked.journal = vec![agent.journal[1].clone(), agent.journal[0].clone()];
    forked.file(&["c"], 3);
    forked.submit_all(&ledger).await;
    let export = header(&agent) + &stream(&agent, 0, 2) + &stream(&forked, 0, 3);
    let found = audited(&ledger, &export).await.unwrap();
    assert!(
        found.len() == 2 && found.iter().all(|stream| stream.equal),
        "{found:?}"
    );

    let damaged = stream(&forked, 2, 3) + "{\"seq\":4,\"damaged\":true}\n";
    let found = audited_one(&ledger, &(header(&agent) + &damaged)).await;
    assert_eq!((found.damaged, found.waiting, found.equal), (1, 0, false));
    let had_it = stream(&forked, 3, 3).trim_end().to_owned() + "\n{\"seq\":3,\"damaged\":true}\n";
    assert!(
        audited_one(&ledger, &(header(&agent) + &had_it))
            .await
            .equal
    );
}

#[tokio::test]
async fn an_export_that_is_none_is_refused_with_its_line() {
    let (ledger, _folder, _) = ledger();
    let agent = TestAgent::register(&ledger, "LYN").await;
    let genesis = Position::genesis(StreamId::from_bytes([1; 16]));
    let id = AgentId::from_bytes([3; 16]);
    let good = header(&agent);
    let stream_line =
        json!({ "stream": StreamId::from_bytes([1; 16]), "acknowledged": genesis }).to_string();
    let operation = |seq: u64| json!({ "seq": seq, "id": id }).to_string();
    let cases = [
        (String::new(), 1),
        ("%PDF-1.7\n".into(), 1),
        (good.replace("digest-1", "digest-2"), 1),
        (good.trim_end().to_owned(), 1),
        (format!("{good}{}\n", operation(1)), 2),
        (
            format!("{good}{stream_line}\n{}\n{}\n", operation(2), operation(2)),
            4,
        ),
        (
            format!("{good}{stream_line}\n{}\n{}", operation(1), operation(2)),
            4,
        ),
        (format!("{good}{stream_line}\n{{\"seq\":1}}\n"), 3),
        (format!("{good}{{}}\n"), 2),
        (format!("{good}{stream_line}\n{}", "x".repeat(1_000_000)), 3),
    ];
    for (export, expected) in cases {
        match audited(&ledger, &export).await {
            Err(AuditError::Export { line, .. }) => assert_eq!(line, expected, "{export:.200}"),
            other => panic!("{export:.200}: {other:?}"),
        }
    }
    assert!(audited(&ledger, &good).await.unwrap().is_empty());
}
