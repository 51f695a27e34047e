//! Chunks on their way in: taken where they are good and wanted, durable before the answer, and cut off,
//! damaged, repeated and raced in every way.

use std::sync::Arc;
use std::time::Duration;

use branchline_protocol::frame::{Encoding, HEADER_BYTES, MAGIC};
use branchline_protocol::id::{Digest, FileId};
use branchline_protocol::limits::{CHUNK_BODY_BYTES, CHUNK_BODY_FRAMES, CHUNK_MOST_BYTES};
use branchline_protocol::manifest::{
    Announcement, ChunkRef, ChunksReply, FrameException, FrameRefusal, Section,
};
use branchline_protocol::problem::ProblemKind;
use branchline_protocol::time::UnixMillis;

use super::central::{Answer, Request, small_bounds};
use super::depot::{Depot, body, bulk_bounds, chunks_request, frame, framed, until};
use super::files_ledger::FilesLedger;
use crate::ingress::{Bounds, BulkBounds};
use crate::ledger::{LedgerError, now};
use crate::upkeep::Upkeep;
use crate::vault::faulty::Step;
use crate::vault::{Vault, VaultError};

fn except(frame: u32, fault: FrameRefusal) -> FrameException {
    FrameException { frame, fault }
}

#[tokio::test]
async fn what_is_wanted_and_good_is_durable_and_the_rest_is_said() {
    use FrameRefusal::{Corrupt, NotAnnounced};
    let depot = Depot::start().await;
    let text = b"the same line again and again\n".repeat(900);
    let packed = zstd::bulk::compress(&text, 3).unwrap();
    let large = vec![9; CHUNK_MOST_BYTES as usize];
    depot.ledger.announce_chunks(
        &depot.agent,
        &[b"one", b"two", &text, &large, b"damaged", b"held", b"late"],
    );
    depot.bring(body(&[b"held"])).await.assert_ok();
    let file = FileId::from_bytes([7; 16]);
    let chunks = [ChunkRef::of(b"one"), ChunkRef::of(&large)];
    depot.ledger.state().file = Some((file, chunks.to_vec()));
    depot.ledger.state().withdrawn = Some(ChunkRef::of(b"late"));
    let plain = |bytes: &[u8]| frame(bytes, bytes, Encoding::Plain);
    let answer = depot
        .bring(framed([
            plain(b"one"),
            frame(b"damagee", b"damaged", Encoding::Plain),
            frame(b"not zstd", b"damaged and packed", Encoding::Zstd),
            frame(&packed, &text, Encoding::Zstd),
            frame(&packed[1..], &text, Encoding::Zstd),
            plain(b"nobody's"),
            plain(b"held"),
            plain(b"one"),
            plain(&large),
            // Wanted when it was asked for, and not any more when it was to be kept; twice.
            plain(b"late"),
            plain(b"late"),
            plain(b"damaged"),
            plain(b"two"),
        ]))
        .await;
    let reply: ChunksReply = answer.json();
    assert_eq!(reply.frames, 13);
    assert_eq!(reply.received, [file]);
    let expected = [
        except(1, Corrupt),
        except(2, NotAnnounced),
        except(4, Corrupt),
        except(5, NotAnnounced),
        except(9, NotAnnounced),
        except(10, NotAnnounced),
    ];
    assert_eq!(reply.exceptions, expected);
    for chunk in [&b"one"[..], b"two", &text, &large, b"damaged", b"held"] {
        assert!(depot.ledger.holds(chunk));
    }
    assert!(!depot.ledger.holds(b"late") && !depot.ledger.holds(b"nobody's"));
    depot.assert_proven().await;
    assert_eq!(depot.objects().await.len(), 2, "one object per request");

    // All of it again: durable already, and nothing is written.
    let again: ChunksReply = depot.bring(body(&[b"one", &large, b"two"])).await.json();
    assert_eq!((again.frames, again.exceptions.len()), (3, 0));
    assert_eq!(depot.objects().await.len(), 2);
    let nothing: ChunksReply = depot.bring(body(&[])).await.json();
    assert_eq!(nothing, ChunksReply::default());
}

