//! Taking one file in: from a stream of bytes to durable chunks, and then to the operation that names it.
//!
//! On the data's way: **intake** → chunker → store. The local API and the drop folders come here with
//! whatever they read.
//!
//! Invariants:
//! - Memory is bounded whatever the file's size (P8): a few pieces wait between the source, the chunker
//!   and the disk, and the source waits when they do.
//! - Nothing is answered before content and operation are durable, in this order (P1).
//! - What breaks off leaves nothing: the chunks of a [`TakenFile`] that is dropped are collected.
//! - One file id is taken in once at a time, so that an attempt that wakes late finds the newer one's
//!   place taken.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use branchline_agent_api::{FileRefused, FileTaking, OperationSaved};
use branchline_protocol::file_name::filed_name;
use branchline_protocol::id::FileId;
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::task::JoinSet;
use tokio_util::task::TaskTracker;

use crate::chunker::{Chunker, FinishedChunk, Whole};
use crate::store::Store;
use crate::store::chunks::{COMMIT_BYTES, ChunksError, Taken};
use crate::store::files::AttachError;
use crate::store::filing::{Filing, FilingError};

/// Files taken in at once; each holds some ten megabytes.
const AT_ONCE: usize = 3;
/// How long a file waits for its turn.
const TURN_WITHIN: Duration = Duration::from_secs(60);
/// How long a source may give nothing.
const STALL: Duration = Duration::from_secs(60);
/// Pieces that wait between the source and the chunker.
const PIECES_WAITING: usize = 2;
/// Bytes of chunks that the chunker hands on at a time.
const HANDED_ON_BYTES: usize = 512 * 1024;

/// Why a file was not taken in.
#[derive(Debug, thiserror::Error)]
pub enum TakeError {
    /// There is no room, or its chunks could not be kept.
    #[error(transparent)]
    Chunks(#[from] ChunksError),
    /// Larger than a file may be here.
    #[error("the file has more than {0} bytes, which is what a file may have here")]
    TooLarge(u64),
    /// The source ended early or failed.
    #[error("the file broke off: {0}")]
    BrokenOff(String),
    /// The source gave nothing for too long.
    #[error("nothing of the file came for {} s", STALL.as_secs())]
    Stalled,
    /// A file of this id is being taken in just now.
    #[error("the same file is being taken in just now")]
    UnderWay,
    /// Others are being taken in, and none of them ended.
    #[error("as many files as can be are being taken in")]
    Busy,
}

/// What takes files in. One per agent.
pub struct FileIntake {
    store: Arc<Store>,
    file_bytes: u64,
    turns: Arc<Semaphore>,
    board: Arc<Mutex<Board>>,
    /// What must run to its end even where nobody waits for it any more.
    finishing: TaskTracker,
}

/// What people see of the intake.
#[derive(Default)]
struct Board {
    taking: HashMap<FileId, UnderWay>,
    refused: Option<FileRefused>,
}

struct UnderWay {
    name: String,
    size: Option<u64>,
    bytes: Arc<AtomicU64>,
}

/// A file whose content is durable here and which no operation names yet.
pub struct TakenFile {
    place: Place,
    whole: Whole,
    name: String,
}

impl TakenFile {
    /// Size, root and count of chunks.
    pub fn whole(&self) -> Whole {
        self.whole
    }

    /// Its name as it is filed.
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// A file's place among those under way; gives its chunks up unless it was attached.
struct Place {
    id: FileId,
    taken: Option<Taken>,
    store: Arc<Store>,
    board: Arc<Mutex<Board>>,
    _turn: OwnedSemaphorePermit,
}

impl Drop for Place {
    fn drop(&mut self) {
        lock(&self.board).taking.remove(&self.id);
        if let Some(taken) = self.taken.take() {
            self.store.abandon(taken);
        }
    }
}

fn lock(board: &Mutex<Board>) -> MutexGuard<'_, Board> {
    // Nothing in here can panic half-way.
    board.lock().unwrap_or_else(PoisonError::into_inner)
}

impl FileIntake {
    /// An intake of files of at most so many bytes.
    pub fn new(store: Arc<Store>, file_bytes: u64) -> Self {
        Self {
            store,
            file_bytes,
            turns: Arc::new(Semaphore::new(AT_ONCE)),
            board: Arc::default(),
            finishing: TaskTracker::new(),
        }
    }

    /// Bytes that a file may have.
    pub fn file_bytes(&self) -> u64 {
        let central = self.store.policy().borrow().catalogue.file_bytes;
        central.map_or(self.file_bytes, |most| most.min(self.file_bytes))
    }

