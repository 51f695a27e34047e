//! The ingress on a real socket, attacked with raw bytes.

use std::sync::Arc;
use std::time::Duration;

use branchline_protocol::enrolment::Secret;
use branchline_protocol::exchange::{FeedReply, SubmissionHead, SubmissionReply};
use branchline_protocol::limits::SUBMISSION_BYTES;
use branchline_protocol::problem::ProblemKind;
use futures_util::FutureExt;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::Ingress;
use super::operations::append_and_tell;
use crate::ledger::LedgerError;
use crate::ledger::sqlite::SqliteLedger;
use crate::server::{ServeError, Server};
use crate::testing::{TestAgent, unknown_kind};
use crate::vault::FsVault;
use central::{Answer, Central, Request, open_door, small_bounds};
use faulty::FaultyLedger;

mod bounds;
mod branches;
mod bulk_first;
mod central;
mod certificates;
mod chunks;
mod depot;
mod faulty;
mod files;
mod files_ledger;
mod guarded;
mod joining;
mod no_identities;
mod proxies;
mod refusals;
mod revoking;
mod strangers;

fn body_of(agent: &TestAgent, from: usize, to: usize) -> Vec<u8> {
    let submission = agent.submission(from, to);
    let head = SubmissionHead {
        stream: submission.stream,
        continues: submission.continues,
        after: submission.after,
        cursor: submission.cursor,
        health: submission.health,
    };
    let operations: Vec<&[u8]> = submission.operations.iter().collect();
    branchline_protocol::exchange::encode_submission(&head, &operations)
}

#[tokio::test]
async fn a_submission_is_held_and_answered_packed_or_not() {
    let central = Central::start().await;
    let mut agent = central.agent("LYN").await;
    agent.file(&["a", "b", "c"], 1);
    agent.journal.push(unknown_kind("u"));
    let body = body_of(&agent, 0, 3);
    let reply: SubmissionReply = central.post(&agent, body).await.json();
    assert_eq!(reply.acknowledged, agent.position(3));

    let packed = zstd::bulk::compress(&body_of(&agent, 0, 4), 3).unwrap();
    let request = Request::submission(&agent, packed)
        .with("content-encoding", "zstd")
        .with("accept-encoding", "gzip, zstd");
    let answer = central.ask(request).await;
    assert_eq!(answer.header("content-encoding"), Some("zstd"));
    let unpacked = zstd::bulk::decompress(&answer.body, 1 << 20).unwrap();
    let reply: SubmissionReply = serde_json::from_slice(&unpacked).unwrap();
    assert_eq!(reply.head, agent.position(4));
    assert_eq!((reply.verdicts.len(), reply.news.feed.len()), (1, 1));
}

/// What the read model waits for, which would see it a second later by itself.
#[tokio::test]
async fn what_a_branch_files_is_told_at_once_and_a_repeat_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = Arc::new(SqliteLedger::open(&folder.path().join("ledger.db")).unwrap());
    let mut agent = TestAgent::register(ledger.as_ref(), "LYN").await;
    agent.file(&["a"], 1);
    let vault = Arc::new(FsVault::new(folder.path().join("vault"), 0));
    let stopping = CancellationToken::new();
    let ingress = Ingress::new(ledger, vault, open_door(), small_bounds(), stopping);
    let bell = Arc::new(Notify::new());
    ingress.tell(bell.clone());
    let rang = || bell.notified().now_or_never().is_some();
    assert!(!rang());
    append_and_tell(&ingress, agent.submission(0, 1))
        .await
        .unwrap();
    assert!(rang());
    append_and_tell(&ingress, agent.submission(0, 1))
        .await
        .unwrap();
    assert!(!rang());
}

#[tokio::test]
async fn p6_what_is_inside_an_operation_never_fails_the_submission() {
    let central = Central::start().await;
    let mut agent = central.agent("LYN").await;
    let deep = format!("{}{}", "[".repeat(50_000), "]".repeat(50_000));
    let odd = [
        "null",
        "{\"id\":1}",
        "\"\\ud800\"",
        "1e999",
        "{\"a\":1,\"a\":2}",
        &deep,
    ];
    agent.journal = odd.iter().map(|bytes| bytes.as_bytes().to_vec()).collect();
    agent.file(&["good"], 1);
    let reply: SubmissionReply = central.post(&agent, body_of(&agent, 0, 7)).await.json();
    assert_eq!(reply.acknowledged, agent.position(7));
    assert_eq!(reply.verdicts.len(), 6);
    assert!(
        central
            .ledger
            .ticket(agent.number(1))
            .await
            .unwrap()
            .is_some()
    );
}

#[tokio::test]
async fn gap_and_fork_come_with_what_the_agent_needs() {
    let central = Central::start().await;
    let mut agent = central.agent("LYN").await;
    agent.file(&["a", "b"], 1);
    let answer = central.post(&agent, body_of(&agent, 1, 2)).await;
    let problem = answer.assert_problem(ProblemKind::Gap, "gap");
    assert_eq!(problem.head, Some(agent.position(0)));
    central
        .post(&agent, body_of(&agent, 0, 2))
        .await
        .assert_ok();
    let mut restored = agent.clone();
    restored.journal.truncate(1);
    restored.file(&["x"], 2);
    let answer = central.post(&restored, body_of(&restored, 1, 2)).await;
    let problem = answer.assert_problem(ProblemKind::Diverged, "fork");
    assert_eq!(problem.head, Some(agent.position(2)));
    assert_eq!(
        (problem.agreed, problem.serials_used),
        (Some(true), Some(2))
    );
    let mut other = central.agent("LYN").await;
    other.stream = agent.stream;
    let answer = central.post(&other, body_of(&other, 0, 0)).await;
    answer.assert_problem(ProblemKind::ForeignStream, "foreign stream");
}

