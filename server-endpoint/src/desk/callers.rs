//! Who calls, proven for every request: an operator by the session in its browser's cookie, a program by
//! its API token.
//!
//! Invariants:
//! - The ledger is asked each time, so that what was taken back is gone at once.
//! - While the ledger is away (P10), whoever it let in before may go on reading, and nothing else, for as
//!   long as the session would have lasted.
//! - A request that a browser may have been tricked into is none: whatever changes something and comes
//!   with a cookie must carry a header that no other site can send, and come from the console's own origin.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::extract::FromRequestParts;
use branchline_protocol::time::UnixMillis;
use http::HeaderMap;
use http::header::{AUTHORIZATION, COOKIE, HOST, ORIGIN};
use http::request::Parts;
use tokio::sync::watch;

use super::Desk;
use super::listener::Peer;
use super::problem::{Kind, Refusal};
use crate::authority::operators::{Caller, SESSION_IDLE};
use crate::ledger::{Actor, Deed, LedgerError, Right, now};

/// The header that every changing request of a browser carries.
pub(super) const CONSOLE_HEADER: &str = "branchline-console";
/// A console that nobody has touched for a while says so: what it asks for keeps no session open.
const IDLE_HEADER: &str = "branchline-idle";
/// Bytes of a credential; anything longer is none.
const CREDENTIAL_BYTES: usize = 256;
/// Callers remembered for when the ledger is away.
const REMEMBERED: usize = 4_096;
/// How long the ledger is not asked again after it did not answer.
const AWAY_FOR: Duration = Duration::from_secs(2);

/// What somebody shows to be known.
#[derive(Clone)]
pub(super) enum Credential {
    /// A session's cookie.
    Session(Arc<str>),
    /// An API token.
    Token(Arc<str>),
}

/// Somebody who was let in.
#[derive(Clone)]
pub(super) struct Who {
    pub(super) caller: Caller,
    pub(super) credential: Credential,
    pub(super) peer: Peer,
}

impl Who {
    pub(super) fn may(&self, right: Right) -> bool {
        self.caller.may(right)
    }

    /// What it is called: an operator's name, or `api-token N`.
    pub(super) fn name(&self) -> String {
        match &self.caller.actor {
            Actor::Operator(name) => name.clone(),
            Actor::ApiToken(number) => format!("api-token {number}"),
            other => other.to_string(),
        }
    }

    /// What it does now, for the trail.
    pub(super) fn deed(&self, action: &'static str, subject: String, detail: String) -> Deed {
        Deed {
            actor: self.caller.actor.clone(),
            action,
            subject,
            detail,
            address: Some(self.peer.address.to_string()),
            at: now(),
        }
    }
}

/// What is remembered of callers.
pub(super) struct Callers {
    known: Mutex<HashMap<[u8; 32], Known>>,
    away: Mutex<Option<Away>>,
    /// Grows when somebody may have been sent away.
    changes: watch::Sender<u64>,
}

/// The ledger did not answer.
#[derive(Clone, Copy)]
struct Away {
    /// Since then.
    since: UnixMillis,
    /// Until then it is not asked again.
    until: Instant,
}

struct Known {
    caller: Caller,
    at: Instant,
}

impl Default for Callers {
    fn default() -> Self {
        Self {
            known: Mutex::default(),
            away: Mutex::default(),
            changes: watch::Sender::new(0),
        }
    }
}

impl Callers {
    /// To be told when somebody may have been sent away.
    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Whoever holds a connection open is to be asked for again at once.
    pub(super) fn changed(&self) {
        self.changes
            .send_modify(|count| *count = count.wrapping_add(1));
    }

    /// This one is not let in from memory any more.
    pub(super) fn forget(&self, credential: &Credential) {
        self.lock().remove(&credential.key());
    }

    fn remember(&self, credential: &Credential, caller: &Caller) {
        let mut known = self.lock();
        if known.len() >= REMEMBERED {
            known.retain(|_, known| known.at.elapsed() < SESSION_IDLE);
        }
        if known.len() >= REMEMBERED {
            known.clear();
        }
        let (caller, at) = (caller.clone(), Instant::now());
        known.insert(credential.key(), Known { caller, at });
    }

