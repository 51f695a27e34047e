//! A client of clamd over its Unix socket: is it there, what is it, and what does it find in a stream.
//!
//! On the data's way: `vault → [inspection] → outbox`. The caller reads the bytes and hands them over in
//! pieces; clamd never gets a path, and so no rights to the vault.
//!
//! What is believed of clamd is as little as possible (P5): an answer counts only whole, in the one form
//! that a verdict has, and a clean one only after all bytes were handed over. Everything else is a fault
//! and no verdict. Every step has a time that it may take, and every answer a size.

use std::path::{Path, PathBuf};
use std::time::Duration;

use branchline_protocol::{file_name, limits, text};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

/// Bytes of an answer: the longest are errors that name a file.
const ANSWER_BYTES: u64 = 4_096;
/// Bytes handed over in one piece of a stream.
const PIECE_BYTES: usize = 256 * 1024;
/// What clamd finds, where it is told to say so, in what exceeds its own limits: it has not looked at all
/// of it.
const BEYOND_LIMITS: &str = "Heuristics.Limits.Exceeded";

/// How long clamd may take.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// To connect, and to answer what needs no scanning.
    pub answer: Duration,
    /// To take the next piece of a stream, and to judge what it has.
    pub scan: Duration,
}

/// What clamd said of a stream, all of which it was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// It found nothing.
    Clean,
    /// It found something, which it calls so; safe to show, at most [`limits::SIGNATURE_CHARS`].
    Infected(String),
    /// It does not take so much, or has not looked at all of it.
    TooLarge,
}

/// Why there is no answer. The words complete "the virus scanner …".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScanFault {
    /// It is not there, does not answer in time, or went away: try again when it is back.
    #[error("does not answer: {0}")]
    Away(String),
    /// It answered, and what it said of this stream is no verdict.
    #[error("cannot judge the file: {0}")]
    Failed(String),
}

/// clamd at its socket.
#[derive(Debug, Clone)]
pub struct Clamd {
    socket: PathBuf,
    patience: Patience,
}

impl Clamd {
    /// Nothing is connected before it is needed.
    pub fn new(socket: PathBuf, patience: Patience) -> Self {
        Self { socket, patience }
    }

    /// Where it should be.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Whether it answers.
    pub async fn ping(&self) -> Result<(), ScanFault> {
        match self.ask(b"zPING\0").await?.as_str() {
            "PONG" => Ok(()),
            other => Err(ScanFault::Away(format!("it answers PING with {other:?}"))),
        }
    }

    /// What it calls itself and its signatures; safe to show.
    pub async fn version(&self) -> Result<String, ScanFault> {
        let version = self.ask(b"zVERSION\0").await?;
        Ok(safe(&version, limits::DETAIL_CHARS))
    }

    /// Begins a stream.
    pub async fn begin(&self) -> Result<Stream, ScanFault> {
        let mut connection = self.connect().await?;
        let command = connection.write_all(b"zINSTREAM\0");
        within(self.patience.answer, "to take a command", command).await?;
        Ok(Stream {
            connection,
            patience: self.patience.scan,
        })
    }

    /// Asks now and then whether it still answers, as it does while it scans, and returns when it does
    /// not: a scanner that hangs is noticed long before the longest scan would be over.
    pub async fn watch(&self) -> ScanFault {
        loop {
            tokio::time::sleep(self.patience.answer).await;
            if let Err(fault) = self.ping().await {
                return fault;
            }
        }
    }

    async fn connect(&self) -> Result<UnixStream, ScanFault> {
        let connecting = UnixStream::connect(&self.socket);
        within(self.patience.answer, "to be connected to", connecting).await
    }

    async fn ask(&self, command: &[u8]) -> Result<String, ScanFault> {
        let mut connection = self.connect().await?;
        let patience = self.patience.answer;
        within(patience, "to take a command", connection.write_all(command)).await?;
        let answer = within(patience, "to answer", read_answer(&mut connection)).await?;
        whole(&answer).map_err(ScanFault::Away)
    }
}

/// A stream under way. Dropped, it is given up: clamd forgets what it has of it.
#[derive(Debug)]
pub struct Stream {
    connection: UnixStream,
    patience: Duration,
}

