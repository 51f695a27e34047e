//! A ledger that knows agents and the chunks that they announced, and can be made to fail or to wait in
//! between: for what the bulk routes do around it.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard};

use branchline_protocol::id::{AgentId, BranchCode, FileId, Seq, StreamId, TicketNumber};
use branchline_protocol::manifest::{ChunkRef, FileStanding, Standing};
use branchline_protocol::time::UnixMillis;
use tokio::sync::Semaphore;

use super::no_identities::no_identities;
use crate::ledger::{
    AgentRecord, Announce, Announced, Append, Appended, BranchRecord, ChunkPlace, ChunksKept,
    FeedPage, FileFilter, FileLedger, FileRecord, HeldOperation, KeepChunks, KeptChunk, Ledger,
    LedgerError, MoveFile, NewAgent, Newsflash, ObjectName, Pending, PlacedChunk, StreamRecord,
    TicketFile, TicketFilter, TicketRow, Want,
};
use crate::testing::TestAgent;

pub(super) struct FilesLedger {
    state: Mutex<State>,
    /// Each `keep_chunks` and each `append` takes a turn, and gives it back.
    pub(super) keeping: Semaphore,
    pub(super) appending: Semaphore,
}

#[derive(Default)]
pub(super) struct State {
    pub(super) announced: BTreeSet<(AgentId, Vec<u8>)>,
    pub(super) places: HashMap<ChunkRef, (ObjectName, KeptChunk)>,
    /// One that is received with the last of its chunks.
    pub(super) file: Option<(FileId, Vec<ChunkRef>)>,
    /// What `wants` and `keep_chunks` fail with.
    pub(super) wants_fault: Option<LedgerError>,
    pub(super) keep_fault: Option<LedgerError>,
    /// Taken back between `wants` and `keep_chunks`.
    pub(super) withdrawn: Option<ChunkRef>,
    pub(super) keeps: usize,
    pub(super) expired: Vec<ObjectName>,
    pub(super) announcements: Vec<Announce>,
}

fn key(agent: AgentId, chunk: ChunkRef) -> (AgentId, Vec<u8>) {
    let mut bytes = chunk.hash().0.to_vec();
    bytes.extend_from_slice(&chunk.size().to_be_bytes());
    (agent, bytes)
}

fn record(id: AgentId) -> AgentRecord {
    AgentRecord {
        id,
        branch: "LYN".parse().unwrap(),
        ordinal: u16::from(id.as_bytes()[0]),
        registered_at: UnixMillis(0),
        revoked_at: None,
        certificate_until: None,
        trust: None,
        contact: None,
        refused: None,
    }
}

impl FilesLedger {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::default(),
            keeping: Semaphore::new(100),
            appending: Semaphore::new(100),
        })
    }

    pub(super) fn agent_of(byte: u8) -> TestAgent {
        TestAgent::of(&record(AgentId::from_bytes([byte; 16])))
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    pub(super) fn announce_chunks(&self, agent: &TestAgent, chunks: &[&[u8]]) {
        let mut state = self.state();
        for chunk in chunks {
            let chunk = ChunkRef::of(chunk);
            state.announced.insert(key(agent.id, chunk));
        }
    }

    pub(super) fn holds(&self, chunk: &[u8]) -> bool {
        self.state().places.contains_key(&ChunkRef::of(chunk))
    }

    pub(super) fn used_objects(&self) -> BTreeSet<ObjectName> {
        let state = self.state();
        state.places.values().map(|(object, _)| *object).collect()
    }
}

fn none<T: Send + 'static>() -> Pending<'static, T> {
    Box::pin(async { Err(LedgerError::Broken("this ledger has only chunks".into())) })
}

