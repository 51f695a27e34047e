//! What the authority holds, for people who look after it: each certificate with its part and its end.

use std::path::Path;

use branchline_protocol::enrolment::{Der, Fingerprint};
use branchline_protocol::time::UnixMillis;
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;

use super::{Authority, AuthorityError, fingerprint, folder, presented};

/// A certificate of the authority's own.
#[derive(Debug, Clone)]
pub struct Holding {
    /// What it is.
    pub kind: HoldingKind,
    /// Its part in a rollover.
    pub part: Part,
    /// Until when it is good.
    pub not_after: UnixMillis,
    /// SHA-256 of it.
    pub fingerprint: Fingerprint,
}

/// What a certificate is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HoldingKind {
    /// The server's own, or the one that was given to it.
    Server,
    /// An issuing CA's.
    Issuing,
    /// A root's.
    Root {
        /// Its key lies on this machine.
        key_here: bool,
    },
}

/// A certificate's part in a rollover.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// In use.
    Current,
    /// To be used after the switch.
    Next,
    /// Still taken.
    Old,
}

impl Authority {
    /// Everything that it holds, the server's certificate first.
    pub fn holdings(&self) -> Result<Vec<Holding>, AuthorityError> {
        let loaded = self.live.now();
        let mut all = Vec::new();
        if let Some(server) = loaded.server.cert.first() {
            all.push(Holding {
                kind: HoldingKind::Server,
                part: Part::Current,
                not_after: loaded.server_validity.1,
                fingerprint: fingerprint(server),
            });
        }
        let standing = &loaded.standing;
        let parts = [
            (Some(standing.current), Part::Current),
            (standing.next, Part::Next),
            (standing.old, Part::Old),
        ];
        for (number, part) in parts {
            let Some(number) = number else { continue };
            let key_here = self.folder.join(folder::root_key(number)).exists();
            let root = HoldingKind::Root { key_here };
            all.push(held(&self.folder.join(folder::root(number)), root, part)?);
            let issuing = self.folder.join(folder::issuing(number));
            all.push(held(&issuing, HoldingKind::Issuing, part)?);
        }
        Ok(all)
    }

    /// The server's certificate is a given one, which it does not renew.
    pub fn is_given(&self) -> bool {
        self.tls.certificate.is_some()
    }

    /// Whether a certificate comes from the root that is being retired.
    pub fn is_of_old_root(&self, certificate: &[u8]) -> Result<bool, AuthorityError> {
        let Some(old) = self.live.now().standing.old else {
            return Ok(false);
        };
        let issuing = folder::certificate(&self.folder.join(folder::issuing(old)))?;
        let anchor = webpki::anchor_from_trusted_cert(&issuing);
        Ok(anchor.is_ok_and(|anchor| presented::examine(certificate, &[anchor]).is_ok()))
    }

    /// The bundle as it was last published, to be published again.
    pub fn published(&self) -> Option<branchline_protocol::enrolment::SignedTrust> {
        self.live.now().standing.signed.clone()
    }

    /// Whom agents trust, each by fingerprint.
    pub fn trusted(&self) -> Vec<Fingerprint> {
        let anchors = self.trust().anchors;
        anchors.iter().map(Der::as_bytes).map(fingerprint).collect()
    }
}

fn held(path: &Path, kind: HoldingKind, part: Part) -> Result<Holding, AuthorityError> {
    let der = folder::certificate(path)?;
    let until = X509Certificate::from_der(&der)
        .map(|(_, certificate)| certificate.validity().not_after.timestamp());
    let until = until.map_err(|fault| AuthorityError::content(path, fault.to_string()))?;
    Ok(Holding {
        kind,
        part,
        not_after: UnixMillis(until.saturating_mul(1_000)),
        fingerprint: fingerprint(&der),
    })
}
