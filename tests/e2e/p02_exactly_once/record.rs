//! What branches were answered, and whether central holds just that: each thing once, in order.

use std::collections::{BTreeMap, BTreeSet};

use branchline_agent_api::OperationSaved;
use branchline_protocol::id::{OperationId, TicketId, TicketNumber};
use harness::processes::{Central, succeeded};
use serde::Deserialize;

/// A new id, as a client makes it.
pub fn new_id() -> OperationId {
    OperationId::from_parts(1_790_000_000_000, std::array::from_fn(|_| fastrand::u8(..)))
}

/// Answers that said "saved".
#[derive(Debug, Default)]
pub struct Record {
    tickets: BTreeMap<TicketId, Filed>,
}

#[derive(Debug)]
struct Filed {
    given: TicketNumber,
    comments: Vec<OperationId>,
    withdrawn: bool,
}

impl Record {
    /// A ticket was saved.
    pub fn filed(&mut self, saved: &OperationSaved) {
        let filed = Filed {
            given: saved.number.clone(),
            comments: Vec::new(),
            withdrawn: false,
        };
        let known = self.tickets.insert(saved.operation.into(), filed);
        assert!(known.is_none(), "{saved:?} was answered before");
    }

    /// A comment on that ticket was saved.
    pub fn commented(&mut self, ticket: &OperationSaved, comment: &OperationSaved) {
        self.ticket(ticket).comments.push(comment.operation);
    }

    /// The ticket was taken back.
    pub fn withdrawn(&mut self, ticket: &OperationSaved) {
        self.ticket(ticket).withdrawn = true;
    }

    fn ticket(&mut self, ticket: &OperationSaved) -> &mut Filed {
        self.tickets
            .get_mut(&ticket.operation.into())
            .expect("the ticket was filed first")
    }

    /// What others of the same branch were answered.
    pub fn extend(&mut self, other: Self) {
        let before = self.tickets.len() + other.tickets.len();
        self.tickets.extend(other.tickets);
        assert_eq!(self.tickets.len(), before, "an id was answered twice");
    }

    /// How many tickets.
    pub fn len(&self) -> usize {
        self.tickets.len()
    }

    /// Central holds these tickets, once each, under numbers of their own that are the given ones or
    /// have a suffix, with these comments in this order, and nothing else.
    pub fn assert_arrived(&self, central: &Central, branch: &str) {
        let held = held_tickets(central, branch);
        let mut ids: Vec<TicketId> = held.iter().map(|held| held.ticket).collect();
        ids.sort_unstable();
        let filed: Vec<TicketId> = self.tickets.keys().copied().collect();
        assert_eq!(ids, filed, "central's tickets and those that were saved");
        let numbers: BTreeSet<&TicketNumber> = held.iter().map(|held| &held.number).collect();
        assert_eq!(numbers.len(), held.len(), "a number was given twice");
        for held in &held {
            let filed = &self.tickets[&held.ticket];
            let mut without_suffix = held.number.clone();
            without_suffix.suffix = 1;
            assert_eq!(without_suffix, filed.given, "{held:?}");
            assert_eq!(held.state == "withdrawn", filed.withdrawn, "{held:?}");
            if !filed.comments.is_empty() {
                assert_eq!(
                    held_comments(central, &held.number),
                    filed.comments,
                    "{held:?}"
                );
            }
        }
    }
}

/// A ticket as central lists it.
#[derive(Debug, Deserialize)]
pub struct HeldTicket {
    /// With its suffix.
    pub number: TicketNumber,
    /// For ever.
    pub ticket: TicketId,
    state: String,
}

/// A branch's tickets at central, by number.
pub fn held_tickets(central: &Central, branch: &str) -> Vec<HeldTicket> {
    #[derive(Deserialize)]
    struct Listed {
        tickets: Vec<HeldTicket>,
        more: bool,
    }
    let args = [
        "tickets", "list", "--branch", branch, "--limit", "10000", "--json",
    ];
    let listed: Listed = serde_json::from_str(&succeeded(&central.cli(&args))).unwrap();
    assert!(!listed.more, "more tickets than one page holds");
    listed.tickets
}

fn held_comments(central: &Central, number: &TicketNumber) -> Vec<OperationId> {
    #[derive(Deserialize)]
    struct Shown {
        comments: Vec<HeldComment>,
    }
    #[derive(Deserialize)]
    struct HeldComment {
        operation: OperationId,
    }
    let shown = succeeded(&central.cli(&["tickets", "show", &number.to_string(), "--json"]));
    let shown: Shown = serde_json::from_str(&shown).unwrap();
    shown
        .comments
        .iter()
        .map(|comment| comment.operation)
        .collect()
}
