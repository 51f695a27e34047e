//! Chunks that come, are lost, and move: where they lie, and which files that completes (P3, P4).

use branchline_protocol::file::FileState;
use branchline_protocol::id::FileId;
use branchline_protocol::manifest::ChunkRef;

use super::announcing::{received, wanted};
use super::attached::{
    CHUNK, TestFile, agent_with, announce, attach, bring, chunk, move_to, object, place_in,
    receive, record, told,
};
use crate::ledger::{ChunkPlace, Ledger, ObjectName, Want, now};

async fn places(ledger: &impl Ledger, file: &TestFile) -> Vec<Option<ChunkPlace>> {
    let placed = ledger.chunks_of(file.id, 0, 99).await.unwrap();
    let chunks: Vec<_> = placed.iter().map(|placed| placed.chunk).collect();
    assert_eq!(chunks, file.chunks);
    placed.iter().map(|placed| placed.place).collect()
}

async fn lose(ledger: &impl Ledger, chunks: &[(ChunkRef, ChunkPlace)]) -> Vec<FileId> {
    ledger.lose_chunks(chunks.to_vec(), now()).await.unwrap()
}

async fn in_use(ledger: &impl Ledger, names: &[&str]) -> Vec<ObjectName> {
    let objects = names.iter().map(|name| object(name)).collect();
    ledger.objects_in_use(objects).await.unwrap()
}

pub(crate) async fn the_first_place_of_a_chunk_stays(ledger: &impl Ledger) {
    let (agent, file) = agent_with(ledger, "LYN", "f", &["a", "b", "c"]).await;
    announce(ledger, &agent, file.whole()).await;
    assert_eq!(
        bring(ledger, &agent, "one", &file.chunks[..2]).await.used,
        2
    );
    // The answer was lost, and the same comes again: in another object, then in the same.
    let late = bring(ledger, &agent, "late", &file.chunks[..2]).await;
    assert_eq!((late.used, late.not_announced.len()), (0, 0));
    assert_eq!(
        bring(ledger, &agent, "one", &file.chunks[..2]).await.used,
        2
    );
    let kept = bring(ledger, &agent, "late", &file.chunks).await;
    assert_eq!((kept.used, kept.received), (1, vec![file.id]));
    let again = bring(ledger, &agent, "later", &file.chunks).await;
    assert_eq!(
        (again.used, again.received.len(), again.news_for.len()),
        (0, 0, 0)
    );
    let expected = [place_in("one", 0), place_in("one", 1), place_in("late", 2)];
    assert_eq!(places(ledger, &file).await, expected.map(Some));
    let objects = in_use(ledger, &["later", "late", "nobody's", "one"]).await;
    assert_eq!(objects, [object("late"), object("one")]);
    assert_eq!(told(ledger, &agent, &file).await, [FileState::Received]);
}

pub(crate) async fn nobody_brings_what_it_has_not_announced(ledger: &impl Ledger) {
    let (lyon, file) = agent_with(ledger, "LYN", "f", &["a"]).await;
    announce(ledger, &lyon, file.whole()).await;
    let (paris, theirs) = agent_with(ledger, "PAR", "g", &["p"]).await;
    announce(ledger, &paris, theirs.whole()).await;
    let mut smaller = chunk("p");
    smaller.1 -= 1;
    let chunks = [chunk("a"), chunk("p"), smaller, chunk("x")];
    let wants = ledger.wants(paris.id, chunks.to_vec()).await.unwrap();
    let expected = [
        Want::NotAnnounced,
        Want::Wanted,
        Want::NotAnnounced,
        Want::NotAnnounced,
    ];
    assert_eq!(wants, expected);
    let kept = bring(ledger, &paris, "one", &chunks).await;
    assert_eq!((kept.used, kept.not_announced), (1, vec![0, 2, 3]));
    assert_eq!(places(ledger, &file).await, [None]);
    // Nor does one learn what central holds.
    bring(ledger, &lyon, "two", &file.chunks).await;
    let wants = ledger.wants(paris.id, vec![chunk("a")]).await.unwrap();
    assert_eq!(wants, [Want::NotAnnounced]);
    let stranger = branchline_protocol::id::AgentId::from_bytes([9; 16]);
    let wants = ledger.wants(stranger, vec![chunk("a")]).await.unwrap();
    assert_eq!(wants, [Want::NotAnnounced]);
}