#[tokio::test]
async fn p4_no_flipped_bit_is_ever_kept() {
    let depot = Depot::start().await;
    let chunks: [&[u8]; 3] = [b"first", b"second chunk", b"3"];
    depot.ledger.announce_chunks(&depot.agent, &chunks);
    let good = body(&chunks);
    for at in 0..good.len() {
        depot.ledger.state().places.clear();
        let mut bad = good.clone();
        bad[at] ^= 1 << (at % 8);
        let answer = depot.bring(bad).await;
        let kept = depot.ledger.state().places.len();
        if answer.status == 200 {
            let reply: ChunksReply = answer.json();
            assert_eq!((reply.frames, reply.exceptions.len()), (3, 1), "byte {at}");
            assert_eq!(kept, 2, "byte {at}");
        } else {
            answer.assert_problem(ProblemKind::Malformed, &format!("byte {at}"));
            assert!(kept < 3, "byte {at}");
        }
        let places = depot.ledger.state().places.clone();
        for (chunk, (object, place)) in places {
            let stored = depot
                .vault
                .read_object(object, place.offset, place.stored as usize);
            assert_eq!(ChunkRef::of(&stored.await.unwrap()), chunk, "byte {at}");
        }
    }
}

#[tokio::test]
async fn a_body_cut_at_any_offset_costs_the_frame_it_was_cut_in() {
    let depot = Depot::start().await;
    let chunks: [&[u8]; 3] = [b"first", b"second chunk", b"3"];
    depot.ledger.announce_chunks(&depot.agent, &chunks);
    let whole = body(&chunks);
    let mut ends = vec![MAGIC.len()];
    for chunk in chunks {
        ends.push(ends.last().unwrap() + HEADER_BYTES + chunk.len());
    }
    for cut in 0..whole.len() {
        depot.ledger.state().places.clear();
        let before = depot.ledger.state().keeps;
        let frames = ends.iter().skip(1).filter(|end| **end <= cut).count();
        // One that ends too early without a word, and one that says how long it would have been.
        let answer = depot.bring(whole[..cut].to_vec()).await;
        if ends.contains(&cut) {
            answer.assert_ok();
        } else {
            answer.assert_problem(ProblemKind::Malformed, &format!("cut at {cut}"));
        }
        assert_eq!(depot.ledger.state().places.len(), frames, "cut at {cut}");
        depot.ledger.state().places.clear();
        drop(depot.begin(&depot.agent, &whole, cut).await);
        let keeps = before + 2 * usize::from(frames > 0);
        until("the broken one is kept", || {
            depot.ledger.state().keeps == keeps
        })
        .await;
        assert_eq!(depot.ledger.state().places.len(), frames, "broken at {cut}");
    }
    // What is not whole is in nobody's way.
    let reply: ChunksReply = depot.bring(whole).await.json();
    assert_eq!((reply.frames, reply.exceptions.len()), (3, 0));
}

#[tokio::test]
async fn a_header_that_cannot_be_ends_the_body_and_not_what_came_before() {
    let depot = Depot::start().await;
    depot
        .ledger
        .announce_chunks(&depot.agent, &[b"good", b"after"]);
    let good = frame(b"good", b"good", Encoding::Plain);
    let sizes: [u32; 4] = [0, 1_000, CHUNK_MOST_BYTES + 1, u32::MAX];
    for size in sizes {
        depot.ledger.state().places.clear();
        let mut bad = frame(b"after", b"after", Encoding::Plain);
        bad[32..36].copy_from_slice(&size.to_le_bytes());
        let answer = depot.bring(framed([good.clone(), bad])).await;
        let problem = answer.assert_problem(ProblemKind::Malformed, "header");
        assert!(problem.detail.contains("frame 1"), "{problem}");
        assert!(depot.ledger.holds(b"good") && !depot.ledger.holds(b"after"));
    }
    let answer = depot.bring(b"BLchunk2".to_vec()).await;
    answer.assert_problem(ProblemKind::Malformed, "magic");
    depot
        .bring(Vec::new())
        .await
        .assert_problem(ProblemKind::Malformed, "empty");
}

