//! What a command comes to: the events that it makes, or the rule that it breaks. Nothing is changed here.

use branchline_protocol::desk::{OfferedFile, TicketState};
use branchline_protocol::event::EventBody;
use branchline_protocol::file::FileState;
use branchline_protocol::id::{FileId, TicketNumber};
use branchline_protocol::limits;
use branchline_protocol::operation::FieldFault;
use branchline_protocol::text::{Shape, fault};
use rusqlite::Connection;

use super::ticket::Ticket;
use crate::ledger::sqlite::files::reading;
use crate::ledger::{Change, Command, LedgerError, OperatorName};

/// What is to be done, in order.
#[derive(Debug, Default)]
pub(super) struct Decided {
    pub(super) events: Vec<EventBody>,
    /// Files that the branch may have from now on.
    pub(super) offered: Vec<OfferedFile>,
}

type Decision = Result<Result<Decided, FieldFault>, LedgerError>;

fn wrong(field: &str, fault: impl Into<String>) -> FieldFault {
    FieldFault {
        field: field.to_owned(),
        fault: fault.into(),
    }
}

fn only(event: EventBody) -> Decided {
    Decided {
        events: vec![event],
        offered: Vec::new(),
    }
}

pub(super) fn decide(connection: &Connection, ticket: &Ticket, command: &Command) -> Decision {
    if let Some(fault) = fault(&command.by, Shape::Line, limits::USER_CHARS) {
        return Ok(Err(wrong("by", fault)));
    }
    let stays = matches!(command.change, Change::Note { .. } | Change::Tag { .. });
    if ticket.state.is_final() && !stays {
        let state = ticket.state;
        let fault = format!("is {state}, which is for good; only notes and tags are taken");
        return Ok(Err(wrong("ticket", fault)));
    }
    match &command.change {
        Change::Reply { text, files, then } => {
            reply(connection, ticket, command, text, files, *then)
        }
        Change::Note { text } => Ok(note(ticket, command, text)),
        Change::Move { to } => {
            Ok(may_move(ticket, "to", *to).map(|()| only(moved(ticket, command, *to))))
        }
        Change::Assign { to } => assign(connection, ticket, command, to.as_ref()),
        Change::Classify { priority, category } => {
            let fault = fault(category, Shape::Line, limits::CATEGORY_CHARS);
            Ok(match fault {
                Some(fault) => Err(wrong("category", fault)),
                None => Ok(only(EventBody::TicketClassified {
                    ticket: ticket.id,
                    priority: *priority,
                    category: category.clone(),
                    by: command.by.clone(),
                })),
            })
        }
        Change::Tag { tags } => Ok(tag(ticket, command, tags)),
        Change::Merge { into } => merge(connection, ticket, command, into),
    }
}

fn moved(ticket: &Ticket, command: &Command, state: TicketState) -> EventBody {
    EventBody::TicketMoved {
        ticket: ticket.id,
        state,
        by: Some(command.by.clone()),
    }
}

fn may_move(ticket: &Ticket, field: &str, to: TicketState) -> Result<(), FieldFault> {
    if ticket.state.desk_may_move(to) {
        return Ok(());
    }
    let from = ticket.state;
    Err(wrong(
        field,
        format!("is {to}, and the ticket is {from}: it cannot be moved so"),
    ))
}

fn reply(
    connection: &Connection,
    ticket: &Ticket,
    command: &Command,
    text: &str,
    files: &[FileId],
    then: Option<TicketState>,
) -> Decision {
    if let Some(fault) = fault(text, Shape::Lines, limits::TEXT_CHARS) {
        return Ok(Err(wrong("text", fault)));
    }
    // Whoever answers a new ticket has taken it up.
    let takes_up = (ticket.state == TicketState::New).then_some(TicketState::Open);
    // Where it stands already is nothing to be done; new is nowhere that anybody could wish it.
    let is_there = |then: &TicketState| *then == ticket.state && *then != TicketState::New;
    let then = then.or(takes_up).filter(|then| !is_there(then));
    if let Some(to) = then
        && let Err(fault) = may_move(ticket, "then", to)
    {
        return Ok(Err(fault));
    }
    let offered = match offers(connection, ticket, files)? {
        Ok(offered) => offered,
        Err(fault) => return Ok(Err(fault)),
    };
    let mut events = vec![EventBody::ReplyAdded {
        ticket: ticket.id,
        reply: command.id,
        by: command.by.clone(),
        text: text.to_owned(),
        files: offered.clone(),
    }];
    events.extend(then.map(|to| moved(ticket, command, to)));
    Ok(Ok(Decided { events, offered }))
}

