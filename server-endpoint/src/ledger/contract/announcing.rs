//! Announcing files: what makes a manifest, and what central answers to it.

use branchline_protocol::event::RejectionCode;
use branchline_protocol::file::FileState;
use branchline_protocol::limits;
use branchline_protocol::manifest::{ChunkRef, ManifestFault, Places, Section, Standing};

use super::attached::{
    CHUNK, TestFile, WIDE, agent_with, announce, announce_within, attach, bring, chunk, move_to,
    place_in, receive, record, told,
};
use super::codes;
use crate::ledger::{ChunkPlace, DedupScope, Ledger, UploadBounds, Want};
use crate::testing::{FILED_AT, TestAgent, attachment};

pub(crate) fn wanted(announced: u32, missing: &[(u32, u32)]) -> Standing {
    Standing::Wanted {
        announced,
        missing: missing
            .iter()
            .map(|(from, count)| Places(*from, *count))
            .collect(),
    }
}

pub(crate) fn received() -> Standing {
    Standing::Received {
        state: FileState::Received,
    }
}

pub(crate) async fn attaching_makes_a_file_that_waits(ledger: &impl Ledger) {
    let (mut agent, file) = agent_with(ledger, "LYN", "f", &["a", "b"]).await;
    let found = record(ledger, &file).await;
    assert_eq!(
        (found.id, found.root, found.size),
        (file.id, file.root, file.size())
    );
    assert_eq!(
        (found.name.as_str(), found.reporter.as_str()),
        ("f.pdf", "j.martin")
    );
    assert_eq!(found.attached_at.to_string(), FILED_AT);
    assert_eq!(found.agent, Some(agent.id));
    assert_eq!(
        (&found.branch, &found.number),
        (&agent.branch, &agent.number(1))
    );
    assert_eq!(
        (&found.state, found.version, found.count),
        (&FileState::Waiting, 0, None)
    );
    assert_eq!((found.held_bytes, found.trouble.clone()), (0, None));
    let ticket = ledger.ticket(agent.number(1)).await.unwrap().unwrap();
    assert_eq!(
        (ticket.files.as_slice(), ticket.more_files),
        ([found].as_slice(), false)
    );
    // Told again, in another stream too, it is the same file.
    let all = agent.journal.len();
    agent.submit(ledger, 0, all).await;
    let operations = agent.journal.clone();
    agent = agent.forked("second", None);
    agent.journal = operations;
    agent.submit_all(ledger).await;
    let ticket = ledger.ticket(agent.number(1)).await.unwrap().unwrap();
    assert_eq!(ticket.files.len(), 1);
    assert!(ledger.chunks_of(file.id, 0, 9).await.unwrap().is_empty());
    let stranger = TestFile::new("nobody", &[]);
    assert!(ledger.file(stranger.id).await.unwrap().is_none());
}

pub(crate) async fn a_file_is_announced_brought_and_received(ledger: &impl Ledger) {
    let (agent, file) = agent_with(ledger, "LYN", "f", &["a", "b", "c"]).await;
    assert_eq!(
        announce(ledger, &agent, file.question()).await,
        wanted(0, &[])
    );
    let standing = announce(ledger, &agent, file.whole()).await;
    assert_eq!(standing, wanted(3, &[(0, 3)]));
    let asked = vec![chunk("b"), chunk("x")];
    let wants = ledger.wants(agent.id, asked).await.unwrap();
    assert_eq!(wants, [Want::Wanted, Want::NotAnnounced]);

    let kept = bring(ledger, &agent, "one", &[chunk("b"), chunk("x")]).await;
    assert_eq!((kept.used, kept.not_announced), (1, vec![1]));
    assert!(kept.received.is_empty() && kept.news_for.is_empty());
    let standing = announce(ledger, &agent, file.question()).await;
    assert_eq!(standing, wanted(3, &[(0, 1), (2, 1)]));
    assert_eq!(
        record(ledger, &file).await.held_bytes,
        u64::from(chunk("b").size())
    );
    let wants = ledger.wants(agent.id, vec![chunk("b")]).await.unwrap();
    assert_eq!(wants, [Want::Held]);

    let kept = bring(ledger, &agent, "two", &[chunk("a"), chunk("b"), chunk("c")]).await;
    assert_eq!((kept.used, &kept.received), (2, &vec![file.id]));
    assert_eq!(kept.news_for, std::slice::from_ref(&agent.branch));
    assert_eq!(announce(ledger, &agent, file.whole()).await, received());
    assert_eq!(told(ledger, &agent, &file).await, [FileState::Received]);
    let places: Vec<_> = ledger.chunks_of(file.id, 0, 9).await.unwrap();
    let expected = [("two", 0), ("one", 0), ("two", 2)];
    for ((placed, chunk), (object, index)) in places.iter().zip(&file.chunks).zip(expected) {
        assert_eq!(
            (placed.chunk, placed.place),
            (*chunk, Some(place_in(object, index)))
        );
    }
    assert_eq!(places.len(), 3);
    assert_eq!(ledger.chunks_of(file.id, 1, 1).await.unwrap(), places[1..2]);
}

