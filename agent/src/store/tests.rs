//! Files in the store: in once, out proven, gone when nobody needs them, and never in the way of tickets.

use std::io::{Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use branchline_agent_api::OperationSaved;
use branchline_protocol::event::{Event, EventBody, Verdict, VerdictAt};
use branchline_protocol::exchange::FeedReply;
use branchline_protocol::file::FileState;
use branchline_protocol::id::{FileId, OperationId};
use branchline_protocol::operation::{Contact, Priority, Reporter};
use branchline_protocol::sender::Settled;

use super::chunks::{CHUNKS_FILE, ChunksError, Short, Taken};
use super::files::{AttachError, UploadNote};
use super::filing::{Ask, Filing, FilingError, TicketDraft};
use super::*;
use crate::chunker::{Chunker, Whole};

pub(in crate::store) const ROOMY: ChunkBounds = ChunkBounds {
    quota_bytes: 1 << 30,
    reserve_bytes: 0,
};

pub(in crate::store) fn open(folder: &Path, chunks: ChunkBounds) -> Arc<Store> {
    let settings = StoreSettings {
        folder: folder.to_owned(),
        limit_bytes: 64 << 20,
        branch: "LYN".parse().unwrap(),
        ordinal: 1,
        agent: None,
        chunks,
    };
    Arc::new(Store::open(settings, UnixMillis(1_790_000_000_000)).unwrap())
}

pub(in crate::store) fn id(n: u64) -> OperationId {
    OperationId::from_parts(1_790_000_000_000 + n, [7; 10])
}

fn filing(n: u64, ask: Ask) -> Filing {
    Filing {
        id: id(n),
        at: crate::ids::local_now(),
        by: Reporter {
            user: "marie".to_owned(),
        },
        ask,
    }
}

pub(in crate::store) async fn ticket(store: &Store, n: u64) -> OperationSaved {
    let draft = TicketDraft {
        subject: "Scanner".to_owned(),
        description: "It eats paper.".to_owned(),
        category: "hardware".to_owned(),
        priority: Priority::Normal,
        contact: Contact {
            name: Some("Marie".to_owned()),
            ..Contact::default()
        },
        asset: None,
    };
    store.save(filing(n, Ask::Ticket(draft))).await.unwrap()
}

fn noise(seed: u64, bytes: usize) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(seed);
    std::iter::repeat_with(|| random.u8(..))
        .take(bytes)
        .collect()
}

async fn take(store: &Store, bytes: &[u8]) -> Result<(Taken, Whole), ChunksError> {
    let taken = store.begin_file().await?;
    let mut chunker = Chunker::new();
    let mut finished = Vec::new();
    let mut from = 0;
    for piece in bytes.chunks(1 << 20) {
        chunker.push(piece, &mut finished);
        let batch = std::mem::take(&mut finished);
        let next = from + u32::try_from(batch.len()).unwrap();
        store.add_chunks(taken, from, batch).await?;
        from = next;
    }
    let whole = chunker.finish(&mut finished);
    store.add_chunks(taken, from, finished).await?;
    Ok((taken, whole))
}

async fn attach(
    store: &Store,
    n: u64,
    number: &OperationSaved,
    bytes: &[u8],
) -> Result<OperationSaved, AttachError> {
    let (taken, whole) = take(store, bytes).await?;
    let ask = Ask::File {
        number: number.number.clone(),
        name: "scan.pdf".to_owned(),
        size: whole.size,
        root: whole.root,
    };
    store.attach(taken, whole, filing(n, ask)).await
}

/// Central has acknowledged everything so far.
async fn acknowledge(store: &Store) {
    let state = store.stream_state().await.unwrap();
    let digest = store.digest_at(state.head).await.unwrap().unwrap();
    let acknowledged = Position {
        seq: state.head,
        digest,
    };
    let settled = Settled {
        acknowledged,
        verdicts: Vec::new(),
        journal_is_behind: false,
    };
    store.acknowledge(settled, UnixMillis(2)).await.unwrap();
}

/// The subject of a ticket by its number, and the number that is shown of it.
async fn shown(store: &Store, number: &str) -> Option<(OperationId, String)> {
    let found = store.ticket(number.parse().unwrap()).await.unwrap()?;
    let summary = found.summary;
    Some((OperationId(summary.id.0), summary.number.to_string()))
}

