//! Files that central support gives with a reply: taken as they come, durable before the answer (P3), and
//! from then on inspection's like any other (P5).
//!
//! On the way back: `[desk] → vault + ledger → inspection`, and with the reply to the branch. A body is cut
//! into chunks of one size as it comes and written into one object of the vault; nothing is kept of a body
//! that breaks off. At most one chunk of each is in memory, and uploads have a bound, a time and a stall of
//! their own, beside those of other requests (P8). A name is made harmless once, here, whatever the browser
//! or program says.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, Request, State};
use branchline_durable_sqlite::crash_point;
use branchline_protocol::file::FileState;
use branchline_protocol::file_name::safe_name;
use branchline_protocol::frame::Encoding;
use branchline_protocol::id::{Digest, FileId, TicketNumber};
use branchline_protocol::limits::{CHUNK_MOST_BYTES, FILE_NAME_CHARS};
use branchline_protocol::manifest::ChunkRef;
use branchline_protocol::text::{Shape, fault};
use http::StatusCode;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use http::request::Parts;
use http_body_util::BodyExt;
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, timeout_at};

use super::Desk;
use super::callers::{Reader, Replier, Who};
use super::problem::{Kind, Refusal};
use super::said::Named;
use crate::inspection::Fault;
use crate::ledger::{FileGiven, FileRecord, GiveFile, KeptChunk, ObjectName, Right, now};
use crate::lingering::linger;
use crate::vault::{Vault, VaultError, Writing};

/// Bytes of each chunk but the last.
const CHUNK_BYTES: usize = CHUNK_MOST_BYTES as usize;

/// What a file is for, and what it is to be called.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    ticket: String,
    name: String,
}

/// How a file stands that was given for a reply.
#[derive(Serialize, utoipa::ToSchema)]
pub(super) struct Given {
    /// What a reply names it by.
    #[schema(value_type = String)]
    id: FileId,
    /// As the branch will see it.
    name: String,
    /// Bytes.
    size: u64,
    /// The word of its state: only what is `clean` or `released` may go with a reply.
    state: &'static str,
    /// A signature, who released it and why, or what keeps it from being judged.
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
}

impl From<FileRecord> for Given {
    fn from(file: FileRecord) -> Self {
        let detail = match &file.state {
            FileState::Infected { signature } => Some(signature.clone()),
            FileState::Released { by, reason } => Some(format!("{by}: {reason}")),
            _ => file.trouble,
        };
        Self {
            id: file.id,
            name: file.name,
            size: file.size,
            state: file.state.word(),
            detail,
        }
    }
}

/// Takes a file for a reply to a ticket; the body is its bytes. It is inspected like any other before a
/// reply may carry it, and given up where none does within a week.
#[utoipa::path(
    post, path = "/desk/v1/files",
    params(
        ("ticket" = String, Query, description = "The number of the ticket whose branch is to have it"),
        ("name" = String, Query, description = "What to call it; made harmless as a file's name"),
    ),
    request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    responses(
        (status = 201, body = Given),
        (status = 404, body = super::problem::Document),
        (status = 409, description = "Too much was given that no reply took", body = super::problem::Document),
        (status = 413, body = super::problem::Document),
        (status = 422, body = super::problem::Document),
        (status = 507, body = super::problem::Document),
    )
)]
pub(super) async fn take(
    State(desk): State<Arc<Desk>>,
    Replier(who): Replier,
    asked: Result<Query<Asked>, QueryRejection>,
    request: Request,
) -> Result<(StatusCode, Json<Given>), Refusal> {
    let (parts, mut body) = request.into_parts();
    let taken = take_in(&desk, &who, asked, &parts, &mut body).await;
    if taken.is_err() && !desk.stopping.is_cancelled() {
        desk.tasks.spawn(linger(body));
    }
    taken.map(|given| (StatusCode::CREATED, Json(given)))
}

