//! The vectors of the bulk lane: bodies of chunks, counts, sections and standings.

use branchline_protocol::frame::{Decoder, Encoding, Frame, FrameFault};
use branchline_protocol::manifest::{
    ChunkRef, FileStanding, ManifestFault, Section, Standing, count_bounds,
};
use serde::Deserialize;

use super::read;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FramesFile {
    about: String,
    entries: Vec<BodyEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BodyEntry {
    title: String,
    body: Vec<Piece>,
    frames: Vec<FrameEntry>,
    fault: Option<FaultEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Piece {
    hex: String,
    #[serde(default = "once")]
    times: usize,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FrameEntry {
    chunk: ChunkRef,
    encoding: String,
    stored: String,
    #[serde(default = "once")]
    times: usize,
    content: Option<String>,
    #[serde(default)]
    corrupt: bool,
    #[serde(default = "once")]
    frames: usize,
}

#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct FaultEntry {
    kind: String,
    frame: Option<u32>,
}

impl FaultEntry {
    fn of(fault: FrameFault) -> Self {
        let (kind, frame) = match fault {
            FrameFault::Magic => ("magic", None),
            FrameFault::Header { frame } => ("header", Some(frame)),
            FrameFault::TooMany => ("too_many", None),
            FrameFault::TooLong => ("too_long", None),
            FrameFault::Truncated { frame } => ("truncated", Some(frame)),
        };
        let kind = kind.to_owned();
        Self { kind, frame }
    }
}

fn once() -> usize {
    1
}

fn from_hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text
        .bytes()
        .map(|digit| u8::try_from((digit as char).to_digit(16).unwrap()).unwrap())
        .collect();
    digits
        .chunks(2)
        .map(|pair| pair[0] * 16 + pair[1])
        .collect()
}

/// Whether what a frame holds is the chunk that it names, as central decides it.
fn content_of(frame: &Frame) -> Option<Vec<u8>> {
    let size = frame.header.chunk.size() as usize;
    let content = match frame.header.encoding {
        Encoding::Plain => frame.stored.clone(),
        Encoding::Zstd => zstd::bulk::decompress(&frame.stored, size).ok()?,
    };
    (ChunkRef::of(&content) == frame.header.chunk).then_some(content)
}

#[test]
fn frames() {
    let file: FramesFile = read("frames.json");
    for entry in file.entries {
        let title = &entry.title;
        let body: Vec<u8> = entry
            .body
            .iter()
            .flat_map(|piece| from_hex(&piece.hex).repeat(piece.times))
            .collect();
        for piece in [body.len().max(1), 4_096, 7] {
            if body.len() / piece > 100_000 {
                continue;
            }
            let mut decoder = Decoder::new();
            let mut got = Vec::new();
            let mut fault = None;
            for bytes in body.chunks(piece) {
                fault = decoder.take(bytes, |frame| got.push(frame)).err();
                if fault.is_some() {
                    break;
                }
            }
            let fault = fault.or_else(|| decoder.finish().err()).map(FaultEntry::of);
            assert_eq!(fault, entry.fault, "{title}");
            let expected = entry
                .frames
                .iter()
                .flat_map(|frame| std::iter::repeat_n(frame, frame.frames));
            let too_long = fault.is_some_and(|fault| fault.kind == "too_long");
            if !too_long {
                assert_eq!(got.len(), expected.clone().count(), "{title}");
            }
            for (got, expected) in got.iter().zip(expected) {
                check(got, expected, title);
            }
        }
    }
}

fn check(got: &Frame, expected: &FrameEntry, title: &str) {
    assert_eq!(got.header.chunk, expected.chunk, "{title}");
    let encoding = match got.header.encoding {
        Encoding::Plain => "plain",
        Encoding::Zstd => "zstd",
    };
    assert_eq!(encoding, expected.encoding, "{title}");
    let stored = from_hex(&expected.stored).repeat(expected.times);
    assert!(got.stored == stored, "{title}: stored");
    let content = content_of(got);
    assert_eq!(content.is_none(), expected.corrupt, "{title}");
    if let Some(expected) = &expected.content {
        assert_eq!(content, Some(from_hex(expected)), "{title}");
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ManifestsFile {
    about: String,
    counts: Vec<CountEntry>,
    sections: Vec<SectionEntry>,
    standings: Vec<StandingEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CountEntry {
    size: u64,
    least: u64,
    most: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SectionEntry {
    title: String,
    section: Section,
    before: u64,
    fault: Option<ManifestFault>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StandingEntry {
    title: String,
    text: String,
    standing: String,
}

#[test]
fn manifests() {
    let file: ManifestsFile = read("manifests.json");
    for entry in file.counts {
        assert_eq!(
            count_bounds(entry.size),
            (entry.least, entry.most),
            "{}",
            entry.size
        );
    }
    for entry in file.sections {
        assert_eq!(
            entry.section.fault(entry.before),
            entry.fault,
            "{}",
            entry.title
        );
    }
    for entry in file.standings {
        let standing: FileStanding = serde_json::from_str(&entry.text)
            .unwrap_or_else(|fault| panic!("{}: {fault}", entry.title));
        let word = match standing.standing {
            Standing::Wanted { .. } => "wanted",
            Standing::Received { .. } => "received",
            Standing::NotAttached => "not_attached",
            Standing::NoRoom => "no_room",
            Standing::Refused { .. } => "refused",
            Standing::Other => "other",
        };
        assert_eq!(word, entry.standing, "{}", entry.title);
    }
}
