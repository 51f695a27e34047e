//! How a target knows that a letter is central's: an HMAC over id, time and body, as Standard Webhooks
//! (version 1) has it, so that receivers find libraries for it.

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;

/// What stands before a secret, so that secret scanners find one that got lost.
const PREFIX: &str = "whsec_";
/// Bytes of a secret: 192 to 512 bits.
const BYTES: std::ops::RangeInclusive<usize> = 24..=64;
/// Bytes of the file, at most.
const FILE_BYTES: u64 = 1_024;

/// What letters to one target are signed with.
pub struct Secret(hmac::Key);

/// Why a secret is none.
#[derive(Debug, thiserror::Error)]
pub enum SecretFault {
    /// The file.
    #[error("its secret cannot be read: {0}")]
    Io(#[from] std::io::Error),
    /// What is in it.
    #[error(
        "its secret is not whsec_ and base64 of 24 to 64 bytes; make one with: \
         printf 'whsec_%s\\n' \"$(head -c 32 /dev/urandom | base64)\""
    )]
    Shape,
}

impl Secret {
    /// From a file.
    pub fn read(path: &Path) -> Result<Self, SecretFault> {
        if path.metadata()?.len() > FILE_BYTES {
            return Err(SecretFault::Shape);
        }
        Self::parse(std::fs::read_to_string(path)?.trim())
    }

    fn parse(text: &str) -> Result<Self, SecretFault> {
        let coded = text.strip_prefix(PREFIX).ok_or(SecretFault::Shape)?;
        let bytes = STANDARD.decode(coded).map_err(|_| SecretFault::Shape)?;
        if !BYTES.contains(&bytes.len()) {
            return Err(SecretFault::Shape);
        }
        Ok(Self(hmac::Key::new(hmac::HMAC_SHA256, &bytes)))
    }

    /// The field `webhook-signature` of a letter that is sent at this time (Unix seconds).
    pub fn sign(&self, id: &str, at: i64, body: &str) -> String {
        let mut context = hmac::Context::with_key(&self.0);
        for part in [id, ".", &at.to_string(), ".", body] {
            context.update(part.as_bytes());
        }
        format!("v1,{}", STANDARD.encode(context.sign()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the Standard Webhooks libraries.
    #[test]
    fn it_is_the_signature_that_receivers_expect() {
        let secret = Secret::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        assert_eq!(
            secret.sign(
                "msg_p5jXN8AQM9LWM0D4loKWxJek",
                1_614_265_330,
                "{\"test\": 2432232314}"
            ),
            "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
        );
    }

    #[test]
    fn what_is_no_secret_is_refused_without_being_shown() {
        for bad in [
            "",
            "whsec_",
            "whsec_AAAA",
            "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            "whsec_!",
        ] {
            let fault = Secret::parse(bad).err().unwrap();
            assert!(
                bad.is_empty() || !fault.to_string().contains(&format!(": {bad}")),
                "{fault}"
            );
        }
    }
}
