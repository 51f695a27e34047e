//! Ledgers that fail, each in one way.

use std::sync::Arc;

use branchline_protocol::id::{AgentId, BranchCode, FileId, Seq, StreamId, TicketNumber};
use branchline_protocol::manifest::ChunkRef;
use branchline_protocol::time::UnixMillis;
use tokio::sync::Notify;

use super::no_identities::no_identities;
use crate::ledger::{
    AgentRecord, Announce, Announced, Append, Appended, BranchRecord, ChunkPlace, ChunksKept,
    FeedPage, FileFilter, FileLedger, FileRecord, HeldOperation, KeepChunks, Ledger, LedgerError,
    MoveFile, NewAgent, Newsflash, ObjectName, Pending, PlacedChunk, StreamRecord, TicketFile,
    TicketFilter, TicketRow, Want,
};

pub(super) enum FaultyLedger {
    Failing(LedgerError),
    Panicking,
    /// Knows one agent, and appends when it is told to.
    Slow(Box<Gate>),
}

#[derive(Default)]
pub(super) struct Gate {
    begun: Notify,
    may_end: Notify,
    ended: Notify,
}

impl FaultyLedger {
    pub(super) fn new(fault: LedgerError) -> Arc<Self> {
        Arc::new(Self::Failing(fault))
    }

    pub(super) fn panicking() -> Arc<Self> {
        Arc::new(Self::Panicking)
    }

    pub(super) fn slow() -> Arc<Self> {
        Arc::new(Self::Slow(Box::default()))
    }

    pub(super) fn slow_agent() -> AgentRecord {
        let id = AgentId::from_bytes([5; 16]);
        AgentRecord {
            id,
            branch: "LYN".parse().unwrap(),
            ordinal: 1,
            registered_at: UnixMillis(0),
            revoked_at: None,
            certificate_until: None,
            trust: None,
            contact: None,
            refused: None,
        }
    }

    pub(super) async fn append_has_begun(&self) {
        self.gate().begun.notified().await;
    }

    pub(super) fn let_append_end(&self) {
        self.gate().may_end.notify_one();
    }

    pub(super) async fn append_has_ended(&self) {
        self.gate().ended.notified().await;
    }

    fn gate(&self) -> &Gate {
        match self {
            Self::Slow(gate) => gate,
            _ => panic!("it is not slow"),
        }
    }

    fn fail<T: Send + 'static>(&self) -> Pending<'_, T> {
        Box::pin(async {
            match self {
                Self::Failing(fault) => Err(fault.clone()),
                _ => panic!("as a fault would"),
            }
        })
    }
}

impl Ledger for FaultyLedger {
    fn append(&self, _: Append) -> Pending<'_, Appended> {
        let Self::Slow(gate) = self else {
            return self.fail();
        };
        Box::pin(async {
            gate.begun.notify_one();
            gate.may_end.notified().await;
            gate.ended.notify_one();
            Ok(Appended::ForeignStream)
        })
    }
    fn feed(&self, _: BranchCode, _: Option<String>) -> Pending<'_, FeedPage> {
        self.fail()
    }
    fn news(&self, _: Option<u64>) -> Pending<'_, Newsflash> {
        self.fail()
    }
    fn register_agent(&self, _: NewAgent) -> Pending<'_, AgentRecord> {
        self.fail()
    }
    fn agent(&self, _: AgentId) -> Pending<'_, Option<AgentRecord>> {
        match self {
            Self::Slow(_) => Box::pin(async { Ok(Some(Self::slow_agent())) }),
            _ => self.fail(),
        }
    }
    fn branches(&self) -> Pending<'_, Vec<BranchRecord>> {
        self.fail()
    }
    fn tickets(&self, _: TicketFilter) -> Pending<'_, Vec<TicketRow>> {
        self.fail()
    }
    fn ticket(&self, _: TicketNumber) -> Pending<'_, Option<TicketFile>> {
        self.fail()
    }
    fn stream(&self, _: StreamId) -> Pending<'_, Option<StreamRecord>> {
        self.fail()
    }
    fn held(&self, _: StreamId, _: Seq, _: usize) -> Pending<'_, Vec<HeldOperation>> {
        self.fail()
    }
    fn ready(&self) -> Pending<'_, ()> {
        self.fail()
    }
}

impl FileLedger for FaultyLedger {
    fn announce(&self, _: Announce) -> Pending<'_, Announced> {
        self.fail()
    }
    fn wants(&self, _: AgentId, _: Vec<ChunkRef>) -> Pending<'_, Vec<Want>> {
        self.fail()
    }
    fn keep_chunks(&self, _: KeepChunks) -> Pending<'_, ChunksKept> {
        self.fail()
    }
    fn file(&self, _: FileId) -> Pending<'_, Option<FileRecord>> {
        self.fail()
    }
    fn files(&self, _: FileFilter) -> Pending<'_, Vec<FileRecord>> {
        self.fail()
    }
    fn to_inspect(&self, _: usize) -> Pending<'_, Vec<FileRecord>> {
        self.fail()
    }
    fn chunks_of(&self, _: FileId, _: u32, _: usize) -> Pending<'_, Vec<PlacedChunk>> {
        self.fail()
    }
    fn move_file(&self, _: MoveFile) -> Pending<'_, Option<FileRecord>> {
        self.fail()
    }
    fn note_trouble(&self, _: FileId, _: Option<String>) -> Pending<'_, ()> {
        self.fail()
    }
    fn scan_again(&self, _: FileId, _: UnixMillis) -> Pending<'_, bool> {
        self.fail()
    }
    fn keep_verdict(&self, _: FileId, _: u64) -> Pending<'_, ()> {
        self.fail()
    }
    fn settle_chunks(&self, _: FileId) -> Pending<'_, Vec<ObjectName>> {
        self.fail()
    }
    fn lose_chunks(
        &self,
        _: Vec<(ChunkRef, ChunkPlace)>,
        _: UnixMillis,
    ) -> Pending<'_, Vec<FileId>> {
        self.fail()
    }
    fn expire_uploads(&self, _: UnixMillis, _: UnixMillis) -> Pending<'_, Vec<ObjectName>> {
        self.fail()
    }
    fn objects_in_use(&self, _: Vec<ObjectName>) -> Pending<'_, Vec<ObjectName>> {
        self.fail()
    }
}

no_identities!(FaultyLedger, FaultyLedger::fail);
