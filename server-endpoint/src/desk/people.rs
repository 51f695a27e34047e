//! What administrators do to people and programs: operators, their roles and passwords, and API tokens.
//!
//! Whoever is changed here is signed out everywhere, at once: the ledger ends the sessions, and open
//! connections are asked who they are again.

use std::str::FromStr;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use branchline_protocol::text::{Shape, fault};
use branchline_protocol::time::UnixMillis;
use http::StatusCode;
use serde::{Deserialize, Serialize};

use super::Desk;
use super::callers::Administrator;
use super::problem::{Kind, Refusal};
use super::said::{Named, Said};
use crate::authority::operators::passwords;
use crate::authority::operators::secret::Bearer;
use crate::ledger::{
    ApiTokenRecord, NAME_CHARS, NewApiToken, NewOperator, NewPassword, OperatorChange,
    OperatorName, OperatorRecord, PasswordHash, Right, Role, now,
};

/// The longest that an API token may be made for, in seconds: ten years.
const TTL_MOST: u64 = 3_653 * 24 * 3_600;

/// An operator.
#[derive(Serialize, utoipa::ToSchema)]
pub(super) struct Operator {
    /// Its name.
    name: String,
    /// `viewer`, `support` or `administrator`.
    role: &'static str,
    /// Somebody else made its password.
    must_change_password: bool,
    /// RFC 3339.
    password_set_at: String,
    /// RFC 3339.
    added_at: String,
    /// RFC 3339.
    signed_in_at: Option<String>,
    /// Sessions that were not ended.
    sessions: u64,
}

impl From<OperatorRecord> for Operator {
    fn from(operator: OperatorRecord) -> Self {
        Self {
            name: operator.name.to_string(),
            role: operator.role.as_str(),
            must_change_password: operator.must_change,
            password_set_at: operator.password_at.to_rfc3339(),
            added_at: operator.made_at.to_rfc3339(),
            signed_in_at: operator.signed_in_at.map(UnixMillis::to_rfc3339),
            sessions: operator.sessions,
        }
    }
}

/// All operators, by name.
#[utoipa::path(get, path = "/desk/v1/operators", responses((status = 200, body = Vec<Operator>)))]
pub(super) async fn operators(
    State(desk): State<Arc<Desk>>,
    Administrator(_): Administrator,
) -> Result<Json<Vec<Operator>>, Refusal> {
    let operators = desk.settled(desk.store.operators().await)?;
    Ok(Json(operators.into_iter().map(Operator::from).collect()))
}

/// An operator to add.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct OperatorAsked {
    /// By what name.
    name: String,
    /// `viewer`, `support` or `administrator`.
    role: String,
}

/// A password that was made: shown this once, and to be changed at the first signing in.
#[derive(Serialize, utoipa::ToSchema)]
pub(super) struct PasswordMade {
    /// It.
    password: String,
}

/// Adds an operator, with a password that is made here and shown once.
#[utoipa::path(
    post, path = "/desk/v1/operators", request_body = OperatorAsked,
    responses((status = 201, body = PasswordMade), (status = 409), (status = 422))
)]
pub(super) async fn add_operator(
    State(desk): State<Arc<Desk>>,
    Administrator(who): Administrator,
    Said(asked): Said<OperatorAsked>,
) -> Result<(StatusCode, Json<PasswordMade>), Refusal> {
    let name: OperatorName = asked
        .name
        .parse()
        .map_err(|fault: crate::ledger::NameFault| {
            let mut refusal = Refusal::field("name", "is no operator's name");
            refusal.say(fault.to_string());
            refusal
        })?;
    let role = role(&asked.role)?;
    let (password, hash) = one_time().await?;
    let new = NewOperator {
        role,
        password: hash,
        must_change: true,
        deed: who.deed("operator-added", name.to_string(), role.as_str().to_owned()),
        name,
    };
    if !desk.settled(desk.store.add_operator(new).await)? {
        let detail = "there is an operator of this name already";
        return Err(Refusal::new(Kind::Conflict, detail));
    }
    desk.look_again().await;
    Ok((StatusCode::CREATED, Json(PasswordMade { password })))
}

/// Another role.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RoleAsked {
    /// `viewer`, `support` or `administrator`.
    role: String,
}

