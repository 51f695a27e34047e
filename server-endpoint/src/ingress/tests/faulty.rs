//! A ledger that fails in one way.

use std::sync::Arc;

use branchline_protocol::id::{AgentId, BranchCode, Seq, StreamId, TicketNumber};

use crate::ledger::{
    AgentRecord, Append, Appended, BranchRecord, FeedPage, HeldOperation, Ledger, LedgerError,
    NewAgent, Newsflash, Pending, StreamRecord, TicketFile, TicketFilter, TicketRow,
};

pub(super) struct FaultyLedger(Option<LedgerError>);

impl FaultyLedger {
    pub(super) fn new(fault: LedgerError) -> Arc<Self> {
        Arc::new(Self(Some(fault)))
    }

    pub(super) fn panicking() -> Arc<Self> {
        Arc::new(Self(None))
    }

    fn fail<T: Send + 'static>(&self) -> Pending<'_, T> {
        Box::pin(async {
            match &self.0 {
                Some(fault) => Err(fault.clone()),
                None => panic!("as a fault would"),
            }
        })
    }
}

impl Ledger for FaultyLedger {
    fn append(&self, _: Append) -> Pending<'_, Appended> {
        self.fail()
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
        self.fail()
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
