//! P8: everything from outside has a bound, and is told so.

use std::io::Write;
use std::time::Duration;

use branchline_protocol::problem::ProblemKind;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::central::{Answer, Central, Request, small_bounds};
use super::faulty::FaultyLedger;
use super::{SUBMISSION_BYTES, assert_quick, body_of, chunk, oversized};
use crate::ingress::Bounds;
use crate::testing::TestAgent;

/// A request whose body is announced and does not come.
fn announcing(agent: &TestAgent, length: &str) -> Request {
    Request::submission(agent, Vec::new()).with("content-length", length)
}

async fn start_body(central: &Central, request: &Request) -> TcpStream {
    let mut connection = central.connect().await;
    connection.write_all(&request.bytes()).await.unwrap();
    connection
}

#[tokio::test]
async fn too_large_is_said_before_the_body_comes() {
    let central = Central::bounded(Bounds::default()).await;
    let agent = central.agent("LYN").await;
    let answer = central.ask(announcing(&agent, &oversized())).await;
    answer.assert_problem(ProblemKind::TooLarge, "announced");
    assert_quick(&answer);

    // Announced in no way, and without end: the answer comes while the sender still sends.
    let endless = Request::submission(&agent, Vec::new())
        .without("content-length")
        .with("transfer-encoding", "chunked");
    let mut connection = start_body(&central, &endless).await;
    let (mut reading, mut writing) = connection.split();
    let spaces = chunk(&vec![b' '; 64 * 1024]);
    let sending = async { while writing.write_all(&spaces).await.is_ok() {} };
    let answer = tokio::select! {
        answer = Answer::read(&mut reading) => answer,
        () = sending => panic!("cut off before the answer"),
    };
    answer.assert_problem(ProblemKind::TooLarge, "endless");
}

#[tokio::test]
async fn a_sender_that_does_not_listen_while_it_sends_gets_its_answer_too() {
    let central = Central::bounded(Bounds::default()).await;
    let agent = central.agent("LYN").await;
    let large = vec![b' '; 2 * SUBMISSION_BYTES];
    let cases = [
        (
            Request::submission(&agent, large.clone()),
            ProblemKind::TooLarge,
        ),
        (
            Request::submission(&agent, large.clone()).without("client-cert"),
            ProblemKind::Unauthenticated,
        ),
        (
            Request::submission(&agent, large).without("branchline-protocol"),
            ProblemKind::UnsupportedVersion,
        ),
    ];
    for (request, kind) in cases {
        let mut connection = start_body(&central, &request).await;
        Answer::read(&mut connection)
            .await
            .assert_problem(kind, "large");
    }
}

#[tokio::test]
async fn who_speaks_is_asked_before_the_body_comes() {
    let central = Central::bounded(Bounds::default()).await;
    let nobody = central.agent("LYN").await;
    let request = announcing(&nobody, "1000000").without("client-cert");
    let answer = central.ask(request).await;
    answer.assert_problem(ProblemKind::Unauthenticated, "nobody");
    assert_quick(&answer);
}

#[tokio::test]
async fn a_bomb_in_zstd_is_refused_in_bounded_memory() {
    let central = Central::bounded(Bounds {
        // Less than half of what any of them unpacks to.
        bodies_bytes: 4 * SUBMISSION_BYTES,
        ..small_bounds()
    })
    .await;
    let agent = central.agent("LYN").await;
    let spaces = vec![b' '; 16 * SUBMISSION_BYTES];
    let said = zstd::bulk::compress(&spaces, 3).unwrap();
    let mut unsaid = zstd::stream::write::Encoder::new(Vec::new(), 3).unwrap();
    unsaid.write_all(&spaces).unwrap();
    let unsaid = unsaid.finish().unwrap();
    let small = zstd::bulk::compress(&spaces[..SUBMISSION_BYTES / 2], 3).unwrap();
    let many = small.repeat(32);
    let mut lying = zstd::bulk::compress(&spaces[..1_000], 3).unwrap();
    lying.extend_from_slice(&unsaid);
    for (bomb, about) in [
        (said, "said"),
        (unsaid, "unsaid"),
        (many, "many"),
        (lying, "lying"),
    ] {
        assert!(bomb.len() < 100_000, "{about} is a bomb");
        let request = Request::submission(&agent, bomb).with("content-encoding", "zstd");
        central
            .ask(request)
            .await
            .assert_problem(ProblemKind::TooLarge, about);
    }
    let mut cut = zstd::bulk::compress(&body_of(&agent, 0, 0), 3).unwrap();
    cut.truncate(cut.len() - 3);
    let request = Request::submission(&agent, cut).with("content-encoding", "zstd");
    central
        .ask(request)
        .await
        .assert_problem(ProblemKind::Malformed, "cut off");
}

