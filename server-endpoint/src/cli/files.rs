//! `files`: what became of attached files, their content, and what a person decides about them.
//!
//! Works beside a running server: both ask the same ledger, and a file that is to be scanned again is
//! found there by the server.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use branchline_protocol::id::{BranchCode, FileId};
use branchline_protocol::time::UnixMillis;
use clap::{Args, Subcommand};
use futures_util::{StreamExt, TryStreamExt, stream};
use serde_json::json;

use super::{Failure, acting, block_on, open_ledger, output};
use crate::config::Config;
use crate::inspection::{self, Decided, Fault, ReleaseFault};
use crate::ledger::sqlite::SqliteLedger;
use crate::ledger::{FileFilter, FileLedger, FileRecord, IdentityLedger, now};
use crate::vault::{self, FsVault, VaultError};

mod get;
mod show;

pub(super) use show::since;

/// Verifying found something.
const FOUND_SOMETHING: u8 = 3;
/// Files asked of the ledger at once.
const PAGE: usize = 500;
/// Files put before inspection at once: the ledger commits them together.
const TOGETHER: usize = 64;
/// What may be scanned again without being named.
const JUDGED: [&str; 4] = ["clean", "held", "too_large", "released"];

#[derive(Debug, Subcommand)]
pub(super) enum FilesCommand {
    /// List files in the order of attaching
    List(ListArgs),
    /// Show one file, and what can be done about it
    Show(ShowArgs),
    /// Write the content of a clean or released file to a new file
    Get(get::GetArgs),
    /// Release a file that is held or too large to scan, on record
    Release(ReleaseArgs),
    /// Have files scanned again, when signatures improved; meanwhile they stay what they are
    Rescan(RescanArgs),
    /// Read everything in the vault and say what is damaged; exit code 3 if anything is
    Verify(VerifyArgs),
}

#[derive(Debug, Args)]
pub(super) struct ListArgs {
    /// Only this branch's
    #[arg(long)]
    branch: Option<BranchCode>,
    /// Only those in this state, such as held
    #[arg(long, value_parser = show::state_word)]
    state: Option<&'static str>,
    /// At most so many
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    limit: u32,
    /// Only those behind this one: the last one of the page before
    #[arg(long, value_name = "ID")]
    after: Option<FileId>,
    /// JSON, for programs
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct ShowArgs {
    /// The file's id, as `files list` shows it
    id: FileId,
    /// JSON, for programs
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct ReleaseArgs {
    /// The file's id
    id: FileId,
    /// Who releases it
    #[arg(long, value_name = "NAME")]
    by: String,
    /// Why
    #[arg(long, value_name = "TEXT")]
    reason: String,
}

#[derive(Debug, Args)]
#[group(id = "which", required = true, multiple = false)]
pub(super) struct RescanArgs {
    /// These files
    #[arg(group = "which")]
    ids: Vec<FileId>,
    /// All that are held or too large to scan
    #[arg(long, group = "which")]
    all_held: bool,
    /// All that were judged on or after this day (2026-11-21) or time (2026-11-21T06:00:00Z)
    #[arg(long, group = "which", value_name = "DATE", value_parser = show::since)]
    since: Option<i64>,
}

#[derive(Debug, Args)]
pub(super) struct VerifyArgs {
    /// Only this file; all without
    id: Option<FileId>,
    /// One JSON object per file that is damaged, for programs
    #[arg(long)]
    json: bool,
}

pub(super) fn execute(data_dir: &Path, command: FilesCommand) -> Result<ExitCode, Failure> {
    let central = Central::open(data_dir)?;
    match command {
        FilesCommand::List(args) => list(&central, args),
        FilesCommand::Show(args) => {
            let file = block_on(central.file(args.id))?;
            if args.json {
                output::json(&show::record_json(&file));
            } else {
                show::show(&file);
            }
            Ok(ExitCode::SUCCESS)
        }
        FilesCommand::Get(args) => get::execute(&central, &args),
        FilesCommand::Release(args) => block_on(release(&central, &args)),
        FilesCommand::Rescan(args) => block_on(rescan(&central, args)),
        FilesCommand::Verify(args) => block_on(verify(&central, &args)),
    }
}

/// Central's stores, opened beside whoever else uses them.
struct Central {
    ledger: Arc<SqliteLedger>,
    vault: FsVault,
    path: PathBuf,
}

impl Central {
    fn open(data_dir: &Path) -> Result<Self, Failure> {
        let config = Config::read(data_dir)?;
        let path = data_dir.join(vault::FOLDER);
        Ok(Self {
            ledger: Arc::new(open_ledger(data_dir)?),
            vault: FsVault::new(path.clone(), config.files.reserve_bytes()),
            path,
        })
    }

    async fn file(&self, id: FileId) -> Result<FileRecord, Failure> {
        self.ledger.file(id).await?.ok_or_else(|| unknown(id))
    }
}

fn unknown(id: FileId) -> Failure {
    Failure::fix_input(format!(
        "central has no file {id}; `branchline-server files list` shows what it has"
    ))
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Ledger(fault) => fault.into(),
            Fault::Vault(fault @ VaultError::Full(_)) => {
                Self::call_it(format!("{fault}; make room on its disk"))
            }
            Fault::Vault(fault) => Self::call_it(format!(
                "{fault}; look at the disk that holds it, and at who may read it"
            )),
        }
    }
}

