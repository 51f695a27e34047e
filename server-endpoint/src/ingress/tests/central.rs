//! A server in this process, and a client that sends exactly the bytes it is told to.

use std::io::Write;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use branchline_protocol::problem::{MEDIA_TYPE, Problem, ProblemKind};
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::Server;
use crate::ingress::{Bounds, Door, Way};
use crate::ledger::Ledger;
use crate::ledger::sqlite::SqliteLedger;
use crate::testing::{TestAgent, authority};
use crate::vault::{FsVault, Vault};

/// No answer takes as long, on however busy a machine.
const PATIENCE: Duration = Duration::from_secs(60);

pub(super) fn small_bounds() -> Bounds {
    Bounds {
        connections: 64,
        bodies_bytes: 8 * 1024 * 1024,
        body_stall: Duration::from_millis(300),
        body_total: Duration::from_secs(2),
        headers_within: Duration::from_secs(1),
        write_stall: Duration::from_secs(1),
        ..Bounds::default()
    }
}

/// Over plain HTTP, with certificates passed on.
pub(super) fn open_door() -> Door {
    Door {
        authority: authority(),
        way: Way::InsecureLoopback,
        proxies: Vec::new(),
        grace: Duration::ZERO,
    }
}

pub(super) struct Central {
    pub(super) ledger: Arc<dyn Ledger>,
    pub(super) path: PathBuf,
    pub(super) address: std::net::SocketAddr,
    pub(super) stopping: CancellationToken,
    serving: JoinSet<()>,
    _folder: tempfile::TempDir,
}

impl Central {
    pub(super) async fn start() -> Self {
        Self::bounded(small_bounds()).await
    }

    pub(super) async fn bounded(bounds: Bounds) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger.db");
        let ledger = Arc::new(SqliteLedger::open(&path).unwrap());
        Self::on(ledger, bounds, folder, path).await
    }

    pub(super) async fn with(ledger: Arc<dyn Ledger>, bounds: Bounds) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("none");
        Self::on(ledger, bounds, folder, path).await
    }

    pub(super) async fn with_vault(
        ledger: Arc<dyn Ledger>,
        vault: Arc<dyn Vault>,
        bounds: Bounds,
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("none");
        Self::on_both(open_door(), ledger, vault, bounds, folder, path).await
    }

    async fn on(
        ledger: Arc<dyn Ledger>,
        bounds: Bounds,
        folder: tempfile::TempDir,
        path: PathBuf,
    ) -> Self {
        let vault = Arc::new(FsVault::new(folder.path().join("vault"), 0));
        Self::on_both(open_door(), ledger, vault, bounds, folder, path).await
    }

    /// Agents prove who they are by certificates.
    pub(super) async fn behind(
        door: Door,
        ledger: Arc<dyn Ledger>,
        bounds: Bounds,
        path: PathBuf,
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let vault = Arc::new(FsVault::new(folder.path().join("vault"), 0));
        Self::on_both(door, ledger, vault, bounds, folder, path).await
    }

    async fn on_both(
        door: Door,
        ledger: Arc<dyn Ledger>,
        vault: Arc<dyn Vault>,
        bounds: Bounds,
        folder: tempfile::TempDir,
        path: PathBuf,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Server::with_stores(listener, ledger.clone(), vault, door, bounds).unwrap();
        let address = server.address();
        let stopping = CancellationToken::new();
        let mut serving = JoinSet::new();
        serving.spawn(server.run(stopping.clone().cancelled_owned()));
        Self {
            ledger,
            path,
            address,
            stopping,
            serving,
            _folder: folder,
        }
    }

    pub(super) async fn agent(&self, branch: &str) -> TestAgent {
        TestAgent::register(self.ledger.as_ref(), branch).await
    }

    pub(super) async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    pub(super) async fn ask(&self, request: Request) -> Answer {
        let mut connection = self.connect().await;
        connection.write_all(&request.bytes()).await.unwrap();
        Answer::read(&mut connection).await
    }

    pub(super) async fn post(&self, agent: &TestAgent, body: Vec<u8>) -> Answer {
        self.ask(Request::submission(agent, body)).await
    }

    pub(super) async fn feed(&self, agent: &TestAgent, after: &str, wait: u64) -> Answer {
        let path = format!("/v1/feed?after={after}&wait={wait}");
        self.ask(Request::get(&path).from(agent)).await
    }

    /// Long enough for a feed request that was just sent to be waiting; if it is not yet, the news
    /// are there when it comes, and the test still holds.
    pub(super) async fn until_somebody_waits(&self) {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }

    pub(super) async fn stopped(&mut self) {
        while let Some(ended) = self.serving.join_next().await {
            ended.unwrap();
        }
    }
}

