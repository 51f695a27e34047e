//! The identity's file: read whole, replaced whole, under a lock that the command line shares with the
//! service.
//!
//! Layout in the data folder: [`FILE_NAME`], readable by its owner alone; `identity.json.new` while it is
//! being replaced, of no meaning to any reader; `identity.lock` and `enrolment.lock`, empty.
//! Each replacement is: the new file written and synced under its temporary name, renamed, the folder
//! synced. A crash before the rename leaves the former identity, one after it the new one.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use branchline_durable_sqlite::crash_point;
use zeroize::Zeroizing;

use super::Kept;

/// The file's name in the data folder.
pub const FILE_NAME: &str = "identity.json";
const TEMPORARY_NAME: &str = "identity.json.new";
const CHANGE_LOCK: &str = "identity.lock";
const ENROLMENT_LOCK: &str = "enrolment.lock";

/// Bytes of the file: two chains and the anchors, each at its bound, take less.
const FILE_BYTES: u64 = 512 * 1024;

/// Why the identity cannot be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The file system said no.
    #[error("{what} {path}: {fault}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// With which file.
        path: PathBuf,
        /// What the operating system said.
        fault: io::Error,
    },
    /// The file is not one of ours, or is damaged. Says nothing of what is in it.
    #[error(
        "{0} is damaged: this machine must join again, with a token for the agent that it is \
         (branchline-server token create --agent …)"
    )]
    Damaged(PathBuf),
    /// The agent is ending.
    #[error("the agent is ending")]
    Ended,
}

/// What a replacement is for; names the points at which a test may stop it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// A key for an enrolment.
    EnrolmentKey,
    /// The enrolment's answer.
    Enrolled,
    /// A key for the next certificate.
    NextKey,
    /// The next certificate.
    NextCertificate,
    /// The next certificate was answered and takes the place of the present one.
    Proven,
    /// The next certificate is given up.
    GivenUp,
    /// Other anchors.
    Trust,
}

impl Change {
    fn name(self) -> &'static str {
        match self {
            Self::EnrolmentKey => "enrolment-key",
            Self::Enrolled => "enrolled",
            Self::NextKey => "next-key",
            Self::NextCertificate => "next-certificate",
            Self::Proven => "proven",
            Self::GivenUp => "given-up",
            Self::Trust => "trust",
        }
    }
}

/// How far a replacement is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// The temporary file is made and empty.
    Made,
    /// Everything is written to it.
    Written,
    /// And synced.
    Synced,
    /// It has the file's name.
    Renamed,
    /// And the folder is synced.
    Replaced,
}

impl Step {
    #[cfg(test)]
    pub(super) const ALL: [Self; 5] = [
        Self::Made,
        Self::Written,
        Self::Synced,
        Self::Renamed,
        Self::Replaced,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Made => "made",
            Self::Written => "written",
            Self::Synced => "synced",
            Self::Renamed => "renamed",
            Self::Replaced => "replaced",
        }
    }
}

/// While it lives, nobody else on this machine enrols it.
#[derive(Debug)]
pub struct EnrolmentTurn(
    #[expect(dead_code, reason = "the lock lasts as long as the file is open")] File,
);

/// The file in its folder. Blocking: the disk may take its time.
#[derive(Debug, Clone)]
pub struct IdentityFile {
    folder: PathBuf,
}

