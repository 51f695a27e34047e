//! The local API under attack: bad JSON, bad texts, bad framing, bad manners. Whatever comes, the
//! answer is a problem document that says what to do, nothing of it is saved, and filing goes on.

use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use branchline_agent_api::REQUEST_BYTES;
use branchline_protocol::limits;
use harness::processes::{Branch, Central, sandbox, wait_for};
use harness::raw_http::{Answer, Connection, Place, Request, chunked, is_end};
use serde_json::{Value, json};
use tempfile::TempDir;

const TICKETS: &str = "/v1/tickets";
const COMMENTS: &str = "/v1/tickets/LYN-000001/comments";
const WITHDRAWAL: &str = "/v1/tickets/LYN-000001/withdrawal";

/// An agent without central, with one ticket (LYN-000001), that counts what it must have saved.
struct Target {
    branch: Branch,
    place: Place,
    saved: u64,
    sandbox: TempDir,
}

impl Target {
    fn start() -> Self {
        let sandbox = sandbox();
        let central = Central::init(sandbox.path());
        let mut branch = Branch::join(sandbox.path(), &central, "LYN", central.address);
        branch.start();
        let place = Place::Unix(branch.socket());
        let mut target = Self {
            branch,
            place,
            saved: 0,
            sandbox,
        };
        target.assert_unharmed("nothing yet");
        target
    }

    fn ask(&self, request: &Request) -> Answer {
        request.ask(&self.place).expect("the agent answers")
    }

    fn get(&self, target: &str) -> Answer {
        self.ask(&Request::new("GET", target))
    }

    fn post(&self, target: &str, body: impl Into<Vec<u8>>) -> Answer {
        self.ask(&Request::new("POST", target).json(body))
    }

    /// Posts what must be saved.
    fn saved(&mut self, target: &str, body: impl Into<Vec<u8>>, what: &str) -> Answer {
        let answer = self.post(target, body);
        assert_eq!(answer.status, 200, "{what}: {}", answer.text());
        self.saved += 1;
        answer
    }

    fn connect(&self, bytes: &[u8]) -> Connection {
        let mut connection = Connection::open(&self.place).expect("the agent listens");
        connection.send(bytes).expect("the agent reads");
        connection
    }

    /// Files a ticket, and sees that nothing but what was meant to be saved ever was.
    fn assert_unharmed(&mut self, attack: &str) {
        self.saved(TICKETS, good_ticket().to_string(), attack);
        let status = self.get("/v1/status").json();
        assert_eq!(status["waiting"], self.saved, "after {attack}");
        let log = self.branch.log();
        assert!(!log.contains("panicked at"), "after {attack}: {log}");
    }
}

fn good_ticket() -> Value {
    json!({ "subject": "Printer jams", "description": "Since this morning." })
}

/// A good ticket with one member changed.
fn ticket_with(member: &str, value: Value) -> String {
    let mut ticket = good_ticket();
    ticket[member] = value;
    ticket.to_string()
}

/// A refusal that tells whoever asked to mend their request.
fn assert_refused(answer: &Answer, status: u16, attack: &str) -> Value {
    assert_eq!(answer.status, status, "{attack}: {}", answer.text());
    let problem = answer.problem();
    assert_eq!(problem["class"], "fix_input", "{attack}: {problem}");
    let kind = problem["type"].as_str().expect("a type");
    assert!(
        kind.starts_with("urn:branchline:problem:"),
        "{attack}: {problem}"
    );
    problem
}

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

