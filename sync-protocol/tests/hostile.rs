//! Whatever arrives, the protocol answers with a decision: nothing panics, what is accepted means the
//! same to whoever reads it next, and every bound is where the text says.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test: a panic is its answer"
)]

use std::time::Duration;

use branchline_protocol::chain::Position;
use branchline_protocol::exchange::{Health, Submission, SubmissionHead, encode_submission};
use branchline_protocol::id::{
    BranchCode, Digest, OperationId, Seq, StreamId, TicketId, TicketNumber,
};
use branchline_protocol::limits;
use branchline_protocol::operation::{
    Body, CommentAdded, Contact, FileAttached, Malformed, Operation, Parsed, Priority, Reporter,
    TicketFiled, TicketWithdrawn,
};
use branchline_protocol::outcome::{Failure, Heard, Outcome, classify};
use branchline_protocol::problem::{Problem, ProblemKind};
use branchline_protocol::sender::{Action, Loaded, Sender, StreamState};
use branchline_protocol::time::{LocalTime, UnixMillis};
use proptest::prelude::*;
use serde_json::value::RawValue;

fn local_time() -> impl Strategy<Value = LocalTime> {
    (
        -62_000_000_000_000_i64..253_000_000_000_000,
        -1_439_i16..=1_439,
    )
        .prop_map(|(millis, offset_minutes)| LocalTime {
            millis: UnixMillis(millis),
            offset_minutes,
        })
}

fn ticket_number() -> impl Strategy<Value = TicketNumber> {
    ("[A-Z]{2,8}", 1_u16.., 1_u32.., 1_u32..).prop_map(|(branch, ordinal, serial, suffix)| {
        TicketNumber {
            branch: branch.parse().unwrap(),
            ordinal,
            serial,
            suffix,
        }
    })
}

fn digest() -> impl Strategy<Value = Digest> {
    any::<[u8; 32]>().prop_map(Digest)
}

fn body() -> impl Strategy<Value = Body> {
    let text = any::<String>;
    let maybe = || proptest::option::of(any::<String>());
    let ticket = || any::<[u8; 16]>().prop_map(TicketId::from_bytes);
    prop_oneof![
        (
            ticket_number(),
            text(),
            text(),
            text(),
            (maybe(), maybe(), maybe()),
            maybe()
        )
            .prop_map(
                |(number, subject, description, category, (name, phone, mail), asset)| {
                    Body::TicketFiled(TicketFiled {
                        number,
                        subject,
                        description,
                        category,
                        priority: Priority::High,
                        contact: Contact { name, phone, mail },
                        asset,
                    })
                }
            ),
        (ticket(), text())
            .prop_map(|(ticket, text)| Body::CommentAdded(CommentAdded { ticket, text })),
        (ticket(), maybe())
            .prop_map(|(ticket, reason)| Body::TicketWithdrawn(TicketWithdrawn { ticket, reason })),
        (ticket(), text(), any::<u64>(), digest()).prop_map(|(ticket, name, size, root)| {
            Body::FileAttached(FileAttached {
                ticket,
                name,
                size,
                root,
            })
        }),
    ]
}

fn operation() -> impl Strategy<Value = Operation> {
    (any::<[u8; 16]>(), local_time(), any::<String>(), body()).prop_map(|(id, at, user, body)| {
        Operation {
            id: OperationId::from_bytes(id),
            at,
            by: Reporter { user },
            body,
        }
    })
}

