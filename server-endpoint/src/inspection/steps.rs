//! One file, from where it stands as far as it goes: each step in its order, and what it leaves behind.

use std::collections::BTreeMap;
use std::sync::Arc;

use branchline_durable_sqlite::crash_point;
use branchline_protocol::file::FileState;
use branchline_protocol::id::Digest;
use branchline_protocol::manifest::ChunkRef;
use branchline_protocol::time::UnixMillis;

use super::assemble::{self, Assembled, WholeFile};
use super::clamd::{Answer, Clamd, ScanFault, Stream};
use super::proof::place_words;
use super::sniff::{self, Sniffed};
use super::verdict::{self, Decision, Scanned};
use super::{Fault, recovery};
use crate::ledger::{ChunkPlace, FileRecord, Ledger, MoveFile, now};
use crate::vault::{Shelf, Vault, VaultError};

/// Objects with damaged chunks that one file names in the log.
const NAMED_OBJECTS: usize = 20;
/// What a file says while the scanner is away.
const AWAY: &str = "the virus scanner does not answer; the verdict comes by itself when it does";

/// The scanner, and what is handed to it.
#[derive(Debug, Clone)]
pub struct Scanner {
    /// Where it is.
    pub clamd: Clamd,
    /// Bytes of the largest file that it is asked about: clamd says OK of what is beyond its own limits,
    /// without having looked.
    pub largest: u64,
}

/// What the steps are made with.
#[derive(Clone)]
pub struct Steps {
    /// Central's ledger.
    pub ledger: Arc<dyn Ledger>,
    /// Central's file bytes.
    pub vault: Arc<dyn Vault>,
    /// Without one, files are held.
    pub scanner: Option<Scanner>,
}

/// What is known of a file from attempts before this one, in this process.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Hint {
    /// It was assembled or proven; the scan proves it again.
    pub(super) proven: bool,
    /// How often the scanner failed on it.
    pub(super) attempts: u32,
    /// The scanner does not answer just now: go as far as possible without it.
    pub(super) scanner_away: bool,
}

/// How far a file came.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// As far as it goes: judged, waiting for chunks again, or no longer as it was seen.
    Done,
    /// Assembled; only the scanner is missing.
    AwaitsScanner,
    /// The scanner gave no verdict on it.
    NoVerdict {
        /// Whether it answers otherwise.
        answers: bool,
    },
    /// It is not in the vault as it was a moment ago: begin again.
    Decayed,
}

impl Steps {
    /// Takes a file as far as it goes.
    pub(super) async fn inspect(&self, file: FileRecord, hint: Hint) -> Result<Outcome, Fault> {
        if file.state.is_settled() {
            return self.scan_again(file, hint).await;
        }
        let Some(file) = self.begin(file).await? else {
            return Ok(Outcome::Done);
        };
        crash_point::reach("inspection-begun");
        let on = match self.prove(&file, hint).await? {
            Assembled::Whole(on) => on,
            Assembled::Damaged(chunks) => return self.ask_for_chunks(&file, chunks).await,
            Assembled::OtherRoot(found) => return self.refuse(&file, found).await,
            Assembled::Incomplete => return Ok(Outcome::Decayed),
        };
        crash_point::reach("inspection-assembled");
        let freed = self.ledger.settle_chunks(file.id).await?;
        crash_point::reach("inspection-settled");
        self.vault.delete_objects(freed).await?;
        let scanned = match self.scan(&file, on, hint).await? {
            Ok(scanned) => scanned,
            Err(outcome) => return self.note_away(&file, outcome).await,
        };
        match verdict::decide(file.size, scanned.clone()) {
            Decision::Judge { state, remark } => {
                self.judge(&file, on, state).await?;
                if let Some(remark) = remark {
                    self.ledger.note_trouble(file.id, Some(remark)).await?;
                }
                Ok(Outcome::Done)
            }
            Decision::TryLater(trouble) => {
                self.note(&file, &trouble).await?;
                let answers = matches!(
                    scanned,
                    Scanned::Failed {
                        answers_others: true,
                        ..
                    }
                );
                Ok(Outcome::NoVerdict { answers })
            }
        }
    }

    /// From received to scanning; `None` where somebody else moved it.
    async fn begin(&self, file: FileRecord) -> Result<Option<FileRecord>, Fault> {
        if file.state != FileState::Received {
            return Ok(Some(file));
        }
        let moved = MoveFile {
            file: file.id,
            version: file.version,
            state: FileState::Scanning,
            sniffed: None,
            disguised: false,
            deed: None,
            at: now(),
        };
        Ok(self.ledger.move_file(moved).await?)
    }

