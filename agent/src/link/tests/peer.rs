//! Somebody who answers in tests: central behind TLS, others in its place, and the branch's proxy.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use branchline_protocol::time::UnixMillis;
use rustls::ServerConfig;
use rustls_pki_types::CertificateDer;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use super::authority::http_date;

/// A request as it was heard, and what its connection proved.
#[derive(Debug, Clone)]
pub(crate) struct Heard {
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
    pub(crate) shown: Option<CertificateDer<'static>>,
    pub(crate) connection: usize,
}

/// What is answered to every request.
#[derive(Debug, Clone)]
pub(crate) struct Says {
    pub(crate) status: &'static str,
    pub(crate) body: String,
    pub(crate) date: UnixMillis,
}

impl Says {
    pub(crate) fn ok(body: &str) -> Self {
        Self {
            status: "200 OK",
            body: body.to_owned(),
            date: crate::ids::now(),
        }
    }
}

pub(crate) struct Peer {
    pub(crate) address: SocketAddr,
    heard: Arc<Mutex<Vec<Heard>>>,
    says: Arc<Mutex<Says>>,
    _tasks: JoinSet<()>,
}

impl Peer {
    /// Answers over TLS.
    pub(crate) async fn central(config: ServerConfig) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let heard = Arc::<Mutex<Vec<Heard>>>::default();
        let feed = r#"{"feed":[],"cursor":"c","server_time":0,"frames":1}"#;
        let says = Arc::new(Mutex::new(Says::ok(feed)));
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let mut tasks = JoinSet::new();
        let (record, answers) = (heard.clone(), says.clone());
        tasks.spawn(async move {
            let mut open = JoinSet::new();
            for connection in 0.. {
                let (stream, _) = listener.accept().await.unwrap();
                let (acceptor, record, answers) =
                    (acceptor.clone(), record.clone(), answers.clone());
                open.spawn(async move {
                    let accepted = acceptor.accept(stream).into_fallible().await;
                    let mut stream = match accepted {
                        Ok(stream) => stream,
                        Err((_, mut stream)) => {
                            // Read to the end, so that the alert arrives before any reset.
                            let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
                            return;
                        }
                    };
                    let shown = stream.get_ref().1.peer_certificates();
                    let shown = shown.map(|chain| chain[0].clone().into_owned());
                    while let Some((head, body)) = request(&mut stream).await {
                        let shown = shown.clone();
                        record.lock().unwrap().push(Heard {
                            head,
                            body,
                            shown,
                            connection,
                        });
                        let says = answers.lock().unwrap().clone();
                        let said = format!(
                            "HTTP/1.1 {}\r\ndate: {}\r\ncontent-length: {}\r\n\r\n{}",
                            says.status,
                            http_date(says.date),
                            says.body.len(),
                            says.body
                        );
                        let _ = stream.write_all(said.as_bytes()).await;
                        let _ = stream.flush().await;
                    }
                });
            }
        });
        Self {
            address,
            heard,
            says,
            _tasks: tasks,
        }
    }

    /// Says these bytes to whoever connects once it has heard something, and closes.
    pub(crate) async fn saying(bytes: &'static [u8]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut tasks = JoinSet::new();
        let heard = Arc::<Mutex<Vec<Heard>>>::default();
        let record = heard.clone();
        tasks.spawn(async move {
            for connection in 0.. {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut some = vec![0; 16 * 1024];
                let read = stream.read(&mut some).await.unwrap_or(0);
                some.truncate(read);
                record.lock().unwrap().push(Heard {
                    head: String::from_utf8_lossy(&some).into_owned(),
                    body: Vec::new(),
                    shown: None,
                    connection,
                });
                let _ = stream.write_all(bytes).await;
                let _ = stream.shutdown().await;
            }
        });
        let says = Arc::new(Mutex::new(Says::ok("")));
        Self {
            address,
            heard,
            says,
            _tasks: tasks,
        }
    }

    /// A proxy that connects everybody to this place, whatever they name, if they bring this header.
    pub(crate) async fn proxy(place: SocketAddr, authorization: Option<&'static str>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let heard = Arc::<Mutex<Vec<Heard>>>::default();
        let record = heard.clone();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut open = JoinSet::new();
            for connection in 0.. {
                let (mut client, _) = listener.accept().await.unwrap();
                let record = record.clone();
                open.spawn(async move {
                    let Some((asked, body)) = request(&mut client).await else {
                        return;
                    };
                    let knows = authorization.is_none_or(|expected| asked.contains(expected));
                    record.lock().unwrap().push(Heard {
                        head: asked,
                        body,
                        shown: None,
                        connection,
                    });
                    if !knows {
                        let _ = client.write_all(b"HTTP/1.1 407 Who are you\r\n\r\n").await;
                        return;
                    }
                    let mut central = TcpStream::connect(place).await.unwrap();
                    let _ = client.write_all(b"HTTP/1.1 200 Connected\r\n\r\n").await;
                    let _ = tokio::io::copy_bidirectional(&mut client, &mut central).await;
                });
            }
        });
        let says = Arc::new(Mutex::new(Says::ok("")));
        Self {
            address,
            heard,
            says,
            _tasks: tasks,
        }
    }

    pub(crate) fn heard(&self) -> Vec<Heard> {
        self.heard.lock().unwrap().clone()
    }

    pub(crate) fn says(&self, says: Says) {
        *self.says.lock().unwrap() = says;
    }

    /// `https://localhost:port`.
    pub(crate) fn url(&self) -> String {
        format!("https://localhost:{}", self.address.port())
    }
}

async fn request(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> Option<(String, Vec<u8>)> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let lower = head.to_lowercase();
    let length = lower
        .lines()
        .find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    stream.read_exact(&mut body).await.ok()?;
    Some((head, body))
}
