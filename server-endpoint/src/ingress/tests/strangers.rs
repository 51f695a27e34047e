//! P8: whoever has proved nothing takes little, and never the places of those who have.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::TOO_LONG;
use super::central::{Request, small_bounds};
use super::guarded::{Guarded, ask_on};
use crate::ingress::{Bounds, Way};

fn feed() -> Request {
    Request::bare("GET", "/v1/feed?after=&wait=0", Vec::new()).without("connection")
}

/// Waits until central has closed it.
async fn assert_closed(connection: &mut TcpStream) {
    let mut rest = Vec::new();
    let ended = tokio::time::timeout(TOO_LONG, connection.read_to_end(&mut rest)).await;
    // A reset is an end, too.
    let _ = ended.expect("the connection stays");
}

async fn bounded(bounds: Bounds) -> Guarded {
    Guarded::with(Way::Tls, bounds).await
}

#[tokio::test]
async fn half_a_handshake_is_given_up() {
    let central = bounded(Bounds {
        handshake_within: Duration::from_millis(200),
        ..small_bounds()
    })
    .await;
    // Nothing at all; the beginning of a record; a record that is none; plain HTTP.
    let beginnings: [&[u8]; 4] = [
        b"",
        b"\x16\x03\x01\x02\x00\x01\x00",
        &[0xff; 600],
        b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n",
    ];
    for beginning in beginnings {
        let mut connection = central.central.connect().await;
        connection.write_all(beginning).await.unwrap();
        assert_closed(&mut connection).await;
    }
}

#[tokio::test]
async fn strangers_that_hold_on_give_way_to_newcomers() {
    let central = bounded(Bounds {
        strangers: 8,
        strangers_of_address: 8,
        handshake_within: 3 * TOO_LONG,
        headers_within: 3 * TOO_LONG,
        stranger_total: 3 * TOO_LONG,
        ..small_bounds()
    })
    .await;
    let joined = central.join("LYN").await;
    let mut working = central.connect(Some(&joined.identity)).await.unwrap();
    ask_on(&mut working, &feed()).await.unwrap().assert_ok();
    // Many times as many as there is room for: half handshakes, and whole ones that say nothing.
    let mut silent = Vec::new();
    let mut shaken = Vec::new();
    for _ in 0..20 {
        silent.push(central.central.connect().await);
        shaken.push(central.connect(None).await.unwrap());
        // Whoever has a certificate always gets through, on the old connection and on a new one.
        ask_on(&mut working, &feed()).await.unwrap().assert_ok();
        central
            .ask(Some(&joined.identity), feed())
            .await
            .assert_ok();
    }
    for connection in silent.iter_mut().take(12) {
        assert_closed(connection).await;
    }
    for connection in shaken.iter_mut().take(12) {
        assert_closed(connection.get_mut().0).await;
    }
    ask_on(&mut working, &feed()).await.unwrap().assert_ok();
}

#[tokio::test]
async fn a_stranger_may_not_stay_however_busy_it_is() {
    let central = bounded(Bounds {
        stranger_total: Duration::from_millis(300),
        ..small_bounds()
    })
    .await;
    let mut connection = central.connect(None).await.unwrap();
    let live = Request::get("/livez").without("connection");
    let asking = async { while ask_on(&mut connection, &live).await.is_ok() {} };
    tokio::time::timeout(TOO_LONG, asking)
        .await
        .expect("it stays");
}

#[tokio::test]
async fn places_of_agents_are_bounded_and_the_oldest_connection_of_one_gives_way() {
    let central = bounded(Bounds {
        agent_connections: 3,
        headers_within: 3 * TOO_LONG,
        ..small_bounds()
    })
    .await;
    let [joined, other] = [central.join("LYN").await, central.join("PAR").await];
    let mut others = central.connect(Some(&other.identity)).await.unwrap();
    ask_on(&mut others, &feed()).await.unwrap().assert_ok();
    let mut all = Vec::new();
    for _ in 0..6 {
        let mut connection = central.connect(Some(&joined.identity)).await.unwrap();
        ask_on(&mut connection, &feed()).await.unwrap().assert_ok();
        all.push(connection);
    }
    for connection in all.iter_mut().take(3) {
        assert_closed(connection.get_mut().0).await;
    }
    for connection in all.iter_mut().skip(3) {
        ask_on(connection, &feed()).await.unwrap().assert_ok();
    }
    ask_on(&mut others, &feed()).await.unwrap().assert_ok();
}

#[tokio::test]
async fn an_agent_waits_for_a_place_and_gets_it() {
    let central = bounded(Bounds {
        connections: 1,
        headers_within: TOO_LONG,
        ..small_bounds()
    })
    .await;
    let [joined, other] = [central.join("LYN").await, central.join("PAR").await];
    let mut first = central.connect(Some(&joined.identity)).await.unwrap();
    ask_on(&mut first, &feed()).await.unwrap().assert_ok();
    let waiting = central.ask(Some(&other.identity), feed());
    let mut waiting = std::pin::pin!(waiting);
    let early = tokio::time::timeout(Duration::from_millis(200), waiting.as_mut()).await;
    assert!(early.is_err(), "there was no place");
    drop(first);
    let answer = tokio::time::timeout(TOO_LONG, waiting).await;
    answer.expect("never a place").assert_ok();
}

#[tokio::test]
async fn oversized_headers_are_refused_over_tls() {
    let central = Guarded::start().await;
    let joined = central.join("LYN").await;
    let large = feed().with("x-large", &"x".repeat(64 * 1024));
    let answer = central.ask(Some(&joined.identity), large).await;
    assert_eq!(answer.status, 431);
    let mut many = feed();
    for number in 0..70 {
        many = many.with(&format!("x-{number}"), "1");
    }
    let answer = central.ask(Some(&joined.identity), many).await;
    assert_eq!(answer.status, 431);
}
