//! Central's bulk lane under attack, over real connections: manifests that lie, frames that are cut, bent
//! or bombs, chunks that nobody announced, other branches' files, slow bodies. Whatever comes, the answer
//! is typed, nothing untrue is kept, tickets are taken, and the truth is accepted afterwards (P4, P6, P8).

mod bodies;
mod manifests;

use branchline_protocol::frame::{Encoding, Header, MAGIC, MEDIA_TYPE};
use branchline_protocol::manifest::ChunkRef;
use harness::processes::wait_for;
use harness::raw_http::{Answer, Request};
use serde_json::{Value, json};

use super::hostile_ingress::{Agent, Target, operation};

const MANIFESTS: &str = "/v1/manifests";
const CHUNKS: &str = "/v1/chunks";

/// A file that an agent has attached, cut into chunks.
pub(crate) struct Attached {
    id: String,
    root: String,
    chunks: Vec<Vec<u8>>,
}

impl Attached {
    fn size(&self) -> usize {
        self.chunks.iter().map(Vec::len).sum()
    }

    /// Its whole manifest.
    fn section(&self) -> Value {
        let chunks: Vec<ChunkRef> = self
            .chunks
            .iter()
            .map(|chunk| ChunkRef::of(chunk))
            .collect();
        json!({
            "file": self.id, "size": self.size(), "root": self.root, "count": chunks.len(),
            "from": 0, "chunks": chunks,
        })
    }

    /// The same with other members.
    fn section_with(&self, members: Value) -> Value {
        let mut section = self.section();
        for (name, value) in members.as_object().expect("an object") {
            section[name] = value.clone();
        }
        section
    }

    fn frames(&self) -> Vec<u8> {
        self.chunks.iter().flat_map(|chunk| frame(chunk)).collect()
    }

    fn body(&self) -> Vec<u8> {
        [&MAGIC[..], &self.frames()].concat()
    }
}

/// A good plain frame.
fn frame(chunk: &[u8]) -> Vec<u8> {
    framed(ChunkRef::of(chunk), Encoding::Plain, chunk)
}

/// A frame that says this of itself.
fn framed(chunk: ChunkRef, encoding: Encoding, stored: &[u8]) -> Vec<u8> {
    let header = Header {
        chunk,
        encoding,
        stored: u32::try_from(stored.len()).expect("a small chunk"),
    };
    [&header.encode()[..], stored].concat()
}

/// Bytes that no other chunk has.
fn noise(bytes: usize) -> Vec<u8> {
    std::iter::repeat_with(|| fastrand::u8(..))
        .take(bytes)
        .collect()
}

/// Attaches a file of these chunks to a new ticket.
fn attach(agent: &mut Agent, name: &str, chunks: Vec<Vec<u8>>) -> Attached {
    let content = chunks.concat();
    let root = blake3::hash(&content).to_hex().to_string();
    attach_as(agent, name, content.len() as u64, root, chunks)
}

/// The same with a size and a root that need not be true.
pub(crate) fn attach_as(
    agent: &mut Agent,
    name: &str,
    size: u64,
    root: String,
    chunks: Vec<Vec<u8>>,
) -> Attached {
    let ticket = agent.ticket();
    let members = json!({ "ticket": ticket["id"], "name": name, "size": size, "root": root });
    let attaching = operation("file_attached", members);
    let id = attaching["id"].as_str().expect("an id").to_owned();
    let (ticket, attaching) = (ticket.to_string(), attaching.to_string());
    let verdicts = agent.submit(&[ticket.as_bytes(), attaching.as_bytes()], name);
    assert_eq!(verdicts, Vec::<Value>::new(), "{name}");
    Attached { id, root, chunks }
}

fn announce_raw(agent: &Agent, body: impl Into<Vec<u8>>) -> Answer {
    agent.ask(&agent.request("POST", MANIFESTS).json(body))
}

/// Announces sections, and gives the standings.
fn announce(agent: &Agent, sections: &[Value]) -> Vec<Value> {
    let answer = announce_raw(agent, json!({ "files": sections }).to_string());
    assert_eq!(answer.status, 200, "{}", answer.text());
    let standings = answer.json()["files"].as_array().expect("files").clone();
    assert_eq!(standings.len(), sections.len());
    standings
}

fn chunks_request(agent: &Agent) -> Request {
    agent
        .request("POST", CHUNKS)
        .header("Content-Type", MEDIA_TYPE)
}

fn send(agent: &Agent, body: impl Into<Vec<u8>>) -> Answer {
    agent.ask(&chunks_request(agent).body(body))
}

/// Sends frames that must be answered, and gives the reply.
fn sent(agent: &Agent, body: impl Into<Vec<u8>>, what: &str) -> Value {
    let answer = send(agent, body);
    assert_eq!(answer.status, 200, "{what}: {}", answer.text());
    answer.json()
}

/// A file is announced, brought and received, as if nothing had happened, and what was attacked before
/// is as it must be.
pub(crate) fn assert_taken(agent: &Agent, file: &Attached, what: &str) {
    let standing = announce(agent, &[file.section()]).remove(0);
    if standing["standing"] != "received" {
        assert_eq!(standing["standing"], "wanted", "{what}: {standing}");
        let reply = sent(agent, file.body(), what);
        assert_eq!(reply["exceptions"], json!([]), "{what}: {reply}");
    }
    let standing = announce(agent, &[file.section()]).remove(0);
    assert_eq!(standing["standing"], "received", "{what}: {standing}");
}

/// The good agent's tickets and files are taken, nothing panicked, and the ledger is sound.
fn assert_unharmed(target: &mut Target, attack: &str) {
    target.assert_unharmed(attack);
    let chunks = vec![noise(20_000), noise(300)];
    let file = attach(&mut target.good, "good.bin", chunks);
    assert_taken(&target.good, &file, attack);
}

/// Every file that was received became what its bytes are, and the ledger's own checks hold.
fn assert_sound(target: &Target) {
    wait_for("inspection to come to rest", || {
        let files = target.central.files();
        let busy = ["received", "scanning"];
        let at_rest = files
            .iter()
            .all(|file| !busy.iter().any(|state| file["state"] == **state));
        at_rest.then_some(())
    });
    for file in target.central.files() {
        let name = file["name"].as_str().expect("a name");
        let state = file["state"].as_str().expect("a state");
        let good = match name.split('.').next().unwrap_or_default() {
            "good" => ["held", "clean"].contains(&state),
            "never" => ["waiting"].contains(&state),
            "false" => ["corrupt", "waiting"].contains(&state),
            other => panic!("not known how to judge {other}"),
        };
        assert!(good, "{name} is {state}");
    }
    let ledger = target.central.folder().join("ledger.db");
    let ledger = rusqlite::Connection::open(ledger).expect("open the ledger");
    let sound: String = ledger
        .query_row("PRAGMA integrity_check", [], |row| row.get(0))
        .expect("check the ledger");
    assert_eq!(sound, "ok");
    let broken = ledger
        .prepare("PRAGMA foreign_key_check")
        .expect("check the ledger")
        .exists([])
        .expect("check the ledger");
    assert!(!broken, "a row refers to one that is not there");
}
