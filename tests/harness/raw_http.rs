//! A small HTTP/1.1 client that sends exactly the bytes that it is told to, right or wrong, over TLS, TCP
//! or a Unix socket, and reads what comes back within a bound.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustls::{ClientConfig, ClientConnection, StreamOwned};
use serde_json::Value;

use crate::tls;

/// Bytes of one answer; beyond it something is wrong with whoever answers.
const ANSWER_BYTES: usize = 16 * 1024 * 1024;
/// How long nothing may come before reading gives up.
const PATIENCE: Duration = Duration::from_secs(60);

/// Where somebody listens.
#[derive(Debug, Clone)]
pub enum Place {
    /// A Unix socket.
    Unix(PathBuf),
    /// An address.
    Tcp(SocketAddr),
    /// An address, to be spoken to in TLS as this says.
    Tls(SocketAddr, Arc<ClientConfig>),
}

#[derive(Debug)]
enum Stream {
    Unix(UnixStream),
    Tcp(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

/// One connection.
#[derive(Debug)]
pub struct Connection {
    stream: Stream,
    /// Read and not yet taken.
    read: Vec<u8>,
}

/// An answer as it came.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body, without its transfer coding.
    pub body: Vec<u8>,
}

/// A request whose every part may be chosen.
#[derive(Debug, Clone)]
pub struct Request {
    method: String,
    target: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Connection {
    /// Connects.
    pub fn open(place: &Place) -> io::Result<Self> {
        let stream = match place {
            Place::Unix(path) => Stream::Unix(UnixStream::connect(path)?),
            Place::Tcp(address) => Stream::Tcp(TcpStream::connect(address)?),
            Place::Tls(address, config) => {
                let tcp = TcpStream::connect(address)?;
                tcp.set_nodelay(true)?;
                let tls = ClientConnection::new(config.clone(), tls::loopback());
                let tls = tls.map_err(io::Error::other)?;
                Stream::Tls(Box::new(StreamOwned::new(tls, tcp)))
            }
        };
        match &stream {
            Stream::Unix(stream) => {
                stream.set_read_timeout(Some(PATIENCE))?;
                stream.set_write_timeout(Some(PATIENCE))?;
            }
            Stream::Tcp(stream) => set_patience(stream)?,
            Stream::Tls(stream) => set_patience(&stream.sock)?,
        }
        Ok(Self {
            stream,
            read: Vec::new(),
        })
    }

    /// Ends the TLS handshake, where there is one, before anything is sent. An alert of the other side
    /// about the certificate comes later with TLS 1.3: with the first bytes that are read.
    pub fn shake_hands(&mut self) -> io::Result<()> {
        if let Stream::Tls(stream) = &mut self.stream {
            let StreamOwned { conn, sock } = &mut **stream;
            while conn.is_handshaking() {
                conn.complete_io(sock)?;
            }
        }
        Ok(())
    }

    /// Sends bytes. Fails where the other side has closed.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.stream {
            Stream::Unix(stream) => stream.write_all(bytes),
            Stream::Tcp(stream) => stream.write_all(bytes),
            Stream::Tls(stream) => stream.write_all(bytes).and_then(|()| stream.flush()),
        }
    }

    /// Says that nothing more will be sent, and goes on reading.
    pub fn close_sending(&mut self) -> io::Result<()> {
        match &mut self.stream {
            Stream::Unix(stream) => stream.shutdown(Shutdown::Write),
            Stream::Tcp(stream) => stream.shutdown(Shutdown::Write),
            Stream::Tls(stream) => {
                stream.conn.send_close_notify();
                stream.conn.complete_io(&mut stream.sock)?;
                stream.sock.shutdown(Shutdown::Write)
            }
        }
    }

    /// Reads one answer, passing over interim ones.
    pub fn answer(&mut self) -> io::Result<Answer> {
        self.answer_to("GET")
    }

