//! The agent against something that is not central, or is central gone mad: captive portals, proxies,
//! broken and hostile answers. Nothing is acknowledged that was not, filing goes on, the agent neither
//! spins nor dies, its status names the trouble, and all arrives once the real central answers.

mod answers;
mod feeds;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use branchline_agent_api::{LinkState, Status};
use branchline_protocol::chain::Position;
use branchline_protocol::exchange::Submission;
use branchline_protocol::id::{Digest, Seq};
use harness::processes::{Branch, Central, text, wait_until};
use harness::tls;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

/// How long each false central is watched: several of the agent's delays, and thousands of requests
/// of an agent that spins.
const WATCHED: Duration = Duration::from_secs(6);
/// More submissions than the agent's delays allow in that time, with new tickets cutting them short.
const SUBMISSIONS: u64 = 16;
/// An agent opens a stream when it must, and not again and again.
const STREAMS: u64 = 8;

/// A request as the false central reads it.
struct Asked {
    /// Path and query.
    target: String,
    body: Vec<u8>,
}

impl Asked {
    fn is_feed(&self) -> bool {
        self.target.starts_with("/v1/feed")
    }

    fn submission(&self) -> Submission<'_> {
        serde_json::from_slice(&self.body).expect("the agent sends submissions")
    }

    /// Where the stream is behind what was submitted: what a good central would acknowledge.
    fn reached(&self) -> Position {
        let submission = self.submission();
        let operations = submission.operations.iter();
        operations.fold(submission.after, |at, operation| {
            at.then(operation.get().as_bytes())
        })
    }
}

type Behaviour = dyn Fn(&Asked) -> Vec<u8> + Send + Sync;

/// Stands where central should be, with a certificate of its authority; behaves as it is told, or passes everything on to the real one.
struct FalseCentral {
    address: SocketAddr,
    real: SocketAddr,
    acceptor: TlsAcceptor,
    behaviour: Mutex<Option<Arc<Behaviour>>>,
    submissions: AtomicU64,
    polls: AtomicU64,
    streams: Mutex<Vec<String>>,
}

impl FalseCentral {
    async fn start(
        serving: &mut JoinSet<()>,
        real: &Central,
        behaviour: impl Fn(&Asked) -> Vec<u8> + Send + Sync + 'static,
    ) -> Arc<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let central = Arc::new(Self {
            address: listener.local_addr().expect("an address"),
            real: real.address,
            acceptor: TlsAcceptor::from(tls::server(&real.proxy().own)),
            behaviour: Mutex::new(Some(Arc::new(behaviour))),
            submissions: AtomicU64::new(0),
            polls: AtomicU64::new(0),
            streams: Mutex::default(),
        });
        let accepting = central.clone();
        serving.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let central = accepting.clone();
                connections.spawn(async move {
                    // Broken connections are the agent's business.
                    let _ = central.converse(stream).await;
                });
            }
        });
        central
    }

    /// From the next connection on, the real central answers.
    fn become_real(&self) {
        *self.behaviour.lock().expect("not poisoned") = None;
    }

    async fn converse(&self, mut stream: TcpStream) -> std::io::Result<()> {
        let behaviour = self.behaviour.lock().expect("not poisoned").clone();
        let Some(behaviour) = behaviour else {
            let mut real = TcpStream::connect(self.real).await?;
            tokio::io::copy_bidirectional(&mut stream, &mut real).await?;
            return Ok(());
        };
        let mut stream = self.acceptor.accept(stream).await?;
        let asked = read_request(&mut stream).await?;
        if asked.is_feed() {
            self.polls.fetch_add(1, Ordering::Relaxed);
        } else if asked.target == "/v1/operations" {
            self.submissions.fetch_add(1, Ordering::Relaxed);
            let stream = asked.submission().stream.to_string();
            let mut streams = self.streams.lock().expect("not poisoned");
            if streams.last() != Some(&stream) {
                streams.push(stream);
            }
        }
        stream.write_all(&behaviour(&asked)).await?;
        stream.shutdown().await
    }

    fn streams(&self) -> u64 {
        self.streams.lock().expect("not poisoned").len() as u64
    }
}

async fn read_request(stream: &mut (impl AsyncRead + Unpin)) -> std::io::Result<Asked> {
    let mut read = Vec::new();
    let head = loop {
        if let Some(end) = read.windows(4).position(|window| window == b"\r\n\r\n") {
            break end + 4;
        }
        if stream.read_buf(&mut read).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    };
    let said = text(&read[..head]).to_lowercase();
    let value = |name: &str| {
        said.lines()
            .find_map(|line| line.strip_prefix(name))
            .map(str::trim)
    };
    let length: usize =
        value("content-length:").map_or(0, |length| length.parse().expect("a length"));
    while read.len() < head + length {
        if stream.read_buf(&mut read).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    }
    let mut body = read.split_off(head);
    if value("content-encoding:") == Some("zstd") {
        body = zstd::decode_all(body.as_slice())?;
    }
    let target = text(&read).split(' ').nth(1).expect("a target").to_owned();
    Ok(Asked { target, body })
}

/// An answer with these header lines and this body, after which the connection ends.
fn answer(status: &str, headers: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status}\r\n{headers}Content-Length: {length}\r\nConnection: close\r\n\r\n"
    );
    [head.as_bytes(), body].concat()
}

