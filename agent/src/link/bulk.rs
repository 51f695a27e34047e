//! Bulk on the link: connections of its own, bodies in small pieces, and stalls noticed by lack of
//! progress.
//!
//! On the data's way: sync → **link** ─── ingress, beside the control lane and never before it (P7). The
//! connections are made here and not by the control lane's HTTP client, because bulk needs what that does
//! not give: little in the kernel's buffers, so that a pause is a pause and a stall is seen; a connection
//! that is given up at once and for good, so that no old attempt goes on sending behind a new one; and
//! pieces that pass the [`Gate`]. HTTP/1.1 with a known length and one request at a time per connection:
//! a proxy that buffers whole bodies changes nothing but the time to the answer.

mod chunk_body;
mod connection;
mod paced_body;
mod patience;
mod probe;

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use branchline_protocol::exchange::{
    CHUNKS_PATH, DIGEST_HEADER, FILES_PATH, MANIFESTS_PATH, PROTOCOL_VERSION, VERSION_HEADER,
    body_digest,
};
use branchline_protocol::id::FileId;
use branchline_protocol::limits;
use branchline_protocol::manifest::{Announcement, AnnouncementReply, ChunksReply};
use branchline_protocol::outcome::{Failure, Outcome};
use bytes::Bytes;
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, HOST, RANGE};
use http::{HeaderValue, Method, Request};
use tokio::time::Instant;

use super::answer::Received;
use super::gate::Gate;
use super::request_id;
use super::{Answer, Link, ZSTD_LEVEL};
use connection::Connection;
use paced_body::PacedBody;
use patience::Patience;

pub use chunk_body::ChunkBody;
pub use probe::probe;

/// Idle connections that are kept for the next bodies.
const IDLE_CONNECTIONS: usize = limits::CHUNK_BODIES_IN_FLIGHT;
/// A connection that was idle for longer is not used again: middleboxes forget it without a word.
const IDLE_MOST: Duration = Duration::from_secs(15);
/// Bytes of a request's head, about; counted with the bytes sent.
const HEAD_BYTES: usize = 400;

/// How an exchange went, for the pace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// From its first byte that could go to its answer.
    pub took: Duration,
    /// Part of it during which our own pace held the body back.
    pub held: Duration,
}

/// The way to central for bulk. Clones share everything.
#[derive(Debug, Clone)]
pub struct BulkLink {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    link: Link,
    gate: Arc<Gate>,
    patience: Mutex<Patience>,
    idle: Mutex<Vec<Connection>>,
}