fn list(central: &Central, args: ListArgs) -> Result<ExitCode, Failure> {
    let most = usize::try_from(args.limit).unwrap_or(usize::MAX);
    let filter = FileFilter {
        branch: args.branch,
        state: args.state,
        after: args.after,
        // One more tells whether there are more.
        most: most.saturating_add(1),
        ..FileFilter::default()
    };
    let mut files = block_on(async { Ok(central.ledger.files(filter).await?) })?;
    let more = files.len() > most;
    files.truncate(most);
    if args.json {
        let rows: Vec<_> = files.iter().map(show::record_json).collect();
        output::json(&json!({ "files": rows, "more": more }));
        return Ok(ExitCode::SUCCESS);
    }
    if files.is_empty() {
        output::line("no files");
        return Ok(ExitCode::SUCCESS);
    }
    output::table(&show::table(&files));
    if let Some(last) = files.last().filter(|_| more) {
        output::line(&format!("more: --after {}", last.id));
    }
    Ok(ExitCode::SUCCESS)
}

async fn release(central: &Central, args: &ReleaseArgs) -> Result<ExitCode, Failure> {
    let (ledger, vault) = (central.ledger.as_ref(), &central.vault);
    let decided = Decided {
        by: args.by.clone(),
        reason: args.reason.clone(),
        actor: acting::deed("", "", String::new()).actor,
    };
    let released = inspection::release(ledger, vault, args.id, &decided).await;
    let file = released.map_err(|fault| match fault {
        ReleaseFault::Fault(fault) => fault.into(),
        ReleaseFault::Unknown(id) => unknown(id),
        ReleaseFault::Damaged => Failure::call_it(fault.to_string()),
        ReleaseFault::Moved => Failure {
            class: branchline_protocol::problem::ErrorClass::TryAgain,
            message: fault.to_string(),
        },
        fault => Failure::fix_input(fault.to_string()),
    })?;
    output::line(&format!(
        "released {} of {} without a scan, by {}: {}",
        output::cell(&file.name, 80),
        file.number,
        output::safe(&args.by),
        output::safe(&args.reason)
    ));
    Ok(ExitCode::SUCCESS)
}

