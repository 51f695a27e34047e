//! Whose journal this is: written into it once, and asked before anything else is done with it.
//!
//! Ticket numbers, operation ids and streams all follow from the agent. A journal that went on under
//! another agent's name would give its numbers out again and speak for it, so it is not opened at all.

use std::path::Path;

use branchline_durable_sqlite::{Settings, open_reader};
use branchline_protocol::enrolment::JournalOf;
use rusqlite::Connection;

use super::{JOURNAL_FILE, StartError, StoreSettings, set_setting, setting};

/// The setting's name.
const JOURNAL_OF: &str = "journal_of";

/// Whose journal lies in this folder; `None` where there is none, or none that says so. A journal that
/// cannot be read is for opening it to deal with.
pub fn journal_of(folder: &Path) -> Option<JournalOf> {
    let path = folder.join(JOURNAL_FILE);
    if !path.exists() {
        return None;
    }
    let connection = open_reader(&path, &Settings::default()).ok()?;
    read(&connection).ok().flatten()
}

pub(super) fn read(connection: &Connection) -> rusqlite::Result<Option<JournalOf>> {
    let text: Option<String> = setting(connection, JOURNAL_OF)?;
    Ok(text.and_then(|text| serde_json::from_str(&text).ok()))
}

/// Writes the owner into a journal that has none; refuses one that has another.
pub(super) fn claim(connection: &Connection, settings: &StoreSettings) -> Result<(), StartError> {
    let Some(agent) = settings.agent else {
        return Ok(());
    };
    let own = JournalOf {
        agent,
        branch: settings.branch.clone(),
        ordinal: settings.ordinal,
    };
    match read(connection)? {
        Some(owner) if owner != own => Err(StartError::OtherJournal {
            journal: Box::new(owner),
            own: Box::new(own),
        }),
        Some(_) => Ok(()),
        None => Ok(write(connection, &own)?),
    }
}

/// A journal that was put together again belongs to whom the damaged one did.
pub(super) fn carry_over(old: &Connection, new: &Connection) -> rusqlite::Result<()> {
    match read(old).ok().flatten() {
        Some(owner) => write(new, &owner),
        None => Ok(()),
    }
}

fn write(connection: &Connection, owner: &JournalOf) -> rusqlite::Result<()> {
    let text = serde_json::to_string(owner).unwrap_or_default();
    set_setting(connection, JOURNAL_OF, text)
}
