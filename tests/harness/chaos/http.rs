//! The little HTTP/1.1 that the proxy knows: where a message ends, how to send a request again, and
//! how to answer in its own name.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use super::{Fault, Shared};

/// A request longer than this is not repeated, and is answered before it has all arrived.
pub(super) const MAX_REMEMBERED_BYTES: usize = 1024 * 1024;
const MAX_HEAD_BYTES: usize = 64 * 1024;
/// How long a repeated request may take, a long poll among them.
const REPLAY_PATIENCE: Duration = Duration::from_secs(10);

pub(super) async fn answer(fault: Fault, mut client: TcpStream) -> io::Result<()> {
    let (head, page) = match fault {
        Fault::BadGateway => (
            "502 Bad Gateway\r\nContent-Type: text/html",
            "<html><body><h1>502 Bad Gateway</h1><p>The proxy got no answer.</p></body></html>",
        ),
        Fault::CaptivePortal => (
            "200 OK\r\nContent-Type: text/html\r\nCache-Control: no-store",
            "<html><body><h1>Welcome</h1><form>Room <input name=room></form></body></html>",
        ),
        _ => (
            "503 Service Unavailable\r\nContent-Type: text/plain\r\nRetry-After: 1",
            "busy\n",
        ),
    };
    let length = page.len();
    let reply =
        format!("HTTP/1.1 {head}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{page}");
    client.write_all(reply.as_bytes()).await?;
    client.shutdown().await?;
    // Closing with bytes unread would reset the connection and take the answer with it.
    tokio::io::copy(&mut client, &mut tokio::io::sink()).await?;
    Ok(())
}

/// A request to send to the upstream again.
#[derive(Debug)]
pub(super) struct Replay {
    pub(super) request: Vec<u8>,
    pub(super) delay: Duration,
    pub(super) place: String,
}

impl Replay {
    pub(super) async fn run(self, shared: Arc<Shared>) {
        sleep(self.delay).await;
        let exchange = async {
            let mut upstream = TcpStream::connect(shared.upstream).await?;
            shared.inject(Fault::Duplicate, &self.place);
            upstream.write_all(&self.request).await?;
            // Once a reply begins the request has had its effect; nobody wants the reply.
            upstream.read(&mut [0; 1]).await
        };
        // An upstream that fails meanwhile is a repeat that got lost.
        let _ = timeout(REPLAY_PATIENCE, exchange).await;
    }
}

pub(super) enum RequestLength {
    HeadIncomplete,
    Known(usize),
    /// Not HTTP/1.1, or with a body that does not say its length.
    Unknown,
}

pub(super) fn request_length(bytes: &[u8]) -> RequestLength {
    let Some(head_length) = bytes
        .windows(4)
        .take(MAX_HEAD_BYTES)
        .position(|w| w == b"\r\n\r\n")
    else {
        let hopeless = bytes.len() > MAX_HEAD_BYTES;
        return if hopeless {
            RequestLength::Unknown
        } else {
            RequestLength::HeadIncomplete
        };
    };
    let head = String::from_utf8_lossy(&bytes[..head_length]);
    let mut lines = head.split("\r\n");
    if !lines.next().is_some_and(|line| line.ends_with(" HTTP/1.1")) {
        return RequestLength::Unknown;
    }
    let mut body_length = 0;
    for (name, value) in lines.filter_map(|line| line.split_once(':')) {
        if name.eq_ignore_ascii_case("transfer-encoding") {
            return RequestLength::Unknown;
        }
        if name.eq_ignore_ascii_case("content-length") {
            let Ok(length) = value.trim().parse::<usize>() else {
                return RequestLength::Unknown;
            };
            body_length = length;
        }
    }
    RequestLength::Known((head_length + 4).saturating_add(body_length))
}

/// Finds where a message's head ends, over any split of its bytes.
#[derive(Default)]
pub(super) struct HeadEnd {
    matched: usize,
}

impl HeadEnd {
    /// The part of the next chunk that is body.
    pub(super) fn body_in<'a>(&mut self, chunk: &'a mut [u8]) -> &'a mut [u8] {
        const END: &[u8] = b"\r\n\r\n";
        let mut body_from = 0;
        for &byte in chunk.iter() {
            match END.get(self.matched) {
                None => break,
                Some(&expected) if byte == expected => self.matched += 1,
                Some(_) => self.matched = usize::from(byte == b'\r'),
            }
            body_from += 1;
        }
        &mut chunk[body_from..]
    }
}