#[tokio::test]
async fn p8_bodies_are_bounded_and_said_to_be() {
    let depot = Depot::start().await;
    let tiny = body(&vec![&b"x"[..]; CHUNK_BODY_FRAMES + 1]);
    depot.ledger.announce_chunks(&depot.agent, &[b"x"]);
    let answer = depot.bring(tiny).await;
    answer.assert_problem(ProblemKind::TooLarge, "too many");
    assert!(depot.ledger.holds(b"x"), "those before the bound are kept");
    let announced = chunks_request(&depot.agent, Vec::new())
        .with("content-length", &(CHUNK_BODY_BYTES + 1).to_string());
    let answer = depot.central.ask(announced).await;
    answer.assert_problem(ProblemKind::TooLarge, "announced");
    let good = || chunks_request(&depot.agent, body(&[b"x"]));
    for (request, kind) in [
        (
            good().without("content-type"),
            ProblemKind::UnsupportedMedia,
        ),
        (
            good().with("content-type", "application/json"),
            ProblemKind::UnsupportedMedia,
        ),
        (
            good().with("content-encoding", "zstd"),
            ProblemKind::UnsupportedMedia,
        ),
        (good().without("client-cert"), ProblemKind::Unauthenticated),
        (
            good().without("branchline-protocol"),
            ProblemKind::UnsupportedVersion,
        ),
        (
            Request::get("/v1/chunks").from(&depot.agent),
            ProblemKind::MethodNotAllowed,
        ),
    ] {
        let shown = request.shown();
        depot
            .central
            .ask(request)
            .await
            .assert_problem(kind, &shown);
    }
    let identity = good().with("content-encoding", "identity");
    depot.central.ask(identity).await.assert_ok();
}

#[tokio::test]
async fn a_body_that_stands_still_is_given_up_and_what_came_is_kept() {
    let depot = Depot::start().await;
    depot
        .ledger
        .announce_chunks(&depot.agent, &[b"came", b"did not come"]);
    let whole = body(&[b"came", b"did not come"]);
    let mut standing = depot.begin(&depot.agent, &whole, whole.len() - 1).await;
    let answer = Answer::read(&mut standing).await;
    answer.assert_problem(ProblemKind::TooSlow, "stands still");
    assert!(depot.ledger.holds(b"came") && !depot.ledger.holds(b"did not come"));
    depot.assert_proven().await;
}

#[tokio::test]
async fn a_body_that_crawls_on_for_ever_is_given_up() {
    let depot = Depot::bounded(Bounds {
        bulk: BulkBounds {
            body_stall: Duration::from_secs(60),
            body_total: Duration::from_millis(300),
            ..bulk_bounds()
        },
        ..small_bounds()
    })
    .await;
    depot.ledger.announce_chunks(&depot.agent, &[b"came"]);
    let whole = body(&[b"came", &[7; 1000]]);
    let mut slow = depot.begin(&depot.agent, &whole, whole.len() - 500).await;
    Answer::read(&mut slow)
        .await
        .assert_problem(ProblemKind::TooSlow, "for ever");
    assert!(depot.ledger.holds(b"came"));
}

#[tokio::test]
async fn stopping_keeps_what_came_whole() {
    let mut depot = Depot::bounded(Bounds {
        bulk: BulkBounds {
            body_stall: Duration::from_secs(60),
            ..bulk_bounds()
        },
        ..small_bounds()
    })
    .await;
    depot.ledger.announce_chunks(&depot.agent, &[b"came"]);
    let whole = body(&[b"came", &[7; 1000]]);
    let mut open = depot.begin(&depot.agent, &whole, whole.len() - 500).await;
    // The server has begun with it once it has answered one that came later.
    depot.bring(body(&[])).await.assert_ok();
    depot.central.stopping.cancel();
    let answer = Answer::read(&mut open).await;
    answer.assert_problem(ProblemKind::Unavailable, "stopping");
    assert!(depot.ledger.holds(b"came"));
    depot.central.stopped().await;
}

#[tokio::test]
async fn chunks_are_kept_when_their_sender_hangs_up() {
    let depot = Depot::start().await;
    depot.ledger.announce_chunks(&depot.agent, &[b"one"]);
    let gate = depot.ledger.keeping.acquire_many(100).await.unwrap();
    let whole = body(&[b"one"]);
    drop(depot.begin(&depot.agent, &whole, whole.len()).await);
    depot.central.ask(Request::get("/livez")).await.assert_ok();
    drop(gate);
    until("it is kept", || depot.ledger.holds(b"one")).await;
    depot.assert_proven().await;
}

