//! The only network code at the branch: one request, one answer, classified.
//!
//! On the data's way: sync → **link** ─── ingress. Bodies are bounded and whole; nothing streams in
//! both directions, so that a proxy which buffers bodies changes nothing. Bulk goes over connections of
//! its own ([`bulk`]).

mod answer;
pub mod bulk;
mod clock;
mod failure;
pub mod gate;
mod origin;
pub mod proxy;
mod request_id;
pub mod survey;
mod tls;
mod trouble;
mod way;

#[cfg(test)]
pub(crate) mod tests;

use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use branchline_protocol::enrolment::{
    CERTIFICATE_PATH, Der, ENROLMENT_PATH, EnrolmentReply, EnrolmentRequest, Fingerprint, Issued,
    PROBE_PATH, ProbeReply, RenewalRequest, TrustBundle,
};
use branchline_protocol::exchange::{
    DIGEST_HEADER, FEED_PATH, FeedReply, OPERATIONS_PATH, PROTOCOL_VERSION, SubmissionReply,
    VERSION_HEADER, body_digest,
};
use branchline_protocol::limits;
use branchline_protocol::outcome::{Failure, Heard, Outcome, classify};
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE};
use reqwest::RequestBuilder;
use serde::Serialize;
use serde::de::DeserializeOwned;

use bulk::BulkLink;
use clock::Diagnosis;
use gate::Gate;
use proxy::LinkSettings;
use tls::Tls;
use way::Way;

pub use clock::ClockFinding;
pub use origin::Origin;
pub use tls::Sighting;

use crate::identity::Showing;

/// How long a connection may take to come about; satellite links with losses need several seconds.
const CONNECT_WITHIN: Duration = Duration::from_secs(20);
/// How long an answer may take beyond what the bytes need.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);
/// The slowest link on which a submission still gets through: 16 kbit/s.
const SLOWEST_BYTES_PER_SECOND: u64 = 2_048;
/// Level 3 is zstd's default; a submission compresses in milliseconds.
const ZSTD_LEVEL: i32 = 3;
/// Who we say that we are, to proxies too.
const USER_AGENT: &str = concat!("branchline-agent/", env!("CARGO_PKG_VERSION"));

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
    /// Central is behind TLS, and only there.
    #[error("server = {0:?}: central's address is https://NAME or https://NAME:PORT, and no more")]
    NotHttps(String),
    /// What the agent or central is proven by cannot be used.
    #[error("the agent's identity cannot be used for TLS: {0}")]
    Identity(#[from] rustls::Error),
    /// The HTTP client could not be made.
    #[error("set up the HTTP client: {0}")]
    Client(String),
}

/// The way to central. Clones share everything.
#[derive(Debug, Clone)]
pub struct Link {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    way: Way,
    tls12: bool,
    present: RwLock<Arc<Present>>,
    diagnosis: Mutex<Diagnosis>,
}

/// Who we are and whom we trust, until that changes.
#[derive(Debug)]
struct Present {
    /// Counts the changes.
    generation: u64,
    http: reqwest::Client,
    tls: Tls,
    proof: Proof,
}

/// What central is proven by.
#[derive(Debug, Clone)]
enum Proof {
    /// Nothing: whoever looks around before there is anything to trust.
    Nothing,
    Trust(TrustBundle),
    Fingerprint(Fingerprint),
}

impl Link {
    /// A link to a central that is proven by whom the agent trusts, as the agent. Connects at the first
    /// request.
    pub fn mutual(
        server: &str,
        showing: &Showing,
        settings: &LinkSettings,
    ) -> Result<Self, LinkError> {
        let way = Way::new(server, settings)?;
        let tls = Tls::mutual(showing, settings.tls12)?;
        let present = Present::new(0, &way, tls, Proof::Trust(showing.trust.clone()))?;
        Ok(Self::with(way, present, settings.tls12))
    }

    /// A link for joining: to a central that the token's fingerprint proves, as nobody yet.
    pub fn joining(
        server: &str,
        anchor: Fingerprint,
        settings: &LinkSettings,
    ) -> Result<Self, LinkError> {
        let way = Way::new(server, settings)?;
        let tls = Tls::by_fingerprint(anchor, settings.tls12)?;
        let present = Present::new(0, &way, tls, Proof::Fingerprint(anchor))?;
        Ok(Self::with(way, present, settings.tls12))
    }