pub(crate) async fn a_chunk_completes_every_file_that_waits_for_it(ledger: &impl Ledger) {
    let (mut lyon, first) = agent_with(ledger, "LYN", "f", &["a", "s"]).await;
    let second = TestFile::new("g", &["s"]);
    attach(ledger, &mut lyon, &second, "g").await;
    let (paris, third) = agent_with(ledger, "PAR", "h", &["s", "s"]).await;
    let (nice, fourth) = agent_with(ledger, "NCE", "i", &["s", "n"]).await;
    for (agent, file) in [
        (&lyon, &first),
        (&lyon, &second),
        (&paris, &third),
        (&nice, &fourth),
    ] {
        announce(ledger, agent, file.whole()).await;
    }
    let kept = bring(ledger, &lyon, "one", &[chunk("s")]).await;
    assert_eq!((kept.used, &kept.received), (1, &vec![second.id]));
    assert_eq!(kept.news_for, [lyon.branch.clone(), paris.branch.clone()]);
    assert_eq!(told(ledger, &paris, &third).await, [FileState::Received]);
    assert_eq!(
        announce(ledger, &nice, fourth.question()).await,
        wanted(2, &[(1, 1)])
    );
    assert_eq!(
        announce(ledger, &lyon, first.question()).await,
        wanted(2, &[(0, 1)])
    );
    assert_eq!(record(ledger, &fourth).await.held_bytes, u64::from(CHUNK));
    assert!(told(ledger, &nice, &fourth).await.is_empty());
}

pub(crate) async fn a_lost_chunk_is_waited_for_again(ledger: &impl Ledger) {
    let (lyon, first) = agent_with(ledger, "LYN", "f", &["a", "b", "a"]).await;
    receive(ledger, &lyon, &first, "one").await;
    let (paris, judged) = agent_with(ledger, "PAR", "g", &["a"]).await;
    announce(ledger, &paris, judged.whole()).await;
    move_to(ledger, &judged, FileState::Scanning).await;
    move_to(ledger, &judged, FileState::Clean).await;
    let (nice, waits) = agent_with(ledger, "NCE", "h", &["b", "n"]).await;
    announce(ledger, &nice, waits.whole()).await;

    // Not where it lies: it was moved or healed meanwhile.
    for place in [
        place_in("two", 0),
        place_in("one", 1),
        ChunkPlace::File {
            root: first.root,
            offset: 0,
        },
    ] {
        assert!(lose(ledger, &[(chunk("a"), place)]).await.is_empty());
    }
    assert_eq!(record(ledger, &first).await.version, 1);

    let mut expected = [first.id, waits.id];
    expected.sort();
    let lost = [
        (chunk("a"), place_in("one", 0)),
        (chunk("b"), place_in("one", 1)),
    ];
    assert_eq!(lose(ledger, &lost).await, expected);
    assert!(lose(ledger, &lost).await.is_empty());
    assert!(in_use(ledger, &["one"]).await.is_empty());
    let states = [FileState::Received, FileState::Waiting];
    assert_eq!(told(ledger, &lyon, &first).await, states);
    assert!(told(ledger, &nice, &waits).await.is_empty());
    assert_eq!(record(ledger, &first).await.held_bytes, 0);
    assert_eq!(
        announce(ledger, &lyon, first.question()).await,
        wanted(3, &[(0, 2)])
    );
    assert_eq!(
        announce(ledger, &nice, waits.question()).await,
        wanted(2, &[(0, 2)])
    );
    let hurt = record(ledger, &judged).await;
    assert_eq!((hurt.state, hurt.version), (FileState::Clean, 3));
    assert!(hurt.trouble.is_some());

    // It comes again, from whoever has it.
    let kept = bring(ledger, &lyon, "again", &[chunk("a"), chunk("b")]).await;
    assert_eq!((kept.used, &kept.received), (2, &vec![first.id]));
    assert_eq!(kept.news_for, std::slice::from_ref(&lyon.branch));
    let states = [FileState::Received, FileState::Waiting, FileState::Received];
    assert_eq!(told(ledger, &lyon, &first).await, states);
    assert_eq!(places(ledger, &first).await[2], Some(place_in("again", 0)));
    assert_eq!(record(ledger, &judged).await.state, FileState::Clean);
}