impl FileLedger for FilesLedger {
    fn announce(&self, announce: Announce) -> Pending<'_, Announced> {
        let files = announce
            .sections
            .iter()
            .map(|section| FileStanding {
                file: section.file,
                standing: Standing::NotAttached,
            })
            .collect();
        self.state().announcements.push(announce);
        Box::pin(async {
            Ok(Announced {
                files,
                branch: "LYN".parse().unwrap(),
                gave_news: true,
            })
        })
    }

    fn wants(&self, agent: AgentId, chunks: Vec<ChunkRef>) -> Pending<'_, Vec<Want>> {
        Box::pin(async move {
            let mut state = self.state();
            if let Some(fault) = &state.wants_fault {
                return Err(fault.clone());
            }
            let wants = chunks
                .into_iter()
                .map(|chunk| {
                    if !state.announced.contains(&key(agent, chunk)) {
                        Want::NotAnnounced
                    } else if state.places.contains_key(&chunk) {
                        Want::Held
                    } else {
                        Want::Wanted
                    }
                })
                .collect();
            if let Some(chunk) = state.withdrawn {
                state.announced.remove(&key(agent, chunk));
            }
            Ok(wants)
        })
    }

    fn keep_chunks(&self, keep: KeepChunks) -> Pending<'_, ChunksKept> {
        Box::pin(async move {
            let _turn = self.keeping.acquire().await.unwrap();
            let mut state = self.state();
            state.keeps += 1;
            if let Some(fault) = &state.keep_fault {
                return Err(fault.clone());
            }
            let mut kept = ChunksKept {
                used: 0,
                not_announced: Vec::new(),
                received: Vec::new(),
                news_for: Vec::new(),
            };
            for (index, chunk) in keep.chunks.iter().enumerate() {
                if !state.announced.contains(&key(keep.agent, chunk.chunk)) {
                    kept.not_announced.push(index);
                } else if let std::collections::hash_map::Entry::Vacant(free) =
                    state.places.entry(chunk.chunk)
                {
                    free.insert((keep.object, *chunk));
                    kept.used += 1;
                }
            }
            let whole = state.file.as_ref().is_some_and(|(_, chunks)| {
                chunks.iter().all(|chunk| state.places.contains_key(chunk))
            });
            if whole {
                kept.received
                    .extend(state.file.take().map(|(file, _)| file));
                kept.news_for.push("LYN".parse().unwrap());
            }
            Ok(kept)
        })
    }

    fn expire_uploads(&self, _: UnixMillis, _: UnixMillis) -> Pending<'_, Vec<ObjectName>> {
        Box::pin(async { Ok(std::mem::take(&mut self.state().expired)) })
    }

    fn objects_in_use(&self, objects: Vec<ObjectName>) -> Pending<'_, Vec<ObjectName>> {
        let used = self.used_objects();
        Box::pin(async move {
            Ok(objects
                .into_iter()
                .filter(|name| used.contains(name))
                .collect())
        })
    }

    fn file(&self, _: FileId) -> Pending<'_, Option<FileRecord>> {
        none()
    }
    fn files(&self, _: FileFilter) -> Pending<'_, Vec<FileRecord>> {
        none()
    }
    fn to_inspect(&self, _: usize) -> Pending<'_, Vec<FileRecord>> {
        none()
    }
    fn chunks_of(&self, _: FileId, _: u32, _: usize) -> Pending<'_, Vec<PlacedChunk>> {
        none()
    }
    fn move_file(&self, _: MoveFile) -> Pending<'_, Option<FileRecord>> {
        none()
    }
    fn note_trouble(&self, _: FileId, _: Option<String>) -> Pending<'_, ()> {
        none()
    }
    fn scan_again(&self, _: FileId, _: UnixMillis) -> Pending<'_, bool> {
        none()
    }
    fn keep_verdict(&self, _: FileId, _: u64) -> Pending<'_, ()> {
        none()
    }
    fn settle_chunks(&self, _: FileId) -> Pending<'_, Vec<ObjectName>> {
        none()
    }
    fn lose_chunks(
        &self,
        _: Vec<(ChunkRef, ChunkPlace)>,
        _: UnixMillis,
    ) -> Pending<'_, Vec<FileId>> {
        none()
    }
}

impl Ledger for FilesLedger {
    fn append(&self, _: Append) -> Pending<'_, Appended> {
        Box::pin(async {
            let _turn = self.appending.acquire().await.unwrap();
            Ok(Appended::ForeignStream)
        })
    }
    fn agent(&self, id: AgentId) -> Pending<'_, Option<AgentRecord>> {
        Box::pin(async move { Ok(Some(record(id))) })
    }
    fn news(&self, _: Option<u64>) -> Pending<'_, Newsflash> {
        none()
    }
    fn feed(&self, _: BranchCode, _: Option<String>) -> Pending<'_, FeedPage> {
        none()
    }
    fn register_agent(&self, _: NewAgent) -> Pending<'_, AgentRecord> {
        none()
    }
    fn branches(&self) -> Pending<'_, Vec<BranchRecord>> {
        none()
    }
    fn tickets(&self, _: TicketFilter) -> Pending<'_, Vec<TicketRow>> {
        none()
    }
    fn ticket(&self, _: TicketNumber) -> Pending<'_, Option<TicketFile>> {
        none()
    }
    fn stream(&self, _: StreamId) -> Pending<'_, Option<StreamRecord>> {
        none()
    }
    fn held(&self, _: StreamId, _: Seq, _: usize) -> Pending<'_, Vec<HeldOperation>> {
        none()
    }
    fn ready(&self) -> Pending<'_, ()> {
        none()
    }
}

no_identities!(FilesLedger, |_| none());