fn emoji(count: usize) -> String {
    "\u{1f5a8}".repeat(count)
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

#[rustfmt::skip]
const NO_SUCH_ROUTES: &[&str] = &[
    "/", "//", "/v1", "/v1/", "/v1/ticket", "/v1/tickets/", "/v2/tickets", "/V1/tickets", "*",
    "//v1/status", "/v1//status", "/v1/tickets/../status", "/v1/./status", "/v1/status/",
    "/v1/status%00", "/v1/tickets/LYN-000001/", "/v1/tickets/LYN-000001/comments/1",
    "/v1/tickets/LYN-999999", "/v1/tickets/PAR-000001", "/v1/tickets/LYN2-000001",
    "/v1/tickets/LYN-000001-2", "/v1/tickets/LYN-4294967295", "/etc/passwd",
];

#[rustfmt::skip]
const NO_SUCH_METHODS: &[(&str, &str)] = &[
    ("PUT", TICKETS), ("DELETE", TICKETS), ("OPTIONS", TICKETS), ("get", TICKETS), ("BREW", TICKETS),
    ("PATCH", "/v1/tickets/LYN-000001"), ("DELETE", "/v1/tickets/LYN-000001"),
    ("TRACE", "/v1/status"), ("POST", "/v1/status"), ("GET", COMMENTS), ("GET", WITHDRAWAL),
];

#[test]
fn routes_and_methods_that_do_not_exist_are_refused_as_such() {
    let mut target = Target::start();
    for path in NO_SUCH_ROUTES {
        assert_refused(&target.get(path), 404, path);
    }
    for (method, path) in NO_SUCH_METHODS {
        let answer = target.ask(&Request::new(method, path));
        assert_refused(&answer, 405, &format!("{method} {path}"));
        assert!(
            answer.header("allow").is_some(),
            "{method} {path}: {answer:?}"
        );
    }
    for path in [COMMENTS, WITHDRAWAL] {
        let path = path.replace("000001", "000777");
        assert_refused(
            &target.post(&path, r#"{}"#.replace("{}", comment_or_reason(&path))),
            404,
            &path,
        );
    }
    target.assert_unharmed("routes that do not exist");
}

fn comment_or_reason(path: &str) -> &'static str {
    if path.ends_with("comments") {
        r#"{"text":"a"}"#
    } else {
        r#"{"reason":"a"}"#
    }
}

/// Texts in the place of a ticket's number that are none, and the status that says so.
#[rustfmt::skip]
const BAD_NUMBERS: &[(&str, u16)] = &[
    ("x", 422), ("LYN", 422), ("lyn-000001", 422), ("LYN-1", 422), ("LYN-0000001", 422), ("-", 422),
    ("LYN-000000", 422), ("LYN-4294967296", 422), ("LYN1-000001", 422), ("LYN-000001%00", 422),
    ("LYN-000001%20", 422), ("%20LYN-000001", 422), ("LYN-000001%2Fcomments", 422),
    ("..%2fstatus", 422), ("%2e%2e", 422), ("LYN%2d000001x", 422), ("LYN-00000%C4%B1", 422),
    ("LYN-000001;x=y", 422), ("LYN-000001'--", 422), ("%F0%9F%96%A8", 422), ("LYN99999-000001", 422),
    ("LYN-%2B00001", 422), ("LYN-000001%0d%0aX:y", 422), ("%25%34%43YN-000001", 422),
    ("%ff", 422), ("LYN-000001%ff", 422), ("%c0%af", 422), ("%ed%a0%80", 422),
];

#[test]
fn what_is_no_ticket_number_is_refused_however_it_is_spelled() {
    let mut target = Target::start();
    for (number, status) in BAD_NUMBERS {
        for (method, rest) in [("GET", ""), ("POST", "/comments"), ("POST", "/withdrawal")] {
            let path = format!("{TICKETS}/{number}{rest}");
            let request = Request::new(method, &path).json(comment_or_reason(&path));
            let problem = assert_refused(&target.ask(&request), *status, &path);
            assert_eq!(problem["field"], "number", "{path}: {problem}");
        }
    }
    let long = format!("{TICKETS}/{}", "9".repeat(50_000));
    assert_refused(&target.get(&long), 422, "a long number");
    // The same number spelled with escapes is the same number.
    assert_eq!(target.get("/v1/tickets/%4CYN%2D000001").status, 200);
    target.assert_unharmed("numbers that are none");
}

#[rustfmt::skip]
const BAD_QUERIES: &[(&str, u16)] = &[
    ("limit=0", 422), ("limit=201", 422), ("limit=4294967295", 422), ("limit=4294967296", 400),
    ("limit=-1", 400), ("limit=1e3", 400), ("limit=0x10", 400), ("limit=", 400), ("limit=%00", 400),
    ("limit=NaN", 400), ("limit=99999999999999999999999999", 400), ("limit=10&limit=10", 400),
    ("before=-1", 400), ("before=x", 400), ("before=4294967296", 400), ("before=%ff", 400),
    ("befor=3", 400), ("limit[]=3", 400), ("=", 400), ("%", 400), ("limit=%F0%9F%96%A8", 400),
];

#[test]
fn absurd_parameters_of_a_list_are_refused_and_large_ones_taken() {
    let mut target = Target::start();
    for (query, status) in BAD_QUERIES {
        assert_refused(&target.get(&format!("{TICKETS}?{query}")), *status, query);
    }
    let long = format!("{TICKETS}?before={}", "9".repeat(20_000));
    assert_refused(&target.get(&long), 400, "a long query");
    let good = [
        ("", 1),
        ("limit=1", 1),
        ("limit=200", 1),
        ("limit=%31", 1),
        ("limit=0200", 1),
    ];
    let edges = [("before=0", 0), ("before=1", 0), ("before=4294967295", 1)];
    for (query, tickets) in good.into_iter().chain(edges) {
        let answer = target.get(&format!("{TICKETS}?{query}"));
        assert_eq!(answer.status, 200, "{query}: {}", answer.text());
        assert_eq!(
            answer.json()["tickets"].as_array().map(Vec::len),
            Some(tickets),
            "{query}"
        );
    }
    target.assert_unharmed("absurd parameters");
}

#[rustfmt::skip]
const OTHER_TYPES: &[&str] = &[
    "", "text/plain", "application/x-www-form-urlencoded", "text/json", "application/jsonx", "\u{e9}",
    "application/problem+json", "multipart/form-data; boundary=x", "application/json, text/plain",
];

#[test]
fn other_content_types_and_codings_are_refused() {
    let mut target = Target::start();
    let post = || Request::new("POST", TICKETS).body(good_ticket().to_string());
    assert_refused(&target.ask(&post()), 415, "no content type");
    for kind in OTHER_TYPES {
        assert_refused(&target.ask(&post().header("Content-Type", kind)), 415, kind);
    }
    let post = |kind| post().header("Content-Type", kind);
    for coding in ["gzip", "zstd", "identity, zstd", "br", "x"] {
        let request = post("application/json").header("Content-Encoding", coding);
        assert_refused(&target.ask(&request), 415, coding);
    }
    for kind in [
        "application/json",
        "Application/JSON",
        "application/json ; charset=utf-8",
    ] {
        let saved = target.ask(&post(kind));
        assert_eq!(saved.status, 200, "{kind}: {}", saved.text());
        target.saved += 1;
    }
    target.assert_unharmed("other content types");
}

#[test]
fn the_recorded_reporter_is_the_systems_user_whatever_the_request_claims() {
    let mut target = Target::start();
    let own = std::process::Command::new("id")
        .arg("-un")
        .output()
        .expect("run id");
    let own = harness::processes::text(&own.stdout).trim().to_owned();
    let claim = ticket_with(
        "contact",
        json!({ "name": "director", "mail": "director@example.org" }),
    );
    let request = Request::new("POST", TICKETS)
        .header("X-Forwarded-User", "director")
        .header("Remote-User", "director")
        .header("Authorization", "Basic ZGlyZWN0b3I6")
        .json(claim);
    let saved = target.ask(&request);
    assert_eq!(saved.status, 200, "{}", saved.text());
    target.saved += 1;
    let shown = |saved: &Answer| {
        let saved = saved.json();
        let number = saved["number"].as_str().expect("a number");
        target.get(&format!("{TICKETS}/{number}")).json()
    };
    assert_eq!(shown(&saved)["summary"]["reporter"], own.as_str());
    assert_eq!(shown(&saved)["contact"]["name"], "director");

    if let Some(saved) = file_as_another_user(&target) {
        let reporter = shown(&saved)["summary"]["reporter"].clone();
        assert!(
            reporter != own.as_str() && reporter.is_string(),
            "{reporter} is not the caller"
        );
        target.saved += 1;
    }
    target.assert_unharmed("false claims");
}

/// Files as user 65534 (nobody) where the test may take that user on: the kernel tells the agent who
/// was the connecting thread's user.
fn file_as_another_user(target: &Target) -> Option<Answer> {
    for folder in [target.sandbox.path(), target.branch.folder()] {
        let open = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(folder, open).expect("let others pass");
    }
    let place = target.place.clone();
    let filing = std::thread::spawn(move || {
        // SAFETY: the raw call changes the user of this thread alone, which ends after one request.
        let changed = unsafe { libc::syscall(libc::SYS_setresuid, 65_534, 65_534, 65_534) };
        (changed == 0).then(|| {
            let request = Request::new("POST", TICKETS).json(good_ticket().to_string());
            request.ask(&place).expect("every local user may file")
        })
    });
    let saved = filing.join().expect("the thread ends");
    if saved.is_none() {
        println!("filing as another user needs privileges and was not tried");
    }
    saved
}

#[test]
fn bodies_beyond_the_limit_are_refused_however_they_are_framed() {
    let mut target = Target::start();
    let large = ticket_with("description", "x".repeat(REQUEST_BYTES).into());
    let huge = "x".repeat(64 * 1024 * 1024);
    let post = |route| Request::new("POST", route);
    let chunks = |body: &str, chunk| {
        let request = post(TICKETS).header("Transfer-Encoding", "chunked");
        request.json(chunked(body.as_bytes(), chunk))
    };
    let attacks = [
        ("with its length", post(TICKETS).json(large.clone())),
        ("64 MiB with its length", post(TICKETS).json(huge.clone())),
        ("in large chunks", chunks(&large, 60_000)),
        ("in small chunks", chunks(&large, 100)),
        ("64 MiB in chunks", chunks(&huge, 1 << 20)),
        ("to a comment", post(COMMENTS).json(large.clone())),
        ("to a withdrawal", post(WITHDRAWAL).json(large)),
    ];
    for (attack, request) in &attacks {
        assert_refused(&target.ask(request), 413, attack);
        target.assert_unharmed(attack);
    }
    // A body that only claims to be large is refused without being waited for.
    let claimed = post(TICKETS)
        .header("Content-Length", "9000000000")
        .json("");
    let mut connection = target.connect(&claimed.to_bytes());
    let asked = Instant::now();
    assert_refused(&connection.answer().expect("an answer"), 413, "a claim");
    assert!(
        asked.elapsed() < Duration::from_secs(10),
        "{:?}",
        asked.elapsed()
    );
    let peak = peak_memory(target.branch.pid());
    assert!(peak < 64 * 1024 * 1024, "the agent took {peak} bytes");
    target.assert_unharmed("large bodies");
}

fn peak_memory(pid: u32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("read /proc");
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .expect("a peak");
    line.trim()
        .trim_end_matches(" kB")
        .parse::<u64>()
        .expect("a number")
        * 1024
}

/// A post of a good ticket with these headers about its body.
fn framed(headers: &str, rest: &str) -> Vec<u8> {
    let body = good_ticket().to_string();
    let headers = headers.replace("LENGTH", &body.len().to_string());
    let kind = "Content-Type: application/json";
    format!("POST {TICKETS} HTTP/1.1\r\nHost: x\r\n{kind}\r\n{headers}\r\n\r\n{body}{rest}").into()
}

#[rustfmt::skip]
fn not_http() -> Vec<(&'static str, Vec<u8>)> {
    let many: String = (0..200).map(|n| format!("X-{n}: y\r\n")).collect();
    let long = "a".repeat(1 << 20);
    let head = |rest: &str| format!("GET /v1/status HTTP/1.1\r\nHost: x\r\n{rest}\r\n\r\n").into_bytes();
    vec![
        ("nothing", Vec::new()),
        ("zeros", vec![0; 4_096]),
        ("random bytes", (0..20_000).map(|_| fastrand::u8(..)).collect()),
        ("a line", b"hello\r\n\r\n".to_vec()),
        ("TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec()),
        ("HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec()),
        ("HTTP/9", b"GET /v1/status HTTP/9.9\r\n\r\n".to_vec()),
        ("a header without colon", head("nonsense")),
        ("a control character", head("X: a\x01b")),
        ("a folded header", head("X: a\r\n b")),
        ("a space in the target", b"GET /v1/ status HTTP/1.1\r\nHost: x\r\n\r\n".to_vec()),
        ("an endless target", format!("GET /{long} HTTP/1.1\r\n\r\n").into()),
        ("an endless method", format!("{long} / HTTP/1.1\r\n\r\n").into()),
        ("an endless header", head(&format!("X: {long}"))),
        ("many headers", head(&many)),
        ("two lengths", framed("Content-Length: LENGTH\r\nContent-Length: 7", "")),
        ("a negative length", framed("Content-Length: -1", "")),
        ("a length in words", framed("Content-Length: many", "")),
        ("a length beyond numbers", framed("Content-Length: 99999999999999999999999999", "")),
        ("chunks of no size", framed("Transfer-Encoding: chunked", "")),
        ("an unknown transfer coding", framed("Transfer-Encoding: gzip", "")),
        ("a body that breaks off", framed("Content-Length: 500", "")),
    ]
}

/// What is not a request cannot be answered as one: a bare 4xx or a closed connection will do, and
/// nobody else notices.
#[test]
fn what_is_not_http_is_dropped_and_nobody_else_notices() {
    let mut target = Target::start();
    for (attack, bytes) in not_http() {
        let mut connection = Connection::open(&target.place).expect("the agent listens");
        let sent = connection.send(&bytes);
        let _ = connection.close_sending();
        match connection.answer() {
            Ok(answer) => assert!((400..500).contains(&answer.status), "{attack}: {answer:?}"),
            Err(fault) => assert!(is_end(&fault), "{attack}: {fault} ({sent:?})"),
        }
        target.assert_unharmed(attack);
    }
    // A request whose end is in dispute is not served twice, nor its rest as another request.
    let smuggled = "\r\n0\r\n\r\nGET /v1/status HTTP/1.1\r\nHost: x\r\n\r\n";
    let both = framed(
        "Transfer-Encoding: chunked\r\nContent-Length: LENGTH",
        smuggled,
    );
    let answers = harness::processes::text(&target.connect(&both).rest().expect("an end"));
    assert!(!answers.contains("200 OK"), "{answers}");
    target.assert_unharmed("a length and chunks");
}

/// What is sent, and the statuses of the answers that come before the connection ends.
#[rustfmt::skip]
fn manners() -> Vec<(&'static str, String, &'static [u16])> {
    let body = good_ticket().to_string();
    let length = body.len();
    let get = "GET /v1/status HTTP/1.1\r\nHost: x\r\n\r\n";
    let post = |version: &str, more: &str| {
        format!("POST {TICKETS} HTTP/{version}\r\nHost: x\r\nContent-Type: application/json\r\n{more}\r\n\r\n")
    };
    let good = post("1.1", &format!("Content-Length: {length}")) + &body;
    vec![
        ("HTTP/1.0", post("1.0", &format!("Content-Length: {length}")) + &body, &[200]),
        ("HTTP/1.0 without anything", "GET /v1/status HTTP/1.0\r\n\r\n".to_owned(), &[200]),
        ("two at once", format!("{get}{good}"), &[200, 200]),
        ("a good one behind a bad one", post("1.1", "Content-Length: 2") + "[]" + &good, &[400, 200]),
        ("a continue awaited", post("1.1", &format!("Expect: 100-continue\r\nContent-Length: {length}")) + &body, &[200]),
        ("chunks with extensions", post("1.1", "Transfer-Encoding: chunked") + &format!("{length:x};a=b\r\n{body}\r\n0\r\nX: y\r\n\r\n"), &[200]),
        ("an absolute target", get.replace("/v1", "http://elsewhere.example/v1"), &[200]),
        ("a line before the request", format!("\r\n{get}"), &[200]),
        ("a body nobody asked for", get.replace("Host: x", &format!("Content-Length: {length}")) + &body, &[200]),
    ]
}

#[test]
fn unusual_manners_that_http_allows_are_served() {
    let mut target = Target::start();
    for (manner, bytes, statuses) in manners() {
        let mut connection = target.connect(bytes.as_bytes());
        // Half-closed: nothing more will come, and the answers are still wanted.
        connection.close_sending().expect("half-close");
        for status in statuses {
            let answer = connection
                .answer()
                .unwrap_or_else(|fault| panic!("{manner}: {fault}"));
            assert_eq!(answer.status, *status, "{manner}: {}", answer.text());
        }
        assert_eq!(connection.rest().expect("the end"), b"", "{manner}");
        target.saved += u64::from(bytes.contains("POST"));
        target.assert_unharmed(manner);
    }
}

/// Connections that stall, each kind in its place.
struct Stalled {
    silent: Vec<Connection>,
    in_headers: Vec<Connection>,
    answered: Vec<Connection>,
    in_body: Vec<Connection>,
}

impl Stalled {
    fn open(target: &Target) -> Self {
        let kind = "Content-Type: application/json";
        let post = format!("POST {TICKETS} HTTP/1.1\r\nHost: x\r\n{kind}\r\n");
        let many = |count, bytes: &str| {
            (0..count)
                .map(|_| target.connect(bytes.as_bytes()))
                .collect::<Vec<_>>()
        };
        let chunk = format!("{post}Transfer-Encoding: chunked\r\n\r\n5\r\n{{\"sub");
        let mut in_body = many(
            20,
            &format!("{post}Content-Length: 90\r\n\r\n{{\"subject\""),
        );
        in_body.extend(many(5, &chunk));
        Self {
            silent: many(50, ""),
            in_headers: many(50, &post),
            answered: many(20, "GET /v1/status HTTP/1.1\r\nHost: x\r\n\r\n"),
            in_body,
        }
    }

    fn assert_let_go(self) {
        for mut connection in self.in_body {
            let answer = connection.answer().expect("a stalled body is answered");
            assert_eq!(answer.status, 408);
            assert_eq!(answer.problem()["class"], "try_again");
            connection.rest().expect("and its connection closed");
        }
        for mut connection in self.silent {
            assert_eq!(
                connection.rest().expect("a silent connection is closed"),
                b""
            );
        }
        for mut connection in self.in_headers {
            let said = connection.rest().expect("an unfinished head is given up");
            assert!(
                said.is_empty() || said.starts_with(b"HTTP/1.1 408"),
                "{said:?}"
            );
        }
        for mut connection in self.answered {
            assert_eq!(connection.answer().expect("it was answered").status, 200);
            assert_eq!(
                connection.rest().expect("an idle connection is closed"),
                b""
            );
        }
    }
}

/// A byte now and then, until the agent has had enough. Gives its answer.
fn trickle(mut connection: Connection) -> Answer {
    while connection.send(b" ").is_ok() {
        std::thread::sleep(Duration::from_millis(100));
    }
    connection
        .answer()
        .expect("a body that trickles is answered in the end")
}

/// Clients that send slowly or not at all lose their connection in bounded time; nobody waits for
/// them, and filing goes on all the while.
fn clients_that_stall_are_let_go_and_block_nobody() {
    let mut target = Target::start();
    let stalled = Stalled::open(&target);
    let head = "Host: x\r\nContent-Type: application/json\r\nContent-Length: 100000";
    let slow = target.connect(format!("POST {TICKETS} HTTP/1.1\r\n{head}\r\n\r\n").as_bytes());
    let started = Instant::now();
    let trickling = std::thread::spawn(|| trickle(slow));
    while !trickling.is_finished() {
        let asked = Instant::now();
        target.assert_unharmed("stalled clients");
        assert!(
            asked.elapsed() < Duration::from_secs(5),
            "filing took {:?}",
            asked.elapsed()
        );
        assert!(
            started.elapsed() < Duration::from_secs(40),
            "a trickle is never given up"
        );
    }
    assert_eq!(trickling.join().expect("the thread ends").status, 408);
    stalled.assert_let_go();
    assert!(
        started.elapsed() < Duration::from_secs(40),
        "{:?}",
        started.elapsed()
    );
    target.assert_unharmed("clients that were let go");
}

/// More connections than the agent takes at once: others wait for a moment and get through, and the
/// agent is as good as new when the flood is over.
fn three_hundred_idle_connections_delay_others_and_stop_nobody() {
    let mut target = Target::start();
    let pid = target.branch.pid();
    let open_files = || {
        std::fs::read_dir(format!("/proc/{pid}/fd"))
            .expect("read /proc")
            .count()
    };
    let flood: Vec<Connection> = (0..300).map(|_| target.connect(b"")).collect();
    wait_for("the flood to be taken", || {
        (open_files() > 200).then_some(())
    });
    target.assert_unharmed("three hundred idle connections");
    assert!(open_files() < 320, "{} files are open", open_files());
    drop(flood);
    wait_for("the connections to be gone", || {
        (open_files() < 60).then_some(())
    });
    target.assert_unharmed("the flood");
}

/// Peers that ask and never read the answers.
fn peers_that_never_read_their_answers_are_let_go() {
    let mut target = Target::start();
    let long = ticket_with("description", emoji(limits::TEXT_CHARS).into());
    let saved = target.saved(TICKETS, long, "a long ticket").json();
    let number = saved["number"].as_str().expect("a number").to_owned();
    let asking = format!("GET {TICKETS}/{number} HTTP/1.1\r\nHost: x\r\n\r\n").repeat(40);
    let deaf: Vec<Connection> = (0..270)
        .map(|_| target.connect(asking.as_bytes()))
        .collect();
    target.assert_unharmed("peers that never read");
    drop(deaf);
    target.assert_unharmed("peers that are gone");
}

/// Each on an agent of its own, side by side, because what they do most is wait.
#[test]
fn clients_without_manners_are_let_go_and_stop_nobody() {
    std::thread::scope(|scope| {
        scope.spawn(clients_that_stall_are_let_go_and_block_nobody);
        scope.spawn(three_hundred_idle_connections_delay_others_and_stop_nobody);
        scope.spawn(peers_that_never_read_their_answers_are_let_go);
    });
}
