//! Whatever arrives on the bulk lane: bodies of chunks in any pieces, manifests that lie, and words of a
//! newer central are read without panic, and what is accepted is what it says.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test: a panic is its answer"
)]

use branchline_protocol::event::{Event, EventBody};
use branchline_protocol::file::FileState;
use branchline_protocol::frame::{
    Decoder, Encoding, Frame, FrameFault, HEADER_BYTES, Header, MAGIC,
};
use branchline_protocol::id::{Digest, FileId};
use branchline_protocol::limits;
use branchline_protocol::manifest::{
    Announcement, AnnouncementReply, ChunkRef, ChunksReply, FileStanding, FrameException,
    FrameRefusal, ManifestFault, Places, Section, Standing, count_bounds,
};
use branchline_protocol::time::UnixMillis;
use prop::sample::Index;
use proptest::prelude::*;

/// A body and where it falls apart.
fn decoded(body: &[u8], cuts: &[Index]) -> (Vec<Frame>, Result<u32, FrameFault>) {
    let mut places: Vec<usize> = cuts.iter().map(|cut| cut.index(body.len() + 1)).collect();
    places.push(body.len());
    places.sort_unstable();
    let mut decoder = Decoder::new();
    let mut frames = Vec::new();
    let mut from = 0;
    for to in places {
        if let Err(fault) = decoder.take(&body[from..to], |frame| frames.push(frame)) {
            return (frames, Err(fault));
        }
        from = to;
    }
    let end = decoder.finish();
    (frames, end)
}

fn encoded(frames: &[Frame]) -> Vec<u8> {
    let mut body = MAGIC.to_vec();
    for frame in frames {
        body.extend_from_slice(&frame.header.encode());
        body.extend_from_slice(&frame.stored);
    }
    body
}

/// Frames are what the body says, byte for byte, and the end is what is left of it.
fn is_read_as_it_is(body: &[u8], cuts: &[Index]) -> Result<(), TestCaseError> {
    let (frames, end) = decoded(body, cuts);
    prop_assert_eq!(
        &(frames.clone(), end),
        &decoded(body, &[]),
        "every split gives the same"
    );
    let again = encoded(&frames);
    if end == Err(FrameFault::Magic) {
        prop_assert!(frames.is_empty() && !body.starts_with(&MAGIC));
        return Ok(());
    }
    prop_assert!(body.starts_with(&again), "no byte of a frame is made up");
    prop_assert_eq!(end.is_ok(), body.len() == again.len());
    for frame in &frames {
        prop_assert_eq!(frame.header.stored as usize, frame.stored.len());
        prop_assert!((1..=limits::CHUNK_MOST_BYTES).contains(&frame.header.chunk.size()));
        prop_assert!(frame.header.stored <= frame.header.chunk.size());
    }
    match end {
        Ok(count) => prop_assert_eq!(count as usize, frames.len()),
        Err(FrameFault::Header { frame } | FrameFault::Truncated { frame }) => {
            prop_assert_eq!(
                frame as usize,
                frames.len(),
                "the fault names the frame behind"
            );
        }
        Err(_) => {}
    }
    Ok(())
}

fn frame() -> impl Strategy<Value = Frame> {
    let bytes = proptest::collection::vec(any::<u8>(), 1..300);
    (bytes, any::<[u8; 32]>(), any::<bool>(), 1..200_u32).prop_map(
        |(stored, hash, packed, saved)| {
            let length = u32::try_from(stored.len()).unwrap();
            let (encoding, size) = if packed {
                (Encoding::Zstd, length + saved)
            } else {
                (Encoding::Plain, length)
            };
            let header = Header {
                chunk: ChunkRef(Digest(hash), size),
                encoding,
                stored: length,
            };
            Frame { header, stored }
        },
    )
}

fn cuts() -> impl Strategy<Value = Vec<Index>> {
    proptest::collection::vec(any::<Index>(), 0..12)
}

