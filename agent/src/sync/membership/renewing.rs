//! Renewing: a new key, a certificate for it, and the proof that central takes it, each kept before the
//! next.
//!
//! The proof is a small request over a link of its own that shows the next certificate. Both lanes go on
//! with the present one until that is answered, so that whatever is wrong with the next one stops nothing.

use branchline_agent_api::EnrolmentState;
use branchline_durable_sqlite::crash_point;
use branchline_protocol::outcome::{Failure, Heard, Outcome, Trouble, classify};
use branchline_protocol::problem::ErrorClass;
use tokio::time::Instant;

use crate::identity::{
    Change, Identity, IdentityError, Kept, KeyFault, KeyedCertificate, Next, PrivateKey, Which,
};
use crate::link::{Answer, Link, LinkError};

use super::super::enrolment::blocking;
use super::{Asked, MembershipTask, call_it};

/// Why there is no next certificate yet.
#[derive(Debug, thiserror::Error)]
enum RenewalFault {
    #[error(transparent)]
    File(#[from] IdentityError),
    #[error(transparent)]
    Key(#[from] KeyFault),
    #[error(transparent)]
    Link(#[from] LinkError),
    #[error("central's answer is not for this machine's key")]
    OtherKey,
    #[error("the identity was replaced meanwhile")]
    Replaced,
    /// Central, or the way to it, when asked for a certificate.
    #[error("asked for a certificate")]
    Asking(Outcome),
    /// Central, or the way to it, when shown the next one.
    #[error("showed the next certificate")]
    Proving(Outcome),
}

impl MembershipTask {
    /// Renews, unless the last attempt asks to wait longer.
    pub(super) async fn renew_in_time(&mut self, identity: Identity) {
        if Instant::now() < self.not_before {
            return;
        }
        self.shared.become_state(EnrolmentState::Renewing);
        match self.renew(identity).await {
            Ok(renewed) => {
                tracing::info!(until = %renewed.current.facts().not_after.to_rfc3339(), "the agent has another certificate");
                self.settle_on(&renewed);
            }
            Err(fault) => self.not_renewed(fault).await,
        }
    }

    async fn renew(&mut self, mut identity: Identity) -> Result<Identity, RenewalFault> {
        loop {
            let serial = identity.current.facts().serial.clone();
            let kept = match identity.next.clone() {
                None => {
                    let key = PrivateKey::generate()?;
                    self.keep(Change::NextKey, serial, move |identity| {
                        identity.next = Some(Next::Key(key));
                    })
                    .await?
                }
                Some(Next::Key(key)) => {
                    let next = self.ask(key).await?;
                    self.keep(Change::NextCertificate, serial, move |identity| {
                        identity.next = Some(Next::Certificate(next));
                    })
                    .await?
                }
                Some(Next::Certificate(next)) => {
                    self.prove(&identity).await?;
                    return self
                        .keep(Change::Proven, serial, move |identity| {
                            identity.current = next;
                            identity.next = None;
                        })
                        .await;
                }
            };
            identity = kept;
        }
    }

    /// Asks for a certificate, as whom the present one proves.
    async fn ask(&self, key: PrivateKey) -> Result<KeyedCertificate, RenewalFault> {
        let link = self.shared.link.borrow().clone();
        let link = link.ok_or(RenewalFault::Replaced)?;
        let request = key.request()?;
        crash_point::reach("renewal-asking");
        let issued = match link.renew(request).await {
            Answer::Reply(issued) => issued,
            Answer::Outcome(outcome) => return Err(RenewalFault::Asking(outcome)),
        };
        crash_point::reach("renewal-answered");
        KeyedCertificate::new(key, issued.certificate).map_err(|_| RenewalFault::OtherKey)
    }

    /// Shows the next certificate on a link of its own.
    async fn prove(&self, identity: &Identity) -> Result<(), RenewalFault> {
        let showing = identity
            .showing(Which::Next)
            .ok_or(RenewalFault::Replaced)?;
        let link = Link::mutual(self.server(identity), &showing, &self.settings.link)?;
        crash_point::reach("renewal-proving");
        match link.show().await {
            Answer::Reply(_) => {
                crash_point::reach("renewal-proven");
                Ok(())
            }
            Answer::Outcome(outcome) => Err(RenewalFault::Proving(outcome)),
        }
    }

    /// Changes the identity in the file, if it is still the one with this certificate.
    async fn keep(
        &self,
        reason: Change,
        serial: Vec<u8>,
        change: impl FnOnce(&mut Identity) + Send + 'static,
    ) -> Result<Identity, RenewalFault> {
        let file = self.shared.file.clone();
        let (kept, changed) = blocking(move || {
            let mut changed = false;
            let kept: Kept = file.change(reason, |kept| {
                if let Some(identity) = &mut kept.identity
                    && identity.current.facts().serial == serial
                {
                    change(identity);
                    changed = true;
                }
                changed
            })?;
            Ok((kept, changed))
        })
        .await?;
        let identity = kept.identity.filter(|_| changed);
        let identity = identity.ok_or(RenewalFault::Replaced)?;
        if reason != Change::Proven {
            self.shared.become_identity(&identity);
        }
        Ok(identity)
    }

    async fn not_renewed(&mut self, fault: RenewalFault) {
        let outcome = match fault {
            RenewalFault::Asking(Outcome::Reenrol { trouble }) => {
                self.shared.trouble(&trouble);
                self.shared.ask(Asked::Token);
                return;
            }
            RenewalFault::Asking(Outcome::Renew { trouble }) => {
                // Asked for the very thing that it says to do: the grace is over.
                let words = format!(
                    "{} It is not renewed any more: this machine must join again, with a token for the \
                     agent that it is.",
                    trouble.words
                );
                let class = ErrorClass::CallIt;
                self.shared.trouble(&Trouble {
                    class,
                    words,
                    ..trouble
                });
                self.shared.ask(Asked::Token);
                return;
            }
            RenewalFault::Proving(outcome) => {
                if is_refusal(&outcome) {
                    // The present one goes on; the next attempt is with another key.
                    self.give_up_next().await;
                }
                outcome
            }
            RenewalFault::Asking(outcome) => outcome,
            fault => Outcome::Refused {
                trouble: call_it(&fault),
            },
        };
        if let Some(trouble) = outcome.trouble() {
            self.shared.trouble(trouble);
        }
        self.not_before = Instant::now() + self.retry.after(&outcome);
    }

    async fn give_up_next(&mut self) {
        let Some(identity) = self.shared.state().identity.clone() else {
            return;
        };
        let serial = identity.current.facts().serial.clone();
        let kept = self
            .keep(Change::GivenUp, serial, |identity| identity.next = None)
            .await;
        if let Err(fault) = kept {
            self.shared.trouble(&call_it(&fault));
        }
    }
}

/// Central itself, or its TLS, will not have it; another attempt with the same would be no better.
fn is_refusal(outcome: &Outcome) -> bool {
    match outcome {
        Outcome::Renew { .. } | Outcome::Reenrol { .. } | Outcome::Refused { .. } => true,
        other => *other == classify(Heard::Failed(Failure::CertificateRefused)),
    }
}
