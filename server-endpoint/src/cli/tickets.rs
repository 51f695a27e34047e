//! `tickets list` and `tickets show`: what central holds, for looking; `tickets reply` and `tickets move` stand
//! in [`commands`].

mod commands;

use std::path::Path;
use std::process::ExitCode;

use branchline_protocol::event::Verdict;
use branchline_protocol::id::{BranchCode, TicketNumber};
use branchline_protocol::operation::Contact;
use branchline_protocol::time::LocalTime;
use clap::{Args, Subcommand};
use serde::Serialize;
use serde_json::json;

use super::{Failure, block_on, open_ledger, output};
use crate::ledger::{Answer, FileRecord, Ledger, TicketFile, TicketFilter, TicketRow};

#[derive(Debug, Subcommand)]
pub(super) enum TicketsCommand {
    /// List tickets by number
    List(ListArgs),
    /// Show one ticket with its comments
    Show(ShowArgs),
    /// Answer the branch
    Reply(commands::ReplyArgs),
    /// Say where a ticket stands
    Move(commands::MoveArgs),
}

#[derive(Debug, Args)]
pub(super) struct ListArgs {
    /// Only this branch's
    #[arg(long)]
    branch: Option<BranchCode>,
    /// At most so many
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    limit: u32,
    /// Only those behind this number: the last one of the page before
    #[arg(long, value_name = "NUMBER")]
    after: Option<TicketNumber>,
    /// JSON, for programs
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct ShowArgs {
    /// The ticket's number, such as LYN-000042
    number: TicketNumber,
    /// JSON, for programs
    #[arg(long)]
    json: bool,
}

pub(super) fn execute(data_dir: &Path, command: TicketsCommand) -> Result<ExitCode, Failure> {
    match command {
        TicketsCommand::List(args) => list(data_dir, args),
        TicketsCommand::Show(args) => show(data_dir, &args),
        TicketsCommand::Reply(args) => commands::reply(data_dir, args),
        TicketsCommand::Move(args) => commands::move_to(data_dir, &args),
    }
}

fn list(data_dir: &Path, args: ListArgs) -> Result<ExitCode, Failure> {
    let ledger = open_ledger(data_dir)?;
    let most = usize::try_from(args.limit).unwrap_or(usize::MAX);
    let filter = TicketFilter {
        branch: args.branch,
        after: args.after,
        // One more tells whether there are more.
        most: most.saturating_add(1),
    };
    let mut tickets = block_on(async { Ok(ledger.tickets(filter).await?) })?;
    let more = tickets.len() > most;
    tickets.truncate(most);
    if args.json {
        let rows: Vec<_> = tickets.iter().map(row_json).collect();
        output::json(&json!({ "tickets": rows, "more": more }));
        return Ok(ExitCode::SUCCESS);
    }
    if tickets.is_empty() {
        output::line("no tickets");
        return Ok(ExitCode::SUCCESS);
    }
    let header = [
        "NUMBER", "STATE", "PRIORITY", "FILED", "RECEIVED", "SUBJECT",
    ];
    let mut rows = vec![header.map(str::to_owned).to_vec()];
    rows.extend(tickets.iter().map(table_row));
    output::table(&rows);
    if let Some(last) = tickets.last().filter(|_| more) {
        output::line(&format!("more: --after {}", last.number));
    }
    Ok(ExitCode::SUCCESS)
}

fn table_row(ticket: &TicketRow) -> Vec<String> {
    vec![
        ticket.number.to_string(),
        ticket.state.as_str().to_owned(),
        ticket.priority.as_str().to_owned(),
        local(ticket.filed_at),
        output::moment(ticket.received_at),
        output::cell(&ticket.filed.subject, 60),
    ]
}

/// By the branch's own clock, with its offset.
fn local(at: LocalTime) -> String {
    at.to_string()
}

fn show(data_dir: &Path, args: &ShowArgs) -> Result<ExitCode, Failure> {
    let ledger = open_ledger(data_dir)?;
    let file = block_on(async { Ok(ledger.ticket(args.number.clone()).await?) })?;
    let Some(file) = file else {
        let message = format!(
            "central has no ticket {}; `branchline-server tickets list` shows what it has",
            args.number
        );
        return Err(Failure::fix_input(message));
    };
    if args.json {
        output::json(&file_json(&file));
    } else {
        show_file(&file);
    }
    Ok(ExitCode::SUCCESS)
}

fn show_file(file: &TicketFile) {
    let ticket = &file.row;
    let filed = &ticket.filed;
    output::line(&format!(
        "{}  {}",
        ticket.number,
        output::safe(&filed.subject)
    ));
    let state = ticket.state.as_str();
    match &ticket.merged_into {
        Some(into) => field("State", &format!("{state} into {into}")),
        None => field("State", state),
    }
    field("Assignee", ticket.assignee.as_deref().unwrap_or("nobody"));
    field("Priority", ticket.priority.as_str());
    field("Category", &ticket.category);
    if !ticket.tags.is_empty() {
        field("Tags", &ticket.tags.join(", "));
    }
    field("Contact", &contact(&filed.contact));
    if let Some(asset) = &filed.asset {
        field("Asset", asset);
    }
    field(
        "Filed",
        &format!("{} by {}", ticket.filed_at, ticket.reporter),
    );
    field("Received", &output::moment(ticket.received_at));
    if let Verdict::Renumbered { number } = &file.verdict {
        let note = format!(
            "filed as {}, which was taken; it is {number} from then on",
            filed.number
        );
        field("Note", &note);
    }
    if let Some((at, withdrawn)) = &file.withdrawn {
        let reason = withdrawn.reason.as_deref().unwrap_or("no reason given");
        field("Withdrawn", &format!("{at}: {reason}"));
    }
    output::line("");
    output::line(&output::safe(&filed.description));
    for comment in &file.comments {
        output::line("");
        let head = format!("-- {} by {}", comment.at, comment.reporter);
        output::line(&output::safe(&head));
        output::line(&output::safe(&comment.text));
    }
    for answer in &file.answers {
        output::line("");
        let what = if answer.is_note { "note" } else { "reply" };
        let head = format!("-- {} {what} by {}", output::moment(answer.at), answer.by);
        output::line(&output::safe(&head));
        output::line(&output::safe(&answer.text));
        for file in &answer.files {
            output::line(&output::safe(&format!("   with {}", file.name)));
        }
    }
    show_files(file);
}

fn show_files(file: &TicketFile) {
    if file.files.is_empty() {
        return;
    }
    output::line("");
    let header = ["FILE", "STATE", "BYTES", "NAME"];
    let mut rows = vec![header.map(str::to_owned).to_vec()];
    rows.extend(file.files.iter().map(|file| {
        vec![
            file.id.to_string(),
            file.state.word().to_owned(),
            file.size.to_string(),
            output::cell(&file.name, 60),
        ]
    }));
    output::table(&rows);
    if file.more_files {
        output::line("and more files");
    }
}

fn field(name: &str, value: &str) {
    output::line(&format!("  {name:<10} {}", output::safe(value)));
}

fn contact(contact: &Contact) -> String {
    let Contact { name, phone, mail } = contact;
    let known = [name, phone, mail];
    let known: Vec<&str> = known.into_iter().flatten().map(String::as_str).collect();
    known.join(", ")
}

fn row_json(ticket: &TicketRow) -> impl Serialize {
    json!({
        "number": ticket.number,
        "ticket": ticket.id,
        "branch": ticket.number.branch,
        "state": ticket.state.as_str(),
        "version": ticket.version,
        "assignee": ticket.assignee,
        "tags": ticket.tags,
        "merged_into": ticket.merged_into,
        "priority": ticket.priority,
        "category": ticket.category,
        "subject": ticket.filed.subject,
        "reporter": ticket.reporter,
        "filed_at": ticket.filed_at,
        "received_at": ticket.received_at.to_rfc3339(),
    })
}

fn file_json(file: &TicketFile) -> impl Serialize {
    let ticket = &file.row;
    let comments: Vec<_> = file
        .comments
        .iter()
        .map(|comment| {
            json!({
                "operation": comment.operation,
                "at": comment.at,
                "received_at": comment.received_at.to_rfc3339(),
                "reporter": comment.reporter,
                "text": comment.text,
            })
        })
        .collect();
    let answers: Vec<_> = file.answers.iter().map(answer_json).collect();
    let files: Vec<_> = file.files.iter().map(attached_json).collect();
    json!({
        "number": ticket.number,
        "given": ticket.filed.number,
        "ticket": ticket.id,
        "branch": ticket.number.branch,
        "state": ticket.state.as_str(),
        "version": ticket.version,
        "assignee": ticket.assignee,
        "tags": ticket.tags,
        "merged_into": ticket.merged_into,
        "priority": ticket.priority,
        "category": ticket.category,
        "subject": ticket.filed.subject,
        "description": ticket.filed.description,
        "contact": ticket.filed.contact,
        "asset": ticket.filed.asset,
        "reporter": ticket.reporter,
        "filed_at": ticket.filed_at,
        "received_at": ticket.received_at.to_rfc3339(),
        "verdict": file.verdict,
        "comments": comments,
        "answers": answers,
        "files": files,
        "more_files": file.more_files,
        "withdrawn": file.withdrawn.as_ref().map(|(at, withdrawn)| {
            json!({ "at": at, "reason": withdrawn.reason })
        }),
    })
}

fn answer_json(answer: &Answer) -> impl Serialize {
    json!({
        "id": answer.id,
        "kind": if answer.is_note { "note" } else { "reply" },
        "at": answer.at.to_rfc3339(),
        "by": answer.by,
        "text": answer.text,
        "files": answer.files,
    })
}

fn attached_json(file: &FileRecord) -> impl Serialize {
    json!({
        "file": file.id,
        "name": file.name,
        "size": file.size,
        "root": file.root,
        "state": file.state,
        "state_since": file.state_since.to_rfc3339(),
        "attached_at": file.attached_at,
        "reporter": file.reporter,
        "held_bytes": file.held_bytes,
        "sniffed": file.sniffed,
        "disguised": file.disguised,
        "trouble": file.trouble,
    })
}