/// Gives an operator another role, and ends its sessions.
#[utoipa::path(
    patch, path = "/desk/v1/operators/{name}", request_body = RoleAsked,
    params(("name" = String, Path, description = "The operator's name")),
    responses((status = 204), (status = 404), (status = 409), (status = 422))
)]
pub(super) async fn set_role(
    State(desk): State<Arc<Desk>>,
    Administrator(who): Administrator,
    Named(name): Named,
    Said(asked): Said<RoleAsked>,
) -> Result<StatusCode, Refusal> {
    let (name, role) = (operator(&name)?, role(&asked.role)?);
    let deed = who.deed(
        "operator-role-set",
        name.to_string(),
        role.as_str().to_owned(),
    );
    let changed = desk.store.set_role(name, role, deed).await;
    changed_to(&desk, desk.settled(changed)?)
}

/// Makes an operator another password, shown once, and ends its sessions.
#[utoipa::path(
    post, path = "/desk/v1/operators/{name}/password",
    params(("name" = String, Path, description = "The operator's name")),
    responses((status = 201, body = PasswordMade), (status = 404))
)]
pub(super) async fn reset_password(
    State(desk): State<Arc<Desk>>,
    Administrator(who): Administrator,
    Named(name): Named,
) -> Result<(StatusCode, Json<PasswordMade>), Refusal> {
    let name = operator(&name)?;
    let (password, hash) = one_time().await?;
    let new = NewPassword {
        password: hash,
        must_change: true,
        proven: None,
        deed: who.deed(
            "operator-password-set",
            name.to_string(),
            "to be changed".to_owned(),
        ),
        name,
    };
    if !desk.settled(desk.store.set_password(new).await)? {
        return Err(Refusal::not_found("operator"));
    }
    desk.callers.changed();
    Ok((StatusCode::CREATED, Json(PasswordMade { password })))
}

/// Removes an operator, and ends its sessions.
#[utoipa::path(
    delete, path = "/desk/v1/operators/{name}",
    params(("name" = String, Path, description = "The operator's name")),
    responses((status = 204), (status = 404), (status = 409))
)]
pub(super) async fn remove_operator(
    State(desk): State<Arc<Desk>>,
    Administrator(who): Administrator,
    Named(name): Named,
) -> Result<StatusCode, Refusal> {
    let name = operator(&name)?;
    let deed = who.deed("operator-removed", name.to_string(), String::new());
    let removed = desk.store.remove_operator(name, deed).await;
    let removed = changed_to(&desk, desk.settled(removed)?)?;
    desk.look_again().await;
    Ok(removed)
}

fn changed_to(desk: &Desk, change: OperatorChange) -> Result<StatusCode, Refusal> {
    match change {
        OperatorChange::Done => {
            desk.callers.changed();
            Ok(StatusCode::NO_CONTENT)
        }
        OperatorChange::Unknown => Err(Refusal::not_found("operator")),
        OperatorChange::LastAdministrator => Err(Refusal::new(
            Kind::Conflict,
            "this is the only administrator; make another one first",
        )),
    }
}

/// An API token, without its secret.
#[derive(Serialize, utoipa::ToSchema)]
pub(super) struct ApiToken {
    /// Names it.
    number: u64,
    /// What it is for.
    name: String,
    /// `good`, `expired` or `revoked`.
    state: &'static str,
    /// `read`, `reply`, `release`, `administer`.
    rights: Vec<&'static str>,
    /// As the trail writes it.
    made_by: String,
    /// RFC 3339.
    made_at: String,
    /// RFC 3339.
    expires_at: Option<String>,
    /// RFC 3339.
    used_at: Option<String>,
}

impl From<ApiTokenRecord> for ApiToken {
    fn from(token: ApiTokenRecord) -> Self {
        let state = if token.revoked {
            "revoked"
        } else if token.expires_at.is_some_and(|end| end <= now()) {
            "expired"
        } else {
            "good"
        };
        Self {
            number: token.number,
            name: token.name,
            state,
            rights: token.rights.iter().map(|right| right.as_str()).collect(),
            made_by: token.made_by,
            made_at: token.made_at.to_rfc3339(),
            expires_at: token.expires_at.map(UnixMillis::to_rfc3339),
            used_at: token.used_at.map(UnixMillis::to_rfc3339),
        }
    }
}

/// An API token to make.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ApiTokenAsked {
    /// What it is for, for people.
    name: String,
    /// `read`, `reply`, `release`, `administer`; at least one.
    rights: Vec<String>,
    /// How long it is good for; `null`: until it is revoked.
    #[serde(default)]
    ttl_seconds: Option<u64>,
}

/// An API token that was made: shown this once.
#[derive(Serialize, utoipa::ToSchema)]
pub(super) struct ApiTokenMade {
    /// What the program is given.
    token: String,
    /// What it is called in the listing.
    #[serde(flatten)]
    record: ApiToken,
}