#[tokio::test]
async fn a_body_that_stands_still_or_crawls_is_given_up() {
    let central = Central::bounded(Bounds {
        body_total: 3 * super::TOO_LONG,
        ..small_bounds()
    })
    .await;
    let agent = central.agent("LYN").await;
    let mut standing = start_body(&central, &announcing(&agent, "1000")).await;
    standing.write_all(b"{").await.unwrap();
    let answer = Answer::read(&mut standing).await;
    answer.assert_problem(ProblemKind::TooSlow, "stands still");
    assert_quick(&answer);
    // One byte at a time, each well within the stall.
    let answer = drip(&central, &agent, b" ").await;
    answer.assert_problem(ProblemKind::TooSlow, "crawls");
    assert_quick(&answer);
}

#[tokio::test]
async fn a_body_that_moves_on_for_ever_is_given_up() {
    let central = Central::bounded(Bounds {
        body_stall: 3 * super::TOO_LONG,
        body_total: Duration::from_millis(300),
        ..small_bounds()
    })
    .await;
    let agent = central.agent("LYN").await;
    let answer = drip(&central, &agent, &[b' '; 1_500]).await;
    answer.assert_problem(ProblemKind::TooSlow, "without end");
    assert_quick(&answer);
}

/// Sends `drop` again and again as one body, until there is an answer.
async fn drip(central: &Central, agent: &TestAgent, drop: &[u8]) -> Answer {
    let mut connection = start_body(central, &announcing(agent, "2000000")).await;
    let (mut reading, mut writing) = connection.split();
    let sending = async {
        while writing.write_all(drop).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = sending => unreachable!("it only ends with the answer"),
        answer = Answer::read(&mut reading) => answer,
    }
}

#[tokio::test]
async fn bodies_under_way_share_a_bounded_memory() {
    let central = Central::bounded(Bounds {
        bodies_bytes: 128 * 1024,
        body_stall: Duration::from_secs(5),
        ..small_bounds()
    })
    .await;
    let mut agent = central.agent("LYN").await;
    agent
        .journal
        .push(format!("\"{}\"", "x".repeat(70_000)).into_bytes());
    let body = body_of(&agent, 0, 1);
    let (most, rest) = body.split_at(body.len() - 10);
    let length = body.len().to_string();
    // Two that do not fit together: whichever comes second is turned away, and the other goes on.
    let mut first = start_body(&central, &announcing(&agent, &length)).await;
    let mut second = start_body(&central, &announcing(&agent, &length)).await;
    first.write_all(most).await.unwrap();
    second.write_all(most).await.unwrap();
    let (busy, mut holding) = tokio::select! {
        answer = Answer::read(&mut first) => (answer, second),
        answer = Answer::read(&mut second) => (answer, first),
    };
    busy.assert_problem(ProblemKind::Busy, "no room");
    assert!(busy.header("retry-after").is_some());
    // A small one still fits.
    central
        .post(&agent, body_of(&agent, 0, 0))
        .await
        .assert_ok();
    holding.write_all(rest).await.unwrap();
    Answer::read(&mut holding).await.assert_ok();
    central.post(&agent, body).await.assert_ok();
}

#[tokio::test]
async fn a_submission_goes_on_when_its_sender_hangs_up() {
    let ledger = FaultyLedger::slow();
    let central = Central::with(ledger.clone(), small_bounds()).await;
    let agent = TestAgent::of(&FaultyLedger::slow_agent());
    let request = Request::submission(&agent, body_of(&agent, 0, 0));
    let connection = start_body(&central, &request).await;
    ledger.append_has_begun().await;
    drop(connection);
    // The server has seen the hang-up once it has answered a connection that was made after it.
    central.ask(Request::get("/livez")).await.assert_ok();
    ledger.let_append_end();
    tokio::time::timeout(super::TOO_LONG, ledger.append_has_ended())
        .await
        .unwrap();
}

#[tokio::test]
async fn headers_and_connections_are_bounded() {
    let central = Central::bounded(Bounds {
        connections: 2,
        headers_within: Duration::from_millis(300),
        ..small_bounds()
    })
    .await;
    let large = Request::get("/livez").with("x-large", &"x".repeat(64 * 1024));
    assert_eq!(central.ask(large).await.status, 431);
    // Two that never finish their headers, and one that waits until the first of them is cut off.
    let mut idle = [central.connect().await, central.connect().await];
    for connection in &mut idle {
        connection
            .write_all(b"GET /livez HTTP/1.1\r\n")
            .await
            .unwrap();
    }
    let answer = central.ask(Request::get("/livez")).await;
    answer.assert_ok();
    assert!(
        answer.took > Duration::from_millis(100),
        "{:?}: no bound",
        answer.took
    );
    for mut connection in idle {
        let mut rest = Vec::new();
        let _ = connection.read_to_end(&mut rest).await;
    }
}
