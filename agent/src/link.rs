//! The only network code at the branch: one request, one answer, classified.
//!
//! On the data's way: sync → **link** ─── ingress. Bodies are bounded and whole; nothing streams in
//! both directions, so that a proxy which buffers bodies changes nothing. Bulk goes over connections of
//! its own ([`bulk`]).

mod answer;
pub mod bulk;
pub mod gate;

use std::sync::Arc;
use std::time::Duration;

use branchline_protocol::exchange::{
    Credentials, DIGEST_HEADER, FEED_PATH, FeedReply, OPERATIONS_PATH, PROTOCOL_VERSION,
    SubmissionReply, VERSION_HEADER, body_digest,
};
use branchline_protocol::limits;
use branchline_protocol::outcome::{Failure, Heard, Outcome, classify};
use http::HeaderValue;
use http::header::{ACCEPT_ENCODING, AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE};
use reqwest::RequestBuilder;
use serde::de::DeserializeOwned;

use bulk::BulkLink;
use gate::Gate;

/// How long a connection may take to come about; satellite links with losses need several seconds.
const CONNECT_WITHIN: Duration = Duration::from_secs(20);
/// How long an answer may take beyond what the bytes need.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);
/// The slowest link on which a submission still gets through: 16 kbit/s.
const SLOWEST_BYTES_PER_SECOND: u64 = 2_048;
/// Level 3 is zstd's default; a submission compresses in milliseconds.
const ZSTD_LEVEL: i32 = 3;

/// What came of a request.
#[derive(Debug)]
pub enum Answer<T> {
    /// Central's reply.
    Reply(T),
    /// Anything else, and what to do about it.
    Outcome(Outcome),
}

/// Why there can be no link at all.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// Until agents have certificates, only a central on this machine may be spoken to.
    #[error(
        "server = {0:?}: until agents are enrolled with certificates, only plain HTTP to this \
         machine is possible (http://127.0.0.1:PORT); anything else would send tickets and the \
         secret unprotected"
    )]
    NotLoopback(String),
    /// The HTTP client could not be made.
    #[error("set up the HTTP client: {0}")]
    Client(String),
}

/// The way to central.
#[derive(Debug, Clone)]
pub struct Link {
    http: reqwest::Client,
    server: String,
    authorization: HeaderValue,
}

impl Link {
    /// A link to this server, as this agent. Connects at the first request.
    pub fn new(server: &str, credentials: &Credentials) -> Result<Self, LinkError> {
        let Some(origin) = loopback_origin(server) else {
            return Err(LinkError::NotLoopback(server.to_owned()));
        };
        let client = |fault: &dyn std::fmt::Display| LinkError::Client(fault.to_string());
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder()
            .no_proxy()
            .connect_timeout(CONNECT_WITHIN)
            .pool_idle_timeout(Duration::from_secs(90))
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("branchline-agent/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|fault| client(&fault))?;
        let mut authorization =
            HeaderValue::from_str(&credentials.to_header()).map_err(|fault| client(&fault))?;
        authorization.set_sensitive(true);
        Ok(Self {
            http,
            server: origin,
            authorization,
        })
    }

    /// Where central is.
    pub fn server(&self) -> &str {
        &self.server
    }

    /// The way to the same central for bulk, with connections of its own, through this gate.
    pub fn bulk(&self, gate: Arc<Gate>) -> BulkLink {
        let authority = self.server.trim_start_matches("http://").to_owned();
        BulkLink::new(authority, self.authorization.clone(), gate)
    }

    /// Submits operations. `body` is a submission's JSON.
    pub async fn submit(&self, body: Vec<u8>) -> Answer<SubmissionReply> {
        let url = format!("{}{OPERATIONS_PATH}", self.server);
        let mut request = self.http.post(url).header(CONTENT_TYPE, "application/json");
        let mut body = body;
        if body.len() >= limits::COMPRESS_FROM_BYTES
            && let Ok(smaller) = zstd::bulk::compress(&body, ZSTD_LEVEL)
        {
            body = smaller;
            request = request.header(CONTENT_ENCODING, "zstd");
        }
        request = request.header(DIGEST_HEADER, body_digest(&body));
        let sending = Duration::from_secs(body.len() as u64 / SLOWEST_BYTES_PER_SECOND);
        self.answer(request.body(body), ANSWER_WITHIN + sending)
            .await
    }

    /// Reads the feed behind a cursor; central holds the request open while there is no news.
    pub async fn feed(&self, cursor: Option<&str>, wait: Duration) -> Answer<FeedReply> {
        let after = cursor.unwrap_or_default();
        let url = format!(
            "{}{FEED_PATH}?after={after}&wait={}",
            self.server,
            wait.as_secs()
        );
        self.answer(self.http.get(url), ANSWER_WITHIN + wait).await
    }

    async fn answer<T: DeserializeOwned>(
        &self,
        request: RequestBuilder,
        within: Duration,
    ) -> Answer<T> {
        let request = request
            .header(AUTHORIZATION, self.authorization.clone())
            .header(VERSION_HEADER, PROTOCOL_VERSION)
            .header(ACCEPT_ENCODING, "zstd")
            .timeout(within);
        match answer::receive(request).await {
            Ok(received) => received.into_answer(),
            Err(failure) => Answer::Outcome(classify(Heard::Failed(failure))),
        }
    }
}

/// Scheme, host and port, if that is all there is and it means this machine. Requests go to what was
/// understood and not to what was written: blanks and slashes at the end would break every one.
fn loopback_origin(server: &str) -> Option<String> {
    let url = reqwest::Url::parse(server).ok()?;
    let loopback = match url.host_str()? {
        "localhost" => true,
        host => host
            .trim_matches(['[', ']'])
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback()),
    };
    let no_path = url.path().bytes().all(|byte| byte == b'/');
    let nothing_more = url.query().is_none() && url.fragment().is_none();
    let no_login = url.username().is_empty() && url.password().is_none();
    (url.scheme() == "http" && loopback && no_path && nothing_more && no_login)
        .then(|| url.origin().ascii_serialization())
}

fn failure(fault: &reqwest::Error) -> Failure {
    if fault.is_timeout() {
        Failure::TimedOut
    } else if fault.is_connect() {
        if format!("{fault:?}").contains("dns") {
            Failure::Resolve
        } else {
            Failure::Connect
        }
    } else {
        Failure::Interrupted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_http_goes_to_this_machine_only() {
        for good in [
            "http://127.0.0.1:8470",
            "http://localhost:1",
            "http://[::1]:8470",
        ] {
            assert_eq!(loopback_origin(good).as_deref(), Some(good));
        }
        for odd in [
            "http://127.0.0.1:8470/",
            " http://127.0.0.1:8470 ",
            "HTTP:127.0.0.1:8470//",
        ] {
            let understood = loopback_origin(odd);
            assert_eq!(
                understood.as_deref(),
                Some("http://127.0.0.1:8470"),
                "{odd}"
            );
        }
        for bad in [
            "http://central.example.org",
            "https://127.0.0.1:1",
            "http://10.0.0.1:1",
            "127.0.0.1:1",
            "http://127.0.0.1.example.org",
            "http://localhost@example.org:1",
            "",
            "file:///x",
            "http://127.0.0.1:1/path",
            "http://127.0.0.1:1?x=y",
            "http://127.0.0.1:1#x",
            "http://user:password@127.0.0.1:1",
        ] {
            assert_eq!(loopback_origin(bad), None, "{bad}");
        }
    }
}
