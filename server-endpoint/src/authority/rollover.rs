//! The way from one root to the next, without anybody visiting a branch.
//!
//! 1. [`next_root`] makes the next root and issuing CA, has the present root vouch for the next, and gives
//!    the bundle that tells agents to trust both, signed by the present root.
//! 2. [`switch`] has everything new come from the next. The server's chain also leads to the root before,
//!    so that an agent that was away during both steps still proves central, and hears of it then.
//! 3. [`retire_old`] gives the bundle that tells agents to trust the new root alone; certificates of the
//!    old one are no longer taken.
//!
//! Each step is one replacement of `authority.json` ([`super::standing`]); an interrupted one is repeated.
//! Publishing a bundle is the caller's, and can be repeated too: it is kept as it was signed.

use std::path::{Path, PathBuf};

use branchline_protocol::enrolment::{Der, SignedTrust, TrustBundle};
use branchline_protocol::limits;
use branchline_protocol::time::UnixMillis;
use rcgen::{Issuer, KeyPair, PublicKeyData, SigningKey};
use rustls_pki_types::CertificateDer;
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;

use super::standing::Standing;
use super::{AuthorityError, fingerprint, folder, init, make};

/// Why a step cannot be taken.
#[derive(Debug, thiserror::Error)]
pub enum RolloverError {
    /// The authority itself.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// The rollover before is not at its end.
    #[error("the rollover before this one is not finished; `cert retire-old` ends it")]
    Unfinished,
    /// There is no next root.
    #[error("there is no next root to switch to; `cert next-root` makes one and tells the agents")]
    NothingNext,
    /// There is no old root.
    #[error("there is no old root to retire")]
    NothingOld,
    /// Agents trust as many as they can.
    #[error(
        "agents can trust at most {} roots, and do; announce fewer",
        limits::ANCHORS
    )]
    TooMany,
}

/// Makes the next root, or finds it made; gives the bundle to publish.
pub(super) fn next_root(
    authority: &Path,
    root_key: Option<&Path>,
    now: UnixMillis,
) -> Result<SignedTrust, RolloverError> {
    let _alone = folder::lock(authority)?;
    let mut standing = Standing::read_made(authority)?;
    if standing.next.is_some()
        && let Some(signed) = &standing.signed
    {
        return Ok(signed.clone());
    }
    if standing.old.is_some() {
        return Err(RolloverError::Unfinished);
    }
    let present = Root::load(authority, standing.current, root_key)?;
    let number = standing.current.saturating_add(1);
    let next = init::new_pair(authority, number, now)?;
    let next_key = folder::key(&authority.join(folder::root_key(number)))?;
    let by = Issuer::from_ca_cert_der(&present.certificate, &present.key)
        .map_err(AuthorityError::from)?;
    let cross = make::cross(number, &next_key, &by, now)?;
    folder::write(
        &authority.join(folder::cross(number)),
        cross.pem().as_bytes(),
    )?;
    let mut anchors = standing.trust.anchors.clone();
    anchors.extend(Der::new(next.to_vec()));
    standing.next = Some(number);
    publish(authority, standing, anchors, &present)
}

/// Has everything new come from the next root.
pub(super) fn switch(authority: &Path, now: UnixMillis) -> Result<(), RolloverError> {
    let _alone = folder::lock(authority)?;
    let mut standing = Standing::read_made(authority)?;
    let next = standing.next.take().ok_or(RolloverError::NothingNext)?;
    // The server's certificate first: agents take the new one whether or not they have heard, and where
    // the old stands beside the new standing, the next renewal mends that.
    init::write_server(
        authority,
        next,
        Some(standing.current),
        &standing.names,
        now,
    )?;
    standing.old = Some(standing.current);
    standing.current = next;
    standing.write(authority)?;
    Ok(())
}

