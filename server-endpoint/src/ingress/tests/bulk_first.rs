//! P7: the bulk lane has bounds of its own, and is turned away before the control lane feels anything.
//! And what announcements must be.

use std::time::Duration;

use branchline_protocol::id::{Digest, FileId};
use branchline_protocol::limits::{ANNOUNCED_FILES, SECTION_CHUNKS};
use branchline_protocol::manifest::{Announcement, AnnouncementReply, ChunkRef, Section};
use branchline_protocol::problem::ProblemKind;
use tokio::io::AsyncWriteExt;

use super::central::{Answer, Request, small_bounds};
use super::depot::{Depot, body, bulk_bounds, chunks_request, until};
use super::files_ledger::FilesLedger;
use super::{TOO_LONG, body_of};
use crate::ingress::{Bounds, BulkBounds};

fn patient(bulk: BulkBounds) -> Bounds {
    Bounds {
        body_stall: TOO_LONG,
        body_total: TOO_LONG,
        bulk: BulkBounds {
            body_stall: TOO_LONG,
            ..bulk
        },
        ..small_bounds()
    }
}

/// Turned away, and told when to come back.
fn assert_shed(answer: &Answer, about: &str) {
    answer.assert_problem(ProblemKind::Busy, about);
    assert!(answer.header("retry-after").is_some(), "{about}");
}

/// Whether the control lane reaches the ledger.
async fn assert_control_goes_on(depot: &Depot) {
    let submission = body_of(&depot.agent, 0, 0);
    let answer = depot.central.post(&depot.agent, submission).await;
    answer.assert_problem(ProblemKind::ForeignStream, "control");
}

fn announcement(sections: usize, chunks: usize) -> Vec<u8> {
    let file = FileId::from_bytes([1; 16]);
    let section = |chunks: usize| Section {
        file,
        size: 100_000,
        root: Digest([2; 32]),
        count: 1,
        from: 0,
        chunks: vec![ChunkRef(Digest([3; 32]), 100_000); chunks],
    };
    let mut files = vec![section(0); sections.saturating_sub(1)];
    files.push(section(chunks));
    serde_json::to_vec(&Announcement { files }).unwrap()
}

async fn announce(depot: &Depot, body: Vec<u8>) -> Answer {
    let request = Request::post("/v1/manifests", &depot.agent, body);
    depot.central.ask(request).await
}

#[tokio::test]
async fn bulk_waits_while_submissions_wait_at_the_ledger() {
    let many = BulkBounds {
        yields_to: 2,
        ..bulk_bounds()
    };
    let slow = BulkBounds {
        yields_after: Duration::ZERO,
        ..bulk_bounds()
    };
    for (bounds, waiting) in [(many, 2), (slow, 1)] {
        let depot = Depot::bounded(patient(bounds)).await;
        depot.ledger.announce_chunks(&depot.agent, &[b"one"]);
        depot.bring(body(&[b"one"])).await.assert_ok();
        let gate = depot.ledger.appending.acquire_many(100).await.unwrap();
        let mut submissions = Vec::new();
        for _ in 0..waiting {
            let mut connection = depot.central.connect().await;
            let request = Request::submission(&depot.agent, body_of(&depot.agent, 0, 0));
            connection.write_all(&request.bytes()).await.unwrap();
            submissions.push(connection);
        }
        let started = std::time::Instant::now();
        let shed = loop {
            let answer = depot.bring(body(&[b"one"])).await;
            if answer.status != 200 {
                break answer;
            }
            assert!(started.elapsed() < TOO_LONG, "never shed");
        };
        assert_shed(&shed, "chunks");
        assert_shed(&announce(&depot, announcement(1, 1)).await, "manifests");
        drop(gate);
        for mut connection in submissions {
            let answer = Answer::read(&mut connection).await;
            answer.assert_problem(ProblemKind::ForeignStream, "they were only slow");
        }
        depot.bring(body(&[b"one"])).await.assert_ok();
    }
}

#[tokio::test]
async fn bulk_waits_while_submissions_need_the_memory() {
    let depot = Depot::bounded(Bounds {
        bodies_bytes: 256 * 1024,
        ..patient(bulk_bounds())
    })
    .await;
    let large = vec![b' '; 160 * 1024];
    let request = Request::submission(&depot.agent, large.clone());
    let mut submission = depot.central.connect().await;
    let bytes = request.bytes();
    submission
        .write_all(&bytes[..bytes.len() - 1])
        .await
        .unwrap();
    let started = std::time::Instant::now();
    let shed = loop {
        let answer = depot.bring(body(&[])).await;
        if answer.status != 200 {
            break answer;
        }
        assert!(started.elapsed() < TOO_LONG, "never shed");
    };
    assert_shed(&shed, "chunks");
    assert_control_goes_on(&depot).await;
    drop(submission);
    let started = std::time::Instant::now();
    while depot.bring(body(&[])).await.status != 200 {
        assert!(started.elapsed() < TOO_LONG, "never taken again");
    }
}

