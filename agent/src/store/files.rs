//! Files at the branch: saved with their operation, given to the bulk lane, kept until central has looked
//! at them.
//!
//! The journal knows which files there are and what became of them (`file`); `chunks.db` has their bytes.
//! Invariants:
//! - The chunks are durable before the operation that names them is saved. What a kill leaves between the
//!   two is named by no operation, and is collected.
//! - A file is `open` until central says that it has every chunk, and again when it says that it lost
//!   some. Its chunks stay here until central has settled it, and then for the retention time or until
//!   room is needed, so that a central that was restored can have them again (P2).
//! - A file whose chunks decayed is `damaged`: it is no longer given out, and whoever filed it is told. A
//!   good copy of the chunk, attached again, heals it.

use std::sync::{Arc, PoisonError};
use std::time::Instant;

use branchline_agent_api::OperationSaved;
use branchline_durable_sqlite::{Lane, crash_point};
use branchline_protocol::frame::Encoding;
use branchline_protocol::id::{Digest, FileId, TicketNumber};
use branchline_protocol::manifest::{ChunkRef, ManifestFault};
use rusqlite::{Connection, OptionalExtension};

use crate::chunker::{FinishedChunk, Whole};

use super::chunks::{ChunkBounds, ChunksError, Short, Taken};
use super::filing::{Filing, FilingError};
use super::{Store, StoreError, StreamRow, from_sql, to_sql};

/// A file that central should get: its operation is acknowledged and was not rejected, its chunks are
/// here, and central has not said that it has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutgoingFile {
    /// The file.
    pub id: FileId,
    /// Bytes.
    pub size: u64,
    /// BLAKE3 of the whole.
    pub root: Digest,
    /// Chunks.
    pub count: u32,
}

/// A chunk as it is stored and sent.
#[derive(Debug, Clone)]
pub struct LoadedChunk {
    /// The chunk.
    pub chunk: ChunkRef,
    /// How it is stored.
    pub encoding: Encoding,
    /// Its bytes as stored; `None` where they decayed on the disk. Then the files that need it are
    /// marked as damaged, and no longer given out (P6).
    pub stored: Option<Vec<u8>>,
}

/// What central said of a file on the bulk lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UploadNote {
    /// It has every chunk; what becomes of the file comes through the feed. A later event that says
    /// `waiting` takes this back.
    Received,
    /// It will not take this file.
    Refused(ManifestFault),
}

/// What the status shows of files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileFacts {
    /// Files that central does not have yet.
    pub waiting: u64,
    /// Bytes of them.
    pub waiting_bytes: u64,
    /// Files that decayed here, or that central will not take.
    pub failed: u64,
    /// Bytes that chunks take.
    pub used_bytes: u64,
    /// Bytes that they may take, and leave free.
    pub bounds: ChunkBounds,
}

/// Bytes in one commit while people file.
const BESIDE_FILINGS_BYTES: usize = 256 * 1024;

/// How many of these chunks have no more than so many bytes, and at least one.
fn count_within(chunks: &[FinishedChunk], most: usize) -> usize {
    let mut bytes = 0;
    let within = chunks.iter().take_while(|chunk| {
        bytes += chunk.stored.len();
        bytes <= most
    });
    within.count().max(1)
}

impl Store {
    /// Whether so many bytes more would fit, after giving up what central has settled.
    pub async fn room_for(&self, bytes: u64) -> Result<(), ChunksError> {
        loop {
            match self.chunks.check_room(bytes).await {
                Err(ChunksError::Short(short)) => self.make_room(short).await?,
                other => return other,
            }
        }
    }

    /// Begins taking a file in.
    pub async fn begin_file(&self) -> Result<Taken, ChunksError> {
        loop {
            match self.chunks.begin().await {
                Err(ChunksError::Short(short)) => self.make_room(short).await?,
                other => return other,
            }
        }
    }

