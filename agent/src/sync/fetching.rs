//! Fetches files that central gave with replies, on the bulk lane and beside what goes the other way.
//!
//! On the way back: ingress → link → **sync** → the folder that the store names. One file at a time, in parts
//! of about a second each; every part passes the same gate as what is sent, and is charged to it, so that it
//! yields to tickets and keeps to the rate that holds (P7). A part that came is kept; the next attempt goes on
//! behind it. The whole is proven by its root before anybody may read it (P4).

use std::collections::{HashMap, HashSet};
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use branchline_protocol::desk::OfferedFile;
use branchline_protocol::id::{Digest, FileId};
use branchline_protocol::limits;
use branchline_protocol::outcome::Outcome;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::retry::RetryDelay;
use crate::link::Answer;
use crate::link::bulk::{BulkLink, probe};
use crate::store::given::Standing;
use crate::store::{Store, StoreError};

/// How often the store is asked without being told to.
const LOOK_EVERY: Duration = Duration::from_secs(60);
/// Files looked at for one that can be fetched now.
const LOOKED_AT: u32 = 200;
/// What could not be fetched for want of room, or came wrong, is tried again after this.
const SET_ASIDE: Duration = Duration::from_secs(3_600);
/// Bytes of the first part on an unknown link, and of the smallest.
const LEAST_PART: usize = 32 * 1024;
/// How long one part should take.
const PART_TARGET: Duration = Duration::from_secs(1);
/// A refusal may be a request that was damaged on the way: so many in a row are believed.
const REFUSALS: u32 = 3;

/// The task.
pub struct Fetching {
    store: Arc<Store>,
    link: BulkLink,
    part: usize,
    retry: RetryDelay,
    refusals: u32,
    set_aside: HashMap<FileId, Instant>,
    /// Files that once were not what they should be; forgotten when they are put aside or here.
    began_anew: HashSet<FileId>,
}

/// Why a file is not here after an attempt.
enum Failed {
    /// The way or central: try again after this.
    After(Duration),
    /// Central does not give it any more.
    Refused,
    /// Others must make room first.
    NoRoom,
    /// Not now: no room, or something that central does not say.
    Later(String),
    /// What lies here is not the file, and was thrown away: it begins anew.
    NotTheFile,
    /// The disk failed.
    Disk(io::Error),
    Store(StoreError),
}

impl From<io::Error> for Failed {
    fn from(fault: io::Error) -> Self {
        Self::Disk(fault)
    }
}

impl Fetching {
    /// Fetches into the store's folder over this link.
    pub fn new(store: Arc<Store>, link: BulkLink) -> Self {
        Self {
            store,
            link,
            part: LEAST_PART,
            retry: RetryDelay::new(),
            refusals: 0,
            set_aside: HashMap::new(),
            began_anew: HashSet::new(),
        }
    }

