//! A clamd on a real socket that knows patterns, keeps limits, and misbehaves as it is told.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinSet;

use crate::inspection::clamd::{Clamd, Patience};
use crate::inspection::steps::Scanner;

/// How it behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    Scan,
    /// Judges nothing: this error to every stream.
    Fail,
    /// Hangs up in the middle of every stream, and answers everything else.
    HangUp,
    /// Takes everything and never answers.
    Frozen,
}

type Hook = Box<dyn Fn() + Send + Sync>;

struct Says {
    mode: Mode,
    patterns: Vec<(Vec<u8>, String)>,
    largest: usize,
    /// Called when a stream begins.
    hook: Option<Hook>,
    scans: usize,
}

pub(super) struct FakeClamd {
    folder: tempfile::TempDir,
    says: Arc<Mutex<Says>>,
    serving: Option<JoinSet<()>>,
}

impl FakeClamd {
    /// One that is not there yet.
    pub(super) fn absent() -> Self {
        let says = Says {
            mode: Mode::Scan,
            patterns: vec![(b"VIRUS".to_vec(), "Test.Virus".to_owned())],
            largest: usize::MAX,
            hook: None,
            scans: 0,
        };
        Self {
            folder: tempfile::tempdir().unwrap(),
            says: Arc::new(Mutex::new(says)),
            serving: None,
        }
    }

    pub(super) fn start() -> Self {
        let mut clamd = Self::absent();
        clamd.run();
        clamd
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("clamd.sock")
    }

    pub(super) fn run(&mut self) {
        let _ = std::fs::remove_file(self.socket());
        let listener = UnixListener::bind(self.socket()).unwrap();
        let says = self.says.clone();
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((connection, _)) = listener.accept().await {
                connections.spawn(serve(connection, says.clone()));
            }
        });
        self.serving = Some(serving);
    }

    /// Gone, with its connections.
    pub(super) fn kill(&mut self) {
        self.serving = None;
    }

    pub(super) fn behave(&self, mode: Mode) {
        self.says.lock().unwrap().mode = mode;
    }

    pub(super) fn learn(&self, pattern: &[u8], name: &str) {
        let mut says = self.says.lock().unwrap();
        says.patterns.push((pattern.to_vec(), name.to_owned()));
    }

    pub(super) fn forget_all(&self) {
        self.says.lock().unwrap().patterns.clear();
    }

    pub(super) fn take_at_most(&self, bytes: usize) {
        self.says.lock().unwrap().largest = bytes;
    }

    /// Calls this whenever a scan begins.
    pub(super) fn on_scan(&self, hook: impl Fn() + Send + Sync + 'static) {
        self.says.lock().unwrap().hook = Some(Box::new(hook));
    }

    /// Scans that were begun.
    pub(super) fn scans(&self) -> usize {
        self.says.lock().unwrap().scans
    }

    pub(super) fn scanner(&self) -> Scanner {
        let patience = Patience {
            answer: Duration::from_millis(200),
            scan: Duration::from_secs(20),
        };
        Scanner {
            clamd: Clamd::new(self.socket(), patience),
            largest: 50 * 1024 * 1024,
        }
    }
}

async fn serve(connection: UnixStream, says: Arc<Mutex<Says>>) {
    // Whoever asks may hang up.
    let _ = converse(connection, says).await;
}

async fn converse(mut connection: UnixStream, says: Arc<Mutex<Says>>) -> std::io::Result<()> {
    let mut command = Vec::new();
    loop {
        match connection.read_u8().await? {
            0 => break,
            byte => command.push(byte),
        }
    }
    let mode = says.lock().unwrap().mode;
    if mode == Mode::Frozen {
        std::future::pending::<()>().await;
    }
    match command.as_slice() {
        b"zPING" => return connection.write_all(b"PONG\0").await,
        b"zVERSION" => return connection.write_all(b"Fake 1.0\0").await,
        b"zINSTREAM" => {}
        _ => return connection.write_all(b"UNKNOWN COMMAND\0").await,
    }
    {
        let mut says = says.lock().unwrap();
        says.scans += 1;
        if let Some(hook) = &says.hook {
            hook();
        }
    }
    let largest = says.lock().unwrap().largest;
    let mut bytes = Vec::new();
    loop {
        let length = connection.read_u32().await?;
        if mode == Mode::HangUp {
            return Ok(());
        }
        if length == 0 {
            break;
        }
        let mut piece = vec![0; length as usize];
        connection.read_exact(&mut piece).await?;
        bytes.extend(piece);
        if bytes.len() > largest {
            let said = b"INSTREAM size limit exceeded. ERROR\0";
            return connection.write_all(said).await;
        }
    }
    if mode == Mode::Fail {
        return connection.write_all(b"stream: CL_EFORMAT ERROR\0").await;
    }
    let found = {
        let says = says.lock().unwrap();
        says.patterns
            .iter()
            .find(|(pattern, _)| bytes.windows(pattern.len()).any(|part| part == pattern))
            .map(|(_, name)| name.clone())
    };
    let answer = found.map_or("stream: OK\0".to_owned(), |name| {
        format!("stream: {name} FOUND\0")
    });
    connection.write_all(answer.as_bytes()).await
}
