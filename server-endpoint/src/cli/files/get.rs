//! `files get`: the content of a file that may be read, proven while it is written.
//!
//! What is written has its name only when it is whole; a file that is there already stays as it is.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use branchline_protocol::id::FileId;
use clap::Args;
use rustix::fs::{CWD, RenameFlags, renameat_with};

use super::{Central, unknown};
use crate::cli::{Failure, block_on, output};
use crate::inspection::released::{Content, READ_BYTES, ReadFault};

#[derive(Debug, Args)]
pub(in crate::cli) struct GetArgs {
    /// The file's id
    id: FileId,
    /// The file to write, which must not exist; in a folder that exists, it gets its own name, made safe
    #[arg(long, value_name = "PATH")]
    output: PathBuf,
    /// Only these bytes, counted from 0, the last one included: 0-99, or 100- for the rest
    #[arg(long, value_name = "A-B", value_parser = range)]
    range: Option<Range>,
}

/// First and last byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Range {
    first: u64,
    last: Option<u64>,
}

fn range(text: &str) -> Result<Range, String> {
    let number = |digits: &str| digits.parse::<u64>().ok();
    let read = text.split_once('-').and_then(|(first, last)| {
        let first = number(first)?;
        let last = match last {
            "" => None,
            last => Some(number(last)?),
        };
        Some(Range { first, last })
    });
    read.filter(|range| range.last.is_none_or(|last| last >= range.first))
        .ok_or_else(|| {
            "must be like 0-99 or 100-, with the last byte not before the first".to_owned()
        })
}

impl From<ReadFault> for Failure {
    fn from(fault: ReadFault) -> Self {
        match fault {
            ReadFault::Unknown(id) => unknown(id),
            ReadFault::Fault(fault) => fault.into(),
            ReadFault::Damaged(_) => Self::call_it(fault.to_string()),
            ReadFault::NotReadable(_) | ReadFault::BeyondEnd { .. } => {
                Self::fix_input(fault.to_string())
            }
        }
    }
}

pub(super) fn execute(central: &Central, args: &GetArgs) -> Result<ExitCode, Failure> {
    let (path, written) = block_on(get(central, args))?;
    output::line(&format!(
        "{} bytes written to {}",
        output::count(written),
        output::safe(&path.display().to_string())
    ));
    Ok(ExitCode::SUCCESS)
}

async fn get(central: &Central, args: &GetArgs) -> Result<(PathBuf, u64), Failure> {
    let ledger = central.ledger.as_ref();
    let mut content = Content::open(ledger, &central.vault, args.id).await?;
    let path = if args.output.is_dir() {
        args.output.join(content.safe_name())
    } else {
        args.output.clone()
    };
    let mut target = Target::begin(&path).map_err(|fault| cannot(&path, &fault))?;
    let size = content.size();
    let range = args.range.unwrap_or(Range {
        first: 0,
        last: None,
    });
    if args.range.is_some() && range.first >= size {
        return Err(ReadFault::BeyondEnd {
            size,
            offset: range.first,
        }
        .into());
    }
    let end = range
        .last
        .map_or(size, |last| size.min(last.saturating_add(1)));
    let mut at = range.first;
    while at < end {
        let most = usize::try_from(end - at).map_or(READ_BYTES, |left| left.min(READ_BYTES));
        let bytes = content.read(at, most).await?;
        at += bytes.len() as u64;
        target
            .file
            .write_all(&bytes)
            .map_err(|fault| cannot(&path, &fault))?;
    }
    target
        .finish(&path)
        .map_err(|fault| cannot(&path, &fault))?;
    Ok((path, at - range.first))
}

fn cannot(path: &Path, fault: &io::Error) -> Failure {
    let path = path.display();
    match fault.kind() {
        ErrorKind::AlreadyExists => Failure::fix_input(format!(
            "{path} exists and stays as it is; choose another --output"
        )),
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            Failure::call_it(format!("write {path}: {fault}; make room there"))
        }
        _ => Failure::fix_input(format!("write {path}: {fault}; choose another --output")),
    }
}

/// A file that has its name only when it is whole.
struct Target {
    file: File,
    partial: PathBuf,
}

impl Target {
    fn begin(path: &Path) -> io::Result<Self> {
        if path.symlink_metadata().is_ok() {
            return Err(ErrorKind::AlreadyExists.into());
        }
        let mut random = [0; 8];
        getrandom::fill(&mut random).map_err(io::Error::other)?;
        let random = u64::from_le_bytes(random);
        let partial = path.with_file_name(format!(".branchline-{random:016x}.partial"));
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(&partial)?;
        Ok(Self { file, partial })
    }

    fn finish(self, path: &Path) -> io::Result<()> {
        self.file.sync_all()?;
        let renamed = renameat_with(CWD, &self.partial, CWD, path, RenameFlags::NOREPLACE);
        match renamed.map_err(io::Error::from) {
            // Not every file system can; those can link, but for FAT, which has no owner to care.
            Err(fault)
                if matches!(
                    fault.kind(),
                    ErrorKind::InvalidInput | ErrorKind::Unsupported
                ) =>
            {
                std::fs::hard_link(&self.partial, path)
            }
            renamed => renamed,
        }
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        // Gone where it has its name; a part of a file is nobody's.
        let _ = std::fs::remove_file(&self.partial);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read() {
        let bytes = |first, last| Range { first, last };
        assert_eq!(range("0-99"), Ok(bytes(0, Some(99))));
        assert_eq!(range("5-5"), Ok(bytes(5, Some(5))));
        assert_eq!(range("100-"), Ok(bytes(100, None)));
        for bad in [
            "",
            "-",
            "-5",
            "9-8",
            "a-b",
            "1-2-3",
            "1",
            "99999999999999999999-",
        ] {
            assert!(range(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_file_has_its_name_when_it_is_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.pdf");
        let mut target = Target::begin(&path).unwrap();
        target.file.write_all(b"content").unwrap();
        assert!(!path.exists());
        // Somebody was faster.
        std::fs::write(&path, "theirs").unwrap();
        let fault = target.finish(&path).unwrap_err();
        assert_eq!(fault.kind(), ErrorKind::AlreadyExists);
        assert_eq!(std::fs::read(&path).unwrap(), b"theirs");
        assert!(Target::begin(&path).is_err());
        std::fs::remove_file(&path).unwrap();
        let mut target = Target::begin(&path).unwrap();
        target.file.write_all(b"content").unwrap();
        target.finish(&path).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"content");
        drop(Target::begin(&folder.path().join("b.pdf")).unwrap());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