pub(crate) async fn a_file_of_nobody_or_of_another_agent_is_not_attached(ledger: &impl Ledger) {
    let (_, file) = agent_with(ledger, "LYN", "f", &["a"]).await;
    let beside = TestAgent::register(ledger, "LYN").await;
    let paris = TestAgent::register(ledger, "PAR").await;
    let unknown = TestFile::new("unknown", &["a"]);
    for agent in [&beside, &paris] {
        for file in [&file, &unknown] {
            let standing = announce(ledger, agent, file.whole()).await;
            assert_eq!(standing, Standing::NotAttached);
        }
        let wants = ledger.wants(agent.id, file.chunks.clone());
        assert_eq!(wants.await.unwrap(), [Want::NotAnnounced]);
    }
    assert_eq!(record(ledger, &file).await.count, None);
    // Who takes another's id gets no file by it, nor moves that one's.
    let mut paris = paris;
    paris.file(&["p"], 1);
    let theirs = attachment("f", "p", file.size(), file.root);
    paris.journal.push(theirs);
    let held = paris.submit_all(ledger).await;
    assert_eq!(codes(&held), [(2, RejectionCode::IdTaken)]);
    let standing = announce(ledger, &paris, file.whole()).await;
    assert_eq!(standing, Standing::NotAttached);
}

pub(crate) async fn a_manifest_that_cannot_be_the_files_is_refused_and_changes_nothing(
    ledger: &impl Ledger,
) {
    let (agent, file) = agent_with(ledger, "LYN", "f", &["a", "b", "c", "d"]).await;
    let whole = file.whole();
    let with = |change: &dyn Fn(&mut Section)| {
        let mut section = whole.clone();
        change(&mut section);
        section
    };
    let first = [
        (ManifestFault::OtherFile, with(&|s| s.size += 1)),
        (
            ManifestFault::OtherFile,
            with(&|s| s.root = chunk("a").hash()),
        ),
        (ManifestFault::Count, with(&|s| s.count = 5)),
        (ManifestFault::Overlap, with(&|s| s.chunks.push(chunk("e")))),
        (
            ManifestFault::ChunkSize,
            with(&|s| s.chunks[1].1 = CHUNK - 1),
        ),
        (ManifestFault::Sum, with(&|s| s.chunks[1].1 = CHUNK + 1)),
    ];
    for (fault, section) in first {
        let standing = announce(ledger, &agent, section).await;
        assert_eq!(standing, Standing::Refused { fault });
        assert_eq!(record(ledger, &file).await.count, None, "{fault:?}");
    }
    let half = with(&|s| s.chunks.truncate(2));
    assert_eq!(announce(ledger, &agent, half).await, wanted(2, &[(0, 2)]));
    let then = [
        (ManifestFault::OtherFile, with(&|s| s.count = 3)),
        (ManifestFault::Overlap, with(&|s| s.chunks[1] = chunk("x"))),
        // Sizes count from the beginning of the file.
        (ManifestFault::Sum, with(&|s| s.chunks[3].1 = CHUNK - 1)),
    ];
    for (fault, section) in then {
        let standing = announce(ledger, &agent, section).await;
        assert_eq!(standing, Standing::Refused { fault });
        assert_eq!(
            announce(ledger, &agent, file.question()).await,
            wanted(2, &[(0, 2)])
        );
    }
    let wants = ledger.wants(agent.id, vec![chunk("x"), chunk("c")]);
    assert_eq!(wants.await.unwrap(), [Want::NotAnnounced; 2]);
    assert_eq!(announce(ledger, &agent, whole).await, wanted(4, &[(0, 4)]));
}

