//! What inspection and people decide of a file.

use branchline_protocol::file::FileState;
use branchline_protocol::id::FileId;
use branchline_protocol::limits;
use branchline_protocol::text::clipped;
use branchline_protocol::time::UnixMillis;
use rusqlite::Connection;

use super::rows::FileRow;
use super::{reading, states};
use crate::ledger::sqlite::identity::trail;
use crate::ledger::{FileRecord, LedgerError, MoveFile};

/// `None` where the file is not as the caller saw it.
pub(super) fn move_file(
    connection: &Connection,
    moved: MoveFile,
) -> Result<Option<FileRecord>, LedgerError> {
    let Some(mut file) = FileRow::find(connection, moved.file)? else {
        return Ok(None);
    };
    if file.version != moved.version {
        return Ok(None);
    }
    let state = bounded(moved.state);
    if !states::may_move(&file.state, &state) {
        // Whoever asks has seen the file as it is: this is a fault of this program.
        return Err(LedgerError::Broken(format!(
            "a file that is {} was to become {}",
            file.state.word(),
            state.word()
        )));
    }
    states::enter(connection, &mut file, state, moved.at)?;
    if moved.sniffed.is_some() {
        file.sniffed = moved.sniffed;
    }
    file.disguised = moved.disguised;
    file.save(connection)?;
    if let Some(deed) = &moved.deed {
        trail::add(connection, deed)?;
    }
    reading::file(connection, moved.file)
}

/// What a scanner says is not longer than the protocol carries.
fn bounded(state: FileState) -> FileState {
    match state {
        FileState::Infected { signature } => FileState::Infected {
            signature: clipped(&signature, limits::SIGNATURE_CHARS).to_owned(),
        },
        FileState::Released { by, reason } => FileState::Released {
            by: clipped(&by.replace('\n', " "), limits::USER_CHARS).to_owned(),
            reason: clipped(&reason, limits::DETAIL_CHARS).to_owned(),
        },
        other => other,
    }
}

/// A file in trouble stands back in the order of inspection as if it had only just come, so that those
/// behind it have their turn.
pub(super) fn note_trouble(
    connection: &Connection,
    file: FileId,
    trouble: Option<String>,
    at: UnixMillis,
) -> Result<(), LedgerError> {
    let Some(mut file) = FileRow::find(connection, file)? else {
        return Ok(());
    };
    if trouble.is_some() && file.due.is_some() {
        file.due = Some(states::due(at, file.size));
    }
    file.trouble = trouble.map(|words| clipped(&words, limits::DETAIL_CHARS).to_owned());
    file.save(connection)
}

/// Gives a judged file a place in the order of inspection.
pub(super) fn scan_again(
    connection: &Connection,
    file: FileId,
    at: UnixMillis,
) -> Result<bool, LedgerError> {
    let Some(mut file) = FileRow::find(connection, file)? else {
        return Ok(false);
    };
    let is_judged = matches!(
        file.state,
        FileState::Clean
            | FileState::Infected { .. }
            | FileState::Held
            | FileState::TooLarge
            | FileState::Released { .. }
    );
    if is_judged {
        file.due = Some(states::due(at, file.size));
        file.save(connection)?;
    }
    Ok(is_judged)
}

/// Takes that place back.
pub(super) fn keep_verdict(
    connection: &Connection,
    file: FileId,
    version: u64,
) -> Result<(), LedgerError> {
    let Some(mut file) = FileRow::find(connection, file)? else {
        return Ok(());
    };
    if file.version == version && file.state.is_settled() {
        file.due = None;
        file.trouble = None;
        file.save(connection)?;
    }
    Ok(())
}