#[derive(Debug, Clone)]
pub(super) struct Request {
    line: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Request {
    pub(super) fn get(path: &str) -> Self {
        Self {
            line: format!("GET {path} HTTP/1.1"),
            headers: Vec::new(),
            body: Vec::new(),
        }
        .with("host", "central")
        .with("connection", "close")
    }

    pub(super) fn submission(agent: &TestAgent, body: Vec<u8>) -> Self {
        Self::post("/v1/operations", agent, body)
    }

    pub(super) fn post(path: &str, agent: &TestAgent, body: Vec<u8>) -> Self {
        Self::bare("POST", path, body).from(agent)
    }

    /// From nobody in particular.
    pub(super) fn bare(method: &str, path: &str, body: Vec<u8>) -> Self {
        let mut request = Self::get(path)
            .with("branchline-protocol", "1")
            .with("content-type", "application/json")
            .with("content-length", &body.len().to_string());
        request.line = format!("{method} {path} HTTP/1.1");
        request.body = body;
        request
    }

    pub(super) fn from(self, agent: &TestAgent) -> Self {
        self.with("client-cert", &agent.passed_on())
            .with("branchline-protocol", "1")
    }

    pub(super) fn with(self, name: &str, value: &str) -> Self {
        let mut request = self.without(name);
        request.headers.push((name.to_owned(), value.to_owned()));
        request
    }

    /// One more field of that name.
    pub(super) fn and(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(super) fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(given, _)| given != name);
        self
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut bytes = format!("{}\r\n", self.line).into_bytes();
        for (name, value) in &self.headers {
            write!(bytes, "{name}: {value}\r\n").unwrap();
        }
        bytes.extend_from_slice(b"\r\n");
        bytes.extend_from_slice(&self.body);
        bytes
    }

    /// For the message of a test that fails.
    pub(super) fn shown(&self) -> String {
        let body: String = String::from_utf8_lossy(&self.body)
            .chars()
            .take(200)
            .collect();
        format!("{} {:?} {body}", self.line, self.headers)
    }
}

#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
    pub(super) took: Duration,
}

impl Answer {
    /// Reads one answer; a reset behind a whole one is no matter.
    pub(super) async fn read(connection: &mut (impl AsyncRead + Unpin)) -> Self {
        let started = Instant::now();
        let reading = tokio::time::timeout(PATIENCE, read_whole(connection));
        let (bytes, _) = reading.await.unwrap_or_default();
        Self::parse(&bytes, started.elapsed())
    }

    /// Fails where the connection ends without an answer.
    pub(super) async fn try_read(
        connection: &mut (impl AsyncRead + Unpin),
    ) -> std::io::Result<Self> {
        let started = Instant::now();
        let reading = tokio::time::timeout(PATIENCE, read_whole(connection));
        let (bytes, fault) = reading.await?;
        if end_of_head(&bytes).is_none() {
            let ended = std::io::ErrorKind::UnexpectedEof;
            return Err(fault.unwrap_or_else(|| ended.into()));
        }
        Ok(Self::parse(&bytes, started.elapsed()))
    }

    fn parse(bytes: &[u8], took: Duration) -> Self {
        let end = end_of_head(bytes).unwrap_or_else(|| {
            panic!("no answer but {:?}", String::from_utf8_lossy(bytes));
        });
        let head = std::str::from_utf8(&bytes[..end]).unwrap();
        let mut lines = head.lines();
        let status = lines
            .next()
            .unwrap()
            .split(' ')
            .nth(1)
            .unwrap()
            .parse()
            .unwrap();
        let headers = lines
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
            .collect();
        Self {
            status,
            headers,
            body: bytes[end..].to_vec(),
            took,
        }
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(given, _)| given == name)
            .map(|(_, value)| value.as_str())
    }

    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(super) fn assert_ok(&self) {
        assert_eq!(self.status, 200, "{}", self.text());
    }

    pub(super) fn json<T: DeserializeOwned>(&self) -> T {
        self.assert_ok();
        serde_json::from_slice(&self.body).unwrap()
    }

    pub(super) fn assert_problem(&self, kind: ProblemKind, about: &str) -> Problem {
        let problem: Problem = serde_json::from_slice(&self.body)
            .unwrap_or_else(|_| panic!("{about}: {} {}", self.status, self.text()));
        assert_eq!(problem.kind, kind, "{about}: {problem}");
        assert_eq!(
            (self.status, problem.status),
            (kind.status(), kind.status()),
            "{about}"
        );
        assert_eq!(problem.class, kind.class(), "{about}");
        assert_eq!(self.header("content-type"), Some(MEDIA_TYPE), "{about}");
        problem
    }
}

async fn read_whole(
    connection: &mut (impl AsyncRead + Unpin),
) -> (Vec<u8>, Option<std::io::Error>) {
    let mut bytes = Vec::new();
    let mut piece = vec![0; 16 * 1024];
    while !whole(&bytes) {
        match connection.read(&mut piece).await {
            Ok(read @ 1..) => bytes.extend_from_slice(&piece[..read]),
            Ok(0) => break,
            Err(fault) => return (bytes, Some(fault)),
        }
    }
    (bytes, None)
}

fn end_of_head(bytes: &[u8]) -> Option<usize> {
    bytes
        .windows(4)
        .position(|window| window == b"\r\n\r\n")
        .map(|start| start + 4)
}

fn whole(bytes: &[u8]) -> bool {
    let Some(end) = end_of_head(bytes) else {
        return false;
    };
    let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok());
    length.is_some_and(|length| bytes.len() >= end + length)
}

/// What is logged from now on, at every level, by this test and those beside it.
pub(super) struct Log {
    lines: Arc<Mutex<Vec<u8>>>,
}

impl Log {
    pub(super) fn capture() -> Self {
        let lines: Arc<Mutex<Vec<u8>>> = Arc::default();
        let writer = lines.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::TRACE)
            .with_writer(move || LogWriter(writer.clone()))
            .finish();
        tracing::subscriber::set_global_default(subscriber).unwrap();
        Self { lines }
    }

    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.lines.lock().unwrap()).into_owned()
    }
}

struct LogWriter(Arc<Mutex<Vec<u8>>>);

impl Write for LogWriter {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
