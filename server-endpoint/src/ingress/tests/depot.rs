//! A server with a ledger of chunks and a vault that can fail, and a client of the bulk routes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use branchline_protocol::frame::{Encoding, Header, MAGIC, MEDIA_TYPE};
use branchline_protocol::manifest::ChunkRef;
use branchline_protocol::time::UnixMillis;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::central::{Answer, Central, Request, small_bounds};
use super::files_ledger::FilesLedger;
use crate::ingress::{Bounds, BulkBounds};
use crate::ledger::ObjectName;
use crate::testing::TestAgent;
use crate::vault::faulty::FaultyVault;
use crate::vault::{FsVault, Vault};

pub(super) struct Depot {
    pub(super) central: Central,
    pub(super) ledger: Arc<FilesLedger>,
    pub(super) vault: Arc<FaultyVault>,
    pub(super) agent: TestAgent,
    _folder: tempfile::TempDir,
}

pub(super) fn bulk_bounds() -> BulkBounds {
    BulkBounds {
        requests: 16,
        agent_requests: 8,
        bytes: 8 * 1024 * 1024,
        body_stall: Duration::from_millis(300),
        body_total: Duration::from_secs(20),
        yields_to: 4,
        yields_after: Duration::from_secs(20),
    }
}

pub(super) fn frame(stored: &[u8], of: &[u8], encoding: Encoding) -> Vec<u8> {
    let header = Header {
        chunk: ChunkRef::of(of),
        encoding,
        stored: u32::try_from(stored.len()).unwrap(),
    };
    [&header.encode()[..], stored].concat()
}

/// A body of these chunks as they are.
pub(super) fn body(chunks: &[&[u8]]) -> Vec<u8> {
    let frames = chunks
        .iter()
        .map(|chunk| frame(chunk, chunk, Encoding::Plain));
    framed(frames.collect::<Vec<_>>())
}

pub(super) fn framed(frames: impl IntoIterator<Item = Vec<u8>>) -> Vec<u8> {
    let mut body = MAGIC.to_vec();
    body.extend(frames.into_iter().flatten());
    body
}

pub(super) fn chunks_request(agent: &TestAgent, body: Vec<u8>) -> Request {
    Request::post("/v1/chunks", agent, body).with("content-type", MEDIA_TYPE)
}

/// Waits for what goes on without its caller.
pub(super) async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < Duration::from_secs(30), "never: {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

impl Depot {
    pub(super) async fn start() -> Self {
        Self::bounded(Bounds {
            bulk: bulk_bounds(),
            ..small_bounds()
        })
        .await
    }

    pub(super) async fn bounded(bounds: Bounds) -> Self {
        Self::reserving(0, bounds).await
    }

    pub(super) async fn reserving(reserve: u64, bounds: Bounds) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let vault = FsVault::new(folder.path().join("vault"), reserve);
        let vault = FaultyVault::around(Arc::new(vault));
        let ledger = FilesLedger::new();
        let central = Central::with_vault(ledger.clone(), vault.clone(), bounds).await;
        Self {
            central,
            ledger,
            vault,
            agent: FilesLedger::agent_of(1),
            _folder: folder,
        }
    }

    pub(super) async fn bring(&self, body: Vec<u8>) -> Answer {
        self.central.ask(chunks_request(&self.agent, body)).await
    }

    /// Sends a request and so much of its body, and leaves the connection open.
    pub(super) async fn begin(&self, agent: &TestAgent, body: &[u8], sent: usize) -> TcpStream {
        let request = chunks_request(agent, body.to_vec()).bytes();
        let head = request.len() - body.len();
        let mut connection = self.central.connect().await;
        connection.write_all(&request[..head + sent]).await.unwrap();
        connection
    }

    pub(super) async fn objects(&self) -> Vec<ObjectName> {
        let mut all = Vec::new();
        for part in 0..=u8::MAX {
            let later = UnixMillis(4_000_000_000_000);
            all.extend(self.vault.objects_before(part, later).await.unwrap());
        }
        all.sort_unstable();
        all
    }

    /// Waits until requests have sealed so many objects.
    pub(super) async fn until_sealed(&self, objects: usize) {
        let started = Instant::now();
        while self.objects().await.len() < objects {
            assert!(started.elapsed() < Duration::from_secs(60), "never sealed");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// P3, P4: what the ledger knows of lies in the vault, and is what it is called.
    pub(super) async fn assert_proven(&self) {
        let places: Vec<_> = self.ledger.state().places.clone().into_iter().collect();
        for (chunk, (object, kept)) in places {
            let stored = self
                .vault
                .read_object(object, kept.offset, kept.stored as usize)
                .await
                .unwrap();
            let mut prover = crate::vault::Prover::default();
            assert!(
                prover.prove(chunk, kept.encoding, &stored).is_some(),
                "{chunk:?} is not what it is called"
            );
        }
        let used: Vec<_> = self.ledger.used_objects().into_iter().collect();
        assert_eq!(self.objects().await, used, "an object without an owner");
    }
}
