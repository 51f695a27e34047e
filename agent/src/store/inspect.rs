//! Looking into a journal from outside, for IT: list, verify, export. Reads the file, whether the
//! agent runs or not, and changes nothing.

use std::io::{self, Write};
use std::path::Path;

use branchline_durable_sqlite::{Settings, open_reader};
use branchline_protocol::chain::Position;
use branchline_protocol::exchange::Continues;
use branchline_protocol::id::{AgentId, BranchCode, Digest, FileId, OperationId, Seq, StreamId};
use branchline_protocol::operation::{Body, Operation, Parsed};
use branchline_protocol::time::{LocalTime, UnixMillis};
use rusqlite::Connection;
use serde::Serialize;

use super::filing::checksum;
use super::{StartError, StreamRow, from_sql, head, to_sql};

/// Operations between two words about the progress.
const TOLD_EVERY: u64 = 10_000;

/// A journal opened for reading.
pub struct Inspection {
    connection: Connection,
    stream: StreamRow,
    head: u64,
}

/// One operation of the journal, as the list shows it.
#[derive(Debug, Serialize)]
pub struct QueueLine {
    /// In the present stream.
    pub seq: Seq,
    /// The operation.
    pub id: OperationId,
    /// Its kind, or `damaged`.
    pub kind: String,
    /// What it is about: the ticket's number and subject, or the ticket's id.
    pub about: String,
    /// When it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<LocalTime>,
    /// Bytes that it takes on the link, before compression.
    pub bytes: usize,
}

/// What a verification found.
#[derive(Debug, Default, Serialize)]
pub struct Verification {
    /// Operations in the journal.
    pub operations: u64,
    /// Of which not acknowledged.
    pub waiting: u64,
    /// Positions whose bytes do not agree with their checksum, or that cannot be read.
    pub damaged: Vec<u64>,
    /// Positions at which the chain does not agree with what central acknowledged.
    pub disagreeing: Vec<u64>,
}

/// A file that central does not have yet.
#[derive(Debug)]
pub struct WaitingFile {
    /// Its id.
    pub id: FileId,
    /// Its name as filed; empty where that cannot be read.
    pub name: String,
    /// The agent has met damage in it.
    pub known_damaged: bool,
}

/// One row as it is read, with the way it came out.
struct Visited {
    position: u64,
    bytes: Option<Vec<u8>>,
}

impl Inspection {
    /// Opens the journal of a data folder.
    pub fn open(journal: &Path) -> Result<Self, StartError> {
        let connection = open_reader(journal, &Settings::default())?;
        let stream = StreamRow::read(&connection)?;
        let head = head(&connection)?;
        Ok(Self {
            connection,
            stream,
            head,
        })
    }

    /// Operations that wait, oldest first, at most `limit`; tells how many there are in all.
    pub fn waiting(&self, limit: usize) -> rusqlite::Result<(Vec<QueueLine>, u64)> {
        let first = self.stream.acknowledged.saturating_add(1);
        let mut lines = Vec::new();
        let last = self
            .head
            .min(self.stream.acknowledged.saturating_add(limit as u64));
        self.visit(first, last, |visited| {
            lines.push(self.queue_line(&visited));
            Ok::<(), rusqlite::Error>(())
        })?;
        Ok((lines, self.head.saturating_sub(self.stream.acknowledged)))
    }

    /// Files whose content is still needed here: central does not have them yet. Oldest first.
    pub fn waiting_files(&self) -> rusqlite::Result<Vec<WaitingFile>> {
        let mut statement = self.connection.prepare(
            "SELECT file.id, entry.bytes, file.standing FROM file
             LEFT JOIN entry ON entry.position = file.position
             WHERE standing IN ('open', 'damaged') ORDER BY file.position",
        )?;
        let rows = statement.query_map([], |row| {
            let bytes: Option<Vec<u8>> = row.get(1).ok();
            let standing: String = row.get(2)?;
            Ok(WaitingFile {
                id: FileId::from_bytes(row.get(0)?),
                name: bytes.as_deref().map_or_else(String::new, file_name),
                known_damaged: standing == "damaged",
            })
        })?;
        rows.collect()
    }

