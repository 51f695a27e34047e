//! Attaching a file: its bytes are read here, because the agent may not read what its user may, and
//! streamed to the agent, which answers when they are durable.

use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use branchline_protocol::file::FileFault;
use branchline_protocol::id::{OperationId, TicketNumber};
use bytes::Bytes;
use futures_util::stream;
use tokio::sync::mpsc;

use super::{Client, ClientError};
use crate::{FileSaved, TICKETS_PATH};

/// Bytes read at a time.
const PIECE_BYTES: usize = 256 * 1024;
/// Pieces that wait between disk and socket.
const PIECES_WAITING: usize = 4;
/// How often a file that changes while it is read is begun again.
const ATTEMPTS: usize = 3;
/// The agent notices a stall by itself; this is for one that has gone without a word.
const PATIENCE: Duration = Duration::from_secs(24 * 3_600);
/// What is not a letter or digit of a name goes escaped into the address.
const HEX: &[u8; 16] = b"0123456789ABCDEF";

/// Hears how many bytes were read so far. Called in a thread of its own; begins anew when the file does.
pub type Progress = Arc<dyn Fn(u64) + Send + Sync>;

/// Which file of which ticket.
#[derive(Debug, Clone)]
pub struct Attachment {
    /// The ticket.
    pub number: TicketNumber,
    /// Names it, so that asking again after a lost answer attaches nothing twice.
    pub id: OperationId,
    /// As given; the agent keeps its last part.
    pub name: String,
}

impl Client {
    /// Attaches a file of the disk. An `Ok` means that its content as of now is on the agent's disk (P1).
    /// Only a regular file can be attached; one that changes while it is read is read again, and at last
    /// refused ([`FileFault::Unstable`]). The file is neither changed nor locked.
    pub async fn attach_file(
        &self,
        attachment: &Attachment,
        path: &Path,
        progress: Progress,
    ) -> Result<FileSaved, ClientError> {
        for _ in 0..ATTEMPTS {
            let before = Snapshot::open(path)?;
            let size = before.size;
            let source = Watched {
                snapshot: before,
                path: path.to_owned(),
                read: 0,
            };
            match self
                .attach_reader(attachment, Some(size), source, progress.clone())
                .await
            {
                Err(ClientError::File {
                    fault: FileFault::Unstable,
                    ..
                }) => {}
                other => return other,
            }
        }
        Err(ClientError::File {
            fault: FileFault::Unstable,
            detail: path.display().to_string(),
        })
    }

    /// Attaches what a reader gives until its end, such as standard input.
    pub async fn attach_reader(
        &self,
        attachment: &Attachment,
        size: Option<u64>,
        source: impl Read + Send + 'static,
        progress: Progress,
    ) -> Result<FileSaved, ClientError> {
        let Attachment { number, id, name } = attachment;
        let size = size.map_or_else(String::new, |size| format!("&size={size}"));
        let name = escaped(name);
        let path = format!("{TICKETS_PATH}/{number}/files?name={name}&id={id}{size}");
        let (pieces, broken) = read_apart(source, progress)?;
        let request = self
            .http
            .post(format!("http://agent{path}"))
            .timeout(PATIENCE)
            .header("content-type", "application/octet-stream")
            .body(reqwest::Body::wrap_stream(pieces));
        let answer = self.answer(request, false).await;
        match broken.await {
            // What the reader met is why the agent got no whole file.
            Ok(fault) if !matches!(answer, Err(ClientError::Problem(_))) => Err(read_fault(&fault)),
            _ => answer,
        }
    }
}

/// What a file was when reading began.
struct Snapshot {
    file: File,
    size: u64,
    changed: Option<SystemTime>,
}

impl Snapshot {
    fn open(path: &Path) -> Result<Self, ClientError> {
        let unreadable = |detail: String| ClientError::File {
            fault: FileFault::Unreadable,
            detail: format!("{}: {detail}", path.display()),
        };
        // Looked at before it is opened: opening a named pipe waits for somebody to write into it.
        let seen = std::fs::metadata(path).map_err(|fault| unreadable(fault.to_string()))?;
        let kind = if seen.is_dir() {
            Some("is a folder; attach the files in it")
        } else if seen.is_file() {
            None
        } else {
            Some("is a device or a pipe; only files can be attached")
        };
        if let Some(kind) = kind {
            return Err(unreadable(kind.to_owned()));
        }
        let open = || -> io::Result<Self> {
            let file = File::open(path)?;
            let facts = file.metadata()?;
            Ok(Self {
                size: facts.len(),
                changed: facts.modified().ok(),
                file,
            })
        };
        open().map_err(|fault| unreadable(fault.to_string()))
    }

