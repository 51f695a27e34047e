//! The plan against a central that is a few lines of code.

use branchline_protocol::id::Digest;
use branchline_protocol::manifest::FrameException;

use super::*;

const NOW: Duration = Duration::ZERO;
const BODY: usize = 1_000_000;
const JSON: usize = 4_000_000;

fn id(number: u128) -> FileId {
    FileId::from_bytes(number.to_be_bytes())
}

/// A file of so many chunks of 64 KiB, each its own unless `seed` is that of another file.
fn file(number: u128, count: u32) -> OutgoingFile {
    OutgoingFile {
        id: id(number),
        size: u64::from(count) * 65_536,
        root: Digest([0; 32]),
        count,
    }
}

fn chunk(seed: u128, place: u32) -> ChunkRef {
    let mut hash = [0; 32];
    hash[..16].copy_from_slice(&seed.to_be_bytes());
    hash[16..20].copy_from_slice(&place.to_be_bytes());
    ChunkRef(Digest(hash), 65_536)
}

fn wanted(seed: u128, places: std::ops::Range<u32>) -> Vec<Wanted> {
    places
        .map(|place| Wanted {
            place,
            chunk: chunk(seed, place),
        })
        .collect()
}

/// Announces all that is to be announced, to a central that lacks everything announced.
fn announce(plan: &mut Plan) -> Vec<Ask> {
    let asks = plan.announcement(NOW, JSON);
    plan.announcement_ended();
    for ask in &asks {
        let (number, end) = (
            u128::from_be_bytes(*ask.file.id.as_bytes()),
            ask.from + ask.count,
        );
        let missing = [Places(0, end)];
        plan.want(NOW, ask.file.id, end, &missing, wanted(number, 0..end));
    }
    plan.standings_told();
    asks
}

fn reply(frames: usize) -> ChunksReply {
    ChunksReply {
        frames: u32::try_from(frames).unwrap(),
        ..ChunksReply::default()
    }
}

fn files_of(picked: &[Picked]) -> Vec<FileId> {
    let mut files: Vec<FileId> = picked.iter().map(|one| one.file).collect();
    files.dedup();
    files
}

#[test]
fn many_tiny_files_share_one_announcement_and_one_body() {
    let mut plan = Plan::default();
    plan.adopt(NOW, (1..=300).map(|number| file(number, 1)).collect());
    assert_eq!(announce(&mut plan).len(), 300);
    let body = plan.body(8 * 1024 * 1024);
    assert_eq!(body.len(), 128, "as many as fit");
    assert_eq!(files_of(&body).len(), 128);
}

#[test]
fn small_files_go_before_a_large_one_which_is_not_starved() {
    let mut plan = Plan::default();
    // The large one is older than all.
    plan.adopt(NOW, vec![file(1, 1_000)]);
    plan.adopt(NOW, (2..=101).map(|number| file(number, 10)).collect());
    announce(&mut plan);
    let (mut large, mut small) = (0, 0);
    for _ in 0..40 {
        let body = plan.body(BODY);
        let of_large = body.iter().filter(|one| one.file == id(1)).count();
        large += of_large;
        small += body.len() - of_large;
        plan.answered(NOW, &body, &reply(body.len()));
    }
    assert!(large >= 40 * 15 / 4, "{large} of the large file");
    assert!(
        small >= large * 2,
        "{small} of small ones, {large} of the large"
    );
}

#[test]
fn a_chunk_of_two_files_is_sent_once() {
    let mut plan = Plan::default();
    plan.adopt(NOW, vec![file(1, 3), file(2, 3)]);
    let asks = plan.announcement(NOW, JSON);
    assert_eq!(asks.len(), 2);
    plan.announcement_ended();
    for number in [1, 2] {
        plan.want(NOW, id(number), 3, &[Places(0, 3)], wanted(7, 0..3));
    }
    plan.standings_told();
    let body = plan.body(BODY);
    assert_eq!(body.len(), 3);
    assert!(plan.body(BODY).is_empty());
    // While they are on their way, the other file is not asked about.
    let other = if body[0].file == id(1) { id(2) } else { id(1) };
    assert!(plan.announcement(NOW, JSON).is_empty());
    let mut answer = reply(3);
    answer.received = vec![body[0].file];
    assert_eq!(plan.answered(NOW, &body, &answer), vec![body[0].file]);
    plan.done(body[0].file);
    let asks = plan.announcement(NOW, JSON);
    assert_eq!(asks.len(), 1);
    assert_eq!(
        (asks[0].file.id, asks[0].count),
        (other, 0),
        "it asks how it stands"
    );
}