    /// The same, for methods whose answers have no body whatever their headers say.
    pub fn answer_to(&mut self, method: &str) -> io::Result<Answer> {
        loop {
            let head = self.take_head()?;
            let (status, headers) = parse_head(&head)?;
            if (100..200).contains(&status) {
                continue;
            }
            let bodiless = method == "HEAD" || status == 204 || status == 304;
            let body = if bodiless {
                Vec::new()
            } else {
                self.take_body(&headers)?
            };
            return Ok(Answer {
                status,
                headers,
                body,
            });
        }
    }

    /// Reads until the other side closes; gives what came, which includes what was not taken before.
    /// A reset counts as closing.
    pub fn rest(&mut self) -> io::Result<Vec<u8>> {
        loop {
            match self.read_more() {
                Ok(()) => {}
                Err(fault) if is_end(&fault) => return Ok(std::mem::take(&mut self.read)),
                Err(fault) => return Err(fault),
            }
        }
    }

    fn take_head(&mut self) -> io::Result<Vec<u8>> {
        loop {
            if let Some(end) = find(&self.read, b"\r\n\r\n") {
                return Ok(self.take(end + 4));
            }
            self.read_more()?;
        }
    }

    fn take_body(&mut self, headers: &[(String, String)]) -> io::Result<Vec<u8>> {
        if value_of(headers, "transfer-encoding") == Some("chunked") {
            return self.take_chunks();
        }
        let Some(length) = value_of(headers, "content-length") else {
            return self.rest();
        };
        let length: usize = length.parse().map_err(|_| malformed("Content-Length"))?;
        self.take_exactly(length)
    }

    fn take_chunks(&mut self) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let line = loop {
                if let Some(end) = find(&self.read, b"\r\n") {
                    break self.take(end + 2);
                }
                self.read_more()?;
            };
            let size = std::str::from_utf8(&line).map_err(|_| malformed("a chunk's size"))?;
            let size =
                usize::from_str_radix(size.trim(), 16).map_err(|_| malformed("a chunk's size"))?;
            let chunk = self.take_exactly(size + 2)?;
            if size == 0 {
                return Ok(body);
            }
            body.extend_from_slice(&chunk[..size]);
        }
    }

    fn take_exactly(&mut self, length: usize) -> io::Result<Vec<u8>> {
        while self.read.len() < length {
            self.read_more()?;
        }
        Ok(self.take(length))
    }

    fn take(&mut self, length: usize) -> Vec<u8> {
        let rest = self.read.split_off(length);
        std::mem::replace(&mut self.read, rest)
    }

    fn read_more(&mut self) -> io::Result<()> {
        let mut buffer = [0; 16 * 1024];
        let read = match &mut self.stream {
            Stream::Unix(stream) => stream.read(&mut buffer)?,
            Stream::Tcp(stream) => stream.read(&mut buffer)?,
            Stream::Tls(stream) => read_tls(stream, &mut buffer)?,
        };
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.read.extend_from_slice(&buffer[..read]);
        if self.read.len() > ANSWER_BYTES {
            return Err(io::Error::other("the answer does not end"));
        }
        Ok(())
    }
}

/// Reads without writing anything: where the other side takes nothing more, it may still have answered.
fn read_tls(
    stream: &mut StreamOwned<ClientConnection, TcpStream>,
    buffer: &mut [u8],
) -> io::Result<usize> {
    if stream.conn.is_handshaking() {
        return stream.read(buffer);
    }
    loop {
        match stream.conn.reader().read(buffer) {
            Err(fault) if fault.kind() == io::ErrorKind::WouldBlock => {}
            read => return read,
        }
        stream.conn.read_tls(&mut stream.sock)?;
        let processed = stream.conn.process_new_packets();
        processed.map_err(|fault| io::Error::new(io::ErrorKind::InvalidData, fault))?;
    }
}

fn set_patience(stream: &TcpStream) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))
}

