//! The authority: makes and proves the certificates of central, of agents, and of proxies between them.
//!
//! Beside the data's way: [`crate::ingress`] takes its TLS settings from here, asks it whose certificate
//! it was shown, and has it sign what an agent that joins or renews asks for. What a certificate stands
//! for today (revoked, superseded, which branch) is the ledger's to say.
//!
//! Invariants:
//! - A root CA signs issuing CAs and trust bundles and nothing else, so that its key can be kept away
//!   from this machine. Issuing CAs sign everything else.
//! - What is in the folder is written so that an interruption anywhere is mended by repeating the
//!   command ([`folder`]).
//! - No private key leaves the folder, and none of an agent's was ever here.
//! - TLS proves that a certificate is ours and that its key is at the other end, in every handshake anew
//!   (there is no resumption). It does not judge dates: an expired agent hears so in words.
//!
//! Everything that may change while the server runs (its own certificate, the CAs of a rollover) is read
//! again by [`Authority::reload`] and holds from the next handshake on.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use branchline_protocol::enrolment::{Der, Fingerprint, SignedTrust, TrustBundle};
use branchline_protocol::id::Digest;
use branchline_protocol::problem::ErrorClass;
use branchline_protocol::time::UnixMillis;

use crate::config;
use crate::ledger::{AgentRecord, CertificateSerial};

mod folder;
mod holdings;
mod init;
mod loaded;
mod make;
pub mod operators;
pub mod patience;
mod presented;
mod request;
mod rollover;
mod standing;
mod tls;
mod upkeep;

#[cfg(test)]
mod tests;

pub use folder::FOLDER;
pub use holdings::{Holding, HoldingKind, Part};
pub use init::Initialised;
pub use presented::{CertificateFault, Presented, PresentedAgent};
pub use request::{CertificateRequest, RequestFault};
pub use rollover::RolloverError;
pub use upkeep::Tended;

use loaded::{Live, Loaded};

/// Why the authority cannot do what it is asked.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// It was never made.
    #[error(
        "there is no certificate authority in {0}; make one with `branchline-server init --name HOST`, \
         HOST being what agents call this server"
    )]
    Missing(PathBuf),
    /// A file cannot be read.
    #[error("read {path}: {fault}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        fault: std::io::Error,
    },
    /// A file cannot be written.
    #[error("write {path}: {fault}")]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        fault: std::io::Error,
    },
    /// Others could read a key.
    #[error(
        "{path} can be read by others than its owner (mode {mode:o}) and so is not used; see who had \
         access to it, then `chmod 600` it"
    )]
    TooOpen {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// A file is not what it should be.
    #[error("{path}: {fault}")]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        fault: String,
    },
    /// The root key is kept elsewhere, and is needed.
    #[error(
        "this needs the root's key, which is not at {0}; name where it is with --root-key FILE"
    )]
    RootKeyAway(PathBuf),
    /// A name that no certificate can have.
    #[error("{0:?} is neither a host's name nor an address")]
    Name(String),
    /// Making a certificate failed.
    #[error("make a certificate: {0}")]
    Made(String),
}

impl AuthorityError {
    fn read(path: &Path, fault: std::io::Error) -> Self {
        let path = path.to_owned();
        Self::Read { path, fault }
    }

    fn write(path: &Path, fault: std::io::Error) -> Self {
        let path = path.to_owned();
        Self::Write { path, fault }
    }

    fn content(path: &Path, fault: impl Into<String>) -> Self {
        Self::Content {
            path: path.to_owned(),
            fault: fault.into(),
        }
    }

    /// Who must act.
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::Missing(_) | Self::RootKeyAway(_) | Self::Name(_) => ErrorClass::FixInput,
            Self::Read { .. }
            | Self::Write { .. }
            | Self::TooOpen { .. }
            | Self::Content { .. }
            | Self::Made(_) => ErrorClass::CallIt,
        }
    }
}

