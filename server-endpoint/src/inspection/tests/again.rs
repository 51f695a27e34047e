//! Files that are scanned again when signatures improve.

use super::*;
use crate::inspection::recovery;
use crate::ledger::{FileLedger, now};
use crate::vault::Vault;

#[tokio::test]
async fn p5_a_clean_file_that_is_found_infected_later_is_withdrawn() {
    let mut world = World::new().await;
    let clamd = FakeClamd::start();
    let bytes = content("a", 100_000);
    let file = world.receive("a", &bytes).await;
    let at_work = world.run(Some(clamd.scanner()));
    world
        .until(&file, "clean", |file| file.state == FileState::Clean)
        .await;
    clamd.learn(&bytes[5_000..5_050], "Test.New");
    assert!(world.ledger.scan_again(file.id, now()).await.unwrap());
    world
        .until(&file, "infected", |file| file.state.word() == "infected")
        .await;
    // Nobody can read it from that commit on; its bytes are taken from the shelf after it.
    world.until_released(&[]).await;
    at_work.stop().await;
    assert_eq!(
        world.told(&file).await,
        ["received", "scanning", "clean", "infected"]
    );
    assert!(world.read_all(&file).await.is_err());
    assert!(world.shelf("released").is_empty());
    assert_eq!(world.shelf("quarantine").len(), 1);
    // A signature that was wrong is mended, and the file asked about once more.
    clamd.forget_all();
    assert!(world.ledger.scan_again(file.id, now()).await.unwrap());
    world.inspect(Some(clamd.scanner()), &file).await.unwrap();
    assert_eq!(world.read_all(&file).await.unwrap(), bytes);
}

#[tokio::test]
async fn a_file_stays_what_it_is_where_there_is_nothing_new_to_say() {
    let mut world = World::new().await;
    let clamd = FakeClamd::start();
    let bytes = content("a", 100_000);
    let file = world.receive("a", &bytes).await;
    world.inspect(Some(clamd.scanner()), &file).await.unwrap();
    let before = world.told(&file).await;
    for (scanner, mode) in [
        (Some(clamd.scanner()), Mode::Scan),
        (None, Mode::Scan),
        (Some(clamd.scanner()), Mode::Fail),
        (Some(clamd.scanner()), Mode::Frozen),
    ] {
        clamd.behave(mode);
        assert!(world.ledger.scan_again(file.id, now()).await.unwrap());
        assert_eq!(world.ledger.to_inspect(10).await.unwrap().len(), 1);
        let outcome = world.inspect(scanner, &file).await.unwrap();
        // Readable all the time, and no event says anything.
        assert_eq!(world.read_all(&file).await.unwrap(), bytes);
        assert_eq!(world.told(&file).await, before);
        let waits = world.ledger.to_inspect(10).await.unwrap().len();
        assert_eq!(waits, usize::from(outcome != Outcome::Done), "{mode:?}");
    }
    clamd.behave(Mode::Scan);
    let at_work = world.run(Some(clamd.scanner()));
    world
        .until(&file, "without trouble", |file| file.trouble.is_none())
        .await;
    at_work.stop().await;
    assert_eq!(world.told(&file).await, before);
}

#[tokio::test]
async fn what_was_held_without_a_scanner_is_judged_when_there_is_one() {
    let mut world = World::new().await;
    let clamd = FakeClamd::start();
    let good = world.receive("good", &content("good", 50_000)).await;
    let bad = [content("bad", 50_000), b"VIRUS".to_vec()].concat();
    let bad = world.receive("bad", &bad).await;
    for file in [&good, &bad] {
        world.inspect(None, file).await.unwrap();
        // A file that is not judged yet cannot be asked about again.
        assert!(world.ledger.scan_again(file.id, now()).await.unwrap());
    }
    // A person was faster than the scanner, and wrong.
    world.release(&bad).await;
    world.ledger.scan_again(bad.id, now()).await.unwrap();
    assert!(world.read_all(&bad).await.is_ok());
    let at_work = world.run(Some(clamd.scanner()));
    world
        .until(&good, "clean", |file| file.state == FileState::Clean)
        .await;
    world
        .until(&bad, "infected", |file| file.state.word() == "infected")
        .await;
    world.until_released(&[&good]).await;
    at_work.stop().await;
    assert!(world.read_all(&bad).await.is_err());
}

#[tokio::test]
async fn only_judged_files_are_scanned_again() {
    let mut world = World::new().await;
    let file = world.announce("a", &content("a", 50_000)).await;
    assert!(!world.ledger.scan_again(file.id, now()).await.unwrap());
    assert!(world.ledger.to_inspect(10).await.unwrap().is_empty());
}

#[tokio::test]
async fn p4_a_released_file_that_decayed_is_not_judged_again_but_said() {
    let mut world = World::new().await;
    let clamd = FakeClamd::start();
    let file = world.receive("a", &content("a", 50_000)).await;
    world.inspect(Some(clamd.scanner()), &file).await.unwrap();
    world.flip("released", &file.root.to_string(), 100);
    world.ledger.scan_again(file.id, now()).await.unwrap();
    assert_eq!(
        world.inspect(Some(clamd.scanner()), &file).await.unwrap(),
        Outcome::Done
    );
    let record = world.record(file.id).await;
    assert!(record.trouble.unwrap().contains("damaged"));
    assert!(world.ledger.to_inspect(10).await.unwrap().is_empty());
}

/// A crash after the commit of a finding, before the file was withdrawn.
#[tokio::test]
async fn p5_a_finding_is_carried_out_at_the_next_start() {
    let mut world = World::new().await;
    let clamd = FakeClamd::start();
    let bytes = content("a", 50_000);
    let one = world.receive("one", &bytes).await;
    let two = world.receive("two", &bytes).await;
    for file in [&one, &two] {
        world.inspect(Some(clamd.scanner()), file).await.unwrap();
    }
    clamd.learn(&bytes[100..200], "Test.New");
    world.ledger.scan_again(two.id, now()).await.unwrap();
    let vault = world.vault.clone();
    clamd.on_scan(move || vault.fail(Step::Seal, VaultError::Away("test".into())));
    world
        .inspect(Some(clamd.scanner()), &two)
        .await
        .unwrap_err();
    world.vault.mend();
    assert_eq!(world.state(&two).await.word(), "infected");
    assert_eq!(world.shelf("released").len(), 1, "not withdrawn yet");
    assert!(world.read_all(&two).await.is_err());
    recovery::recover(world.ledger.as_ref(), world.vault.as_ref())
        .await
        .unwrap();
    assert!(world.shelf("released").is_empty());
    assert_eq!(world.state(&one).await.word(), "infected");
    // Recovering again changes nothing, nor does a file of that content put there by hand.
    world.vault.promote(one.root).await.unwrap();
    recovery::recover(world.ledger.as_ref(), world.vault.as_ref())
        .await
        .unwrap();
    assert!(world.shelf("released").is_empty());
}
