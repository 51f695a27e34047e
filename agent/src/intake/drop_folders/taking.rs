//! Takes files in and files their ticket: read once, proven still, saved whole with their memory.
//!
//! The source is opened for reading and nothing else. Before and after it is read it must look as it
//! did when it had settled; otherwise what was read is given up and it settles again.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use branchline_durable_sqlite::crash_point;
use branchline_protocol::file::FileFault;
use branchline_protocol::file_name::filed_name;
use branchline_protocol::id::OperationId;
use branchline_protocol::limits;
use branchline_protocol::operation::{Contact, Reporter};
use branchline_protocol::text::clipped;
use branchline_protocol::time::UnixMillis;

use crate::chunker::{Chunker, FinishedChunk, Whole};
use crate::platform::{
    FileFacts, FileKind, FilePrint, facts_of, look, name_bytes, open_dropped, owner_of,
};
use crate::store::StoreError;
use crate::store::chunks::{COMMIT_BYTES, ChunksError, Taken};
use crate::store::dropped::{DropError, DroppedFile, DroppedTicket, Remembered};
use crate::store::files::AttachError;
use crate::store::filing::{FilingError, TicketDraft};

use super::context::Context;
use super::words::{Described, description, subject};

/// Bytes read at a time.
const READ_BYTES: usize = 256 * 1024;
/// Who filed it where the system names no owner.
const SERVICE: &str = "branchline-agent";

/// What became of one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It is filed, durably.
    Filed,
    /// Its content had been filed before; it only looks different.
    Known,
    /// It changed, before or while it was read, and looks like this now.
    Changed(FilePrint),
    /// It is not there any more.
    Gone,
    /// It cannot be taken now.
    Trouble(FileFault, String),
    /// The agent is ending.
    Ending,
}

/// Files of one ticket, as they looked when they had settled.
pub(super) type Group = Vec<(OsString, FilePrint)>;

/// Takes a group's files in, and files one ticket for those that could be. One that could not holds
/// nobody up (P6).
pub(super) async fn take(cx: Arc<Context>, group: Group) -> Vec<(OsString, Outcome)> {
    let mut outcomes = Vec::new();
    let mut read: Vec<(OsString, TakenIn)> = Vec::new();
    for (name, print) in group {
        match take_in(&cx, &name, print).await {
            Ok(taken_in) => read.push((name, taken_in)),
            Err(outcome) => outcomes.push((name, outcome)),
        }
    }
    if read.is_empty() {
        return outcomes;
    }
    // The same files in another order are the same ticket.
    read.sort_by(|(one, _), (two, _)| one.cmp(two));
    let ticket = ticket(&cx, &read);
    let outcome = match cx.agent.store.file_dropped(ticket).await {
        Ok(saved) => {
            tracing::info!(ticket = %saved.number, files = read.len(), folder = %cx.rule.path.display(), "filed from a drop folder");
            cx.agent.appended.tell();
            Outcome::Filed
        }
        Err(fault) => drop_outcome(&fault),
    };
    outcomes.extend(read.into_iter().map(|(name, _)| (name, outcome.clone())));
    outcomes
}

/// A file whose chunks are durable and that is not filed yet.
struct TakenIn {
    file: DroppedFile,
    facts: FileFacts,
}

async fn take_in(cx: &Context, name: &OsStr, print: FilePrint) -> Result<TakenIn, Outcome> {
    let path = cx.rule.path.join(name);
    let mut file = open(&path)?;
    let facts = facts(&file)?;
    if facts.kind != FileKind::File {
        return Err(Outcome::Gone);
    }
    if facts.print != print {
        return Err(Outcome::Changed(facts.print));
    }
    if print.size > cx.agent.file_bytes {
        let (size, most) = (print.size, cx.agent.file_bytes);
        let words = format!(
            "it has {size} bytes; files of at most {most} bytes are taken (files.file_mib)"
        );
        return Err(Outcome::Trouble(FileFault::BranchQuota, words));
    }
    let store = &cx.agent.store;
    store
        .room_for(print.size)
        .await
        .map_err(|fault| chunks_outcome(&fault))?;
    let taken = store
        .begin_file()
        .await
        .map_err(|fault| chunks_outcome(&fault))?;
    crash_point::reach("dropped-begun");
    let finished = match read_into(cx, &mut file, print, taken).await {
        Ok(whole) => still(&path, &file, print).map(|()| whole),
        Err(outcome) => Err(outcome),
    };
    let finished = match finished {
        Ok(whole) => known_before(cx, name, print, whole).await.map(|()| whole),
        Err(outcome) => Err(outcome),
    };
    match finished {
        Ok(whole) => Ok(TakenIn {
            file: DroppedFile {
                // Given when it is known which files share the ticket.
                id: OperationId::from_bytes([0; 16]),
                name: filed_name(&name.to_string_lossy()),
                key: name_bytes(name),
                print,
                taken,
                whole,
            },
            facts,
        }),
        Err(outcome) => {
            store.abandon(taken);
            Err(outcome)
        }
    }
}

