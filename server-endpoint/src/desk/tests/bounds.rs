//! What the desk's listener allows, on real sockets (P8): connections, headers, bodies, and peers that take
//! nothing.

use std::time::Duration;

use http::Method;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

use super::live::{Listening, change, heard, say};
use super::{Ask, PASSWORD, World};
use crate::desk::{Bounds, Way};
use crate::ledger::Role;

/// No test waits for longer.
const PATIENCE: Duration = Duration::from_secs(60);
const ALIVE: &str = "GET /livez HTTP/1.1\r\nhost: x\r\n\r\n";

async fn connect(desk: &Listening) -> TcpStream {
    TcpStream::connect(desk.address).await.unwrap()
}

/// The first line of what is answered; empty where the connection ends instead.
async fn answer(stream: &mut TcpStream, request: &str) -> String {
    // A peer that has been cut off may hear so while it speaks.
    let _ = stream.write_all(request.as_bytes()).await;
    let mut said = Vec::new();
    let mut part = [0; 4_096];
    loop {
        let read = tokio::time::timeout(PATIENCE, stream.read(&mut part)).await;
        match read.expect("in time") {
            Ok(0) | Err(_) => return String::new(),
            Ok(count) => said.extend_from_slice(&part[..count]),
        }
        let text = String::from_utf8_lossy(&said);
        if let Some((line, _)) = text.split_once("\r\n") {
            return line.to_owned();
        }
    }
}

#[tokio::test]
async fn p8_beyond_the_connections_that_are_allowed_one_waits_and_is_answered_when_another_goes() {
    let bounds = Bounds {
        connections: 3,
        ..Bounds::default()
    };
    let desk = Listening::bounded(bounds).await;
    let mut first = Vec::new();
    for _ in 0..3 {
        let mut stream = connect(&desk).await;
        assert_eq!(answer(&mut stream, ALIVE).await, "HTTP/1.1 200 OK");
        first.push(stream);
    }
    let mut waiting = connect(&desk).await;
    waiting.write_all(ALIVE.as_bytes()).await.unwrap();
    // Those that are in go on being answered, and nothing was read of the one that is not.
    for stream in &mut first {
        assert_eq!(answer(stream, ALIVE).await, "HTTP/1.1 200 OK");
    }
    let mut byte = [0; 1];
    let nothing = waiting.try_read(&mut byte).unwrap_err();
    assert_eq!(nothing.kind(), std::io::ErrorKind::WouldBlock);
    drop(first.pop());
    assert_eq!(answer(&mut waiting, "").await, "HTTP/1.1 200 OK");
}

#[tokio::test]
async fn p8_one_address_does_not_take_all_connections() {
    let bounds = Bounds {
        connections_of_address: 2,
        ..Bounds::default()
    };
    let desk = Listening::bounded(bounds).await;
    let mut held = Vec::new();
    for _ in 0..2 {
        let mut stream = connect(&desk).await;
        assert_eq!(answer(&mut stream, ALIVE).await, "HTTP/1.1 200 OK");
        held.push(stream);
    }
    let mut third = connect(&desk).await;
    assert_eq!(answer(&mut third, ALIVE).await, "");
    drop(held.pop());
    let again = async {
        loop {
            let mut stream = connect(&desk).await;
            if answer(&mut stream, ALIVE).await == "HTTP/1.1 200 OK" {
                return;
            }
        }
    };
    tokio::time::timeout(PATIENCE, again)
        .await
        .expect("a place");
}

#[tokio::test]
async fn p8_headers_and_bodies_have_a_size_and_a_time() {
    let bounds = Bounds {
        headers_within: Duration::from_millis(200),
        ..Bounds::default()
    };
    let desk = Listening::bounded(bounds).await;
    let too_long = format!(
        "GET /livez HTTP/1.1\r\nhost: x\r\nx: {}\r\n\r\n",
        "y".repeat(64 << 10)
    );
    let mut many = "GET /livez HTTP/1.1\r\nhost: x\r\n".to_owned();
    for number in 0..100 {
        many.extend(["x-", &number.to_string(), ": y\r\n"]);
    }
    many += "\r\n";
    for request in [too_long, many] {
        let said = answer(&mut connect(&desk).await, &request).await;
        assert!(
            said.is_empty() || said.starts_with("HTTP/1.1 431"),
            "{said}"
        );
    }
    // Headers that do not come to an end, and a connection that asks for nothing more.
    let mut slow = connect(&desk).await;
    assert_eq!(answer(&mut slow, "GET /livez HTTP/1.1\r\nhost:").await, "");
    let mut idle = connect(&desk).await;
    assert_eq!(answer(&mut idle, ALIVE).await, "HTTP/1.1 200 OK");
    let mut rest = Vec::new();
    let closed = tokio::time::timeout(PATIENCE, idle.read_to_end(&mut rest)).await;
    closed.expect("in time").unwrap();
    // Of a body that says that it is too large, and of one that does not say it and is.
    let cookie = desk.signed_in(Role::Viewer).await;
    let head = format!(
        "POST /desk/v1/graphql HTTP/1.1\r\nhost: x\r\ncookie: {cookie}\r\nbranchline-console: 1\r\n\
         content-type: application/json\r\n"
    );
    let said = format!("{head}content-length: 10000000\r\n\r\n");
    let said = answer(&mut connect(&desk).await, &said).await;
    assert!(said.starts_with("HTTP/1.1 413"), "{said}");
    let piece = format!("10000\r\n{}\r\n", " ".repeat(0x10000));
    let chunked = format!(
        "{head}transfer-encoding: chunked\r\n\r\n{}0\r\n\r\n",
        piece.repeat(8)
    );
    let said = answer(&mut connect(&desk).await, &chunked).await;
    assert!(said.starts_with("HTTP/1.1 413"), "{said}");
}

