//! `[[outbox]]`: outside systems that are told what happens.

use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use serde::Deserialize;

/// Targets in all: each has a task, a connection and a row of its own.
const TARGETS: usize = 20;
/// Bytes of a URL.
const URL_BYTES: usize = 1_024;
/// The longest time that a target may be given to answer.
const TIMEOUT_MOST_SECONDS: u64 = 60;
/// What is for central support alone: it goes out only where it is asked for by name.
const INTERNAL: [&str; 3] = ["note_added", "ticket_assigned", "ticket_tagged"];

/// One outside system.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Target {
    /// What logs and commands call it: small letters, digits, hyphens.
    pub name: String,
    /// Where events are posted to.
    pub url: String,
    /// The file with the secret that letters are signed with: `whsec_` and base64.
    pub secret_file: PathBuf,
    /// Kinds of events; empty: all but what is for central support alone.
    #[serde(default)]
    pub kinds: Vec<String>,
    /// Networks of the organisation's own that it may be in. Without them, only public addresses.
    #[serde(default)]
    pub networks: Vec<IpNet>,
    /// Certificates, PEM, that it is proven by instead of the system's.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
    #[serde(default = "default_timeout")]
    timeout_seconds: u64,
}

fn default_timeout() -> u64 {
    10
}

impl Target {
    /// How long it may take to answer.
    pub fn timeout(&self) -> Duration {
        Duration::from_secs(self.timeout_seconds)
    }

    /// Whether it is told of events of this kind.
    pub fn wants(&self, kind: &str) -> bool {
        if self.kinds.is_empty() {
            !INTERNAL.contains(&kind)
        } else {
            self.kinds.iter().any(|wanted| wanted == kind)
        }
    }

    fn fault(&self) -> Option<String> {
        let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if !(1..=40).contains(&self.name.len()) || !self.name.bytes().all(allowed) {
            return Some("name is up to 40 small letters, digits and hyphens".to_owned());
        }
        let url = reqwest::Url::parse(&self.url).ok();
        let url = url.filter(|url| self.url.len() <= URL_BYTES && url.has_host());
        let Some(url) = url else {
            return Some("url is https://HOST/PATH".to_owned());
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Some("url holds a login; letters are signed instead (secret_file)".to_owned());
        }
        match url.scheme() {
            "https" => {}
            "http" if !self.networks.is_empty() => {}
            _ => {
                return Some(
                    "url must be https://; http:// is possible only where networks says where it is"
                        .to_owned(),
                );
            }
        }
        if !self.secret_file.is_absolute() {
            return Some("secret_file must be an absolute path".to_owned());
        }
        if self
            .ca_file
            .as_ref()
            .is_some_and(|path| !path.is_absolute())
        {
            return Some("ca_file must be an absolute path".to_owned());
        }
        if !(1..=TIMEOUT_MOST_SECONDS).contains(&self.timeout_seconds) {
            return Some(format!("timeout_seconds is 1 to {TIMEOUT_MOST_SECONDS}"));
        }
        None
    }
}

/// What is wrong with the targets, if anything is.
pub(super) fn check(targets: &[Target]) -> Result<(), String> {
    if targets.len() > TARGETS {
        return Err(format!("there can be at most {TARGETS} [[outbox]]"));
    }
    for (place, target) in targets.iter().enumerate() {
        if let Some(fault) = target.fault() {
            return Err(format!("[[outbox]] {:?}: {fault}", target.name));
        }
        let before = targets.get(..place).unwrap_or_default();
        if before.iter().any(|other| other.name == target.name) {
            return Err(format!("there are two [[outbox]] named {:?}", target.name));
        }
    }
    Ok(())
}
