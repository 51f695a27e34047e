//! What must be: the promises, told apart by what has happened, without looking at how they are
//! kept.
//!
//! Faults excuse exactly this much:
//! - An operation may be missing at central when no running journal holds it soundly any more, and
//!   it went with a damaged row or a replaced disk, or it left the journal by age and central, which
//!   had taken it, was restored to before.
//! - First effects follow the journal, except for an operation that some copy of the journal could
//!   not send when its turn came (damaged; gone by age before central lost it), or that was asked for
//!   twice and so stands at two places.
//!
//! Nothing excuses an effect twice, two tickets with one number, or a number or a rejection that the
//! branch is not told.

use std::collections::{BTreeMap, BTreeSet};

use branchline_protocol::chain::Position;
use branchline_protocol::event::{RejectionCode, Verdict};
use branchline_protocol::exchange::{Submission, SubmissionReply};
use branchline_protocol::id::{OperationId, TicketId, TicketNumber};
use branchline_protocol::operation::{Body, Operation, Parsed};

use crate::agent::Journal;
use crate::central::Central;
use crate::world::{History, World};

macro_rules! must {
    ($holds:expr, $($otherwise:tt)*) => {
        if !$holds {
            return Err(format!($($otherwise)*));
        }
    };
}

/// After every act.
pub fn always(world: &World) -> Result<(), String> {
    no_shared_numbers(&world.central)?;
    for (who, agent) in world.agents.iter().enumerate() {
        must!(
            agent.journal.state() == *agent.sender.state(),
            "agent {who}: journal and sender disagree"
        );
        if !world.history.central_was_restored {
            for row in agent.journal.acknowledged_rows() {
                must!(
                    world.central.by_id.contains_key(&row.id) || row.damaged,
                    "agent {who}: {} is acknowledged, and central does not have it",
                    row.id
                );
            }
        }
    }
    Ok(())
}

/// When nothing moves any more.
pub fn at_rest(world: &World) -> Result<(), String> {
    let World {
        central, history, ..
    } = world;
    always(world)?;
    verdicts_follow_from_the_ledger(central)?;
    for (who, agent) in world.agents.iter().enumerate() {
        let journal = &agent.journal;
        must!(agent.sender.waiting() == 0, "agent {who} still waits");
        all_is_there(central, journal)
            .and_then(|()| in_order(central, history, journal))
            .and_then(|()| branch_is_told(central, history, journal))
            .map_err(|fault| format!("agent {who}: {fault}"))?;
    }
    nothing_else_is_missing(central, history)
}

/// Central holds every operation that a running journal holds.
fn all_is_there(central: &Central, journal: &Journal) -> Result<(), String> {
    for row in journal.retained().iter().filter(|row| !row.damaged) {
        must!(
            central.by_id.contains_key(&row.id),
            "central does not have {}, which the journal retains",
            row.id
        );
    }
    Ok(())
}

fn nothing_else_is_missing(central: &Central, history: &History) -> Result<(), String> {
    for id in &history.saved {
        let disk = history.damaged.contains(id) || history.abandoned.contains(id);
        let age = history.pruned.contains(id) && history.central_lost.contains(id);
        must!(
            central.by_id.contains_key(id) || disk || age,
            "{id} is missing, and nothing that happened explains it"
        );
    }
    Ok(())
}

fn in_order(central: &Central, history: &History, journal: &Journal) -> Result<(), String> {
    let excused = |id: &OperationId| {
        history.damaged.contains(id)
            || history.asked_again.contains(id)
            || (history.pruned.contains(id) && history.central_lost.contains(id))
    };
    let ids = journal.retained().iter().map(|row| row.id);
    let effects = ids
        .filter(|id| !excused(id))
        .map(|id| (central.by_id[&id], id));
    let effects: Vec<_> = effects.collect();
    for pair in effects.windows(2) {
        must!(
            pair[0].0 < pair[1].0,
            "{} took effect after {}",
            pair[0].1,
            pair[1].1
        );
    }
    Ok(())
}

fn branch_is_told(central: &Central, history: &History, journal: &Journal) -> Result<(), String> {
    for row in journal.all_rows() {
        let Some(at) = central.by_id.get(&row.id) else {
            continue;
        };
        let rejected = matches!(central.entries[*at].verdict, Verdict::Rejected { .. });
        must!(
            rejected == journal.rejected.contains(&row.id),
            "{} is rejected: {rejected}; the branch thinks otherwise",
            row.id
        );
        // Asked for twice, it got a number each time, of which central knows the first.
        if let Some(given) = &row.given
            && !history.asked_again.contains(&row.id)
        {
            let here = journal.renumbered.get(&row.ticket).unwrap_or(given);
            let there = &central.tickets[&row.ticket].number;
            must!(
                here == there,
                "ticket {} is {there} at central and {here} at the branch",
                row.ticket
            );
        }
    }
    Ok(())
}

fn no_shared_numbers(central: &Central) -> Result<(), String> {
    let mut numbers = BTreeSet::new();
    for (id, ticket) in &central.tickets {
        must!(
            numbers.insert(&ticket.number),
            "ticket {id} shares the number {}",
            ticket.number
        );
    }
    Ok(())
}

/// The ledger's order alone decides each verdict: told here in the plainest way.
fn verdicts_follow_from_the_ledger(central: &Central) -> Result<(), String> {
    let mut numbers: BTreeMap<TicketNumber, u32> = BTreeMap::new();
    let mut withdrawn: BTreeMap<TicketId, bool> = BTreeMap::new();
    for entry in &central.entries {
        let Ok(Parsed::Known(operation)) = Operation::parse(&entry.bytes) else {
            return Err("an operation of the model cannot be read".to_owned());
        };
        let expected = match operation.body {
            Body::TicketFiled(body) => {
                withdrawn.insert(operation.id.into(), false);
                let times = numbers.entry(body.number.clone()).or_default();
                *times += 1;
                (*times > 1).then_some(Expected::Suffix(*times))
            }
            Body::CommentAdded(_) | Body::FileAttached(_) | Body::TicketWithdrawn(_)
                if !withdrawn.contains_key(&operation.body.ticket().unwrap()) =>
            {
                Some(Expected::Rejected(RejectionCode::UnknownTicket))
            }
            Body::TicketWithdrawn(body) => withdrawn
                .insert(body.ticket, true)
                .filter(|was| *was)
                .map(|_| Expected::Rejected(RejectionCode::AlreadyWithdrawn)),
            Body::CommentAdded(_) | Body::FileAttached(_) => None,
        };
        let got = match &entry.verdict {
            Verdict::Accepted => None,
            Verdict::Renumbered { number } => Some(Expected::Suffix(number.suffix)),
            Verdict::Rejected { reason } => Some(Expected::Rejected(reason.code)),
        };
        must!(
            got == expected,
            "{} got {got:?}; the ledger says {expected:?}",
            entry.id
        );
    }
    Ok(())
}

#[derive(Debug, PartialEq, Eq)]
enum Expected {
    Suffix(u32),
    Rejected(RejectionCode),
}

/// Whether a reply acknowledges a position that this request asks about.
pub fn could_answer(request: &str, reply: &str) -> bool {
    let request: Submission<'_> = serde_json::from_str(request).unwrap();
    let reply: SubmissionReply = serde_json::from_str(reply).unwrap();
    let mut position: Position = request.after;
    let positions = request.operations.iter().map(|operation| {
        position = position.then(operation.get().as_bytes());
        position
    });
    let positions: Vec<Position> = positions.collect();
    reply.acknowledged == request.after && positions.is_empty()
        || positions.contains(&reply.acknowledged)
}
