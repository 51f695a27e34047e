//! A command as one job of the writer: seen before? seen as it is? allowed? Then its events.

use branchline_protocol::desk::OfferedFile;
use branchline_protocol::id::{BranchCode, CommandId, FileId};
use rusqlite::{Connection, OptionalExtension, params};

use super::deciding::{self, Decided};
use super::ticket::{Cause, Ticket};
use crate::ledger::sqlite::columns::{self, to_integer, unfit};
use crate::ledger::sqlite::files::giving;
use crate::ledger::{Change, Command, Commanded, LedgerError};

/// What the digest of a command is over besides its parts, so that it is no other digest.
const CONTEXT: &[u8] = b"branchline-command-v1";

pub(super) fn carry_out(
    connection: &Connection,
    command: &Command,
) -> Result<Commanded, LedgerError> {
    let digest = digest(command);
    if let Some((first, version)) = given_before(connection, command.id)? {
        return Ok(if first == digest {
            Commanded::Done { version }
        } else {
            Commanded::IdTaken
        });
    }
    let Some(mut ticket) = Ticket::by_number(connection, &command.ticket)? else {
        return Ok(Commanded::UnknownTicket);
    };
    if ticket.version != command.saw {
        return Ok(Commanded::Stale {
            version: ticket.version,
        });
    }
    let Decided { events, offered } = match deciding::decide(connection, &ticket, command)? {
        Ok(decided) => decided,
        Err(fault) => return Ok(Commanded::Refused(fault)),
    };
    let cause = Cause {
        at: command.at,
        operation: None,
    };
    for body in &events {
        ticket.take(connection, cause, body)?;
    }
    for file in &offered {
        offer(connection, ticket.branch(), file)?;
    }
    connection
        .prepare_cached("INSERT INTO commands (id, digest, version, at) VALUES (?1, ?2, ?3, ?4)")?
        .execute(params![
            command.id.as_bytes(),
            digest,
            to_integer(ticket.version),
            command.at.0
        ])?;
    Ok(Commanded::Done {
        version: ticket.version,
    })
}

fn given_before(
    connection: &Connection,
    id: CommandId,
) -> Result<Option<([u8; 32], u64)>, LedgerError> {
    connection
        .prepare_cached("SELECT digest, version FROM commands WHERE id = ?1")?
        .query_row([id.as_bytes()], |row| {
            let digest = row.get(0)?;
            Ok(columns::count(row, 1).map(|version| (digest, version)))
        })
        .optional()?
        .transpose()
}

/// Of all that makes two commands the same: not when one was given, nor what whoever gave it saw.
fn digest(command: &Command) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(CONTEXT);
    // Each with its length, so that nothing can move from one part to the next.
    let mut add = |part: &str| {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part.as_bytes());
    };
    add(&command.ticket.to_string());
    add(&command.by);
    match &command.change {
        Change::Reply { text, files, then } => {
            add("reply");
            add(text);
            add(then.map_or("", |state| state.as_str()));
            for file in files {
                add(&file.to_string());
            }
        }
        Change::Note { text } => {
            add("note");
            add(text);
        }
        Change::Move { to } => {
            add("move");
            add(to.as_str());
        }
        Change::Assign { to } => {
            add("assign");
            add(to.as_ref().map_or("", |name| name.as_str()));
        }
        Change::Classify { priority, category } => {
            add("classify");
            add(priority.as_str());
            add(category);
        }
        Change::Tag { tags } => {
            add("tag");
            for tag in tags {
                add(tag);
            }
        }
        Change::Merge { into } => {
            add("merge");
            add(&into.to_string());
        }
    }
    *hasher.finalize().as_bytes()
}

/// From now on the branch may have the file. Offered again, it stays as it was offered first.
fn offer(
    connection: &Connection,
    branch: &BranchCode,
    file: &OfferedFile,
) -> Result<(), LedgerError> {
    // Written by a derive, with no map keys that could fail.
    let text = serde_json::to_string(file).unwrap_or_default();
    connection
        .prepare_cached("INSERT OR IGNORE INTO offered (branch, file, offer) VALUES (?1, ?2, ?3)")?
        .execute(params![branch.as_str(), file.file.as_bytes(), text])?;
    giving::mark_offered(connection, file.file)
}

pub(super) fn offered(
    connection: &Connection,
    branch: &BranchCode,
    file: FileId,
) -> Result<Option<OfferedFile>, LedgerError> {
    let offer: Option<String> = connection
        .prepare_cached("SELECT offer FROM offered WHERE branch = ?1 AND file = ?2")?
        .query_row(params![branch.as_str(), file.as_bytes()], |row| row.get(0))
        .optional()?;
    let read = |text: String| serde_json::from_str(&text).map_err(|_| unfit("an offered file"));
    offer.map(read).transpose()
}
