//! Central's real ledger and vault in a folder, a branch that attaches and brings files, and what lies
//! on the disk.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use branchline_protocol::file::FileState;
use branchline_protocol::frame::Encoding;
use branchline_protocol::id::{Digest, FileId};
use branchline_protocol::manifest::ChunkRef;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::inspection::released::{Content, ReadFault};
use crate::inspection::steps::{Hint, Outcome, Scanner};
use crate::inspection::{Fault, Inspector, Pauses, Steps};
use crate::ledger::contract::attached::{self, TestFile};
use crate::ledger::sqlite::{FILE_NAME, SqliteLedger};
use crate::ledger::{
    FileLedger, FileRecord, KeepChunks, KeptChunk, Ledger, MoveFile, ObjectName, now,
};
use crate::testing::TestAgent;
use crate::vault::faulty::FaultyVault;
use crate::vault::{FsVault, Vault};

pub(super) const CHUNK: usize = 20_000;

pub(super) struct World {
    pub(super) folder: tempfile::TempDir,
    pub(super) ledger: Arc<SqliteLedger>,
    pub(super) vault: Arc<FaultyVault>,
    pub(super) agent: TestAgent,
}

/// An inspector at work; it ends with its handle.
pub(super) struct AtWork {
    stopping: CancellationToken,
    tasks: JoinSet<()>,
}

impl AtWork {
    pub(super) async fn stop(mut self) {
        self.stopping.cancel();
        while self.tasks.join_next().await.is_some() {}
    }
}

/// So many bytes that follow from a word, and do not compress.
pub(super) fn content(word: &str, bytes: usize) -> Vec<u8> {
    let mut content = vec![0; bytes];
    let mut reader = blake3::Hasher::new().update(word.as_bytes()).finalize_xof();
    reader.fill(&mut content);
    content
}

pub(super) fn pieces(content: &[u8]) -> Vec<&[u8]> {
    content.chunks(CHUNK).collect()
}

