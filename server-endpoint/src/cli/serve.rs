//! `serve`: runs the server until it is told to stop.

use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;

use branchline_protocol::problem::ErrorClass;
use clap::Args;
use rustix::process::{Resource, getrlimit, setrlimit};
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing_subscriber::EnvFilter;

use super::{Failure, output};
use crate::config::{Config, LogFormat};
use crate::server::{ServeError, Server};
use crate::systemd;

/// File handles asked for: every connection that is allowed, twice over.
const HANDLES: u64 = 4_096;

#[derive(Debug, Args)]
pub(super) struct ServeArgs {
    /// Where agents connect; port 0 takes any that is free
    #[arg(long, env = "BRANCHLINE_SERVER_LISTEN", value_name = "ADDRESS:PORT")]
    listen: Option<SocketAddr>,
    /// Where central support connects; port 0 takes any that is free
    #[arg(
        long,
        env = "BRANCHLINE_SERVER_DESK_LISTEN",
        value_name = "ADDRESS:PORT"
    )]
    desk_listen: Option<SocketAddr>,
    /// How the log on standard error looks; RUST_LOG chooses what is in it
    #[arg(long, env = "BRANCHLINE_SERVER_LOG_FORMAT", value_enum)]
    log_format: Option<LogFormat>,
    /// Plain HTTP on a loopback address, where whoever is on this machine may speak for any agent: for
    /// demonstrations, and behind a proxy on this machine that ends TLS
    #[arg(long)]
    insecure_loopback: bool,
}

impl From<ServeError> for Failure {
    fn from(fault: ServeError) -> Self {
        match fault {
            ServeError::Ledger(fault) => fault.into(),
            ServeError::NotLoopback(_) | ServeError::NoLedger(_) => {
                Self::fix_input(fault.to_string())
            }
            ServeError::Authority(fault) => Self {
                class: fault.class(),
                message: fault.to_string(),
            },
            ServeError::Listener(_) => Self::call_it(fault.to_string()),
        }
    }
}

pub(super) fn execute(data_dir: &Path, args: &ServeArgs) -> Result<ExitCode, Failure> {
    let mut config = Config::read(data_dir)?;
    config.listen = args.listen.unwrap_or(config.listen);
    config.log_format = args.log_format.unwrap_or(config.log_format);
    config.insecure_loopback = args.insecure_loopback;
    config.desk.listen = match args.desk_listen {
        Some(given) => given,
        None if config.insecure_loopback => config.desk.loopback_only(),
        None => config.desk.listen,
    };
    start_log(config.log_format)?;
    raise_handle_limit();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|fault| Failure::call_it(format!("start the runtime: {fault}")))?;
    runtime.block_on(run(&config))?;
    tracing::info!("stopped");
    Ok(ExitCode::SUCCESS)
}

async fn run(config: &Config) -> Result<(), Failure> {
    if config.insecure_loopback && !config.listen.ip().to_canonical().is_loopback() {
        return Err(ServeError::NotLoopback(config.listen).into());
    }
    let signals = |fault| Failure::call_it(format!("listen for signals: {fault}"));
    let terminate = signal(SignalKind::terminate()).map_err(signals)?;
    let interrupt = signal(SignalKind::interrupt()).map_err(signals)?;
    let listener = TcpListener::bind(config.listen)
        .await
        .map_err(|fault| cannot_listen(config.listen, "--listen", &fault))?;
    let mut server = Server::open(listener, config)?;
    let scheme = server.scheme();
    let desk = open_desk(&mut server, config.desk.listen).await;
    output::line(&format!("listening on {scheme}://{}", server.address()));
    match desk {
        Ok(address) => output::line(&format!("desk on {scheme}://{address}")),
        Err(fault) => {
            tracing::error!(error = fault.message, "central runs without a desk");
            output::line(&format!("no desk: {}", fault.message));
        }
    }
    systemd::tell_ready();
    let told = async {
        either(terminate, interrupt).await;
        systemd::tell_stopping();
    };
    tokio::select! {
        () = server.run(told) => {}
        () = systemd::show_life() => {}
    }
    Ok(())
}

/// A desk that cannot be opened is no reason to take nothing from branches.
async fn open_desk(server: &mut Server, listen: SocketAddr) -> Result<SocketAddr, Failure> {
    let listener = TcpListener::bind(listen).await;
    let listener = listener.map_err(|fault| cannot_listen(listen, "--desk-listen", &fault))?;
    let opened = server.open_desk(listener);
    opened.map_err(|fault| Failure::call_it(fault.to_string()))
}

async fn either(mut terminate: Signal, mut interrupt: Signal) {
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}

fn cannot_listen(address: SocketAddr, flag: &str, fault: &std::io::Error) -> Failure {
    let other = format!("choose another with {flag}");
    let (class, what_to_do) = match fault.kind() {
        std::io::ErrorKind::AddrInUse => (
            ErrorClass::TryAgain,
            "another program, perhaps another server, has it; stop that one or choose another port",
        ),
        _ => (ErrorClass::FixInput, other.as_str()),
    };
    Failure {
        class,
        message: format!("listen on {address}: {fault}; {what_to_do}"),
    }
}

/// Each agent holds two connections, and the usual limit of 1,024 file handles is that of a program
/// with no agents. What cannot be raised is no reason not to serve: accepting then waits its turn.
fn raise_handle_limit() {
    let mut limit = getrlimit(Resource::Nofile);
    let allowed = limit.maximum.unwrap_or(HANDLES).min(HANDLES);
    if limit.current.is_none_or(|current| current >= allowed) {
        return;
    }
    limit.current = Some(allowed);
    if let Err(fault) = setrlimit(Resource::Nofile, limit) {
        tracing::warn!(error = %fault, "raise the limit on open files");
    }
}

fn start_log(format: LogFormat) -> Result<(), Failure> {
    let filter = EnvFilter::builder()
        .with_default_directive(tracing::Level::INFO.into())
        .from_env()
        .map_err(|fault| Failure::fix_input(format!("RUST_LOG: {fault}")))?;
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        // Whoever reads the log may go away; without this, saying so on a closed pipe would panic.
        .log_internal_errors(false)
        .with_writer(std::io::stderr);
    let started = match format {
        LogFormat::Text => log.with_ansi(false).try_init(),
        LogFormat::Json => log.json().try_init(),
    };
    started.map_err(|fault| Failure::call_it(format!("start the log: {fault}")))
}
