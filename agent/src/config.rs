//! The agent's configuration: what IT sets.
//!
//! `agent.toml` is readable by everyone (the CLI finds the socket in it) and holds no secret but an
//! enrolment token until it is used. Unknown keys are refused by name, so that a typing error cannot go
//! unnoticed.

mod bulk;
mod drop_folders;
mod files;
mod layers;
mod proxy;
mod token;

use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

use crate::identity::token_sources::TokenSources;

pub use bulk::{Bulk, Timetable};
pub use drop_folders::{DropFolder, SENT_FOLDER, TicketPer};
pub use files::Files;
pub use proxy::{ProxyChoice, ProxyCredentials, ProxyFault};
pub use token::TokenInFile;

/// Why the configuration cannot be used; names the file and the key.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("read {path}: {fault}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        fault: std::io::Error,
    },
    /// The file is not what it should be.
    #[error("{path}: {fault}")]
    Parse {
        /// The file.
        path: PathBuf,
        /// Key, line and what is wrong.
        fault: String,
    },
}

/// `agent.toml`. Every key has a default.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where central is, if not where the enrolment token said: `https://NAME:PORT`.
    #[serde(default)]
    pub server: Option<String>,
    /// A token to join with; erased from the file once it was used.
    #[serde(default)]
    pub enrolment_token: Option<TokenInFile>,
    /// A file with such a token; removed once it was used.
    #[serde(default)]
    pub enrolment_token_file: Option<PathBuf>,
    /// The journal's folder.
    #[serde(default = "crate::platform::default_data_dir")]
    pub data_dir: PathBuf,
    /// The local API's Unix socket or named pipe.
    #[serde(default = "default_socket")]
    pub socket: PathBuf,
    /// MiB that the journal may take.
    #[serde(default = "default_journal_limit_mib")]
    pub journal_limit_mib: u64,
    /// Days for which acknowledged operations are kept, so that central can ask for them again after
    /// a restore.
    #[serde(default = "default_retention_days")]
    pub retention_days: u32,
    /// The branch's proxy: `"system"`, `"none"` or `"http://host:port"`.
    #[serde(default)]
    pub proxy: ProxyChoice,
    /// A file with `user:password` for the proxy, which the service alone may read.
    #[serde(default)]
    pub proxy_credentials_file: Option<PathBuf>,
    /// TLS 1.2 may be spoken with central, where something on the way knows no 1.3.
    #[serde(default)]
    pub tls12: bool,
    /// How much room files may take.
    #[serde(default)]
    pub files: Files,
    /// How fast they may go out.
    #[serde(default)]
    pub bulk: Bulk,
    /// Whoever uses this computer sees what colleagues filed on it, not only their own.
    #[serde(default)]
    pub colleagues: bool,
    /// Folders whose files become tickets.
    #[serde(default, rename = "drop_folder")]
    pub drop_folders: Vec<DropFolder>,
    /// The file that this was read from.
    #[serde(skip)]
    pub path: PathBuf,
}

fn default_socket() -> PathBuf {
    if cfg!(windows) {
        PathBuf::from(r"\\.\pipe\branchline-agent")
    } else {
        PathBuf::from("/run/branchline/agent.sock")
    }
}

fn default_journal_limit_mib() -> u64 {
    4_096
}

fn default_retention_days() -> u32 {
    30
}

/// Bytes of a settings file; what is behind them is not read, whatever the path names.
const FILE_BYTES: u64 = 64 * 1024;

/// Bounds of the settings, each named in the error that refuses a value outside.
const JOURNAL_LIMIT_MIB: std::ops::RangeInclusive<u64> = 2..=1_048_576;
const RETENTION_DAYS: std::ops::RangeInclusive<u32> = 1..=3_650;

