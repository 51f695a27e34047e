//! `setup`: what an installer was told becomes settings and a token to join with. Not for people, and not
//! shown to them.
//!
//! Writes a drop-in of its own, so that what IT wrote stays as it is, and nothing for what it was not told:
//! an upgrade tells nothing and changes nothing. On Windows it also sees to the line that starts the service.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use branchline_protocol::enrolment::Token;
use clap::Args;
use toml::{Table, Value};
use zeroize::Zeroizing;

use crate::config::Config;
use crate::identity::token_sources::TOKEN_FILE;
use crate::platform::service;

use super::CliError;

/// The drop-in's name; what IT names with a higher number goes over it.
const DROP_IN: &str = "10-installer.toml";

/// What a new settings file says.
const TEMPLATE: &str = "\
# Settings of branchline-agent, such as:
# proxy = \"http://proxy.example.org:3128\"
# What the installer was told is in 10-installer.toml of the folder agent.toml.d, whose files go over this
# one; group policy goes over all of them.
";

#[derive(Args)]
pub(super) struct SetupArgs {
    /// Where central is
    #[arg(long, default_value = "")]
    server: String,
    /// A folder whose files become tickets
    #[arg(long, default_value = "")]
    drop_folder: String,
    /// A token to join with
    #[arg(long, default_value = "")]
    token: String,
}

/// Derived, it would show the token.
impl std::fmt::Debug for SetupArgs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SetupArgs(…)")
    }
}

pub(super) fn execute(args: SetupArgs, path: &Path) -> Result<ExitCode, CliError> {
    let token = Zeroizing::new(args.token);
    if !token.trim().is_empty() {
        let read = token.parse::<Token>();
        read.map_err(|fault| CliError::fix_input(format!("the enrolment token: {fault}")))?;
    }
    let wrote = |path: &Path, fault: &std::io::Error| {
        CliError::call_it(format!("write {}: {fault}", path.display()))
    };
    let mut beside = path.as_os_str().to_owned();
    beside.push(".d");
    let beside = Path::new(&beside);
    std::fs::create_dir_all(beside).map_err(|fault| wrote(beside, &fault))?;
    if !path.exists() {
        std::fs::write(path, TEMPLATE).map_err(|fault| wrote(path, &fault))?;
    }
    let told = told(&args.server, &args.drop_folder);
    let drop_in = beside.join(DROP_IN);
    let former = std::fs::read(&drop_in).ok();
    if !told.is_empty() {
        std::fs::write(&drop_in, told.to_string()).map_err(|fault| wrote(&drop_in, &fault))?;
    }
    let config = match Config::read(path) {
        Ok(config) => config,
        Err(fault) => {
            // The installation ends here; what was before holds again.
            match former {
                Some(former) => drop(std::fs::write(&drop_in, former)),
                None => drop(std::fs::remove_file(&drop_in)),
            }
            return Err(CliError::fix_input(fault.to_string()));
        }
    };
    if !token.trim().is_empty() {
        let file = config.data_dir.join(TOKEN_FILE);
        std::fs::create_dir_all(&config.data_dir)
            .and_then(|()| crate::platform::make_private(&file))
            .and_then(|mut file| {
                file.write_all(token.trim().as_bytes())?;
                file.sync_all()
            })
            .map_err(|fault| wrote(&file, &fault))?;
    }
    std::env::current_exe()
        .and_then(|program| {
            let program = program.to_string_lossy();
            service::revise_command(|command| in_quotes(command, &program))
        })
        .map_err(|fault| CliError::call_it(format!("the line that starts the service: {fault}")))?;
    Ok(ExitCode::SUCCESS)
}

/// The line that starts the service, with the program in quotes: without, `C:\Program.exe` would be tried
/// before it (CWE-428), and not every installer writes them. `None` where there is nothing to change.
fn in_quotes(command: &str, program: &str) -> Option<String> {
    let (start, arguments) = command.split_at_checked(program.len())?;
    let is_bare =
        start.eq_ignore_ascii_case(program) && (arguments.is_empty() || arguments.starts_with(' '));
    is_bare.then(|| format!("\"{program}\"{arguments}"))
}

fn told(server: &str, drop_folder: &str) -> Table {
    let mut told = Table::new();
    if !server.trim().is_empty() {
        told.insert("server".to_owned(), Value::String(server.trim().to_owned()));
    }
    let folder = without_separator(drop_folder.trim());
    if !folder.is_empty() {
        let rule = Table::from_iter([("path".to_owned(), Value::String(folder.to_owned()))]);
        let rules = vec![Value::Table(rule)];
        told.insert("drop_folder".to_owned(), Value::Array(rules));
    }
    told
}

/// Installers write folders with a separator at their end; only a drive's top folder needs it.
fn without_separator(folder: &str) -> &str {
    match folder.trim_end_matches('\\') {
        drive if drive.ends_with(':') => folder,
        folder => folder,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_ends_without_a_separator_unless_it_is_a_drive() {
        assert_eq!(without_separator(r"C:\My Scans\\"), r"C:\My Scans");
        assert_eq!(without_separator(r"C:\Scans"), r"C:\Scans");
        assert_eq!(without_separator(r"S:\"), r"S:\");
    }

    #[test]
    fn the_services_program_is_put_in_quotes_once() {
        let program = r"C:\Program Files\Branchline\branchline-agent.exe";
        let quoted = format!("\"{program}\" run --service");
        let bare = format!("{} run --service", program.to_lowercase());
        assert_eq!(in_quotes(&bare, program).as_ref(), Some(&quoted));
        assert_eq!(in_quotes(program, program), Some(format!("\"{program}\"")));
        assert_eq!(in_quotes(&quoted, program), None);
        for other in ["", "C:\\é", &format!("{program}2 run")] {
            assert_eq!(in_quotes(other, program), None, "{other}");
        }
    }

    fn args(server: &str, drop_folder: &str, token: &str) -> SetupArgs {
        SetupArgs {
            server: server.to_owned(),
            drop_folder: drop_folder.to_owned(),
            token: token.to_owned(),
        }
    }

    #[test]
    fn what_the_installer_was_told_holds_and_an_upgrade_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("etc").join("agent.toml");
        let drop = folder.path().join("scans");
        let told = args("https://central:8470", drop.to_str().unwrap(), "");
        execute(told, &path).unwrap();
        let read = || Config::read(&path).unwrap();
        assert_eq!(read().server.as_deref(), Some("https://central:8470"));
        assert_eq!(read().drop_folders[0].path, drop);
        std::fs::write(&path, "retention_days = 7\n").unwrap();
        execute(args("", "", ""), &path).unwrap();
        assert_eq!((read().retention_days, read().drop_folders.len()), (7, 1));
    }

    #[test]
    fn what_cannot_be_is_refused_and_leaves_what_was() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("agent.toml");
        execute(args("https://central:8470", "", ""), &path).unwrap();
        let said = execute(args("", "not a whole path", ""), &path).unwrap_err();
        assert!(said.message.contains("whole path"), "{said}");
        let said = execute(args("", "", "blt1_5ec4e7"), &path).unwrap_err();
        assert!(!said.message.contains("5ec4e7"), "{said}");
        let config = Config::read(&path).unwrap();
        assert_eq!(config.server.as_deref(), Some("https://central:8470"));
        assert!(config.drop_folders.is_empty());
    }
}
