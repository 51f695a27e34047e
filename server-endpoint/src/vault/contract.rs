//! What every backend of the vault must do, and every wrapper that is not told to fail.

use std::sync::Arc;

use branchline_protocol::id::Digest;
use branchline_protocol::time::UnixMillis;
use uuid::Uuid;

use super::faulty::{FaultyVault, Step};
use super::{FsVault, READ_BYTES, Shelf, Vault, VaultError};
use crate::ledger::ObjectName;

const LATER: UnixMillis = UnixMillis(4_000_000_000_000);

fn object(last: u8, rest: u8) -> ObjectName {
    let mut bytes = [rest; 16];
    bytes[15] = last;
    ObjectName(Uuid::from_bytes(bytes))
}

fn root_of(bytes: &[u8]) -> Digest {
    Digest(*blake3::hash(bytes).as_bytes())
}

async fn put(vault: &dyn Vault, name: ObjectName, bytes: &[u8]) -> Result<(), VaultError> {
    let mut writing = vault.begin_object(name).await?;
    let (first, second) = bytes.split_at(bytes.len() / 2);
    writing
        .append(vec![first.to_vec(), second.to_vec()])
        .await?;
    writing.append(Vec::new()).await?;
    writing.seal().await
}

async fn put_file(vault: &dyn Vault, bytes: &[u8]) -> Digest {
    let root = root_of(bytes);
    let mut writing = vault.begin_file(root).await.unwrap();
    writing.append(vec![bytes.to_vec()]).await.unwrap();
    writing.seal().await.unwrap();
    root
}

async fn objects(vault: &dyn Vault) -> Vec<ObjectName> {
    let mut all = Vec::new();
    for part in 0..=u8::MAX {
        all.extend(vault.objects_before(part, LATER).await.unwrap());
    }
    all.sort_unstable();
    all
}

fn assert_missing<T: std::fmt::Debug>(read: &Result<T, VaultError>) {
    let missing = matches!(read, Err(VaultError::Missing(_)));
    assert!(missing, "{read:?}");
}

/// On an empty vault.
pub(crate) async fn holds(vault: &dyn Vault) {
    objects_are_whole_new_and_deletable(vault).await;
    what_is_not_sealed_is_nowhere(vault).await;
    files_move_between_shelves(vault).await;
    vault.prepare().await.unwrap();
    vault.prepare().await.unwrap();
    assert!(vault.room().await.unwrap() > 0);
}

async fn objects_are_whole_new_and_deletable(vault: &dyn Vault) {
    assert!(objects(vault).await.is_empty());
    let (one, two) = (object(7, 1), object(0xa0, 2));
    put(vault, one, b"0123456789").await.unwrap();
    put(vault, two, b"other").await.unwrap();
    put(vault, object(7, 3), b"").await.unwrap();
    assert_eq!(vault.read_object(one, 0, 10).await.unwrap(), b"0123456789");
    assert_eq!(vault.read_object(one, 3, 4).await.unwrap(), b"3456");
    assert_eq!(vault.read_object(one, 10, 0).await.unwrap(), b"");
    assert_missing(&vault.read_object(one, 3, 8).await);
    assert_missing(&vault.read_object(one, u64::from(u32::MAX), 1).await);
    assert_missing(&vault.read_object(object(7, 9), 0, 1).await);
    assert!(vault.read_object(one, 0, READ_BYTES + 1).await.is_err());

    // A second one of the same name is refused, however it comes; the first stays.
    let taken = put(vault, one, b"overwritten").await;
    assert!(matches!(taken, Err(VaultError::Taken(_))), "{taken:?}");
    assert_eq!(vault.read_object(one, 0, 10).await.unwrap(), b"0123456789");

    let mut all = vec![one, two, object(7, 3)];
    all.sort_unstable();
    assert_eq!(objects(vault).await, all);
    assert_eq!(vault.objects_before(7, LATER).await.unwrap().len(), 2);
    assert!(
        vault
            .objects_before(7, UnixMillis(0))
            .await
            .unwrap()
            .is_empty()
    );
    vault.delete_objects(vec![one, object(9, 9)]).await.unwrap();
    vault.delete_objects(vec![one]).await.unwrap();
    assert_missing(&vault.read_object(one, 0, 1).await);
    assert_eq!(vault.read_object(two, 0, 5).await.unwrap(), b"other");
    // A name that is free again may be used again.
    put(vault, one, b"new").await.unwrap();
    vault.delete_objects(all).await.unwrap();
    assert!(objects(vault).await.is_empty());
}

