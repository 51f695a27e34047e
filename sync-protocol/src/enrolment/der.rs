//! Certificates and requests as they travel: DER in base64, bounded; and the fingerprint of one.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::limits;

/// One DER structure: a certificate, or a certificate signing request. At most [`limits::DER_BYTES`];
/// what is in it is for an X.509 library to say.
#[derive(Clone, PartialEq, Eq)]
pub struct Der(Vec<u8>);

impl Der {
    /// These bytes, unless they are too many or none.
    pub fn new(bytes: Vec<u8>) -> Option<Self> {
        (1..=limits::DER_BYTES)
            .contains(&bytes.len())
            .then_some(Self(bytes))
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Der {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Der({} bytes)", self.0.len())
    }
}

impl Serialize for Der {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Der {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        STANDARD
            .decode(text.as_bytes())
            .ok()
            .and_then(Self::new)
            .ok_or_else(|| {
                de::Error::custom(format_args!(
                    "a certificate or request is base64 of 1 to {} bytes of DER",
                    limits::DER_BYTES
                ))
            })
    }
}

/// SHA-256 of a certificate's DER, as `openssl x509 -fingerprint -sha256` shows it. Computed where a
/// hash of that kind is at hand; here it only travels.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint(pub [u8; 32]);

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, byte) in self.0.iter().enumerate() {
            let colon = if index > 0 { ":" } else { "" };
            write!(f, "{colon}{byte:02X}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Fingerprint {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Fingerprint {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(de::Error::custom)
    }
}

/// Why a text is not a fingerprint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a fingerprint is 32 pairs of hexadecimal digits, with or without colons between them")]
pub struct FingerprintFault;

impl FromStr for Fingerprint {
    type Err = FingerprintFault;

    fn from_str(text: &str) -> Result<Self, FingerprintFault> {
        let digits: String = text.trim().chars().filter(|digit| *digit != ':').collect();
        if digits.len() != 64 || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Err(FingerprintFault);
        }
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(digits.as_bytes().chunks_exact(2)) {
            let pair = std::str::from_utf8(pair).map_err(|_| FingerprintFault)?;
            *byte = u8::from_str_radix(pair, 16).map_err(|_| FingerprintFault)?;
        }
        Ok(Self(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_is_read_with_and_without_colons() {
        let print = Fingerprint([0xAB; 32]);
        let shown = print.to_string();
        assert_eq!(shown.parse(), Ok(print));
        assert_eq!(shown.replace(':', "").to_lowercase().parse(), Ok(print));
        for bad in ["", "AB", &shown[1..], &format!("{shown}:AB")] {
            assert_eq!(bad.parse::<Fingerprint>(), Err(FingerprintFault), "{bad}");
        }
    }

    #[test]
    fn der_has_bounds() {
        assert!(Der::new(Vec::new()).is_none());
        assert!(Der::new(vec![0; limits::DER_BYTES + 1]).is_none());
        let der = Der::new(vec![1, 2, 3]).unwrap();
        assert_eq!(serde_json::to_string(&der).unwrap(), "\"AQID\"");
        assert_eq!(serde_json::from_str::<Der>("\"AQID\"").unwrap(), der);
        assert!(serde_json::from_str::<Der>("\"\"").is_err());
        assert!(serde_json::from_str::<Der>("\"A\"").is_err());
    }
}
