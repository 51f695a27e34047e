//! `token create`, `token list`, `token revoke`: the right to join.
//!
//! A token is shown once. The ledger has a hash of its secret, so that neither this program nor whoever
//! steals the database can show it again.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use branchline_protocol::enrolment::{Secret, Token};
use branchline_protocol::id::BranchCode;
use branchline_protocol::time::UnixMillis;
use clap::{Args, Subcommand};
use serde::Serialize;

use super::{Failure, acting, authority, block_on, open_ledger, output};
use crate::config::{Config, check_url};
use crate::ledger::{AgentRecord, IdentityLedger, Ledger, NewToken, TokenFor, TokenRecord, now};

/// The longest that a token may live: a year. What is deployed to a branch once should not be good for
/// ever to whoever finds it.
const TTL_MOST: Duration = Duration::from_secs(366 * 24 * 3_600);
/// The shortest.
const TTL_LEAST: Duration = Duration::from_secs(60);
/// Enrolments with one token.
const USES_MOST: u32 = 10_000;

#[derive(Debug, Subcommand)]
pub(super) enum TokenCommand {
    /// Make a token with which agents join, and show it, once
    Create(CreateArgs),
    /// Show tokens, without their secrets
    List(ListArgs),
    /// Take a token back; agents that have joined with it stay
    Revoke(RevokeArgs),
}

#[derive(Debug, Args)]
pub(super) struct CreateArgs {
    /// For new agents of this branch
    #[arg(
        long,
        value_name = "CODE",
        conflicts_with = "agent",
        required_unless_present = "agent"
    )]
    branch: Option<BranchCode>,
    /// For this agent (LYN, LYN2, or its id) to join again as itself, with its journal
    #[arg(long, value_name = "AGENT")]
    agent: Option<String>,
    /// How many agents may join with it
    #[arg(long, default_value_t = 1, value_name = "N",
          value_parser = clap::value_parser!(u32).range(1..=i64::from(USES_MOST)))]
    uses: u32,
    /// How long it is good for: minutes, hours or days (90m, 72h, 30d)
    #[arg(long, default_value = "72h", value_name = "TIME", value_parser = authority::duration)]
    ttl: Duration,
    /// Where agents reach this server, where that is not what server.toml says
    #[arg(long, value_name = "https://HOST[:PORT]")]
    url: Option<String>,
    /// JSON, for programs
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct ListArgs {
    /// JSON, for programs
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct RevokeArgs {
    /// Its number in `token list`
    number: u64,
}

pub(super) fn execute(data_dir: &Path, command: TokenCommand) -> Result<ExitCode, Failure> {
    match command {
        TokenCommand::Create(args) => create(data_dir, args),
        TokenCommand::List(args) => list(data_dir, &args),
        TokenCommand::Revoke(args) => revoke(data_dir, &args),
    }
}

fn create(data_dir: &Path, args: CreateArgs) -> Result<ExitCode, Failure> {
    if !(TTL_LEAST..=TTL_MOST).contains(&args.ttl) {
        return Err(Failure::fix_input("--ttl must be from 1m to 366d"));
    }
    if args.agent.is_some() && args.uses != 1 {
        let message = "a token for an agent is good for that one agent; leave --uses away";
        return Err(Failure::fix_input(message));
    }
    let ledger = open_ledger(data_dir)?;
    let config = Config::read(data_dir)?;
    let open = authority::open(data_dir, &config)?;
    let url = match args.url {
        Some(url) => check_url(&url)
            .map(|()| url)
            .map_err(|fault| Failure::fix_input(format!("--url {fault}")))?,
        None => config.url_for_agents(&open.names()),
    };
    let mut secret = [0; 32];
    getrandom::fill(&mut secret)
        .map_err(|fault| Failure::call_it(format!("draw random bytes: {fault}")))?;
    let token = Token {
        url,
        anchor: open.anchor(),
        secret: Secret::from_bytes(secret),
    };
    let ttl = i64::try_from(args.ttl.as_millis()).unwrap_or(i64::MAX);
    let record = block_on(async {
        let (purpose, subject) = match (args.branch, &args.agent) {
            (Some(branch), _) => (TokenFor::Branch(branch.clone()), branch.to_string()),
            (None, said) => {
                let said = said.as_deref().unwrap_or_default();
                let agent = authority::find_agent(&ledger, said).await?;
                (TokenFor::Agent(agent.id), agent.id.to_string())
            }
        };
        let detail = format!("{} use(s), for {} minutes", args.uses, ttl / 60_000);
        let made = acting::deed("token-created", &subject, detail);
        let kept = ledger
            .add_token(NewToken {
                hash: token.secret.hash(),
                purpose,
                uses: args.uses,
                expires_at: UnixMillis(made.at.0.saturating_add(ttl)),
                made,
            })
            .await?;
        kept.ok_or_else(|| {
            Failure::fix_input(format!(
                "there is no branch {subject}; make it with `branchline-server branch add {subject}`"
            ))
        })
    })?;
    show_once(&token, &record, args.json);
    Ok(ExitCode::SUCCESS)
}

/// The token alone goes to standard output, so that scripts can take it as it is.
fn show_once(token: &Token, record: &TokenRecord, json: bool) {
    if json {
        output::json(&CreatedJson {
            token: token.to_string(),
            url: &token.url,
            record: TokenJson::from(record),
        });
        return;
    }
    output::line(&token.to_string());
    output::aside(&format!(
        "token {}: good for {} until {}, at {}. It is not shown again",
        record.number,
        match record.uses {
            1 => "one agent".to_owned(),
            uses => format!("{} agents", output::count(uses.into())),
        },
        output::moment(record.expires_at),
        token.url,
    ));
}

fn list(data_dir: &Path, args: &ListArgs) -> Result<ExitCode, Failure> {
    let ledger = open_ledger(data_dir)?;
    let (tokens, branches) =
        block_on(async { Ok((ledger.tokens().await?, ledger.branches().await?)) })?;
    if args.json {
        let tokens: Vec<TokenJson> = tokens.iter().map(TokenJson::from).collect();
        output::json(&tokens);
        return Ok(ExitCode::SUCCESS);
    }
    if tokens.is_empty() {
        output::line("no tokens; make one with `branchline-server token create --branch CODE`");
        return Ok(ExitCode::SUCCESS);
    }
    let agents: Vec<&AgentRecord> = branches.iter().flat_map(|branch| &branch.agents).collect();
    let header = ["NUMBER", "FOR", "STATE", "USED", "MADE", "ENDS"];
    let mut rows = vec![header.map(str::to_owned).to_vec()];
    rows.extend(tokens.iter().map(|token| row(token, &agents)));
    output::table(&rows);
    Ok(ExitCode::SUCCESS)
}

fn row(token: &TokenRecord, agents: &[&AgentRecord]) -> Vec<String> {
    let purpose = match &token.purpose {
        TokenFor::Branch(branch) => format!("branch {branch}"),
        TokenFor::Agent(id) => {
            let agent = agents.iter().find(|agent| agent.id == *id);
            let name = agent.map_or_else(|| id.to_string(), |agent| authority::agent_name(agent));
            format!("agent {name}")
        }
    };
    vec![
        token.number.to_string(),
        purpose,
        state(token).to_owned(),
        format!("{} of {}", token.used, token.uses),
        output::moment(token.made_at),
        output::moment(token.expires_at),
    ]
}

fn state(token: &TokenRecord) -> &'static str {
    if token.revoked {
        "revoked"
    } else if token.used >= token.uses {
        "used up"
    } else if token.expires_at <= now() {
        "expired"
    } else {
        "good"
    }
}