impl World {
    pub(super) async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let ledger = Arc::new(SqliteLedger::open(&folder.path().join(FILE_NAME)).unwrap());
        let vault = FsVault::new(folder.path().join("vault"), 0);
        let vault = FaultyVault::around(Arc::new(vault));
        vault.prepare().await.unwrap();
        let agent = TestAgent::register(ledger.as_ref(), "LYN").await;
        Self {
            folder,
            ledger,
            vault,
            agent,
        }
    }

    /// A file of this content, attached and announced; it gets the name `WORD.pdf`.
    pub(super) async fn announce(&mut self, word: &str, content: &[u8]) -> TestFile {
        let root = Digest(*blake3::hash(content).as_bytes());
        self.announce_as(word, content, root).await
    }

    pub(super) async fn announce_as(
        &mut self,
        word: &str,
        content: &[u8],
        root: Digest,
    ) -> TestFile {
        let chunks = pieces(content).into_iter().map(ChunkRef::of).collect();
        let mut file = TestFile::of(word, chunks);
        file.root = root;
        let ledger = self.ledger.clone();
        attached::attach(ledger.as_ref(), &mut self.agent, &file, word).await;
        attached::announce(ledger.as_ref(), &self.agent, file.whole()).await;
        file
    }

    /// Brings these chunks in one object, as ingress does.
    pub(super) async fn bring(&self, chunks: &[&[u8]]) -> ObjectName {
        let mut random = [0; 16];
        getrandom::fill(&mut random).unwrap();
        let object = ObjectName(Uuid::from_bytes(random));
        let mut writing = self.vault.begin_object(object).await.unwrap();
        let mut kept = Vec::new();
        let mut offset = 0;
        for chunk in chunks {
            writing.append(vec![chunk.to_vec()]).await.unwrap();
            kept.push(KeptChunk {
                chunk: ChunkRef::of(chunk),
                offset,
                stored: u32::try_from(chunk.len()).unwrap(),
                encoding: Encoding::Plain,
            });
            offset += chunk.len() as u64;
        }
        writing.seal().await.unwrap();
        let keep = KeepChunks {
            agent: self.agent.id,
            object,
            chunks: kept,
            at: now(),
        };
        self.ledger.keep_chunks(keep).await.unwrap();
        object
    }

    pub(super) async fn receive(&mut self, word: &str, content: &[u8]) -> TestFile {
        let file = self.announce(word, content).await;
        if self.record(file.id).await.state == FileState::Waiting {
            self.bring(&pieces(content)).await;
        }
        assert_eq!(self.record(file.id).await.state, FileState::Received);
        file
    }

    pub(super) async fn record(&self, file: FileId) -> FileRecord {
        self.ledger.file(file).await.unwrap().unwrap()
    }

    pub(super) async fn state(&self, file: &TestFile) -> FileState {
        self.record(file.id).await.state
    }

    pub(super) async fn told(&self, file: &TestFile) -> Vec<&'static str> {
        let told = attached::told(self.ledger.as_ref(), &self.agent, file).await;
        told.iter().map(FileState::word).collect()
    }

    pub(super) fn steps(&self, scanner: Option<Scanner>) -> Steps {
        Steps {
            ledger: self.ledger.clone(),
            vault: self.vault.clone(),
            scanner,
        }
    }

    /// Takes a file as far as it goes.
    pub(super) async fn inspect(
        &self,
        scanner: Option<Scanner>,
        file: &TestFile,
    ) -> Result<Outcome, Fault> {
        self.inspect_with(scanner, file, Hint::default()).await
    }

    pub(super) async fn inspect_with(
        &self,
        scanner: Option<Scanner>,
        file: &TestFile,
        hint: Hint,
    ) -> Result<Outcome, Fault> {
        let record = self.record(file.id).await;
        self.steps(scanner).inspect(record, hint).await
    }

    pub(super) fn run(&self, scanner: Option<Scanner>) -> AtWork {
        let pauses = Pauses {
            first: Duration::from_millis(2),
            longest: Duration::from_millis(20),
        };
        let stopping = CancellationToken::new();
        let mut tasks = JoinSet::new();
        tasks.spawn(Inspector::new(self.steps(scanner), pauses).run(stopping.clone()));
        AtWork { stopping, tasks }
    }

    pub(super) async fn read_all(&self, file: &TestFile) -> Result<Vec<u8>, ReadFault> {
        let ledger: &dyn Ledger = self.ledger.as_ref();
        let mut content = Content::open(ledger, self.vault.as_ref(), file.id).await?;
        let mut bytes = Vec::new();
        while (bytes.len() as u64) < content.size() {
            bytes.extend(content.read(bytes.len() as u64, usize::MAX).await?);
        }
        Ok(bytes)
    }

    /// A person releases it, and goes away before the file is moved.
    pub(super) async fn release(&self, file: &TestFile) {
        let moved = MoveFile {
            file: file.id,
            version: self.record(file.id).await.version,
            state: FileState::Released {
                by: "Ada".into(),
                reason: "needed".into(),
            },
            sniffed: None,
            disguised: false,
            deed: None,
            at: now(),
        };
        self.ledger.move_file(moved).await.unwrap().unwrap();
    }

    /// The files on a shelf of the disk, by their names.
    pub(super) fn shelf(&self, name: &str) -> Vec<String> {
        shelf(self.folder.path().join("vault").join(name))
    }

    /// Where an assembled file is, or an object.
    pub(super) fn path(&self, name: &str, file: &str) -> PathBuf {
        let folders = self.folder.path().join("vault").join(name);
        let folders = std::fs::read_dir(folders).unwrap();
        folders
            .map(|folder| folder.unwrap().path().join(file))
            .find(|path| path.exists())
            .unwrap()
    }

    /// Turns a bit in a file of the vault.
    pub(super) fn flip(&self, name: &str, file: &str, at: usize) {
        let path = self.path(name, file);
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[at] ^= 1;
        std::fs::write(path, bytes).unwrap();
    }

    pub(super) async fn until(&self, file: &TestFile, what: &str, holds: fn(&FileRecord) -> bool) {
        let started = Instant::now();
        loop {
            let record = self.record(file.id).await;
            if holds(&record) {
                return;
            }
            let waited = started.elapsed();
            assert!(waited < Duration::from_secs(30), "never {what}: {record:?}");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// Waits until the disk has followed the verdicts.
    pub(super) async fn until_released(&self, files: &[&TestFile]) {
        let mut expected: Vec<String> = files.iter().map(|file| file.root.to_string()).collect();
        expected.sort_unstable();
        let started = Instant::now();
        loop {
            let mut found = self.shelf("released");
            found.sort_unstable();
            if found == expected {
                return;
            }
            assert!(started.elapsed() < Duration::from_secs(30), "{found:?}");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
}

pub(super) fn shelf(folder: PathBuf) -> Vec<String> {
    let Ok(folders) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    folders
        .flat_map(|folder| std::fs::read_dir(folder.unwrap().path()).unwrap())
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .collect()
}
