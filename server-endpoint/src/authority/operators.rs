//! Operators at the door: passwords, sessions, API tokens, and who may try how often.
//!
//! Beside the data's way: the desk asks here who is calling and what that one may do, the command line
//! adds and removes people. What is kept is the ledger's; nothing that could be stolen and used is kept.
//!
//! Invariants:
//! - A name that is not there and a wrong password are the same to whoever asks, in words and in work.
//! - A password that somebody else made is good for one thing: setting another.
//! - Passwords are hashed off the async threads, [`passwords::AT_ONCE`] at a time; whoever cannot wait in
//!   a bounded line is told to try again (P8).
//! - Each attempt counts as a failure until it has succeeded, so that many at once count as many.
//! - What is written of a failure never holds what was typed: people type passwords where names belong.
//!
//! Sessions and tokens are asked for with every request, so that what is taken back is gone at once.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use branchline_protocol::time::UnixMillis;

use crate::ledger::{
    Actor, Deed, LedgerError, NewPassword, NewSession, OperatorLedger, OperatorName,
    OperatorRecord, Pending, Right, Role, SessionRecord,
};

pub mod first;
mod guard;
pub mod passwords;
pub mod secret;

#[cfg(test)]
mod tests;

use guard::Guard;
use passwords::{Hashing, PasswordFault};
use secret::Bearer;

/// A session that nobody uses ends after this: a lunch.
pub const SESSION_IDLE: Duration = Duration::from_secs(60 * 60);
/// A session ends after this in any case: a working day.
pub const SESSION_MOST: Duration = Duration::from_secs(12 * 60 * 60);
/// Uses are noted to this.
const USE_NOTED: Duration = Duration::from_secs(60);
/// How long a request may wait for that.
const NOTED_WITHIN: Duration = Duration::from_secs(1);

/// Who tries to sign in.
#[derive(Clone, Copy)]
pub struct Attempt<'a> {
    /// The name as it was typed.
    pub name: &'a str,
    /// The password as it was typed.
    pub password: &'a str,
    /// From where.
    pub address: IpAddr,
    /// By central's clock.
    pub at: UnixMillis,
}

/// Why somebody was not let in.
#[derive(Debug, thiserror::Error)]
pub enum SignInFault {
    /// Fix the input.
    #[error("the name or the password is wrong")]
    Wrong,
    /// Fix the input: the password is right, and somebody else knows it.
    #[error("change the password first: somebody else made this one")]
    ChangeFirst,
    /// Try again after this time.
    #[error("too many attempts failed; try again in {} s", .0.as_secs().max(1))]
    TooMany(Duration),
    /// Try again in a moment.
    #[error("too many sign in at this moment; try again")]
    Busy,
    /// Fix the input.
    #[error("the new password {0}")]
    Password(#[from] PasswordFault),
    /// The ledger does not answer.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

/// Somebody who was let in: whom the trail names, and what it may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// For the trail.
    pub actor: Actor,
    /// What an operator is; `None` for a program.
    pub role: Option<Role>,
    /// When this ends at the latest, if it does.
    pub ends_at: Option<UnixMillis>,
    rights: Vec<Right>,
}

impl Caller {
    /// Everything that it may do.
    pub fn rights(&self) -> &[Right] {
        &self.rights
    }

    /// The same, who may do nothing but read.
    #[must_use]
    pub fn reading_only(mut self) -> Self {
        self.rights.retain(|right| *right == Right::Read);
        self
    }

    /// Whether it may.
    pub fn may(&self, right: Right) -> bool {
        self.rights.contains(&right)
    }
}

/// The door.
pub struct Operators {
    ledger: Arc<dyn OperatorLedger>,
    hashing: Hashing,
    guard: Guard,
}

impl Operators {
    /// With what this ledger keeps.
    pub fn new(ledger: Arc<dyn OperatorLedger>) -> Self {
        Self {
            ledger,
            hashing: Hashing::new(),
            guard: Guard::default(),
        }
    }

    /// Signs in; the answer is shown to the one who asked, and to nobody again.
    pub async fn sign_in(&self, attempt: Attempt<'_>) -> Result<Bearer, SignInFault> {
        let operator = self.prove(attempt).await?;
        if operator.must_change {
            return Err(SignInFault::ChangeFirst);
        }
        let bearer = Bearer::random().map_err(LedgerError::Away)?;
        let most = i64::try_from(SESSION_MOST.as_millis()).unwrap_or(i64::MAX);
        let session = NewSession {
            hash: bearer.hash(),
            proven: operator.password,
            ends_at: UnixMillis(attempt.at.0.saturating_add(most)),
            address: attempt.address.to_string(),
            deed: deed_of(&operator.name, "signed-in", &attempt),
            name: operator.name,
        };
        // The password may have been changed since it was proven.
        let opened = self.ledger.open_session(session).await?;
        opened.then_some(bearer).ok_or(SignInFault::Wrong)
    }

    /// Sets another password, and ends all sessions of that operator. Whoever does so signs in after it.
    pub async fn change_password(
        &self,
        attempt: Attempt<'_>,
        new: &str,
    ) -> Result<(), SignInFault> {
        let operator = self.prove(attempt).await?;
        passwords::check(new, operator.name.as_str())?;
        if new == attempt.password {
            return Err(PasswordFault::Same.into());
        }
        let password = self.hashing.hash(new).await.ok_or(SignInFault::Busy)?;
        let change = NewPassword {
            password,
            must_change: false,
            proven: Some(operator.password),
            deed: deed_of(&operator.name, "password-changed", &attempt),
            name: operator.name,
        };
        let changed = self.ledger.set_password(change).await?;
        changed.then_some(()).ok_or(SignInFault::Wrong)
    }

