//! Connections: as many as are allowed, each with its time limits, ended in good order.
//!
//! A connection begins as a stranger's, in its own task, so that half a handshake holds up nobody: those
//! have bounds of their own, of all and of one address, and the oldest gives way. Once its certificate
//! proves it an agent's, or a proxy's that the settings name, it takes one of the places that are kept
//! for those. One without a certificate stays a stranger's: it can join, and ask whether central lives.

use std::future::Future;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::OwnedSemaphorePermit;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::task::TaskTracker;

use super::Ingress;
use super::peer::{Door, Peer, Standing, Way};
use super::visitors::Visit;
use crate::authority::patience::Network;
use crate::impatient::Impatient;

/// Bytes of a request's headers, and of the read buffer of each connection.
const HEADER_BYTES: usize = 32 * 1024;
/// Headers of one request; an agent sends nine.
const HEADERS: usize = 64;
/// Bytes that TLS keeps of an answer that its peer does not take yet.
const TLS_BUFFER_BYTES: usize = 32 * 1024;
/// Pause after a failed accept: out of file handles, mostly, which takes a moment to pass.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// What a connection that has to end may still take for the answer that is under way.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Accepts connections until the ingress is stopping, then lets each finish what it is answering.
/// `connections` holds those that are not finished.
pub async fn accept_until(ingress: Arc<Ingress>, listener: TcpListener, connections: &TaskTracker) {
    let router = ingress.router();
    loop {
        let accepted = async {
            let place = place_without_asking(&ingress).await;
            (listener.accept().await, place)
        };
        let (accepted, place) = tokio::select! {
            accepted = accepted => accepted,
            () = ingress.stopping.cancelled() => return,
        };
        match accepted {
            Ok((stream, from)) => {
                // Here and not in its task, so that those who came before it are counted before it.
                let visit = ingress.strangers.enter(Network::of(from.ip()));
                let caller = Caller {
                    ingress: ingress.clone(),
                    router: router.clone(),
                    address: from.ip(),
                };
                connections.spawn(caller.attend(stream, visit, place));
            }
            Err(fault) => {
                tracing::warn!(error = %fault, "accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// A place for whoever comes next, where connections prove nothing by themselves. Beyond the bound one
/// waits in the kernel's queue, unanswered and unread.
async fn place_without_asking(ingress: &Ingress) -> Option<OwnedSemaphorePermit> {
    if ingress.tls().is_some() {
        return None;
    }
    ingress.places.clone().acquire_owned().await.ok()
}

/// Somebody who has connected.
struct Caller {
    ingress: Arc<Ingress>,
    router: Router,
    address: IpAddr,
}

impl Caller {
    async fn attend(
        self,
        stream: TcpStream,
        visit: Visit<Network>,
        place: Option<OwnedSemaphorePermit>,
    ) {
        // Answers are written whole; waiting for more would only delay them.
        let _ = stream.set_nodelay(true);
        let stream = Impatient::new(stream, self.ingress.bounds.write_stall);
        let ingress = self.ingress.clone();
        let Some(door) = ingress.tls() else {
            let _place = place;
            drop(visit);
            let for_ever = std::future::pending();
            return self
                .converse(stream, Standing::Spokesman, for_ever, LAST_WORDS)
                .await;
        };
        let shaken = tokio::select! {
            shaken = self.shake_hands(door, stream) => shaken,
            () = visit.dismissed() => None,
            () = ingress.stopping.cancelled() => None,
        };
        let Some(stream) = shaken else { return };
        let standing = door.standing(stream.get_ref().1.peer_certificates());
        match &standing {
            Standing::Agent(agent) => {
                let Some(_place) = self.place(&visit).await else {
                    return;
                };
                let stay = ingress.connected.enter(agent.agent);
                drop(visit);
                self.converse(stream, standing, stay.dismissed(), LAST_WORDS)
                    .await;
            }
            Standing::Spokesman => {
                let Some(_place) = self.place(&visit).await else {
                    return;
                };
                drop(visit);
                let for_ever = std::future::pending();
                self.converse(stream, standing, for_ever, LAST_WORDS).await;
            }
            Standing::Stranger | Standing::Unfit(_) | Standing::UnlistedProxy(_) => {
                let total = ingress.bounds.stranger_total;
                let leave = async {
                    let _ = tokio::time::timeout(total, visit.dismissed()).await;
                };
                // Whoever comes next needs what this one holds.
                self.converse(stream, standing, leave, Duration::ZERO).await;
            }
        }
    }

    async fn shake_hands(&self, door: &Door, stream: Impatient) -> Option<TlsStream<Impatient>> {
        let acceptor = TlsAcceptor::from(door.authority.server_config());
        let shaking = acceptor.accept_with(stream, |connection| {
            connection.set_buffer_limit(Some(TLS_BUFFER_BYTES));
        });
        match tokio::time::timeout(self.ingress.bounds.handshake_within, shaking).await {
            Ok(Ok(stream)) => Some(stream),
            Ok(Err(fault)) => {
                // Anybody can cause it, as often as they like.
                tracing::debug!(address = %self.address, error = %fault, "a handshake failed");
                None
            }
            Err(_) => {
                tracing::debug!(address = %self.address, "a handshake took too long");
                None
            }
        }
    }

    /// One of the places that are kept for those who have proved who they are. While it waits, it is a
    /// stranger still.
    async fn place(&self, visit: &Visit<Network>) -> Option<OwnedSemaphorePermit> {
        let ingress = &self.ingress;
        let waiting = tokio::time::timeout(
            ingress.bounds.headers_within,
            ingress.places.clone().acquire_owned(),
        );
        tokio::select! {
            place = waiting => place.ok()?.ok(),
            () = visit.dismissed() => None,
            () = ingress.stopping.cancelled() => None,
        }
    }

    /// Answers until the peer goes, `leave` resolves or central stops. What is being answered by then may
    /// be finished, within `last_words` where the peer has to leave.
    async fn converse<S>(
        self,
        stream: S,
        standing: Standing,
        leave: impl Future<Output = ()>,
        last_words: Duration,
    ) where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let peer = Arc::new(Peer {
            address: self.address,
            standing,
        });
        let router = self.router.layer(axum::Extension(peer));
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(self.ingress.bounds.headers_within)
            .max_buf_size(HEADER_BYTES)
            .max_headers(HEADERS)
            .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
        let mut connection = std::pin::pin!(connection);
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = self.ingress.stopping.cancelled() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
            () = leave => {
                connection.as_mut().graceful_shutdown();
                let ending = tokio::time::timeout(last_words, connection).await;
                ending.unwrap_or(Ok(()))
            }
        };
        if let Err(fault) = ended {
            // Agents come and go; their links are expected to break.
            tracing::debug!(error = %fault, "a connection ended early");
        }
    }
}

impl Ingress {
    /// How connections prove themselves, where they do.
    fn tls(&self) -> Option<&Door> {
        Some(&self.door).filter(|door| door.way == Way::Tls)
    }
}
