//! A simulated agent: a journal in memory that keeps what the real one keeps, the real [`Sender`],
//! and the shell between them.
//!
//! Rows have positions from 1 that no fork changes; a stream counts its operations from its base, so
//! that operation n of the stream is the row at base + n.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

use branchline_protocol::chain::Position;
use branchline_protocol::event::{EventBody, Verdict};
use branchline_protocol::exchange::{
    Continues, FeedReply, ForkCause, Health, Submission, SubmissionReply,
};
use branchline_protocol::id::{Digest, OperationId, Seq, StreamId, TicketId, TicketNumber};
use branchline_protocol::outcome::{Failure, Heard, classify};
use branchline_protocol::problem::Problem;
use branchline_protocol::sender::{Action, ForkFrom, Loaded, Sender, StreamState};
use serde_json::value::RawValue;

use crate::seen::seen;

/// How long the shell waits where waiting is asked for.
const DELAY: Duration = Duration::from_secs(10);

#[derive(Debug, Clone)]
pub struct Row {
    pub id: OperationId,
    pub ticket: TicketId,
    /// For a filing: the number given out.
    pub given: Option<TicketNumber>,
    pub bytes: Rc<str>,
    pub damaged: bool,
}

/// What is on the agent's disk; an image is a clone of it.
#[derive(Debug, Clone)]
pub struct Journal {
    /// Every row ever, so that the test can ask about those that are gone. The agent itself looks
    /// only at rows after `pruned` and only at the bytes of those not damaged.
    rows: Vec<Row>,
    /// Rows up to this position are no longer retained.
    pruned: usize,
    stream: StreamId,
    base: usize,
    continues: Option<Continues>,
    acknowledged: Position,
    /// Digests of the journal's own chain, where central has acknowledged this stream.
    checkpoints: Vec<Position>,
    /// The highest ticket serial given out.
    pub serial: u32,
    cursor: Option<String>,
    /// The branch's own view: tickets of which central said that they have another number than given,
    /// and operations of which it said that they have no effect.
    pub renumbered: BTreeMap<TicketId, TicketNumber>,
    pub rejected: BTreeSet<OperationId>,
}

impl Journal {
    pub fn new(stream: StreamId) -> Self {
        Self {
            rows: Vec::new(),
            pruned: 0,
            stream,
            base: 0,
            continues: None,
            acknowledged: Position::genesis(stream),
            checkpoints: Vec::new(),
            serial: 0,
            cursor: None,
            renumbered: BTreeMap::new(),
            rejected: BTreeSet::new(),
        }
    }

    pub fn state(&self) -> StreamState {
        StreamState {
            stream: self.stream,
            continues: self.continues,
            acknowledged: self.acknowledged,
            head: seq(self.rows.len() - self.base),
        }
    }

    pub fn all_rows(&self) -> &[Row] {
        &self.rows
    }

    pub fn retained(&self) -> &[Row] {
        &self.rows[self.pruned..]
    }

    /// Rows that central has acknowledged, in this stream or one before it.
    pub fn acknowledged_rows(&self) -> &[Row] {
        &self.rows[..self.acknowledged_row()]
    }

    pub fn append(&mut self, row: Row) {
        self.rows.push(row);
    }

    /// Damages a retained row.
    pub fn damage(&mut self, which: usize) -> Option<OperationId> {
        let count = self.rows.len() - self.pruned;
        let row = self.rows[self.pruned..].get_mut(which.checked_rem(count)?)?;
        row.damaged = true;
        Some(row.id)
    }

    /// Gives up the oldest rows, acknowledged ones only.
    pub fn prune(&mut self, count: usize) -> Vec<OperationId> {
        let until = (self.pruned + count)
            .min(self.acknowledged_row())
            .max(self.pruned);
        let gone = self.rows[self.pruned..until].iter().map(|row| row.id);
        let gone = gone.collect();
        self.pruned = until;
        gone
    }

    /// Whatever an exchange can change.
    pub fn fingerprint(&self) -> (StreamId, Position, Option<String>) {
        (self.stream, self.acknowledged, self.cursor.clone())
    }

    fn acknowledged_row(&self) -> usize {
        self.base + index(self.acknowledged.seq)
    }

    /// The row at a position, where it can still be read.
    fn readable(&self, position: usize) -> Option<&Row> {
        let row = self.rows.get(position - 1)?;
        (position > self.pruned && !row.damaged).then_some(row)
    }