    fn with(way: Way, present: Present, tls12: bool) -> Self {
        let shared = Shared {
            way,
            tls12,
            present: RwLock::new(Arc::new(present)),
            diagnosis: Mutex::default(),
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// From the next request on, another certificate or other anchors, in both lanes. What is under way goes
    /// on as it began; no connection of before is used again.
    pub fn adopt(&self, showing: &Showing) -> Result<(), LinkError> {
        let tls = Tls::mutual(showing, self.shared.tls12)?;
        let proof = Proof::Trust(showing.trust.clone());
        let mut current = self
            .shared
            .present
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        let generation = current.generation + 1;
        *current = Arc::new(Present::new(generation, self.way(), tls, proof)?);
        Ok(())
    }

    fn present(&self) -> Arc<Present> {
        self.shared
            .present
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn way(&self) -> &Way {
        &self.shared.way
    }

    /// Where central is.
    pub fn server(&self) -> &str {
        self.way().origin.as_str()
    }

    /// The way to the same central for bulk, with connections of its own, through this gate.
    pub fn bulk(&self, gate: Arc<Gate>) -> BulkLink {
        BulkLink::new(self.clone(), gate)
    }

    /// Submits operations. `body` is a submission's JSON.
    pub async fn submit(&self, body: Vec<u8>) -> Answer<SubmissionReply> {
        self.post(OPERATIONS_PATH, body).await
    }

    /// Joins. The request's secret goes to whom the token's fingerprint proved and to nobody else.
    pub async fn enrol(&self, request: &EnrolmentRequest) -> Answer<EnrolmentReply> {
        self.post(ENROLMENT_PATH, encoded(request)).await
    }

    /// Asks for a certificate for the key of this signing request, as whom the present one proves.
    pub async fn renew(&self, request: Der) -> Answer<Issued> {
        self.post(CERTIFICATE_PATH, encoded(&RenewalRequest { request }))
            .await
    }

    /// Shows what this link shows and asks for nothing: whether central takes it.
    pub async fn show(&self) -> Answer<ProbeReply> {
        self.post(PROBE_PATH, Vec::new()).await
    }

    /// Reads the feed behind a cursor; central holds the request open while there is no news.
    pub async fn feed(&self, cursor: Option<&str>, wait: Duration) -> Answer<FeedReply> {
        let after = cursor.unwrap_or_default();
        let path = format!("{FEED_PATH}?after={after}&wait={}", wait.as_secs());
        self.answer(FEED_PATH, ANSWER_WITHIN + wait, |http| {
            http.get(format!("{}{path}", self.server()))
        })
        .await
    }

    /// Sends JSON, small where that is worth it.
    async fn post<T: DeserializeOwned>(&self, path: &str, json: Vec<u8>) -> Answer<T> {
        let mut body = json;
        let mut is_compressed = false;
        if body.len() >= limits::COMPRESS_FROM_BYTES
            && let Ok(smaller) = zstd::bulk::compress(&body, ZSTD_LEVEL)
        {
            body = smaller;
            is_compressed = true;
        }
        let sending = Duration::from_secs(body.len() as u64 / SLOWEST_BYTES_PER_SECOND);
        self.answer(path, ANSWER_WITHIN + sending, |http| {
            let request = http
                .post(format!("{}{path}", self.server()))
                .header(CONTENT_TYPE, "application/json")
                .header(DIGEST_HEADER, body_digest(&body));
            let request = if is_compressed {
                request.header(CONTENT_ENCODING, "zstd")
            } else {
                request
            };
            request.body(body)
        })
        .await
    }

    async fn answer<T: DeserializeOwned>(
        &self,
        path: &str,
        within: Duration,
        request: impl FnOnce(&reqwest::Client) -> RequestBuilder,
    ) -> Answer<T> {
        let present = self.present();
        let id = request_id::new();
        let request = request(&present.http)
            .header(VERSION_HEADER, PROTOCOL_VERSION)
            .header(request_id::HEADER, &id)
            .header(ACCEPT_ENCODING, "zstd")
            .timeout(within);
        let through_proxy = self.way().route.proxy().is_some();
        match answer::receive(request, through_proxy).await {
            Ok(received) => {
                let (status, named) = received.named();
                let answer = received.into_answer();
                request_id::log(path, &id, Some(status), named.as_deref(), &answer);
                self.unless_of_before(answer, present.generation)
            }
            Err(failure) => {
                if failure == Failure::OutsideValidity {
                    self.diagnose().await;
                }
                let answer = Answer::Outcome(self.failed(failure));
                request_id::log(path, &id, None, None, &answer);
                answer
            }
        }
    }

    /// What to do about a failure, in words that name what was seen.
    fn failed(&self, failure: Failure) -> Outcome {
        let mut outcome = classify(Heard::Failed(failure));
        if let Outcome::Retry { trouble, .. } = &mut outcome
            && let Some(words) = self.words(failure)
        {
            trouble.words = words;
        }
        outcome
    }

    fn words(&self, failure: Failure) -> Option<String> {
        if failure == Failure::OutsideValidity {
            return self.diagnosed();
        }
        let present = self.present();
        let seen = present.tls.seen();
        trouble::words(failure, self.way(), seen.as_ref())
    }

    /// What central thinks of a certificate that is in use no more changes nothing.
    fn unless_of_before<T>(&self, answer: Answer<T>, generation: u64) -> Answer<T> {
        match answer {
            Answer::Outcome(Outcome::Renew { .. }) if generation != self.present().generation => {
                Answer::Outcome(classify(Heard::Failed(Failure::Interrupted)))
            }
            answer => answer,
        }
    }
}

fn encoded(request: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(request).unwrap_or_default()
}

fn client(fault: &dyn std::fmt::Display) -> LinkError {
    LinkError::Client(fault.to_string())
}

impl Present {
    fn new(generation: u64, way: &Way, tls: Tls, proof: Proof) -> Result<Self, LinkError> {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut http = reqwest::Client::builder()
            .no_proxy()
            .http1_only()
            .connect_timeout(CONNECT_WITHIN)
            .pool_idle_timeout(Duration::from_secs(90))
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(USER_AGENT);
        if let Some(proxy) = way.route.proxy() {
            http = http.proxy(proxy.for_requests().map_err(|fault| client(&fault))?);
        }
        http = http.https_only(true);
        http = http.tls_backend_preconfigured(tls.config.as_ref().clone());
        Ok(Self {
            generation,
            http: http.build().map_err(|fault| client(&fault))?,
            tls,
            proof,
        })
    }
}
