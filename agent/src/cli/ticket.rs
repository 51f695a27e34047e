//! `ticket`: file, list, show, comment, attach, withdraw; and the categories to file by.

mod shown;

use std::io::{IsTerminal, Read};
use std::path::PathBuf;
use std::process::ExitCode;

use branchline_agent_api::{
    AddComment, Client, Delivery, FileTicket, OperationSaved, TicketList, TicketQuery,
    TicketSummary, WithdrawTicket,
};
use branchline_protocol::desk::{Category, TicketState};
use branchline_protocol::id::{OperationId, TicketNumber};
use branchline_protocol::limits;
use branchline_protocol::operation::{Contact, Priority};
use clap::{Args, Subcommand, ValueEnum};
use serde::Serialize;

use super::{CliError, attach, output};

#[derive(Debug, Subcommand)]
pub(super) enum TicketCommand {
    /// File a ticket; it is saved when the command says so, link or no link
    New(NewArgs),
    /// List tickets, newest first
    List(ListArgs),
    /// Show a ticket with all that came after it
    Show(ShowArgs),
    /// Add a comment to a ticket
    Comment(CommentArgs),
    /// Attach files to a ticket; each is saved when the command says so
    Attach(super::attach::AttachArgs),
    /// Take a ticket back; it stays on record
    Withdraw(WithdrawArgs),
    /// List what tickets can be about, as central last said; without a link, too
    Categories(CategoriesArgs),
}

#[derive(Debug, Args)]
pub(super) struct NewArgs {
    /// One line that says what is wrong
    #[arg(long, short)]
    subject: String,
    /// The whole story; `-` or nothing reads it from standard input
    #[arg(long, short)]
    description: Option<String>,
    /// What it is about: one of `ticket categories`, or any other word
    #[arg(long, short)]
    category: Option<String>,
    /// How much it hurts; what the category says, or else normal
    #[arg(long, short, value_enum)]
    priority: Option<PriorityArg>,
    /// Whom to ask; your user name if nothing is given
    #[arg(long)]
    contact_name: Option<String>,
    /// Telephone number of the contact
    #[arg(long)]
    contact_phone: Option<String>,
    /// Mail address of the contact
    #[arg(long)]
    contact_mail: Option<String>,
    /// Device or workplace concerned
    #[arg(long)]
    asset: Option<String>,
    /// Files to attach; the ticket is saved first, and whatever becomes of them
    #[arg(long, value_name = "FILE", num_args = 1..)]
    attach: Vec<PathBuf>,
    #[command(flatten)]
    repeat: RepeatArgs,
}

