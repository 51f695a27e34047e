//! The command line, and where the agent is.

use std::path::PathBuf;

use clap::Parser;
use serde::Deserialize;

/// Starts without showing the window.
pub(crate) const HIDDEN: &str = "--hidden";

/// File and follow tickets at this branch.
#[derive(Debug, Parser)]
#[command(name = "branchline-desktop", version)]
pub(crate) struct Options {
    /// Start in the tray, without showing the window
    #[arg(long)]
    pub(crate) hidden: bool,
    /// The agent's socket or pipe, if not where its configuration says
    #[arg(long, value_name = "PATH", env = "BRANCHLINE_SOCKET")]
    socket: Option<PathBuf>,
    /// The agent's configuration, where the socket is said
    #[arg(long, value_name = "FILE", env = "BRANCHLINE_AGENT_CONFIG")]
    config: Option<PathBuf>,
    /// Where drafts and settings are kept, if not in the user's own folder
    #[arg(long, value_name = "FOLDER", env = "BRANCHLINE_DESKTOP_DATA")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Files to add to what is being written
    pub(crate) files: Vec<PathBuf>,
}

/// What of the agent's configuration everybody may need.
#[derive(Debug, Default, Deserialize)]
struct AgentConfig {
    socket: Option<PathBuf>,
}

impl Options {
    /// As given, as the agent's configuration says, or where it is by default.
    pub(crate) fn socket(&self) -> PathBuf {
        if let Some(socket) = &self.socket {
            return socket.clone();
        }
        let (config, default) = places();
        let config = self.config.clone().unwrap_or(config);
        let said = std::fs::read_to_string(config).ok();
        let said = said.and_then(|text| toml::from_str::<AgentConfig>(&text).ok());
        said.and_then(|config| config.socket).unwrap_or(default)
    }
}

#[cfg(unix)]
fn places() -> (PathBuf, PathBuf) {
    (
        PathBuf::from("/etc/branchline/agent.toml"),
        PathBuf::from("/run/branchline/agent.sock"),
    )
}

#[cfg(windows)]
fn places() -> (PathBuf, PathBuf) {
    let data = std::env::var_os("ProgramData").unwrap_or_else(|| r"C:\ProgramData".into());
    (
        PathBuf::from(data).join(r"Branchline\agent.toml"),
        PathBuf::from(r"\\.\pipe\branchline-agent"),
    )
}
