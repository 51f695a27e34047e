//! `POST /v1/enrolment`: an agent joins, with a token and without a certificate.
//!
//! The order makes every step repeatable: the ledger counts the use and names the agent, the certificate
//! is made, kept, and only then given out. A repeat with the same token and key finds the same agent and
//! the same certificate. What fails is counted by address and written into the trail, both bounded.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use branchline_protocol::enrolment::{Der, EnrolmentReply, EnrolmentRequest, Issued};
use branchline_protocol::id::AgentId;
use branchline_protocol::limits::{DETAIL_CHARS, ENROLMENT_BYTES};
use branchline_protocol::problem::{Problem, ProblemKind};
use branchline_protocol::text::clipped;
use http::request::Parts;
use tokio::time::Instant;

use super::body::Reading;
use super::peer::Peer;
use super::refusal::Refusal;
use super::{Ingress, admission, answer, body};
use crate::authority::patience::Network;
use crate::authority::{Authority, CertificateRequest};
use crate::ledger::{
    Actor, AgentRecord, CertificateState, Deed, Enrol, Enrolled, NewCertificate, Proof, now,
};

pub(super) async fn join(
    State(ingress): State<Arc<Ingress>>,
    request: Request,
) -> Result<Response, Refusal> {
    let (parts, mut body) = request.into_parts();
    let answer = take(&ingress, &parts, &mut body).await;
    ingress.let_go(&answer, body);
    answer
}

async fn take(ingress: &Arc<Ingress>, parts: &Parts, body: &mut Body) -> Result<Response, Refusal> {
    admission::require_version(&parts.headers)?;
    let peer = parts.extensions.get::<Arc<Peer>>();
    let address = peer.map_or_else(|| "unknown".to_owned(), |peer| peer.address.to_string());
    let network = peer.map(|peer| Network::of(peer.address));
    let turn = ingress.joining.clone().try_acquire_owned().map_err(|_| {
        Refusal::new(
            ProblemKind::Busy,
            "central takes in as many agents as it can just now",
        )
    })?;
    if let Some(network) = network {
        let begun = ingress.attempts.begin(network, Instant::now());
        begun.map_err(|wait| {
            let detail = "too many enrolments from this address failed; check the token";
            Refusal::new(ProblemKind::Busy, detail).after(wait)
        })?;
    }
    let (bytes, share) = body::read(ingress.small_bodies(), &parts.headers, body).await?;
    // It goes on when the agent hangs up: a use that was taken should have led to something.
    let joining = {
        let (ingress, address) = (ingress.clone(), address.clone());
        async move {
            let _held = (turn, share);
            enrol(&ingress, &bytes, address).await
        }
    };
    let joined = ingress.tasks.spawn(joining).await;
    let joined = joined.unwrap_or_else(|_| {
        Err(Refusal::new(
            ProblemKind::Internal,
            "taking the enrolment failed",
        ))
    });
    let theirs = joined.as_ref().err().filter(|refusal| !refusal.is_ours());
    match (theirs, network) {
        (Some(refusal), _) => record_failure(ingress, address, refusal).await,
        (None, Some(network)) => ingress.attempts.succeeded(network),
        (None, None) => {}
    }
    answer::json(&parts.headers, &joined?)
}

async fn enrol(ingress: &Ingress, body: &[u8], address: String) -> Result<EnrolmentReply, Refusal> {
    let request: EnrolmentRequest = serde_json::from_slice(body).map_err(|fault| {
        let detail = format!("the body is not an enrolment: {fault}");
        Refusal::new(ProblemKind::Malformed, detail)
    })?;
    let certificate_request = read_request(&request.request)?;
    let token = request.secret.hash();
    let enrolled = ingress
        .ledger
        .enrol(Enrol {
            token,
            key: certificate_request.key,
            candidate: candidate()?,
            journal_of: request.journal_of,
            address: address.clone(),
            at: now(),
        })
        .await?;
    let agent = joined(enrolled)?;
    tracing::Span::current().record("agent", tracing::field::display(agent.id));
    let proven = Proven {
        proof: Proof::Token(token),
        actor: Actor::Bearer(address.clone()),
        words: "by an enrolment token".to_owned(),
        address,
    };
    let issued = issue(ingress, &certificate_request, &agent, proven).await?;
    tracing::info!(branch = %agent.branch, ordinal = agent.ordinal, "an agent joined");
    Ok(EnrolmentReply {
        agent: agent.id,
        branch: agent.branch,
        ordinal: agent.ordinal,
        issued,
    })
}

