//! Where central is: scheme, host and port, understood once and then the same for every request.

use reqwest::Url;

/// `https://host[:port]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// Scheme, host and port as URLs are made of them; no slash at the end.
    text: String,
    /// A name or an address, without brackets.
    host: String,
    port: u16,
}

impl Origin {
    /// Central behind TLS. Requests go to what was understood and not to what was written: blanks and
    /// slashes at the end would break every one.
    pub fn protected(server: &str) -> Option<Self> {
        let url = Url::parse(server)
            .ok()
            .filter(|url| url.scheme() == "https")?;
        let no_path = url.path().bytes().all(|byte| byte == b'/');
        let nothing_more = url.query().is_none() && url.fragment().is_none();
        let no_login = url.username().is_empty() && url.password().is_none();
        (no_path && nothing_more && no_login).then_some(())?;
        Some(Self {
            text: url.origin().ascii_serialization(),
            host: url.host_str()?.trim_matches(['[', ']']).to_owned(),
            port: url.port_or_known_default()?,
        })
    }

    /// As it stands in URLs.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The name or address, without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Host and port as the `Host` header names them: without the port that goes without saying.
    pub(super) fn authority(&self) -> &str {
        self.text
            .split_once("://")
            .map_or(self.text.as_str(), |(_, authority)| authority)
    }

    /// Host and port, both, as `CONNECT` names them.
    pub(super) fn host_and_port(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }

    /// It means this machine.
    pub(super) fn is_loopback(&self) -> bool {
        self.host == "localhost"
            || self
                .host
                .parse::<std::net::IpAddr>()
                .is_ok_and(|address| address.is_loopback())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn protected_origins_are_https_and_nothing_more() {
        let origin = Origin::protected(" https://Central.Example.org:443/ ").unwrap();
        assert_eq!(origin.as_str(), "https://central.example.org");
        assert_eq!(origin.authority(), "central.example.org");
        assert_eq!(origin.host_and_port(), "central.example.org:443");
        let origin = Origin::protected("https://[::1]:8470").unwrap();
        assert_eq!((origin.host(), origin.port()), ("::1", 8470));
        assert_eq!(origin.authority(), "[::1]:8470");
        assert_eq!(origin.host_and_port(), "[::1]:8470");
        for bad in [
            "http://central.example.org",
            "http://127.0.0.1:1",
            "https://",
            "https://central/path",
            "https://user@central",
            "https://central?x",
            "ftp://central",
            "central",
        ] {
            assert_eq!(Origin::protected(bad), None, "{bad}");
        }
    }
}
