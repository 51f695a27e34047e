//! Files over the local API: a streamed upload, and the list of what became of them.

use std::time::Duration;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Extension, Path, Query, Request, State};
use branchline_agent_api::{FileList, FileSaved, FileSummary, FilesStatus, LIST_FILES};
use branchline_protocol::id::{FileId, OperationId, TicketNumber};
use branchline_protocol::operation::Reporter;
use branchline_protocol::problem::{ErrorClass, Problem, ProblemKind};
use futures_util::StreamExt;
use http::header::CONTENT_ENCODING;
use serde::Deserialize;

use crate::platform::Caller;
use crate::store::chunks::ChunksError;
use crate::store::files::AttachError;
use crate::store::filing::{Ask, Filing};
use crate::store::finding::Sight;

use super::local_api::{Desk, Shared};
use super::problems::Refusal;
use super::requests::{JsonAnswer, Number};
use super::taking::TakeError;

/// How long what is still coming of a refused file is read and thrown away.
const DRAIN_WITHIN: Duration = Duration::from_secs(10);
/// Bytes of a name as given: a path of the longest kind.
const GIVEN_NAME_BYTES: usize = 32 * 1024;
/// Files in a list that names no limit.
const DEFAULT_LIST: u32 = 50;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AttachQuery {
    name: String,
    id: Option<OperationId>,
    size: Option<u64>,
}

/// Takes a file in and answers when it is durable.
pub(super) async fn attach_file(
    State(desk): Shared,
    Extension(caller): Extension<Caller>,
    Number(number): Number,
    query: Result<Query<AttachQuery>, QueryRejection>,
    request: Request,
) -> Result<JsonAnswer<FileSaved>, Refusal> {
    let encoded = request
        .headers()
        .get(CONTENT_ENCODING)
        .is_some_and(|encoding| encoding != "identity");
    let mut body = request.into_body().into_data_stream();
    let refusal = match attachable(query, encoded) {
        Ok(query) => match take(&desk, caller, number, query, &mut body).await {
            Ok(saved) => return Ok(JsonAnswer(saved)),
            Err(refusal) => refusal,
        },
        Err(problem) => problem.into(),
    };
    // A client whose connection closes while it writes never reads why: what it still sends is read while
    // it is told, and for a while after.
    let drained = async move { while let Some(Ok(_)) = body.next().await {} };
    desk.intake.spawn(async move {
        let _ = tokio::time::timeout(DRAIN_WITHIN, drained).await;
    });
    Err(refusal)
}

fn attachable(
    query: Result<Query<AttachQuery>, QueryRejection>,
    encoded: bool,
) -> Result<AttachQuery, Problem> {
    let Query(query) = query.map_err(|fault| {
        let detail = format!("{fault}; use ?name=NAME&id=UUID&size=BYTES");
        Problem::new(ProblemKind::Malformed, detail)
    })?;
    if encoded {
        let detail = "send the file as it is, without Content-Encoding";
        return Err(Problem::new(ProblemKind::UnsupportedMedia, detail));
    }
    if query.name.len() > GIVEN_NAME_BYTES {
        let detail = format!("name has more than {GIVEN_NAME_BYTES} bytes");
        return Err(Problem::new(ProblemKind::InvalidField, detail).on_field("name"));
    }
    Ok(query)
}

