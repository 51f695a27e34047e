//! The one thread that writes a database file, and commits what waits together.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot, watch};

use crate::job_queue::{JobQueue, Lane, Taken};
use crate::open::{OpenError, Settings, open_writer};

/// Jobs that may wait per lane; a caller beyond that waits for its turn to wait (P8).
const JOBS_WAITING: usize = 1_024;
/// Jobs in one commit.
const JOBS_PER_COMMIT: usize = 512;
/// After this much work a commit takes no further job, so that nobody waits behind a long row of
/// large ones.
const WORK_PER_COMMIT: Duration = Duration::from_millis(20);
/// WAL pages after which a checkpoint does not wait for a pause: 16 MiB, some ten milliseconds of
/// writing on a slow disk.
const CHECKPOINT_PAGES: u32 = 4_096;
/// How long without jobs before the rest of the WAL is checkpointed.
const PAUSE: Duration = Duration::from_millis(500);

/// The commit failed; nothing of it may be believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommitError {
    /// The disk or the file's bound is full. Nothing was written.
    #[error("no space left for {file}")]
    Full {
        /// The file's name.
        file: String,
    },
    /// The disk failed, or another process holds the file. Whether it was written is not known.
    #[error("write {file}: {fault}")]
    Failed {
        /// The file's name.
        file: String,
        /// What SQLite said.
        fault: String,
    },
    /// The program is ending.
    #[error("the store is closed")]
    Closed,
}

/// Why a job had no effect: its own reason, or the commit's.
#[derive(Debug, thiserror::Error)]
pub enum JobError<E> {
    /// The job said no and was rolled back; others in its commit were not.
    #[error(transparent)]
    Job(E),
    /// The commit failed.
    #[error(transparent)]
    Commit(#[from] CommitError),
}

type Answer = Box<dyn FnOnce(Result<(), CommitError>) + Send>;
/// Runs inside the transaction; says whether its changes stay, and what to do after the commit.
type Job = Box<dyn FnOnce(&Connection) -> (Stays, Answer) + Send>;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stays {
    Yes,
    No,
}

/// A handle on the writer thread. Dropping it finishes what waits and ends the thread.
pub struct Writer {
    queue: Arc<JobQueue<Job>>,
    control: Arc<Semaphore>,
    bulk: Arc<Semaphore>,
    commits: watch::Receiver<u64>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    /// Opens the file, runs `prepare` on it (migrations), and starts the thread.
    pub fn start<E: From<OpenError> + From<std::io::Error>>(
        path: &Path,
        settings: &Settings,
        prepare: impl FnOnce(&mut Connection) -> Result<(), E>,
    ) -> Result<Self, E> {
        let mut connection = open_writer(path, settings)?;
        prepare(&mut connection)?;
        let queue = Arc::new(JobQueue::new());
        let (told, commits) = watch::channel(0);
        let thread = WriterThread::new(
            connection,
            path.to_owned(),
            settings.clone(),
            queue.clone(),
            told,
        );
        let thread = std::thread::Builder::new()
            .name("store-writer".into())
            .spawn(move || thread.run())?;
        Ok(Self {
            queue,
            control: Arc::new(Semaphore::new(JOBS_WAITING)),
            bulk: Arc::new(Semaphore::new(JOBS_WAITING)),
            commits,
            thread: Some(thread),
        })
    }

    /// Grows with every commit, once it is durable.
    pub fn commits(&self) -> watch::Receiver<u64> {
        self.commits.clone()
    }

    /// Runs `job` inside the next commit and answers after that commit is durable. Jobs of one lane
    /// run in the order in which they were asked for. A job that fails leaves nothing behind.
    pub async fn run<T, E>(
        &self,
        lane: Lane,
        job: impl FnOnce(&Connection) -> Result<T, E> + Send + 'static,
    ) -> Result<T, JobError<E>>
    where
        T: Send + 'static,
        E: Send + 'static,
    {
        let turn = self.turn(lane).await?;
        let (answer, answered) = oneshot::channel();
        let job: Job = Box::new(move |connection| {
            let outcome = job(connection);
            let stays = if outcome.is_ok() {
                Stays::Yes
            } else {
                Stays::No
            };
            let reply: Answer = Box::new(move |committed| {
                let result = match (outcome, committed) {
                    (Err(own), _) => Err(JobError::Job(own)),
                    (Ok(_), Err(failed)) => Err(JobError::Commit(failed)),
                    (Ok(value), Ok(())) => Ok(value),
                };
                // The caller may have gone away; the job is durable all the same.
                let _ = answer.send(result);
                // Held until here, by the job and not by its caller, so that jobs whose callers have
                // gone count as well.
                drop(turn);
            });
            (stays, reply)
        });
        if !self.queue.push(lane, job) {
            return Err(CommitError::Closed.into());
        }
        answered
            .await
            .unwrap_or(Err(JobError::Commit(CommitError::Closed)))
    }

