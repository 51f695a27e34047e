//! Bulk against servers and proxies that misbehave, over real sockets.

use std::sync::atomic::{AtomicUsize, Ordering};

use branchline_protocol::frame::{Decoder, Encoding, Frame};
use branchline_protocol::manifest::ChunkRef;
use branchline_protocol::problem::{Problem, ProblemKind};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::*;
use crate::config::ProxyChoice;
use crate::link::proxy::LinkSettings;
use crate::link::tests::authority::{Authority, GOOD};

/// How the server treats one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Manner {
    /// Reads it and answers.
    Answer,
    /// Reads all of it at once and answers late, as a proxy that buffers does.
    Buffer(Duration),
    /// Reads a little and then no more.
    Stall,
    /// Reads a little and closes.
    Cut,
    /// Reads slowly.
    Slow,
    /// Says that it is busy without reading the body.
    Busy,
    /// Answers and closes.
    AnswerAndClose,
}

struct Server {
    authority: Authority,
    address: std::net::SocketAddr,
    connections: Arc<AtomicUsize>,
    bodies: Arc<Mutex<Vec<Vec<u8>>>>,
    _tasks: JoinSet<()>,
}

impl Server {
    /// Treats the first requests in these manners, in the order in which their heads arrive, and the
    /// rest well.
    fn start(manners: &[Manner]) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        // Little room, so that who does not read is noticed.
        socket.set_recv_buffer_size(16 * 1024).unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener = socket.listen(16).unwrap();
        let address = listener.local_addr().unwrap();
        let (connections, bodies) = (Arc::<AtomicUsize>::default(), Arc::<Mutex<_>>::default());
        let authority = Authority::new("Branchline root");
        let config = authority.serves(&authority.server("localhost", GOOD));
        let mut tasks = JoinSet::new();
        tasks.spawn(serve(
            listener,
            TlsAcceptor::from(Arc::new(config)),
            manners.to_vec(),
            connections.clone(),
            bodies.clone(),
        ));
        Self {
            authority,
            address,
            connections,
            bodies,
            _tasks: tasks,
        }
    }

    fn link(&self) -> BulkLink {
        let settings = LinkSettings {
            proxy: ProxyChoice::Direct,
            ..LinkSettings::default()
        };
        let server = format!("https://localhost:{}", self.address.port());
        let link = Link::mutual(&server, &self.authority.agent(), &settings).unwrap();
        link.bulk(Arc::new(Gate::unpaced()))
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

async fn serve(
    listener: TcpListener,
    acceptor: TlsAcceptor,
    manners: Vec<Manner>,
    connections: Arc<AtomicUsize>,
    bodies: Arc<Mutex<Vec<Vec<u8>>>>,
) {
    let manners = Arc::new(Mutex::new(manners.into_iter()));
    let mut open = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        connections.fetch_add(1, Ordering::SeqCst);
        let (acceptor, manners, bodies) = (acceptor.clone(), manners.clone(), bodies.clone());
        open.spawn(async move {
            let mut stream = acceptor.accept(stream).await.expect("a handshake");
            while one(&mut stream, &manners, &bodies).await.is_some() {}
        });
    }
}

async fn one(
    stream: &mut TlsStream<TcpStream>,
    manners: &Mutex<std::vec::IntoIter<Manner>>,
    bodies: &Mutex<Vec<Vec<u8>>>,
) -> Option<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8_lossy(&head).to_lowercase();
    let length: usize = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: ")?.parse().ok())
        .expect("a length that is known");
    let manner = manners.lock().unwrap().next().unwrap_or(Manner::Answer);
    let mut body = vec![0; length];
    match manner {
        Manner::Stall => {
            stream.read_exact(&mut body[..10_000]).await.ok()?;
            std::future::pending::<()>().await;
        }
        Manner::Cut => {
            stream.read_exact(&mut body[..10_000]).await.ok()?;
            return None;
        }
        Manner::Slow => {
            for piece in body.chunks_mut(40_000) {
                tokio::time::sleep(Duration::from_millis(200)).await;
                stream.read_exact(piece).await.ok()?;
            }
        }
        Manner::Busy => {
            let problem = Problem::new(ProblemKind::Busy, "later");
            let said = serde_json::to_string(&problem).unwrap();
            answer(stream, "503 Busy\r\nretry-after: 7", &said).await?;
            let mut rest = Vec::new();
            let _ = stream.read_to_end(&mut rest).await;
            return None;
        }
        Manner::Answer | Manner::AnswerAndClose => {
            stream.read_exact(&mut body).await.ok()?;
        }
        Manner::Buffer(time) => {
            stream.read_exact(&mut body).await.ok()?;
            tokio::time::sleep(time).await;
        }
    }
    let mut decoder = Decoder::new();
    decoder.take(&body, |_| ()).unwrap();
    let frames = decoder.finish().unwrap();
    bodies.lock().unwrap().push(body);
    answer(stream, "200 OK", &format!("{{\"frames\":{frames}}}")).await?;
    (manner != Manner::AnswerAndClose).then_some(())
}

async fn answer(stream: &mut TlsStream<TcpStream>, status: &str, body: &str) -> Option<()> {
    let length = body.len();
    let said = format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\n\r\n{body}");
    stream.write_all(said.as_bytes()).await.ok()
}

