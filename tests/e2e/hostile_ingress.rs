//! Central's ingress under attack, over real connections: false credentials, other agents' streams,
//! operations that are none, bombs, floods and slow senders. Whatever comes, the answer is typed,
//! nobody else's stream moves, memory stays bounded, and the next good submission is taken.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use branchline_protocol::chain::Position;
use branchline_protocol::exchange::{Health, SubmissionHead, encode_submission};
use branchline_protocol::id::StreamId;
use branchline_protocol::limits;
use harness::processes::{Central, binary, sandbox, succeeded, text, wait_for};
use harness::raw_http::{Answer, Connection, Place, Request, chunked, is_end};
use serde_json::{Value, json};
use tempfile::TempDir;

const OPERATIONS: &str = "/v1/operations";
const VERSION: &str = "Branchline-Protocol";

/// A client that speaks for one agent, by hand.
struct Agent {
    place: Place,
    code: String,
    id: String,
    secret: String,
    stream: StreamId,
    at: Position,
    serial: u32,
}

impl Agent {
    fn register(central: &Central, folder: &Path, code: &str) -> Self {
        let path = folder.join(format!("{code}-{}.toml", fastrand::u32(..)));
        central.add_branch(code, &path);
        let registration = std::fs::read_to_string(&path).expect("a registration");
        let value = |key: &str| {
            let line = registration
                .lines()
                .find(|line| line.starts_with(key))
                .expect("the key");
            line.split('"').nth(1).expect("a value").to_owned()
        };
        let stream =
            StreamId::from_parts(1_790_000_000_000, std::array::from_fn(|_| fastrand::u8(..)));
        Self {
            place: Place::Tcp(central.address),
            code: code.to_owned(),
            id: value("agent"),
            secret: value("secret"),
            stream,
            at: Position::genesis(stream),
            serial: 0,
        }
    }

    fn bearer(&self) -> String {
        format!("Bearer {}.{}", self.id, self.secret)
    }

    fn request(&self, method: &str, target: &str) -> Request {
        let request = Request::new(method, target).header(VERSION, "1");
        request.header("Authorization", &self.bearer())
    }

    fn head(&self) -> SubmissionHead {
        SubmissionHead {
            stream: self.stream,
            continues: None,
            after: self.at,
            cursor: None,
            health: Health::default(),
        }
    }

    fn body(&self, operations: &[&[u8]]) -> Vec<u8> {
        encode_submission(&self.head(), operations)
    }

    fn post(&self, body: impl Into<Vec<u8>>) -> Answer {
        self.ask(&self.request("POST", OPERATIONS).json(body))
    }

    fn ask(&self, request: &Request) -> Answer {
        request.ask(&self.place).expect("central answers")
    }

    /// Submits operations that must all be taken, and gives the verdicts other than accepted.
    fn submit(&mut self, operations: &[&[u8]], what: &str) -> Vec<Value> {
        let answer = self.post(self.body(operations));
        assert_eq!(answer.status, 200, "{what}: {}", answer.text());
        let reply = answer.json();
        self.at = operations
            .iter()
            .fold(self.at, |at, operation| at.then(operation));
        assert_eq!(reply["acknowledged"], json!(self.at), "{what}: {reply}");
        reply["verdicts"].as_array().expect("verdicts").clone()
    }

    fn ticket(&mut self) -> Value {
        self.serial += 1;
        filed(&format!("{}-{:06}", self.code, self.serial))
    }

    /// A good ticket is still taken, accepted, with the verdicts of nobody else.
    fn assert_served(&mut self, attack: &str) {
        let ticket = self.ticket().to_string();
        assert_eq!(
            self.submit(&[ticket.as_bytes()], attack),
            Vec::<Value>::new(),
            "after {attack}"
        );
    }
}

fn new_id() -> String {
    let random = std::array::from_fn(|_| fastrand::u8(..));
    branchline_protocol::id::OperationId::from_parts(1_790_000_000_000, random).to_string()
}

fn operation(kind: &str, body: Value) -> Value {
    let at = "2026-11-21T09:12:00.250+01:00";
    json!({ "id": new_id(), "at": at, "by": { "user": "marie" }, "kind": kind, "body": body })
}

fn filed(number: &str) -> Value {
    operation(
        "ticket_filed",
        json!({
            "number": number, "subject": "Printer jams", "description": "Since this morning.",
            "category": "hardware", "priority": "normal", "contact": { "name": "Marie" },
        }),
    )
}

/// Central with an agent that behaves and one that does not.
struct Target {
    central: Central,
    good: Agent,
    evil: Agent,
    _sandbox: TempDir,
}

impl Target {
    fn start() -> Self {
        let sandbox = sandbox();
        let mut central = Central::init(sandbox.path());
        central.start();
        let good = Agent::register(&central, sandbox.path(), "LYN");
        let evil = Agent::register(&central, sandbox.path(), "PAR");
        let mut target = Self {
            central,
            good,
            evil,
            _sandbox: sandbox,
        };
        target.assert_unharmed("nothing yet");
        target
    }