    async fn turn(&self, lane: Lane) -> Result<OwnedSemaphorePermit, CommitError> {
        let bound = match lane {
            Lane::Control => &self.control,
            Lane::Bulk => &self.bulk,
        };
        bound
            .clone()
            .acquire_owned()
            .await
            .map_err(|_| CommitError::Closed)
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.queue.close();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the store's writer thread had panicked");
        }
    }
}

struct WriterThread {
    /// `None` after a failure, until the file opens again.
    connection: Option<Connection>,
    path: PathBuf,
    settings: Settings,
    queue: Arc<JobQueue<Job>>,
    commits: watch::Sender<u64>,
    wal_pages: Arc<AtomicU32>,
    checkpoint_at: u32,
}

impl WriterThread {
    fn new(
        connection: Connection,
        path: PathBuf,
        settings: Settings,
        queue: Arc<JobQueue<Job>>,
        commits: watch::Sender<u64>,
    ) -> Self {
        let mut thread = Self {
            connection: None,
            path,
            settings,
            queue,
            commits,
            wal_pages: Arc::default(),
            checkpoint_at: CHECKPOINT_PAGES,
        };
        thread.adopt(connection);
        thread
    }

    fn adopt(&mut self, mut connection: Connection) {
        // Whatever an earlier life left in the WAL goes into the file at the first pause.
        self.wal_pages.store(1, Ordering::Relaxed);
        watch_wal(&mut connection, self.wal_pages.clone());
        self.connection = Some(connection);
    }

    fn run(mut self) {
        loop {
            match self.queue.take_within(PAUSE) {
                Taken::Job(lane, first) => self.commit_batch(lane, first),
                Taken::Nothing => self.checkpoint_from(1),
                Taken::Closed => return,
            }
        }
    }

    fn commit_batch(&mut self, lane: Lane, first: Job) {
        let mut answers = Vec::new();
        let committed = match self.connected() {
            Ok(()) => self.transact(lane, first, &mut answers),
            Err(failed) => {
                answers.extend(refused(first));
                Err(failed)
            }
        };
        if let Err(failed) = &committed {
            tracing::error!(error = %failed, "a commit failed");
            if matches!(failed, CommitError::Failed { .. }) {
                self.connection = None;
            }
        }
        for answer in answers {
            answer(committed.clone());
        }
        if committed.is_ok() {
            self.commits.send_modify(|count| *count += 1);
        }
        self.checkpoint_from(self.checkpoint_at);
    }

    fn connected(&mut self) -> Result<(), CommitError> {
        if self.connection.is_none() {
            let connection =
                open_writer(&self.path, &self.settings).map_err(|fault| CommitError::Failed {
                    file: self.file(),
                    fault: fault.to_string(),
                })?;
            tracing::info!(
                file = self.file(),
                "opened the store again after a failed commit"
            );
            self.adopt(connection);
        }
        Ok(())
    }

