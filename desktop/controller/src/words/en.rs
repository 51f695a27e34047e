//! English.

use branchline_protocol::desk::TicketState;
use branchline_protocol::file::FileFault;
use branchline_protocol::operation::Priority;

use super::{Counted, Fault, Words};

pub(super) const WORDS: Words = Words {
    and: "and",
    tickets: Counted("# ticket", "# tickets"),
    files: Counted("# file", "# files"),
    one_waits: "is waiting",
    several_wait: "are waiting",
    one_is_sent: "is being sent",
    several_are_sent: "are being sent",
    nothing_lost: "Nothing is lost.",

    looking: "Looking for Branchline on this computer …",
    away_since: "Branchline on this computer has not answered since {}.",
    away_means: "What you write is kept, and is saved as soon as it answers again. You need not do anything.",
    not_joined: "This computer does not belong to Branchline yet.",
    not_joined_means: "Please tell IT. What you write is kept until then.",
    starting: "Branchline has just started and looks for the connection.",
    connected: "Connected.",
    all_sent: "Everything has been sent.",
    no_connection_since: "No connection since {}.",
    go_on: "You can go on: what you save is kept here and sent later.",
    refused_since: "Central has not accepted this computer since {}.",
    tell_it: "Please tell IT.",

    saved: "Saved here",
    sent: "Sent",
    received: "Received",
    checked: "Checked",
    accepted: "Accepted",
    waits_for_connection: "Waits for the connection. Nothing is lost.",
    being_sent: "Is being sent",
    files_arrived: "Arrived: {}",
    nothing_to_check: "No files to check",
    being_checked: "Files are being checked for viruses",
    looked_at_by_hand: "Central support looks at a file by hand",
    file_wrong: "A file needs your attention",
    not_accepted: "Not accepted",

    row_saved: "Saved here, waits to be sent",
    row_damaged: "Damaged: please file it again",
    row_file_wrong: "A file needs your attention",
    row_files_sent: "Received, files are being sent",
    row_files_checked: "Received, files are being checked",
    merged_into: "Goes on as {}",
    entry_waits: "Saved here, waits to be sent",
    entry_received: "Received",

    damaged: (
        "What you wrote was damaged on this computer before it could be sent.",
        "Please file it again.",
    ),
    rejected: (
        "Central did not accept this.",
        "Please tell IT, or file it again in other words.",
    ),
    rejected_withdrawn: (
        "The ticket had been taken back before this arrived.",
        "Please file a new ticket.",
    ),

    file_waits: "Saved here, waits to be sent",
    file_sent_part: "{} % sent",
    file_received: "Received",
    file_checked: "Is being checked for viruses",
    file_clean: "Accepted",
    file_held: "Received; central support looks at it by hand",
    file_not_attached: "Not attached",

    saved_as: "Saved as {}. You can close this window; it is sent by itself.",
    comment_saved: "Saved. It is sent by itself.",
    kept_until_back: "Not saved yet: Branchline on this computer does not answer. It is kept here and saved as soon as it does. You need not do anything.",
    try_again: "Not saved yet: Branchline cannot save just now. It is kept here and tried again by itself.",
    fix_input: "Not saved. Please check: {}",
    call_it: "Not saved; what you wrote is kept here. Please tell IT: {}",
    partly: "Saved as {}, but not with all of its files.",
    too_many_files: "These are too many files at once. Please save these first and add the others afterwards.",
    disk_fault: "What you write cannot be kept on this computer's disk just now. Save it soon, and please tell IT.",
    file_gone: "{} is not there any more. Please add it again.",

    given_here: "On this computer",
    given_comes: "Is being fetched",
    given_waits: "Comes by itself when there is a connection",
    given_refused: "Not available any more; please ask central support",
    given_gone: "Not kept on this computer any more; please ask central support",
    kept_at: "The file is here now: {}",
    given_away: (
        "The file was not saved: Branchline on this computer does not answer.",
        "Please try again in a moment.",
    ),
    given_later: (
        "The file is not on this computer yet.",
        "It comes by itself. Please try again later.",
    ),
    given_not_here: (
        "The file is not on this computer any more.",
        "Please ask central support to send it again.",
    ),
    given_decayed: (
        "The file was damaged on this computer's disk and was not saved.",
        "Please tell IT, and ask central support to send it again.",
    ),
    given_fault: ("The file was not saved ({}).", "Please tell IT."),
    place_full: (
        "The file was not saved: there is not enough room.",
        "Please choose another place.",
    ),
    place_wrong: (
        "The file was not saved: it cannot be put there.",
        "Please choose another folder or another name.",
    ),
    place_fault: (
        "The file was not saved: the disk does not take it ({}).",
        "Please choose another place, and tell IT.",
    ),
    save_as: "Save file as",
    add_files: "Add files",

    told_answer: "Central support has answered",
    told_asked: "Central support asks you something",
    told_resolved: "Central support thinks that this is done",
    told_refused: "Something could not be accepted",
    told_file: "A file needs your attention",

    tray_open: "Open Branchline",
    tray_new: "New ticket",
    tray_quit: "Quit",
};

pub(super) fn file_fault(fault: FileFault) -> Fault {
    match fault {
        FileFault::Unreadable => (
            "The file cannot be read.",
            "Close the program that holds it, then add it again.",
        ),
        FileFault::Unstable => (
            "The file keeps changing.",
            "Close the program that writes it, then add it again.",
        ),
        FileFault::BranchQuota => (
            "There is no room for more files until earlier ones have been sent.",
            "Tickets are still taken. Add the file again later.",
        ),
        FileFault::BranchDisk => (
            "This computer's disk is full.",
            "Please tell IT. Tickets are still taken.",
        ),
        FileFault::BranchDamaged => (
            "The file was damaged on this computer before it was sent.",
            "Please add it again.",
        ),
        FileFault::Rejected => (
            "Central did not accept the file.",
            "Please add it again, or ask IT.",
        ),
        FileFault::Infected => (
            "The virus check found something in this file. Nobody can open it.",
            "Please tell IT, and do not open the file yourself.",
        ),
        FileFault::Corrupt => ("The file arrived damaged.", "Please add it again."),
        FileFault::Expired => ("The file did not arrive in time.", "Please add it again."),
        FileFault::NoScanner | FileFault::TooLargeToScan => (
            "The file could not be checked by itself.",
            "Central support looks at it. You need not do anything.",
        ),
        FileFault::CentralQuota
        | FileFault::CentralDisk
        | FileFault::VaultDamaged
        | FileFault::ScannerAway => (
            "Central cannot take the file just now.",
            "It goes on by itself. You need not do anything.",
        ),
        FileFault::Manifest => ("The file cannot be sent.", "Please tell IT."),
    }
}

pub(super) fn state(state: TicketState) -> &'static str {
    match state {
        TicketState::New => "Accepted, not yet taken up",
        TicketState::Open | TicketState::Other => "Central support is working on it",
        TicketState::Waiting => "Central support waits for you",
        TicketState::Resolved => "Solved",
        TicketState::Closed => "Closed",
        TicketState::Withdrawn => "Taken back",
        TicketState::Merged => "Goes on in another ticket",
    }
}

pub(super) fn priority(priority: Priority) -> &'static str {
    match priority {
        Priority::Low => "It can wait",
        Priority::Normal => "Normal",
        Priority::High => "It hinders my work",
        Priority::Urgent => "I cannot work",
    }
}