async fn take_in(
    desk: &Desk,
    who: &Who,
    asked: Result<Query<Asked>, QueryRejection>,
    parts: &Parts,
    body: &mut Body,
) -> Result<Given, Refusal> {
    let Query(asked) = asked.map_err(|_| {
        let detail = "say for which ticket it is and what it is called: ?ticket=NUMBER&name=NAME";
        Refusal::new(Kind::Malformed, detail)
    })?;
    let _place = desk.uploads.try_acquire().map_err(|_| {
        let detail = "central takes as many files as it can at this moment; try again";
        Refusal::new(Kind::Busy, detail)
    })?;
    let announced = announced(parts, desk.bounds.upload_bytes)?;
    let name = named(&asked.name)?;
    let ticket: TicketNumber = asked.ticket.parse().map_err(|_| unknown_ticket())?;
    let may = desk.store.may_give(ticket.clone(), who.name(), announced);
    if let Some(hindrance) = desk.settled(may.await)? {
        return Err(refuse(hindrance));
    }
    let object = ObjectName::new(now());
    let incoming = Incoming {
        most: desk.bounds.upload_bytes,
        stall: desk.bounds.upload_stall,
        until: Instant::now() + desk.bounds.upload_within,
    };
    let taken = incoming.take(desk.vault.as_ref(), object, body).await?;
    // Whoever was sent away meanwhile gives nothing any more.
    desk.still_may(who, Right::Reply).await?;
    let id = new_id();
    let size = taken.size();
    taken
        .object
        .seal()
        .await
        .map_err(|fault| Refusal::from(Fault::Vault(fault)))?;
    crash_point::reach("given-sealed");
    let give = GiveFile {
        id,
        deed: who.deed("file-given", ticket.to_string(), format!("{id} {name}")),
        ticket,
        name: name.clone(),
        root: taken.root,
        object,
        chunks: taken.chunks,
        by: who.name(),
        at: now(),
    };
    // When the ledger does not answer, nobody knows whether it has the object: it stays, for collection to
    // decide.
    match desk.settled(desk.store.give_file(give).await)? {
        FileGiven::Received => Ok(Given {
            id,
            name,
            size,
            state: FileState::Received.word(),
            detail: None,
        }),
        hindrance => {
            // What cannot be deleted now is collected later.
            let _ = desk.vault.delete_objects(vec![object]).await;
            Err(refuse(hindrance))
        }
    }
}

fn unknown_ticket() -> Refusal {
    Refusal::not_found("ticket")
}

fn refuse(hindrance: FileGiven) -> Refusal {
    match hindrance {
        FileGiven::UnknownTicket => unknown_ticket(),
        FileGiven::Refused(fault) => Refusal::field(fault.field, fault.fault),
        FileGiven::TooMuch => Refusal::new(
            Kind::Conflict,
            "you gave as many files as may wait for their replies; send those, or wait until they are \
             given up",
        ),
        FileGiven::Received => Refusal::new(Kind::Internal, "the file was taken and refused"),
    }
}

/// Bytes that the body says it has; 0 where it does not say.
fn announced(parts: &Parts, most: u64) -> Result<u64, Refusal> {
    let text = |name| parts.headers.get(name)?.to_str().ok();
    let media = text(CONTENT_TYPE).and_then(|value| value.split(';').next());
    let is_bytes = media.is_some_and(|media| {
        media
            .trim()
            .eq_ignore_ascii_case("application/octet-stream")
    });
    if !is_bytes || parts.headers.contains_key(CONTENT_ENCODING) {
        let detail = "the body must be the file's bytes as they are, as application/octet-stream";
        return Err(Refusal::new(Kind::UnsupportedMedia, detail));
    }
    let length = text(CONTENT_LENGTH).and_then(|length| length.parse().ok());
    let length: u64 = length.unwrap_or(0);
    if length > most {
        return Err(too_large(most));
    }
    Ok(length)
}

fn too_large(most: u64) -> Refusal {
    let detail = format!("a file for a reply has at most {most} bytes");
    Refusal::new(Kind::TooLarge, detail)
}

/// The name that everybody will see: one part of a path, without what could mislead anybody or anything.
fn named(given: &str) -> Result<String, Refusal> {
    match fault(given, Shape::Line, FILE_NAME_CHARS) {
        Some(fault) => Err(Refusal::field("name", fault)),
        None => Ok(safe_name(given)),
    }
}

fn new_id() -> FileId {
    let mut random = [0; 10];
    // Should there be no randomness, the ledger refuses an id that is taken.
    let _ = getrandom::fill(&mut random);
    FileId::from_parts(u64::try_from(now().0).unwrap_or_default(), random)
}

/// How a body is taken in.
struct Incoming {
    /// Bytes.
    most: u64,
    stall: std::time::Duration,
    until: Instant,
}

/// A body that came whole, not yet sealed.
struct Taken {
    object: Box<dyn Writing>,
    chunks: Vec<KeptChunk>,
    root: Digest,
}

impl Taken {
    fn size(&self) -> u64 {
        let sizes = self.chunks.iter().map(|kept| u64::from(kept.chunk.size()));
        sizes.sum()
    }
}