/// Whether an error says that the other side closed the connection, politely or not.
pub fn is_end(fault: &io::Error) -> bool {
    matches!(
        fault.kind(),
        io::ErrorKind::UnexpectedEof
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe
    )
}

impl Answer {
    /// A header's first value.
    pub fn header(&self, name: &str) -> Option<&str> {
        value_of(&self.headers, name)
    }

    /// The body as text, for messages.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|fault| panic!("not JSON ({fault}): {} {}", self.status, self.text()))
    }

    /// The body as a problem document that is whole and agrees with the status.
    pub fn problem(&self) -> Value {
        let problem = self.json();
        assert_eq!(
            self.header("content-type"),
            Some("application/problem+json"),
            "{self:?}"
        );
        assert_eq!(problem["status"], self.status, "{problem}");
        for member in ["type", "title", "detail", "class"] {
            let said = problem[member].as_str().unwrap_or_default();
            assert!(!said.is_empty(), "no {member} in {problem}");
        }
        problem
    }
}

impl Request {
    /// A request without body.
    pub fn new(method: &str, target: &str) -> Self {
        Self {
            method: method.to_owned(),
            target: target.to_owned(),
            headers: Vec::new(),
            body: Vec::new(),
        }
    }

    /// One more header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// A body, announced with its length unless a header says something else about it.
    #[must_use]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// A body of JSON.
    #[must_use]
    pub fn json(self, body: impl Into<Vec<u8>>) -> Self {
        self.header("Content-Type", "application/json").body(body)
    }

    /// What goes over the wire.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = format!("{} {} HTTP/1.1\r\n", self.method, self.target).into_bytes();
        let mut headers = self.headers.clone();
        let framed = ["content-length", "transfer-encoding"].iter().any(|name| {
            headers
                .iter()
                .any(|(given, _)| given.eq_ignore_ascii_case(name))
        });
        if !headers
            .iter()
            .any(|(name, _)| name.eq_ignore_ascii_case("host"))
        {
            headers.push(("Host".into(), "test".into()));
        }
        if !framed && (!self.body.is_empty() || self.method == "POST") {
            headers.push(("Content-Length".into(), self.body.len().to_string()));
        }
        for (name, value) in &headers {
            bytes.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
        }
        bytes.extend_from_slice(b"\r\n");
        bytes.extend_from_slice(&self.body);
        bytes
    }

    /// Sends it on a connection of its own and reads the answer. Where the other side stops reading
    /// before the end, its answer is read all the same.
    pub fn ask(&self, place: &Place) -> io::Result<Answer> {
        let mut connection = Connection::open(place)?;
        match connection.send(&self.to_bytes()) {
            Err(fault) if !is_end(&fault) => return Err(fault),
            _ => {}
        }
        connection.answer_to(&self.method)
    }
}

/// A body as chunks of a transfer coding, with its end.
pub fn chunked(body: &[u8], chunk: usize) -> Vec<u8> {
    let mut coded = Vec::with_capacity(body.len() + body.len() / chunk * 8 + 16);
    for piece in body.chunks(chunk) {
        coded.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
        coded.extend_from_slice(piece);
        coded.extend_from_slice(b"\r\n");
    }
    coded.extend_from_slice(b"0\r\n\r\n");
    coded
}

fn parse_head(head: &[u8]) -> io::Result<(u16, Vec<(String, String)>)> {
    let text = std::str::from_utf8(head).map_err(|_| malformed("the answer's head"))?;
    let mut lines = text.split("\r\n");
    let status = lines
        .next()
        .and_then(|line| line.strip_prefix("HTTP/1."))
        .and_then(|line| line.get(2..5)?.parse().ok())
        .ok_or_else(|| malformed("the status line"))?;
    let headers = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    Ok((status, headers))
}

fn value_of<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    headers
        .iter()
        .find(|(given, _)| given == name)
        .map(|(_, value)| value.as_str())
}

fn malformed(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("{what} cannot be read"))
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack
        .windows(needle.len())
        .position(|window| window == needle)
}
