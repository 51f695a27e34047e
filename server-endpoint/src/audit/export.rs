//! Reading an agent's `queue export --digest`, line by line.

use std::io::{BufRead, Read};

use branchline_protocol::chain::Position;
use branchline_protocol::id::{AgentId, BranchCode, Digest, OperationId, Seq, StreamId};
use serde::Deserialize;

use super::AuditError;

const FORMAT: &str = "branchline-digest-1";
/// Bytes of a line; the longest that an agent writes has a few hundred.
const LINE_BYTES: u64 = 16 * 1024;

pub(super) struct Export<R> {
    lines: Lines<R>,
    pub(super) agent: AgentId,
    pub(super) branch: BranchCode,
    /// The operation before, in the stream being read.
    last: Seq,
}

struct Lines<R> {
    input: R,
    line: Vec<u8>,
    number: u64,
}

/// One line behind the first.
pub(super) enum Exported {
    Stream {
        stream: StreamId,
        acknowledged: Position,
    },
    Operation(ExportedOperation),
}

#[derive(Debug, Clone, Copy)]
pub(super) struct ExportedOperation {
    pub(super) seq: Seq,
    pub(super) id: Option<OperationId>,
    /// Absent where the journal no longer retains what its chain starts from.
    pub(super) digest: Option<Digest>,
    pub(super) damaged: bool,
}

#[derive(Deserialize)]
struct Header {
    export: String,
    agent: AgentId,
    branch: BranchCode,
}

/// Members that this version does not know are a newer agent's, and are passed over.
#[derive(Deserialize)]
struct Line {
    stream: Option<StreamId>,
    acknowledged: Option<Position>,
    seq: Option<Seq>,
    id: Option<OperationId>,
    digest: Option<Digest>,
    #[serde(default)]
    damaged: bool,
}

impl<R: BufRead> Export<R> {
    pub(super) fn open(input: R) -> Result<Self, AuditError> {
        let mut lines = Lines {
            input,
            line: Vec::new(),
            number: 0,
        };
        if !lines.read()? {
            return Err(lines.unfit("the export is empty"));
        }
        let header: Header = serde_json::from_slice(&lines.line).map_err(|fault| {
            lines.unfit(&format!(
                "this is not what `branchline-agent queue export --digest` writes: {fault}"
            ))
        })?;
        if header.export != FORMAT {
            let given = branchline_protocol::text::clipped(&header.export, 60);
            return Err(lines.unfit(&format!("the format is {given:?}; this reads {FORMAT:?}")));
        }
        Ok(Self {
            lines,
            agent: header.agent,
            branch: header.branch,
            last: Seq(0),
        })
    }

    pub(super) fn next(&mut self) -> Result<Option<Exported>, AuditError> {
        if !self.lines.read()? {
            return Ok(None);
        }
        let line: Line = serde_json::from_slice(&self.lines.line)
            .map_err(|fault| self.unfit(&fault.to_string()))?;
        match (line.stream, line.acknowledged, line.seq) {
            (Some(stream), Some(acknowledged), None) => {
                self.last = Seq(0);
                Ok(Some(Exported::Stream {
                    stream,
                    acknowledged,
                }))
            }
            (None, None, Some(seq)) if seq > self.last => {
                if line.id.is_none() && !line.damaged {
                    return Err(self.unfit("an operation has no id and is not marked as damaged"));
                }
                self.last = seq;
                Ok(Some(Exported::Operation(ExportedOperation {
                    seq,
                    id: line.id,
                    digest: line.digest,
                    damaged: line.damaged,
                })))
            }
            (None, None, Some(seq)) => {
                Err(self.unfit(&format!("position {seq} does not follow {}", self.last)))
            }
            _ => Err(self.unfit("this is neither a stream nor an operation")),
        }
    }

    pub(super) fn unfit(&self, fault: &str) -> AuditError {
        self.lines.unfit(fault)
    }
}

impl<R: BufRead> Lines<R> {
    /// `false` at the end.
    fn read(&mut self) -> Result<bool, AuditError> {
        self.line.clear();
        self.number += 1;
        let read = (&mut self.input)
            .take(LINE_BYTES)
            .read_until(b'\n', &mut self.line)
            .map_err(|fault| self.unfit(&format!("cannot be read: {fault}")))?;
        if read == 0 {
            return Ok(false);
        }
        if self.line.last() == Some(&b'\n') {
            return Ok(true);
        }
        // Whole lines only: an export that was cut off must not pass for a short one.
        Err(self.unfit("the line does not end; the export was cut off, or is not one"))
    }

    fn unfit(&self, fault: &str) -> AuditError {
        AuditError::Export {
            line: self.number,
            fault: fault.to_owned(),
        }
    }
}
