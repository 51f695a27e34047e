//! What administrators do to branches: the right to join and its end, how much they may use, and what
//! they file by.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use branchline_protocol::desk::Catalogue;
use branchline_protocol::enrolment::{Secret, Token};
use branchline_protocol::id::{AgentId, BranchCode};
use branchline_protocol::rate::Rate;
use branchline_protocol::text::{Shape, fault};
use branchline_protocol::time::UnixMillis;
use http::StatusCode;
use serde::{Deserialize, Serialize};

use super::Desk;
use super::callers::{Administrator, Reader};
use super::problem::{Kind, Refusal};
use super::said::{Named, Said};
use crate::ledger::{CatalogueChange, NewToken, TokenFor, TokenRecord, now};

/// The shortest and the longest that a token may live, in seconds: a minute, and a year.
const TTL_SECONDS: std::ops::RangeInclusive<u64> = 60..=366 * 24 * 3_600;
/// Enrolments with one token.
const USES_MOST: u32 = 10_000;
/// Characters of a reason.
const REASON_CHARS: usize = 300;

/// What branches file by.
#[utoipa::path(get, path = "/desk/v1/catalogue", responses((status = 200, body = serde_json::Value)))]
pub(super) async fn catalogue(
    State(desk): State<Arc<Desk>>,
    Reader(_): Reader,
) -> Result<Json<Catalogue>, Refusal> {
    desk.settled(desk.store.catalogue().await).map(Json)
}

/// The catalogue's serial after a change.
#[derive(Serialize, utoipa::ToSchema)]
pub(super) struct Serial {
    /// Grows with every change.
    serial: u64,
}

/// Changes it, whole; its `serial` is the one that was seen.
#[utoipa::path(
    put, path = "/desk/v1/catalogue", request_body = serde_json::Value,
    responses((status = 200, body = Serial), (status = 409, body = super::problem::Document))
)]
pub(super) async fn change_catalogue(
    State(desk): State<Arc<Desk>>,
    Administrator(who): Administrator,
    Said(catalogue): Said<Catalogue>,
) -> Result<Json<Serial>, Refusal> {
    let detail = format!("{} categories", catalogue.categories.len());
    let deed = who.deed("catalogue-changed", "catalogue".to_owned(), detail);
    let changed = desk.store.change_catalogue(catalogue, deed).await;
    match desk.settled(changed)? {
        CatalogueChange::Done(serial) => {
            desk.look_again().await;
            Ok(Json(Serial { serial }))
        }
        CatalogueChange::Stale(serial) => Err(Refusal::stale(serial)),
        CatalogueChange::Refused(fault) => Err(fault.into()),
    }
}

/// How much a branch may use for files.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Bandwidth {
    /// In the words of the agent's setting `bulk.rate`; `null` leaves it to the branch.
    rate: Option<String>,
}

/// Says how much a branch may use for files.
#[utoipa::path(
    put, path = "/desk/v1/branches/{code}/bandwidth", request_body = Bandwidth,
    params(("code" = String, Path, description = "The branch's code")),
    responses((status = 204), (status = 404), (status = 422))
)]
pub(super) async fn set_bandwidth(
    State(desk): State<Arc<Desk>>,
    Administrator(who): Administrator,
    Named(code): Named,
    Said(said): Said<Bandwidth>,
) -> Result<StatusCode, Refusal> {
    let branch = branch(&code)?;
    if let Some(rate) = &said.rate
        && let Err(fault) = rate.parse::<Rate>()
    {
        return Err(Refusal::field("rate", format!("is none: {fault}")));
    }
    let detail = said
        .rate
        .clone()
        .unwrap_or_else(|| "as the branch says".to_owned());
    let deed = who.deed("bandwidth-set", branch.to_string(), detail);
    let set = desk.store.set_bandwidth(branch, said.rate, deed).await;
    if !desk.settled(set)? {
        return Err(Refusal::not_found("branch"));
    }
    desk.look_again().await;
    Ok(StatusCode::NO_CONTENT)
}

/// A token to make.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct TokenAsked {
    /// How many agents may join with it; 1 to 10,000.
    #[serde(default = "one")]
    uses: u32,
    /// How long it is good for; a minute to a year.
    #[serde(default = "three_days")]
    ttl_seconds: u64,
}

fn one() -> u32 {
    1
}

fn three_days() -> u64 {
    3 * 24 * 3_600
}

/// A token that was made: shown this once.
#[derive(Serialize, utoipa::ToSchema)]
pub(super) struct TokenMade {
    /// What the agent is given.
    token: String,
    /// What it is called in the listing.
    #[serde(flatten)]
    record: EnrolmentToken,
}

/// An enrolment token, without its secret.
#[derive(Serialize, utoipa::ToSchema)]
pub(super) struct EnrolmentToken {
    /// Names it.
    number: u64,
    /// The branch that it is for, if it is for one.
    branch: Option<String>,
    /// The agent that it is for, if it is for one.
    agent: Option<String>,
    /// `good`, `used-up`, `expired` or `revoked`.
    state: &'static str,
    /// Enrolments that it is good for.
    uses: u32,
    /// Enrolments so far.
    used: u32,
    /// RFC 3339.
    made_at: String,
    /// RFC 3339.
    expires_at: String,
}

