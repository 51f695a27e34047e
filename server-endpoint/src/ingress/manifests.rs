//! `POST /v1/manifests`: what files are made of, and how each stands. On the bulk lane.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use branchline_protocol::limits::{ANNOUNCED_FILES, SECTION_CHUNKS};
use branchline_protocol::manifest::{Announcement, AnnouncementReply};
use branchline_protocol::problem::ProblemKind;
use http::request::Parts;

use super::operations::LARGE_BYTES;
use super::refusal::Refusal;
use super::{Ingress, admission, answer, body};
use crate::ledger::{Announce, Announced, now};
use crate::vault::VaultError;

pub(super) async fn announce(
    State(ingress): State<Arc<Ingress>>,
    request: Request,
) -> Result<Response, Refusal> {
    let (parts, mut body) = request.into_parts();
    let answer = take(&ingress, &parts, &mut body).await;
    ingress.let_go(&answer, body);
    answer
}

async fn take(ingress: &Arc<Ingress>, parts: &Parts, body: &mut Body) -> Result<Response, Refusal> {
    let agent = admission::admit(ingress, parts).await?;
    let headers = &parts.headers;
    let pass = ingress.admit_bulk(agent.id, 0)?;
    let (bytes, share) = body::read(ingress.bulk_bodies(), headers, body).await?;
    let announcement = if bytes.len() < LARGE_BYTES {
        read(&bytes)?
    } else {
        tokio::task::spawn_blocking(move || read(&bytes))
            .await
            .map_err(|_| Refusal::new(ProblemKind::Internal, "reading the body failed"))??
    };
    if brings_chunks(&announcement) {
        ingress.require_room().await?;
    }
    let announce = Announce {
        agent: agent.id,
        sections: announcement.files,
        bounds: ingress.bounds.uploads,
        at: now(),
    };
    // The ledger goes on with it when the agent hangs up, so that its memory counts until then.
    let at_ledger = {
        let ingress = ingress.clone();
        async move {
            let _held = (pass, share);
            announce_and_tell(&ingress, announce).await
        }
    };
    let announced = ingress
        .tasks
        .spawn(at_ledger)
        .await
        .map_err(|_| Refusal::new(ProblemKind::Internal, "announcing the files failed"))??;
    let reply = AnnouncementReply {
        files: announced.files,
    };
    answer::json(headers, &reply)
}

async fn announce_and_tell(ingress: &Ingress, announce: Announce) -> Result<Announced, Refusal> {
    let announced = ingress.ledger.announce(announce).await?;
    if announced.gave_news {
        ingress.bulletin.ring(&announced.branch);
    }
    Ok(announced)
}

fn read(body: &[u8]) -> Result<Announcement, Refusal> {
    let announcement: Announcement = serde_json::from_slice(body).map_err(|fault| {
        Refusal::new(
            ProblemKind::Malformed,
            format!("the body is not an announcement: {fault}"),
        )
    })?;
    let files = announcement.files.len();
    let chunks: usize = announcement
        .files
        .iter()
        .map(|section| section.chunks.len())
        .sum();
    if files > ANNOUNCED_FILES || chunks > SECTION_CHUNKS {
        let detail = format!(
            "{files} files with {chunks} chunks at once; at most {ANNOUNCED_FILES} and \
             {SECTION_CHUNKS} are allowed, send fewer"
        );
        return Err(Refusal::new(ProblemKind::TooLarge, detail));
    }
    Ok(announcement)
}

/// Only asking how files stand takes no space.
fn brings_chunks(announcement: &Announcement) -> bool {
    announcement
        .files
        .iter()
        .any(|section| !section.chunks.is_empty())
}

impl Ingress {
    /// Files are refused before the disk is full (P9): also what is only announced takes space, in the
    /// ledger.
    pub(super) async fn require_room(&self) -> Result<(), Refusal> {
        let fault = match self.vault.room().await {
            Ok(1..) => return Ok(()),
            Ok(0) => VaultError::Full("its reserve is reached".into()),
            Err(fault) => fault,
        };
        Err(self.vault_health.refuse(&fault))
    }
}