    fn assert_unharmed(&mut self, attack: &str) {
        self.good.assert_served(attack);
        let log = self.central.log();
        assert!(!log.contains("panicked at"), "after {attack}: {log}");
    }

    /// Central holds the good agent's tickets, and so many of the other's.
    fn assert_holds(&self, of_evil: usize) {
        let held = succeeded(
            &self
                .central
                .cli(&["tickets", "list", "--json", "--limit", "10000"]),
        );
        let held: Value = serde_json::from_str(&held).expect("JSON");
        let of = |branch: &str| {
            let tickets = held["tickets"].as_array().expect("tickets");
            tickets
                .iter()
                .filter(|ticket| ticket["branch"] == branch)
                .count()
        };
        assert_eq!((of("LYN"), of("PAR")), (self.good.serial as usize, of_evil));
    }
}

fn assert_problem(answer: &Answer, status: u16, kind: &str, attack: &str) -> Value {
    assert_eq!(answer.status, status, "{attack}: {:.500}", answer.text());
    let problem = answer.problem();
    let expected = format!("urn:branchline:problem:{kind}");
    assert_eq!(problem["type"], expected.as_str(), "{attack}: {problem}");
    assert_eq!(answer.header("branchline-protocol"), Some("1"), "{attack}");
    assert!(answer.header("x-request-id").is_some(), "{attack}");
    assert!(
        answer.body.len() < 2_000,
        "{attack}: {} bytes",
        answer.body.len()
    );
    problem
}

#[test]
fn credentials_that_are_none_are_told_apart_and_refused() {
    let mut target = Target::start();
    let (id, secret) = (target.good.id.clone(), target.good.secret.clone());
    let unknown = "01939d2e-6f60-7c3a-8f6a-0a1b2c3d4e5f";
    let zeros = "0".repeat(64);
    let wrong = |id: &str, secret: &str| format!("Bearer {id}.{secret}");
    let attacks = [
        (String::new(), "unauthenticated"),
        ("Bearer".to_owned(), "unauthenticated"),
        ("Bearer .".to_owned(), "unauthenticated"),
        (format!("Bearer {id}"), "unauthenticated"),
        (format!("Bearer {secret}.{id}"), "unauthenticated"),
        (format!("Basic {id}.{secret}"), "unauthenticated"),
        (format!("{id}.{secret}"), "unauthenticated"),
        (wrong(&id, &secret[..63]), "unauthenticated"),
        (wrong(&id, &format!("{secret}0")), "unauthenticated"),
        (wrong(&id, &"A".repeat(64)), "unauthenticated"),
        (wrong(&id, &"g".repeat(64)), "unauthenticated"),
        (wrong(&id, &"a".repeat(10_000)), "unauthenticated"),
        (wrong("LYN", &secret), "unauthenticated"),
        (wrong(&id, "\u{e9}\u{e9}"), "unauthenticated"),
        (wrong(unknown, &secret), "unknown-agent"),
        (wrong(unknown, &zeros), "unknown-agent"),
        (wrong(&id, &zeros), "wrong-secret"),
        (wrong(&id, &target.evil.secret), "wrong-secret"),
        (wrong(&target.evil.id, &secret), "wrong-secret"),
    ];
    let submission = target.good.body(&[]);
    for (header, kind) in &attacks {
        for (method, route) in [("POST", OPERATIONS), ("GET", "/v1/feed?after=&wait=25")] {
            let request = Request::new(method, route).header(VERSION, "1");
            let request = request
                .header("Authorization", header)
                .json(submission.clone());
            let answer = target.good.ask(&request);
            let problem = assert_problem(&answer, 401, kind, header);
            assert!(answer.header("www-authenticate").is_some(), "{header}");
            assert!(!problem.to_string().contains(&secret), "{problem}");
        }
    }
    let bare = Request::new("POST", OPERATIONS)
        .header(VERSION, "1")
        .json(submission.clone());
    assert_problem(&target.good.ask(&bare), 401, "unauthenticated", "no header");
    // Refused before a body is waited for, whatever it claims to be.
    let claims = Request::new("POST", OPERATIONS)
        .header(VERSION, "1")
        .header("Content-Length", "2000000");
    let mut connection = Connection::open(&target.good.place).expect("connect");
    connection.send(&claims.to_bytes()).expect("send");
    assert_eq!(connection.answer().expect("an answer").status, 401);
    // Two sets: the first counts, so that a proxy cannot be talked over by what comes behind it.
    let twice = Request::new("POST", OPERATIONS)
        .header(VERSION, "1")
        .header("Authorization", &wrong(&id, &zeros))
        .header("Authorization", &target.good.bearer())
        .json(submission);
    assert_eq!(target.good.ask(&twice).status, 401);
    target.assert_unharmed("false credentials");
    target.assert_holds(0);
}

