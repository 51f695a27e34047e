//! Files that central gave, over the local API: how they stand, and their bytes once they are proven (P4).

use axum::body::{Body, Bytes};
use axum::extract::{Extension, Path, State};
use axum::response::Response;
use branchline_agent_api::{GivenFile, GivenState};
use branchline_protocol::id::FileId;
use branchline_protocol::problem::{Problem, ProblemKind};
use http::HeaderValue;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use tokio::io::AsyncReadExt;

use super::local_api::{Desk, Shared};
use super::problems::Refusal;
use super::requests::JsonAnswer;
use crate::platform::Caller;
use crate::store::given::Standing;

/// Bytes read at a time.
const PIECE_BYTES: usize = 64 * 1024;

pub(super) async fn show(
    State(desk): Shared,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Result<JsonAnswer<GivenFile>, Refusal> {
    found(&desk, &caller, &id).await.map(JsonAnswer)
}

pub(super) async fn content(
    State(desk): Shared,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Result<Response, Refusal> {
    let given = found(&desk, &caller, &id).await?;
    let detail = match given.state {
        GivenState::Here => None,
        GivenState::Wanted => Some("it is not here yet; it comes by itself, when the link allows"),
        GivenState::Refused => Some("central does not give it any more"),
        GivenState::Gone => Some("it made room for newer ones; ask central to give it again"),
    };
    if let Some(detail) = detail {
        return Err(Problem::new(ProblemKind::Conflict, detail).into());
    }
    let opened = tokio::fs::File::open(desk.store.given_path(given.file.file)).await;
    let file = opened
        .map_err(|fault| Problem::new(ProblemKind::Internal, format!("open the file: {fault}")))?;
    let pieces = futures_util::stream::unfold(file, |mut file| async {
        let mut piece = vec![0; PIECE_BYTES];
        match file.read(&mut piece).await {
            Ok(0) => None,
            Ok(read) => {
                piece.truncate(read);
                Some((Ok(Bytes::from(piece)), file))
            }
            Err(fault) => Some((Err(fault), file)),
        }
    });
    let mut response = Response::new(Body::from_stream(pieces));
    let headers = response.headers_mut();
    let octets = HeaderValue::from_static("application/octet-stream");
    headers.insert(CONTENT_TYPE, octets);
    headers.insert(CONTENT_LENGTH, given.file.size.into());
    Ok(response)
}

async fn found(desk: &Desk, caller: &Caller, id: &str) -> Result<GivenFile, Refusal> {
    let unknown = || {
        let detail = format!("central gave no file {id} that is known here");
        Refusal::from(Problem::new(ProblemKind::NotFound, detail))
    };
    let id: FileId = id.parse().map_err(|_| unknown())?;
    if !desk.store.is_given_seen(id, desk.sight_of(caller)).await? {
        return Err(unknown());
    }
    let (file, standing) = desk.store.given(id).await?.ok_or_else(unknown)?;
    let state = match standing {
        Standing::Wanted => GivenState::Wanted,
        Standing::Here => GivenState::Here,
        Standing::Refused => GivenState::Refused,
        Standing::Gone => GivenState::Gone,
    };
    Ok(GivenFile { file, state })
}