#[test]
fn what_broke_goes_again_and_what_arrived_does_not() {
    let mut plan = Plan::default();
    plan.adopt(NOW, vec![file(1, 40)]);
    announce(&mut plan);
    let (first, second) = (plan.body(BODY), plan.body(BODY));
    assert_eq!((first.len(), second.len()), (15, 15));
    plan.again(&first);
    plan.answered(NOW, &second, &reply(second.len()));
    let third = plan.body(BODY);
    assert_eq!(third, first, "in its old order");
    let rest = plan.body(BODY);
    assert_eq!(rest.len(), 10);
    assert!(
        rest.iter()
            .all(|one| !second.contains(one) && !third.contains(one))
    );
}

#[test]
fn an_announcement_that_crossed_a_body_brings_nothing_twice() {
    let mut plan = Plan::default();
    plan.adopt(NOW, vec![file(1, 20)]);
    announce(&mut plan);
    let arrives = plan.body(BODY);
    let flies = plan.body(BODY);
    assert_eq!((arrives.len(), flies.len()), (15, 5));
    plan.adopt(NOW, vec![file(2, 1)]);
    let asks = plan.announcement(NOW, JSON);
    assert_eq!(asks.len(), 1);
    // Central computes its answer about file 1 as if nothing had arrived.
    plan.answered(NOW, &arrives, &reply(arrives.len()));
    plan.announcement_ended();
    plan.want(NOW, id(1), 20, &[Places(0, 20)], wanted(1, 0..20));
    plan.standings_told();
    assert!(plan.body(BODY).is_empty());
}

#[test]
fn a_long_file_is_announced_in_sections_while_its_chunks_go() {
    let mut plan = Plan::default();
    let count = 20_000;
    plan.adopt(NOW, vec![file(1, count)]);
    let first = announce(&mut plan);
    assert_eq!((first[0].from, first[0].count), (0, 8_192));
    assert!(plan.announcement(NOW, JSON).is_empty(), "enough to send");
    let mut sent = 0;
    let mut sections = vec![first[0].count];
    for _ in 0..5_000 {
        let body = plan.body(BODY);
        sent += body.len();
        plan.answered(NOW, &body, &reply(body.len()));
        let asks = plan.announcement(NOW, JSON);
        plan.announcement_ended();
        for ask in asks.iter().filter(|ask| ask.count > 0) {
            sections.push(ask.count);
            let (from, end) = (ask.from, ask.from + ask.count);
            // What central lacks: the rest of what was announced before, and all of this section.
            let lacks = u32::try_from(sent).unwrap()..end;
            assert_eq!(from, sections.iter().sum::<u32>() - ask.count);
            let missing = [Places(lacks.start, lacks.end - lacks.start)];
            plan.want(NOW, ask.file.id, end, &missing, wanted(1, lacks));
        }
        plan.standings_told();
    }
    assert_eq!(sent, count as usize);
    assert_eq!(sections.iter().sum::<u32>(), count);
}