/// All API tokens, newest first, without their secrets.
#[utoipa::path(get, path = "/desk/v1/api-tokens", responses((status = 200, body = Vec<ApiToken>)))]
pub(super) async fn api_tokens(
    State(desk): State<Arc<Desk>>,
    Administrator(_): Administrator,
) -> Result<Json<Vec<ApiToken>>, Refusal> {
    let tokens = desk.settled(desk.store.api_tokens().await)?;
    Ok(Json(tokens.into_iter().map(ApiToken::from).collect()))
}

/// Makes an API token, and shows it, once.
#[utoipa::path(
    post, path = "/desk/v1/api-tokens", request_body = ApiTokenAsked,
    responses((status = 201, body = ApiTokenMade), (status = 422))
)]
pub(super) async fn make_api_token(
    State(desk): State<Arc<Desk>>,
    Administrator(who): Administrator,
    Said(asked): Said<ApiTokenAsked>,
) -> Result<(StatusCode, Json<ApiTokenMade>), Refusal> {
    if let Some(fault) = fault(&asked.name, Shape::Line, NAME_CHARS) {
        return Err(Refusal::field("name", fault));
    }
    if asked
        .ttl_seconds
        .is_some_and(|ttl| !(60..=TTL_MOST).contains(&ttl))
    {
        return Err(Refusal::field(
            "ttl_seconds",
            "must be from a minute to ten years",
        ));
    }
    let mut rights = Vec::new();
    for word in &asked.rights {
        let right = Right::from_str(word).map_err(|()| {
            Refusal::field(
                "rights",
                "holds what is none of read, reply, release, administer",
            )
        })?;
        if !rights.contains(&right) {
            rights.push(right);
        }
    }
    if rights.is_empty() {
        return Err(Refusal::field("rights", "must hold one at least"));
    }
    let bearer = Bearer::random().map_err(|fault| Refusal::new(Kind::Internal, fault))?;
    let deed = who.deed("api-token-made", String::new(), String::new());
    let end = |ttl: u64| {
        let millis = i64::try_from(ttl.saturating_mul(1_000)).unwrap_or(i64::MAX);
        UnixMillis(deed.at.0.saturating_add(millis))
    };
    let new = NewApiToken {
        name: asked.name,
        hash: bearer.hash(),
        rights,
        expires_at: asked.ttl_seconds.map(end),
        deed: deed.clone(),
    };
    let record = desk.settled(desk.store.add_api_token(new).await)?;
    let made = ApiTokenMade {
        token: bearer.to_api_token(),
        record: record.into(),
    };
    Ok((StatusCode::CREATED, Json(made)))
}

/// Takes an API token back.
#[utoipa::path(
    delete, path = "/desk/v1/api-tokens/{number}",
    params(("number" = u64, Path, description = "The token's number")),
    responses((status = 204), (status = 404))
)]
pub(super) async fn revoke_api_token(
    State(desk): State<Arc<Desk>>,
    Administrator(who): Administrator,
    Named(number): Named,
) -> Result<StatusCode, Refusal> {
    let no_such = || Refusal::not_found("API token");
    let number = number.parse().map_err(|_| no_such())?;
    let deed = who.deed(
        "api-token-revoked",
        format!("API token {number}"),
        String::new(),
    );
    let revoked = desk.settled(desk.store.revoke_api_token(number, deed).await)?;
    desk.callers.changed();
    revoked
        .then_some(StatusCode::NO_CONTENT)
        .ok_or_else(no_such)
}

fn operator(name: &str) -> Result<OperatorName, Refusal> {
    name.parse().map_err(|_| Refusal::not_found("operator"))
}

fn role(word: &str) -> Result<Role, Refusal> {
    let wrong = |()| Refusal::field("role", "must be viewer, support or administrator");
    word.parse().map_err(wrong)
}

/// A password for somebody else, and its hash; slow on purpose, and off the async threads.
async fn one_time() -> Result<(String, PasswordHash), Refusal> {
    let internal = |fault: String| Refusal::new(Kind::Internal, fault);
    let made = passwords::one_time().map_err(internal)?;
    let text = made.clone();
    let hash = tokio::task::spawn_blocking(move || passwords::hash(&text)).await;
    let hash = hash.ok().flatten();
    let hash = hash.ok_or_else(|| internal("the password cannot be hashed".to_owned()))?;
    Ok((made, hash))
}
