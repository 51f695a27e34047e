//! Linux: files that others put into a folder, looked at without following, locking or changing them.

use std::collections::{HashMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::fs::{File, Metadata};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::{FileFacts, FileKind, FilePrint};

/// What a path names, without following a link.
pub fn look(path: &Path) -> io::Result<FileFacts> {
    std::fs::symlink_metadata(path).map(|facts| facts_from(&facts))
}

/// What an open file is.
pub fn facts_of(file: &File) -> io::Result<FileFacts> {
    file.metadata().map(|facts| facts_from(&facts))
}

/// What a folder is, links followed.
pub fn look_at_folder(path: &Path) -> io::Result<FileFacts> {
    std::fs::metadata(path).map(|facts| facts_from(&facts))
}

fn facts_from(facts: &Metadata) -> FileFacts {
    let of = facts.file_type();
    let kind = if of.is_file() {
        FileKind::File
    } else if of.is_dir() {
        FileKind::Folder
    } else if of.is_symlink() {
        FileKind::Link
    } else if of.is_fifo() || of.is_socket() || of.is_block_device() || of.is_char_device() {
        FileKind::Device
    } else {
        FileKind::Other
    };
    let mut identity = [0; 16];
    let (device, node) = identity.split_at_mut(8);
    device.copy_from_slice(&facts.dev().to_be_bytes());
    node.copy_from_slice(&facts.ino().to_be_bytes());
    let nanos =
        |seconds: i64, nanos: i64| seconds.saturating_mul(1_000_000_000).saturating_add(nanos);
    FileFacts {
        kind,
        print: FilePrint {
            identity,
            size: facts.len(),
            modified: nanos(facts.mtime(), facts.mtime_nsec()),
            changed: nanos(facts.ctime(), facts.ctime_nsec()),
        },
        owner: facts.uid(),
    }
}

/// Opens a file for reading: not through a link, and without waiting for the other end of a pipe.
pub fn open_dropped(path: &Path) -> io::Result<File> {
    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    let flags = i32::try_from(flags.bits()).map_err(io::Error::other)?;
    File::options().read(true).custom_flags(flags).open(path)
}

/// The name of a file's owner. May ask a directory service, so it runs where it may block.
pub fn owner_of(facts: &FileFacts) -> Option<String> {
    let owner = nix::unistd::Uid::from_raw(facts.owner);
    match nix::unistd::User::from_uid(owner) {
        Ok(Some(user)) => Some(user.name),
        _ => Some(format!("uid {}", facts.owner)),
    }
}

/// Which of these files somebody has open for writing, as far as this process may see: all of them
/// where it runs as root, those of its own user elsewhere. Writers on other machines are not seen.
pub fn open_for_writing(files: &[(PathBuf, FilePrint)]) -> HashSet<[u8; 16]> {
    let mut wanted: HashMap<&OsStr, Vec<[u8; 16]>> = HashMap::new();
    for (path, print) in files {
        if let Some(name) = path.file_name() {
            wanted.entry(name).or_default().push(print.identity);
        }
    }
    let mut found = HashSet::new();
    for process in entries(Path::new("/proc")) {
        if process.as_bytes().first().is_some_and(u8::is_ascii_digit) {
            find_in_process(&Path::new("/proc").join(process), &wanted, &mut found);
        }
    }
    found
}

fn find_in_process(
    process: &Path,
    wanted: &HashMap<&OsStr, Vec<[u8; 16]>>,
    found: &mut HashSet<[u8; 16]>,
) {
    let open = process.join("fd");
    for number in entries(&open) {
        let link = open.join(&number);
        // The link's text costs no visit to the file, which may lie on a share that does not answer.
        let Ok(target) = std::fs::read_link(&link) else {
            continue;
        };
        let Some(identities) = target.file_name().and_then(|name| wanted.get(name)) else {
            continue;
        };
        let Ok(facts) = std::fs::metadata(&link) else {
            continue;
        };
        let identity = facts_from(&facts).print.identity;
        if identities.contains(&identity) && may_write(&process.join("fdinfo").join(&number)) {
            found.insert(identity);
        }
    }
}

fn entries(folder: &Path) -> Vec<OsString> {
    let read = std::fs::read_dir(folder).into_iter().flatten();
    read.flatten().map(|entry| entry.file_name()).collect()
}

/// Whether an open file was opened for writing: the last octal digit of its flags is the access mode.
fn may_write(fdinfo: &Path) -> bool {
    let text = std::fs::read_to_string(fdinfo).unwrap_or_default();
    let flags = text.lines().find_map(|line| line.strip_prefix("flags:"));
    flags.is_some_and(|flags| !flags.trim().ends_with(['0', '4']))
}

/// Whether a folder lies on another machine, whose changes this one is not told of.
pub fn is_remote(folder: &Path) -> bool {
    const REMOTE: [u64; 9] = [
        0x6969,      // NFS
        0x517b,      // SMB
        0xff53_4d42, // CIFS
        0xfe53_4d42, // SMB2
        0x6573_5546, // FUSE: sshfs, cloud folders
        0x0102_1997, // 9P
        0x5346_414f, // AFS
        0x7375_7245, // Coda
        0x00c3_6400, // Ceph
    ];
    rustix::fs::statfs(folder).is_ok_and(|facts| {
        #[expect(
            clippy::cast_sign_loss,
            reason = "the numbers are bit patterns, signed on some machines only"
        )]
        let of = (facts.f_type as u64) & 0xffff_ffff;
        REMOTE.contains(&of)
    })
}

