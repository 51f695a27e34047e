//! Settings of the branch's proxy.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer, de};

/// Which proxy IT wants to be used.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum ProxyChoice {
    /// What the system says: `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY`; on Windows its settings too.
    #[default]
    System,
    /// None, whatever the system says.
    Direct,
    /// This one, always.
    At {
        /// Name or address, without brackets.
        host: String,
        /// Its port.
        port: u16,
    },
}

/// Why a text names no proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "must be \"system\", \"none\" or \"http://host:port\"; user name and password go into the file that \
     proxy_credentials_file names"
)]
pub struct ProxyFault;

impl FromStr for ProxyChoice {
    type Err = ProxyFault;

    fn from_str(text: &str) -> Result<Self, ProxyFault> {
        match text.trim() {
            "system" => return Ok(Self::System),
            "none" => return Ok(Self::Direct),
            _ => {}
        }
        let url = reqwest::Url::parse(text).map_err(|_| ProxyFault)?;
        let plain = url.scheme() == "http"
            && url.username().is_empty()
            && url.password().is_none()
            && url.path().bytes().all(|byte| byte == b'/')
            && url.query().is_none()
            && url.fragment().is_none();
        match (url.host_str(), url.port_or_known_default()) {
            (Some(host), Some(port)) if plain => Ok(Self::At {
                host: host.trim_matches(['[', ']']).to_owned(),
                port,
            }),
            _ => Err(ProxyFault),
        }
    }
}

/// User name and password for the proxy.
#[derive(Clone, PartialEq, Eq)]
pub struct ProxyCredentials(String);

impl ProxyCredentials {
    /// From `user:password`, as the file holds it; blanks and line ends around it do not count. `None`
    /// where there is no colon, or more than one line.
    pub fn read(text: &str) -> Option<Self> {
        let text = text.trim();
        let is_one_line = !text.chars().any(char::is_control);
        (text.contains(':') && is_one_line)
            .then(|| Self(format!("Basic {}", STANDARD.encode(text))))
    }

    /// The value of the `Proxy-Authorization` header.
    pub fn header(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ProxyCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ProxyCredentials(…)")
    }
}

impl<'de> Deserialize<'de> for ProxyChoice {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse()
            .map_err(|fault| de::Error::custom(format_args!("proxy {fault}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_is_named_in_one_of_three_ways() {
        assert_eq!("system".parse(), Ok(ProxyChoice::System));
        assert_eq!("none".parse(), Ok(ProxyChoice::Direct));
        let at = |host: &str, port| {
            let host = host.to_owned();
            Ok(ProxyChoice::At { host, port })
        };
        assert_eq!("http://proxy:3128".parse(), at("proxy", 3128));
        assert_eq!("http://proxy/".parse(), at("proxy", 80));
        assert_eq!("http://[::1]:3128".parse(), at("::1", 3128));
        for bad in [
            "",
            "proxy:3128",
            "https://proxy",
            "socks5://proxy",
            "http://user:password@proxy:3128",
            "http://proxy/path",
        ] {
            assert_eq!(bad.parse::<ProxyChoice>(), Err(ProxyFault), "{bad}");
        }
    }

    #[test]
    fn credentials_are_one_line_and_never_shown() {
        let read = ProxyCredentials::read("marie:s3cret\r\n").unwrap();
        assert_eq!(read.header(), "Basic bWFyaWU6czNjcmV0");
        assert_eq!(format!("{read:?}"), "ProxyCredentials(…)");
        for bad in ["", "no colon", "a:b\nc:d"] {
            assert_eq!(ProxyCredentials::read(bad), None, "{bad}");
        }
    }
}
