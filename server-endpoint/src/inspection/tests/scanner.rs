//! A scanner that is away, dies, hangs, or cannot judge: it delays verdicts and nothing else.

use branchline_protocol::file::FileState;

use super::*;

fn waits_for_scanner(record: &crate::ledger::FileRecord) -> bool {
    record.state == FileState::Scanning
        && record
            .trouble
            .as_deref()
            .is_some_and(|trouble| trouble.starts_with("the virus scanner does not answer"))
}

#[tokio::test]
async fn p5_while_the_scanner_is_away_files_are_assembled_and_wait() {
    let mut world = World::new().await;
    let mut clamd = FakeClamd::absent();
    let at_work = world.run(Some(clamd.scanner()));
    let mut files = Vec::new();
    for word in ["a", "b", "c", "d", "e"] {
        files.push(world.receive(word, &content(word, 50_000)).await);
    }
    for file in &files {
        world
            .until(file, "waiting for the scanner", waits_for_scanner)
            .await;
    }
    assert_eq!(world.shelf("quarantine").len(), 5);
    assert!(world.shelf("released").is_empty() && world.shelf("incoming").is_empty());
    // What needs no scanner goes on.
    let empty = world.receive("empty", b"").await;
    world
        .until(&empty, "clean", |file| file.state == FileState::Clean)
        .await;
    clamd.run();
    for file in &files {
        world
            .until(file, "clean", |file| file.state == FileState::Clean)
            .await;
        assert_eq!(world.record(file.id).await.trouble, None);
    }
    let all: Vec<_> = files.iter().chain([&empty]).collect();
    world.until_released(&all).await;
    at_work.stop().await;
}

#[tokio::test]
async fn p5_a_scanner_that_dies_in_the_middle_has_said_nothing() {
    let mut world = World::new().await;
    let mut clamd = FakeClamd::start();
    clamd.behave(Mode::HangUp);
    let file = world.receive("a", &content("a", 3_000_000)).await;
    let outcome = world.inspect(Some(clamd.scanner()), &file).await.unwrap();
    assert_eq!(outcome, Outcome::NoVerdict { answers: true });
    let record = world.record(file.id).await;
    assert!(waits_for_scanner(&record), "{record:?}");
    assert!(world.shelf("released").is_empty());
    // Killed, and started again.
    let at_work = world.run(Some(clamd.scanner()));
    clamd.kill();
    clamd.behave(Mode::Scan);
    clamd.run();
    world
        .until(&file, "clean", |file| file.state == FileState::Clean)
        .await;
    at_work.stop().await;
}

#[tokio::test]
async fn p5_a_scanner_that_hangs_is_noticed_while_it_scans() {
    let mut world = World::new().await;
    let clamd = FakeClamd::start();
    clamd.behave(Mode::Frozen);
    let file = world.receive("a", &content("a", 50_000)).await;
    // Long before the time that a scan may take.
    let outcome = world.inspect(Some(clamd.scanner()), &file).await.unwrap();
    assert_eq!(outcome, Outcome::NoVerdict { answers: false });
    assert!(waits_for_scanner(&world.record(file.id).await));
    clamd.behave(Mode::Scan);
    world.inspect(Some(clamd.scanner()), &file).await.unwrap();
    assert_eq!(world.state(&file).await, FileState::Clean);
}

#[tokio::test]
async fn p6_a_file_that_the_scanner_cannot_judge_is_held_and_others_go_on() {
    let mut world = World::new().await;
    let clamd = FakeClamd::start();
    clamd.behave(Mode::Fail);
    let file = world.receive("a", &content("a", 50_000)).await;
    let at_work = world.run(Some(clamd.scanner()));
    world
        .until(&file, "held", |file| {
            file.state == FileState::Held && file.trouble.is_some()
        })
        .await;
    let trouble = world.record(file.id).await.trouble.unwrap();
    assert!(
        trouble.contains("CL_EFORMAT") && trouble.contains("10 times"),
        "{trouble}"
    );
    assert!(world.shelf("released").is_empty());
    clamd.behave(Mode::Scan);
    let other = world.receive("b", &content("b", 50_000)).await;
    world
        .until(&other, "clean", |file| file.state == FileState::Clean)
        .await;
    at_work.stop().await;
}

/// A file whose scan brings the scanner down must not keep the others from theirs.
#[tokio::test]
async fn p6_one_file_that_fails_for_ever_stops_nobody() {
    let mut world = World::new().await;
    let clamd = FakeClamd::start();
    let bad = world.receive("bad", &content("bad", 50_000)).await;
    // Its chunks are there, and its objects cannot be read: neither damaged nor whole.
    let object = world.shelf("incoming").remove(0);
    let path = world.path("incoming", &object);
    std::fs::remove_file(&path).unwrap();
    std::fs::create_dir(&path).unwrap();
    let at_work = world.run(Some(clamd.scanner()));
    for word in ["a", "b", "c", "d"] {
        let file = world.receive(word, &content(word, 50_000)).await;
        world
            .until(&file, "clean", |file| file.state == FileState::Clean)
            .await;
    }
    assert_eq!(world.state(&bad).await, FileState::Scanning);
    std::fs::remove_dir(&path).unwrap();
    std::fs::write(&path, content("bad", 50_000)).unwrap();
    world
        .until(&bad, "clean", |file| file.state == FileState::Clean)
        .await;
    at_work.stop().await;
}
