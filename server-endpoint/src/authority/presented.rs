//! Judges a certificate that somebody presented: that it is one of ours, for the purpose it is used for,
//! and whose. Dates are not judged here but told, so that an expired certificate of ours is answered in
//! words rather than with a TLS alert; who it belongs to today, the ledger says.

use std::time::Duration;

use branchline_protocol::enrolment::key_digest;
use branchline_protocol::id::{AgentId, Digest};
use branchline_protocol::limits;
use branchline_protocol::time::UnixMillis;
use rustls_pki_types::{CertificateDer, SignatureVerificationAlgorithm, TrustAnchor, UnixTime};
use webpki::{EndEntityCert, KeyUsage};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;

use super::make::{AGENT_URN, PROXY_URN};
use super::request::is_strong;
use crate::config::is_proxy_name;
use crate::ledger::CertificateSerial;

/// What our CAs sign with, and the keys that we certify.
pub(super) const ALGORITHMS: &[&dyn SignatureVerificationAlgorithm] = &[
    webpki::ring::ECDSA_P256_SHA256,
    webpki::ring::ECDSA_P384_SHA384,
    webpki::ring::ED25519,
];

/// Whose certificate it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Presented {
    /// An agent's.
    Agent(PresentedAgent),
    /// A proxy's that ends TLS before central.
    Proxy {
        /// Its name.
        name: String,
    },
}

/// What an agent's certificate says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PresentedAgent {
    /// Whose it is.
    pub agent: AgentId,
    /// Its name.
    pub serial: CertificateSerial,
    /// Its key.
    pub key: Digest,
    /// From when it is good.
    pub not_before: UnixMillis,
    /// Until when.
    pub not_after: UnixMillis,
}

/// Why a certificate is refused, whatever the time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CertificateFault {
    /// Not a certificate.
    #[error("this is no certificate")]
    Malformed,
    /// Signed by itself, by another CA, or by nobody.
    #[error("the certificate is not from this server's CA")]
    Foreign,
    /// The server's own, a CA's, or one that names nobody.
    #[error("the certificate is not for agents or proxies")]
    Purpose,
    /// Its key or signature is of a kind that this server's CA does not certify.
    #[error("the certificate's key or signature is of a kind that is not taken here")]
    Weak,
}

/// Judges a certificate by the CAs that issue here. Intermediates that came along are not needed.
pub(super) fn examine(
    end_entity: &[u8],
    issuers: &[TrustAnchor<'_>],
) -> Result<Presented, CertificateFault> {
    if end_entity.len() > limits::DER_BYTES {
        return Err(CertificateFault::Malformed);
    }
    let (behind, parsed) =
        X509Certificate::from_der(end_entity).map_err(|_| CertificateFault::Malformed)?;
    if !behind.is_empty() {
        return Err(CertificateFault::Malformed);
    }
    let not_before = parsed.validity().not_before.timestamp();
    let not_after = parsed.validity().not_after.timestamp();
    prove(end_entity, issuers, not_before)?;
    if !is_strong(parsed.public_key()) {
        return Err(CertificateFault::Weak);
    }
    match subject(&parsed).ok_or(CertificateFault::Purpose)? {
        Subject::Proxy(name) => Ok(Presented::Proxy { name }),
        Subject::Agent(agent) => Ok(Presented::Agent(PresentedAgent {
            agent,
            serial: parsed
                .raw_serial()
                .try_into()
                .map(CertificateSerial)
                .map_err(|_| CertificateFault::Malformed)?,
            key: key_digest(parsed.public_key().raw),
            not_before: UnixMillis(not_before.saturating_mul(1_000)),
            not_after: UnixMillis(not_after.saturating_mul(1_000)),
        })),
    }
}

/// Proves signature and purpose at the certificate's first second. Our CAs issue directly and stand as
/// anchors, so that its own dates are the only ones on the way.
fn prove(
    end_entity: &[u8],
    issuers: &[TrustAnchor<'_>],
    not_before: i64,
) -> Result<(), CertificateFault> {
    let der = CertificateDer::from(end_entity);
    let certificate = EndEntityCert::try_from(&der).map_err(|fault| refusal(&fault))?;
    let at =
        UnixTime::since_unix_epoch(Duration::from_secs(u64::try_from(not_before).unwrap_or(0)));
    certificate
        .verify_for_usage(
            ALGORITHMS,
            issuers,
            &[],
            at,
            KeyUsage::client_auth(),
            None,
            None,
        )
        .map(|_| ())
        .map_err(|fault| refusal(&fault))
}

fn refusal(fault: &webpki::Error) -> CertificateFault {
    use webpki::Error;
    match fault {
        Error::UnknownIssuer | Error::InvalidSignatureForPublicKey => CertificateFault::Foreign,
        Error::CaUsedAsEndEntity | Error::RequiredEkuNotFoundContext(_) => {
            CertificateFault::Purpose
        }
        Error::SignatureAlgorithmMismatch
        | Error::UnsupportedSignatureAlgorithmContext(_)
        | Error::UnsupportedSignatureAlgorithmForPublicKeyContext(_) => CertificateFault::Weak,
        _ => CertificateFault::Malformed,
    }
}

enum Subject {
    Agent(AgentId),
    Proxy(String),
}

/// The one name of ours in a certificate; `None` where there is none, or two.
fn subject(certificate: &X509Certificate<'_>) -> Option<Subject> {
    let names = certificate.subject_alternative_name().ok()??;
    let mut ours = names
        .value
        .general_names
        .iter()
        .filter_map(|name| match name {
            GeneralName::URI(uri) => Some(*uri),
            _ => None,
        });
    let one = ours.next().filter(|_| ours.next().is_none())?;
    if let Some(agent) = one.strip_prefix(AGENT_URN) {
        return agent.parse().ok().map(Subject::Agent);
    }
    let name = one.strip_prefix(PROXY_URN)?;
    is_proxy_name(name).then(|| Subject::Proxy(name.to_owned()))
}
