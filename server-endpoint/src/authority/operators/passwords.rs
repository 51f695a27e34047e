//! Passwords: their rules, their hashes, and the one that is made for somebody else.
//!
//! Hashing is slow on purpose and takes 19 MiB, so that it is done off the async threads, by few at a
//! time, behind a line of bounded length.

use std::sync::Arc;

use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};
use tokio::sync::Semaphore;

use crate::ledger::PasswordHash;

/// Hashes made at once: 38 MiB, and a processor or two.
pub const AT_ONCE: usize = 2;
/// Who may wait for that: some seconds.
const WAITING: usize = 30;
/// KiB that one hash takes (OWASP's first choice for argon2id).
const MEMORY_KIB: u32 = 19 * 1024;
/// How often it goes through them.
const PASSES: u32 = 2;
/// Random bytes that keep equal passwords apart.
const SALT_BYTES: usize = 16;
/// Characters of a password, at least; no rules about kinds of characters, which make passwords worse.
pub const LEAST_CHARS: usize = 12;
/// Bytes of a password, at most: nobody types more.
pub const MOST_BYTES: usize = 256;
/// What a password made for somebody is made of: nothing that looks like something else.
const LETTERS: &[u8] = b"abcdefghjkmnpqrstuvwxyz23456789";
/// Letters of such a password: 99 random bits, in groups.
const LETTERS_MADE: usize = 20;
const GROUP: usize = 5;

/// What is wrong with a new password; completes "the new password …".
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PasswordFault {
    /// Too short.
    #[error("must have at least {LEAST_CHARS} characters")]
    Short,
    /// Too long.
    #[error("must have at most {MOST_BYTES} bytes")]
    Long,
    /// Line breaks and the like.
    #[error("must not hold control characters")]
    Control,
    /// The name, or a repetition.
    #[error("is too easy to guess: it is the name, or one character over and over")]
    Plain,
    /// The one before.
    #[error("must be another than the one before")]
    Same,
}

/// Whether a password may be set.
pub fn check(password: &str, name: &str) -> Result<(), PasswordFault> {
    if password.len() > MOST_BYTES {
        return Err(PasswordFault::Long);
    }
    if password.chars().count() < LEAST_CHARS {
        return Err(PasswordFault::Short);
    }
    if password.chars().any(char::is_control) {
        return Err(PasswordFault::Control);
    }
    let mut chars = password.chars();
    let first = chars.next();
    let is_one_over_and_over = chars.all(|c| Some(c) == first);
    if is_one_over_and_over || password.to_lowercase() == name {
        return Err(PasswordFault::Plain);
    }
    Ok(())
}

/// A password for somebody else to use once.
pub fn one_time() -> Result<String, String> {
    let mut made = String::new();
    let mut count = 0;
    while count < LETTERS_MADE {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes).map_err(|fault| format!("draw random bytes: {fault}"))?;
        // Bytes beyond the last whole multiple would make the first letters likelier.
        let even = bytes.map(usize::from).into_iter();
        let even = even.filter(|byte| *byte < 256 / LETTERS.len() * LETTERS.len());
        for byte in even.take(LETTERS_MADE - count) {
            if count > 0 && count.is_multiple_of(GROUP) {
                made.push('-');
            }
            let letter = LETTERS.get(byte % LETTERS.len()).copied();
            made.extend(letter.map(char::from));
            count += 1;
        }
    }
    Ok(made)
}

/// Makes and compares hashes, few at a time.
pub struct Hashing {
    at_once: Arc<Semaphore>,
    places: Arc<Semaphore>,
    /// Compared with where there is no operator, so that it takes as long.
    nobody: PasswordHash,
}

impl Hashing {
    /// With nobody waiting.
    pub fn new() -> Self {
        Self {
            at_once: Arc::new(Semaphore::new(AT_ONCE)),
            places: Arc::new(Semaphore::new(AT_ONCE + WAITING)),
            // Of nobody's password: no input has this hash.
            nobody: PasswordHash(format!(
                "$argon2id$v=19$m={MEMORY_KIB},t={PASSES},p=1$AAAAAAAAAAAAAAAAAAAAAA\
                 $AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
            )),
        }
    }

    /// The hash of a password; `None` where too many wait already.
    pub async fn hash(&self, password: &str) -> Option<PasswordHash> {
        let password = password.to_owned();
        self.work(move || hash(&password)).await?
    }

