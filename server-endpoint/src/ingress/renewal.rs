//! `POST /v1/certificate`: an agent gets its next certificate, by the one that it has.
//!
//! The one that it has may have ended, or have been replaced by one that the agent lost: as long as the
//! ledger knows the agent and nobody revoked it, it need not be visited (within the grace). Renewals that
//! come all at once are told to come back: nothing waits for them.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use branchline_protocol::enrolment::RenewalRequest;
use branchline_protocol::problem::{Problem, ProblemKind};
use http::request::Parts;

use super::enrolment::{self, Proven};
use super::peer::Peer;
use super::refusal::Refusal;
use super::{Ingress, admission, answer, body};
use crate::ledger::{Actor, Proof};

/// When one of a herd may come back: its certificate is good for weeks, or has ended anyhow.
const LATER: Duration = Duration::from_secs(30);

pub(super) async fn renew(
    State(ingress): State<Arc<Ingress>>,
    request: Request,
) -> Result<Response, Refusal> {
    let (parts, mut body) = request.into_parts();
    let answer = take(&ingress, &parts, &mut body).await;
    ingress.let_go(&answer, body);
    answer
}

async fn take(ingress: &Arc<Ingress>, parts: &Parts, body: &mut Body) -> Result<Response, Refusal> {
    let renewing = admission::admit_renewal(ingress, parts).await?;
    let turn = ingress.renewing.clone().try_acquire_owned().map_err(|_| {
        let detail = "central renews as many certificates as it can just now";
        Refusal::new(ProblemKind::Busy, detail).after(LATER)
    })?;
    let (bytes, share) = body::read(ingress.small_bodies(), &parts.headers, body).await?;
    let request: RenewalRequest = serde_json::from_slice(&bytes).map_err(|fault| {
        let detail = format!("the body is not a renewal: {fault}");
        Refusal::new(ProblemKind::Malformed, detail)
    })?;
    let request = enrolment::read_request(&request.request)?;
    if request.key == renewing.by.key {
        let detail = "the next certificate is for a new key, and this is the present one";
        return Err(Problem::new(ProblemKind::InvalidField, detail)
            .on_field("request")
            .into());
    }
    let peer = parts.extensions.get::<Arc<Peer>>();
    let proven = Proven {
        proof: Proof::Certificate(renewing.by.serial),
        actor: Actor::Agent(renewing.agent.id),
        words: format!("by a certificate that is {}", renewing.because),
        address: peer.map_or_else(String::new, |peer| peer.address.to_string()),
    };
    // The ledger goes on with it when the agent hangs up, so that its turn lasts until then.
    let issuing = {
        let ingress = ingress.clone();
        async move {
            let _held = (turn, share);
            enrolment::issue(&ingress, &request, &renewing.agent, proven).await
        }
    };
    let issued = ingress.tasks.spawn(issuing).await;
    let issued = issued
        .map_err(|_| Refusal::new(ProblemKind::Internal, "issuing the certificate failed"))??;
    answer::json(&parts.headers, &issued)
}