fn joined(enrolled: Enrolled) -> Result<AgentRecord, Refusal> {
    let (kind, detail) = match enrolled {
        Enrolled::Agent(agent) => return Ok(agent),
        Enrolled::UnknownToken => (
            ProblemKind::UnknownToken,
            "central has no such token, or it was taken back; ask for a new one".to_owned(),
        ),
        Enrolled::Expired => (
            ProblemKind::TokenExpired,
            "the token has ended; ask for a new one".to_owned(),
        ),
        Enrolled::UsedUp => (
            ProblemKind::TokenUsedUp,
            "as many agents have joined with this token as it was made for; ask for a new one"
                .to_owned(),
        ),
        Enrolled::OtherJournal(what_to_do) => (ProblemKind::Conflict, what_to_do),
        Enrolled::Revoked => (
            ProblemKind::Revoked,
            "this agent was revoked, or has joined again, since this token was used; ask for a new one"
                .to_owned(),
        ),
    };
    Err(Refusal::new(kind, detail))
}

/// The name of an agent that is new.
fn candidate() -> Result<AgentId, Refusal> {
    let mut random = [0; 10];
    getrandom::fill(&mut random)
        .map_err(|_| Refusal::new(ProblemKind::Internal, "central has no random numbers"))?;
    let at = u64::try_from(now().0).unwrap_or(0);
    Ok(AgentId::from_parts(at, random))
}

/// By what somebody gets a certificate.
pub(super) struct Proven {
    pub(super) proof: Proof,
    pub(super) actor: Actor,
    pub(super) words: String,
    pub(super) address: String,
}

pub(super) fn read_request(request: &Der) -> Result<CertificateRequest, Refusal> {
    Authority::read_request(request).map_err(|fault| {
        let detail = format!("the certificate signing request cannot be taken: {fault}");
        Problem::new(ProblemKind::InvalidField, detail)
            .on_field("request")
            .into()
    })
}

/// The agent's certificate for this key: the one that it was given before, or a new one, which is kept
/// before it is given out.
pub(super) async fn issue(
    ingress: &Ingress,
    request: &CertificateRequest,
    agent: &AgentRecord,
    proven: Proven,
) -> Result<Issued, Refusal> {
    let at = now();
    let authority = &ingress.door.authority;
    let trust = authority.trust();
    let given = ingress.ledger.certificates(agent.id).await?;
    let given = given.into_iter().find(|given| {
        let lives = matches!(
            given.state,
            CertificateState::Unproven | CertificateState::Proven
        );
        lives && given.key == request.key && at <= given.not_after
    });
    if let Some(certificate) = given.and_then(|given| authority.chain_of(given.der)) {
        return Ok(Issued {
            certificate,
            trust,
            server_time: at,
        });
    }
    let issued = authority.issue(request, agent, at).map_err(|fault| {
        tracing::error!(error = %fault, "issue a certificate");
        Refusal::new(
            ProblemKind::Internal,
            "central cannot issue a certificate; its log says more",
        )
    })?;
    let Some(leaf) = issued.chain.first() else {
        return Err(Refusal::new(
            ProblemKind::Internal,
            "the new certificate is empty",
        ));
    };
    let kept = ingress
        .ledger
        .keep_certificate(NewCertificate {
            serial: issued.serial,
            agent: agent.id,
            key: issued.key,
            not_before: issued.not_before,
            not_after: issued.not_after,
            der: leaf.as_bytes().to_vec(),
            at,
            proof: proven.proof,
            deed: Deed {
                actor: proven.actor,
                action: "certificate-issued",
                subject: agent.id.to_string(),
                detail: format!("{}, until {}", proven.words, issued.not_after.to_rfc3339()),
                address: Some(proven.address),
                at,
            },
        })
        .await?;
    if !kept {
        return Err(Refusal::new(
            ProblemKind::Revoked,
            "this agent was revoked, or has joined again, in the meantime",
        ));
    }
    Ok(Issued {
        certificate: issued.chain,
        trust,
        server_time: at,
    })
}

/// Writes down that somebody could not join.
async fn record_failure(ingress: &Ingress, address: String, refusal: &Refusal) {
    let Some(unrecorded) = ingress.attempts.to_record(Instant::now()) else {
        return;
    };
    let mut detail = refusal.words();
    if unrecorded > 0 {
        detail = format!("{detail} ({unrecorded} before this were not written down)");
    }
    let deed = Deed {
        actor: Actor::Bearer(address.clone()),
        action: "enrolment-refused",
        subject: "enrolment".to_owned(),
        detail: clipped(&detail, DETAIL_CHARS).to_owned(),
        address: Some(address),
        at: now(),
    };
    if let Err(fault) = ingress.ledger.record(deed).await {
        tracing::error!(error = %fault, "record an enrolment that was refused");
    }
}

impl Ingress {
    /// Within what the bodies of joining and renewing are read.
    pub(super) fn small_bodies(&self) -> Reading<'_> {
        Reading {
            most: ENROLMENT_BYTES,
            ..self.control_bodies()
        }
    }
}
