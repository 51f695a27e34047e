//! P1, saved means saved, against power loss: a real store files and acknowledges while every write
//! and sync of SQLite is recorded, and is then opened on every disk that a loss of power at any
//! moment could have left, with unsynced writes kept, lost, reordered or torn.

use std::path::Path;
use std::time::SystemTime;

use branchline_agent::store::filing::{Ask, Filing, TicketDraft};
use branchline_agent::store::finding::{Question, Sight};
use branchline_agent::store::inspect::Inspection;
use branchline_agent::store::{ChunkBounds, JOURNAL_FILE, Store, StoreSettings};
use branchline_protocol::chain::Position;
use branchline_protocol::id::{OperationId, Seq, StreamId, TicketNumber};
use branchline_protocol::operation::{Contact, Priority, Reporter};
use branchline_protocol::sender::Settled;
use branchline_protocol::time::{LocalTime, UnixMillis};
use harness::crash_vfs::{CrashImage, IoLog, Recording};
use harness::processes::{sandbox, wait_for};
use tempfile::TempDir;

const NOW: UnixMillis = UnixMillis(1_790_000_000_000);
/// Each gives up to nine disks per crash point.
const SEEDS: [u64; 2] = [1, 20_261_121];

fn settings(folder: &Path) -> StoreSettings {
    StoreSettings {
        folder: folder.to_owned(),
        limit_bytes: 64 * 1024 * 1024,
        branch: "LYN".parse().unwrap(),
        ordinal: 1,
        agent: None,
        chunks: ChunkBounds::default(),
    }
}

/// The `n`th thing asked for, with an id that says so.
fn filing(n: u8, ask: Ask) -> Filing {
    Filing {
        id: OperationId::from_parts(1_790_000_000_000 + u64::from(n), [n; 10]),
        at: LocalTime {
            millis: NOW,
            offset_minutes: 60,
        },
        by: Reporter {
            user: "marie".to_owned(),
        },
        ask,
    }
}

/// Longer than a page, so that a commit takes several frames of the WAL and can be torn.
fn draft(subject: &str) -> Ask {
    Ask::Ticket(TicketDraft {
        subject: subject.to_owned(),
        description: format!("{subject}. ").repeat(400),
        category: "hardware".to_owned(),
        priority: Priority::Normal,
        contact: Contact {
            name: Some("Marie".to_owned()),
            ..Contact::default()
        },
        asset: None,
    })
}

/// What was asked of the store that was recorded, in order; a crash leaves a beginning of it.
struct Asked {
    stream: StreamId,
    ids: Vec<OperationId>,
    bytes: Vec<Vec<u8>>,
    acknowledged: Position,
}

/// Two lives of one journal: two tickets with a checkpoint between them, so that the WAL starts
/// anew, and an acknowledgement; then a start on a WAL that waits to be replayed, and a comment.
async fn record() -> (IoLog, Asked) {
    let sandbox = sandbox();
    let recording = Recording::start(sandbox.path()).unwrap();
    let open = || Store::open(settings(sandbox.path()), NOW).unwrap();

    let store = open();
    let first = store.save(filing(1, draft("Printer jams"))).await.unwrap();
    recording.mark("saved 1");
    wait_for_checkpoint(sandbox.path());
    store.save(filing(2, draft("Screen dark"))).await.unwrap();
    recording.mark("saved 2");
    let stream = store.stream_state().await.unwrap().stream;
    let bytes = operations(&store).await.unwrap();
    let acknowledged = Position::genesis(stream).then(&bytes[0]);
    let settled = Settled {
        acknowledged,
        verdicts: Vec::new(),
        journal_is_behind: false,
    };
    store.acknowledge(settled, NOW).await.unwrap();
    recording.mark("acknowledged 1");
    drop(store);

    let store = open();
    let (number, text) = (first.number, "It still does. ".repeat(600));
    let comment = Ask::Comment { number, text };
    store.save(filing(3, comment)).await.unwrap();
    recording.mark("saved 3");
    let bytes = operations(&store).await.unwrap();
    drop(store);

    let log = recording.finish();
    log.check_complete().unwrap();
    let ids = [1, 2, 3].map(|n| filing(n, draft("")).id).to_vec();
    let asked = Asked {
        stream,
        ids,
        bytes,
        acknowledged,
    };
    (log, asked)
}

/// Until the writer, left alone, has moved the WAL into the file. Looks at the directory entry
/// only: opening the file here would cost SQLite its locks.
fn wait_for_checkpoint(folder: &Path) {
    let journal = folder.join(JOURNAL_FILE);
    let started = SystemTime::now();
    wait_for("a checkpoint", || {
        let file = std::fs::metadata(&journal).ok()?;
        (file.modified().ok()? > started && file.len() > 4_096).then_some(())
    });
}

/// All operations of the journal, each proven by its checksum.
async fn operations(store: &Store) -> Result<Vec<Vec<u8>>, String> {
    let loaded = store.load(Seq(0), usize::MAX, 1_000).await;
    let loaded = loaded.map_err(|fault| format!("not loadable: {fault}"))?;
    match loaded.damaged_through {
        None => Ok(loaded.operations),
        Some(through) => Err(format!("damaged through {through}")),
    }
}

/// In memory where there is a place for it: what counts is what lies on the disk, not the disk.
fn fast_sandbox() -> TempDir {
    tempfile::tempdir_in("/dev/shm").unwrap_or_else(|_| sandbox())
}