    fn transact(
        &self,
        lane: Lane,
        first: Job,
        answers: &mut Vec<Answer>,
    ) -> Result<(), CommitError> {
        let Some(connection) = &self.connection else {
            return Err(CommitError::Closed);
        };
        let failed = |fault: rusqlite::Error| self.commit_error(&fault);
        execute(connection, "BEGIN IMMEDIATE").map_err(failed)?;
        let started = Instant::now();
        // A job that is alone in its commit needs no savepoint to be taken back.
        let alone = self.queue.is_empty();
        let mut next = Some((lane, first));
        let mut has_control = false;
        while let Some((lane, job)) = next.take() {
            has_control |= lane == Lane::Control;
            if let Err(fault) = run_job(connection, job, !alone, answers) {
                let _ = execute(connection, "ROLLBACK");
                return Err(self.commit_error(&fault));
            }
            let has_room = answers.len() < JOBS_PER_COMMIT && started.elapsed() < WORK_PER_COMMIT;
            if !alone && has_room {
                // Nobody who waits for control work waits for bulk work behind it (P7).
                next = if has_control {
                    self.queue.take_control_now()
                } else {
                    self.queue.take_now()
                };
            }
        }
        let outcome = if connection.is_autocommit() {
            // The lone job failed and took the transaction with it: nothing to commit.
            Ok(())
        } else {
            execute(connection, "COMMIT")
        };
        outcome.map_err(|fault| {
            let _ = execute(connection, "ROLLBACK");
            self.commit_error(&fault)
        })
    }

    /// Moves the WAL into the file if it has at least so many pages.
    fn checkpoint_from(&mut self, pages: u32) {
        let waiting = self.wal_pages.load(Ordering::Relaxed);
        let Some(connection) = &self.connection else {
            return;
        };
        if waiting < pages.max(1) {
            return;
        }
        let moved = connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| {
            Ok((row.get::<_, i64>(1)?, row.get::<_, i64>(2)?))
        });
        // A reader may hold part of the WAL back; then it is not tried again at every commit.
        self.checkpoint_at = CHECKPOINT_PAGES;
        match moved {
            Ok((all, moved)) if all == moved => self.wal_pages.store(0, Ordering::Relaxed),
            Ok(_) => self.checkpoint_at = waiting.saturating_add(CHECKPOINT_PAGES),
            Err(fault) => tracing::warn!(error = %fault, file = self.file(), "checkpoint failed"),
        }
    }

    fn commit_error(&self, fault: &rusqlite::Error) -> CommitError {
        match fault.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => CommitError::Full { file: self.file() },
            _ => CommitError::Failed {
                file: self.file(),
                fault: fault.to_string(),
            },
        }
    }

    fn file(&self) -> String {
        self.path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned()
    }
}

fn watch_wal(connection: &mut Connection, pages: Arc<AtomicU32>) {
    let watched = connection.wal_hook(Some(
        move |_: &mut rusqlite::hooks::Wal, count: std::ffi::c_int| {
            pages.store(u32::try_from(count).unwrap_or(u32::MAX), Ordering::Relaxed);
            Ok(())
        },
    ));
    if let Err(fault) = watched {
        tracing::warn!(error = %fault, "the WAL is checkpointed at pauses only");
    }
}

fn run_job(
    connection: &Connection,
    job: Job,
    guarded: bool,
    answers: &mut Vec<Answer>,
) -> rusqlite::Result<()> {
    if guarded {
        execute(connection, "SAVEPOINT job")?;
    }
    // A panic is this job's own fault and must not end the thread that everybody saves through (P6).
    let ran = catch_unwind(AssertUnwindSafe(|| job(connection)));
    let stays = if let Ok((stays, answer)) = ran {
        answers.push(answer);
        stays
    } else {
        tracing::error!("a store job panicked and was rolled back");
        Stays::No
    };
    match (stays, guarded) {
        (Stays::Yes, true) => execute(connection, "RELEASE job"),
        (Stays::Yes, false) => Ok(()),
        (Stays::No, true) => {
            execute(connection, "ROLLBACK TO job")?;
            execute(connection, "RELEASE job")
        }
        (Stays::No, false) => execute(connection, "ROLLBACK"),
    }
}

/// A job that cannot run: its channel closes, which its caller reads as [`CommitError::Closed`].
fn refused(job: Job) -> Option<Answer> {
    drop(job);
    None
}

