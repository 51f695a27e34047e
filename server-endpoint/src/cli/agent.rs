//! `agent list`, `agent show`, `agent revoke`: who speaks for the branches.

use std::path::Path;
use std::process::ExitCode;

use branchline_protocol::text::{Shape, fault};
use branchline_protocol::time::UnixMillis;
use clap::{Args, Subcommand};
use serde::Serialize;

use super::{Failure, acting, authority, block_on, open_ledger, output};
use crate::ledger::{
    AgentRecord, CertificateRecord, CertificateState, IdentityLedger, Ledger, now,
};

/// Characters of a reason.
const REASON_CHARS: usize = 300;

#[derive(Debug, Subcommand)]
pub(super) enum AgentCommand {
    /// Show all agents: their standing, when each was last heard of, when its certificate ends
    List(ListArgs),
    /// Show one agent with its certificates
    Show(ShowArgs),
    /// End an agent's right to speak, at once; its open connections are closed
    Revoke(RevokeArgs),
}

#[derive(Debug, Args)]
pub(super) struct ListArgs {
    /// JSON, for programs
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct ShowArgs {
    /// LYN, LYN2, or its id
    agent: String,
    /// JSON, for programs
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct RevokeArgs {
    /// LYN, LYN2, or its id
    agent: String,
    /// Why, for the trail
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

pub(super) fn execute(data_dir: &Path, command: AgentCommand) -> Result<ExitCode, Failure> {
    match command {
        AgentCommand::List(args) => list(data_dir, &args),
        AgentCommand::Show(args) => show(data_dir, &args),
        AgentCommand::Revoke(args) => revoke(data_dir, &args),
    }
}

fn list(data_dir: &Path, args: &ListArgs) -> Result<ExitCode, Failure> {
    let ledger = open_ledger(data_dir)?;
    let branches = block_on(async { Ok(ledger.branches().await?) })?;
    let agents: Vec<&AgentRecord> = branches.iter().flat_map(|branch| &branch.agents).collect();
    if args.json {
        let agents: Vec<AgentJson> = agents.iter().map(|agent| AgentJson::from(*agent)).collect();
        output::json(&agents);
        return Ok(ExitCode::SUCCESS);
    }
    if agents.is_empty() {
        output::line(
            "no agents yet; make a token with `branchline-server token create --branch CODE` and give \
             it to the agent",
        );
        return Ok(ExitCode::SUCCESS);
    }
    let header = [
        "AGENT",
        "STANDING",
        "LAST CONTACT",
        "CERTIFICATE ENDS",
        "VERSION",
        "ID",
    ];
    let mut rows = vec![header.map(str::to_owned).to_vec()];
    rows.extend(agents.iter().map(|agent| row(agent)));
    output::table(&rows);
    Ok(ExitCode::SUCCESS)
}

fn row(agent: &AgentRecord) -> Vec<String> {
    let contact = agent.contact.as_ref();
    vec![
        authority::agent_name(agent),
        standing(agent).to_owned(),
        contact.map_or_else(
            || "never".to_owned(),
            |contact| output::ago(contact.at, now()),
        ),
        agent
            .certificate_until
            .map_or_else(|| "-".to_owned(), output::moment),
        contact.map_or_else(
            || "-".to_owned(),
            |contact| output::cell(&contact.version, 20),
        ),
        agent.id.to_string(),
    ]
}

fn standing(agent: &AgentRecord) -> &'static str {
    match agent.revoked_at {
        Some(_) => "revoked",
        None => "good",
    }
}

fn show(data_dir: &Path, args: &ShowArgs) -> Result<ExitCode, Failure> {
    let ledger = open_ledger(data_dir)?;
    let (agent, certificates) = block_on(async {
        let agent = authority::find_agent(&ledger, &args.agent).await?;
        let certificates = ledger.certificates(agent.id).await?;
        Ok((agent, certificates))
    })?;
    if args.json {
        output::json(&ShownJson {
            agent: AgentJson::from(&agent),
            certificates: certificates.iter().map(CertificateJson::from).collect(),
        });
        return Ok(ExitCode::SUCCESS);
    }
    output::line(&format!("{} ({})", authority::agent_name(&agent), agent.id));
    let standing = agent.revoked_at.map_or_else(
        || "good".to_owned(),
        |at| {
            let name = authority::agent_name(&agent);
            format!(
                "revoked {}; `token create --agent {name}` lets it join again",
                output::moment(at)
            )
        },
    );
    output::line(&format!("standing      {standing}"));
    output::line(&format!(
        "joined        {}",
        output::moment(agent.registered_at)
    ));
    let contact = agent.contact.as_ref().map_or_else(
        || "never".to_owned(),
        |contact| {
            let version = output::cell(&contact.version, 20);
            format!("{}, version {version}", output::ago(contact.at, now()))
        },
    );
    output::line(&format!("last contact  {contact}"));
    let trust = agent
        .trust
        .map_or_else(|| "-".to_owned(), |serial| serial.to_string());
    output::line(&format!("trust bundle  {trust}"));
    if certificates.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    let header = ["CERTIFICATE", "STATE", "FROM", "UNTIL"];
    let mut rows = vec![header.map(str::to_owned).to_vec()];
    rows.extend(certificates.iter().map(|certificate| {
        vec![
            serial(certificate),
            state(certificate).to_owned(),
            output::moment(certificate.not_before),
            output::moment(certificate.not_after),
        ]
    }));
    output::line("");
    output::table(&rows);
    Ok(ExitCode::SUCCESS)
}

fn state(certificate: &CertificateRecord) -> &'static str {
    match certificate.state {
        CertificateState::Unproven => "issued, not used yet",
        CertificateState::Proven if certificate.not_after <= now() => "expired",
        CertificateState::Proven => "in use",
        CertificateState::Superseded => "superseded",
        CertificateState::Revoked => "revoked",
    }
}

fn serial(certificate: &CertificateRecord) -> String {
    let bytes = certificate.serial.0.iter();
    bytes.fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

fn revoke(data_dir: &Path, args: &RevokeArgs) -> Result<ExitCode, Failure> {
    let reason = args.reason.clone().unwrap_or_default();
    if !reason.is_empty()
        && let Some(fault) = fault(&reason, Shape::Line, REASON_CHARS)
    {
        return Err(Failure::fix_input(format!("--reason {fault}")));
    }
    let ledger = open_ledger(data_dir)?;
    let agent = block_on(async {
        let agent = authority::find_agent(&ledger, &args.agent).await?;
        let deed = acting::deed("agent-revoked", agent.id.to_string(), reason);
        ledger.revoke_agent(agent.id, deed).await?;
        Ok(agent)
    })?;
    let name = authority::agent_name(&agent);
    output::line(&format!(
        "{name} ({}) is revoked; tickets filed there wait at the branch until it joins again with \
         `token create --agent {name}`",
        agent.id
    ));
    Ok(ExitCode::SUCCESS)
}

#[derive(Serialize)]
struct ShownJson {
    #[serde(flatten)]
    agent: AgentJson,
    certificates: Vec<CertificateJson>,
}

#[derive(Serialize)]
struct AgentJson {
    agent: String,
    name: String,
    branch: String,
    ordinal: u16,
    standing: &'static str,
    joined_at: String,
    revoked_at: Option<String>,
    last_contact: Option<String>,
    version: Option<String>,
    certificate_until: Option<String>,
    trust: Option<u64>,
}

impl From<&AgentRecord> for AgentJson {
    fn from(agent: &AgentRecord) -> Self {
        let contact = agent.contact.as_ref();
        Self {
            agent: agent.id.to_string(),
            name: authority::agent_name(agent),
            branch: agent.branch.to_string(),
            ordinal: agent.ordinal,
            standing: standing(agent),
            joined_at: agent.registered_at.to_rfc3339(),
            revoked_at: agent.revoked_at.map(UnixMillis::to_rfc3339),
            last_contact: contact.map(|contact| contact.at.to_rfc3339()),
            version: contact.map(|contact| contact.version.clone()),
            certificate_until: agent.certificate_until.map(UnixMillis::to_rfc3339),
            trust: agent.trust,
        }
    }
}

#[derive(Serialize)]
struct CertificateJson {
    serial: String,
    state: &'static str,
    not_before: String,
    not_after: String,
}

impl From<&CertificateRecord> for CertificateJson {
    fn from(certificate: &CertificateRecord) -> Self {
        Self {
            serial: serial(certificate),
            state: match certificate.state {
                CertificateState::Unproven => "unproven",
                CertificateState::Proven => "proven",
                CertificateState::Superseded => "superseded",
                CertificateState::Revoked => "revoked",
            },
            not_before: certificate.not_before.to_rfc3339(),
            not_after: certificate.not_after.to_rfc3339(),
        }
    }
}
