//! How far a ticket has come, honestly: saved here → sent → received → checked → accepted, or what is wrong
//! and what to do. Pure; a rung is only reached when the agent or central has said so.

use branchline_agent_api::{
    Delivery, Entry, EntryKind as Kind, FileSummary, GivenState, Reply, TicketDetails,
    TicketSummary, Upload,
};
use branchline_protocol::desk::{Catalogue, OfferedFile, TicketState};
use branchline_protocol::event::{Rejection, RejectionCode};
use branchline_protocol::file::FileState;
use branchline_protocol::file_name::shown_name;
use branchline_protocol::time::UnixMillis;

use crate::given::Standings;
use crate::times::{Clock, size};
use crate::view::{
    EntryKind, EntryView, FileView, GivenFileView, Mood, Rung, RungState, Step, TicketRow,
    TicketView, Trouble,
};
use crate::words::{Fault, Language, file_fault, priority, put, state};

/// What the words depend on.
#[derive(Debug, Clone)]
pub struct Telling<'a> {
    /// For times.
    pub clock: &'a Clock,
    /// Whose words.
    pub language: Language,
    /// Central can be reached just now.
    pub connected: bool,
    /// For the names of categories.
    pub catalogue: &'a Catalogue,
}

fn trouble((what, todo): Fault) -> Trouble {
    Trouble {
        what: what.to_owned(),
        todo: todo.to_owned(),
    }
}

/// What a ticket is called by.
pub fn number_of(ticket: &TicketSummary) -> String {
    ticket.number.to_string()
}

/// A line of the list; `read` is how many answers were opened already.
pub fn row(ticket: &TicketSummary, read: u32, telling: &Telling<'_>) -> TicketRow {
    let (mood, standing) = standing(ticket, telling);
    TicketRow {
        number: ticket.number.to_string(),
        subject: ticket.subject.clone(),
        filed: telling
            .clock
            .moment(ticket.filed_at.millis, telling.language),
        reporter: ticket.reporter.clone(),
        mood,
        standing,
        unread: ticket.replies.saturating_sub(read),
        replies: ticket.replies,
        files: ticket.files.all,
    }
}

/// Where a ticket stands, in a few words.
fn standing(ticket: &TicketSummary, telling: &Telling<'_>) -> (Mood, String) {
    let words = telling.language.words();
    let (mood, said) = match &ticket.delivery {
        Delivery::Damaged => (Mood::Bad, words.row_damaged),
        Delivery::Rejected { .. } => (Mood::Bad, words.not_accepted),
        _ if ticket.withdrawn => (Mood::Plain, state(TicketState::Withdrawn, telling.language)),
        Delivery::Waiting => (Mood::Calm, words.row_saved),
        Delivery::Received => {
            if let (TicketState::Merged, Some(into)) = (ticket.state, &ticket.merged_into) {
                return (Mood::Plain, put(words.merged_into, &into.to_string()));
            }
            let files = ticket.files;
            match ticket.state {
                TicketState::Resolved | TicketState::Closed => {
                    (Mood::Good, state(ticket.state, telling.language))
                }
                TicketState::Waiting => (Mood::Warn, state(ticket.state, telling.language)),
                _ if files.failed > 0 => (Mood::Bad, words.row_file_wrong),
                _ if files.unsent > 0 => (Mood::Calm, words.row_files_sent),
                _ if files.unjudged > 0 => (Mood::Calm, words.row_files_checked),
                other => (Mood::Good, state(other, telling.language)),
            }
        }
    };
    (mood, said.to_owned())
}

/// A ticket's page.
pub fn ticket(details: &TicketDetails, given: &Standings, telling: &Telling<'_>) -> TicketView {
    let summary = &details.summary;
    let language = telling.language;
    let files: Vec<FileView> = details
        .files
        .iter()
        .map(|file| file_view(file, language))
        .collect();
    let (mood, standing) = standing(summary, telling);
    let ended = summary.withdrawn || summary.state == TicketState::Merged;
    let contact = [
        &details.contact.name,
        &details.contact.phone,
        &details.contact.mail,
    ];
    let contact: Vec<&str> = contact.into_iter().flatten().map(String::as_str).collect();
    TicketView {
        number: summary.number.to_string(),
        subject: summary.subject.clone(),
        description: details.description.clone(),
        category: category(&summary.category, telling),
        priority: priority(summary.priority, language).to_owned(),
        asset: details.asset.clone().unwrap_or_default(),
        contact: contact.join(", "),
        reporter: summary.reporter.clone(),
        filed: telling.clock.moment(summary.filed_at.millis, language),
        standing,
        mood,
        ladder: ladder(details, telling),
        trouble: ticket_trouble(&summary.delivery, language),
        files,
        entries: entries(details, given, telling),
        open: !ended,
        moving: details.files.iter().any(|file| {
            file.upload == Upload::Waiting
                || file.fault.is_none()
                    && file.state.as_ref().is_none_or(|state| !state.is_settled())
        }),
    }
}