    fn is_still(&self, path: &Path, read: u64) -> bool {
        let same =
            |facts: Metadata| facts.len() == self.size && facts.modified().ok() == self.changed;
        // The file that was read, and the one that has the name now.
        read == self.size
            && self.file.metadata().is_ok_and(same)
            && std::fs::metadata(path).is_ok_and(same)
    }
}

/// A file whose end is only believed when it has not changed since its beginning.
struct Watched {
    snapshot: Snapshot,
    path: std::path::PathBuf,
    read: u64,
}

impl Read for Watched {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.snapshot.file.read(buffer)?;
        self.read = self.read.saturating_add(count as u64);
        let ended = count == 0 && !buffer.is_empty();
        let grown = self.read > self.snapshot.size;
        if grown || (ended && !self.snapshot.is_still(&self.path, self.read)) {
            return Err(io::Error::new(io::ErrorKind::ResourceBusy, "it changed"));
        }
        Ok(count)
    }
}

type Pieces = stream::BoxStream<'static, io::Result<Bytes>>;
type Broken = tokio::sync::oneshot::Receiver<io::Error>;

/// Reads in a thread of its own, because a disk makes its reader wait. A fault breaks the body off, so
/// that the agent takes no part for the whole, and is told beside it.
fn read_apart(
    mut source: impl Read + Send + 'static,
    progress: Progress,
) -> Result<(Pieces, Broken), ClientError> {
    let (pieces, waiting) = mpsc::channel::<io::Result<Bytes>>(PIECES_WAITING);
    let (broken, told) = tokio::sync::oneshot::channel();
    let read = move || {
        let mut total = 0;
        loop {
            match read_piece(&mut source) {
                Ok(piece) if piece.is_empty() => return,
                Ok(piece) => {
                    total += piece.len() as u64;
                    progress(total);
                    if pieces.blocking_send(Ok(piece)).is_err() {
                        return;
                    }
                }
                Err(fault) => {
                    let _ = broken.send(io::Error::new(fault.kind(), fault.to_string()));
                    let _ = pieces.blocking_send(Err(fault));
                    return;
                }
            }
        }
    };
    std::thread::Builder::new()
        .name("read-file".into())
        .spawn(read)
        .map_err(|fault| read_fault(&fault))?;
    let pieces = stream::unfold(waiting, |mut waiting| async move {
        waiting.recv().await.map(|piece| (piece, waiting))
    });
    Ok((Box::pin(pieces), told))
}

fn read_piece(source: &mut impl Read) -> io::Result<Bytes> {
    let mut piece = vec![0; PIECE_BYTES];
    let mut filled = 0;
    while let Some(rest) = piece.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match source.read(rest) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(fault) if fault.kind() == io::ErrorKind::Interrupted => {}
            Err(fault) => return Err(fault),
        }
    }
    piece.truncate(filled);
    Ok(piece.into())
}

fn read_fault(fault: &io::Error) -> ClientError {
    let kind = if fault.kind() == io::ErrorKind::ResourceBusy {
        FileFault::Unstable
    } else {
        FileFault::Unreadable
    };
    ClientError::File {
        fault: kind,
        detail: fault.to_string(),
    }
}

pub(super) fn escaped(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_') {
            out.push(char::from(byte));
        } else {
            let digit = |nibble: u8| {
                HEX.get(usize::from(nibble))
                    .copied()
                    .map_or('0', char::from)
            };
            out.push('%');
            out.push(digit(byte >> 4));
            out.push(digit(byte & 15));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_escaped() {
        assert_eq!(escaped("a b&c=é.txt"), "a%20b%26c%3D%C3%A9.txt");
    }

    #[test]
    fn a_file_that_changes_while_it_is_read_has_no_end() {
        let folder = std::env::temp_dir().join(format!("branchline-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("changing");
        for growing in [false, true] {
            std::fs::write(&path, vec![1; 600_000]).unwrap();
            let mut watched = Watched {
                snapshot: Snapshot::open(&path).unwrap(),
                path: path.clone(),
                read: 0,
            };
            assert_eq!(read_piece(&mut watched).unwrap().len(), PIECE_BYTES);
            if growing {
                let mut file = File::options().append(true).open(&path).unwrap();
                io::Write::write_all(&mut file, b"more").unwrap();
            } else {
                // Replaced by another file of the same size.
                std::fs::remove_file(&path).unwrap();
                std::fs::write(&path, vec![2; 600_000]).unwrap();
                let later = SystemTime::now() + Duration::from_secs(5);
                let file = File::options().write(true).open(&path).unwrap();
                file.set_modified(later).unwrap();
            }
            let mut last = read_piece(&mut watched);
            while last.as_ref().is_ok_and(|piece| !piece.is_empty()) {
                last = read_piece(&mut watched);
            }
            assert!(last.is_err(), "growing: {growing}");
        }
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
