//! Files in the ledger's SQLite file: manifests, places of chunks, states.

use branchline_protocol::id::{AgentId, FileId};
use branchline_protocol::manifest::ChunkRef;
use branchline_protocol::time::UnixMillis;

use super::SqliteLedger;
use crate::ledger::{
    Announce, Announced, ChunkPlace, ChunksKept, FileFilter, FileLedger, FileRecord, KeepChunks,
    LedgerError, MoveFile, ObjectName, Pending, PlacedChunk, Want,
};

impl FileLedger for SqliteLedger {
    fn announce(&self, _: Announce) -> Pending<'_, Announced> {
        Box::pin(async { Err(LedgerError::Broken("not built yet".into())) })
    }
    fn wants(&self, _: AgentId, _: Vec<ChunkRef>) -> Pending<'_, Vec<Want>> {
        Box::pin(async { Err(LedgerError::Broken("not built yet".into())) })
    }
    fn keep_chunks(&self, _: KeepChunks) -> Pending<'_, ChunksKept> {
        Box::pin(async { Err(LedgerError::Broken("not built yet".into())) })
    }
    fn file(&self, _: FileId) -> Pending<'_, Option<FileRecord>> {
        Box::pin(async { Err(LedgerError::Broken("not built yet".into())) })
    }
    fn files(&self, _: FileFilter) -> Pending<'_, Vec<FileRecord>> {
        Box::pin(async { Err(LedgerError::Broken("not built yet".into())) })
    }
    fn to_inspect(&self, _: usize) -> Pending<'_, Vec<FileRecord>> {
        Box::pin(async { Err(LedgerError::Broken("not built yet".into())) })
    }
    fn chunks_of(&self, _: FileId, _: u32, _: usize) -> Pending<'_, Vec<PlacedChunk>> {
        Box::pin(async { Err(LedgerError::Broken("not built yet".into())) })
    }
    fn move_file(&self, _: MoveFile) -> Pending<'_, Option<FileRecord>> {
        Box::pin(async { Err(LedgerError::Broken("not built yet".into())) })
    }
    fn note_trouble(&self, _: FileId, _: Option<String>) -> Pending<'_, ()> {
        Box::pin(async { Err(LedgerError::Broken("not built yet".into())) })
    }
    fn settle_chunks(&self, _: FileId) -> Pending<'_, Vec<ObjectName>> {
        Box::pin(async { Err(LedgerError::Broken("not built yet".into())) })
    }
    fn lose_chunks(
        &self,
        _: Vec<(ChunkRef, ChunkPlace)>,
        _: UnixMillis,
    ) -> Pending<'_, Vec<FileId>> {
        Box::pin(async { Err(LedgerError::Broken("not built yet".into())) })
    }
    fn expire_uploads(&self, _: UnixMillis, _: UnixMillis) -> Pending<'_, Vec<ObjectName>> {
        Box::pin(async { Err(LedgerError::Broken("not built yet".into())) })
    }
    fn objects_in_use(&self, _: Vec<ObjectName>) -> Pending<'_, Vec<ObjectName>> {
        Box::pin(async { Err(LedgerError::Broken("not built yet".into())) })
    }
}
