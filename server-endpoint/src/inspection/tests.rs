//! Inspection on the real ledger and a real folder: every way that a file can go, and what is on the disk
//! and readable at each step of it.

mod again;
mod damage;
mod fake_clamd;
mod reading;
mod scanner;
mod world;

use branchline_protocol::file::FileState;
use branchline_protocol::id::Digest;

use self::fake_clamd::{FakeClamd, Mode};
use self::world::{World, content, pieces};
use super::Fault;
use super::released::ReadFault;
use super::steps::{Hint, Outcome};
use crate::vault::VaultError;
use crate::vault::faulty::Step;

fn infected() -> FileState {
    FileState::Infected {
        signature: "Test.Virus".into(),
    }
}

#[tokio::test]
async fn p4_p5_a_clean_file_goes_all_the_way() {
    let mut world = World::new().await;
    let clamd = FakeClamd::start();
    let bytes = [b"%PDF-1.7\n".to_vec(), content("a", 100_000)].concat();
    let file = world.receive("a", &bytes).await;
    assert!(matches!(
        world.read_all(&file).await,
        Err(ReadFault::NotReadable(FileState::Received))
    ));
    let outcome = world.inspect(Some(clamd.scanner()), &file).await.unwrap();
    assert_eq!(outcome, Outcome::Done);
    assert_eq!(world.state(&file).await, FileState::Clean);
    assert_eq!(world.told(&file).await, ["received", "scanning", "clean"]);
    assert_eq!(world.read_all(&file).await.unwrap(), bytes);
    let record = world.record(file.id).await;
    assert_eq!(record.sniffed.as_deref(), Some("application/pdf"));
    assert!(!record.disguised && record.trouble.is_none());
    // The chunks lie in the file, and nowhere else.
    assert!(world.shelf("incoming").is_empty());
    assert!(world.shelf("quarantine").is_empty());
    assert_eq!(world.shelf("released"), [file.root.to_string()]);
}

#[tokio::test]
async fn p5_while_the_scanner_looks_nothing_is_released() {
    let mut world = World::new().await;
    let clamd = FakeClamd::start();
    let file = world.receive("a", &content("a", 50_000)).await;
    let released = world.folder.path().join("vault/released");
    clamd.on_scan(move || {
        let found = world::shelf(released.clone());
        assert!(found.is_empty(), "before the verdict: {found:?}");
    });
    world.inspect(Some(clamd.scanner()), &file).await.unwrap();
    assert_eq!(world.state(&file).await, FileState::Clean);
}

#[tokio::test]
async fn p5_an_infected_file_is_never_released() {
    let mut world = World::new().await;
    let clamd = FakeClamd::start();
    let bytes = [content("a", 30_000), b"VIRUS".to_vec()].concat();
    let file = world.receive("a", &bytes).await;
    world.inspect(Some(clamd.scanner()), &file).await.unwrap();
    assert_eq!(world.state(&file).await, infected());
    assert!(world.shelf("released").is_empty());
    assert!(matches!(
        world.read_all(&file).await,
        Err(ReadFault::NotReadable(FileState::Infected { .. }))
    ));
}

#[tokio::test]
async fn a_program_that_calls_itself_a_document_is_shown_as_disguised() {
    let mut world = World::new().await;
    let clamd = FakeClamd::start();
    let program = [b"MZ\x90\0\x03\0\0\0".to_vec(), content("a", 20_000)].concat();
    let file = world.receive("a", &program).await;
    world.inspect(Some(clamd.scanner()), &file).await.unwrap();
    let record = world.record(file.id).await;
    assert!(record.disguised && record.state == FileState::Clean);
}

#[tokio::test]
async fn p5_without_a_scanner_files_are_held_until_a_person_releases_them() {
    let mut world = World::new().await;
    let bytes = content("a", 50_000);
    let file = world.receive("a", &bytes).await;
    let empty = world.receive("empty", b"").await;
    for file in [&file, &empty] {
        world.inspect(None, file).await.unwrap();
        assert_eq!(world.state(file).await, FileState::Held);
        assert!(world.read_all(file).await.is_err());
    }
    assert!(world.shelf("released").is_empty());
    world.release(&file).await;
    // Whoever released it went away before the file was moved: reading sets it right.
    assert!(world.shelf("released").is_empty());
    assert_eq!(world.read_all(&file).await.unwrap(), bytes);
    assert_eq!(world.told(&file).await.last(), Some(&"released"));
}

#[tokio::test]
async fn an_empty_file_has_nothing_to_scan() {
    let mut world = World::new().await;
    let clamd = FakeClamd::start();
    let file = world.receive("empty", b"").await;
    world.inspect(Some(clamd.scanner()), &file).await.unwrap();
    assert_eq!(world.state(&file).await, FileState::Clean);
    assert_eq!(world.read_all(&file).await.unwrap(), b"");
    assert_eq!(clamd.scans(), 0);
}

#[tokio::test]
async fn p5_what_the_scanner_does_not_take_is_too_large() {
    let mut world = World::new().await;
    let clamd = FakeClamd::start();
    clamd.take_at_most(40_000);
    let file = world.receive("a", &content("a", 5_000_000)).await;
    world.inspect(Some(clamd.scanner()), &file).await.unwrap();
    assert_eq!(world.state(&file).await, FileState::TooLarge);

    // It would say OK of what it has not looked at: it is not asked.
    clamd.take_at_most(usize::MAX);
    let file = world.receive("b", &content("b", 100_000)).await;
    let mut scanner = clamd.scanner();
    scanner.largest = 99_999;
    world.inspect(Some(scanner), &file).await.unwrap();
    assert_eq!(world.state(&file).await, FileState::TooLarge);
    assert_eq!(clamd.scans(), 1);
    assert!(world.shelf("released").is_empty());
}

