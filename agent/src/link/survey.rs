//! Measures the way to central one step at a time: the facts that `doctor` explains.
//!
//! The same steps as the bulk lane takes ([`super::way`]), each with what it found instead of only how it
//! failed. Without an identity it gets as far as TLS, and sends nothing to whom nothing proves.

mod session;

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use branchline_protocol::enrolment::Fingerprint;
use branchline_protocol::outcome::Failure;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use super::proxy::{LinkSettings, Route};
use super::tls::{Sighting, Tls};
use super::way::{TunnelFault, Way};
use super::{LinkError, Proof, failure};
use crate::identity::Showing;

pub use session::{ProbeBody, ProbeFault, Session};

/// No step of the way takes longer where anything is in order.
const STEP_WITHIN: Duration = Duration::from_secs(6);

/// Whom the survey is made as, and what proves central to it.
#[derive(Debug, Clone, Copy)]
pub enum Surveyor<'a> {
    /// The agent.
    Agent(&'a Showing),
    /// Whoever holds a token with this fingerprint.
    Bearer(Fingerprint),
    /// Somebody who only looks: nothing proves central, and nothing is sent.
    Nobody,
}

/// The way as it is to be measured.
#[derive(Debug)]
pub struct Survey {
    way: Way,
    tls: Tls,
    diagnosing: Option<Tls>,
}

/// A TCP connection to the first hop.
#[derive(Debug)]
pub struct Reached {
    stream: TcpStream,
    /// Who took it.
    pub address: SocketAddr,
    /// How long it took: about a round trip.
    pub took: Duration,
}

/// Why the proxy is no way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProxyTrouble {
    /// 407.
    #[error("it asks for a user name and password, or does not accept ours")]
    Login,
    /// Another status.
    #[error("it answered with HTTP {0}")]
    Refused(u16),
    /// It is none, or is not in order.
    #[error("what answers there is no HTTP proxy")]
    NoProxy,
    /// It ended the connection.
    #[error("it closed the connection without an answer")]
    Closed,
    /// It does not answer.
    #[error("it took the connection and does not answer")]
    Silent,
}

/// Why TLS does not stand.
#[derive(Debug)]
pub struct Unprotected {
    /// What it means.
    pub failure: Failure,
    /// What the library said.
    pub said: String,
    /// The certificate that was shown, if one was.
    pub seen: Option<Sighting>,
}

impl Survey {
    /// Of the way to this central. Connects to nobody yet.
    pub fn new(
        server: &str,
        surveyor: Surveyor<'_>,
        settings: &LinkSettings,
    ) -> Result<Self, LinkError> {
        let way = Way::new(server, settings)?;
        let tls12 = settings.tls12;
        let (tls, proof) = match surveyor {
            Surveyor::Agent(showing) => (
                Tls::mutual(showing, tls12)?,
                Proof::Trust(showing.trust.clone()),
            ),
            Surveyor::Bearer(anchor) => (
                Tls::by_fingerprint(anchor, tls12)?,
                Proof::Fingerprint(anchor),
            ),
            Surveyor::Nobody => (Tls::looking(tls12)?, Proof::Nothing),
        };
        let diagnosing = proof.diagnosing(tls12);
        Ok(Self {
            way,
            tls,
            diagnosing,
        })
    }

    /// Where central is, as it stands in URLs.
    pub fn server(&self) -> &str {
        self.way.origin.as_str()
    }

    /// Its name or address.
    pub fn host(&self) -> &str {
        self.way.origin.host()
    }

    /// How it goes out.
    pub fn route(&self) -> &Route {
        &self.way.route
    }

    /// Whose name is resolved: the proxy's where there is one.
    pub fn first_hop(&self) -> (&str, u16) {
        self.way.next_hop()
    }

    /// The first hop's addresses.
    pub async fn resolve(&self) -> io::Result<Vec<SocketAddr>> {
        in_time(self.way.resolve()).await
    }

    /// TCP to the first hop.
    pub async fn reach(&self, addresses: &[SocketAddr]) -> io::Result<Reached> {
        let started = Instant::now();
        let stream = in_time(self.way.reach(addresses)).await?;
        let took = started.elapsed();
        stream.set_nodelay(true)?;
        let address = stream.peer_addr()?;
        Ok(Reached {
            stream,
            address,
            took,
        })
    }

    /// Has the proxy connect to central, where there is one.
    pub async fn tunnel(&self, reached: &mut Reached) -> Result<(), ProxyTrouble> {
        let tunnelled = timeout(STEP_WITHIN, self.way.tunnel(&mut reached.stream)).await;
        tunnelled.map_or(Err(ProxyTrouble::Silent), |done| {
            done.map_err(|fault| match fault {
                TunnelFault::Login => ProxyTrouble::Login,
                TunnelFault::Refused(status) => ProxyTrouble::Refused(status),
                TunnelFault::Closed => ProxyTrouble::Closed,
                TunnelFault::Garbage => ProxyTrouble::NoProxy,
            })
        })
    }

    /// TLS with central, and HTTP over it.
    pub async fn protect(&self, reached: Reached) -> Result<Session, Unprotected> {
        self.session(reached, &self.tls).await
    }

    /// The same with the dates left out and nothing of ours shown, to ask for the time; `None` where
    /// nothing proves central.
    pub async fn diagnose(&self) -> Option<Session> {
        let tls = self.diagnosing.as_ref()?;
        let reached = self.approach().await?;
        self.session(reached, tls).await.ok()
    }

    /// A further connection like the one that was proven before.
    pub async fn again(&self) -> Option<Session> {
        let reached = self.approach().await?;
        self.protect(reached).await.ok()
    }

    async fn approach(&self) -> Option<Reached> {
        let addresses = self.resolve().await.ok()?;
        let mut reached = self.reach(&addresses).await.ok()?;
        self.tunnel(&mut reached).await.ok()?;
        Some(reached)
    }

    async fn session(&self, reached: Reached, tls: &Tls) -> Result<Session, Unprotected> {
        let started = Instant::now();
        let unprotected = |fault: io::Error| Unprotected {
            failure: match fault.kind() {
                io::ErrorKind::TimedOut => Failure::TimedOut,
                _ => failure::of_handshake(&fault),
            },
            said: fault.to_string(),
            seen: tls.seen(),
        };
        let stream = in_time(self.way.protect(reached.stream, tls)).await;
        let stream = stream.map_err(unprotected)?;
        let authority = self.way.origin.authority().to_owned();
        Session::over(stream, authority, started.elapsed(), tls.seen())
            .await
            .map_err(|fault| unprotected(io::Error::other(fault)))
    }
}

async fn in_time<T>(step: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    match timeout(STEP_WITHIN, step).await {
        Ok(done) => done,
        Err(_) => Err(io::Error::new(
            io::ErrorKind::TimedOut,
            format!("no answer within {} s", STEP_WITHIN.as_secs()),
        )),
    }
}