/// What was understood can be written down and is understood the same way again.
fn is_understood_alike(bytes: &[u8]) -> Result<(), TestCaseError> {
    if let Ok(Parsed::Known(operation)) = Operation::parse(bytes) {
        let _ = operation.faults();
        let encoded = operation.encode();
        prop_assert!(!encoded.is_empty());
        if encoded.len() <= limits::OPERATION_BYTES {
            prop_assert_eq!(Operation::parse(&encoded), Ok(Parsed::Known(operation)));
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        is_understood_alike(&bytes)?;
    }

    #[test]
    fn any_json_is_read_without_panic(text in "[{\\[\"a-z0-9:,\\\\ \\]}u.eE+-]{0,200}") {
        is_understood_alike(text.as_bytes())?;
    }

    #[test]
    fn altered_operations_are_read_without_panic(
        operation in operation(),
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..3), 1..6),
    ) {
        let mut bytes = operation.encode();
        for (at, byte, how) in changes {
            if bytes.is_empty() {
                break;
            }
            let at = at.index(bytes.len());
            match how {
                0 => bytes[at] = byte,
                1 => { bytes.remove(at); }
                _ => bytes.insert(at, byte),
            }
        }
        is_understood_alike(&bytes)?;
    }

    #[test]
    fn operations_survive_being_written(operation in operation()) {
        let encoded = operation.encode();
        let Ok(Parsed::Known(read)) = Operation::parse(&encoded) else {
            return Err(TestCaseError::fail("not read"));
        };
        prop_assert_eq!(&read, &operation);
        prop_assert_eq!(read.encode(), encoded);
    }

    #[test]
    fn names_have_one_spelling(number in ticket_number(), digest in digest()) {
        prop_assert_eq!(number.to_string().parse(), Ok(number));
        prop_assert_eq!(digest.to_string().parse(), Ok(digest));
    }

    #[test]
    fn what_reads_as_a_name_is_spelt_so(text in "[A-Z]{1,9}[0-9]{0,6}-[0-9]{0,11}(-[0-9]{0,11})?", hex in "[0-9a-fA-F]{63,65}", any in any::<String>()) {
        for text in [&text, &any] {
            if let Ok(number) = text.parse::<TicketNumber>() {
                prop_assert_eq!(&number.to_string(), text);
            }
            if let Ok(code) = text.parse::<BranchCode>() {
                prop_assert_eq!(code.as_str(), text);
            }
        }
        if let Ok(digest) = hex.parse::<Digest>() {
            prop_assert_eq!(digest.to_string(), hex);
        }
    }

    #[test]
    fn times_survive_being_written(time in local_time()) {
        let text = time.to_string();
        prop_assert_eq!(text.parse(), Ok(time), "{}", text);
    }

    #[test]
    fn what_reads_as_a_time_can_be_written(
        text in "-?[0-9]{4,6}-[01][0-9]-[0-3][0-9][Tt ][0-2][0-9]:[0-6][0-9](:[0-6][0-9](\\.[0-9]{1,10})?)?([Zz]|[+-][0-2][0-9]:?[0-5][0-9])"
    ) {
        if let Ok(time) = text.parse::<LocalTime>() {
            prop_assert_eq!(time.to_string().parse(), Ok(time), "{}", time);
        }
    }

    #[test]
    fn central_is_never_put_into_words_it_did_not_say(
        status in any::<u16>(),
        seconds in proptest::option::of(any::<u64>()),
    ) {
        let retry_after = seconds.map(Duration::from_secs);
        let heard = Heard::Answer { status, problem: None, retry_after };
        match classify(heard) {
            Outcome::Retry { not_before, trouble } => {
                let cut = retry_after.map(|after| after.min(limits::RETRY_AFTER_MOST));
                prop_assert_eq!(not_before, cut);
                prop_assert!(!trouble.central_answered && !trouble.words.is_empty());
            }
            Outcome::Smaller { trouble } => prop_assert!(status == 413 && !trouble.central_answered),
            other => prop_assert!(false, "{:?}", other),
        }
    }

    #[test]
    fn every_answer_leads_on(
        status in any::<u16>(),
        kind in proptest::option::of(prop::sample::select(ProblemKind::ALL)),
        (acknowledged, head) in (0_u64..4, proptest::option::of((0_u64..5, digest()))),
        (agreed, serials_used) in any::<(Option<bool>, Option<u32>)>(),
    ) {
        let stream = StreamId::from_bytes([1; 16]);
        let chain = |upto| (0..upto).fold(Position::genesis(stream), |at, _| at.then(b"{}"));
        let state = StreamState { stream, continues: None, acknowledged: chain(acknowledged), head: Seq(4) };
        let mut sender = Sender::new(Duration::ZERO, state);
        sender.handle_loaded(Duration::ZERO, &Loaded::Operations(&[b"{}"]));
        let problem = kind.map(|kind| {
            let mut problem = Problem::new(kind, "x");
            problem.head = head.map(|(seq, digest)| Position { seq: Seq(seq), digest });
            problem.agreed = agreed;
            problem.serials_used = serials_used;
            problem
        });
        let heard = Heard::Answer { status, problem: problem.as_ref(), retry_after: None };
        sender.handle_outcome(Duration::ZERO, &classify(heard), Duration::from_secs(9));
        prop_assert_eq!(sender.state().acknowledged, chain(acknowledged));
        let later = sender.poll(Duration::from_secs(9));
        prop_assert!(!matches!(later, Action::WaitUntil(_)), "{:?}", later);
    }

    #[test]
    fn submissions_keep_exact_bytes(operations in proptest::collection::vec(odd_json(), 0..6)) {
        let head = SubmissionHead {
            stream: StreamId::from_bytes([1; 16]),
            continues: None,
            after: Position::genesis(StreamId::from_bytes([1; 16])),
            cursor: Some("c".to_owned()),
            health: Health::default(),
        };
        let bytes: Vec<&[u8]> = operations.iter().map(String::as_bytes).collect();
        let spliced = encode_submission(&head, &bytes);
        let read: Submission<'_> = serde_json::from_slice(&spliced).unwrap();
        let held: Vec<&str> = read.operations.iter().map(|raw| raw.get()).collect();
        prop_assert_eq!(&held, &operations);
        let again = serde_json::to_string(&read).unwrap();
        let again: Submission<'_> = serde_json::from_str(&again).unwrap();
        let held: Vec<&str> = again.operations.iter().map(|raw| raw.get()).collect();
        prop_assert_eq!(&held, &operations);
    }
}