#[test]
fn a_chunk_damaged_on_the_way_goes_again_and_not_for_ever() {
    let mut plan = Plan::default();
    plan.adopt(NOW, vec![file(1, 1), file(2, 2)]);
    announce(&mut plan);
    let corrupt = |frame| FrameException {
        frame,
        fault: FrameRefusal::Corrupt,
    };
    let mut bodies = 0;
    loop {
        let body = plan.body(65_536);
        let Some(one) = body.first() else { break };
        let mut answer = reply(1);
        if one.file == id(1) {
            answer.exceptions = vec![corrupt(0)];
            bodies += 1;
        }
        plan.answered(NOW, &body, &answer);
        assert!(bodies < 50);
    }
    assert_eq!(bodies, TRIES + 1);
    assert_eq!(plan.set_aside(), 1);
    assert!(plan.held(id(1)).is_none() && plan.held(id(2)) == Some(2 * 65_536));
    let due = plan.due(NOW).unwrap();
    assert_eq!(due, ASIDE);
    plan.adopt(NOW, vec![file(1, 1)]);
    assert!(plan.held(id(1)).is_none());
    plan.adopt(due, vec![file(1, 1)]);
    assert!(plan.held(id(1)).is_some());
}

#[test]
fn what_central_forgot_is_announced_again_and_asked_for_at_most_so_often() {
    let mut plan = Plan::default();
    plan.adopt(NOW, vec![file(1, 3)]);
    let mut announced = 0;
    while plan.set_aside() == 0 {
        let asks = announce(&mut plan);
        announced += asks
            .iter()
            .filter(|ask| ask.from == 0 && ask.count == 3)
            .count();
        let body = plan.body(BODY);
        let mut answer = reply(body.len());
        answer.exceptions = (0..answer.frames)
            .map(|frame| FrameException {
                frame,
                fault: FrameRefusal::NotAnnounced,
            })
            .collect();
        plan.answered(NOW, &body, &answer);
        assert!(announced < 20);
    }
    assert!(announced >= 2);
}

#[test]
fn no_room_stops_new_files_and_not_those_under_way() {
    let mut plan = Plan::default();
    plan.adopt(NOW, vec![file(1, 3)]);
    announce(&mut plan);
    plan.adopt(NOW, vec![file(2, 3)]);
    assert_eq!(plan.announcement(NOW, JSON).len(), 1);
    plan.announcement_ended();
    plan.no_room(NOW, id(2));
    plan.standings_told();
    assert!(plan.announcement(NOW, JSON).is_empty());
    assert_eq!(plan.body(BODY).len(), 3);
    assert_eq!(plan.due(NOW), Some(NO_ROOM));
    assert_eq!(plan.announcement(NO_ROOM, JSON).len(), 1);
}

#[test]
fn a_central_that_lacks_it_knows_not_what_is_not_asked_in_a_loop() {
    let mut plan = Plan::default();
    plan.adopt(NOW, vec![file(1, 3)]);
    for _ in 0..5 {
        let asks = plan.announcement(NOW, JSON);
        plan.announcement_ended();
        for ask in &asks {
            plan.want(NOW, ask.file.id, 3, &[], Vec::new());
        }
        plan.standings_told();
    }
    assert_eq!(plan.set_aside(), 1);
}

#[test]
fn everything_has_a_bound() {
    let mut plan = Plan::default();
    plan.adopt(NOW, (1..=10_000).map(|number| file(number, 1)).collect());
    assert_eq!(plan.len(), FILES);
    assert_eq!(plan.announcement(NOW, JSON).len(), limits::ANNOUNCED_FILES);
    plan.announcement_ended();
    // Small announcements while the link is slow.
    assert!(plan.announcement(NOW, 64 * 1024).len() < 250);
    plan.announcement_ended();
    for number in 1..=10_000 {
        plan.adopt(NOW, vec![file(number, 1)]);
        plan.put_aside(NOW, id(number));
    }
    assert_eq!(plan.set_aside(), ASIDE_FILES);
}

#[test]
fn progress_is_the_share_that_central_does_not_miss() {
    let whole = file(1, 100);
    assert_eq!(held(&whole, 100, &[Places(50, 50)]), 50 * 65_536);
    assert_eq!(held(&whole, 100, &[]), whole.size);
    assert_eq!(held(&whole, 50, &[Places(0, 50)]), 0);
    // At the answer's bound nothing is known behind the last range.
    let long = file(1, 100_000);
    let missing = [Places(10_000, 8_192)];
    assert_eq!(held(&long, 100_000, &missing), 10_000 * 65_536);
}