impl Stream {
    /// Hands over the next bytes. An answer means that clamd wants no more of them.
    pub async fn send(&mut self, bytes: &[u8]) -> Result<Option<Answer>, ScanFault> {
        for piece in bytes.chunks(PIECE_BYTES) {
            // An empty piece would end the stream; chunks() has none.
            let length = u32::try_from(piece.len()).unwrap_or(u32::MAX);
            let connection = &mut self.connection;
            let sending = async {
                connection.write_all(&length.to_be_bytes()).await?;
                connection.write_all(piece).await
            };
            let Err(fault) = within(self.patience, "to take a piece", sending).await else {
                continue;
            };
            // It may have said why before it hung up.
            return match self.answer().await {
                Ok(Answer::TooLarge) => Ok(Some(Answer::TooLarge)),
                Ok(early) => Err(ScanFault::Failed(format!(
                    "it judged {early:?} what it had not seen"
                ))),
                Err(said @ ScanFault::Failed(_)) => Err(said),
                Err(ScanFault::Away(_)) => Err(fault),
            };
        }
        Ok(None)
    }

    /// Ends the stream, and waits for what clamd found.
    pub async fn finish(mut self) -> Result<Answer, ScanFault> {
        let ending = self.connection.write_all(&[0; 4]);
        // Where it hung up just before, it has said why.
        let ended = within(self.patience, "to take the end", ending).await;
        match (self.answer().await, ended) {
            (Ok(Answer::TooLarge), _) => Ok(Answer::TooLarge),
            (Ok(_) | Err(ScanFault::Away(_)), Err(fault)) => Err(fault),
            (answer, _) => answer,
        }
    }

    async fn answer(&mut self) -> Result<Answer, ScanFault> {
        let reading = read_answer(&mut self.connection);
        let answer = within(self.patience, "to judge", reading).await?;
        parse(&answer)
    }
}

/// Everything up to the end of the connection, which clamd closes after its answer.
async fn read_answer(connection: &mut UnixStream) -> std::io::Result<Vec<u8>> {
    let mut answer = Vec::new();
    match connection.take(ANSWER_BYTES).read_to_end(&mut answer).await {
        // It hung up with bytes of ours unread; what it said before that was read.
        Err(fault) if answer.is_empty() => Err(fault),
        _ => Ok(answer),
    }
}

async fn within<T>(
    patience: Duration,
    what: &str,
    step: impl Future<Output = std::io::Result<T>>,
) -> Result<T, ScanFault> {
    let done = tokio::time::timeout(patience, step).await.map_err(|_| {
        let seconds = patience.as_secs_f32();
        ScanFault::Away(format!("it took more than {seconds} s {what}"))
    })?;
    done.map_err(|fault| ScanFault::Away(fault.to_string()))
}

/// An answer's text, if it is all of one answer.
fn whole(answer: &[u8]) -> Result<String, String> {
    let Some(text) = answer.strip_suffix(b"\0") else {
        return Err(format!(
            "it hung up in the middle of an answer, after {} bytes",
            answer.len()
        ));
    };
    if text.contains(&0) {
        return Err("it gave two answers to one question".to_owned());
    }
    Ok(String::from_utf8_lossy(text).into_owned())
}

/// What an answer to a stream means.
fn parse(answer: &[u8]) -> Result<Answer, ScanFault> {
    let answer = whole(answer).map_err(ScanFault::Away)?;
    if answer == "INSTREAM size limit exceeded. ERROR" {
        return Ok(Answer::TooLarge);
    }
    if let Some(fault) = answer.strip_suffix(" ERROR") {
        let fault = fault.strip_prefix("stream: ").unwrap_or(fault);
        return Err(ScanFault::Failed(safe(fault, limits::DETAIL_CHARS)));
    }
    match answer.strip_prefix("stream: ") {
        Some("OK") => Ok(Answer::Clean),
        Some(found) => match found.strip_suffix(" FOUND") {
            Some(name) if name.starts_with(BEYOND_LIMITS) => Ok(Answer::TooLarge),
            Some(name) => Ok(Answer::Infected(signature(name))),
            None => Err(no_verdict(&answer)),
        },
        None => Err(no_verdict(&answer)),
    }
}

fn no_verdict(answer: &str) -> ScanFault {
    let answer = safe(answer, limits::DETAIL_CHARS / 2);
    ScanFault::Failed(format!("it answered {answer:?}, which is no verdict"))
}

/// A signature's name as it may be kept and shown.
fn signature(name: &str) -> String {
    let name = safe(name.trim(), limits::SIGNATURE_CHARS);
    if name.is_empty() {
        "unnamed".to_owned()
    } else {
        name
    }
}

fn safe(text: &str, most_chars: usize) -> String {
    text::clipped(&file_name::shown_name(text), most_chars).to_owned()
}

#[cfg(test)]
mod tests;
