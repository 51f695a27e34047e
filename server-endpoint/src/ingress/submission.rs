//! Reading a submission: the same members as [`branchline_protocol::exchange::Submission`], with the
//! operations as places in the body rather than as copies, and no more of them than are allowed.

use std::fmt;
use std::ops::Range;

use branchline_protocol::chain::Position;
use branchline_protocol::exchange::{Continues, Health};
use branchline_protocol::id::{AgentId, StreamId};
use branchline_protocol::limits::SUBMISSION_OPERATIONS;
use branchline_protocol::problem::ProblemKind;
use bytes::Bytes;
use serde::de::{IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::refusal::Refusal;
use crate::ledger::{Append, Batch, now};

#[derive(Deserialize)]
struct Submission<'a> {
    stream: StreamId,
    #[serde(default)]
    continues: Option<Continues>,
    after: Position,
    #[serde(borrow)]
    operations: Operations<'a>,
    #[serde(default)]
    cursor: Option<String>,
    health: Health,
}

/// As many as are allowed, and how many there are.
struct Operations<'a> {
    taken: Vec<&'a RawValue>,
    all: usize,
}

/// Reads a body. What is inside an operation is not looked at (P6).
pub(super) fn read(agent: AgentId, body: Vec<u8>) -> Result<Append, Refusal> {
    let body = Bytes::from(body);
    let text = std::str::from_utf8(&body).map_err(|fault| {
        let place = fault.valid_up_to();
        Refusal::new(
            ProblemKind::Malformed,
            format!("the body is not UTF-8 at byte {place}"),
        )
    })?;
    let submission: Submission<'_> = serde_json::from_str(text).map_err(|fault| {
        Refusal::new(
            ProblemKind::Malformed,
            format!("the body is not a submission: {fault}"),
        )
    })?;
    let Operations { taken, all } = submission.operations;
    if all > SUBMISSION_OPERATIONS {
        let detail = format!(
            "{all} operations at once; at most {SUBMISSION_OPERATIONS} are allowed, send fewer"
        );
        return Err(Refusal::new(ProblemKind::TooLarge, detail));
    }
    let bounds = taken
        .iter()
        .map(|operation| place(text, operation.get()))
        .collect();
    Ok(Append {
        agent,
        stream: submission.stream,
        continues: submission.continues,
        after: submission.after,
        cursor: submission.cursor,
        health: submission.health,
        received_at: now(),
        operations: Batch::new(body.clone(), bounds),
    })
}

/// Where `part`, which is a slice of `whole`, lies in it.
fn place(whole: &str, part: &str) -> Range<usize> {
    let start = part.as_ptr().addr() - whole.as_ptr().addr();
    start..start + part.len()
}

impl<'de: 'a, 'a> Deserialize<'de> for Operations<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Operations<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an array of operations")
            }
            fn visit_seq<S: SeqAccess<'de>>(self, mut items: S) -> Result<Self::Value, S::Error> {
                let mut taken = Vec::new();
                while taken.len() < SUBMISSION_OPERATIONS {
                    let Some(operation) = items.next_element::<&RawValue>()? else {
                        let all = taken.len();
                        return Ok(Operations { taken, all });
                    };
                    taken.push(operation);
                }
                let mut all = taken.len();
                while items.next_element::<IgnoredAny>()?.is_some() {
                    all += 1;
                }
                Ok(Operations { taken, all })
            }
        }
        deserializer.deserialize_seq(InOrder)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use branchline_protocol::exchange::{SubmissionHead, encode_submission};

    fn head() -> SubmissionHead {
        let stream = StreamId::from_parts(1, [2; 10]);
        SubmissionHead {
            stream,
            continues: None,
            after: Position::genesis(stream),
            cursor: Some("7-abc".into()),
            health: Health::default(),
        }
    }

    fn read_all(operations: &[&[u8]]) -> Result<Append, Refusal> {
        let agent = AgentId::from_parts(1, [1; 10]);
        read(agent, encode_submission(&head(), operations))
    }

    #[test]
    fn operations_keep_their_exact_bytes() {
        let odd: [&[u8]; 4] = [
            b"{ \"a\" :1.0e2,\"\\u00e9\":\"\xc3\xa9\"}",
            b"null",
            b"[ 1 ]",
            b"\"x\"",
        ];
        let append = read_all(&odd).unwrap();
        assert!(append.operations.iter().eq(odd));
        assert_eq!(append.cursor.as_deref(), Some("7-abc"));
    }

    #[test]
    fn more_operations_than_allowed_are_counted_and_refused() {
        let most: Vec<&[u8]> = vec![b"0"; SUBMISSION_OPERATIONS];
        assert_eq!(
            read_all(&most).unwrap().operations.len(),
            SUBMISSION_OPERATIONS
        );
        let more: Vec<&[u8]> = vec![b"0"; SUBMISSION_OPERATIONS + 1];
        assert_eq!(read_all(&more).unwrap_err().kind(), ProblemKind::TooLarge);
    }
}
