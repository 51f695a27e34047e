//! `operator`: the people of central: who they are, what they may do, and their passwords.

use std::path::Path;
use std::process::ExitCode;

use branchline_protocol::time::UnixMillis;
use clap::{Args, Subcommand};
use serde::Serialize;

use super::{Failure, acting, ask, block_on, open_ledger, output};
use crate::authority::operators::passwords;
use crate::ledger::sqlite::SqliteLedger;
use crate::ledger::{
    NameFault, NewOperator, NewPassword, OperatorChange, OperatorLedger, OperatorName,
    OperatorRecord, PasswordHash, Role, now,
};

#[derive(Debug, Subcommand)]
pub(super) enum OperatorCommand {
    /// Add an operator, and show a password that must be changed at the first signing in
    Add(AddArgs),
    /// Show operators
    List(ListArgs),
    /// Give an operator another role; ends its sessions
    Role(RoleArgs),
    /// Set an operator's password, asked for at the terminal or read from standard input; ends its
    /// sessions
    Password(PasswordArgs),
    /// Remove an operator; ends its sessions
    Remove(RemoveArgs),
}

#[derive(Debug, Args)]
pub(super) struct AddArgs {
    /// Small letters, digits, and . - _ @, such as anna.martin
    #[arg(value_parser = name)]
    name: OperatorName,
    /// What it may do
    #[arg(long)]
    role: Role,
    /// Ask for the password, at the terminal or on standard input, rather than make one
    #[arg(long)]
    ask_password: bool,
}

#[derive(Debug, Args)]
pub(super) struct ListArgs {
    /// JSON, for programs
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct RoleArgs {
    /// The operator
    #[arg(value_parser = name)]
    name: OperatorName,
    /// What it may do from now on
    role: Role,
}

#[derive(Debug, Args)]
pub(super) struct PasswordArgs {
    /// The operator
    #[arg(value_parser = name)]
    name: OperatorName,
    /// Make one and show it, once; it must be changed at the next signing in
    #[arg(long)]
    one_time: bool,
}

#[derive(Debug, Args)]
pub(super) struct RemoveArgs {
    /// The operator
    #[arg(value_parser = name)]
    name: OperatorName,
}

fn name(text: &str) -> Result<OperatorName, NameFault> {
    text.parse()
}

pub(super) fn execute(data_dir: &Path, command: OperatorCommand) -> Result<ExitCode, Failure> {
    let ledger = open_ledger(data_dir)?;
    match command {
        OperatorCommand::Add(args) => add(&ledger, &args),
        OperatorCommand::List(args) => list(&ledger, &args),
        OperatorCommand::Role(args) => role(&ledger, &args),
        OperatorCommand::Password(args) => password(&ledger, &args),
        OperatorCommand::Remove(args) => remove(&ledger, &args),
    }
}

/// A password to set: its hash, and itself where it was made and is to be shown.
struct Chosen {
    hash: PasswordHash,
    shown: Option<String>,
}

impl Chosen {
    fn ask(name: &OperatorName) -> Result<Self, Failure> {
        let password = ask::new_password()?;
        passwords::check(&password, name.as_str())
            .map_err(|fault| Failure::fix_input(format!("the new password {fault}")))?;
        Ok(Self {
            hash: hash(&password)?,
            shown: None,
        })
    }

    fn make() -> Result<Self, Failure> {
        let made = passwords::one_time().map_err(Failure::call_it)?;
        Ok(Self {
            hash: hash(&made)?,
            shown: Some(made),
        })
    }

