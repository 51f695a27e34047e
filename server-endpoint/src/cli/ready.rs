//! `ready`: asks the server that runs on this machine, over its own listener as agents do, whether it takes
//! what branches send. For health checks of containers, which have no other program to ask with.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use branchline_protocol::problem::ErrorClass;
use clap::Args;
use reqwest::redirect::Policy;
use reqwest::{Certificate, Client};

use super::{Failure, authority, block_on, output};
use crate::config::Config;

/// How long the server may take to answer: below what container runtimes allow a check.
const ANSWERS_WITHIN: Duration = Duration::from_secs(4);

#[derive(Debug, Args)]
pub(super) struct ReadyArgs {
    /// Where it listens for agents, if it was started with another address than server.toml's
    #[arg(long, env = "BRANCHLINE_SERVER_LISTEN", value_name = "ADDRESS:PORT")]
    listen: Option<SocketAddr>,
}

pub(super) fn execute(data_dir: &Path, args: &ReadyArgs) -> Result<ExitCode, Failure> {
    let config = Config::read(data_dir)?;
    let address = reachable(args.listen.unwrap_or(config.listen));
    let authority = authority::open(data_dir, &config)?;
    let names = authority.names();
    let name = names.iter().find(|name| name.parse::<IpAddr>().is_err());
    let fault = |fault: reqwest::Error| Failure::call_it(format!("make an HTTP client: {fault}"));
    let anchors: Result<Vec<_>, _> = authority
        .trust()
        .anchors
        .iter()
        .map(|anchor| Certificate::from_der(anchor.as_bytes()))
        .collect();
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = Client::builder()
        .no_proxy()
        .redirect(Policy::none())
        .timeout(ANSWERS_WITHIN)
        .tls_certs_only(anchors.map_err(fault)?);
    // The certificate is proven as agents prove it; where its name leads is not asked of DNS.
    let (client, host) = match name {
        Some(name) => (
            client.resolve(name, address),
            format!("{name}:{}", address.port()),
        ),
        None => (client, address.to_string()),
    };
    let client = client.build().map_err(fault)?;
    block_on(async {
        match client.get(format!("https://{host}/readyz")).send().await {
            Ok(answer) if answer.status().is_success() => {
                output::line(&format!("the server at {address} takes what branches send"));
                Ok(ExitCode::SUCCESS)
            }
            Ok(answer) => Err(not_ready(
                address,
                &format!("it answers {}", answer.status()),
            )),
            Err(fault) => Err(not_ready(address, &words(&fault))),
        }
    })
}

/// What listens on every address is asked on this machine's own.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

fn not_ready(address: SocketAddr, why: &str) -> Failure {
    Failure {
        class: ErrorClass::TryAgain,
        message: format!(
            "the server at {address} is not ready: {why}; its log says more, and branches keep what \
             they have until it is"
        ),
    }
}

/// The innermost cause, which names what is wrong.
fn words(fault: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = fault;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}
