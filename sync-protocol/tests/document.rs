//! PROTOCOL.md says what the code does: its tables and examples are read and compared.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test: a panic is its answer"
)]

use branchline_protocol::desk::TicketState;
use branchline_protocol::enrolment::{
    CERTIFICATE_PATH, ENROLMENT_PATH, EnrolmentReply, EnrolmentRequest, PROBE_PATH, SignedTrust,
};
use branchline_protocol::event::EventBody;
use branchline_protocol::exchange::{
    CHUNKS_PATH, FEED_PATH, FeedReply, MANIFESTS_PATH, OPERATIONS_PATH, PROTOCOL_VERSION,
    Submission, SubmissionReply,
};
use branchline_protocol::file::{FileFault, FileState};
use branchline_protocol::frame::{self, Encoding, Header};
use branchline_protocol::id::Digest;
use branchline_protocol::limits;
use branchline_protocol::manifest::{
    Announcement, AnnouncementReply, ChunkRef, ChunksReply, FrameRefusal, ManifestFault, Standing,
};
use branchline_protocol::operation::{Operation, Parsed};
use branchline_protocol::outcome::{Heard, Outcome, classify};
use branchline_protocol::problem::{Problem, ProblemKind};

const TEXT: &str = include_str!("../PROTOCOL.md");

/// The cells of the table with this heading row, without the marks of code.
fn table(heading: &str) -> Vec<Vec<String>> {
    let (_, rest) = TEXT
        .split_once(heading)
        .unwrap_or_else(|| panic!("no table {heading}"));
    let rows = rest
        .lines()
        .skip(2)
        .take_while(|line| line.starts_with('|'));
    let cells = |row: &str| {
        let cells = row.trim_matches('|').split(" | ");
        cells.map(|cell| cell.trim().replace('`', "")).collect()
    };
    rows.map(cells).collect()
}

#[test]
fn problems_are_those_of_the_code() {
    let written = table("| type | status | class | title | outcome |");
    let spoken = ProblemKind::ALL.iter().map(|kind| {
        let mut problem = Problem::new(*kind, "x");
        problem.head = Some(branchline_protocol::chain::Position::genesis(
            branchline_protocol::id::StreamId::from_bytes([0; 16]),
        ));
        let class = serde_json::to_value(kind.class()).unwrap();
        vec![
            kind.tag()
                .trim_start_matches("urn:branchline:problem:")
                .to_owned(),
            kind.status().to_string(),
            class.as_str().unwrap().to_owned(),
            kind.title().to_owned(),
            outcome(&problem).to_owned(),
        ]
    });
    assert_eq!(written, spoken.collect::<Vec<_>>());
}

fn outcome(problem: &Problem) -> &'static str {
    match classify(Heard::Answer {
        status: problem.status,
        problem: Some(problem),
        retry_after: None,
    }) {
        Outcome::Done => "done",
        Outcome::Retry { .. } => "retry",
        Outcome::Smaller { .. } => "smaller",
        Outcome::Gap { .. } => "gap",
        Outcome::Diverged { .. } => "diverged",
        Outcome::Reenrol { .. } => "reenrol",
        Outcome::Renew { .. } => "renew",
        Outcome::Refused { .. } => "refused",
    }
}

macro_rules! in_order {
    ($($name:ident)*) => { &[$((stringify!($name), limits::$name.as_number()),)*] };
}

trait AsNumber {
    fn as_number(&self) -> u64;
}

impl AsNumber for usize {
    fn as_number(&self) -> u64 {
        *self as u64
    }
}

impl AsNumber for u32 {
    fn as_number(&self) -> u64 {
        u64::from(*self)
    }
}

impl AsNumber for u64 {
    fn as_number(&self) -> u64 {
        *self
    }
}

impl AsNumber for std::time::Duration {
    fn as_number(&self) -> u64 {
        self.as_secs()
    }
}

