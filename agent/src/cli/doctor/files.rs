//! The content of files that wait: as the agent says, or looked at here where it does not run.

use branchline_agent_api::Status;
use branchline_protocol::problem::ErrorClass;

use crate::cli::output;
use crate::config::Config;
use crate::store::JOURNAL_FILE;
use crate::store::chunks::{ChunkInspection, ChunksError, Content, NotInspected};
use crate::store::inspect::Inspection;

use super::finding::{Finding, bad, good, warning};

const ATTACH_AGAIN: &str = "See `branchline-agent files list` and attach them again.";

pub(super) fn examine(config: &Config, running: Option<&Status>) -> Finding {
    if let Some(status) = running {
        return as_told(status.files.waiting, status.files.failed);
    }
    let Ok(journal) = Inspection::open(&config.data_dir.join(JOURNAL_FILE)) else {
        return warning("files", ErrorClass::TryAgain, "not looked at")
            .advising("The journal comes first.");
    };
    match glance(&journal, config) {
        Ok((waiting, 0)) => {
            let count = output::count(waiting);
            good("files", format!("{count} wait for central, none missing"))
                .fact("waiting", waiting)
        }
        Ok((waiting, damaged)) => {
            let words = format!(
                "{} of {} that wait are damaged or missing",
                output::count(damaged),
                output::count(waiting)
            );
            bad("files", ErrorClass::FixInput, words)
                .advising(ATTACH_AGAIN)
                .fact("waiting", waiting)
                .fact("damaged", damaged)
        }
        Err(NotInspected::InUse) => warning(
            "files",
            ErrorClass::TryAgain,
            NotInspected::InUse.to_string(),
        ),
        Err(fault) => bad("files", ErrorClass::CallIt, fault.to_string()).advising(
            "At its next start the agent sets the file aside; what waited in it must be attached again.",
        ),
    }
}

fn as_told(waiting: u64, failed: u64) -> Finding {
    let words = format!("{} wait for central", output::count(waiting));
    if failed == 0 {
        return good("files", words).fact("waiting", waiting);
    }
    let failed_count = output::count(failed);
    let words = format!("{words}; {failed_count} are damaged or were refused");
    bad("files", ErrorClass::FixInput, words)
        .advising(ATTACH_AGAIN)
        .fact("waiting", waiting)
        .fact("failed", failed)
}

/// How many files wait, and how many of them are not whole any more. Reads no content, so that it is
/// quick whatever waits.
fn glance(journal: &Inspection, config: &Config) -> Result<(u64, u64), NotInspected> {
    let waiting = journal.waiting_files().map_err(ChunksError::from)?;
    let chunks = match ChunkInspection::open(&config.data_dir) {
        Err(NotInspected::NotThere) if waiting.is_empty() => return Ok((0, 0)),
        opened => opened?,
    };
    let mut damaged = 0;
    for file in &waiting {
        let sound = !file.known_damaged && chunks.glance(file.id)? == Content::Sound;
        damaged += u64::from(!sound);
    }
    Ok((waiting.len() as u64, damaged))
}
