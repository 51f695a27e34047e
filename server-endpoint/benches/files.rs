//! What files of 10 GB cost the ledger, and what a ticket waits for meanwhile (P7): announcing 160,000
//! chunks, their coming, the file's assembly, a second file of the same content, an upload given up.
//! `cargo bench -p branchline-server --bench files`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use branchline_protocol::chain::Position;
use branchline_protocol::exchange::Health;
use branchline_protocol::frame::Encoding;
use branchline_protocol::id::{
    AgentId, BranchCode, Digest, FileId, OperationId, StreamId, TicketId, TicketNumber,
};
use branchline_protocol::limits;
use branchline_protocol::manifest::{ChunkRef, Section};
use branchline_protocol::operation::{
    Body, Contact, FileAttached, Operation, Priority, Reporter, TicketFiled,
};
use branchline_protocol::time::UnixMillis;
use branchline_server::ledger::sqlite::SqliteLedger;
use branchline_server::ledger::{
    Announce, Append, Appended, Batch, DedupScope, FileLedger, KeepChunks, KeptChunk, Ledger,
    NewAgent, ObjectName, UploadBounds, now,
};
use tokio::sync::watch;
use tokio::task::JoinSet;

const CHUNKS: usize = 160_000;
/// Chunks in a body of 8 MiB.
const BODY: usize = 128;

struct Agent {
    id: AgentId,
    branch: BranchCode,
    stream: StreamId,
    at: Position,
    made: u64,
}

#[derive(Clone, Copy)]
struct Large {
    file: FileId,
    root: Digest,
    /// Of its chunks.
    seed: u64,
}

impl Large {
    fn chunk(&self, place: usize) -> ChunkRef {
        let name = [self.seed, place as u64].map(u64::to_le_bytes).concat();
        let hash = Digest(*blake3::hash(&name).as_bytes());
        ChunkRef(hash, limits::CHUNK_AVERAGE_BYTES)
    }

    fn size() -> u64 {
        CHUNKS as u64 * u64::from(limits::CHUNK_AVERAGE_BYTES)
    }
}

fn main() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    runtime.block_on(run())
}

async fn run() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let ledger = Arc::new(SqliteLedger::open(&folder.path().join("ledger.db"))?);
    let mut agent = register(&ledger, 1, "LYN".parse()?).await?;
    let ticket = file_ticket(&ledger, &mut agent).await?;
    let mut files = Vec::new();
    for seed in [1, 1, 2] {
        files.push(attach(&ledger, &mut agent, ticket, seed).await?);
    }
    let [first, second, third] = files.as_slice() else {
        anyhow::bail!("three files");
    };
    let other = register(&ledger, 2, "PAR".parse()?).await?;
    let (phase, heard) = watch::channel("idle");
    let mut filing = JoinSet::new();
    filing.spawn(file_all_the_time(ledger.clone(), other, heard));
    tokio::time::sleep(Duration::from_secs(2)).await;

    phase.send_replace("announce, all new");
    timed(
        "announce of 160,000 chunks",
        announce(&ledger, &agent, first),
    )
    .await?;
    phase.send_replace("chunks come, 128 a body");
    timed("160,000 chunks come", bring(&ledger, &agent, first)).await?;
    phase.send_replace("settle");
    timed("settle of 160,000 chunks", async {
        ledger.settle_chunks(first.file).await?;
        Ok(())
    })
    .await?;
    phase.send_replace("announce, all held");
    timed(
        "announce of 160,000 chunks",
        announce(&ledger, &agent, second),
    )
    .await?;
    phase.send_replace("announce, all new");
    timed(
        "announce of 160,000 chunks",
        announce(&ledger, &agent, third),
    )
    .await?;
    phase.send_replace("expire");
    timed("expire of 160,000 chunks", async {
        ledger.expire_uploads(UnixMillis(i64::MAX), now()).await?;
        Ok(())
    })
    .await?;
    small_files(&ledger, &mut agent, ticket, &phase).await?;
    drop(phase);
    let waits = filing
        .join_next()
        .await
        .unwrap_or_else(|| Ok(Ok(Waits::new())));
    for (phase, mut took) in waits?? {
        took.sort();
        let at = |part: usize| took.get((took.len() - 1) * part / 1_000).copied();
        print(&format!(
            "a ticket during {phase}: {} times, median {:.1?}, p99 {:.1?}, worst {:.1?}",
            took.len(),
            at(500).unwrap_or_default(),
            at(990).unwrap_or_default(),
            at(1_000).unwrap_or_default()
        ));
    }
    let size = std::fs::metadata(folder.path().join("ledger.db"))?.len();
    print(&format!("the ledger has {} MiB", size >> 20));
    Ok(())
}

