//! `[tls]`, `[authority]` and `[ingress]`: how central proves itself, what it issues, and who may stand
//! between it and the agents.

use std::path::PathBuf;
use std::time::Duration;

use branchline_protocol::limits;
use serde::Deserialize;

const DAY: u64 = 24 * 3_600;
/// The longest that an agent's certificate may be good for: the issuing CA lives ten years.
const CERTIFICATE_MOST_DAYS: u32 = 825;
/// The longest grace: ten years.
const GRACE_MOST_DAYS: u32 = 3_650;
/// Proxies that may be named.
const PROXIES: usize = 16;
/// Characters of a proxy's name.
const PROXY_CHARS: usize = 63;

/// `[tls]` in `server.toml`. Every key has a default.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Tls {
    /// The server's certificate if it is given: a PEM file with the certificate, what leads to its root,
    /// and that root last. Without it the server makes its own.
    pub certificate: Option<PathBuf>,
    /// The PEM file with its key.
    pub key: Option<PathBuf>,
    /// Also TLS 1.2, for what stands in front of branches and cannot do better.
    pub tls12: bool,
}

/// `[authority]` in `server.toml`. Every key has a default.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Authority {
    /// Where agents reach central, for tokens; `None`: the server's first name and its port.
    pub url: Option<String>,
    /// Days that an agent's certificate is good for.
    pub certificate_days: u32,
    /// Days after its end in which it still renews.
    pub grace_days: u32,
}

/// `[ingress]` in `server.toml`. Every key has a default.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Ingress {
    /// Proxies that end TLS in front of central, by the names in their certificates, and say which
    /// agent speaks (RFC 9440).
    pub proxies: Vec<String>,
}

impl Tls {
    /// Says which value cannot be, and why.
    pub(super) fn check(&self) -> Result<(), String> {
        if self.certificate.is_some() != self.key.is_some() {
            return Err("[tls] certificate and key belong together; name both or none".to_owned());
        }
        for path in [&self.certificate, &self.key].into_iter().flatten() {
            if !path.is_absolute() {
                let path = path.display();
                return Err(format!(
                    "[tls] {path} must be an absolute path, so that it does not depend on where the \
                     server was started"
                ));
            }
        }
        Ok(())
    }
}

impl Default for Authority {
    fn default() -> Self {
        Self {
            url: None,
            certificate_days: 90,
            grace_days: 400,
        }
    }
}

impl Authority {
    /// Says which value cannot be, and why.
    pub(super) fn check(&self) -> Result<(), String> {
        if !(1..=CERTIFICATE_MOST_DAYS).contains(&self.certificate_days) {
            return Err(format!(
                "[authority] certificate_days must be from 1 to {CERTIFICATE_MOST_DAYS}"
            ));
        }
        if self.grace_days > GRACE_MOST_DAYS {
            return Err(format!(
                "[authority] grace_days must be at most {GRACE_MOST_DAYS}"
            ));
        }
        match &self.url {
            Some(url) => check_url(url).map_err(|fault| format!("[authority] url {fault}")),
            None => Ok(()),
        }
    }

    /// See [`Authority::certificate_days`].
    pub fn certificate_lifetime(&self) -> Duration {
        Duration::from_secs(u64::from(self.certificate_days) * DAY)
    }

    /// See [`Authority::grace_days`].
    pub fn grace(&self) -> Duration {
        Duration::from_secs(u64::from(self.grace_days) * DAY)
    }
}

/// Whether agents could be told this URL: `https://host[:port]` and nothing behind it.
pub fn check_url(url: &str) -> Result<(), String> {
    let host = url.strip_prefix("https://");
    let plain = host.is_some_and(|host| {
        !host.is_empty()
            && host
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte))
    });
    if plain && url.len() <= limits::URL_BYTES {
        Ok(())
    } else {
        Err(format!(
            "must look like https://central.example.org:8470, in at most {} characters",
            limits::URL_BYTES
        ))
    }
}

impl Ingress {
    /// Says which value cannot be, and why.
    pub(super) fn check(&self) -> Result<(), String> {
        if self.proxies.len() > PROXIES {
            return Err(format!("[ingress] proxies can be at most {PROXIES}"));
        }
        match self.proxies.iter().find(|name| !is_proxy_name(name)) {
            Some(name) => Err(format!(
                "[ingress] proxies: {name:?} is no proxy's name: small letters, digits and hyphens, \
                 at most {PROXY_CHARS}"
            )),
            None => Ok(()),
        }
    }
}

/// Whether a proxy can be called so.
pub fn is_proxy_name(name: &str) -> bool {
    (1..=PROXY_CHARS).contains(&name.len())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}
