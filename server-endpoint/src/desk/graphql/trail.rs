//! The trail as questions see it.

use async_graphql::SimpleObject;

use super::scalars::{Time, number};
use crate::ledger;

/// Something that somebody did.
#[derive(SimpleObject)]
pub(crate) struct TrailEntry {
    /// 1 for the first, and one more for each.
    position: f64,
    at: Time,
    /// `operator:NAME`, `api-token:N`, `command-line:USER`, `agent:ID`, `bearer:ADDRESS` or `server`.
    actor: String,
    /// A stable word.
    action: String,
    /// To what or whom.
    subject: String,
    /// More, for people.
    detail: String,
    /// From where, as far as is known.
    address: Option<String>,
    /// Chains each entry to the one before it.
    digest: String,
}

impl From<ledger::TrailEntry> for TrailEntry {
    fn from(entry: ledger::TrailEntry) -> Self {
        Self {
            position: number(entry.position),
            at: Time(entry.at),
            actor: entry.actor,
            action: entry.action,
            subject: entry.subject,
            detail: entry.detail,
            address: entry.address,
            digest: entry.digest.to_string(),
        }
    }
}
