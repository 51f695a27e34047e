//! What the ledger keeps of files: manifests, where chunks lie in the vault, states, and their verbs.
//!
//! The ledger knows names and places; the bytes are the vault's. A chunk lies in one of two kinds of
//! place: in an object of `incoming/`, as it came; or, once its file was assembled, in that file.

use branchline_protocol::file::FileState;
use branchline_protocol::frame::Encoding;
use branchline_protocol::id::{AgentId, BranchCode, Digest, FileId, TicketId, TicketNumber};
use branchline_protocol::manifest::{ChunkRef, FileStanding, Section};
use branchline_protocol::time::{LocalTime, UnixMillis};
use uuid::Uuid;

use super::{Deed, Pending};

/// One immutable object of the vault's `incoming/`: the chunks of one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectName(pub Uuid);

impl ObjectName {
    /// A name that no other process gives out: a UUIDv7, so that names sort by their time.
    pub fn new(at: UnixMillis) -> Self {
        let mut random = [0; 10];
        // Should there be no randomness, the vault refuses a name that is taken.
        let _ = getrandom::fill(&mut random);
        let millis = u64::try_from(at.0).unwrap_or_default();
        Self(uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid())
    }
}

/// Where a chunk's bytes lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChunkPlace {
    /// In an object, as it came.
    Object {
        /// Which.
        object: ObjectName,
        /// Bytes before it.
        offset: u64,
        /// Bytes as stored.
        stored: u32,
        /// How they are stored.
        encoding: Encoding,
    },
    /// In an assembled file, as it is.
    File {
        /// The file's root, which names it in the vault.
        root: Digest,
        /// Bytes before it.
        offset: u64,
    },
}

/// Whose chunks count as held when a file is announced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DedupScope {
    /// Any branch's.
    #[default]
    Organisation,
    /// The announcing branch's own: an agent then learns nothing of what others hold.
    Branch,
}

/// What one agent may have at central that is not settled yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UploadBounds {
    /// Whose chunks count as held.
    pub scope: DedupScope,
    /// Bytes of files announced by one agent and not settled.
    pub agent_bytes: u64,
    /// Such files of one agent.
    pub agent_files: u64,
    /// Bytes of one file.
    pub file_bytes: u64,
}

/// Announces files: keeps the sections that fit, and says how each file stands.
#[derive(Debug, Clone)]
pub struct Announce {
    /// The agent, which has proved who it is.
    pub agent: AgentId,
    /// Of any of its files.
    pub sections: Vec<Section>,
    /// Within these bounds.
    pub bounds: UploadBounds,
    /// By central's clock.
    pub at: UnixMillis,
}

/// Standings, in the order of the sections.
#[derive(Debug, Clone)]
pub struct Announced {
    /// One per section.
    pub files: Vec<FileStanding>,
    /// The agent's branch, which has news where a file was received at once.
    pub branch: BranchCode,
    /// Whether this gave it news.
    pub gave_news: bool,
}

/// Whether a chunk may come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Want {
    /// An announced file of this agent lacks it.
    Wanted,
    /// Central holds it already, and an announced file of this agent has it.
    Held,
    /// No announced file of this agent has it.
    NotAnnounced,
}

/// Chunks that one synced object of the vault holds.
#[derive(Debug, Clone)]
pub struct KeepChunks {
    /// The agent that brought them.
    pub agent: AgentId,
    /// Where they lie; synced, directory included (P3).
    pub object: ObjectName,
    /// Each with its offset, bytes as stored, and encoding; verified against its hash (P4).
    pub chunks: Vec<KeptChunk>,
    /// By central's clock.
    pub at: UnixMillis,
}

/// One chunk in an object.
#[derive(Debug, Clone, Copy)]
pub struct KeptChunk {
    /// The chunk.
    pub chunk: ChunkRef,
    /// Bytes before it in the object.
    pub offset: u64,
    /// Bytes as stored.
    pub stored: u32,
    /// How they are stored.
    pub encoding: Encoding,
}

