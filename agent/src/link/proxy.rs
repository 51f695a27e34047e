//! The branch's proxy: which one, if any, and who we are to it.
//!
//! Decided once when the link is made, by the same rules for both lanes. What it is told stays out of logs
//! and errors.

use http::{HeaderValue, Uri};
use hyper_util::client::proxy::matcher::Matcher;

use super::origin::Origin;
use crate::config::{Config, ConfigError, ProxyChoice, ProxyCredentials};

/// How the link gets out, as IT set it.
#[derive(Debug, Clone, Default)]
pub struct LinkSettings {
    /// Which proxy.
    pub proxy: ProxyChoice,
    /// Who we are to it.
    pub proxy_credentials: Option<ProxyCredentials>,
    /// TLS 1.2 is allowed beside 1.3.
    pub tls12: bool,
}

impl LinkSettings {
    /// As the configuration says. Without the credentials, and the fault beside it, where their file cannot
    /// be used: the proxy will say the rest, and filing goes on.
    pub fn of(config: &Config) -> (Self, Option<ConfigError>) {
        let (credentials, fault) = match config.proxy_credentials() {
            Ok(credentials) => (credentials, None),
            Err(fault) => (None, Some(fault)),
        };
        let settings = Self {
            proxy: config.proxy.clone(),
            proxy_credentials: credentials,
            tls12: config.tls12,
        };
        (settings, fault)
    }
}

/// Who named the proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NamedBy {
    /// The system or the environment.
    System,
    /// The agent's configuration.
    Configuration,
}

/// A proxy that `CONNECT` goes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proxy {
    /// Name or address, without brackets.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Who named it.
    pub named_by: NamedBy,
    pub(super) authorization: Option<HeaderValue>,
}

/// The way out that was decided on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Route {
    /// Straight to central.
    Direct,
    /// Through this proxy.
    Through(Proxy),
    /// Straight to central, because the proxy that the system names is of a kind that is not spoken here.
    /// Its scheme.
    DirectDespite(String),
}

impl Route {
    /// The route to this central.
    pub(super) fn decide(settings: &LinkSettings, central: &Origin) -> Self {
        match &settings.proxy {
            ProxyChoice::Direct => Self::Direct,
            ProxyChoice::At { host, port } => Self::Through(Proxy {
                host: host.clone(),
                port: *port,
                named_by: NamedBy::Configuration,
                authorization: authorization(settings),
            }),
            // As browsers do: no proxy leads to this very machine.
            ProxyChoice::System if central.is_loopback() => Self::Direct,
            ProxyChoice::System => {
                // Made anew each time: the environment and the registry are read here.
                let matcher = Matcher::from_system();
                Self::by_system(&matcher, settings, central)
            }
        }
    }

    fn by_system(matcher: &Matcher, settings: &LinkSettings, central: &Origin) -> Self {
        let Ok(central) = central.as_str().parse::<Uri>() else {
            return Self::Direct;
        };
        let Some(found) = matcher.intercept(&central) else {
            return Self::Direct;
        };
        let scheme = found.uri().scheme_str().unwrap_or_default();
        match found.uri().host() {
            Some(host) if scheme == "http" => Self::Through(Proxy {
                host: host.trim_matches(['[', ']']).to_owned(),
                port: found.uri().port_u16().unwrap_or(80),
                named_by: NamedBy::System,
                authorization: authorization(settings).or_else(|| found.basic_auth().cloned()),
            }),
            _ => Self::DirectDespite(scheme.to_owned()),
        }
    }

    /// The proxy, where there is one.
    pub fn proxy(&self) -> Option<&Proxy> {
        match self {
            Self::Through(proxy) => Some(proxy),
            Self::Direct | Self::DirectDespite(_) => None,
        }
    }
}

fn authorization(settings: &LinkSettings) -> Option<HeaderValue> {
    let credentials = settings.proxy_credentials.as_ref();
    let mut header = HeaderValue::from_str(credentials?.header()).ok()?;
    header.set_sensitive(true);
    Some(header)
}

impl Proxy {
    /// Whether we tell it who we are.
    pub fn has_credentials(&self) -> bool {
        self.authorization.is_some()
    }

    /// `http://host:port`.
    pub fn url(&self) -> String {
        if self.host.contains(':') {
            format!("http://[{}]:{}", self.host, self.port)
        } else {
            format!("http://{}:{}", self.host, self.port)
        }
    }

    /// The same for the control lane's HTTP client.
    pub(super) fn for_requests(&self) -> reqwest::Result<reqwest::Proxy> {
        let proxy = reqwest::Proxy::all(self.url())?;
        Ok(match &self.authorization {
            Some(authorization) => proxy.custom_http_auth(authorization.clone()),
            None => proxy,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn central() -> Origin {
        Origin::protected("https://central.example.org").unwrap()
    }

    fn with(proxy: ProxyChoice, credentials: Option<&str>) -> LinkSettings {
        LinkSettings {
            proxy,
            proxy_credentials: credentials.and_then(ProxyCredentials::read),
            tls12: false,
        }
    }

    #[test]
    fn the_configuration_wins_and_nothing_is_shown_of_the_password() {
        let at = "http://proxy:3128".parse().unwrap();
        let route = Route::decide(&with(at, Some("marie:s3cret\n")), &central());
        let proxy = route.proxy().unwrap();
        assert_eq!(proxy.url(), "http://proxy:3128");
        let header = proxy.authorization.clone().unwrap();
        assert_eq!(header, "Basic bWFyaWU6czNjcmV0");
        let shown = format!(
            "{route:?} {:?} {:?}",
            with(ProxyChoice::System, Some("marie:s3cret")),
            proxy.for_requests().unwrap()
        );
        assert!(
            !shown.contains("s3cret") && !shown.contains("bWFyaWU"),
            "{shown}"
        );
        let route = Route::decide(&with(ProxyChoice::Direct, None), &central());
        assert_eq!(route, Route::Direct);
    }

    #[test]
    fn the_systems_proxy_with_its_exceptions() {
        let route = |all: &str, no: &str, settings: &LinkSettings| {
            let matcher = Matcher::builder().all(all).no(no).build();
            Route::by_system(&matcher, settings, &central())
        };
        let system = with(ProxyChoice::System, None);
        let found = route("http://u:p@proxy:8080", "", &system);
        let proxy = found.proxy().unwrap();
        assert_eq!(
            (proxy.url(), proxy.has_credentials()),
            ("http://proxy:8080".into(), true)
        );
        let own = with(ProxyChoice::System, Some("a:b"));
        let found = route("http://u:p@proxy:8080", "", &own);
        assert_eq!(
            found.proxy().unwrap().authorization.as_ref().unwrap(),
            "Basic YTpi"
        );
        assert_eq!(route("http://proxy", "example.org", &system), Route::Direct);
        assert_eq!(route("", "", &system), Route::Direct);
        let socks = Route::DirectDespite("socks5".to_owned());
        assert_eq!(route("socks5://proxy:1080", "", &system), socks);
        let here = Origin::protected("https://127.0.0.1:8470").unwrap();
        assert_eq!(Route::decide(&system, &here), Route::Direct);
    }
}
