//! The desk as its callers see it: a desk on a ledger of its own, asked without a network.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use branchline_protocol::time::UnixMillis;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::Service;

use super::listener::Peer;
use super::read_model::ReadModel;
use super::{Bounds, Desk, Enrolling, Surroundings, Watched, Way};
use crate::authority::operators::passwords;
use crate::authority::operators::secret::Bearer;
use crate::ledger::sqlite::SqliteLedger;
use crate::ledger::{Actor, Deed, NewApiToken, NewOperator, OperatorLedger, Right, Role, now};
use crate::testing::{TestAgent, authority};
use crate::vault::FsVault;

mod bounds;
mod commands;
mod giving;
mod headers;
mod live;
mod outage;
mod questions;
mod rights;
mod sessions;

/// The origin of the tests' console.
const HOST: &str = "central.example:8471";
const ORIGIN: &str = "https://central.example:8471";
/// Everybody's password.
const PASSWORD: &str = "correct horse battery";

/// A desk.
struct World {
    ledger: Arc<SqliteLedger>,
    desk: Arc<Desk>,
    router: Router,
    stopping: CancellationToken,
    tasks: TaskTracker,
    folder: TempDir,
}

/// What came back.
#[derive(Debug)]
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&self.body)))
    }

    /// The last part of a problem's type.
    fn problem(&self) -> String {
        let kind = self.json()["type"].as_str().unwrap().to_owned();
        kind.rsplit(':').next().unwrap().to_owned()
    }

    fn cookie(&self) -> String {
        let cookie = self.headers["set-cookie"].to_str().unwrap();
        cookie.split(';').next().unwrap().to_owned()
    }
}

/// How a request looks.
#[derive(Clone)]
struct Ask {
    method: Method,
    path: String,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
}

impl Ask {
    fn new(method: Method, path: &str) -> Self {
        Self {
            method,
            path: path.to_owned(),
            headers: vec![("host", HOST.to_owned())],
            body: Vec::new(),
        }
    }

    fn json(mut self, body: &Value) -> Self {
        self.body = body.to_string().into_bytes();
        self.with("content-type", "application/json")
    }

    fn with(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }

    /// As the console sends it.
    fn by(self, cookie: &str) -> Self {
        self.with("cookie", cookie)
            .with("branchline-console", "1")
            .with("origin", ORIGIN)
    }
}

impl World {
    fn new() -> Self {
        Self::reached(Way::Tls(authority().desk_config()))
    }

    /// Reached in this way.
    fn reached(way: Way) -> Self {
        Self::within(way, Bounds::default())
    }