pub(crate) async fn sections_come_in_order_and_repeat_exactly(ledger: &impl Ledger) {
    let names = ["a", "b", "c", "d", "e"];
    let (agent, file) = agent_with(ledger, "LYN", "f", &names).await;
    // Too far ahead: nothing is kept, and the agent goes back.
    assert_eq!(
        announce(ledger, &agent, file.section(2, 5)).await,
        wanted(0, &[])
    );
    assert_eq!(record(ledger, &file).await.count, None);
    assert_eq!(
        announce(ledger, &agent, file.section(0, 2)).await,
        wanted(2, &[(0, 2)])
    );
    assert_eq!(
        announce(ledger, &agent, file.section(3, 5)).await,
        wanted(2, &[(0, 2)])
    );
    assert_eq!(
        announce(ledger, &agent, file.section(0, 2)).await,
        wanted(2, &[(0, 2)])
    );
    // A repeat and more.
    assert_eq!(
        announce(ledger, &agent, file.section(1, 4)).await,
        wanted(4, &[(0, 4)])
    );
    bring(ledger, &agent, "early", &file.chunks[..4]).await;
    assert_eq!(
        announce(ledger, &agent, file.question()).await,
        wanted(4, &[])
    );
    assert_eq!(record(ledger, &file).await.state, FileState::Waiting);
    assert_eq!(
        announce(ledger, &agent, file.section(4, 5)).await,
        wanted(5, &[(4, 1)])
    );
    bring(ledger, &agent, "late", &file.chunks[4..]).await;
    assert_eq!(
        announce(ledger, &agent, file.section(1, 3)).await,
        received()
    );
    // Several sections at once, of one file too.
    let more = TestFile::new("g", &["g", "h"]);
    let mut agent = agent;
    attach(ledger, &mut agent, &more, "g").await;
    let sections = vec![more.section(0, 1), file.question(), more.section(1, 2)];
    let announced = announce_within(ledger, &agent, sections, WIDE).await;
    let ids: Vec<_> = announced.files.iter().map(|file| file.file).collect();
    assert_eq!(ids, [more.id, file.id, more.id]);
    assert_eq!(announced.files[1].standing, received());
    assert_eq!(announced.files[2].standing, wanted(2, &[(0, 2)]));
    assert!(!announced.gave_news);
}

pub(crate) async fn an_empty_file_is_received_at_once(ledger: &impl Ledger) {
    let (agent, file) = agent_with(ledger, "LYN", "f", &[]).await;
    let announced = announce_within(ledger, &agent, vec![file.whole()], WIDE).await;
    assert_eq!(announced.files[0].standing, received());
    assert!(announced.gave_news);
    assert_eq!(announced.branch, agent.branch);
    assert_eq!(told(ledger, &agent, &file).await, [FileState::Received]);
    let again = announce_within(ledger, &agent, vec![file.whole()], WIDE).await;
    assert!(!again.gave_news);
    assert_eq!(record(ledger, &file).await.count, Some(0));
}

pub(crate) async fn what_central_holds_does_not_come_again(ledger: &impl Ledger) {
    let (lyon, first) = agent_with(ledger, "LYN", "f", &["a", "b"]).await;
    receive(ledger, &lyon, &first, "one").await;
    let (mut paris, same) = agent_with(ledger, "PAR", "g", &["b", "a"]).await;
    let announced = announce_within(ledger, &paris, vec![same.whole()], WIDE).await;
    assert_eq!(announced.files[0].standing, received());
    assert!(announced.gave_news);
    assert_eq!(told(ledger, &paris, &same).await, [FileState::Received]);
    assert_eq!(told(ledger, &lyon, &first).await, [FileState::Received]);

    // A branch that keeps to itself is not told what others have, and fills its own.
    let own = UploadBounds {
        scope: DedupScope::Branch,
        ..WIDE
    };
    let private = TestFile::new("h", &["a", "b", "c"]);
    attach(ledger, &mut paris, &private, "h").await;
    let announced = announce_within(ledger, &paris, vec![private.whole()], own).await;
    assert_eq!(announced.files[0].standing, wanted(3, &[(0, 3)]));
    let wants = ledger.wants(paris.id, private.chunks.clone());
    assert_eq!(wants.await.unwrap(), [Want::Wanted; 3]);
    let kept = bring(ledger, &paris, "two", &private.chunks).await;
    assert_eq!((kept.used, kept.received), (3, vec![private.id]));
    let also = TestFile::new("i", &["b", "c"]);
    attach(ledger, &mut paris, &also, "i").await;
    let announced = announce_within(ledger, &paris, vec![also.whole()], own).await;
    assert_eq!(announced.files[0].standing, received());
    // And what it brought is not for the others.
    let mut lyon = lyon;
    let other = TestFile::new("j", &["c"]);
    attach(ledger, &mut lyon, &other, "j").await;
    assert_eq!(
        announce(ledger, &lyon, other.whole()).await,
        wanted(1, &[(0, 1)])
    );
}

