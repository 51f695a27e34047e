//! Compresses a chunk where that helps, and finds out cheaply where it does not: pictures, archives and
//! films are most of the bytes that branches send, and trying them all would cost more than it saves.

use branchline_protocol::frame::Encoding;
use bytes::Bytes;
use zstd::bulk::Compressor;

/// zstd's own default: a log shrinks to a tenth, at more than the speed of any branch's link.
const LEVEL: i32 = 3;
/// Bytes out of a chunk's middle that are tried first. A header at its beginning says nothing of the
/// rest.
const SAMPLE: usize = 4 * 1024;
/// The sample must lose a sixteenth, and so must the chunk: less is not worth unpacking it twice.
fn worth_it(bytes: usize, squeezed: usize) -> bool {
    squeezed < bytes - bytes / 16
}

pub(super) struct Squeeze {
    /// `None` where zstd could not be set up: then chunks stay as they are.
    sampler: Option<Compressor<'static>>,
    compressor: Option<Compressor<'static>>,
    sampled: Vec<u8>,
}

impl Squeeze {
    pub(super) fn new() -> Self {
        Self {
            sampler: Compressor::new(1).ok(),
            compressor: Compressor::new(LEVEL).ok(),
            sampled: vec![0; zstd::zstd_safe::compress_bound(SAMPLE)],
        }
    }

    /// How these bytes are stored, and as what.
    pub(super) fn smaller(&mut self, bytes: Bytes) -> (Encoding, Bytes) {
        if self.promises(&bytes)
            && let Some(compressor) = &mut self.compressor
            && let Ok(squeezed) = compressor.compress(&bytes)
            && worth_it(bytes.len(), squeezed.len())
        {
            return (Encoding::Zstd, squeezed.into());
        }
        (Encoding::Plain, bytes)
    }

    fn promises(&mut self, bytes: &[u8]) -> bool {
        if bytes.len() <= SAMPLE {
            return true;
        }
        let from = (bytes.len() - SAMPLE) / 2;
        let sample = bytes.get(from..from + SAMPLE).unwrap_or(bytes);
        self.sampler
            .as_mut()
            .and_then(|sampler| sampler.compress_to_buffer(sample, &mut self.sampled).ok())
            .is_none_or(|squeezed| worth_it(sample.len(), squeezed))
    }
}
