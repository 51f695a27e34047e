//! `branch add` and `branch list`: which agents may speak for which branch.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use branchline_protocol::exchange::Credentials;
use branchline_protocol::id::{AgentId, BranchCode, Digest};
use branchline_protocol::text::{Shape, fault};
use branchline_protocol::time::UnixMillis;
use clap::{Args, Subcommand};
use serde::Serialize;

use super::{Failure, acting, block_on, init, open_ledger, output};
use crate::ledger::{AgentRecord, BranchRecord, IdentityLedger, Ledger, NewAgent, now};

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
    /// Register an agent that has no certificate, and write its registration to this new file, readable
    /// by you alone
    #[arg(long, value_name = "FILE", hide = true)]
    registration: Option<PathBuf>,
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
    let Some(file) = args.registration.as_deref() else {
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
        return Ok(ExitCode::SUCCESS);
    };
    // The file first: an agent is registered only where its secret has a place to go.
    let file = RegistrationFile::make(file)?;
    let credentials = make_credentials()?;
    let new = NewAgent {
        id: credentials.agent,
        branch: args.code,
        branch_name: args.name,
        secret_hash: credentials.secret_hash(),
        at: now(),
    };
    let registered = block_on(async { Ok(ledger.register_agent(new).await?) });
    let agent = match registered {
        Ok(agent) => agent,
        Err(failure) => {
            file.discard();
            return Err(failure);
        }
    };
    let text = registration(&agent, &credentials);
    let path = file.write(&text)?;
    output::line(&format!(
        "{}: agent {} ({}) is registered; its registration is in {}",
        agent.branch,
        agent.ordinal,
        agent.id,
        path.display()
    ));
    Ok(ExitCode::SUCCESS)
}

fn make_credentials() -> Result<Credentials, Failure> {
    let random = |bytes: &mut [u8]| {
        getrandom::fill(bytes)
            .map_err(|fault| Failure::call_it(format!("draw random bytes: {fault}")))
    };
    let mut id = [0; 10];
    random(&mut id)?;
    let mut secret = [0; 32];
    random(&mut secret)?;
    let millis = u64::try_from(now().0).unwrap_or(0);
    Ok(Credentials {
        agent: AgentId::from_parts(millis, id),
        secret,
    })
}

fn registration(agent: &AgentRecord, credentials: &Credentials) -> String {
    let mut text = String::from(
        "# Registration of a Branchline agent, made by `branchline-server branch add`.\n\
         # Whoever has this file can speak for the branch: give it to that one agent, as its\n\
         # registration.toml, readable by the agent alone. Central keeps only a hash of the secret\n\
         # and cannot show it again.\n",
    );
    let lines = [
        format!("branch = \"{}\"\n", agent.branch),
        format!("ordinal = {}\n", agent.ordinal),
        format!("agent = \"{}\"\n", agent.id),
        format!("secret = \"{}\"\n", Digest(credentials.secret)),
    ];
    text.extend(lines);
    text
}

/// A new file that only its owner may read.
struct RegistrationFile<'a> {
    path: &'a Path,
    file: std::fs::File,
}

impl<'a> RegistrationFile<'a> {
    fn make(path: &'a Path) -> Result<Self, Failure> {
        let made = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path);
        match made {
            Ok(file) => Ok(Self { path, file }),
            Err(fault) => {
                let what_to_do = if fault.kind() == ErrorKind::AlreadyExists {
                    "; it may be another agent's registration, so name a file that does not exist"
                } else {
                    ""
                };
                let path = path.display();
                Err(Failure::fix_input(format!(
                    "--registration {path}: {fault}{what_to_do}"
                )))
            }
        }
    }

    fn write(mut self, text: &str) -> Result<&'a Path, Failure> {
        self.file
            .write_all(text.as_bytes())
            .and_then(|()| self.file.sync_all())
            .map_err(|fault| {
                Failure::call_it(format!(
                    "write {}: {fault}; the agent is registered and its secret is lost, so add \
                     another",
                    self.path.display()
                ))
            })?;
        let directory = self
            .path
            .parent()
            .filter(|parent| !parent.as_os_str().is_empty());
        init::sync_directory(directory.unwrap_or(Path::new(".")))?;
        Ok(self.path)
    }

    fn discard(self) {
        // It is empty; where it cannot be removed, the next try says that it exists.
        let _ = std::fs::remove_file(self.path);
    }
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
