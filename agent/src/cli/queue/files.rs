//! The content of files that wait for central, read and compared with its names.

use std::path::Path;

use branchline_protocol::file::FileFault;
use serde::Serialize;

use crate::cli::output;
use crate::store::chunks::{ChunkInspection, Content, NotInspected};
use crate::store::inspect::{Inspection, WaitingFile};

/// Bad files named one by one.
const NAMED: usize = 20;

/// What was found of files.
#[derive(Debug, Serialize)]
pub(super) struct Found {
    /// Files that central does not have yet.
    waiting: usize,
    /// Chunks of them that were read.
    chunks: u64,
    /// Why none was read.
    #[serde(skip_serializing_if = "Option::is_none")]
    not_read: Option<String>,
    /// Whether that is a fault.
    #[serde(skip)]
    unreadable: bool,
    bad: Vec<BadFile>,
}

#[derive(Debug, Serialize)]
struct BadFile {
    file: branchline_protocol::id::FileId,
    name: String,
    content: Content,
}

pub(super) fn verify(journal: &Inspection, folder: &Path) -> anyhow::Result<Found> {
    let waiting = journal.waiting_files()?;
    let mut found = Found {
        waiting: waiting.len(),
        chunks: 0,
        not_read: None,
        unreadable: false,
        bad: Vec::new(),
    };
    match ChunkInspection::open(folder) {
        Ok(chunks) => {
            let total = output::count(waiting.len() as u64);
            for (done, file) in (1_u64..).zip(waiting) {
                let content = chunks.verify(file.id, &mut found.chunks)?;
                found.note(file, content);
                output::progress(&format!("{} of {total} files", output::count(done)));
            }
        }
        Err(fault) => {
            found.unreadable = match &fault {
                NotInspected::InUse => false,
                NotInspected::NotThere => !waiting.is_empty(),
                NotInspected::Chunks(_) => true,
            };
            found.not_read = Some(fault.to_string());
            for file in waiting {
                found.note(file, Content::Sound);
            }
        }
    }
    Ok(found)
}

impl Found {
    fn note(&mut self, file: WaitingFile, content: Content) {
        let content = match content {
            Content::Sound if file.known_damaged => Content::Damaged,
            other => other,
        };
        if content != Content::Sound {
            self.bad.push(BadFile {
                file: file.id,
                name: file.name,
                content,
            });
        }
    }

    pub(super) fn is_sound(&self) -> bool {
        self.bad.is_empty() && !self.unreadable
    }

    pub(super) fn show(&self) {
        let (waiting, chunks) = (self.waiting as u64, output::count(self.chunks));
        let waiting = output::count(waiting);
        let bad = self.bad.len();
        match &self.not_read {
            None => output::line(&format!(
                "{waiting} files waiting, {chunks} chunks read: {bad} files damaged or missing — {}",
                if self.is_sound() {
                    "sound"
                } else {
                    "see below"
                }
            )),
            Some(why) if self.unreadable => output::line(&format!(
                "{waiting} files waiting, their content cannot be read: {} — call IT; at its next start \
                 the agent sets the damaged file aside, and the files must be attached again",
                output::safe(why)
            )),
            Some(why) => output::line(&format!(
                "{waiting} files waiting, {bad} known to be damaged; content not read: {} (stop the \
                 agent to have it read)",
                output::safe(why)
            )),
        }
        for file in self.bad.iter().take(NAMED) {
            let what = match file.content {
                Content::Missing => "missing",
                _ => "damaged",
            };
            let name = output::safe(&file.name);
            output::line(&format!("{what}: {name} ({})", file.file));
        }
        if bad > 0 {
            output::line(FileFault::BranchDamaged.advice());
        }
    }
}
