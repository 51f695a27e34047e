//! A middlebox that understands HTTP/1.1, inside TLS: it ends it on both sides, as a proxy that central
//! knows by name. It passes requests on as they come or, as UTMs do, only when
//! they are whole; it holds bodies of chunks to a rate and counts what they carry; and it does to single
//! requests what a test asks: flips a bit, cuts, throws the reply away, keeps the request for later.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use branchline_protocol::exchange::CHUNKS_PATH;
use branchline_protocol::frame::Decoder;
use branchline_protocol::manifest::ChunkRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::dmz::{Around, Back};
use crate::processes::Central;

#[cfg(test)]
mod tests;

const PIECE_BYTES: usize = 16 * 1024;
const HEAD_BYTES: usize = 64 * 1024;

/// A request as it begins.
#[derive(Debug, Clone)]
pub struct Heading {
    /// Counted from 0 over all requests.
    pub number: usize,
    /// Such as `POST`.
    pub method: String,
    /// Path and query.
    pub target: String,
    /// Bytes of the body.
    pub length: usize,
}

impl Heading {
    /// Whether it brings chunks.
    pub fn brings_chunks(&self) -> bool {
        self.target == CHUNKS_PATH
    }
}

/// What to do with a request; by default nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Plan {
    /// Flip a bit of this byte of its body.
    pub flip: Option<usize>,
    /// Flip a bit of this byte of the reply's body, counted modulo its length.
    pub flip_reply: Option<usize>,
    /// Cut after so many bytes of its body.
    pub cut: Option<usize>,
    /// Pass it on and cut in place of the reply.
    pub swallow: bool,
    /// Keep it for [`Middlebox::release`], and cut.
    pub keep: bool,
}

/// A body of chunks, as it went past.
#[derive(Debug, Clone)]
pub struct Carried {
    /// The request's number.
    pub number: usize,
    /// Bytes of the body that the sender got rid of.
    pub bytes: u64,
    /// The chunks of its whole frames.
    pub chunks: Vec<ChunkRef>,
    /// The status of the reply that was handed to the sender, if one was.
    pub answered: Option<u16>,
}

type Rule = dyn FnMut(&Heading) -> Plan + Send;

struct Shared {
    upstream: SocketAddr,
    buffers: bool,
    rule: Mutex<Box<Rule>>,
    state: Mutex<State>,
    /// Held while bytes of a body of chunks are waited for.
    lane: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct State {
    requests: usize,
    carried: Vec<Carried>,
    kept: Vec<Vec<u8>>,
    bytes_per_second: Option<u64>,
}

/// The middlebox, which ends with this handle.
pub struct Middlebox {
    address: SocketAddr,
    shared: Arc<Shared>,
    _task: JoinSet<()>,
    ends: Option<Around>,
}

impl Middlebox {
    /// Passes requests on as they come, within the tokio runtime that this is called in.
    pub async fn start(central: &Central) -> Self {
        Self::inside_tls(central, false).await
    }

    /// Passes requests on only when they are whole.
    pub async fn buffering(central: &Central) -> Self {
        Self::inside_tls(central, true).await
    }

    async fn inside_tls(central: &Central, buffers: bool) -> Self {
        let back = Back::start(central.proxy(), central.address);
        let mut middlebox = Self::serve(back.address(), buffers).await;
        let around = Around::new(central.proxy(), back, middlebox.address);
        middlebox.ends = Some(around);
        middlebox
    }

    async fn serve(upstream: SocketAddr, buffers: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let shared = Arc::new(Shared {
            upstream,
            buffers,
            rule: Mutex::new(Box::new(|_| Plan::default())),
            state: Mutex::default(),
            lane: tokio::sync::Mutex::default(),
        });
        let serving = shared.clone();
        let mut task = JoinSet::new();
        task.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                tokio::select! {
                    Ok((client, _)) = listener.accept() => {
                        let shared = serving.clone();
                        connections.spawn(async move {
                            // A connection that breaks is its two ends' business.
                            let _ = Conversation::new(&shared, client).run().await;
                        });
                    }
                    Some(_) = connections.join_next() => {}
                }
            }
        });
        Self {
            address,
            shared,
            _task: task,
            ends: None,
        }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.ends.as_ref().map_or(self.address, Around::address)
    }

    /// Asks this what to do with each request from now on.
    pub fn set_rule(&self, rule: impl FnMut(&Heading) -> Plan + Send + 'static) {
        *lock(&self.shared.rule) = Box::new(rule);
    }

    /// Holds all bodies of chunks together to this rate.
    pub fn set_rate(&self, bytes_per_second: Option<u64>) {
        lock(&self.shared.state).bytes_per_second = bytes_per_second;
    }

    /// Bodies of chunks so far.
    pub fn carried(&self) -> Vec<Carried> {
        lock(&self.shared.state).carried.clone()
    }

    /// Requests kept so far.
    pub fn kept(&self) -> usize {
        lock(&self.shared.state).kept.len()
    }

    /// Sends the kept requests to the upstream, one after another; gives each answer's status and body.
    pub async fn release(&self) -> Vec<(u16, Vec<u8>)> {
        let kept = std::mem::take(&mut lock(&self.shared.state).kept);
        let mut answers = Vec::new();
        for request in kept {
            let mut upstream = Wire::new(
                TcpStream::connect(self.shared.upstream)
                    .await
                    .expect("the upstream listens"),
            );
            upstream
                .stream
                .write_all(&request)
                .await
                .expect("send a kept request");
            let (head, body) = upstream.message().await.expect("an answer");
            answers.push((status_of(&head), body));
        }
        answers
    }
}

fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One side of a conversation, with what was read and not yet used.
struct Wire {
    stream: TcpStream,
    read: Vec<u8>,
}

impl Wire {
    fn new(stream: TcpStream) -> Self {
        let _ = stream.set_nodelay(true);
        Self {
            stream,
            read: Vec::new(),
        }
    }

    /// The next head, with its empty line; `None` where the other side has closed before it.
    async fn head(&mut self) -> io::Result<Option<Vec<u8>>> {
        loop {
            let end = self.read.windows(4).position(|four| four == b"\r\n\r\n");
            if let Some(end) = end {
                let rest = self.read.split_off(end + 4);
                return Ok(Some(std::mem::replace(&mut self.read, rest)));
            }
            if self.read.len() > HEAD_BYTES {
                return Err(io::Error::other("a head without end"));
            }
            if self.stream.read_buf(&mut self.read).await? == 0 {
                return Ok(None);
            }
        }
    }

    /// At most `most` bytes of a body; fails where there are no more.
    async fn piece(&mut self, most: usize) -> io::Result<Vec<u8>> {
        if self.read.is_empty() {
            self.read.reserve(PIECE_BYTES);
            if self.stream.read_buf(&mut self.read).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        let rest = self.read.split_off(most.min(self.read.len()));
        Ok(std::mem::replace(&mut self.read, rest))
    }

    /// A whole message whose body says its length.
    async fn message(&mut self) -> io::Result<(Vec<u8>, Vec<u8>)> {
        let head = self.head().await?.ok_or(io::ErrorKind::UnexpectedEof)?;
        let length = length_of(&head)?;
        let mut body = Vec::new();
        while body.len() < length {
            body.extend(self.piece(length - body.len()).await?);
        }
        Ok((head, body))
    }
}

fn length_of(head: &[u8]) -> io::Result<usize> {
    let text = String::from_utf8_lossy(head).to_ascii_lowercase();
    if text.contains("\r\ntransfer-encoding:") {
        return Err(io::Error::other("only bodies with a length are understood"));
    }
    let length = text
        .lines()
        .find_map(|line| line.strip_prefix("content-length:"));
    let length = length.map_or(Ok(0), |length| length.trim().parse());
    length.map_err(io::Error::other)
}

fn status_of(head: &[u8]) -> u16 {
    let status = head.get(9..12).map(String::from_utf8_lossy);
    status.and_then(|status| status.parse().ok()).unwrap_or(0)
}

/// One client's connection, with its own to the upstream.
struct Conversation<'a> {
    shared: &'a Shared,
    client: Wire,
    upstream: Option<Wire>,
}

impl<'a> Conversation<'a> {
    fn new(shared: &'a Shared, client: TcpStream) -> Self {
        Self {
            shared,
            client: Wire::new(client),
            upstream: None,
        }
    }

    async fn run(&mut self) -> io::Result<()> {
        while let Some(head) = self.client.head().await? {
            let text = String::from_utf8_lossy(&head).into_owned();
            let mut words = text.split(' ').map(str::to_owned);
            let (method, target) = (words.next(), words.next());
            let heading = {
                let mut state = lock(&self.shared.state);
                state.requests += 1;
                Heading {
                    number: state.requests - 1,
                    method: method.unwrap_or_default(),
                    target: target.unwrap_or_default(),
                    length: length_of(&head)?,
                }
            };
            let plan = (lock(&self.shared.rule))(&heading);
            self.exchange(&heading, plan, head).await?;
        }
        Ok(())
    }