#[tokio::test]
async fn p8_a_handshake_that_goes_nowhere_ends() {
    let bounds = Bounds {
        handshake_within: Duration::from_millis(100),
        ..Bounds::default()
    };
    let way = Way::Tls(crate::testing::authority().desk_config());
    let world = World::within(way, bounds);
    let desk = Listening::at(world).await;
    let mut stream = connect(&desk).await;
    let mut rest = Vec::new();
    let closed = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut rest)).await;
    assert!(matches!(closed.expect("in time"), Ok(0) | Err(_)));
}

/// Fields of one change, many times over: something that fills what lies between two programs.
fn wordy() -> String {
    let fields: Vec<String> = (0..60)
        .map(|n| format!("a{n}: ticket {{ subject number }}"))
        .collect();
    let fields = fields.join(" ");
    format!("subscription {{ changes(after: 0) {{ position {fields} }} }}")
}

#[tokio::test]
async fn p8_a_console_that_takes_nothing_is_cut_and_the_others_hear_all() {
    let bounds = Bounds {
        write_stall: Duration::from_millis(300),
        ..Bounds::default()
    };
    let desk = Listening::bounded(bounds).await;
    let cookie = desk.signed_in(Role::Viewer).await;
    let mut taking = desk.watch(&cookie, Some(0)).await;
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4_096).unwrap();
    let stream = socket.connect(desk.address).await.unwrap();
    let url = format!("ws://{}/desk/v1/live", desk.address);
    let mut request = url.into_client_request().unwrap();
    for (name, value) in [
        ("cookie", cookie.clone()),
        ("sec-websocket-protocol", "graphql-transport-ws".to_owned()),
        ("origin", format!("http://{}", desk.address)),
    ] {
        request.headers_mut().insert(name, value.parse().unwrap());
    }
    let mut stuck = Listening::open_on(stream, request).await.unwrap();
    say(&mut stuck, &json!({ "type": "connection_init" })).await;
    assert_eq!(heard(&mut stuck).await.unwrap()["type"], "connection_ack");
    let payload = json!({ "query": wordy() });
    say(
        &mut stuck,
        &json!({ "type": "subscribe", "id": "1", "payload": payload }),
    )
    .await;
    assert_eq!(desk.world.desk.live.sockets.count(), 2);
    // Several MiB for each of them.
    let words: Vec<String> = (0..2_000)
        .map(|n| format!("{n} {}", "word ".repeat(20)))
        .collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let filing = desk.world.filed("LYN", &words);
    let hearing = async {
        for n in 1..=2_000 {
            let change = change(&mut taking).await;
            assert_eq!(change["number"], format!("LYN-{n:06}"));
        }
    };
    tokio::join!(filing, hearing);
    let cut = async {
        while desk.world.desk.live.sockets.count() > 1 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, cut)
        .await
        .expect("it is cut");
    drop(stuck);
}

#[tokio::test]
async fn two_hundred_consoles_over_real_sockets_hear_of_each_ticket_once() {
    // The machine of a test may be slow; what is shown here is not how fast it is.
    let bounds = Bounds {
        turn_within: PATIENCE,
        request_within: PATIENCE,
        proof_within: PATIENCE,
        ..Bounds::default()
    };
    let desk = Listening::bounded(bounds).await;
    let mut consoles = Vec::new();
    for number in 0..8 {
        let name = format!("viewer{number}");
        desk.world.add(&name, Role::Viewer).await;
        let body = json!({ "name": name, "password": PASSWORD });
        let ask = Ask::new(Method::POST, "/desk/v1/session").json(&body);
        let answer = desk.world.ask(ask.with("branchline-console", "1")).await;
        for _ in 0..25 {
            consoles.push(desk.watch(&answer.cookie(), Some(0)).await);
        }
    }
    assert_eq!(desk.world.desk.live.sockets.count(), 200);
    let mut agent = desk.world.filed("LYN", &["one", "two", "three"]).await;
    agent.file(&["four"], 4);
    agent.submit(desk.world.ledger.as_ref(), 3, 4).await;
    desk.world.caught_up().await;
    for console in &mut consoles {
        for n in 1..=4 {
            assert_eq!(change(console).await["number"], format!("LYN-{n:06}"));
        }
    }
}