/// Sizes of the chunks of a whole file, as a chunker could cut them.
fn honest_sizes() -> impl Strategy<Value = Vec<u32>> {
    let middle = prop_oneof![
        Just(limits::CHUNK_LEAST_BYTES),
        Just(limits::CHUNK_MOST_BYTES),
        limits::CHUNK_LEAST_BYTES..=limits::CHUNK_MOST_BYTES,
    ];
    let last = prop_oneof![
        Just(1),
        Just(limits::CHUNK_MOST_BYTES),
        1..=limits::CHUNK_MOST_BYTES
    ];
    (proptest::collection::vec(middle, 0..40), last).prop_map(|(mut sizes, last)| {
        sizes.push(last);
        sizes
    })
}

fn chunk(place: usize, size: u32) -> ChunkRef {
    let name = place.to_le_bytes();
    ChunkRef(Digest(*blake3::hash(&name).as_bytes()), size)
}

/// The sections of a file whose chunks have these sizes, cut at `cuts`.
fn sections(size: u64, count: u32, sizes: &[u32], cuts: &[Index]) -> Vec<Section> {
    let mut places: Vec<usize> = cuts.iter().map(|cut| cut.index(sizes.len() + 1)).collect();
    places.push(sizes.len());
    places.sort_unstable();
    let mut from = 0;
    let mut sections = Vec::new();
    for to in places {
        let chunks = sizes[from..to].iter().enumerate();
        sections.push(Section {
            file: FileId::from_bytes([1; 16]),
            size,
            root: Digest([2; 32]),
            count,
            from: u32::try_from(from).unwrap(),
            chunks: chunks
                .map(|(index, size)| chunk(from + index, *size))
                .collect(),
        });
        from = to;
    }
    sections
}

/// Takes sections in order as a ledger does: gives the sizes that were accepted, up to the first fault.
fn accepted(sections: &[Section]) -> (Vec<u32>, Option<ManifestFault>) {
    let mut sizes: Vec<u32> = Vec::new();
    for section in sections {
        let before = sizes.iter().map(|size| u64::from(*size)).sum();
        if let Some(fault) = section.fault(before) {
            return (sizes, Some(fault));
        }
        sizes.extend(section.chunks.iter().map(ChunkRef::size));
    }
    (sizes, None)
}