#[tokio::test]
async fn bulk_gives_its_place_up_when_connections_get_scarce() {
    let depot = Depot::bounded(Bounds {
        connections: 16,
        headers_within: TOO_LONG,
        ..patient(bulk_bounds())
    })
    .await;
    let mut idle = Vec::new();
    for _ in 0..14 {
        let mut connection = depot.central.connect().await;
        connection
            .write_all(b"GET /livez HTTP/1.1\r\n")
            .await
            .unwrap();
        idle.push(connection);
    }
    let request = chunks_request(&depot.agent, body(&[])).with("connection", "keep-alive");
    let shed = depot.central.ask(request).await;
    assert_shed(&shed, "chunks");
    assert_eq!(shed.header("connection"), Some("close"));
    assert_control_goes_on(&depot).await;
}

#[tokio::test]
async fn one_agent_does_not_take_all_and_all_do_not_take_more_than_there_is() {
    let depot = Depot::bounded(patient(BulkBounds {
        requests: 3,
        agent_requests: 2,
        ..bulk_bounds()
    }))
    .await;
    let other = FilesLedger::agent_of(2);
    let empty = body(&[]);
    let whole = body(&[b"one"]);
    let mut held = Vec::new();
    for agent in [&depot.agent, &depot.agent] {
        held.push(depot.begin(agent, &whole, whole.len() - 1).await);
    }
    let bring = |agent| depot.central.ask(chunks_request(agent, empty.clone()));
    let started = std::time::Instant::now();
    while bring(&depot.agent).await.status == 200 {
        assert!(started.elapsed() < TOO_LONG, "one agent took all");
    }
    assert_shed(&bring(&depot.agent).await, "its own bound");
    bring(&other).await.assert_ok();
    held.push(depot.begin(&other, &whole, whole.len() - 1).await);
    while bring(&other).await.status == 200 {
        assert!(started.elapsed() < TOO_LONG, "no bound for all");
    }
    assert_control_goes_on(&depot).await;
    for mut connection in held {
        connection
            .write_all(&whole[whole.len() - 1..])
            .await
            .unwrap();
        Answer::read(&mut connection).await.assert_ok();
    }
    bring(&depot.agent).await.assert_ok();
}

#[tokio::test]
async fn p8_the_memory_of_bulk_is_its_own_and_small_bodies_take_little_of_it() {
    let depot = Depot::bounded(patient(BulkBounds {
        bytes: 2 * 1024 * 1024,
        ..bulk_bounds()
    }))
    .await;
    // One that may hold as much as any takes most of it.
    let large = body(&[vec![7; 200_000].as_slice(); 20]);
    let held = depot.begin(&depot.agent, &large, 100).await;
    let two = body(&[vec![7; 200_000].as_slice(); 5]);
    let started = std::time::Instant::now();
    loop {
        let answer = depot.bring(two.clone()).await;
        if answer.status != 200 {
            assert_shed(&answer, "no memory");
            break;
        }
        assert!(started.elapsed() < TOO_LONG, "no bound");
    }
    depot.bring(body(&[b"small"])).await.assert_ok();
    assert_control_goes_on(&depot).await;
    drop(held);
    until("the memory is given back", || {
        depot.ledger.state().keeps < 100
    })
    .await;
}

#[tokio::test]
async fn announcements_are_read_within_their_bounds() {
    let depot = Depot::start().await;
    let reply: AnnouncementReply = announce(&depot, announcement(3, 5)).await.json();
    assert_eq!(reply.files.len(), 3);
    let largest = announcement(ANNOUNCED_FILES, SECTION_CHUNKS);
    let reply: AnnouncementReply = announce(&depot, largest.clone()).await.json();
    assert_eq!(reply.files.len(), ANNOUNCED_FILES);
    let packed = zstd::bulk::compress(&largest, 3).unwrap();
    let request =
        Request::post("/v1/manifests", &depot.agent, packed).with("content-encoding", "zstd");
    depot.central.ask(request).await.assert_ok();
    let taken = depot.ledger.state().announcements.clone();
    assert_eq!(taken.len(), 3);
    assert_eq!(taken[1].sections.len(), ANNOUNCED_FILES);
    assert_eq!(taken[2].sections, taken[1].sections);
    for (files, chunks) in [(ANNOUNCED_FILES + 1, 0), (1, SECTION_CHUNKS + 1)] {
        let answer = announce(&depot, announcement(files, chunks)).await;
        answer.assert_problem(ProblemKind::TooLarge, "bounds");
    }
    for bad in [
        &b""[..],
        b"{}",
        b"{\"files\":{}}",
        b"[]",
        b"{\"files\":[{}]}",
        b"\xff",
    ] {
        let answer = announce(&depot, bad.to_vec()).await;
        answer.assert_problem(ProblemKind::Malformed, &String::from_utf8_lossy(bad));
    }
    assert_eq!(depot.ledger.state().announcements.len(), 3);
}

#[tokio::test]
async fn p9_at_the_reserve_files_can_be_asked_about_and_not_announced() {
    let bounds = Bounds {
        bulk: bulk_bounds(),
        ..small_bounds()
    };
    let depot = Depot::reserving(u64::MAX, bounds).await;
    announce(&depot, announcement(2, 0)).await.assert_ok();
    let answer = announce(&depot, announcement(1, 1)).await;
    answer.assert_problem(ProblemKind::StoreFull, "announced");
    assert_eq!(answer.header("retry-after"), Some("60"));
    assert_eq!(depot.ledger.state().announcements.len(), 1);
}