#[tokio::test]
async fn p4_right_chunks_that_are_another_file_are_never_one() {
    let mut world = World::new().await;
    let clamd = FakeClamd::start();
    let bytes = content("a", 50_000);
    let file = world.announce_as("a", &bytes, Digest([7; 32])).await;
    world.bring(&pieces(&bytes)).await;
    world.inspect(Some(clamd.scanner()), &file).await.unwrap();
    assert_eq!(world.state(&file).await, FileState::Corrupt);
    assert!(world.shelf("quarantine").is_empty() && world.shelf("released").is_empty());
    assert_eq!(clamd.scans(), 0);
}

/// The vault fails at each of its steps, at each time that it is reached: afterwards everything goes on
/// to the same end, and never is anything released before its verdict.
#[tokio::test]
async fn every_step_can_fail_and_be_repeated() {
    for step in [
        Step::Begin,
        Step::Append,
        Step::Seal,
        Step::Sealed,
        Step::Read,
        Step::Delete,
    ] {
        let mut world = World::new().await;
        let clamd = FakeClamd::start();
        let bytes = content("a", 2_500_000);
        let file = world.receive("a", &bytes).await;
        world.vault.fail(step, VaultError::Away("test".into()));
        let failed = world.inspect(Some(clamd.scanner()), &file).await;
        assert!(
            matches!(failed, Err(Fault::Vault(_))),
            "{step:?}: {failed:?}"
        );
        assert_eq!(world.state(&file).await, FileState::Scanning, "{step:?}");
        assert!(world.shelf("released").is_empty(), "{step:?}");
        world.vault.mend();
        world.inspect(Some(clamd.scanner()), &file).await.unwrap();
        assert_eq!(world.told(&file).await, ["received", "scanning", "clean"]);
        assert_eq!(world.read_all(&file).await.unwrap(), bytes, "{step:?}");
        assert!(world.shelf("incoming").len() <= usize::from(step == Step::Delete));
    }
}

/// The verdict is committed, and the file is not moved.
#[tokio::test]
async fn p5_a_crash_between_verdict_and_release_is_mended_by_the_next_start() {
    let mut world = World::new().await;
    let clamd = FakeClamd::start();
    let bytes = content("a", 50_000);
    let file = world.receive("a", &bytes).await;
    let vault = world.vault.clone();
    clamd.on_scan(move || vault.fail(Step::Seal, VaultError::Away("test".into())));
    world
        .inspect(Some(clamd.scanner()), &file)
        .await
        .unwrap_err();
    assert_eq!(world.state(&file).await, FileState::Clean);
    assert!(world.shelf("released").is_empty());
    world.vault.mend();
    super::recovery::recover(world.ledger.as_ref(), world.vault.as_ref())
        .await
        .unwrap();
    assert_eq!(world.shelf("released"), [file.root.to_string()]);
    assert_eq!(world.read_all(&file).await.unwrap(), bytes);
}

#[tokio::test]
async fn two_inspectors_of_one_file_come_to_one_verdict() {
    let mut world = World::new().await;
    let clamd = FakeClamd::start();
    let bytes = content("a", 3_000_000);
    let file = world.receive("a", &bytes).await;
    let record = world.record(file.id).await;
    let (one, other) = (
        world.steps(Some(clamd.scanner())),
        world.steps(Some(clamd.scanner())),
    );
    let (one, other) = tokio::join!(
        one.inspect(record.clone(), Hint::default()),
        other.inspect(record, Hint::default())
    );
    one.unwrap();
    other.unwrap();
    // Whoever lost the first move left the file to the other.
    assert_eq!(world.told(&file).await, ["received", "scanning", "clean"]);
    assert_eq!(world.read_all(&file).await.unwrap(), bytes);

    // A verdict that comes late, of a file that was moved on meanwhile, is nobody's.
    let file = world.receive("b", &content("b", 30_000)).await;
    let seen = world.record(file.id).await;
    world.inspect(Some(clamd.scanner()), &file).await.unwrap();
    let stale = crate::ledger::FileRecord {
        state: FileState::Scanning,
        version: seen.version + 1,
        ..seen
    };
    clamd.learn(&content("b", 30_000), "Test.Late");
    let outcome = world
        .steps(Some(clamd.scanner()))
        .inspect(stale, Hint::default())
        .await;
    assert_eq!(outcome.unwrap(), Outcome::Done);
    assert_eq!(world.state(&file).await, FileState::Clean);
}

#[tokio::test]
async fn p6_the_same_content_is_assembled_once_and_scanned_each_time() {
    let mut world = World::new().await;
    let clamd = FakeClamd::start();
    let bytes = content("a", 100_000);
    let one = world.receive("one", &bytes).await;
    world.inspect(Some(clamd.scanner()), &one).await.unwrap();
    // All of its chunks are held: received at once.
    let two = world.receive("two", &bytes).await;
    world
        .vault
        .fail(Step::Begin, VaultError::Away("not assembled again".into()));
    world.inspect(Some(clamd.scanner()), &two).await.unwrap();
    assert_eq!(world.state(&two).await, FileState::Clean);
    assert_eq!(clamd.scans(), 2);

    // What was found since then is found in both.
    clamd.learn(&bytes[70_000..70_100], "Test.New");
    let three = world.receive("three", &bytes).await;
    world.inspect(Some(clamd.scanner()), &three).await.unwrap();
    for file in [&one, &two, &three] {
        assert_eq!(world.state(file).await.word(), "infected");
        assert!(world.read_all(file).await.is_err());
    }
    assert!(world.shelf("released").is_empty());
}
