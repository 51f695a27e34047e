//! Ends what a revoked agent has open. Its next request is refused anyhow, because the ledger is asked
//! for each; this is for connections that stand idle and for feed requests that are held.
//!
//! The one who revokes is another process, so that the ledger is asked what is new, for all at once.

use std::time::Duration;

use super::Ingress;

/// How long a connection may outlive its agent's revocation.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Dismisses those who were revoked, until stopped.
pub(super) async fn watch(ingress: &Ingress) {
    // The first look only learns where to begin.
    let mut seen = None;
    loop {
        // A ledger that is away is noticed by the requests themselves; what was missed comes later.
        if let Ok((through, agents)) = ingress.ledger.revocations(seen).await {
            for agent in agents {
                tracing::info!(%agent, "revoked: its connections end");
                ingress.connected.dismiss(agent);
                ingress.listening.dismiss(agent);
            }
            seen = Some(through);
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK_EVERY) => {}
            () = ingress.stopping.cancelled() => return,
        }
    }
}
