//! Live updates: none left out, none twice, and nobody who has left hears anything.

use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt, Stream, StreamExt};
use http::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async};

use super::{Ask, PASSWORD, World};
use crate::desk::read_model::ChangeView;
use crate::desk::{Bounds, Way, live};
use crate::ledger::{OperatorLedger, Role};

pub(super) type Socket = WebSocketStream<TcpStream>;

/// A desk that listens on loopback.
pub(super) struct Listening {
    pub(super) world: World,
    pub(super) address: std::net::SocketAddr,
}

impl Listening {
    async fn new() -> Self {
        Self::bounded(Bounds::default()).await
    }

    pub(super) async fn bounded(bounds: Bounds) -> Self {
        Self::at(World::within(Way::InsecureLoopback, bounds)).await
    }

    pub(super) async fn at(world: World) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (desk, tasks) = (world.desk.clone(), world.tasks.clone());
        world
            .tasks
            .spawn(async move { crate::desk::accept_until(desk, listener, &tasks).await });
        Self { world, address }
    }

    pub(super) async fn signed_in(&self, role: Role) -> String {
        self.world.add(role.as_str(), role).await;
        let body = json!({ "name": role.as_str(), "password": PASSWORD });
        let ask = Ask::new(Method::POST, "/desk/v1/session").json(&body);
        self.world
            .ask(ask.with("branchline-console", "1"))
            .await
            .cookie()
    }

    pub(super) async fn connect(
        &self,
        cookie: &str,
        origin: Option<&str>,
    ) -> Result<Socket, Error> {
        let url = format!("ws://{}/desk/v1/live", self.address);
        let mut request = url.into_client_request().unwrap();
        let headers = request.headers_mut();
        headers.insert("cookie", cookie.parse().unwrap());
        headers.insert(
            "sec-websocket-protocol",
            "graphql-transport-ws".parse().unwrap(),
        );
        if let Some(origin) = origin {
            headers.insert("origin", origin.parse().unwrap());
        }
        let stream = TcpStream::connect(self.address).await.unwrap();
        Self::open_on(stream, request).await
    }

    /// Over a stream of the test's making.
    pub(super) async fn open_on(
        stream: TcpStream,
        request: http::Request<()>,
    ) -> Result<Socket, Error> {
        Ok(client_async(request, stream).await?.0)
    }

    /// A console that watches from behind this position on.
    pub(super) async fn watch(&self, cookie: &str, after: Option<u64>) -> Socket {
        let origin = format!("http://{}", self.address);
        let mut socket = self.connect(cookie, Some(&origin)).await.unwrap();
        say(&mut socket, &json!({ "type": "connection_init" })).await;
        assert_eq!(heard(&mut socket).await.unwrap()["type"], "connection_ack");
        let after = after.map_or_else(|| "null".to_owned(), |after| after.to_string());
        let query = format!(
            "subscription {{ changes(after: {after}) {{ position kind number ticket {{ subject }} }} }}"
        );
        say(
            &mut socket,
            &json!({ "type": "subscribe", "id": "1", "payload": { "query": query } }),
        )
        .await;
        socket
    }
}

pub(super) async fn say(socket: &mut Socket, message: &Value) {
    socket
        .send(Message::Text(message.to_string().into()))
        .await
        .unwrap();
}

/// The next message; `None` where the connection has ended.
pub(super) async fn heard(socket: &mut Socket) -> Option<Value> {
    let next = async {
        loop {
            match socket.next().await? {
                Ok(Message::Text(text)) => return Some(serde_json::from_str(&text).unwrap()),
                Ok(Message::Close(frame)) => {
                    return frame.map(|frame| json!({ "closed": u16::from(frame.code) }));
                }
                Ok(_) => {}
                Err(_) => return None,
            }
        }
    };
    let next = tokio::time::timeout(Duration::from_secs(60), next).await;
    next.expect("in time")
}

pub(super) async fn change(socket: &mut Socket) -> Value {
    let heard = heard(socket).await.unwrap();
    assert_eq!(heard["type"], "next", "{heard}");
    heard["payload"]["data"]["changes"].clone()
}