fn open(path: &Path) -> Result<File, Outcome> {
    open_dropped(path).map_err(|fault| match fault.kind() {
        std::io::ErrorKind::NotFound => Outcome::Gone,
        _ => unreadable(&fault),
    })
}

fn facts(file: &File) -> Result<FileFacts, Outcome> {
    facts_of(file).map_err(|fault| unreadable(&fault))
}

fn unreadable(fault: &std::io::Error) -> Outcome {
    Outcome::Trouble(FileFault::Unreadable, fault.to_string())
}

/// Reads the file to its end. Stops when it turns out longer than it was.
async fn read_into(
    cx: &Context,
    file: &mut File,
    print: FilePrint,
    taken: Taken,
) -> Result<Whole, Outcome> {
    let mut chunker = Chunker::new();
    let mut buffer = vec![0; READ_BYTES];
    let mut finished = Vec::new();
    let mut place = 0;
    loop {
        let read = match file.read(&mut buffer) {
            Ok(read) => read,
            Err(fault) if fault.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(fault) => return Err(unreadable(&fault)),
        };
        if read == 0 {
            break;
        }
        chunker.push(buffer.get(..read).unwrap_or_default(), &mut finished);
        if chunker.size() > print.size {
            return Err(Outcome::Changed(facts(file)?.print));
        }
        let stored: usize = finished.iter().map(|one| one.stored.len()).sum();
        if stored >= COMMIT_BYTES {
            add(cx, taken, &mut place, std::mem::take(&mut finished)).await?;
        }
        if cx.agent.shutdown.is_cancelled() {
            return Err(Outcome::Ending);
        }
        // Small files beside a large one take their turns.
        tokio::task::yield_now().await;
    }
    crash_point::reach("dropped-read");
    let whole = chunker.finish(&mut finished);
    if whole.size != print.size {
        return Err(Outcome::Changed(facts(file)?.print));
    }
    add(cx, taken, &mut place, finished).await?;
    Ok(whole)
}

async fn add(
    cx: &Context,
    taken: Taken,
    place: &mut u32,
    chunks: Vec<FinishedChunk>,
) -> Result<(), Outcome> {
    if chunks.is_empty() {
        return Ok(());
    }
    let count = u32::try_from(chunks.len()).unwrap_or(u32::MAX);
    let added = cx.agent.store.add_chunks(taken, *place, chunks).await;
    added.map_err(|fault| chunks_outcome(&fault))?;
    *place = place.saturating_add(count);
    Ok(())
}

/// The file that was read is as it was, and is still the one with this name.
fn still(path: &Path, file: &File, print: FilePrint) -> Result<(), Outcome> {
    let now = facts(file)?.print;
    if now != print {
        return Err(Outcome::Changed(now));
    }
    match look(path) {
        Ok(facts) if facts.print == print => Ok(()),
        Ok(facts) => Err(Outcome::Changed(facts.print)),
        Err(fault) if fault.kind() == std::io::ErrorKind::NotFound => Err(Outcome::Gone),
        Err(fault) => Err(unreadable(&fault)),
    }
}

/// Says [`Outcome::Known`] of content that has been filed from this folder and has not left it since,
/// whatever its name and times are now; remembers those.
async fn known_before(
    cx: &Context,
    name: &OsStr,
    print: FilePrint,
    whole: Whole,
) -> Result<(), Outcome> {
    let (store, key) = (&cx.agent.store, name_bytes(name));
    let failed = |fault: StoreError| store_outcome(&fault);
    let by_name = store
        .dropped_before(cx.key, vec![key.clone()])
        .await
        .map_err(failed)?;
    let by_number = store
        .dropped_as(cx.key, print.identity)
        .await
        .map_err(failed)?;
    let own = by_name
        .into_values()
        .find(|before| is_known(before, print, whole));
    let renamed = || {
        by_number.into_iter().find(|before| {
            before.name != key
                && before.root == whole.root
                && before.print.modified == print.modified
                && !has_name(cx, before)
        })
    };
    let Some(before) = own.or_else(renamed) else {
        return Ok(());
    };
    store
        .recall_dropped(cx.key, before, key, print)
        .await
        .map_err(failed)?;
    Err(Outcome::Known)
}