#[test]
fn limits_are_those_of_the_code() {
    let values: &[(&str, u64)] = in_order! {
        SUBJECT_CHARS TEXT_CHARS CATEGORY_CHARS CONTACT_NAME_CHARS PHONE_CHARS MAIL_CHARS ASSET_CHARS
        USER_CHARS FILE_NAME_CHARS OPERATION_BYTES SUBMISSION_OPERATIONS SUBMISSION_BYTES
        FIRST_BATCH_BYTES LEAST_BATCH_BYTES MOST_BATCH_BYTES BATCH_TARGET COMPRESS_FROM_BYTES
        FEED_EVENTS FEED_BYTES FEED_WAIT CURSOR_BYTES ANSWER_BYTES HEARTBEAT RETRY_AFTER_MOST
        DETAIL_CHARS CHUNK_LEAST_BYTES CHUNK_AVERAGE_BYTES CHUNK_MOST_BYTES FILE_BYTES ANNOUNCED_FILES
        SECTION_CHUNKS MISSING_RANGES MISSING_CHUNKS CHUNK_BODY_BYTES CHUNK_BODY_FRAMES
        LEAST_CHUNK_BODY_BYTES MOST_CHUNK_BODY_BYTES CHUNK_BODY_TARGET CHUNK_BODIES_IN_FLIGHT
        SIGNATURE_CHARS DER_BYTES ANCHORS URL_BYTES TOKEN_CHARS ENROLMENT_BYTES CLOCK_TOLERANCE
        REPLY_FILES FILE_PART_BYTES CATEGORIES LANGUAGES HINT_CHARS TAGS TAG_CHARS CATALOGUE_BYTES
    };
    let source = include_str!("../src/limits.rs").lines();
    let names = source.filter_map(|line| line.strip_prefix("pub const ")?.split(':').next());
    assert!(
        names.eq(values.iter().map(|value| value.0)),
        "every limit of the code, in its order"
    );
    let written = table("| name | value | unit |");
    assert_eq!(written.len(), values.len());
    for (row, (name, value)) in written.iter().zip(values) {
        assert_eq!((row[0].as_str(), row[1].parse()), (*name, Ok(*value)));
    }
}

#[test]
fn every_field_with_a_limit_names_it() {
    for row in table("| kind | body | rules |") {
        for limit in row[2].split(", ").filter(|rule| rule.ends_with("_CHARS")) {
            let known = table("| name | value | unit |");
            assert!(known.iter().any(|row| row[0] == limit), "{limit}");
        }
    }
}

#[test]
fn examples_are_what_they_say() {
    let mut seen = Vec::new();
    for block in TEXT.split("```json ").skip(1) {
        let (what, rest) = block.split_once('\n').unwrap();
        let text = rest.split("\n```").next().unwrap();
        seen.push(what);
        // Written again, an example comes out as it is: it has every member, spelt and ordered so.
        let again = match what {
            "operation" => match Operation::parse(text.as_bytes()) {
                Ok(Parsed::Known(operation)) => {
                    assert_eq!(operation.faults(), []);
                    String::from_utf8(operation.encode()).unwrap()
                }
                other => panic!("{other:?}"),
            },
            "submission" => rewritten::<Submission<'_>>(text),
            "reply" => rewritten::<SubmissionReply>(text),
            "feed" => rewritten::<FeedReply>(text),
            "announcement" => rewritten::<Announcement>(text),
            "announcement reply" => rewritten::<AnnouncementReply>(text),
            "chunks reply" => rewritten::<ChunksReply>(text),
            "enrolment" => rewritten::<EnrolmentRequest>(text),
            "enrolment reply" => rewritten::<EnrolmentReply>(text),
            "signed trust" => {
                let trust: SignedTrust = serde_json::from_str(text).unwrap();
                assert_eq!(trust.read().unwrap().serial, 2);
                rewritten::<SignedTrust>(text)
            }
            "problem" => rewritten::<Problem>(text),
            other => panic!("not known how to check an example of {other:?}"),
        };
        assert_eq!(again, text);
    }
    assert_eq!(
        seen,
        [
            "operation",
            "submission",
            "reply",
            "feed",
            "announcement",
            "announcement reply",
            "chunks reply",
            "enrolment",
            "enrolment reply",
            "signed trust",
            "problem"
        ]
    );
}

fn rewritten<'a, T: serde::Deserialize<'a> + serde::Serialize>(text: &'a str) -> String {
    let value: T = serde_json::from_str(text).unwrap();
    serde_json::to_string(&value).unwrap()
}

