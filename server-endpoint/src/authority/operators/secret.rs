//! What a browser or a program shows to be known: 32 random bytes, of which central keeps a hash.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use branchline_protocol::id::Digest;

/// What an API token begins with, so that people and scanners of leaked secrets know one when they see it.
const API_TOKEN_PREFIX: &str = "bla1_";
const BYTES: usize = 32;

/// The secret of a session or an API token. Whoever has it is let in.
#[derive(Clone, PartialEq, Eq)]
pub struct Bearer([u8; BYTES]);

impl Bearer {
    /// A new one.
    pub fn random() -> Result<Self, String> {
        let mut bytes = [0; BYTES];
        getrandom::fill(&mut bytes).map_err(|fault| format!("draw random bytes: {fault}"))?;
        Ok(Self(bytes))
    }

    /// What is kept of it. It has 256 random bits, so that no slow hash is needed, and finding it by its
    /// hash tells nobody anything by the time that it takes.
    pub fn hash(&self) -> Digest {
        Digest(*blake3::hash(&self.0).as_bytes())
    }

    /// As a session's cookie.
    pub fn to_session(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.0)
    }

    /// As an API token.
    pub fn to_api_token(&self) -> String {
        format!("{API_TOKEN_PREFIX}{}", self.to_session())
    }

    /// Reads [`Self::to_session`].
    pub fn read_session(text: &str) -> Option<Self> {
        // Longer texts are not even decoded.
        let bytes = (text.len() <= 2 * BYTES).then(|| URL_SAFE_NO_PAD.decode(text).ok());
        bytes.flatten()?.try_into().ok().map(Self)
    }

    /// Reads [`Self::to_api_token`].
    pub fn read_api_token(text: &str) -> Option<Self> {
        Self::read_session(text.trim().strip_prefix(API_TOKEN_PREFIX)?)
    }
}

impl std::fmt::Debug for Bearer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Bearer(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_read_back_and_nothing_else_is() {
        let bearer = Bearer::random().unwrap();
        assert_eq!(
            Bearer::read_session(&bearer.to_session()),
            Some(bearer.clone())
        );
        let token = bearer.to_api_token();
        assert_eq!(Bearer::read_api_token(&format!(" {token}\n")), Some(bearer));
        assert_eq!(Bearer::read_session(&token), None);
        for strange in ["", "bla1_", "bla1_AA", "AAAA", &"A".repeat(100_000)] {
            assert_eq!(Bearer::read_api_token(strange), None);
            assert_eq!(Bearer::read_session(strange), None);
        }
        let shown = format!("{:?}", Bearer([9; 32]));
        assert!(!shown.contains('9'), "{shown}");
    }
}