#[expect(clippy::print_stdout, reason = "a benchmark prints its figures")]
fn print(line: &str) {
    println!("{line}");
}

async fn timed(what: &str, work: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    let started = Instant::now();
    work.await?;
    print(&format!("{what}: {:.1?}", started.elapsed()));
    Ok(())
}

async fn announce(ledger: &SqliteLedger, agent: &Agent, file: &Large) -> anyhow::Result<()> {
    let mut worst = Duration::ZERO;
    for from in (0..CHUNKS).step_by(limits::SECTION_CHUNKS) {
        let end = CHUNKS.min(from + limits::SECTION_CHUNKS);
        let section = Section {
            file: file.file,
            size: Large::size(),
            root: file.root,
            count: u32::try_from(CHUNKS)?,
            from: u32::try_from(from)?,
            chunks: (from..end).map(|place| file.chunk(place)).collect(),
        };
        let started = Instant::now();
        announce_these(ledger, agent, vec![section]).await?;
        worst = worst.max(started.elapsed());
    }
    print(&format!(
        "worst call of {} places: {worst:.1?}",
        limits::SECTION_CHUNKS
    ));
    Ok(())
}

async fn announce_these(
    ledger: &SqliteLedger,
    agent: &Agent,
    sections: Vec<Section>,
) -> anyhow::Result<()> {
    let announce = Announce {
        agent: agent.id,
        sections,
        bounds: UploadBounds {
            scope: DedupScope::Organisation,
            agent_bytes: u64::MAX,
            agent_files: u64::MAX,
            file_bytes: u64::MAX,
        },
        at: now(),
    };
    ledger.announce(announce).await?;
    Ok(())
}

async fn bring(ledger: &SqliteLedger, agent: &Agent, file: &Large) -> anyhow::Result<()> {
    let mut worst = Duration::ZERO;
    for (from, name) in (0..CHUNKS).step_by(BODY).zip(1_u128..) {
        let chunks = (from..CHUNKS.min(from + BODY)).map(|place| KeptChunk {
            chunk: file.chunk(place),
            offset: place as u64,
            stored: 1,
            encoding: Encoding::Zstd,
        });
        let keep = KeepChunks {
            agent: agent.id,
            object: ObjectName(uuid::Uuid::from_u128(name)),
            chunks: chunks.collect(),
            at: now(),
        };
        let started = Instant::now();
        let kept = ledger.keep_chunks(keep).await?;
        worst = worst.max(started.elapsed());
        let is_last = from + BODY >= CHUNKS;
        anyhow::ensure!(kept.received.len() == usize::from(is_last), "{kept:?}");
    }
    print(&format!("worst body: {worst:.1?}"));
    Ok(())
}

/// Files of one chunk: announced and brought as many at once as the protocol carries.
async fn small_files(
    ledger: &SqliteLedger,
    agent: &mut Agent,
    ticket: TicketId,
    phase: &watch::Sender<&'static str>,
) -> anyhow::Result<()> {
    let mut sections = Vec::new();
    for seed in 0..2_048 {
        let name = blake3::hash(&[agent.made, seed].map(u64::to_le_bytes).concat());
        let chunk = ChunkRef(Digest(*name.as_bytes()), 20_000);
        let root = chunk.hash();
        let body = Body::FileAttached(FileAttached {
            ticket,
            name: "receipt.pdf".into(),
            size: 20_000,
            root,
        });
        let file = submit(ledger, agent, body).await?.into();
        sections.push(Section {
            file,
            size: 20_000,
            root,
            count: 1,
            from: 0,
            chunks: vec![chunk],
        });
    }
    phase.send_replace("announcing small files");
    for sections in sections.chunks(limits::ANNOUNCED_FILES) {
        timed(
            "announce of 512 small files",
            announce_these(ledger, agent, sections.to_vec()),
        )
        .await?;
    }
    phase.send_replace("small files coming");
    let chunks = sections
        .iter()
        .zip(0_u64..)
        .map(|(section, offset)| KeptChunk {
            chunk: ChunkRef(section.root, 20_000),
            offset,
            stored: 1,
            encoding: Encoding::Zstd,
        });
    let keep = KeepChunks {
        agent: agent.id,
        object: ObjectName(uuid::Uuid::from_u128(0)),
        chunks: chunks.collect(),
        at: now(),
    };
    timed("2,048 small files come", async {
        let kept = ledger.keep_chunks(keep).await?;
        anyhow::ensure!(kept.received.len() == 2_048);
        Ok(())
    })
    .await
}