    fn remembered(&self, credential: &Credential) -> Option<Caller> {
        let known = self.lock();
        let known = known.get(&credential.key())?;
        let over = known.caller.ends_at.is_some_and(|ends| ends.0 <= now().0)
            || known.at.elapsed() >= SESSION_IDLE;
        (!over).then(|| known.caller.clone().reading_only())
    }

    fn is_away(&self) -> bool {
        self.away().is_some_and(|away| Instant::now() < away.until)
    }

    fn say_away(&self) {
        let mut away = self.away.lock().unwrap_or_else(PoisonError::into_inner);
        let since = away.map_or_else(now, |away| away.since);
        let until = Instant::now() + AWAY_FOR;
        *away = Some(Away { since, until });
    }

    fn say_back(&self) {
        *self.away.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn away(&self) -> Option<Away> {
        *self.away.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<[u8; 32], Known>> {
        // Nothing in here can panic half-way.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Credential {
    /// What is kept of it in memory.
    fn key(&self) -> [u8; 32] {
        let text = match self {
            Self::Session(text) | Self::Token(text) => text,
        };
        *blake3::hash(text.as_bytes()).as_bytes()
    }

    fn of(headers: &HeaderMap, cookie: &str) -> Option<Self> {
        if let Some(given) = headers.get(AUTHORIZATION) {
            let token = given.to_str().ok()?.strip_prefix("Bearer ")?.trim();
            return (token.len() <= CREDENTIAL_BYTES).then(|| Self::Token(token.into()));
        }
        let cookies = headers.get_all(COOKIE).iter();
        let session = cookies
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(';'))
            .filter_map(|pair| pair.trim().split_once('='))
            .find(|(name, _)| *name == cookie)?;
        (session.1.len() <= CREDENTIAL_BYTES).then(|| Self::Session(session.1.into()))
    }
}

impl Desk {
    /// The name of the session's cookie. `__Host-` keeps it to this host, all of it, and to TLS.
    pub(super) fn cookie_name(&self) -> &'static str {
        if self.is_tls() {
            "__Host-branchline"
        } else {
            "branchline-session"
        }
    }

    /// What the request shows to be known, if anything.
    pub(super) fn credential(&self, headers: &HeaderMap) -> Option<Credential> {
        Credential::of(headers, self.cookie_name())
    }

    /// Who has this credential now. What a console does by itself (`idle`) does not keep a session open.
    pub(super) async fn caller(
        &self,
        credential: &Credential,
        idle: bool,
    ) -> Result<Option<Caller>, Refusal> {
        if self.callers.is_away()
            && let Some(caller) = self.callers.remembered(credential)
        {
            return Ok(Some(caller));
        }
        let at = now();
        let asking = async {
            match credential {
                Credential::Session(text) if idle => {
                    self.operators.still_by_session(text, at).await
                }
                Credential::Session(text) => self.operators.by_session(text, at).await,
                Credential::Token(text) => self.operators.by_api_token(text, at).await,
            }
        };
        let asked = tokio::time::timeout(self.bounds.proof_within, asking).await;
        let fault = match asked {
            Ok(Ok(Some(caller))) => {
                self.callers.say_back();
                self.callers.remember(credential, &caller);
                return Ok(Some(caller));
            }
            Ok(Ok(None)) => {
                self.callers.forget(credential);
                return Ok(None);
            }
            Ok(Err(fault)) => fault,
            Err(_) => LedgerError::Away("it took too long".to_owned()),
        };
        self.callers.say_away();
        if let Some(caller) = self.callers.remembered(credential) {
            tracing::warn!(error = %fault, "the ledger is away; somebody it knew before goes on reading");
            return Ok(Some(caller));
        }
        Err(Refusal::from(fault).since(self.away_since()))
    }

    /// Asks once more, at the end of what takes long, whether this one may still do it.
    pub(super) async fn still_may(&self, who: &Who, right: Right) -> Result<(), Refusal> {
        match self.caller(&who.credential, true).await? {
            Some(caller) if caller.may(right) => Ok(()),
            Some(_) => Err(refuse(self, who, right)),
            None => Err(Refusal::new(Kind::Unauthenticated, "the session has ended")),
        }
    }

    /// Since when the ledger has not answered, as far as is known.
    pub(super) fn away_since(&self) -> Option<UnixMillis> {
        let behind = self.model.freshness().borrow().behind_since;
        behind.or(self.callers.away().map(|away| away.since))
    }

    /// The request's caller, if the request can be trusted to be meant.
    async fn prove(&self, parts: &Parts) -> Result<Who, Refusal> {
        let Some(credential) = self.credential(&parts.headers) else {
            return Err(Refusal::new(Kind::Unauthenticated, "sign in first"));
        };
        if matches!(credential, Credential::Session(_)) && !parts.method.is_safe() {
            self.check_meant(parts)?;
        }
        let idle = parts.headers.contains_key(IDLE_HEADER);
        let Some(caller) = self.caller(&credential, idle).await? else {
            let detail = match credential {
                Credential::Session(_) => "the session has ended; sign in again",
                Credential::Token(_) => "the API token is not known, has ended, or was taken back",
            };
            return Err(Refusal::new(Kind::Unauthenticated, detail));
        };
        let who = Who {
            caller,
            credential,
            peer: peer(parts)?,
        };
        tracing::Span::current().record("by", who.caller.actor.to_string());
        Ok(who)
    }

    /// Whether no other site can have made a browser send this.
    pub(super) fn check_meant(&self, parts: &Parts) -> Result<(), Refusal> {
        let says_so = parts.headers.get(CONSOLE_HEADER).is_some_and(|v| v == "1");
        if !says_so {
            let detail = "requests with a cookie that change something carry the header \
                          Branchline-Console: 1; programs use API tokens";
            return Err(Refusal::new(Kind::CrossSite, detail));
        }
        match parts.headers.get(ORIGIN) {
            Some(_) if !self.is_own_origin(parts) => {
                let detail = "the request comes from a page that is not this console";
                Err(Refusal::new(Kind::CrossSite, detail))
            }
            _ => Ok(()),
        }
    }

    /// Whether the request says that it comes from a page of this very console.
    pub(super) fn is_own_origin(&self, parts: &Parts) -> bool {
        let scheme = if self.is_tls() { "https://" } else { "http://" };
        let host = parts.uri.authority().map(http::uri::Authority::as_str);
        let host = host.or_else(|| parts.headers.get(HOST)?.to_str().ok());
        let mut origins = parts.headers.get_all(ORIGIN).iter();
        let origin = origins.next().and_then(|value| value.to_str().ok());
        let origin = origin.and_then(|origin| origin.strip_prefix(scheme));
        origin.is_some() && origin == host && origins.next().is_none()
    }
}

/// Where the request comes from.
pub(super) fn peer(parts: &Parts) -> Result<Peer, Refusal> {
    let peer = parts.extensions.get::<Peer>().cloned();
    peer.ok_or_else(|| Refusal::new(Kind::Internal, "the request comes from nowhere"))
}

macro_rules! proofs {
    ($($(#[$doc:meta])* $name:ident: $may:expr;)*) => {$(
        $(#[$doc])*
        pub(super) struct $name(pub(super) Who);

        impl FromRequestParts<Arc<Desk>> for $name {
            type Rejection = Refusal;

            async fn from_request_parts(
                parts: &mut Parts,
                desk: &Arc<Desk>,
            ) -> Result<Self, Refusal> {
                let who = desk.prove(parts).await?;
                let right: Option<Right> = $may;
                match right {
                    Some(right) if !who.may(right) => Err(refuse(desk, &who, right)),
                    _ => Ok(Self(who)),
                }
            }
        }
    )*};
}

proofs! {
    /// Somebody who is let in, whatever it may do.
    Anybody: None;
    /// Somebody who may read.
    Reader: Some(Right::Read);
    /// Somebody who may answer.
    Replier: Some(Right::Reply);
    /// Somebody who may release files.
    Releaser: Some(Right::Release);
    /// Somebody who may administer.
    Administrator: Some(Right::Administer);
}

fn refuse(desk: &Desk, who: &Who, right: Right) -> Refusal {
    // From memory nobody may do more than read: that is the ledger's trouble, not the caller's.
    if desk.callers.is_away() && who.may(Right::Read) {
        return Refusal::away().since(desk.away_since());
    }
    let right = right.as_str();
    Refusal::new(
        Kind::Forbidden,
        format!("this needs the right {right}, which you do not have"),
    )
}