#[tokio::test]
async fn p2_of_two_attempts_the_one_that_wakes_late_changes_nothing() {
    let depot = Depot::start().await;
    let chunks: [&[u8]; 3] = [b"first", b"second", b"third"];
    depot.ledger.announce_chunks(&depot.agent, &chunks);
    let whole = body(&chunks);
    // The first attempt is written and sealed, and then sleeps on its way to the ledger.
    let gate = depot.ledger.keeping.acquire_many(100).await.unwrap();
    let mut late = depot.begin(&depot.agent, &whole, whole.len()).await;
    depot.until_sealed(1).await;
    let mut second = depot.begin(&depot.agent, &whole, whole.len()).await;
    depot.until_sealed(2).await;
    drop(gate);
    let replies: [ChunksReply; 2] = [
        Answer::read(&mut late).await.json(),
        Answer::read(&mut second).await.json(),
    ];
    // Both are told the truth: all of it is durable.
    for reply in &replies {
        assert_eq!((reply.frames, reply.exceptions.len()), (3, 0));
    }
    assert_eq!(depot.ledger.state().places.len(), 3);
    assert_eq!(depot.objects().await.len(), 1, "one of the two is deleted");
    depot.assert_proven().await;

    // Two that overlap only in part: both are needed, and no chunk lies in two places.
    let (left, right) = (body(&[b"a", b"both"]), body(&[b"both", b"b"]));
    depot
        .ledger
        .announce_chunks(&depot.agent, &[b"a", b"both", b"b"]);
    let gate = depot.ledger.keeping.acquire_many(100).await.unwrap();
    let mut one = depot.begin(&depot.agent, &left, left.len()).await;
    let mut two = depot.begin(&depot.agent, &right, right.len()).await;
    depot.until_sealed(3).await;
    drop(gate);
    Answer::read(&mut one).await.assert_ok();
    Answer::read(&mut two).await.assert_ok();
    assert_eq!(depot.objects().await.len(), 3);
    depot.assert_proven().await;
}

#[tokio::test]
async fn p3_a_vault_that_fails_keeps_nothing_and_is_said_in_the_right_words() {
    let depot = Depot::start().await;
    let large = vec![3; 100_000];
    let chunks: [&[u8]; 2] = [b"one", &large];
    depot.ledger.announce_chunks(&depot.agent, &chunks);
    let full = VaultError::Full("no space".into());
    let away = VaultError::Away("input/output error on /secret/path".into());
    for step in [
        Step::Room,
        Step::Begin,
        Step::Append,
        Step::Seal,
        Step::Sealed,
    ] {
        for (fault, kind, after) in [
            (&full, ProblemKind::StoreFull, "60"),
            (&away, ProblemKind::Unavailable, "5"),
        ] {
            depot.vault.fail(step, fault.clone());
            let answer = depot.bring(body(&chunks)).await;
            answer.assert_problem(kind, &format!("{step:?}"));
            assert_eq!(answer.header("retry-after"), Some(after), "{step:?}");
            assert!(!answer.text().contains("/secret/path"));
            assert!(depot.ledger.state().places.is_empty(), "{step:?}");
            assert_eq!(depot.ledger.state().keeps, 0, "{step:?}");
            // P9: the control lane reaches the ledger all the same.
            let submission = super::body_of(&depot.agent, 0, 0);
            let answer = depot.central.post(&depot.agent, submission).await;
            answer.assert_problem(ProblemKind::ForeignStream, "control");
            let left = usize::from(step == Step::Sealed);
            assert!(depot.objects().await.len() <= 2 * left, "{step:?}");
        }
    }
    depot.vault.mend();
    depot.bring(body(&chunks)).await.assert_ok();
    // Those of which nobody knew that they were sealed are nobody's, until they are collected.
    assert_eq!(depot.objects().await.len(), 3);
    upkeep(&depot)
        .round(UnixMillis(now().0 + 2 * 86_400_000))
        .await;
    depot.assert_proven().await;
}

fn upkeep(depot: &Depot) -> Upkeep {
    Upkeep {
        ledger: depot.ledger.clone(),
        vault: depot.vault.clone(),
        expire_after: Duration::from_secs(86_400),
    }
}