/// What came of [`KeepChunks`].
#[derive(Debug, Clone, Default)]
pub struct ChunksKept {
    /// Chunks that now lie in this object. With none the object is nobody's and may be deleted: another
    /// request was faster (fencing: the first place of a chunk stays).
    pub used: usize,
    /// Indices into [`KeepChunks::chunks`] that no announced file of this agent has.
    pub not_announced: Vec<usize>,
    /// This agent's files that lack nothing any more; their events are in the same commit.
    pub received: Vec<FileId>,
    /// All branches that have news by this: another branch's file may have waited for the same chunk.
    pub news_for: Vec<BranchCode>,
}

/// A file as the ledger holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileRecord {
    /// The file.
    pub id: FileId,
    /// Its ticket.
    pub ticket: TicketId,
    /// The ticket's number at central.
    pub number: TicketNumber,
    /// The agent that attached it; `None` where central gives it.
    pub agent: Option<AgentId>,
    /// That agent's branch, or the branch that it is for.
    pub branch: BranchCode,
    /// As given at the branch; made safe by whoever shows or stores it.
    pub name: String,
    /// Bytes.
    pub size: u64,
    /// BLAKE3 of the whole.
    pub root: Digest,
    /// When it was attached, by the branch's clock, or by central's where central gives it.
    pub attached_at: LocalTime,
    /// Who attached it.
    pub reporter: String,
    /// What became of it.
    pub state: FileState,
    /// Since when, by central's clock.
    pub state_since: UnixMillis,
    /// Grows with every change of state: who acts on a file names the version that they saw.
    pub version: u64,
    /// What its content looks like, once inspection has sniffed it: a media type.
    pub sniffed: Option<String>,
    /// The content is not of the type that the name says.
    pub disguised: bool,
    /// Bytes that central holds of it, where chunks are still missing.
    pub held_bytes: u64,
    /// Chunks of the whole; `None` before the first section was announced.
    pub count: Option<u32>,
    /// Why inspection has not come further, for people ("the scanner does not answer"); `None` where
    /// nothing is wrong.
    pub trouble: Option<String>,
}

/// One place of a file's manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlacedChunk {
    /// The chunk.
    pub chunk: ChunkRef,
    /// Where its bytes lie; `None` where central lacks it.
    pub place: Option<ChunkPlace>,
}

/// Moves a file from one state to the next, with its event, if it is still as the caller saw it.
#[derive(Debug, Clone)]
pub struct MoveFile {
    /// The file.
    pub file: FileId,
    /// The version that the caller saw.
    pub version: u64,
    /// What it is from now on. [`FileState::Waiting`] is not moved to: [`FileLedger::lose_chunks`] is.
    pub state: FileState,
    /// What sniffing found, kept where it is `Some`.
    pub sniffed: Option<String>,
    /// See [`FileRecord::disguised`].
    pub disguised: bool,
    /// For the trail, where a person decided it.
    pub deed: Option<Deed>,
    /// By central's clock.
    pub at: UnixMillis,
}

/// Which files to list.
#[derive(Debug, Clone, Default)]
pub struct FileFilter {
    /// Of this branch only.
    pub branch: Option<BranchCode>,
    /// Of this ticket only.
    pub ticket: Option<TicketId>,
    /// In the state of this word only.
    pub state: Option<&'static str>,
    /// Of this content only.
    pub root: Option<Digest>,
    /// Only those behind this one, in the order of attaching.
    pub after: Option<FileId>,
    /// At most so many.
    pub most: usize,
}

/// What the ledger does with files.
pub trait FileLedger: Send + Sync {
    /// Announces files of an agent, on the bulk lane. A long section is placed part by part: one that
    /// could not be placed whole for the ledger's own failure is announced as far as it came, and says so
    /// when it is announced again. An expired file that is announced waits again, from its beginning; one
    /// that has begun is not expired as long as it is announced.
    fn announce(&self, announce: Announce) -> Pending<'_, Announced>;

