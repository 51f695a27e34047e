//! Certificates for tests: an authority like central's, and everything that is wrong with others.

use std::sync::Arc;
use std::time::Duration;

use branchline_protocol::enrolment::{Der, Fingerprint, TrustBundle};
use branchline_protocol::time::UnixMillis;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use rustls::ServerConfig;
use rustls::server::WebPkiClientVerifier;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

use crate::identity::{KeyedCertificate, PrivateKey, Showing, fingerprint};

/// A root and what it issued.
pub(crate) struct Authority {
    pub(crate) root: CertificateDer<'static>,
    issuing: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate of central's.
#[derive(Clone)]
pub(crate) struct Served {
    pub(crate) chain: Vec<CertificateDer<'static>>,
    pub(crate) key: Vec<u8>,
}

/// Days from now, from and until when a certificate is good.
pub(crate) type Days = (i64, i64);

pub(crate) const GOOD: Days = (-1, 30);

fn ca(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![
        KeyUsagePurpose::KeyCertSign,
        KeyUsagePurpose::DigitalSignature,
    ];
    params
}

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let (root_key, root) = (KeyPair::generate().unwrap(), ca(name));
        let der = root.self_signed(&root_key).unwrap().der().clone();
        let root = Issuer::new(root, root_key);
        let (key, issuing) = (KeyPair::generate().unwrap(), ca(&format!("{name} issuing")));
        let issued = issuing.signed_by(&key, &root).unwrap();
        Self {
            root: der,
            issuing: issued.der().clone(),
            issuer: Issuer::new(issuing, key),
        }
    }

    pub(crate) fn fingerprint(&self) -> Fingerprint {
        fingerprint(&self.root)
    }

    pub(crate) fn trust(&self) -> TrustBundle {
        let anchors = vec![Der::new(self.root.to_vec()).unwrap()];
        TrustBundle { serial: 1, anchors }
    }

    /// A server's certificate with its whole chain.
    pub(crate) fn server(&self, name: &str, (from, until): Days) -> Served {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let now = std::time::SystemTime::now();
        let at = |days: i64| {
            let by = Duration::from_secs(days.unsigned_abs() * 86_400);
            let at = if days < 0 { now - by } else { now + by };
            at.into()
        };
        (params.not_before, params.not_after) = (at(from), at(until));
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let key = KeyPair::generate().unwrap();
        let own = params.signed_by(&key, &self.issuer).unwrap().der().clone();
        Served {
            chain: vec![own, self.issuing.clone(), self.root.clone()],
            key: key.serialize_der(),
        }
    }

    /// What an agent of this authority shows.
    pub(crate) fn agent(&self) -> Showing {
        let key = PrivateKey::generate().unwrap();
        let request = key.request().unwrap();
        let request = rcgen::CertificateSigningRequestParams::from_der(&request.as_bytes().into());
        let mut request = request.unwrap();
        request.params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let own = request.signed_by(&self.issuer).unwrap();
        let chain = [own.der(), &self.issuing];
        let chain = chain.map(|der| Der::new(der.to_vec()).unwrap()).to_vec();
        Showing {
            trust: self.trust(),
            certificate: KeyedCertificate::new(key, chain).unwrap(),
        }
    }

    /// Takes clients of this authority, and those that show nothing.
    pub(crate) fn serves(&self, served: &Served) -> ServerConfig {
        self.serves_with(served, &[&rustls::version::TLS13])
    }

    pub(crate) fn serves_with(
        &self,
        served: &Served,
        versions: &[&'static rustls::SupportedProtocolVersion],
    ) -> ServerConfig {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut roots = rustls::RootCertStore::empty();
        roots.add(self.root.clone()).unwrap();
        let clients =
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone())
                .allow_unauthenticated()
                .build()
                .unwrap();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(served.key.clone()));
        let key = rustls::crypto::ring::sign::any_supported_type(&key).unwrap();
        let certified = rustls::sign::CertifiedKey::new(served.chain.clone(), key);
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .unwrap()
            .with_client_cert_verifier(clients)
            .with_cert_resolver(Arc::new(rustls::sign::SingleCertAndKey::from(certified)));
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        config
    }
}

/// As `Date` writes it.
pub(crate) fn http_date(at: UnixMillis) -> String {
    let at = jiff::Timestamp::from_millisecond(at.0).unwrap();
    at.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}