impl Incoming {
    async fn take(
        &self,
        vault: &dyn Vault,
        object: ObjectName,
        body: &mut Body,
    ) -> Result<Taken, Refusal> {
        let mut cutting = Cutting {
            object: vault.begin_object(object).await.map_err(away)?,
            chunks: Vec::new(),
            offset: 0,
            hasher: blake3::Hasher::new(),
            chunk: Vec::with_capacity(CHUNK_BYTES),
        };
        let mut came: u64 = 0;
        while let Some(data) = self.next(body).await? {
            came = came.saturating_add(data.len() as u64);
            if came > self.most {
                return Err(too_large(self.most));
            }
            cutting.add(&data).await?;
        }
        if came == 0 {
            return Err(Refusal::field("content", "has no bytes"));
        }
        cutting.finish().await
    }

    /// The next bytes; `None` behind the last.
    async fn next(&self, body: &mut Body) -> Result<Option<bytes::Bytes>, Refusal> {
        let until = self.until.min(Instant::now() + self.stall);
        loop {
            let Ok(frame) = timeout_at(until, body.frame()).await else {
                let detail =
                    "the file did not come on in time, and nothing of it was kept; try again";
                return Err(Refusal::new(Kind::TooSlow, detail));
            };
            match frame {
                None => return Ok(None),
                Some(Err(_)) => {
                    let detail = "the body broke off, and nothing of it was kept";
                    return Err(Refusal::new(Kind::Malformed, detail));
                }
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) if !data.is_empty() => return Ok(Some(data)),
                    _ => {}
                },
            }
        }
    }
}

fn away(fault: VaultError) -> Refusal {
    Fault::Vault(fault).into()
}

/// A body on its way into the vault.
struct Cutting {
    object: Box<dyn Writing>,
    chunks: Vec<KeptChunk>,
    /// Bytes written.
    offset: u64,
    hasher: blake3::Hasher,
    /// What is not written yet; less than a chunk.
    chunk: Vec<u8>,
}

impl Cutting {
    async fn add(&mut self, mut data: &[u8]) -> Result<(), Refusal> {
        while !data.is_empty() {
            let room = CHUNK_BYTES.saturating_sub(self.chunk.len());
            let (now, later) = data.split_at(room.min(data.len()));
            self.chunk.extend_from_slice(now);
            data = later;
            if self.chunk.len() == CHUNK_BYTES {
                self.write().await?;
            }
        }
        Ok(())
    }

    /// Some hundred microseconds of hashing, between which other requests have their turn.
    async fn write(&mut self) -> Result<(), Refusal> {
        let bytes = std::mem::replace(&mut self.chunk, Vec::with_capacity(CHUNK_BYTES));
        self.hasher.update(&bytes);
        let chunk = ChunkRef::of(&bytes);
        self.chunks.push(KeptChunk {
            chunk,
            offset: self.offset,
            stored: chunk.size(),
            encoding: Encoding::Plain,
        });
        self.offset += u64::from(chunk.size());
        self.object.append(vec![bytes]).await.map_err(away)
    }

    async fn finish(mut self) -> Result<Taken, Refusal> {
        if !self.chunk.is_empty() {
            self.write().await?;
        }
        Ok(Taken {
            object: self.object,
            chunks: self.chunks,
            root: Digest(*self.hasher.finalize().as_bytes()),
        })
    }
}

/// How a file stands: asked until it is judged.
#[utoipa::path(
    get, path = "/desk/v1/files/{id}/state",
    params(("id" = String, Path, description = "The file's id")),
    responses(
        (status = 200, body = Given),
        (status = 404, body = super::problem::Document),
    )
)]
pub(super) async fn state(
    State(desk): State<Arc<Desk>>,
    Reader(_): Reader,
    Named(id): Named,
) -> Result<Json<Given>, Refusal> {
    let id: FileId = id.parse().map_err(|_| Refusal::not_found("file"))?;
    let file = desk.settled(desk.store.file(id).await)?;
    let file = file.ok_or_else(|| Refusal::not_found("file"))?;
    Ok(Json(file.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_is_more_than_a_name() {
        for (given, kept) in [
            ("manual.pdf", "manual.pdf"),
            ("../../etc/passwd", "passwd"),
            ("C:\\Windows\\system32\\cmd.exe", "cmd.exe"),
            (".bashrc", "_bashrc"),
            ("-rf", "_rf"),
            ("invoice\u{202e}fdp.exe", "invoice_fdp.exe"),
            ("a\"; filename=b", "a_; filename=b"),
        ] {
            assert_eq!(named(given).unwrap(), kept, "{given:?}");
        }
        for bad in ["", "  ", "a\nb", "a\r\nSet-Cookie: x", "a\0b"] {
            let refused = named(bad).unwrap_err();
            assert_eq!(refused.kind(), Kind::InvalidField, "{bad:?}");
        }
        assert!(named(&"x".repeat(FILE_NAME_CHARS + 1)).is_err());
    }
}
