//! Signing in and out, and the password.
//!
//! The session's secret lives in a cookie that no script can read and no other site can have sent. A
//! session is always a new one: whatever cookie came with signing in is not taken over.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use branchline_protocol::time::UnixMillis;
use http::header::SET_COOKIE;
use http::request::Parts;
use http::{HeaderValue, StatusCode};
use serde::{Deserialize, Serialize};

use super::Desk;
use super::callers::{Anybody, Credential, peer};
use super::problem::{Kind, Refusal};
use super::said::Said;
use crate::authority::operators::{Attempt, SESSION_MOST, SignInFault};
use crate::ledger::{Role, now};

/// Somebody who wants to be let in.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SignIn {
    /// The operator's name.
    name: String,
    /// The password.
    password: String,
}

/// Another password.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ChangePassword {
    /// The operator's name.
    name: String,
    /// The present password.
    password: String,
    /// The next one; at least 12 characters.
    new_password: String,
}

/// Who is signed in.
#[derive(Serialize, utoipa::ToSchema)]
pub(super) struct SignedIn {
    /// An operator's name, or `api-token N`.
    name: String,
    /// `viewer`, `support` or `administrator`; `null` for a program.
    role: Option<&'static str>,
    /// `read`, `reply`, `release`, `administer`.
    rights: Vec<&'static str>,
    /// When it ends at the latest, RFC 3339.
    expires_at: Option<String>,
}

impl From<SignInFault> for Refusal {
    fn from(fault: SignInFault) -> Self {
        let words = fault.to_string();
        match fault {
            SignInFault::Wrong => Self::new(Kind::SignInFailed, words),
            SignInFault::ChangeFirst => Self::new(Kind::PasswordChangeNeeded, words),
            SignInFault::TooMany(wait) => Self::new(Kind::TooManyAttempts, words).after(wait),
            SignInFault::Busy => Self::new(Kind::Busy, words),
            SignInFault::Password(fault) => Self::field("new_password", fault.to_string()),
            SignInFault::Ledger(fault) => fault.into(),
        }
    }
}

/// Who is signed in.
#[utoipa::path(get, path = "/desk/v1/session", responses((status = 200, body = SignedIn), (status = 401)))]
pub(super) async fn show(Anybody(who): Anybody) -> Json<SignedIn> {
    Json(SignedIn {
        name: who.name(),
        role: who.caller.role.map(Role::as_str),
        rights: who.caller.rights().iter().map(|r| r.as_str()).collect(),
        expires_at: who.caller.ends_at.map(UnixMillis::to_rfc3339),
    })
}

/// Signs an operator in; the session is in the answer's cookie.
#[utoipa::path(
    post, path = "/desk/v1/session", request_body = SignIn,
    responses((status = 204), (status = 401), (status = 403), (status = 429))
)]
pub(super) async fn sign_in(
    State(desk): State<Arc<Desk>>,
    parts: Parts,
    Said(said): Said<SignIn>,
) -> Result<Response, Refusal> {
    desk.check_meant(&parts)?;
    let peer = peer(&parts)?;
    let attempt = Attempt {
        name: said.name.trim(),
        password: &said.password,
        address: peer.address,
        at: now(),
    };
    let bearer = desk.operators.sign_in(attempt).await?;
    if let Some(Credential::Session(former)) = desk.credential(&parts.headers) {
        let credential = Credential::Session(former.clone());
        desk.callers.forget(&credential);
        let ended = desk.operators.sign_out(&former, peer.address, now()).await;
        if let Err(fault) = ended {
            tracing::warn!(error = %fault, "end the session that another one replaces");
        }
        desk.callers.changed();
    }
    let cookie = bearer.to_session();
    // From now on it is known, should the ledger go away before it is used.
    let session = Credential::Session(cookie.as_str().into());
    desk.caller(&session, true).await?;
    Ok(desk.with_cookie(&cookie, SESSION_MOST.as_secs()))
}

/// Signs out: the session ends, here and wherever else its cookie is.
#[utoipa::path(delete, path = "/desk/v1/session", responses((status = 204)))]
pub(super) async fn sign_out(
    State(desk): State<Arc<Desk>>,
    parts: Parts,
) -> Result<Response, Refusal> {
    desk.check_meant(&parts)?;
    if let Some(credential) = desk.credential(&parts.headers) {
        desk.callers.forget(&credential);
        if let Credential::Session(text) = &credential {
            let address = peer(&parts)?.address;
            desk.operators.sign_out(text, address, now()).await?;
        }
        desk.callers.changed();
    }
    Ok(desk.with_cookie("", 0))
}

/// Sets another password, and ends every session of that operator.
#[utoipa::path(
    post, path = "/desk/v1/password", request_body = ChangePassword,
    responses((status = 204), (status = 401), (status = 422), (status = 429))
)]
pub(super) async fn change_password(
    State(desk): State<Arc<Desk>>,
    parts: Parts,
    Said(said): Said<ChangePassword>,
) -> Result<StatusCode, Refusal> {
    desk.check_meant(&parts)?;
    let attempt = Attempt {
        name: said.name.trim(),
        password: &said.password,
        address: peer(&parts)?.address,
        at: now(),
    };
    let changed = desk.operators.change_password(attempt, &said.new_password);
    changed.await?;
    desk.callers.changed();
    Ok(StatusCode::NO_CONTENT)
}

impl Desk {
    fn with_cookie(&self, value: &str, seconds: u64) -> Response {
        let secure = if self.is_tls() { "; Secure" } else { "" };
        let cookie = format!(
            "{}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}",
            self.cookie_name()
        );
        let mut response = StatusCode::NO_CONTENT.into_response();
        if let Ok(cookie) = HeaderValue::try_from(cookie) {
            response.headers_mut().insert(SET_COOKIE, cookie);
        }
        response
    }
}
