//! One connection to central, step by step: name, TCP, the proxy's `CONNECT`, TLS.
//!
//! The bulk lane makes its connections here, and `doctor` takes the same steps one by one.

mod tunnel;

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use branchline_protocol::outcome::Failure;
use futures_util::future::select_ok;
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::origin::Origin;
use super::proxy::{LinkSettings, Route};
use super::tls::Tls;
use super::{LinkError, failure};

pub(super) use tunnel::TunnelFault;

/// Addresses of one name that are tried.
const ADDRESSES: usize = 8;
/// The next address is tried beside the one before after this: a name may have some that lead nowhere.
const NEXT_ADDRESS_AFTER: Duration = Duration::from_millis(300);
/// Bytes that TLS keeps beside the kernel's: little, so that a pause is a pause.
const TLS_BUFFER_BYTES: usize = 16 * 1024;

/// Where central is and how to get out to it.
#[derive(Debug, Clone)]
pub(super) struct Way {
    pub(super) origin: Origin,
    pub(super) route: Route,
}

impl Way {
    pub(super) fn new(server: &str, settings: &LinkSettings) -> Result<Self, LinkError> {
        let origin = Origin::protected(server);
        let origin = origin.ok_or_else(|| LinkError::NotHttps(server.to_owned()))?;
        let route = Route::decide(settings, &origin);
        Ok(Self { origin, route })
    }

    /// Whom TCP goes to: the proxy where there is one.
    pub(super) fn next_hop(&self) -> (&str, u16) {
        match self.route.proxy() {
            Some(proxy) => (&proxy.host, proxy.port),
            None => (self.origin.host(), self.origin.port()),
        }
    }

    /// Its addresses, at most 8.
    pub(super) async fn resolve(&self) -> io::Result<Vec<SocketAddr>> {
        let found = tokio::net::lookup_host(self.next_hop()).await?;
        Ok(found.take(ADDRESSES).collect())
    }

    /// A TCP connection to one of these, rather the first.
    pub(super) async fn reach(&self, addresses: &[SocketAddr]) -> io::Result<TcpStream> {
        if addresses.is_empty() {
            return Err(io::ErrorKind::NotFound.into());
        }
        let attempts = addresses.iter().zip(0..).map(|(address, turn)| {
            Box::pin(async move {
                tokio::time::sleep(NEXT_ADDRESS_AFTER * turn).await;
                TcpStream::connect(address).await
            })
        });
        select_ok(attempts).await.map(|(stream, _)| stream)
    }

    /// Has the proxy connect to central, where there is one.
    pub(super) async fn tunnel(&self, stream: &mut TcpStream) -> Result<(), TunnelFault> {
        match self.route.proxy() {
            Some(proxy) => tunnel::connect(stream, &self.origin, proxy).await,
            None => Ok(()),
        }
    }

    /// TLS with central.
    pub(super) async fn protect(
        &self,
        stream: TcpStream,
        tls: &Tls,
    ) -> io::Result<TlsStream<TcpStream>> {
        let name = ServerName::try_from(self.origin.host().to_owned()).map_err(io::Error::other)?;
        TlsConnector::from(tls.config.clone())
            .connect_with(name, stream, |session| {
                session.set_buffer_limit(Some(TLS_BUFFER_BYTES));
            })
            .await
    }

    /// All of it. `prepare` is given the TCP connection before anything goes over it; `within` bounds TCP,
    /// and twice that each of the steps that take more.
    pub(super) async fn open(
        &self,
        tls: &Tls,
        within: Duration,
        prepare: impl FnOnce(&TcpStream),
    ) -> Result<TlsStream<TcpStream>, Failure> {
        let through_proxy = self.route.proxy().is_some();
        let (unresolved, unreached) = if through_proxy {
            (Failure::Proxy, Failure::Proxy)
        } else {
            (Failure::Resolve, Failure::Connect)
        };
        let reach = async {
            let addresses = self.resolve().await.map_err(|_| unresolved)?;
            self.reach(&addresses).await.map_err(|_| unreached)
        };
        let mut stream = in_time(within, unreached, reach).await?;
        prepare(&stream);
        let tunnel = self.tunnel(&mut stream);
        let tunnelled = async { tunnel.await.map_err(TunnelFault::failure) };
        in_time(within * 2, Failure::Proxy, tunnelled).await?;
        let protect = self.protect(stream, tls);
        let protected = async { protect.await.map_err(|fault| failure::of_handshake(&fault)) };
        in_time(within * 2, Failure::TimedOut, protected).await
    }
}

async fn in_time<T>(
    within: Duration,
    late: Failure,
    step: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    match tokio::time::timeout(within, step).await {
        Ok(done) => done,
        Err(_) => Err(late),
    }
}
