//! `init`: the data directory, the ledger, the vault, the certificate authority, the settings and the first
//! administrator. What is there is left as it is.

use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::process::ExitCode;

use clap::Args;

use super::{Failure, acting, block_on, operator, output};
use crate::authority::operators::first;
use crate::authority::{Authority, FOLDER};
use crate::config::{self, Config};
use crate::ledger::now;
use crate::ledger::sqlite::{self, SqliteLedger};
use crate::vault::{self, FsVault, Vault};

#[derive(Debug, Args)]
pub(super) struct InitArgs {
    /// What agents call this server: a host name or address, for its certificate. Can be repeated; the
    /// first is what tokens say
    #[arg(long = "name", value_name = "HOST")]
    names: Vec<String>,
}

pub(super) fn execute(data_dir: &Path, args: &InitArgs) -> Result<ExitCode, Failure> {
    make_directory(data_dir)?;
    let settings = config::settings_of(data_dir);
    write_template(&settings)
        .map_err(|fault| Failure::call_it(format!("write {}: {fault}", settings.display())))?;
    Config::read(data_dir)?;
    let ledger = data_dir.join(sqlite::FILE_NAME);
    let made = !ledger.exists();
    let opened = SqliteLedger::open(&ledger)?;
    make_vault(data_dir)?;
    let authority = Authority::init(&data_dir.join(FOLDER), &args.names, now())?;
    sync_directory(data_dir)?;
    let state = if made { "made" } else { "was there already" };
    output::line(&format!("{} {state}", ledger.display()));
    output::line(&format!("settings are in {}", settings.display()));
    let names = authority.names.join(", ");
    if authority.made {
        output::line(&format!("certificate authority made, for {names}"));
        if args.names.is_empty() {
            output::line(
                "this server can be reached from this machine only; `cert names HOST` gives it a name \
                 that agents can reach",
            );
        }
    } else {
        output::line(&format!(
            "certificate authority was there already, for {names}"
        ));
    }
    output::line(&format!("root certificate (SHA-256) {}", authority.root));
    let deed = acting::deed("operator-added", first::NAME, String::new());
    let password = block_on(async { Ok(first::administrator(&opened, deed).await?) })?;
    if let Some(password) = password {
        output::line(&operator::one_time(first::NAME, &password));
    }
    Ok(ExitCode::SUCCESS)
}

/// Nobody else reads the data directory: everything in it is the organisation's tickets.
fn make_directory(data_dir: &Path) -> Result<(), Failure> {
    let made = DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(data_dir)
        .and_then(|()| std::fs::set_permissions(data_dir, Permissions::from_mode(0o700)));
    made.map_err(|fault| {
        Failure::fix_input(format!(
            "make the data directory {}: {fault}; name another with --data-dir, or run this as the \
             user that the server runs as",
            data_dir.display()
        ))
    })
}

fn make_vault(data_dir: &Path) -> Result<(), Failure> {
    let folder = data_dir.join(vault::FOLDER);
    let vault = FsVault::new(folder.clone(), 0);
    super::block_on(async {
        vault
            .prepare()
            .await
            .map_err(|fault| Failure::call_it(format!("{}: {fault}", folder.display())))
    })
}

fn write_template(path: &Path) -> std::io::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path);
    match file {
        Ok(mut file) => {
            file.write_all(config::TEMPLATE.as_bytes())?;
            file.sync_all()
        }
        Err(fault) if fault.kind() == ErrorKind::AlreadyExists => Ok(()),
        Err(fault) => Err(fault),
    }
}

/// A file whose directory was not synced may be gone after a power failure.
pub(super) fn sync_directory(directory: &Path) -> Result<(), Failure> {
    File::open(directory)
        .and_then(|directory| directory.sync_all())
        .map_err(|fault| Failure::call_it(format!("sync {}: {fault}", directory.display())))
}