fn bytes_of(sizes: &[u32]) -> u64 {
    sizes.iter().map(|size| u64::from(*size)).sum()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_frames_or_a_fault(
        bytes in proptest::collection::vec(any::<u8>(), 0..600),
        begins_well in any::<bool>(),
        cuts in cuts(),
    ) {
        let mut body = if begins_well { MAGIC.to_vec() } else { Vec::new() };
        body.extend(bytes);
        is_read_as_it_is(&body, &cuts)?;
    }

    #[test]
    fn frames_survive_the_way_in_any_pieces(
        frames in proptest::collection::vec(frame(), 0..8),
        cuts in cuts(),
    ) {
        let count = u32::try_from(frames.len()).unwrap();
        let body = encoded(&frames);
        prop_assert_eq!(decoded(&body, &cuts), (frames, Ok(count)));
    }

    #[test]
    fn altered_bodies_are_frames_or_a_fault(
        frames in proptest::collection::vec(frame(), 1..6),
        changes in proptest::collection::vec((any::<Index>(), any::<u8>(), 0..4), 1..6),
        cuts in cuts(),
    ) {
        let mut body = encoded(&frames);
        for (at, byte, how) in changes {
            // Behind the last byte there is nothing to change, but room to put one.
            let at = at.index(body.len() + 1);
            match how {
                _ if at == body.len() => body.push(byte),
                0 => body[at] = byte,
                1 => { body.remove(at); }
                2 => body.insert(at, byte),
                _ => body.truncate(at + 1),
            }
        }
        is_read_as_it_is(&body, &cuts)?;
    }

    #[test]
    fn a_header_has_one_spelling(
        hash in any::<[u8; 32]>(),
        size in prop_oneof![any::<u32>(), 0..limits::CHUNK_MOST_BYTES + 2],
        stored in prop_oneof![any::<u32>(), 0..limits::CHUNK_MOST_BYTES + 2],
        same in any::<bool>(),
        tail in any::<[u8; 4]>(),
        plain in any::<bool>(),
    ) {
        let stored = if same { size } else { stored };
        let tail = if plain { [tail[0] % 3, 0, 0, 0] } else { tail };
        let mut bytes = [0; HEADER_BYTES];
        bytes[..32].copy_from_slice(&hash);
        bytes[32..36].copy_from_slice(&size.to_le_bytes());
        bytes[36..40].copy_from_slice(&stored.to_le_bytes());
        bytes[40..].copy_from_slice(&tail);
        if let Some(header) = Header::decode(&bytes) {
            prop_assert_eq!(header.encode(), bytes);
            prop_assert!(header.stored as usize <= limits::CHUNK_MOST_BYTES as usize);
        }
    }

    #[test]
    fn an_honest_manifest_is_accepted_however_it_is_cut(sizes in honest_sizes(), cuts in cuts()) {
        let (size, count) = (bytes_of(&sizes), u32::try_from(sizes.len()).unwrap());
        let (least, most) = count_bounds(size);
        prop_assert!((least..=most).contains(&u64::from(count)));
        prop_assert_eq!(accepted(&sections(size, count, &sizes, &cuts)), (sizes, None));
    }

    #[test]
    fn a_manifest_that_is_accepted_whole_adds_up(
        sizes in honest_sizes(),
        lies in proptest::collection::vec((any::<Index>(), any::<u32>(), 0..5), 0..4),
        size_lie in -2_i64..=2,
        count_lie in -1_i64..=1,
        cuts in cuts(),
    ) {
        let size = bytes_of(&sizes).saturating_add_signed(size_lie);
        let mut told = sizes.clone();
        for (at, number, how) in lies {
            let at = at.index(told.len().max(1));
            match how {
                _ if told.is_empty() => {}
                0 => told[at] = number,
                1 => told[at] = told[at].saturating_add(number % 3),
                2 => { told.remove(at); }
                3 => told.insert(at, number % (2 * limits::CHUNK_MOST_BYTES)),
                _ => told[at] = told[at].saturating_sub(number % 3),
            }
        }
        let count = i64::try_from(told.len()).unwrap().saturating_add(count_lie).max(0);
        let count = u32::try_from(count).unwrap();
        let (taken, fault) = accepted(&sections(size, count, &told, &cuts));
        if taken.len() == count as usize && fault.is_none() {
            prop_assert_eq!(bytes_of(&taken), size);
            let (last, middle) = taken.split_last().map_or((&1, &[][..]), |parts| parts);
            prop_assert!((1..=limits::CHUNK_MOST_BYTES).contains(last) || size == 0);
            for size in middle {
                prop_assert!((limits::CHUNK_LEAST_BYTES..=limits::CHUNK_MOST_BYTES).contains(size));
            }
        }
        // What was accepted can be finished: no section that is taken leads to where none can follow.
        let rest = size.checked_sub(bytes_of(&taken));
        prop_assert!(rest.is_some());
        prop_assert!(taken.len() <= count as usize || taken.is_empty());
    }

    #[test]
    fn any_section_is_judged_without_panic(
        size in any::<u64>(), count in any::<u32>(), from in any::<u32>(), before in any::<u64>(),
        sizes in proptest::collection::vec(any::<u32>(), 0..5),
    ) {
        let section = Section {
            file: FileId::from_bytes([1; 16]),
            size,
            root: Digest([2; 32]),
            count,
            from,
            chunks: sizes.iter().enumerate().map(|(place, size)| chunk(place, *size)).collect(),
        };
        if section.fault(before).is_none() {
            prop_assert!(size <= limits::FILE_BYTES);
            prop_assert!(section.end() <= u64::from(count));
            prop_assert!(before + section.bytes() <= size);
        }
    }

    #[test]
    fn words_of_a_newer_central_are_taken_as_other(
        word in "[a-z_]{1,20}", member in "[a-z]{9,12}", value in any::<i64>(),
    ) {
        let known = [
            "waiting", "received", "scanning", "clean", "infected", "held", "too_large", "corrupt",
            "released", "expired", "wanted", "not_attached", "no_room", "refused", "other_file", "count",
            "chunk_size", "sum", "overlap", "not_announced",
        ];
        prop_assume!(!known.contains(&word.as_str()));
        let more = format!(r#""{member}":[{value},{{"{member}":null}}]"#);
        let id = "01939d2e-6f60-7c3a-8f6a-0a1b2c3d4e5f";

        let state: FileState = serde_json::from_str(&format!(r#"{{"state":"{word}",{more}}}"#)).unwrap();
        prop_assert_eq!(&state, &FileState::Other);
        prop_assert!(!state.is_readable() && !state.is_settled());

        let text = format!(r#"{{"files":[{{"file":"{id}","standing":"{word}",{more}}}]}}"#);
        let reply: AnnouncementReply = serde_json::from_str(&text).unwrap();
        prop_assert_eq!(&reply.files[0].standing, &Standing::Other);

        let text = format!(r#"{{"frames":1,"exceptions":[{{"frame":0,"fault":"{word}",{more}}}],{more}}}"#);
        let reply: ChunksReply = serde_json::from_str(&text).unwrap();
        prop_assert_eq!(reply.exceptions[0].fault, FrameRefusal::Other);

        let fault: ManifestFault = serde_json::from_str(&format!("\"{word}\"")).unwrap();
        prop_assert_eq!(fault, ManifestFault::Other);

        let event = |kind: &str, body: String| Event {
            position: 1,
            at: UnixMillis(0),
            kind: kind.to_owned(),
            body: serde_json::value::RawValue::from_string(body).unwrap(),
        };
        let moved = event("file_moved", format!(r#"{{"file":"{id}","state":"{word}",{more}}}"#)).body();
        let expected = EventBody::FileMoved { file: id.parse::<uuid::Uuid>().map(FileId).unwrap(), state: FileState::Other };
        prop_assert_eq!(moved, Some(expected));
        prop_assert_eq!(event(&word, format!("{{{more}}}")).body(), None);
    }

    #[test]
    fn any_json_is_read_without_panic(text in "[{\\[\"a-z0-9:,\\\\ \\]}u.eE+-]{0,200}") {
        let _ = serde_json::from_str::<Announcement>(&text);
        let _ = serde_json::from_str::<AnnouncementReply>(&text);
        let _ = serde_json::from_str::<ChunksReply>(&text);
        let _ = serde_json::from_str::<FileState>(&text);
    }
}

#[test]
fn what_is_said_of_files_survives_being_written() {
    let states = [
        FileState::Waiting,
        FileState::Received,
        FileState::Scanning,
        FileState::Clean,
        FileState::Infected {
            signature: "Eicar \"\u{202e}\n".to_owned(),
        },
        FileState::Held,
        FileState::TooLarge,
        FileState::Corrupt,
        FileState::Released {
            by: "root".to_owned(),
            reason: "Needed \"now\"\n".to_owned(),
        },
        FileState::Expired,
    ];
    let file = FileId::from_bytes([3; 16]);
    let mut standings = vec![
        Standing::Wanted {
            announced: u32::MAX,
            missing: vec![Places(0, 1), Places(u32::MAX, u32::MAX)],
        },
        Standing::NotAttached,
        Standing::NoRoom,
    ];
    for state in states {
        let moved = EventBody::FileMoved {
            file,
            state: state.clone(),
        };
        let (kind, body) = moved.to_parts();
        let event = Event {
            position: 1,
            at: UnixMillis(0),
            kind,
            body,
        };
        assert_eq!(event.body(), Some(moved));
        standings.push(Standing::Received { state });
    }
    for fault in [
        ManifestFault::OtherFile,
        ManifestFault::Count,
        ManifestFault::ChunkSize,
        ManifestFault::Sum,
        ManifestFault::Overlap,
    ] {
        standings.push(Standing::Refused { fault });
    }
    let files = standings
        .into_iter()
        .map(|standing| FileStanding { file, standing });
    let reply = AnnouncementReply {
        files: files.collect(),
    };
    let text = serde_json::to_string(&reply).unwrap();
    assert_eq!(
        serde_json::from_str::<AnnouncementReply>(&text).unwrap(),
        reply
    );
}

#[test]
fn what_is_said_of_frames_survives_being_written() {
    let reply = ChunksReply {
        frames: 7,
        exceptions: vec![
            FrameException {
                frame: 0,
                fault: FrameRefusal::Corrupt,
            },
            FrameException {
                frame: 6,
                fault: FrameRefusal::NotAnnounced,
            },
        ],
        received: vec![FileId::from_bytes([3; 16])],
    };
    let text = serde_json::to_string(&reply).unwrap();
    assert_eq!(serde_json::from_str::<ChunksReply>(&text).unwrap(), reply);
}
