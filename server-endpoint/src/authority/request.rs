//! Reads a certificate signing request. Only its key counts, and that whoever sent it has the private
//! half; names and extensions that it asks for are ignored.

use branchline_protocol::enrolment::{Der, key_digest};
use branchline_protocol::id::Digest;
use rcgen::SubjectPublicKeyInfo;
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::prelude::FromDer;
use x509_parser::x509::SubjectPublicKeyInfo as ParsedKey;

/// A request that proved its key.
#[derive(Debug)]
pub struct CertificateRequest {
    /// Names the key.
    pub key: Digest,
    pub(super) public: SubjectPublicKeyInfo,
}

/// Why a request is refused; all are for whoever made it to mend.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RequestFault {
    /// Not a PKCS #10 request.
    #[error("this is no certificate signing request (PKCS #10 in DER)")]
    Malformed,
    /// Not signed with the key that it names.
    #[error("the certificate signing request is not signed with its own key")]
    Signature,
    /// RSA, or a curve that nobody needs.
    #[error("certificates are issued for P-256, P-384 and Ed25519 keys only")]
    Key,
}

/// Whether certificates of this key are issued and taken.
pub(super) fn is_strong(key: &ParsedKey<'_>) -> bool {
    const EC: &str = "1.2.840.10045.2.1";
    const P256: &str = "1.2.840.10045.3.1.7";
    const P384: &str = "1.3.132.0.34";
    const ED25519: &str = "1.3.101.112";
    match key.algorithm.algorithm.to_id_string().as_str() {
        EC => key
            .algorithm
            .parameters
            .as_ref()
            .and_then(|curve| curve.as_oid().ok())
            .is_some_and(|curve| [P256, P384].contains(&curve.to_id_string().as_str())),
        algorithm => algorithm == ED25519,
    }
}

/// Reads and proves a request.
pub(super) fn read(csr: &Der) -> Result<CertificateRequest, RequestFault> {
    let (behind, request) =
        X509CertificationRequest::from_der(csr.as_bytes()).map_err(|_| RequestFault::Malformed)?;
    if !behind.is_empty() {
        return Err(RequestFault::Malformed);
    }
    let key = &request.certification_request_info.subject_pki;
    if !is_strong(key) {
        return Err(RequestFault::Key);
    }
    request
        .verify_signature()
        .map_err(|_| RequestFault::Signature)?;
    let public = SubjectPublicKeyInfo::from_der(key.raw).map_err(|_| RequestFault::Key)?;
    Ok(CertificateRequest {
        key: key_digest(key.raw),
        public,
    })
}
