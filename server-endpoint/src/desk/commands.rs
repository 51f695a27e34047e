//! Commands to tickets: each carries the version that its giver saw, and changes nothing where somebody
//! else was faster.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use branchline_protocol::desk::TicketState;
use branchline_protocol::id::{CommandId, FileId, TicketNumber};
use branchline_protocol::operation::Priority;
use serde::{Deserialize, Serialize};

use super::Desk;
use super::callers::Replier;
use super::problem::{Kind, Refusal};
use super::said::{Named, Said};
use crate::ledger::{Change, Command, Commanded, now};

/// Something to be done to a ticket.
#[derive(Deserialize, utoipa::ToSchema)]
pub(super) struct Asked {
    /// A UUIDv7 made by the client: asking again with the same one is harmless.
    #[schema(value_type = String)]
    id: CommandId,
    /// The ticket's version as it was seen.
    saw: u64,
    /// What.
    #[serde(flatten)]
    wanted: Wanted,
}

/// What is to be done.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum Wanted {
    /// An answer to the branch.
    Reply {
        /// What to say.
        text: String,
        /// Files of the ticket's branch, or given for it, that central has clean or released.
        #[serde(default)]
        #[schema(value_type = Vec<String>)]
        files: Vec<FileId>,
        /// Where the ticket stands after it, if elsewhere.
        #[serde(default)]
        #[schema(value_type = Option<String>)]
        then: Option<TicketState>,
    },
    /// A note that no branch sees.
    Note {
        /// What to note.
        text: String,
    },
    /// It stands elsewhere: `open`, `waiting`, `resolved` or `closed`.
    Move {
        /// Where.
        #[schema(value_type = String)]
        to: TicketState,
    },
    /// Somebody takes care of it; `null`: nobody.
    Assign {
        /// An operator's name.
        to: Option<String>,
    },
    /// It is seen in another light.
    Classify {
        /// `low`, `normal`, `high` or `urgent`.
        #[schema(value_type = String)]
        priority: Priority,
        /// A category's code.
        category: String,
    },
    /// Its tags are these.
    Tag {
        /// All of them.
        tags: Vec<String>,
    },
    /// Another ticket of the branch goes on in its place, for good.
    Merge {
        /// Its number.
        into: String,
    },
}

/// The command was carried out, now or before.
#[derive(Serialize, utoipa::ToSchema)]
pub(super) struct Done {
    /// The ticket's version after it.
    version: u64,
}

/// Does something to a ticket.
#[utoipa::path(
    post, path = "/desk/v1/tickets/{number}/commands", request_body = Asked,
    params(("number" = String, Path, description = "The ticket's number")),
    responses(
        (status = 200, body = Done),
        (status = 404, description = "No such ticket", body = super::problem::Document),
        (status = 409, description = "Stale, or the id is another command's", body = super::problem::Document),
        (status = 422, description = "A field breaks a rule", body = super::problem::Document),
        (status = 503, description = "The ledger is away", body = super::problem::Document),
    )
)]
pub(super) async fn give(
    State(desk): State<Arc<Desk>>,
    Replier(who): Replier,
    Named(number): Named,
    Said(asked): Said<Asked>,
) -> Result<Json<Done>, Refusal> {
    let no_such = || Refusal::not_found("ticket");
    let command = Command {
        id: asked.id,
        ticket: number.parse::<TicketNumber>().map_err(|_| no_such())?,
        saw: asked.saw,
        by: who.name(),
        at: now(),
        change: asked.wanted.change()?,
    };
    match desk.settled(desk.store.command(command).await)? {
        Commanded::Done { version } => {
            desk.shown(version).await;
            Ok(Json(Done { version }))
        }
        Commanded::Stale { version } => Err(Refusal::stale(version)),
        Commanded::UnknownTicket => Err(no_such()),
        Commanded::Refused(fault) => Err(fault.into()),
        Commanded::IdTaken => {
            let detail = "the id is another command's; make a new one for each";
            Err(Refusal::new(Kind::Conflict, detail))
        }
    }
}

impl Wanted {
    fn change(self) -> Result<Change, Refusal> {
        Ok(match self {
            Self::Reply { text, files, then } => Change::Reply { text, files, then },
            Self::Note { text } => Change::Note { text },
            Self::Move { to } => Change::Move { to },
            Self::Assign { to } => {
                let named = |name: String| {
                    name.parse()
                        .map_err(|_| Refusal::field("to", "is no operator's name"))
                };
                let to = to.map(named).transpose()?;
                Change::Assign { to }
            }
            Self::Classify { priority, category } => Change::Classify { priority, category },
            Self::Tag { tags } => Change::Tag { tags },
            Self::Merge { into } => {
                let into = into.parse();
                let into = into.map_err(|_| Refusal::field("into", "is no ticket's number"))?;
                Change::Merge { into }
            }
        })
    }
}
