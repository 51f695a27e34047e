//! The branch's own proxy: connects (`CONNECT`) whoever tells it the right name and password, and keeps
//! what it was asked.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

const HEAD_BYTES: usize = 16 * 1024;

/// The proxy, which ends with this handle.
#[derive(Debug)]
pub struct ConnectProxy {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
    _task: JoinSet<()>,
}

impl ConnectProxy {
    /// Takes whoever brings this value of `Proxy-Authorization`, or everybody; within the tokio runtime
    /// that this is called in.
    pub async fn start(authorization: Option<&'static str>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let asked = Arc::<Mutex<Vec<String>>>::default();
        let record = asked.clone();
        let mut task = JoinSet::new();
        task.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                tokio::select! {
                    Ok((client, _)) = listener.accept() => {
                        let record = record.clone();
                        connections.spawn(async move {
                            // A connection that breaks is its two ends' business.
                            let _ = serve(client, authorization, &record).await;
                        });
                    }
                    Some(_) = connections.join_next() => {}
                }
            }
        });
        Self {
            address,
            asked,
            _task: task,
        }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The heads of all that it was asked.
    pub fn asked(&self) -> Vec<String> {
        self.asked
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

async fn serve(
    mut client: TcpStream,
    authorization: Option<&str>,
    record: &Mutex<Vec<String>>,
) -> io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") && head.len() < HEAD_BYTES {
        head.push(client.read_u8().await?);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let said = head.lines().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        name.eq_ignore_ascii_case("proxy-authorization")
            .then(|| value.to_owned())
    });
    let place = head.split(' ').nth(1).unwrap_or_default().to_owned();
    record
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .push(head);
    if authorization.is_some() && said.as_deref() != authorization {
        let refusal = "HTTP/1.1 407 Proxy Authentication Required\r\n\
            proxy-authenticate: Basic realm=\"branch\"\r\ncontent-length: 0\r\n\r\n";
        return client.write_all(refusal.as_bytes()).await;
    }
    let mut onward = TcpStream::connect(place).await?;
    client
        .write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")
        .await?;
    tokio::io::copy_bidirectional(&mut client, &mut onward).await?;
    Ok(())
}
