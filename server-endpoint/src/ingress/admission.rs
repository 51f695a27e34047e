//! Who speaks, and in which version. Asked before anything of a body is read, and of the ledger each
//! time, so that a registration taken back is refused from the next request on.

use branchline_protocol::exchange::{Credentials, PROTOCOL_VERSION, VERSION_HEADER};
use branchline_protocol::problem::ProblemKind;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue};

use super::Ingress;
use super::refusal::Refusal;
use crate::ledger::AgentRecord;

/// The agent, once it has proved who it is.
pub(super) async fn admit(ingress: &Ingress, headers: &HeaderMap) -> Result<AgentRecord, Refusal> {
    require_version(headers)?;
    let credentials = headers
        .get(AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(Credentials::from_header)
        .ok_or_else(|| {
            Refusal::new(
                ProblemKind::Unauthenticated,
                "the header Authorization: Bearer AGENT.SECRET is missing or not in that form",
            )
        })?;
    let Some(agent) = ingress.ledger.agent(credentials.agent).await? else {
        let detail = format!("central has no agent {}", credentials.agent);
        return Err(Refusal::new(ProblemKind::UnknownAgent, detail));
    };
    tracing::Span::current().record("agent", tracing::field::display(agent.id));
    // The hash type compares in constant time.
    let given = blake3::Hash::from_bytes(credentials.secret_hash().0);
    let registered = agent
        .secret_hash
        .map(|hash| blake3::Hash::from_bytes(hash.0));
    if registered != Some(given) {
        return Err(Refusal::new(
            ProblemKind::WrongSecret,
            "the secret is not the one that this agent was registered with",
        ));
    }
    Ok(agent)
}

fn require_version(headers: &HeaderMap) -> Result<(), Refusal> {
    let spoken = PROTOCOL_VERSION.to_string();
    let detail = match headers.get(VERSION_HEADER).map(HeaderValue::as_bytes) {
        Some(version) if version == spoken.as_bytes() => return Ok(()),
        Some(_) => {
            format!("central speaks protocol version {spoken}; upgrade whichever side is older")
        }
        None => format!("the header {VERSION_HEADER}: {spoken} is missing"),
    };
    Err(Refusal::new(ProblemKind::UnsupportedVersion, detail))
}