    /// Ends the session of this text; what is no session is ended already.
    pub async fn sign_out(
        &self,
        session: &str,
        address: IpAddr,
        at: UnixMillis,
    ) -> Result<(), LedgerError> {
        let Some(bearer) = Bearer::read_session(session) else {
            return Ok(());
        };
        let Some(known) = self.ledger.session(bearer.hash(), at, i64::MAX / 2).await? else {
            return Ok(());
        };
        let deed = Deed {
            actor: Actor::Operator(known.name.to_string()),
            action: "signed-out",
            subject: known.name.to_string(),
            detail: String::new(),
            address: Some(address.to_string()),
            at,
        };
        self.ledger.close_session(bearer.hash(), deed).await
    }

    /// Who has this session; `None` where it has ended or never was. It counts as used.
    pub async fn by_session(
        &self,
        session: &str,
        at: UnixMillis,
    ) -> Result<Option<Caller>, LedgerError> {
        let Some((bearer, session)) = self.open_session(session, at).await? else {
            return Ok(None);
        };
        if is_worth_noting(Some(session.used_at), at) {
            noted(self.ledger.use_session(bearer.hash(), at)).await;
        }
        Ok(Some(caller_of(&session)))
    }

    /// The same for whom nobody is at work: it does not count as used.
    pub async fn still_by_session(
        &self,
        session: &str,
        at: UnixMillis,
    ) -> Result<Option<Caller>, LedgerError> {
        let found = self.open_session(session, at).await?;
        Ok(found.map(|(_, session)| caller_of(&session)))
    }

    async fn open_session(
        &self,
        session: &str,
        at: UnixMillis,
    ) -> Result<Option<(Bearer, SessionRecord)>, LedgerError> {
        let Some(bearer) = Bearer::read_session(session) else {
            return Ok(None);
        };
        let idle = i64::try_from(SESSION_IDLE.as_millis()).unwrap_or(i64::MAX);
        let found = self.ledger.session(bearer.hash(), at, idle).await?;
        Ok(found.map(|session| (bearer, session)))
    }

    /// Who has this API token; `None` where it has ended or never was.
    pub async fn by_api_token(
        &self,
        token: &str,
        at: UnixMillis,
    ) -> Result<Option<Caller>, LedgerError> {
        let Some(bearer) = Bearer::read_api_token(token) else {
            return Ok(None);
        };
        let Some(token) = self.ledger.api_token(bearer.hash(), at).await? else {
            return Ok(None);
        };
        if is_worth_noting(token.used_at, at) {
            noted(self.ledger.use_api_token(token.number, at)).await;
        }
        Ok(Some(Caller {
            actor: Actor::ApiToken(token.number),
            role: None,
            ends_at: token.expires_at,
            rights: token.rights,
        }))
    }

    /// The operator whose name and password these are.
    async fn prove(&self, attempt: Attempt<'_>) -> Result<OperatorRecord, SignInFault> {
        let tried = (attempt.name, attempt.address);
        self.guard
            .begin(tried, Instant::now())
            .map_err(SignInFault::TooMany)?;
        let operator = match attempt.name.parse::<OperatorName>() {
            Ok(name) => self.ledger.operator(name).await,
            Err(_) => Ok(None),
        };
        let operator = operator.inspect_err(|_| self.guard.succeeded(tried, Instant::now()))?;
        let kept = operator.as_ref().map(|operator| &operator.password);
        let Some(right) = self.hashing.verify(attempt.password, kept).await else {
            self.guard.succeeded(tried, Instant::now());
            return Err(SignInFault::Busy);
        };
        if let Some(operator) = operator.filter(|_| right) {
            self.guard.succeeded(tried, Instant::now());
            return Ok(operator);
        }
        self.record_failure(&attempt).await?;
        Err(SignInFault::Wrong)
    }

    async fn record_failure(&self, attempt: &Attempt<'_>) -> Result<(), LedgerError> {
        let Some(unrecorded) = self.guard.to_record(Instant::now()) else {
            return Ok(());
        };
        let known = match attempt.name.parse::<OperatorName>() {
            Ok(name) => self.ledger.operator(name).await?,
            Err(_) => None,
        };
        let deed = Deed {
            actor: Actor::Bearer(attempt.address.to_string()),
            action: "sign-in-failed",
            subject: known.map_or_else(
                || "a name that nobody has".to_owned(),
                |known| known.name.to_string(),
            ),
            detail: match unrecorded {
                0 => String::new(),
                count => format!("and {count} more before this that were not recorded"),
            },
            address: Some(attempt.address.to_string()),
            at: attempt.at,
        };
        self.ledger.record(deed).await
    }
}

fn caller_of(session: &SessionRecord) -> Caller {
    Caller {
        actor: Actor::Operator(session.name.to_string()),
        role: Some(session.role),
        ends_at: Some(session.ends_at),
        rights: session.role.rights().to_vec(),
    }
}

/// That something was used is good to know, and no reason to refuse the use: the next one notes it.
async fn noted(noting: Pending<'_, ()>) {
    if !matches!(tokio::time::timeout(NOTED_WITHIN, noting).await, Ok(Ok(()))) {
        tracing::debug!("the use of a session or an API token was not noted");
    }
}

fn deed_of(name: &OperatorName, action: &'static str, attempt: &Attempt<'_>) -> Deed {
    Deed {
        actor: Actor::Operator(name.to_string()),
        action,
        subject: name.to_string(),
        detail: String::new(),
        address: Some(attempt.address.to_string()),
        at: attempt.at,
    }
}

fn is_worth_noting(last: Option<UnixMillis>, at: UnixMillis) -> bool {
    let noted = i64::try_from(USE_NOTED.as_millis()).unwrap_or(i64::MAX);
    last.is_none_or(|last| at.0.saturating_sub(last.0) >= noted)
}
