//! A narrow line with one long queue, as modems have: what a client sends is taken at once, waits behind
//! everything that was sent before it, whoever sent that, and leaves at the line's rate. Replies are not
//! held up.
//!
//! It measures in bytes and not in time how long a request waited: how much lay before it in the queue. To
//! see requests it stands where TLS is ended ([`crate::dmz`]), whose own buffers are small.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use branchline_protocol::exchange::OPERATIONS_PATH;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::OwnedWriteHalf;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;

use crate::dmz::{Around, Back};
use crate::processes::Central;

/// What leaves at once: a packet.
const PACKET_BYTES: usize = 1_400;
/// More pieces than a queue of any test has.
const PIECES: usize = 64 * 1024;

struct Shared {
    bytes_per_second: u64,
    /// Room that is left in the queue, in bytes.
    room: Arc<Semaphore>,
    /// Bytes in the queue.
    queued: AtomicU64,
    carried: AtomicU64,
    before_submissions: Mutex<Vec<u64>>,
    queue: mpsc::Sender<Piece>,
}

struct Piece {
    bytes: Vec<u8>,
    to: Arc<tokio::sync::Mutex<OwnedWriteHalf>>,
}

/// The line, which ends with this handle.
pub struct NarrowLine {
    ends: Around,
    shared: Arc<Shared>,
    _tasks: JoinSet<()>,
}

impl NarrowLine {
    /// A line of this rate to central, whose queue has room for so many bytes.
    pub async fn start(central: &Central, bytes_per_second: u64, queue_bytes: usize) -> Self {
        let proxy = central.proxy();
        let back = Back::start(proxy, central.address);
        let upstream = back.address();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let (queue, waiting) = mpsc::channel(PIECES);
        let shared = Arc::new(Shared {
            bytes_per_second,
            room: Arc::new(Semaphore::new(queue_bytes)),
            queued: AtomicU64::new(0),
            carried: AtomicU64::new(0),
            before_submissions: Mutex::default(),
            queue,
        });
        let mut tasks = JoinSet::new();
        tasks.spawn(leave(shared.clone(), waiting));
        let accepting = shared.clone();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                tokio::select! {
                    Ok((client, _)) = listener.accept() => {
                        connections.spawn(carry(accepting.clone(), client, upstream));
                    }
                    Some(_) = connections.join_next() => {}
                }
            }
        });
        Self {
            ends: Around::new(proxy, back, address),
            shared,
            _tasks: tasks,
        }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.ends.address()
    }

    /// Bytes that have left the queue.
    pub fn carried(&self) -> u64 {
        self.shared.carried.load(Ordering::Relaxed)
    }

    /// What lay before each submission in the queue, in bytes; begins anew.
    pub fn take_before_submissions(&self) -> Vec<u64> {
        std::mem::take(&mut lock(&self.shared.before_submissions))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One connection: its client's bytes into the queue, its replies back at once.
async fn carry(shared: Arc<Shared>, client: TcpStream, upstream: SocketAddr) {
    let Ok(upstream) = TcpStream::connect(upstream).await else {
        return;
    };
    let _ = (client.set_nodelay(true), upstream.set_nodelay(true));
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_upstream, to_upstream) = upstream.into_split();
    let to_upstream = Arc::new(tokio::sync::Mutex::new(to_upstream));
    let requests = async {
        let mut buffer = vec![0; PACKET_BYTES];
        while let Ok(count @ 1..) = from_client.read(&mut buffer).await {
            let piece = &buffer[..count];
            shared.enter(piece, &to_upstream).await;
        }
    };
    let replies = async {
        let _ = tokio::io::copy(&mut from_upstream, &mut to_client).await;
    };
    // What is in the queue leaves it all the same.
    tokio::select! {
        () = requests => {}
        () = replies => {}
    }
}

impl Shared {
    async fn enter(&self, piece: &[u8], to: &Arc<tokio::sync::Mutex<OwnedWriteHalf>>) {
        let room = u32::try_from(piece.len()).unwrap_or(u32::MAX);
        if let Ok(room) = self.room.acquire_many(room).await {
            room.forget();
        }
        let before = self.queued.fetch_add(piece.len() as u64, Ordering::Relaxed);
        let submission = format!("POST {OPERATIONS_PATH} ");
        if piece.starts_with(submission.as_bytes()) {
            lock(&self.before_submissions).push(before);
        }
        let bytes = piece.to_vec();
        let to = to.clone();
        let _ = self.queue.send(Piece { bytes, to }).await;
    }
}

/// The far end of the queue.
async fn leave(shared: Arc<Shared>, mut waiting: mpsc::Receiver<Piece>) {
    let begun = tokio::time::Instant::now();
    let mut free_at = begun;
    while let Some(piece) = waiting.recv().await {
        let micros = piece.bytes.len() as u64 * 1_000_000 / shared.bytes_per_second.max(1);
        free_at = free_at.max(tokio::time::Instant::now()) + Duration::from_micros(micros);
        tokio::time::sleep_until(free_at).await;
        // A connection that broke needs nothing any more.
        let _ = piece.to.lock().await.write_all(&piece.bytes).await;
        let bytes = piece.bytes.len();
        shared.queued.fetch_sub(bytes as u64, Ordering::Relaxed);
        shared.carried.fetch_add(bytes as u64, Ordering::Relaxed);
        shared.room.add_permits(bytes);
    }
}