    /// Reads everything and compares it with checksums and acknowledgements. `progress` hears how
    /// many of how many operations are done.
    pub fn verify(&self, mut progress: impl FnMut(u64, u64)) -> rusqlite::Result<Verification> {
        let first = self.oldest()?;
        let total = self.head.saturating_add(1).saturating_sub(first);
        let mut found = Verification {
            waiting: self.head.saturating_sub(self.stream.acknowledged),
            ..Verification::default()
        };
        let mut chain = self.chain_start(first)?;
        self.visit(first, self.head, |visited| {
            found.operations += 1;
            if found.operations.is_multiple_of(TOLD_EVERY) {
                progress(found.operations, total);
            }
            let Some(bytes) = visited.bytes else {
                found.damaged.push(visited.position);
                chain = None;
                return Ok(());
            };
            chain = self.advance(chain, visited.position, &bytes)?;
            let acknowledged = self.acknowledged_digest(visited.position)?;
            if let (Some(at), Some(acknowledged)) = (chain, acknowledged)
                && at.digest != acknowledged
            {
                found.disagreeing.push(visited.position);
            }
            Ok::<(), rusqlite::Error>(())
        })?;
        progress(total, total);
        Ok(found)
    }

    /// Every operation's exact bytes, one per line, whatever is readable. `progress` is as in
    /// [`Inspection::verify`].
    pub fn export_operations(
        &self,
        out: &mut impl Write,
        mut progress: impl FnMut(u64, u64),
    ) -> io::Result<()> {
        let oldest = self.oldest().map_err(io::Error::other)?;
        self.visit(oldest, self.head, |visited| {
            self.tell(visited.position, oldest, &mut progress);
            match visited.bytes {
                Some(bytes) => {
                    out.write_all(&bytes)?;
                    out.write_all(b"\n")
                }
                None => writeln!(
                    out,
                    "{{\"position\":{},\"damaged\":true}}",
                    visited.position
                ),
            }
        })
    }

    fn tell(&self, position: u64, oldest: u64, progress: &mut impl FnMut(u64, u64)) {
        let done = position.saturating_sub(oldest).saturating_add(1);
        if done.is_multiple_of(TOLD_EVERY) {
            progress(done, self.head.saturating_sub(oldest).saturating_add(1));
        }
    }

    /// The journal's ids and chain digests, for `branchline-server audit`.
    pub fn export_digests(
        &self,
        agent: AgentId,
        branch: &BranchCode,
        out: &mut impl Write,
        mut progress: impl FnMut(u64, u64),
    ) -> io::Result<()> {
        write_line(
            out,
            &ExportHeader {
                export: "branchline-digest-1",
                agent,
                branch,
            },
        )?;
        let first = self.oldest().map_err(io::Error::other)?;
        let streams = self.streams().map_err(io::Error::other)?;
        for (stream, last) in &streams {
            if *last < first && stream.stream != self.stream.stream {
                continue;
            }
            let continues = stream
                .continues
                .as_deref()
                .and_then(|c| serde_json::from_str(c).ok());
            let acknowledged = stream.position();
            write_line(
                out,
                &ExportStream {
                    stream: stream.stream,
                    continues,
                    acknowledged,
                },
            )?;
            self.export_stream(
                stream,
                first.max(stream.base + 1),
                *last,
                out,
                &mut |position| {
                    self.tell(position, first, &mut progress);
                },
            )?;
        }
        Ok(())
    }

