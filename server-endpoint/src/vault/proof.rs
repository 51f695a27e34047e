//! P4: whether bytes are the chunk that their name says. Asked of every chunk as it comes in, and again
//! of every chunk that is read from the vault.

use branchline_protocol::frame::Encoding;
use branchline_protocol::limits::CHUNK_MOST_BYTES;
use branchline_protocol::manifest::ChunkRef;
use zstd::zstd_safe::DCtx;

/// Unpacks chunks and compares them with their names, in memory of its own: one chunk's and zstd's.
pub struct Prover {
    context: DCtx<'static>,
    plain: Vec<u8>,
}

impl Default for Prover {
    fn default() -> Self {
        Self {
            context: DCtx::create(),
            plain: vec![0; CHUNK_MOST_BYTES as usize],
        }
    }
}

impl Prover {
    /// The chunk's own bytes, if the stored ones are it. Never unpacks to more than the chunk's size,
    /// whatever the stored bytes say of themselves.
    pub fn prove<'a>(
        &'a mut self,
        chunk: ChunkRef,
        encoding: Encoding,
        stored: &'a [u8],
    ) -> Option<&'a [u8]> {
        let plain = match encoding {
            Encoding::Plain => stored,
            Encoding::Zstd => {
                // In one step from buffer to buffer, so that a window of the sender's choosing is never
                // allocated; the buffer's end is the bound.
                let room = self.plain.get_mut(..chunk.size() as usize)?;
                let written = self.context.decompress(room, stored).ok()?;
                self.plain.get(..written)?
            }
        };
        (ChunkRef::of(plain) == chunk).then_some(plain)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p4_only_the_very_bytes_are_proven() {
        let mut prover = Prover::default();
        let plain = b"what a log says, what a log says, what a log says ".repeat(40);
        let chunk = ChunkRef::of(&plain);
        let packed = zstd::bulk::compress(&plain, 3).unwrap();
        assert_eq!(
            prover.prove(chunk, Encoding::Plain, &plain),
            Some(&plain[..])
        );
        assert_eq!(
            prover.prove(chunk, Encoding::Zstd, &packed),
            Some(&plain[..])
        );
        for (encoding, stored) in [(Encoding::Plain, &plain), (Encoding::Zstd, &packed)] {
            for at in 0..stored.len() {
                let mut flipped = stored.clone();
                flipped[at] ^= 1;
                // A bit of zstd's own that changes nothing of the content is no matter.
                let found = prover.prove(chunk, encoding, &flipped);
                assert!(found.is_none_or(|found| found == plain), "byte {at}");
                assert!(prover.prove(chunk, encoding, &stored[..at]).is_none());
            }
        }
        let other_size = ChunkRef(chunk.hash(), chunk.size() - 1);
        assert!(prover.prove(other_size, Encoding::Plain, &plain).is_none());
        assert!(prover.prove(other_size, Encoding::Zstd, &packed).is_none());
    }

    #[test]
    fn p8_a_bomb_unpacks_to_no_more_than_a_chunk() {
        let mut prover = Prover::default();
        let zeros = vec![0; 64 * 1024 * 1024];
        let bomb = zstd::bulk::compress(&zeros, 3).unwrap();
        assert!(bomb.len() < CHUNK_MOST_BYTES as usize);
        for size in [1, CHUNK_MOST_BYTES, CHUNK_MOST_BYTES + 1, u32::MAX] {
            let chunk = ChunkRef(ChunkRef::of(&zeros).hash(), size);
            assert!(prover.prove(chunk, Encoding::Zstd, &bomb).is_none());
        }
        assert_eq!(prover.plain.len(), CHUNK_MOST_BYTES as usize);
    }
}