#[tokio::test]
async fn p3_a_ledger_that_fails_keeps_nothing_and_its_object_is_collected_when_old() {
    let depot = Depot::start().await;
    depot
        .ledger
        .announce_chunks(&depot.agent, &[b"one", b"two"]);
    depot.ledger.state().wants_fault = Some(LedgerError::Away("locked".into()));
    let answer = depot.bring(body(&[b"one"])).await;
    answer.assert_problem(ProblemKind::Unavailable, "wants");
    assert!(depot.objects().await.is_empty());
    depot.ledger.state().wants_fault = None;
    depot.ledger.state().keep_fault = Some(LedgerError::Full("disk".into()));
    let answer = depot.bring(body(&[b"one"])).await;
    answer.assert_problem(ProblemKind::StoreFull, "keep");
    // Nobody knows whether the ledger has it.
    assert_eq!(depot.objects().await.len(), 1);
    depot.ledger.state().keep_fault = None;
    depot.bring(body(&[b"two"])).await.assert_ok();
    let upkeep = upkeep(&depot);
    let hours = |hours: i64| UnixMillis(now().0 + hours * 3_600_000);
    for (at, left) in [(hours(0), 2), (hours(23), 2), (hours(25), 1)] {
        upkeep.round(at).await;
        assert_eq!(depot.objects().await.len(), left);
    }
    depot.assert_proven().await;
    // An abandoned upload's objects go when the ledger says so.
    let objects = depot.objects().await;
    depot.ledger.state().places.clear();
    depot.ledger.state().expired = objects;
    upkeep.round(now()).await;
    assert!(depot.objects().await.is_empty());
}

#[tokio::test]
async fn p9_at_the_reserve_files_are_refused_and_tickets_are_not() {
    let bounds = Bounds {
        bulk: bulk_bounds(),
        ..small_bounds()
    };
    let depot = Depot::reserving(u64::MAX, bounds).await;
    depot.ledger.announce_chunks(&depot.agent, &[b"one"]);
    // Before anything of the body: a narrow line is not used for what cannot be kept.
    let mut unsent = depot.begin(&depot.agent, &body(&[b"one"]), 0).await;
    let answer = Answer::read(&mut unsent).await;
    answer.assert_problem(ProblemKind::StoreFull, "chunks");
    assert!(depot.ledger.state().places.is_empty());
    // What is announced takes space in the ledger; only asking does not.
    for (count, refused) in [(1, true), (0, false)] {
        let announcement = Announcement {
            files: vec![Section {
                file: FileId::from_bytes([1; 16]),
                size: 3,
                root: Digest([1; 32]),
                count: 1,
                from: 0,
                chunks: vec![ChunkRef::of(b"one"); count],
            }],
        };
        let asked = serde_json::to_vec(&announcement).unwrap();
        let request = Request::post("/v1/manifests", &depot.agent, asked);
        let answer = depot.central.ask(request).await;
        if refused {
            answer.assert_problem(ProblemKind::StoreFull, "announced");
        } else {
            answer.assert_ok();
        }
        let announced = depot.ledger.state().announcements.len();
        assert_eq!(announced, usize::from(!refused));
    }
    let submission = super::body_of(&depot.agent, 0, 0);
    let answer = depot.central.post(&depot.agent, submission).await;
    answer.assert_problem(ProblemKind::ForeignStream, "control");
}

#[tokio::test]
async fn agents_do_not_see_each_others_chunks_through_this_route() {
    let depot = Depot::start().await;
    depot.ledger.announce_chunks(&depot.agent, &[b"one"]);
    let other = FilesLedger::agent_of(2);
    let request = chunks_request(&other, body(&[b"one"]));
    let reply: ChunksReply = depot.central.ask(request).await.json();
    assert_eq!(reply.exceptions, [except(0, FrameRefusal::NotAnnounced)]);
    assert!(!depot.ledger.holds(b"one"));
}

#[tokio::test]
async fn large_bodies_of_many_agents_at_once_arrive_whole() {
    let depot = Arc::new(Depot::start().await);
    let mut uploads = tokio::task::JoinSet::new();
    for byte in 1..=4_u8 {
        let depot = depot.clone();
        uploads.spawn(async move {
            let chunks: Vec<Vec<u8>> = (0..40_u8)
                .map(|index| vec![byte ^ index.reverse_bits(); 20_000 + usize::from(index) * 1_000])
                .collect();
            let agent = FilesLedger::agent_of(byte);
            let chunks: Vec<&[u8]> = chunks.iter().map(Vec::as_slice).collect();
            depot.ledger.announce_chunks(&agent, &chunks);
            let request = chunks_request(&agent, body(&chunks));
            let reply: ChunksReply = depot.central.ask(request).await.json();
            assert_eq!((reply.frames, reply.exceptions.len()), (40, 0));
            chunks.iter().all(|chunk| depot.ledger.holds(chunk))
        });
    }
    while let Some(whole) = uploads.join_next().await {
        assert!(whole.unwrap());
    }
    depot.assert_proven().await;
}