    /// Until shutdown. What is under way is left as it is and goes on from there at the next start.
    pub async fn run(mut self, shutdown: CancellationToken) {
        loop {
            let pause = tokio::select! {
                pause = self.step() => pause,
                () = shutdown.cancelled() => return,
            };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.store.given_news(), if pause >= LOOK_EVERY => {}
                () = shutdown.cancelled() => return,
            }
        }
    }

    /// Fetches one file, or finds that there is none. Gives the pause before the next step.
    async fn step(&mut self) -> Duration {
        let file = match self.next().await {
            Ok(Some(file)) => file,
            Ok(None) => return LOOK_EVERY,
            Err(fault) => {
                tracing::warn!(error = %fault, "look for files that central gave");
                return LOOK_EVERY;
            }
        };
        let id = file.file;
        // While a file comes, the way is timed as it is while one goes, so that the gate yields (P7).
        let timing = probe(self.link.clone());
        let fetched = tokio::select! {
            fetched = self.fetch(&file) => fetched,
            () = timing => Err(Failed::After(LOOK_EVERY)),
        };
        match fetched {
            Ok(()) => {
                self.began_anew.remove(&id);
                tracing::info!(file = %id, bytes = file.size, "a file that central gave is here");
                Duration::ZERO
            }
            Err(Failed::After(pause)) => pause,
            Err(Failed::Refused) => {
                tracing::warn!(file = %id, "central does not give a file any more");
                let noted = self.store.note_given(id, Standing::Refused).await;
                noted.map_or(LOOK_EVERY, |()| Duration::ZERO)
            }
            Err(Failed::Later(why)) => self.put_aside(id, &why),
            Err(Failed::NoRoom) => self.put_aside(id, "there is no room for it"),
            Err(Failed::NotTheFile) => {
                let why = "what came is not the file that central named";
                // Once it may have been this disk, or a part that a crash left half-written.
                if self.began_anew.insert(id) {
                    tracing::warn!(file = %id, why, "a file that central gave is fetched anew");
                    return Duration::ZERO;
                }
                self.put_aside(id, why)
            }
            Err(Failed::Disk(fault)) => self.put_aside(id, &fault.to_string()),
            Err(Failed::Store(fault)) => self.put_aside(id, &fault.to_string()),
        }
    }

    fn put_aside(&mut self, file: FileId, why: &str) -> Duration {
        tracing::warn!(%file, why, "a file that central gave is fetched later");
        self.began_anew.remove(&file);
        self.set_aside.insert(file, Instant::now() + SET_ASIDE);
        Duration::ZERO
    }

    async fn next(&mut self) -> Result<Option<OfferedFile>, StoreError> {
        let now = Instant::now();
        self.set_aside.retain(|_, until| *until > now);
        let wanted = self.store.given_wanted(LOOKED_AT).await?;
        let mut ready = wanted.into_iter();
        Ok(ready.find(|file| !self.set_aside.contains_key(&file.file)))
    }

    async fn fetch(&mut self, file: &OfferedFile) -> Result<(), Failed> {
        let whole = self.store.given_path(file.file);
        let part = whole.with_extension("part");
        // Whole from before a crash, with only the note missing.
        if !whole.exists() {
            let folder = self.store.given_folder();
            let (at_most, reserve) = self.store.given_bounds();
            let (path, size) = (part.clone(), file.size);
            let mut have = loop {
                let (folder, path) = (folder.clone(), path.clone());
                let begun = blocking(move || begin(&folder, &path, size, at_most, reserve)).await;
                match begun {
                    Err(Failed::NoRoom) => self.make_room(file.file).await?,
                    begun => break begun?,
                }
            };
            while have < file.size {
                let bytes = self.fetch_part(file, have).await?;
                let path = part.clone();
                have = blocking(move || append(&path, have, &bytes).map_err(Failed::from)).await?;
            }
        }
        let (root, from, to) = (file.root, part, whole);
        blocking(move || finish(&from, &to, root)).await?;
        let noted = self.store.note_given(file.file, Standing::Here).await;
        noted.map_err(Failed::Store)
    }

    /// The oldest file gives way: noted first, so that nobody is told that it is here when it is not.
    async fn make_room(&self, wanted: FileId) -> Result<(), Failed> {
        let oldest = self.store.given_oldest().await.map_err(Failed::Store)?;
        let Some(oldest) = oldest.filter(|oldest| *oldest != wanted) else {
            let why = "files from central that are still on their way have all the room";
            return Err(Failed::Later(why.into()));
        };
        tracing::info!(file = %oldest, r#for = %wanted, "a file from central makes room for another");
        let noted = self.store.note_given(oldest, Standing::Gone).await;
        noted.map_err(Failed::Store)?;
        let path = self.store.given_path(oldest);
        blocking(move || match std::fs::remove_file(path) {
            Err(fault) if fault.kind() != io::ErrorKind::NotFound => Err(fault.into()),
            _ => Ok(()),
        })
        .await
    }

    async fn fetch_part(&mut self, file: &OfferedFile, have: u64) -> Result<Vec<u8>, Failed> {
        let left = usize::try_from(file.size - have).unwrap_or(usize::MAX);
        let most = self.part.min(left);
        self.link.gate().pass(1).await;
        let (answer, timing) = self.link.file_part(file.file, have, most).await;
        match answer {
            Answer::Reply(bytes) if !bytes.is_empty() && bytes.len() <= most => {
                self.link.gate().charge(bytes.len());
                self.retry.reset();
                self.refusals = 0;
                self.adapt(timing.took);
                Ok(bytes)
            }
            Answer::Reply(_) => Err(Failed::Later("what came is not what was asked for".into())),
            Answer::Outcome(Outcome::Refused { .. }) if self.refusals + 1 >= REFUSALS => {
                self.refusals = 0;
                Err(Failed::Refused)
            }
            Answer::Outcome(outcome) => {
                if matches!(outcome, Outcome::Refused { .. }) {
                    self.refusals += 1;
                }
                self.part = LEAST_PART;
                let pause = self.retry.after(&outcome);
                Err(Failed::After(pause.max(PART_TARGET)))
            }
        }
    }

    /// Parts that take about a second: what breaks costs no more.
    fn adapt(&mut self, took: Duration) {
        if took < PART_TARGET / 2 {
            self.part = (self.part * 2).min(limits::FILE_PART_BYTES);
        } else if took > PART_TARGET * 2 {
            self.part = (self.part / 2).max(LEAST_PART);
        }
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Failed> + Send + 'static,
) -> Result<T, Failed> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(fault) => Err(Failed::Disk(io::Error::other(fault))),
    }
}

