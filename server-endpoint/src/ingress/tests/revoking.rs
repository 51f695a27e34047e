//! What a revoked agent has open ends, whether it asks for anything or not.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use branchline_protocol::exchange::FeedReply;
use branchline_protocol::problem::ProblemKind;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::TOO_LONG;
use super::central::{Answer, Request, small_bounds};
use super::guarded::{Guarded, Joined, PROXY, ask_on, deed};
use crate::ingress::{Bounds, Way};
use crate::ledger::IdentityLedger;
use crate::ledger::sqlite::SqliteLedger;

fn feed(wait: u64) -> Request {
    let path = format!("/v1/feed?after=&wait={wait}");
    Request::bare("GET", &path, Vec::new()).without("connection")
}

/// By another process, as the command line is one.
async fn revoke(central: &Guarded, joined: &Joined) {
    let elsewhere = SqliteLedger::open(&central.central.path).unwrap();
    let by = deed("agent-revoked");
    assert!(elsewhere.revoke_agent(joined.id(), by).await.unwrap());
}

/// Bounds with which nothing but a revocation ends a connection within a test.
async fn patient() -> Guarded {
    Guarded::with(
        Way::Tls,
        Bounds {
            headers_within: 3 * TOO_LONG,
            stranger_total: 3 * TOO_LONG,
            ..small_bounds()
        },
    )
    .await
}

#[tokio::test]
async fn an_idle_connection_ends() {
    let central = patient().await;
    let [joined, other] = [central.join("LYN").await, central.join("LYN").await];
    let mut idle = central.connect(Some(&joined.identity)).await.unwrap();
    let mut others = central.connect(Some(&other.identity)).await.unwrap();
    ask_on(&mut idle, &feed(0)).await.unwrap().assert_ok();
    ask_on(&mut others, &feed(0)).await.unwrap().assert_ok();
    revoke(&central, &joined).await;
    let mut rest = Vec::new();
    let ended = tokio::time::timeout(TOO_LONG, idle.read_to_end(&mut rest)).await;
    ended.expect("the connection stays").unwrap();
    assert!(rest.is_empty());
    ask_on(&mut others, &feed(0)).await.unwrap().assert_ok();
}

#[tokio::test]
async fn a_held_feed_ends_and_says_why() {
    let central = patient().await;
    let joined = central.join("LYN").await;
    let mut waiting = central.connect(Some(&joined.identity)).await.unwrap();
    waiting.write_all(&feed(25).bytes()).await.unwrap();
    central.central.until_somebody_waits().await;
    revoke(&central, &joined).await;
    let answer = Answer::read(&mut waiting).await;
    answer.assert_problem(ProblemKind::Revoked, "held");
    assert!(answer.took < TOO_LONG, "{:?}", answer.took);
}

#[tokio::test]
async fn a_feed_held_through_a_proxy_ends_and_others_on_that_connection_do_not() {
    let central = patient().await;
    let proxy = central.proxy(PROXY);
    let [joined, other] = [central.join("LYN").await, central.join("LYN").await];
    let field = |joined: &Joined| format!(":{}:", STANDARD.encode(joined.identity.leaf()));
    let mut connection = central.connect(Some(&proxy)).await.unwrap();
    let request = feed(25).with("client-cert", &field(&joined));
    connection.write_all(&request.bytes()).await.unwrap();
    central.central.until_somebody_waits().await;
    revoke(&central, &joined).await;
    let answer = Answer::read(&mut connection).await;
    answer.assert_problem(ProblemKind::Revoked, "held");
    assert!(answer.took < TOO_LONG, "{:?}", answer.took);
    let request = feed(0).with("client-cert", &field(&other));
    ask_on(&mut connection, &request).await.unwrap().assert_ok();
}

#[tokio::test]
async fn p8_an_agents_oldest_feed_is_answered_when_it_holds_too_many() {
    let central = Guarded::with(
        Way::Tls,
        Bounds {
            agent_feeds: 1,
            headers_within: 3 * TOO_LONG,
            ..small_bounds()
        },
    )
    .await;
    let joined = central.join("LYN").await;
    let mut first = central.connect(Some(&joined.identity)).await.unwrap();
    first.write_all(&feed(25).bytes()).await.unwrap();
    central.central.until_somebody_waits().await;
    let mut second = central.connect(Some(&joined.identity)).await.unwrap();
    second.write_all(&feed(25).bytes()).await.unwrap();
    let answer = Answer::read(&mut first).await;
    let reply: FeedReply = answer.json();
    assert!(reply.feed.is_empty() && answer.took < Duration::from_secs(20));
}
