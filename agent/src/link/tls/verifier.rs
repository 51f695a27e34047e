//! Whether whoever answers is central.
//!
//! Invariant: a handshake passes only where the chain ends in one of our anchors, the certificate is for the
//! name that central is called by, and its key was used in this very handshake. Dates are the one thing
//! that the diagnosing way leaves out, and nothing of ours is sent over that.

use std::sync::Arc;

use branchline_protocol::enrolment::Fingerprint;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use super::sighting::{Sighting, Sightings};
use crate::identity::fingerprint;
use crate::link::failure::is_about_dates;

/// What must stand at the end of central's chain.
#[derive(Debug)]
pub(super) enum Anchors {
    /// One of these certificates.
    Known(Arc<RootCertStore>),
    /// The certificate in the chain that has this fingerprint: enrolment's.
    Fingerprint(Fingerprint),
    /// Nothing will do: a look at who answers.
    Nobody,
}

/// Whether the dates in certificates count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dates {
    Checked,
    /// For finding out whose clock is wrong, and for nothing else.
    Ignored,
}

#[derive(Debug)]
pub(super) struct CentralVerifier {
    pub(super) anchors: Anchors,
    pub(super) dates: Dates,
    pub(super) sightings: Arc<Sightings>,
    pub(super) algorithms: WebPkiSupportedAlgorithms,
}

impl CentralVerifier {
    fn prove(
        &self,
        shown: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        now: UnixTime,
    ) -> Result<(), Error> {
        let roots = self.roots(shown, intermediates)?;
        let parsed = ParsedCertificate::try_from(shown)?;
        let chain_at = |time| {
            verify_server_cert_signed_by_trust_anchor(
                &parsed,
                &roots,
                intermediates,
                time,
                self.algorithms.all,
            )
        };
        // Whoever is not central at any time is no matter of clocks: that is found out first.
        let dates = match chain_at(now) {
            Err(Error::InvalidCertificate(fault)) if is_about_dates(&fault) => {
                times_within(shown, now)
                    .into_iter()
                    .map(chain_at)
                    .reduce(Result::or)
                    .unwrap_or_else(|| Err(fault.clone().into()))?;
                Err(fault)
            }
            proven => Ok(proven?),
        };
        verify_server_name(&parsed, name)?;
        match (dates, self.dates) {
            (Err(fault), Dates::Checked) => Err(fault.into()),
            (Ok(()), _) | (Err(_), Dates::Ignored) => Ok(()),
        }
    }

    fn roots(
        &self,
        shown: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
    ) -> Result<Arc<RootCertStore>, Error> {
        match &self.anchors {
            Anchors::Known(roots) => Ok(roots.clone()),
            Anchors::Nobody => Err(CertificateError::UnknownIssuer.into()),
            Anchors::Fingerprint(named) => {
                let anchor = std::iter::once(shown)
                    .chain(intermediates)
                    .find(|certificate| fingerprint(certificate) == *named)
                    .ok_or(CertificateError::UnknownIssuer)?;
                let mut roots = RootCertStore::empty();
                roots.add(anchor.clone().into_owned())?;
                Ok(Arc::new(roots))
            }
        }
    }
}

/// Times at which the certificate itself is good, the one next to now first: its chain was too.
fn times_within(shown: &CertificateDer<'_>, now: UnixTime) -> Vec<UnixTime> {
    let Some(seen) = Sighting::of(shown) else {
        return Vec::new();
    };
    let seconds = |millis: i64| u64::try_from(millis / 1_000).unwrap_or(0);
    let (from, until) = (seconds(seen.not_before.0), seconds(seen.not_after.0));
    let next_to_now = now.as_secs().clamp(from.min(until), until);
    [next_to_now, from, until]
        .into_iter()
        .map(|seconds| UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds)))
        .collect()
}

impl ServerCertVerifier for CentralVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.sightings.note(end_entity);
        self.prove(end_entity, intermediates, server_name, now)
            .map(|()| ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