fn revoke(data_dir: &Path, args: &RevokeArgs) -> Result<ExitCode, Failure> {
    let ledger = open_ledger(data_dir)?;
    let number = args.number;
    let deed = acting::deed("token-revoked", format!("token {number}"), String::new());
    if !block_on(async { Ok(ledger.revoke_token(number, deed).await?) })? {
        let message =
            format!("there is no token {number}; `branchline-server token list` shows them");
        return Err(Failure::fix_input(message));
    }
    output::line(&format!(
        "token {number} is taken back; agents that joined with it stay (`agent revoke` ends those)"
    ));
    Ok(ExitCode::SUCCESS)
}

#[derive(Serialize)]
struct CreatedJson<'a> {
    token: String,
    url: &'a str,
    #[serde(flatten)]
    record: TokenJson,
}

#[derive(Serialize)]
struct TokenJson {
    number: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    branch: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    agent: Option<String>,
    state: &'static str,
    uses: u32,
    used: u32,
    made_at: String,
    expires_at: String,
}

impl From<&TokenRecord> for TokenJson {
    fn from(token: &TokenRecord) -> Self {
        let (branch, agent) = match &token.purpose {
            TokenFor::Branch(branch) => (Some(branch.to_string()), None),
            TokenFor::Agent(agent) => (None, Some(agent.to_string())),
        };
        Self {
            number: token.number,
            branch,
            agent,
            state: state(token),
            uses: token.uses,
            used: token.used,
            made_at: token.made_at.to_rfc3339(),
            expires_at: token.expires_at.to_rfc3339(),
        }
    }
}