    /// One request and its reply; an error ends the connection.
    async fn exchange(&mut self, heading: &Heading, plan: Plan, head: Vec<u8>) -> io::Result<()> {
        let cut = || io::Error::other("cut");
        let record = heading.brings_chunks().then(|| {
            let mut state = lock(&self.shared.state);
            state.carried.push(Carried {
                number: heading.number,
                bytes: 0,
                chunks: Vec::new(),
                answered: None,
            });
            state.carried.len() - 1
        });
        let mut counted = Counted {
            shared: self.shared,
            record,
            decoder: Decoder::new(),
        };
        let mut waiting = head;
        let mut taken = 0;
        let whole_first = self.shared.buffers || plan.keep;
        let mut upstream_listens = true;
        while taken < heading.length {
            let mut piece = self.client.piece(heading.length - taken).await?;
            counted.count(&piece).await;
            if let Some(at) = plan.flip.and_then(|at| at.checked_sub(taken))
                && let Some(byte) = piece.get_mut(at)
            {
                *byte ^= 1;
            }
            let beyond = plan.cut.and_then(|cut| cut.checked_sub(taken));
            let cuts_here = beyond.is_some_and(|beyond| beyond < piece.len());
            if let Some(beyond) = beyond {
                piece.truncate(beyond);
            }
            taken += piece.len();
            waiting.extend(piece);
            if (!whole_first || cuts_here) && upstream_listens {
                // Central may answer before the end, and stop listening.
                upstream_listens = self.send(std::mem::take(&mut waiting)).await.is_ok();
            }
            if cuts_here {
                return Err(cut());
            }
        }
        if plan.keep {
            lock(&self.shared.state).kept.push(waiting);
            return Err(cut());
        }
        if upstream_listens && !waiting.is_empty() {
            self.send(waiting).await?;
        }
        let (head, mut body) = self.reply().await?;
        if plan.swallow {
            return Err(cut());
        }
        if let Some(at) = plan.flip_reply
            && !body.is_empty()
        {
            let at = at % body.len();
            body[at] ^= 1;
        }
        self.client.stream.write_all(&head).await?;
        self.client.stream.write_all(&body).await?;
        counted.answered(status_of(&head));
        if upstream_listens {
            Ok(())
        } else {
            Err(io::ErrorKind::BrokenPipe.into())
        }
    }

    async fn send(&mut self, bytes: Vec<u8>) -> io::Result<()> {
        if self.upstream.is_none() {
            self.upstream = Some(Wire::new(TcpStream::connect(self.shared.upstream).await?));
        }
        let upstream = self.upstream.as_mut().ok_or(io::ErrorKind::NotConnected)?;
        upstream.stream.write_all(&bytes).await
    }

    /// The upstream's reply, unless the client goes away meanwhile.
    async fn reply(&mut self) -> io::Result<(Vec<u8>, Vec<u8>)> {
        let upstream = self.upstream.as_mut().ok_or(io::ErrorKind::NotConnected)?;
        let client = &self.client.stream;
        let gone = async {
            let mut byte = [0];
            // A client that says more without waiting is not one that has gone away.
            if matches!(client.peek(&mut byte).await, Ok(1..)) {
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            reply = upstream.message() => reply,
            () = gone => Err(io::ErrorKind::ConnectionReset.into()),
        }
    }
}

/// What is known of a body of chunks while it goes past.
struct Counted<'a> {
    shared: &'a Shared,
    record: Option<usize>,
    decoder: Decoder,
}

impl Counted<'_> {
    /// Counts a piece, and lets no more through than the rate allows.
    async fn count(&mut self, piece: &[u8]) {
        let Some(record) = self.record else { return };
        let rate = {
            let mut chunks = Vec::new();
            // What is not frames is counted all the same.
            let _ = self
                .decoder
                .take(piece, |frame| chunks.push(frame.header.chunk));
            let mut state = lock(&self.shared.state);
            let carried = &mut state.carried[record];
            carried.bytes += piece.len() as u64;
            carried.chunks.extend(chunks);
            state.bytes_per_second
        };
        if let Some(rate) = rate {
            let _lane = self.shared.lane.lock().await;
            let micros = piece.len() as u64 * 1_000_000 / rate.max(1);
            tokio::time::sleep(Duration::from_micros(micros)).await;
        }
    }

    fn answered(&self, status: u16) {
        if let Some(record) = self.record {
            lock(&self.shared.state).carried[record].answered = Some(status);
        }
    }
}
