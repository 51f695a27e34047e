//! German.

use branchline_protocol::desk::TicketState;
use branchline_protocol::file::FileFault;
use branchline_protocol::operation::Priority;

use super::{Counted, Fault, Words};

pub(super) const WORDS: Words = Words {
    and: "und",
    tickets: Counted("# Ticket", "# Tickets"),
    files: Counted("# Datei", "# Dateien"),
    one_waits: "wartet",
    several_wait: "warten",
    one_is_sent: "wird gerade gesendet",
    several_are_sent: "werden gerade gesendet",
    nothing_lost: "Nichts geht verloren.",

    looking: "Branchline auf diesem Computer wird gesucht …",
    away_since: "Branchline auf diesem Computer antwortet seit {} nicht.",
    away_means: "Was Sie schreiben, bleibt erhalten und wird gespeichert, sobald es wieder antwortet. Sie müssen nichts tun.",
    not_joined: "Dieser Computer gehört noch nicht zu Branchline.",
    not_joined_means: "Bitte sagen Sie der IT Bescheid. Was Sie schreiben, bleibt bis dahin erhalten.",
    starting: "Branchline ist eben gestartet und sucht die Verbindung.",
    connected: "Verbunden.",
    all_sent: "Alles ist gesendet.",
    no_connection_since: "Keine Verbindung seit {}.",
    go_on: "Sie können weiterarbeiten: Was Sie speichern, bleibt hier und wird später gesendet.",
    refused_since: "Die Zentrale nimmt diesen Computer seit {} nicht an.",
    tell_it: "Bitte sagen Sie der IT Bescheid.",

    saved: "Hier gespeichert",
    sent: "Gesendet",
    received: "Angekommen",
    checked: "Geprüft",
    accepted: "Angenommen",
    waits_for_connection: "Wartet auf die Verbindung. Nichts geht verloren.",
    being_sent: "Wird gerade gesendet",
    files_arrived: "Angekommen: {}",
    nothing_to_check: "Keine Dateien zu prüfen",
    being_checked: "Dateien werden auf Viren geprüft",
    looked_at_by_hand: "Die Zentrale sieht sich eine Datei von Hand an",
    file_wrong: "Eine Datei braucht Ihre Aufmerksamkeit",
    not_accepted: "Nicht angenommen",

    row_saved: "Hier gespeichert, wartet auf das Senden",
    row_damaged: "Beschädigt: bitte noch einmal melden",
    row_file_wrong: "Eine Datei braucht Ihre Aufmerksamkeit",
    row_files_sent: "Angekommen, Dateien werden gesendet",
    row_files_checked: "Angekommen, Dateien werden geprüft",
    merged_into: "Geht als {} weiter",
    entry_waits: "Hier gespeichert, wartet auf das Senden",
    entry_received: "Angekommen",

    damaged: (
        "Was Sie geschrieben haben, wurde auf diesem Computer beschädigt, bevor es gesendet werden konnte.",
        "Bitte melden Sie es noch einmal.",
    ),
    rejected: (
        "Die Zentrale hat das nicht angenommen.",
        "Bitte sagen Sie der IT Bescheid oder melden Sie es mit anderen Worten noch einmal.",
    ),
    rejected_withdrawn: (
        "Das Ticket war zurückgezogen, bevor dies ankam.",
        "Bitte melden Sie ein neues Ticket.",
    ),

    file_waits: "Hier gespeichert, wartet auf das Senden",
    file_sent_part: "{} % gesendet",
    file_received: "Angekommen",
    file_checked: "Wird auf Viren geprüft",
    file_clean: "Angenommen",
    file_held: "Angekommen; die Zentrale sieht sie sich von Hand an",
    file_not_attached: "Nicht angehängt",

    saved_as: "Gespeichert als {}. Sie können dieses Fenster schließen; es wird von selbst gesendet.",
    comment_saved: "Gespeichert. Es wird von selbst gesendet.",
    kept_until_back: "Noch nicht gespeichert: Branchline auf diesem Computer antwortet nicht. Es bleibt hier erhalten und wird gespeichert, sobald es antwortet. Sie müssen nichts tun.",
    try_again: "Noch nicht gespeichert: Branchline kann gerade nicht speichern. Es bleibt hier erhalten und wird von selbst noch einmal versucht.",
    fix_input: "Nicht gespeichert. Bitte prüfen Sie: {}",
    call_it: "Nicht gespeichert; was Sie geschrieben haben, bleibt hier erhalten. Bitte sagen Sie der IT Bescheid: {}",
    partly: "Gespeichert als {}, aber nicht mit allen Dateien.",
    too_many_files: "Das sind zu viele Dateien auf einmal. Bitte speichern Sie erst diese und fügen Sie die anderen danach hinzu.",
    disk_fault: "Was Sie schreiben, kann gerade nicht auf der Platte dieses Computers aufbewahrt werden. Speichern Sie es bald und sagen Sie bitte der IT Bescheid.",
    file_gone: "{} ist nicht mehr da. Bitte fügen Sie die Datei noch einmal hinzu.",

    given_here: "Auf diesem Computer",
    given_comes: "Wird geholt",
    given_waits: "Kommt von selbst, sobald es eine Verbindung gibt",
    given_refused: "Nicht mehr zu bekommen; bitte fragen Sie die Zentrale",
    given_gone: "Auf diesem Computer nicht mehr aufbewahrt; bitte fragen Sie die Zentrale",
    kept_at: "Die Datei liegt jetzt hier: {}",
    given_away: (
        "Die Datei wurde nicht gespeichert: Branchline auf diesem Computer antwortet nicht.",
        "Bitte versuchen Sie es gleich noch einmal.",
    ),
    given_later: (
        "Die Datei ist noch nicht auf diesem Computer.",
        "Sie kommt von selbst. Bitte versuchen Sie es später noch einmal.",
    ),
    given_not_here: (
        "Die Datei ist nicht mehr auf diesem Computer.",
        "Bitten Sie die Zentrale, sie noch einmal zu schicken.",
    ),
    given_decayed: (
        "Die Datei wurde auf der Platte dieses Computers beschädigt und nicht gespeichert.",
        "Bitte sagen Sie der IT Bescheid, und bitten Sie die Zentrale, sie noch einmal zu schicken.",
    ),
    given_fault: (
        "Die Datei wurde nicht gespeichert ({}).",
        "Bitte sagen Sie der IT Bescheid.",
    ),
    place_full: (
        "Die Datei wurde nicht gespeichert: Dort ist nicht genug Platz.",
        "Bitte wählen Sie einen anderen Ort.",
    ),
    place_wrong: (
        "Die Datei wurde nicht gespeichert: Dorthin kann sie nicht.",
        "Bitte wählen Sie einen anderen Ordner oder einen anderen Namen.",
    ),
    place_fault: (
        "Die Datei wurde nicht gespeichert: Die Platte nimmt sie nicht an ({}).",
        "Bitte wählen Sie einen anderen Ort, und sagen Sie der IT Bescheid.",
    ),
    save_as: "Datei speichern unter",
    add_files: "Dateien hinzufügen",

    told_answer: "Die Zentrale hat geantwortet",
    told_asked: "Die Zentrale fragt Sie etwas",
    told_resolved: "Die Zentrale hält dies für erledigt",
    told_refused: "Etwas konnte nicht angenommen werden",
    told_file: "Eine Datei braucht Ihre Aufmerksamkeit",

    tray_open: "Branchline öffnen",
    tray_new: "Neues Ticket",
    tray_quit: "Beenden",
};

