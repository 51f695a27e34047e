//! The certificate that a proxy passes on (RFC 9440), where the proxy ends TLS in central's place.
//!
//! `Client-Cert` is one structured-field byte sequence: `:BASE64:`. Read strictly: nothing before, nothing
//! behind, no parameters, and no second field, because what one side skips another may believe.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use branchline_protocol::limits::DER_BYTES;
use http::{HeaderMap, HeaderName};

/// Carries the certificate of the client that the proxy speaks for.
pub(super) const CLIENT_CERT: HeaderName = HeaderName::from_static("client-cert");
/// Carries the rest of its chain; central knows that itself.
pub(super) const CLIENT_CERT_CHAIN: HeaderName = HeaderName::from_static("client-cert-chain");

/// Why the field is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum FieldFault {
    #[error("the field Client-Cert came more than once")]
    Repeated,
    #[error("the field Client-Cert must be a byte sequence, :BASE64: and nothing else")]
    NotBytes,
    #[error("the certificate in the field Client-Cert has more than {DER_BYTES} bytes or none")]
    Length,
}

/// Whether somebody claims to pass a certificate on.
pub(super) fn is_claimed(headers: &HeaderMap) -> bool {
    headers.contains_key(CLIENT_CERT) || headers.contains_key(CLIENT_CERT_CHAIN)
}

/// The certificate, DER; `None` where the client showed none.
pub(super) fn read(headers: &HeaderMap) -> Result<Option<Vec<u8>>, FieldFault> {
    let mut fields = headers.get_all(CLIENT_CERT).iter();
    let Some(field) = fields.next() else {
        return Ok(None);
    };
    if fields.next().is_some() {
        return Err(FieldFault::Repeated);
    }
    let sequence = field.as_bytes();
    let coded = sequence
        .strip_prefix(b":")
        .and_then(|rest| rest.strip_suffix(b":"))
        .ok_or(FieldFault::NotBytes)?;
    if coded.len() > DER_BYTES.div_ceil(3) * 4 {
        return Err(FieldFault::Length);
    }
    let der = STANDARD.decode(coded).map_err(|_| FieldFault::NotBytes)?;
    if (1..=DER_BYTES).contains(&der.len()) {
        Ok(Some(der))
    } else {
        Err(FieldFault::Length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(values: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(CLIENT_CERT, value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn one_byte_sequence_is_read_and_nothing_else() {
        assert_eq!(read(&fields(&[])), Ok(None));
        assert_eq!(read(&fields(&[":AQID:"])), Ok(Some(vec![1, 2, 3])));
        for bad in [
            "",
            ":",
            ":AQID",
            "AQID:",
            "AQID",
            "\"AQID\"",
            ":AQID:;a=1",
            ":AQID:, :AQID:",
            ":AQI:",
            ":AQI =:",
            ":A-_D:",
            ": AQID:",
            ":AQIDé:",
            "::AQID::",
            "-----BEGIN CERTIFICATE----- AQID",
            "%2D%2D%2D%2D%2DBEGIN",
        ] {
            assert_eq!(read(&fields(&[bad])), Err(FieldFault::NotBytes), "{bad}");
        }
        assert_eq!(read(&fields(&["::"])), Err(FieldFault::Length));
        assert_eq!(
            read(&fields(&[":AQID:", ":AQID:"])),
            Err(FieldFault::Repeated)
        );
        let long = format!(":{}:", STANDARD.encode(vec![0; DER_BYTES + 3]));
        assert_eq!(read(&fields(&[&long])), Err(FieldFault::Length));
        let longest = format!(":{}:", STANDARD.encode(vec![0; DER_BYTES]));
        assert!(read(&fields(&[&longest])).unwrap().is_some());
    }
}
