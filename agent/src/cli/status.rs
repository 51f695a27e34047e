//! `status`: the truth in one screen.

use std::process::ExitCode;

use branchline_agent_api::{
    Client, DropFolderState, DropFolderStatus, EnrolmentState, EnrolmentStatus, FilesStatus,
    LimitBy, LinkState, SendingStatus, Status,
};
use branchline_protocol::time::UnixMillis;
use clap::Args;

use super::{CliError, output};

#[derive(Debug, Args)]
pub(super) struct StatusArgs {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn execute(args: StatusArgs, client: Client) -> Result<ExitCode, CliError> {
    let status = client.status().await?;
    if args.json {
        output::json(&status);
    } else {
        for line in lines(&status, crate::ids::now()) {
            output::line(&line);
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn lines(status: &Status, now: UnixMillis) -> Vec<String> {
    let field = |name: &str, text: String| format!("{name:<18} {text}");
    let at = |at: UnixMillis| format!("{} ({})", output::moment(at), output::ago(at, now));
    let agent = match (&status.branch, status.ordinal) {
        (Some(branch), Some(ordinal)) => format!("agent {ordinal} of branch {branch}"),
        _ => "not enrolled".to_owned(),
    };
    let mut lines = vec![
        field("Branchline", format!("{agent}, version {}", status.version)),
        field(
            "Central",
            output::safe(status.server.as_deref().unwrap_or("not known yet")),
        ),
        field("Certificate", certificate(&status.enrolment, now)),
        field("Link", link(status, now)),
        field("Waiting", waiting(status)),
    ];
    if let Some(oldest) = status.oldest_waiting {
        lines.push(field("Oldest waiting", at(oldest)));
    }
    let acknowledged = status
        .last_acknowledgement
        .map_or_else(|| "never".to_owned(), at);
    lines.push(field("Last acknowledged", acknowledged));
    if status.rejected > 0 {
        let text = format!("{} (see `ticket list`)", operations(status.rejected));
        lines.push(field("Not accepted", text));
    }
    if status.damaged > 0 {
        let text = format!("{} on this disk; call IT", operations(status.damaged));
        lines.push(field("Damaged", text));
    }
    let error = status.last_error.as_ref().map_or_else(
        || "none since the agent started".to_owned(),
        |error| {
            format!(
                "{}: {} ({})",
                at(error.at),
                output::safe(&error.words),
                error.class
            )
        },
    );
    lines.push(field("Last error", error));
    let used = output::size(status.journal_bytes);
    let free = status.disk_free.map_or_else(String::new, |free| {
        format!(", {} free on its disk", output::size(free))
    });
    let limit = output::size(status.journal_limit_bytes);
    lines.push(field("Journal", format!("{used} of {limit}{free}")));
    for (name, text) in files(&status.files, now) {
        lines.push(field(name, text));
    }
    for folder in &status.drop_folders {
        lines.extend(drop_folder(folder, now));
    }
    lines
}

fn files(files: &FilesStatus, now: UnixMillis) -> Vec<(&'static str, String)> {
    let waiting = match files.waiting {
        0 => "central has all".to_owned(),
        1 => format!("1 waits, {}", output::size(files.waiting_bytes)),
        count => format!(
            "{} wait, {}",
            output::count(count),
            output::size(files.waiting_bytes)
        ),
    };
    let used = output::size(files.used_bytes);
    let quota = output::size(files.quota_bytes);
    let mut lines = vec![("Files", format!("{waiting}; {used} of {quota} used"))];
    for taking in &files.taking {
        let of = taking
            .size
            .map_or_else(String::new, |size| format!(" of {}", output::size(size)));
        let name = output::cell(&taking.name, 40);
        let text = format!("{name}: {}{of}", output::size(taking.bytes));
        lines.push(("Taking in", text));
    }
    if files.failed > 0 {
        let count = output::count(files.failed);
        let text = format!("{count} damaged here or refused by central (see `files list`)");
        lines.push(("Files in trouble", text));
    }
    lines.extend(sending(&files.sending, files.waiting, now));
    if let Some(refused) = &files.refused {
        let text = format!(
            "{}, {}: {}",
            output::cell(&refused.name, 40),
            output::ago(refused.at, now),
            refused.fault.advice()
        );
        lines.push(("File refused", text));
    }
    lines
}

fn sending(sending: &SendingStatus, waiting: u64, now: UnixMillis) -> Vec<(&'static str, String)> {
    let mut lines = Vec::new();
    let who = match sending.limit_by {
        Some(LimitBy::Central) => "central",
        _ => "the configuration",
    };
    let limit = sending.limit.map_or_else(String::new, |limit| {
        format!(", of {}/s that {who} allows", output::size(limit))
    });
    if waiting > 0 {
        let rate = output::size(sending.bytes_per_second);
        lines.push(("Sending files", format!("{rate}/s{limit}")));
    }
    if let Some(trouble) = &sending.trouble {
        let words = output::safe(&trouble.words);
        let text = format!(
            "{words} ({}, {})",
            trouble.class,
            output::ago(trouble.at, now)
        );
        lines.push(("Files held up", text));
    }
    if let Some(fault) = &sending.settings_fault {
        let text = format!("{}; the settings from before hold", output::safe(fault));
        lines.push(("Configuration", text));
    }
    lines
}

fn drop_folder(folder: &DropFolderStatus, now: UnixMillis) -> Vec<String> {
    let words = folder.words.as_deref().map(output::safe);
    let because = words.map_or_else(String::new, |words| format!(": {words}"));
    let state = match folder.state {
        DropFolderState::Starting => "starting".to_owned(),
        DropFolderState::Watching => "watched".to_owned(),
        DropFolderState::Polling => format!("looked at every few seconds{because}"),
        DropFolderState::Missing => "missing; used again when it is back".to_owned(),
        DropFolderState::Trouble => format!("cannot be used{because}"),
    };
    let taken = match folder.last_taken {
        Some(at) => format!("last taken {}", output::ago(at, now)),
        None => "nothing taken since the agent started".to_owned(),
    };
    let path = output::safe(&folder.path);
    let mut lines = vec![
        format!("{:<18} {path}: {state}", "Drop folder"),
        format!(
            "{:<18} {} files waiting, {} filed, {taken}",
            "",
            output::count(folder.waiting),
            output::count(folder.taken)
        ),
    ];
    if let Some(error) = &folder.last_error {
        let said = output::safe(&error.words);
        let ago = output::ago(error.at, now);
        lines.push(format!(
            "{:<18} last error {ago}: {said} ({})",
            "", error.class
        ));
    }
    for file in &folder.troubles {
        let name = output::safe(&file.name);
        let wait = file.next_attempt.0.saturating_sub(now.0).max(0) / 1_000;
        lines.push(format!(
            "{:<18} {name}: {} ({}; again in {wait} s)",
            "",
            file.fault.advice(),
            output::safe(&file.words),
        ));
    }
    lines
}

fn certificate(enrolment: &EnrolmentStatus, now: UnixMillis) -> String {
    let until = enrolment.certificate_until.map(|until| {
        let ended = if until < now { "ended on" } else { "until" };
        format!("{ended} {}", output::moment(until))
    });
    let said = match enrolment.state {
        EnrolmentState::NotEnrolled => "not enrolled: waits for a token (`enroll`)".to_owned(),
        EnrolmentState::Enrolling => "enrolling".to_owned(),
        EnrolmentState::Enrolled => until.unwrap_or_else(|| "none".to_owned()),
        EnrolmentState::Renewing => format!("{}, renewing", until.unwrap_or_default()),
        EnrolmentState::TokenNeeded => {
            "central does not take it any more: waits for a token (`enroll`)".to_owned()
        }
    };
    match &enrolment.trouble {
        Some(trouble) => format!(
            "{said}: {} ({})",
            output::safe(&trouble.words),
            trouble.class
        ),
        None => said,
    }
}

fn link(status: &Status, now: UnixMillis) -> String {
    let since = output::moment(status.link.since);
    let next = status.link.next_attempt.map_or_else(String::new, |next| {
        let seconds = next.0.saturating_sub(now.0).max(0) / 1_000;
        format!("; next attempt in {seconds} s")
    });
    match status.link.state {
        LinkState::Starting => format!("starting, nothing heard yet (since {since})"),
        LinkState::Connected => format!("connected since {since}"),
        LinkState::Waiting => format!("no connection since {since}{next}. Nothing is lost."),
        LinkState::Refused => {
            format!("central refuses this agent since {since}{next}. Nothing is lost; call IT.")
        }
    }
}

fn waiting(status: &Status) -> String {
    if status.waiting == 0 {
        return "nothing; central has everything".to_owned();
    }
    operations(status.waiting)
}

fn operations(count: u64) -> String {
    let noun = if count == 1 {
        "operation"
    } else {
        "operations"
    };
    format!("{} {noun}", output::count(count))
}