/// What is offered of these files, which central must have judged harmless (P5).
fn offers(
    connection: &Connection,
    ticket: &Ticket,
    files: &[FileId],
) -> Result<Result<Vec<OfferedFile>, FieldFault>, LedgerError> {
    if files.len() > limits::REPLY_FILES {
        let most = limits::REPLY_FILES;
        let fault = format!("are {}; at most {most} are allowed", files.len());
        return Ok(Err(wrong("files", fault)));
    }
    let mut offered: Vec<OfferedFile> = Vec::new();
    for (place, id) in files.iter().enumerate() {
        let wrong = |fault: &str| Ok(Err(wrong(&format!("files[{place}]"), fault)));
        if offered.iter().any(|before| before.file == *id) {
            return wrong("stands there twice");
        }
        // Another branch's file is as good as none, whoever asks: what it sent is not for others.
        let record = reading::file(connection, *id)?;
        let Some(record) = record.filter(|record| record.branch == *ticket.branch()) else {
            return wrong("is no file of this ticket's branch, and none that was given for it");
        };
        if !matches!(record.state, FileState::Clean | FileState::Released { .. }) {
            let fault = format!(
                "is {}: only files that are clean or released may be given to a branch",
                record.state.word()
            );
            return wrong(&fault);
        }
        offered.push(OfferedFile {
            file: *id,
            name: record.name,
            size: record.size,
            root: record.root,
        });
    }
    Ok(Ok(offered))
}

fn note(ticket: &Ticket, command: &Command, text: &str) -> Result<Decided, FieldFault> {
    if let Some(fault) = fault(text, Shape::Lines, limits::TEXT_CHARS) {
        return Err(wrong("text", fault));
    }
    Ok(only(EventBody::NoteAdded {
        ticket: ticket.id,
        note: command.id,
        by: command.by.clone(),
        text: text.to_owned(),
    }))
}

fn assign(
    connection: &Connection,
    ticket: &Ticket,
    command: &Command,
    to: Option<&OperatorName>,
) -> Decision {
    if let Some(name) = to {
        let is_there = connection
            .prepare_cached("SELECT 1 FROM operators WHERE name = ?1")?
            .exists([name.as_str()])?;
        if !is_there {
            return Ok(Err(wrong("to", "names no operator")));
        }
    }
    let to = to.map(|name| name.as_str().to_owned());
    let mut decided = Decided::default();
    if ticket.assignee != to {
        let taken_up = to.is_some() && ticket.state == TicketState::New;
        decided.events.push(EventBody::TicketAssigned {
            ticket: ticket.id,
            to,
            by: command.by.clone(),
        });
        if taken_up {
            let open = moved(ticket, command, TicketState::Open);
            decided.events.push(open);
        }
    }
    Ok(Ok(decided))
}

fn tag(ticket: &Ticket, command: &Command, tags: &[String]) -> Result<Decided, FieldFault> {
    for (place, tag) in tags.iter().enumerate() {
        if let Some(fault) = fault(tag, Shape::Line, limits::TAG_CHARS) {
            return Err(wrong(&format!("tags[{place}]"), fault));
        }
    }
    let mut tags: Vec<String> = tags.iter().map(|tag| tag.trim().to_owned()).collect();
    tags.sort_unstable();
    tags.dedup();
    if tags.len() > limits::TAGS {
        let most = limits::TAGS;
        let fault = format!("are {}; at most {most} are allowed", tags.len());
        return Err(wrong("tags", fault));
    }
    Ok(only(EventBody::TicketTagged {
        ticket: ticket.id,
        tags,
        by: command.by.clone(),
    }))
}

fn merge(
    connection: &Connection,
    ticket: &Ticket,
    command: &Command,
    into: &TicketNumber,
) -> Decision {
    let wrong = |fault: String| Ok(Err(wrong("into", fault)));
    if into.branch != *ticket.branch() {
        return wrong("is of another branch, which would see the wrong ticket".to_owned());
    }
    let Some(other) = Ticket::by_number(connection, into)? else {
        return wrong("is no ticket that central has".to_owned());
    };
    if other.row == ticket.row {
        return wrong("is the ticket itself".to_owned());
    }
    if other.state.is_final() {
        return wrong(format!("is {}, so that nothing goes on there", other.state));
    }
    Ok(Ok(only(EventBody::TicketMerged {
        ticket: ticket.id,
        into: other.id,
        number: other.number,
        by: command.by.clone(),
    })))
}
