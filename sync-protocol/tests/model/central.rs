//! A simulated central: a ledger of maps around the real [`place`] and [`judge`]. A backup is a
//! clone of it.

use std::collections::BTreeMap;
use std::convert::Infallible;

use branchline_protocol::chain::Position;
use branchline_protocol::event::{Event, EventBody, Rejection, Verdict, VerdictAt};
use branchline_protocol::exchange::{FeedReply, Submission, SubmissionReply};
use branchline_protocol::id::{Digest, FileId, OperationId, Seq, StreamId, TicketId, TicketNumber};
use branchline_protocol::operation::{Body, Operation};
use branchline_protocol::problem::{Problem, ProblemKind};
use branchline_protocol::receiver::{
    Holdings, Judgement, Known, Origin, Placement, TicketFacts, judge, place,
};
use branchline_protocol::time::UnixMillis;

use crate::seen::seen;

/// Events in one answer: few, so that reading the feed takes several.
const FEED_PAGE: usize = 6;

/// An operation's first and only effect, in ledger order.
#[derive(Debug, Clone)]
pub struct Entry {
    pub id: OperationId,
    pub bytes: Vec<u8>,
    pub verdict: Verdict,
}

#[derive(Debug, Clone)]
pub struct Ticket {
    pub number: TicketNumber,
    withdrawn: bool,
}

#[derive(Debug, Clone, Default)]
pub struct Central {
    streams: BTreeMap<StreamId, Vec<(Digest, Verdict)>>,
    pub entries: Vec<Entry>,
    pub by_id: BTreeMap<OperationId, usize>,
    pub tickets: BTreeMap<TicketId, Ticket>,
    /// What the branch is told; it knows what it asked for itself. Each with a mark that no other
    /// event ever has, in this ledger or one restored from before it.
    news: Vec<(Event, u64)>,
}

pub fn origin() -> Origin {
    Origin {
        branch: "LYN".parse().unwrap(),
        ordinal: 1,
    }
}

impl Central {
    /// Answers a request: the body of a reply, or of a problem. `most`: operations taken of it.
    pub fn answer(&mut self, body: &str, most: usize, mark: &mut u64) -> Result<String, String> {
        let submission: Submission<'_> = serde_json::from_str(body).unwrap();
        self.take(&submission, most, mark)
            .map(|reply| serde_json::to_string(&reply).unwrap())
            .map_err(|problem| serde_json::to_string(&problem).unwrap())
    }

    fn take(
        &mut self,
        submission: &Submission<'_>,
        most: usize,
        mark: &mut u64,
    ) -> Result<SubmissionReply, Problem> {
        let (stream, after) = (submission.stream, submission.after);
        let operations = submission.operations.iter().take(most);
        let operations: Vec<&[u8]> = operations.map(|raw| raw.get().as_bytes()).collect();
        let (repeated, positions) = match self.place(submission, &operations) {
            Placement::Append {
                repeated,
                positions,
            } => {
                if repeated > 0 && repeated < positions.len() {
                    seen("placed: append after repeats");
                }
                (repeated, positions)
            }
            Placement::Gap { head } => {
                seen(if after.seq > head.seq {
                    "placed: gap"
                } else {
                    "placed: gap, what it continues is missing"
                });
                let mut problem = Problem::new(ProblemKind::Gap, "restored");
                problem.head = Some(head);
                return Err(problem);
            }
            Placement::Diverged { head, agreed } => {
                seen(if agreed {
                    "placed: diverged, agreed"
                } else {
                    "placed: diverged, not agreed"
                });
                let mut problem = Problem::new(ProblemKind::Diverged, "forked");
                problem.head = Some(head);
                problem.agreed = Some(agreed);
                problem.serials_used = Some(self.serials_used());
                return Err(problem);
            }
        };
        self.streams.entry(stream).or_default();
        for (bytes, position) in operations.iter().zip(&positions).skip(repeated) {
            let verdict = self.take_operation(bytes, mark);
            let held = self.streams.get_mut(&stream).unwrap();
            assert_eq!(
                held.len() as u64 + 1,
                position.seq.0,
                "positions have no holes"
            );
            held.push((position.digest, verdict));
        }
        let verdict_at = |position: &Position| {
            let verdict = self.held(stream, position.seq)?.1.clone();
            let seq = position.seq;
            (verdict != Verdict::Accepted).then_some(VerdictAt { seq, verdict })
        };
        let acknowledged = positions.last().copied().unwrap_or(after);
        let head = self.head(stream).unwrap();
        Ok(SubmissionReply {
            acknowledged,
            head,
            serials_used: (head.seq > acknowledged.seq).then(|| self.serials_used()),
            verdicts: positions.iter().filter_map(verdict_at).collect(),
            news: self.news_after(submission.cursor.as_deref()),
        })
    }

    fn place(&self, submission: &Submission<'_>, operations: &[&[u8]]) -> Placement {
        let stream = submission.stream;
        let continues = submission.continues.as_ref();
        let needed = continues.and_then(|continues| Some((continues.stream, continues.at?)));
        let needed = needed.and_then(|(stream, at)| self.held(stream, at.seq));
        let holdings = Holdings {
            head: self.head(stream),
            continued: needed.map(|held| held.0),
        };
        let digest_at = |seq| Ok::<_, Infallible>(self.held(stream, seq).map(|held| held.0));
        let Ok(placement) = place(
            stream,
            holdings,
            continues,
            submission.after,
            operations,
            digest_at,
        );
        placement
    }

