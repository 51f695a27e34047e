//! The enrolment token: one string that IT copies, pastes or deploys.
//!
//! `blt1_` and base64url of: 32 bytes of secret, 32 bytes of the trust anchor's fingerprint, the URL of
//! central in UTF-8, and the first four bytes of BLAKE3 of all that, so that a token that was cut short
//! or mistyped is told from a wrong one before anything is sent.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use super::Fingerprint;
use crate::id::Digest;
use crate::limits;

const PREFIX: &str = "blt1_";
const SECRET_BYTES: usize = 32;
const CHECK_BYTES: usize = 4;

/// 32 random bytes that are shown to nobody but their bearer.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(Digest);

impl Secret {
    /// From random bytes.
    pub fn from_bytes(bytes: [u8; SECRET_BYTES]) -> Self {
        Self(Digest(bytes))
    }

    /// What is stored of it: BLAKE3. The secret has 256 random bits, so that no slow hash is needed.
    pub fn hash(&self) -> Digest {
        Digest(*blake3::hash(&self.0.0).as_bytes())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// What an agent needs to join: where central is, how it proves itself, and the right to join.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    /// `https://host[:port]`, at most [`limits::URL_BYTES`].
    pub url: String,
    /// The anchor that central's chain ends in.
    pub anchor: Fingerprint,
    /// Good for as many enrolments as the token was made for.
    pub secret: Secret,
}

/// Why a text is not a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenFault {
    /// It begins otherwise.
    #[error("an enrolment token begins with {PREFIX}")]
    Foreign,
    /// The check does not match.
    #[error("the enrolment token is not whole: it was cut short or mistyped; copy it again")]
    NotWhole,
    /// Longer than any token.
    #[error("the enrolment token is too long; copy it again, and nothing else with it")]
    TooLong,
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = Vec::with_capacity(2 * SECRET_BYTES + self.url.len() + CHECK_BYTES);
        bytes.extend_from_slice(&self.secret.0.0);
        bytes.extend_from_slice(&self.anchor.0);
        bytes.extend_from_slice(self.url.as_bytes());
        let check = check(&bytes);
        bytes.extend_from_slice(&check);
        write!(f, "{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes))
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token")
            .field("url", &self.url)
            .field("anchor", &self.anchor)
            .finish_non_exhaustive()
    }
}

impl FromStr for Token {
    type Err = TokenFault;

    /// Blanks around it are nobody's fault.
    fn from_str(text: &str) -> Result<Self, TokenFault> {
        let coded = text.trim().strip_prefix(PREFIX);
        let coded = coded.ok_or(TokenFault::Foreign)?;
        if coded.len() > limits::TOKEN_CHARS {
            return Err(TokenFault::TooLong);
        }
        let bytes = URL_SAFE_NO_PAD.decode(coded).ok();
        bytes.as_deref().and_then(read).ok_or(TokenFault::NotWhole)
    }
}

fn read(bytes: &[u8]) -> Option<Token> {
    let (said, given) = bytes.split_last_chunk::<CHECK_BYTES>()?;
    if check(said) != *given {
        return None;
    }
    let (secret, rest) = said.split_first_chunk::<SECRET_BYTES>()?;
    let (anchor, url) = rest.split_first_chunk::<32>()?;
    let url = std::str::from_utf8(url).ok()?;
    let plain = url.len() <= limits::URL_BYTES && url.bytes().all(|byte| byte.is_ascii_graphic());
    (plain && url.starts_with("https://")).then(|| Token {
        url: url.to_owned(),
        anchor: Fingerprint(*anchor),
        secret: Secret::from_bytes(*secret),
    })
}

fn check(bytes: &[u8]) -> [u8; CHECK_BYTES] {
    let hash = blake3::hash(bytes);
    let [a, b, c, d, ..] = *hash.as_bytes();
    [a, b, c, d]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token() -> Token {
        Token {
            url: "https://central.example.org:8470".to_owned(),
            anchor: Fingerprint([7; 32]),
            secret: Secret::from_bytes([9; 32]),
        }
    }

    #[test]
    fn a_token_is_read_as_it_was_written() {
        let text = token().to_string();
        assert!(text.len() < 160, "{text}");
        assert_eq!(format!("  {text}\r\n").parse(), Ok(token()));
    }

    #[test]
    fn a_token_cut_short_or_mistyped_anywhere_is_told_so() {
        let text = token().to_string();
        for end in PREFIX.len()..text.len() {
            assert_eq!(
                text[..end].parse::<Token>(),
                Err(TokenFault::NotWhole),
                "{end}"
            );
        }
        for at in PREFIX.len()..text.len() {
            let mut bent = text.clone().into_bytes();
            bent[at] = if bent[at] == b'A' { b'B' } else { b'A' };
            let bent = String::from_utf8(bent).unwrap();
            assert_eq!(bent.parse::<Token>(), Err(TokenFault::NotWhole), "{at}");
        }
        assert_eq!("".parse::<Token>(), Err(TokenFault::Foreign));
        let long = format!("{PREFIX}{}", "A".repeat(10_000));
        assert_eq!(long.parse::<Token>(), Err(TokenFault::TooLong));
    }

    #[test]
    fn a_token_leads_nowhere_unprotected() {
        for url in ["http://central", "file:///x", "https://a b", "central"] {
            let url = url.to_owned();
            let text = Token { url, ..token() }.to_string();
            assert_eq!(text.parse::<Token>(), Err(TokenFault::NotWhole), "{text}");
        }
    }

    #[test]
    fn nothing_secret_is_shown_by_accident() {
        let shown = format!("{:?}", token());
        assert!(!shown.contains("0909"), "{shown}");
    }
}