impl Config {
    /// Reads and checks a configuration file, with what goes over it: drop-ins, the environment, group
    /// policy.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let policy = crate::platform::policy().map_err(|fault| ConfigError::Read {
            path: crate::platform::POLICY.into(),
            fault,
        })?;
        let environment = std::env::vars_os().filter_map(|(name, value)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        });
        let mut config = layers::merged(path, environment, policy)?;
        path.clone_into(&mut config.path);
        let wrong = |fault: String| ConfigError::Parse {
            path: path.to_owned(),
            fault,
        };
        let places = [
            ("data_dir", Some(&config.data_dir)),
            ("socket", Some(&config.socket)),
            (
                "proxy_credentials_file",
                config.proxy_credentials_file.as_ref(),
            ),
            ("enrolment_token_file", config.enrolment_token_file.as_ref()),
        ];
        for (key, place) in places {
            let Some(place) = place else { continue };
            if !place.is_absolute() {
                return Err(wrong(format!(
                    "{key} = \"{}\" must be a whole path: the agent and its commands start in \
                     different folders",
                    place.display()
                )));
            }
        }
        if !JOURNAL_LIMIT_MIB.contains(&config.journal_limit_mib) {
            return Err(wrong(format!(
                "journal_limit_mib = {} is outside {} to {}",
                config.journal_limit_mib,
                JOURNAL_LIMIT_MIB.start(),
                JOURNAL_LIMIT_MIB.end()
            )));
        }
        if !RETENTION_DAYS.contains(&config.retention_days) {
            return Err(wrong(format!(
                "retention_days = {} is outside {} to {}",
                config.retention_days,
                RETENTION_DAYS.start(),
                RETENTION_DAYS.end()
            )));
        }
        let fault = config
            .files
            .fault()
            .or_else(|| config.bulk.fault())
            .or_else(|| {
                drop_folders::fault(
                    &config.drop_folders,
                    &config.data_dir,
                    &config.own_folders(),
                )
            });
        match fault {
            Some(fault) => Err(wrong(fault)),
            None => Ok(config),
        }
    }

    /// Folders that hold settings or the secret: nothing directly in them may leave the branch.
    pub fn own_folders(&self) -> Vec<PathBuf> {
        let files = [self.path.clone()];
        let credentials = self.proxy_credentials_file.as_ref();
        files
            .iter()
            .chain(credentials)
            .chain(&self.enrolment_token_file)
            .filter_map(|file| file.parent())
            .map(Path::to_owned)
            .collect()
    }

    /// Who we are to the proxy, where there is a file that says so. Errors never quote it.
    pub fn proxy_credentials(&self) -> Result<Option<ProxyCredentials>, ConfigError> {
        let Some(path) = &self.proxy_credentials_file else {
            return Ok(None);
        };
        let text = read_bounded(path)?;
        match ProxyCredentials::read(&text) {
            Some(credentials) => Ok(Some(credentials)),
            None => Err(ConfigError::Parse {
                path: path.clone(),
                fault: "must hold one line: user:password".to_owned(),
            }),
        }
    }

    /// Where enrolment tokens may lie.
    pub fn token_sources(&self) -> TokenSources {
        TokenSources {
            data_dir: self.data_dir.clone(),
            config: self.path.clone(),
            file: self.enrolment_token_file.clone(),
        }
    }

    /// The journal's bound in bytes.
    pub fn journal_limit_bytes(&self) -> u64 {
        self.journal_limit_mib.saturating_mul(1024 * 1024)
    }

    /// How long acknowledged operations are kept.
    pub fn retention(&self) -> Duration {
        Duration::from_secs(u64::from(self.retention_days) * 86_400)
    }
}

fn read_bounded(path: &Path) -> Result<String, ConfigError> {
    let read = std::fs::File::open(path).and_then(|file| {
        let mut text = String::new();
        file.take(FILE_BYTES)
            .read_to_string(&mut text)
            .map(|_| text)
    });
    read.map_err(|fault| ConfigError::Read {
        path: path.to_owned(),
        fault,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Config, ConfigError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("agent.toml");
        std::fs::write(&path, text).unwrap();
        Config::read(&path)
    }

    #[test]
    fn the_packaged_settings_say_the_defaults() {
        let template = include_str!("../../packaging/agent.toml");
        let spelled_out: String = template
            .lines()
            .filter_map(|line| match line.strip_prefix("# ") {
                Some(setting) => {
                    let is_default = setting.contains(" = ") && !setting.contains("(no default)");
                    let is_rule = setting.starts_with("category");
                    (is_default && !is_rule).then_some(setting)
                }
                None => line.starts_with('[').then_some(line),
            })
            .fold(String::new(), |text, line| text + line + "\n");
        let (written, defaults) = (read(&spelled_out).unwrap(), read(template).unwrap());
        assert_eq!(written.proxy, defaults.proxy);
        assert_eq!(written.tls12, defaults.tls12);
        assert_eq!(written.journal_limit_mib, defaults.journal_limit_mib);
        assert_eq!(written.retention_days, defaults.retention_days);
        assert_eq!(written.files.quota_mib, defaults.files.quota_mib);
        assert_eq!(written.files.reserve_mib, defaults.files.reserve_mib);
        assert_eq!(written.files.file_mib, defaults.files.file_mib);
        assert_eq!(
            spelled_out
                .lines()
                .filter(|line| line.contains(" = "))
                .count(),
            7
        );
    }

    #[test]
    fn errors_name_key_and_line() {
        let said = |text: &str| read(text).unwrap_err().to_string();
        assert!(
            said("server = \"x\"\nretention = 3\n").contains("line 2: unknown field `retention`")
        );
        let token = format!("enrolment_token = \"blt1_{}\"\n", "5ec4e7".repeat(20));
        assert!(!said(&format!("{token}retention = 3")).contains("5ec4e7"));
        assert!(!said(&token.replace('=', "= =")).contains("5ec4e7"));
        assert!(!said(&token.replace("token", "tokn")).contains("5ec4e7"));
        assert!(!format!("{:?}", read(&token).unwrap()).contains("5ec4e7"));
        assert!(said("server = \"x\"\nretention_days = 0\n").contains("retention_days = 0"));
        assert!(said("server = 3\n").contains("line 1"));
        assert!(said("server = \"x\"\ndata_dir = \"\"\n").contains("data_dir = \"\" must be"));
    }
}
