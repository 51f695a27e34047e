//! `enroll`: joins central now, with a token, whether the service runs or not.

use std::io::Read;
use std::process::ExitCode;

use branchline_protocol::enrolment::Token;
use branchline_protocol::limits;
use branchline_protocol::outcome::Outcome;
use branchline_protocol::problem::ErrorClass;
use clap::Args;
use zeroize::Zeroizing;

use crate::config::Config;
use crate::identity::IdentityFile;
use crate::identity::token_sources::Erased;
use crate::link::proxy::LinkSettings;
use crate::store::owner::journal_of;
use crate::sync::enrolment::{Enrolment, EnrolmentFault};

use super::{CliError, output};

#[derive(Args)]
#[command(after_help = HELP)]
pub(super) struct EnrollArgs {
    /// The token that `branchline-server token create` printed; `-` reads it from standard input, where
    /// other users of this computer cannot see it
    #[arg(value_name = "TOKEN")]
    token: String,
}

const HELP: &str = "The service enrols itself where it finds a token at its start or later: in the file \
    enrolment.token in its data folder, in enrolment_token or enrolment_token_file of the configuration, \
    in the systemd credential enrolment-token, or in BRANCHLINE_ENROLMENT_TOKEN. It erases what it used. A \
    computer that has joined before joins again as the agent that it is, with a token for that agent \
    (branchline-server token create --agent).";

/// Derived, it would show the token.
impl std::fmt::Debug for EnrollArgs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("EnrollArgs(…)")
    }
}

pub(super) async fn execute(args: EnrollArgs, config: Config) -> Result<ExitCode, CliError> {
    let token = read(args)?;
    make_folder(&config)?;
    let file = IdentityFile::in_folder(&config.data_dir);
    let (settings, fault) = LinkSettings::of(&config);
    if let Some(fault) = fault {
        return Err(CliError::call_it(fault));
    }
    let own = || Some(file.load().ok()?.identity?.journal_of());
    let enrolment = Enrolment {
        journal_of: journal_of(&config.data_dir).or_else(own),
        settings,
        server: config.server.clone(),
        file,
    };
    let identity = enrolment.join(&token).await?;
    output::line(&format!(
        "This computer is agent {} of branch {} now, with {}.",
        identity.ordinal,
        identity.branch,
        output::safe(&identity.server)
    ));
    for (place, came) in config.token_sources().erase(token.secret.hash()) {
        output::line(&match came {
            Erased::Gone => format!("Erased the token from {place}."),
            Erased::NotOurs => format!("The token stands in {place}; remove it there."),
            Erased::Failed(fault) => format!("The token stands in {place}; remove it: {fault}"),
        });
    }
    Ok(ExitCode::SUCCESS)
}

fn read(args: EnrollArgs) -> Result<Token, CliError> {
    let mut text = Zeroizing::new(args.token);
    if text.as_str() == "-" {
        text.clear();
        let most = 4 * limits::TOKEN_CHARS as u64;
        std::io::stdin().take(most).read_to_string(&mut text)?;
    }
    text.parse()
        .map_err(|fault| CliError::fix_input(format!("{fault}")))
}

/// The service may never have run.
fn make_folder(config: &Config) -> Result<(), CliError> {
    let folder = &config.data_dir;
    if folder.is_dir() {
        return Ok(());
    }
    std::fs::create_dir_all(folder)
        .and_then(|()| crate::platform::restrict_to_owner(folder))
        .map_err(|fault| {
            let folder = folder.display();
            CliError::call_it(format!("data_dir = \"{folder}\" cannot be used: {fault}"))
        })
}

impl From<EnrolmentFault> for CliError {
    fn from(fault: EnrolmentFault) -> Self {
        let class = match &fault {
            EnrolmentFault::UnderWay => ErrorClass::TryAgain,
            EnrolmentFault::Outcome(outcome) => class_of(outcome),
            _ => ErrorClass::CallIt,
        };
        Self {
            class,
            message: format!("not enrolled: {fault}"),
        }
    }
}

fn class_of(outcome: &Outcome) -> ErrorClass {
    outcome
        .trouble()
        .map_or(ErrorClass::CallIt, |trouble| trouble.class)
}
