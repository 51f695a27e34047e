//! What ends TLS in front of central, as a reverse proxy in a DMZ does: [`Front`] takes agents'
//! connections and says in `Client-Cert` (RFC 9440) who they are; [`Back`] goes on to central over mutual
//! TLS under the proxy's own name. Between the two everything is plain HTTP on loopback, where a
//! middlebox may do what it does.
//!
//! ```text
//! agent ═ TLS ═ Front ─ HTTP ─ middlebox ─ HTTP ─ Back ═ TLS ═ central
//! ```

use std::io;
use std::net::SocketAddr;

use rustls::pki_types::CertificateDer;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::tls::{self, Credentials};

mod headers;

use headers::Heads;

const PIECE_BYTES: usize = 16 * 1024;
/// What sockets between the two may hold back: little, so that what the middlebox does is felt.
const SOCKET_BYTES: u32 = 64 * 1024;

/// A proxy that central knows by name.
#[derive(Debug, Clone)]
pub struct Proxy {
    /// Its certificate: for agents, which take it for central, and for central, which takes its word.
    pub own: Credentials,
    /// Central's anchors.
    pub anchors: Vec<CertificateDer<'static>>,
}

/// The side of the agents.
#[derive(Debug)]
pub struct Front {
    address: SocketAddr,
    _task: JoinSet<()>,
}

/// The side of central.
#[derive(Debug)]
pub struct Back {
    address: SocketAddr,
    _task: JoinSet<()>,
}

impl Front {
    /// Passes requests on to `to`, in plain HTTP.
    pub fn start(proxy: &Proxy, to: SocketAddr) -> Self {
        let acceptor = TlsAcceptor::from(tls::server(&proxy.own));
        let (address, task) = listen(move |client| {
            let acceptor = acceptor.clone();
            async move {
                let client = acceptor.accept(client).await?;
                let certificate = client.get_ref().1.peer_certificates();
                let certificate = certificate.and_then(|chain| chain.first()).cloned();
                let mut heads = Heads::new(certificate.as_ref());
                let onward = connect(to).await?;
                let (from_client, to_client) = tokio::io::split(client);
                let (from_onward, to_onward) = onward.into_split();
                tokio::try_join!(
                    copy(from_client, to_onward, |bytes| heads.pass(bytes)),
                    copy(from_onward, to_client, <[u8]>::to_vec),
                )?;
                Ok(())
            }
        });
        Self {
            address,
            _task: task,
        }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Back {
    /// Passes plain HTTP on to central at `to`.
    pub fn start(proxy: &Proxy, to: SocketAddr) -> Self {
        let connector = TlsConnector::from(tls::client(&proxy.anchors, Some(&proxy.own)));
        let (address, task) = listen(move |client| {
            let connector = connector.clone();
            async move {
                let onward = TcpStream::connect(to).await?;
                onward.set_nodelay(true)?;
                let onward = connector.connect(tls::loopback(), onward).await?;
                let (from_onward, to_onward) = tokio::io::split(onward);
                let (from_client, to_client) = client.into_split();
                tokio::try_join!(
                    copy(from_client, to_onward, <[u8]>::to_vec),
                    copy(from_onward, to_client, <[u8]>::to_vec),
                )?;
                Ok(())
            }
        });
        Self {
            address,
            _task: task,
        }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

/// Copies until the end, which is passed on, or until something breaks.
async fn copy(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut change: impl FnMut(&[u8]) -> Vec<u8>,
) -> io::Result<()> {
    let mut buffer = vec![0; PIECE_BYTES];
    loop {
        let count = from.read(&mut buffer).await?;
        if count == 0 {
            to.shutdown().await?;
            return Ok(());
        }
        to.write_all(&change(&buffer[..count])).await?;
        to.flush().await?;
    }
}

async fn connect(to: SocketAddr) -> io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.set_send_buffer_size(SOCKET_BYTES)?;
    socket.set_recv_buffer_size(SOCKET_BYTES)?;
    let stream = socket.connect(to).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Serves connections on a free port, within the tokio runtime that this is called in.
fn listen<F, C>(serve: F) -> (SocketAddr, JoinSet<()>)
where
    F: Fn(TcpStream) -> C + Send + 'static,
    C: Future<Output = io::Result<()>> + Send + 'static,
{
    let bound = || -> io::Result<TcpListener> {
        let socket = TcpSocket::new_v4()?;
        socket.set_send_buffer_size(SOCKET_BYTES)?;
        socket.set_recv_buffer_size(SOCKET_BYTES)?;
        socket.bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
        socket.listen(1024)
    };
    let listener = bound().expect("a free port");
    let address = listener.local_addr().expect("an address");
    let mut task = JoinSet::new();
    task.spawn(async move {
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                Ok((client, _)) = listener.accept() => {
                    let _ = client.set_nodelay(true);
                    let connection = serve(client);
                    connections.spawn(async move {
                        // A connection that breaks is its two ends' business.
                        let _ = connection.await;
                    });
                }
                Some(_) = connections.join_next() => {}
            }
        }
    });
    (address, task)
}

/// Both sides, around something that speaks plain HTTP.
#[derive(Debug)]
pub struct Around {
    front: Front,
    _back: Back,
}

impl Around {
    /// Around nothing: a reverse proxy and no more.
    pub fn nothing(proxy: &Proxy, to: SocketAddr) -> Self {
        let back = Back::start(proxy, to);
        let between = back.address();
        Self::new(proxy, back, between)
    }

    /// Around what listens at `between` and passes on to `back`.
    pub fn new(proxy: &Proxy, back: Back, between: SocketAddr) -> Self {
        Self {
            front: Front::start(proxy, between),
            _back: back,
        }
    }

    /// Where agents find it.
    pub fn address(&self) -> SocketAddr {
        self.front.address()
    }
}