/// Chunks of bytes that do not repeat.
fn chunks(count: usize) -> Vec<Vec<u8>> {
    let mut random = fastrand::Rng::with_seed(11);
    let mut chunk = || (0..200_000).map(|_| random.u8(..)).collect();
    (0..count).map(|_| chunk()).collect()
}

fn body(count: usize) -> ChunkBody {
    let mut body = ChunkBody::default();
    for chunk in chunks(count) {
        body.push(ChunkRef::of(&chunk), Encoding::Plain, chunk)
            .unwrap();
    }
    body
}

fn frames(body: &[u8]) -> Vec<Frame> {
    let mut decoder = Decoder::new();
    let mut frames = Vec::new();
    decoder.take(body, |frame| frames.push(frame)).unwrap();
    frames
}

fn failed(answer: &Answer<ChunksReply>) -> &Outcome {
    match answer {
        Answer::Outcome(outcome) => outcome,
        Answer::Reply(reply) => panic!("{reply:?}"),
    }
}

fn arrived(answer: &Answer<ChunksReply>) -> u32 {
    match answer {
        Answer::Reply(reply) => reply.frames,
        Answer::Outcome(outcome) => panic!("{outcome:?}"),
    }
}

#[tokio::test]
async fn chunks_arrive_as_they_were_over_one_connection() {
    let server = Server::start(&[]);
    let link = server.link();
    for _ in 0..3 {
        assert_eq!(arrived(&link.send_chunks(body(3)).await.0), 3);
    }
    assert_eq!(server.connections(), 1);
    let bodies = server.bodies.lock().unwrap();
    for body in bodies.iter() {
        let stored: Vec<Vec<u8>> = frames(body).into_iter().map(|frame| frame.stored).collect();
        assert_eq!(stored, chunks(3));
    }
    let sent = link.gate().sent();
    let least: u64 = bodies.iter().map(|body| body.len() as u64).sum();
    assert!((least..least + 3_000).contains(&sent), "{sent} of {least}");
}

#[tokio::test]
async fn a_stall_is_noticed_and_the_next_body_goes_over_a_new_connection() {
    let server = Server::start(&[Manner::Stall]);
    let link = server.link();
    let (answer, timing) = link.send_chunks(body(40)).await;
    assert!(matches!(failed(&answer), Outcome::Retry { .. }));
    assert!(timing.took < Duration::from_secs(30), "{timing:?}");
    assert_eq!(arrived(&link.send_chunks(body(3)).await.0), 3);
    assert_eq!(server.connections(), 2);
}

#[tokio::test]
async fn a_proxy_that_buffers_and_a_slow_one_are_no_stall() {
    let late = Duration::from_secs(5);
    let server = Server::start(&[Manner::Buffer(late), Manner::Slow]);
    let link = server.link();
    let (answer, timing) = link.send_chunks(body(2)).await;
    assert_eq!(arrived(&answer), 2);
    assert!(timing.took >= late);
    assert_eq!(arrived(&link.send_chunks(body(5)).await.0), 5);
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn a_cut_costs_a_retry() {
    let server = Server::start(&[Manner::Cut]);
    let link = server.link();
    let (answer, _) = link.send_chunks(body(40)).await;
    assert!(matches!(failed(&answer), Outcome::Retry { .. }));
    assert_eq!(arrived(&link.send_chunks(body(1)).await.0), 1);
}

#[tokio::test]
async fn an_answer_before_the_body_is_read_is_heard() {
    let server = Server::start(&[Manner::Busy]);
    let link = server.link();
    let (answer, _) = link.send_chunks(body(40)).await;
    match failed(&answer) {
        Outcome::Retry {
            not_before,
            trouble,
        } => {
            assert_eq!(*not_before, Some(Duration::from_secs(7)));
            assert!(trouble.central_answered);
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(arrived(&link.send_chunks(body(1)).await.0), 1);
    assert_eq!(
        server.connections(),
        2,
        "a connection with half a body on it is not used again"
    );
}

#[tokio::test]
async fn a_connection_that_was_closed_while_idle_costs_nothing() {
    let server = Server::start(&[Manner::AnswerAndClose, Manner::AnswerAndClose]);
    let link = server.link();
    for _ in 0..3 {
        assert_eq!(arrived(&link.send_chunks(body(1)).await.0), 1);
    }
    assert_eq!(server.connections(), 3);
}

#[tokio::test]
async fn nobody_there_is_said_at_once() {
    let server = Server::start(&[]);
    let link = server.link();
    drop(server);
    let (answer, timing) = link.send_chunks(body(1)).await;
    assert!(matches!(failed(&answer), Outcome::Retry { .. }));
    assert!(timing.took < Duration::from_secs(10));
}

#[test]
fn a_body_keeps_its_bounds() {
    let mut body = ChunkBody::default();
    let chunk = vec![7; 200_000];
    let reference = ChunkRef::of(&chunk);
    let mut pushed = 0;
    while body.push(reference, Encoding::Plain, chunk.clone()).is_ok() {
        pushed += 1;
    }
    assert!(body.bytes() <= limits::CHUNK_BODY_BYTES && pushed == body.frames());
    let mut body = ChunkBody::default();
    let tiny = ChunkRef::of(b"x");
    while body.push(tiny, Encoding::Plain, b"x".to_vec()).is_ok() {}
    assert_eq!(body.frames(), limits::CHUNK_BODY_FRAMES);
}