    /// Keeps chunks of a file that is being taken in, durably, from place `from` on: in one commit, or in
    /// small ones with rests between them while people file (P7). Room that they need is made out of files
    /// that central has settled.
    pub async fn add_chunks(
        &self,
        taken: Taken,
        from: u32,
        chunks: Vec<FinishedChunk>,
    ) -> Result<(), ChunksError> {
        let (mut rest, mut place) = (chunks, from);
        while !rest.is_empty() {
            self.filings.go_first().await;
            let later = if self.filings.are_expected() {
                rest.split_off(count_within(&rest, BESIDE_FILINGS_BYTES))
            } else {
                Vec::new()
            };
            let count = u32::try_from(rest.len()).unwrap_or(u32::MAX);
            let began = Instant::now();
            self.add_at_once(taken, place, Arc::new(rest)).await?;
            self.filings.rest_after(began.elapsed()).await;
            rest = later;
            place = place.saturating_add(count);
        }
        Ok(())
    }

    async fn add_at_once(
        &self,
        taken: Taken,
        from: u32,
        chunks: Arc<Vec<FinishedChunk>>,
    ) -> Result<(), ChunksError> {
        let healed = loop {
            match self.chunks.add(taken, from, chunks.clone()).await {
                Ok(healed) => break healed,
                Err(ChunksError::Short(short)) => self.make_room(short).await?,
                Err(other) => return Err(other),
            }
        };
        crash_point::reach("chunks-added");
        for chunk in healed {
            let files = self.chunks.sound_files_with(chunk).await?;
            let healed = self.set_standing(files, "damaged", "open").await;
            if let Err(fault) = healed {
                tracing::warn!(error = %fault, "note that files are sound again");
            }
        }
        Ok(())
    }

    /// Makes the file that was taken in whole, then saves the operation that names it: in this order,
    /// each synced (P1). A filing that is refused gives the file up.
    pub async fn attach(
        &self,
        taken: Taken,
        whole: Whole,
        filing: Filing,
    ) -> Result<OperationSaved, AttachError> {
        let file = FileId::from(filing.id);
        crash_point::reach("chunks-durable");
        let known = self.knows_file(file).await.map_err(FilingError::from)?;
        if known {
            // Asked for again: the file is here, and its repeat is not needed.
            self.abandon(taken);
        } else {
            self.chunks.complete(taken, file, whole).await?;
        }
        crash_point::reach("file-whole");
        let saved = self.save(filing).await;
        crash_point::reach("file-attached");
        // After a failure of the disk nobody knows whether it was saved; the next start does.
        let refused = matches!(&saved, Err(fault) if !matches!(fault, FilingError::Store(_)));
        if refused && !known {
            self.forget_file(file).await;
        }
        Ok(saved?)
    }

    /// Makes a file whole that was taken in; gives it up where an operation has named the same file before.
    pub(super) async fn make_whole(
        &self,
        taken: Taken,
        file: FileId,
        whole: Whole,
    ) -> Result<(), AttachError> {
        if self.knows_file(file).await.map_err(FilingError::from)? {
            self.abandon(taken);
            return Ok(());
        }
        Ok(self.chunks.complete(taken, file, whole).await?)
    }

    /// Gives a file up that was being taken in; its chunks are collected in the background.
    pub fn abandon(&self, taken: Taken) {
        self.abandoned
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(taken);
        self.collecting.notify_one();
    }

    /// Whether a file could be attached to this ticket now; asked before its bytes are taken in.
    pub async fn may_attach(&self, number: TicketNumber) -> Result<(), FilingError> {
        let settings = self.settings.clone();
        let checked = self.read(move |connection| {
            Ok(super::filing::open_ticket(connection, &settings, &number).map(|_| ()))
        });
        checked.await?
    }

    async fn forget_file(&self, file: FileId) {
        match self.chunks.forget(file).await {
            Ok(()) => self.collecting.notify_one(),
            Err(fault) => tracing::warn!(error = %fault, "give up the chunks of a file"),
        }
    }

