//! Files to carry and to measure with, from seeds.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;

/// Bytes that no packing makes smaller.
pub fn incompressible(path: &Path, bytes: u64, seed: u64) {
    let mut random = blake3::Hasher::new()
        .update(&seed.to_le_bytes())
        .finalize_xof();
    let mut file = std::fs::File::create(path).expect("make a file");
    let mut block = vec![0; 1024 * 1024];
    let mut left = bytes;
    while left > 0 {
        random.fill(&mut block);
        let now = usize::try_from(left).unwrap_or(usize::MAX).min(block.len());
        file.write_all(&block[..now]).expect("write");
        left -= now as u64;
    }
    // On the disk before anything is measured: writing it back would be counted otherwise.
    file.sync_all().expect("sync");
}

/// At least so many bytes of a log, line by line, from line `first` on; the number of the next line.
pub fn log_lines(path: &Path, bytes: u64, first: u64) -> u64 {
    let mut file = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .expect("open a log");
    let mut random = fastrand::Rng::with_seed(first);
    let (mut line, mut written, mut text) = (first, 0, String::new());
    while written < bytes {
        text.clear();
        for _ in 0..1_000 {
            let (till, code, millis) = (random.u8(1..9), random.u32(..), random.u16(..));
            writeln!(
                text,
                "2026-11-{:02}T{:02}:{:02}:{:02}.{:03}Z till-{till} receipt {line:08} code {code:08x} took {millis} ms",
                line / 86_400 % 28 + 1, line / 3_600 % 24, line / 60 % 60, line % 60, millis % 1_000,
            )
            .expect("write to a string");
            line += 1;
        }
        file.write_all(text.as_bytes()).expect("append");
        written += text.len() as u64;
    }
    file.sync_all().expect("sync");
    line
}

/// A file that says that it is so large, and holds `content` at its end and nothing before it.
pub fn sparse(path: &Path, bytes: u64, content: &[u8]) {
    use std::io::{Seek, SeekFrom};
    let mut file = std::fs::File::create(path).expect("make a file");
    let from = bytes - content.len() as u64;
    file.seek(SeekFrom::Start(from)).expect("seek");
    file.write_all(content).expect("write");
    file.sync_all().expect("sync");
}

/// The hash of a file's content, as central names it.
pub fn root_of(path: &Path) -> String {
    let mut hasher = blake3::Hasher::new();
    let mut file = std::fs::File::open(path).expect("open a file");
    std::io::copy(&mut file, &mut hasher).expect("read");
    hasher.finalize().to_hex().to_string()
}
