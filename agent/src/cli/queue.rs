//! `queue`: a look into the journal's file for IT, whether the agent runs or not.

use std::io::{BufWriter, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde::Serialize;

use crate::config::Config;
use crate::store::JOURNAL_FILE;
use crate::store::inspect::{Inspection, QueueLine, Verification};
use crate::store::owner::journal_of;

mod files;

use super::{CliError, FOUND_SOMETHING, output};

#[derive(Debug, Subcommand)]
pub(super) enum QueueCommand {
    /// List what waits for central, oldest first
    List(ListArgs),
    /// Read the whole journal, and the files that wait if the agent is stopped, and check them
    Verify(VerifyArgs),
    /// Write the journal out, one operation a line, whatever can be read of it
    Export(ExportArgs),
}

#[derive(Debug, Args)]
pub(super) struct ListArgs {
    /// How many
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    limit: u32,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct VerifyArgs {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct ExportArgs {
    /// Ids and chain digests only, for `branchline-server audit`
    #[arg(long)]
    digest: bool,
    /// Write to this file instead of standard output
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

pub(super) fn execute(command: QueueCommand, config: &Config) -> Result<ExitCode, CliError> {
    let journal = config.data_dir.join(JOURNAL_FILE);
    if let Err(fault) = journal.metadata()
        && fault.kind() == std::io::ErrorKind::NotFound
    {
        let path = journal.display();
        return Err(CliError::call_it(format!(
            "there is no journal at {path}; the agent makes it at its first start"
        )));
    }
    let journal = Inspection::open(&journal).map_err(|fault| {
        CliError::call_it(format!(
            "{fault} (the journal can be read by the service and by IT only)"
        ))
    })?;
    match command {
        QueueCommand::List(args) => list(&args, &journal),
        QueueCommand::Verify(args) => verify(&args, &journal, &config.data_dir),
        QueueCommand::Export(args) => export(&args, config, &journal),
    }
}

#[derive(Serialize)]
struct Waiting<'a> {
    waiting: u64,
    operations: &'a [QueueLine],
}

fn list(args: &ListArgs, journal: &Inspection) -> Result<ExitCode, CliError> {
    let (lines, waiting) = journal
        .waiting(args.limit as usize)
        .map_err(CliError::call_it)?;
    if args.json {
        output::json(&Waiting {
            waiting,
            operations: &lines,
        });
        return Ok(ExitCode::SUCCESS);
    }
    if lines.is_empty() {
        output::line("Nothing waits; central has everything.");
        return Ok(ExitCode::SUCCESS);
    }
    output::line(&format!(
        "{:>9} {:<24} {:<17} {:>7} ABOUT",
        "SEQ", "ASKED AT", "KIND", "BYTES"
    ));
    for line in &lines {
        let at = line
            .at
            .map_or_else(String::new, |at| at.to_string().chars().take(19).collect());
        let kind = output::cell(&line.kind, 17);
        let about = output::cell(&line.about, 60);
        output::line(&format!(
            "{:>9} {at:<24} {kind:<17} {:>7} {about}",
            line.seq.0, line.bytes
        ));
    }
    let shown = lines.len() as u64;
    if shown < waiting {
        output::line(&format!(
            "… and {} more (--limit)",
            output::count(waiting - shown)
        ));
    }
    Ok(ExitCode::SUCCESS)
}

#[derive(Serialize)]
struct Verified {
    #[serde(flatten)]
    journal: Verification,
    files: files::Found,
}

fn verify(args: &VerifyArgs, journal: &Inspection, folder: &Path) -> Result<ExitCode, CliError> {
    let found = journal.verify(progress).map_err(CliError::call_it)?;
    output::progress_done();
    let files = files::verify(journal, folder).map_err(CliError::call_it)?;
    output::progress_done();
    let sound = found.damaged.is_empty() && found.disagreeing.is_empty();
    let all_sound = sound && files.is_sound();
    if args.json {
        output::json(&Verified {
            journal: found,
            files,
        });
    } else {
        output::line(&format!(
            "{} operations in the journal, {} waiting: {} damaged, {} not as acknowledged — {}",
            output::count(found.operations),
            output::count(found.waiting),
            found.damaged.len(),
            found.disagreeing.len(),
            if sound {
                "sound"
            } else {
                "call IT; the agent sends what is sound"
            },
        ));
        for position in found.damaged.iter().take(20) {
            output::line(&format!("damaged: position {position}"));
        }
        files.show();
    }
    Ok(if all_sound {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(FOUND_SOMETHING)
    })
}

fn progress(done: u64, total: u64) {
    let (done, total) = (output::count(done), output::count(total));
    output::progress(&format!("{done} of {total} operations"));
}

fn export(args: &ExportArgs, config: &Config, journal: &Inspection) -> Result<ExitCode, CliError> {
    let place = args.output.as_deref().map_or_else(
        || "write to standard output".to_owned(),
        |path| format!("write {}", path.display()),
    );
    let mut out: Box<dyn Write> = match &args.output {
        Some(path) => {
            refuse_own_folder(path, config)?;
            let file = std::fs::File::create(path);
            Box::new(file.map_err(|fault| CliError::fix_input(format!("{place}: {fault}")))?)
        }
        None => Box::new(std::io::stdout().lock()),
    };
    let mut out = BufWriter::with_capacity(64 * 1024, &mut out);
    let into_file = args.output.is_some();
    let progress = |done, total| {
        if into_file {
            progress(done, total);
        }
    };
    let written = if args.digest {
        let owner = journal_of(&config.data_dir).ok_or_else(|| {
            CliError::call_it("the journal does not say whose it is: start the agent once")
        })?;
        journal.export_digests(owner.agent, &owner.branch, &mut out, progress)
    } else {
        // Exact bytes for programs; whoever looks at them is protected from them.
        let looked_at = args.output.is_none() && std::io::stdout().is_terminal();
        if looked_at {
            journal.export_operations(&mut output::Visible(&mut out), progress)
        } else {
            journal.export_operations(&mut out, progress)
        }
    };
    let written = written.and_then(|()| out.flush());
    if into_file {
        output::progress_done();
    }
    match written {
        // `| head` has seen enough.
        Err(fault) if fault.kind() == std::io::ErrorKind::BrokenPipe => Ok(ExitCode::SUCCESS),
        Err(fault) => Err(CliError::call_it(format!("{place}: {fault}"))),
        Ok(()) => Ok(ExitCode::SUCCESS),
    }
}

/// An export over the journal would be the end of what waits in it.
fn refuse_own_folder(path: &Path, config: &Config) -> Result<(), CliError> {
    let real = |path: &Path| std::fs::canonicalize(path).ok();
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    let into = real(path).or_else(|| real(folder.unwrap_or(Path::new("."))));
    let own = real(&config.data_dir);
    if let (Some(into), Some(own)) = (into, own)
        && into.starts_with(own)
    {
        let path = path.display();
        return Err(CliError::fix_input(format!(
            "write {path}: this is in the agent's data folder, which is the agent's alone; choose \
             another"
        )));
    }
    Ok(())
}
