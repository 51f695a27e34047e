//! `cert …`: the authority's own certificates, proxies' certificates, and the way from one root to the
//! next.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use branchline_protocol::enrolment::SignedTrust;
use branchline_protocol::problem::ErrorClass;
use clap::{Args, Subcommand};

use super::{Failure, acting, authority, block_on, init, open_ledger, output};
use crate::authority::{Authority, FOLDER, RolloverError};
use crate::config::{Config, is_proxy_name};
use crate::ledger::sqlite::SqliteLedger;
use crate::ledger::{CertificateState, IdentityLedger, Ledger, now};

mod status;

/// Agents named in one message; the rest are counted.
const NAMED: usize = 10;

#[derive(Debug, Subcommand)]
pub(super) enum CertCommand {
    /// Show all certificates, what needs attention first, and which agents lag behind
    Status(status::StatusArgs),
    /// Make a certificate for a proxy that ends TLS in front of this server (RFC 9440)
    IssueProxy(IssueProxyArgs),
    /// Give the server's own certificate other names
    Names(NamesArgs),
    /// Have agents trust the root of a certificate that the server is to be given, beside the root of the
    /// one in use and the server's own; without one, those alone
    Announce(AnnounceArgs),
    /// Rollover, step 1: make the next root, and tell all agents to trust it too
    NextRoot(RootArgs),
    /// Rollover, step 2: have everything new come from the next root
    Switch,
    /// Rollover, step 3: end the old root, once no agent needs it
    RetireOld(RetireArgs),
}

#[derive(Debug, Args)]
pub(super) struct IssueProxyArgs {
    /// What [ingress] proxies in server.toml calls it: small letters, digits, hyphens
    name: String,
    /// What agents call it: a host name or address; can be repeated
    #[arg(long = "name", value_name = "HOST", required = true)]
    hosts: Vec<String>,
    /// Write NAME.pem and NAME.key into this directory
    #[arg(long, value_name = "DIR", default_value = ".")]
    out: PathBuf,
}

#[derive(Debug, Args)]
pub(super) struct NamesArgs {
    /// Host names or addresses, in place of all before; the first is what tokens say
    #[arg(value_name = "HOST", required = true)]
    names: Vec<String>,
}

