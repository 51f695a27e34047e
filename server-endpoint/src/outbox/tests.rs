//! Couriers on real ledgers, against receivers on real sockets.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::post;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::*;
use crate::ledger::sqlite::{FILE_NAME, SqliteLedger};
use crate::testing::{TestAgent, comment};

mod patience;

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// What a receiver does with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Manner {
    Take,
    Say(u16),
    Hang,
    SendElsewhere,
}

#[derive(Debug, Clone)]
struct Heard {
    id: String,
    signature: String,
    at: i64,
    body: String,
}

impl Heard {
    fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap()
    }

    fn ticket(&self) -> String {
        self.json()["data"]["ticket"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }
}

#[derive(Default)]
struct Receiver {
    heard: Mutex<Vec<Heard>>,
    manners: Mutex<VecDeque<Manner>>,
    usual: Mutex<Option<Manner>>,
    /// Letters with these words in them are met in this manner.
    chokes_on: Mutex<Option<(&'static str, Manner)>>,
}

async fn receive(
    State(receiver): State<Arc<Receiver>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let field = |name: &str| headers[name].to_str().unwrap().to_owned();
    let body = String::from_utf8(body.to_vec()).unwrap();
    let choked = *receiver.chokes_on.lock().unwrap();
    let choked = choked.filter(|(words, _)| body.contains(words));
    receiver.heard.lock().unwrap().push(Heard {
        id: field("webhook-id"),
        signature: field("webhook-signature"),
        at: field("webhook-timestamp").parse().unwrap(),
        body,
    });
    let next = receiver.manners.lock().unwrap().pop_front();
    let usual = *receiver.usual.lock().unwrap();
    let manner = choked.map(|(_, manner)| manner).or(next).or(usual);
    match manner.unwrap_or(Manner::Take) {
        Manner::Take => StatusCode::NO_CONTENT.into_response(),
        Manner::Say(status) => StatusCode::from_u16(status).unwrap().into_response(),
        Manner::Hang => std::future::pending().await,
        Manner::SendElsewhere => Redirect::temporary("/elsewhere").into_response(),
    }
}

impl Receiver {
    fn heard(&self) -> Vec<Heard> {
        self.heard.lock().unwrap().clone()
    }

    fn usually(&self, manner: Manner) {
        *self.usual.lock().unwrap() = Some(manner);
    }

    fn choke_on(&self, words: &'static str, manner: Manner) {
        *self.chokes_on.lock().unwrap() = Some((words, manner));
    }

    fn choke_on_nothing(&self) {
        *self.chokes_on.lock().unwrap() = None;
    }

    async fn wait_for(&self, count: usize) -> Vec<Heard> {
        wait("letters", || {
            let heard = self.heard();
            (heard.len() >= count).then_some(heard)
        })
        .await
    }
}

async fn wait<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    for _ in 0..3_000 {
        if let Some(found) = look() {
            return found;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("waited 30 s for {what}");
}

struct World {
    folder: tempfile::TempDir,
    store: Arc<SqliteLedger>,
    lyon: TestAgent,
    tasks: JoinSet<()>,
}

impl World {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("secret"), SECRET).unwrap();
        let store = Arc::new(SqliteLedger::open(&folder.path().join(FILE_NAME)).unwrap());
        let lyon = TestAgent::register(&*store, "LYN").await;
        Self {
            folder,
            store,
            lyon,
            tasks: JoinSet::new(),
        }
    }

    fn ledger(&self) -> Arc<dyn OutboxLedger> {
        self.store.clone()
    }

    fn secret(&self) -> PathBuf {
        self.folder.path().join("secret")
    }

    /// A receiver and what `[[outbox]]` says of it.
    async fn receiver(&mut self, name: &str) -> (Arc<Receiver>, Target) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let receiver = self.receiver_at(listener);
        let target = self.target(name, address, "networks = [\"127.0.0.0/8\"]");
        (receiver, target)
    }

    fn receiver_at(&mut self, listener: TcpListener) -> Arc<Receiver> {
        let receiver = Arc::<Receiver>::default();
        let app = Router::new()
            .route("/hook", post(receive))
            .route("/elsewhere", post(receive))
            .with_state(receiver.clone());
        self.tasks.spawn(async move {
            axum::serve(listener, app).await.unwrap();
        });
        receiver
    }

    fn target(&self, name: &str, address: SocketAddr, more: &str) -> Target {
        let secret = self.secret();
        let scheme = if more.contains("networks") {
            "http"
        } else {
            "https"
        };
        toml::from_str(&format!(
            "name = \"{name}\"\nurl = \"{scheme}://{address}/hook\"\nsecret_file = {secret:?}\n{more}\n"
        ))
        .unwrap()
    }

    async fn file(&mut self, subjects: &[&str], first: u32) {
        self.lyon.file(subjects, first);
        self.lyon.submit_all(&*self.store).await;
    }

    async fn state(&self, name: &str) -> Option<crate::ledger::TargetState> {
        self.store.target(name.to_owned()).await.unwrap()
    }
}

