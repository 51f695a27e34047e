//! A branch's agent as the tests of this crate need it: it makes operations and submissions, and
//! knows its stream as a journal would.

use std::path::Path;
use std::sync::{Arc, LazyLock};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use branchline_protocol::chain::Position;
use branchline_protocol::enrolment::Der;
use branchline_protocol::exchange::{Continues, Health};
use branchline_protocol::id::{
    AgentId, BranchCode, Digest, OperationId, StreamId, TicketId, TicketNumber,
};
use branchline_protocol::operation::{
    Body, CommentAdded, Contact, FileAttached, Operation, Priority, Reporter, TicketFiled,
    TicketWithdrawn,
};
use branchline_protocol::time::UnixMillis;

use crate::authority::{self, Authority};
use crate::config;
use crate::ledger::{Acknowledged, AgentRecord, Append, Appended, Batch, Ledger, NewAgent, now};

/// A time at the branch.
pub(crate) const FILED_AT: &str = "2026-11-21T09:12:00.250+01:00";

#[derive(Debug, Clone)]
pub(crate) struct TestAgent {
    pub(crate) id: AgentId,
    pub(crate) branch: BranchCode,
    pub(crate) ordinal: u16,
    pub(crate) stream: StreamId,
    pub(crate) continues: Option<Continues>,
    pub(crate) cursor: Option<String>,
    /// The stream's operations so far, whether submitted or not.
    pub(crate) journal: Vec<Vec<u8>>,
}

/// An id made of a word, so that failures read well and runs repeat.
fn bytes_of(word: &str) -> [u8; 10] {
    let mut bytes = [0; 10];
    bytes.copy_from_slice(&blake3::hash(word.as_bytes()).as_bytes()[..10]);
    bytes
}

pub(crate) fn operation_id(word: &str) -> OperationId {
    OperationId::from_parts(1_700_000_000_000, bytes_of(word))
}

pub(crate) fn stream_id(word: &str) -> StreamId {
    StreamId::from_parts(1_700_000_000_000, bytes_of(word))
}

fn encode(word: &str, body: Body) -> Vec<u8> {
    Operation {
        id: operation_id(word),
        at: FILED_AT.parse().unwrap(),
        by: Reporter {
            user: "j.martin".into(),
        },
        body,
    }
    .encode()
}

