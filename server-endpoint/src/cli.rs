//! The command line: for IT, for scripts, and for the service manager.
//!
//! Exit codes: 0 it worked; 2 the input must be mended; 3 an audit or a verification found something; 70 IT must act;
//! 75 try again. Every command may run while the server runs.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use branchline_protocol::problem::ErrorClass;
use clap::{Parser, Subcommand};

use crate::config::{self, Config, ConfigError};
use crate::ledger::LedgerError;
use crate::ledger::sqlite::{self, SqliteLedger};

mod acting;
mod agent;
mod api_token;
mod ask;
mod audit;
mod authority;
mod branch;
mod cert;
mod files;
mod init;
mod operator;
mod outbox;
mod output;
mod read_model;
mod ready;
mod serve;
mod tickets;
mod token;
mod trail;

/// Central of Branchline: takes what branches filed, once and in order.
#[derive(Debug, Parser)]
#[command(name = "branchline-server", version, long_version = VERSION, max_term_width = 100)]
pub struct Cli {
    /// Where the ledger is, and the settings (server.toml) unless it is the packages' directory, whose
    /// settings are in /etc/branchline
    #[arg(
        long,
        global = true,
        env = "BRANCHLINE_SERVER_DATA_DIR",
        default_value = config::DATA_DIR,
        value_name = "DIR"
    )]
    data_dir: PathBuf,
    #[command(subcommand)]
    command: Command,
}

/// Release, commit and day, where `make packages` built it.
const VERSION: &str = match option_env!("BRANCHLINE_VERSION") {
    Some(version) => version,
    None => concat!(env!("CARGO_PKG_VERSION"), " (development build)"),
};

#[derive(Debug, Subcommand)]
enum Command {
    /// Make the data directory, the ledger, the certificate authority and a commented server.toml; can
    /// be repeated
    Init(init::InitArgs),
    /// Answer agents until SIGTERM or SIGINT
    Serve(serve::ServeArgs),
    /// Ask the server that runs on this machine whether it takes what branches send
    Ready(ready::ReadyArgs),
    /// Make branches, and see their agents
    #[command(subcommand)]
    Branch(branch::BranchCommand),
    /// Make and take back tokens, with which agents join
    #[command(subcommand)]
    Token(token::TokenCommand),
    /// Look at agents, and revoke them
    #[command(subcommand)]
    Agent(agent::AgentCommand),
    /// See certificates, issue proxies', and change the root without visiting branches
    #[command(subcommand)]
    Cert(cert::CertCommand),
    /// Add, change and remove the people of central
    #[command(subcommand)]
    Operator(operator::OperatorCommand),
    /// Make and take back what programs show to be known
    #[command(subcommand)]
    ApiToken(api_token::ApiTokenCommand),
    /// See who did what, and check that the record of it is whole
    #[command(subcommand)]
    Trail(trail::TrailCommand),
    /// What central support searches and reads
    #[command(subcommand, name = "readmodel")]
    ReadModel(read_model::ReadModelCommand),
    /// Look at tickets
    #[command(subcommand)]
    Tickets(tickets::TicketsCommand),
    /// See how outside systems that are told what happens do, and send again what they did not take
    #[command(subcommand)]
    Outbox(outbox::OutboxCommand),
    /// Look at files, get their content, release, scan again, verify
    #[command(subcommand)]
    Files(files::FilesCommand),
    /// Compare what central holds with agents' `queue export --digest`
    Audit(audit::AuditArgs),
}

/// Why a command did not work, and who must act.
#[derive(Debug)]
struct Failure {
    class: ErrorClass,
    message: String,
}

impl Failure {
    fn fix_input(message: impl Into<String>) -> Self {
        Self {
            class: ErrorClass::FixInput,
            message: message.into(),
        }
    }

    fn call_it(message: impl Into<String>) -> Self {
        Self {
            class: ErrorClass::CallIt,
            message: message.into(),
        }
    }

    fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self.class {
            ErrorClass::FixInput => 2,
            ErrorClass::CallIt => 70,
            ErrorClass::TryAgain => 75,
        })
    }
}

