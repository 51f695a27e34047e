//! Central's end of a stream: what to accept of a submission, and what each operation does.
//!
//! Two pure questions, asked inside the ledger's transaction. [`place`]: where does this submission
//! fit the stream? [`judge`]: what does this operation do? The ledger answers look-ups through
//! [`Known`] and stores what comes out, all in one commit (P2, P3).
//!
//! Invariants:
//! - A stream's head only grows, one operation at a time, and its digests never change.
//! - What an operation does depends on what was there before it in ledger order alone, so that a
//!   repeat of any kind (the same submission, the same operation in a new stream) changes nothing.
//! - There is no operation that cannot be placed: what cannot be read or breaks a rule takes its
//!   position with a `rejected` verdict (P6).

use crate::chain::Position;
use crate::event::{Rejection, RejectionCode, Verdict};
use crate::exchange::Continues;
use crate::id::{BranchCode, Digest, FileId, OperationId, Seq, StreamId, TicketId, TicketNumber};
use crate::limits;
use crate::operation::{Body, Malformed, Operation, Parsed, TicketFiled};

/// Where a submission fits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Placement {
    /// The first `repeated` operations are held already; append the others, if any.
    Append {
        /// How many are repeats.
        repeated: usize,
        /// The position of each operation submitted, repeats included.
        positions: Vec<Position>,
    },
    /// Central holds less than the agent builds on.
    Gap {
        /// Central's head.
        head: Position,
    },
    /// The agent's stream and central's are two different ones.
    Diverged {
        /// Central's head.
        head: Position,
        /// Whether `after` is common ground.
        agreed: bool,
    },
}

/// What central holds of the streams that a submission names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Holdings {
    /// The head of the stream submitted to, or `None` where it is new.
    pub head: Option<Position>,
    /// The digest that central holds of the stream that it continues at [`Continues::at`]; `None`
    /// where central holds nothing there or nothing is needed.
    pub continued: Option<Digest>,
}

/// Places a submission. `digest_at` gives the digest that central holds at a position of the stream,
/// between 1 and its head.
pub fn place<E>(
    stream: StreamId,
    central: Holdings,
    continues: Option<&Continues>,
    after: Position,
    operations: &[&[u8]],
    mut digest_at: impl FnMut(Seq) -> Result<Option<Digest>, E>,
) -> Result<Placement, E> {
    let genesis = Position::genesis(stream);
    let head = central.head.unwrap_or(genesis);
    let mut holds = |position: Position| -> Result<bool, E> {
        if position.seq == Seq(0) {
            return Ok(position == genesis);
        }
        Ok(digest_at(position.seq)? == Some(position.digest))
    };

    if after.seq > head.seq
        || (central.head.is_none() && lacks_what_it_continues(central, continues))
    {
        return Ok(Placement::Gap { head });
    }
    if !holds(after)? {
        return Ok(Placement::Diverged {
            head,
            agreed: false,
        });
    }
    let mut position = after;
    let positions: Vec<Position> = operations
        .iter()
        .map(|operation| {
            position = position.then(operation);
            position
        })
        .collect();
    // The chain makes the last common position speak for all before it.
    let repeated = positions
        .iter()
        .take_while(|position| position.seq <= head.seq)
        .count();
    let last_common = positions.get(..repeated).and_then(<[_]>::last);
    if let Some(last) = last_common
        && !holds(*last)?
    {
        return Ok(Placement::Diverged { head, agreed: true });
    }
    Ok(Placement::Append {
        repeated,
        positions,
    })
}

/// A new stream starts after operations that central was restored to before. The digest decides: as
/// many operations of another copy of the journal may have taken their place since.
fn lacks_what_it_continues(central: Holdings, continues: Option<&Continues>) -> bool {
    let Some(needed) = continues.and_then(|continues| continues.at) else {
        return false;
    };
    needed.seq > Seq(0) && central.continued != Some(needed.digest)
}

/// Whose stream an operation came in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The agent's branch.
    pub branch: BranchCode,
    /// Which of the branch's agents.
    pub ordinal: u16,
}

