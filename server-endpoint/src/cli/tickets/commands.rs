//! `tickets reply` and `tickets move`: what the desk does, for scripts and for when the desk is not there.

use std::path::Path;
use std::process::ExitCode;

use branchline_protocol::desk::TicketState;
use branchline_protocol::id::{CommandId, FileId, TicketNumber};
use clap::Args;
use serde_json::json;

use super::super::acting::user;
use super::super::{Failure, block_on, open_ledger, output};
use crate::ledger::sqlite::SqliteLedger;
use crate::ledger::{Change, Command, Commanded, DeskLedger, Ledger, now};

#[derive(Debug, Args)]
pub(in crate::cli) struct ReplyArgs {
    /// The ticket's number, such as LYN-000042
    number: TicketNumber,
    /// What the branch is to read
    text: String,
    /// Where the ticket stands after it: open, waiting, resolved or closed
    #[arg(long, value_name = "STATE")]
    then: Option<TicketState>,
    /// A file that central has clean or released, by its id; may be given several times
    #[arg(long, value_name = "ID")]
    file: Vec<FileId>,
    #[command(flatten)]
    repeat: RepeatArgs,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct MoveArgs {
    /// The ticket's number, such as LYN-000042
    number: TicketNumber,
    /// open, waiting, resolved or closed
    to: TicketState,
    #[command(flatten)]
    repeat: RepeatArgs,
}

#[derive(Debug, Args)]
struct RepeatArgs {
    /// Id of this command (a UUID), for scripts: the same id never does anything twice
    #[arg(long, value_name = "UUID")]
    id: Option<CommandId>,
    /// JSON, for programs
    #[arg(long)]
    json: bool,
}

pub(super) fn reply(data_dir: &Path, args: ReplyArgs) -> Result<ExitCode, Failure> {
    let change = Change::Reply {
        text: args.text,
        files: args.file,
        then: args.then,
    };
    carry_out(data_dir, &args.number, change, &args.repeat)
}

pub(super) fn move_to(data_dir: &Path, args: &MoveArgs) -> Result<ExitCode, Failure> {
    let change = Change::Move { to: args.to };
    carry_out(data_dir, &args.number, change, &args.repeat)
}

/// On the ticket as it is now: whoever types this has no other version before the eyes.
fn carry_out(
    data_dir: &Path,
    number: &TicketNumber,
    change: Change,
    repeat: &RepeatArgs,
) -> Result<ExitCode, Failure> {
    let ledger = open_ledger(data_dir)?;
    let id = match repeat.id {
        Some(id) => id,
        None => new_id()?,
    };
    let commanded = block_on(async { Ok(command(&ledger, id, number, change).await?) })?;
    let version = match commanded {
        Commanded::Done { version } => version,
        Commanded::UnknownTicket => {
            return Err(Failure::fix_input(format!(
                "central has no ticket {number}; `branchline-server tickets list` shows what it has"
            )));
        }
        Commanded::Refused(fault) => return Err(Failure::fix_input(fault.to_string())),
        Commanded::Stale { .. } => {
            let words =
                format!("{number} is being worked on at this moment; look at it, and try again");
            return Err(Failure::fix_input(words));
        }
        Commanded::IdTaken => {
            let words = format!("{id} is the id of another command; use a new one");
            return Err(Failure::fix_input(words));
        }
    };
    if repeat.json {
        output::json(&json!({ "id": id, "number": number, "version": version }));
    } else {
        output::line(&format!("done; {number} goes to its branch by itself"));
    }
    Ok(ExitCode::SUCCESS)
}

async fn command(
    ledger: &SqliteLedger,
    id: CommandId,
    number: &TicketNumber,
    change: Change,
) -> Result<Commanded, crate::ledger::LedgerError> {
    let Some(seen) = ledger.ticket(number.clone()).await? else {
        return Ok(Commanded::UnknownTicket);
    };
    let command = Command {
        id,
        ticket: number.clone(),
        saw: seen.row.version,
        by: user(),
        at: now(),
        change,
    };
    ledger.command(command).await
}

fn new_id() -> Result<CommandId, Failure> {
    let mut random = [0; 10];
    getrandom::fill(&mut random)
        .map_err(|fault| Failure::call_it(format!("draw random bytes: {fault}")))?;
    let millis = u64::try_from(now().0).unwrap_or(0);
    Ok(CommandId::from_parts(millis, random))
}
