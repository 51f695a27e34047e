//! Files in words, in tables and in JSON.

use std::path::Path;

use branchline_protocol::file::{Actor, FileState};
use branchline_protocol::file_name::shown_name;
use branchline_protocol::problem::ErrorClass;
use serde::Serialize;
use serde_json::{Value, json};

use crate::cli::output;
use crate::inspection::Proof;
use crate::ledger::FileRecord;

const WORDS: [&str; 10] = [
    "waiting",
    "received",
    "scanning",
    "clean",
    "infected",
    "held",
    "too_large",
    "corrupt",
    "released",
    "expired",
];

/// Reads a state's word.
pub(super) fn state_word(word: &str) -> Result<&'static str, String> {
    WORDS
        .into_iter()
        .find(|known| *known == word)
        .ok_or_else(|| format!("must be one of {}", WORDS.join(", ")))
}

/// Reads a day, which begins at this machine's midnight, or a time; in milliseconds of UNIX time.
pub(in crate::cli) fn since(text: &str) -> Result<i64, String> {
    if let Ok(time) = text.parse::<jiff::Timestamp>() {
        return Ok(time.as_millisecond());
    }
    let day: jiff::civil::Date = text
        .parse()
        .map_err(|_| "must be a day such as 2026-11-21, or a time such as 2026-11-21T06:00:00Z")?;
    let midnight = day
        .to_zoned(jiff::tz::TimeZone::system())
        .map_err(|fault| fault.to_string())?;
    Ok(midnight.timestamp().as_millisecond())
}

pub(super) fn table(files: &[FileRecord]) -> Vec<Vec<String>> {
    let header = ["ID", "TICKET", "STATE", "SINCE", "SIZE", "NAME"];
    let mut rows = vec![header.map(str::to_owned).to_vec()];
    rows.extend(files.iter().map(|file| {
        vec![
            file.id.to_string(),
            file.number.to_string(),
            state(file),
            output::moment(file.state_since),
            output::count(file.size),
            output::cell(&shown_name(&file.name), 60),
        ]
    }));
    rows
}

fn state(file: &FileRecord) -> String {
    let word = file.state.word();
    match (&file.state, file.disguised) {
        (FileState::Waiting, _) if file.size > 0 => {
            let percent = u128::from(file.held_bytes) * 100 / u128::from(file.size);
            format!("{word} {percent}%")
        }
        (_, true) => format!("{word}, disguised"),
        _ => word.to_owned(),
    }
}

/// One file, for people.
pub(super) fn show(file: &FileRecord) {
    output::line(&output::safe(&shown_name(&file.name)));
    field("Id", &file.id.to_string());
    field("Ticket", &file.number.to_string());
    let bytes = output::count(file.size);
    field("Size", &format!("{bytes} bytes"));
    field("Root", &file.root.to_string());
    field(
        "Attached",
        &format!("{} by {}", file.attached_at, file.reporter),
    );
    let since = output::moment(file.state_since);
    field("State", &format!("{} since {since}", state(file)));
    match &file.state {
        FileState::Infected { signature } => field("Found", signature),
        FileState::Released { by, reason } => field("Released", &format!("by {by}: {reason}")),
        _ => {}
    }
    if let Some(sniffed) = &file.sniffed {
        let disguised = if file.disguised {
            ", which is not what its name says"
        } else {
            ""
        };
        field("Content", &format!("{sniffed}{disguised}"));
    }
    if file.held_bytes < file.size && file.state == FileState::Waiting {
        let held = output::count(file.held_bytes);
        field("Here", &format!("{held} of {bytes} bytes"));
    }
    if let Some(trouble) = &file.trouble {
        field("Trouble", trouble);
    }
    if let Some(fault) = file.state.fault() {
        field(
            "To do",
            &format!("{}: {}", who(fault.actor()), fault.advice()),
        );
    }
}

fn who(actor: Actor) -> &'static str {
    match actor {
        Actor::Nobody => "nobody",
        Actor::Filer => "whoever attached it",
        Actor::BranchIt => "IT of the branch",
        Actor::CentralIt => "IT of central",
    }
}

fn field(name: &str, value: &str) {
    output::line(&format!("  {name:<9} {}", output::safe(value)));
}