impl IdentityFile {
    /// The file in this data folder, whether or not it is there.
    pub fn in_folder(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
        }
    }

    /// Where it is.
    pub fn path(&self) -> PathBuf {
        self.folder.join(FILE_NAME)
    }

    /// What it holds; nothing where there is no file.
    pub fn load(&self) -> Result<Kept, IdentityError> {
        let path = self.path();
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(fault) if fault.kind() == io::ErrorKind::NotFound => return Ok(Kept::default()),
            Err(fault) => return Err(self.io("read", FILE_NAME)(fault)),
        };
        let mut bytes = Zeroizing::new(Vec::new());
        let most = FILE_BYTES + 1;
        file.take(most)
            .read_to_end(&mut bytes)
            .map_err(self.io("read", FILE_NAME))?;
        // The parser's words may quote a key.
        let kept: Option<Kept> = serde_json::from_slice(&bytes).ok();
        kept.filter(|_| (bytes.len() as u64) < most)
            .filter(is_sound)
            .ok_or(IdentityError::Damaged(path))
    }

    /// Reads, changes and replaces the file; nobody else does in between. Answers what stands in it then.
    /// The file is left alone where `change` answers `false`. A damaged file counts as one that holds
    /// nothing and is kept aside; what may take its place is an enrolment.
    pub fn change(
        &self,
        reason: Change,
        change: impl FnOnce(&mut Kept) -> bool,
    ) -> Result<Kept, IdentityError> {
        let _lock = self.lock(CHANGE_LOCK)?;
        let mut kept = match self.load() {
            Err(IdentityError::Damaged(path)) if reason == Change::EnrolmentKey => {
                let aside = path.with_extension("json.damaged");
                std::fs::copy(&path, aside).map_err(self.io("set aside", FILE_NAME))?;
                Kept::default()
            }
            read => read?,
        };
        if change(&mut kept) {
            self.replace(&kept, &mut |step| {
                crash_point::reach(&format!("identity-{}-{}", reason.name(), step.name()));
                Ok(())
            })?;
        }
        Ok(kept)
    }

    /// The right to enrol this machine, if nobody has it just now: the service and the command line take
    /// turns, so that one token is used once.
    pub fn enrolment_turn(&self) -> Result<Option<EnrolmentTurn>, IdentityError> {
        let file = self.lock_file(ENROLMENT_LOCK)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(EnrolmentTurn(file))),
            Err(std::fs::TryLockError::WouldBlock) => Ok(None),
            Err(std::fs::TryLockError::Error(fault)) => Err(self.io("lock", ENROLMENT_LOCK)(fault)),
        }
    }

    /// Whether others than its owner can read it, and with it speak for the branch.
    pub fn is_exposed(&self) -> bool {
        crate::platform::is_exposed(&self.path())
    }

    /// `reached` stands for whatever may end the replacement at a step.
    pub(super) fn replace(
        &self,
        kept: &Kept,
        reached: &mut dyn FnMut(Step) -> io::Result<()>,
    ) -> Result<(), IdentityError> {
        let io = |what| self.io(what, TEMPORARY_NAME);
        let temporary = self.folder.join(TEMPORARY_NAME);
        let text = serde_json::to_vec_pretty(kept).map_err(io::Error::other);
        let text = Zeroizing::new(text.map_err(io("write"))?);
        let mut file = crate::platform::make_private(&temporary).map_err(io("make"))?;
        reached(Step::Made).map_err(io("make"))?;
        file.write_all(&text).map_err(io("write"))?;
        reached(Step::Written).map_err(io("write"))?;
        file.sync_all().map_err(io("sync"))?;
        reached(Step::Synced).map_err(io("sync"))?;
        drop(file);
        std::fs::rename(&temporary, self.path()).map_err(io("rename"))?;
        reached(Step::Renamed).map_err(io("rename"))?;
        crate::platform::sync_folder(&self.folder).map_err(io("sync the folder of"))?;
        reached(Step::Replaced).map_err(io("sync the folder of"))
    }

    fn lock(&self, name: &'static str) -> Result<File, IdentityError> {
        let file = self.lock_file(name)?;
        file.lock().map_err(self.io("lock", name))?;
        Ok(file)
    }

    fn lock_file(&self, name: &'static str) -> Result<File, IdentityError> {
        let path = self.folder.join(name);
        crate::platform::open_private(&path).map_err(self.io("open", name))
    }

    fn io(
        &self,
        what: &'static str,
        name: &'static str,
    ) -> impl FnOnce(io::Error) -> IdentityError {
        let path = self.folder.join(name);
        move |fault| IdentityError::Io { what, path, fault }
    }
}

/// What the types do not say.
fn is_sound(kept: &Kept) -> bool {
    kept.identity
        .as_ref()
        .is_none_or(|identity| identity.trust.is_sound() && identity.ordinal > 0)
}
