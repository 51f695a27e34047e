//! Bad input to central's ingress, from somebody who speaks HTTP as he likes: typed refusals, nothing
//! changed, and a good agent served right after.

use std::net::SocketAddr;
use std::path::Path;

use branchline_protocol::chain::Position;
use branchline_protocol::exchange::{
    Credentials, FEED_PATH, Health, OPERATIONS_PATH, SubmissionHead, VERSION_HEADER,
    encode_submission,
};
use branchline_protocol::id::{OperationId, StreamId};
use harness::processes::{Branch, Central, sandbox, succeeded};
use harness::raw_http::{Answer, Place, Request};
use serde_json::Value;

/// A stranger with a registration, who makes his own submissions.
struct Attacker {
    central: SocketAddr,
    credentials: Credentials,
    stream: StreamId,
    head: Position,
}

fn random<const N: usize>() -> [u8; N] {
    std::array::from_fn(|_| fastrand::u8(..))
}

impl Attacker {
    fn join(sandbox: &Path, central: &Central, code: &str) -> Self {
        let registration = sandbox.join(format!("{code}-{}.toml", fastrand::u64(..)));
        central.add_branch(code, &registration);
        let text = std::fs::read_to_string(registration).unwrap();
        let field = |name: &str| {
            let line = text.lines().find(|line| line.starts_with(name)).unwrap();
            line.split('"').nth(1).unwrap().to_owned()
        };
        let secret: branchline_protocol::id::Digest = field("secret").parse().unwrap();
        let agent = field("agent").parse().unwrap();
        let stream = StreamId::from_parts(1_790_000_000_000, random());
        Self {
            central: central.address,
            credentials: Credentials {
                agent,
                secret: secret.0,
            },
            stream,
            head: Position::genesis(stream),
        }
    }

    fn request(&self, body: impl Into<Vec<u8>>) -> Request {
        Request::new("POST", OPERATIONS_PATH)
            .header("Authorization", &self.credentials.to_header())
            .header(VERSION_HEADER, "1")
            .json(body)
    }

    fn ask(&self, request: &Request) -> Answer {
        request
            .ask(&Place::Tcp(self.central))
            .expect("central answers")
    }

    fn body(&self, operations: &[&[u8]]) -> Vec<u8> {
        let head = SubmissionHead {
            stream: self.stream,
            continues: None,
            after: self.head,
            cursor: None,
            health: Health::default(),
        };
        encode_submission(&head, operations)
    }

    /// Submits one operation's bytes; follows the stream where central took it.
    fn submit(&mut self, operation: &[u8]) -> Answer {
        let answer = self.ask(&self.request(self.body(&[operation])));
        if answer.status == 200 {
            self.head = self.head.then(operation);
        }
        answer
    }

    /// The reason for which the one operation of the last submission was rejected.
    fn rejected(answer: &Answer) -> String {
        assert_eq!(answer.status, 200, "{}", answer.text());
        let verdict = &answer.json()["verdicts"][0];
        assert_eq!(verdict["verdict"], "rejected", "{}", answer.text());
        verdict["reason"]["code"].as_str().unwrap().to_owned()
    }
}

fn problem(answer: &Answer) -> String {
    let kind = answer.problem()["type"].as_str().unwrap().to_owned();
    kind.trim_start_matches("urn:branchline:problem:")
        .to_owned()
}

