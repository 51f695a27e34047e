//! Who speaks, and in which version. Asked before anything of a body is read, and of the ledger each
//! time, so that a revocation holds from the next request on.
//!
//! The certificate was proven before: its chain and the possession of its key by TLS, or by a proxy that
//! may speak for agents. Here it is decided whether it is good *now*: whose it is, whether that one was
//! revoked, whether it has ended, and whether a later one took its place.

use branchline_protocol::exchange::{PROTOCOL_VERSION, VERSION_HEADER};
use branchline_protocol::problem::ProblemKind;
use http::request::Parts;
use http::{HeaderMap, HeaderValue};

use super::Ingress;
use super::client_cert;
use super::peer::{Door, Peer, Standing};
use super::refusal::Refusal;
use super::refused;
use crate::authority::{Presented, PresentedAgent};
use crate::ledger::{AgentRecord, CertificateState, now};

/// An agent that may get its next certificate.
#[derive(Debug)]
pub(super) struct Renewing {
    pub(super) agent: AgentRecord,
    pub(super) by: PresentedAgent,
    /// What is wrong with the certificate that it proved itself by, for the trail.
    pub(super) because: &'static str,
}

/// Whose certificate it is, and what may be wrong with it that a renewal mends.
struct Known {
    agent: AgentRecord,
    by: PresentedAgent,
    /// `None`: the ledger has forgotten the certificate, or was restored to before it was issued.
    state: Option<CertificateState>,
    expired: bool,
}

/// The agent, once it has proved who it is.
pub(super) async fn admit(ingress: &Ingress, parts: &Parts) -> Result<AgentRecord, Refusal> {
    let admitted = admit_now(ingress, parts).await;
    note_refusal(ingress, parts, admitted)
}

/// What a refused agent hears is kept for those who look after it.
fn note_refusal<T>(
    ingress: &Ingress,
    parts: &Parts,
    admitted: Result<T, Refusal>,
) -> Result<T, Refusal> {
    if let Err(refusal) = &admitted
        && let Ok(by) = presented(&ingress.door, parts)
    {
        refused::note(ingress, by.agent, refusal);
    }
    admitted
}

async fn admit_now(ingress: &Ingress, parts: &Parts) -> Result<AgentRecord, Refusal> {
    require_version(&parts.headers)?;
    let known = recognise(ingress, parts).await?;
    if known.expired {
        let detail = format!(
            "the certificate of agent {} ended at {}; renew it",
            known.agent.id,
            known.by.not_after.to_rfc3339()
        );
        return Err(Refusal::new(ProblemKind::CertificateExpired, detail));
    }
    match known.state {
        Some(CertificateState::Superseded) => {
            return Err(Refusal::new(
                ProblemKind::CertificateSuperseded,
                "a later certificate of this agent is in use; use that one, or get another",
            ));
        }
        Some(CertificateState::Unproven) => {
            let (agent, serial) = (known.agent.id, known.by.serial);
            ingress
                .ledger
                .prove_certificate(agent, serial, now())
                .await?;
        }
        Some(CertificateState::Proven | CertificateState::Revoked) | None => {}
    }
    Ok(known.agent)
}

/// The agent whose certificate is at least good enough to get the next one.
pub(super) async fn admit_renewal(ingress: &Ingress, parts: &Parts) -> Result<Renewing, Refusal> {
    let admitted = admit_renewal_now(ingress, parts).await;
    note_refusal(ingress, parts, admitted)
}

async fn admit_renewal_now(ingress: &Ingress, parts: &Parts) -> Result<Renewing, Refusal> {
    require_version(&parts.headers)?;
    let known = recognise(ingress, parts).await?;
    let because = match (known.expired, known.state) {
        (true, _) => "expired",
        (false, Some(CertificateState::Superseded)) => "superseded",
        (false, _) => "good",
    };
    Ok(Renewing {
        agent: known.agent,
        by: known.by,
        because,
    })
}

