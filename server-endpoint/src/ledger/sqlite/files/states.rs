//! A file's states: how they stand in columns, which may follow which, and the event of each move.
//!
//! Invariant: every change of state goes through [`enter`], so that it has its event in the same
//! commit, the version counts those events, and the agent's bound of begun files counts what is begun.

use branchline_protocol::event::EventBody;
use branchline_protocol::file::FileState;
use branchline_protocol::time::UnixMillis;
use rusqlite::{Connection, params};

use super::giving;
use super::rows::FileRow;
use crate::ledger::LedgerError;
use crate::ledger::sqlite::columns::{to_integer, unfit};

/// Bytes by which a larger file stands back one millisecond behind a smaller one in the order of
/// inspection: 1 GiB yields to what comes within a quarter of an hour, and to nothing later.
const BYTES_PER_MILLISECOND: u64 = 1_200;

/// Word and detail, as they stand in columns. A name is one line; a reason stands below it.
pub(super) fn to_columns(state: &FileState) -> (&'static str, Option<String>) {
    let detail = match state {
        FileState::Infected { signature } => Some(signature.clone()),
        FileState::Released { by, reason } => Some(format!("{by}\n{reason}")),
        _ => None,
    };
    (state.word(), detail)
}

/// Reads [`to_columns`].
pub(super) fn from_columns(word: &str, detail: Option<String>) -> Result<FileState, LedgerError> {
    Ok(match word {
        "waiting" => FileState::Waiting,
        "received" => FileState::Received,
        "scanning" => FileState::Scanning,
        "clean" => FileState::Clean,
        "infected" => FileState::Infected {
            signature: detail.unwrap_or_default(),
        },
        "held" => FileState::Held,
        "too_large" => FileState::TooLarge,
        "corrupt" => FileState::Corrupt,
        "released" => {
            let detail = detail.unwrap_or_default();
            let (by, reason) = detail.split_once('\n').unwrap_or((&detail, ""));
            FileState::Released {
                by: by.to_owned(),
                reason: reason.to_owned(),
            }
        }
        "expired" => FileState::Expired,
        _ => return Err(unfit("a file's state")),
    })
}

/// Whether inspection or a person may move a file so. What the bytes themselves decide (received,
/// waiting again, expired) is not asked here.
pub(super) fn may_move(from: &FileState, to: &FileState) -> bool {
    use FileState::{Clean, Corrupt, Held, Infected, Received, Released, Scanning, TooLarge};
    match (from, to) {
        (Received, Scanning)
        | (Scanning, Clean | Infected { .. } | Held | TooLarge | Corrupt)
        | (Held | TooLarge, Released { .. }) => true,
        // Scanned again: what was judged before stays judged.
        (
            Clean | Infected { .. } | Held | TooLarge | Released { .. },
            Clean | Infected { .. } | Held | TooLarge,
        ) => from != to,
        _ => false,
    }
}

/// Moves the file, with its event. The caller saves the row.
pub(super) fn enter(
    connection: &Connection,
    file: &mut FileRow,
    state: FileState,
    at: UnixMillis,
) -> Result<(), LedgerError> {
    let (kind, body) = EventBody::FileMoved {
        file: file.id,
        state: state.clone(),
    }
    .to_parts();
    connection
        .prepare_cached(
            "INSERT INTO events (at, branch, operation, ticket, for_feed, kind, body)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?
        .execute(params![
            at.0,
            file.branch.as_str(),
            file.row,
            file.ticket,
            // What central gives, a branch hears of with the reply.
            !giving::is_given(file.row),
            kind,
            body.get()
        ])?;
    if file.counts_as_begun() && state.is_settled() {
        count_begun(connection, file, -1)?;
    }
    match &state {
        FileState::Received => file.due = Some(due(at, file.size)),
        FileState::Scanning => {}
        _ => file.due = None,
    }
    file.idle_since = match &state {
        FileState::Waiting => file.count.map(|_| at),
        // Nothing will ever be made of its chunks.
        FileState::Corrupt => Some(at),
        _ => None,
    };
    file.trouble = None;
    file.state = state;
    file.state_since = at;
    file.version += 1;
    Ok(())
}

/// The order of inspection: who came first, and the smaller ones a little earlier.
pub(super) fn due(at: UnixMillis, size: u64) -> i64 {
    at.0.saturating_add(to_integer(size / BYTES_PER_MILLISECOND))
}

/// Counts a file for or off its agent's bounds.
pub(super) fn count_begun(
    connection: &Connection,
    file: &FileRow,
    files: i64,
) -> Result<(), LedgerError> {
    connection
        .prepare_cached(
            "UPDATE agents SET begun_files = begun_files + ?2, begun_bytes = begun_bytes + ?2 * ?3
             WHERE agent = ?1",
        )?
        .execute(params![file.agent, files, to_integer(file.size)])?;
    Ok(())
}