/// Renames a file, and fails with [`io::ErrorKind::AlreadyExists`] where the new name is taken.
pub fn move_without_replacing(from: &Path, to: &Path) -> io::Result<()> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        Ok(()) => Ok(()),
        // A file system that cannot promise it (NFS, FUSE): a second name never replaces one either.
        Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) => {
            std::fs::hard_link(from, to)?;
            std::fs::remove_file(from)
        }
        Err(fault) => Err(fault.into()),
    }
}

/// A name's bytes, as they are kept.
pub fn name_bytes(name: &OsStr) -> Vec<u8> {
    name.as_bytes().to_owned()
}

/// The name that these bytes were, if they were one.
pub fn name_of(bytes: &[u8]) -> Option<OsString> {
    Some(OsStr::from_bytes(bytes).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writers_are_seen_and_readers_are_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.pdf");
        std::fs::write(&path, "x").unwrap();
        let files = [(path.clone(), look(&path).unwrap().print)];
        let reader = open_dropped(&path).unwrap();
        assert!(open_for_writing(&files).is_empty());
        for options in [
            File::options().append(true),
            File::options().read(true).write(true),
        ] {
            let writer = options.open(&path).unwrap();
            assert_eq!(open_for_writing(&files).len(), 1);
            drop(writer);
        }
        assert!(open_for_writing(&files).is_empty());
        drop(reader);
    }

    #[test]
    fn links_are_not_followed_and_pipes_are_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let link = folder.path().join("link");
        std::os::unix::fs::symlink("/etc/passwd", &link).unwrap();
        assert_eq!(look(&link).unwrap().kind, FileKind::Link);
        assert!(open_dropped(&link).is_err());
        let pipe = folder.path().join("pipe");
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &pipe,
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR,
            0,
        )
        .unwrap();
        assert_eq!(look(&pipe).unwrap().kind, FileKind::Device);
        let opened = open_dropped(&pipe).unwrap();
        assert_eq!(facts_of(&opened).unwrap().kind, FileKind::Device);
    }

    #[test]
    fn a_move_replaces_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("a"), folder.path().join("b"));
        std::fs::write(&from, "a").unwrap();
        std::fs::write(&to, "b").unwrap();
        let fault = move_without_replacing(&from, &to).unwrap_err();
        assert_eq!(fault.kind(), io::ErrorKind::AlreadyExists);
        std::fs::remove_file(&to).unwrap();
        move_without_replacing(&from, &to).unwrap();
        assert_eq!(std::fs::read(&to).unwrap(), b"a");
    }
}
