//! Moves files to `sent/` once central has received them, and only those that are still what was filed.
//! Nothing is ever replaced: a name that is taken gets a number.

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::Path;

use branchline_protocol::problem::ErrorClass;

use crate::config::SENT_FOLDER;
use crate::platform::{FileKind, FilePrint, look, move_without_replacing, name_of};
use crate::store::StoreError;
use crate::store::dropped::Remembered;

use super::context::Context;

/// Files asked for at a time.
const AT_ONCE: u32 = 200;
/// Numbers tried for one name: a year of daily files.
const NUMBERS: u32 = 1_000;

/// Moves what can be moved. Answers whether something could not be.
pub(super) async fn move_received(cx: &Context) -> Result<bool, StoreError> {
    let mut after = Vec::new();
    let mut troubled = false;
    loop {
        let received = cx
            .agent
            .store
            .dropped_received(cx.key, after, AT_ONCE)
            .await?;
        let Some(last) = received.last() else {
            return Ok(troubled);
        };
        after = last.name.clone();
        let mut moved = Vec::new();
        for file in received {
            match move_one(&cx.rule.path, &file) {
                Ok(true) => moved.push(file.name),
                // It changed or left; looking at the folder tells which.
                Ok(false) => {}
                Err(fault) => {
                    troubled = true;
                    let name = String::from_utf8_lossy(&file.name).into_owned();
                    let words = format!("{name:?} cannot be moved to {SENT_FOLDER}/: {fault}");
                    cx.error(ErrorClass::CallIt, &words);
                }
            }
        }
        cx.agent.store.dropped_gone(cx.key, moved).await?;
        if cx.agent.shutdown.is_cancelled() {
            return Ok(troubled);
        }
    }
}

fn move_one(folder: &Path, file: &Remembered) -> io::Result<bool> {
    let Some(name) = name_of(&file.name) else {
        return Ok(false);
    };
    let from = folder.join(&name);
    if !is_there(&from, file.print)? {
        return Ok(false);
    }
    let sent = folder.join(SENT_FOLDER);
    match look(&sent) {
        Ok(facts) if facts.kind == FileKind::Folder => {}
        Ok(_) => return Err(io::Error::other("it is not a folder")),
        Err(fault) if fault.kind() == io::ErrorKind::NotFound => std::fs::create_dir(&sent)?,
        Err(fault) => return Err(fault),
    }
    for number in 1..=NUMBERS {
        let to = sent.join(numbered(&name, number));
        match move_without_replacing(&from, &to) {
            Ok(()) => return settle_move(&from, &to, file.print),
            Err(fault) if fault.kind() == io::ErrorKind::AlreadyExists => {}
            Err(fault) if fault.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(fault) => return Err(fault),
        }
    }
    Err(io::Error::other(format!(
        "{NUMBERS} files there are called like it"
    )))
}

fn is_there(path: &Path, print: FilePrint) -> io::Result<bool> {
    match look(path) {
        Ok(facts) => Ok(facts.kind == FileKind::File && facts.print == print),
        Err(fault) if fault.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(fault) => Err(fault),
    }
}

/// Between the last look and the move another file may have taken the name; it goes back. A move changes
/// the record of changes, and what counts here is which file it is and what was written to it.
fn settle_move(from: &Path, to: &Path, print: FilePrint) -> io::Result<bool> {
    let moved = look(to)?.print;
    let is_same = moved.identity == print.identity
        && moved.size == print.size
        && moved.modified == print.modified;
    if is_same {
        return Ok(true);
    }
    move_without_replacing(to, from)?;
    Ok(false)
}

/// `a.pdf`, `a (2).pdf`, `a (3).pdf`.
fn numbered(name: &OsStr, number: u32) -> OsString {
    if number == 1 {
        return name.to_owned();
    }
    let path = Path::new(name);
    let mut numbered = path.file_stem().unwrap_or(name).to_owned();
    numbered.push(format!(" ({number})"));
    if let Some(extension) = path.extension() {
        numbered.push(".");
        numbered.push(extension);
    }
    numbered
}

#[cfg(test)]
mod tests {
    use branchline_protocol::id::{Digest, FileId};

    use super::*;

    fn remembered(path: &Path) -> Remembered {
        Remembered {
            name: crate::platform::name_bytes(path.file_name().unwrap()),
            print: look(path).unwrap().print,
            root: Digest([0; 32]),
            file: FileId::from_bytes([0; 16]),
            gone: false,
        }
    }

    #[test]
    fn moving_replaces_nothing_and_moves_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.pdf");
        for content in ["one", "two", "three"] {
            std::fs::write(&path, content).unwrap();
            assert!(move_one(folder.path(), &remembered(&path)).unwrap());
        }
        let sent =
            |name: &str| std::fs::read_to_string(folder.path().join("sent").join(name)).unwrap();
        assert_eq!(
            [sent("a.pdf"), sent("a (2).pdf"), sent("a (3).pdf")],
            ["one", "two", "three"]
        );

        std::fs::write(&path, "four").unwrap();
        let before = remembered(&path);
        std::fs::write(&path, "other").unwrap();
        assert!(!move_one(folder.path(), &before).unwrap());
        assert!(path.exists());
    }

    #[test]
    fn a_file_that_took_the_name_at_the_last_moment_goes_back() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("a"), folder.path().join("b"));
        std::fs::write(&from, "filed").unwrap();
        let filed = look(&from).unwrap().print;
        std::fs::write(folder.path().join("new"), "newer").unwrap();
        std::fs::rename(folder.path().join("new"), &from).unwrap();
        move_without_replacing(&from, &to).unwrap();
        assert!(!settle_move(&from, &to, filed).unwrap());
        assert_eq!(std::fs::read_to_string(&from).unwrap(), "newer");
        assert!(!to.exists());
    }

    #[test]
    fn a_link_in_the_place_of_sent_is_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        std::fs::write(&path, "x").unwrap();
        #[cfg(unix)]
        std::os::unix::fs::symlink(elsewhere.path(), folder.path().join("sent")).unwrap();
        #[cfg(windows)]
        std::fs::write(folder.path().join("sent"), "").unwrap();
        assert!(move_one(folder.path(), &remembered(&path)).is_err());
        assert!(path.exists() && !elsewhere.path().join("a").exists());
    }
}