    /// Whether a password is the one that was kept; `None` where too many wait already.
    pub async fn verify(&self, password: &str, kept: Option<&PasswordHash>) -> Option<bool> {
        if password.len() > MOST_BYTES {
            return Some(false);
        }
        let (password, is_known) = (password.to_owned(), kept.is_some());
        let kept = kept.unwrap_or(&self.nobody).clone();
        self.work(move || verify(&password, &kept) && is_known)
            .await
    }

    async fn work<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        let place = self.places.clone().try_acquire_owned().ok()?;
        let turn = self.at_once.clone().acquire_owned().await.ok()?;
        let done = tokio::task::spawn_blocking(move || {
            // Held here and not by the caller, who may have gone away meanwhile.
            let _held = (place, turn);
            work()
        });
        done.await.ok()
    }
}

impl Default for Hashing {
    fn default() -> Self {
        Self::new()
    }
}

/// The hash of a password, at once: for the command line.
pub fn hash(password: &str) -> Option<PasswordHash> {
    let mut salt = [0; SALT_BYTES];
    getrandom::fill(&mut salt).ok()?;
    let hash = argon2()?.hash_password_with_salt(password.as_bytes(), &salt);
    hash.ok().map(|hash| PasswordHash(hash.to_string()))
}

fn verify(password: &str, kept: &PasswordHash) -> bool {
    argon2().is_some_and(|argon2| {
        argon2
            .verify_password(password.as_bytes(), kept.0.as_str())
            .is_ok()
    })
}

/// `None` only if the costs above were no costs.
fn argon2() -> Option<Argon2<'static>> {
    let costs = Params::new(MEMORY_KIB, PASSES, 1, None).ok()?;
    Some(Argon2::new(Algorithm::Argon2id, Version::V0x13, costs))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_of_passwords() {
        let fault = |password: &str| check(password, "anna.martin1").err();
        assert_eq!(fault("correct horse"), None);
        assert_eq!(fault("\u{e9}tait-ce \u{e0} moi"), None);
        assert_eq!(fault("short"), Some(PasswordFault::Short));
        assert_eq!(fault(&"ab".repeat(200)), Some(PasswordFault::Long));
        assert_eq!(fault("a line\nbreak in it"), Some(PasswordFault::Control));
        assert_eq!(fault("aaaaaaaaaaaaaaa"), Some(PasswordFault::Plain));
        assert_eq!(fault("Anna.Martin1"), Some(PasswordFault::Plain));
    }

    #[test]
    fn a_hash_is_argon2ids_and_salted() {
        let [one, two] = [hash("correct horse"), hash("correct horse")].map(Option::unwrap);
        assert!(
            one.0.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"),
            "{}",
            one.0
        );
        assert_ne!(one, two);
        assert!(verify("correct horse", &one) && verify("correct horse", &two));
        assert!(!verify("correct hors", &one) && !verify("", &one));
        assert!(!verify("x", &PasswordHash("rubbish".into())));
        assert!(!format!("{one:?}").contains("argon"));
    }

    #[test]
    fn passwords_that_are_made_are_good_and_not_the_same() {
        let made = one_time().unwrap();
        assert_eq!(made.len(), LETTERS_MADE + LETTERS_MADE / GROUP - 1);
        assert_eq!(check(&made, "anna"), Ok(()));
        assert_ne!(made, one_time().unwrap());
    }

    #[tokio::test]
    async fn p8_too_many_at_once_are_told_so_and_none_is_let_in() {
        let hashing = Hashing::new();
        let kept = hash("correct horse").unwrap();
        assert_eq!(
            hashing.verify("correct horse", Some(&kept)).await,
            Some(true)
        );
        // Nobody has no password, not even the one that it is compared with.
        assert_eq!(hashing.verify("correct horse", None).await, Some(false));
        let endless = "a".repeat(1_000_000);
        assert_eq!(hashing.verify(&endless, Some(&kept)).await, Some(false));

        let all = u32::try_from(AT_ONCE + WAITING).unwrap();
        let held = hashing
            .places
            .clone()
            .acquire_many_owned(all)
            .await
            .unwrap();
        assert_eq!(hashing.verify("correct horse", Some(&kept)).await, None);
        drop(held);
        assert_eq!(
            hashing.verify("correct horse", Some(&kept)).await,
            Some(true)
        );
    }
}