/// JSON objects that a reader and writer of JSON would not leave as they are.
fn odd_json() -> impl Strategy<Value = String> {
    let space = || "[ \t\n\r]{0,3}";
    let value = prop_oneof![
        Just("1E+00999".to_owned()),
        Just("-0.10".to_owned()),
        Just("123456789012345678901234567890.000".to_owned()),
        Just(r#""\u00e9\/\ud83d\ude00\u0000""#.to_owned()),
        Just(r#""\ud800""#.to_owned()),
        Just("\"\u{2028}\u{7f}é😀\"".to_owned()),
        Just("[[[[ ]]]]".to_owned()),
        Just(r#"{"a":1,"a" : 2}"#.to_owned()),
        Just("null".to_owned()),
    ];
    let member = (space(), "[a-c]?", space(), value, space())
        .prop_map(|(a, key, b, value, c)| format!("{a}\"{key}\"{b}:{value}{c}"));
    proptest::collection::vec(member, 0..5).prop_map(|members| format!("{{{}}}", members.join(",")))
}

#[test]
fn deep_nesting_is_read_without_overflow() {
    let deep = "[".repeat(40_000) + &"]".repeat(40_000);
    let text = format!(
        r#"{{"id":"01939d2e-6f60-7c3a-8f6a-0a1b2c3d4e5f","at":"2026-11-21T09:12:00Z","by":{{"user":"u"}},"kind":"later","body":{deep}}}"#
    );
    assert!(matches!(
        Operation::parse(text.as_bytes()),
        Ok(Parsed::Unknown { .. })
    ));
    let text = text.replace("later", "comment_added");
    let malformed = Operation::parse(text.as_bytes());
    assert!(matches!(malformed, Err(Malformed::Body { .. })));
    let raw: &RawValue = serde_json::from_str(&text).unwrap();
    assert_eq!(raw.get(), text);
}

#[test]
fn an_operation_at_the_limit_is_read_and_one_byte_more_is_not() {
    let bytes = filed(|_| {}).encode();
    let padded = |len: usize| {
        let mut padded = bytes.clone();
        padded.resize(len, b' ');
        Operation::parse(&padded)
    };
    assert!(padded(limits::OPERATION_BYTES).is_ok());
    let over = limits::OPERATION_BYTES + 1;
    assert_eq!(padded(over), Err(Malformed::TooLarge(over)));
}

#[test]
fn the_largest_valid_operation_fits() {
    // Four bytes for each character, and for those that JSON escapes six: tab and line feed take two.
    for filler in ["😀", "\"", "\n", "\u{2028}"] {
        let filed = filed(|body| {
            body.subject = "😀".repeat(limits::SUBJECT_CHARS);
            body.description = "x".to_owned() + &filler.repeat(limits::TEXT_CHARS - 1);
            body.category = "😀".repeat(limits::CATEGORY_CHARS);
            body.contact.name = Some("😀".repeat(limits::CONTACT_NAME_CHARS));
            body.contact.phone = Some("1".to_owned() + &"😀".repeat(limits::PHONE_CHARS - 1));
            body.contact.mail = Some("a@".to_owned() + &"😀".repeat(limits::MAIL_CHARS - 2));
            body.asset = Some("😀".repeat(limits::ASSET_CHARS));
        });
        assert_eq!(filed.faults(), []);
        assert!(Operation::parse(&filed.encode()).is_ok(), "{filler:?}");
    }
}

fn filed(change: impl FnOnce(&mut TicketFiled)) -> Operation {
    let mut body = TicketFiled {
        number: "LYN-000042".parse().unwrap(),
        subject: "s".to_owned(),
        description: "d".to_owned(),
        category: "c".to_owned(),
        priority: Priority::Normal,
        contact: Contact {
            name: Some("n".to_owned()),
            ..Contact::default()
        },
        asset: None,
    };
    change(&mut body);
    made(Body::TicketFiled(body))
}

fn made(body: Body) -> Operation {
    Operation {
        id: OperationId::from_bytes([7; 16]),
        at: "2026-11-21T09:12:00Z".parse().unwrap(),
        by: Reporter {
            user: "u".to_owned(),
        },
        body,
    }
}

/// Each field with its limit, and an operation in which the field holds the text.
type Bounded = (&'static str, usize, fn(String) -> Operation);

const BOUNDED: &[Bounded] = &[
    ("subject", limits::SUBJECT_CHARS, |text| {
        filed(|body| body.subject = text)
    }),
    ("description", limits::TEXT_CHARS, |text| {
        filed(|body| body.description = text)
    }),
    ("category", limits::CATEGORY_CHARS, |text| {
        filed(|body| body.category = text)
    }),
    ("contact.name", limits::CONTACT_NAME_CHARS, |text| {
        filed(|body| body.contact.name = Some(text))
    }),
    ("contact.phone", limits::PHONE_CHARS, |text| {
        filed(|body| body.contact.phone = Some(text.replacen('é', "1", 1)))
    }),
    ("contact.mail", limits::MAIL_CHARS, |text| {
        filed(|body| body.contact.mail = Some(text.replacen("éé", "é@", 1)))
    }),
    ("asset", limits::ASSET_CHARS, |text| {
        filed(|body| body.asset = Some(text))
    }),
    ("by.user", limits::USER_CHARS, |text| {
        let mut operation = filed(|_| {});
        operation.by.user = text;
        operation
    }),
    ("text", limits::TEXT_CHARS, |text| {
        let ticket = TicketId::from_bytes([8; 16]);
        made(Body::CommentAdded(CommentAdded { ticket, text }))
    }),
    ("reason", limits::TEXT_CHARS, |text| {
        let (ticket, reason) = (TicketId::from_bytes([8; 16]), Some(text));
        made(Body::TicketWithdrawn(TicketWithdrawn { ticket, reason }))
    }),
    ("name", limits::FILE_NAME_CHARS, |name| {
        made(Body::FileAttached(FileAttached {
            ticket: TicketId::from_bytes([8; 16]),
            name,
            size: 0,
            root: Digest([0; 32]),
        }))
    }),
];

#[test]
fn every_text_may_fill_its_limit_and_not_exceed_it() {
    for (field, limit, holding) in BOUNDED {
        let full = holding("é".repeat(*limit));
        assert_eq!(full.faults(), [], "{field}");
        assert!(Operation::parse(&full.encode()).is_ok(), "{field}");
        let faults = holding("é".repeat(limit + 1)).faults();
        assert_eq!(faults.len(), 1, "{field}: {faults:?}");
        assert_eq!(&faults[0].field, field);
        assert!(faults[0].fault.contains(&limit.to_string()), "{faults:?}");
        let faults = holding(String::new()).faults();
        assert!(
            faults.iter().all(|fault| &fault.field == field),
            "{faults:?}"
        );
        assert!(!faults.is_empty(), "{field} may be empty");
    }
}

#[test]
fn control_characters_are_refused_but_for_lines_in_texts() {
    for (field, limit, holding) in BOUNDED {
        let lines = *limit == limits::TEXT_CHARS;
        for (control, allowed) in [
            ("\n", lines),
            ("\t", lines),
            ("\0", false),
            ("\u{9b}", false),
        ] {
            let faults = holding(format!("éééé{control}é")).faults();
            // White space in a mail address is a fault of its own.
            let named = faults.iter().all(|fault| &fault.field == field);
            assert_eq!(
                (faults.is_empty(), named),
                (allowed, true),
                "{field} {control:?}"
            );
        }
    }
}

#[test]
fn every_failure_of_the_way_is_tried_again() {
    use Failure::{Connect, Interrupted, Oversized, Resolve, TimedOut};
    for failure in [Connect, Interrupted, Oversized, Resolve, TimedOut] {
        let outcome = classify(Heard::Failed(failure));
        assert!(
            matches!(
                outcome,
                Outcome::Retry {
                    not_before: None,
                    ..
                }
            ),
            "{failure:?}"
        );
    }
}