    /// The digest of the journal's own chain, where it can be computed. The rows behind it may be
    /// gone: they count as damaged when their turn comes.
    fn own_digest(&self, at: Seq) -> Option<Digest> {
        let known = self.checkpoints.iter().filter(|p| p.seq <= at);
        let genesis = Position::genesis(self.stream);
        let start = *known.max_by_key(|p| p.seq).unwrap_or(&genesis);
        (index(start.seq)..index(at))
            .try_fold(start, |position, before| {
                let row = self.readable(self.base + before + 1)?;
                Some(position.then(row.bytes.as_bytes()))
            })
            .map(|position| position.digest)
    }

    /// How many rows after the acknowledged one cannot be read.
    fn unreadable(&self) -> usize {
        let next = self.acknowledged_row() + 1..=self.rows.len();
        next.take_while(|position| self.readable(*position).is_none())
            .count()
    }

    /// Starts over with what can still be read of a file that no longer opens.
    pub fn rebuild(&mut self, stream: StreamId) {
        self.fork(stream, ForkCause::JournalDamaged, ForkFrom::Retained);
    }

    fn fork(&mut self, stream: StreamId, cause: ForkCause, from: ForkFrom) {
        let before = self.continues.filter(|_| self.acknowledged.seq == Seq(0));
        let (base, needed, lost) = match from {
            ForkFrom::Unacknowledged => (self.acknowledged_row(), true, 0),
            ForkFrom::Retained => (self.pruned, false, 0),
            ForkFrom::Behind(through) => (
                self.base + index(through),
                true,
                through.0 - self.acknowledged.seq.0,
            ),
        };
        // A stream of which central has acknowledged nothing is one that it may never hear of: what
        // comes after it depends on what it depended on itself.
        let continues = match before {
            _ if self.acknowledged.seq > Seq(0) => Continues {
                stream: self.stream,
                at: needed.then_some(self.acknowledged),
                cause,
                lost,
            },
            Some(before) if needed => {
                if before.at.is_some() {
                    seen("fork: inherits what it continues");
                }
                Continues {
                    cause,
                    lost: lost + before.lost,
                    ..before
                }
            }
            _ => Continues {
                stream: self.stream,
                at: None,
                cause,
                lost,
            },
        };
        self.stream = stream;
        self.base = base;
        self.continues = Some(continues);
        self.acknowledged = Position::genesis(stream);
        self.checkpoints.clear();
    }

    fn settle(&mut self, acknowledged: Position, verdicts: &BTreeMap<Seq, Verdict>) {
        let (from, to) = (self.acknowledged.seq.0 + 1, acknowledged.seq.0);
        for at in from..=to {
            let row = &self.rows[self.base + index(Seq(at)) - 1];
            // An operation may fare otherwise than before central was restored.
            self.rejected.remove(&row.id);
            if row.given.is_some() {
                self.renumbered.remove(&row.ticket);
            }
            match verdicts.get(&Seq(at)) {
                None | Some(Verdict::Accepted) => {}
                Some(Verdict::Rejected { .. }) => {
                    self.rejected.insert(row.id);
                }
                Some(Verdict::Renumbered { number }) => {
                    self.renumbered.insert(row.ticket, number.clone());
                }
            }
        }
        self.acknowledged = acknowledged;
        self.checkpoints.push(acknowledged);
    }

    fn read_news(&mut self, news: FeedReply) {
        self.cursor = Some(news.cursor);
        if news.rewound {
            // What the feed said of the other ledger may not be so in this one; it says all again.
            self.renumbered.clear();
            self.rejected.clear();
        }
        for event in news.feed {
            match event.body().unwrap() {
                EventBody::TicketRenumbered { ticket, number, .. } => {
                    self.renumbered.insert(ticket, number);
                }
                EventBody::OperationRejected { operation, .. } => self.rejected.extend(operation),
                other => panic!("{other:?} is no news for a branch"),
            }
        }
    }
}

fn index(seq: Seq) -> usize {
    usize::try_from(seq.0).unwrap()
}

fn seq(index: usize) -> Seq {
    Seq(index as u64)
}

/// A running agent.
#[derive(Debug)]
pub struct Agent {
    pub journal: Journal,
    pub sender: Sender,
}

impl Agent {
    pub fn start(now: Duration, journal: Journal) -> Self {
        let sender = Sender::new(now, journal.state());
        Self { journal, sender }
    }

    pub fn append(&mut self, now: Duration, row: Row) {
        self.journal.append(row);
        self.sender.handle_appended(now, self.journal.state().head);
    }