    async fn knows_file(&self, file: FileId) -> Result<bool, StoreError> {
        self.read(move |connection| {
            let known = connection
                .prepare_cached("SELECT EXISTS (SELECT 1 FROM operation WHERE id = ?1)")?
                .query_row([file.as_bytes()], |row| row.get(0))?;
            Ok(known)
        })
        .await
    }

    /// Gives up the file that central settled first, or answers that there is none and so no room.
    async fn make_room(&self, short: Short) -> Result<(), ChunksError> {
        if self.chunks.collect().await? {
            return Ok(());
        }
        let given_up = self.give_up_settled(None).await;
        match given_up {
            Ok(true) => Ok(()),
            Ok(false) => Err(short.into()),
            Err(fault) => Err(ChunksError::Failed(fault.to_string())),
        }
    }

    /// Gives up the chunks of the file that central settled first, if that was not after `before`. Answers
    /// whether there was one.
    pub(super) async fn give_up_settled(&self, before: Option<i64>) -> Result<bool, StoreError> {
        let before = before.unwrap_or(i64::MAX);
        let given_up = self
            .writer
            .run(Lane::Bulk, move |connection| {
                connection
                    .prepare_cached(
                        "UPDATE file SET standing = 'given_up' WHERE id = (
                             SELECT id FROM file WHERE standing = 'settled' AND settled_at <= ?1
                             ORDER BY settled_at LIMIT 1)
                         RETURNING id",
                    )?
                    .query_row([before], |row| Ok(FileId::from_bytes(row.get(0)?)))
                    .optional()
            })
            .await?;
        let Some(file) = given_up else {
            return Ok(false);
        };
        self.chunks.forget(file).await?;
        Ok(true)
    }

    /// Files to send: the `smallest` smallest and the `oldest` oldest, without repeats.
    pub async fn files_to_send(
        &self,
        smallest: usize,
        oldest: usize,
    ) -> Result<Vec<OutgoingFile>, StoreError> {
        let open = self
            .read(move |connection| Ok(open_files(connection, smallest, oldest)?))
            .await?;
        if open.is_empty() {
            return Ok(Vec::new());
        }
        let names: Vec<FileId> = open.iter().map(|&(id, _)| id).collect();
        let wholes = self.chunks.wholes(names).await?;
        let mut files = Vec::new();
        let mut gone = Vec::new();
        for ((id, size), whole) in open.into_iter().zip(wholes) {
            match whole {
                Some((root, count)) => files.push(OutgoingFile {
                    id,
                    size,
                    root,
                    count,
                }),
                None => gone.push(id),
            }
        }
        if !gone.is_empty() {
            tracing::error!(
                files = gone.len(),
                "files that central does not have yet are not on this disk any more"
            );
            self.set_standing(gone, "open", "damaged").await?;
        }
        Ok(files)
    }

    /// The chunks of a file from a place on, at most `most`, in order.
    pub async fn chunks_of(
        &self,
        file: FileId,
        from: u32,
        most: usize,
    ) -> Result<Vec<ChunkRef>, StoreError> {
        match self.chunks.chunks_of(file, from, most).await {
            Err(ChunksError::Damaged(fault)) => {
                // Its places cannot be read: nothing of it can be sent.
                tracing::error!(%file, fault, "a file was damaged on this disk before central had it");
                self.set_standing(vec![file], "open", "damaged").await?;
                Ok(Vec::new())
            }
            other => Ok(other?),
        }
    }

    /// Chunks as stored, each verified against its hash (P4), in the order asked for.
    pub async fn load_chunks(&self, chunks: Vec<ChunkRef>) -> Result<Vec<LoadedChunk>, StoreError> {
        let verified = self.chunks.load(chunks).await?;
        for decayed in verified.iter().filter(|one| one.stored.is_none()) {
            let files = self.chunks.note_decayed(decayed.chunk).await?;
            tracing::error!(
                chunk = %decayed.chunk.hash(),
                files = files.len(),
                "a chunk decayed on this disk; the files that need it must be attached again"
            );
            self.set_standing(files, "open", "damaged").await?;
        }
        let loaded = verified.into_iter().map(|one| LoadedChunk {
            chunk: one.chunk,
            encoding: one.encoding,
            stored: one.stored,
        });
        Ok(loaded.collect())
    }

    /// Keeps what central said of a file.
    pub async fn note_upload(&self, file: FileId, note: UploadNote) -> Result<(), StoreError> {
        let standing = match note {
            UploadNote::Received => "received",
            UploadNote::Refused(fault) => {
                tracing::error!(%file, %fault, "central refuses a file's manifest");
                "refused"
            }
        };
        self.set_standing(vec![file], "open", standing).await
    }

    /// What the status shows of files.
    pub async fn file_facts(&self) -> Result<FileFacts, StoreError> {
        let (waiting, waiting_bytes, failed) =
            self.read(|connection| Ok(counts(connection)?)).await?;
        Ok(FileFacts {
            waiting,
            waiting_bytes,
            failed,
            used_bytes: self.chunks.used_bytes(),
            bounds: self.chunks.bounds(),
        })
    }

    async fn set_standing(
        &self,
        files: Vec<FileId>,
        from: &'static str,
        to: &'static str,
    ) -> Result<(), StoreError> {
        let write = move |connection: &Connection| {
            let mut statement = connection
                .prepare_cached("UPDATE file SET standing = ?1 WHERE id = ?2 AND standing = ?3")?;
            for file in &files {
                statement.execute((to, file.as_bytes(), from))?;
            }
            Ok::<(), rusqlite::Error>(())
        };
        Ok(self.writer.run(Lane::Bulk, write).await?)
    }
}

