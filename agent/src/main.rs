//! The agent's program: reads the command line and does what it says.

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    branchline_agent::cli::Cli::parse().execute()
}
