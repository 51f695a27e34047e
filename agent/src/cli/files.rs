//! `files`: what became of the branch's files, here and at central.

mod get;

use std::process::ExitCode;

use branchline_agent_api::{Client, Delivery, FileSummary, Upload};
use branchline_protocol::file::FileState;
use branchline_protocol::id::FileId;
use clap::{Args, Subcommand};

use super::{CliError, output};

#[derive(Debug, Subcommand)]
pub(super) enum FilesCommand {
    /// List files, newest first
    List(ListArgs),
    /// Show one file with all that is known of it
    Show(ShowArgs),
    /// Put a file that central gave where you can open it
    Get(get::GetArgs),
}

#[derive(Debug, Args)]
pub(super) struct ListArgs {
    /// How many
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=200))]
    limit: u32,
    /// Only files before this position
    #[arg(long, value_name = "POSITION")]
    before: Option<u64>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct ShowArgs {
    /// The file's id, as `files list --json` shows it
    id: FileId,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn execute(command: FilesCommand, client: Client) -> Result<ExitCode, CliError> {
    match command {
        FilesCommand::List(args) => list(args, &client).await?,
        FilesCommand::Show(args) => show(args, &client).await?,
        FilesCommand::Get(args) => get::get(args, &client).await?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn list(args: ListArgs, client: &Client) -> Result<(), CliError> {
    let list = client.files(args.before, args.limit).await?;
    if args.json {
        output::json(&list);
        return Ok(());
    }
    if list.files.is_empty() {
        output::line("No files.");
        return Ok(());
    }
    output::line(&format!(
        "{:<14} {:>11}  {:<34} NAME",
        "TICKET", "SIZE", "STATE"
    ));
    for file in &list.files {
        output::line(&format!(
            "{:<14} {:>11}  {:<34} {}",
            file.number.to_string(),
            output::size(file.size),
            output::cell(&state_words(file), 34),
            output::cell(&file.name, 60),
        ));
    }
    if let Some(next) = list.next {
        output::line(&format!("More: --before {next}"));
    }
    Ok(())
}

async fn show(args: ShowArgs, client: &Client) -> Result<(), CliError> {
    let file = client.file(args.id).await?;
    if args.json {
        output::json(&file);
        return Ok(());
    }
    let field = |name: &str, text: &str| {
        output::line(&format!("{name:<10} {}", output::safe(text)));
    };
    field("Name", &file.name);
    field("Ticket", &file.number.to_string());
    field("Size", &output::size(file.size));
    field("State", &state_words(&file));
    if let Some(fault) = file.fault {
        field("", fault.advice());
    }
    field("Attached", &format!("{} by {}", file.at, file.by));
    field("BLAKE3", &file.root.to_string());
    field("Id", &file.id.to_string());
    Ok(())
}

/// Where a file is, in a few words.
pub(super) fn state_words(file: &FileSummary) -> String {
    match (&file.delivery, file.upload) {
        (Delivery::Rejected { reason }, _) => {
            return format!("not accepted by central: {}", reason.detail);
        }
        (_, Upload::Damaged) => return "damaged on this disk; attach it again".to_owned(),
        (_, Upload::Refused) => return "refused by central; call IT".to_owned(),
        (_, Upload::Waiting) => {
            return match file.sent {
                Some(sent) if file.size > 0 => {
                    let percent = u128::from(sent.min(file.size)) * 100 / u128::from(file.size);
                    format!("being sent, {percent}%")
                }
                _ => "saved here, waiting for the link".to_owned(),
            };
        }
        (_, Upload::Sent) => {}
    }
    match &file.state {
        None | Some(FileState::Received | FileState::Other | FileState::Waiting) => {
            "received by central".to_owned()
        }
        Some(FileState::Scanning) => "being checked by central".to_owned(),
        Some(FileState::Clean) => "clean".to_owned(),
        Some(FileState::Infected { signature }) => format!("infected: {signature}"),
        Some(FileState::Held) => "held at central, no virus scanner".to_owned(),
        Some(FileState::TooLarge) => "held at central, too large to scan".to_owned(),
        Some(FileState::Corrupt) => "corrupt at central; attach it again".to_owned(),
        Some(FileState::Released { .. }) => "released by central".to_owned(),
        Some(FileState::Expired) => "given up by central".to_owned(),
    }
}