    async fn prove(&self, file: &FileRecord, hint: Hint) -> Result<Assembled, Fault> {
        let (ledger, vault) = (self.ledger.as_ref(), self.vault.as_ref());
        if hint.proven {
            // Whoever scans it hashes it again.
            for on in [Shelf::Released, Shelf::Quarantine] {
                if vault.file_size(on, file.root).await? == Some(file.size) {
                    return Ok(Assembled::Whole(on));
                }
            }
        }
        assemble::assemble(ledger, vault, file).await
    }

    /// Central lacks these chunks from now on, and the branch sends them again.
    async fn ask_for_chunks(
        &self,
        file: &FileRecord,
        chunks: Vec<(ChunkRef, ChunkPlace)>,
    ) -> Result<Outcome, Fault> {
        let mut by_place: BTreeMap<String, u32> = BTreeMap::new();
        for (_, place) in &chunks {
            *by_place.entry(place_words(*place)).or_default() += 1;
        }
        for (place, chunks) in by_place.iter().take(NAMED_OBJECTS) {
            tracing::warn!(file = %file.id, %place, chunks, "chunks in the vault are damaged");
        }
        let damaged = chunks.len();
        let waiting = self.ledger.lose_chunks(chunks, now()).await?;
        tracing::warn!(
            file = %file.id, ticket = %file.number, damaged, objects = by_place.len(),
            files = waiting.len(), "damaged chunks are asked for again"
        );
        Ok(Outcome::Done)
    }

    /// Its chunks are proven, and together they are another file.
    async fn refuse(&self, file: &FileRecord, found: Digest) -> Result<Outcome, Fault> {
        tracing::warn!(
            file = %file.id, ticket = %file.number, announced = %file.root, %found,
            "a file is not the one that was announced"
        );
        self.move_to(file, FileState::Corrupt, None).await?;
        Ok(Outcome::Done)
    }

    /// Asks the scanner about exactly the bytes that the root names; `Err` where there is nothing to
    /// decide on yet.
    async fn scan(
        &self,
        file: &FileRecord,
        on: Shelf,
        hint: Hint,
    ) -> Result<Result<Scanned, Outcome>, Fault> {
        let Some(scanner) = &self.scanner else {
            return Ok(Ok(Scanned::NoScanner));
        };
        if file.size == 0 || file.size > scanner.largest {
            return Ok(Ok(Scanned::NotAsked));
        }
        if hint.scanner_away {
            return Ok(Err(Outcome::AwaitsScanner));
        }
        let stream = match scanner.clamd.begin().await {
            Ok(stream) => stream,
            // It never saw the file: nothing can be said of that.
            Err(fault) => {
                tracing::debug!(error = %fault, "ask the virus scanner");
                return Ok(Err(Outcome::AwaitsScanner));
            }
        };
        let mut bytes = WholeFile::new(on, file.root, file.size);
        let answer = tokio::select! {
            answer = hand_over(self.vault.as_ref(), &mut bytes, stream) => answer,
            fault = scanner.clamd.watch() => Ok(Err(fault)),
        };
        match answer {
            // Not all of it was read; it is nobody's to read either.
            Ok(Ok(Answer::TooLarge)) => Ok(Ok(Scanned::Judged(Answer::TooLarge))),
            Ok(Ok(_)) if !bytes.is_proven() => Ok(Err(Outcome::Decayed)),
            Ok(Ok(answer)) => Ok(Ok(Scanned::Judged(answer))),
            Ok(Err(fault)) => Ok(Ok(self.failed(scanner, fault, hint).await)),
            Err(Fault::Vault(VaultError::Missing(_))) => Ok(Err(Outcome::Decayed)),
            Err(fault) => Err(fault),
        }
    }

    async fn failed(&self, scanner: &Scanner, fault: ScanFault, hint: Hint) -> Scanned {
        Scanned::Failed {
            attempt: hint.attempts.saturating_add(1),
            answers_others: scanner.clamd.ping().await.is_ok(),
            fault,
        }
    }

    /// Commits the verdict, and only then lets the disk follow (P5).
    async fn judge(&self, file: &FileRecord, on: Shelf, state: FileState) -> Result<(), Fault> {
        let sniffed = self.sniff(file, on).await?;
        if sniffed.disguised {
            tracing::warn!(
                file = %file.id, ticket = %file.number, content = sniffed.media_type,
                "a file's content is not what its name says"
            );
        }
        let Some(judged) = self.move_to(file, state, Some(sniffed)).await? else {
            tracing::info!(file = %file.id, "a verdict came too late: the file was moved meanwhile");
            return Ok(());
        };
        crash_point::reach("inspection-judged");
        self.follow(&judged).await?;
        crash_point::reach("inspection-followed");
        Ok(())
    }

