//! `outbox`: how outside systems do, and the letters that were given up.

use std::path::Path;
use std::process::ExitCode;

use branchline_protocol::time::UnixMillis;
use clap::{Args, Subcommand};
use serde::Serialize;

use super::{Failure, acting, block_on, open_ledger, output};
use crate::config::Config;
use crate::ledger::sqlite::SqliteLedger;
use crate::ledger::{DeadLetter, IdentityLedger, OutboxLedger, TargetState, now};

#[derive(Debug, Subcommand)]
pub(super) enum OutboxCommand {
    /// Show how each outside system does
    Status(StatusArgs),
    /// List letters that were given up
    Dead(DeadArgs),
    /// Send letters again that were given up, under the ids that they had
    Replay(ReplayArgs),
}

#[derive(Debug, Args)]
pub(super) struct StatusArgs {
    /// JSON, for programs
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct DeadArgs {
    /// Those for this outside system only
    #[arg(long, value_name = "NAME")]
    target: Option<String>,
    /// Only those behind this number
    #[arg(long, default_value_t = 0, value_name = "NUMBER")]
    after: u64,
    /// How many
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    limit: u32,
    /// JSON with what was sent, for programs
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct ReplayArgs {
    /// The outside system, as server.toml names it
    target: String,
    /// Numbers in `outbox dead`
    #[arg(required_unless_present = "all")]
    numbers: Vec<u64>,
    /// All that were given up for it
    #[arg(long, conflicts_with = "numbers")]
    all: bool,
}

pub(super) fn execute(data_dir: &Path, command: OutboxCommand) -> Result<ExitCode, Failure> {
    let ledger = open_ledger(data_dir)?;
    match command {
        OutboxCommand::Status(args) => status(&ledger, &Config::read(data_dir)?, &args),
        OutboxCommand::Dead(args) => dead(&ledger, args),
        OutboxCommand::Replay(args) => replay(&ledger, args),
    }
}

#[derive(Serialize)]
struct TargetJson {
    name: String,
    state: &'static str,
    last_taken_at: Option<String>,
    failing_since: Option<String>,
    last_failure: Option<String>,
}

fn state(known: Option<&TargetState>, is_configured: bool) -> &'static str {
    match known {
        _ if !is_configured => "not in server.toml",
        None => "not started",
        Some(state) if state.failing_since.is_some() => "failing",
        Some(_) => "good",
    }
}

fn status(ledger: &SqliteLedger, config: &Config, args: &StatusArgs) -> Result<ExitCode, Failure> {
    let known = block_on(async { Ok(ledger.targets().await?) })?;
    let mut names: Vec<String> = config.outbox.iter().map(|it| it.name.clone()).collect();
    names.extend(known.iter().map(|(name, _)| name.clone()));
    names.sort_unstable();
    names.dedup();
    let targets: Vec<TargetJson> = names
        .into_iter()
        .map(|name| {
            let found = known.iter().find(|(other, _)| *other == name);
            let found = found.map(|(_, state)| state);
            let is_configured = config.outbox.iter().any(|it| it.name == name);
            TargetJson {
                state: state(found, is_configured),
                last_taken_at: found
                    .and_then(|it| it.last_taken_at)
                    .map(UnixMillis::to_rfc3339),
                failing_since: found
                    .and_then(|it| it.failing_since)
                    .map(UnixMillis::to_rfc3339),
                last_failure: found.and_then(|it| it.last_failure.clone()),
                name,
            }
        })
        .collect();
    if args.json {
        output::json(&targets);
        return Ok(ExitCode::SUCCESS);
    }
    if targets.is_empty() {
        output::line("no outside systems; name one under [[outbox]] in server.toml");
        return Ok(ExitCode::SUCCESS);
    }
    let header = [
        "NAME",
        "STATE",
        "LAST TAKEN",
        "FAILING SINCE",
        "LAST FAILURE",
    ];
    let mut rows = vec![header.map(str::to_owned).to_vec()];
    let or_never = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    rows.extend(targets.into_iter().map(|target| {
        vec![
            target.name,
            target.state.to_owned(),
            or_never(target.last_taken_at),
            or_never(target.failing_since),
            output::cell(&or_never(target.last_failure), 80),
        ]
    }));
    output::table(&rows);
    Ok(ExitCode::SUCCESS)
}

#[derive(Serialize)]
struct DeadJson<'a> {
    number: u64,
    target: &'a str,
    id: &'a str,
    kind: &'a str,
    reason: &'a str,
    at: String,
    again: bool,
    body: &'a str,
}

fn dead(ledger: &SqliteLedger, args: DeadArgs) -> Result<ExitCode, Failure> {
    let most = args.limit as usize;
    let found = ledger.dead_letters(args.target, args.after, most);
    let letters: Vec<DeadLetter> = block_on(async { Ok(found.await?) })?;
    if args.json {
        let letters: Vec<DeadJson<'_>> = letters
            .iter()
            .map(|letter| DeadJson {
                number: letter.number,
                target: &letter.target,
                id: &letter.id,
                kind: &letter.kind,
                reason: &letter.reason,
                at: letter.at.to_rfc3339(),
                again: letter.again,
                body: &letter.body,
            })
            .collect();
        output::json(&letters);
        return Ok(ExitCode::SUCCESS);
    }
    if letters.is_empty() {
        output::line("no letters were given up");
        return Ok(ExitCode::SUCCESS);
    }
    let header = ["NUMBER", "TARGET", "KIND", "GIVEN UP", "REASON"];
    let mut rows = vec![header.map(str::to_owned).to_vec()];
    rows.extend(letters.iter().map(|letter| {
        let again = if letter.again {
            " (to be sent again)"
        } else {
            ""
        };
        vec![
            letter.number.to_string(),
            letter.target.clone(),
            output::cell(&letter.kind, 24),
            output::ago(letter.at, now()),
            output::cell(&format!("{}{again}", letter.reason), 80),
        ]
    }));
    output::table(&rows);
    Ok(ExitCode::SUCCESS)
}

fn replay(ledger: &SqliteLedger, args: ReplayArgs) -> Result<ExitCode, Failure> {
    let target = args.target.clone();
    let marked = block_on(async {
        let marked = ledger.send_again(args.target, args.numbers).await?;
        if marked > 0 {
            let detail = format!("{marked} letters");
            let deed = acting::deed("letters-sent-again", target.clone(), detail);
            ledger.record(deed).await?;
        }
        Ok(marked)
    })?;
    if marked == 0 {
        return Err(Failure::fix_input(format!(
            "no letter of {target} was given up under these numbers; `outbox dead` lists them"
        )));
    }
    output::line(&format!(
        "{} letters are sent again by the running server",
        output::count(marked)
    ));
    Ok(ExitCode::SUCCESS)
}