/// A file that stayed is the same whatever its times say; one that left and came back is, if it was not
/// written in between.
fn is_known(before: &Remembered, print: FilePrint, whole: Whole) -> bool {
    before.root == whole.root && (!before.gone || before.print.modified == print.modified)
}

/// Whether a remembered file still has the name that it had: then the one at hand is a second name of it.
fn has_name(cx: &Context, before: &Remembered) -> bool {
    crate::platform::name_of(&before.name).is_some_and(|name| {
        look(&cx.rule.path.join(name))
            .is_ok_and(|facts| facts.print.identity == before.print.identity)
    })
}

/// The ticket for what was read; gives each file its id.
fn ticket(cx: &Context, read: &[(OsString, TakenIn)]) -> DroppedTicket {
    let at = crate::ids::local_now();
    let described: Vec<Described> = read
        .iter()
        .map(|(_, TakenIn { file, .. })| Described {
            name: file.name.clone(),
            size: file.whole.size,
            modified: UnixMillis(file.print.modified.div_euclid(1_000_000)),
        })
        .collect();
    let folder = &cx.rule.path;
    let user = user(read.first().map(|(_, first)| &first.facts));
    let contact = cx.rule.contact.clone().unwrap_or_else(|| Contact {
        name: Some(clipped(&user, limits::CONTACT_NAME_CHARS).to_owned()),
        ..Contact::default()
    });
    let id = ticket_id(cx, read);
    let files = read.iter().map(|(_, TakenIn { file, .. })| DroppedFile {
        id: file_id(id, file),
        ..file.clone()
    });
    DroppedTicket {
        folder: cx.key,
        id,
        at,
        by: Reporter { user },
        draft: TicketDraft {
            subject: subject(cx.rule.subject.as_deref(), folder, &described),
            description: description(folder, &described, at.offset_minutes),
            category: cx.rule.category.clone(),
            priority: cx.rule.priority,
            contact,
            asset: None,
        },
        files: files.collect(),
    }
}

fn user(facts: Option<&FileFacts>) -> String {
    let owner = facts.and_then(owner_of).unwrap_or_default();
    let owner: String = owner.chars().filter(|c| !c.is_control()).collect();
    let owner = clipped(&owner, limits::USER_CHARS).trim();
    if owner.is_empty() {
        SERVICE.to_owned()
    } else {
        owner.to_owned()
    }
}

fn ticket_id(cx: &Context, read: &[(OsString, TakenIn)]) -> OperationId {
    let mut parts: Vec<Vec<u8>> = vec![
        cx.agent.agent.as_bytes().to_vec(),
        cx.key.as_bytes().to_vec(),
    ];
    for (_, TakenIn { file, .. }) in read {
        parts.push(file.key.clone());
        parts.push(file.whole.root.0.to_vec());
        parts.push(file.print.modified.to_be_bytes().to_vec());
    }
    let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
    OperationId(crate::ids::derived_uuid(
        "branchline ticket from a drop folder",
        &parts,
    ))
}

fn file_id(ticket: OperationId, file: &DroppedFile) -> OperationId {
    let parts: [&[u8]; 2] = [ticket.as_bytes(), &file.key];
    OperationId(crate::ids::derived_uuid(
        "branchline file from a drop folder",
        &parts,
    ))
}

fn chunks_outcome(fault: &ChunksError) -> Outcome {
    match fault {
        ChunksError::Short(short) => Outcome::Trouble(short.fault(), short.to_string()),
        ChunksError::Damaged(_) | ChunksError::Failed(_) => {
            Outcome::Trouble(FileFault::BranchDisk, fault.to_string())
        }
        ChunksError::Closed => Outcome::Ending,
    }
}

fn store_outcome(fault: &StoreError) -> Outcome {
    match fault {
        StoreError::Closed => Outcome::Ending,
        StoreError::Full | StoreError::Damaged(_) | StoreError::Failed(_) => {
            Outcome::Trouble(FileFault::BranchDisk, fault.to_string())
        }
    }
}

fn drop_outcome(fault: &DropError) -> Outcome {
    match fault {
        DropError::Attach(AttachError::Chunks(fault)) => chunks_outcome(fault),
        DropError::Attach(AttachError::Filing(FilingError::Store(fault))) => store_outcome(fault),
        DropError::Attach(AttachError::Filing(FilingError::AtLimit(_))) => {
            Outcome::Trouble(FileFault::BranchDisk, fault.to_string())
        }
        DropError::TooMany => Outcome::Trouble(FileFault::BranchQuota, fault.to_string()),
        DropError::Attach(AttachError::Filing(_)) => {
            Outcome::Trouble(FileFault::Rejected, fault.to_string())
        }
    }
}