#[tokio::test]
async fn a_ticket_that_central_has_under_another_number_is_shown_and_found_by_it() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path(), ROOMY);
    // Restored from an old image: a person's ticket came first and took the number of the other.
    let [one, two] = [ticket(&store, 1).await, ticket(&store, 2).await];
    assert_eq!([one.number.serial, two.number.serial], [1, 2]);
    let state = store.stream_state().await.unwrap();
    let acknowledged = Position {
        seq: state.head,
        digest: store.digest_at(state.head).await.unwrap().unwrap(),
    };
    let renumbered = |seq, number: &str| VerdictAt {
        seq: Seq(seq),
        verdict: Verdict::Renumbered {
            number: number.parse().unwrap(),
        },
    };
    let settled = Settled {
        acknowledged,
        verdicts: vec![renumbered(1, "LYN-000001-2"), renumbered(2, "LYN-000001")],
        journal_is_behind: false,
    };
    store.acknowledge(settled, UnixMillis(2)).await.unwrap();
    let as_told = [
        ("LYN-000001", id(2), "LYN-000001"),
        ("LYN-000001-2", id(1), "LYN-000001-2"),
        // On paper.
        ("LYN-000002", id(2), "LYN-000001"),
    ];
    for (asked, ticket, number) in as_told {
        let expected = Some((ticket, number.to_owned()));
        assert_eq!(shown(&store, asked).await, expected, "{asked}");
    }
    assert_eq!(shown(&store, "LYN-000002-2").await, None);
    // What is added by that number is added to that ticket.
    let ask = Ask::Comment {
        number: "LYN-000001".parse().unwrap(),
        text: "Still".to_owned(),
    };
    store.save(filing(3, ask)).await.unwrap();
    let found = store.ticket("LYN-000002".parse().unwrap()).await.unwrap();
    assert_eq!(found.unwrap().entries.len(), 1);
    assert_eq!(ticket(&store, 4).await.number.serial, 3);
    // Another branch's number is nobody's here; and what central said before a restore is void.
    let tell = |ticket: OperationId, number: &str, rewound| {
        let body = EventBody::TicketRenumbered {
            ticket: ticket.into(),
            given: "LYN-000002".parse().unwrap(),
            number: number.parse().unwrap(),
        };
        let (kind, body) = body.to_parts();
        let event = Event {
            position: 1,
            at: UnixMillis(1),
            kind,
            body,
        };
        store.apply_feed(FeedReply {
            feed: vec![event],
            cursor: "1.a".to_owned(),
            rewound,
            server_time: UnixMillis(1),
        })
    };
    tell(id(2), "PAR-000009", false).await.unwrap();
    let still = Some((id(2), "LYN-000001".to_owned()));
    assert_eq!(shown(&store, "LYN-000002").await, still);
    tell(id(2), "LYN-000007", true).await.unwrap();
    let anew = Some((id(2), "LYN-000007".to_owned()));
    assert_eq!(shown(&store, "LYN-000002").await, anew);
    let own = Some((id(1), "LYN-000001".to_owned()));
    assert_eq!(shown(&store, "LYN-000001").await, own);
}

async fn told(store: &Store, rewound: bool, moved: &[(u64, FileState)]) {
    let feed = moved.iter().map(|(n, state)| {
        let (kind, body) = EventBody::FileMoved {
            file: id(*n).into(),
            state: state.clone(),
        }
        .to_parts();
        Event {
            position: 1,
            at: UnixMillis(1),
            kind,
            body,
        }
    });
    let reply = FeedReply {
        feed: feed.collect(),
        cursor: "1.a".to_owned(),
        rewound,
        server_time: UnixMillis(1),
    };
    store.apply_feed(reply).await.unwrap();
}

async fn to_send(store: &Store) -> Vec<FileId> {
    let files = store.files_to_send(100, 100).await.unwrap();
    files.into_iter().map(|file| file.id).collect()
}

async fn content(store: &Store, file: FileId) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    for one in store.chunks_of(file, 0, 10_000).await.unwrap() {
        let loaded = store.load_chunks(vec![one]).await.unwrap();
        let stored = loaded[0].stored.clone()?;
        bytes.extend(match loaded[0].encoding {
            branchline_protocol::frame::Encoding::Plain => stored,
            branchline_protocol::frame::Encoding::Zstd => {
                zstd::bulk::decompress(&stored, one.size() as usize).unwrap()
            }
        });
    }
    Some(bytes)
}

/// What the upkeep of one start does.
async fn tidy(store: &Store, retention: Duration) {
    store.tidy_files(retention, &mut false).await.unwrap();
}