fn category(code: &str, telling: &Telling<'_>) -> String {
    let known = telling
        .catalogue
        .categories
        .iter()
        .find(|known| known.code == code);
    match known {
        Some(known) => known.name.text(telling.language.code()).to_owned(),
        None => code.to_owned(),
    }
}

fn ticket_trouble(delivery: &Delivery, language: Language) -> Option<Trouble> {
    match delivery {
        Delivery::Waiting | Delivery::Received => None,
        Delivery::Damaged => Some(trouble(language.words().damaged)),
        Delivery::Rejected { reason } => Some(rejection(reason, language)),
    }
}

fn rejection(reason: &Rejection, language: Language) -> Trouble {
    let words = language.words();
    let mut said = trouble(match reason.code {
        RejectionCode::AlreadyWithdrawn => words.rejected_withdrawn,
        _ => words.rejected,
    });
    if !reason.detail.is_empty() && reason.code != RejectionCode::AlreadyWithdrawn {
        // Central's own sentence; it may be in its language and not in this one.
        said.what = format!("{} ({})", said.what, reason.detail);
    }
    said
}

/// The rungs in order. Behind the first that is not reached, all are ahead.
fn ladder(details: &TicketDetails, telling: &Telling<'_>) -> Vec<Rung> {
    let words = telling.language.words();
    let summary = &details.summary;
    let saved = telling
        .clock
        .moment(summary.filed_at.millis, telling.language);
    let text = match &summary.delivery {
        Delivery::Received | Delivery::Rejected { .. } => (RungState::Done, String::new()),
        Delivery::Damaged => (RungState::Wrong, words.damaged.0.to_owned()),
        Delivery::Waiting if telling.connected => (RungState::Now, words.being_sent.to_owned()),
        Delivery::Waiting => (RungState::Now, words.waits_for_connection.to_owned()),
    };
    let accepted = match &summary.delivery {
        Delivery::Rejected { .. } => (RungState::Wrong, words.not_accepted.to_owned()),
        _ => (RungState::Done, String::new()),
    };
    let rungs = [
        (Step::Saved, words.saved, (RungState::Done, saved)),
        (Step::Sent, words.sent, text),
        (
            Step::Received,
            words.received,
            arrived(&details.files, telling),
        ),
        (
            Step::Checked,
            words.checked,
            checked(&details.files, telling.language),
        ),
        (Step::Accepted, words.accepted, accepted),
    ];
    let mut held = false;
    let climb = rungs.into_iter().map(|(step, name, (state, said))| {
        let (state, said) = if held && state != RungState::Wrong {
            (RungState::Ahead, String::new())
        } else {
            (state, said)
        };
        held |= state != RungState::Done;
        Rung {
            step,
            name: name.to_owned(),
            state,
            words: said,
        }
    });
    climb.collect()
}

/// Whether all files' bytes are at central. One that came to nothing is no longer awaited.
fn arrived(files: &[FileSummary], telling: &Telling<'_>) -> (RungState, String) {
    let words = telling.language.words();
    let awaited = files
        .iter()
        .filter(|file| file.upload == Upload::Waiting && file.fault.is_none())
        .count();
    if awaited == 0 {
        return (RungState::Done, String::new());
    }
    let here = format!("{} / {}", files.len() - awaited, files.len());
    (RungState::Now, put(words.files_arrived, &here))
}

fn checked(files: &[FileSummary], language: Language) -> (RungState, String) {
    let words = language.words();
    let is_waiting_for_a_person =
        |file: &FileSummary| matches!(file.state, Some(FileState::Held | FileState::TooLarge));
    let is_good = |file: &FileSummary| {
        matches!(
            file.state,
            Some(FileState::Clean | FileState::Released { .. })
        )
    };
    if files.is_empty() {
        (RungState::Done, words.nothing_to_check.to_owned())
    } else if files.iter().any(is_lost) {
        (RungState::Wrong, words.file_wrong.to_owned())
    } else if files.iter().all(is_good) {
        (RungState::Done, String::new())
    } else if files.iter().any(is_waiting_for_a_person) {
        (RungState::Now, words.looked_at_by_hand.to_owned())
    } else {
        (RungState::Now, words.being_checked.to_owned())
    }
}

