//! `ticket attach` and `ticket new --attach`: files to the agent one after the other, each with its own
//! outcome, so that one that cannot be read keeps no other from being saved.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use branchline_agent_api::{Attachment, Client, ClientError, FileSaved, Progress};
use branchline_protocol::id::{OperationId, TicketNumber};
use branchline_protocol::problem::ErrorClass;
use clap::Args;
use serde::Serialize;

use super::{CliError, output};

/// Files from this size on have a progress line.
const SHOWN_FROM_BYTES: u64 = 8 * 1024 * 1024;
/// Between two progress lines.
const SHOWN_EVERY_MILLIS: u64 = 200;
/// What standard input is called unless it is given a name.
const STDIN_NAME: &str = "standard-input";

#[derive(Debug, Args)]
pub(super) struct AttachArgs {
    /// Such as LYN-000042
    number: TicketNumber,
    /// The files; `-` reads standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Name of a single file at central, if it is to be another than here
    #[arg(long)]
    name: Option<String>,
    /// Id of a single attachment (a UUID), for scripts: the same id never attaches twice
    #[arg(long, value_name = "UUID")]
    id: Option<OperationId>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What became of one file.
#[derive(Debug, Serialize)]
pub(super) struct Outcome {
    path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    saved: Option<FileSaved>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refused: Option<Refused>,
}

#[derive(Debug, Serialize)]
struct Refused {
    class: ErrorClass,
    message: String,
    /// With the same id, asking again attaches nothing twice.
    id: OperationId,
}

pub(super) async fn execute(args: AttachArgs, client: &Client) -> Result<ExitCode, CliError> {
    if args.files.len() > 1 && (args.name.is_some() || args.id.is_some()) {
        let message = "--name and --id are for a single file";
        return Err(CliError::fix_input(message));
    }
    let mut outcomes = Vec::new();
    for path in &args.files {
        let wanted = Wanted {
            number: &args.number,
            path,
            name: args.name.as_deref(),
            id: args.id,
            quiet: args.json,
        };
        outcomes.push(wanted.attach(client).await);
    }
    if args.json {
        output::json(&outcomes);
    }
    Ok(worst(&outcomes))
}

/// Attaches files to a ticket just filed, telling of each unless `quiet`.
pub(super) async fn all(
    number: &TicketNumber,
    files: &[PathBuf],
    quiet: bool,
    client: &Client,
) -> Vec<Outcome> {
    let mut outcomes = Vec::new();
    for path in files {
        let wanted = Wanted {
            number,
            path,
            name: None,
            id: None,
            quiet,
        };
        outcomes.push(wanted.attach(client).await);
    }
    outcomes
}

/// The exit code of the worst outcome: somebody else must act, then the person, then nobody.
pub(super) fn worst(outcomes: &[Outcome]) -> ExitCode {
    let classes: Vec<ErrorClass> = outcomes
        .iter()
        .filter_map(|outcome| outcome.refused.as_ref())
        .map(|refused| refused.class)
        .collect();
    [
        ErrorClass::CallIt,
        ErrorClass::FixInput,
        ErrorClass::TryAgain,
    ]
    .into_iter()
    .find(|class| classes.contains(class))
    .map_or(ExitCode::SUCCESS, |class| {
        let message = String::new();
        CliError { class, message }.exit_code()
    })
}

struct Wanted<'a> {
    number: &'a TicketNumber,
    path: &'a Path,
    name: Option<&'a str>,
    id: Option<OperationId>,
    quiet: bool,
}

impl Wanted<'_> {
    async fn attach(&self, client: &Client) -> Outcome {
        let path = self.path.display().to_string();
        let is_stdin = path == "-";
        let id = self
            .id
            .unwrap_or_else(|| OperationId(crate::ids::new_uuid(crate::ids::now())));
        let own_name = if is_stdin { STDIN_NAME } else { &path };
        let attachment = Attachment {
            number: self.number.clone(),
            id,
            name: self.name.unwrap_or(own_name).to_owned(),
        };
        let answer = if is_stdin {
            let progress = shown_progress("standard input".to_owned(), None);
            client
                .attach_reader(&attachment, None, std::io::stdin(), progress)
                .await
        } else {
            let size = std::fs::metadata(self.path).ok().map(|facts| facts.len());
            let progress = shown_progress(output::cell(&path, 40), size);
            client.attach_file(&attachment, self.path, progress).await
        };
        output::progress_done();
        self.outcome(path, id, answer)
    }

    fn outcome(
        &self,
        path: String,
        id: OperationId,
        answer: Result<FileSaved, ClientError>,
    ) -> Outcome {
        match answer {
            Ok(saved) => {
                if !self.quiet {
                    output::line(&words(&saved));
                }
                Outcome {
                    path,
                    saved: Some(saved),
                    refused: None,
                }
            }
            Err(fault) => {
                let unsure = matches!(fault, ClientError::NotRunning { .. });
                let CliError { class, mut message } = fault.into();
                if unsure {
                    message = format!(
                        "{message} Whether the file was saved is not known; with --id {id} it is \
                         not attached twice."
                    );
                }
                if !message.contains(&path) {
                    message.insert_str(0, &format!("{path}: "));
                }
                if !self.quiet {
                    output::error(&format!("{message} ({class})"));
                }
                Outcome {
                    path,
                    saved: None,
                    refused: Some(Refused { class, message, id }),
                }
            }
        }
    }
}

fn words(saved: &FileSaved) -> String {
    let before = if saved.repeated {
        " (it had been saved before)"
    } else {
        ""
    };
    format!(
        "Attached {} ({}) to {}{before}. It is safe on this computer and goes to central by itself.",
        output::safe(&saved.name),
        output::size(saved.size),
        saved.number
    )
}

/// A line that says how far a large file is, for somebody who watches.
fn shown_progress(name: String, size: Option<u64>) -> Progress {
    let started = Instant::now();
    let shown = AtomicU64::new(0);
    Arc::new(move |bytes| {
        if size.unwrap_or(u64::MAX) < SHOWN_FROM_BYTES {
            return;
        }
        let now = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        if now
            < shown
                .load(Ordering::Relaxed)
                .saturating_add(SHOWN_EVERY_MILLIS)
        {
            return;
        }
        shown.store(now, Ordering::Relaxed);
        let of = size.map_or_else(String::new, |size| format!(" of {}", output::size(size)));
        let speed = output::size(bytes.saturating_mul(1_000) / now.max(1));
        let done = output::size(bytes);
        output::progress(&format!("{name}: {done}{of} ({speed}/s)"));
    })
}
