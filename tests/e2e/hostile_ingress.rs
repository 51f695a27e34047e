//! Central's ingress under attack, over real connections: false certificates, other agents' streams,
//! operations that are none, bombs, floods and slow senders. Whatever comes, the answer is typed,
//! nobody else's stream moves, memory stays bounded, and the next good submission is taken.

mod content;
mod crowds;
mod identity;
mod size_and_pace;
mod smuggling;

use branchline_protocol::chain::Position;
use branchline_protocol::exchange::{Health, SubmissionHead, encode_submission};
use branchline_protocol::id::StreamId;
use harness::identity::Member;
use harness::processes::{Central, sandbox, succeeded};
use harness::raw_http::{Answer, Place, Request};
use serde_json::{Value, json};
use tempfile::TempDir;

pub(crate) const OPERATIONS: &str = "/v1/operations";
pub(crate) const VERSION: &str = "Branchline-Protocol";

/// A client that speaks for one agent, by hand.
pub(crate) struct Agent {
    pub(crate) place: Place,
    pub(crate) code: String,
    pub(crate) id: String,
    pub(crate) member: Member,
    pub(crate) stream: StreamId,
    pub(crate) at: Position,
    pub(crate) serial: u32,
}

impl Agent {
    pub(crate) fn register(central: &Central, code: &str) -> Self {
        let member = central.enrol_by_hand(code);
        let stream =
            StreamId::from_parts(1_790_000_000_000, std::array::from_fn(|_| fastrand::u8(..)));
        Self {
            place: member.place(central.address),
            code: code.to_owned(),
            id: member.reply.agent.to_string(),
            member,
            stream,
            at: Position::genesis(stream),
            serial: 0,
        }
    }

    /// Where nobody says who speaks.
    pub(crate) fn nobodys_place(&self) -> Place {
        let Place::Tls(address, _) = &self.place else {
            unreachable!("agents speak TLS");
        };
        Place::Tls(*address, self.member.client(None))
    }

    pub(crate) fn request(&self, method: &str, target: &str) -> Request {
        Request::new(method, target).header(VERSION, "1")
    }

    pub(crate) fn head(&self) -> SubmissionHead {
        SubmissionHead {
            stream: self.stream,
            continues: None,
            after: self.at,
            cursor: None,
            health: Health::default(),
        }
    }

    pub(crate) fn body(&self, operations: &[&[u8]]) -> Vec<u8> {
        encode_submission(&self.head(), operations)
    }

    pub(crate) fn post(&self, body: impl Into<Vec<u8>>) -> Answer {
        self.ask(&self.request("POST", OPERATIONS).json(body))
    }

    pub(crate) fn ask(&self, request: &Request) -> Answer {
        request.ask(&self.place).expect("central answers")
    }

    /// Submits operations that must all be taken, and gives the verdicts other than accepted.
    pub(crate) fn submit(&mut self, operations: &[&[u8]], what: &str) -> Vec<Value> {
        let answer = self.post(self.body(operations));
        assert_eq!(answer.status, 200, "{what}: {}", answer.text());
        let reply = answer.json();
        self.at = operations
            .iter()
            .fold(self.at, |at, operation| at.then(operation));
        assert_eq!(reply["acknowledged"], json!(self.at), "{what}: {reply}");
        reply["verdicts"].as_array().expect("verdicts").clone()
    }

    pub(crate) fn ticket(&mut self) -> Value {
        self.serial += 1;
        filed(&format!("{}-{:06}", self.code, self.serial))
    }

    /// A good ticket is still taken, accepted, with the verdicts of nobody else.
    pub(crate) fn assert_served(&mut self, attack: &str) {
        let ticket = self.ticket().to_string();
        assert_eq!(
            self.submit(&[ticket.as_bytes()], attack),
            Vec::<Value>::new(),
            "after {attack}"
        );
    }
}

pub(crate) fn new_id() -> String {
    let random = std::array::from_fn(|_| fastrand::u8(..));
    branchline_protocol::id::OperationId::from_parts(1_790_000_000_000, random).to_string()
}

pub(crate) fn operation(kind: &str, body: Value) -> Value {
    let at = "2026-11-21T09:12:00.250+01:00";
    json!({ "id": new_id(), "at": at, "by": { "user": "marie" }, "kind": kind, "body": body })
}

pub(crate) fn filed(number: &str) -> Value {
    operation(
        "ticket_filed",
        json!({
            "number": number, "subject": "Printer jams", "description": "Since this morning.",
            "category": "hardware", "priority": "normal", "contact": { "name": "Marie" },
        }),
    )
}

/// Central with an agent that behaves and one that does not.
pub(crate) struct Target {
    pub(crate) central: Central,
    pub(crate) good: Agent,
    pub(crate) evil: Agent,
    _sandbox: TempDir,
}

impl Target {
    pub(crate) fn start() -> Self {
        let sandbox = sandbox();
        let mut central = Central::init(sandbox.path());
        central.start();
        let good = Agent::register(&central, "LYN");
        let evil = Agent::register(&central, "PAR");
        let mut target = Self {
            central,
            good,
            evil,
            _sandbox: sandbox,
        };
        target.assert_unharmed("nothing yet");
        target
    }

    pub(crate) fn assert_unharmed(&mut self, attack: &str) {
        self.good.assert_served(attack);
        let log = self.central.log();
        assert!(!log.contains("panicked at"), "after {attack}: {log}");
    }

    /// Central holds the good agent's tickets, and so many of the other's.
    pub(crate) fn assert_holds(&self, of_evil: usize) {
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

pub(crate) fn assert_problem(answer: &Answer, status: u16, kind: &str, attack: &str) -> Value {
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

/// A zstd frame of so many zeros, written by hand: blocks of 128 KiB that say "this byte, repeated",
/// under a window of two to this power.
pub(crate) fn zstd_zeros(bytes: u64, window_log: u8) -> Vec<u8> {
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

pub(crate) fn peak_memory(pid: u32) -> u64 {
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
