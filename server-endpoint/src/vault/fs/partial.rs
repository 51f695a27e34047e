//! A file being written that has no name yet. Its lock says that somebody still writes it; dropped
//! without a name, it is removed.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FlockOperation, RenameFlags, flock, renameat_with};

use super::make_file;

pub(super) struct Partial {
    file: File,
    path: PathBuf,
    named: bool,
}

impl Partial {
    /// Begins one, locked.
    pub(super) fn begin(path: PathBuf) -> io::Result<Self> {
        let file = make_file(&path)?;
        let partial = Self {
            file,
            path,
            named: false,
        };
        flock(&partial.file, FlockOperation::NonBlockingLockExclusive)?;
        Ok(partial)
    }

    pub(super) fn file(&self) -> &File {
        &self.file
    }

    /// Gives it a name, in place of what has it.
    pub(super) fn name(&mut self, path: &Path) -> io::Result<()> {
        std::fs::rename(&self.path, path)?;
        self.named = true;
        Ok(())
    }

    /// Gives it a name that nothing has, or fails with [`ErrorKind::AlreadyExists`].
    pub(super) fn name_new(&mut self, path: &Path) -> io::Result<()> {
        let renamed = renameat_with(CWD, &self.path, CWD, path, RenameFlags::NOREPLACE);
        match renamed.map_err(io::Error::from) {
            Ok(()) => {
                self.named = true;
                Ok(())
            }
            // Not every file system can; each of those can link.
            Err(fault)
                if matches!(
                    fault.kind(),
                    ErrorKind::InvalidInput | ErrorKind::Unsupported
                ) =>
            {
                std::fs::hard_link(&self.path, path)
            }
            Err(fault) => Err(fault),
        }
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if !self.named {
            // What cannot be removed now is removed at the next start.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}
