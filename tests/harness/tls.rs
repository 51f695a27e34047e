//! TLS as the tests' own clients, proxies and false centrals speak it: with a certificate of one's
//! choice, against an anchor of one's choice.

use std::path::Path;
use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    ClientConfig, DigitallySignedStruct, DistinguishedName, Error, RootCertStore, ServerConfig,
    SignatureScheme,
};

/// A certificate with its chain, and its key.
#[derive(Debug)]
pub struct Credentials {
    /// The end's own certificate first.
    pub chain: Vec<CertificateDer<'static>>,
    /// Its key.
    pub key: PrivateKeyDer<'static>,
}

impl Clone for Credentials {
    fn clone(&self) -> Self {
        Self {
            chain: self.chain.clone(),
            key: self.key.clone_key(),
        }
    }
}

impl Credentials {
    /// From two files of PEM.
    pub fn read(chain: &Path, key: &Path) -> Self {
        Self {
            chain: certificates(chain),
            key: PrivateKeyDer::from_pem_file(key).expect("read a key"),
        }
    }

    /// A certificate of rcgen's under these others, with its key.
    pub fn made(
        certificate: &rcgen::Certificate,
        above: &[CertificateDer<'static>],
        key: &rcgen::KeyPair,
    ) -> Self {
        let mut chain = vec![certificate.der().clone()];
        chain.extend_from_slice(above);
        Self {
            chain,
            key: PrivateKeyDer::Pkcs8(key.serialize_der().into()),
        }
    }
}

/// The certificates in a file of PEM.
pub fn certificates(path: &Path) -> Vec<CertificateDer<'static>> {
    let read = CertificateDer::pem_file_iter(path).expect("read certificates");
    read.map(|certificate| certificate.expect("a certificate"))
        .collect()
}

/// A client that trusts these anchors alone.
pub fn client(anchors: &[CertificateDer<'static>], own: Option<&Credentials>) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    for anchor in anchors {
        roots.add(anchor.clone()).expect("an anchor");
    }
    let config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots);
    let mut config = match own {
        Some(own) => config
            .with_client_auth_cert(own.chain.clone(), own.key.clone_key())
            .expect("a certificate with its key"),
        None => config.with_no_client_auth(),
    };
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Arc::new(config)
}

/// A server that wants a certificate, takes none at all too, and leaves it to others whether it is any
/// good: only that the client has its key is proven.
pub fn server(own: &Credentials) -> Arc<ServerConfig> {
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_client_cert_verifier(Arc::new(TakesAny(provider())))
        .with_single_cert(own.chain.clone(), own.key.clone_key())
        .expect("a certificate with its key");
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Arc::new(config)
}

/// The name under which tests find everything.
pub fn loopback() -> ServerName<'static> {
    ServerName::try_from("127.0.0.1").expect("an address is a name")
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

#[derive(Debug)]
struct TakesAny(Arc<CryptoProvider>);

impl ClientCertVerifier for TakesAny {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let known = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, known)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let known = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, known)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
