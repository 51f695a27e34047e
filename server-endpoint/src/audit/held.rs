//! What central holds of a stream, read page by page.

use std::collections::VecDeque;

use branchline_protocol::id::{Seq, StreamId};

use crate::ledger::{HeldOperation, Ledger, LedgerError};

/// Positions per page: a few hundred kilobytes, and few enough that no read is long.
const PAGE: usize = 4_096;

pub(super) struct HeldPages<'l> {
    ledger: &'l dyn Ledger,
    stream: StreamId,
    page: VecDeque<HeldOperation>,
    read_to: Seq,
    at_end: bool,
    last_different: Option<Seq>,
}

impl<'l> HeldPages<'l> {
    pub(super) fn new(ledger: &'l dyn Ledger, stream: StreamId) -> Self {
        Self {
            ledger,
            stream,
            page: VecDeque::new(),
            read_to: Seq(0),
            at_end: false,
            last_different: None,
        }
    }

    pub(super) async fn next(&mut self) -> Result<Option<HeldOperation>, LedgerError> {
        self.fill().await?;
        Ok(self.page.pop_front())
    }

    /// The next one, if it stands before `seq`.
    pub(super) async fn next_before(
        &mut self,
        seq: Seq,
    ) -> Result<Option<HeldOperation>, LedgerError> {
        self.fill().await?;
        Ok(self.take_if(|held| held.seq < seq))
    }

    /// The next one, if it stands at `seq`.
    pub(super) async fn next_at(&mut self, seq: Seq) -> Result<Option<HeldOperation>, LedgerError> {
        self.fill().await?;
        Ok(self.take_if(|held| held.seq == seq))
    }

    /// Whether this position was reported as different before; remembers it.
    pub(super) fn counted_different(&mut self, seq: Seq) -> bool {
        self.last_different.replace(seq) == Some(seq)
    }

    fn take_if(&mut self, fits: impl Fn(&HeldOperation) -> bool) -> Option<HeldOperation> {
        if self.page.front().is_some_and(fits) {
            self.page.pop_front()
        } else {
            None
        }
    }

    async fn fill(&mut self) -> Result<(), LedgerError> {
        if self.page.is_empty() && !self.at_end {
            let page = self.ledger.held(self.stream, self.read_to, PAGE).await?;
            self.at_end = page.len() < PAGE;
            self.read_to = page.last().map_or(self.read_to, |held| held.seq);
            self.page = page.into();
        }
        Ok(())
    }
}
