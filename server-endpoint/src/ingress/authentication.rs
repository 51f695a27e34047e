//! Who speaks. Asked before anything of a body is read, and of the ledger each time, so that a
//! registration taken back is refused from the next request on.

use axum::extract::FromRequestParts;
use branchline_protocol::exchange::Credentials;
use branchline_protocol::problem::ProblemKind;
use http::header::AUTHORIZATION;
use http::request::Parts;
use std::sync::Arc;

use super::Ingress;
use super::refusal::Refusal;
use crate::ledger::AgentRecord;

/// An agent that has proved who it is.
pub(super) struct Agent(pub(super) AgentRecord);

impl FromRequestParts<Arc<Ingress>> for Agent {
    type Rejection = Refusal;

    async fn from_request_parts(
        parts: &mut Parts,
        ingress: &Arc<Ingress>,
    ) -> Result<Self, Refusal> {
        let credentials = parts
            .headers
            .get(AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
            .and_then(Credentials::from_header)
            .ok_or_else(|| {
                Refusal::new(
                    ProblemKind::Unauthenticated,
                    "the header Authorization: Bearer AGENT.SECRET is missing or not in that form",
                )
            })?;
        let known = ingress.ledger.agent(credentials.agent).await?;
        let Some(agent) = known else {
            return Err(Refusal::new(
                ProblemKind::UnknownAgent,
                format!("central has no agent {}", credentials.agent),
            ));
        };
        tracing::Span::current().record("agent", tracing::field::display(agent.id));
        // The hash type compares in constant time.
        let given = blake3::Hash::from_bytes(credentials.secret_hash().0);
        let registered = blake3::Hash::from_bytes(agent.secret_hash.0);
        if given != registered {
            return Err(Refusal::new(
                ProblemKind::WrongSecret,
                "the secret is not the one that this agent was registered with",
            ));
        }
        Ok(Self(agent))
    }
}
