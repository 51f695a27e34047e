//! `run`: the agent in the foreground, until SIGTERM or Ctrl-C.

use std::process::ExitCode;

use clap::{Args, ValueEnum};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

use crate::config::Config;
use crate::identity::IdentityFile;

use super::{CliError, output};

#[derive(Debug, Args)]
pub(super) struct RunArgs {
    /// How log lines look on standard error; RUST_LOG sets what is logged
    #[arg(long, value_enum, default_value_t = LogFormat::Text, env = "BRANCHLINE_LOG_FORMAT")]
    log_format: LogFormat,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum LogFormat {
    Text,
    Json,
}

/// Threads that run requests and the sync loop; the store has its own, and a branch PC has other work.
const WORKER_THREADS: usize = 2;
/// Threads for reading the journal.
const BLOCKING_THREADS: usize = 4;

pub(super) fn execute(args: &RunArgs, config: Config) -> Result<ExitCode, CliError> {
    start_log(args.log_format);
    check_places(&config)?;
    let identity = IdentityFile::in_folder(&config.data_dir);
    if identity.is_exposed() {
        tracing::warn!(path = %identity.path().display(), "{}", super::EXPOSED_IDENTITY);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(WORKER_THREADS)
        .max_blocking_threads(BLOCKING_THREADS)
        .enable_all()
        .build()?;
    let socket = config.socket.display().to_string();
    runtime.block_on(async {
        let shutdown = CancellationToken::new();
        let ended = shutdown.clone();
        let signals = tokio_util::task::TaskTracker::new();
        signals.spawn(async move {
            signal().await;
            ended.cancel();
        });
        let ready = || output::line(&format!("ready on {socket}"));
        crate::agent::run(config, shutdown, ready)
            .await
            .map_err(|fault| CliError::call_it(format!("the agent cannot run: {}", chain(&fault))))
    })?;
    Ok(ExitCode::SUCCESS)
}

/// What the settings name as the agent's own must be usable as that.
fn check_places(config: &Config) -> Result<(), CliError> {
    std::fs::create_dir_all(&config.data_dir).map_err(|fault| {
        let folder = config.data_dir.display();
        CliError::call_it(format!("data_dir = \"{folder}\" cannot be used: {fault}"))
    })?;
    // Binding takes the place of a socket that an agent before this one left behind, and must not
    // take away anything else.
    #[cfg(unix)]
    if std::fs::symlink_metadata(&config.socket).is_ok_and(|facts| {
        use std::os::unix::fs::FileTypeExt;
        !facts.file_type().is_socket()
    }) {
        let path = config.socket.display();
        return Err(CliError::call_it(format!(
            "socket = \"{path}\": something that is not a socket is in its place; name another, or \
             move it away"
        )));
    }
    Ok(())
}

/// A fault with its causes, each said once.
fn chain(fault: &anyhow::Error) -> String {
    let mut said = String::new();
    for cause in fault.chain() {
        let words = cause.to_string();
        if said.is_empty() {
            said = words;
        } else if !said.ends_with(&words) {
            said = format!("{said}: {words}");
        }
    }
    said
}

async fn signal() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminate) = signal(SignalKind::terminate()) {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = tokio::signal::ctrl_c() => {}
            }
            return;
        }
    }
    let _ = tokio::signal::ctrl_c().await;
}

fn start_log(format: LogFormat) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        // Whoever reads the log may go away; without this, saying so on a closed pipe would panic,
        // in the middle of whatever was logging.
        .log_internal_errors(false)
        .with_writer(std::io::stderr);
    match format {
        LogFormat::Text => log.with_ansi(false).init(),
        LogFormat::Json => log.json().init(),
    }
}
