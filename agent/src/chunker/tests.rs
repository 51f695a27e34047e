//! Boundaries are pinned, splits do not matter, and nothing grows.

use super::*;
use fastcdc::v2020::StreamCDC;

/// The same bytes on every machine: SplitMix64.
fn noise(seed: u64, bytes: usize) -> Vec<u8> {
    let mut state = seed;
    let mut out = Vec::with_capacity(bytes + 8);
    while out.len() < bytes {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        out.extend_from_slice(&(z ^ (z >> 31)).to_le_bytes());
    }
    out.truncate(bytes);
    out
}

fn chunks(bytes: &[u8], piece: usize) -> (Vec<FinishedChunk>, Whole) {
    let mut chunker = Chunker::new();
    let mut finished = Vec::new();
    for piece in bytes.chunks(piece) {
        chunker.push(piece, &mut finished);
    }
    let whole = chunker.finish(&mut finished);
    (finished, whole)
}

fn sizes(finished: &[FinishedChunk]) -> Vec<u32> {
    finished.iter().map(|one| one.chunk.size()).collect()
}

#[test]
fn boundaries_are_where_they_always_were() {
    let (finished, whole) = chunks(&noise(1, 1_000_000), 100_000);
    assert_eq!(sizes(&finished), GOLDEN_SIZES);
    assert_eq!(whole.root.to_string(), GOLDEN_ROOT);
    let names: Vec<u8> = finished.iter().flat_map(|one| one.chunk.hash().0).collect();
    assert_eq!(
        blake3::hash(&names).to_hex().as_str(),
        GOLDEN_NAMES,
        "the chunks' names"
    );
    // Without any boundary of its own, a file is cut at the most.
    let (zeros, _) = chunks(&vec![0; 600_000], 7_777);
    assert_eq!(sizes(&zeros), [262_144, 262_144, 75_712]);
}

#[test]
fn boundaries_are_those_of_the_library_for_every_split() {
    let bytes = noise(2, 1_500_001);
    let source: Vec<u32> = StreamCDC::new(bytes.as_slice(), LEAST, AVERAGE, MOST)
        .map(|one| u32::try_from(one.unwrap().length).unwrap())
        .collect();
    for piece in [1_000, 16_384, 262_143, 262_144, 262_145, 2_000_000] {
        let (finished, whole) = chunks(&bytes, piece);
        assert_eq!(sizes(&finished), source, "pieces of {piece}");
        assert_eq!(whole.size, 1_500_001);
        assert_eq!(whole.count as usize, finished.len());
        assert_eq!(
            whole.root,
            Digest(*blake3::hash(&bytes).as_bytes()),
            "pieces of {piece}"
        );
    }
}

#[test]
fn every_chunk_but_the_last_has_the_least_size_and_gives_its_bytes_back() {
    let mut text = Vec::new();
    for line in 0..40_000 {
        text.extend_from_slice(format!("2026-11-21 printer {line} is out of paper\n").as_bytes());
    }
    for bytes in [text, noise(3, 900_000), vec![7; 1], Vec::new()] {
        let (finished, whole) = chunks(&bytes, 50_000);
        let mut again = Vec::new();
        for (place, one) in finished.iter().enumerate() {
            let last = place + 1 == finished.len();
            assert!(last || one.chunk.size() >= limits::CHUNK_LEAST_BYTES);
            let size = one.chunk.size() as usize;
            let plain = match one.encoding {
                Encoding::Plain => one.stored.to_vec(),
                Encoding::Zstd => {
                    assert!(one.stored.len() < size, "compressed, and not smaller");
                    zstd::bulk::decompress(&one.stored, size).unwrap()
                }
            };
            assert_eq!(ChunkRef::of(&plain), one.chunk);
            again.extend(plain);
        }
        assert!(again == bytes);
        assert_eq!(whole.count as usize, finished.len());
    }
}

#[test]
fn text_is_squeezed_and_noise_is_not() {
    let text = "the same line again and again\n".repeat(20_000);
    let (finished, _) = chunks(text.as_bytes(), 65_536);
    assert!(
        finished
            .iter()
            .all(|one| one.encoding == Encoding::Zstd && one.stored.len() < 4_000)
    );
    let (finished, _) = chunks(&noise(4, 500_000), 65_536);
    assert!(finished.iter().all(|one| one.encoding == Encoding::Plain));
}

#[test]
fn a_change_in_the_middle_moves_no_boundary_far_away() {
    let bytes = noise(5, 4_000_000);
    let mut changed = bytes.clone();
    changed.splice(2_000_000..2_000_000, *b"a few bytes more");
    let (before, _) = chunks(&bytes, 65_536);
    let (after, _) = chunks(&changed, 65_536);
    let new = after
        .iter()
        .filter(|one| !before.iter().any(|old| old.chunk == one.chunk))
        .count();
    assert!(new <= 3, "{new} of {} chunks are new", after.len());
}

const GOLDEN_SIZES: &[u32] = &[
    28_128, 87_550, 64_925, 67_788, 30_364, 38_273, 50_371, 101_085, 100_168, 79_822, 94_750,
    68_129, 37_731, 77_250, 65_957, 7_709,
];
const GOLDEN_ROOT: &str = "060a702857b34e6a7782d162f4aee1ee8e1e694ba2e74672043700e1d44270e3";
const GOLDEN_NAMES: &str = "daba302aab8b646716e08358ddb1f69c46a31af4563fee233ff14ed2213359cd";