impl From<ConfigError> for Failure {
    fn from(fault: ConfigError) -> Self {
        match fault {
            ConfigError::Read { .. } => Self::call_it(fault.to_string()),
            ConfigError::Content { .. } => Self::fix_input(fault.to_string()),
        }
    }
}

impl From<LedgerError> for Failure {
    fn from(fault: LedgerError) -> Self {
        let (class, what_to_do) = match &fault {
            LedgerError::Away(_) => (ErrorClass::TryAgain, "try again in a moment"),
            LedgerError::Full(_) => (ErrorClass::CallIt, "make room on its disk"),
            LedgerError::Broken(_) => (
                ErrorClass::CallIt,
                "keep the data directory as it is and restore from a backup elsewhere",
            ),
        };
        Self {
            class,
            message: format!("{fault}; {what_to_do}"),
        }
    }
}

impl Cli {
    /// Runs the command and answers with its exit code.
    pub fn execute(self) -> ExitCode {
        let data_dir = self.data_dir;
        if let Err(failure) = become_owner(&data_dir) {
            output::error(&format!("{} ({})", failure.message, failure.class));
            return failure.exit_code();
        }
        let done = match self.command {
            Command::Init(args) => init::execute(&data_dir, &args),
            Command::Serve(args) => serve::execute(&data_dir, &args),
            Command::Ready(args) => ready::execute(&data_dir, &args),
            Command::Branch(command) => branch::execute(&data_dir, command),
            Command::Token(command) => token::execute(&data_dir, command),
            Command::Agent(command) => agent::execute(&data_dir, command),
            Command::Cert(command) => cert::execute(&data_dir, command),
            Command::Operator(command) => operator::execute(&data_dir, command),
            Command::ApiToken(command) => api_token::execute(&data_dir, command),
            Command::Trail(command) => trail::execute(&data_dir, command),
            Command::ReadModel(command) => read_model::execute(&data_dir, &command),
            Command::Tickets(command) => tickets::execute(&data_dir, command),
            Command::Outbox(command) => outbox::execute(&data_dir, command),
            Command::Files(command) => files::execute(&data_dir, command),
            Command::Audit(args) => audit::execute(&data_dir, &args),
        };
        done.unwrap_or_else(|failure| {
            output::error(&format!("{} ({})", failure.message, failure.class));
            failure.exit_code()
        })
    }
}

/// What root runs, the data directory's owner runs: files that root makes there could not be opened by the
/// service afterwards, and nothing here needs root.
fn become_owner(data_dir: &Path) -> Result<(), Failure> {
    use nix::unistd::{Gid, Uid, User, geteuid, initgroups, setgid, setuid};
    use std::os::unix::fs::MetadataExt;
    let Ok(facts) = std::fs::metadata(data_dir) else {
        return Ok(());
    };
    let (uid, gid) = (Uid::from_raw(facts.uid()), Gid::from_raw(facts.gid()));
    if !geteuid().is_root() || uid.is_root() {
        return Ok(());
    }
    let become_one = || {
        if let Some(name) =
            User::from_uid(uid)?.and_then(|user| std::ffi::CString::new(user.name).ok())
        {
            initgroups(&name, gid)?;
        }
        setgid(gid)?;
        setuid(uid)
    };
    become_one().map_err(|fault| {
        let place = data_dir.display();
        Failure::call_it(format!(
            "become the user that {place} belongs to: {fault}; run this as that user"
        ))
    })
}

/// Opens the data directory's ledger; `init` must have made it.
fn open_ledger(data_dir: &Path) -> Result<SqliteLedger, Failure> {
    Config::read(data_dir)?;
    let path = data_dir.join(sqlite::FILE_NAME);
    if !path.exists() {
        let message = format!(
            "there is no ledger at {}; make one with `branchline-server init`, or name the right \
             directory with --data-dir",
            path.display()
        );
        return Err(Failure::fix_input(message));
    }
    Ok(SqliteLedger::open(&path)?)
}

/// Runs a command's async part.
fn block_on<T>(command: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|fault| Failure::call_it(format!("start the runtime: {fault}")))?;
    runtime.block_on(command)
}