fn position(change: &Value) -> u64 {
    let position = change["position"].as_f64().unwrap();
    // A whole number is written without its point.
    position.to_string().parse().unwrap()
}

#[tokio::test]
async fn a_console_that_comes_back_misses_nothing_and_hears_nothing_twice() {
    let desk = Listening::new().await;
    let cookie = desk.signed_in(Role::Viewer).await;
    let mut agent = desk.world.filed("LYN", &["one"]).await;
    let mut first = desk.watch(&cookie, Some(0)).await;
    let mut seen = vec![change(&mut first).await];
    assert_eq!(seen[0]["ticket"]["subject"], "About one");
    let mut word = 1;
    let mut file = async |agent: &mut crate::testing::TestAgent| {
        let from = agent.journal.len();
        word += 1;
        agent.file(&[&format!("word {word}")], word);
        agent
            .submit(desk.world.ledger.as_ref(), from, from + 1)
            .await;
        desk.world.desk.model.news().notify_one();
    };
    for _ in 0..5 {
        file(&mut agent).await;
        seen.push(change(&mut first).await);
    }
    drop(first);
    for _ in 0..20 {
        file(&mut agent).await;
    }
    let after = position(seen.last().unwrap());
    let mut again = desk.watch(&cookie, Some(after)).await;
    while seen.len() < 26 {
        seen.push(change(&mut again).await);
    }
    let numbers: Vec<&str> = seen.iter().map(|c| c["number"].as_str().unwrap()).collect();
    let expected: Vec<String> = (1..=26).map(|n| format!("LYN-{n:06}")).collect();
    assert_eq!(numbers, expected);
}

/// The positions of so many changes more.
async fn told<E: std::fmt::Debug>(
    watching: &mut (impl Stream<Item = Result<Arc<ChangeView>, E>> + Unpin),
    count: usize,
) -> Vec<u64> {
    let telling = watching.take(count).map(|change| change.unwrap().position);
    let told = tokio::time::timeout(Duration::from_secs(60), telling.collect()).await;
    told.expect("in time")
}

#[tokio::test]
async fn whoever_was_away_for_longer_than_is_kept_is_told_from_the_read_model() {
    let world = World::new();
    let words: Vec<String> = (0..350).map(|index| format!("t{index}")).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let mut agent = world.filed("LYN", &words[..300]).await;
    let from_memory = told(
        &mut Box::pin(live::follow(world.desk.clone(), Some(0))),
        300,
    )
    .await;
    // As after a start: nothing of before is in memory.
    let position = world.desk.model.freshness().borrow().position;
    world.desk.live.begin_again(position);
    let mut late = Box::pin(live::follow(world.desk.clone(), Some(0)));
    let mut positions = told(&mut late, 120).await;
    agent.file(&words[300..], 301);
    agent.submit(world.ledger.as_ref(), 300, 350).await;
    world.caught_up().await;
    // The rest of what is not in memory, and then what is.
    positions.extend(told(&mut late, 230).await);
    assert_eq!(positions[..300], from_memory);
    assert!(
        positions.windows(2).all(|pair| pair[0] < pair[1]),
        "{positions:?}"
    );
    let mut unknown = Box::pin(live::follow(world.desk.clone(), Some(1_000_000)));
    let said = tokio::time::timeout(Duration::from_secs(60), unknown.next()).await;
    let said = said.expect("in time").unwrap().unwrap_err();
    assert!(said.detail().contains("load again"), "{said:?}");
    assert!(unknown.next().await.is_none());
}

