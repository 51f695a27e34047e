//! `readmodel rebuild`, `readmodel status`: what central support searches and reads.

use std::path::Path;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::json;

use super::{Failure, block_on, open_ledger, output};
use crate::desk::read_model::{FOLDER, ReadModelError, wish};
use crate::ledger::Ledger;

#[derive(Debug, Subcommand)]
pub(super) enum ReadModelCommand {
    /// Have the server build it anew from the ledger; the old one answers until the new one has caught up
    Rebuild,
    /// How far it is
    Status(StatusArgs),
}

#[derive(Debug, Args)]
pub(super) struct StatusArgs {
    /// JSON, for programs
    #[arg(long)]
    json: bool,
}

impl From<ReadModelError> for Failure {
    fn from(fault: ReadModelError) -> Self {
        match fault {
            ReadModelError::Ledger(fault) => fault.into(),
            ReadModelError::Away(_) | ReadModelError::Damaged(_) => {
                Self::call_it(fault.to_string())
            }
        }
    }
}

pub(super) fn execute(data_dir: &Path, command: &ReadModelCommand) -> Result<ExitCode, Failure> {
    match command {
        ReadModelCommand::Rebuild => rebuild(data_dir),
        ReadModelCommand::Status(args) => status(data_dir, args),
    }
}

fn rebuild(data_dir: &Path) -> Result<ExitCode, Failure> {
    // There must be something to build it from.
    drop(open_ledger(data_dir)?);
    wish::make(&data_dir.join(FOLDER))?;
    output::line(
        "the server builds the read model anew, now or when it starts; questions are answered from the \
         old one until then, and `branchline-server readmodel status` shows when it is done",
    );
    Ok(ExitCode::SUCCESS)
}

fn status(data_dir: &Path, args: &StatusArgs) -> Result<ExitCode, Failure> {
    let ledger = open_ledger(data_dir)?;
    let folder = data_dir.join(FOLDER);
    let (standing, news) = block_on(async {
        let standing = wish::standing(&folder).await?;
        Ok((standing, ledger.news(None).await?))
    })?;
    let position = standing.as_ref().map_or(0, |standing| standing.position);
    let waits = news.through.saturating_sub(position);
    let wished = wish::is_there(&folder);
    if args.json {
        output::json(&json!({
            "position": position,
            "ledger_position": news.through,
            "waiting": waits,
            "rebuild_wished": wished,
        }));
        return Ok(ExitCode::SUCCESS);
    }
    let Some(standing) = standing else {
        output::line("no read model yet; the server builds it when it runs");
        return Ok(ExitCode::SUCCESS);
    };
    output::line(&format!(
        "{}: {} of {} events",
        standing.file.display(),
        output::count(position),
        output::count(news.through)
    ));
    if wished {
        output::line("it is to be built anew");
    }
    Ok(ExitCode::SUCCESS)
}