    /// Reached in this way, and with these bounds.
    fn within(way: Way, bounds: Bounds) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let ledger = Arc::new(SqliteLedger::open(&folder.path().join("ledger.db")).unwrap());
        let around = Surroundings {
            store: ledger.clone(),
            vault: Arc::new(FsVault::new(folder.path().join("vault"), 0)),
            model: Arc::new(ReadModel::open(&folder.path().join("desk")).unwrap()),
            way,
            enrolling: Enrolling {
                authority: authority(),
                url: "https://central.example:8470".to_owned(),
            },
            watched: Watched::default(),
        };
        let stopping = CancellationToken::new();
        let desk = Desk::new(around, bounds, stopping.clone());
        let tasks = TaskTracker::new();
        let tended = desk.clone();
        tasks.spawn(async move { tended.tend().await });
        Self {
            ledger,
            router: desk.router(),
            desk,
            stopping,
            tasks,
            folder,
        }
    }

    async fn add(&self, name: &str, role: Role) {
        let hash = tokio::task::spawn_blocking(|| passwords::hash(PASSWORD)).await;
        let new = NewOperator {
            name: name.parse().unwrap(),
            role,
            password: hash.unwrap().unwrap(),
            must_change: false,
            deed: deed(),
        };
        assert!(self.ledger.add_operator(new).await.unwrap());
    }

    /// Signs in; the cookie.
    async fn sign_in(&self, name: &str) -> String {
        let answer = self.ask(sign_in(name, PASSWORD)).await;
        assert_eq!(answer.status, StatusCode::NO_CONTENT, "{answer:?}");
        answer.cookie()
    }

    /// An operator of this role, signed in.
    async fn signed_in(&self, role: Role) -> String {
        self.add(role.as_str(), role).await;
        self.sign_in(role.as_str()).await
    }

    async fn ask(&self, ask: Ask) -> Answer {
        Self::ask_of(self.router.clone(), Ipv4Addr::LOCALHOST, ask).await
    }

    /// Asks these routes, from this address.
    async fn ask_of(mut router: Router, from: Ipv4Addr, ask: Ask) -> Answer {
        let mut request = Request::builder().method(ask.method).uri(ask.path);
        for (name, value) in ask.headers {
            request = request.header(name, value);
        }
        let mut request = request.body(Body::from(ask.body)).unwrap();
        request.extensions_mut().insert(Peer::of(from.into()));
        let answer = router.call(request).await.unwrap();
        let (parts, body) = answer.into_parts();
        Answer {
            status: parts.status,
            headers: parts.headers,
            body: body.collect().await.unwrap().to_bytes().to_vec(),
        }
    }

    /// A program that may do this: its token.
    async fn program(&self, rights: &[Right]) -> String {
        let bearer = Bearer::random().unwrap();
        let new = NewApiToken {
            name: "a program".to_owned(),
            hash: bearer.hash(),
            rights: rights.to_vec(),
            expires_at: None,
            deed: deed(),
        };
        self.ledger.add_api_token(new).await.unwrap();
        bearer.to_api_token()
    }

    /// A command to a ticket.
    async fn command(&self, cookie: &str, number: &str, command: &Value) -> Answer {
        let path = format!("/desk/v1/tickets/{number}/commands");
        let ask = Ask::new(Method::POST, &path).json(command).by(cookie);
        self.ask(ask).await
    }

    /// A question's whole answer.
    async fn question(&self, cookie: &str, question: &str) -> Value {
        let body = json!({ "query": question });
        let ask = Ask::new(Method::POST, "/desk/v1/graphql").json(&body);
        let answer = self.ask(ask.by(cookie)).await;
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
        answer.json()
    }

    /// A question's data; there must be no errors.
    async fn data(&self, cookie: &str, question: &str) -> Value {
        let answer = self.question(cookie, question).await;
        assert!(answer.get("errors").is_none(), "{answer:#}");
        answer["data"].clone()
    }

    /// Waits until the read model is as the ledger.
    async fn caught_up(&self) {
        let through = {
            use crate::ledger::Ledger;
            self.ledger.news(None).await.unwrap().through
        };
        let mut freshness = self.desk.model.freshness();
        self.desk.model.news().notify_one();
        let reached = freshness.wait_for(|now| now.position >= through);
        let reached = tokio::time::timeout(Duration::from_secs(60), reached).await;
        drop(reached.expect("in time").unwrap());
    }

    /// A branch that has filed these.
    async fn filed(&self, branch: &str, subjects: &[&str]) -> TestAgent {
        let mut agent = TestAgent::register(self.ledger.as_ref(), branch).await;
        agent.file(subjects, 1);
        agent.submit_all(self.ledger.as_ref()).await;
        self.caught_up().await;
        agent
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.stopping.cancel();
        self.tasks.close();
        assert!(self.folder.path().exists());
    }
}

fn sign_in(name: &str, password: &str) -> Ask {
    Ask::new(Method::POST, "/desk/v1/session")
        .json(&json!({ "name": name, "password": password }))
        .with("branchline-console", "1")
        .with("origin", ORIGIN)
}

fn deed() -> Deed {
    Deed {
        actor: Actor::CommandLine("test".to_owned()),
        action: "test",
        subject: String::new(),
        detail: String::new(),
        address: None,
        at: UnixMillis(now().0),
    }
}