/// What the ledger knows, asked in its transaction.
pub trait Known {
    /// The ledger's own failure.
    type Error;
    /// The verdict that this agent's operation with this id got before, in any of its streams.
    fn operation(&mut self, id: OperationId) -> Result<Option<Verdict>, Self::Error>;
    /// The ticket with this id, of whichever branch.
    fn ticket(&mut self, id: TicketId) -> Result<Option<TicketFacts>, Self::Error>;
    /// Whether a file with this id is there, of whichever agent.
    fn file_taken(&mut self, id: FileId) -> Result<bool, Self::Error>;
    /// The highest suffix in use of this number, 1 where only the number itself is; `None` where it
    /// is free.
    fn highest_suffix(&mut self, given: &TicketNumber) -> Result<Option<u32>, Self::Error>;
}

/// What [`judge`] needs to know of a ticket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TicketFacts {
    /// Its branch.
    pub branch: BranchCode,
    /// The number that it has at central.
    pub number: TicketNumber,
    /// The branch took it back.
    pub withdrawn: bool,
}

/// What an operation does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Judgement {
    /// Nothing: it was here before (P2).
    Repeat {
        /// The verdict that it got then; for a ticket filed again under another number, the one that the
        /// ticket has.
        verdict: Verdict,
    },
    /// What it says, in effect from now on.
    Effect {
        /// The operation.
        operation: Operation,
        /// For a ticket filed: the number that it has at central.
        number: Option<TicketNumber>,
    },
    /// Nothing, for this reason (P6).
    Rejected {
        /// Absent where not even an id could be read.
        id: Option<OperationId>,
        /// Why.
        reason: Rejection,
    },
}

impl Judgement {
    /// The verdict that goes on record and back to the agent.
    pub fn verdict(&self) -> Verdict {
        match self {
            Self::Repeat { verdict } => verdict.clone(),
            Self::Rejected { reason, .. } => Verdict::Rejected {
                reason: reason.clone(),
            },
            Self::Effect {
                number: Some(number),
                ..
            } if number.suffix > 1 => Verdict::Renumbered {
                number: number.clone(),
            },
            Self::Effect { .. } => Verdict::Accepted,
        }
    }
}

/// Decides what an operation does.
pub fn judge<K: Known>(
    known: &mut K,
    origin: &Origin,
    bytes: &[u8],
) -> Result<Judgement, K::Error> {
    let parsed = match Operation::parse(bytes) {
        Ok(parsed) => parsed,
        Err(malformed) => return judge_malformed(known, &malformed),
    };
    let id = match &parsed {
        Parsed::Known(operation) => operation.id,
        Parsed::Unknown { id, .. } => *id,
    };
    if let Some(verdict) = known.operation(id)? {
        let verdict = repeated(known, &parsed, verdict)?;
        return Ok(Judgement::Repeat { verdict });
    }
    let operation = match parsed {
        Parsed::Known(operation) => operation,
        Parsed::Unknown { kind, .. } => {
            let detail = format!(
                "central does not know operations of kind {kind:?} yet; it is kept, and takes effect \
                 once central has been upgraded and has read it again"
            );
            return Ok(rejected(Some(id), RejectionCode::UnknownKind, &detail));
        }
    };
    if let Some(fault) = operation.faults().first() {
        return Ok(rejected(
            Some(id),
            RejectionCode::InvalidField,
            &fault.to_string(),
        ));
    }
    match &operation.body {
        Body::TicketFiled(body) => {
            judge_filing(known, origin, id, body).map(|judged| match judged {
                Ok(number) => Judgement::Effect {
                    operation,
                    number: Some(number),
                },
                Err(rejected) => rejected,
            })
        }
        Body::CommentAdded(_) | Body::TicketWithdrawn(_) | Body::FileAttached(_) => {
            judge_on_ticket(known, origin, operation)
        }
    }
}