    fn show(&self, name: &OperatorName) {
        if let Some(password) = &self.shown {
            output::line(&one_time(name.as_str(), password));
        }
    }
}

fn hash(password: &str) -> Result<PasswordHash, Failure> {
    passwords::hash(password).ok_or_else(|| Failure::call_it("hash the password"))
}

/// What is said, once, of a password that was made.
pub(super) fn one_time(name: &str, password: &str) -> String {
    format!(
        "password of {name}, shown this once and to be changed at the first signing in: {password}"
    )
}

fn add(ledger: &SqliteLedger, args: &AddArgs) -> Result<ExitCode, Failure> {
    let chosen = if args.ask_password {
        Chosen::ask(&args.name)?
    } else {
        Chosen::make()?
    };
    let role = args.role.as_str();
    let new = NewOperator {
        name: args.name.clone(),
        role: args.role,
        password: chosen.hash.clone(),
        must_change: chosen.shown.is_some(),
        deed: acting::deed("operator-added", args.name.as_str(), role.to_owned()),
    };
    if !block_on(async { Ok(ledger.add_operator(new).await?) })? {
        return Err(Failure::fix_input(format!(
            "there is an operator {} already; change it with `operator role` or `operator password`",
            args.name
        )));
    }
    output::line(&format!("operator {} added: {role}", args.name));
    chosen.show(&args.name);
    Ok(ExitCode::SUCCESS)
}

fn role(ledger: &SqliteLedger, args: &RoleArgs) -> Result<ExitCode, Failure> {
    let role = args.role.as_str();
    let deed = acting::deed("operator-role-set", args.name.as_str(), role.to_owned());
    let change = ledger.set_role(args.name.clone(), args.role, deed);
    let change = block_on(async { Ok(change.await?) })?;
    changed(change, &args.name)?;
    output::line(&format!("operator {} is {role}", args.name));
    Ok(ExitCode::SUCCESS)
}

fn password(ledger: &SqliteLedger, args: &PasswordArgs) -> Result<ExitCode, Failure> {
    let known = ledger.operator(args.name.clone());
    if block_on(async { Ok(known.await?) })?.is_none() {
        return changed(OperatorChange::Unknown, &args.name);
    }
    let chosen = if args.one_time {
        Chosen::make()?
    } else {
        Chosen::ask(&args.name)?
    };
    let kind = if args.one_time { "to be changed" } else { "" };
    let new = NewPassword {
        name: args.name.clone(),
        password: chosen.hash.clone(),
        must_change: chosen.shown.is_some(),
        proven: None,
        deed: acting::deed("operator-password-set", args.name.as_str(), kind.to_owned()),
    };
    if !block_on(async { Ok(ledger.set_password(new).await?) })? {
        return changed(OperatorChange::Unknown, &args.name);
    }
    output::line(&format!(
        "operator {} has another password, and no session is open",
        args.name
    ));
    chosen.show(&args.name);
    Ok(ExitCode::SUCCESS)
}

fn remove(ledger: &SqliteLedger, args: &RemoveArgs) -> Result<ExitCode, Failure> {
    let deed = acting::deed("operator-removed", args.name.as_str(), String::new());
    let change = ledger.remove_operator(args.name.clone(), deed);
    let change = block_on(async { Ok(change.await?) })?;
    changed(change, &args.name)?;
    output::line(&format!(
        "operator {} removed; API tokens stay good: see `api-token list` for those it may know",
        args.name
    ));
    Ok(ExitCode::SUCCESS)
}

fn changed(change: OperatorChange, name: &OperatorName) -> Result<ExitCode, Failure> {
    match change {
        OperatorChange::Done => Ok(ExitCode::SUCCESS),
        OperatorChange::Unknown => Err(Failure::fix_input(format!(
            "there is no operator {name}; `operator list` shows all"
        ))),
        OperatorChange::LastAdministrator => Err(Failure::fix_input(format!(
            "{name} is the only administrator; make another one first"
        ))),
    }
}

fn list(ledger: &SqliteLedger, args: &ListArgs) -> Result<ExitCode, Failure> {
    let operators = block_on(async { Ok(ledger.operators().await?) })?;
    if args.json {
        let operators: Vec<OperatorJson<'_>> = operators.iter().map(OperatorJson::from).collect();
        output::json(&operators);
        return Ok(ExitCode::SUCCESS);
    }
    if operators.is_empty() {
        output::line(
            "no operators; add one with `branchline-server operator add NAME --role ROLE`",
        );
        return Ok(ExitCode::SUCCESS);
    }
    let header = ["NAME", "ROLE", "SIGNED IN", "SESSIONS", "PASSWORD"];
    let mut rows = vec![header.map(str::to_owned).to_vec()];
    rows.extend(operators.iter().map(|operator| {
        let signed_in = operator.signed_in_at;
        vec![
            operator.name.to_string(),
            operator.role.as_str().to_owned(),
            signed_in.map_or_else(|| "never".to_owned(), |at| output::ago(at, now())),
            output::count(operator.sessions),
            if operator.must_change {
                "to be changed".to_owned()
            } else {
                output::ago(operator.password_at, now())
            },
        ]
    }));
    output::table(&rows);
    Ok(ExitCode::SUCCESS)
}

#[derive(Serialize)]
struct OperatorJson<'a> {
    name: &'a str,
    role: &'static str,
    must_change_password: bool,
    password_set_at: String,
    added_at: String,
    signed_in_at: Option<String>,
    sessions: u64,
}

impl<'a> From<&'a OperatorRecord> for OperatorJson<'a> {
    fn from(operator: &'a OperatorRecord) -> Self {
        Self {
            name: operator.name.as_str(),
            role: operator.role.as_str(),
            must_change_password: operator.must_change,
            password_set_at: operator.password_at.to_rfc3339(),
            added_at: operator.made_at.to_rfc3339(),
            signed_in_at: operator.signed_in_at.map(UnixMillis::to_rfc3339),
            sessions: operator.sessions,
        }
    }
}