    /// Nothing to do before some later time, and nothing unacknowledged.
    pub fn is_idle(&self, now: Duration) -> bool {
        let rests = matches!(self.sender.poll(now), Action::WaitUntil(_));
        rests && !self.sender.is_in_flight() && self.sender.waiting() == 0
    }

    /// Does the next thing, letting time pass until there is one. Answers with the request that is
    /// on its way now, if there is one, as the bytes of its body.
    pub fn turn(
        &mut self,
        now: &mut Duration,
        most: usize,
        new_stream: impl FnOnce() -> StreamId,
    ) -> Option<String> {
        loop {
            match self.sender.poll(*now) {
                Action::WaitUntil(at) => *now = (*now).max(at),
                Action::Fork {
                    cause,
                    from,
                    serials_used,
                } => {
                    seen(format!("fork: {cause:?} {}", name(from)));
                    self.journal.fork(new_stream(), cause, from);
                    self.journal.serial = self.journal.serial.max(serials_used);
                    self.sender.handle_forked(self.journal.state());
                    return None;
                }
                Action::Compare { central } => {
                    let own = self.journal.own_digest(central.seq);
                    seen(match own {
                        None => "compared: cannot tell",
                        Some(own) if own == central.digest => "compared: agrees",
                        Some(_) => "compared: differs",
                    });
                    if let Some(position) = self.sender.handle_comparison(own) {
                        self.journal.acknowledged = position;
                    }
                    return None;
                }
                Action::Submit {
                    after, most_bytes, ..
                } => return self.submit(*now, after, most, most_bytes),
            }
        }
    }

    fn submit(
        &mut self,
        now: Duration,
        after: Position,
        most: usize,
        most_bytes: usize,
    ) -> Option<String> {
        let journal = &self.journal;
        let damaged = journal.unreadable();
        let mut room = most_bytes;
        let operations: Vec<&str> = (journal.acknowledged_row() + 1..)
            .map_while(|position| Some(&*journal.readable(position)?.bytes))
            .take(most)
            .enumerate()
            .take_while(|(n, bytes)| {
                let fits = *n == 0 || bytes.len() <= room;
                room = room.saturating_sub(bytes.len());
                fits
            })
            .map(|(_, bytes)| bytes)
            .collect();
        let bytes: Vec<&[u8]> = operations.iter().map(|text| text.as_bytes()).collect();
        let loaded = if damaged > 0 {
            let through = after.seq.plus(damaged as u64);
            Loaded::Damaged { through }
        } else {
            Loaded::Operations(&bytes)
        };
        let after = self.sender.handle_loaded(now, &loaded)?;
        let first = after.seq == Seq(0);
        let submission = Submission {
            stream: journal.stream,
            continues: journal.continues.filter(|_| first),
            after,
            operations: operations.iter().map(|text| raw(text)).collect(),
            cursor: journal.cursor.clone(),
            health: Health::default(),
        };
        Some(serde_json::to_string(&submission).unwrap())
    }

    /// A success with this body arrives.
    pub fn hear_reply(&mut self, now: Duration, body: &str) {
        let reply: SubmissionReply = serde_json::from_str(body).unwrap();
        let Ok(settled) = self.sender.handle_reply(now, &reply) else {
            seen("reply: unfit");
            let heard = Heard::Answer {
                status: 200,
                problem: None,
                retry_after: None,
            };
            self.sender.handle_outcome(now, &classify(heard), DELAY);
            return;
        };
        if settled.journal_is_behind {
            seen("reply: journal is behind");
        }
        let verdicts = settled.verdicts.into_iter().map(|at| (at.seq, at.verdict));
        self.journal
            .settle(settled.acknowledged, &verdicts.collect());
        self.journal.read_news(reply.news);
    }

    /// A problem document arrives.
    pub fn hear_problem(&mut self, now: Duration, body: &str) {
        let problem: Problem = serde_json::from_str(body).unwrap();
        let heard = Heard::Answer {
            status: problem.status,
            problem: Some(&problem),
            retry_after: None,
        };
        self.sender.handle_outcome(now, &classify(heard), DELAY);
    }

    /// No answer arrives.
    pub fn hear_nothing(&mut self, now: Duration) {
        let heard = Heard::Failed(Failure::Interrupted);
        self.sender.handle_outcome(now, &classify(heard), DELAY);
    }
}

fn name(from: ForkFrom) -> &'static str {
    match from {
        ForkFrom::Unacknowledged => "Unacknowledged",
        ForkFrom::Retained => "Retained",
        ForkFrom::Behind(_) => "Behind",
    }
}

fn raw(text: &str) -> &RawValue {
    serde_json::from_str(text).unwrap()
}