#[test]
fn paths_and_kinds_are_those_of_the_code() {
    let paths = [
        OPERATIONS_PATH,
        FEED_PATH,
        MANIFESTS_PATH,
        CHUNKS_PATH,
        ENROLMENT_PATH,
        CERTIFICATE_PATH,
        PROBE_PATH,
    ];
    for path in paths {
        assert!(TEXT.contains(&format!(" {path}")), "{path}");
    }
    assert!(TEXT.contains(&format!("`Branchline-Protocol: {PROTOCOL_VERSION}`")));
    for row in table("| kind | body | in the feed |") {
        let event = branchline_protocol::event::Event {
            position: 1,
            at: branchline_protocol::time::UnixMillis::default(),
            kind: row[0].clone(),
            body: example_body(&row[0]),
        };
        let body: EventBody = event.body().unwrap_or_else(|| panic!("{row:?}"));
        let members: serde_json::Value = serde_json::from_str(body.to_parts().1.get()).unwrap();
        for member in members.as_object().unwrap().keys() {
            assert!(row[1].contains(member.as_str()), "{row:?} lacks {member}");
        }
    }
}

fn desk_example(kind: &str) -> String {
    let id = "01939d2e-6f60-7c3a-8f6a-0a1b2c3d4e5f";
    let root = "07".repeat(32);
    match kind {
        "reply_added" => format!(
            r#"{{"ticket":"{id}","reply":"{id}","by":"anna","text":"x","files":[{{"file":"{id}","name":"a","size":1,"root":"{root}"}}]}}"#
        ),
        "note_added" => format!(r#"{{"ticket":"{id}","note":"{id}","by":"anna","text":"x"}}"#),
        "ticket_moved" => format!(r#"{{"ticket":"{id}","state":"resolved","by":"anna"}}"#),
        "ticket_classified" => {
            format!(r#"{{"ticket":"{id}","priority":"low","category":"till","by":"anna"}}"#)
        }
        "ticket_merged" => {
            format!(r#"{{"ticket":"{id}","into":"{id}","number":"LYN-000001","by":"anna"}}"#)
        }
        "ticket_assigned" => format!(r#"{{"ticket":"{id}","to":"ben","by":"anna"}}"#),
        "ticket_tagged" => format!(r#"{{"ticket":"{id}","tags":["a"],"by":"anna"}}"#),
        "catalogue_changed" => concat!(
            r#"{"catalogue":{"serial":1,"categories":[{"code":"till","name":{"en":"Till"},"#,
            r#""hint":{"en":"Which one?"},"priority":"high"}],"file_bytes":5}}"#
        )
        .to_owned(),
        "bandwidth_changed" => r#"{"serial":1,"rate":"256 kbit/s"}"#.to_owned(),
        other => panic!("not known how to check {other:?}"),
    }
}

#[test]
fn states_are_those_of_the_code() {
    let written = table("| state | what | after the branch added something |");
    let spoken = TicketState::ALL.map(|state| {
        let after = state.after_branch_spoke();
        [state.as_str().to_owned(), after.as_str().to_owned()]
    });
    let written: Vec<_> = written
        .into_iter()
        .map(|row| [row[0].clone(), row[2].clone()])
        .collect();
    assert_eq!(written, spoken);
}

fn example_body(kind: &str) -> Box<serde_json::value::RawValue> {
    let id = "01939d2e-6f60-7c3a-8f6a-0a1b2c3d4e5f";
    let text = match kind {
        "ticket_renumbered" => {
            format!(r#"{{"ticket":"{id}","given":"LYN-000001","number":"LYN-000001-2"}}"#)
        }
        "operation_rejected" => {
            format!(r#"{{"operation":"{id}","reason":{{"code":"malformed","detail":"x"}}}}"#)
        }
        "ticket_filed" => format!(r#"{{"ticket":"{id}","number":"LYN-000001"}}"#),
        "comment_added" | "ticket_withdrawn" | "file_attached" => {
            format!(r#"{{"ticket":"{id}","operation":"{id}"}}"#)
        }
        "file_moved" => format!(r#"{{"file":"{id}","state":"infected","signature":"x"}}"#),
        "trust_changed" => format!(
            r#"{{"bundle":"x","signer":"{}","signature":"AQID"}}"#,
            "07".repeat(32)
        ),
        other => desk_example(other),
    };
    serde_json::value::RawValue::from_string(text).unwrap()
}

#[test]
fn what_becomes_of_a_file_is_that_of_the_code() {
    let states = [
        FileState::Waiting,
        FileState::Received,
        FileState::Scanning,
        FileState::Clean,
        FileState::Infected {
            signature: "x".to_owned(),
        },
        FileState::Held,
        FileState::TooLarge,
        FileState::Corrupt,
        FileState::Released {
            by: "x".to_owned(),
            reason: "x".to_owned(),
        },
        FileState::Expired,
        FileState::Other,
    ];
    let written = table("| state | what | readable | settled |");
    assert_eq!(written.len(), states.len());
    let says = |yes: bool| if yes { "yes" } else { "no" };
    for (row, state) in written.iter().zip(&states) {
        let json = serde_json::to_value(state).unwrap();
        let word = if matches!(state, FileState::Other) {
            "any other"
        } else {
            assert_eq!(json["state"], state.word());
            state.word()
        };
        assert_eq!(
            (row[0].as_str(), row[2].as_str(), row[3].as_str()),
            (word, says(state.is_readable()), says(state.is_settled()))
        );
    }
    let written = table("| fault of a file | who acts |");
    let spoken = FileFault::ALL
        .iter()
        .map(|fault| vec![word_of(fault), word_of(&fault.actor())]);
    assert_eq!(written, spoken.collect::<Vec<_>>());
}

/// How a unit variant is spelt on the wire.
fn word_of(value: &impl serde::Serialize) -> String {
    let value = serde_json::to_value(value).unwrap();
    value.as_str().unwrap().to_owned()
}

#[test]
fn answers_of_the_bulk_lane_are_those_of_the_code() {
    let faults = [
        ManifestFault::OtherFile,
        ManifestFault::Count,
        ManifestFault::Overlap,
        ManifestFault::ChunkSize,
        ManifestFault::Sum,
    ];
    let written = table("| fault | when |");
    assert!(
        written
            .iter()
            .map(|row| row[0].clone())
            .eq(faults.iter().map(word_of))
    );

    let standings = [
        Standing::Wanted {
            announced: 0,
            missing: Vec::new(),
        },
        Standing::Received {
            state: FileState::Clean,
        },
        Standing::NotAttached,
        Standing::NoRoom,
        Standing::Refused {
            fault: ManifestFault::Sum,
        },
    ];
    let spoken = standings.iter().map(|standing| {
        let json = serde_json::to_value(standing).unwrap();
        json["standing"].as_str().unwrap().to_owned()
    });
    let written = table("| standing | when | what the agent does |");
    let mut written = written.into_iter().map(|row| row[0].clone());
    assert!(written.by_ref().take(standings.len()).eq(spoken));
    assert!(written.eq(["any other"]));

    let refusals = [FrameRefusal::Corrupt, FrameRefusal::NotAnnounced];
    let written = table("| exception | what the agent does |");
    let mut written = written.into_iter().map(|row| row[0].clone());
    assert!(
        written
            .by_ref()
            .take(refusals.len())
            .eq(refusals.iter().map(word_of))
    );
    assert!(written.eq(["any other"]));
}

#[test]
fn a_frame_lies_as_its_table_says() {
    let header = Header {
        chunk: ChunkRef(Digest([7; 32]), 0x0003_0201),
        encoding: Encoding::Zstd,
        stored: 0x0001_0203,
    };
    let bytes = header.encode();
    let rows = table("| offset | bytes | what |");
    let at = |row: usize| {
        let from: usize = rows[row][0].parse().unwrap();
        let bytes: &[u8] = match rows[row][1].parse::<usize>() {
            Ok(count) => &bytes[from..from + count],
            Err(_) => &bytes[from..],
        };
        bytes.to_vec()
    };
    assert_eq!(at(0), [7; 32]);
    assert_eq!(at(1), [1, 2, 3, 0]);
    assert_eq!(at(2), [3, 2, 1, 0]);
    assert_eq!(at(3), [1]);
    assert_eq!(at(4), [0; 3]);
    assert_eq!(at(5), [0; 0], "the header ends where the chunk begins");
    assert!(TEXT.contains(&format!("`{}`", frame::MEDIA_TYPE)));
    let magic = String::from_utf8(frame::MAGIC.to_vec()).unwrap();
    assert!(TEXT.contains(&format!("`{magic}`")));
}
