//! P1 for files, against power loss: files pour into `chunks.db` in commits that spill into the file
//! before they end, while every write and sync of SQLite is recorded. On every disk that a loss of power
//! could have left, the files that were whole are whole, byte for byte, and what was under way is gone or
//! collected; the next file is taken in as if nothing had been.

use std::path::Path;
use std::sync::Arc;

use branchline_agent::chunker::{Chunker, Whole};
use branchline_agent::store::ChunkBounds;
use branchline_agent::store::chunks::{CHUNKS_FILE, ChunkStore, ChunksError, Taken};
use branchline_protocol::frame::Encoding;
use branchline_protocol::id::FileId;
use harness::crash_vfs::{CrashImage, IoLog, Recording};
use harness::processes::sandbox;

/// Each gives up to nine disks per crash point.
const SEEDS: [u64; 1] = [20_261_122];
/// Crash points tried among those that are nothing but another page of a file's bytes.
const PAGES_TRIED: usize = 24;
/// Larger than the page cache, so that its commit spills.
const LARGE: usize = 7 << 20;
const SMALL: usize = 300_000;
/// More than a commit of the agent's, so that it spills.
const IN_ONE_COMMIT: usize = 8 << 20;

fn bounds() -> ChunkBounds {
    ChunkBounds {
        reserve_bytes: 0,
        ..ChunkBounds::default()
    }
}

fn store(folder: &Path) -> ChunkStore {
    ChunkStore::new(folder, bounds())
}

fn name(n: u8) -> FileId {
    FileId::from_bytes([n; 16])
}

fn content(n: u8, bytes: usize) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(u64::from(n));
    std::iter::repeat_with(|| random.u8(..))
        .take(bytes)
        .collect()
}

async fn take(store: &ChunkStore, bytes: &[u8]) -> Result<(Taken, Whole), ChunksError> {
    let taken = store.begin().await?;
    let (mut chunker, mut finished, mut from) = (Chunker::new(), Vec::new(), 0);
    for piece in bytes.chunks(IN_ONE_COMMIT) {
        chunker.push(piece, &mut finished);
        let batch = std::mem::take(&mut finished);
        let next = from + u32::try_from(batch.len()).unwrap();
        store.add(taken, from, Arc::new(batch)).await?;
        from = next;
    }
    let whole = chunker.finish(&mut finished);
    store.add(taken, from, Arc::new(finished)).await?;
    Ok((taken, whole))
}

/// A small file, a large one behind it, one that never becomes whole, and another small one.
async fn record() -> IoLog {
    let sandbox = sandbox();
    let recording = Recording::start(sandbox.path()).unwrap();
    let store = store(sandbox.path());
    for (n, bytes) in [(1, SMALL), (2, LARGE), (3, SMALL), (4, SMALL)] {
        let (taken, whole) = take(&store, &content(n, bytes)).await.unwrap();
        if n != 3 {
            store.complete(taken, name(n), whole).await.unwrap();
            recording.mark(format!("whole {n}"));
        }
    }
    drop(store);
    let log = recording.finish();
    log.check_complete().unwrap();
    log
}

async fn read(store: &ChunkStore, n: u8) -> Result<Option<Vec<u8>>, String> {
    let said = |fault: ChunksError| fault.to_string();
    if store.whole(name(n)).await.map_err(said)?.is_none() {
        return Ok(None);
    }
    let chunks = store.chunks_of(name(n), 0, 10_000).await.map_err(said)?;
    let mut bytes = Vec::new();
    for loaded in store.load(chunks).await.map_err(said)? {
        let stored = loaded
            .stored
            .ok_or_else(|| format!("a chunk of {n} decayed"))?;
        match loaded.encoding {
            Encoding::Plain => bytes.extend(stored),
            Encoding::Zstd => return Err("noise was packed".to_owned()),
        }
    }
    Ok(Some(bytes))
}

async fn hold_to_promises(image: &CrashImage) -> Result<(), String> {
    let sandbox = tempfile::tempdir_in("/dev/shm").unwrap_or_else(|_| sandbox());
    image.materialise(sandbox.path()).unwrap();
    let promised = |n| {
        image
            .markers_before()
            .iter()
            .any(|made| *made == format!("whole {n}"))
    };
    let store = store(sandbox.path());
    for (n, bytes) in [(1, SMALL), (2, LARGE), (4, SMALL)] {
        match read(&store, n).await? {
            Some(found) if found == content(n, bytes) => {}
            Some(_) => return Err(format!("{n} holds other bytes")),
            None if promised(n) => return Err(format!("{n} was whole and is lost")),
            None => {}
        }
    }
    while store.collect().await.map_err(|fault| fault.to_string())? {}
    let after = async {
        let (taken, whole) = take(&store, &content(5, SMALL)).await?;
        store.complete(taken, name(5), whole).await
    };
    after
        .await
        .map_err(|fault| format!("the next file: {fault}"))?;
    if read(&store, 5).await? != Some(content(5, SMALL)) {
        return Err("the next file holds other bytes".to_owned());
    }
    drop(store);
    let sound: String =
        branchline_durable_sqlite::rusqlite::Connection::open(sandbox.path().join(CHUNKS_FILE))
            .and_then(|file| file.query_row("PRAGMA integrity_check", [], |row| row.get(0)))
            .map_err(|fault| fault.to_string())?;
    if sound == "ok" { Ok(()) } else { Err(sound) }
}

/// All that is not one page among many, and some that are.
fn points(log: &IoLog) -> Vec<usize> {
    let (pages, others): (Vec<_>, Vec<_>) =
        log.crash_points().partition(|&n| log.is_inside_writes(n));
    let every = (pages.len() / PAGES_TRIED).max(1);
    others
        .into_iter()
        .chain(pages.into_iter().step_by(every))
        .collect()
}

async fn broken_promises(log: &IoLog) -> (Vec<String>, usize) {
    let (mut broken, mut disks) = (Vec::new(), 0);
    for n in points(log) {
        for image in SEEDS.iter().flat_map(|&seed| log.crash_images(n, seed)) {
            disks += 1;
            if let Err(why) = hold_to_promises(&image).await {
                broken.push(format!("{image}: {why}"));
            }
        }
    }
    (broken, disks)
}

#[tokio::test]
async fn files_that_were_whole_survive_a_loss_of_power_while_another_pours_in() {
    let log = record().await;
    let (broken, disks) = broken_promises(&log).await;
    println!("{disks} disks, seeds {SEEDS:?}");
    assert_eq!(broken, Vec::<String>::new());
    assert!(disks > 100, "only {disks} disks");
}

#[tokio::test]
async fn the_same_questions_catch_a_store_of_files_that_does_not_sync() {
    let mut log = record().await;
    log.forget_syncs();
    let (broken, _) = broken_promises(&log).await;
    let noticed = broken.iter().any(|broken| broken.contains("is lost"));
    assert!(noticed, "a loss was never said: {broken:#?}");
}