impl From<&TokenRecord> for EnrolmentToken {
    fn from(token: &TokenRecord) -> Self {
        let (branch, agent) = match &token.purpose {
            TokenFor::Branch(branch) => (Some(branch.to_string()), None),
            TokenFor::Agent(agent) => (None, Some(agent.to_string())),
        };
        let state = if token.revoked {
            "revoked"
        } else if token.used >= token.uses {
            "used-up"
        } else if token.expires_at <= now() {
            "expired"
        } else {
            "good"
        };
        Self {
            number: token.number,
            branch,
            agent,
            state,
            uses: token.uses,
            used: token.used,
            made_at: token.made_at.to_rfc3339(),
            expires_at: token.expires_at.to_rfc3339(),
        }
    }
}

/// Makes a token with which agents join a branch, and shows it, once.
#[utoipa::path(
    post, path = "/desk/v1/branches/{code}/tokens", request_body = TokenAsked,
    params(("code" = String, Path, description = "The branch's code")),
    responses((status = 201, body = TokenMade), (status = 404), (status = 422))
)]
pub(super) async fn make_token(
    State(desk): State<Arc<Desk>>,
    Administrator(who): Administrator,
    Named(code): Named,
    Said(asked): Said<TokenAsked>,
) -> Result<(StatusCode, Json<TokenMade>), Refusal> {
    let branch = branch(&code)?;
    if !(1..=USES_MOST).contains(&asked.uses) {
        return Err(Refusal::field("uses", "must be from 1 to 10,000"));
    }
    if !TTL_SECONDS.contains(&asked.ttl_seconds) {
        return Err(Refusal::field(
            "ttl_seconds",
            "must be from a minute to 366 days",
        ));
    }
    let mut secret = [0; 32];
    getrandom::fill(&mut secret)
        .map_err(|_| Refusal::new(Kind::Internal, "central's machine gives no random bytes"))?;
    let token = Token {
        url: desk.enrolling.url.clone(),
        anchor: desk.enrolling.authority.anchor(),
        secret: Secret::from_bytes(secret),
    };
    let detail = format!(
        "{} use(s), for {} minutes",
        asked.uses,
        asked.ttl_seconds / 60
    );
    let made = who.deed("token-created", branch.to_string(), detail);
    let ttl = i64::try_from(asked.ttl_seconds.saturating_mul(1_000)).unwrap_or(i64::MAX);
    let new = NewToken {
        hash: token.secret.hash(),
        purpose: TokenFor::Branch(branch),
        uses: asked.uses,
        expires_at: UnixMillis(made.at.0.saturating_add(ttl)),
        made,
    };
    let record = desk.settled(desk.store.add_token(new).await)?;
    let record = record.ok_or_else(|| Refusal::not_found("branch"))?;
    let made = TokenMade {
        token: token.to_string(),
        record: EnrolmentToken::from(&record),
    };
    Ok((StatusCode::CREATED, Json(made)))
}

/// All enrolment tokens, newest first, without their secrets.
#[utoipa::path(
    get, path = "/desk/v1/enrolment-tokens", responses((status = 200, body = Vec<EnrolmentToken>))
)]
pub(super) async fn tokens(
    State(desk): State<Arc<Desk>>,
    Administrator(_): Administrator,
) -> Result<Json<Vec<EnrolmentToken>>, Refusal> {
    let tokens = desk.settled(desk.store.tokens().await)?;
    Ok(Json(tokens.iter().map(EnrolmentToken::from).collect()))
}

/// Takes a token back; agents that have joined with it stay.
#[utoipa::path(
    delete, path = "/desk/v1/enrolment-tokens/{number}",
    params(("number" = u64, Path, description = "The token's number")),
    responses((status = 204), (status = 404))
)]
pub(super) async fn revoke_token(
    State(desk): State<Arc<Desk>>,
    Administrator(who): Administrator,
    Named(number): Named,
) -> Result<StatusCode, Refusal> {
    let no_such = || Refusal::not_found("token");
    let number = number.parse().map_err(|_| no_such())?;
    let deed = who.deed("token-revoked", format!("token {number}"), String::new());
    let revoked = desk.settled(desk.store.revoke_token(number, deed).await)?;
    revoked
        .then_some(StatusCode::NO_CONTENT)
        .ok_or_else(no_such)
}

/// Why an agent is revoked.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RevokeAsked {
    /// One line, for the trail.
    reason: String,
}

/// Ends an agent's right to speak, at once.
#[utoipa::path(
    post, path = "/desk/v1/agents/{id}/revoke", request_body = RevokeAsked,
    params(("id" = String, Path, description = "The agent's id")),
    responses((status = 204), (status = 404), (status = 422))
)]
pub(super) async fn revoke_agent(
    State(desk): State<Arc<Desk>>,
    Administrator(who): Administrator,
    Named(id): Named,
    Said(asked): Said<RevokeAsked>,
) -> Result<StatusCode, Refusal> {
    let no_such = || Refusal::not_found("agent");
    let id: AgentId = id.parse().map_err(|_| no_such())?;
    if let Some(fault) = fault(&asked.reason, Shape::Line, REASON_CHARS) {
        return Err(Refusal::field("reason", fault));
    }
    let deed = who.deed("agent-revoked", id.to_string(), asked.reason);
    let revoked = desk.settled(desk.store.revoke_agent(id, deed).await)?;
    desk.look_again().await;
    revoked
        .then_some(StatusCode::NO_CONTENT)
        .ok_or_else(no_such)
}

fn branch(code: &str) -> Result<BranchCode, Refusal> {
    code.parse().map_err(|_| Refusal::not_found("branch"))
}
