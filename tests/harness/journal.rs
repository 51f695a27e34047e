//! What a disk, an older agent or a newer agent may have done to a journal while nobody looked.

use std::fs::OpenOptions;
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;

use branchline_durable_sqlite::{Settings, open_writer};
use branchline_protocol::id::OperationId;

/// Changes an operation's bytes, with a checksum that agrees: what another version would have
/// written.
pub fn rewrite(journal: &Path, operation: OperationId, change: impl Fn(&str) -> String) {
    let connection = open_writer(journal, &Settings::default()).expect("open the journal");
    let (position, bytes): (i64, Vec<u8>) = connection
        .query_row(
            "SELECT position, bytes FROM operation WHERE id = ?1",
            [operation.as_bytes()],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .expect("find the operation");
    let text = String::from_utf8(bytes).expect("operations are text");
    let changed = change(&text);
    assert_ne!(changed, text, "nothing was changed");
    let hash = blake3::hash(changed.as_bytes());
    connection
        .execute(
            "UPDATE operation SET bytes = ?1, checksum = ?2 WHERE position = ?3",
            (changed.as_bytes(), &hash.as_bytes()[..16], position),
        )
        .expect("write the operation");
}

/// Flips a bit in the bytes of an operation, in the journal (`operation`) or the view (`ticket`), as
/// decay does: the checksum stays.
pub fn decay(journal: &Path, table: &str, operation: OperationId) {
    let connection = open_writer(journal, &Settings::default()).expect("open the journal");
    let sql = format!("SELECT bytes FROM {table} WHERE id = ?1");
    let mut bytes: Vec<u8> = connection
        .query_row(&sql, [operation.as_bytes()], |row| row.get(0))
        .expect("find the operation");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x04;
    let sql = format!("UPDATE {table} SET bytes = ?1 WHERE id = ?2");
    connection
        .execute(&sql, (bytes, operation.as_bytes()))
        .expect("write the operation");
}

/// Overwrites whole pages, from a place given in thousandths of the file.
pub fn overwrite_pages(journal: &Path, from_permille: u64, pages: usize) {
    // Pages that the WAL still holds would hide the damage.
    let connection = open_writer(journal, &Settings::default()).expect("open the journal");
    connection
        .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
        .expect("move the WAL into the file");
    drop(connection);
    let size = std::fs::metadata(journal)
        .expect("the journal is there")
        .len();
    let first = size * from_permille / 1_000 / 4_096 * 4_096;
    let mut file = OpenOptions::new()
        .write(true)
        .open(journal)
        .expect("open the journal");
    file.seek(SeekFrom::Start(first)).expect("seek");
    file.write_all(&vec![0xa5; 4_096 * pages])
        .expect("overwrite");
    file.sync_all().expect("sync");
}