#[tokio::test]
async fn a_session_that_ends_takes_its_connections_along() {
    let desk = Listening::new().await;
    let support = desk.signed_in(Role::Support).await;
    let admin = desk.signed_in(Role::Administrator).await;
    let mut socket = desk.watch(&support, None).await;
    let mut others = desk.watch(&admin, None).await;
    let gone = Ask::new(Method::DELETE, "/desk/v1/operators/support").with("cookie", &admin);
    let gone = desk.world.ask(gone.with("branchline-console", "1")).await;
    assert_eq!(gone.status, StatusCode::NO_CONTENT);
    assert_eq!(heard(&mut socket).await, Some(json!({ "closed": 4401 })));
    // Also where another process has done it.
    let name = "second".parse().unwrap();
    desk.world.add("second", Role::Administrator).await;
    desk.world
        .ledger
        .remove_operator("administrator".parse().unwrap(), super::deed())
        .await
        .unwrap();
    assert_eq!(heard(&mut others).await, Some(json!({ "closed": 4401 })));
    assert!(desk.world.ledger.operator(name).await.unwrap().is_some());
}

#[tokio::test]
async fn no_other_site_can_listen_in_and_no_console_can_open_without_end() {
    let desk = Listening::new().await;
    let cookie = desk.signed_in(Role::Viewer).await;
    let own = format!("http://{}", desk.address);
    for origin in [None, Some("https://evil.example"), Some("null")] {
        let Err(Error::Http(refused)) = desk.connect(&cookie, origin).await else {
            panic!("{origin:?} was let in");
        };
        assert_eq!(refused.status(), StatusCode::FORBIDDEN);
    }
    let Err(Error::Http(nobody)) = desk.connect("x=y", Some(&own)).await else {
        panic!("nobody was let in");
    };
    assert_eq!(nobody.status(), StatusCode::UNAUTHORIZED);
    let mut open = Vec::new();
    let refused = loop {
        match desk.connect(&cookie, Some(&own)).await {
            Ok(socket) => open.push(socket),
            Err(Error::Http(refused)) => break refused.status(),
            Err(other) => panic!("{other}"),
        }
        assert!(open.len() <= 32, "no bound");
    };
    assert_eq!((open.len(), refused), (32, StatusCode::SERVICE_UNAVAILABLE));
    drop(open);
    // One connection does not begin subscriptions without end either.
    let mut socket = desk.watch(&cookie, None).await;
    for id in 2..40 {
        let payload = json!({ "query": "subscription { changes { position } }" });
        let message = json!({ "type": "subscribe", "id": id.to_string(), "payload": payload });
        if socket
            .send(Message::Text(message.to_string().into()))
            .await
            .is_err()
        {
            break;
        }
    }
    assert_eq!(heard(&mut socket).await, Some(json!({ "closed": 4429 })));
}

#[tokio::test]
async fn p2_consoles_are_told_to_load_again_when_the_ledger_was_restored() {
    let world = World::new();
    world.filed("LYN", &["one", "two"]).await;
    let position = world.desk.model.freshness().borrow().position;
    let mut stream = Box::pin(live::follow(world.desk.clone(), None));
    let mut next = Box::pin(stream.next());
    assert!(futures_util::poll!(&mut next).is_pending());
    // What stands at the same position is another event now.
    world.desk.live.begin_again(position);
    let said = tokio::time::timeout(Duration::from_secs(60), next).await;
    let said = said.expect("in time").unwrap().unwrap_err();
    assert!(said.detail().contains("load again"), "{said:?}");
}

#[test]
fn p8_what_is_watched_costs_no_more_than_what_is_asked() {
    super::questions::within_a_minute(watching_too_much);
}

async fn watching_too_much() {
    let desk = Listening::new().await;
    let cookie = desk.signed_in(Role::Viewer).await;
    let mut socket = desk.watch(&cookie, None).await;
    let mut bomb = String::from("subscription { ...f0 }");
    for index in 0..12 {
        let next = format!("...f{} ", index + 1).repeat(50);
        write!(bomb, " fragment f{index} on Subscription {{ {next}}}").unwrap();
    }
    bomb += " fragment f12 on Subscription { changes { position } }";
    for (id, query) in [("2", bomb), ("3", "subscription { changes ".repeat(2_000))] {
        let payload = json!({ "query": query });
        let message = json!({ "type": "subscribe", "id": id, "payload": payload });
        say(&mut socket, &message).await;
        let said = loop {
            let said = heard(&mut socket).await.unwrap();
            if said["id"] == id {
                break said.to_string();
            }
        };
        assert!(said.contains("too-large"), "{said}");
    }
}
