//! Writes what packages hold besides the programs: manual pages, completions for three shells, and the
//! settings' template. All of it comes from the command lines themselves, so that it cannot be out of
//! date. Beside the data's way; run by `make packages`.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::{Command, CommandFactory};
use clap_complete::Shell;

fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args_os().skip(1);
    let (Some(folder), None) = (arguments.next(), arguments.next()) else {
        bail!("usage: branchline-manual FOLDER");
    };
    let folder = PathBuf::from(folder);
    let made = |name: &str| {
        let path = folder.join(name);
        std::fs::create_dir_all(&path).with_context(|| format!("make {}", path.display()))?;
        anyhow::Ok(path)
    };
    let (manual, completions) = (made("man")?, made("completions")?);
    for command in [
        branchline_agent::cli::Cli::command(),
        branchline_server::cli::Cli::command(),
        branchline_desktop_controller::options::Options::command(),
    ] {
        write(command, &manual, &completions)?;
    }
    std::fs::write(
        folder.join(branchline_server::config::FILE_NAME),
        branchline_server::config::TEMPLATE,
    )?;
    Ok(())
}

/// A page for the program and one for each command, and the completions.
fn write(command: Command, manual: &Path, completions: &Path) -> anyhow::Result<()> {
    let name = command.get_name().to_owned();
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        clap_complete::generate_to(shell, &mut command.clone(), &name, completions)?;
    }
    clap_mangen::generate_to(command, manual)?;
    Ok(())
}
