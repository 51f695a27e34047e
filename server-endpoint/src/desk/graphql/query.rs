//! The questions that there are.

use std::sync::Arc;

use async_graphql::{Context, Enum, Object, Result, SimpleObject};
use branchline_protocol::id::BranchCode;
use branchline_protocol::time::UnixMillis;

use super::fleet::{BranchList, Catalogue};
use super::refused;
use super::scalars::{Time, number};
use super::tickets::{Due, Priority, Tally, Ticket, TicketOrder, TicketPage, TicketState};
use super::trail::TrailEntry;
use crate::desk::Desk;
use crate::desk::callers::Who;
use crate::desk::problem::{Kind, Refusal};
use crate::desk::read_model::{Order, PAGE_TICKETS, Place, TicketQuery};
use crate::ledger::{self, NAME_CHARS, TrailFilter};

/// Characters of what is looked for.
const SEARCH_CHARS: usize = 1_000;
/// Values of one filter.
const VALUES: usize = 100;
/// What is due within this time is due soon.
const SOON_MILLIS: i64 = 4 * 3_600 * 1_000;
/// Entries of the trail in one answer.
const TRAIL: i32 = 500;

/// The questions.
pub(crate) struct Query;

/// Somebody who is signed in.
#[derive(SimpleObject)]
struct Me {
    /// An operator's name, or `api-token N`.
    name: String,
    /// What it may do.
    rights: Vec<Right>,
}

/// What somebody may do.
#[derive(Clone, Copy, PartialEq, Eq, Enum)]
enum Right {
    /// Search and read tickets.
    Read,
    /// Answer, assign and move tickets.
    Reply,
    /// Release files.
    Release,
    /// Operators, tokens, agents, the catalogue, the trail.
    Administer,
}

impl From<ledger::Right> for Right {
    fn from(right: ledger::Right) -> Self {
        match right {
            ledger::Right::Read => Self::Read,
            ledger::Right::Reply => Self::Reply,
            ledger::Right::Release => Self::Release,
            ledger::Right::Administer => Self::Administer,
        }
    }
}

/// As of when questions are answered.
#[derive(SimpleObject)]
struct Freshness {
    /// The last event that is known.
    position: f64,
    /// Since when the ledger cannot be followed; null while it can.
    behind_since: Option<Time>,
}

#[Object]
#[allow(
    clippy::unused_async,
    reason = "the macro wants every answer to be one that may wait"
)]
impl Query {
    /// Who asks.
    async fn me(&self, context: &Context<'_>) -> Result<Me> {
        let who = context.data::<Who>()?;
        Ok(Me {
            name: who.name(),
            rights: who.caller.rights().iter().map(|&r| r.into()).collect(),
        })
    }

    /// As of when questions are answered.
    async fn freshness(&self, context: &Context<'_>) -> Result<Freshness> {
        let freshness = *desk(context)?.model.freshness().borrow();
        Ok(Freshness {
            position: number(freshness.position),
            behind_since: freshness.behind_since.map(Time),
        })
    }