impl From<rcgen::Error> for AuthorityError {
    fn from(fault: rcgen::Error) -> Self {
        Self::Made(fault.to_string())
    }
}

/// A certificate made for an agent.
#[derive(Debug, Clone)]
pub struct IssuedCertificate {
    /// Its name.
    pub serial: CertificateSerial,
    /// Its key.
    pub key: Digest,
    /// From when it is good.
    pub not_before: UnixMillis,
    /// Until when.
    pub not_after: UnixMillis,
    /// The certificate, then what leads to the anchor, without it.
    pub chain: Vec<Der>,
}

/// The certificate authority of this server, open.
pub struct Authority {
    folder: PathBuf,
    tls: config::Tls,
    settings: config::Authority,
    live: Arc<Live>,
    server_config: Arc<rustls::ServerConfig>,
    desk_config: Arc<rustls::ServerConfig>,
}

impl Authority {
    /// Makes an authority for a server of these names (host names or addresses; the first is what tokens
    /// say). What is there already is left as it is.
    pub fn init(
        folder: &Path,
        names: &[String],
        now: UnixMillis,
    ) -> Result<Initialised, AuthorityError> {
        init::init(folder, names, now)
    }

    /// Opens it, with everything that serving needs; the root's key is not among that.
    pub fn open(
        folder: &Path,
        tls: &config::Tls,
        settings: &config::Authority,
    ) -> Result<Arc<Self>, AuthorityError> {
        let live = Arc::new(Live::new(Loaded::read(folder, tls)?));
        let server_config = tls::server_config(&live, tls.tls12)
            .map_err(|fault| AuthorityError::Made(fault.to_string()))?;
        let desk_config =
            tls::desk_config(&live).map_err(|fault| AuthorityError::Made(fault.to_string()))?;
        Ok(Arc::new(Self {
            folder: folder.to_owned(),
            tls: tls.clone(),
            settings: settings.clone(),
            live,
            server_config: Arc::new(server_config),
            desk_config: Arc::new(desk_config),
        }))
    }

    /// Reads the folder and the given certificate again. What is found holds from the next handshake on;
    /// where that fails, what was there before goes on.
    pub fn reload(&self) -> Result<(), AuthorityError> {
        self.live.replace(Loaded::read(&self.folder, &self.tls)?);
        Ok(())
    }

    /// The last certificate of the server's chain: what tokens name.
    pub fn anchor(&self) -> Fingerprint {
        self.live.now().anchor
    }

    /// The names in the server's own certificate; the first is the one people use.
    pub fn names(&self) -> Vec<String> {
        self.live.now().standing.names.clone()
    }

    /// Whom agents are to trust, as of now.
    pub fn trust(&self) -> TrustBundle {
        self.live.now().standing.trust.clone()
    }

    /// Reads a signing request and proves its key.
    pub fn read_request(csr: &Der) -> Result<CertificateRequest, RequestFault> {
        request::read(csr)
    }

    /// Makes a certificate for an agent. Nothing is kept: the ledger keeps it before it is given out.
    pub fn issue(
        &self,
        request: &CertificateRequest,
        agent: &AgentRecord,
        now: UnixMillis,
    ) -> Result<IssuedCertificate, AuthorityError> {
        let loaded = self.live.now();
        let serial = make::new_serial()?;
        let validity = make::Validity::new(now, self.settings.certificate_lifetime());
        let made = make::agent(agent, serial, &request.public, &loaded.issuer, validity)?;
        let chain = [made.der().as_ref(), loaded.issuing.as_ref()];
        let chain: Option<Vec<Der>> = chain.iter().map(|der| Der::new(der.to_vec())).collect();
        Ok(IssuedCertificate {
            serial,
            key: request.key,
            not_before: validity.not_before,
            not_after: validity.not_after,
            chain: chain.ok_or_else(|| AuthorityError::Made("it is too large".to_owned()))?,
        })
    }