type Waits = Vec<(&'static str, Vec<Duration>)>;

async fn file_all_the_time(
    ledger: Arc<SqliteLedger>,
    mut agent: Agent,
    mut phase: watch::Receiver<&'static str>,
) -> anyhow::Result<Waits> {
    let mut waits: Waits = Vec::new();
    while phase.has_changed().is_ok() {
        let now = *phase.borrow_and_update();
        let started = Instant::now();
        file_ticket(&ledger, &mut agent).await?;
        let took = started.elapsed();
        match waits.iter_mut().find(|(phase, _)| *phase == now) {
            Some((_, of_phase)) => of_phase.push(took),
            None => waits.push((now, vec![took])),
        }
        tokio::time::sleep(Duration::from_millis(7)).await;
    }
    Ok(waits)
}

async fn register(ledger: &SqliteLedger, index: u8, branch: BranchCode) -> anyhow::Result<Agent> {
    let id = AgentId::from_parts(1, [index; 10]);
    let new = NewAgent {
        id,
        branch: branch.clone(),
        branch_name: None,
        at: now(),
    };
    ledger.register_agent(new).await?;
    let stream = StreamId::from_parts(1, [index; 10]);
    Ok(Agent {
        id,
        branch,
        stream,
        at: Position::genesis(stream),
        made: 0,
    })
}

async fn file_ticket(ledger: &SqliteLedger, agent: &mut Agent) -> anyhow::Result<TicketId> {
    let number = TicketNumber::given(agent.branch.clone(), 1, u32::try_from(agent.made)? + 1);
    let body = Body::TicketFiled(TicketFiled {
        number,
        subject: "Printer prints twice".into(),
        description: "The printer on the second floor prints every page twice.".into(),
        category: "hardware".into(),
        priority: Priority::Normal,
        contact: Contact {
            name: Some("Jeanne Martin".into()),
            ..Contact::default()
        },
        asset: None,
    });
    Ok(submit(ledger, agent, body).await?.into())
}

async fn attach(
    ledger: &SqliteLedger,
    agent: &mut Agent,
    ticket: TicketId,
    seed: u64,
) -> anyhow::Result<Large> {
    let root = Digest([agent.made.to_le_bytes()[0]; 32]);
    let body = Body::FileAttached(FileAttached {
        ticket,
        name: "camera.mkv".into(),
        size: Large::size(),
        root,
    });
    let file = submit(ledger, agent, body).await?.into();
    Ok(Large { file, root, seed })
}

async fn submit(
    ledger: &SqliteLedger,
    agent: &mut Agent,
    body: Body,
) -> anyhow::Result<OperationId> {
    agent.made += 1;
    let mut random = [0; 10];
    let hash = blake3::hash(format!("{} {}", agent.branch, agent.made).as_bytes());
    for (random, byte) in random.iter_mut().zip(hash.as_bytes()) {
        *random = *byte;
    }
    let operation = Operation {
        id: OperationId::from_parts(1_700_000_000_000 + agent.made, random),
        at: "2026-11-21T09:12:00.250+01:00".parse()?,
        by: Reporter {
            user: "j.martin".into(),
        },
        body,
    };
    let bytes = operation.encode();
    let end = agent.at.then(&bytes);
    let bounds = std::iter::once(0..bytes.len()).collect();
    let append = Append {
        agent: agent.id,
        stream: agent.stream,
        continues: None,
        after: agent.at,
        operations: Batch::new(bytes.into(), bounds),
        cursor: None,
        health: Health::default(),
        received_at: now(),
    };
    let appended = ledger.append(append).await?;
    let is_held = matches!(&appended, Appended::Held(held) if held.acknowledged == end);
    anyhow::ensure!(is_held, "{appended:?}");
    agent.at = end;
    Ok(operation.id)
}
