//! Everything that is not a success is a problem document of the right kind.

use branchline_protocol::id::AgentId;
use branchline_protocol::limits::SUBMISSION_OPERATIONS;
use branchline_protocol::problem::ProblemKind;

use super::body_of;
use super::central::{Central, Request};

/// Nothing may be refused with an effect.
async fn assert_refused(central: &Central, cases: Vec<(Request, ProblemKind)>) {
    for (request, kind) in cases {
        let shown = request.shown();
        let answer = central.ask(request).await;
        answer.assert_problem(kind, &shown);
        assert_eq!(answer.header("branchline-protocol"), Some("1"), "{shown}");
        assert!(answer.header("x-request-id").is_some(), "{shown}");
        let asks_who = answer.header("www-authenticate").is_some();
        assert_eq!(asks_who, kind.status() == 401, "{shown}");
    }
    assert_eq!(central.ledger.news(None).await.unwrap().through, 0);
}

#[tokio::test]
async fn routes_versions_and_credentials() {
    let central = Central::start().await;
    let agent = central.agent("LYN").await;
    let mut stranger = agent.clone();
    stranger.id = AgentId::from_bytes([7; 16]);
    let get = |path: &str| Request::get(path).from(&agent);
    let good = || Request::submission(&agent, body_of(&agent, 0, 0));
    let version = "branchline-protocol";
    let who = "client-cert";
    // Bent, and still base64: the last group has bits that must be zero.
    let passed_on = agent.passed_on();
    let (most, last_group) = passed_on.split_at(passed_on.len() - 5);
    let lower = most.to_lowercase() + last_group;
    let cases = vec![
        (get("/v1/nothing"), ProblemKind::NotFound),
        (get("/v2/operations"), ProblemKind::NotFound),
        (Request::get("/"), ProblemKind::NotFound),
        (get("/v1/operations"), ProblemKind::MethodNotAllowed),
        (good().without(version), ProblemKind::UnsupportedVersion),
        (good().with(version, "2"), ProblemKind::UnsupportedVersion),
        (good().with(version, ""), ProblemKind::UnsupportedVersion),
        (
            get("/v1/feed").without(version),
            ProblemKind::UnsupportedVersion,
        ),
        (good().without(who), ProblemKind::Unauthenticated),
        (good().with(who, "Basic eDp5"), ProblemKind::Malformed),
        (good().with(who, ":AQID:"), ProblemKind::Unauthenticated),
        (good().with(who, &lower), ProblemKind::Unauthenticated),
        (
            Request::submission(&stranger, vec![]),
            ProblemKind::UnknownAgent,
        ),
    ];
    assert_refused(&central, cases).await;
}

#[tokio::test]
async fn bodies_that_are_no_submission() {
    let central = Central::start().await;
    let mut agent = central.agent("LYN").await;
    let whole = String::from_utf8(body_of(&agent, 0, 0)).unwrap();
    let with_body = |body: &[u8]| Request::submission(&agent, body.to_vec());
    let good = || with_body(whole.as_bytes());
    let replaced = |from: &str, to: &str| {
        assert!(whole.contains(from));
        (
            with_body(whole.replacen(from, to, 1).as_bytes()),
            ProblemKind::Malformed,
        )
    };
    let (media, encoding) = ("content-type", "content-encoding");
    let mut cases = vec![
        (good().without(media), ProblemKind::UnsupportedMedia),
        (
            good().with(media, "text/plain"),
            ProblemKind::UnsupportedMedia,
        ),
        (good().with(encoding, "gzip"), ProblemKind::UnsupportedMedia),
        (
            good().with(encoding, "zstd, zstd"),
            ProblemKind::UnsupportedMedia,
        ),
        (good().with(encoding, "zstd"), ProblemKind::Malformed),
        replaced("\"stream\":\"", "\"stream\":\"x"),
        replaced("\"seq\":0", "\"seq\":-1"),
        replaced("\"seq\":0", "\"seq\":0.5"),
        replaced("\"operations\":[", "\"operations\":[{]"),
        replaced("\"operations\":[]", "\"operations\":{}"),
        replaced("\"operations\":[]", "\"operation\":[]"),
        replaced("\"health\"", "\"wealth\""),
        replaced("\"waiting\":0", "\"waiting\":\"0\""),
    ];
    for body in [
        &b""[..],
        b"{\"stream\":",
        b"[]",
        b"null",
        b"\xff{}",
        b"\xef\xbb\xbf{}",
        b"{}{}",
    ] {
        cases.push((with_body(body), ProblemKind::Malformed));
    }
    assert_refused(&central, cases).await;
    // The place of the fault is said.
    let answer = central.ask(with_body(b"{\n  \"stream\": 7}")).await;
    assert!(answer.text().contains("line 2"), "{}", answer.text());
    let answer = central.ask(with_body(b"{\"a\":\"\xff\"}")).await;
    assert!(answer.text().contains("byte 6"), "{}", answer.text());

    let far_ahead = whole.replacen("\"seq\":0", "\"seq\":18446744073709551615", 1);
    agent.journal = vec![b"1".to_vec(); SUBMISSION_OPERATIONS + 1];
    let many = Request::submission(&agent, body_of(&agent, 0, SUBMISSION_OPERATIONS + 1));
    let cases = vec![
        (
            Request::submission(&agent, far_ahead.into_bytes()),
            ProblemKind::Gap,
        ),
        (many, ProblemKind::TooLarge),
    ];
    assert_refused(&central, cases).await;
}

#[tokio::test]
async fn queries_that_are_none() {
    let central = Central::start().await;
    let agent = central.agent("LYN").await;
    let feed = |query: &str| Request::get(&format!("/v1/feed?{query}")).from(&agent);
    let cases = [
        "wait=soon",
        "wait=-1",
        "wait=1.5",
        "wait=99999999999999999999",
        "wait=1&wait=2",
    ]
    .map(|query| (feed(query), ProblemKind::Malformed));
    assert_refused(&central, cases.into()).await;
    // A cursor that was never given out starts over rather than standing still.
    let reply: branchline_protocol::exchange::FeedReply =
        central.feed(&agent, "%FF%00nonsense", 20).await.json();
    assert!(reply.rewound && reply.cursor.is_empty());
}