pub(crate) async fn a_chunk_comes_once_however_often_a_file_has_it(ledger: &impl Ledger) {
    let names = ["a", "z", "z", "b", "z", "a"];
    let (agent, file) = agent_with(ledger, "LYN", "f", &names).await;
    let standing = announce(ledger, &agent, file.section(0, 3)).await;
    assert_eq!(standing, wanted(3, &[(0, 2)]));
    let standing = announce(ledger, &agent, file.whole()).await;
    assert_eq!(standing, wanted(6, &[(0, 2), (3, 1)]));
    let kept = bring(ledger, &agent, "one", &[chunk("z"), chunk("z"), chunk("a")]).await;
    assert_eq!(kept.used, 2, "one of two copies has the place");
    assert_eq!(record(ledger, &file).await.held_bytes, 5 * u64::from(CHUNK));
    assert_eq!(
        announce(ledger, &agent, file.question()).await,
        wanted(6, &[(3, 1)])
    );
    let kept = bring(ledger, &agent, "two", &[chunk("b")]).await;
    assert_eq!(kept.received, [file.id]);
    let places = ledger.chunks_of(file.id, 0, 9).await.unwrap();
    assert_eq!(places[1], places[4]);
    assert_eq!(record(ledger, &file).await.held_bytes, file.size());
}

pub(crate) async fn what_is_missing_is_told_within_bounds(ledger: &impl Ledger) {
    let names: Vec<String> = (0..4 * limits::MISSING_RANGES)
        .map(|n| n.to_string())
        .collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let (agent, file) = agent_with(ledger, "LYN", "f", &names).await;
    announce(ledger, &agent, file.whole()).await;
    // Every second one is there.
    let even: Vec<_> = file.chunks.iter().copied().step_by(2).collect();
    let kept = bring(ledger, &agent, "even", &even).await;
    assert_eq!((kept.used, kept.not_announced), (even.len(), vec![]));
    let Standing::Wanted { announced, missing } = announce(ledger, &agent, file.question()).await
    else {
        panic!("not wanted");
    };
    assert_eq!(announced as usize, names.len());
    let first: Vec<_> = (0..u32::try_from(limits::MISSING_RANGES).unwrap())
        .map(|n| Places(2 * n + 1, 1))
        .collect();
    assert_eq!(missing, first);
}

/// 1 GiB of chunks of average size: three sections, each placed in many steps.
pub(crate) async fn a_large_file_is_announced_in_sections(ledger: &impl Ledger) {
    let count = (1 << 30) / limits::CHUNK_AVERAGE_BYTES as usize + 7;
    let chunks = (0..count).map(|n| ChunkRef(chunk(&n.to_string()).0, limits::CHUNK_AVERAGE_BYTES));
    let file = TestFile::of("f", chunks.collect());
    let mut agent = TestAgent::register(ledger, "LYN").await;
    attach(ledger, &mut agent, &file, "f").await;
    let mut from = 0;
    while from < count {
        let to = count.min(from + limits::SECTION_CHUNKS);
        let standing = announce(ledger, &agent, file.section(from, to)).await;
        let told = u32::try_from(to.min(limits::MISSING_CHUNKS)).unwrap();
        assert_eq!(standing, wanted(u32::try_from(to).unwrap(), &[(0, told)]));
        from = to;
    }
    // A lost answer: the middle section again.
    let again = file.section(limits::SECTION_CHUNKS, 2 * limits::SECTION_CHUNKS);
    let standing = announce(ledger, &agent, again).await;
    assert!(matches!(standing, Standing::Wanted { announced, .. } if announced as usize == count));
    for (index, body) in file.chunks.chunks(limits::CHUNK_BODY_FRAMES).enumerate() {
        let kept = bring(ledger, &agent, &index.to_string(), body).await;
        assert_eq!(kept.used, body.len());
        let is_last = (index + 1) * limits::CHUNK_BODY_FRAMES >= count;
        assert_eq!(kept.received.len(), usize::from(is_last), "body {index}");
    }
    let mut seen = Vec::new();
    while seen.len() < count {
        let from = u32::try_from(seen.len()).unwrap();
        seen.extend(ledger.chunks_of(file.id, from, 5_000).await.unwrap());
    }
    let chunks: Vec<_> = seen.iter().map(|placed| placed.chunk).collect();
    assert!(chunks == file.chunks && seen.iter().all(|placed| placed.place.is_some()));
    move_to(ledger, &file, FileState::Scanning).await;
    let freed = ledger.settle_chunks(file.id).await.unwrap();
    assert_eq!(freed.len(), count.div_ceil(limits::CHUNK_BODY_FRAMES));
    let tail = ledger.chunks_of(file.id, 16_000, 1).await.unwrap();
    let offset = 16_000 * u64::from(limits::CHUNK_AVERAGE_BYTES);
    assert_eq!(
        tail[0].place,
        Some(ChunkPlace::File {
            root: file.root,
            offset
        })
    );
}