    // Arguments with a default are optional too: a program may name a variable for each and set few of them.
    /// Tickets, newest first: filtered, searched, in pages.
    #[graphql(
        complexity = "10 + usize::try_from(first.unwrap_or(50).clamp(1, 200)).unwrap_or(200) * child_complexity"
    )]
    #[allow(
        clippy::too_many_arguments,
        reason = "each is one filter of the question"
    )]
    async fn tickets(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Words, all of which a ticket must have")] search: Option<String>,
        branches: Option<Vec<String>>,
        states: Option<Vec<TicketState>>,
        priorities: Option<Vec<Priority>>,
        categories: Option<Vec<String>>,
        #[graphql(desc = "This operator's")] assignee: Option<String>,
        #[graphql(desc = "Nobody's; with `assignee`, those too")] unassigned: Option<bool>,
        #[graphql(desc = "With one of these")] tags: Option<Vec<String>>,
        #[graphql(desc = "By what is due on them")] due: Option<Due>,
        #[graphql(default_with = "Some(TicketOrder::Newest)")] order: Option<TicketOrder>,
        #[graphql(desc = "`next` of the page before, in the same order")] after: Option<String>,
        #[graphql(default = 50)] first: Option<i32>,
    ) -> Result<TicketPage> {
        let search = bounded(search.unwrap_or_default(), SEARCH_CHARS, "search")?;
        let at = ledger::now();
        let order = match order.unwrap_or(TicketOrder::Newest) {
            TicketOrder::Newest => Order::Newest,
            TicketOrder::Due => Order::Due,
        };
        let query = TicketQuery {
            search,
            branches: codes(few(branches, "branches")?)?,
            states: few(states, "states")?
                .into_iter()
                .map(|s| s.word().to_owned())
                .collect(),
            priorities: few(priorities, "priorities")?
                .into_iter()
                .map(|p| p.word().to_owned())
                .collect(),
            categories: few(categories, "categories")?,
            tags: few(tags, "tags")?,
            assignee: assignee
                .map(|name| bounded(name, NAME_CHARS, "assignee"))
                .transpose()?,
            unassigned: unassigned.unwrap_or_default(),
            due_before: due.map(|due| due_before(due, at)),
            due_from: due.filter(|due| *due == Due::Soon).map(|_| at),
            order,
            after: after.map(|after| place(&after, order)).transpose()?,
            most: usize::try_from(first.unwrap_or(50))
                .unwrap_or(1)
                .clamp(1, PAGE_TICKETS),
        };
        let page = desk(context)?.model.tickets(query).await;
        Ok(page.map_err(refused)?.into())
    }

    /// One ticket with all that belongs to it.
    #[graphql(complexity = "20 + 20 * child_complexity")]
    async fn ticket(&self, context: &Context<'_>, number: String) -> Result<Option<Ticket>> {
        let number = bounded(number, 64, "number")?;
        let found = desk(context)?.model.ticket(number).await;
        Ok(found.map_err(refused)?.map(Ticket::from))
    }

    /// How many tickets there are.
    #[graphql(complexity = "100 + child_complexity")]
    async fn tally(&self, context: &Context<'_>) -> Result<Vec<Tally>> {
        let tally = desk(context)?.model.tally().await;
        let tally = tally.map_err(refused)?;
        Ok(tally.into_iter().map(Tally::from).collect())
    }

    /// How branches are, those that need attention first.
    #[graphql(complexity = "100 + 50 * child_complexity")]
    async fn branches(&self, context: &Context<'_>) -> Result<BranchList> {
        let taken = desk(context)?.snapshot.now();
        Ok(taken
            .ok_or_else(|| refused(Refusal::away()))?
            .as_ref()
            .into())
    }

    /// Operators' names, to assign tickets to.
    #[graphql(complexity = "100")]
    async fn people(&self, context: &Context<'_>) -> Result<Vec<String>> {
        let taken = desk(context)?.snapshot.now();
        Ok(taken
            .ok_or_else(|| refused(Refusal::away()))?
            .people
            .clone())
    }

    /// What branches file by.
    #[graphql(complexity = "50 + 20 * child_complexity")]
    async fn catalogue(&self, context: &Context<'_>) -> Result<Catalogue> {
        let taken = desk(context)?.snapshot.now();
        let taken = taken.ok_or_else(|| refused(Refusal::away()))?;
        Ok(Catalogue::from(&taken.catalogue))
    }

    /// Who did what, oldest first; for administrators.
    #[graphql(
        complexity = "100 + usize::try_from(first.unwrap_or(100).clamp(1, 500)).unwrap_or(500) * child_complexity"
    )]
    async fn trail(
        &self,
        context: &Context<'_>,
        #[graphql(default_with = "Some(0.0)")] after: Option<f64>,
        actor: Option<String>,
        action: Option<String>,
        subject: Option<String>,
        #[graphql(default = 100)] first: Option<i32>,
    ) -> Result<Vec<TrailEntry>> {
        if !context.data::<Who>()?.may(ledger::Right::Administer) {
            let detail = "this needs the right administer, which you do not have";
            return Err(refused(Refusal::new(Kind::Forbidden, detail)));
        }
        let text = |text: Option<String>, name| text.map(|t| bounded(t, 200, name)).transpose();
        let filter = TrailFilter {
            since: None,
            actor: text(actor, "actor")?,
            action: text(action, "action")?,
            subject: text(subject, "subject")?,
            after: position(after.unwrap_or(0.0))?,
            most: usize::try_from(first.unwrap_or(100).clamp(1, TRAIL)).unwrap_or(1),
        };
        let entries = desk(context)?.store.trail(filter).await;
        let entries = entries.map_err(refused)?;
        Ok(entries.into_iter().map(TrailEntry::from).collect())
    }
}

pub(super) fn desk<'a>(context: &Context<'a>) -> Result<&'a Arc<Desk>> {
    context.data::<Arc<Desk>>()
}

/// A position as it was answered.
pub(super) fn position(given: f64) -> Result<u64> {
    let wrong = || {
        refused(Refusal::field(
            "after",
            "is a position that was answered before",
        ))
    };
    if !(0.0..=9_007_199_254_740_992.0).contains(&given) || given.fract() != 0.0 {
        return Err(wrong());
    }
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it is whole and within 2^53"
    )]
    Ok(given as u64)
}

fn place(given: &str, order: Order) -> Result<Place> {
    let wrong = || {
        refused(Refusal::field(
            "after",
            "is the `next` of a page in this order",
        ))
    };
    let place: Place = given.parse().map_err(|_| wrong())?;
    if place.due.is_some() != (order == Order::Due) {
        return Err(wrong());
    }
    Ok(place)
}

fn due_before(due: Due, at: UnixMillis) -> UnixMillis {
    match due {
        Due::Overdue => at,
        Due::Soon => UnixMillis(at.0.saturating_add(SOON_MILLIS)),
    }
}

fn codes(given: Vec<String>) -> Result<Vec<BranchCode>> {
    let read = |code: String| {
        code.parse()
            .map_err(|_| refused(Refusal::field("branches", "holds what is no branch's code")))
    };
    given.into_iter().map(read).collect()
}

fn bounded(text: String, most: usize, field: &str) -> Result<String> {
    if text.chars().nth(most).is_some() {
        let fault = format!("has more than {most} characters");
        return Err(refused(Refusal::field(field, fault)));
    }
    Ok(text)
}

fn few<T>(given: Option<Vec<T>>, field: &str) -> Result<Vec<T>> {
    let given = given.unwrap_or_default();
    if given.len() > VALUES {
        let fault = format!("has more than {VALUES} values");
        return Err(refused(Refusal::field(field, fault)));
    }
    Ok(given)
}
