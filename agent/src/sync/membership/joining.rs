//! Joining with whatever token lies about, and erasing it once it was used.

use branchline_agent_api::EnrolmentState;
use branchline_protocol::enrolment::Token;
use branchline_protocol::id::Digest;
use branchline_protocol::outcome::Outcome;
use tokio::time::Instant;

use crate::identity::token_sources::{Erased, Found, Place};

use super::super::enrolment::{Enrolment, EnrolmentFault};
use super::{MembershipTask, call_it};

impl MembershipTask {
    /// Joins, if there is a token and it is time to try. `without` is what the status says while there is
    /// none.
    pub(super) async fn join(&mut self, without: EnrolmentState) {
        let sources = self.settings.sources.clone();
        let found = tokio::task::spawn_blocking(move || sources.look()).await;
        let tokens = self.tokens(found.unwrap_or_default());
        let hashes: Vec<Digest> = tokens.iter().map(|token| token.secret.hash()).collect();
        if tokens.is_empty() {
            self.tried = hashes;
            self.shared.become_state(without);
            return;
        }
        if hashes != self.tried {
            // Others than before: no reason to wait on account of those.
            self.tried = hashes;
            self.retry.reset();
            self.not_before = Instant::now();
        }
        if Instant::now() < self.not_before {
            return;
        }
        self.shared.become_state(EnrolmentState::Enrolling);
        for token in &tokens {
            if self.join_with(token).await {
                return;
            }
        }
    }

    /// Answers whether that settles it.
    async fn join_with(&mut self, token: &Token) -> bool {
        let enrolment = Enrolment {
            file: self.shared.file.clone(),
            settings: self.settings.link.clone(),
            server: self.settings.server.clone(),
            journal_of: self.settings.journal_of.clone(),
        };
        let fault = match enrolment.join(token).await {
            Ok(identity) => {
                tracing::info!(branch = %identity.branch, ordinal = identity.ordinal, agent = %identity.agent, "this machine has joined");
                self.to_erase = Some(token.secret.hash());
                self.settle_on(&identity);
                self.erase().await;
                return true;
            }
            Err(EnrolmentFault::UnderWay) => return true,
            Err(fault) => fault,
        };
        let outcome = as_outcome(&fault);
        if let Some(trouble) = outcome.trouble() {
            self.shared.trouble(trouble);
        }
        self.not_before = Instant::now() + self.retry.after(&outcome);
        false
    }

    /// What can be tried; what cannot is said.
    fn tokens(&self, found: Vec<Found>) -> Vec<Token> {
        let mut tokens: Vec<Token> = Vec::new();
        for Found { place, token } in found {
            match token {
                Ok(token) if tokens.contains(&token) => {}
                Ok(token) => tokens.push(token),
                Err(fault) => self
                    .shared
                    .trouble(&call_it(&format_args!("{place}: {fault}"))),
            }
        }
        tokens
    }

    /// Takes the token that this agent joined with away, once: at the end of joining, and at the next start
    /// if that was cut short.
    pub(super) async fn erase(&mut self) {
        let Some(used) = self.to_erase.take() else {
            return;
        };
        let sources = self.settings.sources.clone();
        let erased = tokio::task::spawn_blocking(move || sources.erase(used)).await;
        for (place, came) in erased.unwrap_or_default() {
            match came {
                Erased::Gone => tracing::info!(%place, "erased the used enrolment token"),
                Erased::NotOurs => tracing::warn!(%place, "{}", not_ours(&place)),
                Erased::Failed(fault) => {
                    tracing::error!(%place, %fault, "cannot erase the used enrolment token");
                    self.shared.trouble(&call_it(&format_args!(
                        "the used enrolment token still stands in {place} and could not be erased \
                         ({fault}); remove it"
                    )));
                }
            }
        }
    }
}

fn not_ours(place: &Place) -> &'static str {
    match place {
        Place::Environment => {
            "the used enrolment token stands in the environment, which only whoever starts the service can \
             change; remove it there"
        }
        _ => "the used enrolment token stands in a credential; remove it from the service's unit",
    }
}

/// For the retry policy and the status.
fn as_outcome(fault: &EnrolmentFault) -> Outcome {
    match fault {
        EnrolmentFault::Outcome(outcome) => outcome.as_ref().clone(),
        fault => Outcome::Refused {
            trouble: call_it(fault),
        },
    }
}