async fn rescan(central: &Central, args: RescanArgs) -> Result<ExitCode, Failure> {
    for id in &args.ids {
        central.file(*id).await?;
    }
    record_rescan(central, &args).await?;
    let asked = if args.ids.is_empty() {
        let words: &[&'static str] = if args.all_held {
            &["held", "too_large"]
        } else {
            &JUDGED
        };
        let since = args.since.unwrap_or(i64::MIN);
        let mut asked = 0;
        for word in words {
            asked += rescan_all(central, word, since).await?;
        }
        asked
    } else {
        scan_again(central, args.ids.clone()).await?
    };
    if asked < args.ids.len() as u64 {
        let message = format!(
            "{asked} of {} files are to be scanned again; the others were not judged yet, or never \
             will be: corrupt, expired",
            args.ids.len()
        );
        return Err(Failure::fix_input(message));
    }
    output::line(&format!(
        "{} to be scanned again; the server does it while it runs, and `files list` shows the verdicts",
        match asked {
            1 => "1 file".to_owned(),
            count => format!("{} files", output::count(count)),
        }
    ));
    Ok(ExitCode::SUCCESS)
}

/// Before it is done: what is asked for twice does no harm, and what is not recorded would not be known.
async fn record_rescan(central: &Central, args: &RescanArgs) -> Result<(), Failure> {
    let action = "file-scan-again";
    if args.ids.is_empty() {
        let which = match args.since {
            None => "all that are held or too large".to_owned(),
            Some(since) => format!("all judged since {}", UnixMillis(since).to_rfc3339()),
        };
        let deed = acting::deed(action, "files", which);
        return Ok(central.ledger.record(deed).await?);
    }
    for id in &args.ids {
        let deed = acting::deed(action, id.to_string(), String::new());
        central.ledger.record(deed).await?;
    }
    Ok(())
}

async fn rescan_all(central: &Central, word: &'static str, since: i64) -> Result<u64, Failure> {
    let mut asked = 0;
    let mut after = None;
    loop {
        let filter = FileFilter {
            state: Some(word),
            after,
            most: PAGE,
            ..FileFilter::default()
        };
        let files = central.ledger.files(filter).await?;
        after = files.last().map(|file| file.id);
        if after.is_none() {
            return Ok(asked);
        }
        let ids = files
            .iter()
            .filter(|file| file.state_since.0 >= since)
            .map(|file| file.id)
            .collect();
        asked += scan_again(central, ids).await?;
    }
}

async fn scan_again(central: &Central, ids: Vec<FileId>) -> Result<u64, Failure> {
    let at = now();
    let asked: Vec<bool> = stream::iter(ids)
        .map(|id| central.ledger.scan_again(id, at))
        .buffer_unordered(TOGETHER)
        .try_collect()
        .await?;
    Ok(asked.iter().filter(|asked| **asked).count() as u64)
}

async fn verify(central: &Central, args: &VerifyArgs) -> Result<ExitCode, Failure> {
    let mut totals = show::Totals::default();
    if let Some(id) = args.id {
        let file = central.file(id).await?;
        verify_one(central, &file, args.json, &mut totals).await?;
    } else {
        let mut after = None;
        loop {
            let filter = FileFilter {
                after,
                most: PAGE,
                ..FileFilter::default()
            };
            let files = central.ledger.files(filter).await?;
            after = files.last().map(|file| file.id);
            if after.is_none() {
                break;
            }
            for file in &files {
                verify_one(central, file, args.json, &mut totals).await?;
            }
        }
    }
    if !args.json {
        output::line(&totals.words(&central.path));
    }
    Ok(if totals.damaged_files == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(FOUND_SOMETHING)
    })
}

async fn verify_one(
    central: &Central,
    file: &FileRecord,
    json: bool,
    totals: &mut show::Totals,
) -> Result<(), Failure> {
    let proof = inspection::prove(central.ledger.as_ref(), &central.vault, file).await?;
    totals.add(&proof);
    if proof.is_sound() {
        return Ok(());
    }
    // Where it was judged or expired meanwhile, what was missing need not be there any more.
    let now = central.ledger.file(file.id).await?;
    if now.is_some_and(|now| now.version != file.version) {
        let proof = inspection::prove(central.ledger.as_ref(), &central.vault, file).await?;
        if proof.is_sound() {
            return Ok(());
        }
    }
    totals.damaged_files += 1;
    if json {
        let text = serde_json::to_string(&show::proof_json(file, &proof));
        output::line(&output::safe_json(&text.unwrap_or_default()));
    } else {
        show::damage(file, &proof);
    }
    Ok(())
}
