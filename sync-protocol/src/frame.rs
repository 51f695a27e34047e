//! Chunk frames: how chunks travel in the body of `POST /v1/chunks`.
//!
//! A body is [`MAGIC`] and then frames without anything between them, to the end of the body. A frame is
//! a header of [`HEADER_BYTES`] and the chunk as stored:
//!
//! ```text
//! hash 32 | size u32 LE | stored u32 LE | encoding u8 | zero 3
//! ```
//!
//! Invariants: the decoder gives the same frames for every split of the bytes; it holds at most one frame;
//! it never takes more than [`limits::CHUNK_BODY_BYTES`] or [`limits::CHUNK_BODY_FRAMES`]. It does not
//! verify the bytes against the hash: whoever unpacks them does ([`crate::manifest::ChunkRef::of`], P4).
//! Frames before a fault are whole, and a broken body costs at most the frame that it broke in.

use crate::id::Digest;
use crate::limits;
use crate::manifest::ChunkRef;

/// What every body of frames begins with.
pub const MAGIC: [u8; 8] = *b"BLchunk1";
/// Bytes of a frame's header.
pub const HEADER_BYTES: usize = 44;
/// The media type of a body of frames.
pub const MEDIA_TYPE: &str = "application/vnd.branchline.chunks";

/// How a chunk's bytes are stored and sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// As they are.
    Plain,
    /// One zstd frame, smaller than the bytes.
    Zstd,
}

impl Encoding {
    /// The byte in a header and in stores.
    pub fn to_byte(self) -> u8 {
        match self {
            Self::Plain => 0,
            Self::Zstd => 1,
        }
    }

    /// Reads [`Encoding::to_byte`].
    pub fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            0 => Some(Self::Plain),
            1 => Some(Self::Zstd),
            _ => None,
        }
    }
}

/// A frame's header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// The chunk.
    pub chunk: ChunkRef,
    /// How it is stored.
    pub encoding: Encoding,
    /// Bytes as stored.
    pub stored: u32,
}

/// One whole frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// What it says of itself.
    pub header: Header,
    /// The chunk as stored.
    pub stored: Vec<u8>,
}

/// Why bytes are not frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameFault {
    /// The body does not begin with [`MAGIC`].
    #[error("the body does not begin as a body of chunks does")]
    Magic,
    /// A header says what no header can say.
    #[error("frame {frame} has a header that no frame can have")]
    Header {
        /// Counted from 0.
        frame: u32,
    },
    /// More than [`limits::CHUNK_BODY_FRAMES`].
    #[error("more than {} chunks in one body", limits::CHUNK_BODY_FRAMES)]
    TooMany,
    /// More than [`limits::CHUNK_BODY_BYTES`].
    #[error("more than {} bytes in one body", limits::CHUNK_BODY_BYTES)]
    TooLong,
    /// The body ended inside a frame.
    #[error("the body ends inside frame {frame}")]
    Truncated {
        /// Counted from 0.
        frame: u32,
    },
}

impl Header {
    /// The header's bytes.
    pub fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        let (hash, rest) = bytes.split_at_mut(32);
        hash.copy_from_slice(&self.chunk.hash().0);
        let (size, rest) = rest.split_at_mut(4);
        size.copy_from_slice(&self.chunk.size().to_le_bytes());
        let (stored, rest) = rest.split_at_mut(4);
        stored.copy_from_slice(&self.stored.to_le_bytes());
        if let Some(encoding) = rest.first_mut() {
            *encoding = self.encoding.to_byte();
        }
        bytes
    }

    /// Reads a header; `None` where no frame can have it.
    pub fn decode(bytes: &[u8; HEADER_BYTES]) -> Option<Self> {
        let (hash, rest) = bytes.split_first_chunk::<32>()?;
        let (size, rest) = rest.split_first_chunk::<4>()?;
        let (stored, rest) = rest.split_first_chunk::<4>()?;
        let (size, stored) = (u32::from_le_bytes(*size), u32::from_le_bytes(*stored));
        let [encoding, 0, 0, 0] = rest else {
            return None;
        };
        let encoding = Encoding::from_byte(*encoding)?;
        let stored_fits = match encoding {
            Encoding::Plain => stored == size,
            Encoding::Zstd => stored > 0 && stored < size,
        };
        let header = Self {
            chunk: ChunkRef(Digest(*hash), size),
            encoding,
            stored,
        };
        (stored_fits && (1..=limits::CHUNK_MOST_BYTES).contains(&size)).then_some(header)
    }
}

/// Reads frames out of a body as it arrives.
#[derive(Debug, Default)]
pub struct Decoder {
    taken: usize,
    frames: u32,
    begun: bool,
    header: Option<Header>,
    buffer: Vec<u8>,
}