fn execute(connection: &Connection, sql: &str) -> rusqlite::Result<()> {
    connection.prepare_cached(sql)?.execute([]).map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    enum Fault {
        Open(#[allow(dead_code, reason = "shown by Debug")] String),
        Sqlite(#[allow(dead_code, reason = "shown by Debug")] rusqlite::Error),
        Own,
    }
    impl From<OpenError> for Fault {
        fn from(e: OpenError) -> Self {
            Self::Open(e.to_string())
        }
    }
    impl From<std::io::Error> for Fault {
        fn from(e: std::io::Error) -> Self {
            Self::Open(e.to_string())
        }
    }
    impl From<rusqlite::Error> for Fault {
        fn from(e: rusqlite::Error) -> Self {
            Self::Sqlite(e)
        }
    }

    fn writer(folder: &tempfile::TempDir, settings: &Settings) -> Writer {
        Writer::start(&folder.path().join("t.db"), settings, |connection| {
            connection.execute_batch("CREATE TABLE IF NOT EXISTS t (n INTEGER UNIQUE, b BLOB)")?;
            Ok::<_, Fault>(())
        })
        .unwrap()
    }

    fn insert(n: i64) -> impl FnOnce(&Connection) -> Result<i64, Fault> {
        move |connection| {
            connection
                .prepare_cached("INSERT INTO t (n) VALUES (?1)")?
                .execute([n])?;
            if n == 13 { Err(Fault::Own) } else { Ok(n) }
        }
    }

    fn count(folder: &tempfile::TempDir) -> i64 {
        let reader = crate::open_reader(&folder.path().join("t.db"), &Settings::default()).unwrap();
        reader
            .query_row("SELECT count(*) FROM t", [], |row| row.get(0))
            .unwrap()
    }

    #[tokio::test]
    async fn a_failing_job_is_rolled_back_alone() {
        let folder = tempfile::tempdir().unwrap();
        let writer = writer(&folder, &Settings::default());
        let jobs = (0..100).map(|n| writer.run(Lane::Control, insert(n)));
        let mut set = Vec::new();
        for job in jobs {
            set.push(Box::pin(job));
        }
        for (n, job) in set.into_iter().enumerate() {
            assert_eq!(job.await.is_err(), n == 13, "job {n}");
        }
        let lone = writer.run(Lane::Bulk, insert(13)).await;
        assert!(matches!(lone, Err(JobError::Job(Fault::Own))));
        let panicking = writer
            .run(Lane::Control, |_| -> Result<(), Fault> {
                panic!("as a fault would")
            })
            .await;
        assert!(matches!(
            panicking,
            Err(JobError::Commit(CommitError::Closed))
        ));
        assert_eq!(writer.run(Lane::Control, insert(200)).await.unwrap(), 200);
        assert_eq!(count(&folder), 100);
    }

    #[tokio::test]
    async fn p7_control_work_does_not_wait_for_bulk_work_behind_it() {
        let folder = tempfile::tempdir().unwrap();
        let writer = writer(&folder, &Settings::default());
        let (open, gate) = std::sync::mpsc::sync_channel::<()>(1);
        let (answered, waits) = std::sync::mpsc::sync_channel::<()>(1);
        let held = move |gate: std::sync::mpsc::Receiver<()>, id| {
            move |connection: &Connection| {
                gate.recv_timeout(Duration::from_secs(20))
                    .map_err(|_| Fault::Own)?;
                insert(id)(connection)
            }
        };
        // While the first holds the writer, the others come: bulk work that ends when the control work
        // was answered, so that it must not be in one commit with it.
        let first = writer.run(Lane::Bulk, held(gate, 1));
        let behind = writer.run(Lane::Bulk, held(waits, 2));
        let control = async {
            let answer = writer.run(Lane::Control, insert(3)).await;
            answered.send(()).unwrap();
            answer
        };
        let opening = async {
            // All three were asked before this one.
            open.send(()).unwrap();
        };
        let (first, behind, control, ()) = tokio::join!(first, behind, control, opening);
        assert!(first.is_ok() && control.is_ok());
        assert!(
            behind.is_ok(),
            "control work waited for bulk work: {behind:?}"
        );
    }

    #[tokio::test]
    async fn a_full_file_is_said_and_the_next_small_job_fits() {
        let folder = tempfile::tempdir().unwrap();
        let settings = Settings {
            most_pages: Some(20),
            ..Settings::default()
        };
        let writer = writer(&folder, &settings);
        let large = writer
            .run(Lane::Control, |connection| -> Result<(), Fault> {
                connection.execute("INSERT INTO t (b) VALUES (zeroblob(200000))", [])?;
                Ok(())
            })
            .await;
        assert!(large.is_err());
        assert_eq!(writer.run(Lane::Control, insert(1)).await.unwrap(), 1);
        assert_eq!(count(&folder), 1);
    }
}