    fn take_operation(&mut self, bytes: &[u8], mark: &mut u64) -> Verdict {
        let Ok(judgement) = judge(self, &origin(), bytes);
        let verdict = judgement.verdict();
        let id = match judgement {
            Judgement::Repeat { .. } => {
                seen("judged: repeat in another stream");
                return verdict;
            }
            Judgement::Rejected { id, reason } => {
                self.reject(id, reason, mark);
                // What has no id takes its position and nothing else.
                let Some(id) = id else { return verdict };
                id
            }
            Judgement::Effect { operation, number } => {
                let id = operation.id;
                self.effect(operation, number, mark);
                id
            }
        };
        let before = self.by_id.insert(id, self.entries.len());
        assert_eq!(before, None, "{id} took effect twice");
        self.entries.push(Entry {
            id,
            bytes: bytes.to_vec(),
            verdict: verdict.clone(),
        });
        verdict
    }

    fn reject(&mut self, operation: Option<OperationId>, reason: Rejection, mark: &mut u64) {
        seen("judged: rejected");
        self.publish(&EventBody::OperationRejected { operation, reason }, mark);
    }

    fn effect(&mut self, operation: Operation, number: Option<TicketNumber>, mark: &mut u64) {
        match operation.body {
            Body::TicketFiled(body) => {
                let (ticket, number) = (TicketId::from(operation.id), number.unwrap());
                let new = Ticket {
                    number: number.clone(),
                    withdrawn: false,
                };
                let before = self.tickets.insert(ticket, new);
                assert!(before.is_none(), "ticket {ticket} filed twice");
                if number != body.number {
                    seen("judged: renumbered");
                    let given = body.number;
                    let event = EventBody::TicketRenumbered {
                        ticket,
                        given,
                        number,
                    };
                    self.publish(&event, mark);
                }
            }
            Body::TicketWithdrawn(body) => {
                self.tickets.get_mut(&body.ticket).unwrap().withdrawn = true;
            }
            Body::CommentAdded(_) | Body::FileAttached(_) => {}
        }
    }

    fn publish(&mut self, event: &EventBody, mark: &mut u64) {
        let (kind, body) = event.to_parts();
        *mark += 1;
        let event = Event {
            position: self.news.len() as u64 + 1,
            at: UnixMillis::default(),
            kind,
            body,
        };
        self.news.push((event, *mark));
    }

    fn news_after(&self, cursor: Option<&str>) -> FeedReply {
        let read = cursor.map(|cursor| self.read_up_to(cursor));
        let from = read.flatten().unwrap_or(0);
        let to = self.news.len().min(from + FEED_PAGE);
        let mark = to.checked_sub(1).map_or(0, |last| self.news[last].1);
        if read == Some(None) {
            seen("feed: rewound");
        }
        FeedReply {
            feed: self.news[from..to].iter().map(|e| e.0.clone()).collect(),
            cursor: format!("{to}.{mark}"),
            rewound: read == Some(None),
            server_time: UnixMillis::default(),
        }
    }

    /// How many events lie behind a cursor, if it is one of this ledger.
    fn read_up_to(&self, cursor: &str) -> Option<usize> {
        let (count, mark) = cursor.split_once('.').unwrap();
        let (count, mark): (usize, u64) = (count.parse().unwrap(), mark.parse().unwrap());
        let own = match count.checked_sub(1) {
            None => 0,
            Some(last) => self.news.get(last)?.1,
        };
        (own == mark).then_some(count)
    }

    fn head(&self, stream: StreamId) -> Option<Position> {
        let positions = self.streams.get(&stream)?;
        let head = positions.last().map(|(digest, _)| Position {
            seq: Seq(positions.len() as u64),
            digest: *digest,
        });
        Some(head.unwrap_or(Position::genesis(stream)))
    }

    fn held(&self, stream: StreamId, seq: Seq) -> Option<&(Digest, Verdict)> {
        let index = usize::try_from(seq.0).unwrap().checked_sub(1)?;
        self.streams.get(&stream)?.get(index)
    }

    fn serials_used(&self) -> u32 {
        let serials = self.tickets.values().map(|ticket| ticket.number.serial);
        serials.max().unwrap_or(0)
    }
}

impl Known for Central {
    type Error = Infallible;

    fn operation(&mut self, id: OperationId) -> Result<Option<Verdict>, Infallible> {
        let entry = self.by_id.get(&id).map(|&index| &self.entries[index]);
        Ok(entry.map(|entry| entry.verdict.clone()))
    }

    fn ticket(&mut self, id: TicketId) -> Result<Option<TicketFacts>, Infallible> {
        Ok(self.tickets.get(&id).map(|ticket| TicketFacts {
            branch: ticket.number.branch.clone(),
            number: ticket.number.clone(),
            withdrawn: ticket.withdrawn,
        }))
    }

    /// One agent is all there is.
    fn file_taken(&mut self, _: FileId) -> Result<bool, Infallible> {
        Ok(false)
    }

    fn highest_suffix(&mut self, given: &TicketNumber) -> Result<Option<u32>, Infallible> {
        let numbers = self.tickets.values().map(|ticket| &ticket.number);
        let same = numbers.filter(|number| {
            (&number.branch, number.ordinal, number.serial)
                == (&given.branch, given.ordinal, given.serial)
        });
        Ok(same.map(|number| number.suffix).max())
    }
}
