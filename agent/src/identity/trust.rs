//! Whom to trust from now on: taken only from somebody who is trusted already.

use branchline_protocol::enrolment::{Der, Fingerprint, SignedTrust, TrustBundle};
use ring::digest;
use ring::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};
use x509_parser::prelude::{FromDer, X509Certificate};

/// Why a bundle from the feed changes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TrustFault {
    /// What is trusted is as new: a repeat, or an older bundle.
    #[error("it is not newer than what is trusted now")]
    NotNewer,
    /// The one who signed is not trusted.
    #[error("whoever signed it is not trusted")]
    UnknownSigner,
    /// The signature is not the signer's.
    #[error("its signature is wrong")]
    Forged,
    /// It is no bundle, or one of its anchors cannot be read.
    #[error("it cannot be read")]
    Unreadable,
}

/// SHA-256 of a certificate.
pub fn fingerprint(certificate: &[u8]) -> Fingerprint {
    let hash = digest::digest(&digest::SHA256, certificate);
    let mut bytes = [0; 32];
    bytes.copy_from_slice(hash.as_ref());
    Fingerprint(bytes)
}

/// The bundle that takes the place of `present`, if it is newer and an anchor of `present` signed it.
pub fn verified(present: &TrustBundle, signed: &SignedTrust) -> Result<TrustBundle, TrustFault> {
    // Only to leave it alone: a feed that starts again brings what was signed by anchors of long ago.
    let told = signed.read().ok_or(TrustFault::Unreadable)?;
    if told.serial <= present.serial {
        return Err(TrustFault::NotNewer);
    }
    let known = present
        .anchors
        .iter()
        .find(|anchor| fingerprint(anchor.as_bytes()) == signed.signer)
        .ok_or(TrustFault::UnknownSigner)?;
    let key = public_key(known).ok_or(TrustFault::Unreadable)?;
    UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, key)
        .verify(&signed.signed_bytes(), signed.signature.as_bytes())
        .map_err(|_| TrustFault::Forged)?;
    // An anchor that cannot be read would be missing when it is needed.
    if told
        .anchors
        .iter()
        .any(|anchor| public_key(anchor).is_none())
    {
        return Err(TrustFault::Unreadable);
    }
    Ok(told)
}

/// The point of a certificate's key.
fn public_key(certificate: &Der) -> Option<Vec<u8>> {
    let (_, read) = X509Certificate::from_der(certificate.as_bytes()).ok()?;
    Some(read.public_key().subject_public_key.data.to_vec())
}