/// Why a file was not attached.
#[derive(Debug, thiserror::Error)]
pub enum AttachError {
    /// Its chunks could not be kept.
    #[error(transparent)]
    Chunks(#[from] ChunksError),
    /// Its operation could not be saved.
    #[error(transparent)]
    Filing(#[from] FilingError),
}

impl From<ChunksError> for StoreError {
    fn from(fault: ChunksError) -> Self {
        match fault {
            ChunksError::Short(_) => Self::Full,
            ChunksError::Damaged(fault) => Self::Damaged(fault),
            ChunksError::Failed(fault) => Self::Failed(fault),
            ChunksError::Closed => Self::Closed,
        }
    }
}

fn open_files(
    connection: &Connection,
    smallest: usize,
    oldest: usize,
) -> rusqlite::Result<Vec<(FileId, u64)>> {
    let acknowledged = to_sql(StreamRow::read(connection)?.acknowledged);
    let mut files: Vec<(FileId, u64)> = Vec::new();
    for (order, most) in [("size", smallest), ("position", oldest)] {
        let sql = format!(
            "SELECT id, size FROM file WHERE standing = 'open' AND position <= ?1
             ORDER BY {order} LIMIT ?2"
        );
        let mut statement = connection.prepare_cached(&sql)?;
        let rows = statement.query_map((acknowledged, to_sql(most as u64)), |row| {
            Ok((FileId::from_bytes(row.get(0)?), from_sql(row.get(1)?)))
        })?;
        for row in rows {
            let (id, size) = row?;
            if !files.iter().any(|&(known, _)| known == id) {
                files.push((id, size));
            }
        }
    }
    Ok(files)
}

fn counts(connection: &Connection) -> rusqlite::Result<(u64, u64, u64)> {
    let (waiting, bytes) = connection
        .prepare_cached(
            "SELECT count(*), coalesce(sum(size), 0) FROM file WHERE standing = 'open'",
        )?
        .query_row([], |row| Ok((from_sql(row.get(0)?), from_sql(row.get(1)?))))?;
    let failed = connection
        .prepare_cached("SELECT count(*) FROM file WHERE standing IN ('damaged', 'refused')")?
        .query_row([], |row| row.get(0).map(from_sql))?;
    Ok((waiting, bytes, failed))
}