pub(crate) async fn chunks_of_an_assembled_file_leave_their_objects(ledger: &impl Ledger) {
    let (mut agent, first) = agent_with(ledger, "LYN", "f", &["a", "b", "a", "c"]).await;
    announce(ledger, &agent, first.whole()).await;
    bring(ledger, &agent, "one", &[chunk("a"), chunk("b")]).await;
    let second = TestFile::new("g", &["b", "c", "d"]);
    attach(ledger, &mut agent, &second, "g").await;
    announce(ledger, &agent, second.whole()).await;
    bring(ledger, &agent, "two", &[chunk("c"), chunk("d")]).await;

    assert_eq!(
        ledger.settle_chunks(first.id).await.unwrap(),
        [object("one")]
    );
    let at = |file: &TestFile, index: u64| {
        Some(ChunkPlace::File {
            root: file.root,
            offset: index * u64::from(CHUNK),
        })
    };
    let expected = [at(&first, 0), at(&first, 1), at(&first, 0), at(&first, 3)];
    assert_eq!(places(ledger, &first).await, expected);
    // Again, as after a crash: nothing is left to do.
    assert!(ledger.settle_chunks(first.id).await.unwrap().is_empty());
    assert_eq!(in_use(ledger, &["one", "two"]).await, [object("two")]);
    // What lies in one file does not move to the next.
    assert_eq!(
        ledger.settle_chunks(second.id).await.unwrap(),
        [object("two")]
    );
    let expected = [at(&first, 1), at(&first, 3), at(&second, 2)];
    assert_eq!(places(ledger, &second).await, expected);
    // An upload that wakes late changes nothing.
    assert_eq!(bring(ledger, &agent, "late", &first.chunks).await.used, 0);
    assert!(in_use(ledger, &["late"]).await.is_empty());
    // The assembled file decays: its chunk is missing to whoever has not been judged.
    let lost = (
        chunk("b"),
        ChunkPlace::File {
            root: first.root,
            offset: u64::from(CHUNK),
        },
    );
    let mut expected = vec![first.id, second.id];
    expected.sort();
    assert_eq!(lose(ledger, &[lost]).await, expected);
    bring(ledger, &agent, "healed", &[chunk("b")]).await;
    assert_eq!(announce(ledger, &agent, second.whole()).await, received());
    assert!(
        ledger
            .settle_chunks(TestFile::new("nobody", &[]).id)
            .await
            .unwrap()
            .is_empty()
    );
}

/// The file waits for its last chunk twice over: two attempts of one upload, the older waking late.
pub(crate) async fn two_attempts_of_one_upload_race(ledger: &impl Ledger) {
    let (agent, file) = agent_with(ledger, "LYN", "f", &["a", "b", "c", "d"]).await;
    announce(ledger, &agent, file.whole()).await;
    let attempts =
        ["older", "newer", "newest"].map(|name| bring(ledger, &agent, name, &file.chunks));
    let [older, newer, newest] = attempts;
    let (older, newer, newest) = tokio::join!(older, newer, newest);
    let used: Vec<_> = [&older, &newer, &newest]
        .iter()
        .map(|kept| kept.used)
        .collect();
    assert_eq!(used.iter().sum::<usize>(), 4, "{used:?}");
    let received = [older, newer, newest]
        .iter()
        .map(|kept| kept.received.len())
        .sum::<usize>();
    assert_eq!(received, 1);
    assert_eq!(told(ledger, &agent, &file).await, [FileState::Received]);
}