pub(crate) async fn an_agent_at_a_bound_begins_nothing_and_finishes_what_it_began(
    ledger: &impl Ledger,
) {
    let (mut agent, first) = agent_with(ledger, "LYN", "f", &["a", "b"]).await;
    let second = TestFile::new("g", &["c"]);
    attach(ledger, &mut agent, &second, "g").await;
    let of = |bytes: u64, files: u64, file: u64| UploadBounds {
        agent_bytes: bytes * u64::from(CHUNK),
        agent_files: files,
        file_bytes: file * u64::from(CHUNK),
        ..WIDE
    };
    let standing = async |section: Section, bounds| {
        let announced = announce_within(ledger, &agent, vec![section], bounds).await;
        announced.files[0].standing.clone()
    };
    // One file is too large by itself; the bytes do not do; a question is answered like the answer.
    for bounds in [of(9, 9, 1), of(1, 9, 9), of(9, 0, 9)] {
        assert_eq!(standing(first.whole(), bounds).await, Standing::NoRoom);
        assert_eq!(standing(first.question(), bounds).await, Standing::NoRoom);
    }
    assert_eq!(record(ledger, &first).await.count, None);
    assert_eq!(
        standing(first.section(0, 1), of(2, 1, 2)).await,
        wanted(1, &[(0, 1)])
    );
    // What has begun goes on, whatever the bounds are now.
    assert_eq!(
        standing(first.whole(), of(0, 0, 0)).await,
        wanted(2, &[(0, 2)])
    );
    for bounds in [of(9, 1, 9), of(2, 9, 9)] {
        assert_eq!(standing(second.whole(), bounds).await, Standing::NoRoom);
    }
    // Another agent has its own bounds.
    let (beside, theirs) = agent_with(ledger, "LYN", "h", &["h"]).await;
    let announced = announce_within(ledger, &beside, vec![theirs.whole()], of(1, 1, 1)).await;
    assert_eq!(announced.files[0].standing, wanted(1, &[(0, 1)]));
    // There is room again once the first is judged, and not before.
    bring(ledger, &agent, "one", &first.chunks).await;
    assert_eq!(
        standing(second.whole(), of(2, 1, 2)).await,
        Standing::NoRoom
    );
    move_to(ledger, &first, FileState::Scanning).await;
    assert_eq!(
        standing(second.whole(), of(2, 1, 2)).await,
        Standing::NoRoom
    );
    move_to(ledger, &first, FileState::Held).await;
    assert_eq!(
        standing(second.whole(), of(2, 1, 2)).await,
        wanted(1, &[(0, 1)])
    );
}

pub(crate) async fn a_judged_file_says_what_became_of_it(ledger: &impl Ledger) {
    let (agent, file) = agent_with(ledger, "LYN", "f", &["a"]).await;
    receive(ledger, &agent, &file, "one").await;
    let infected = FileState::Infected {
        signature: "Test.Signature".into(),
    };
    for state in [FileState::Scanning, infected] {
        move_to(ledger, &file, state.clone()).await;
        let expected = Standing::Received { state };
        assert_eq!(announce(ledger, &agent, file.whole()).await, expected);
        assert_eq!(announce(ledger, &agent, file.question()).await, expected);
    }
    // Another root under the same id stays a conflict.
    let mut section = file.whole();
    section.root = chunk("x").hash();
    let fault = ManifestFault::OtherFile;
    assert_eq!(
        announce(ledger, &agent, section).await,
        Standing::Refused { fault }
    );
}
