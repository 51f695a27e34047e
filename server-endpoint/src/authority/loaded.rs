//! The authority's files in memory, all of one moment, and the place where they are swapped.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use branchline_protocol::enrolment::Fingerprint;
use branchline_protocol::time::UnixMillis;
use rustls::crypto::ring::default_provider;
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, TrustAnchor, UnixTime};
use webpki::{EndEntityCert, KeyUsage};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;

use super::make::Signer;
use super::standing::Standing;
use super::{AuthorityError, fingerprint, folder, init};
use crate::config;

/// What is in force, and can be replaced while handshakes go on.
#[derive(Debug)]
pub(super) struct Live(RwLock<Arc<Loaded>>);

impl Live {
    pub(super) fn new(loaded: Loaded) -> Self {
        Self(RwLock::new(Arc::new(loaded)))
    }

    /// What holds at this moment.
    pub(super) fn now(&self) -> Arc<Loaded> {
        self.0
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub(super) fn replace(&self, loaded: Loaded) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(loaded);
    }
}

/// Which versions of the files something was read from: their times, sizes and places on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stamp(Vec<Option<(Option<SystemTime>, u64, u64)>>);

impl Stamp {
    pub(super) fn of(authority: &Path, tls: &config::Tls) -> Self {
        let own = [folder::STANDING, folder::SERVER].map(|name| authority.join(name));
        let given = [&tls.certificate, &tls.key].into_iter().flatten();
        let stamps = own.iter().chain(given).map(|path| {
            let about = std::fs::metadata(path).ok()?;
            Some((about.modified().ok(), about.len(), about.ino()))
        });
        Self(stamps.collect())
    }
}

/// Everything that serving needs.
pub(super) struct Loaded {
    /// Taken before anything was read.
    pub(super) stamp: Stamp,
    pub(super) standing: Standing,
    /// Signs from now on.
    pub(super) issuer: Signer,
    /// Its certificate.
    pub(super) issuing: CertificateDer<'static>,
    /// The issuing CAs whose certificates are taken.
    issuers: Vec<CertificateDer<'static>>,
    /// How the server proves itself.
    pub(super) server: Arc<CertifiedKey>,
    /// From when and until when it can.
    pub(super) server_validity: (UnixMillis, UnixMillis),
    /// The last certificate of its chain.
    pub(super) anchor: Fingerprint,
}

impl std::fmt::Debug for Loaded {
    /// Keys have no business in a log.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Loaded")
            .field("standing", &self.standing)
            .field("anchor", &self.anchor)
            .finish_non_exhaustive()
    }
}

impl Loaded {
    pub(super) fn read(authority: &Path, tls: &config::Tls) -> Result<Self, AuthorityError> {
        let stamp = Stamp::of(authority, tls);
        let standing = Standing::read_made(authority)?;
        let issuers: Result<Vec<_>, _> = standing
            .roots()
            .map(|number| issuing(&authority.join(folder::issuing(number))))
            .collect();
        let own = authority.join(folder::SERVER);
        let given = tls.certificate.as_ref().zip(tls.key.as_ref());
        let (certificate, key) = given.unwrap_or((&own, &own));
        let (server, server_validity) = server(certificate, key)?;
        let anchor = server.cert.last().map(|last| fingerprint(last));
        if let (Some(path), Some(root)) = (&tls.certificate, server.cert.last()) {
            announced(path, root, &standing)?;
        }
        Ok(Self {
            stamp,
            issuer: init::signer(authority, standing.current)?,
            issuing: folder::certificate(&authority.join(folder::issuing(standing.current)))?,
            issuers: issuers?,
            server: Arc::new(server),
            server_validity,
            anchor: anchor.ok_or_else(|| AuthorityError::Missing(authority.to_owned()))?,
            standing,
        })
    }

    /// Who may have issued what is presented here.
    pub(super) fn anchors(&self) -> Vec<TrustAnchor<'_>> {
        let anchors = self.issuers.iter();
        anchors
            .filter_map(|issuer| webpki::anchor_from_trusted_cert(issuer).ok())
            .collect()
    }
}

