//! The branch's network between agent and central: a proxy that wants to know who asks, a firewall that
//! opens TLS, and what `doctor` says of each.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use harness::connect_proxy::ConnectProxy;
use harness::forge::{Forge, Wish};
use harness::middlebox::Middlebox;
use harness::processes::{Branch, Central, sandbox, succeeded, text, wait_until};
use harness::tls;
use serde_json::Value;
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

/// `marie:s3cret`.
const LOGIN: &str = "Basic bWFyaWU6czNjcmV0";

/// What the doctor found of a step.
fn doctor(branch: &Branch, step: &str) -> Value {
    let said = text(&branch.cli(&["doctor", "--json"]).stdout);
    let found: Vec<Value> = serde_json::from_str(&said).expect("findings");
    let of_step = found.iter().find(|finding| finding["step"] == step);
    of_step
        .unwrap_or_else(|| panic!("nothing of {step}: {said}"))
        .clone()
}

fn proxied(proxy: &ConnectProxy, branch: &Branch, login: Option<&str>) -> String {
    let mut settings = format!("proxy = \"http://{}\"\n", proxy.address());
    if let Some(login) = login {
        let file = branch.folder().join("proxy-login");
        std::fs::write(&file, login).expect("write the login");
        settings.push_str(&format!("proxy_credentials_file = {file:?}\n"));
    }
    settings
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tickets_and_files_go_through_a_proxy_that_wants_to_know_who_asks() {
    let sandbox = sandbox();
    let mut central = Central::init(sandbox.path());
    central.start();
    let proxy = ConnectProxy::start(Some(LOGIN)).await;
    let mut branch = Branch::join(sandbox.path(), &central, "LYN", central.address);
    branch.configure(central.address, &proxied(&proxy, &branch, None));
    branch.set_environment("RUST_LOG", "trace");
    branch.start();
    let saved = branch.file("Without a login").await;
    let refused = wait_until("the proxy to be named", || async {
        branch.status().await.last_error
    })
    .await;
    assert!(refused.words.contains("password"), "{refused:?}");
    assert_eq!(doctor(&branch, "tunnel")["result"], "bad");
    branch.stop();

    branch.configure(
        central.address,
        &proxied(&proxy, &branch, Some("marie:s3cret\n")),
    );
    branch.start();
    let file = sandbox.path().join("notes.txt");
    std::fs::write(&file, "through the proxy\n".repeat(50_000)).expect("write a file");
    branch.attach(&saved.number.to_string(), &file);
    branch.wait_drained().await;
    central.wait_file("notes.txt", &["held", "released"]);
    central.assert_equal(&branch);
    let place = format!("CONNECT {} HTTP/1.1", central.address);
    assert!(proxy.asked().iter().all(|head| head.starts_with(&place)));
    assert_eq!(doctor(&branch, "throughput")["result"], "good");
    let log = branch.log();
    assert!(
        !log.contains("s3cret") && !log.contains("bWFyaWU6"),
        "the login is in the log"
    );
}

/// Opens TLS with a certificate of its own, and counts what it could read.
struct Firewall {
    address: SocketAddr,
    read: Arc<AtomicUsize>,
    _task: JoinSet<()>,
}

impl Firewall {
    async fn start() -> Self {
        let own = Forge::strange().sign(&Wish::proxy("firewall").in_years(2020, 2090));
        let acceptor = TlsAcceptor::from(tls::server(&own));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let read = Arc::<AtomicUsize>::default();
        let count = read.clone();
        let mut task = JoinSet::new();
        task.spawn(async move {
            let mut open = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                let (acceptor, count) = (acceptor.clone(), count.clone());
                open.spawn(async move {
                    if let Ok(mut opened) = acceptor.accept(client).await {
                        let mut some = [0; 4_096];
                        let bytes = opened.read(&mut some).await.unwrap_or(0);
                        count.fetch_add(bytes, Ordering::SeqCst);
                    }
                });
            }
        });
        Self {
            address,
            read,
            _task: task,
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_firewall_that_opens_tls_reads_nothing_and_is_named() {
    let sandbox = sandbox();
    let mut central = Central::init(sandbox.path());
    central.start();
    let firewall = Firewall::start().await;
    let mut branch = Branch::join(sandbox.path(), &central, "LYN", firewall.address);
    branch.start();
    branch.file("Behind a firewall").await;
    let error = wait_until("the firewall to be named", || async {
        branch.status().await.last_error
    })
    .await;
    assert!(
        error.words.contains("\"Branchline issuing CA\""),
        "{error:?}"
    );
    assert_eq!(doctor(&branch, "TLS")["result"], "bad");
    let newcomer = Branch::strange(sandbox.path(), "PAR");
    newcomer.configure(firewall.address, "");
    let refused = newcomer.cli(&["enroll", &central.token("PAR")]);
    assert!(!refused.status.success());
    assert_eq!(firewall.read.load(Ordering::SeqCst), 0, "it read something");
    branch.stop();
    branch.configure(central.address, "");
    branch.start();
    branch.wait_drained().await;
    central.assert_equal(&branch);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_that_collects_bodies_is_found() {
    let sandbox = sandbox();
    let mut central = Central::init(sandbox.path());
    central.start();
    let gateway = Middlebox::buffering(&central).await;
    let mut branch = Branch::join(sandbox.path(), &central, "LYN", gateway.address());
    branch.start();
    branch.wait_drained().await;
    let found = doctor(&branch, "buffering");
    assert_eq!(found["facts"]["buffered"], true, "{found}");
    assert_eq!(doctor(&branch, "HTTP")["facts"]["through_gateway"], true);
    branch.configure(central.address, "");
    let found = doctor(&branch, "buffering");
    assert_eq!(found["facts"]["buffered"], false, "{found}");
    branch.set_clock(-10 * 365 * 86_400);
    let found = doctor(&branch, "clock");
    assert_eq!(found["result"], "bad", "{found}");
    assert!(
        found["words"]
            .as_str()
            .expect("words")
            .contains("set this computer's clock")
    );
    succeeded(&branch.cli(&["status"]));
}
