//! `branch add` and `branch list`: which agents may speak for which branch.

use std::path::Path;
use std::process::ExitCode;

use branchline_protocol::id::{AgentId, BranchCode};
use branchline_protocol::text::{Shape, fault};
use branchline_protocol::time::UnixMillis;
use clap::{Args, Subcommand};
use serde::Serialize;

use super::{Failure, acting, block_on, open_ledger, output};
use crate::ledger::{AgentRecord, BranchRecord, IdentityLedger, Ledger, now};

/// Characters in a branch's name.
const NAME_CHARS: usize = 100;

#[derive(Debug, Subcommand)]
pub(super) enum BranchCommand {
    /// Make a branch, or give it another name
    Add(AddArgs),
    /// Show branches, their agents, and when each was last heard of
    List(ListArgs),
}

#[derive(Debug, Args)]
pub(super) struct AddArgs {
    /// The branch's code: 2 to 8 capital letters, such as LYN
    code: BranchCode,
    /// What people call the branch
    #[arg(long)]
    name: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct ListArgs {
    /// JSON, for programs
    #[arg(long)]
    json: bool,
}

pub(super) fn execute(data_dir: &Path, command: BranchCommand) -> Result<ExitCode, Failure> {
    match command {
        BranchCommand::Add(args) => add(data_dir, args),
        BranchCommand::List(args) => list(data_dir, &args),
    }
}

fn add(data_dir: &Path, args: AddArgs) -> Result<ExitCode, Failure> {
    if let Some(fault) = args
        .name
        .as_deref()
        .and_then(|name| fault(name, Shape::Line, NAME_CHARS))
    {
        return Err(Failure::fix_input(format!("--name {fault}")));
    }
    let ledger = open_ledger(data_dir)?;
    let code = args.code;
    let deed = acting::deed(
        "branch-added",
        code.to_string(),
        args.name.clone().unwrap_or_default(),
    );
    block_on(async { Ok(ledger.add_branch(code.clone(), args.name, deed).await?) })?;
    output::line(&format!(
        "branch {code}; `branchline-server token create --branch {code}` lets an agent join it"
    ));
    Ok(ExitCode::SUCCESS)
}

fn list(data_dir: &Path, args: &ListArgs) -> Result<ExitCode, Failure> {
    let ledger = open_ledger(data_dir)?;
    let branches = block_on(async { Ok(ledger.branches().await?) })?;
    if args.json {
        let branches: Vec<BranchJson<'_>> = branches.iter().map(BranchJson::from).collect();
        output::json(&branches);
        return Ok(ExitCode::SUCCESS);
    }
    if branches.is_empty() {
        output::line("no branches yet; make one with `branchline-server branch add CODE`");
        return Ok(ExitCode::SUCCESS);
    }
    let header = [
        "BRANCH",
        "AGENT",
        "LAST CONTACT",
        "WAITING",
        "CLOCK",
        "VERSION",
        "NAME",
    ];
    let mut rows = vec![header.map(str::to_owned).to_vec()];
    for branch in &branches {
        if branch.agents.is_empty() {
            let name = branch.name.as_deref().unwrap_or_default();
            let mut row = vec![branch.code.to_string(), "-".to_owned()];
            row.push("no agent yet".to_owned());
            row.extend(["-"; 3].map(str::to_owned));
            row.push(output::cell(name, 40));
            rows.push(row);
        }
        rows.extend(
            branch
                .agents
                .iter()
                .map(|agent| agent_row(branch, agent, now())),
        );
    }
    output::table(&rows);
    Ok(ExitCode::SUCCESS)
}

fn agent_row(branch: &BranchRecord, agent: &AgentRecord, now: UnixMillis) -> Vec<String> {
    let said = |say: &dyn Fn(&crate::ledger::Contact) -> String| {
        agent.contact.as_ref().map_or_else(|| "-".to_owned(), say)
    };
    vec![
        branch.code.to_string(),
        agent.ordinal.to_string(),
        agent.contact.as_ref().map_or_else(
            || "never".to_owned(),
            |contact| output::ago(contact.at, now),
        ),
        said(&|contact| output::count(contact.waiting)),
        said(&|contact| clock(contact.clock_skew)),
        said(&|contact| output::cell(&contact.version, 20)),
        output::cell(branch.name.as_deref().unwrap_or_default(), 40),
    ]
}

/// Whether an agent's clock can be believed; transit time is not a wrong clock.
fn clock(skew_millis: i64) -> String {
    match skew_millis / 1_000 {
        -60..=60 => "right".to_owned(),
        ahead @ 61.. => format!("{ahead} s ahead"),
        behind => format!("{} s behind", behind.unsigned_abs()),
    }
}

#[derive(Serialize)]
struct BranchJson<'a> {
    branch: &'a BranchCode,
    name: Option<&'a str>,
    agents: Vec<AgentJson<'a>>,
}

#[derive(Serialize)]
struct AgentJson<'a> {
    agent: AgentId,
    ordinal: u16,
    registered_at: String,
    last_contact: Option<String>,
    version: Option<&'a str>,
    clock_skew_millis: Option<i64>,
    waiting: Option<u64>,
    oldest_waiting: Option<String>,
    disk_free: Option<u64>,
    damaged: Option<u64>,
}

impl<'a> From<&'a BranchRecord> for BranchJson<'a> {
    fn from(branch: &'a BranchRecord) -> Self {
        Self {
            branch: &branch.code,
            name: branch.name.as_deref(),
            agents: branch.agents.iter().map(AgentJson::from).collect(),
        }
    }
}

impl<'a> From<&'a AgentRecord> for AgentJson<'a> {
    fn from(agent: &'a AgentRecord) -> Self {
        let contact = agent.contact.as_ref();
        Self {
            agent: agent.id,
            ordinal: agent.ordinal,
            registered_at: agent.registered_at.to_rfc3339(),
            last_contact: contact.map(|contact| contact.at.to_rfc3339()),
            version: contact.map(|contact| contact.version.as_str()),
            clock_skew_millis: contact.map(|contact| contact.clock_skew),
            waiting: contact.map(|contact| contact.waiting),
            oldest_waiting: contact
                .and_then(|contact| contact.oldest_waiting.map(UnixMillis::to_rfc3339)),
            disk_free: contact.and_then(|contact| contact.disk_free),
            damaged: contact.map(|contact| contact.damaged),
        }
    }
}