pub(crate) fn unknown_kind(word: &str) -> Vec<u8> {
    let id = operation_id(word);
    format!(r#"{{"id":"{id}","at":"{FILED_AT}","by":{{"user":"x"}},"kind":"dance","body":7}}"#)
        .into_bytes()
}

pub(crate) fn comment(word: &str, on: &str) -> Vec<u8> {
    let ticket = TicketId::from(operation_id(on));
    let text = format!("More on {on}");
    encode(word, Body::CommentAdded(CommentAdded { ticket, text }))
}

pub(crate) fn attachment(word: &str, on: &str, size: u64, root: Digest) -> Vec<u8> {
    let body = FileAttached {
        ticket: TicketId::from(operation_id(on)),
        name: format!("{word}.pdf"),
        size,
        root,
    };
    encode(word, Body::FileAttached(body))
}

pub(crate) fn withdrawal(word: &str, of: &str) -> Vec<u8> {
    let body = TicketWithdrawn {
        ticket: TicketId::from(operation_id(of)),
        reason: Some("solved itself".into()),
    };
    encode(word, Body::TicketWithdrawn(body))
}

/// The authority of all tests.
pub(crate) fn authority() -> Arc<Authority> {
    static MADE: LazyLock<Arc<Authority>> = LazyLock::new(|| {
        let folder = tempfile::tempdir().unwrap();
        new_authority(folder.path())
    });
    MADE.clone()
}

/// Another one. What it needs it has read by now.
pub(crate) fn new_authority(folder: &Path) -> Arc<Authority> {
    let folder = folder.join(authority::FOLDER);
    let names = ["localhost".to_owned()];
    Authority::init(&folder, &names, now()).unwrap();
    let (tls, settings) = (config::Tls::default(), config::Authority::default());
    Authority::open(&folder, &tls, &settings).unwrap()
}

impl TestAgent {
    /// Registers the next agent of a branch.
    pub(crate) async fn register(ledger: &dyn Ledger, branch: &str) -> Self {
        let branch: BranchCode = branch.parse().unwrap();
        let mut random = [0; 10];
        getrandom::fill(&mut random).unwrap();
        let registered = ledger
            .register_agent(NewAgent {
                id: AgentId::from_parts(1_700_000_000_000, random),
                branch: branch.clone(),
                branch_name: None,
                at: now(),
            })
            .await
            .unwrap();
        Self::of(&registered)
    }

    /// The agent of a record.
    pub(crate) fn of(record: &AgentRecord) -> Self {
        Self {
            id: record.id,
            branch: record.branch.clone(),
            ordinal: record.ordinal,
            stream: stream_id(&format!("{} 1", record.id)),
            continues: None,
            cursor: None,
            journal: Vec::new(),
        }
    }

    /// A certificate of its own by the authority of all tests, as a proxy passes it on. No ledger has
    /// heard of it.
    pub(crate) fn passed_on(&self) -> String {
        let key = rcgen::KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::new(Vec::new()).unwrap();
        let request = params.serialize_request(&key).unwrap();
        let request = Der::new(request.der().to_vec()).unwrap();
        let request = Authority::read_request(&request).unwrap();
        let record = AgentRecord {
            id: self.id,
            branch: self.branch.clone(),
            ordinal: self.ordinal,
            registered_at: now(),
            revoked_at: None,
            certificate_until: None,
            trust: None,
            contact: None,
            refused: None,
        };
        let issued = authority().issue(&request, &record, now()).unwrap();
        format!(":{}:", STANDARD.encode(issued.chain[0].as_bytes()))
    }

    /// The position after the journal's first `count` operations.
    pub(crate) fn position(&self, count: usize) -> Position {
        self.journal
            .iter()
            .take(count)
            .fold(Position::genesis(self.stream), |at, bytes| at.then(bytes))
    }

    pub(crate) fn number(&self, serial: u32) -> TicketNumber {
        TicketNumber::given(self.branch.clone(), self.ordinal, serial)
    }

    pub(crate) fn ticket(&self, word: &str, serial: u32) -> Vec<u8> {
        encode(
            word,
            Body::TicketFiled(TicketFiled {
                number: self.number(serial),
                subject: format!("About {word}"),
                description: "It does not work.\nAt all.".into(),
                category: "hardware".into(),
                priority: Priority::High,
                contact: Contact {
                    name: Some("Jeanne".into()),
                    ..Contact::default()
                },
                asset: None,
            }),
        )
    }

    /// Adds a ticket for each of these words, with serials from `serial` on.
    pub(crate) fn file(&mut self, words: &[&str], serial: u32) {
        for (word, serial) in words.iter().zip(serial..) {
            self.journal.push(self.ticket(word, serial));
        }
    }

    /// The submission of the operations `from` to `to` (exclusive) of the journal.
    pub(crate) fn submission(&self, from: usize, to: usize) -> Append {
        let mut body = Vec::new();
        let mut bounds = Vec::new();
        for operation in &self.journal[from..to] {
            let start = body.len();
            body.extend_from_slice(operation);
            bounds.push(start..body.len());
        }
        Append {
            agent: self.id,
            stream: self.stream,
            continues: self.continues,
            after: self.position(from),
            operations: Batch::new(body.into(), bounds),
            cursor: self.cursor.clone(),
            health: Health {
                version: "0.1.0".into(),
                clock: UnixMillis(now().0 + 90_000),
                waiting: self.journal.len() as u64,
                ..Health::default()
            },
            received_at: now(),
        }
    }

    pub(crate) async fn append(&self, ledger: &dyn Ledger, from: usize, to: usize) -> Appended {
        ledger.append(self.submission(from, to)).await.unwrap()
    }

    /// Submits those operations, and sees them held.
    pub(crate) async fn submit(&self, ledger: &dyn Ledger, from: usize, to: usize) -> Acknowledged {
        match self.append(ledger, from, to).await {
            Appended::Held(held) => {
                assert_eq!(held.acknowledged, self.position(to), "not all acknowledged");
                held
            }
            other => panic!("not held: {other:?}"),
        }
    }

    pub(crate) async fn submit_all(&self, ledger: &dyn Ledger) -> Acknowledged {
        self.submit(ledger, 0, self.journal.len()).await
    }

    /// The same agent with a new stream.
    pub(crate) fn forked(&self, word: &str, continues: Option<Continues>) -> Self {
        Self {
            stream: stream_id(word),
            continues,
            journal: Vec::new(),
            ..self.clone()
        }
    }
}
