//! A TCP proxy that treats the agent and the server as bad middleboxes do: it cuts, delays,
//! swallows, repeats, and answers in its own name. Nothing in it knows Branchline.
//!
//! It stands outside TLS, where bytes are all it sees, or inside ([`ChaosProxy::inside`]), where it can
//! bend, repeat and answer requests.
//!
//! Faults are drawn anew for each turn of each connection. A turn begins when the client speaks
//! after the upstream did, which without pipelining is a request and its reply. All draws follow
//! from the seed, the number of the connection and its turn, and are printed; how the bytes fall
//! into chunks is up to the system, so that delays differ from run to run.

use std::collections::BTreeMap;
use std::future::pending;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

use crate::dmz::{Around, Back};
use crate::processes::Central;

mod http;
mod line;
#[cfg(test)]
mod tests;
mod turn;

use http::Replay;
use line::carry;

/// More than any test's agents open at once; further ones are cut.
const MAX_CONNECTIONS: usize = 256;
const MAX_WAITING_REPLAYS: usize = 64;

/// What to do to the traffic: chances in per mille, for each turn unless said otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chaos {
    /// Cut the connection within the next `cut_within` bytes from the client.
    pub cut_request: u16,
    /// Cut the connection within the next `cut_within` bytes from the upstream.
    pub cut_reply: u16,
    /// Pass the request, then throw the reply away and close at once or after `hang`.
    pub swallow_reply: u16,
    /// Hold back a chunk for up to `max_delay`; for each chunk.
    pub delay: u16,
    /// Deliver in tiny pieces.
    pub dribble: u16,
    /// Flip one bit of an HTTP/1.1 body, of the request or of the reply.
    pub flip_byte: u16,
    /// Send the request to the upstream once more on a connection of its own, beside the first or
    /// up to `max_delay` later. Needs a request that is complete by its head or `Content-Length`.
    pub duplicate: u16,
    /// Answer `502` with a page of HTML; the upstream sees nothing.
    pub bad_gateway: u16,
    /// Answer `200` with a page of HTML that wants a login; the upstream sees nothing.
    pub captive_portal: u16,
    /// Answer `503` with `Retry-After: 1`; the upstream sees nothing.
    pub busy: u16,
    pub max_delay: Duration,
    pub hang: Duration,
    pub cut_within: u64,
}

impl Chaos {
    pub const NONE: Self = Self {
        cut_request: 0,
        cut_reply: 0,
        swallow_reply: 0,
        delay: 0,
        dribble: 0,
        flip_byte: 0,
        duplicate: 0,
        bad_gateway: 0,
        captive_portal: 0,
        busy: 0,
        max_delay: Duration::from_millis(50),
        hang: Duration::from_millis(500),
        cut_within: 256 * 1024,
    };

    /// A bad line: most requests get through.
    #[must_use]
    pub const fn rough() -> Self {
        Self {
            cut_request: 20,
            cut_reply: 20,
            swallow_reply: 20,
            delay: 50,
            dribble: 30,
            duplicate: 20,
            bad_gateway: 10,
            captive_portal: 5,
            busy: 10,
            ..Self::NONE
        }
    }

    /// A line on which about every second request fails.
    #[must_use]
    pub const fn hostile() -> Self {
        Self {
            cut_request: 120,
            cut_reply: 120,
            swallow_reply: 120,
            delay: 150,
            dribble: 100,
            duplicate: 150,
            bad_gateway: 60,
            captive_portal: 60,
            busy: 60,
            max_delay: Duration::from_millis(200),
            hang: Duration::from_secs(2),
            ..Self::NONE
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    CutRequest,
    CutReply,
    SwallowReply,
    Delay,
    Dribble,
    FlipByte,
    Duplicate,
    BadGateway,
    CaptivePortal,
    Busy,
}

/// What happened so far. Bytes are counted as they are passed on: what was cut, swallowed or
/// answered by the proxy, and what it sent in repeats, is not among them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stats {
    pub connections: u64,
    pub bytes_up: u64,
    pub bytes_down: u64,
    pub faults: BTreeMap<Fault, u64>,
}

impl Stats {
    #[must_use]
    pub fn faults_of(&self, fault: Fault) -> u64 {
        self.faults.get(&fault).copied().unwrap_or(0)
    }
}

/// The proxy, which ends with this handle.
#[derive(Debug)]
pub struct ChaosProxy {
    addr: SocketAddr,
    shared: Arc<Shared>,
    commands: mpsc::Sender<Command>,
    _task: JoinSet<()>,
    ends: Option<Around>,
}

impl ChaosProxy {
    /// Inside TLS, which it ends on both sides as a proxy that central knows by name.
    ///
    /// # Errors
    /// If no port can be had.
    pub fn inside(central: &Central, seed: u64, chaos: Chaos) -> io::Result<Self> {
        let back = Back::start(central.proxy(), central.address);
        let mut proxy = Self::start(back.address(), seed, chaos)?;
        proxy.ends = Some(Around::new(central.proxy(), back, proxy.addr));
        Ok(proxy)
    }