#[tokio::test]
async fn files_are_sent_when_their_operation_is_acknowledged_and_until_central_has_them() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path(), ROOMY);
    let filed = ticket(&store, 1).await;
    let (large, small) = (noise(1, 3_000_000), noise(2, 10));
    attach(&store, 2, &filed, &large).await.unwrap();
    attach(&store, 3, &filed, &small).await.unwrap();
    attach(&store, 4, &filed, &[]).await.unwrap();
    assert!(to_send(&store).await.is_empty(), "not acknowledged yet");
    acknowledge(&store).await;
    let all: Vec<FileId> = [4, 3, 2].map(|n| id(n).into()).to_vec();
    assert_eq!(to_send(&store).await, all, "the smallest first");
    let one = store.files_to_send(0, 1).await.unwrap();
    assert_eq!((one[0].id, one[0].size), (id(2).into(), 3_000_000));
    assert_eq!(content(&store, id(2).into()).await.unwrap(), large);
    assert_eq!(content(&store, id(3).into()).await.unwrap(), small);
    let part = store.chunks_of(id(2).into(), 5, 3).await.unwrap();
    let whole = store.chunks_of(id(2).into(), 0, 1_000).await.unwrap();
    assert_eq!(part, whole[5..8]);

    store
        .note_upload(id(3).into(), UploadNote::Received)
        .await
        .unwrap();
    assert_eq!(to_send(&store).await.len(), 2);
    told(
        &store,
        false,
        &[(4, FileState::Received), (2, FileState::Clean)],
    )
    .await;
    assert!(to_send(&store).await.is_empty());
    // Central lost chunks, and then everything.
    told(&store, false, &[(2, FileState::Waiting)]).await;
    assert_eq!(to_send(&store).await, [id(2).into()]);
    told(&store, true, &[]).await;
    assert_eq!(to_send(&store).await, all);
}

#[tokio::test]
async fn the_same_content_is_kept_once_and_goes_with_the_last_file() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path(), ROOMY);
    let filed = ticket(&store, 1).await;
    let bytes = noise(3, 4_000_000);
    attach(&store, 2, &filed, &bytes).await.unwrap();
    let once = store.chunks.used_bytes();
    attach(&store, 3, &filed, &bytes).await.unwrap();
    assert!(store.chunks.used_bytes() < once + 200_000, "kept twice");
    acknowledge(&store).await;
    told(&store, false, &[(2, FileState::Clean)]).await;
    tidy(&store, Duration::ZERO).await;
    assert_eq!(content(&store, id(3).into()).await.unwrap(), bytes);
    assert!(
        store
            .chunks_of(id(2).into(), 0, 9)
            .await
            .unwrap()
            .is_empty()
    );
    told(
        &store,
        false,
        &[(
            3,
            FileState::Infected {
                signature: "X".into(),
            },
        )],
    )
    .await;
    tidy(&store, Duration::ZERO).await;
    assert!(
        store.chunks.used_bytes() < 300_000,
        "nothing was given back"
    );
    let on_disk = std::fs::metadata(folder.path().join(CHUNKS_FILE)).unwrap();
    assert!(on_disk.len() < 400_000, "the file did not shrink");
    // Central lost it after it was given up: nobody can send it again.
    told(&store, false, &[(3, FileState::Waiting)]).await;
    assert!(to_send(&store).await.is_empty());
    assert_eq!(store.file_facts().await.unwrap().failed, 1);
}

#[tokio::test]
async fn what_no_operation_names_is_collected_at_the_next_start_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    {
        let store = open(folder.path(), ROOMY);
        let filed = ticket(&store, 1).await;
        attach(&store, 2, &filed, &noise(1, 500_000)).await.unwrap();
        // One broke off, and one was whole when the agent was killed.
        take(&store, &noise(2, 500_000)).await.unwrap();
        let (taken, whole) = take(&store, &noise(3, 500_000)).await.unwrap();
        store
            .chunks
            .complete(taken, id(9).into(), whole)
            .await
            .unwrap();
    }
    let store = open(folder.path(), ROOMY);
    // Under way while the orphans are collected.
    let (taken, whole) = take(&store, &noise(4, 300_000)).await.unwrap();
    tidy(&store, Duration::from_secs(1_000)).await;
    assert!(store.chunks.whole(id(9).into()).await.unwrap().is_none());
    let used = store.chunks.used_bytes();
    assert!(
        (800_000..1_200_000).contains(&used),
        "{used} bytes are kept"
    );
    assert_eq!(
        content(&store, id(2).into()).await.unwrap(),
        noise(1, 500_000)
    );
    store
        .chunks
        .complete(taken, id(5).into(), whole)
        .await
        .unwrap();
    assert_eq!(
        content(&store, id(5).into()).await.unwrap(),
        noise(4, 300_000)
    );
}

