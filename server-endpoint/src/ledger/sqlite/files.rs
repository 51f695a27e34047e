//! Files in the ledger's SQLite file: manifests, places of chunks, states.
//!
//! Stands between `ingress`, which announces files and brings chunks, and `inspection`, which moves them.
//!
//! Invariants:
//! - A file is received in the commit that gives its last chunk a place, and has a place for every chunk
//!   until that changes (`files.missing` counts, [`chunks`] and [`losses`] keep it).
//! - A chunk lies in at most one place; an object that holds a chunk has a row in `objects`, and only it.
//! - A change of state has its event in the same commit ([`states`]).
//! - No job holds the writer for long: what concerns all chunks of a large file goes in steps, each of
//!   which leaves all of the above in order, so that a crash between two is nothing to recover from.
//!
//! Bulk work of the ledger's writer (P7): every write here stands behind tickets.

use branchline_protocol::id::{AgentId, FileId};
use branchline_protocol::manifest::ChunkRef;
use branchline_protocol::time::UnixMillis;
use std::sync::Arc;

use super::SqliteLedger;
use crate::ledger::{
    Announce, Announced, ChunkPlace, ChunksKept, FileFilter, FileLedger, FileRecord, KeepChunks,
    LedgerError, MoveFile, ObjectName, Pending, PlacedChunk, Want,
};

mod announce;
mod chunks;
pub(super) mod giving;
mod losses;
mod manifests;
mod moving;
mod objects;
pub(super) mod reading;
mod rows;
mod settling;
mod states;

#[cfg(test)]
mod tests;

/// Chunks that one step keeps or loses: some ten milliseconds, where each is one file's.
const CHUNKS_PER_STEP: usize = 512;

impl FileLedger for SqliteLedger {
    fn announce(&self, announce: Announce) -> Pending<'_, Announced> {
        Box::pin(self.announce_in_steps(announce))
    }

    fn wants(&self, agent: AgentId, chunks: Vec<ChunkRef>) -> Pending<'_, Vec<Want>> {
        self.read(move |connection| chunks::wants(connection, agent, &chunks))
    }

    fn keep_chunks(&self, keep: KeepChunks) -> Pending<'_, ChunksKept> {
        Box::pin(self.keep_in_steps(keep))
    }

    fn file(&self, id: FileId) -> Pending<'_, Option<FileRecord>> {
        self.read(move |connection| reading::file(connection, id))
    }

    fn files(&self, filter: FileFilter) -> Pending<'_, Vec<FileRecord>> {
        self.read(move |connection| reading::list(connection, &filter))
    }

    fn to_inspect(&self, most: usize) -> Pending<'_, Vec<FileRecord>> {
        self.read(move |connection| reading::to_inspect(connection, most))
    }

    fn chunks_of(&self, file: FileId, from: u32, most: usize) -> Pending<'_, Vec<PlacedChunk>> {
        self.read(move |connection| reading::chunks_of(connection, file, from, most))
    }

    fn move_file(&self, moved: MoveFile) -> Pending<'_, Option<FileRecord>> {
        self.write_bulk(move |connection| moving::move_file(connection, moved))
    }

    fn note_trouble(&self, file: FileId, trouble: Option<String>) -> Pending<'_, ()> {
        let at = crate::ledger::now();
        self.write_bulk(move |connection| moving::note_trouble(connection, file, trouble, at))
    }

    fn scan_again(&self, file: FileId, at: UnixMillis) -> Pending<'_, bool> {
        self.write_bulk(move |connection| moving::scan_again(connection, file, at))
    }

    fn keep_verdict(&self, file: FileId, version: u64) -> Pending<'_, ()> {
        self.write_bulk(move |connection| moving::keep_verdict(connection, file, version))
    }

    fn settle_chunks(&self, file: FileId) -> Pending<'_, Vec<ObjectName>> {
        Box::pin(self.settle_in_steps(file))
    }

    fn lose_chunks(
        &self,
        chunks: Vec<(ChunkRef, ChunkPlace)>,
        at: UnixMillis,
    ) -> Pending<'_, Vec<FileId>> {
        Box::pin(self.lose_in_steps(chunks, at))
    }

    fn expire_uploads(&self, before: UnixMillis, at: UnixMillis) -> Pending<'_, Vec<ObjectName>> {
        Box::pin(self.expire_in_steps(before, at))
    }

    fn objects_in_use(&self, objects: Vec<ObjectName>) -> Pending<'_, Vec<ObjectName>> {
        self.read(move |connection| objects::in_use(connection, objects))
    }
}

impl SqliteLedger {
    async fn announce_in_steps(&self, announce: Announce) -> Result<Announced, LedgerError> {
        let announce = Arc::new(announce);
        let mut placed = Vec::new();
        let (mut gave_news, mut reached) = (false, 0);
        while placed.len() < announce.sections.len() {
            let (announce, first) = (announce.clone(), placed.len());
            let step = self
                .write_bulk(move |connection| announce::step(connection, &announce, first, reached))
                .await?;
            placed.extend(step.placed);
            gave_news |= step.gave_news;
            reached = step.reached;
        }
        self.read(move |connection| announce::standings(connection, &announce, &placed, gave_news))
            .await
    }

    async fn keep_in_steps(&self, keep: KeepChunks) -> Result<ChunksKept, LedgerError> {
        let keep = Arc::new(keep);
        let mut kept = ChunksKept::default();
        for from in (0..keep.chunks.len()).step_by(CHUNKS_PER_STEP) {
            let keep = keep.clone();
            let step = self
                .write_bulk(move |connection| {
                    chunks::keep(connection, &keep, from, CHUNKS_PER_STEP)
                })
                .await?;
            kept.used += step.used;
            kept.not_announced.extend(step.not_announced);
            kept.received.extend(step.received);
            kept.news_for.extend(step.news_for);
        }
        kept.news_for.sort_unstable();
        kept.news_for.dedup();
        Ok(kept)
    }

    async fn settle_in_steps(&self, file: FileId) -> Result<Vec<ObjectName>, LedgerError> {
        let mut freed = Vec::new();
        let mut next = Some(settling::SettledTo::default());
        while let Some(from) = next {
            let step = self
                .write_bulk(move |connection| settling::settle(connection, file, from))
                .await?;
            freed.extend(step.freed);
            next = step.next;
        }
        Ok(freed)
    }

    async fn lose_in_steps(
        &self,
        mut chunks: Vec<(ChunkRef, ChunkPlace)>,
        at: UnixMillis,
    ) -> Result<Vec<FileId>, LedgerError> {
        let mut waiting: Vec<FileId> = Vec::new();
        while !chunks.is_empty() {
            let rest = chunks.split_off(chunks.len().min(CHUNKS_PER_STEP));
            let step = std::mem::replace(&mut chunks, rest);
            let files = self
                .write_bulk(move |connection| losses::lose(connection, &step, at))
                .await?;
            waiting.extend(files);
        }
        waiting.sort_unstable();
        waiting.dedup();
        Ok(waiting)
    }

    async fn expire_in_steps(
        &self,
        before: UnixMillis,
        at: UnixMillis,
    ) -> Result<Vec<ObjectName>, LedgerError> {
        let mut freed = Vec::new();
        let mut next = Some(());
        while next.is_some() {
            let step = self
                .write_bulk(move |connection| settling::expire(connection, before, at))
                .await?;
            freed.extend(step.freed);
            next = step.next;
        }
        Ok(freed)
    }
}