    fn export_stream(
        &self,
        stream: &StreamRow,
        first: u64,
        last: u64,
        out: &mut impl Write,
        visiting: &mut impl FnMut(u64),
    ) -> io::Result<()> {
        let mut chain = (first == stream.base + 1).then(|| Position::genesis(stream.stream));
        if chain.is_none() && stream.stream == self.stream.stream {
            chain = self.chain_start(first).map_err(io::Error::other)?;
        }
        self.visit(first, last, |visited| {
            visiting(visited.position);
            let seq = stream.seq_of(visited.position);
            let id = visited.bytes.as_deref().and_then(operation_id);
            let (Some(bytes), Some(id)) = (&visited.bytes, id) else {
                chain = None;
                return write_line(out, &ExportDamaged { seq, damaged: true });
            };
            chain = chain.map(|at| at.then(bytes));
            write_line(
                out,
                &ExportOperation {
                    seq,
                    id,
                    digest: chain.map(|at| at.digest),
                },
            )
        })
    }

    fn queue_line(&self, visited: &Visited) -> QueueLine {
        let seq = self.stream.seq_of(visited.position);
        let parsed = visited.bytes.as_deref().map(Operation::parse);
        let bytes = visited.bytes.as_ref().map_or(0, Vec::len);
        match parsed {
            Some(Ok(Parsed::Known(operation))) => QueueLine {
                seq,
                id: operation.id,
                kind: operation.body.kind().to_owned(),
                about: about(&operation.body),
                at: Some(operation.at),
                bytes,
            },
            Some(Ok(Parsed::Unknown { id, kind })) => QueueLine {
                seq,
                id,
                kind,
                about: String::new(),
                at: None,
                bytes,
            },
            _ => QueueLine {
                seq,
                id: OperationId(uuid::Uuid::nil()),
                kind: "damaged".to_owned(),
                about: String::new(),
                at: None,
                bytes,
            },
        }
    }

    fn oldest(&self) -> rusqlite::Result<u64> {
        let oldest: Option<i64> =
            self.connection
                .query_row("SELECT min(position) FROM operation", [], |row| row.get(0))?;
        Ok(oldest.map_or(self.head.saturating_add(1), from_sql))
    }

    /// Every stream with the last position that was its own.
    fn streams(&self) -> rusqlite::Result<Vec<(StreamRow, u64)>> {
        let mut statement = self.connection.prepare(
            "SELECT ordinal, id, continues, base, acknowledged, digest, acknowledged_at
             FROM stream ORDER BY ordinal",
        )?;
        let rows: Vec<StreamRow> = statement
            .query_map([], |row| {
                Ok(StreamRow {
                    ordinal: row.get(0)?,
                    stream: StreamId::from_bytes(row.get(1)?),
                    continues: row.get(2)?,
                    base: from_sql(row.get(3)?),
                    acknowledged: from_sql(row.get(4)?),
                    digest: Digest(row.get(5)?),
                    acknowledged_at: row.get::<_, Option<i64>>(6)?.map(UnixMillis),
                })
            })?
            .collect::<rusqlite::Result<_>>()?;
        let bases: Vec<u64> = rows.iter().skip(1).map(|row| row.base).collect();
        let ends = bases.into_iter().chain([self.head]);
        // A stream that was submitted again from earlier on has nothing of its own left.
        let mut later = u64::MAX;
        let mut streams: Vec<(StreamRow, u64)> = rows.into_iter().zip(ends).collect();
        for (_, end) in streams.iter_mut().rev() {
            *end = (*end).min(later);
            later = *end;
        }
        Ok(streams)
    }

    fn chain_start(&self, first: u64) -> rusqlite::Result<Option<Position>> {
        if first <= self.stream.base + 1 {
            return Ok(Some(Position::genesis(self.stream.stream)));
        }
        let before = first - 1;
        Ok(self.acknowledged_digest(before)?.map(|digest| Position {
            seq: self.stream.seq_of(before),
            digest,
        }))
    }

    /// The chain after one more operation; operations before the stream's base are not part of it.
    fn advance(
        &self,
        chain: Option<Position>,
        position: u64,
        bytes: &[u8],
    ) -> rusqlite::Result<Option<Position>> {
        if position <= self.stream.base {
            return Ok(chain);
        }
        if let Some(at) = chain {
            return Ok(Some(at.then(bytes)));
        }
        // Behind damage the chain starts again where central acknowledged it.
        let digest = self.acknowledged_digest(position)?;
        Ok(digest.map(|digest| Position {
            seq: self.stream.seq_of(position),
            digest,
        }))
    }

