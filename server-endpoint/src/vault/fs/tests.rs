//! What is the folder's own: permissions, what a crash leaves, the reserve, faults of the disk.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::time::Instant;

use super::*;

const LATER: UnixMillis = UnixMillis(4_000_000_000_000);

fn object(word: &str) -> ObjectName {
    let hash = blake3::hash(word.as_bytes());
    ObjectName(Uuid::from_slice(&hash.as_bytes()[..16]).unwrap())
}

async fn put(vault: &FsVault, name: ObjectName, bytes: &[u8]) -> Result<(), VaultError> {
    let mut writing = vault.begin_object(name).await?;
    writing.append(vec![bytes.to_vec()]).await?;
    writing.seal().await
}

fn below(folder: &Path) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(below(&path));
        }
        found.insert(path);
    }
    found
}

fn files_in(folder: &Path) -> usize {
    below(folder).iter().filter(|path| path.is_file()).count()
}

/// Waits for work that nobody awaits.
async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < Duration::from_secs(30), "never: {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

#[tokio::test]
async fn p5_only_the_server_itself_gets_in() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join(FOLDER);
    let vault = FsVault::new(root.clone(), 0);
    put(&vault, object("a"), b"a").await.unwrap();
    let name = Digest(*blake3::hash(b"f").as_bytes());
    for released in [false, true] {
        let mut writing = vault.begin_file(name).await.unwrap();
        writing.append(vec![b"f".to_vec()]).await.unwrap();
        writing.seal().await.unwrap();
        if !released {
            vault.promote(name).await.unwrap();
        }
    }
    let _open = vault.begin_object(object("b")).await.unwrap();
    let mut all = below(&root);
    all.insert(root);
    assert_eq!(all.iter().filter(|path| path.is_file()).count(), 4);
    for path in all {
        let mode = path.metadata().unwrap().permissions().mode() & 0o777;
        let expected = if path.is_dir() { 0o700 } else { 0o600 };
        assert_eq!(mode, expected, "{}", path.display());
    }
}

#[tokio::test]
async fn what_a_killed_process_left_is_removed_and_what_lives_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join(FOLDER);
    let vault = FsVault::new(root.clone(), 0);
    vault.prepare().await.unwrap();
    std::fs::write(root.join("partial/left"), b"half").unwrap();
    // Another process, as far as locks go: its own opening of the same folder.
    let other = FsVault::new(root.clone(), 0);
    let mut living = other.begin_object(object("living")).await.unwrap();
    living.append(vec![b"living".to_vec()]).await.unwrap();
    vault.prepare().await.unwrap();
    assert_eq!(files_in(&root.join("partial")), 1);
    living.seal().await.unwrap();
    assert_eq!(
        vault.read_object(object("living"), 0, 6).await.unwrap(),
        b"living"
    );
    assert_eq!(files_in(&root.join("partial")), 0);

    let dropped = vault.begin_object(object("dropped")).await.unwrap();
    assert_eq!(files_in(&root.join("partial")), 1);
    drop(dropped);
    until("the dropped one is removed", || {
        files_in(&root.join("partial")) == 0
    })
    .await;
    // One that lost the race for its name leaves nothing either.
    assert!(put(&vault, object("living"), b"other").await.is_err());
    assert_eq!(files_in(&root.join("partial")), 0);
}

#[test]
fn sweeping_never_takes_what_is_just_being_begun() {
    let folder = tempfile::tempdir().unwrap();
    let folders = Folders::new(folder.path().join(FOLDER));
    folders.prepare().unwrap();
    std::thread::scope(|threads| {
        let beginning = threads.spawn(|| {
            for round in 0..500 {
                let mut partial = folders.begin().unwrap();
                let path = folder.path().join(round.to_string());
                partial.name_new(&path).unwrap();
                assert!(path.exists());
            }
        });
        while !beginning.is_finished() {
            folders.prepare().unwrap();
        }
        beginning.join().unwrap();
    });
}

#[tokio::test]
async fn folders_that_vanish_come_back() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join(FOLDER);
    let vault = FsVault::new(root.clone(), 0);
    for round in 0..2 {
        let name = object(&round.to_string());
        put(&vault, name, b"x").await.unwrap();
        assert_eq!(vault.read_object(name, 0, 1).await.unwrap(), b"x");
        std::fs::remove_dir_all(&root).unwrap();
    }
    // The part's folder alone.
    put(&vault, object("0"), b"x").await.unwrap();
    std::fs::remove_dir_all(root.join("incoming")).unwrap();
    put(&vault, object("0"), b"x").await.unwrap();
}

#[tokio::test]
async fn p9_incoming_stops_at_the_reserve_and_assembling_at_half_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join(FOLDER);
    FsVault::new(root.clone(), 0).prepare().await.unwrap();
    let space = rustix::fs::statvfs(&root).unwrap();
    let free = space.f_bavail * space.f_frsize;
    let full = FsVault::new(root.clone(), free.saturating_add(free / 2));
    assert_eq!(full.room().await, Ok(0));
    let refused = full.begin_object(object("a")).await.err();
    assert!(matches!(refused, Some(VaultError::Full(_))), "{refused:?}");
    let name = Digest(*blake3::hash(b"f").as_bytes());
    let mut file = full.begin_file(name).await.unwrap();
    file.append(vec![b"f".to_vec()]).await.unwrap();
    file.seal().await.unwrap();
    let fuller = FsVault::new(root.clone(), free.saturating_mul(3));
    let refused = fuller.begin_file(name).await.err();
    assert!(matches!(refused, Some(VaultError::Full(_))), "{refused:?}");
}

#[tokio::test]
async fn a_disk_that_is_full_is_told_from_one_that_is_away() {
    for (kind, is_full) in [
        (ErrorKind::StorageFull, true),
        (ErrorKind::QuotaExceeded, true),
        (ErrorKind::PermissionDenied, false),
        (ErrorKind::ReadOnlyFilesystem, false),
    ] {
        let fault = away("write")(kind.into());
        assert_eq!(matches!(fault, VaultError::Full(_)), is_full, "{fault}");
    }
    // A vault whose folder cannot be made answers with an error, and works once it can.
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("in the way").join(FOLDER);
    std::fs::write(root.parent().unwrap(), b"a file").unwrap();
    let vault = FsVault::new(root.clone(), 0);
    for failed in [
        vault.prepare().await,
        put(&vault, object("a"), b"a").await,
        vault.room().await.map(|_| ()),
    ] {
        assert!(matches!(failed, Err(VaultError::Away(_))), "{failed:?}");
    }
    std::fs::remove_file(root.parent().unwrap()).unwrap();
    std::fs::create_dir(root.parent().unwrap()).unwrap();
    vault.prepare().await.unwrap();
    put(&vault, object("a"), b"a").await.unwrap();
}

#[tokio::test]
async fn strange_names_in_the_folders_are_passed_over() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join(FOLDER);
    let vault = FsVault::new(root.clone(), 0);
    let name = object("a");
    put(&vault, name, b"a").await.unwrap();
    let part = name.0.as_bytes()[15];
    let among = root.join("incoming").join(format!("{part:02x}"));
    std::fs::write(among.join("notes.txt"), b"by hand").unwrap();
    std::fs::create_dir(among.join("lost+found")).unwrap();
    assert_eq!(vault.objects_before(part, LATER).await.unwrap(), [name]);
}