/// A given certificate is of no use where agents do not trust its root.
fn announced(
    path: &Path,
    root: &CertificateDer<'_>,
    standing: &Standing,
) -> Result<(), AuthorityError> {
    let mut anchors = standing.trust.anchors.iter();
    if anchors.any(|anchor| anchor.as_bytes() == root.as_ref()) {
        return Ok(());
    }
    let fault = format!(
        "agents do not trust its root ({}) yet; tell them with `branchline-server cert announce \
         --certificate {}`, and give this certificate to the server once `cert status` shows that they \
         have heard",
        fingerprint(root),
        path.display()
    );
    Err(AuthorityError::content(path, fault))
}

fn issuing(path: &Path) -> Result<CertificateDer<'static>, AuthorityError> {
    let certificate = folder::certificate(path)?;
    if let Err(fault) = webpki::anchor_from_trusted_cert(&certificate) {
        return Err(AuthorityError::content(path, fault.to_string()));
    }
    Ok(certificate)
}

/// Reads the server's certificate: its key is its own, and its chain ends in a root that proves it. That
/// it has expired does not keep central from starting: agents say clearer what they make of it.
fn server(
    path: &Path,
    key_path: &Path,
) -> Result<(CertifiedKey, (UnixMillis, UnixMillis)), AuthorityError> {
    let fault = |fault: String| AuthorityError::content(path, fault);
    let pem = if path == key_path {
        folder::read_secret(path)?
    } else {
        folder::read(path)?
    };
    let chain = folder::certificates(path, &pem)?;
    let key = PrivateKeyDer::from_pem_slice(&folder::read_secret(key_path)?).map_err(|wrong| {
        AuthorityError::content(key_path, format!("no usable key (PEM): {wrong}"))
    })?;
    let validity = prove_chain(&chain).map_err(fault)?;
    let certified = CertifiedKey::from_der(chain, key, &default_provider())
        .map_err(|wrong| fault(format!("certificate and key do not go together: {wrong}")))?;
    Ok((certified, validity))
}

/// The root at the end of a given certificate's file.
pub(super) fn given_root(path: &Path) -> Result<CertificateDer<'static>, AuthorityError> {
    let mut chain = folder::certificates(path, &folder::read(path)?)?;
    prove_chain(&chain).map_err(|fault| AuthorityError::content(path, fault))?;
    chain
        .pop()
        .ok_or_else(|| AuthorityError::content(path, "there is no certificate in it"))
}

fn prove_chain(chain: &[CertificateDer<'_>]) -> Result<(UnixMillis, UnixMillis), String> {
    let (Some((first, rest)), Some(last)) = (chain.split_first(), chain.last()) else {
        return Err("there is no certificate in it".to_owned());
    };
    let parse = |der| {
        let parsed = X509Certificate::from_der(der);
        parsed.map_err(|fault| format!("unreadable certificate: {fault}"))
    };
    let (_, root) = parse(last)?;
    if root.subject() != root.issuer() {
        return Err(format!(
            "its last certificate is not a root but was issued by {}; append that one's certificate, \
             and so on up to the root",
            root.issuer()
        ));
    }
    let (_, server) = parse(first)?;
    let dates = server.validity();
    let (from, until) = (dates.not_before.timestamp(), dates.not_after.timestamp());
    let anchor = webpki::anchor_from_trusted_cert(last).map_err(|fault| fault.to_string())?;
    let certificate = EndEntityCert::try_from(first).map_err(|fault| fault.to_string())?;
    let now = crate::ledger::now().0.div_euclid(1_000);
    let at = u64::try_from(now.min(until).max(from)).unwrap_or(0);
    certificate
        .verify_for_usage(
            default_provider().signature_verification_algorithms.all,
            &[anchor],
            rest,
            UnixTime::since_unix_epoch(Duration::from_secs(at)),
            KeyUsage::server_auth(),
            None,
            None,
        )
        .map_err(|fault| format!("its chain does not lead to its last certificate: {fault}"))?;
    Ok((
        UnixMillis(from.saturating_mul(1_000)),
        UnixMillis(until.saturating_mul(1_000)),
    ))
}
