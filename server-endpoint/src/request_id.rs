//! A request's id: the caller's or a new one, so that the caller's log and central's show the same.

use std::fmt::Write;

use http::{HeaderMap, HeaderValue};

/// The header that carries it, both ways.
pub(crate) const HEADER: &str = "x-request-id";
/// Characters of one that is taken over; a UUID has 36.
const CHARS: usize = 64;

/// The caller's, where it is a plain token, so that both logs show the same; else a new one.
pub(crate) fn of(headers: &HeaderMap) -> HeaderValue {
    let given = headers.get(HEADER).filter(|id| {
        let id = id.as_bytes();
        (1..=CHARS).contains(&id.len())
            && id
                .iter()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
    });
    given.cloned().unwrap_or_else(|| {
        let mut random = [0; 8];
        // An id that is not random is still an id.
        let _ = getrandom::fill(&mut random);
        let mut id = String::with_capacity(16);
        for byte in random {
            let _ = write!(id, "{byte:02x}");
        }
        HeaderValue::try_from(id).unwrap_or(HeaderValue::from_static("none"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_id_is_taken_over_only_as_a_token() {
        let mut headers = HeaderMap::new();
        headers.insert(HEADER, HeaderValue::from_static("ab-12.x"));
        assert_eq!(of(&headers), "ab-12.x");
        for bad in ["", "a b", "a\"b", &"x".repeat(65)] {
            headers.insert(HEADER, HeaderValue::from_str(bad).unwrap());
            let made = of(&headers);
            assert_ne!(made, bad);
            assert_eq!(made.len(), 16);
        }
    }
}