    /// The chain of a certificate that was issued before, for a repeat; `None` where another CA than the
    /// one that issues now has signed it.
    pub fn chain_of(&self, certificate: Vec<u8>) -> Option<Vec<Der>> {
        let loaded = self.live.now();
        let issuer = webpki::anchor_from_trusted_cert(&loaded.issuing).ok()?;
        presented::examine(&certificate, &[issuer]).ok()?;
        let chain = [certificate, loaded.issuing.to_vec()];
        chain.into_iter().map(Der::new).collect()
    }

    /// Judges a certificate that was presented: ours, for this purpose, whose. Its dates are for the
    /// caller to judge, and its standing for the ledger.
    pub fn examine(&self, end_entity: &[u8]) -> Result<Presented, CertificateFault> {
        presented::examine(end_entity, &self.live.now().anchors())
    }

    /// What TLS at central runs with: agents' and proxies' certificates asked for and proven where they
    /// come, not required; `reload` changes what is in it.
    pub fn server_config(&self) -> Arc<rustls::ServerConfig> {
        self.server_config.clone()
    }

    /// What TLS at the desk runs with: the same certificate, and none asked for.
    pub fn desk_config(&self) -> Arc<rustls::ServerConfig> {
        self.desk_config.clone()
    }
}

/// Changes to the folder, by commands. A running server takes them up by itself ([`Authority::tend`]).
impl Authority {
    /// Makes the next root; see [`rollover`]. Gives what to publish.
    pub fn next_root(
        folder: &Path,
        root_key: Option<&Path>,
        now: UnixMillis,
    ) -> Result<SignedTrust, RolloverError> {
        rollover::next_root(folder, root_key, now)
    }

    /// Has everything new come from the next root.
    pub fn switch(folder: &Path, now: UnixMillis) -> Result<(), RolloverError> {
        rollover::switch(folder, now)
    }

    /// Ends the old root. Gives what to publish.
    pub fn retire_old(
        folder: &Path,
        root_key: Option<&Path>,
        now: UnixMillis,
    ) -> Result<SignedTrust, RolloverError> {
        rollover::retire_old(folder, root_key, now)
    }

    /// Has agents trust the roots of these given certificates (PEM files), beside the server's own roots,
    /// and no others. Gives what to publish.
    pub fn announce(
        folder: &Path,
        given: &[&Path],
        root_key: Option<&Path>,
    ) -> Result<SignedTrust, RolloverError> {
        let given: Result<_, _> = given.iter().map(|path| loaded::given_root(path)).collect();
        rollover::announce(folder, given?, root_key)
    }

    /// Gives the server's own certificate other names. Gives them all.
    pub fn rename(
        folder: &Path,
        names: &[String],
        now: UnixMillis,
    ) -> Result<Vec<String>, AuthorityError> {
        upkeep::rename(folder, names, now)
    }

    /// A new certificate with its chain, and its key, both PEM, for a proxy that ends TLS in front of
    /// central under these host names.
    pub fn issue_proxy(
        &self,
        name: &str,
        hosts: &[String],
        now: UnixMillis,
    ) -> Result<(String, String), AuthorityError> {
        let loaded = self.live.now();
        let key = make::new_key()?;
        let made = make::proxy(name, hosts, &key, &loaded.issuer, now)?;
        let mut text = made.pem();
        for part in init::chain_behind(loaded.standing.current, loaded.standing.old) {
            let pem = folder::read(&self.folder.join(part))?;
            text.push_str(&String::from_utf8_lossy(&pem));
        }
        Ok((text, key.serialize_pem()))
    }
}

/// SHA-256 of a certificate.
fn fingerprint(der: &[u8]) -> Fingerprint {
    let hash = ring::digest::digest(&ring::digest::SHA256, der);
    let mut bytes = [0; 32];
    bytes.copy_from_slice(hash.as_ref());
    Fingerprint(bytes)
}