/// Somebody must act for it to go on.
fn is_lost(file: &FileSummary) -> bool {
    matches!(file.upload, Upload::Refused | Upload::Damaged)
        || matches!(file.delivery, Delivery::Rejected { .. } | Delivery::Damaged)
        || matches!(
            file.state,
            Some(FileState::Infected { .. } | FileState::Corrupt | FileState::Expired)
        )
}

fn file_view(file: &FileSummary, language: Language) -> FileView {
    let words = language.words();
    let lost = is_lost(file);
    let percent = match (file.upload, file.sent) {
        (Upload::Waiting, Some(sent)) if file.size > 0 && !lost => {
            u8::try_from(sent.saturating_mul(100) / file.size)
                .ok()
                .map(|percent| percent.min(100))
        }
        _ => None,
    };
    let (mood, standing) = match (&file.state, percent) {
        _ if lost => (Mood::Bad, words.file_wrong.to_owned()),
        (Some(FileState::Clean | FileState::Released { .. }), _) => {
            (Mood::Good, words.file_clean.to_owned())
        }
        (Some(FileState::Held | FileState::TooLarge), _) => {
            (Mood::Calm, words.file_held.to_owned())
        }
        (_, Some(percent)) => (Mood::Calm, put(words.file_sent_part, &percent.to_string())),
        _ if file.upload == Upload::Waiting => (Mood::Calm, words.file_waits.to_owned()),
        (Some(FileState::Scanning), _) => (Mood::Calm, words.file_checked.to_owned()),
        _ => (Mood::Calm, words.file_received.to_owned()),
    };
    let told = file.fault.map(|fault| trouble(file_fault(fault, language)));
    FileView {
        id: file.id.to_string(),
        name: file.name.clone(),
        size: size(file.size, language),
        mood,
        standing,
        percent,
        trouble: told.filter(|_| lost),
    }
}

/// Both sides' words in one order: a person reads a conversation.
fn entries(details: &TicketDetails, given: &Standings, telling: &Telling<'_>) -> Vec<EntryView> {
    let mut all: Vec<(UnixMillis, EntryView)> = Vec::new();
    for entry in &details.entries {
        all.push((entry.at.millis, entry_view(entry, telling)));
    }
    for reply in &details.replies {
        all.push((reply.at, reply_view(reply, given, telling)));
    }
    // Stable: two clocks tell the time, and each side's order is certain.
    all.sort_by_key(|(at, _)| *at);
    all.into_iter().map(|(_, view)| view).collect()
}

fn entry_view(entry: &Entry, telling: &Telling<'_>) -> EntryView {
    let words = telling.language.words();
    let (mood, standing) = match &entry.delivery {
        Delivery::Waiting => (Mood::Calm, words.entry_waits.to_owned()),
        Delivery::Received => (Mood::Good, words.entry_received.to_owned()),
        Delivery::Damaged => (
            Mood::Bad,
            format!("{} {}", words.damaged.0, words.damaged.1),
        ),
        Delivery::Rejected { reason } => {
            let said = rejection(reason, telling.language);
            (Mood::Bad, format!("{} {}", said.what, said.todo))
        }
    };
    EntryView {
        kind: match entry.kind {
            Kind::Comment => EntryKind::Comment,
            Kind::Withdrawal => EntryKind::Withdrawal,
        },
        by: entry.by.clone(),
        at: telling.clock.moment(entry.at.millis, telling.language),
        text: entry.text.clone(),
        standing,
        mood,
        files: Vec::new(),
    }
}

fn reply_view(reply: &Reply, given: &Standings, telling: &Telling<'_>) -> EntryView {
    let files = reply.files.iter();
    EntryView {
        kind: EntryKind::Answer,
        by: reply.by.clone(),
        at: telling.clock.moment(reply.at, telling.language),
        text: reply.text.clone(),
        standing: String::new(),
        mood: Mood::Plain,
        files: files.map(|file| given_view(file, given, telling)).collect(),
    }
}

fn given_view(file: &OfferedFile, given: &Standings, telling: &Telling<'_>) -> GivenFileView {
    let words = telling.language.words();
    let state = given.get(&file.file).copied().unwrap_or(GivenState::Gone);
    let (mood, standing) = match state {
        GivenState::Here => (Mood::Good, words.given_here),
        GivenState::Wanted if telling.connected => (Mood::Calm, words.given_comes),
        GivenState::Wanted => (Mood::Calm, words.given_waits),
        GivenState::Refused => (Mood::Bad, words.given_refused),
        GivenState::Gone => (Mood::Bad, words.given_gone),
    };
    GivenFileView {
        id: file.file.to_string(),
        name: shown_name(&file.name),
        size: size(file.size, telling.language),
        mood,
        standing: standing.to_owned(),
        here: state == GivenState::Here,
    }
}

#[cfg(test)]
pub(crate) mod tests;
