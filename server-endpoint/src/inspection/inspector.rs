//! The loop of inspection: which file is next, how many at once, and when to try again.
//!
//! One task owns all that is remembered, and none of it matters after a crash: which files are under way,
//! how often one of them failed, whether the scanner answers. Files that cannot go on stand aside, so
//! that those behind them have their turn (P6); while the scanner is away, files are assembled and wait
//! for it.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use branchline_protocol::id::FileId;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::pauses::Pauses;
use super::scanner_watch::{ScannerWatch, Scanning};
use super::steps::{Hint, Outcome, Steps};
use super::{Fault, recovery};
use crate::ledger::FileRecord;

/// Files inspected at once: one waits for the scanner while the other is read. More would take disk and
/// processor from those who bring files.
const AT_ONCE: usize = 2;
/// Files looked at when choosing the next: enough to see past those that stand aside.
const WINDOW: usize = 128;
/// How often the ledger is asked for files, where nothing says that there are some.
const LOOK: Duration = Duration::from_millis(500);
/// Files whose failures are remembered.
const REMEMBERED: usize = 4_096;
/// Failures after which a file waits out its pause although the scanner is back: it may be the file that
/// brought it down.
const TRUSTED_ATTEMPTS: u32 = 2;

/// Inspects files until it is told to stop.
pub struct Inspector {
    steps: Steps,
    pauses: Pauses,
    under_way: HashSet<FileId>,
    memory: HashMap<FileId, Memory>,
    scanner: ScannerState,
    watch: ScannerWatch,
    work: JoinSet<Finished>,
}

/// What is remembered of a file that did not come as far as it goes.
#[derive(Debug, Clone, Copy)]
struct Memory {
    proven: bool,
    /// Times that the scanner gave no verdict on it.
    unjudged: u32,
    /// Times in a row that it failed, of whatever cause.
    failures: u32,
    not_before: Instant,
    /// It has nothing to do but be scanned.
    awaits_scanner: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ScannerState {
    There,
    Away { pings: u32, next: Instant },
    Asked { pings: u32 },
}

enum Finished {
    File(FileId, Hint, Result<Outcome, Fault>),
    Ping(bool),
    Recovery(Result<(), Fault>),
}

impl Inspector {
    /// An inspector that has not begun.
    pub fn new(steps: Steps, pauses: Pauses) -> Self {
        let watch = ScannerWatch::default();
        if steps.scanner.is_some() {
            watch.say(Scanning::There);
        }
        Self {
            watch,
            steps,
            pauses,
            under_way: HashSet::new(),
            memory: HashMap::new(),
            scanner: ScannerState::There,
            work: JoinSet::new(),
        }
    }

    /// Says how the scanner does, also while it runs.
    pub fn scanner_watch(&self) -> ScannerWatch {
        self.watch.clone()
    }

    /// Inspects until `stopping`. What is under way then is given up: it can be repeated.
    pub async fn run(mut self, stopping: CancellationToken) {
        self.greet_scanner().await;
        let steps = self.steps.clone();
        self.work.spawn(async move {
            let (ledger, vault) = (steps.ledger.as_ref(), steps.vault.as_ref());
            Finished::Recovery(recovery::recover(ledger, vault).await)
        });
        while !stopping.is_cancelled() {
            self.take_files().await;
            self.ask_scanner();
            let wake = self.wake();
            tokio::select! {
                () = stopping.cancelled() => {}
                () = sleep_until(wake) => {}
                Some(finished) = self.work.join_next() => match finished {
                    Ok(finished) => self.finished(finished),
                    // Which file it was is not known any more: all are looked at again.
                    Err(fault) => {
                        tracing::error!(error = %fault, "inspection of a file broke off");
                        self.work.abort_all();
                        while self.work.join_next().await.is_some() {}
                        self.under_way.clear();
                        self.scanner = ScannerState::There;
                    }
                },
            }
        }
        self.work.shutdown().await;
    }

    /// Says at start whether files can be scanned.
    async fn greet_scanner(&mut self) {
        let Some(scanner) = &self.steps.scanner else {
            tracing::warn!(
                "no virus scanner is configured: files are held until a person releases them"
            );
            return;
        };
        let socket = scanner.clamd.socket().display();
        match scanner.clamd.version().await {
            Ok(version) => tracing::info!(%socket, %version, "the virus scanner answers"),
            Err(fault) => {
                tracing::warn!(%socket, error = %fault, "the virus scanner does not answer: files wait for it");
                self.scanner_is_away();
            }
        }
    }

    /// Begins with as many files as there is room for.
    async fn take_files(&mut self) {
        if self.under_way.len() >= AT_ONCE {
            return;
        }
        // While the ledger is away there is nothing to do; it is asked again with the next look.
        let Ok(files) = self.steps.ledger.to_inspect(WINDOW).await else {
            return;
        };
        self.forget(&files);
        for file in files {
            if self.under_way.len() >= AT_ONCE {
                return;
            }
            if self.may_begin(file.id) {
                self.begin(file);
            }
        }
    }

