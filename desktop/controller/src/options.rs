//! The command line, and where the agent is. It stands here and not with the window, so that the manual page is
//! made of it without one.

use std::path::PathBuf;

use clap::Parser;
use serde::Deserialize;

/// Release, commit and day, where `make packages` built it.
pub const VERSION: &str = match option_env!("BRANCHLINE_VERSION") {
    Some(version) => version,
    None => concat!(env!("CARGO_PKG_VERSION"), " (development build)"),
};

/// File and follow tickets at this branch.
#[derive(Debug, Parser)]
#[command(name = "branchline-desktop", version = VERSION)]
pub struct Options {
    /// Start in the tray, without showing the window
    #[arg(long)]
    hidden: bool,
    /// Started by the system at log-on: hidden, and ends at once where its user has switched that off
    #[arg(long)]
    pub at_log_on: bool,
    /// The agent's socket or pipe, if not where its configuration says
    #[arg(long, value_name = "PATH", env = "BRANCHLINE_SOCKET")]
    socket: Option<PathBuf>,
    /// The agent's configuration, where the socket is said
    #[arg(long, value_name = "FILE", env = "BRANCHLINE_AGENT_CONFIG")]
    config: Option<PathBuf>,
    /// Where drafts and settings are kept, if not in the user's own folder
    #[arg(long, value_name = "FOLDER", env = "BRANCHLINE_DESKTOP_DATA")]
    pub data_dir: Option<PathBuf>,
    /// Files to add to what is being written
    pub files: Vec<PathBuf>,
}

/// What of the agent's configuration everybody may need.
#[derive(Debug, Default, Deserialize)]
struct AgentConfig {
    socket: Option<PathBuf>,
}

impl Options {
    /// Whether the window stays out of sight.
    pub fn is_hidden(&self) -> bool {
        self.hidden || self.at_log_on
    }

    /// As given, as the agent's configuration says, or where it is by default.
    pub fn socket(&self) -> PathBuf {
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
