//! Connections: as many as are allowed, each with its time limits, ended in good order.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, Sleep};
use tokio_util::task::TaskTracker;

use super::envelope::Peer;
use super::{Bounds, Ingress};

/// Bytes of a request's headers, and of the read buffer of each connection.
const HEADER_BYTES: usize = 32 * 1024;
/// Headers of one request; an agent sends nine.
const HEADERS: usize = 64;
/// Pause after a failed accept: out of file handles, mostly, which takes a moment to pass.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Accepts connections until the ingress is stopping, then lets each finish what it is answering.
/// `connections` holds those that are not finished.
pub async fn accept_until(ingress: Arc<Ingress>, listener: TcpListener, connections: &TaskTracker) {
    let router = ingress.router();
    loop {
        // Beyond the bound a connection waits in the kernel's queue, unanswered and unread.
        let accepted = async {
            let turn = ingress.places.clone().acquire_owned().await;
            (listener.accept().await, turn)
        };
        let (accepted, turn) = tokio::select! {
            accepted = accepted => accepted,
            () = ingress.stopping.cancelled() => return,
        };
        match accepted {
            Ok((stream, peer)) => {
                let router = router.clone().layer(axum::Extension(Peer(peer.ip())));
                let ingress = ingress.clone();
                connections.spawn(async move {
                    let _turn = turn;
                    converse(stream, router, &ingress).await;
                });
            }
            Err(fault) => {
                tracing::warn!(error = %fault, "accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn converse(stream: TcpStream, router: Router, ingress: &Ingress) {
    let Bounds {
        headers_within,
        write_stall,
        ..
    } = ingress.bounds;
    // Answers are written whole; waiting for more would only delay them.
    let _ = stream.set_nodelay(true);
    let stream = TokioIo::new(Impatient::new(stream, write_stall));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(headers_within)
        .max_buf_size(HEADER_BYTES)
        .max_headers(HEADERS)
        .serve_connection(stream, TowerToHyperService::new(router));
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = ingress.stopping.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(fault) = ended {
        // Agents come and go; their links are expected to break.
        tracing::debug!(error = %fault, "a connection ended early");
    }
}

/// A stream that fails when its peer takes nothing for too long, so that one that has gone away
/// without a word does not keep its place and its answer's memory.
struct Impatient {
    stream: TcpStream,
    patience: Duration,
    waiting: Option<Pin<Box<Sleep>>>,
}

impl Impatient {
    fn new(stream: TcpStream, patience: Duration) -> Self {
        Self {
            stream,
            patience,
            waiting: None,
        }
    }

    fn patiently<T>(
        &mut self,
        context: &mut Context<'_>,
        step: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if step.is_ready() {
            self.waiting = None;
            return step;
        }
        let until = Instant::now() + self.patience;
        let waiting = self
            .waiting
            .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(until)));
        waiting
            .as_mut()
            .poll(context)
            .map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Impatient {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Impatient {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let step = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.patiently(context, step)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let step = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.patiently(context, step)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
