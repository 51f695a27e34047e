//! The local API under attack: bad JSON, bad texts, bad framing, bad manners. Whatever comes, the
//! answer is a problem document that says what to do, nothing of it is saved, and filing goes on.

mod manners;
mod routes;
mod texts;

use harness::processes::{Branch, Central, sandbox};
use harness::raw_http::{Answer, Connection, Place, Request};
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

fn emoji(count: usize) -> String {
    "\u{1f5a8}".repeat(count)
}
