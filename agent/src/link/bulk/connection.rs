//! One connection to central for bulk: one exchange at a time, given up by being dropped.
//!
//! Dropping it resets it: what its buffers still hold is thrown away by the system and not sent behind the
//! back of the attempt that follows. Where the system can be told to, little is kept in its buffers, and
//! bytes that stay unacknowledged end the connection within seconds instead of minutes.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::time::Duration;

use branchline_protocol::outcome::Failure;
use futures_util::FutureExt;
use http::Request;
use http_body_util::BodyExt;
use hyper::client::conn::http1::{Builder, SendRequest};
use hyper_util::rt::TokioIo;
use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::paced_body::{PacedBody, Progress, Seen};
use crate::link::answer::Received;
use crate::link::failure::of_exchange as failure;
use crate::link::{Present, way::Way};

/// Bytes of which nothing is lost when they are sent again.
pub(super) const LITTLE: u64 = 64 * 1024;
/// How often a body is looked at for a stall.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// A connection comes about within this, beyond some round trips: two packets are tried in it, and the
/// next attempt follows soon, so that a link that returns is noticed within a second or two.
const CONNECT_WITHIN: Duration = Duration::from_secs(2);
/// The same on a link whose distance is not known.
const FIRST_CONNECT_WITHIN: Duration = Duration::from_secs(10);
/// Bytes in the system's buffers that have not gone yet; the more, the later a pause is one.
#[cfg(any(target_os = "linux", target_os = "android"))]
const NOT_SENT_BYTES: u32 = 16 * 1024;
/// Bytes in the HTTP library's buffer.
const BUFFER_BYTES: usize = 16 * 1024;
/// A connection on which nothing moves is asked whether it lives after this, and so often.
const KEEPALIVE_AFTER: Duration = Duration::from_secs(3);
const KEEPALIVE_EVERY: Duration = Duration::from_secs(1);

type Driver = Pin<Box<dyn Future<Output = hyper::Result<()>> + Send>>;

pub(super) struct Connection {
    sender: SendRequest<PacedBody>,
    /// Moves the bytes; `None` once the connection has ended.
    driver: Option<Driver>,
    idle_since: Instant,
    /// Which of the link's identities it was made with.
    generation: u64,
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection").finish_non_exhaustive()
    }
}

impl Connection {
    /// A new connection as whoever we are at present.
    pub(super) async fn open(
        way: &Way,
        present: &Present,
        distance: Option<Duration>,
        unacknowledged: Duration,
    ) -> Result<Self, Failure> {
        let within = match distance {
            Some(distance) => CONNECT_WITHIN.max(distance * 4),
            None => FIRST_CONNECT_WITHIN,
        };
        let prepare = |stream: &TcpStream| prepare(stream, unacknowledged);
        let wire = way.open(&present.tls, within, prepare).await?;
        let (sender, driver) = Builder::new()
            .max_buf_size(BUFFER_BYTES)
            .handshake(TokioIo::new(wire))
            .await
            .map_err(|fault| failure(&fault))?;
        Ok(Self {
            sender,
            driver: Some(Box::pin(driver)),
            idle_since: Instant::now(),
            generation: present.generation,
        })
    }

    /// Sends a request and reads its answer, unless `is_over` finds that it has stalled.
    pub(super) async fn exchange(
        &mut self,
        request: Request<PacedBody>,
        progress: &Progress,
        is_over: impl Fn(Seen) -> bool,
    ) -> Result<Received, Failure> {
        let Self { sender, driver, .. } = self;
        let receive = async {
            let response = sender
                .send_request(request)
                .await
                .map_err(|fault| failure(&fault))?;
            read(response).await
        };
        tokio::pin!(receive);
        let mut look = tokio::time::interval(LOOK_EVERY);
        loop {
            tokio::select! {
                biased;
                received = &mut receive => return received,
                () = drive(driver) => {}
                _ = look.tick() => {
                    if is_over(progress.seen()) {
                        return Err(Failure::TimedOut);
                    }
                }
            }
        }
    }

    /// Whether another request can go over it.
    pub(super) fn is_reusable(&mut self) -> bool {
        if let Some(driver) = &mut self.driver
            && driver.now_or_never().is_some()
        {
            self.driver = None;
        }
        self.driver.is_some() && self.sender.is_ready()
    }

    pub(super) fn generation(&self) -> u64 {
        self.generation
    }

    pub(super) fn now_idle(&mut self) {
        self.idle_since = Instant::now();
    }

    pub(super) fn idle_for(&self) -> Duration {
        self.idle_since.elapsed()
    }
}

/// Moves bytes until the connection ends, then never again. A request under way learns of the end by
/// itself.
async fn drive(driver: &mut Option<Driver>) {
    match driver {
        Some(moving) => {
            let _ = moving.await;
            *driver = None;
        }
        None => std::future::pending().await,
    }
}

/// Each of these helps and none is needed: a system that lacks one is slower to notice.
fn prepare(stream: &TcpStream, unacknowledged: Duration) {
    let socket = SockRef::from(stream);
    let keepalive = TcpKeepalive::new()
        .with_time(KEEPALIVE_AFTER)
        .with_interval(KEEPALIVE_EVERY);
    let told = [
        stream.set_nodelay(true),
        socket.set_linger(Some(Duration::ZERO)),
        socket.set_tcp_keepalive(&keepalive),
        bound_buffers(&socket, unacknowledged),
    ];
    for fault in told.into_iter().filter_map(Result::err) {
        tracing::debug!(error = %fault, "set up a connection for bulk");
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn bound_buffers(socket: &SockRef<'_>, unacknowledged: Duration) -> io::Result<()> {
    socket.set_tcp_user_timeout(Some(unacknowledged))?;
    socket.set_tcp_notsent_lowat(NOT_SENT_BYTES)
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn bound_buffers(_socket: &SockRef<'_>, _unacknowledged: Duration) -> io::Result<()> {
    Ok(())
}

async fn read(response: http::Response<hyper::body::Incoming>) -> Result<Received, Failure> {
    let mut received = Received::new(response.status().as_u16(), response.headers());
    let mut body = response.into_body();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|fault| failure(&fault))?;
        if let Some(piece) = frame.data_ref() {
            received.take(piece)?;
        }
    }
    received.whole()
}