/// Ends the old root; gives the bundle to publish.
pub(super) fn retire_old(
    authority: &Path,
    root_key: Option<&Path>,
    now: UnixMillis,
) -> Result<SignedTrust, RolloverError> {
    let _alone = folder::lock(authority)?;
    let mut standing = Standing::read_made(authority)?;
    let old = standing.old.take().ok_or(RolloverError::NothingOld)?;
    let present = Root::load(authority, standing.current, root_key)?;
    let old_root = folder::certificate(&authority.join(folder::root(old)))?;
    let anchors = standing.trust.anchors.iter();
    let anchors = anchors.filter(|anchor| anchor.as_bytes() != old_root.as_ref());
    let anchors = anchors.cloned().collect();
    init::write_server(authority, standing.current, None, &standing.names, now)?;
    publish(authority, standing, anchors, &present)
}

/// Has agents trust the own roots and these, of certificates given to the server, and no others any more;
/// gives the bundle to publish.
pub(super) fn announce(
    authority: &Path,
    given: Vec<CertificateDer<'static>>,
    root_key: Option<&Path>,
) -> Result<SignedTrust, RolloverError> {
    let _alone = folder::lock(authority)?;
    let standing = Standing::read_made(authority)?;
    let mut anchors = Vec::new();
    for number in standing.roots() {
        let root = folder::certificate(&authority.join(folder::root(number)))?;
        anchors.extend(Der::new(root.to_vec()));
    }
    for root in given {
        let root = Der::new(root.to_vec());
        anchors.extend(root.filter(|root| !anchors.contains(root)));
    }
    if let Some(signed) = &standing.signed
        && anchors == standing.trust.anchors
    {
        return Ok(signed.clone());
    }
    let present = Root::load(authority, standing.current, root_key)?;
    publish(authority, standing, anchors, &present)
}

/// Signs a bundle of these anchors with a root that agents trust already, and keeps both.
fn publish(
    authority: &Path,
    mut standing: Standing,
    anchors: Vec<Der>,
    by: &Root,
) -> Result<SignedTrust, RolloverError> {
    standing.trust = TrustBundle {
        serial: standing.trust.serial.saturating_add(1),
        anchors,
    };
    if !standing.trust.is_sound() {
        return Err(RolloverError::TooMany);
    }
    let signed = by.sign(&standing.trust)?;
    standing.signed = Some(signed.clone());
    standing.write(authority)?;
    Ok(signed)
}

/// A root with its key.
struct Root {
    certificate: CertificateDer<'static>,
    key: KeyPair,
}

impl Root {
    fn load(
        authority: &Path,
        number: u32,
        root_key: Option<&Path>,
    ) -> Result<Self, AuthorityError> {
        let certificate = folder::certificate(&authority.join(folder::root(number)))?;
        let path = root_key.map_or_else(|| authority.join(folder::root_key(number)), PathBuf::from);
        if root_key.is_none() && !path.exists() {
            return Err(AuthorityError::RootKeyAway(path));
        }
        let key = folder::key(&path)?;
        let own = X509Certificate::from_der(&certificate)
            .is_ok_and(|(_, root)| root.public_key().raw == key.subject_public_key_info());
        if own {
            Ok(Self { certificate, key })
        } else {
            let fault = format!("this is not the key of root {number}");
            Err(AuthorityError::content(&path, fault))
        }
    }

    fn sign(&self, bundle: &TrustBundle) -> Result<SignedTrust, AuthorityError> {
        let unsigned =
            |fault: String| AuthorityError::Made(format!("sign the trust bundle: {fault}"));
        let text = serde_json::to_string(bundle).map_err(|fault| unsigned(fault.to_string()))?;
        let over = [
            branchline_protocol::enrolment::TRUST_CONTEXT,
            text.as_bytes(),
        ]
        .concat();
        let signature = self
            .key
            .sign(&over)
            .map_err(|fault| unsigned(fault.to_string()))?;
        let signature = Der::new(signature).ok_or_else(|| unsigned("no signature".to_owned()))?;
        Ok(SignedTrust {
            bundle: text,
            signer: fingerprint(&self.certificate),
            signature,
        })
    }
}