async fn take(
    desk: &Desk,
    caller: Caller,
    number: TicketNumber,
    query: AttachQuery,
    body: &mut axum::body::BodyDataStream,
) -> Result<FileSaved, Refusal> {
    let at = crate::ids::local_now();
    let id = query
        .id
        .unwrap_or_else(|| OperationId(crate::ids::new_uuid(at.millis)));
    desk.must_see(&caller, &number).await?;
    // Said before gigabytes are taken in for a ticket that is not there; asked again when it counts.
    desk.intake.may_attach(number.clone()).await?;
    let file = FileId::from(id);
    let taken = desk
        .intake
        .take(file, &query.name, query.size, body)
        .await?;
    let (whole, name) = (taken.whole(), taken.name().to_owned());
    let filing = Filing {
        id,
        at: crate::ids::local_now(),
        by: Reporter { user: caller.user },
        ask: Ask::File {
            number,
            name: name.clone(),
            size: whole.size,
            root: whole.root,
        },
    };
    let saved = desk.intake.attach(taken, filing).await?;
    desk.appended.tell();
    Ok(FileSaved {
        file,
        number: saved.number,
        name,
        size: whole.size,
        root: whole.root,
        saved_at: saved.saved_at,
        repeated: saved.repeated,
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ListQuery {
    before: Option<u64>,
    limit: Option<u32>,
}

pub(super) async fn list_files(
    State(desk): Shared,
    Extension(caller): Extension<Caller>,
    query: Result<Query<ListQuery>, QueryRejection>,
) -> Result<JsonAnswer<FileList>, Refusal> {
    let Query(query) = query.map_err(|fault| {
        let detail = format!("{fault}; use ?before=POSITION&limit=N");
        Problem::new(ProblemKind::Malformed, detail)
    })?;
    let limit = query.limit.unwrap_or(DEFAULT_LIST);
    if !(1..=LIST_FILES).contains(&limit) {
        let detail = format!("limit must be 1 to {LIST_FILES}");
        return Err(Problem::new(ProblemKind::InvalidField, detail)
            .on_field("limit")
            .into());
    }
    let mut list = desk.store.files(query.before, limit).await?;
    if let Sight::Own(user) = desk.sight_of(&caller) {
        list.files.retain(|file| file.by == user);
    }
    desk.fill_progress(&mut list.files);
    Ok(JsonAnswer(list))
}

pub(super) async fn show_file(
    State(desk): Shared,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Result<JsonAnswer<FileSummary>, Refusal> {
    let unknown = || {
        let detail = format!("there is no file {id} here");
        Refusal::from(Problem::new(ProblemKind::NotFound, detail))
    };
    let file: FileId = id.parse().map_err(|_| unknown())?;
    let mut found = desk.store.file(file).await?.ok_or_else(unknown)?;
    desk.must_see(&caller, &found.number).await?;
    desk.fill_progress(std::slice::from_mut(&mut found));
    Ok(JsonAnswer(found))
}

impl Desk {
    /// Adds how far files under way have gone.
    pub(super) fn fill_progress(&self, files: &mut [FileSummary]) {
        for file in files {
            file.sent = self.uploads.get(file.id);
        }
    }

    pub(super) async fn files_status(&self) -> Result<FilesStatus, Refusal> {
        let facts = self.store.file_facts().await?;
        let (taking, refused) = self.intake.shown();
        Ok(FilesStatus {
            waiting: facts.waiting,
            waiting_bytes: facts.waiting_bytes,
            failed: facts.failed,
            used_bytes: facts.used_bytes,
            quota_bytes: facts.bounds.quota_bytes,
            reserve_bytes: facts.bounds.reserve_bytes,
            taking,
            refused,
            sending: self.bulk.sending(),
        })
    }
}

impl From<TakeError> for Refusal {
    fn from(fault: TakeError) -> Self {
        let said = fault.to_string();
        match fault {
            TakeError::Chunks(fault) => fault.into(),
            TakeError::TooLarge(_) => Problem::new(
                ProblemKind::TooLarge,
                format!("not saved: {said} (files.file_mib)"),
            )
            .into(),
            TakeError::BrokenOff(_) => {
                Problem::new(ProblemKind::Malformed, format!("not saved: {said}")).into()
            }
            TakeError::Stalled => {
                Problem::new(ProblemKind::TooSlow, format!("not saved: {said}")).into()
            }
            TakeError::UnderWay | TakeError::Busy => {
                Problem::new(ProblemKind::Busy, format!("not saved: {said}; try again")).into()
            }
        }
    }
}

impl From<ChunksError> for Refusal {
    fn from(fault: ChunksError) -> Self {
        let said = fault.to_string();
        match fault {
            ChunksError::Short(short) => {
                let advice = short.fault().advice();
                let detail = format!("not saved: {said}. {advice}");
                Problem::new(ProblemKind::StoreFull, detail).into()
            }
            ChunksError::Damaged(_) | ChunksError::Failed(_) => {
                let detail = format!("not saved: {said}. Attach it again; tickets are still taken");
                let mut problem = Problem::new(ProblemKind::Unavailable, detail);
                problem.class = ErrorClass::CallIt;
                problem.into()
            }
            ChunksError::Closed => Problem::new(
                ProblemKind::Unavailable,
                "not saved: the agent is ending; it comes back by itself",
            )
            .into(),
        }
    }
}

impl From<AttachError> for Refusal {
    fn from(fault: AttachError) -> Self {
        match fault {
            AttachError::Chunks(fault) => fault.into(),
            AttachError::Filing(fault) => fault.into(),
        }
    }
}