impl BulkLink {
    /// The link's way, for bulk. Connects at the first request.
    pub(super) fn new(link: Link, gate: Arc<Gate>) -> Self {
        let shared = Shared {
            link,
            gate,
            patience: Mutex::new(Patience::default()),
            idle: Mutex::new(Vec::new()),
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// What every piece passes.
    pub fn gate(&self) -> &Arc<Gate> {
        &self.shared.gate
    }

    /// Announces files.
    pub async fn announce(&self, announcement: &Announcement) -> Answer<AnnouncementReply> {
        let mut body = serde_json::to_vec(announcement).unwrap_or_default();
        let mut encoding = None;
        if body.len() >= limits::COMPRESS_FROM_BYTES
            && let Ok(smaller) = zstd::bulk::compress(&body, ZSTD_LEVEL)
        {
            body = smaller;
            encoding = Some(HeaderValue::from_static("zstd"));
        }
        let content = Content {
            id: request_id::new(),
            path: MANIFESTS_PATH.into(),
            answer: 0,
            range: None,
            media_type: "application/json",
            encoding,
            digest: Some(body_digest(&body)),
            parts: vec![Bytes::from(body)],
        };
        self.exchange(content, Received::into_answer).await.0
    }

    /// Sends chunks.
    pub async fn send_chunks(&self, body: ChunkBody) -> (Answer<ChunksReply>, Timing) {
        let content = Content {
            id: request_id::new(),
            path: CHUNKS_PATH.into(),
            answer: 0,
            range: None,
            media_type: branchline_protocol::frame::MEDIA_TYPE,
            encoding: None,
            digest: None,
            parts: body.into_parts(),
        };
        self.exchange(content, Received::into_answer).await
    }

    /// A part of a file that central gave: at most `most` bytes from `from` on.
    pub async fn file_part(
        &self,
        file: FileId,
        from: u64,
        most: usize,
    ) -> (Answer<Vec<u8>>, Timing) {
        let last = from.saturating_add(most as u64).saturating_sub(1);
        let content = Content {
            id: request_id::new(),
            path: format!("{FILES_PATH}/{file}").into(),
            answer: most as u64,
            range: HeaderValue::try_from(format!("bytes={from}-{last}")).ok(),
            media_type: "application/octet-stream",
            encoding: None,
            digest: None,
            parts: Vec::new(),
        };
        self.exchange(content, Received::into_bytes).await
    }

    /// Finds out whether central can be reached; the connection that this takes serves the next request.
    pub async fn knock(&self) -> Result<(), Outcome> {
        match self.open().await {
            Ok(connection) => {
                self.keep(connection);
                Ok(())
            }
            Err(failure) => Err(self.shared.link.failed(failure)),
        }
    }

    /// Gives up the connections that nobody uses: after an outage they are as dead as those in use.
    pub fn forget_connections(&self) {
        self.idle().clear();
    }

    async fn exchange<T>(
        &self,
        content: Content,
        read: impl FnOnce(Received) -> Answer<T>,
    ) -> (Answer<T>, Timing) {
        let started = Instant::now();
        let mut timing = Timing {
            took: Duration::ZERO,
            held: Duration::ZERO,
        };
        let received = self.attempt(&content, &mut timing).await;
        if timing.took.is_zero() {
            timing.took = started.elapsed();
        }
        let answer = match received {
            Ok((received, generation)) => {
                let (status, named) = received.named();
                let answer = read(received);
                let path = content.path.as_ref();
                request_id::log(path, &content.id, Some(status), named.as_deref(), &answer);
                self.shared.link.unless_of_before(answer, generation)
            }
            Err(failure) => {
                let answer = Answer::Outcome(self.shared.link.failed(failure));
                request_id::log(content.path.as_ref(), &content.id, None, None, &answer);
                answer
            }
        };
        (answer, timing)
    }

    /// Also tells with which of the link's identities.
    async fn attempt(
        &self,
        content: &Content,
        timing: &mut Timing,
    ) -> Result<(Received, u64), Failure> {
        let reused = self.reuse();
        if let Some(connection) = reused {
            let generation = connection.generation();
            let (outcome, went) = self.on(connection, content, timing).await;
            // A connection that was closed while it was idle fails before much has gone: that says
            // nothing of the link.
            match outcome {
                Err(Failure::Interrupted) if went <= connection::LITTLE => {}
                other => return other.map(|received| (received, generation)),
            }
        }
        let connection = self.open().await?;
        let generation = connection.generation();
        let received = self.on(connection, content, timing).await.0?;
        Ok((received, generation))
    }

    /// One exchange on one connection, which is kept for the next if it is still good. Also tells how
    /// many bytes went.
    async fn on(
        &self,
        mut connection: Connection,
        content: &Content,
        timing: &mut Timing,
    ) -> (Result<Received, Failure>, u64) {
        let gate = self.shared.gate.clone();
        let (body, progress) = PacedBody::new(gate, content.parts.clone());
        let bytes = body.bytes();
        let Some(request) = self.request(content, body) else {
            return (Err(Failure::Interrupted), 0);
        };
        self.shared.gate.charge(HEAD_BYTES);
        let patience = *self.patience();
        let started = Instant::now();
        let outcome = connection
            .exchange(request, &progress, |seen| {
                patience.is_over(seen, bytes.max(content.answer), self.distance())
            })
            .await;
        timing.took = started.elapsed();
        timing.held = progress.held();
        match &outcome {
            Ok(_) => {
                // What comes says nothing of how fast bodies go.
                if content.answer == 0 {
                    self.patience().answered(bytes, timing.took);
                }
                if progress.is_all_out() && connection.is_reusable() {
                    self.keep(connection);
                }
            }
            Err(Failure::TimedOut) => self.patience().lost(),
            Err(_) => {}
        }
        (outcome, progress.went())
    }

    fn request(&self, content: &Content, body: PacedBody) -> Option<Request<PacedBody>> {
        let mut request = Request::builder()
            .method(match content.range {
                Some(_) => Method::GET,
                None => Method::POST,
            })
            .uri(content.path.as_ref())
            .header(HOST, self.shared.link.way().origin.authority())
            .header(VERSION_HEADER, PROTOCOL_VERSION)
            .header(request_id::HEADER, &content.id)
            .header(ACCEPT_ENCODING, "zstd")
            .header(CONTENT_TYPE, content.media_type);
        if let Some(range) = &content.range {
            request = request.header(RANGE, range);
        }
        if let Some(encoding) = &content.encoding {
            request = request.header(CONTENT_ENCODING, encoding);
        }
        if let Some(digest) = &content.digest {
            request = request.header(DIGEST_HEADER, digest);
        }
        request.body(body).ok()
    }

    /// A request without a body, for tests of the way alone.
    #[cfg(test)]
    pub(super) async fn livez(&self) -> Result<(), Failure> {
        let content = Content {
            id: request_id::new(),
            path: "/livez".into(),
            answer: 0,
            range: None,
            media_type: "application/json",
            encoding: None,
            digest: None,
            parts: Vec::new(),
        };
        let connection = self.open().await?;
        let mut timing = Timing {
            took: Duration::ZERO,
            held: Duration::ZERO,
        };
        self.on(connection, &content, &mut timing)
            .await
            .0
            .map(|_| ())
    }

    async fn open(&self) -> Result<Connection, Failure> {
        let distance = self.distance();
        let unacknowledged = self.patience().unacknowledged(distance);
        let present = self.shared.link.present();
        let way = self.shared.link.way();
        Connection::open(way, &present, distance, unacknowledged).await
    }

    fn distance(&self) -> Option<Duration> {
        self.shared.gate.distance()
    }

    fn reuse(&self) -> Option<Connection> {
        let mut idle = self.idle();
        while let Some(mut connection) = idle.pop() {
            if connection.idle_for() < IDLE_MOST && self.is_usable(&mut connection) {
                return Some(connection);
            }
        }
        None
    }

    /// Another request can go over it, and it was made as whom we are.
    fn is_usable(&self, connection: &mut Connection) -> bool {
        connection.generation() == self.shared.link.present().generation && connection.is_reusable()
    }

    fn keep(&self, mut connection: Connection) {
        connection.now_idle();
        let mut idle = self.idle();
        if idle.len() < IDLE_CONNECTIONS {
            idle.push(connection);
        }
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Connection>> {
        self.shared
            .idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn patience(&self) -> std::sync::MutexGuard<'_, Patience> {
        self.shared
            .patience
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

struct Content {
    id: String,
    path: Cow<'static, str>,
    /// Bytes that the answer may have, where they are what is asked for.
    answer: u64,
    /// What is asked for instead of being sent.
    range: Option<HeaderValue>,
    media_type: &'static str,
    encoding: Option<HeaderValue>,
    /// Of JSON; chunks prove themselves.
    digest: Option<String>,
    parts: Vec<Bytes>,
}
