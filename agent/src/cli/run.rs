//! `run`: the agent in the foreground, until SIGTERM or Ctrl-C.

use std::process::ExitCode;

use clap::{Args, ValueEnum};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

use crate::config::Config;

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
            .map_err(|fault| CliError::call_it(format!("the agent cannot run: {fault:#}")))
    })?;
    Ok(ExitCode::SUCCESS)
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
        .with_writer(std::io::stderr);
    match format {
        LogFormat::Text => log.with_ansi(false).init(),
        LogFormat::Json => log.json().init(),
    }
}