    fn may_begin(&self, file: FileId) -> bool {
        if self.under_way.contains(&file) {
            return false;
        }
        self.memory.get(&file).is_none_or(|memory| {
            let waits = memory.awaits_scanner && self.scanner != ScannerState::There;
            !waits && memory.not_before <= Instant::now()
        })
    }

    fn begin(&mut self, file: FileRecord) {
        let memory = self.memory.get(&file.id);
        let hint = Hint {
            proven: memory.is_some_and(|memory| memory.proven),
            attempts: memory.map_or(0, |memory| memory.unjudged),
            scanner_away: self.scanner != ScannerState::There,
        };
        let steps = self.steps.clone();
        self.under_way.insert(file.id);
        self.work.spawn(async move {
            let id = file.id;
            Finished::File(id, hint, steps.inspect(file, hint).await)
        });
    }

    fn finished(&mut self, finished: Finished) {
        match finished {
            Finished::File(file, hint, outcome) => {
                self.under_way.remove(&file);
                self.file_finished(file, hint, outcome);
            }
            Finished::Ping(true) => self.scanner_is_back(),
            Finished::Ping(false) => self.scanner_is_away(),
            Finished::Recovery(Ok(())) => tracing::debug!("every judged file is where it belongs"),
            // Reads ask the ledger and set it right themselves; the next start looks again.
            Finished::Recovery(Err(fault)) => {
                tracing::warn!(error = %fault, "look through judged files");
            }
        }
    }

    fn file_finished(&mut self, file: FileId, hint: Hint, outcome: Result<Outcome, Fault>) {
        let mut memory = Memory {
            proven: false,
            unjudged: hint.attempts,
            failures: self.memory.get(&file).map_or(0, |memory| memory.failures) + 1,
            not_before: Instant::now(),
            awaits_scanner: false,
        };
        match outcome {
            Ok(Outcome::Done) => {
                self.memory.remove(&file);
                return;
            }
            Ok(Outcome::AwaitsScanner) => {
                memory.proven = true;
                memory.awaits_scanner = true;
                memory.failures -= 1;
                if !hint.scanner_away {
                    self.scanner_is_away();
                }
            }
            Ok(Outcome::NoVerdict { answers }) => {
                memory.proven = true;
                memory.awaits_scanner = true;
                memory.unjudged += 1;
                memory.not_before += self.pauses.after(memory.unjudged);
                if !answers {
                    self.scanner_is_away();
                }
            }
            Ok(Outcome::Decayed) => memory.not_before += self.pauses.after(memory.failures),
            Err(fault) => {
                tracing::warn!(%file, error = %fault, "inspect a file; it is tried again");
                memory.not_before += self.pauses.after(memory.failures);
            }
        }
        self.memory.insert(file, memory);
    }

    fn scanner_is_away(&mut self) {
        let pings = match self.scanner {
            ScannerState::There => {
                tracing::warn!("the virus scanner is away: verdicts wait for it");
                0
            }
            ScannerState::Away { .. } => return,
            ScannerState::Asked { pings } => pings,
        };
        let pings = pings.saturating_add(1);
        // It is asked at least every half minute: asking costs nothing.
        let pause = self.pauses.after(pings).min(Duration::from_secs(30));
        let next = Instant::now() + pause;
        self.scanner = ScannerState::Away { pings, next };
        self.watch.say(Scanning::Away);
    }

    fn scanner_is_back(&mut self) {
        tracing::info!("the virus scanner answers again");
        self.watch.say(Scanning::There);
        self.scanner = ScannerState::There;
        let now = Instant::now();
        for memory in self.memory.values_mut() {
            if memory.awaits_scanner && memory.unjudged <= TRUSTED_ATTEMPTS {
                memory.not_before = now;
            }
        }
    }

    /// Asks a scanner that was away whether it is back.
    fn ask_scanner(&mut self) {
        let ScannerState::Away { pings, next } = self.scanner else {
            return;
        };
        let Some(scanner) = &self.steps.scanner else {
            return;
        };
        if next > Instant::now() {
            return;
        }
        self.scanner = ScannerState::Asked { pings };
        let clamd = scanner.clamd.clone();
        self.work
            .spawn(async move { Finished::Ping(clamd.ping().await.is_ok()) });
    }

    /// When to look again, if nothing happens before.
    fn wake(&self) -> Instant {
        let look = Instant::now() + LOOK;
        match self.scanner {
            ScannerState::Away { next, .. } => look.min(next),
            _ => look,
        }
    }

    /// Forgets files that inspection has nothing to do with any more, when there are too many.
    fn forget(&mut self, window: &[FileRecord]) {
        if self.memory.len() > REMEMBERED {
            let known: HashSet<FileId> = window.iter().map(|file| file.id).collect();
            self.memory.retain(|file, _| known.contains(file));
        }
    }
}