/// Starts the agent's store on a disk as the crash left it, and holds it to what was answered.
async fn hold_to_promises(image: &CrashImage, asked: &Asked) -> Result<(), String> {
    let sandbox = fast_sandbox();
    image.materialise(sandbox.path()).unwrap();
    let promised = |mark: &str| image.markers_before().iter().any(|made| made == mark);
    let saved = (1..=asked.ids.len())
        .rev()
        .find(|n| promised(&format!("saved {n}")))
        .unwrap_or(0);

    let store = Store::open(settings(sandbox.path()), NOW).map_err(|fault| fault.to_string())?;
    let state = store
        .stream_state()
        .await
        .map_err(|fault| fault.to_string())?;
    let acknowledged = state.acknowledged == asked.acknowledged;
    if promised("acknowledged 1") && !acknowledged {
        return Err(format!("the acknowledgement is lost: {state:?}"));
    }
    if !acknowledged && state.acknowledged != Position::genesis(state.stream) {
        return Err(format!("acknowledged what was not: {state:?}"));
    }
    if saved > 0 && state.stream != asked.stream {
        return Err("another stream".to_owned());
    }
    let found = operations(&store).await?;
    if found.len() < saved || (acknowledged && found.is_empty()) {
        return Err(format!("{saved} were saved and {} are there", found.len()));
    }
    if asked.bytes.get(..found.len()) != Some(&found[..]) {
        return Err("the journal holds what was never asked for, or in another order".to_owned());
    }
    let surviving = check_view(&store, asked, found.len()).await?;
    file_another(&store, &surviving, &found).await?;
    drop(store);
    check_files(sandbox.path())
}

/// What people see agrees with the journal: the tickets among its first `present` operations, newest
/// first, and the comment on the first. Answers their numbers.
async fn check_view(
    store: &Store,
    asked: &Asked,
    present: usize,
) -> Result<Vec<TicketNumber>, String> {
    let everything = Question {
        before: None,
        limit: 100,
        sight: Sight::All,
        search: None,
    };
    let list = store.tickets(everything).await;
    let list = list.map_err(|fault| fault.to_string())?.tickets;
    let listed: Vec<OperationId> = list.iter().map(|ticket| OperationId(ticket.id.0)).collect();
    let expected: Vec<OperationId> = asked.ids[..present.min(2)].iter().rev().copied().collect();
    if listed != expected {
        return Err(format!("the list shows {listed:?} and not {expected:?}"));
    }
    for (ticket, comments) in list.iter().rev().zip([usize::from(present > 2), 0]) {
        let shown = store.ticket(ticket.number.clone()).await;
        let shown = shown.map_err(|fault| fault.to_string())?;
        let entries = shown.map(|ticket| ticket.entries.len());
        if entries != Some(comments) {
            return Err(format!("{} shows {entries:?} comments", ticket.number));
        }
    }
    Ok(list.into_iter().map(|ticket| ticket.number).collect())
}

async fn file_another(
    store: &Store,
    surviving: &[TicketNumber],
    before: &[Vec<u8>],
) -> Result<(), String> {
    let saved = store.save(filing(9, draft("After the crash"))).await;
    let saved = saved.map_err(|fault| format!("filing fails: {fault}"))?;
    if surviving.contains(&saved.number) {
        return Err(format!("{} was given out twice", saved.number));
    }
    let after = operations(store).await?;
    if after.len() != before.len() + 1 || !after.starts_with(before) {
        return Err("filing changed what was there before".to_owned());
    }
    Ok(())
}

/// Every row agrees with its checksum and with what was acknowledged, and the store did not come up
/// by setting a journal aside.
fn check_files(folder: &Path) -> Result<(), String> {
    let verified = Inspection::open(&folder.join(JOURNAL_FILE))
        .map_err(|fault| fault.to_string())?
        .verify(|_, _| ())
        .map_err(|fault| fault.to_string())?;
    if !verified.damaged.is_empty() || !verified.disagreeing.is_empty() {
        return Err(format!("{verified:?}"));
    }
    let aside = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .find(|name| name.contains("damaged"));
    aside.map_or(Ok(()), |name| Err(format!("{name} was set aside")))
}

/// Every broken promise on every disk of these seeds, and how many disks there were.
async fn broken_promises(log: &IoLog, asked: &Asked, seeds: &[u64]) -> (Vec<String>, usize) {
    let mut broken = Vec::new();
    let mut disks = 0;
    for n in log.crash_points() {
        for image in seeds.iter().flat_map(|&seed| log.crash_images(n, seed)) {
            disks += 1;
            if let Err(why) = hold_to_promises(&image, asked).await {
                broken.push(format!("{image}: {why}"));
            }
        }
    }
    (broken, disks)
}

#[tokio::test]
async fn what_was_saved_survives_a_loss_of_power_at_any_moment() {
    let (log, asked) = record().await;
    let (broken, disks) = broken_promises(&log, &asked, &SEEDS).await;
    let points = log.crash_points().count();
    println!("{disks} disks from {points} crash points, seeds {SEEDS:?}");
    assert_eq!(broken, Vec::<String>::new(), "{log:#?}");
    assert!(disks > 4 * points, "only {disks} disks");
}

/// The same store on a disk that only pretends to sync: the same questions must find losses, or they
/// ask too little.
#[tokio::test]
async fn the_same_questions_catch_a_store_that_does_not_sync() {
    let (mut log, asked) = record().await;
    log.forget_syncs();
    let (broken, _) = broken_promises(&log, &asked, &SEEDS[..1]).await;
    for loss in ["were saved and", "the acknowledgement is lost"] {
        let noticed = broken.iter().any(|broken| broken.contains(loss));
        assert!(noticed, "{loss:?} was never said: {broken:#?}");
    }
}