pub(super) fn file_fault(fault: FileFault) -> Fault {
    match fault {
        FileFault::Unreadable => (
            "Die Datei kann nicht gelesen werden.",
            "Schließen Sie das Programm, das sie geöffnet hat, und fügen Sie sie noch einmal hinzu.",
        ),
        FileFault::Unstable => (
            "Die Datei ändert sich ständig.",
            "Schließen Sie das Programm, das sie schreibt, und fügen Sie sie noch einmal hinzu.",
        ),
        FileFault::BranchQuota => (
            "Für weitere Dateien ist kein Platz, bis frühere gesendet sind.",
            "Tickets werden weiter angenommen. Fügen Sie die Datei später noch einmal hinzu.",
        ),
        FileFault::BranchDisk => (
            "Die Platte dieses Computers ist voll.",
            "Bitte sagen Sie der IT Bescheid. Tickets werden weiter angenommen.",
        ),
        FileFault::BranchDamaged => (
            "Die Datei wurde auf diesem Computer beschädigt, bevor sie gesendet war.",
            "Bitte fügen Sie sie noch einmal hinzu.",
        ),
        FileFault::Rejected => (
            "Die Zentrale hat die Datei nicht angenommen.",
            "Bitte fügen Sie sie noch einmal hinzu oder fragen Sie die IT.",
        ),
        FileFault::Infected => (
            "Die Virenprüfung hat in dieser Datei etwas gefunden. Niemand kann sie öffnen.",
            "Bitte sagen Sie der IT Bescheid und öffnen Sie die Datei auch selbst nicht.",
        ),
        FileFault::Corrupt => (
            "Die Datei ist beschädigt angekommen.",
            "Bitte fügen Sie sie noch einmal hinzu.",
        ),
        FileFault::Expired => (
            "Die Datei ist nicht rechtzeitig angekommen.",
            "Bitte fügen Sie sie noch einmal hinzu.",
        ),
        FileFault::NoScanner | FileFault::TooLargeToScan => (
            "Die Datei konnte nicht von selbst geprüft werden.",
            "Die Zentrale sieht sie sich an. Sie müssen nichts tun.",
        ),
        FileFault::CentralQuota
        | FileFault::CentralDisk
        | FileFault::VaultDamaged
        | FileFault::ScannerAway => (
            "Die Zentrale kann die Datei gerade nicht annehmen.",
            "Es geht von selbst weiter. Sie müssen nichts tun.",
        ),
        FileFault::Manifest => (
            "Die Datei kann nicht gesendet werden.",
            "Bitte sagen Sie der IT Bescheid.",
        ),
    }
}

pub(super) fn state(state: TicketState) -> &'static str {
    match state {
        TicketState::New => "Angenommen, noch nicht in Arbeit",
        TicketState::Open | TicketState::Other => "Die Zentrale arbeitet daran",
        TicketState::Waiting => "Die Zentrale wartet auf Sie",
        TicketState::Resolved => "Gelöst",
        TicketState::Closed => "Geschlossen",
        TicketState::Withdrawn => "Zurückgezogen",
        TicketState::Merged => "Geht in einem anderen Ticket weiter",
    }
}

pub(super) fn priority(priority: Priority) -> &'static str {
    match priority {
        Priority::Low => "Es kann warten",
        Priority::Normal => "Normal",
        Priority::High => "Es behindert mich bei der Arbeit",
        Priority::Urgent => "Ich kann nicht arbeiten",
    }
}
