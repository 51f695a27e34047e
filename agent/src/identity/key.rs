//! Private keys: made here, kept from every log, and asked of only to sign.

use std::fmt;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use branchline_protocol::enrolment::{Der, key_digest};
use branchline_protocol::id::Digest;
use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256, PublicKeyData};
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use zeroize::Zeroizing;

/// A key whose bytes are as they are: where a file's mode protects it.
const PLAIN: &str = "pkcs8:";
/// A key that the operating system encrypted for this machine.
const SEALED: &str = "sealed:";

/// Why there is no key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyFault {
    /// The library or the system's randomness failed.
    #[error("make a key: {0}")]
    Make(String),
    /// The bytes are no P-256 key.
    #[error("the key in the identity file cannot be read")]
    Unreadable,
}

/// A P-256 key as PKCS #8. Its bytes are cleared when the last copy goes.
#[derive(Clone)]
pub struct PrivateKey {
    bytes: Arc<Zeroizing<Vec<u8>>>,
    public: Digest,
}

impl PrivateKey {
    /// A new key.
    pub fn generate() -> Result<Self, KeyFault> {
        let pair = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)
            .map_err(|fault| KeyFault::Make(fault.to_string()))?;
        Ok(Self::of(&pair))
    }

    fn of(pair: &KeyPair) -> Self {
        Self {
            bytes: Arc::new(Zeroizing::new(pair.serialize_der())),
            public: key_digest(&pair.subject_public_key_info()),
        }
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        Self::pair_of(bytes).map(|pair| Self::of(&pair))
    }

    fn pair_of(bytes: &[u8]) -> Option<KeyPair> {
        let der = PrivatePkcs8KeyDer::from(bytes);
        KeyPair::from_pkcs8_der_and_sign_algo(&der, &PKCS_ECDSA_P256_SHA256).ok()
    }

    /// Names its public half, as central does.
    pub fn public(&self) -> Digest {
        self.public
    }

    /// For TLS: a copy, which TLS keeps as long as it uses it.
    pub fn for_tls(&self) -> PrivateKeyDer<'static> {
        PrivatePkcs8KeyDer::from(self.bytes.to_vec()).into()
    }

    /// A certificate signing request. It says nothing but the key and that we have it; the rest of the
    /// certificate is central's to say.
    pub fn request(&self) -> Result<Der, KeyFault> {
        let make = |fault: rcgen::Error| KeyFault::Make(fault.to_string());
        let pair = Self::pair_of(&self.bytes).ok_or(KeyFault::Unreadable)?;
        let mut asked = CertificateParams::default();
        asked.distinguished_name = rcgen::DistinguishedName::new();
        let request = asked.serialize_request(&pair).map_err(make)?;
        Der::new(request.der().to_vec()).ok_or(KeyFault::Unreadable)
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PrivateKey(…)")
    }
}

/// For the identity file alone.
impl Serialize for PrivateKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let sealed = crate::platform::seal(&self.bytes).map_err(serde::ser::Error::custom)?;
        let text = Zeroizing::new(match &sealed {
            Some(sealed) => format!("{SEALED}{}", STANDARD.encode(sealed)),
            None => format!("{PLAIN}{}", STANDARD.encode(self.bytes.as_slice())),
        });
        serializer.serialize_str(&text)
    }
}

impl<'de> Deserialize<'de> for PrivateKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Zeroizing::new(String::deserialize(deserializer)?);
        let bytes = if let Some(sealed) = text.strip_prefix(SEALED) {
            let sealed = STANDARD.decode(sealed).ok();
            sealed.and_then(|sealed| crate::platform::unseal(&sealed).ok())
        } else {
            let plain = text.strip_prefix(PLAIN);
            plain.and_then(|plain| STANDARD.decode(plain).ok())
        };
        bytes
            .map(Zeroizing::new)
            .and_then(|bytes| Self::read(&bytes))
            .ok_or_else(|| de::Error::custom(KeyFault::Unreadable))
    }
}