#[tokio::test]
async fn a_refused_attachment_leaves_nothing_and_a_repeat_gives_the_same_answer() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path(), ROOMY);
    let filed = ticket(&store, 1).await;
    let bytes = noise(1, 200_000);
    let first = attach(&store, 2, &filed, &bytes).await.unwrap();
    let again = attach(&store, 2, &filed, &bytes).await.unwrap();
    assert_eq!((first.operation, true), (again.operation, again.repeated));
    let other = attach(&store, 2, &filed, &noise(2, 200_000)).await;
    assert!(matches!(
        other,
        Err(AttachError::Filing(FilingError::IdTaken(_)))
    ));
    assert_eq!(content(&store, id(2).into()).await.unwrap(), bytes);
    let withdrawal = Ask::Withdrawal {
        number: filed.number.clone(),
        reason: None,
    };
    store.save(filing(3, withdrawal)).await.unwrap();
    let late = attach(&store, 4, &filed, &noise(3, 200_000)).await;
    assert!(matches!(
        late,
        Err(AttachError::Filing(FilingError::Withdrawn(_)))
    ));
    tidy(&store, Duration::from_secs(1_000)).await;
    assert!(store.chunks.used_bytes() < 400_000);
}

#[tokio::test]
async fn a_decayed_chunk_is_never_given_out_and_another_copy_heals_it() {
    let folder = tempfile::tempdir().unwrap();
    let (sound, decayed) = (noise(1, 300_000), noise(2, 300_000));
    {
        let store = open(folder.path(), ROOMY);
        let filed = ticket(&store, 1).await;
        attach(&store, 2, &filed, &sound).await.unwrap();
        attach(&store, 3, &filed, &decayed).await.unwrap();
        acknowledge(&store).await;
    }
    let path = folder.path().join(CHUNKS_FILE);
    let stored = std::fs::read(&path).unwrap();
    let place = stored
        .windows(64)
        .position(|window| window == &decayed[150_000..150_064])
        .unwrap();
    overwrite(&path, place as u64, &[stored[place] ^ 1]);

    let store = open(folder.path(), ROOMY);
    assert_eq!(to_send(&store).await.len(), 2);
    assert_eq!(
        content(&store, id(3).into()).await,
        None,
        "given out decayed"
    );
    assert_eq!(to_send(&store).await, [id(2).into()]);
    assert_eq!(store.file_facts().await.unwrap().failed, 1);
    let filed = ticket(&store, 4).await;
    attach(&store, 5, &filed, &decayed).await.unwrap();
    assert_eq!(content(&store, id(3).into()).await.unwrap(), decayed);
    acknowledge(&store).await;
    assert_eq!(to_send(&store).await.len(), 3);
}

/// What a disk that decays does to a file.
fn overwrite(path: &Path, at: u64, bytes: &[u8]) {
    let mut file = std::fs::File::options().write(true).open(path).unwrap();
    file.seek(SeekFrom::Start(at)).unwrap();
    file.write_all(bytes).unwrap();
}

#[tokio::test]
async fn a_damaged_file_of_chunks_is_set_aside_and_everything_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(CHUNKS_FILE);
    for damage in ["no database", "a table's pages"] {
        {
            let store = open(folder.path(), ROOMY);
            let filed = ticket(&store, fastrand::u64(1_000..)).await;
            let n = fastrand::u64(1_000..);
            attach(&store, n, &filed, &noise(n, 400_000)).await.unwrap();
            acknowledge(&store).await;
        }
        let from = if damage == "no database" { 0 } else { 16_384 };
        overwrite(&path, from, &vec![0xee; 200_000]);
        let store = open(folder.path(), ROOMY);
        let filed = ticket(&store, fastrand::u64(1_000..)).await;
        let n = fastrand::u64(1_000..);
        let mut attached = attach(&store, n, &filed, &noise(n, 400_000)).await;
        if attached.is_err() {
            // Damage met on the way: set aside then, and the next one has a new file.
            attached = attach(&store, n, &filed, &noise(n, 400_000)).await;
        }
        attached.unwrap();
        acknowledge(&store).await;
        assert_eq!(to_send(&store).await, [id(n).into()], "{damage}");
        store
            .note_upload(id(n).into(), UploadNote::Received)
            .await
            .unwrap();
    }
    let aside = std::fs::read_dir(folder.path()).unwrap().filter(|entry| {
        let name = entry.as_ref().unwrap().file_name();
        name.to_string_lossy().starts_with("chunks.damaged-")
    });
    assert!(aside.count() >= 2);
}

