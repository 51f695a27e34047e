//! `run`: the agent in the foreground, until SIGTERM or Ctrl-C.

use std::process::ExitCode;
use std::time::Duration;

use branchline_agent_api::{Client, ClientError};
use clap::{Args, ValueEnum};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

use crate::config::{Config, ConfigError};
use crate::identity::IdentityFile;
use crate::platform::service;

use super::{CliError, output};

#[derive(Debug, Args)]
pub(super) struct RunArgs {
    /// How log lines look on standard error; RUST_LOG sets what is logged
    #[arg(long, value_enum, default_value_t = LogFormat::Text, env = "BRANCHLINE_LOG_FORMAT")]
    log_format: LogFormat,
    /// For the service control manager, which starts it so; the log goes to the event log
    #[cfg(windows)]
    #[arg(long, hide = true)]
    service: bool,
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

pub(super) fn execute(
    args: &RunArgs,
    config: Result<Config, ConfigError>,
) -> Result<ExitCode, CliError> {
    #[cfg(windows)]
    if args.service {
        return execute_as_service(config);
    }
    start_log(args.log_format);
    let shutdown = CancellationToken::new();
    serve(config?, &shutdown)
}

/// Whatever is wrong is told to the event log: nobody reads what a service prints.
#[cfg(windows)]
fn execute_as_service(config: Result<Config, ConfigError>) -> Result<ExitCode, CliError> {
    start_event_log();
    let agent = move |shutdown: CancellationToken| {
        tracing::info!("the service starts");
        let served = config
            .map_err(CliError::from)
            .and_then(|config| serve(config, &shutdown));
        match served {
            Ok(_) => 0,
            Err(fault) => {
                tracing::error!(class = %fault.class, "{}", fault.message);
                fault.code()
            }
        }
    };
    service::run(agent).map_err(CliError::call_it)?;
    Ok(ExitCode::SUCCESS)
}

/// Runs the agent until `shutdown`, or until a signal.
fn serve(config: Config, shutdown: &CancellationToken) -> Result<ExitCode, CliError> {
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
    let client = super::client(&config)?;
    let socket = config.socket.display().to_string();
    runtime.block_on(async {
        let ended = shutdown.clone();
        let beside = tokio_util::task::TaskTracker::new();
        beside.spawn(async move {
            signal().await;
            service::tell_stopping();
            ended.cancel();
        });
        let ready = || {
            output::line(&format!("ready on {socket}"));
            service::tell_ready();
            if let Some(every) = service::alive_every() {
                beside.spawn(show_life(client, every, shutdown.clone()));
            }
        };
        crate::agent::run(config, shutdown.clone(), ready)
            .await
            .map_err(|fault| CliError::call_it(format!("the agent cannot run: {}", chain(&fault))))
    })?;
    Ok(ExitCode::SUCCESS)
}

/// Tells who watches over the service that it lives, for as long as the local API answers: an agent that
/// cannot be asked anything is worth a restart, whatever else in it still turns.
async fn show_life(client: Client, every: Duration, shutdown: CancellationToken) {
    let mut ticks = tokio::time::interval(every);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = shutdown.cancelled() => return,
        }
        match tokio::time::timeout(every, client.status()).await {
            // "Not joined yet" is an answer too.
            Ok(Ok(_) | Err(ClientError::Problem(_))) => service::tell_alive(),
            Ok(Err(fault)) => tracing::warn!(%fault, "the local API does not answer"),
            Err(_) => tracing::warn!("the local API does not answer in time"),
        }
    }
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

#[cfg(windows)]
fn start_event_log() {
    let filter = EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| EnvFilter::new("warn,branchline_agent::cli=info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .log_internal_errors(false)
        .with_ansi(false)
        .without_time()
        .with_level(false)
        .with_writer(crate::platform::event_log::EventLog)
        .init();
}