    /// Serves on a free local port, within the tokio runtime that this is called in.
    ///
    /// # Errors
    /// If no port can be had.
    pub fn start(upstream: SocketAddr, seed: u64, chaos: Chaos) -> io::Result<Self> {
        // Never listens, and so keeps the port ours while the proxy is down.
        let reservation = local_socket(SocketAddr::from(([127, 0, 0, 1], 0)))?;
        let addr = reservation.local_addr()?;
        let listener = local_socket(addr)?.listen(1024)?;
        eprintln!("chaos proxy {addr} to {upstream}, seed {seed}");

        let (replays, replays_due) = mpsc::channel(MAX_WAITING_REPLAYS);
        let shared = Arc::new(Shared {
            upstream,
            seed,
            chaos: Mutex::new((0, chaos)),
            stats: Mutex::default(),
            replays,
        });
        let (commands, commands_due) = mpsc::channel(1);
        let mut task = JoinSet::new();
        let door = Door {
            addr,
            _reservation: reservation,
            listener: Some(listener),
        };
        task.spawn(serve(shared.clone(), door, commands_due, replays_due));
        Ok(Self {
            addr,
            shared,
            commands,
            _task: task,
            ends: None,
        })
    }

    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.ends.as_ref().map_or(self.addr, Around::address)
    }

    /// Open connections follow from their next turn on; a cut that they were heading for is off.
    pub fn set(&self, chaos: Chaos) {
        let mut current = lock(&self.shared.chaos);
        *current = (current.0 + 1, chaos);
    }

    #[must_use]
    pub fn stats(&self) -> Stats {
        lock(&self.shared.stats).clone()
    }

    /// Cuts all connections, and refuses new ones from when this returns.
    ///
    /// # Errors
    /// If the proxy's runtime is gone.
    pub async fn down(&self) -> io::Result<()> {
        self.command(false).await
    }

    /// Serves again, on the same port.
    ///
    /// # Errors
    /// If the port cannot be had back.
    pub async fn up(&self) -> io::Result<()> {
        self.command(true).await
    }

    async fn command(&self, serve: bool) -> io::Result<()> {
        let gone = || io::Error::from(io::ErrorKind::BrokenPipe);
        let (done, outcome) = oneshot::channel();
        self.commands
            .send(Command { serve, done })
            .await
            .map_err(|_| gone())?;
        outcome.await.map_err(|_| gone())?
    }
}

#[derive(Debug)]
struct Command {
    serve: bool,
    done: oneshot::Sender<io::Result<()>>,
}

#[derive(Debug)]
struct Shared {
    upstream: SocketAddr,
    seed: u64,
    /// With the number of times that it was set.
    chaos: Mutex<(u64, Chaos)>,
    stats: Mutex<Stats>,
    replays: mpsc::Sender<Replay>,
}

impl Shared {
    fn inject(&self, fault: Fault, place: &str) {
        *lock(&self.stats).faults.entry(fault).or_default() += 1;
        if fault != Fault::Delay {
            eprintln!("chaos seed {} {place}: {fault:?}", self.seed);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn local_socket(addr: SocketAddr) -> io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(addr)?;
    Ok(socket)
}

struct Door {
    addr: SocketAddr,
    _reservation: TcpSocket,
    listener: Option<TcpListener>,
}

impl Door {
    async fn accept(&self) -> io::Result<TcpStream> {
        match &self.listener {
            Some(listener) => listener.accept().await.map(|(client, _)| client),
            None => pending().await,
        }
    }

    fn open(&mut self) -> io::Result<()> {
        if self.listener.is_none() {
            self.listener = Some(local_socket(self.addr)?.listen(1024)?);
        }
        Ok(())
    }
}

async fn serve(
    shared: Arc<Shared>,
    mut door: Door,
    mut commands: mpsc::Receiver<Command>,
    mut replays: mpsc::Receiver<Replay>,
) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            command = commands.recv() => {
                let Some(Command { serve, done }) = command else { return };
                let outcome = if serve {
                    door.open()
                } else {
                    door.listener = None;
                    connections.shutdown().await;
                    Ok(())
                };
                // Whoever no longer waits for the outcome does not need it.
                let _ = done.send(outcome);
            }
            Ok(client) = door.accept() => {
                let number = {
                    let mut stats = lock(&shared.stats);
                    stats.connections += 1;
                    stats.connections
                };
                if connections.len() < MAX_CONNECTIONS {
                    connections.spawn(carry(shared.clone(), number, client));
                }
            }
            Some(replay) = replays.recv() => {
                if door.listener.is_some() && connections.len() < MAX_CONNECTIONS {
                    connections.spawn(replay.run(shared.clone()));
                }
            }
            Some(_) = connections.join_next() => {}
        }
    }
}