/// Couriers, until this is dropped.
struct Running {
    stopping: CancellationToken,
    tasks: TaskTracker,
}

impl Running {
    async fn start(world: &World, targets: &[Target]) -> Self {
        let (stopping, tasks) = (CancellationToken::new(), TaskTracker::new());
        start(targets, &world.ledger(), &tasks, &stopping);
        for target in targets {
            for _ in 0..3_000 {
                if world.state(&target.name).await.is_some() {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
        Self { stopping, tasks }
    }

    async fn stop(self) {
        self.stopping.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

#[tokio::test]
async fn what_happens_arrives_signed_in_order_and_after_a_restart_goes_on() {
    let mut world = World::new().await;
    world.file(&["before anybody asked"], 1).await;
    let (receiver, target) = world.receiver("desk").await;
    let running = Running::start(&world, std::slice::from_ref(&target)).await;
    world.file(&["printer", "till"], 2).await;
    world.lyon.journal.push(comment("more", "printer"));
    world.lyon.submit_all(&*world.store).await;
    let heard = receiver.wait_for(3).await;
    let secret = Secret::read(&world.secret()).unwrap();
    for letter in &heard {
        assert_eq!(
            letter.signature,
            secret.sign(&letter.id, letter.at, &letter.body)
        );
        assert!(!letter.body.contains("before anybody asked"));
    }
    let of_one: Vec<String> = heard
        .iter()
        .filter(|letter| letter.ticket() == "LYN-000002")
        .map(|letter| letter.json()["type"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(of_one, ["ticket_filed", "comment_added"]);
    assert!(
        heard[0].body.contains("\"operation\":{"),
        "{}",
        heard[0].body
    );
    running.stop().await;
    world.file(&["while it was down"], 4).await;
    let running = Running::start(&world, &[target]).await;
    let heard = receiver.wait_for(4).await;
    assert_eq!(heard[3].ticket(), "LYN-000004");
    running.stop().await;
    let ids: std::collections::BTreeSet<_> = heard.iter().map(|letter| &letter.id).collect();
    assert_eq!(ids.len(), 4, "each event has an id of its own");
}

#[tokio::test]
async fn a_letter_under_way_at_the_end_goes_out_again_under_its_id() {
    let mut world = World::new().await;
    let (receiver, target) = world.receiver("desk").await;
    receiver.usually(Manner::Hang);
    let running = Running::start(&world, std::slice::from_ref(&target)).await;
    world.file(&["printer"], 1).await;
    let first = receiver.wait_for(1).await;
    running.stop().await;
    receiver.usually(Manner::Take);
    let running = Running::start(&world, &[target]).await;
    let heard = receiver.wait_for(2).await;
    assert_eq!(heard[1].id, first[0].id);
    assert_eq!(heard[1].body, first[0].body);
    running.stop().await;
}

#[tokio::test]
async fn a_refused_letter_is_kept_and_sent_again_when_asked() {
    let mut world = World::new().await;
    let (receiver, target) = world.receiver("desk").await;
    receiver.manners.lock().unwrap().push_back(Manner::Say(422));
    let running = Running::start(&world, &[target]).await;
    world.file(&["printer"], 1).await;
    world.lyon.journal.push(comment("more", "printer"));
    world.lyon.submit_all(&*world.store).await;
    let heard = receiver.wait_for(2).await;
    assert_ne!(heard[0].id, heard[1].id, "the next goes on");
    let dead = world.store.dead_letters(None, 0, 10).await.unwrap();
    assert_eq!(dead.len(), 1);
    assert_eq!(dead[0].id, heard[0].id);
    assert!(dead[0].reason.contains("422"), "{}", dead[0].reason);
    let of_nobody = world.store.send_again("others".to_owned(), vec![]).await;
    assert_eq!(of_nobody.unwrap(), 0);
    let again = world
        .store
        .send_again("desk".to_owned(), vec![dead[0].number]);
    assert_eq!(again.await.unwrap(), 1);
    let heard = receiver.wait_for(3).await;
    assert_eq!(heard[2].id, heard[0].id);
    assert_eq!(heard[2].body, heard[0].body);
    for _ in 0..3_000 {
        if world
            .store
            .dead_letters(None, 0, 10)
            .await
            .unwrap()
            .is_empty()
        {
            running.stop().await;
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the letter has arrived and is still dead");
}

#[tokio::test]
async fn dead_hanging_and_faulty_targets_delay_no_other() {
    let mut world = World::new().await;
    let (good, first) = world.receiver("good").await;
    let (failing, second) = world.receiver("failing").await;
    let (hanging, third) = world.receiver("hanging").await;
    failing.usually(Manner::Say(503));
    hanging.usually(Manner::Hang);
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let gone = nobody.local_addr().unwrap();
    drop(nobody);
    let fourth = world.target("gone", gone, "networks = [\"127.0.0.0/8\"]");
    let mut unusable = first.clone();
    unusable.name = "unusable".to_owned();
    unusable.secret_file = PathBuf::from("/nowhere");
    let running = Running::start(&world, &[unusable, fourth, third, second, first]).await;
    let subjects: Vec<String> = (0..150).map(|ticket| format!("ticket {ticket}")).collect();
    let subjects: Vec<&str> = subjects.iter().map(String::as_str).collect();
    world.file(&subjects, 1).await;
    assert_eq!(good.wait_for(150).await.len(), 150);
    // It lives again, and has everything, each ticket once more at most than it was refused.
    failing.wait_for(1).await;
    failing.usually(Manner::Take);
    wait("all to arrive", || {
        let heard = failing.heard();
        let ids: std::collections::BTreeSet<_> = heard.iter().map(|it| it.id.clone()).collect();
        (ids.len() == 150).then_some(())
    })
    .await;
    assert!(!hanging.heard().is_empty());
    running.stop().await;
    let mark = world.state("good").await.unwrap().mark;
    assert!(
        world.state("gone").await.unwrap().mark != mark,
        "its letters wait"
    );
}

#[tokio::test]
async fn redirects_lead_nowhere_and_are_named() {
    let mut world = World::new().await;
    let (receiver, target) = world.receiver("desk").await;
    receiver
        .manners
        .lock()
        .unwrap()
        .extend([Manner::SendElsewhere; 5]);
    let running = Running::start(&world, &[target]).await;
    world.file(&["printer"], 1).await;
    receiver.wait_for(6).await;
    let state = world.state("desk").await.unwrap();
    let failure = state.last_failure.unwrap();
    assert!(
        failure.contains("307") && failure.contains("not followed"),
        "{failure}"
    );
    running.stop().await;
}

#[tokio::test]
async fn what_is_inside_is_never_spoken_to_unless_the_settings_say_so() {
    let mut world = World::new().await;
    let (receiver, target) = world.receiver("desk").await;
    let address: SocketAddr = target.url.split('/').nth(2).unwrap().parse().unwrap();
    let by_address = world.target("by-address", address, "");
    let fault = Post::open(&by_address).err().unwrap();
    assert!(fault.to_string().contains("networks"), "{fault}");
    let mut by_name = target.clone();
    by_name.url = format!("http://localhost:{}/hook", address.port());
    by_name.networks = vec!["10.0.0.0/8".parse().unwrap()];
    let post = Post::open(&by_name).unwrap();
    let sending = letter::Sending {
        id: "1-x".to_owned(),
        kind: "ticket_filed".to_owned(),
        body: "{}".to_owned(),
        thread: String::new(),
    };
    match post.send(&sending, crate::ledger::now()).await {
        post::Given::Failed { words, .. } => {
            assert!(words.contains("localhost is at"), "{words}");
            assert!(words.contains("networks"), "{words}");
        }
        other => panic!("{other:?}"),
    }
    assert!(receiver.heard().is_empty());
    by_name.networks = target.networks;
    by_name.url = format!("http://localhost:{}/hook", address.port());
    let post = Post::open(&by_name).unwrap();
    let given = post.send(&sending, crate::ledger::now()).await;
    assert!(matches!(given, post::Given::Taken), "{given:?}");
}

#[test]
fn notes_among_support_go_out_only_where_they_are_asked_for() {
    let wants = |kinds: &str, kind: &str| {
        let text =
            format!("name = \"a\"\nurl = \"https://x\"\nsecret_file = \"/s\"\nkinds = [{kinds}]\n");
        toml::from_str::<Target>(&text).unwrap().wants(kind)
    };
    assert!(wants("", "ticket_filed"));
    assert!(!wants("", "note_added"));
    assert!(wants("\"note_added\"", "note_added"));
    assert!(!wants("\"note_added\"", "ticket_filed"));
}
