//! `enrolment_token`: allowed in the file, and not kept here. Whoever joins reads it from the file each
//! time, so that no copy of it lies about in memory or in a debug print.

use serde::{Deserialize, Deserializer};
use zeroize::Zeroizing;

/// There is a token in the file.
#[derive(Debug, Clone, Copy)]
pub struct TokenInFile;

impl<'de> Deserialize<'de> for TokenInFile {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Zeroizing::<String>::deserialize(deserializer).map(|_| Self)
    }
}
