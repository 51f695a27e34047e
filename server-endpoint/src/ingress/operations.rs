//! `POST /v1/operations`: a submission in, an acknowledgement out after the ledger's commit.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use branchline_durable_sqlite::crash_point;
use branchline_protocol::exchange::SubmissionReply;
use branchline_protocol::problem::{Problem, ProblemKind};
use http::request::Parts;

use super::refusal::Refusal;
use super::{Ingress, admission, answer, body, submission};
use crate::ledger::{Acknowledged, Append, Appended};

/// Bodies from here on are read off the async threads: parsing them takes longer than a task switch.
pub(super) const LARGE_BYTES: usize = 64 * 1024;

pub(super) async fn submit(
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
    let (bytes, share) = body::read(ingress.control_bodies(), headers, body).await?;
    let append = if bytes.len() < LARGE_BYTES {
        submission::read(agent.id, bytes)?
    } else {
        tokio::task::spawn_blocking(move || submission::read(agent.id, bytes))
            .await
            .map_err(|_| Refusal::new(ProblemKind::Internal, "reading the body failed"))??
    };
    // The ledger goes on with it when the agent hangs up, so that its memory counts until then.
    let at_ledger = {
        let ingress = ingress.clone();
        async move {
            let _share = share;
            append_and_tell(&ingress, append).await
        }
    };
    let appended =
        ingress.tasks.spawn(at_ledger).await.map_err(|_| {
            Refusal::new(ProblemKind::Internal, "appending the submission failed")
        })??;
    let reply = reply(appended)?;
    answer::json(headers, &reply)
}

pub(super) async fn append_and_tell(
    ingress: &Ingress,
    append: Append,
) -> Result<Appended, Refusal> {
    let at_work = ingress.control.begin();
    let appended = ingress.ledger.append(append).await?;
    drop(at_work);
    if let Appended::Held(held) = &appended {
        if held.appended > 0 {
            crash_point::reach("append-committed");
            ingress.bulletin.filed();
        }
        if held.gave_news {
            ingress.bulletin.ring(&held.branch);
        }
    }
    Ok(appended)
}

fn reply(appended: Appended) -> Result<SubmissionReply, Refusal> {
    let problem = match appended {
        Appended::Held(held) => return Ok(acknowledgement(held)),
        Appended::Gap { head } => {
            let detail = format!("central holds {} operations of this stream", head.seq);
            let mut problem = Problem::new(ProblemKind::Gap, detail);
            problem.head = Some(head);
            problem
        }
        Appended::Diverged {
            head,
            agreed,
            serials_used,
        } => {
            let detail = "central holds other operations in this place; open a new stream";
            let mut problem = Problem::new(ProblemKind::Diverged, detail);
            problem.head = Some(head);
            problem.agreed = Some(agreed);
            problem.serials_used = Some(serials_used);
            problem
        }
        Appended::ForeignStream => Problem::new(
            ProblemKind::ForeignStream,
            "this stream is another agent's; a copied journal must open a new one",
        ),
        Appended::UnknownAgent => Problem::new(
            ProblemKind::UnknownAgent,
            "central no longer knows this agent",
        ),
    };
    Err(problem.into())
}

fn acknowledgement(held: Acknowledged) -> SubmissionReply {
    tracing::debug!(
        appended = held.appended,
        head = held.head.seq.0,
        "submission held"
    );
    SubmissionReply {
        acknowledged: held.acknowledged,
        head: held.head,
        verdicts: held.verdicts,
        serials_used: held.serials_used,
        news: answer::feed_reply(held.news),
    }
}