/// How much of the file is here already, once there is room for the rest (P9).
fn begin(folder: &Path, part: &Path, size: u64, at_most: u64, reserve: u64) -> Result<u64, Failed> {
    std::fs::create_dir_all(folder)?;
    let mut used: u64 = 0;
    for entry in std::fs::read_dir(folder)? {
        used = used.saturating_add(entry?.metadata()?.len());
    }
    let file = OpenOptions::new().create(true).append(true).open(part)?;
    let mut have = file.metadata()?.len();
    if have > size {
        file.set_len(0)?;
        have = 0;
    }
    let rest = size - have;
    if size > at_most {
        let why = "it is larger than all the room that files from central have here";
        return Err(Failed::Later(why.into()));
    }
    if used.saturating_add(rest) > at_most {
        return Err(Failed::NoRoom);
    }
    let free = crate::platform::disk_free(part);
    if free.is_some_and(|free| free < reserve.saturating_add(rest)) {
        return Err(Failed::Later(
            "this computer's disk has no room for it".into(),
        ));
    }
    Ok(have)
}

fn append(part: &Path, have: u64, bytes: &[u8]) -> io::Result<u64> {
    let mut file = OpenOptions::new().append(true).open(part)?;
    // A write that broke off half-way before left more than was counted.
    file.set_len(have)?;
    file.write_all(bytes)?;
    Ok(have + bytes.len() as u64)
}

/// Proves the whole, and gives it its name. What is not the file is thrown away.
fn finish(part: &PathBuf, whole: &PathBuf, root: Digest) -> Result<(), Failed> {
    let lies = if whole.exists() { whole } else { part };
    // Windows syncs only what may be written.
    let mut file = File::options().read(true).write(true).open(lies)?;
    let mut hasher = blake3::Hasher::new();
    io::copy(&mut file, &mut hasher)?;
    if *hasher.finalize().as_bytes() != root.0 {
        drop(file);
        std::fs::remove_file(lies)?;
        return Err(Failed::NotTheFile);
    }
    file.sync_all()?;
    drop(file);
    if lies == part {
        std::fs::rename(part, whole)?;
    }
    if let Some(folder) = whole.parent() {
        crate::platform::sync_folder(folder)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root(bytes: &[u8]) -> Digest {
        Digest(*blake3::hash(bytes).as_bytes())
    }

    #[test]
    fn p4_a_part_goes_on_where_it_was_and_only_the_proven_whole_gets_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let (part, whole) = (folder.path().join("f.part"), folder.path().join("f"));
        let begin = |size| begin(folder.path(), &part, size, 1_000, 0).ok().unwrap();
        assert_eq!(begin(6), 0);
        assert_eq!(append(&part, 0, b"abc").unwrap(), 3);
        assert_eq!(begin(6), 3);
        // A write that broke off is not counted twice.
        std::fs::write(&part, b"abcX").unwrap();
        assert_eq!(append(&part, 3, b"def").unwrap(), 6);
        assert!(finish(&part, &whole, root(b"abcdeX")).is_err());
        assert!(
            !whole.exists() && !part.exists(),
            "what is not the file is nobody's"
        );
        assert_eq!(begin(6), 0);
        append(&part, 0, b"abcdef").unwrap();
        finish(&part, &whole, root(b"abcdef")).ok().unwrap();
        assert_eq!(std::fs::read(&whole).unwrap(), b"abcdef");
        assert!(!part.exists());
        // Asked again after a crash before the note.
        finish(&part, &whole, root(b"abcdef")).ok().unwrap();
        std::fs::write(&whole, b"abcdeX").unwrap();
        assert!(finish(&part, &whole, root(b"abcdef")).is_err());
        assert!(!whole.exists());
    }

    #[test]
    fn p9_files_from_central_stop_at_their_part_of_the_quota() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("other"), vec![0; 900]).unwrap();
        let part = folder.path().join("f.part");
        let room = |size, reserve| match begin(folder.path(), &part, size, 1_000, reserve) {
            Ok(_) => "there is",
            Err(Failed::NoRoom) => "others must go",
            Err(_) => "never",
        };
        assert_eq!(room(100, 0), "there is");
        assert_eq!(room(101, 0), "others must go");
        assert_eq!(room(1_001, 0), "never");
        assert_eq!(room(100, u64::MAX), "never", "the reserve is for tickets");
    }
}
