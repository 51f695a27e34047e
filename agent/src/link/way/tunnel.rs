//! `CONNECT` through the branch's proxy: bounded in bytes here and in time by who calls.

use branchline_protocol::outcome::Failure;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::link::origin::Origin;
use crate::link::proxy::Proxy;

/// Bytes of the proxy's answer: its head, and nothing may follow.
const ANSWER_BYTES: usize = 8 * 1024;

/// Why the proxy does not let us through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(in crate::link) enum TunnelFault {
    /// 407.
    #[error("it asks for a user name and password, or does not accept ours")]
    Login,
    /// Another status.
    #[error("it answered with HTTP {0}")]
    Refused(u16),
    /// It ended the connection.
    #[error("it closed the connection without an answer")]
    Closed,
    /// What it said is no answer to `CONNECT`.
    #[error("what answers there is no HTTP proxy")]
    Garbage,
}

impl TunnelFault {
    pub(in crate::link) fn failure(self) -> Failure {
        match self {
            Self::Login => Failure::ProxyLogin,
            Self::Refused(_) | Self::Closed | Self::Garbage => Failure::Proxy,
        }
    }
}

/// Has the proxy connect to central. From then on the stream leads there.
pub(super) async fn connect(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    central: &Origin,
    proxy: &Proxy,
) -> Result<(), TunnelFault> {
    let place = central.host_and_port();
    let mut request = format!(
        "CONNECT {place} HTTP/1.1\r\nHost: {place}\r\nUser-Agent: {}\r\n",
        crate::link::USER_AGENT
    )
    .into_bytes();
    if let Some(authorization) = &proxy.authorization {
        request.extend_from_slice(b"Proxy-Authorization: ");
        request.extend_from_slice(authorization.as_bytes());
        request.extend_from_slice(b"\r\n");
    }
    request.extend_from_slice(b"\r\n");
    stream
        .write_all(&request)
        .await
        .map_err(|_| TunnelFault::Closed)?;
    let head = head(stream).await?;
    match status(&head).ok_or(TunnelFault::Garbage)? {
        200..=299 => Ok(()),
        407 => Err(TunnelFault::Login),
        status => Err(TunnelFault::Refused(status)),
    }
}

/// Reads no further than the empty line: what follows is central's.
async fn head(stream: &mut (impl AsyncRead + Unpin)) -> Result<Vec<u8>, TunnelFault> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let looks_like_http = b"HTTP/1.".starts_with(head.get(..7).unwrap_or(&head));
        if !looks_like_http || head.len() >= ANSWER_BYTES {
            return Err(TunnelFault::Garbage);
        }
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return Err(TunnelFault::Closed),
        }
    }
    Ok(head)
}

fn status(head: &[u8]) -> Option<u16> {
    let line = head.split(|byte| *byte == b'\r').next()?;
    let text = std::str::from_utf8(line).ok()?;
    let status = text.split(' ').nth(1)?;
    status.parse().ok().filter(|status| *status >= 100)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::proxy::NamedBy;

    async fn answered(answer: &[u8]) -> (Result<(), TunnelFault>, String) {
        let (mut ours, mut theirs) = tokio::io::duplex(64 * 1024);
        theirs.write_all(answer).await.unwrap();
        let central = Origin::protected("https://central.example.org").unwrap();
        let proxy = Proxy {
            host: "proxy".to_owned(),
            port: 3128,
            named_by: NamedBy::Configuration,
            authorization: Some("Basic eA==".parse().unwrap()),
        };
        let closing = async {
            let mut said = vec![0; 4_096];
            let read = theirs.read(&mut said).await.unwrap();
            said.truncate(read);
            theirs.shutdown().await.unwrap();
            String::from_utf8(said).unwrap()
        };
        let (result, said) = tokio::join!(connect(&mut ours, &central, &proxy), closing);
        (result, said)
    }

    #[tokio::test]
    async fn the_proxys_answers() {
        let (result, said) =
            answered(b"HTTP/1.1 200 Connection established\r\nVia: x\r\n\r\n").await;
        assert_eq!(result, Ok(()));
        assert!(
            said.starts_with("CONNECT central.example.org:443 HTTP/1.1\r\n"),
            "{said}"
        );
        assert!(
            said.contains("\r\nProxy-Authorization: Basic eA==\r\n"),
            "{said}"
        );
        for (answer, fault) in [
            (&b"HTTP/1.0 407 Who\r\n\r\n"[..], TunnelFault::Login),
            (
                b"HTTP/1.1 403 No\r\nx: y\r\n\r\nbody",
                TunnelFault::Refused(403),
            ),
            (b"HTTP/1.1 502 \r\n\r\n", TunnelFault::Refused(502)),
            (b"", TunnelFault::Closed),
            (b"HTTP/1.1 200 OK\r\n", TunnelFault::Closed),
            (b"SSH-2.0-OpenSSH\r\n\r\n", TunnelFault::Garbage),
            (b"HTTP/1.1 yes\r\n\r\n", TunnelFault::Garbage),
            (b"HTTP/1.1\r\n\r\n", TunnelFault::Garbage),
        ] {
            let text = String::from_utf8_lossy(answer);
            assert_eq!(answered(answer).await.0, Err(fault), "{text}");
        }
        let long = [b"HTTP/1.1 200 OK\r\nx: ".to_vec(), vec![b'y'; 20_000]].concat();
        assert_eq!(answered(&long).await.0, Err(TunnelFault::Garbage));
    }
}
