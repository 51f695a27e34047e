//! What was seen of somebody who did not prove to be central: for words that help IT to find the device.

use std::sync::{Mutex, PoisonError};

use branchline_protocol::time::UnixMillis;
use rustls_pki_types::CertificateDer;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;
use x509_parser::x509::X509Name;

/// Characters of a name that a stranger gave itself.
const NAME_CHARS: usize = 80;
/// Names of one certificate that are kept.
const NAMES: usize = 8;

/// A certificate as it was shown to us. Nothing in it is proven.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sighting {
    /// Whom it names as its issuer.
    pub issuer: String,
    /// Hosts that it is for, at most 8.
    pub names: Vec<String>,
    /// From when it is good.
    pub not_before: UnixMillis,
    /// Until when.
    pub not_after: UnixMillis,
}

/// The last certificate that was shown.
#[derive(Debug, Default)]
pub(super) struct Sightings(Mutex<Option<Sighting>>);

impl Sightings {
    pub(super) fn note(&self, shown: &CertificateDer<'_>) {
        let seen = Sighting::of(shown);
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = seen;
    }

    pub(super) fn last(&self) -> Option<Sighting> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl Sighting {
    /// What stands in a certificate, if it can be read.
    pub fn of(shown: &[u8]) -> Option<Self> {
        let (_, certificate) = X509Certificate::from_der(shown).ok()?;
        let validity = certificate.validity();
        let names = certificate.subject_alternative_name().ok().flatten();
        let names = names.map_or_else(Vec::new, |names| {
            let names = names.value.general_names.iter();
            names.filter_map(host).take(NAMES).collect()
        });
        Some(Self {
            issuer: name(certificate.issuer()),
            names,
            not_before: millis(validity.not_before.timestamp()),
            not_after: millis(validity.not_after.timestamp()),
        })
    }
}

fn millis(seconds: i64) -> UnixMillis {
    UnixMillis(seconds.saturating_mul(1_000))
}

/// The common name, or else the whole.
fn name(name: &X509Name<'_>) -> String {
    let common = name.iter_common_name().next();
    let text = common
        .and_then(|common| common.as_str().ok())
        .map_or_else(|| name.to_string(), str::to_owned);
    tame(&text)
}

fn host(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some(tame(name)),
        GeneralName::IPAddress(bytes) => match **bytes {
            [a, b, c, d] => Some(std::net::Ipv4Addr::new(a, b, c, d).to_string()),
            ref bytes => {
                let bytes: [u8; 16] = bytes.try_into().ok()?;
                Some(std::net::Ipv6Addr::from(bytes).to_string())
            }
        },
        _ => None,
    }
}

/// A stranger's words: short, and nothing that a terminal or a log obeys.
fn tame(text: &str) -> String {
    text.chars()
        .filter(|c| !c.is_control())
        .take(NAME_CHARS)
        .collect()
}
