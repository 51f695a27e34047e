//! Who is at the other end of a connection, as far as the connection itself has proved.
//!
//! What is here was settled once, when the connection was made: the address, and what the certificate
//! says. Whether that is still good is asked of the ledger for every request, in `admission`.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::CertificateDer;

use crate::authority::{Authority, Presented, PresentedAgent};

/// How agents prove who they are, and over what.
#[derive(Clone)]
pub struct Door {
    /// Issues and proves certificates.
    pub authority: Arc<Authority>,
    /// What connections are made of.
    pub way: Way,
    /// Proxies that end TLS in front of central and speak for agents, by the names in their certificates.
    pub proxies: Vec<String>,
    /// How long after its end a certificate still renews.
    pub grace: Duration,
}

/// What connections are made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// TLS, with certificates on both sides.
    Tls,
    /// Plain HTTP from this machine alone, where everybody may speak for everybody: for demonstrations,
    /// and behind a proxy on the same machine.
    InsecureLoopback,
}

/// The other end of a connection.
#[derive(Debug, Clone)]
pub(super) struct Peer {
    pub(super) address: IpAddr,
    pub(super) standing: Standing,
}

/// What it has proved.
#[derive(Debug, Clone)]
pub(super) enum Standing {
    /// Nothing: it showed no certificate.
    Stranger,
    /// Nothing either: its certificate is not one that central issues to anybody, and why.
    Unfit(String),
    /// It is this agent, or was.
    Agent(PresentedAgent),
    /// It speaks for agents: a proxy that the settings name, or whoever is on this machine.
    Spokesman,
    /// It is a proxy that the settings do not name.
    UnlistedProxy(String),
}

impl Door {
    /// What a connection with this chain of certificates has proved; TLS has proved possession of the key.
    pub(super) fn standing(&self, chain: Option<&[CertificateDer<'_>]>) -> Standing {
        let Some(end_entity) = chain.and_then(<[_]>::first) else {
            return Standing::Stranger;
        };
        match self.authority.examine(end_entity) {
            Ok(Presented::Agent(agent)) => Standing::Agent(agent),
            Ok(Presented::Proxy { name }) if self.proxies.contains(&name) => Standing::Spokesman,
            Ok(Presented::Proxy { name }) => Standing::UnlistedProxy(name),
            Err(fault) => Standing::Unfit(fault.to_string()),
        }
    }
}

impl Peer {
    /// Whether it may say in whose name it speaks.
    pub(super) fn speaks_for_others(&self) -> bool {
        matches!(self.standing, Standing::Spokesman)
    }

    /// Whether it is on this machine.
    pub(super) fn is_this_machine(&self) -> bool {
        self.address.to_canonical().is_loopback()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_is_told_from_others() {
        let here = |text: &str| {
            let peer = Peer {
                address: text.parse().unwrap(),
                standing: Standing::Stranger,
            };
            peer.is_this_machine()
        };
        assert!(here("127.0.0.1") && here("127.8.8.8") && here("::1") && here("::ffff:127.0.0.1"));
        assert!(!here("10.0.0.1") && !here("::ffff:10.0.0.1") && !here("fe80::1"));
    }
}