fn html(status: &str) -> Vec<u8> {
    let page = "<html><body><h1>Welcome to the hotel. Please log in.</h1></body></html>";
    answer(status, "Content-Type: text/html\r\n", page)
}

fn good(body: &Value) -> Vec<u8> {
    answer(
        "200 OK",
        "Content-Type: application/json\r\n",
        body.to_string(),
    )
}

fn problem(kind: &str, status: u16, more: Value) -> Vec<u8> {
    let mut problem = json!({
        "type": format!("urn:branchline:problem:{kind}"), "title": "Something", "status": status,
        "detail": "Says the false central.", "class": "call_it",
    });
    for (member, value) in more.as_object().expect("an object") {
        problem[member] = value.clone();
    }
    let kind = "Content-Type: application/problem+json\r\n";
    answer(&format!("{status} Problem"), kind, problem.to_string())
}

/// A reply in the right shape.
fn reply(acknowledged: Position, head: Position, verdicts: Value, news: Value) -> Value {
    json!({ "acknowledged": acknowledged, "head": head, "verdicts": verdicts, "news": news })
}

fn no_news() -> Value {
    json!({ "feed": [], "cursor": "", "server_time": 0 })
}

/// A reply that acknowledges this in place of what was submitted; the feed is quiet.
fn acknowledging(choose: fn(&Asked) -> Position) -> impl Fn(&Asked) -> Vec<u8> {
    move |asked| {
        if asked.is_feed() {
            return html("503 Service Unavailable");
        }
        let acknowledged = choose(asked);
        good(&reply(acknowledged, acknowledged, json!([]), no_news()))
    }
}

fn nowhere(seq: u64) -> Position {
    Position {
        seq: Seq(seq),
        digest: Digest([7; 32]),
    }
}

/// How the agent gets over it.
#[derive(Clone, Copy, PartialEq)]
enum Heals {
    /// By the attempts that it makes anyway.
    ByItself,
    /// Only after a time that nobody waits for in a test: a restart stands for it.
    AfterItsDelay,
}
use Heals::AfterItsDelay;

/// An agent with a false central.
struct Victim {
    name: &'static str,
    words: &'static str,
    heals: Heals,
    fake: Arc<FalseCentral>,
    branch: Branch,
    since: Instant,
}

impl Victim {
    async fn endure(&mut self) {
        let (name, client) = (self.name, self.branch.client());
        wait_until(&format!("the trouble of {name}"), || async {
            let status = client.status().await.expect("the agent answers");
            let said = status
                .last_error
                .map(|error| error.words)
                .unwrap_or_default();
            said.contains(self.words).then_some(())
        })
        .await;
        // What must not happen can only be watched for a time.
        tokio::time::sleep(WATCHED.saturating_sub(self.since.elapsed())).await;
        let asked = Instant::now();
        self.branch.file("Filed under attack").await;
        assert!(
            asked.elapsed() < Duration::from_secs(5),
            "{name}: {:?}",
            asked.elapsed()
        );
        self.assert_calm(&self.branch.status().await);
    }

    fn assert_calm(&self, status: &Status) {
        let name = self.name;
        assert_eq!(
            (status.waiting, status.rejected),
            (4, 0),
            "{name}: {status:?}"
        );
        assert_eq!(
            status.acknowledged.unwrap().seq,
            Seq(0),
            "{name}: {status:?}"
        );
        assert_ne!(
            status.link.state,
            LinkState::Connected,
            "{name}: {status:?}"
        );
        let submissions = self.fake.submissions.load(Ordering::Relaxed);
        let streams = self.fake.streams();
        println!("{name}: {submissions} submissions, {streams} streams");
        // Elapsed time counts: the machine may be slow, and then more attempts are due.
        let most = SUBMISSIONS.max(self.since.elapsed().as_secs() * 2);
        assert!(submissions <= most, "{name}: {submissions} submissions");
        assert!(streams <= STREAMS, "{name}: {streams} streams");
        let peak = peak_memory(self.branch.pid());
        assert!(peak < 96 << 20, "{name}: the agent took {peak} bytes");
        let log = self.branch.log();
        assert!(!log.contains("panicked at"), "{name}: {log}");
        assert!(
            log.len() < 64 * 1024,
            "{name}: the log has {} bytes",
            log.len()
        );
        let next = status
            .link
            .next_attempt
            .map_or(0, |next| next.0 - status.link.since.0);
        assert!(next < 5_500_000, "{name}: the next attempt is in {next} ms");
    }

    async fn recover(&mut self, central: &Central) {
        if self.heals == AfterItsDelay {
            self.branch.kill();
            self.branch.start();
        }
        let since = Instant::now();
        // A person who files does not wait for an attempt that is due in a minute.
        self.branch.file("Filed when all is well").await;
        let client = self.branch.client();
        let status = wait_until(&format!("recovery from {}", self.name), || async {
            client
                .status()
                .await
                .ok()
                .filter(|status| status.waiting == 0)
        })
        .await;
        assert_eq!(
            (status.rejected, status.damaged),
            (0, 0),
            "{}: {status:?}",
            self.name
        );
        println!("{}: recovered within {:?}", self.name, since.elapsed());
        let said = central.assert_equal(&self.branch);
        assert!(
            said.contains("5 operations at the branch"),
            "{}: {said}",
            self.name
        );
    }
}

fn peak_memory(pid: u32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("read /proc");
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .expect("a peak");
    line.trim()
        .trim_end_matches(" kB")
        .parse::<u64>()
        .expect("a number")
        * 1024
}
