//! One letter over HTTP, once.

use std::net::IpAddr;
use std::time::Duration;

use branchline_protocol::time::UnixMillis;
use http::StatusCode;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, Response, Url};

use super::addresses::{AddressFault, Allowed, is_allowed};
use super::letter::Sending;
use super::signature::{Secret, SecretFault};
use crate::config::Target;

/// How long a connection may take to come about.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// Bytes of an answer that are read, so that its connection can be used again.
const ANSWER_BYTES: usize = 64 * 1024;

/// Why a target cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TargetFault {
    /// What letters are to be signed with.
    #[error(transparent)]
    Secret(#[from] SecretFault),
    /// Where it is.
    #[error(transparent)]
    Address(#[from] AddressFault),
    /// Its certificates.
    #[error("its ca_file cannot be used: {0}")]
    Anchors(String),
    /// Its URL or the HTTP client.
    #[error("{0}")]
    Client(String),
}

/// What came of an attempt.
#[derive(Debug)]
pub(super) enum Given {
    /// It has it.
    Taken,
    /// It does not want this one, and would not want it next time.
    Refused(String),
    /// It did not take it, for now.
    Failed {
        /// What went wrong.
        words: String,
        /// Whose fault it may be.
        blame: Blame,
        /// How long it asks to be left alone.
        asked: Option<Duration>,
    },
}

/// Whose fault it may be that a letter was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Blame {
    /// The way's: nobody answered.
    Way,
    /// The target's, which says that it cannot now; it is believed for so long.
    TargetFor(Duration),
    /// This letter's.
    Letter,
}

/// How long a target, or what stands before it, may say that it cannot now: longer than a night's work on it.
const CANNOT_NOW: Duration = Duration::from_secs(24 * 3_600);

impl Blame {
    /// Whether a failure so long after the first one counts against the letter.
    pub(super) fn is_the_letters(self, since_first: Duration) -> bool {
        match self {
            Self::Way => false,
            Self::TargetFor(time) => since_first > time,
            Self::Letter => true,
        }
    }
}

pub(super) fn blame(status: StatusCode) -> Blame {
    match status {
        StatusCode::TOO_MANY_REQUESTS
        | StatusCode::BAD_GATEWAY
        | StatusCode::SERVICE_UNAVAILABLE
        | StatusCode::GATEWAY_TIMEOUT => Blame::TargetFor(CANNOT_NOW),
        _ => Blame::Letter,
    }
}

/// The way to one target.
pub(super) struct Post {
    url: Url,
    client: Client,
    secret: Secret,
}

impl Post {
    pub(super) fn open(target: &Target) -> Result<Self, TargetFault> {
        let client_fault = |fault: &dyn std::fmt::Display| TargetFault::Client(fault.to_string());
        let secret = Secret::read(&target.secret_file)?;
        let url = Url::parse(&target.url).map_err(|fault| client_fault(&fault))?;
        // An address is not looked up, so that it is judged here.
        let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
        if let Ok(address) = host.parse::<IpAddr>()
            && !is_allowed(address, &target.networks)
        {
            let host = host.to_owned();
            return Err(AddressFault { host, address }.into());
        }
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut client = Client::builder()
            .no_proxy()
            .redirect(Policy::none())
            .connect_timeout(CONNECT_WITHIN)
            .timeout(target.timeout())
            .user_agent(concat!("branchline-server/", env!("CARGO_PKG_VERSION")))
            .dns_resolver(Allowed {
                networks: target.networks.clone(),
            });
        if let Some(path) = &target.ca_file {
            let pem =
                std::fs::read(path).map_err(|fault| TargetFault::Anchors(fault.to_string()))?;
            let anchors = Certificate::from_pem_bundle(&pem);
            let anchors = anchors.map_err(|fault| TargetFault::Anchors(fault.to_string()))?;
            client = client.tls_certs_only(anchors);
        }
        Ok(Self {
            url,
            client: client.build().map_err(|fault| client_fault(&fault))?,
            secret,
        })
    }

    /// Sends it once.
    pub(super) async fn send(&self, sending: &Sending, now: UnixMillis) -> Given {
        let at = now.0.div_euclid(1_000);
        let request = self
            .client
            .post(self.url.clone())
            .header(CONTENT_TYPE, "application/json")
            .header("webhook-id", &sending.id)
            .header("webhook-timestamp", at.to_string())
            .header(
                "webhook-signature",
                self.secret.sign(&sending.id, at, &sending.body),
            )
            .body(sending.body.clone());
        match request.send().await {
            Ok(response) => judge(response).await,
            Err(fault) => Given::Failed {
                blame: if fault.is_timeout() && !fault.is_connect() {
                    Blame::Letter
                } else {
                    Blame::Way
                },
                words: words(&fault.without_url()),
                asked: None,
            },
        }
    }
}

async fn judge(mut response: Response) -> Given {
    let status = response.status();
    let asked = response.headers().get(RETRY_AFTER);
    let asked = asked.and_then(|value| value.to_str().ok()?.trim().parse().ok());
    let mut read = 0;
    while let Ok(Some(piece)) = response.chunk().await {
        read += piece.len();
        if read > ANSWER_BYTES {
            break;
        }
    }
    match status {
        status if status.is_success() => Given::Taken,
        StatusCode::BAD_REQUEST
        | StatusCode::PAYLOAD_TOO_LARGE
        | StatusCode::UNPROCESSABLE_ENTITY => {
            Given::Refused(format!("it answered {}", status.as_u16()))
        }
        status => Given::Failed {
            words: if status.is_redirection() {
                format!(
                    "it answered {}: redirects are not followed; write the right url into server.toml",
                    status.as_u16()
                )
            } else {
                format!("it answered {}", status.as_u16())
            },
            blame: blame(status),
            asked: asked.map(Duration::from_secs),
        },
    }
}

/// The whole chain of causes: the first alone says nothing.
fn words(fault: &reqwest::Error) -> String {
    let mut words = fault.to_string();
    let mut cause: Option<&dyn std::error::Error> = std::error::Error::source(fault);
    while let Some(fault) = cause {
        let more = fault.to_string();
        if !words.contains(&more) {
            words = format!("{words}: {more}");
        }
        cause = fault.source();
    }
    words
}
