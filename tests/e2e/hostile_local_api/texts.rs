//! Bodies that are not the JSON they should be, and texts at their limits and beyond.

use branchline_protocol::limits;
use serde_json::{Value, json};

use super::{
    COMMENTS, TICKETS, Target, WITHDRAWAL, assert_refused, emoji, good_ticket, ticket_with,
};

/// Route, body, the field that the problem names (none: empty), and what its detail says.
#[rustfmt::skip]
const BAD_BODIES: &[(&str, &[u8], &str, &str)] = &[
    (TICKETS, b"", "", "EOF"),
    (TICKETS, b"null", "", "null"),
    (TICKETS, b"[]", "", "array"),
    (TICKETS, br#"[null,"a","b",null,"normal",{},null]"#, "", "array"),
    (TICKETS, b"\"text\"", "", "string"),
    (TICKETS, b"{", "", "EOF"),
    (TICKETS, br#"{"subject":"a","description":"b"#, "description", "EOF"),
    (TICKETS, br#"{"subject":"a","description":"b"}}"#, "", "trailing"),
    (TICKETS, br#"{"subject":"a","description":"b"}{}"#, "", "trailing"),
    (TICKETS, br#"{"subject":"a","description":"b"} x"#, "", "trailing"),
    (TICKETS, br#"{"subject":"a","description":"b",}"#, "", "trailing comma"),
    (TICKETS, br#"{'subject':'a'}"#, "", "key must be a string"),
    (TICKETS, b"\xef\xbb\xbf{\"subject\":\"a\"}", "", "expected value"),
    (TICKETS, br#"{"description":"b"}"#, "subject", "missing field"),
    (TICKETS, br#"{"subject":"a"}"#, "description", "missing field"),
    (TICKETS, br#"{"subject":7,"description":"b"}"#, "subject", "integer"),
    (TICKETS, br#"{"subject":null,"description":"b"}"#, "subject", "null"),
    (TICKETS, br#"{"subject":"a","description":["b"]}"#, "description", "sequence"),
    (TICKETS, br#"{"subject":"a","description":"b","priority":"when"}"#, "priority", "when"),
    (TICKETS, br#"{"subject":"a","description":"b","priority":null}"#, "priority", ""),
    (TICKETS, br#"{"subject":"a","description":"b","priority":1e999999}"#, "priority", ""),
    (TICKETS, br#"{"subject":"a","description":"b","contact":"Marie"}"#, "contact", "string"),
    (TICKETS, br#"{"subject":"a","description":"b","contact":{"name":1}}"#, "contact.name", "integer"),
    (TICKETS, br#"{"subject":"a","description":"b","contact":{"fax":"1"}}"#, "contact.fax", "unknown"),
    (TICKETS, br#"{"subject":"a","description":"b","asset":{}}"#, "asset", "map"),
    (TICKETS, br#"{"subject":"a","description":"b","id":"not a uuid"}"#, "id", "UUID"),
    (TICKETS, br#"{"subject":"a","description":"b","id":5}"#, "id", "integer"),
    (TICKETS, br#"{"subject":"a","description":"b","subjekt":"c"}"#, "subjekt", "unknown field"),
    (TICKETS, br#"{"subject":"a","description":"b","by":{"user":"boss"}}"#, "by", "unknown field"),
    (TICKETS, br#"{"subject":"a","description":"b","reporter":"boss"}"#, "reporter", "unknown"),
    (TICKETS, br#"{"subject":"a","description":"b","number":"LYN-000009"}"#, "number", "unknown"),
    (TICKETS, br#"{"subject":"a","description":"b","subject":"c"}"#, "subject", "duplicate field"),
    (TICKETS, b"{\"subject\":\"a\xff\",\"description\":\"b\"}", "subject", "unicode"),
    (TICKETS, b"{\"subject\":\"a\xed\xa0\x80\",\"description\":\"b\"}", "subject", "unicode"),
    (TICKETS, br#"{"subject":"a\ud800","description":"b"}"#, "subject", ""),
    (TICKETS, br#"{"subject":"\udc00a","description":"b"}"#, "subject", "surrogate"),
    (TICKETS, br#"{"subject":"a\x41","description":"b"}"#, "subject", "escape"),
    (TICKETS, b"{\"subject\":\"a\nb\",\"description\":\"b\"}", "subject", "control character"),
    (COMMENTS, br#"{"txt":"a"}"#, "txt", "unknown field"),
    (COMMENTS, br#"{}"#, "text", "missing field"),
    (COMMENTS, br#"{"text":true}"#, "text", "boolean"),
    (COMMENTS, br#""text""#, "", "string"),
    (COMMENTS, br#" [null,"text"]"#, "", "array"),
    (WITHDRAWAL, b"", "", "EOF"),
    (WITHDRAWAL, br#"{"reason":{"text":"a"}}"#, "reason", "map"),
    (WITHDRAWAL, br#"{"force":true}"#, "force", "unknown field"),
];

#[test]
fn a_body_that_is_not_the_json_it_should_be_is_refused_by_name() {
    let mut target = Target::start();
    let deep = format!(
        r#"{{"subject":{}1{}}}"#,
        "[".repeat(50_000),
        "]".repeat(50_000)
    );
    let long_name = format!(r#"{{"{}":1}}"#, "n".repeat(100_000));
    let mut attacks = BAD_BODIES.to_vec();
    attacks.push((TICKETS, deep.as_bytes(), "subject", "sequence"));
    attacks.push((TICKETS, long_name.as_bytes(), "?", "unknown field"));
    for (route, body, field, word) in attacks {
        let attack = format!("{route} {:.80}", String::from_utf8_lossy(body));
        let problem = assert_refused(&target.post(route, body), 400, &attack);
        let named = problem["field"].as_str().unwrap_or_default();
        assert!(named == field || field == "?", "{attack}: {problem}");
        let detail = problem["detail"].as_str().expect("a detail");
        assert!(detail.contains(word), "{attack}: {problem}");
        // An answer does not grow with the attack.
        assert!(
            problem.to_string().len() < 2_000,
            "{attack}: {:.300}",
            problem.to_string()
        );
        target.assert_unharmed(&attack);
    }
}

fn phone(count: usize) -> String {
    "0".repeat(count)
}

fn mail(count: usize) -> String {
    "m".repeat(count - "@example.org".len()) + "@example.org"
}

/// Texts by the field that a problem names: the route, the most characters, how to make one of so
/// many characters, and the body that holds it.
type BoundedText = (
    &'static str,
    &'static str,
    usize,
    fn(usize) -> String,
    fn(Value) -> Value,
);

#[rustfmt::skip]
const BOUNDED_TEXTS: &[BoundedText] = &[
    ("subject", TICKETS, limits::SUBJECT_CHARS, emoji, |text| json!({ "subject": text, "description": "b" })),
    ("description", TICKETS, limits::TEXT_CHARS, emoji, |text| json!({ "subject": "a", "description": text })),
    ("category", TICKETS, limits::CATEGORY_CHARS, emoji, |text| with("category", text)),
    ("asset", TICKETS, limits::ASSET_CHARS, emoji, |text| with("asset", text)),
    ("contact.name", TICKETS, limits::CONTACT_NAME_CHARS, emoji, |text| with("contact", json!({ "name": text }))),
    ("contact.phone", TICKETS, limits::PHONE_CHARS, phone, |text| with("contact", json!({ "phone": text }))),
    ("contact.mail", TICKETS, limits::MAIL_CHARS, mail, |text| with("contact", json!({ "mail": text }))),
    ("text", COMMENTS, limits::TEXT_CHARS, emoji, |text| json!({ "text": text })),
    ("reason", WITHDRAWAL, limits::TEXT_CHARS, emoji, |text| json!({ "reason": text })),
];

fn with(member: &str, value: Value) -> Value {
    let mut ticket = good_ticket();
    ticket[member] = value;
    ticket
}

/// Characters are Unicode scalar values: an emoji of four bytes counts as one.
#[test]
fn every_text_is_taken_at_its_limit_and_refused_one_character_beyond() {
    let mut target = Target::start();
    for (field, route, most, text, body) in BOUNDED_TEXTS {
        let beyond = body(text(most + 1).into()).to_string();
        let problem = assert_refused(&target.post(route, beyond), 422, field);
        assert_eq!(problem["field"], *field);
        let count = format!("{} characters", most + 1);
        assert!(
            problem["detail"]
                .as_str()
                .expect("a detail")
                .contains(&count),
            "{problem}"
        );
        target.saved(route, body(text(*most).into()).to_string(), field);
        target.assert_unharmed(field);
    }
}

/// The longest text in the widest spelling that JSON has still fits a request.
#[test]
fn the_longest_description_fits_with_every_character_escaped() {
    let mut target = Target::start();
    let escaped = r"\ud83d\udda8".repeat(limits::TEXT_CHARS);
    let body = format!(r#"{{"subject":"All escaped","description":"{escaped}"}}"#);
    assert!(body.len() > 190_000);
    let saved = target
        .saved(TICKETS, body, "a text that is escaped throughout")
        .json();
    let number = saved["number"].as_str().expect("a number");
    let shown = target.get(&format!("{TICKETS}/{number}")).json();
    assert_eq!(shown["description"], emoji(limits::TEXT_CHARS));
    target.assert_unharmed("a text that is escaped throughout");
}

/// Texts that no field takes, and those that only a field of several lines does.
const NOWHERE: [&str; 8] = [
    "",
    " ",
    "\u{3000}\u{2003} ",
    "a\0b",
    "a\u{1b}[31mb",
    "a\u{7f}",
    "a\u{9b}31m",
    "a\rb",
];
const SEVERAL_LINES: [&str; 3] = ["a\tb", "a\nb", "a\r\nb"];

#[test]
fn empty_blank_and_control_characters_are_refused_on_every_field() {
    let mut target = Target::start();
    let several_lines = ["description", "text", "reason"];
    for (field, route, _, _, body) in BOUNDED_TEXTS {
        let one_line = SEVERAL_LINES
            .iter()
            .filter(|_| !several_lines.contains(field));
        for text in NOWHERE.iter().chain(one_line) {
            let attack = format!("{field} {text:?}");
            let refused = target.post(route, body((*text).into()).to_string());
            assert_eq!(
                assert_refused(&refused, 422, &attack)["field"],
                *field,
                "{attack}"
            );
        }
    }
    for (member, text) in [
        ("phone", "none"),
        ("mail", "me"),
        ("mail", "a@b@c"),
        ("mail", "a b@c"),
    ] {
        let refused = target.post(TICKETS, ticket_with("contact", json!({ member: text })));
        let problem = assert_refused(&refused, 422, text);
        assert_eq!(problem["field"], format!("contact.{member}"), "{problem}");
    }
    target.assert_unharmed("blank texts and control characters");
    // What people do type: lines, tabs, Windows line ends, a joined emoji, right to left.
    let typed = "One\r\n\tTwo\n\u{1f469}\u{200d}\u{1f527} \u{5e9}\u{5dc}\u{5d5}\u{5dd}";
    target.saved(TICKETS, ticket_with("description", typed.into()), typed);
    target.assert_unharmed(typed);
}
