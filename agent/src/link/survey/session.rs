//! One connection of a survey: tiny requests for the round trip and the time, bodies of any size and pace
//! for what the way lets through.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use branchline_protocol::enrolment::{PROBE_PATH, ProbeReply};
use branchline_protocol::exchange::{PROTOCOL_VERSION, VERSION_HEADER};
use branchline_protocol::outcome::Failure;
use branchline_protocol::problem::Problem;
use branchline_protocol::time::UnixMillis;
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HOST, USER_AGENT};
use http::{HeaderMap, Method, Request};
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, SizeHint};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, Sleep, timeout};
use tokio_rustls::client::TlsStream;

use crate::link::answer::answered_at;
use crate::link::failure;
use crate::link::tls::Sighting;

/// Bytes of an answer that are read: problem documents and replies are far smaller.
const ANSWER_BYTES: usize = 64 * 1024;
/// Bytes of a body that are made at once.
const PIECE_BYTES: usize = 16 * 1024;
/// How long a tiny request may take.
const TINY_WITHIN: Duration = Duration::from_secs(6);

/// A connection to central that TLS stands on.
#[derive(Debug)]
pub struct Session {
    sender: SendRequest<ProbeBody>,
    authority: String,
    /// How long TLS took.
    pub handshake: Duration,
    /// `TLSv1_3` and the like.
    pub tls_version: String,
    /// Central's certificate, proven.
    pub seen: Option<Sighting>,
    /// Moves the bytes, as long as the session lives.
    _driver: JoinSet<()>,
}

/// Why a probe was not answered as it should be.
#[derive(Debug)]
pub enum ProbeFault {
    /// Central said no.
    Problem(Box<Problem>),
    /// Somebody else answered, with this status.
    Stranger(u16),
    /// No answer.
    Failed(Failure),
}

/// What a probe sends: bytes that no one on the way can make smaller, with pauses between.
#[derive(Debug)]
pub struct ProbeBody {
    /// Bytes, and how long to wait before them.
    parts: VecDeque<(Duration, usize)>,
    left: usize,
    pause: Option<Pin<Box<Sleep>>>,
    random: fastrand::Rng,
}

impl ProbeBody {
    /// So many bytes, at once.
    pub fn whole(bytes: usize) -> Self {
        Self::of(VecDeque::from([(Duration::ZERO, bytes)]))
    }

    /// So many bytes, in two halves with a pause between them.
    pub fn halves(bytes: usize, pause: Duration) -> Self {
        let half = bytes / 2;
        Self::of(VecDeque::from([
            (Duration::ZERO, half),
            (pause, bytes - half),
        ]))
    }

    fn of(parts: VecDeque<(Duration, usize)>) -> Self {
        Self {
            left: parts.iter().map(|(_, bytes)| bytes).sum(),
            parts,
            pause: None,
            random: fastrand::Rng::new(),
        }
    }
}

impl Body for ProbeBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        loop {
            if let Some(pause) = &mut self.pause {
                match pause.as_mut().poll(context) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(()) => self.pause = None,
                }
            }
            let Some((before, bytes)) = self.parts.front_mut() else {
                return Poll::Ready(None);
            };
            let wait = std::mem::take(before);
            if !wait.is_zero() {
                self.pause = Some(Box::pin(tokio::time::sleep(wait)));
                continue;
            }
            let now = (*bytes).min(PIECE_BYTES);
            *bytes -= now;
            if *bytes == 0 {
                self.parts.pop_front();
            }
            if now == 0 {
                continue;
            }
            self.left -= now;
            let mut piece = vec![0; now];
            self.random.fill(&mut piece);
            return Poll::Ready(Some(Ok(Frame::data(piece.into()))));
        }
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left as u64)
    }
}

struct Heard {
    status: u16,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Session {
    pub(super) async fn over(
        stream: TlsStream<TcpStream>,
        authority: String,
        handshake: Duration,
        seen: Option<Sighting>,
    ) -> hyper::Result<Self> {
        let version = stream.get_ref().1.protocol_version();
        let tls_version = version.map_or_else(String::new, |version| format!("{version:?}"));
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let mut driver = JoinSet::new();
        driver.spawn(async move {
            // What ends it, the request under way learns by itself.
            let _ = connection.await;
        });
        Ok(Self {
            sender,
            authority,
            handshake,
            tls_version,
            seen,
            _driver: driver,
        })
    }

    /// A request that costs central nothing: how long it took, and central's time where it told it.
    pub async fn tiny(&mut self) -> Result<(Duration, Option<UnixMillis>), Failure> {
        let started = Instant::now();
        let heard = self.ask(Method::GET, "/livez", ProbeBody::whole(0), TINY_WITHIN);
        let heard = heard.await?;
        let at = answered_at(&heard.headers);
        let at = at.map(|at| UnixMillis(at.as_millisecond()));
        Ok((started.elapsed(), at))
    }

    /// Sends a body to be measured; gives what central saw of it and how long it took.
    pub async fn probe(
        &mut self,
        body: ProbeBody,
        within: Duration,
    ) -> Result<(ProbeReply, Duration), ProbeFault> {
        let started = Instant::now();
        let heard = self.ask(Method::POST, PROBE_PATH, body, within).await;
        let heard = heard.map_err(ProbeFault::Failed)?;
        if heard.status == 200
            && let Ok(reply) = serde_json::from_slice(&heard.body)
        {
            return Ok((reply, started.elapsed()));
        }
        Err(match serde_json::from_slice(&heard.body) {
            Ok(problem) => ProbeFault::Problem(Box::new(problem)),
            Err(_) => ProbeFault::Stranger(heard.status),
        })
    }

    async fn ask(
        &mut self,
        method: Method,
        path: &str,
        body: ProbeBody,
        within: Duration,
    ) -> Result<Heard, Failure> {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, &self.authority)
            .header(USER_AGENT, crate::link::USER_AGENT)
            .header(VERSION_HEADER, PROTOCOL_VERSION)
            .header(CACHE_CONTROL, "no-cache")
            .header(CONTENT_TYPE, "application/octet-stream")
            .body(body)
            .map_err(|_| Failure::Interrupted)?;
        let exchange = async {
            let failed = |fault: hyper::Error| failure::of_exchange(&fault);
            let response = self.sender.send_request(request).await.map_err(failed)?;
            let (parts, mut incoming) = response.into_parts();
            let mut body = Vec::new();
            while let Some(frame) = incoming.frame().await {
                let frame = frame.map_err(failed)?;
                body.extend_from_slice(frame.data_ref().map_or(&[], AsRef::as_ref));
                if body.len() > ANSWER_BYTES {
                    return Err(Failure::Oversized);
                }
            }
            Ok(Heard {
                status: parts.status.as_u16(),
                headers: parts.headers,
                body,
            })
        };
        timeout(within, exchange)
            .await
            .unwrap_or(Err(Failure::TimedOut))
    }
}