    /// Puts the file where its committed verdict says.
    async fn follow(&self, judged: &FileRecord) -> Result<(), Fault> {
        if judged.state.is_readable() {
            recovery::promote(self.ledger.as_ref(), self.vault.as_ref(), judged).await?;
        } else if let FileState::Infected { signature } = &judged.state {
            tracing::warn!(
                file = %judged.id, ticket = %judged.number, %signature, root = %judged.root,
                "the virus scanner found something"
            );
            // This is the newest verdict, whatever the clock says of earlier ones.
            let (ledger, vault) = (self.ledger.as_ref(), self.vault.as_ref());
            recovery::condemn(ledger, vault, judged, UnixMillis(i64::MAX)).await?;
        }
        Ok(())
    }

    async fn sniff(&self, file: &FileRecord, on: Shelf) -> Result<Sniffed, Fault> {
        let length = usize::try_from(file.size)
            .map_or(sniff::HEAD_BYTES, |size| size.min(sniff::HEAD_BYTES));
        let head = if length == 0 {
            Vec::new()
        } else {
            self.vault.read_file(on, file.root, 0, length).await?
        };
        Ok(sniff::sniff(&head, &file.name))
    }

    async fn move_to(
        &self,
        file: &FileRecord,
        state: FileState,
        sniffed: Option<Sniffed>,
    ) -> Result<Option<FileRecord>, Fault> {
        let (media_type, disguised) = sniffed.map_or((None, file.disguised), |sniffed| {
            (sniffed.media_type, sniffed.disguised)
        });
        let moved = MoveFile {
            file: file.id,
            version: file.version,
            state,
            sniffed: media_type,
            disguised,
            deed: None,
            at: now(),
        };
        Ok(self.ledger.move_file(moved).await?)
    }

    /// A file that was judged before and is asked about again. It stays what it is until there is
    /// something new to say, and so readable where it was.
    async fn scan_again(&self, file: FileRecord, hint: Hint) -> Result<Outcome, Fault> {
        let Some(on) = self.shelf_of(&file).await? else {
            return self.give_up_again(&file).await;
        };
        let scanned = match self.scan(&file, on, hint).await? {
            Ok(scanned) => scanned,
            Err(Outcome::Decayed) => return self.give_up_again(&file).await,
            Err(outcome) => return self.note_away(&file, outcome).await,
        };
        let answers = !matches!(
            scanned,
            Scanned::Failed {
                answers_others: false,
                ..
            }
        );
        match verdict::decide(file.size, scanned) {
            Decision::TryLater(trouble) => {
                self.note(&file, &trouble).await?;
                return Ok(Outcome::NoVerdict { answers });
            }
            Decision::Judge { state, .. } => match verdict::decide_again(&file.state, state) {
                Some(state) => self.judge(&file, on, state).await?,
                None => self.ledger.keep_verdict(file.id, file.version).await?,
            },
        }
        Ok(Outcome::Done)
    }

    async fn shelf_of(&self, file: &FileRecord) -> Result<Option<Shelf>, Fault> {
        for on in [Shelf::Released, Shelf::Quarantine] {
            if self.vault.file_size(on, file.root).await? == Some(file.size) {
                return Ok(Some(on));
            }
        }
        Ok(None)
    }

    /// Its bytes are not in the vault as they were: there is nothing to ask about.
    async fn give_up_again(&self, file: &FileRecord) -> Result<Outcome, Fault> {
        tracing::error!(
            file = %file.id, ticket = %file.number, root = %file.root,
            "a judged file is damaged in the vault; `files verify` says where"
        );
        self.ledger.keep_verdict(file.id, file.version).await?;
        let trouble = "it is damaged in central's vault; `files verify` says where";
        self.note(file, trouble).await?;
        Ok(Outcome::Done)
    }

    async fn note_away(&self, file: &FileRecord, outcome: Outcome) -> Result<Outcome, Fault> {
        if outcome == Outcome::AwaitsScanner {
            self.note(file, AWAY).await?;
        }
        Ok(outcome)
    }

    async fn note(&self, file: &FileRecord, trouble: &str) -> Result<(), Fault> {
        if file.trouble.as_deref() != Some(trouble) {
            let trouble = Some(trouble.to_owned());
            self.ledger.note_trouble(file.id, trouble).await?;
        }
        Ok(())
    }
}

/// Hands all of a file over, and waits for what the scanner says of it.
async fn hand_over(
    vault: &dyn Vault,
    bytes: &mut WholeFile,
    mut stream: Stream,
) -> Result<Result<Answer, ScanFault>, Fault> {
    while let Some(piece) = bytes.next(vault).await? {
        match stream.send(&piece).await {
            Ok(None) => {}
            Ok(Some(early)) => return Ok(Ok(early)),
            Err(fault) => return Ok(Err(fault)),
        }
    }
    Ok(stream.finish().await)
}