    /// What is being taken in, and the last file for which there was no room.
    pub fn shown(&self) -> (Vec<FileTaking>, Option<FileRefused>) {
        let board = lock(&self.board);
        let taking = board.taking.iter().map(|(id, under_way)| FileTaking {
            id: *id,
            name: under_way.name.clone(),
            bytes: under_way.bytes.load(Ordering::Relaxed),
            size: under_way.size,
        });
        (taking.collect(), board.refused.clone())
    }

    /// Takes content in. `given` is the file's name as it is known where it comes from, `size` its bytes
    /// where they are known; another count is then a file that broke off. An `Ok` is durable.
    pub async fn take<E: std::fmt::Display>(
        &self,
        id: FileId,
        given: &str,
        size: Option<u64>,
        source: impl Stream<Item = Result<Bytes, E>>,
    ) -> Result<TakenFile, TakeError> {
        let name = filed_name(given);
        let taken = self.take_named(id, &name, size, source).await;
        let mut board = lock(&self.board);
        match &taken {
            Ok(_) => board.refused = None,
            Err(TakeError::Chunks(ChunksError::Short(short))) => {
                tracing::warn!(%id, reason = %short, "refused a file");
                board.refused = Some(FileRefused {
                    at: crate::ids::now(),
                    name,
                    fault: short.fault(),
                });
            }
            Err(_) => {}
        }
        taken
    }

    async fn take_named<E: std::fmt::Display>(
        &self,
        id: FileId,
        name: &str,
        size: Option<u64>,
        source: impl Stream<Item = Result<Bytes, E>>,
    ) -> Result<TakenFile, TakeError> {
        let most = self.file_bytes();
        if size.is_some_and(|size| size > most) {
            return Err(TakeError::TooLarge(most));
        }
        let bytes = Arc::new(AtomicU64::new(0));
        let mut place = self.place(id, name, size, bytes.clone()).await?;
        self.store.room_for(size.unwrap_or(0)).await?;
        let taken = self.store.begin_file().await?;
        place.taken = Some(taken);
        let (pieces, waiting) = mpsc::channel(PIECES_WAITING);
        let reading = self.read(source, pieces, bytes);
        let keeping = self.keep(taken, waiting);
        let (read, whole) = tokio::try_join!(reading, keeping)?;
        if size.is_some_and(|size| size != read) {
            let said = size.unwrap_or(0);
            let words = format!("{read} bytes came of the {said} that were said");
            return Err(TakeError::BrokenOff(words));
        }
        Ok(TakenFile {
            place,
            whole,
            name: name.to_owned(),
        })
    }

    async fn place(
        &self,
        id: FileId,
        name: &str,
        size: Option<u64>,
        bytes: Arc<AtomicU64>,
    ) -> Result<Place, TakeError> {
        let turn = tokio::time::timeout(TURN_WITHIN, self.turns.clone().acquire_owned());
        let Ok(Ok(turn)) = turn.await else {
            return Err(TakeError::Busy);
        };
        let mut board = lock(&self.board);
        if board.taking.contains_key(&id) {
            return Err(TakeError::UnderWay);
        }
        let under_way = UnderWay {
            name: name.to_owned(),
            size,
            bytes,
        };
        board.taking.insert(id, under_way);
        drop(board);
        Ok(Place {
            id,
            taken: None,
            store: self.store.clone(),
            board: self.board.clone(),
            _turn: turn,
        })
    }

    /// Reads the source to its end and answers how many bytes it had.
    async fn read<E: std::fmt::Display>(
        &self,
        source: impl Stream<Item = Result<Bytes, E>>,
        pieces: mpsc::Sender<Bytes>,
        bytes: Arc<AtomicU64>,
    ) -> Result<u64, TakeError> {
        let mut source = std::pin::pin!(source);
        let mut read = 0_u64;
        loop {
            let piece = tokio::time::timeout(STALL, source.next())
                .await
                .map_err(|_| TakeError::Stalled)?;
            let Some(piece) = piece else { return Ok(read) };
            let piece = piece.map_err(|fault| TakeError::BrokenOff(fault.to_string()))?;
            read = read.saturating_add(piece.len() as u64);
            if read > self.file_bytes() {
                return Err(TakeError::TooLarge(self.file_bytes()));
            }
            bytes.store(read, Ordering::Relaxed);
            if pieces.send(piece).await.is_err() {
                // Whoever keeps them has failed, and says so.
                return std::future::pending().await;
            }
        }
    }

