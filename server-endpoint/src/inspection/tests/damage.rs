//! P4: bytes that decay in the vault, at any time: found, named, asked for again, and never read.

use branchline_protocol::manifest::ChunkRef;

use super::*;
use crate::ledger::FileLedger;

#[tokio::test]
async fn p4_a_damaged_chunk_is_asked_for_again_and_the_file_arrives() {
    for lost in ["flipped", "cut", "gone"] {
        let mut world = World::new().await;
        let clamd = FakeClamd::start();
        let bytes = content("a", 100_000);
        let file = world.announce("a", &bytes).await;
        let pieces = pieces(&bytes);
        world.bring(&pieces[..2]).await;
        let object = world.bring(&pieces[2..]).await.0.to_string();
        match lost {
            "flipped" => world.flip("incoming", &object, 25_000),
            "cut" => {
                let path = world.path("incoming", &object);
                std::fs::write(&path, &bytes[40_000..65_000]).unwrap();
            }
            _ => std::fs::remove_file(world.path("incoming", &object)).unwrap(),
        }
        let outcome = world.inspect(Some(clamd.scanner()), &file).await.unwrap();
        assert_eq!(outcome, Outcome::Done, "{lost}");
        assert_eq!(world.state(&file).await, FileState::Waiting, "{lost}");
        let placed = world.ledger.chunks_of(file.id, 0, 10).await.unwrap();
        let missing: Vec<usize> = (0..5).filter(|at| placed[*at].place.is_none()).collect();
        let expected: &[usize] = match lost {
            "flipped" => &[3],
            "cut" => &[3, 4],
            _ => &[2, 3, 4],
        };
        assert_eq!(missing, expected, "{lost}");
        let again: Vec<&[u8]> = missing.iter().map(|at| pieces[*at]).collect();
        world.bring(&again).await;
        world.inspect(Some(clamd.scanner()), &file).await.unwrap();
        assert_eq!(world.read_all(&file).await.unwrap(), bytes, "{lost}");
        assert_eq!(
            world.told(&file).await,
            [
                "received", "scanning", "waiting", "received", "scanning", "clean"
            ]
        );
        assert!(world.shelf("incoming").is_empty(), "{lost}");
    }
}

/// The sealed file decays before the scanner sees it: the scanner's OK is of other bytes.
#[tokio::test]
async fn p5_a_verdict_on_other_bytes_is_refused() {
    let mut world = World::new().await;
    let clamd = FakeClamd::start();
    let bytes = content("a", 100_000);
    let file = world.receive("a", &bytes).await;
    let away = Hint {
        scanner_away: true,
        ..Hint::default()
    };
    let outcome = world.inspect_with(Some(clamd.scanner()), &file, away).await;
    assert_eq!(outcome.unwrap(), Outcome::AwaitsScanner);
    world.flip("quarantine", &file.root.to_string(), 45_000);
    let proven = Hint {
        proven: true,
        ..Hint::default()
    };
    let outcome = world
        .inspect_with(Some(clamd.scanner()), &file, proven)
        .await;
    assert_eq!(outcome.unwrap(), Outcome::Decayed);
    assert_eq!(
        (clamd.scans(), world.state(&file).await),
        (1, FileState::Scanning)
    );
    assert!(world.shelf("released").is_empty());
    // From the beginning: the bad chunk is found and asked for, the good ones are taken from the file.
    world.inspect(Some(clamd.scanner()), &file).await.unwrap();
    assert_eq!(world.state(&file).await, FileState::Waiting);
    let placed = world.ledger.chunks_of(file.id, 0, 10).await.unwrap();
    let missing: Vec<ChunkRef> = placed
        .iter()
        .filter(|placed| placed.place.is_none())
        .map(|placed| placed.chunk)
        .collect();
    assert_eq!(missing, [file.chunks[2]]);
    world.bring(&[pieces(&bytes)[2]]).await;
    world.inspect(Some(clamd.scanner()), &file).await.unwrap();
    assert_eq!(world.read_all(&file).await.unwrap(), bytes);
}

/// A file in quarantine that was left there, whole or not, is proven before it is believed.
#[tokio::test]
async fn p4_what_was_assembled_before_is_proven_again() {
    let mut world = World::new().await;
    let clamd = FakeClamd::start();
    let bytes = content("a", 100_000);
    let file = world.receive("a", &bytes).await;
    // Assembled, and stopped before the ledger knew: the chunks still lie in their object.
    let vault = world.vault.clone();
    vault.fail(Step::Sealed, VaultError::Away("test".into()));
    world
        .inspect(Some(clamd.scanner()), &file)
        .await
        .unwrap_err();
    vault.mend();
    assert_eq!(world.shelf("quarantine").len(), 1);
    world.flip("quarantine", &file.root.to_string(), 45_000);
    world.inspect(Some(clamd.scanner()), &file).await.unwrap();
    assert_eq!(world.read_all(&file).await.unwrap(), bytes);
    assert_eq!(world.told(&file).await, ["received", "scanning", "clean"]);
}

/// Chunks of one file that lie in another, which is moved from shelf to shelf meanwhile.
#[tokio::test]
async fn p4_chunks_are_found_in_other_files_wherever_these_are() {
    let mut world = World::new().await;
    let clamd = FakeClamd::start();
    let bytes = content("a", 100_000);
    let one = world.receive("one", &bytes).await;
    world.inspect(None, &one).await.unwrap();
    let grown = [bytes.clone(), content("more", 15_000)].concat();
    let two = world.announce("two", &grown).await;
    world.bring(&pieces(&grown)[5..]).await;
    world.inspect(Some(clamd.scanner()), &two).await.unwrap();
    assert_eq!(world.read_all(&two).await.unwrap(), grown);
    world.release(&one).await;
    assert_eq!(world.read_all(&one).await.unwrap(), bytes);
    let grown = [bytes, content("else", 15_000)].concat();
    let three = world.announce("three", &grown).await;
    world.bring(&pieces(&grown)[5..]).await;
    world.inspect(Some(clamd.scanner()), &three).await.unwrap();
    assert_eq!(world.read_all(&three).await.unwrap(), grown);
}
