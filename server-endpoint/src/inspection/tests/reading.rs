//! Reading what was released: by range, proven, and only as long as it may be read.

use super::*;
use crate::inspection::released::{Content, READ_BYTES};
use crate::ledger::{FileLedger, Ledger, now};

#[tokio::test]
async fn ranges_are_what_the_file_has_there() {
    let mut world = World::new().await;
    let clamd = FakeClamd::start();
    let bytes = content("a", 2_345_678);
    let file = world.receive("a", &bytes).await;
    world.inspect(Some(clamd.scanner()), &file).await.unwrap();
    let ledger: &dyn Ledger = world.ledger.as_ref();
    let mut content = Content::open(ledger, world.vault.as_ref(), file.id)
        .await
        .unwrap();
    assert_eq!(content.safe_name(), "a.pdf");
    let seed = 20_261_121_usize;
    println!("seed {seed}");
    let mut random = seed;
    for _ in 0..200 {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        let offset = (random >> 20) % bytes.len();
        let most = (random >> 40) % (READ_BYTES + 1_000);
        let read = content.read(offset as u64, most).await.unwrap();
        let end = (offset + most.clamp(1, READ_BYTES)).min(bytes.len());
        assert!(read == bytes[offset..end], "{offset} {most}");
    }
    for offset in [bytes.len() as u64, u64::MAX] {
        let beyond = content.read(offset, 1).await;
        assert!(matches!(beyond, Err(ReadFault::BeyondEnd { .. })));
    }
}

#[tokio::test]
async fn p4_a_byte_that_turned_on_the_disk_is_never_given_out() {
    let mut world = World::new().await;
    let clamd = FakeClamd::start();
    let bytes = content("a", 100_000);
    let file = world.receive("a", &bytes).await;
    world.inspect(Some(clamd.scanner()), &file).await.unwrap();
    world.flip("released", &file.root.to_string(), 45_000);
    let ledger: &dyn Ledger = world.ledger.as_ref();
    let mut content = Content::open(ledger, world.vault.as_ref(), file.id)
        .await
        .unwrap();
    for offset in [40_000, 45_000, 45_001, 59_999, 39_999] {
        let read = content.read(offset, 2).await;
        assert!(matches!(read, Err(ReadFault::Damaged(40_000))), "{offset}");
    }
    // What is right beside it can be saved.
    assert_eq!(content.read(0, 40_000).await.unwrap(), bytes[..40_000]);
    assert_eq!(content.read(60_000, 40_000).await.unwrap(), bytes[60_000..]);
    std::fs::remove_file(world.path("released", &file.root.to_string())).unwrap();
    assert!(matches!(
        content.read(0, 1).await,
        Ok(_) | Err(ReadFault::Damaged(0))
    ));
    assert!(matches!(
        content.read(20_000, 1).await,
        Err(ReadFault::Damaged(20_000))
    ));
}

#[tokio::test]
async fn p5_a_reader_is_stopped_when_something_is_found() {
    let mut world = World::new().await;
    let clamd = FakeClamd::start();
    let bytes = content("a", 100_000);
    let file = world.receive("a", &bytes).await;
    world.inspect(Some(clamd.scanner()), &file).await.unwrap();
    let ledger: &dyn Ledger = world.ledger.as_ref();
    let mut content = Content::open(ledger, world.vault.as_ref(), file.id)
        .await
        .unwrap();
    content.read(0, 100).await.unwrap();
    clamd.learn(&bytes[..64], "Test.New");
    world.ledger.scan_again(file.id, now()).await.unwrap();
    world.inspect(Some(clamd.scanner()), &file).await.unwrap();
    // Even the chunk that the reader has in its hand.
    let read = content.read(100, 100).await;
    assert!(matches!(
        read,
        Err(ReadFault::NotReadable(FileState::Infected { .. }))
    ));
}

#[tokio::test]
async fn p5_in_no_state_but_two_is_there_any_byte() {
    let mut world = World::new().await;
    let clamd = FakeClamd::start();
    let bytes = content("a", 30_000);
    let waiting = world.announce("waiting", &bytes).await;
    assert!(world.read_all(&waiting).await.is_err());
    let virus = [b"VIRUS".to_vec(), content("v", 30_000)].concat();
    let infected = world.receive("infected", &virus).await;
    let corrupt = content("c", 30_000);
    let file = world
        .announce_as("corrupt", &corrupt, Digest([1; 32]))
        .await;
    world.bring(&pieces(&corrupt)).await;
    for file in [&infected, &file] {
        world.inspect(Some(clamd.scanner()), file).await.unwrap();
        assert!(matches!(
            world.read_all(file).await,
            Err(ReadFault::NotReadable(_))
        ));
    }
    // Even where the bytes lie among the released, for whatever cause.
    let path = world.path("quarantine", &infected.root.to_string());
    let part = path.parent().unwrap().file_name().unwrap();
    let released = world.folder.path().join("vault/released").join(part);
    std::fs::create_dir_all(&released).unwrap();
    std::fs::copy(path, released.join(infected.root.to_string())).unwrap();
    assert!(matches!(
        world.read_all(&infected).await,
        Err(ReadFault::NotReadable(_))
    ));
    assert!(world.shelf("released").len() == 1);
}