    /// Cuts, names and keeps what comes; one commit is under way while the next is being filled.
    async fn keep(&self, taken: Taken, waiting: mpsc::Receiver<Bytes>) -> Result<Whole, TakeError> {
        let (mut cut, whole) = cut_apart(waiting)?;
        let mut commits = Commits::new(self.store.clone(), taken);
        while let Some(finished) = cut.recv().await {
            commits.fill(finished).await?;
        }
        commits.flush().await?;
        // A thread that panicked has said nothing.
        let ended = "the chunker ended early".to_owned();
        whole.await.map_err(|_| ChunksError::Failed(ended).into())
    }

    /// Saves the operation that names a file taken in. Runs to its end even where nobody waits for it any
    /// more: a filing half done would leave an operation without its content.
    pub async fn attach(
        &self,
        mut file: TakenFile,
        filing: Filing,
    ) -> Result<OperationSaved, AttachError> {
        let Some(taken) = file.place.taken.take() else {
            return Err(ChunksError::Closed.into());
        };
        let store = self.store.clone();
        let finishing = self.finishing.spawn(async move {
            let saved = store.attach(taken, file.whole, filing).await;
            drop(file);
            saved
        });
        finishing
            .await
            .unwrap_or_else(|fault| Err(ChunksError::Failed(fault.to_string()).into()))
    }

    /// Runs something to its end that nobody waits for.
    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.finishing.spawn(task);
    }

    /// Whether a file could be attached to this ticket now.
    pub async fn may_attach(
        &self,
        number: branchline_protocol::id::TicketNumber,
    ) -> Result<(), FilingError> {
        self.store.may_attach(number).await
    }
}

type Cut = mpsc::Receiver<Vec<FinishedChunk>>;

/// Cuts in a thread of its own: it is most of the work, and one thread reuses its memory where several
/// would each keep some. It ends with the pieces, or when nobody takes what it cuts.
fn cut_apart(
    mut waiting: mpsc::Receiver<Bytes>,
) -> Result<(Cut, oneshot::Receiver<Whole>), TakeError> {
    let (cut, finished) = mpsc::channel(1);
    let (ended, whole) = oneshot::channel();
    let work = move || {
        let mut chunker = Chunker::new();
        let mut batch = Vec::new();
        while let Some(piece) = waiting.blocking_recv() {
            chunker.push(&piece, &mut batch);
            if bytes_of(&batch) >= HANDED_ON_BYTES
                && cut.blocking_send(std::mem::take(&mut batch)).is_err()
            {
                return;
            }
        }
        let whole = chunker.finish(&mut batch);
        if cut.blocking_send(batch).is_ok() {
            let _ = ended.send(whole);
        }
    };
    std::thread::Builder::new()
        .name("chunker".into())
        .spawn(work)
        .map_err(ChunksError::from)?;
    Ok((finished, whole))
}

fn bytes_of(batch: &[FinishedChunk]) -> usize {
    batch.iter().map(|chunk| chunk.stored.len()).sum()
}

/// Chunks on their way into the store.
struct Commits {
    store: Arc<Store>,
    taken: Taken,
    /// Place of the first chunk of `batch`.
    from: u32,
    batch: Vec<FinishedChunk>,
    bytes: usize,
    under_way: JoinSet<Result<(), ChunksError>>,
}

impl Commits {
    fn new(store: Arc<Store>, taken: Taken) -> Self {
        Self {
            store,
            taken,
            from: 0,
            batch: Vec::new(),
            bytes: 0,
            under_way: JoinSet::new(),
        }
    }

    async fn fill(&mut self, finished: Vec<FinishedChunk>) -> Result<(), ChunksError> {
        for chunk in finished {
            self.bytes += chunk.stored.len();
            self.batch.push(chunk);
            if self.bytes >= COMMIT_BYTES {
                self.begin().await?;
            }
        }
        Ok(())
    }

    /// Begins to commit what was filled, once the commit before has ended.
    async fn begin(&mut self) -> Result<(), ChunksError> {
        self.ended().await?;
        let batch = std::mem::take(&mut self.batch);
        self.bytes = 0;
        let (store, taken, from) = (self.store.clone(), self.taken, self.from);
        self.from = from.saturating_add(u32::try_from(batch.len()).unwrap_or(u32::MAX));
        self.under_way
            .spawn(async move { store.add_chunks(taken, from, batch).await });
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), ChunksError> {
        if !self.batch.is_empty() {
            self.begin().await?;
        }
        self.ended().await
    }

    async fn ended(&mut self) -> Result<(), ChunksError> {
        match self.under_way.join_next().await {
            None => Ok(()),
            Some(Ok(committed)) => committed,
            Some(Err(fault)) => Err(ChunksError::Failed(fault.to_string())),
        }
    }
}
