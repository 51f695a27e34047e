//! `ticket show`: a ticket with all that both sides said on it, for reading.

use branchline_agent_api::{Delivery, Entry, EntryKind, Reply, TicketDetails, TicketSummary};
use branchline_protocol::desk::TicketState;

use crate::cli::{files, output};

pub(super) fn print(ticket: &TicketDetails) {
    let summary = &ticket.summary;
    let field = |name: &str, text: &str| {
        output::line(&format!("{name:<12} {}", output::safe(text)));
    };
    output::line(&format!(
        "{}  {}",
        summary.number,
        output::safe(&summary.subject)
    ));
    output::line("");
    field("State", &state(summary));
    field(
        "Filed",
        &format!("{} by {}", summary.filed_at, summary.reporter),
    );
    field("Priority", summary.priority.as_str());
    field("Category", &summary.category);
    let contact: Vec<&str> = [
        &ticket.contact.name,
        &ticket.contact.phone,
        &ticket.contact.mail,
    ]
    .into_iter()
    .filter_map(Option::as_deref)
    .collect();
    field("Contact", &contact.join(", "));
    if let Some(asset) = &ticket.asset {
        field("Asset", asset);
    }
    output::line("");
    output::line(&output::safe(&ticket.description));
    if !ticket.files.is_empty() {
        output::line("");
    }
    for file in &ticket.files {
        let words = format!(
            "{} ({}): {}",
            file.name,
            output::size(file.size),
            files::state_words(file)
        );
        field("File", &words);
        if let Some(fault) = file.fault {
            field("", fault.advice());
        }
    }
    for said in said(ticket) {
        output::line("");
        match said {
            Said::Here(entry) => print_entry(entry),
            Said::Central(reply) => print_reply(reply),
        }
    }
}

/// Where the ticket stands, as far as is known here.
fn state(ticket: &TicketSummary) -> String {
    match (&ticket.delivery, &ticket.merged_into) {
        (Delivery::Received, Some(into)) => format!("goes on as {into}"),
        (Delivery::Received, None) => state_words(ticket.state).to_owned(),
        (delivery, _) if ticket.withdrawn => {
            format!("withdrawn by the branch; {}", delivery_words(delivery))
        }
        (delivery, _) => delivery_words(delivery),
    }
}

/// What central's state means to a branch.
pub(super) fn state_words(state: TicketState) -> &'static str {
    match state {
        TicketState::New | TicketState::Other => "received by central",
        TicketState::Open => "in progress",
        TicketState::Waiting => "waits for your answer",
        TicketState::Resolved => "resolved",
        TicketState::Closed => "closed",
        TicketState::Withdrawn => "withdrawn",
        TicketState::Merged => "merged",
    }
}

/// Something that was said on a ticket.
enum Said<'a> {
    Here(&'a Entry),
    Central(&'a Reply),
}

/// In the order in which it was said, by the two clocks: each side's own order stays whatever they show.
fn said(ticket: &TicketDetails) -> Vec<Said<'_>> {
    let mut replies = ticket.replies.iter().peekable();
    let mut all = Vec::new();
    for entry in &ticket.entries {
        while let Some(reply) = replies.next_if(|reply| reply.at < entry.at.millis) {
            all.push(Said::Central(reply));
        }
        all.push(Said::Here(entry));
    }
    all.extend(replies.map(Said::Central));
    all
}

fn print_entry(entry: &Entry) {
    let what = match entry.kind {
        EntryKind::Comment => "Comment",
        EntryKind::Withdrawal => "Withdrawn",
    };
    let delivery = delivery_words(&entry.delivery);
    let head = format!("── {what}, {} by {} ({delivery})", entry.at, entry.by);
    output::line(&output::safe(&head));
    output::line(&output::safe(&entry.text));
}

fn print_reply(reply: &Reply) {
    let head = format!("── Answer, {} by {}", reply.at.to_rfc3339(), reply.by);
    output::line(&output::safe(&head));
    output::line(&output::safe(&reply.text));
    for file in &reply.files {
        let size = output::size(file.size);
        let words = format!("   with {} ({size}): `files get {}`", file.name, file.file);
        output::line(&output::safe(&words));
    }
}

fn delivery_words(delivery: &Delivery) -> String {
    match delivery {
        Delivery::Waiting => "saved here, waiting for the link".to_owned(),
        Delivery::Received => "received by central".to_owned(),
        Delivery::Rejected { reason } => format!("not accepted by central: {}", reason.detail),
        Delivery::Damaged => {
            "damaged on this disk before central had it; please file it again".to_owned()
        }
    }
}
