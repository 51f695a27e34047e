//! A request's id: made here, sent with the request, and in this log and central's alike, so that one line
//! leads to the other.

use http::HeaderMap;

use super::Answer;

/// The header that carries it, both ways.
pub(super) const HEADER: &str = "x-request-id";
/// Characters of one that is taken over from an answer.
const CHARS: usize = 64;

/// An id that no other request has, as far as anybody will ever look.
pub(super) fn new() -> String {
    format!("{:016x}", fastrand::u64(..))
}

/// The id under which central has the request: ours, unless somebody on the way gave it another.
pub(super) fn answered(headers: &HeaderMap) -> Option<String> {
    let id = headers.get(HEADER)?.to_str().ok()?;
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    ((1..=CHARS).contains(&id.len()) && id.chars().all(plain)).then(|| id.to_owned())
}

/// Says what came of a request. What central refuses is worth a line always; that the way is away is said
/// where it is acted on.
pub(super) fn log<T>(
    path: &str,
    sent: &str,
    status: Option<u16>,
    id: Option<&str>,
    answer: &Answer<T>,
) {
    let request = id.unwrap_or(sent);
    match (answer, status) {
        (Answer::Reply(_), _) => tracing::debug!(request, path, status, "central answered"),
        (Answer::Outcome(_), Some(status)) => {
            tracing::info!(
                request,
                path,
                status,
                "central answered, and not with what was asked for"
            );
        }
        (Answer::Outcome(_), None) => tracing::debug!(request, path, "no answer came"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_plain_token_is_taken_into_the_log() {
        let mut headers = HeaderMap::new();
        assert_eq!(answered(&headers), None);
        headers.insert(HEADER, "ab-12.x".parse().unwrap());
        assert_eq!(answered(&headers).as_deref(), Some("ab-12.x"));
        for bad in ["", "a b", "a\"b", &"x".repeat(65)] {
            headers.insert(HEADER, bad.parse().unwrap());
            assert_eq!(answered(&headers), None, "{bad}");
        }
        assert_ne!(new(), new());
    }
}