impl Decoder {
    /// A decoder at a body's beginning.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next bytes of the body and hands each frame that they complete to `frame`.
    pub fn take(
        &mut self,
        mut bytes: &[u8],
        mut frame: impl FnMut(Frame),
    ) -> Result<(), FrameFault> {
        self.taken = self.taken.saturating_add(bytes.len());
        if self.taken > limits::CHUNK_BODY_BYTES {
            return Err(FrameFault::TooLong);
        }
        loop {
            let needed = self.needed();
            let missing = needed.saturating_sub(self.buffer.len());
            let (now, later) = bytes.split_at(missing.min(bytes.len()));
            self.buffer.extend_from_slice(now);
            bytes = later;
            if self.buffer.len() < needed {
                return Ok(());
            }
            if let Some(complete) = self.complete()? {
                frame(complete);
            }
        }
    }

    /// Bytes of what is being read: the beginning, a header, or a chunk as stored.
    fn needed(&self) -> usize {
        match (self.begun, self.header) {
            (false, _) => MAGIC.len(),
            (true, None) => HEADER_BYTES,
            (true, Some(header)) => header.stored as usize,
        }
    }

    fn complete(&mut self) -> Result<Option<Frame>, FrameFault> {
        let bytes = std::mem::take(&mut self.buffer);
        if !self.begun {
            self.begun = true;
            return if bytes == MAGIC {
                Ok(None)
            } else {
                Err(FrameFault::Magic)
            };
        }
        if let Some(header) = self.header.take() {
            self.frames += 1;
            return Ok(Some(Frame {
                header,
                stored: bytes,
            }));
        }
        if self.frames as usize >= limits::CHUNK_BODY_FRAMES {
            return Err(FrameFault::TooMany);
        }
        let header = <&[u8; HEADER_BYTES]>::try_from(bytes.as_slice())
            .ok()
            .and_then(Header::decode)
            .ok_or(FrameFault::Header { frame: self.frames })?;
        self.buffer.reserve_exact(header.stored as usize);
        self.header = Some(header);
        Ok(None)
    }

    /// Frames given out so far.
    pub fn frames(&self) -> u32 {
        self.frames
    }

    /// The body has ended: with a whole frame, or inside one.
    pub fn finish(&self) -> Result<u32, FrameFault> {
        if !self.begun {
            Err(FrameFault::Magic)
        } else if self.header.is_some() || !self.buffer.is_empty() {
            Err(FrameFault::Truncated { frame: self.frames })
        } else {
            Ok(self.frames)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(chunks: &[&[u8]]) -> Vec<u8> {
        let mut body = MAGIC.to_vec();
        for chunk in chunks {
            let header = Header {
                chunk: ChunkRef::of(chunk),
                encoding: Encoding::Plain,
                stored: u32::try_from(chunk.len()).unwrap(),
            };
            body.extend_from_slice(&header.encode());
            body.extend_from_slice(chunk);
        }
        body
    }

    fn decode(pieces: &[&[u8]]) -> (Vec<Frame>, Result<u32, FrameFault>) {
        let mut decoder = Decoder::new();
        let mut frames = Vec::new();
        for piece in pieces {
            if let Err(fault) = decoder.take(piece, |frame| frames.push(frame)) {
                return (frames, Err(fault));
            }
        }
        let end = decoder.finish();
        (frames, end)
    }

    #[test]
    fn every_split_gives_the_same_frames_and_every_cut_is_noticed() {
        let body = body(&[b"one", &[7; 300], b"x"]);
        let (whole, end) = decode(&[&body]);
        assert_eq!((whole.len(), end), (3, Ok(3)));
        for at in 0..body.len() {
            let (first, second) = body.split_at(at);
            assert_eq!(
                decode(&[first, second]),
                (whole.clone(), Ok(3)),
                "split at {at}"
            );
            let (frames, end) = decode(&[first]);
            assert_eq!(frames, whole[..frames.len()], "cut at {at}");
            let boundary = [8, 8 + 47, 8 + 47 + 344].contains(&at);
            assert_eq!(end.is_ok(), boundary, "cut at {at}: {end:?}");
        }
    }

    #[test]
    fn impossible_headers_are_refused() {
        let good = body(&[b"abc"]);
        for (place, value) in [
            (8 + 32, 0),
            (8 + 32, 4),
            (8 + 36, 2),
            (8 + 40, 1),
            (8 + 40, 2),
            (8 + 41, 1),
            (8 + 34, 5),
        ] {
            let mut bad = good.clone();
            bad[place] = value;
            assert_eq!(
                decode(&[&bad]).1,
                Err(FrameFault::Header { frame: 0 }),
                "{place}={value}"
            );
        }
    }
}