#[derive(Debug, Args)]
pub(super) struct RootArgs {
    /// The present root's key, where it is kept elsewhere
    #[arg(long, value_name = "FILE")]
    root_key: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct AnnounceArgs {
    /// The given certificate with its chain and its root (PEM), as for [tls] certificate
    #[arg(long, value_name = "FILE")]
    certificate: Option<PathBuf>,
    #[command(flatten)]
    root: RootArgs,
}

#[derive(Debug, Args)]
pub(super) struct RetireArgs {
    /// Even if agents still need it: they must be visited, and joined again with tokens
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    root: RootArgs,
}

impl From<RolloverError> for Failure {
    fn from(fault: RolloverError) -> Self {
        match fault {
            RolloverError::Authority(fault) => fault.into(),
            RolloverError::Unfinished
            | RolloverError::NothingNext
            | RolloverError::NothingOld
            | RolloverError::TooMany => Self::fix_input(fault.to_string()),
        }
    }
}

pub(super) fn execute(data_dir: &Path, command: CertCommand) -> Result<ExitCode, Failure> {
    match command {
        CertCommand::Status(args) => status::execute(data_dir, &args)?,
        CertCommand::IssueProxy(args) => issue_proxy(data_dir, &args)?,
        CertCommand::Names(args) => names(data_dir, &args)?,
        CertCommand::Announce(args) => announce(data_dir, &args)?,
        CertCommand::NextRoot(args) => next_root(data_dir, &args)?,
        CertCommand::Switch => switch(data_dir)?,
        CertCommand::RetireOld(args) => retire_old(data_dir, &args)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn issue_proxy(data_dir: &Path, args: &IssueProxyArgs) -> Result<(), Failure> {
    let name = &args.name;
    if !is_proxy_name(name) {
        let message = "a proxy's name has small letters, digits and hyphens, at most 63";
        return Err(Failure::fix_input(message));
    }
    let ledger = open_ledger(data_dir)?;
    let config = Config::read(data_dir)?;
    let open = authority::open(data_dir, &config)?;
    let (chain, key) = open.issue_proxy(name, &args.hosts, now())?;
    let key_path = args.out.join(format!("{name}.key"));
    let path = args.out.join(format!("{name}.pem"));
    write_new(&key_path, &key)?;
    write_new(&path, &chain)?;
    init::sync_directory(&args.out)?;
    let deed = acting::deed(
        "proxy-issued",
        format!("proxy {name}"),
        args.hosts.join(", "),
    );
    block_on(async { Ok(ledger.record(deed).await?) })?;
    output::line(&format!(
        "{} and {}: for the proxy {name}, for 397 days. It speaks for agents once server.toml says \
         [ingress] proxies = [\"{name}\"]",
        path.display(),
        key_path.display()
    ));
    Ok(())
}

fn write_new(path: &Path, content: &str) -> Result<(), Failure> {
    let file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path);
    file.and_then(|mut file| {
        file.write_all(content.as_bytes())?;
        file.sync_all()
    })
    .map_err(|fault| {
        Failure::fix_input(format!(
            "write {}: {fault}; name another directory with --out",
            path.display()
        ))
    })
}

fn names(data_dir: &Path, args: &NamesArgs) -> Result<(), Failure> {
    let ledger = open_ledger(data_dir)?;
    let names = Authority::rename(&data_dir.join(FOLDER), &args.names, now())?.join(", ");
    let deed = acting::deed("server-named", "server", names.clone());
    block_on(async { Ok(ledger.record(deed).await?) })?;
    output::line(&format!(
        "the server's certificate is for {names}; a running server shows it within seconds"
    ));
    Ok(())
}

fn announce(data_dir: &Path, args: &AnnounceArgs) -> Result<(), Failure> {
    let ledger = open_ledger(data_dir)?;
    let folder = data_dir.join(FOLDER);
    let in_use = Config::read(data_dir)?.tls.certificate;
    let given = [in_use.as_deref(), args.certificate.as_deref()];
    let given: Vec<&Path> = given.into_iter().flatten().collect();
    let signed = Authority::announce(&folder, &given, args.root.root_key.as_deref())?;
    let serial = publish(&ledger, signed, "trust-announced")?;
    output::line(&format!(
        "agents are told whom to trust (bundle {serial}); `cert status` shows who has heard"
    ));
    Ok(())
}

fn next_root(data_dir: &Path, args: &RootArgs) -> Result<(), Failure> {
    let ledger = open_ledger(data_dir)?;
    let folder = data_dir.join(FOLDER);
    let signed = Authority::next_root(&folder, args.root_key.as_deref(), now())?;
    let serial = publish(&ledger, signed, "root-announced")?;
    output::line(&format!(
        "the next root is made, and agents are told to trust it too (bundle {serial}). Keep its key as \
         the present one's. Once `cert status` shows that most have heard: `cert switch`"
    ));
    Ok(())
}

fn switch(data_dir: &Path) -> Result<(), Failure> {
    let ledger = open_ledger(data_dir)?;
    Authority::switch(&data_dir.join(FOLDER), now())?;
    let deed = acting::deed("root-switched", "root", String::new());
    block_on(async { Ok(ledger.record(deed).await?) })?;
    output::line(
        "everything new comes from the new root; agents renew to it in their own time, within three \
         quarters of a certificate's life. Issue proxies' certificates anew (`cert issue-proxy`). Then \
         `cert retire-old`, which says whom it waits for",
    );
    Ok(())
}

fn retire_old(data_dir: &Path, args: &RetireArgs) -> Result<(), Failure> {
    let ledger = open_ledger(data_dir)?;
    let config = Config::read(data_dir)?;
    let open = authority::open(data_dir, &config)?;
    let needing = block_on(needing_old(&ledger, &open, &config))?;
    if !needing.is_empty() && !args.force {
        let shown = needing.get(..NAMED).unwrap_or(&needing).join(", ");
        let more = needing.len().saturating_sub(NAMED);
        let more = if more == 0 {
            String::new()
        } else {
            format!(" and {} more", output::count(more as u64))
        };
        return Err(Failure {
            class: ErrorClass::TryAgain,
            message: format!(
                "{shown}{more} would be cut off: what they have to show comes from the old root. They \
                 renew by themselves when they are online; try again then, or with --force and join \
                 them again with tokens"
            ),
        });
    }
    let folder = data_dir.join(FOLDER);
    let signed = Authority::retire_old(&folder, args.root.root_key.as_deref(), now())?;
    let serial = publish(&ledger, signed, "root-retired")?;
    output::line(&format!(
        "the old root is retired; agents are told to trust the new one alone (bundle {serial}). Tokens \
         made before `cert switch` are good for nothing from now on"
    ));
    Ok(())
}

fn publish(
    ledger: &SqliteLedger,
    signed: SignedTrust,
    action: &'static str,
) -> Result<u64, Failure> {
    let bundle = signed.read();
    let serial = bundle.map_or(0, |bundle| bundle.serial);
    let deed = acting::deed(action, format!("trust bundle {serial}"), String::new());
    block_on(async { Ok(ledger.publish_trust(signed, deed).await?) })?;
    Ok(serial)
}

/// The agents that could not come back without the old root: not revoked, still within the grace, and
/// with no newer certificate in use. One that has such a certificate has the trust that came with it.
async fn needing_old(
    ledger: &SqliteLedger,
    open: &Authority,
    config: &Config,
) -> Result<Vec<String>, Failure> {
    let grace = i64::try_from(config.authority.grace().as_millis()).unwrap_or(i64::MAX);
    let mut needing = Vec::new();
    for branch in ledger.branches().await? {
        for agent in branch
            .agents
            .iter()
            .filter(|agent| agent.revoked_at.is_none())
        {
            let certificates = ledger.certificates(agent.id).await?;
            let usable = certificates.iter().filter(|certificate| {
                let state = certificate.state;
                let counts = matches!(state, CertificateState::Proven | CertificateState::Unproven);
                counts && certificate.not_after.0.saturating_add(grace) > now().0
            });
            for certificate in usable {
                if open.is_of_old_root(&certificate.der)? {
                    needing.push(authority::agent_name(agent));
                    break;
                }
            }
        }
    }
    Ok(needing)
}
