//! The digest chain that binds operations into a stream (P2).
//!
//! `genesis(stream) = BLAKE3("branchline-chain-v1" ‖ stream's 16 bytes)`, and the digest at position
//! n is `BLAKE3(digest at n−1 ‖ exact bytes of operation n)`. So one position, an integer and a
//! hash, says everything about what came before it: a receipt that never expires, and by which
//! either side notices that the other was restored from an older image.

use serde::{Deserialize, Serialize};

use crate::id::{Digest, Seq, StreamId};

/// How far a stream goes, and the digest of all of it up to there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Position {
    /// Operations up to and with this one.
    pub seq: Seq,
    /// The chain's digest there.
    pub digest: Digest,
}

impl Position {
    /// Before a stream's first operation.
    pub fn genesis(stream: StreamId) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(b"branchline-chain-v1");
        hasher.update(stream.as_bytes());
        Self {
            seq: Seq(0),
            digest: Digest(*hasher.finalize().as_bytes()),
        }
    }

    /// The position after one more operation.
    #[must_use]
    pub fn then(self, operation: &[u8]) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&self.digest.0);
        hasher.update(operation);
        Self {
            seq: self.seq.plus(1),
            digest: Digest(*hasher.finalize().as_bytes()),
        }
    }
}