pub(super) fn record_json(file: &FileRecord) -> Value {
    let (signature, released) = match &file.state {
        FileState::Infected { signature } => (Some(signature), None),
        FileState::Released { by, reason } => (None, Some(json!({ "by": by, "reason": reason }))),
        _ => (None, None),
    };
    json!({
        "file": file.id,
        "name": file.name,
        "ticket": file.ticket,
        "number": file.number,
        "branch": file.branch,
        "agent": file.agent,
        "size": file.size,
        "root": file.root,
        "state": file.state.word(),
        "signature": signature,
        "released": released,
        "state_since": file.state_since.to_rfc3339(),
        "version": file.version,
        "readable": file.state.is_readable(),
        "fault": file.state.fault(),
        "attached_at": file.attached_at,
        "reporter": file.reporter,
        "chunks": file.count,
        "held_bytes": file.held_bytes,
        "sniffed": file.sniffed,
        "disguised": file.disguised,
        "trouble": file.trouble,
    })
}

pub(super) fn damage(file: &FileRecord, proof: &Proof) {
    output::line(&format!(
        "{} {} {} ({}): {}",
        file.number,
        file.id,
        output::cell(&shown_name(&file.name), 60),
        file.state.word(),
        if is_lost(file) { "LOST" } else { "damaged" }
    ));
    for (place, chunks) in &proof.damaged {
        let chunks = output::count(*chunks);
        output::line(&format!("  {place}: {chunks} damaged or missing chunks"));
    }
    if proof.not_whole {
        output::line(&format!(
            "  file {}: what lies under its root is not the file, or is not there",
            file.root
        ));
    }
    output::line(&format!("  {}", what_to_do(file)));
}

/// Whether nobody sends again what is damaged: once a file was judged, the branch gives its copy up when
/// it needs the room, and a verdict is not taken back for the sake of asking.
fn is_lost(file: &FileRecord) -> bool {
    file.state.is_settled()
}

fn what_to_do(file: &FileRecord) -> &'static str {
    if is_lost(file) {
        "call IT: restore the vault's file from a backup, or have the branch attach the same file again, \
         which heals it; the branch is not asked, because its own copy may go once the file was judged"
    } else {
        "nothing to do: inspection finds it, and the branch sends it again"
    }
}

pub(super) fn proof_json(file: &FileRecord, proof: &Proof) -> impl Serialize {
    json!({
        "file": file.id,
        "name": file.name,
        "number": file.number,
        "state": file.state.word(),
        "root": file.root,
        "damaged": proof.damaged,
        "not_whole": proof.not_whole,
        "lost": is_lost(file),
        "class": is_lost(file).then_some(ErrorClass::CallIt),
        "to_do": what_to_do(file),
    })
}

/// What was read in all.
#[derive(Debug, Default)]
pub(super) struct Totals {
    files: u64,
    chunks: u64,
    bytes: u64,
    pub(super) damaged_files: u64,
}

impl Totals {
    pub(super) fn add(&mut self, proof: &Proof) {
        self.files += 1;
        self.chunks += proof.chunks;
        self.bytes += proof.bytes;
    }

    pub(super) fn words(&self, vault: &Path) -> String {
        let count = output::count;
        format!(
            "{} files, {} chunks, {} bytes read in {}: {}",
            count(self.files),
            count(self.chunks),
            count(self.bytes),
            vault.display(),
            match self.damaged_files {
                0 => "all as they should be".to_owned(),
                1 => "1 file is damaged".to_owned(),
                damaged => format!("{} files are damaged", count(damaged)),
            }
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_and_times_are_read() {
        assert_eq!(since("1970-01-01T00:00:01Z"), Ok(1_000));
        let day = since("2026-11-21").unwrap();
        let noon = since("2026-11-21T12:00:00Z").unwrap();
        assert!((noon - day).abs() <= 26 * 3_600_000);
        for bad in ["yesterday", "", "2026-13-01", "21.11.2026"] {
            assert!(since(bad).unwrap_err().contains("2026-11-21"), "{bad}");
        }
        assert!(state_word("held").is_ok());
        assert!(state_word("Held").unwrap_err().contains("too_large"));
    }
}
