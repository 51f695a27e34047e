//! `trail`: who did what, and whether the record of it is whole.

use std::path::Path;
use std::process::ExitCode;

use branchline_protocol::id::Digest;
use branchline_protocol::time::UnixMillis;
use clap::{Args, Subcommand};
use serde::Serialize;
use serde_json::json;

use super::{Failure, block_on, files, open_ledger, output};
use crate::ledger::sqlite::SqliteLedger;
use crate::ledger::{IdentityLedger, TRAIL_PAGE, TrailCheck, TrailEntry, TrailFilter};

/// Verifying found something.
const FOUND_SOMETHING: u8 = 3;
/// Faults that are listed one by one.
const FAULTS_SHOWN: usize = 100;

#[derive(Debug, Subcommand)]
pub(super) enum TrailCommand {
    /// Show who did what, oldest first
    List(ListArgs),
    /// Check that no entry was changed or taken out; exit code 3 if one was
    Verify(VerifyArgs),
}

#[derive(Debug, Args)]
pub(super) struct ListArgs {
    /// Only since this day (2026-11-21) or time (2026-11-21T06:00:00Z)
    #[arg(long, value_name = "DATE", value_parser = files::since)]
    since: Option<i64>,
    /// Only what this one did, as the list shows it, such as operator:anna
    #[arg(long)]
    actor: Option<String>,
    /// Only what was done, such as agent-revoked
    #[arg(long)]
    action: Option<String>,
    /// Only what concerns this one, as the list shows it
    #[arg(long)]
    subject: Option<String>,
    /// Only those behind this position: the last one of the page before
    #[arg(long, value_name = "POSITION", default_value_t = 0)]
    after: u64,
    /// At most so many
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    limit: u32,
    /// JSON, for programs
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct VerifyArgs {
    /// What an earlier verification said that the trail ends with, kept elsewhere: it must still be there
    #[arg(long, value_name = "POSITION:DIGEST", value_parser = head)]
    held: Option<(u64, Digest)>,
    /// JSON, for programs
    #[arg(long)]
    json: bool,
}

fn head(text: &str) -> Result<(u64, Digest), String> {
    let parts = text.split_once(':');
    let read =
        parts.and_then(|(position, digest)| Some((position.parse().ok()?, digest.parse().ok()?)));
    read.ok_or_else(|| {
        "it is a position, a colon and a digest, as `trail verify` shows them".into()
    })
}

pub(super) fn execute(data_dir: &Path, command: TrailCommand) -> Result<ExitCode, Failure> {
    let ledger = open_ledger(data_dir)?;
    match command {
        TrailCommand::List(args) => list(&ledger, args),
        TrailCommand::Verify(args) => block_on(verify(&ledger, &args)),
    }
}

fn list(ledger: &SqliteLedger, args: ListArgs) -> Result<ExitCode, Failure> {
    let filter = TrailFilter {
        since: args.since.map(UnixMillis),
        actor: args.actor,
        action: args.action,
        subject: args.subject,
        after: args.after,
        most: usize::try_from(args.limit).unwrap_or(TRAIL_PAGE),
    };
    let entries = block_on(async { Ok(ledger.trail(filter).await?) })?;
    if args.json {
        let entries: Vec<EntryJson<'_>> = entries.iter().map(EntryJson::from).collect();
        output::json(&entries);
        return Ok(ExitCode::SUCCESS);
    }
    let header = ["POSITION", "WHEN", "WHO", "WHAT", "ON", "FROM", "MORE"];
    let mut rows = vec![header.map(str::to_owned).to_vec()];
    rows.extend(entries.iter().map(|entry| {
        vec![
            entry.position.to_string(),
            output::moment(entry.at),
            output::cell(&entry.actor, 50),
            output::cell(&entry.action, 40),
            output::cell(&entry.subject, 40),
            output::cell(entry.address.as_deref().unwrap_or("-"), 40),
            output::cell(&entry.detail, 200),
        ]
    }));
    output::table(&rows);
    Ok(ExitCode::SUCCESS)
}

async fn verify(ledger: &SqliteLedger, args: &VerifyArgs) -> Result<ExitCode, Failure> {
    let mut check = TrailCheck::default();
    let mut faults = Vec::new();
    let mut is_held = args.held.is_none();
    loop {
        let filter = TrailFilter {
            after: check.position,
            most: TRAIL_PAGE,
            ..TrailFilter::default()
        };
        let entries = ledger.trail(filter).await?;
        if entries.is_empty() {
            break;
        }
        for entry in &entries {
            if let Err(fault) = check.next(entry) {
                faults.push(fault.to_string());
            }
            is_held |= args.held == Some((entry.position, entry.digest));
        }
    }
    if let Some((position, _)) = args.held.filter(|_| !is_held) {
        faults.push(format!(
            "entry {position} is not the one that was there when the trail was verified before"
        ));
    }
    let head = format!("{}:{}", check.position, check.digest);
    if args.json {
        output::json(&json!({ "whole": faults.is_empty(), "head": head, "faults": faults }));
    } else {
        for fault in faults.iter().take(FAULTS_SHOWN) {
            output::line(fault);
        }
        output::line(&match faults.len() {
            0 => format!(
                "the trail is whole: {} entries; it ends with {head}\nkeep that elsewhere, and give it \
                 to the next `trail verify --held`, so that an end that was cut off shows too",
                output::count(check.position)
            ),
            count => format!(
                "the trail is not whole: {} faults in {} entries",
                output::count(count as u64),
                output::count(check.position)
            ),
        });
    }
    Ok(if faults.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(FOUND_SOMETHING)
    })
}

#[derive(Serialize)]
struct EntryJson<'a> {
    position: u64,
    at: String,
    actor: &'a str,
    action: &'a str,
    subject: &'a str,
    detail: &'a str,
    address: Option<&'a str>,
    digest: Digest,
}

impl<'a> From<&'a TrailEntry> for EntryJson<'a> {
    fn from(entry: &'a TrailEntry) -> Self {
        Self {
            position: entry.position,
            at: entry.at.to_rfc3339(),
            actor: &entry.actor,
            action: &entry.action,
            subject: &entry.subject,
            detail: &entry.detail,
            address: entry.address.as_deref(),
            digest: entry.digest,
        }
    }
}