#[test]
fn another_agents_stream_is_refused_and_does_not_move() {
    let mut target = Target::start();
    let own = (target.evil.stream, target.evil.at);
    let ticket = filed("PAR-000001").to_string();
    for at in [target.good.at, Position::genesis(target.good.stream)] {
        (target.evil.stream, target.evil.at) = (target.good.stream, at);
        for operations in [vec![], vec![ticket.as_bytes()]] {
            let answer = target.evil.post(target.evil.body(&operations));
            assert_problem(&answer, 403, "foreign-stream", "another's stream");
        }
        target.assert_unharmed("another's stream");
    }
    (target.evil.stream, target.evil.at) = own;
    // A stream of its own that claims to continue another's learns nothing of it: the same answer as
    // for a stream that nobody has.
    let continuing = |stream: StreamId, at: Position| {
        let mut body: Value = serde_json::from_slice(&target.evil.body(&[])).expect("JSON");
        body["continues"] =
            json!({ "stream": stream, "at": at, "cause": "central_restored", "lost": 0 });
        let answer = target.evil.post(body.to_string());
        assert_problem(&answer, 409, "gap", "continuing another's stream")
    };
    let nobodys = StreamId::from_parts(7, [7; 10]);
    let of_good = continuing(target.good.stream, target.good.at);
    assert_eq!(of_good, continuing(nobodys, target.good.at));
    target.evil.assert_served("its own stream");
    target.assert_unharmed("streams of others");
    target.assert_holds(1);
}

#[test]
fn other_versions_routes_and_methods_are_refused_as_such() {
    let mut target = Target::start();
    let submission = target.good.body(&[]);
    let post = || Request::new("POST", OPERATIONS).header("Authorization", &target.good.bearer());
    for version in [
        "",
        "0",
        "2",
        "01",
        "1.0",
        "v1",
        "1, 1",
        "\u{e9}",
        "18446744073709551617",
    ] {
        let request = post().header(VERSION, version).json(submission.clone());
        assert_problem(
            &target.good.ask(&request),
            400,
            "unsupported-version",
            version,
        );
    }
    let request = post().json(submission.clone());
    assert_problem(
        &target.good.ask(&request),
        400,
        "unsupported-version",
        "no version",
    );
    let get = Request::new("GET", "/v1/feed").header("Authorization", &target.good.bearer());
    assert_problem(
        &target.good.ask(&get),
        400,
        "unsupported-version",
        "a feed without version",
    );
    for path in [
        "/",
        "//",
        "/v1",
        "/v1/operations/",
        "/v1/Operations",
        "/v2/operations",
        "/v1/../livez",
        "*",
        "/v1/feed%00",
        "/livez/x",
        "/metrics",
    ] {
        assert_problem(
            &target.good.ask(&target.good.request("GET", path)),
            404,
            "not-found",
            path,
        );
    }
    for (method, path) in [
        ("GET", OPERATIONS),
        ("PUT", OPERATIONS),
        ("DELETE", "/v1/feed"),
        ("POST", "/v1/feed"),
        ("POST", "/livez"),
        ("BREW", OPERATIONS),
    ] {
        let answer = target.good.ask(&target.good.request(method, path));
        assert_problem(
            &answer,
            405,
            "method-not-allowed",
            &format!("{method} {path}"),
        );
    }
    let long = format!("/{}", "a".repeat(20_000));
    assert_problem(
        &target.good.ask(&target.good.request("GET", &long)),
        404,
        "not-found",
        "a long path",
    );
    target.assert_unharmed("versions and routes");
}