#[tokio::test]
async fn the_feed_waits_for_news_and_ends_when_central_stops() {
    let mut central = Central::start().await;
    let mut agent = central.agent("LYN").await;
    let other = central.agent("LYN").await;
    let at_once: FeedReply = central.feed(&other, "", 0).await.json();
    assert!(at_once.feed.is_empty());

    // News through this process.
    agent.journal.push(unknown_kind("first"));
    let (waited, ()) = tokio::join!(central.feed(&other, "", 20), async {
        central.until_somebody_waits().await;
        central
            .post(&agent, body_of(&agent, 0, 1))
            .await
            .assert_ok();
    });
    // Sooner than looking for other processes' news could find it.
    assert!(
        waited.took < Duration::from_millis(1_500),
        "{:?}",
        waited.took
    );
    let first: FeedReply = waited.json();
    assert_eq!(first.feed.len(), 1);

    // News through another process on the same ledger.
    agent.journal.push(unknown_kind("second"));
    let elsewhere = SqliteLedger::open(&central.path).unwrap();
    let (waited, ()) = tokio::join!(central.feed(&other, &first.cursor, 20), async {
        central.until_somebody_waits().await;
        agent.submit(&elsewhere, 1, 2).await;
    });
    assert_quick(&waited);
    let second: FeedReply = waited.json();
    assert_eq!(second.feed.len(), 1);

    let (waited, ()) = tokio::join!(central.feed(&other, &second.cursor, 20), async {
        central.until_somebody_waits().await;
        central.stopping.cancel();
    });
    assert_quick(&waited);
    let last: FeedReply = waited.json();
    assert!(last.feed.is_empty() && last.cursor == second.cursor);
    central.stopped().await;
}

#[tokio::test]
async fn a_ledger_that_fails_is_said_in_the_right_words() {
    let cases = [
        (
            LedgerError::Away("locked".into()),
            ProblemKind::Unavailable,
            Some("5"),
        ),
        (
            LedgerError::Full("disk".into()),
            ProblemKind::StoreFull,
            Some("60"),
        ),
        (
            LedgerError::Broken("row 7".into()),
            ProblemKind::Internal,
            None,
        ),
    ];
    for (fault, kind, retry_after) in cases {
        let central = Central::with(FaultyLedger::new(fault), small_bounds()).await;
        let answer = central.ask(Request::get("/readyz")).await;
        answer.assert_problem(kind, "readyz");
        assert_eq!(answer.header("retry-after"), retry_after);
        // What is inside central is for its own log.
        assert!(!answer.text().contains("row 7"));
        central.ask(Request::get("/livez")).await.assert_ok();
    }
    let central = Central::with(FaultyLedger::panicking(), small_bounds()).await;
    let answer = central.ask(Request::get("/readyz")).await;
    answer.assert_problem(ProblemKind::Internal, "a panic");
}

#[tokio::test]
async fn plain_http_is_for_this_machine_only() {
    let listener = tokio::net::TcpListener::bind("0.0.0.0:0").await.unwrap();
    let vault = std::sync::Arc::new(crate::vault::FsVault::new("nowhere".into(), 0));
    let refused = Server::with_stores(
        listener,
        FaultyLedger::panicking(),
        vault,
        central::open_door(),
        small_bounds(),
    );
    let Err(ServeError::NotLoopback(_)) = refused else {
        panic!("a listener that other machines reach was taken");
    };
}

#[tokio::test]
async fn neither_secrets_nor_what_people_wrote_are_logged() {
    let log = central::Log::capture();
    let central = Central::start().await;
    let mut agent = central.agent("LYN").await;
    agent.file(&["verysecretprinter"], 1);
    let body = body_of(&agent, 0, 1);
    central.post(&agent, body.clone()).await.assert_ok();
    let secret = Secret::from_bytes([0xAB; 32]);
    let key = rcgen::KeyPair::generate().unwrap();
    let guess = guarded::Guarded::enrolment(&secret, &key, None);
    let answer = central.ask(guess).await;
    answer.assert_problem(ProblemKind::UnknownToken, "a guess");
    let broken = String::from_utf8(body)
        .unwrap()
        .replace("\"seq\":0", "\"seq\":\"verysecretprinter\"");
    central
        .post(&agent, broken.into())
        .await
        .assert_problem(ProblemKind::Malformed, "broken");
    let log = log.text();
    assert!(
        log.contains("submission held") && log.contains("problem:malformed"),
        "{log}"
    );
    let secret = "ab".repeat(32);
    assert!(
        !log.to_lowercase().contains(&secret),
        "a secret is in the log"
    );
    assert!(
        !log.contains("verysecretprinter"),
        "what people wrote is in the log"
    );
}

/// Something that takes longer than any test should.
const TOO_LONG: Duration = Duration::from_secs(20);

fn chunk(bytes: &[u8]) -> Vec<u8> {
    let mut chunk = format!("{:x}\r\n", bytes.len()).into_bytes();
    chunk.extend_from_slice(bytes);
    chunk.extend_from_slice(b"\r\n");
    chunk
}

fn oversized() -> String {
    (SUBMISSION_BYTES + 1).to_string()
}

fn assert_quick(answer: &Answer) {
    assert!(answer.took < TOO_LONG / 2, "took {:?}", answer.took);
}
