//! TLS to central: who may be at the other end, and who we are.
//!
//! TLS 1.3 with ring; 1.2 only where IT allows it. Central is proven by our own anchors alone, never by the
//! system's. The clock is the agent's.

mod sighting;
mod verifier;

use std::sync::Arc;
use std::time::Duration;

use branchline_protocol::enrolment::{Fingerprint, TrustBundle};
use rustls::crypto::{CryptoProvider, ring as ring_provider};
use rustls::time_provider::TimeProvider;
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion, version};
use rustls_pki_types::{CertificateDer, UnixTime};

use sighting::Sightings;
use verifier::{Anchors, CentralVerifier, Dates};

pub use sighting::Sighting;

use crate::identity::{KeyedCertificate, Showing};

/// One way of making TLS connections. Clones share sessions and what was seen.
#[derive(Debug, Clone)]
pub(super) struct Tls {
    pub(super) config: Arc<ClientConfig>,
    sightings: Arc<Sightings>,
}

impl Tls {
    /// The agent's everyday way: central proven by the bundle, the agent by its certificate.
    pub(super) fn mutual(showing: &Showing, tls12: bool) -> Result<Self, rustls::Error> {
        let anchors = Anchors::Known(roots(&showing.trust)?);
        Self::new(anchors, Dates::Checked, Some(&showing.certificate), tls12)
    }

    /// Central proven by the bundle and the dates left out, we by nothing: to find out whose clock is
    /// wrong. Nothing of ours may be sent over it.
    pub(super) fn diagnosing(trust: &TrustBundle, tls12: bool) -> Result<Self, rustls::Error> {
        let anchors = Anchors::Known(roots(trust)?);
        Self::new(anchors, Dates::Ignored, None, tls12)
    }

    /// Central proven by the token's fingerprint: enrolment's.
    pub(super) fn by_fingerprint(anchor: Fingerprint, tls12: bool) -> Result<Self, rustls::Error> {
        Self::new(Anchors::Fingerprint(anchor), Dates::Checked, None, tls12)
    }

    /// The same, and the dates left out.
    pub(super) fn diagnosing_by_fingerprint(
        anchor: Fingerprint,
        tls12: bool,
    ) -> Result<Self, rustls::Error> {
        Self::new(Anchors::Fingerprint(anchor), Dates::Ignored, None, tls12)
    }

    /// Nobody will do: only a look at who answers. No connection ever comes of it.
    pub(super) fn looking(tls12: bool) -> Result<Self, rustls::Error> {
        Self::new(Anchors::Nobody, Dates::Checked, None, tls12)
    }

    fn new(
        anchors: Anchors,
        dates: Dates,
        certificate: Option<&KeyedCertificate>,
        tls12: bool,
    ) -> Result<Self, rustls::Error> {
        let provider = provider();
        let sightings = Arc::<Sightings>::default();
        let verifier = CentralVerifier {
            anchors,
            dates,
            sightings: sightings.clone(),
            algorithms: provider.signature_verification_algorithms,
        };
        let builder = ClientConfig::builder_with_details(provider, Arc::new(AgentClock))
            .with_protocol_versions(if tls12 { &LENIENT } else { &STRICT })?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier));
        let mut config = match certificate {
            Some(certificate) => builder
                .with_client_auth_cert(certificate.chain_for_tls(), certificate.key().for_tls())?,
            None => builder.with_no_client_auth(),
        };
        // Middleboxes that understand HTTP/2 half are worse than those that do not at all, and nothing
        // here needs it.
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self {
            config: Arc::new(config),
            sightings,
        })
    }

    /// The last certificate that was shown by whoever answered.
    pub(super) fn seen(&self) -> Option<Sighting> {
        self.sightings.last()
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring_provider::default_provider())
}

static STRICT: [&SupportedProtocolVersion; 1] = [&version::TLS13];
static LENIENT: [&SupportedProtocolVersion; 2] = [&version::TLS13, &version::TLS12];

/// An anchor that cannot be read is left out: the others may still prove central.
fn roots(trust: &TrustBundle) -> Result<Arc<RootCertStore>, rustls::Error> {
    let mut roots = RootCertStore::empty();
    let anchors = trust.anchors.iter();
    let (good, _) = roots.add_parsable_certificates(
        anchors.map(|anchor| CertificateDer::from(anchor.as_bytes().to_vec())),
    );
    if good == 0 {
        return Err(rustls::Error::General(
            "no certificate that central could be proven by".to_owned(),
        ));
    }
    Ok(Arc::new(roots))
}

/// The agent's clock, so that TLS and all else agree on the time.
#[derive(Debug)]
struct AgentClock;

impl TimeProvider for AgentClock {
    fn current_time(&self) -> Option<UnixTime> {
        let millis = u64::try_from(crate::ids::now().0).unwrap_or(0);
        Some(UnixTime::since_unix_epoch(Duration::from_millis(millis)))
    }
}
