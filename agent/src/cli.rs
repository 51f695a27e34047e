//! The command line, for people and scripts. Thin: every rule lives in the agent; the commands ask
//! it over the local API, and `queue` reads the journal's file, so that IT can look while it is down.
//!
//! Exit codes: 0 done, 2 fix the input, 3 a check found something, 70 call IT, 75 try again
//! (the sysexits values for the last two).

mod attach;
mod doctor;
mod enroll;
mod files;
mod output;
mod queue;
mod run;
mod setup;
mod status;
mod ticket;

use std::path::PathBuf;
use std::process::ExitCode;

use branchline_agent_api::{Client, ClientError};
use branchline_protocol::problem::ErrorClass;
use clap::{Parser, Subcommand};

use crate::config::{Config, ConfigError};

/// The agent of a branch: saves tickets at once and carries them to central when the link allows.
#[derive(Debug, Parser)]
#[command(name = "branchline-agent", version, long_version = VERSION, after_help = EXIT_CODES)]
pub struct Cli {
    /// Configuration file
    #[arg(
        long,
        global = true,
        env = "BRANCHLINE_AGENT_CONFIG",
        value_name = "FILE"
    )]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

/// Release, commit and day, where `make packages` built it.
const VERSION: &str = match option_env!("BRANCHLINE_VERSION") {
    Some(version) => version,
    None => concat!(env!("CARGO_PKG_VERSION"), " (development build)"),
};

const EXIT_CODES: &str = "Exit codes: 0 done, 2 fix the input, 3 a check found something, \
                          70 call IT, 75 try again.";

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the agent in the foreground
    Run(run::RunArgs),
    /// Take over what an installer was told
    #[command(hide = true)]
    Setup(setup::SetupArgs),
    /// Join central with a token, once per computer
    Enroll(enroll::EnrollArgs),
    /// File tickets and follow them
    #[command(subcommand)]
    Ticket(ticket::TicketCommand),
    /// Follow the files of tickets
    #[command(subcommand)]
    Files(files::FilesCommand),
    /// Show how the agent is: link, what waits, what went wrong
    Status(status::StatusArgs),
    /// Look into the journal's file: what waits, whether it is sound, what is in it
    #[command(subcommand)]
    Queue(queue::QueueCommand),
    /// Check the agent and its way to central step by step
    Doctor(doctor::DoctorArgs),
}

/// Why a command did not do what it was asked, and who must act.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
struct CliError {
    class: ErrorClass,
    message: String,
}

impl CliError {
    fn fix_input(message: impl Into<String>) -> Self {
        Self {
            class: ErrorClass::FixInput,
            message: message.into(),
        }
    }

    fn call_it(message: impl std::fmt::Display) -> Self {
        Self {
            class: ErrorClass::CallIt,
            message: message.to_string(),
        }
    }

    fn code(&self) -> u8 {
        match self.class {
            ErrorClass::FixInput => 2,
            ErrorClass::CallIt => 70,
            ErrorClass::TryAgain => 75,
        }
    }

    fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.code())
    }
}

/// Of an identity that is not its owner's alone.
const EXPOSED_IDENTITY: &str = "others than its owner can read the agent's key, and whoever has it can \
     speak for the branch; give the file the mode 0600, and have the agent revoked and join again if \
     somebody may have taken it";

/// A check ran and found something.
const FOUND_SOMETHING: u8 = 3;

impl From<ConfigError> for CliError {
    fn from(fault: ConfigError) -> Self {
        Self::call_it(fault)
    }
}

impl From<ClientError> for CliError {
    fn from(fault: ClientError) -> Self {
        let class = fault.class();
        let message = match &fault {
            ClientError::NotRunning { .. } => {
                format!("{fault}. Is it running? (branchline-agent run)")
            }
            ClientError::Problem(problem) => match &problem.field {
                Some(field) if !problem.detail.starts_with(field.as_str()) => {
                    format!("{field}: {}", problem.detail)
                }
                _ => problem.detail.clone(),
            },
            ClientError::File { .. } | ClientError::Unreadable(_) => fault.to_string(),
        };
        Self { class, message }
    }
}

impl From<std::io::Error> for CliError {
    fn from(fault: std::io::Error) -> Self {
        Self::call_it(fault)
    }
}

impl Cli {
    /// Runs the command and answers with its exit code.
    pub fn execute(self) -> ExitCode {
        match self.dispatch() {
            Ok(code) => code,
            Err(error) => {
                output::error(&format!("{} ({})", error.message, error.class));
                error.exit_code()
            }
        }
    }

    fn dispatch(self) -> Result<ExitCode, CliError> {
        let path = self.config.unwrap_or_else(crate::platform::default_config);
        let config = Config::read(&path);
        match self.command {
            Command::Setup(args) => setup::execute(args, &path),
            Command::Run(args) => run::execute(&args, config),
            Command::Enroll(args) => block_on(enroll::execute(args, config?)),
            Command::Ticket(command) => block_on(ticket::execute(command, client(&config?)?)),
            Command::Files(command) => block_on(files::execute(command, client(&config?)?)),
            Command::Status(args) => block_on(status::execute(args, client(&config?)?)),
            Command::Queue(command) => queue::execute(command, &config?),
            Command::Doctor(args) => block_on(doctor::execute(args, &path, config)),
        }
    }
}

fn client(config: &Config) -> Result<Client, CliError> {
    Ok(Client::new(&config.socket)?)
}

fn block_on(
    command: impl Future<Output = Result<ExitCode, CliError>>,
) -> Result<ExitCode, CliError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(command)
}
