//! The agent against something that is not central, or is central gone mad: captive portals, proxies,
//! broken and hostile answers. Nothing is acknowledged that was not, filing goes on, the agent neither
//! spins nor dies, its status names the trouble, and all arrives once the real central answers.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use branchline_agent_api::{Delivery, LinkState, Status};
use branchline_protocol::chain::Position;
use branchline_protocol::exchange::Submission;
use branchline_protocol::id::{Digest, Seq};
use harness::processes::{Branch, Central, sandbox, succeeded, text, wait_until};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

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

/// Stands where central should be; behaves as it is told, or passes everything on to the real one.
struct FalseCentral {
    address: SocketAddr,
    real: SocketAddr,
    behaviour: Mutex<Option<Arc<Behaviour>>>,
    submissions: AtomicU64,
    polls: AtomicU64,
    streams: Mutex<Vec<String>>,
}

impl FalseCentral {
    async fn start(
        serving: &mut JoinSet<()>,
        real: SocketAddr,
        behaviour: impl Fn(&Asked) -> Vec<u8> + Send + Sync + 'static,
    ) -> Arc<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let central = Arc::new(Self {
            address: listener.local_addr().expect("an address"),
            real,
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
        let asked = read_request(&mut stream).await?;
        if asked.is_feed() {
            self.polls.fetch_add(1, Ordering::Relaxed);
        } else {
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

async fn read_request(stream: &mut TcpStream) -> std::io::Result<Asked> {
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

fn repeated(piece: &[u8], bytes: usize) -> Vec<u8> {
    piece.iter().copied().cycle().take(bytes).collect()
}

/// How the agent gets over it.
#[derive(Clone, Copy, PartialEq)]
enum Heals {
    /// By the attempts that it makes anyway.
    ByItself,
    /// Only after a time that nobody waits for in a test: a restart stands for it.
    AfterItsDelay,
}
use Heals::{AfterItsDelay, ByItself};

/// A false central's name, how it answers, what the status says of it, and how the agent gets over it.
type Attack = (&'static str, Box<Behaviour>, &'static str, Heals);

#[rustfmt::skip]
fn on_the_way() -> Vec<Attack> {
    vec![
        ("a captive portal", Box::new(|_| html("200 OK")), "log-in page", ByItself),
        ("another program's JSON", Box::new(|_| good(&json!({ "ok": true }))), "log-in page", ByItself),
        ("JSON with wrong types", Box::new(|_| good(&json!({ "acknowledged": 7, "head": [], "news": "x" }))), "log-in page", ByItself),
        ("an empty answer", Box::new(|_| answer("200 OK", "", "")), "log-in page", ByItself),
        ("no content", Box::new(|_| b"HTTP/1.1 204 No Content\r\n\r\n".to_vec()), "log-in page", ByItself),
        ("a redirect to itself", Box::new(|asked| answer("302 Found", &format!("Location: {}\r\n", asked.target), "")), "redirects", ByItself),
        ("a log-in by a proxy", Box::new(|_| html("401 Unauthorized")), "HTTP 401", ByItself),
        ("a proxy's own log-in", Box::new(|_| html("407 Proxy Authentication Required")), "user name and password", ByItself),
        ("a broken gateway", Box::new(|_| html("502 Bad Gateway")), "HTTP 502", ByItself),
        ("a problem of somebody else's", Box::new(|_| answer("403 Forbidden", "", r#"{"type":"about:blank","title":"x","status":403}"#)), "HTTP 403", ByItself),
        ("come back in three years", Box::new(|_| answer("503 Busy", "Retry-After: 99999999\r\n", "")), "HTTP 503", AfterItsDelay),
        ("come back never", Box::new(|_| answer("503 Busy", "Retry-After: 99999999999999999999999999\r\n", "")), "HTTP 503", ByItself),
        ("come back yesterday", Box::new(|_| answer("503 Busy", "Retry-After: -5\r\n", "")), "HTTP 503", ByItself),
        ("a closed connection", Box::new(|_| Vec::new()), "connection to central broke", ByItself),
        ("no HTTP", Box::new(|_| b"220 mail.example.org ESMTP\r\n".to_vec()), "connection to central broke", ByItself),
        ("an answer that breaks off", Box::new(|_| b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n{\"ackn".to_vec()), "connection to central broke", ByItself),
        ("endless headers", Box::new(|_| [b"HTTP/1.1 200 OK\r\n".to_vec(), repeated(b"X-Y: z\r\n", 2 << 20)].concat()), "connection to central broke", ByItself),
        ("endless interim answers", Box::new(|_| repeated(b"HTTP/1.1 100 Continue\r\n\r\n", 1 << 20)), "connection to central broke", ByItself),
        ("five mebibytes", Box::new(|_| answer("200 OK", "", repeated(b" ", 5 << 20))), "larger than any", ByItself),
        ("an endless body", Box::new(|_| [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec(), repeated(b"4\r\n    \r\n", 24 << 20)].concat()), "larger than any", ByItself),
        ("a bomb", Box::new(|_| answer("200 OK", "Content-Encoding: zstd\r\n", zstd_zeros(10 << 30))), "larger than any", ByItself),
        ("a huge window", Box::new(|_| answer("200 OK", "Content-Encoding: zstd\r\n", zstd_of_window(31))), "connection to central broke", ByItself),
        ("damaged packing", Box::new(|_| answer("200 OK", "Content-Encoding: zstd\r\n", "not zstd")), "connection to central broke", ByItself),
    ]
}

#[rustfmt::skip]
fn at_central() -> Vec<Attack> {
    vec![
        ("acknowledging more than was sent", Box::new(acknowledging(|asked| nowhere(asked.reached().seq.0 + 1_000))), "does not fit", AfterItsDelay),
        ("acknowledging the end of numbers", Box::new(acknowledging(|_| nowhere(u64::MAX))), "does not fit", AfterItsDelay),
        ("acknowledging nothing", Box::new(acknowledging(|asked| asked.submission().after)), "does not fit", AfterItsDelay),
        ("acknowledging with a wrong digest", Box::new(acknowledging(|asked| nowhere(asked.reached().seq.0))), "does not fit", AfterItsDelay),
        ("acknowledging position 0", Box::new(acknowledging(|_| nowhere(0))), "does not fit", AfterItsDelay),
        ("knowing no agent", Box::new(|_| problem("unknown-agent", 401, json!({}))), "Says the false central", AfterItsDelay),
        ("wanting another secret", Box::new(|_| problem("wrong-secret", 401, json!({}))), "Says the false central", AfterItsDelay),
        ("a kind from the future", Box::new(|_| problem("imagined", 418, json!({}))), "Says the false central", AfterItsDelay),
        ("a foreign stream", Box::new(|_| problem("foreign-stream", 403, json!({}))), "Says the false central", AfterItsDelay),
        ("an internal error", Box::new(|_| problem("internal", 500, json!({}))), "Says the false central", ByItself),
        ("a gap without head", Box::new(|_| problem("gap", 409, json!({}))), "Says the false central", AfterItsDelay),
    ]
}

#[rustfmt::skip]
fn disputes() -> Vec<Attack> {
    vec![
        ("a gap far ahead", Box::new(|_| problem("gap", 409, json!({ "head": nowhere(1 << 40) }))), "", AfterItsDelay),
        ("a gap at the beginning", Box::new(|_| problem("gap", 409, json!({ "head": nowhere(0) }))), "", AfterItsDelay),
        ("forked for ever, agreed", Box::new(|_| problem("diverged", 409, json!({ "head": nowhere(3), "agreed": true, "serials_used": 1 }))), "", AfterItsDelay),
        ("forked for ever, not agreed", Box::new(|_| problem("diverged", 409, json!({ "head": nowhere(3), "agreed": false }))), "", AfterItsDelay),
    ]
}

#[rustfmt::skip]
fn too_large() -> Vec<Attack> {
    vec![
        ("everything too large, says a proxy", Box::new(|_| html("413 Too Large")), "too large", ByItself),
        ("everything too large, says central", Box::new(|_| problem("too-large", 413, json!({}))), "Says the false central", ByItself),
    ]
}

/// A zstd frame of so many zeros, written by hand: blocks of 128 KiB that say "this byte, repeated".
fn zstd_zeros(bytes: u64) -> Vec<u8> {
    const BLOCK: u32 = 128 * 1024;
    // Magic, no content size, a window of 8 MiB.
    let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0x00, 13 << 3];
    let blocks = bytes / u64::from(BLOCK);
    for block in 1..=blocks {
        let header = (BLOCK << 3) | (1 << 1) | u32::from(block == blocks);
        frame.extend_from_slice(&header.to_le_bytes()[..3]);
        frame.push(0);
    }
    frame
}

/// A small zstd frame that asks for a window of two to this power.
fn zstd_of_window(log: u8) -> Vec<u8> {
    let mut frame = zstd_zeros(1 << 20);
    frame[5] = (log - 10) << 3;
    frame
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_answers_in_centrals_place_is_survived() {
    survive(on_the_way()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_central_gone_mad_is_survived() {
    survive(at_central()).await;
}

/// The journal forks when it must, and then with the usual delays.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_central_that_disputes_every_stream_is_survived() {
    survive(disputes()).await;
}

/// Smaller submissions are tried, and then the usual delays apply.

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_finds_every_submission_too_large_is_survived() {
    survive(too_large()).await;
}

/// Each attack against an agent of its own, all at once.
async fn survive(attacks: Vec<Attack>) {
    let sandbox = sandbox();
    let mut central = Central::init(sandbox.path());
    central.start();
    let mut serving = JoinSet::new();
    let mut victims = Vec::new();
    for (index, (name, behaviour, words, heals)) in attacks.into_iter().enumerate() {
        let fake = FalseCentral::start(&mut serving, central.address, behaviour).await;
        let letter = |n: usize| char::from(b'A' + u8::try_from(n % 26).expect("a letter"));
        let code = format!("X{}{}", letter(index / 26), letter(index));
        let mut branch = Branch::join(sandbox.path(), &central, &code, fake.address);
        branch.start();
        for n in 0..3 {
            branch.file(&format!("Ticket {n}")).await;
        }
        victims.push(Victim {
            name,
            words,
            heals,
            fake,
            branch,
            since: Instant::now(),
        });
    }
    for victim in &mut victims {
        victim.endure().await;
    }
    for victim in &victims {
        victim.fake.become_real();
    }
    for victim in &mut victims {
        victim.recover(&central).await;
    }
}

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
        assert_eq!(status.acknowledged.seq, Seq(0), "{name}: {status:?}");
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

/// A central that acknowledges rightly what is submitted, with these verdicts and news, and answers the
/// feed at once with these news.
fn telling(verdicts: fn(&Asked) -> Value, news: fn(u64) -> Value) -> impl Fn(&Asked) -> Vec<u8> {
    let answers = AtomicU64::new(0);
    move |asked| {
        let news = news(answers.fetch_add(1, Ordering::Relaxed));
        if asked.is_feed() {
            return good(&news);
        }
        let reached = asked.reached();
        good(&reply(reached, reached, verdicts(asked), news))
    }
}

fn no_verdicts(_: &Asked) -> Value {
    json!([])
}

fn news(cursor: &str, feed: Value) -> Value {
    json!({ "feed": feed, "cursor": cursor, "server_time": 0 })
}

fn event(position: u64, kind: &str, body: Value) -> Value {
    json!({ "position": position, "at": 0, "kind": kind, "body": body })
}

/// Events that no central tells: kinds from the future, bodies that do not fit, others' tickets.
fn odd_events() -> Value {
    let other = "01939d2e-6f60-7c3a-8f6a-0a1b2c3d4e5f";
    let renumbered = |number: Value| {
        event(
            9,
            "ticket_renumbered",
            json!({ "ticket": other, "given": "LYN-000001", "number": number }),
        )
    };
    json!([
        event(u64::MAX, "imagined", json!({ "any": ["thing"] })),
        event(0, "", json!(null)),
        event(5, "ticket_filed", json!("no object")),
        event(5, "operation_rejected", json!({ "operation": other })),
        event(
            5,
            "operation_rejected",
            json!({ "operation": other, "reason": { "code": 5, "detail": [] } })
        ),
        event(
            5,
            "operation_rejected",
            json!({ "operation": other, "reason": { "code": "x", "detail": "not ours" } })
        ),
        event(
            5,
            "operation_rejected",
            json!({ "operation": null, "reason": { "code": "malformed", "detail": "x" } })
        ),
        renumbered(json!("LYN-000001-4294967295")),
        renumbered(json!("LYN-000001-0")),
        renumbered(json!(7)),
        renumbered(json!("PAR-000001-2")),
    ])
}

/// What a feed says, and how often at most an agent may ask for it in the time that it is watched.
#[rustfmt::skip]
fn feeds() -> Vec<(&'static str, Box<Behaviour>)> {
    vec![
        ("a cursor with a line end", Box::new(telling(no_verdicts, |_| news("7-abc\r\nX-Injected: yes", json!([]))))),
        ("a cursor that is a query", Box::new(telling(no_verdicts, |_| news("7&wait=0#/../../v1/operations?x", json!([]))))),
        ("a cursor of ten kilobytes", Box::new(telling(no_verdicts, |_| news(&"7".repeat(10_000), json!([]))))),
        ("a cursor beyond ASCII", Box::new(telling(no_verdicts, |_| news("\u{1f5a8}\0", json!([]))))),
        ("odd events", Box::new(telling(no_verdicts, |_| news("7-abc", odd_events())))),
        ("a feed that never waits", Box::new(telling(no_verdicts, |_| news("7-abc", json!([]))))),
        ("a feed that never ends", Box::new(telling(no_verdicts, |n| news(&format!("{n}-abc"), json!([]))))),
        ("a feed that always starts again", Box::new(telling(no_verdicts, |_| json!({ "feed": [], "cursor": "", "rewound": true, "server_time": 0 })))),
        ("no feed at all", Box::new(acknowledging(Asked::reached))),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_feed_gone_mad_is_survived() {
    let sandbox = sandbox();
    let mut central = Central::init(sandbox.path());
    central.start();
    let mut serving = JoinSet::new();
    let mut victims = Vec::new();
    for (index, (name, behaviour)) in feeds().into_iter().enumerate() {
        let fake = FalseCentral::start(&mut serving, central.address, behaviour).await;
        let code = format!(
            "F{}",
            char::from(b'A' + u8::try_from(index).expect("a letter"))
        );
        let mut branch = Branch::join(sandbox.path(), &central, &code, fake.address);
        branch.start();
        for n in 0..3 {
            branch.file(&format!("Ticket {n}")).await;
        }
        branch.wait_drained().await;
        victims.push(Victim {
            name,
            words: "",
            heals: AfterItsDelay,
            fake,
            branch,
            since: Instant::now(),
        });
    }
    // What must not happen can only be watched for a time.
    tokio::time::sleep(WATCHED).await;
    let mut spinning = Vec::new();
    for victim in &victims {
        let name = victim.name;
        victim.branch.file("Filed under attack").await;
        let status = victim.branch.wait_drained().await;
        assert_eq!(
            (status.rejected, status.damaged),
            (0, 0),
            "{name}: {status:?}"
        );
        let polls = victim.fake.polls.load(Ordering::Relaxed);
        let submissions = victim.fake.submissions.load(Ordering::Relaxed);
        println!("{name}: {polls} polls, {submissions} submissions");
        let most = SUBMISSIONS.max(victim.since.elapsed().as_secs() * 2);
        if polls > most || submissions > most {
            spinning.push(format!("{name}: {polls} polls, {submissions} submissions"));
        }
        assert!(!victim.branch.log().contains("panicked at"), "{name}");
    }
    for victim in &victims {
        victim.fake.become_real();
    }
    for victim in &mut victims {
        // The real central has nothing of what the false one acknowledged; all of it comes again.
        victim.recover(&central).await;
    }
    assert!(spinning.is_empty(), "the agent spins: {spinning:#?}");
}

/// Verdicts on what was never sent, and one on the first operation with these words.
fn verdicts_with(words: String) -> impl Fn(&Asked) -> Vec<u8> {
    move |asked| {
        if asked.is_feed() {
            return html("503 Service Unavailable");
        }
        let (first, reached) = (asked.submission().after.seq.0 + 1, asked.reached());
        let rejected = |seq: u64, detail: &str| {
            let reason = json!({ "code": "malformed", "detail": detail });
            json!({ "seq": seq, "verdict": "rejected", "reason": reason })
        };
        let mut verdicts: Vec<Value> = [0, reached.seq.0 + 1, u64::MAX]
            .into_iter()
            .map(|seq| rejected(seq, "never sent"))
            .collect();
        if first == 1 && reached.seq >= Seq(1) {
            verdicts.push(rejected(1, &words));
        }
        good(&reply(reached, reached, verdicts.into(), no_news()))
    }
}

/// Everything that a person can see of a ticket, rejected with these words, and of two others.
async fn shown_after_rejection(words: String) -> Vec<String> {
    let sandbox = sandbox();
    let mut central = Central::init(sandbox.path());
    central.start();
    let mut serving = JoinSet::new();
    let behaviour = verdicts_with(words);
    let fake = FalseCentral::start(&mut serving, central.address, behaviour).await;
    let mut branch = Branch::join(sandbox.path(), &central, "LYN", fake.address);
    branch.start();
    let first = branch.file("Rejected with much noise").await;
    branch.wait_drained().await;
    let others = [
        branch.file("Never spoken of").await,
        branch.file("Nor this").await,
    ];
    let status = branch.wait_drained().await;
    assert_eq!(status.rejected, 1, "{status:?}");
    for saved in &others {
        let shown = branch
            .client()
            .ticket(&saved.number)
            .await
            .expect("it is there");
        assert_eq!(shown.summary.delivery, Delivery::Received);
    }
    let number = first.number.to_string();
    [
        &["ticket", "show", &number][..],
        &["ticket", "show", &number, "--json"],
        &["ticket", "list"],
    ]
    .map(|args| succeeded(&branch.cli(args)))
    .to_vec()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn verdicts_touch_only_what_was_sent_and_their_words_stay_words() {
    let words = "\u{1b}[31m\u{9b}31m\u{202e}not accepted, says central";
    let shown = shown_after_rejection(words.to_owned()).await;
    assert!(
        shown[0].contains("says central") && shown[1].contains("says central"),
        "{shown:?}"
    );
    for said in shown {
        assert!(!said.contains(['\u{1b}', '\u{9b}', '\u{202e}']), "{said:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn verdicts_that_never_end_are_cut() {
    for said in shown_after_rejection("very long ".repeat(100_000)).await {
        assert!(said.len() < 8_000, "{} bytes", said.len());
    }
}