#[tokio::test]
async fn files_stop_at_the_quota_and_the_reserve_and_tickets_do_not() {
    let folder = tempfile::tempdir().unwrap();
    let tight = ChunkBounds {
        quota_bytes: 3_000_000,
        reserve_bytes: 0,
    };
    let store = open(folder.path(), tight);
    let filed = ticket(&store, 1).await;
    attach(&store, 2, &filed, &noise(1, 2_000_000))
        .await
        .unwrap();
    let refused = store.room_for(2_000_000).await;
    assert!(matches!(refused, Err(ChunksError::Short(Short::Quota))));
    let refused = attach(&store, 3, &filed, &noise(2, 2_000_000)).await;
    let short = matches!(
        refused,
        Err(AttachError::Chunks(ChunksError::Short(Short::Quota)))
    );
    assert!(short, "{refused:?}");
    ticket(&store, 4).await;
    // Central has settled the first: it gives way.
    acknowledge(&store).await;
    told(&store, false, &[(2, FileState::Clean)]).await;
    drop(store);
    let store = open(folder.path(), tight);
    tidy(&store, Duration::from_secs(1_000)).await;
    attach(&store, 5, &filed, &noise(3, 2_000_000))
        .await
        .unwrap();
    assert!(
        store
            .chunks_of(id(2).into(), 0, 9)
            .await
            .unwrap()
            .is_empty()
    );

    let elsewhere = tempfile::tempdir().unwrap();
    let reserved = ChunkBounds {
        quota_bytes: 1 << 40,
        reserve_bytes: 1 << 50,
    };
    let store = open(elsewhere.path(), reserved);
    let filed = ticket(&store, 1).await;
    let refused = attach(&store, 2, &filed, &noise(1, 2_000)).await;
    let short = matches!(
        refused,
        Err(AttachError::Chunks(ChunksError::Short(Short::Disk)))
    );
    assert!(short, "{refused:?}");
}

#[tokio::test]
async fn a_rejected_file_is_not_sent_unless_central_reconsiders() {
    use branchline_protocol::event::{Rejection, RejectionCode};
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path(), ROOMY);
    let filed = ticket(&store, 1).await;
    attach(&store, 2, &filed, &noise(1, 1_000)).await.unwrap();
    acknowledge(&store).await;
    let (kind, body) = EventBody::OperationRejected {
        operation: Some(id(2)),
        reason: Rejection {
            code: RejectionCode::UnknownTicket,
            detail: "no such ticket".to_owned(),
        },
    }
    .to_parts();
    let rejected = Event {
        position: 1,
        at: UnixMillis(1),
        kind,
        body,
    };
    let reply = FeedReply {
        feed: vec![rejected],
        cursor: "1.a".to_owned(),
        rewound: false,
        server_time: UnixMillis(1),
    };
    store.apply_feed(reply).await.unwrap();
    assert!(to_send(&store).await.is_empty());
    told(&store, true, &[]).await;
    assert_eq!(to_send(&store).await, [id(2).into()]);
}

#[test]
fn a_journal_is_never_continued_under_another_agents_name() {
    use branchline_protocol::id::AgentId;
    let folder = tempfile::tempdir().unwrap();
    let agent = |n: u8| AgentId(uuid::Uuid::from_bytes([n; 16]));
    let opened = |agent, branch: &str, ordinal| {
        let settings = StoreSettings {
            folder: folder.path().to_owned(),
            limit_bytes: 64 << 20,
            branch: branch.parse().unwrap(),
            ordinal,
            agent,
            chunks: ROOMY,
        };
        Store::open(settings, UnixMillis(1_790_000_000_000)).map(drop)
    };
    assert_eq!(owner::journal_of(folder.path()), None);
    opened(None, "LYN", 1).unwrap();
    assert_eq!(owner::journal_of(folder.path()), None);
    opened(Some(agent(1)), "LYN", 1).unwrap();
    opened(Some(agent(1)), "LYN", 1).unwrap();
    for (other, branch, ordinal) in [
        (agent(2), "LYN", 1),
        (agent(1), "LYN", 2),
        (agent(1), "PAR", 1),
    ] {
        let fault = opened(Some(other), branch, ordinal).unwrap_err();
        assert!(matches!(fault, StartError::OtherJournal { .. }), "{fault}");
    }
    assert_eq!(owner::journal_of(folder.path()).unwrap().agent, agent(1));
}
