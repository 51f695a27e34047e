//! An agent's certificate with its key: what stands in it, and that the two belong together.

use branchline_protocol::enrolment::{Der, key_digest};
use branchline_protocol::id::Digest;
use branchline_protocol::time::UnixMillis;
use rustls_pki_types::CertificateDer;
use serde::{Deserialize, Serialize};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::{PrivateKey, chain_within_bounds};

/// Why a certificate is of no use here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CertificateFault {
    /// It cannot be read, or the chain is empty or too long.
    #[error("the certificate cannot be read")]
    Unreadable,
    /// It is for another key.
    #[error("the certificate is for another key than this machine's")]
    OtherKey,
}

/// What stands in a certificate that the agent goes by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// Its serial number's bytes.
    pub serial: Vec<u8>,
    /// From when it is good.
    pub not_before: UnixMillis,
    /// Until when.
    pub not_after: UnixMillis,
}

/// A certificate, what leads from it to the anchor, and its key. Cheap to clone but for the chain.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct KeyedCertificate {
    key: PrivateKey,
    chain: Vec<Der>,
    facts: Facts,
}

/// As it stands in the file.
#[derive(Clone, Serialize, Deserialize)]
struct Written {
    key: PrivateKey,
    certificate: Vec<Der>,
}

impl KeyedCertificate {
    /// Puts the two together, if the certificate is for the key.
    pub fn new(key: PrivateKey, chain: Vec<Der>) -> Result<Self, CertificateFault> {
        if !chain_within_bounds(&chain) {
            return Err(CertificateFault::Unreadable);
        }
        let own = chain.first().ok_or(CertificateFault::Unreadable)?;
        let (facts, public) = read(own).ok_or(CertificateFault::Unreadable)?;
        if public != key.public() {
            return Err(CertificateFault::OtherKey);
        }
        Ok(Self { key, chain, facts })
    }

    /// Its key.
    pub fn key(&self) -> &PrivateKey {
        &self.key
    }

    /// The agent's certificate, then what leads to the anchor.
    pub fn chain(&self) -> &[Der] {
        &self.chain
    }

    /// The same for TLS.
    pub fn chain_for_tls(&self) -> Vec<CertificateDer<'static>> {
        self.chain
            .iter()
            .map(|der| CertificateDer::from(der.as_bytes().to_vec()))
            .collect()
    }

    /// What stands in the agent's certificate.
    pub fn facts(&self) -> &Facts {
        &self.facts
    }
}

fn read(der: &Der) -> Option<(Facts, Digest)> {
    let (_, certificate) = X509Certificate::from_der(der.as_bytes()).ok()?;
    let millis = |seconds: i64| UnixMillis(seconds.saturating_mul(1_000));
    let validity = certificate.validity();
    let facts = Facts {
        serial: certificate.raw_serial().to_vec(),
        not_before: millis(validity.not_before.timestamp()),
        not_after: millis(validity.not_after.timestamp()),
    };
    Some((facts, key_digest(certificate.public_key().raw)))
}

impl TryFrom<Written> for KeyedCertificate {
    type Error = CertificateFault;

    fn try_from(written: Written) -> Result<Self, CertificateFault> {
        Self::new(written.key, written.certificate)
    }
}

impl From<KeyedCertificate> for Written {
    fn from(keyed: KeyedCertificate) -> Self {
        Self {
            key: keyed.key,
            certificate: keyed.chain,
        }
    }
}