async fn what_is_not_sealed_is_nowhere(vault: &dyn Vault) {
    let name = object(1, 1);
    let mut writing = vault.begin_object(name).await.unwrap();
    writing.append(vec![vec![7; 100]]).await.unwrap();
    assert_missing(&vault.read_object(name, 0, 1).await);
    assert!(objects(vault).await.is_empty());
    // One that is being written is not taken for a left-over.
    vault.prepare().await.unwrap();
    let mut late = vault.begin_object(name).await.unwrap();
    late.append(vec![b"late".to_vec()]).await.unwrap();
    writing.seal().await.unwrap();
    // Two attempts of the same name: the one that wakes late changes nothing.
    let taken = late.seal().await;
    assert!(matches!(taken, Err(VaultError::Taken(_))), "{taken:?}");
    assert_eq!(vault.read_object(name, 0, 100).await.unwrap(), [7; 100]);
    vault.delete_objects(vec![name]).await.unwrap();

    let root = root_of(b"dropped");
    let mut writing = vault.begin_file(root).await.unwrap();
    writing.append(vec![b"dropped".to_vec()]).await.unwrap();
    drop(writing);
    for shelf in [Shelf::Quarantine, Shelf::Released] {
        assert_eq!(vault.file_size(shelf, root).await.unwrap(), None);
        assert_missing(&vault.read_file(shelf, root, 0, 1).await);
    }
}

async fn files_move_between_shelves(vault: &dyn Vault) {
    use Shelf::{Quarantine, Released};
    let bytes = b"an assembled file";
    let length = bytes.len() as u64;
    let root = root_of(bytes);
    assert_missing(&vault.promote(root).await);
    assert_missing(&vault.withdraw(root).await);
    assert_eq!(put_file(vault, bytes).await, root);
    // Assembled twice, as after a crash: the same bytes.
    put_file(vault, bytes).await;
    assert_eq!(vault.file_size(Quarantine, root).await, Ok(Some(length)));
    assert_eq!(
        vault.read_file(Quarantine, root, 3, 9).await.unwrap(),
        b"assembled"
    );
    // P5: what is in quarantine is on no other shelf.
    assert_eq!(vault.file_size(Released, root).await, Ok(None));
    assert_missing(&vault.read_file(Released, root, 0, 1).await);
    for _ in 0..2 {
        vault.promote(root).await.unwrap();
        assert_eq!(vault.file_size(Quarantine, root).await, Ok(None));
        assert_eq!(vault.read_file(Released, root, 0, 2).await.unwrap(), b"an");
    }
    // The same content came once more.
    put_file(vault, bytes).await;
    vault.promote(root).await.unwrap();
    assert_eq!(vault.file_size(Quarantine, root).await, Ok(None));
    assert_eq!(vault.file_size(Released, root).await, Ok(Some(length)));
    for _ in 0..2 {
        vault.withdraw(root).await.unwrap();
        assert_missing(&vault.read_file(Released, root, 0, 1).await);
        assert_eq!(vault.file_size(Quarantine, root).await, Ok(Some(length)));
    }
    for _ in 0..2 {
        vault.discard(Quarantine, root).await.unwrap();
        vault.discard(Released, root).await.unwrap();
    }
    assert_eq!(vault.file_size(Quarantine, root).await, Ok(None));
}

#[tokio::test]
async fn a_folder_keeps_the_contract() {
    let folder = tempfile::tempdir().unwrap();
    holds(&FsVault::new(folder.path().join("vault"), 0)).await;
}

#[tokio::test]
async fn a_wrapper_keeps_the_contract_until_it_is_told_to_fail() {
    let folder = tempfile::tempdir().unwrap();
    let inner = Arc::new(FsVault::new(folder.path().join("vault"), 0));
    let vault = FaultyVault::around(inner);
    holds(vault.as_ref()).await;
    for step in [Step::Begin, Step::Append, Step::Seal] {
        vault.fail(step, VaultError::Full("no space".into()));
        let full = put(vault.as_ref(), object(1, 1), b"x").await;
        assert_eq!(full, Err(VaultError::Full("no space".into())), "{step:?}");
        assert!(objects(vault.as_ref()).await.is_empty());
    }
    vault.mend();
    put(vault.as_ref(), object(1, 1), b"x").await.unwrap();
}