/// Refuses whoever is nobody, unknown, revoked, or away for longer than the grace.
async fn recognise(ingress: &Ingress, parts: &Parts) -> Result<Known, Refusal> {
    let door = &ingress.door;
    let by = presented(door, parts)?;
    let identified = ingress.ledger.identify(by.agent, by.serial).await?;
    let Some(identified) = identified else {
        let detail = format!("central has no agent {}", by.agent);
        return Err(Refusal::new(ProblemKind::UnknownAgent, detail));
    };
    let (agent, certificate) = (identified.agent, identified.certificate);
    tracing::Span::current().record("agent", tracing::field::display(agent.id));
    if agent.revoked_at.is_some() {
        return Err(revoked("this agent was revoked"));
    }
    if let Some(certificate) = &certificate {
        if certificate.key != by.key {
            return Err(unauthenticated(
                "central knows this certificate with another key",
            ));
        }
        if certificate.state == CertificateState::Revoked {
            return Err(revoked(
                "this agent has joined again since this certificate was issued",
            ));
        }
    }
    let at = now();
    let grace = i64::try_from(door.grace.as_millis()).unwrap_or(i64::MAX);
    if at.0 > by.not_after.0.saturating_add(grace) {
        let detail = format!(
            "the certificate ended at {}, longer ago than central waits for an agent to return",
            by.not_after.to_rfc3339()
        );
        return Err(revoked(&detail));
    }
    if at < by.not_before {
        // Central made it, so that it is central's clock that was or is wrong.
        tracing::warn!(
            not_before = by.not_before.to_rfc3339(),
            "a certificate is not valid yet: central's clock has gone back"
        );
    }
    Ok(Known {
        expired: at > by.not_after,
        state: certificate.map(|certificate| certificate.state),
        agent,
        by,
    })
}

/// The certificate that the one who speaks is known by.
fn presented(door: &Door, parts: &Parts) -> Result<PresentedAgent, Refusal> {
    let standing = parts
        .extensions
        .get::<std::sync::Arc<Peer>>()
        .map(|peer| &peer.standing);
    match standing {
        Some(Standing::Agent(agent)) => Ok(agent.clone()),
        Some(Standing::Spokesman) => passed_on(door, &parts.headers),
        Some(Standing::Unfit(fault)) => Err(unauthenticated(&format!(
            "the client certificate is not that of an agent: {fault}"
        ))),
        Some(Standing::UnlistedProxy(name)) => {
            let detail = format!(
                "the proxy {name} may not speak for agents; name it in [ingress] proxies of \
                 server.toml"
            );
            Err(Refusal::new(ProblemKind::Forbidden, detail))
        }
        Some(Standing::Stranger) | None => Err(unauthenticated(
            "this needs the certificate that central gave the agent, and none was shown",
        )),
    }
}

/// What a proxy passes on is proven again: the proxy ends TLS, it does not issue certificates.
fn passed_on(door: &Door, headers: &HeaderMap) -> Result<PresentedAgent, Refusal> {
    let field = client_cert::read(headers)
        .map_err(|fault| Refusal::new(ProblemKind::Malformed, fault.to_string()))?;
    let Some(der) = field else {
        return Err(unauthenticated(
            "the proxy passed no certificate on: the agent showed it none, or it does not send \
             Client-Cert",
        ));
    };
    match door.authority.examine(&der) {
        Ok(Presented::Agent(agent)) => Ok(agent),
        Ok(Presented::Proxy { name }) => Err(unauthenticated(&format!(
            "the certificate that was passed on is that of the proxy {name}, not of an agent"
        ))),
        Err(fault) => Err(unauthenticated(&format!(
            "the certificate that was passed on is not that of an agent: {fault}"
        ))),
    }
}

pub(super) fn require_version(headers: &HeaderMap) -> Result<(), Refusal> {
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

fn unauthenticated(detail: &str) -> Refusal {
    Refusal::new(ProblemKind::Unauthenticated, detail)
}

fn revoked(detail: &str) -> Refusal {
    Refusal::new(ProblemKind::Revoked, detail)
}
