//! What the contract does not cover: the rows under it, crashes between steps, and ledgers of before.

use std::path::Path;

use branchline_protocol::file::FileState;
use branchline_protocol::manifest::Standing;
use branchline_protocol::time::UnixMillis;

use super::{announce, settling};
use crate::ledger::contract::attached::{
    WIDE, agent_with, announce as stands, bring, object, record,
};
use crate::ledger::sqlite::older::older;
use crate::ledger::sqlite::{FILE_NAME, SqliteLedger};
use crate::ledger::{Announce, FileFilter, FileLedger, contract, now};
use crate::testing::attachment;

/// One step of a verb that goes in steps, and then nothing: its process was killed.
fn step_and_crash<T>(path: &Path, step: impl FnOnce(&rusqlite::Connection) -> T) -> T {
    let settings = branchline_durable_sqlite::Settings::default();
    let writer = branchline_durable_sqlite::open_writer(path, &settings).unwrap();
    writer.execute_batch("BEGIN IMMEDIATE").unwrap();
    let done = step(&writer);
    writer.execute_batch("COMMIT").unwrap();
    nothing_contradicts_itself(&writer);
    done
}

#[tokio::test]
async fn a_crash_between_two_steps_leaves_the_files_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(FILE_NAME);
    let ledger = SqliteLedger::open(&path).unwrap();
    let names: Vec<String> = (0..5_000).map(|n| (n % 4_500).to_string()).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let (agent, file) = agent_with(&ledger, "LYN", "f", &names).await;
    let announce_whole = Announce {
        agent: agent.id,
        sections: vec![file.whole()],
        bounds: WIDE,
        at: now(),
    };
    let step = |writer: &_| announce::step(writer, &announce_whole, 0, 0).unwrap();
    assert!(step_and_crash(&path, step).placed.is_empty());
    let standing = stands(&ledger, &agent, file.question()).await;
    assert!(
        matches!(standing, Standing::Wanted { announced, .. } if (1..5_000).contains(&announced)),
        "{standing:?}"
    );
    stands(&ledger, &agent, file.whole()).await;
    bring(&ledger, &agent, "one", &file.chunks[..2_000]).await;

    // Given up in part: it is a file that was announced less far, and may be announced again.
    let far = UnixMillis(i64::MAX);
    let step = |writer: &_| settling::expire(writer, far, now()).unwrap();
    assert!(step_and_crash(&path, step).next.is_some());
    assert_eq!(record(&ledger, &file).await.state, FileState::Waiting);
    stands(&ledger, &agent, file.whole()).await;
    bring(&ledger, &agent, "two", &file.chunks[2_000..]).await;
    assert_eq!(record(&ledger, &file).await.state, FileState::Received);

    let from = settling::SettledTo::default();
    let step = |writer: &_| settling::settle(writer, file.id, from).unwrap();
    let step = step_and_crash(&path, step);
    assert!(step.next.is_some() && step.freed == [object("one")]);
    assert_eq!(
        ledger.settle_chunks(file.id).await.unwrap(),
        [object("two")]
    );
    assert_eq!(
        ledger.chunks_of(file.id, 0, 9_999).await.unwrap().len(),
        5_000
    );
}

/// A ledger of before there were files: what was attached then waits from the first start on.
#[tokio::test]
async fn what_was_attached_before_central_knew_files_waits() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(FILE_NAME);
    let ledger = SqliteLedger::open(&path).unwrap();
    let (mut agent, file) = agent_with(&ledger, "LYN", "f", &["a", "b"]).await;
    let ticket = format!("ticket of {}", agent.id);
    let huge = attachment("huge", &ticket, u64::MAX, file.root);
    agent.journal.push(huge);
    agent.submit(&ledger, 2, 3).await;
    let before = record(&ledger, &file).await;
    drop(ledger);
    let old = folder.path().join("old.db");
    older(&path, &old, 1);

    let ledger = SqliteLedger::open(&old).unwrap();
    assert_eq!(record(&ledger, &file).await, before);
    let all = FileFilter {
        most: 9,
        ..FileFilter::default()
    };
    let sizes: Vec<_> = ledger
        .files(all)
        .await
        .unwrap()
        .iter()
        .map(|file| file.size)
        .collect();
    assert_eq!(sizes, [file.size(), u64::MAX]);
    stands(&ledger, &agent, file.whole()).await;
    let kept = bring(&ledger, &agent, "one", &file.chunks).await;
    assert_eq!(kept.received, [file.id]);
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

/// Files from central stand in the same tables; whatever becomes of them leaves those in order.
#[tokio::test]
async fn files_from_central_leave_everything_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(FILE_NAME);
    let ledger = SqliteLedger::open(&path).unwrap();
    contract::giving::a_file_that_no_reply_took_is_given_up(&ledger).await;
    let settings = branchline_durable_sqlite::Settings::default();
    let rows = branchline_durable_sqlite::open_reader(&path, &settings).unwrap();
    nothing_contradicts_itself(&rows);
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
        "SELECT file FROM files WHERE state IN ('received', 'scanning') AND due IS NULL
             OR state IN ('waiting', 'expired', 'corrupt') AND due IS NOT NULL",
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