/// Bodies that are no submission: what is changed in a good one, and with what.
#[rustfmt::skip]
const BAD_MEMBERS: &[(&str, &str)] = &[
    ("stream", "null"), ("stream", "7"), ("stream", r#""x""#), ("stream", "{}"), ("after", "null"), ("after", "[]"),
    ("after", r#"{"seq":0}"#), ("after", r#"{"seq":-1,"digest":"00"}"#), ("after", r#"{"seq":1e999999,"digest":"00"}"#),
    ("after", r#"{"seq":18446744073709551616,"digest":"00"}"#), ("after", r#"{"seq":0,"digest":"AA"}"#),
    ("after", r#"{"seq":"0","digest":""}"#), ("operations", "null"), ("operations", "{}"), ("operations", "7"),
    ("operations", r#""[]""#), ("operations", "[1,]"), ("operations", "[1 2]"), ("operations", "[{]"), ("operations", r#"["\x"]"#),
    ("operations", "[nul]"), ("operations", "[01]"), ("operations", "[1e]"), ("operations", "[\"a\nb\"]"),
    ("health", "null"), ("health", "[7]"), ("health", r#"{"version":7,"clock":0,"waiting":0}"#), ("health", r#"{"version":"","clock":1e999999,"waiting":0}"#),
    ("health", r#"{"version":"","clock":9223372036854775808,"waiting":0}"#), ("health", r#"{"version":"","clock":0,"waiting":-1}"#),
    ("cursor", "7"), ("cursor", "[]"), ("continues", "7"), ("continues", r#"{"stream":"x"}"#),
];

#[test]
fn a_body_that_is_no_submission_is_refused_whole() {
    let mut target = Target::start();
    let good: Value = serde_json::from_slice(&target.evil.body(&[])).expect("JSON");
    let mut attacks: Vec<Vec<u8>> = BAD_MEMBERS
        .iter()
        .map(|(member, value)| {
            let others = good
                .as_object()
                .expect("an object")
                .iter()
                .filter(|(name, _)| name != member);
            let others: String = others
                .map(|(name, value)| {
                    format!("{},", json!(name).to_string() + ":" + &value.to_string())
                })
                .collect();
            format!("{{{others}\"{member}\":{value}}}").into_bytes()
        })
        .collect();
    let whole = good.to_string();
    let twice = whole.replacen('{', &format!("{{\"stream\":{},", good["stream"]), 1);
    attacks.extend([
        b"".to_vec(),
        b"null".to_vec(),
        b"[]".to_vec(),
        b"{}".to_vec(),
        whole.as_bytes()[..whole.len() - 1].to_vec(),
        format!("{whole}{whole}").into_bytes(),
        format!("{whole}x").into_bytes(),
        twice.into_bytes(),
        [b"\xef\xbb\xbf", whole.as_bytes()].concat(),
        whole.replace("[]", "[\"\u{0}\"]").into_bytes(),
        target.evil.body(&[b"\"\xff\""]),
        target.evil.body(&[b"\"\xed\xa0\x80\""]),
        target.evil.body(&[&[b'['; 200_000]]),
    ]);
    for body in &attacks {
        let attack = format!("{:.300}", text(body));
        let answer = target.evil.post(body.as_slice());
        assert_problem(&answer, 400, "malformed", &attack);
    }
    for (kind, coding) in [
        ("", ""),
        ("text/plain", ""),
        ("application/jsonp", ""),
        ("application/json", "gzip"),
        ("application/json", "zstd, zstd"),
        ("application/json", "ZSTD2"),
    ] {
        let request = target
            .evil
            .request("POST", OPERATIONS)
            .header("Content-Type", kind)
            .body(whole.clone());
        let request = if coding.is_empty() {
            request
        } else {
            request.header("Content-Encoding", coding)
        };
        assert_problem(
            &target.evil.ask(&request),
            415,
            "unsupported-media",
            &format!("{kind} {coding}"),
        );
    }
    target.evil.assert_served("bodies that are no submissions");
    target.assert_unharmed("bodies that are no submissions");
    target.assert_holds(1);
}

/// Operations that cannot take effect, with the code of the verdict that they get.
fn odd_operations() -> Vec<(&'static str, Vec<u8>, &'static str)> {
    let nested = |levels: usize| "[".repeat(levels) + &"]".repeat(levels);
    let good = || filed("PAR-000999").to_string();
    let with = |member: &str, value: &str| {
        let mut ticket = filed("PAR-000999");
        ticket["body"][member] = json!("PLACE");
        ticket.to_string().replace("\"PLACE\"", value)
    };
    let envelope = |member: &str, value: &str| {
        let mut ticket = filed("PAR-000999");
        ticket[member] = json!("PLACE");
        ticket.to_string().replace("\"PLACE\"", value)
    };
    let twice = good().replacen('{', "{\"kind\":\"comment_added\",", 1);
    let by_position = format!(
        "[{:?},\"2026-11-21T09:12:00.250Z\",[\"marie\"],\"ticket_filed\",{}]",
        new_id(),
        filed("PAR-000999")["body"]
    );
    #[rustfmt::skip]
    let odd: Vec<(&str, String, &str)> = vec![
        ("an empty object", "{}".into(), "malformed"), ("null", "null".into(), "malformed"), ("a string", "\"text\"".into(), "malformed"),
        ("an array", "[]".into(), "malformed"), ("a number", "-0.0e-0".into(), "malformed"), ("true", "true".into(), "malformed"),
        ("a number beyond numbers", "1e999999".into(), "malformed"), ("many digits", "9".repeat(90_000), "malformed"),
        ("nested deeply", nested(40_000), "malformed"), ("nested more deeply than is allowed", nested(100_000), "malformed"),
        ("a body nested deeply", with("subject", &nested(40_000)), "malformed"),
        ("a member twice", twice, "malformed"), ("fields by position", by_position, "malformed"),
        ("a lone surrogate", with("subject", r#""\ud800""#), "malformed"), ("a half pair", with("subject", r#""\udc00\ud800""#), "malformed"),
        ("a number for text", with("subject", "1e999999"), "malformed"), ("a priority of its own", with("priority", r#""whenever""#), "malformed"),
        ("an id that is none", envelope("id", r#""x""#), "malformed"), ("a time that is none", envelope("at", r#""yesterday""#), "malformed"),
        ("a time beyond time", envelope("at", r#""99999-01-01T00:00:00Z""#), "malformed"), ("a kind that is a list", envelope("kind", "[]"), "malformed"),
        ("a NUL", with("subject", r#""a\u0000b""#), "invalid_field"), ("an escape", with("description", r#""\u001b[31m\u009b31m""#), "invalid_field"),
        ("a blank", with("subject", r#"" ""#), "invalid_field"), ("a long text", with("description", &format!("\"{}\"", "x".repeat(16_001))), "invalid_field"),
        ("a suffix", with("number", r#""PAR-000999-2""#), "invalid_field"), ("no contact", with("contact", "{}"), "invalid_field"),
        ("a kind from the future", envelope("kind", r#""ticket_imagined""#), "unknown_kind"), ("a kind of 80 kB", envelope("kind", &format!("\"{}\"", "k".repeat(80_000))), "unknown_kind"),
        ("no kind", envelope("kind", r#""""#), "unknown_kind"), ("another branch's number", filed("LYN-000001").to_string(), "foreign_number"),
        ("another agent's number", filed("PAR2-000001").to_string(), "foreign_number"), ("a number of no branch", filed("ZZZZZZZZ-4294967295").to_string(), "foreign_number"),
        ("more bytes than are allowed", with("description", &format!("\"{}\"", "x".repeat(limits::OPERATION_BYTES))), "malformed"),
    ];
    odd.into_iter()
        .map(|(name, bytes, code)| (name, bytes.into_bytes(), code))
        .collect()
}

#[test]
fn operations_that_are_none_take_their_place_with_a_verdict() {
    let mut target = Target::start();
    for (name, bytes, code) in odd_operations() {
        // Between two good ones, which both take effect.
        let (before, after) = (
            target.evil.ticket().to_string(),
            target.evil.ticket().to_string(),
        );
        let first = target.evil.at.seq.0 + 1;
        let verdicts = target
            .evil
            .submit(&[before.as_bytes(), &bytes, after.as_bytes()], name);
        assert_eq!(verdicts.len(), 1, "{name}: {verdicts:?}");
        assert_eq!(verdicts[0]["seq"], first + 1, "{name}: {verdicts:?}");
        assert_eq!(verdicts[0]["verdict"], "rejected", "{name}: {verdicts:?}");
        assert_eq!(verdicts[0]["reason"]["code"], code, "{name}: {verdicts:?}");
        let detail = verdicts[0]["reason"]["detail"].as_str().expect("a detail");
        assert!(
            detail.chars().count() <= limits::DETAIL_CHARS,
            "{name}: {detail}"
        );
        target.assert_unharmed(name);
    }
    // All of them once more in a stream of its own: repeats change nothing where an id could be read.
    let all = odd_operations();
    let all: Vec<&[u8]> = all.iter().map(|(_, bytes, _)| bytes.as_slice()).collect();
    let verdicts = target.evil.submit(&all, "all at once");
    assert_eq!(verdicts.len(), all.len());
    target.assert_holds(target.evil.serial as usize);
    let feed = target
        .evil
        .ask(&target.evil.request("GET", "/v1/feed?after=&wait=0"));
    assert_eq!(feed.status, 200, "{:.300}", feed.text());
    target.assert_unharmed("all at once");
}

#[test]
fn another_branchs_ticket_is_answered_as_one_that_does_not_exist() {
    let mut target = Target::start();
    let theirs = target.good.ticket();
    target
        .good
        .submit(&[theirs.to_string().as_bytes()], "a ticket");
    let nobodys = new_id();
    let attack = |target: &mut Target, kind: &str, ticket: &Value| {
        let body = match kind {
            "comment_added" => json!({ "ticket": ticket, "text": "Hello" }),
            "ticket_withdrawn" => json!({ "ticket": ticket, "reason": "Because" }),
            _ => json!({ "ticket": ticket, "name": "a.txt", "size": 1, "root": "0".repeat(64) }),
        };
        let operation = operation(kind, body).to_string();
        let mut verdicts = target.evil.submit(&[operation.as_bytes()], kind);
        assert_eq!(verdicts.len(), 1, "{kind}: {verdicts:?}");
        verdicts.remove(0)["reason"].take()
    };
    for kind in ["comment_added", "ticket_withdrawn", "file_attached"] {
        let on_theirs = attack(&mut target, kind, &theirs["id"]);
        assert_eq!(on_theirs["code"], "unknown_ticket", "{on_theirs}");
        assert_eq!(
            on_theirs,
            attack(&mut target, kind, &json!(nobodys)),
            "{kind}"
        );
    }
    // The same id again, by another agent of another branch: the first keeps it.
    let mut stolen = filed("PAR-000001");
    stolen["id"] = theirs["id"].clone();
    let verdicts = target
        .evil
        .submit(&[stolen.to_string().as_bytes()], "a stolen id");
    assert_eq!(verdicts[0]["reason"]["code"], "id_taken", "{verdicts:?}");
    let number = theirs["body"]["number"].as_str().expect("a number");
    let shown = succeeded(&target.central.cli(&["tickets", "show", number, "--json"]));
    let shown: Value = serde_json::from_str(&shown).expect("JSON");
    assert_eq!(
        (&shown["state"], &shown["comments"]),
        (&json!("open"), &json!([]))
    );
    target.assert_unharmed("others' tickets");
}

/// Submits with this health, and lists agents as IT does.
fn assert_listed_with(target: &mut Target, health: &Value) {
    let mut body: Value = serde_json::from_slice(&target.evil.body(&[])).expect("JSON");
    body["health"] = health.clone();
    body["cursor"] = json!("c".repeat(100_000));
    let answer = target.evil.post(body.to_string());
    assert_eq!(answer.status, 200, "{health:.200}: {}", answer.text());
    for args in [vec!["branch", "list"], vec!["branch", "list", "--json"]] {
        let listed = succeeded(&target.central.cli(&args));
        assert!(listed.len() < 4_000, "{args:?}: {} bytes", listed.len());
        assert!(
            !listed.contains(['\u{1b}', '\u{9b}', '\u{202e}']),
            "{args:?}: {listed}"
        );
    }
    target.assert_unharmed("absurd health");
}

/// What an agent says of itself is anything at all, and IT's listings survive it.
#[test]
fn absurd_health_is_kept_within_bounds_and_can_be_listed() {
    let mut target = Target::start();
    let most = u64::MAX;
    let noise = format!("\u{1b}[31m\u{9b}\u{202e}{}", "v".repeat(200_000));
    for clock in [i64::MIN, -1, 0, i64::MAX] {
        let counts = json!({ "version": "", "clock": clock, "waiting": most, "disk_free": most, "damaged": most });
        assert_listed_with(&mut target, &counts);
        let noisy = json!({ "version": noise, "clock": clock, "waiting": 1, "oldest_waiting": clock / 100_000, "newer": [1] });
        assert_listed_with(&mut target, &noisy);
    }
}

#[test]
fn times_beyond_time_can_be_listed() {
    let mut target = Target::start();
    for oldest in [i64::MAX, i64::MIN, 253_402_300_800_000] {
        let health = json!({ "version": "x", "clock": 0, "waiting": 1, "oldest_waiting": oldest });
        assert_listed_with(&mut target, &health);
    }
}

#[test]
fn submissions_beyond_a_bound_are_refused_and_those_at_it_taken() {
    let mut target = Target::start();
    let most: Vec<&[u8]> = vec![b"0"; limits::SUBMISSION_OPERATIONS];
    let verdicts = target.evil.submit(&most, "as many as are allowed");
    assert_eq!(verdicts.len(), most.len());
    let more: Vec<&[u8]> = vec![b"0"; limits::SUBMISSION_OPERATIONS + 1];
    assert_problem(
        &target.evil.post(target.evil.body(&more)),
        413,
        "too-large",
        "one more",
    );
    let many: Vec<&[u8]> = vec![b"0"; 900_000];
    assert_problem(
        &target.evil.post(target.evil.body(&many)),
        413,
        "too-large",
        "very many",
    );

    let padding = |bytes: usize| vec![b' '; bytes];
    let whole = target.evil.body(&[]);
    let at_bound = [
        whole.clone(),
        padding(limits::SUBMISSION_BYTES - whole.len()),
    ]
    .concat();
    assert_eq!(target.evil.post(at_bound.clone()).status, 200);
    let beyond = [at_bound.as_slice(), b" "].concat();
    let post = || target.evil.request("POST", OPERATIONS);
    let coded = post().header("Transfer-Encoding", "chunked");
    let huge = padding(32 << 20);
    for (attack, request) in [
        ("one byte more", post().json(beyond.clone())),
        (
            "one byte more in chunks",
            coded.clone().json(chunked(&beyond, 60_000)),
        ),
        ("32 MiB", post().json(huge.clone())),
        ("32 MiB in chunks", coded.json(chunked(&huge, 1 << 20))),
        (
            "a claim",
            post().header("Content-Length", "9000000000").json(""),
        ),
    ] {
        assert_problem(&target.evil.ask(&request), 413, "too-large", attack);
        target.good.assert_served(attack);
    }
    target.assert_unharmed("bounds");
}

/// A zstd frame of so many zeros, written by hand: blocks of 128 KiB that say "this byte, repeated",
/// under a window of two to this power.
fn zstd_zeros(bytes: u64, window_log: u8) -> Vec<u8> {
    const BLOCK: u32 = 128 * 1024;
    let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0x00, (window_log - 10) << 3];
    let blocks = bytes / u64::from(BLOCK);
    for block in 1..=blocks {
        let header = (BLOCK << 3) | (1 << 1) | u32::from(block == blocks);
        frame.extend_from_slice(&header.to_le_bytes()[..3]);
        frame.push(b' ');
    }
    frame
}

#[test]
fn bombs_and_broken_packing_are_refused_in_bounded_memory() {
    let mut target = Target::start();
    let pack = |bytes: &[u8]| zstd::bulk::compress(bytes, 3).expect("pack");
    let whole = target.evil.body(&[]);
    let packed = pack(&whole);
    let flipped: Vec<u8> = packed.iter().rev().copied().collect();
    // A skippable frame, which unpacks to nothing.
    let skippable = [
        &0x184d_2a50_u32.to_le_bytes()[..],
        &4_u32.to_le_bytes(),
        b"skip",
    ]
    .concat();
    let twice = pack(&packed);
    let two_halves = [pack(&whole[..40]), pack(&whole[40..])].concat();
    let attacks: Vec<(&str, Vec<u8>, u16)> = vec![
        ("ten gibibytes", zstd_zeros(10 << 30, 23), 413),
        (
            "ten gibibytes behind a submission",
            [packed.clone(), zstd_zeros(10 << 30, 23)].concat(),
            413,
        ),
        ("a bomb of many frames", packed.repeat(20_000), 413),
        ("a window of 2 GiB", zstd_zeros(1 << 20, 31), 400),
        (
            "four mebibytes that say so",
            pack(&vec![b' '; 4 << 20]),
            413,
        ),
        ("nothing", Vec::new(), 400),
        ("no zstd", whole.clone(), 400),
        ("cut off", packed[..packed.len() - 3].to_vec(), 400),
        ("damaged", flipped, 400),
        ("a tail", [packed.clone(), b"tail".to_vec()].concat(), 400),
        ("a frame to skip", skippable.clone(), 400),
        ("packed twice", twice, 400),
        ("two halves", two_halves, 200),
        (
            "a frame to skip before it",
            [skippable, packed].concat(),
            200,
        ),
    ];
    for (attack, body, status) in attacks {
        let request = target
            .evil
            .request("POST", OPERATIONS)
            .header("Content-Encoding", "zstd");
        let answer = target.evil.ask(&request.json(body));
        assert_eq!(answer.status, status, "{attack}: {:.300}", answer.text());
        if status != 200 {
            answer.problem();
        }
        target.assert_unharmed(attack);
    }
    let peak = peak_memory(target.central.pid());
    println!("central took {peak} bytes at most");
    assert!(peak < 128 << 20, "central took {peak} bytes");
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

#[test]
fn absurd_cursors_and_waits_are_bounded() {
    let mut target = Target::start();
    let feed = |target: &Target, query: &str| {
        target
            .evil
            .ask(&target.evil.request("GET", &format!("/v1/feed?{query}")))
    };
    for query in [
        "wait=-1",
        "wait=1.5",
        "wait=x",
        "wait=18446744073709551616",
        "wait=",
        "after=a&after=b",
    ] {
        assert_problem(&feed(&target, query), 400, "malformed", query);
    }
    let long = "9".repeat(20_000);
    for after in [
        "",
        "0",
        "-",
        "x",
        "18446744073709551615-0123456789abcdef",
        "99999999999999999999-x",
        "1-",
        "%00",
        "%ff",
        "1-%F0%9F%96%A8",
        "%0d%0aX:y",
        "' OR 1=1 --",
        &long,
    ] {
        let after = after.replace(' ', "%20");
        let answer = feed(&target, &format!("after={after}"));
        assert_eq!(answer.status, 200, "{after:.60}: {}", answer.text());
        let cursor = answer.json()["cursor"]
            .as_str()
            .expect("a cursor")
            .to_owned();
        assert!(
            cursor.len() <= limits::CURSOR_BYTES,
            "{after:.60}: {cursor:.80}"
        );
    }
    target.assert_unharmed("absurd cursors");
}

/// What is not a request cannot be answered as one: a bare 4xx or a closed connection will do.
#[test]
fn what_is_not_http_is_dropped_and_nobody_else_notices() {
    let mut target = Target::start();
    let authorized = format!(
        "{VERSION}: 1\r\nAuthorization: {}\r\nContent-Type: application/json",
        target.evil.bearer()
    );
    let body = text(&target.evil.body(&[]));
    let post = |headers: &str, rest: &str| {
        format!(
            "POST {OPERATIONS} HTTP/1.1\r\nHost: x\r\n{authorized}\r\n{headers}\r\n\r\n{body}{rest}"
        )
        .into_bytes()
    };
    let many: String = (0..100).map(|n| format!("X-{n}: y\r\n")).collect();
    let long = "a".repeat(1 << 20);
    let length = body.len();
    let smuggled = "\r\n0\r\n\r\nGET /livez HTTP/1.1\r\nHost: x\r\n\r\n";
    let attacks: Vec<(&str, Vec<u8>)> = vec![
        ("nothing", Vec::new()),
        (
            "random bytes",
            (0..20_000).map(|_| fastrand::u8(..)).collect(),
        ),
        (
            "TLS",
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(),
        ),
        ("HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec()),
        (
            "an endless target",
            format!("GET /{long} HTTP/1.1\r\n\r\n").into(),
        ),
        (
            "an endless header",
            format!("GET /livez HTTP/1.1\r\nX: {long}\r\n\r\n").into(),
        ),
        (
            "many headers",
            format!("GET /livez HTTP/1.1\r\n{many}\r\n").into(),
        ),
        (
            "a longer body than announced",
            post(&format!("Content-Length: {}", length - 5), ""),
        ),
        (
            "a body that breaks off",
            post(&format!("Content-Length: {}", length + 5), ""),
        ),
        (
            "two lengths",
            post(
                &format!("Content-Length: {length}\r\nContent-Length: 5"),
                "",
            ),
        ),
        ("a negative length", post("Content-Length: -1", "")),
        ("chunks of no size", post("Transfer-Encoding: chunked", "")),
        (
            "a length and chunks",
            post(
                &format!("Transfer-Encoding: chunked\r\nContent-Length: {length}"),
                smuggled,
            ),
        ),
    ];
    for (attack, bytes) in attacks {
        let mut connection = Connection::open(&target.evil.place).expect("connect");
        let sent = connection.send(&bytes);
        let _ = connection.close_sending();
        match connection.rest() {
            Ok(said) => {
                let said = text(&said);
                assert!(
                    !said.contains("200 OK") && !said.contains("live"),
                    "{attack}: {said}"
                );
            }
            Err(fault) => assert!(is_end(&fault), "{attack}: {fault} ({sent:?})"),
        }
        target.assert_unharmed(attack);
    }
    target.evil.assert_served("what is not HTTP");
    target.assert_holds(1);
}

/// Slow and silent senders are let go in bounded time while a good agent is served throughout.
#[test]
fn slow_senders_are_let_go_and_delay_nobody() {
    let mut target = Target::start();
    let started = Instant::now();
    let place = target.evil.place.clone();
    let open = |bytes: &[u8]| {
        let mut connection = Connection::open(&place).expect("connect");
        connection.send(bytes).expect("send");
        connection
    };
    let post = target
        .evil
        .request("POST", OPERATIONS)
        .header("Content-Type", "application/json");
    let announced = post.clone().header("Content-Length", "1000000").to_bytes();
    let in_chunks = [
        post.header("Transfer-Encoding", "chunked").to_bytes(),
        b"5\r\n{\"str".to_vec(),
    ]
    .concat();
    let mut stalled: Vec<Connection> = (0..100).map(|_| open(&announced)).collect();
    stalled.extend((0..20).map(|_| open(&in_chunks)));
    let silent: Vec<Connection> = (0..100).map(|_| open(b"")).collect();
    // The longest wait that can be asked for ends too.
    let feed = "/v1/feed?wait=18446744073709551615";
    let waiting = target.evil.request("GET", feed).to_bytes();
    let waiting: Vec<Connection> = (0..100).map(|_| open(&waiting)).collect();
    let in_headers: Vec<Connection> = (0..100)
        .map(|_| open(b"POST /v1/operations HTTP/1.1\r\nX: "))
        .collect();
    let mut trickling = open(&announced);
    let trickle = std::thread::spawn(move || {
        while trickling.send(b" ").is_ok() {
            std::thread::sleep(Duration::from_millis(100));
        }
        trickling.answer().map(|answer| answer.status)
    });
    while !trickle.is_finished() {
        let asked = Instant::now();
        target.assert_unharmed("slow senders");
        assert!(
            asked.elapsed() < Duration::from_secs(5),
            "{:?}",
            asked.elapsed()
        );
        assert!(
            started.elapsed() < Duration::from_secs(60),
            "a trickle is never given up"
        );
    }
    let answered = trickle.join().expect("the thread ends");
    assert!(matches!(answered, Ok(408)) || answered.is_err_and(|fault| is_end(&fault)));
    for mut connection in stalled {
        assert_problem(
            &connection.answer().expect("an answer"),
            408,
            "too-slow",
            "a stalled body",
        );
    }
    for mut connection in silent.into_iter().chain(in_headers) {
        let said = text(&connection.rest().expect("it is closed"));
        assert!(
            said.is_empty() || said.starts_with("HTTP/1.1 408"),
            "{said}"
        );
    }
    for mut connection in waiting {
        assert_eq!(connection.answer().expect("the wait ends").status, 200);
    }
    assert!(
        started.elapsed() < Duration::from_secs(60),
        "{:?}",
        started.elapsed()
    );
    let open_files = || {
        let folder = format!("/proc/{}/fd", target.central.pid());
        std::fs::read_dir(folder).expect("read /proc").count()
    };
    wait_for("the connections to be gone", || {
        (open_files() < 60).then_some(())
    });
    target.assert_unharmed("slow senders that are gone");
}

/// Plain HTTP for other machines would carry tickets and secrets unprotected.
#[test]
fn central_does_not_listen_where_other_machines_can_reach_it() {
    let sandbox = sandbox();
    let central = Central::init(sandbox.path());
    let refused = |output: std::process::Output, what: &str| {
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{what}: {said}");
        assert!(
            said.contains("other machines") && said.contains("(fix the input)"),
            "{what}: {said}"
        );
    };
    for address in [
        "0.0.0.0:0",
        "[::]:0",
        "192.0.2.1:8470",
        "[::ffff:192.0.2.1]:0",
        "[fe80::1]:0",
    ] {
        refused(central.cli(&["serve", "--listen", address]), address);
        let mut command = Command::new(binary("branchline-server"));
        command.arg("--data-dir").arg(central.folder()).arg("serve");
        command.env("BRANCHLINE_SERVER_LISTEN", address);
        refused(command.output().expect("run"), address);
    }
    std::fs::write(
        central.folder().join("server.toml"),
        "listen = \"0.0.0.0:0\"\n",
    )
    .expect("write");
    refused(central.cli(&["serve"]), "server.toml");
}
