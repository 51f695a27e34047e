//! For whoever watches the process: `/livez`, it runs; `/readyz`, its ledger answers.

use std::sync::Arc;

use axum::extract::State;
use branchline_protocol::problem::ProblemKind;

use super::Ingress;
use super::refusal::Refusal;

pub(super) async fn live() -> &'static str {
    "live\n"
}

pub(super) async fn ready(State(ingress): State<Arc<Ingress>>) -> Result<&'static str, Refusal> {
    if ingress.stopping.is_cancelled() {
        return Err(Refusal::new(
            ProblemKind::Unavailable,
            "central is stopping",
        ));
    }
    ingress.ledger.ready().await?;
    Ok("ready\n")
}
