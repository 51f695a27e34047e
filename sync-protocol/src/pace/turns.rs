//! Whether the next body serves the smallest files or the oldest: small files go before large ones, and
//! a stream of small ones never stops a large one.

/// One turn in so many serves the oldest file.
const OLDEST_EVERY: u32 = 4;

/// Whom a body serves first; what room is left goes to the smallest either way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Share {
    /// The smallest file first.
    Smallest,
    /// The file that has waited longest first.
    Oldest,
}

/// Deals turns: three to the smallest, one to the oldest.
#[derive(Debug, Clone, Default)]
pub struct Turns {
    dealt: u32,
}

impl Turns {
    /// Whom the next body serves.
    pub fn deal(&mut self) -> Share {
        self.dealt = self.dealt.wrapping_add(1);
        if self.dealt.is_multiple_of(OLDEST_EVERY) {
            Share::Oldest
        } else {
            Share::Smallest
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neither_small_nor_old_starves() {
        let mut turns = Turns::default();
        let dealt: Vec<Share> = (0..400).map(|_| turns.deal()).collect();
        assert_eq!(dealt[0], Share::Smallest);
        let oldest = dealt
            .iter()
            .filter(|share| **share == Share::Oldest)
            .count();
        assert_eq!(oldest, 100);
        assert!(dealt.windows(4).all(|four| four.contains(&Share::Oldest)));
    }
}