fn operation(kind: &str, body: &str) -> Vec<u8> {
    let id = OperationId::from_parts(1_790_000_000_000, random());
    let at = "2026-11-21T09:12:00.250+01:00";
    format!(r#"{{"id":"{id}","at":"{at}","by":{{"user":"marie"}},"kind":"{kind}","body":{body}}}"#)
        .into_bytes()
}

fn filed(number: &str) -> Vec<u8> {
    let body = format!(
        r#"{{"number":"{number}","subject":"s","description":"d","category":"c","priority":"low","contact":{{"name":"n"}}}}"#
    );
    operation("ticket_filed", &body)
}

async fn good_agent_is_served(sandbox: &Path, central: &Central) {
    let mut branch = Branch::join(sandbox, central, "GOOD", central.address);
    branch.start();
    branch.file("All is well").await;
    branch.wait_drained().await;
    central.assert_equal(&branch);
}

#[tokio::test]
async fn who_may_not_speak_is_told_why() {
    let sandbox = sandbox();
    let mut central = Central::init(sandbox.path());
    central.start();
    let attacker = Attacker::join(sandbox.path(), &central, "LYN");
    let own = attacker.credentials.to_header();
    let wrong_secret = Credentials {
        secret: random(),
        ..attacker.credentials.clone()
    }
    .to_header();
    let stranger = Credentials {
        agent: branchline_protocol::id::AgentId::from_parts(1, random()),
        secret: random(),
    };
    let cases = [
        (None, Some("1"), "unauthenticated"),
        (Some("Bearer x"), Some("1"), "unauthenticated"),
        (Some("Basic bWFyaWU6eA=="), Some("1"), "unauthenticated"),
        (
            Some(stranger.to_header().as_str()),
            Some("1"),
            "unknown-agent",
        ),
        (Some(wrong_secret.as_str()), Some("1"), "wrong-secret"),
        (Some(own.as_str()), None, "unsupported-version"),
        (Some(own.as_str()), Some("2"), "unsupported-version"),
        (Some(own.as_str()), Some("one"), "unsupported-version"),
    ]
    .map(|(given, version, expected)| {
        (
            given.map(str::to_owned),
            version.map(str::to_owned),
            expected,
        )
    });
    for (path, method) in [(OPERATIONS_PATH, "POST"), (FEED_PATH, "GET")] {
        for (credentials, version, expected) in &cases {
            let mut request = Request::new(method, path);
            if let Some(credentials) = credentials {
                request = request.header("Authorization", credentials);
            }
            if let Some(version) = version {
                request = request.header(VERSION_HEADER, version);
            }
            if method == "POST" {
                request = request.json(attacker.body(&[]));
            }
            let answer = attacker.ask(&request);
            assert_eq!(
                problem(&answer),
                *expected,
                "{path} {credentials:?} {version:?}"
            );
        }
    }
    good_agent_is_served(sandbox.path(), &central).await;
    let secrets = [own, wrong_secret, stranger.to_header()];
    assert!(
        !secrets
            .iter()
            .any(|secret| central.log().contains(&secret[44..])),
        "a secret is logged"
    );
}

#[tokio::test]
async fn another_branchs_stream_tickets_and_numbers_are_out_of_reach() {
    let sandbox = sandbox();
    let mut central = Central::init(sandbox.path());
    central.start();
    let mut victim = Attacker::join(sandbox.path(), &central, "NCE");
    let filing = filed("NCE-000001");
    assert_eq!(victim.submit(&filing).status, 200);
    let of_victim = serde_json::from_slice::<Value>(&filing).unwrap()["id"].clone();

    let mut attacker = Attacker::join(sandbox.path(), &central, "LYN");
    let own_stream = (attacker.stream, attacker.head);
    (attacker.stream, attacker.head) = (victim.stream, victim.head);
    let answer = attacker.submit(&filed("LYN-000001"));
    assert_eq!(
        (answer.status, problem(&answer).as_str()),
        (403, "foreign-stream")
    );
    (attacker.stream, attacker.head) = own_stream;

    for number in ["NCE-000002", "LYN2-000001"] {
        assert_eq!(
            Attacker::rejected(&attacker.submit(&filed(number))),
            "foreign_number"
        );
    }
    let of_nobody = format!("\"{}\"", OperationId::from_parts(1, random()));
    let mut said = Vec::new();
    for ticket in [of_victim.to_string(), of_nobody] {
        for (kind, rest) in [
            ("comment_added", r#","text":"x""#),
            ("ticket_withdrawn", ""),
        ] {
            let answer =
                attacker.submit(&operation(kind, &format!(r#"{{"ticket":{ticket}{rest}}}"#)));
            assert_eq!(Attacker::rejected(&answer), "unknown_ticket");
            said.push(answer.json()["verdicts"][0]["reason"].to_string());
        }
    }
    assert!(
        said.iter().all(|one| *one == said[0]),
        "ids tell something: {said:?}"
    );
    // A ticket with the victim's id: refused, and the victim's stays what it is.
    let stolen = String::from_utf8(filed("LYN-000009")).unwrap();
    let id = serde_json::from_str::<Value>(&stolen).unwrap()["id"].to_string();
    let stolen = stolen.replace(&id, &of_victim.to_string());
    assert_eq!(
        Attacker::rejected(&attacker.submit(stolen.as_bytes())),
        "id_taken"
    );

    let listed = succeeded(&central.cli(&["tickets", "list", "--json"]));
    assert!(
        listed.contains("NCE-000001") && !listed.contains("LYN-"),
        "{listed}"
    );
    assert_eq!(victim.submit(&filed("NCE-000002")).status, 200);
}

/// Whatever JSON stands in an operation's place takes its position with a verdict, or the request is
/// refused whole; the stream goes on either way.
#[tokio::test]
async fn oddities_in_an_operations_place_never_stop_the_stream() {
    let sandbox = sandbox();
    let mut central = Central::init(sandbox.path());
    central.start();
    let mut attacker = Attacker::join(sandbox.path(), &central, "LYN");
    let deep = [b"[".repeat(100_000), b"]".repeat(100_000)].concat();
    let deep_member = [b"{\"a\":".repeat(9_000), b"1".to_vec(), b"}".repeat(9_000)].concat();
    let large = operation("ticket_filed", &format!("\"{}\"", "x".repeat(96 * 1024)));
    let mut twice = filed("LYN-000001");
    twice.splice(1..1, br#""kind":"ticket_filed","#.iter().copied());
    let oddities: &[&[u8]] = &[
        b"null",
        b"true",
        b"7",
        b"1e999999",
        b"-0.0",
        b"\"text\"",
        b"\"\\ud800\"",
        b"[]",
        b"{}",
        b"{\"id\":null}",
        b"{ \"a\" : [ 1 , 2 ] }",
        &deep,
        &deep_member,
        &large,
        &twice,
        &operation("ticket_filed", "null"),
        &operation("ticket_filed", "[1,2,3]"),
        &operation("ticket_filed", r#"{"number":7}"#),
        &operation("", "{}"),
        &operation("\\u0000", "{}"),
        &operation("comment_added", r#"{"ticket":"not an id","text":"x"}"#),
    ];
    for (n, oddity) in oddities.iter().enumerate() {
        let shown = String::from_utf8_lossy(&oddity[..oddity.len().min(60)]).into_owned();
        let answer = attacker.submit(oddity);
        if answer.status == 200 {
            let code = Attacker::rejected(&answer);
            assert!(
                ["malformed", "unknown_kind"].contains(&code.as_str()),
                "{shown}: {code}"
            );
        } else {
            assert!(
                (400..500).contains(&answer.status),
                "{shown}: {}",
                answer.text()
            );
            problem(&answer);
        }
        let number = format!("LYN-{:06}", n + 100);
        let after = attacker.submit(&filed(&number));
        assert_eq!(after.status, 200, "after {shown}: {}", after.text());
        assert_eq!(
            after.json()["verdicts"],
            Value::Array(Vec::new()),
            "after {shown}"
        );
    }
    good_agent_is_served(sandbox.path(), &central).await;
}

#[tokio::test]
async fn bodies_beyond_their_bounds_cost_central_nothing() {
    let sandbox = sandbox();
    let mut central = Central::init(sandbox.path());
    central.start();
    let attacker = Attacker::join(sandbox.path(), &central, "LYN");
    let many = vec![&b"{}"[..]; 2_001];
    let answer = attacker.ask(&attacker.request(attacker.body(&many)));
    assert!([400, 413].contains(&answer.status), "{}", answer.text());
    assert!(
        answer.text().contains("2000") || answer.text().contains("2,000"),
        "{}",
        answer.text()
    );

    // 4 GiB of spaces in front of a submission, in a few hundred KiB.
    let spaces = vec![b' '; 1024 * 1024];
    let mut packer = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
    for _ in 0..4_096 {
        std::io::Write::write_all(&mut packer, &spaces).unwrap();
    }
    let bomb = packer.finish().unwrap();
    println!("a bomb of {} bytes", bomb.len());
    for (coding, body, expected) in [
        ("zstd", bomb.clone(), "too-large"),
        ("zstd", bomb[..bomb.len() / 2].to_vec(), "too-large"),
        ("zstd", b"not zstd at all".to_vec(), "malformed"),
        (
            "zstd",
            zstd::bulk::compress(&attacker.body(&[]), 3).unwrap()[..20].to_vec(),
            "malformed",
        ),
        ("br", attacker.body(&[]), "unsupported-media"),
        ("zstd, zstd", attacker.body(&[]), "unsupported-media"),
    ] {
        let answer = attacker.ask(&attacker.request(body).header("Content-Encoding", coding));
        assert_eq!(problem(&answer), expected, "{coding}: {}", answer.text());
    }
    let peak = peak_memory(central.pid());
    assert!(peak < 128 * 1024 * 1024, "central took {peak} bytes");

    for (body, expected) in [
        (b"{".to_vec(), "malformed"),
        (b"[]".to_vec(), "malformed"),
        (vec![0xff; 100], "malformed"),
        (br#"{"stream":7}"#.to_vec(), "malformed"),
        (vec![b' '; 3 * 1024 * 1024], "too-large"),
    ] {
        let answer = attacker.ask(&attacker.request(body));
        assert_eq!(problem(&answer), expected, "{}", answer.text());
    }
    good_agent_is_served(sandbox.path(), &central).await;
}

#[tokio::test]
async fn a_feed_is_asked_for_in_terms_that_make_sense() {
    let sandbox = sandbox();
    let mut central = Central::init(sandbox.path());
    central.start();
    let attacker = Attacker::join(sandbox.path(), &central, "LYN");
    let long = "1".repeat(65);
    for (query, status) in [
        ("?wait=0", 200),
        ("?after=&wait=0", 200),
        ("?after=0.0&wait=0", 200),
        ("?after=999999999.abcdef&wait=0", 200),
        ("?wait=-1", 400),
        ("?wait=soon", 400),
        (&format!("?after={long}&wait=0"), 400),
        ("?wait=99999999999999999999999", 400),
    ] {
        let request = Request::new("GET", &format!("{FEED_PATH}{query}"))
            .header("Authorization", &attacker.credentials.to_header())
            .header(VERSION_HEADER, "1");
        let answer = attacker.ask(&request);
        let class = answer.status / 100 * 100;
        assert!(
            class == status,
            "{query}: {} {}",
            answer.status,
            answer.text()
        );
    }
    good_agent_is_served(sandbox.path(), &central).await;
}

fn peak_memory(pid: u32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}
