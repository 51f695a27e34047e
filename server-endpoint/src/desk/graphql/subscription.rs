//! What can be watched.

use std::sync::Arc;

use async_graphql::{Context, Result, SimpleObject, Subscription};
use futures_util::{Stream, StreamExt};

use super::query::{desk, position};
use super::refused;
use super::scalars::number;
use super::tickets::TicketSummary;
use crate::desk::live;
use crate::desk::read_model::ChangeView;

/// What can be watched.
pub(crate) struct Subscription;

/// One event, as it happens.
#[derive(SimpleObject)]
struct Change {
    /// Where it stands among all events: what to come back with.
    position: f64,
    branch: String,
    /// `ticket_filed`, `comment_added`, `reply_added`, `ticket_moved`, `file_moved` and so on.
    kind: String,
    /// The ticket's number, where it is about one.
    number: Option<String>,
    /// That ticket, as it is now.
    ticket: Option<TicketSummary>,
}

#[Subscription]
#[allow(clippy::unused_async, reason = "the macro wants it so")]
impl Subscription {
    /// Each event from behind `after` on, or from now on: none is left out, and none comes twice.
    async fn changes(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "The position that was heard of last")] after: Option<f64>,
    ) -> Result<impl Stream<Item = Result<Change>>> {
        let after = after.map(position).transpose()?;
        let changes = live::follow(desk(context)?.clone(), after);
        Ok(changes.map(|change| change.map(Change::from).map_err(refused)))
    }
}

impl From<Arc<ChangeView>> for Change {
    fn from(change: Arc<ChangeView>) -> Self {
        let ticket = change.ticket.as_ref();
        Self {
            position: number(change.position),
            branch: change.branch.clone(),
            kind: change.kind.clone(),
            number: ticket.map(|ticket| ticket.number.clone()),
            ticket: ticket.cloned().map(TicketSummary::from),
        }
    }
}