    /// Which of these chunks may come from this agent; asked before their bytes are stored.
    fn wants(&self, agent: AgentId, chunks: Vec<ChunkRef>) -> Pending<'_, Vec<Want>>;

    /// Keeps the places of chunks that are durable in the vault. A chunk that has a place keeps it. Files
    /// that lack nothing any more are received in the same commit. On the bulk lane.
    fn keep_chunks(&self, keep: KeepChunks) -> Pending<'_, ChunksKept>;

    /// A file.
    fn file(&self, id: FileId) -> Pending<'_, Option<FileRecord>>;

    /// Files in the order of attaching.
    fn files(&self, filter: FileFilter) -> Pending<'_, Vec<FileRecord>>;

    /// Files that inspection has to look at (received, left scanning, or to be scanned again), the
    /// smaller ones first but none starved; at most `most`. One that is noted as in trouble stands back
    /// as if it had only just come.
    fn to_inspect(&self, most: usize) -> Pending<'_, Vec<FileRecord>>;

    /// The chunks of a file from a place on, at most `most`, in order.
    fn chunks_of(&self, file: FileId, from: u32, most: usize) -> Pending<'_, Vec<PlacedChunk>>;

    /// Moves a file to its next state, with its event; `None` where it is no longer as the caller saw it.
    /// Answers with the file as it is then. From received only to scanning; from there to a verdict; from
    /// a verdict but corrupt to another one, and from held and too large to released. Anything else is
    /// [`super::LedgerError::Broken`]: a fault of this program.
    fn move_file(&self, moved: MoveFile) -> Pending<'_, Option<FileRecord>>;

    /// Notes why inspection of a file does not come further, or that nothing hinders it any more.
    fn note_trouble(&self, file: FileId, trouble: Option<String>) -> Pending<'_, ()>;

    /// Puts a judged file back before inspection, to be scanned again; it stays what it is until then.
    /// Answers whether it is one that can be.
    fn scan_again(&self, file: FileId, at: UnixMillis) -> Pending<'_, bool>;

    /// A file that was scanned again stays what it is, if it is still as the caller saw it: inspection
    /// has nothing more to do, and no event says so.
    fn keep_verdict(&self, file: FileId, version: u64) -> Pending<'_, ()>;

    /// The file was assembled and is durable in the vault under its root: those of its chunks that lie in
    /// objects lie there from now on. Answers with objects of `incoming/` in which no chunk lies any more;
    /// they may be deleted. After a crash it is asked again, and answers with what is left to do.
    fn settle_chunks(&self, file: FileId) -> Pending<'_, Vec<ObjectName>>;

    /// These chunks are not where they should be, or not what they should be: central lacks them from now
    /// on, and every file of them that nobody has judged yet waits again, with its event; on one that was
    /// judged it is noted as trouble. A chunk that lies elsewhere by now is not lost. Answers with the
    /// files that wait for one that was.
    fn lose_chunks(
        &self,
        chunks: Vec<(ChunkRef, ChunkPlace)>,
        at: UnixMillis,
    ) -> Pending<'_, Vec<FileId>>;

    /// Gives up waiting files that have begun, and of which nothing came and nothing was announced since
    /// before `before`: they expire, with their events. Corrupt ones give their chunks back. Answers with
    /// objects in which no chunk of a file lies any more.
    fn expire_uploads(&self, before: UnixMillis, at: UnixMillis) -> Pending<'_, Vec<ObjectName>>;

    /// Which of these objects hold at least one chunk; the others are nobody's, if they are not so new
    /// that their [`FileLedger::keep_chunks`] is still to come.
    fn objects_in_use(&self, objects: Vec<ObjectName>) -> Pending<'_, Vec<ObjectName>>;
}