    fn acknowledged_digest(&self, position: u64) -> rusqlite::Result<Option<Digest>> {
        use rusqlite::OptionalExtension;
        self.connection
            .prepare_cached("SELECT digest FROM acknowledgement WHERE position = ?1")?
            .query_row([to_sql(position)], |row| row.get(0).map(Digest))
            .optional()
    }

    /// Calls `visit` for each position from `first` to `last`, readable or not, in pages, so that no
    /// read transaction stays open long.
    fn visit<E>(
        &self,
        first: u64,
        last: u64,
        mut visit: impl FnMut(Visited) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut next = first;
        while next <= last {
            let until = last.min(next.saturating_add(999));
            let page = self.page(next, until);
            for visited in page {
                next = visited.position + 1;
                visit(visited)?;
            }
        }
        Ok(())
    }

    fn page(&self, first: u64, last: u64) -> Vec<Visited> {
        let mut page = self.readable(first, last).unwrap_or_default();
        if page.is_empty() {
            page.push(Visited {
                position: first,
                bytes: None,
            });
        }
        page
    }

    /// Ends before a row that is missing or cannot be read; an altered one has no bytes.
    fn readable(&self, first: u64, last: u64) -> rusqlite::Result<Vec<Visited>> {
        let sql = "SELECT position, checksum, bytes FROM operation
                   WHERE position BETWEEN ?1 AND ?2 ORDER BY position";
        let mut statement = self.connection.prepare_cached(sql)?;
        let mut rows = statement.query((to_sql(first), to_sql(last)))?;
        let mut page: Vec<Visited> = Vec::new();
        let mut expected = first;
        while let Ok(Some(row)) = rows.next() {
            let position = from_sql(row.get(0).unwrap_or(0));
            if position != expected {
                break;
            }
            let sum: Option<[u8; 16]> = row.get(1).ok();
            let bytes: Option<Vec<u8>> = row.get(2).ok();
            let bytes = bytes.filter(|bytes| Some(checksum(bytes)) == sum);
            page.push(Visited { position, bytes });
            expected += 1;
        }
        Ok(page)
    }
}

fn about(body: &Body) -> String {
    match body {
        Body::TicketFiled(filed) => format!("{} {}", filed.number, filed.subject),
        Body::CommentAdded(_) | Body::TicketWithdrawn(_) | Body::FileAttached(_) => body
            .ticket()
            .map(|ticket| format!("ticket {ticket}"))
            .unwrap_or_default(),
    }
}

fn file_name(bytes: &[u8]) -> String {
    match Operation::parse(bytes) {
        Ok(Parsed::Known(Operation {
            body: Body::FileAttached(file),
            ..
        })) => file.name,
        _ => String::new(),
    }
}

fn operation_id(bytes: &[u8]) -> Option<OperationId> {
    match Operation::parse(bytes).ok()? {
        Parsed::Known(operation) => Some(operation.id),
        Parsed::Unknown { id, .. } => Some(id),
    }
}

fn write_line(out: &mut impl Write, line: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer(&mut *out, line)?;
    out.write_all(b"\n")
}

#[derive(Serialize)]
struct ExportHeader<'a> {
    export: &'static str,
    agent: AgentId,
    branch: &'a BranchCode,
}

#[derive(Serialize)]
struct ExportStream {
    stream: StreamId,
    #[serde(skip_serializing_if = "Option::is_none")]
    continues: Option<Continues>,
    acknowledged: Position,
}

#[derive(Serialize)]
struct ExportOperation {
    seq: Seq,
    id: OperationId,
    #[serde(skip_serializing_if = "Option::is_none")]
    digest: Option<Digest>,
}

#[derive(Serialize)]
struct ExportDamaged {
    seq: Seq,
    damaged: bool,
}
