//! Connections of browsers and programs: as many as are allowed, each with its time limits, ended in good
//! order.
//!
//! Over TLS HTTP/2 and HTTP/1.1, as the two agree; without it HTTP/1.1. Anybody may connect, so that
//! nothing here is kept for anybody: a connection that is idle, or slow, or old, is closed.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use hyper::server::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::task::TaskTracker;

use super::{Desk, Way};
use crate::impatient::Impatient;

/// Bytes of a request's headers, and of the read buffer of each connection.
const HEADER_BYTES: usize = 32 * 1024;
/// Headers of one request; browsers send some twenty.
const HEADERS: usize = 64;
/// Bytes that wait of what a peer does not take yet.
const UNSENT_BYTES: usize = 64 * 1024;
/// Requests of one HTTP/2 connection that are answered at once.
const STREAMS: u32 = 32;
/// How often an HTTP/2 connection is asked whether its peer is there, and how long that may take.
const STILL_THERE: Duration = Duration::from_secs(20);
/// Pause after a failed accept: out of file handles, mostly, which takes a moment to pass.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// What a connection that has to end may still take for the answers that are under way.
const LAST_WORDS: Duration = Duration::from_secs(30);

/// Where a request comes from. Whoever upgrades its connection keeps this, and with it its place.
#[derive(Clone)]
pub(super) struct Peer {
    pub(super) address: IpAddr,
    _place: Arc<Place>,
}

impl Peer {
    #[cfg(test)]
    pub(super) fn of(address: IpAddr) -> Self {
        let crowd = Arc::new(Crowd::default());
        let one = Arc::new(Semaphore::new(1));
        let permit = one.try_acquire_owned().expect("there is one");
        Self {
            address,
            _place: Arc::new(Place::take(crowd, address, permit, 1).expect("there is one")),
        }
    }
}

/// Connections by address.
#[derive(Default)]
struct Crowd(Mutex<HashMap<IpAddr, usize>>);

/// One of the connections that are allowed.
struct Place {
    crowd: Arc<Crowd>,
    address: IpAddr,
    _permit: OwnedSemaphorePermit,
}

impl Place {
    fn take(
        crowd: Arc<Crowd>,
        address: IpAddr,
        permit: OwnedSemaphorePermit,
        most: usize,
    ) -> Option<Self> {
        {
            let mut counts = crowd.0.lock().unwrap_or_else(PoisonError::into_inner);
            let count = counts.entry(address).or_default();
            if *count >= most {
                return None;
            }
            *count += 1;
        }
        Some(Self {
            crowd,
            address,
            _permit: permit,
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.crowd.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.address);
            }
        }
    }
}

/// Accepts connections until the desk is stopping, then lets each finish what it is answering.
/// `connections` holds those that are not finished.
pub async fn accept_until(desk: Arc<Desk>, listener: TcpListener, connections: &TaskTracker) {
    let router = desk.router();
    let places = Arc::new(Semaphore::new(desk.bounds.connections));
    let crowd = Arc::new(Crowd::default());
    loop {
        let accepted = async {
            // Beyond the bound one waits in the kernel's queue, unanswered and unread.
            let permit = places.clone().acquire_owned().await.ok();
            (listener.accept().await, permit)
        };
        let (accepted, permit) = tokio::select! {
            accepted = accepted => accepted,
            () = desk.stopping.cancelled() => return,
        };
        let Some(permit) = permit else { return };
        match accepted {
            Ok((stream, from)) => {
                let most = desk.bounds.connections_of_address;
                let Some(place) = Place::take(crowd.clone(), from.ip(), permit, most) else {
                    tracing::debug!(address = %from.ip(), "too many connections of one address");
                    continue;
                };
                let peer = Peer {
                    address: from.ip(),
                    _place: Arc::new(place),
                };
                let router = router.clone().layer(axum::Extension(peer));
                connections.spawn(attend(desk.clone(), stream, router));
            }
            Err(fault) => {
                tracing::warn!(error = %fault, "accept a connection of the desk");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn attend(desk: Arc<Desk>, stream: TcpStream, router: Router) {
    // Small answers are not to wait for the acknowledgement of the ones before.
    let _ = stream.set_nodelay(true);
    let stream = Impatient::new(stream, desk.bounds.write_stall);
    let Way::Tls(config) = &desk.way else {
        speak_http1(&desk, stream, router).await;
        return;
    };
    let Some(stream) = shake_hands(&desk, config.clone(), stream).await else {
        return;
    };
    if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
        speak_http2(&desk, stream, router).await;
    } else {
        speak_http1(&desk, stream, router).await;
    }
}

async fn shake_hands(
    desk: &Desk,
    config: Arc<rustls::ServerConfig>,
    stream: Impatient,
) -> Option<TlsStream<Impatient>> {
    let shaking = TlsAcceptor::from(config).accept_with(stream, |connection| {
        connection.set_buffer_limit(Some(UNSENT_BYTES));
    });
    match tokio::time::timeout(desk.bounds.handshake_within, shaking).await {
        Ok(Ok(stream)) => Some(stream),
        // Anybody can cause either, as often as they like.
        Ok(Err(fault)) => {
            tracing::debug!(error = %fault, "a handshake at the desk failed");
            None
        }
        Err(_) => {
            tracing::debug!("a handshake at the desk took too long");
            None
        }
    }
}

async fn speak_http1<S>(desk: &Desk, stream: S, router: Router)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(desk.bounds.headers_within)
        .max_buf_size(HEADER_BYTES)
        .max_headers(HEADERS)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router))
        .with_upgrades();
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = time_to_go(desk) => {
            connection.as_mut().graceful_shutdown();
            let last = tokio::time::timeout(LAST_WORDS, connection);
            last.await.unwrap_or(Ok(()))
        }
    };
    if let Err(fault) = ended {
        tracing::debug!(error = %fault, "a connection of the desk ended early");
    }
}

async fn speak_http2<S>(desk: &Desk, stream: S, router: Router)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let connection = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .keep_alive_interval(STILL_THERE)
        .keep_alive_timeout(STILL_THERE)
        .max_concurrent_streams(STREAMS)
        .max_header_list_size(u32::try_from(HEADER_BYTES).unwrap_or(u32::MAX))
        .max_send_buf_size(UNSENT_BYTES)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = time_to_go(desk) => {
            connection.as_mut().graceful_shutdown();
            let last = tokio::time::timeout(LAST_WORDS, connection);
            last.await.unwrap_or(Ok(()))
        }
    };
    if let Err(fault) = ended {
        tracing::debug!(error = %fault, "a connection of the desk ended early");
    }
}

async fn time_to_go(desk: &Desk) {
    tokio::select! {
        () = desk.stopping.cancelled() => {}
        () = tokio::time::sleep(desk.bounds.connection_total) => {}
    }
}
