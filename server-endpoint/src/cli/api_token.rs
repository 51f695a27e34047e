//! `api-token`: what programs show to be known at the desk. Shown once; the ledger has hashes.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use branchline_protocol::text::{Shape, fault};
use branchline_protocol::time::UnixMillis;
use clap::{Args, Subcommand};
use serde::Serialize;
use serde_json::json;

use super::{Failure, acting, authority, block_on, open_ledger, output};
use crate::authority::operators::secret::Bearer;
use crate::ledger::sqlite::SqliteLedger;
use crate::ledger::{ApiTokenRecord, NAME_CHARS, NewApiToken, OperatorLedger, Right, now};

#[derive(Debug, Subcommand)]
pub(super) enum ApiTokenCommand {
    /// Make a token, and show it, once
    Create(CreateArgs),
    /// Show tokens, without their secrets
    List(ListArgs),
    /// Take a token back
    Revoke(RevokeArgs),
}

#[derive(Debug, Args)]
pub(super) struct CreateArgs {
    /// What it is for, such as "night report"
    name: String,
    /// What it may do; can be repeated
    #[arg(long = "right", value_name = "RIGHT", required = true)]
    rights: Vec<Right>,
    /// How long it is good for: hours or days (72h, 90d); without, until it is revoked
    #[arg(long, value_name = "TIME", value_parser = authority::duration)]
    ttl: Option<Duration>,
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
    /// Its number in `api-token list`
    number: u64,
}

pub(super) fn execute(data_dir: &Path, command: ApiTokenCommand) -> Result<ExitCode, Failure> {
    let ledger = open_ledger(data_dir)?;
    match command {
        ApiTokenCommand::Create(args) => create(&ledger, args),
        ApiTokenCommand::List(args) => list(&ledger, &args),
        ApiTokenCommand::Revoke(args) => revoke(&ledger, &args),
    }
}

fn create(ledger: &SqliteLedger, args: CreateArgs) -> Result<ExitCode, Failure> {
    if let Some(fault) = fault(&args.name, Shape::Line, NAME_CHARS) {
        return Err(Failure::fix_input(format!("the name {fault}")));
    }
    let bearer = Bearer::random().map_err(Failure::call_it)?;
    let deed = acting::deed("api-token-made", "", String::new());
    let end = |ttl: Duration| {
        let millis = i64::try_from(ttl.as_millis()).unwrap_or(i64::MAX);
        UnixMillis(deed.at.0.saturating_add(millis))
    };
    let new = NewApiToken {
        name: args.name,
        hash: bearer.hash(),
        rights: args.rights,
        expires_at: args.ttl.map(end),
        deed: deed.clone(),
    };
    let kept = block_on(async { Ok(ledger.add_api_token(new).await?) })?;
    let token = bearer.to_api_token();
    if args.json {
        output::json(&json!({ "number": kept.number, "token": token }));
    } else {
        output::aside(&format!(
            "API token {} ({}): {}; shown this once",
            kept.number,
            kept.name,
            rights(&kept)
        ));
        output::line(&token);
    }
    Ok(ExitCode::SUCCESS)
}

fn revoke(ledger: &SqliteLedger, args: &RevokeArgs) -> Result<ExitCode, Failure> {
    let subject = format!("API token {}", args.number);
    let deed = acting::deed("api-token-revoked", subject, String::new());
    let revoked = ledger.revoke_api_token(args.number, deed);
    if !block_on(async { Ok(revoked.await?) })? {
        return Err(Failure::fix_input(format!(
            "there is no API token {}; `api-token list` shows all",
            args.number
        )));
    }
    output::line(&format!("API token {} is revoked", args.number));
    Ok(ExitCode::SUCCESS)
}

fn rights(token: &ApiTokenRecord) -> String {
    let words: Vec<&str> = token.rights.iter().map(|right| right.as_str()).collect();
    words.join(", ")
}

fn state(token: &ApiTokenRecord, now: UnixMillis) -> &'static str {
    if token.revoked {
        "revoked"
    } else if token.expires_at.is_some_and(|end| end <= now) {
        "expired"
    } else {
        "good"
    }
}

fn list(ledger: &SqliteLedger, args: &ListArgs) -> Result<ExitCode, Failure> {
    let tokens = block_on(async { Ok(ledger.api_tokens().await?) })?;
    let now = now();
    if args.json {
        let tokens: Vec<ApiTokenJson<'_>> =
            tokens.iter().map(|it| ApiTokenJson::of(it, now)).collect();
        output::json(&tokens);
        return Ok(ExitCode::SUCCESS);
    }
    if tokens.is_empty() {
        output::line(
            "no API tokens; make one with `branchline-server api-token create NAME --right read`",
        );
        return Ok(ExitCode::SUCCESS);
    }
    let header = ["NUMBER", "STATE", "RIGHTS", "USED", "ENDS", "NAME"];
    let mut rows = vec![header.map(str::to_owned).to_vec()];
    rows.extend(tokens.iter().map(|token| {
        vec![
            token.number.to_string(),
            state(token, now).to_owned(),
            rights(token),
            token
                .used_at
                .map_or_else(|| "never".to_owned(), |at| output::ago(at, now)),
            token
                .expires_at
                .map_or_else(|| "never".to_owned(), output::moment),
            output::cell(&token.name, 40),
        ]
    }));
    output::table(&rows);
    Ok(ExitCode::SUCCESS)
}

#[derive(Serialize)]
struct ApiTokenJson<'a> {
    number: u64,
    name: &'a str,
    state: &'static str,
    rights: Vec<&'static str>,
    made_by: &'a str,
    made_at: String,
    expires_at: Option<String>,
    used_at: Option<String>,
}

impl<'a> ApiTokenJson<'a> {
    fn of(token: &'a ApiTokenRecord, now: UnixMillis) -> Self {
        Self {
            number: token.number,
            name: &token.name,
            state: state(token, now),
            rights: token.rights.iter().map(|right| right.as_str()).collect(),
            made_by: &token.made_by,
            made_at: token.made_at.to_rfc3339(),
            expires_at: token.expires_at.map(UnixMillis::to_rfc3339),
            used_at: token.used_at.map(UnixMillis::to_rfc3339),
        }
    }
}