/// An agent restored from an old image may file the same ticket once more and number it anew: the ticket
/// keeps the number that it has, and both sides show that.
fn repeated<K: Known>(
    known: &mut K,
    parsed: &Parsed,
    before: Verdict,
) -> Result<Verdict, K::Error> {
    let Parsed::Known(operation) = parsed else {
        return Ok(before);
    };
    let Body::TicketFiled(filed) = &operation.body else {
        return Ok(before);
    };
    if matches!(before, Verdict::Rejected { .. }) {
        return Ok(before);
    }
    Ok(match known.ticket(operation.id.into())? {
        Some(facts) if facts.number == filed.number => Verdict::Accepted,
        Some(facts) => Verdict::Renumbered {
            number: facts.number,
        },
        None => before,
    })
}

fn judge_malformed<K: Known>(known: &mut K, malformed: &Malformed) -> Result<Judgement, K::Error> {
    let id = match malformed {
        Malformed::Body { id, .. } => Some(*id),
        Malformed::TooLarge(_) | Malformed::Envelope(_) => None,
    };
    if let Some(id) = id
        && let Some(verdict) = known.operation(id)?
    {
        return Ok(Judgement::Repeat { verdict });
    }
    Ok(rejected(
        id,
        RejectionCode::Malformed,
        &malformed.to_string(),
    ))
}

fn judge_filing<K: Known>(
    known: &mut K,
    origin: &Origin,
    id: OperationId,
    body: &TicketFiled,
) -> Result<Result<TicketNumber, Judgement>, K::Error> {
    if body.number.branch != origin.branch || body.number.ordinal != origin.ordinal {
        let own = TicketNumber::given(origin.branch.clone(), origin.ordinal, 1);
        let detail = format!(
            "{} is not a number of this agent; its own look like {own}",
            body.number
        );
        return Ok(Err(rejected(
            Some(id),
            RejectionCode::ForeignNumber,
            &detail,
        )));
    }
    // Its agent has no such operation (asked before), so whoever has this ticket is another agent.
    if known.ticket(id.into())?.is_some() {
        let detail = "another agent has filed a ticket with this id; file it again";
        return Ok(Err(rejected(Some(id), RejectionCode::IdTaken, detail)));
    }
    let mut number = body.number.clone();
    if let Some(suffix) = known.highest_suffix(&number)? {
        number.suffix = suffix.saturating_add(1);
    }
    Ok(Ok(number))
}

fn judge_on_ticket<K: Known>(
    known: &mut K,
    origin: &Origin,
    operation: Operation,
) -> Result<Judgement, K::Error> {
    let facts = match operation.body.ticket() {
        Some(ticket) => known.ticket(ticket)?,
        None => None,
    };
    // Another branch's ticket is answered as one that does not exist: ids tell nothing.
    let Some(facts) = facts.filter(|facts| facts.branch == origin.branch) else {
        let detail = "central has no such ticket of this branch; it may have been rejected, see its \
                      own entry";
        return Ok(rejected(
            Some(operation.id),
            RejectionCode::UnknownTicket,
            detail,
        ));
    };
    // Its agent has no such operation (asked before), so whoever has this file is another agent.
    if matches!(operation.body, Body::FileAttached(_)) && known.file_taken(operation.id.into())? {
        let detail = "another agent has attached a file with this id; attach it again";
        return Ok(rejected(Some(operation.id), RejectionCode::IdTaken, detail));
    }
    if facts.withdrawn && matches!(operation.body, Body::TicketWithdrawn(_)) {
        let detail = "the ticket had been withdrawn before; nothing needs to be done";
        return Ok(rejected(
            Some(operation.id),
            RejectionCode::AlreadyWithdrawn,
            detail,
        ));
    }
    Ok(Judgement::Effect {
        operation,
        number: None,
    })
}

fn rejected(id: Option<OperationId>, code: RejectionCode, detail: &str) -> Judgement {
    let detail = crate::text::clipped(detail, limits::DETAIL_CHARS).to_owned();
    Judgement::Rejected {
        id,
        reason: Rejection { code, detail },
    }
}
