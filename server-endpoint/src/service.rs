//! Service goals: by when a ticket is to be answered and done, in business hours.
//!
//! Beside the data's way: the desk's read model asks, for each ticket that changed. Pure: what is due follows
//! from the goals and from what happened on the ticket, and from nothing else, so that a read model that is
//! built anew says the same, and other goals count all tickets again.
//!
//! The rules:
//! - The first goal, from the top, that fits a ticket's present priority and category is the ticket's.
//! - The clock of the first answer runs until central replies, or settles the ticket without a word.
//! - The clock of the resolution runs while a ticket is new or open. It stands still while central waits for
//!   the branch, and while the ticket is resolved or closed; it goes on where it stopped.
//! - Both run twice: from when central had the ticket, which is what central can be held to, and from when the
//!   branch filed it, which is what the branch has seen of it. A branch's clock that is ahead counts as
//!   central's.
//! - What was missed stays missed. Of a ticket that was withdrawn or merged nothing is due.

use branchline_protocol::desk::TicketState;
use branchline_protocol::operation::Priority;
use branchline_protocol::time::UnixMillis;

mod calendar;

#[cfg(test)]
mod tests;

pub use calendar::{Calendar, CalendarFault, HOURS_MOST, Spent};

/// What counts for whom.
#[derive(Debug, Clone, Default)]
pub struct Goals {
    /// When work is done.
    pub calendar: Calendar,
    /// Which clock says what is due first.
    pub counts_from: CountsFrom,
    /// The first that fits counts.
    pub goals: Vec<Goal>,
    /// Says whether others were counted by the same goals.
    pub fingerprint: String,
}

/// From when a ticket's clocks count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CountsFrom {
    /// From when central had it.
    #[default]
    Received,
    /// From when the branch filed it.
    Filed,
}

/// What is promised to some tickets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Goal {
    /// To those of this priority; `None`: of any.
    pub priority: Option<Priority>,
    /// To those in this category; `None`: in any.
    pub category: Option<String>,
    /// Milliseconds until the first answer; `None`: nothing is promised.
    pub first_answer: Option<i64>,
    /// Milliseconds until it is done; `None`: nothing is promised.
    pub resolution: Option<i64>,
    /// Every hour of every day counts.
    pub around_the_clock: bool,
}

/// What happened on a ticket, so far as its clocks mind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// As it is seen now.
    pub priority: String,
    /// As it is seen now.
    pub category: String,
    /// Where it stands.
    pub state: TicketState,
    /// By the branch's clock.
    pub filed: UnixMillis,
    /// By central's.
    pub received: UnixMillis,
    /// When central first answered, or settled it without an answer.
    pub answered: Option<UnixMillis>,
    /// Since when it is resolved or closed.
    pub resolved: Option<UnixMillis>,
    /// Where it went after its filing, in order.
    pub moves: Vec<(UnixMillis, TicketState)>,
}

/// When something is due by one of the two clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Clock {
    /// By then it is to be answered; it stays when it was.
    pub first_answer: Option<UnixMillis>,
    /// By then it is to be done, or was to be when it was done. `None` too while the clock stands still.
    pub resolution: Option<UnixMillis>,
}

/// What is due on a ticket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Service {
    /// Counted from when central had it.
    pub received: Clock,
    /// Counted from when the branch filed it.
    pub filed: Clock,
    /// The resolution's clock stands still, because central waits for the branch.
    pub paused: bool,
    /// What is to be done first, by the clock that counts.
    pub next: Option<UnixMillis>,
}

impl Goals {
    /// No ticket has anything due.
    pub fn is_empty(&self) -> bool {
        self.goals.is_empty()
    }

    /// What is due on this ticket.
    pub fn of(&self, facts: &Facts) -> Service {
        let fits = |goal: &&Goal| {
            let priority = goal.priority.is_none_or(|p| p.as_str() == facts.priority);
            priority && goal.category.as_ref().is_none_or(|c| *c == facts.category)
        };
        let Some(goal) = self.goals.iter().find(fits) else {
            return Service::default();
        };
        if facts.state.is_final() {
            return Service::default();
        }
        let received = self.clock(goal, facts, facts.received);
        let filed = self.clock(goal, facts, facts.filed.min(facts.received));
        let counted = match self.counts_from {
            CountsFrom::Received => received,
            CountsFrom::Filed => filed,
        };
        let answer = counted.first_answer.filter(|_| facts.answered.is_none());
        let done = counted.resolution.filter(|_| facts.resolved.is_none());
        Service {
            received,
            filed,
            paused: goal.resolution.is_some() && facts.state == TicketState::Waiting,
            next: answer.into_iter().chain(done).min(),
        }
    }

    fn clock(&self, goal: &Goal, facts: &Facts, from: UnixMillis) -> Clock {
        let first_answer = goal.first_answer.and_then(|most| {
            let spent = self.spend(goal, from.0, None, most);
            spent.at()
        });
        Clock {
            first_answer: first_answer.map(UnixMillis),
            resolution: goal
                .resolution
                .and_then(|most| self.resolution(goal, facts, from.0, most))
                .map(UnixMillis),
        }
    }

    /// Counts through the times in which the clock ran.
    fn resolution(&self, goal: &Goal, facts: &Facts, from: i64, most: i64) -> Option<i64> {
        let mut left = most;
        let mut began = Some(from);
        // What would have been due, had the last run gone on.
        let mut due = None;
        for (at, state) in &facts.moves {
            match (began, runs(*state)) {
                (Some(start), false) => {
                    // Central's clock may have been set back.
                    let stopped = at.0.max(start);
                    match self.spend(goal, start, Some(stopped), left) {
                        Spent::At(missed) => return Some(missed),
                        Spent::Left(still) => {
                            due = self.spend(goal, start, None, left).at();
                            left = still;
                        }
                    }
                    began = None;
                }
                (None, true) => began = Some(at.0.max(from)),
                _ => {}
            }
        }
        match began {
            Some(start) => self.spend(goal, start, None, left).at(),
            None if facts.state == TicketState::Waiting => None,
            None => due,
        }
    }

    fn spend(&self, goal: &Goal, from: i64, until: Option<i64>, most: i64) -> Spent {
        if !goal.around_the_clock {
            return self.calendar.spend(from, until, most);
        }
        let end = from.saturating_add(most);
        match until {
            Some(until) if until < end => Spent::Left(end.saturating_sub(until.max(from))),
            _ => Spent::At(end),
        }
    }
}

/// Whether the clock of the resolution runs.
fn runs(state: TicketState) -> bool {
    matches!(state, TicketState::New | TicketState::Open)
}