#[derive(Debug, Args)]
struct RepeatArgs {
    /// Id of this filing (a UUID), for scripts: the same id never files twice
    #[arg(long, value_name = "UUID")]
    id: Option<OperationId>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum PriorityArg {
    Low,
    Normal,
    High,
    Urgent,
}

impl From<PriorityArg> for Priority {
    fn from(arg: PriorityArg) -> Self {
        match arg {
            PriorityArg::Low => Self::Low,
            PriorityArg::Normal => Self::Normal,
            PriorityArg::High => Self::High,
            PriorityArg::Urgent => Self::Urgent,
        }
    }
}

#[derive(Debug, Args)]
pub(super) struct ListArgs {
    /// How many
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=200))]
    limit: u32,
    /// Only your own
    #[arg(long)]
    mine: bool,
    /// Only tickets in which every one of these words stands: number, text, comments, answers, file names
    #[arg(long, value_name = "WORDS")]
    search: Option<String>,
    /// Only tickets before this one
    #[arg(long, value_name = "NUMBER")]
    before: Option<TicketNumber>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct ShowArgs {
    /// Such as LYN-000042
    number: TicketNumber,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct CommentArgs {
    /// Such as LYN-000042
    number: TicketNumber,
    /// The text; `-` or nothing reads it from standard input
    text: Option<String>,
    #[command(flatten)]
    repeat: RepeatArgs,
}

#[derive(Debug, Args)]
pub(super) struct CategoriesArgs {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct WithdrawArgs {
    /// Such as LYN-000042
    number: TicketNumber,
    /// Why
    #[arg(long)]
    reason: Option<String>,
    #[command(flatten)]
    repeat: RepeatArgs,
}

pub(super) async fn execute(command: TicketCommand, client: Client) -> Result<ExitCode, CliError> {
    match command {
        TicketCommand::New(args) => return new(args, &client).await,
        TicketCommand::Attach(args) => return super::attach::execute(args, &client).await,
        TicketCommand::List(args) => list(args, &client).await?,
        TicketCommand::Show(args) => show(args, &client).await?,
        TicketCommand::Comment(args) => comment(args, &client).await?,
        TicketCommand::Withdraw(args) => withdraw(args, &client).await?,
        TicketCommand::Categories(args) => categories(&args, &client).await?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn new(args: NewArgs, client: &Client) -> Result<ExitCode, CliError> {
    let contact = Contact {
        name: args.contact_name,
        phone: args.contact_phone,
        mail: args.contact_mail,
    };
    let category = look_up(args.category.as_deref(), client).await;
    let usual = category.and_then(|category| category.priority);
    let priority = args
        .priority
        .map(Priority::from)
        .or(usual)
        .unwrap_or_default();
    let ticket = FileTicket {
        id: Some(id_or_new(args.repeat.id)),
        subject: args.subject,
        description: text_or_stdin(args.description, "description")?,
        category: args.category,
        priority,
        contact,
        asset: args.asset,
    };
    let saved = client.file_ticket(&ticket).await?;
    if args.attach.is_empty() || !args.repeat.json {
        report(&saved, args.repeat.json, "Saved as");
    }
    let outcomes = attach::all(&saved.number, &args.attach, args.repeat.json, client).await;
    if args.repeat.json && !outcomes.is_empty() {
        output::json(&SavedWithFiles {
            saved: &saved,
            files: &outcomes,
        });
    }
    Ok(attach::worst(&outcomes))
}

/// The catalogue's category of this code. One that it does not have is said so and filed all the same:
/// central sorts it in, and nobody is kept from filing (P6).
async fn look_up(code: Option<&str>, client: &Client) -> Option<Category> {
    let code = code?;
    let catalogue = client.catalogue().await.unwrap_or_default();
    let found = catalogue
        .categories
        .iter()
        .find(|category| category.code == code);
    if found.is_none() && !catalogue.categories.is_empty() {
        let known: Vec<&str> = catalogue
            .categories
            .iter()
            .map(|category| category.code.as_str())
            .collect();
        output::error(&format!(
            "central has no category {:?}, and sorts the ticket in itself; it has: {}",
            output::safe(code),
            known.join(", ")
        ));
    }
    found.cloned()
}

async fn categories(args: &CategoriesArgs, client: &Client) -> Result<(), CliError> {
    let catalogue = client.catalogue().await?;
    if args.json {
        output::json(&catalogue);
        return Ok(());
    }
    if catalogue.categories.is_empty() {
        output::line("Central has not said what tickets can be about; any word will do.");
        return Ok(());
    }
    let language = language();
    for category in &catalogue.categories {
        let name = output::safe(category.name.text(&language));
        output::line(&format!("{:<20} {name}", category.code));
        if let Some(hint) = &category.hint {
            output::line(&format!(
                "{:<20} {}",
                "",
                output::safe(hint.text(&language))
            ));
        }
    }
    Ok(())
}

/// The two letters that the environment asks for.
fn language() -> String {
    let asked = ["LC_ALL", "LC_MESSAGES", "LANG"]
        .iter()
        .find_map(|name| std::env::var(name).ok().filter(|text| !text.is_empty()));
    asked.unwrap_or_default().chars().take(2).collect()
}

/// The ticket as without files, and what became of each file.
#[derive(Serialize)]
struct SavedWithFiles<'a> {
    #[serde(flatten)]
    saved: &'a OperationSaved,
    files: &'a [attach::Outcome],
}

async fn comment(args: CommentArgs, client: &Client) -> Result<(), CliError> {
    let text = text_or_stdin(args.text, "text")?;
    let comment = AddComment {
        id: Some(id_or_new(args.repeat.id)),
        text,
    };
    let saved = client.add_comment(&args.number, &comment).await?;
    report(&saved, args.repeat.json, "Comment saved on");
    Ok(())
}

async fn withdraw(args: WithdrawArgs, client: &Client) -> Result<(), CliError> {
    let withdrawal = WithdrawTicket {
        id: Some(id_or_new(args.repeat.id)),
        reason: args.reason,
    };
    let saved = client.withdraw_ticket(&args.number, &withdrawal).await?;
    report(&saved, args.repeat.json, "Withdrawal saved of");
    Ok(())
}

fn id_or_new(id: Option<OperationId>) -> OperationId {
    id.unwrap_or_else(|| OperationId(crate::ids::new_uuid(crate::ids::now())))
}

fn report(saved: &OperationSaved, json: bool, what: &str) {
    if json {
        return output::json(saved);
    }
    let before = if saved.repeated {
        " (it had been saved before)"
    } else {
        ""
    };
    output::line(&format!(
        "{what} {}{before}. It is safe on this computer and goes to central by itself.",
        saved.number
    ));
}

/// Text from the option, or from standard input; reads no more than could be accepted.
fn text_or_stdin(text: Option<String>, field: &str) -> Result<String, CliError> {
    match text {
        Some(text) if text != "-" => return Ok(text),
        None if std::io::stdin().is_terminal() => {
            return Err(CliError::fix_input(format!(
                "{field} is missing; give it as an argument or on standard input"
            )));
        }
        _ => {}
    }
    // Four bytes a character, and the line end that a file or `echo` puts behind them.
    let most = limits::TEXT_CHARS * 4 + 2;
    let mut bytes = Vec::new();
    std::io::stdin()
        .take(most as u64 + 1)
        .read_to_end(&mut bytes)?;
    if bytes.len() > most {
        return Err(CliError::fix_input(format!(
            "{field} has more than {} characters",
            limits::TEXT_CHARS
        )));
    }
    let text = String::from_utf8(bytes)
        .map_err(|_| CliError::fix_input(format!("{field} is not UTF-8 text")))?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

async fn list(args: ListArgs, client: &Client) -> Result<(), CliError> {
    let list = find(&args, client).await?;
    if args.json {
        output::json(&list);
        return Ok(());
    }
    if list.tickets.is_empty() {
        output::line("No tickets.");
        return Ok(());
    }
    output::line(&format!(
        "{:<14} {:<16} {:<22} {:<8} SUBJECT",
        "NUMBER", "FILED", "STATE", "PRIORITY"
    ));
    for ticket in &list.tickets {
        output::line(&row(ticket));
    }
    if let Some(last) = list.next.and(list.tickets.last()) {
        output::line(&format!("More: --before {}", last.number));
    }
    Ok(())
}

/// As many as were asked for, where there are so many: the agent looks at a bounded number at once.
async fn find(args: &ListArgs, client: &Client) -> Result<TicketList, CliError> {
    let mut query = TicketQuery {
        before: args.before.as_ref().map(|number| number.serial),
        limit: Some(args.limit),
        mine: args.mine,
        search: args.search.clone(),
    };
    let mut found = client.find_tickets(&query).await?;
    while let Some(next) = found.next
        && let Some(wanted) = args
            .limit
            .checked_sub(u32::try_from(found.tickets.len()).unwrap_or(u32::MAX))
            .filter(|&wanted| wanted > 0)
    {
        query.before = Some(next);
        query.limit = Some(wanted);
        let page = client.find_tickets(&query).await?;
        found.tickets.extend(page.tickets);
        found.next = page.next;
    }
    Ok(found)
}

fn row(ticket: &TicketSummary) -> String {
    let filed = ticket.filed_at.to_string();
    let filed = filed.get(..16).unwrap_or(&filed).replace('T', " ");
    format!(
        "{:<14} {filed:<16} {:<22} {:<8} {}",
        ticket.number.to_string(),
        state_words(ticket),
        ticket.priority.as_str(),
        output::cell(&ticket.subject, 60),
    )
}

fn state_words(ticket: &TicketSummary) -> &'static str {
    match (&ticket.delivery, ticket.state) {
        (Delivery::Damaged, _) => "damaged, file again",
        (Delivery::Rejected { .. }, _) => "not accepted",
        (_, TicketState::Withdrawn) => "withdrawn",
        (Delivery::Waiting, _) => "saved, waiting",
        (Delivery::Received, state) => shown::state_words(state),
    }
}

async fn show(args: ShowArgs, client: &Client) -> Result<(), CliError> {
    let ticket = client.ticket(&args.number).await?;
    if args.json {
        output::json(&ticket);
        return Ok(());
    }
    shown::print(&ticket);
    Ok(())
}
