//! Joining: from a token to an identity, in steps that can each be repeated.
//!
//! The order is: the key is kept, central is asked, the answer is kept. A crash or a lost answer anywhere
//! leaves the key and the token's hash, and the same token is then asked with the same key again, which
//! central knows to be the same enrolment: no use is taken twice. Both the service and the command line
//! come through here, one at a time.

use branchline_durable_sqlite::crash_point;
use branchline_protocol::enrolment::{EnrolmentReply, EnrolmentRequest, JournalOf, Token};
use branchline_protocol::id::Digest;
use branchline_protocol::outcome::Outcome;

use crate::identity::{
    CertificateFault, Change, Identity, IdentityError, IdentityFile, KeyFault, KeyedCertificate,
    PendingEnrolment, PrivateKey,
};
use crate::link::proxy::LinkSettings;
use crate::link::{Answer, Link, LinkError};

/// Why this machine has not joined.
#[derive(Debug, thiserror::Error)]
pub enum EnrolmentFault {
    /// Somebody else on this machine is at it.
    #[error("this machine is being enrolled already; see `branchline-agent status`")]
    UnderWay,
    /// The identity's file.
    #[error(transparent)]
    File(#[from] IdentityError),
    /// A key.
    #[error(transparent)]
    Key(#[from] KeyFault),
    /// There is no way to the central that the token names.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// Central's answer, or the lack of one.
    #[error("{}", said(.0))]
    Outcome(Box<Outcome>),
    /// Central's answer is of no use; nothing was kept of it.
    #[error("central's answer cannot be used: {0}")]
    Answer(String),
}

fn said(outcome: &Outcome) -> &str {
    outcome
        .trouble()
        .map_or("central asks for something else", |trouble| &trouble.words)
}

/// What an enrolment works with.
#[derive(Debug, Clone)]
pub struct Enrolment {
    /// Where the identity is kept.
    pub file: IdentityFile,
    /// How central is reached.
    pub settings: LinkSettings,
    /// Where central is, if not where the token says.
    pub server: Option<String>,
    /// Whose journal this machine has.
    pub journal_of: Option<JournalOf>,
}

impl Enrolment {
    /// Joins with this token, or finds out why not. What is answered `Ok` is in the file, durably.
    pub async fn join(&self, token: &Token) -> Result<Identity, EnrolmentFault> {
        let file = self.file.clone();
        let turn = blocking(move || file.enrolment_turn()).await?;
        let _turn = turn.ok_or(EnrolmentFault::UnderWay)?;
        let hash = token.secret.hash();
        let key = self.key_for(hash).await?;
        let request = EnrolmentRequest {
            secret: token.secret.clone(),
            request: key.request()?,
            journal_of: self.journal_of.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            clock: crate::ids::now(),
        };
        let server = self.server.as_ref().unwrap_or(&token.url);
        let link = Link::joining(server, token.anchor, &self.settings)?;
        crash_point::reach("enrolment-asking");
        let reply = match link.enrol(&request).await {
            Answer::Reply(reply) => reply,
            Answer::Outcome(outcome) => return Err(EnrolmentFault::Outcome(Box::new(outcome))),
        };
        crash_point::reach("enrolment-answered");
        let identity = self.identity(token, key, reply)?;
        self.keep(identity, hash).await
    }

    /// The key that this token was tried with before, or a new one, kept before anybody hears of it.
    async fn key_for(&self, token: Digest) -> Result<PrivateKey, EnrolmentFault> {
        let new = PrivateKey::generate()?;
        let file = self.file.clone();
        let kept = blocking(move || {
            file.change(Change::EnrolmentKey, |kept| {
                let again = matches!(&kept.pending, Some(pending) if pending.token == token);
                if !again {
                    kept.pending = Some(PendingEnrolment { key: new, token });
                }
                !again
            })
        })
        .await?;
        let pending = kept.pending.ok_or(EnrolmentFault::UnderWay)?;
        Ok(pending.key)
    }

    fn identity(
        &self,
        token: &Token,
        key: PrivateKey,
        reply: EnrolmentReply,
    ) -> Result<Identity, EnrolmentFault> {
        let unusable = |words: &str| EnrolmentFault::Answer(words.to_owned());
        let EnrolmentReply {
            agent,
            branch,
            ordinal,
            issued,
        } = reply;
        if ordinal == 0 {
            return Err(unusable("a branch's agents are counted from 1"));
        }
        if !issued.trust.is_sound() {
            return Err(unusable("it does not say whom to trust"));
        }
        let current = KeyedCertificate::new(key, issued.certificate)
            .map_err(|fault: CertificateFault| unusable(&fault.to_string()))?;
        let identity = Identity {
            server: token.url.clone(),
            agent,
            branch,
            ordinal,
            trust: issued.trust,
            current,
            next: None,
        };
        match &self.journal_of {
            // The journal would go on under another's name.
            Some(owner) if *owner != identity.journal_of() => Err(unusable(&format!(
                "it makes this machine agent {} of branch {}, and its journal is that of agent {} of \
                 branch {}",
                identity.ordinal, identity.branch, owner.ordinal, owner.branch
            ))),
            _ => Ok(identity),
        }
    }

    async fn keep(&self, identity: Identity, token: Digest) -> Result<Identity, EnrolmentFault> {
        let file = self.file.clone();
        let joined = identity.clone();
        blocking(move || {
            file.change(Change::Enrolled, |kept| {
                kept.identity = Some(joined);
                kept.pending = None;
                kept.joined_by = Some(token);
                true
            })
        })
        .await?;
        Ok(identity)
    }
}

/// Runs what waits for the disk where it may.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, IdentityError> + Send + 'static,
) -> Result<T, IdentityError> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|_| Err(IdentityError::Ended))
}
