//! `branchline-server`: central's program.

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    branchline_server::cli::Cli::parse().execute()
}
