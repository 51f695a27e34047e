//! Files as the contract's tests make them: chunks without bytes, for a ledger knows only their names.

use branchline_protocol::event::{Event, EventBody};
use branchline_protocol::file::FileState;
use branchline_protocol::frame::Encoding;
use branchline_protocol::id::{Digest, FileId};
use branchline_protocol::limits;
use branchline_protocol::manifest::{ChunkRef, Section, Standing};
use branchline_protocol::time::UnixMillis;
use uuid::Uuid;

use crate::ledger::{
    Announce, Announced, ChunkPlace, ChunksKept, DedupScope, FileRecord, KeepChunks, KeptChunk,
    Ledger, MoveFile, ObjectName, UploadBounds, now,
};
use crate::testing::{TestAgent, attachment, operation_id};

/// Bytes of every chunk here but the last of a file.
pub(crate) const CHUNK: u32 = limits::CHUNK_LEAST_BYTES;

/// Bounds that no test reaches.
pub(crate) const WIDE: UploadBounds = UploadBounds {
    scope: DedupScope::Organisation,
    agent_bytes: u64::MAX,
    agent_files: u64::MAX,
    file_bytes: u64::MAX,
};

/// A file by its chunks.
#[derive(Debug, Clone)]
pub(crate) struct TestFile {
    pub(crate) id: FileId,
    pub(crate) root: Digest,
    pub(crate) chunks: Vec<ChunkRef>,
}

pub(crate) fn chunk(name: &str) -> ChunkRef {
    ChunkRef(Digest(*blake3::hash(name.as_bytes()).as_bytes()), CHUNK)
}

pub(crate) fn object(name: &str) -> ObjectName {
    let hash = blake3::hash(name.as_bytes());
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hash.as_bytes()[..16]);
    ObjectName(Uuid::from_bytes(bytes))
}

impl TestFile {
    /// A file of chunks with these names.
    pub(crate) fn new(word: &str, chunks: &[&str]) -> Self {
        Self::of(word, chunks.iter().map(|name| chunk(name)).collect())
    }

    pub(crate) fn of(word: &str, chunks: Vec<ChunkRef>) -> Self {
        Self {
            id: operation_id(word).into(),
            root: Digest(*blake3::hash(format!("root of {word}").as_bytes()).as_bytes()),
            chunks,
        }
    }

    pub(crate) fn size(&self) -> u64 {
        self.chunks
            .iter()
            .map(|chunk| u64::from(chunk.size()))
            .sum()
    }

    pub(crate) fn section(&self, from: usize, to: usize) -> Section {
        Section {
            file: self.id,
            size: self.size(),
            root: self.root,
            count: u32::try_from(self.chunks.len()).unwrap(),
            from: u32::try_from(from).unwrap(),
            chunks: self.chunks[from..to].to_vec(),
        }
    }

    pub(crate) fn whole(&self) -> Section {
        self.section(0, self.chunks.len())
    }

    /// A section without chunks: how does it stand?
    pub(crate) fn question(&self) -> Section {
        self.section(0, 0)
    }
}

/// A file of an agent's only ticket, filed if it was not, attached and told to central.
pub(crate) async fn attach(
    ledger: &dyn Ledger,
    agent: &mut TestAgent,
    file: &TestFile,
    word: &str,
) {
    let ticket = format!("ticket of {}", agent.id);
    let from = agent.journal.len();
    if from == 0 {
        agent.file(&[&ticket], 1);
    }
    let operation = attachment(word, &ticket, file.size(), file.root);
    agent.journal.push(operation);
    agent.submit(ledger, from, agent.journal.len()).await;
}

/// An agent of a branch with a file of chunks of these names, attached and not announced.
pub(crate) async fn agent_with(
    ledger: &dyn Ledger,
    branch: &str,
    word: &str,
    chunks: &[&str],
) -> (TestAgent, TestFile) {
    let mut agent = TestAgent::register(ledger, branch).await;
    let file = TestFile::new(word, chunks);
    attach(ledger, &mut agent, &file, word).await;
    (agent, file)
}

pub(crate) async fn announce_within(
    ledger: &dyn Ledger,
    agent: &TestAgent,
    sections: Vec<Section>,
    bounds: UploadBounds,
) -> Announced {
    let announce = Announce {
        agent: agent.id,
        sections,
        bounds,
        at: now(),
    };
    ledger.announce(announce).await.unwrap()
}

/// How the file of one section stands.
pub(crate) async fn announce(ledger: &dyn Ledger, agent: &TestAgent, section: Section) -> Standing {
    let announced = announce_within(ledger, agent, vec![section], WIDE).await;
    assert_eq!(announced.files.len(), 1);
    announced.files[0].standing.clone()
}

/// Brings chunks in an object, one behind the other.
pub(crate) async fn bring(
    ledger: &dyn Ledger,
    agent: &TestAgent,
    name: &str,
    chunks: &[ChunkRef],
) -> ChunksKept {
    bring_at(ledger, agent, name, chunks, now()).await
}

pub(crate) async fn bring_at(
    ledger: &dyn Ledger,
    agent: &TestAgent,
    name: &str,
    chunks: &[ChunkRef],
    at: UnixMillis,
) -> ChunksKept {
    let places = chunks.iter().scan(0, |offset, chunk| {
        let kept = KeptChunk {
            chunk: *chunk,
            offset: *offset,
            stored: chunk.size() - 1,
            encoding: Encoding::Zstd,
        };
        *offset += u64::from(kept.stored);
        Some(kept)
    });
    let keep = KeepChunks {
        agent: agent.id,
        object: object(name),
        chunks: places.collect(),
        at,
    };
    ledger.keep_chunks(keep).await.unwrap()
}

/// The place of the chunk at this index of what [`bring`] brought.
pub(crate) fn place_in(name: &str, index: u64) -> ChunkPlace {
    ChunkPlace::Object {
        object: object(name),
        offset: index * u64::from(CHUNK - 1),
        stored: CHUNK - 1,
        encoding: Encoding::Zstd,
    }
}

pub(crate) async fn record(ledger: &dyn Ledger, file: &TestFile) -> FileRecord {
    ledger.file(file.id).await.unwrap().unwrap()
}

/// Moves a file from where it is.
pub(crate) async fn move_to(ledger: &dyn Ledger, file: &TestFile, state: FileState) -> FileRecord {
    let moved = MoveFile {
        file: file.id,
        version: record(ledger, file).await.version,
        state,
        sniffed: None,
        disguised: false,
        deed: None,
        at: now(),
    };
    ledger.move_file(moved).await.unwrap().unwrap()
}

/// Announces a whole file and brings its chunks in one object of its name.
pub(crate) async fn receive(ledger: &dyn Ledger, agent: &TestAgent, file: &TestFile, name: &str) {
    announce(ledger, agent, file.whole()).await;
    bring(ledger, agent, name, &file.chunks).await;
    assert_eq!(record(ledger, file).await.state, FileState::Received);
}

/// The states that a branch's feed tells of a file, in order.
pub(crate) async fn told(
    ledger: &dyn Ledger,
    agent: &TestAgent,
    file: &TestFile,
) -> Vec<FileState> {
    let mut states = Vec::new();
    let mut cursor = None;
    loop {
        let page = ledger.feed(agent.branch.clone(), cursor).await.unwrap();
        if page.events.is_empty() {
            return states;
        }
        let moves = page.events.iter().filter_map(Event::body);
        states.extend(moves.filter_map(|body| match body {
            EventBody::FileMoved { file: of, state } if of == file.id => Some(state),
            _ => None,
        }));
        cursor = Some(page.cursor);
    }
}
