//! TLS at central: how it proves itself, and what it asks of the other end.
//!
//! A client certificate is asked for and not required: whoever joins has none. One that comes must be of
//! our CA and its key at the other end, else the handshake ends in an alert. Without resumption: a
//! resumed session would carry what an earlier handshake proved past a rollover, and costs of a P-256
//! handshake are small.

use std::sync::Arc;
use std::time::Duration;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::ring::default_provider;
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::time_provider::TimeProvider;
use rustls::version::{TLS12, TLS13};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, ServerConfig,
    SignatureScheme,
};
use rustls_pki_types::{CertificateDer, UnixTime};

use super::loaded::Live;
use super::presented::{self, CertificateFault};
use crate::ledger;

/// How clients may sign; the keys that are certified here.
const SIGNATURES: WebPkiSupportedAlgorithms = WebPkiSupportedAlgorithms {
    all: presented::ALGORITHMS,
    mapping: &[
        (
            SignatureScheme::ECDSA_NISTP256_SHA256,
            &[webpki::ring::ECDSA_P256_SHA256],
        ),
        (
            SignatureScheme::ECDSA_NISTP384_SHA384,
            &[webpki::ring::ECDSA_P384_SHA384],
        ),
        (SignatureScheme::ED25519, &[webpki::ring::ED25519]),
    ],
};

pub(super) fn server_config(live: &Arc<Live>, tls12: bool) -> Result<ServerConfig, Error> {
    let versions: &[_] = if tls12 { &[&TLS13, &TLS12] } else { &[&TLS13] };
    let provider = Arc::new(default_provider());
    let mut config = ServerConfig::builder_with_details(provider, Arc::new(CentralClock))
        .with_protocol_versions(versions)?
        .with_client_cert_verifier(Arc::new(OursOrNone(live.clone())))
        .with_cert_resolver(Arc::new(Present(live.clone())));
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(config)
}

/// For browsers and programs, which prove themselves by other means: TLS 1.3 alone, and no certificate
/// asked for.
pub(super) fn desk_config(live: &Arc<Live>) -> Result<ServerConfig, Error> {
    let provider = Arc::new(default_provider());
    let mut config = ServerConfig::builder_with_details(provider, Arc::new(CentralClock))
        .with_protocol_versions(&[&TLS13])?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(Present(live.clone())));
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(config)
}

/// Central's clock, as the ledger reads it.
#[derive(Debug)]
struct CentralClock;

impl TimeProvider for CentralClock {
    fn current_time(&self) -> Option<UnixTime> {
        let millis = u64::try_from(ledger::now().0).ok()?;
        Some(UnixTime::since_unix_epoch(Duration::from_millis(millis)))
    }
}

/// The server's certificate as of now.
#[derive(Debug)]
struct Present(Arc<Live>);

impl ResolvesServerCert for Present {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.now().server.clone())
    }
}

/// Takes certificates of our CA, and none at all.
#[derive(Debug)]
struct OursOrNone(Arc<Live>);

impl ClientCertVerifier for OursOrNone {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        // An agent has one certificate and needs no hint.
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        match presented::examine(end_entity, &self.0.now().anchors()) {
            Ok(_) => Ok(ClientCertVerified::assertion()),
            Err(fault) => Err(Error::InvalidCertificate(alert(fault))),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &SIGNATURES)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &SIGNATURES)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        SIGNATURES.supported_schemes()
    }
}

fn alert(fault: CertificateFault) -> CertificateError {
    match fault {
        CertificateFault::Malformed => CertificateError::BadEncoding,
        CertificateFault::Foreign => CertificateError::UnknownIssuer,
        CertificateFault::Purpose => CertificateError::InvalidPurpose,
        CertificateFault::Weak => CertificateError::BadSignature,
    }
}
