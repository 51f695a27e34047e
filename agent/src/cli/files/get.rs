//! `files get`: puts a file that central gave where somebody can open it.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use branchline_agent_api::{Client, GivenFile};
use branchline_protocol::file_name::safe_name;
use branchline_protocol::id::FileId;
use clap::Args;

use crate::cli::{CliError, output};

#[derive(Debug, Args)]
pub(in crate::cli) struct GetArgs {
    /// The file's id, as `ticket show` shows it
    id: FileId,
    /// Where to put it: a folder, or a file that is not there yet; the current folder if absent
    #[arg(long, value_name = "PATH")]
    to: Option<PathBuf>,
}

pub(super) async fn get(args: GetArgs, client: &Client) -> Result<(), CliError> {
    let given = client.given(args.id).await?;
    let target = target(args.to, &given);
    let mut part = target.clone().into_os_string();
    part.push(".part");
    let part = PathBuf::from(part);
    let fetched = fetch(client, &given, &part, &target).await;
    if fetched.is_err() {
        let _ = std::fs::remove_file(&part);
    }
    fetched?;
    let words = format!("{} ({})", target.display(), output::size(given.file.size));
    output::line(&output::safe(&words));
    Ok(())
}

/// Names from elsewhere are made safe before they become a path.
fn target(to: Option<PathBuf>, given: &GivenFile) -> PathBuf {
    let to = to.unwrap_or_else(|| PathBuf::from("."));
    if to.is_dir() {
        to.join(safe_name(&given.file.name))
    } else {
        to
    }
}

async fn fetch(
    client: &Client,
    given: &GivenFile,
    part: &Path,
    target: &Path,
) -> Result<(), CliError> {
    if target.exists() {
        let words = format!("{} is there already; nothing was written", target.display());
        return Err(CliError::fix_input(words));
    }
    let mut file = OpenOptions::new().write(true).create_new(true).open(part)?;
    let mut hasher = blake3::Hasher::new();
    let take = |piece: &[u8]| {
        hasher.update(piece);
        file.write_all(piece)
    };
    client.given_content(given.file.file, take).await?;
    if *hasher.finalize().as_bytes() != given.file.root.0 {
        let words = "the file has decayed on this computer's disk; nothing was written";
        return Err(io::Error::other(words).into());
    }
    file.sync_all()?;
    put(part, target)?;
    Ok(())
}

/// Under its name at once and whole, and never over another file.
fn put(part: &Path, target: &Path) -> io::Result<()> {
    match std::fs::hard_link(part, target) {
        Ok(()) => std::fs::remove_file(part),
        Err(fault) if fault.kind() == io::ErrorKind::AlreadyExists => Err(fault),
        // A file system without links.
        Err(_) => std::fs::rename(part, target),
    }
}
