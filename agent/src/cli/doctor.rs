//! `doctor`: checks the agent and its way to central step by step, in plain words.
//!
//! Ends within about half a minute whatever the way does. Each trouble says who must act and what to do.

mod certificate;
mod files;
mod finding;
mod local;
mod measure;
mod way;

#[cfg(test)]
mod tests;

use std::path::Path;
use std::process::ExitCode;

use branchline_protocol::problem::ErrorClass;
use clap::Args;

use crate::config::{Config, ConfigError};

use super::{CliError, FOUND_SOMETHING};
use finding::{Report, bad};

#[derive(Debug, Args)]
pub(super) struct DoctorArgs {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn execute(
    args: DoctorArgs,
    path: &Path,
    config: Result<Config, ConfigError>,
) -> Result<ExitCode, CliError> {
    let mut report = Report::begin(args.json, path);
    match config {
        Ok(config) => examine(&mut report, &config).await,
        Err(fault) => report.tell(
            bad("configuration", ErrorClass::CallIt, fault.to_string())
                .advising("Correct the file; every key is explained in the documentation."),
        ),
    }
    report.end();
    Ok(if report.is_sick() {
        ExitCode::from(FOUND_SOMETHING)
    } else {
        ExitCode::SUCCESS
    })
}

async fn examine(report: &mut Report, config: &Config) {
    local::examine(report, config).await;
    way::examine(report, config).await;
}
