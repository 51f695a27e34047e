//! French.

use branchline_protocol::desk::TicketState;
use branchline_protocol::file::FileFault;
use branchline_protocol::operation::Priority;

use super::{Counted, Fault, Words};

pub(super) const WORDS: Words = Words {
    and: "et",
    tickets: Counted("# ticket", "# tickets"),
    files: Counted("# fichier", "# fichiers"),
    one_waits: "attend",
    several_wait: "attendent",
    one_is_sent: "est en cours d’envoi",
    several_are_sent: "sont en cours d’envoi",
    nothing_lost: "Rien n’est perdu.",

    looking: "Recherche de Branchline sur cet ordinateur…",
    away_since: "Branchline ne répond pas sur cet ordinateur depuis {}.",
    away_means: "Ce que vous écrivez est conservé et sera enregistré dès qu’il répondra. Vous n’avez rien à faire.",
    not_joined: "Cet ordinateur ne fait pas encore partie de Branchline.",
    not_joined_means: "Veuillez prévenir le service informatique. Ce que vous écrivez est conservé en attendant.",
    starting: "Branchline vient de démarrer et cherche la connexion.",
    connected: "Connecté.",
    all_sent: "Tout est envoyé.",
    no_connection_since: "Pas de connexion depuis {}.",
    go_on: "Vous pouvez continuer : ce que vous enregistrez reste ici et sera envoyé plus tard.",
    refused_since: "Le siège n’accepte pas cet ordinateur depuis {}.",
    tell_it: "Veuillez prévenir le service informatique.",

    saved: "Enregistré ici",
    sent: "Envoyé",
    received: "Reçu",
    checked: "Vérifié",
    accepted: "Accepté",
    waits_for_connection: "Attend la connexion. Rien n’est perdu.",
    being_sent: "En cours d’envoi",
    files_arrived: "Arrivés : {}",
    nothing_to_check: "Aucun fichier à vérifier",
    being_checked: "Recherche de virus dans les fichiers",
    looked_at_by_hand: "Le siège examine un fichier à la main",
    file_wrong: "Un fichier demande votre attention",
    not_accepted: "Non accepté",

    row_saved: "Enregistré ici, en attente d’envoi",
    row_damaged: "Endommagé : veuillez le redéclarer",
    row_file_wrong: "Un fichier demande votre attention",
    row_files_sent: "Reçu, envoi des fichiers en cours",
    row_files_checked: "Reçu, vérification des fichiers en cours",
    merged_into: "Continue sous {}",
    entry_waits: "Enregistré ici, en attente d’envoi",
    entry_received: "Reçu",

    damaged: (
        "Ce que vous avez écrit a été endommagé sur cet ordinateur avant d’être envoyé.",
        "Veuillez le déclarer à nouveau.",
    ),
    rejected: (
        "Le siège ne l’a pas accepté.",
        "Veuillez prévenir le service informatique ou le déclarer autrement.",
    ),
    rejected_withdrawn: (
        "Le ticket avait été retiré avant l’arrivée de ceci.",
        "Veuillez créer un nouveau ticket.",
    ),

    file_waits: "Enregistré ici, en attente d’envoi",
    file_sent_part: "{} % envoyés",
    file_received: "Reçu",
    file_checked: "Recherche de virus en cours",
    file_clean: "Accepté",
    file_held: "Reçu ; le siège l’examine à la main",
    file_not_attached: "Non joint",

    saved_as: "Enregistré sous {}. Vous pouvez fermer cette fenêtre ; l’envoi se fait tout seul.",
    comment_saved: "Enregistré. L’envoi se fait tout seul.",
    kept_until_back: "Pas encore enregistré : Branchline ne répond pas sur cet ordinateur. Tout est conservé ici et sera enregistré dès qu’il répondra. Vous n’avez rien à faire.",
    try_again: "Pas encore enregistré : Branchline ne peut pas enregistrer pour l’instant. Tout est conservé ici et un nouvel essai se fera tout seul.",
    fix_input: "Non enregistré. Veuillez vérifier : {}",
    call_it: "Non enregistré ; ce que vous avez écrit est conservé ici. Veuillez prévenir le service informatique : {}",
    partly: "Enregistré sous {}, mais sans tous ses fichiers.",
    too_many_files: "Cela fait trop de fichiers à la fois. Veuillez d’abord enregistrer ceux-ci, puis ajouter les autres.",
    disk_fault: "Ce que vous écrivez ne peut pas être conservé sur le disque pour l’instant. Enregistrez bientôt et prévenez le service informatique.",
    file_gone: "{} n’est plus là. Veuillez ajouter le fichier à nouveau.",

    given_here: "Sur cet ordinateur",
    given_comes: "En cours de réception",
    given_waits: "Arrivera tout seul avec la connexion",
    given_refused: "N’est plus disponible ; veuillez demander au siège",
    given_gone: "N’est plus conservé sur cet ordinateur ; veuillez demander au siège",
    kept_at: "Le fichier est maintenant ici : {}",
    given_away: (
        "Le fichier n’a pas été enregistré : Branchline ne répond pas sur cet ordinateur.",
        "Veuillez réessayer dans un instant.",
    ),
    given_later: (
        "Le fichier n’est pas encore sur cet ordinateur.",
        "Il arrivera tout seul. Veuillez réessayer plus tard.",
    ),
    given_not_here: (
        "Le fichier n’est plus sur cet ordinateur.",
        "Veuillez demander au siège de le renvoyer.",
    ),
    given_decayed: (
        "Le fichier a été endommagé sur le disque de cet ordinateur et n’a pas été enregistré.",
        "Veuillez prévenir le service informatique et demander au siège de le renvoyer.",
    ),
    given_fault: (
        "Le fichier n’a pas été enregistré ({}).",
        "Veuillez prévenir le service informatique.",
    ),
    place_full: (
        "Le fichier n’a pas été enregistré : il n’y a pas assez de place.",
        "Veuillez choisir un autre endroit.",
    ),
    place_wrong: (
        "Le fichier n’a pas été enregistré : il ne peut pas être placé là.",
        "Veuillez choisir un autre dossier ou un autre nom.",
    ),
    place_fault: (
        "Le fichier n’a pas été enregistré : le disque ne l’accepte pas ({}).",
        "Veuillez choisir un autre endroit et prévenir le service informatique.",
    ),
    save_as: "Enregistrer le fichier sous",
    add_files: "Ajouter des fichiers",

    told_answer: "Le siège a répondu",
    told_asked: "Le siège vous pose une question",
    told_resolved: "Le siège pense que c’est résolu",
    told_refused: "Quelque chose n’a pas pu être accepté",
    told_file: "Un fichier demande votre attention",

    tray_open: "Ouvrir Branchline",
    tray_new: "Nouveau ticket",
    tray_quit: "Quitter",
};

pub(super) fn file_fault(fault: FileFault) -> Fault {
    match fault {
        FileFault::Unreadable => (
            "Le fichier ne peut pas être lu.",
            "Fermez le programme qui l’utilise, puis ajoutez-le à nouveau.",
        ),
        FileFault::Unstable => (
            "Le fichier change sans cesse.",
            "Fermez le programme qui l’écrit, puis ajoutez-le à nouveau.",
        ),
        FileFault::BranchQuota => (
            "Il n’y a plus de place pour des fichiers avant l’envoi des précédents.",
            "Les tickets sont toujours acceptés. Ajoutez le fichier plus tard.",
        ),
        FileFault::BranchDisk => (
            "Le disque de cet ordinateur est plein.",
            "Veuillez prévenir le service informatique. Les tickets sont toujours acceptés.",
        ),
        FileFault::BranchDamaged => (
            "Le fichier a été endommagé sur cet ordinateur avant d’être envoyé.",
            "Veuillez l’ajouter à nouveau.",
        ),
        FileFault::Rejected => (
            "Le siège n’a pas accepté le fichier.",
            "Veuillez l’ajouter à nouveau ou demander au service informatique.",
        ),
        FileFault::Infected => (
            "L’antivirus a trouvé quelque chose dans ce fichier. Personne ne peut l’ouvrir.",
            "Veuillez prévenir le service informatique et ne pas l’ouvrir vous-même.",
        ),
        FileFault::Corrupt => (
            "Le fichier est arrivé endommagé.",
            "Veuillez l’ajouter à nouveau.",
        ),
        FileFault::Expired => (
            "Le fichier n’est pas arrivé à temps.",
            "Veuillez l’ajouter à nouveau.",
        ),
        FileFault::NoScanner | FileFault::TooLargeToScan => (
            "Le fichier n’a pas pu être vérifié automatiquement.",
            "Le siège l’examine. Vous n’avez rien à faire.",
        ),
        FileFault::CentralQuota
        | FileFault::CentralDisk
        | FileFault::VaultDamaged
        | FileFault::ScannerAway => (
            "Le siège ne peut pas prendre le fichier pour l’instant.",
            "Cela continue tout seul. Vous n’avez rien à faire.",
        ),
        FileFault::Manifest => (
            "Le fichier ne peut pas être envoyé.",
            "Veuillez prévenir le service informatique.",
        ),
    }
}

pub(super) fn state(state: TicketState) -> &'static str {
    match state {
        TicketState::New => "Accepté, pas encore pris en charge",
        TicketState::Open | TicketState::Other => "Le siège y travaille",
        TicketState::Waiting => "Le siège vous attend",
        TicketState::Resolved => "Résolu",
        TicketState::Closed => "Fermé",
        TicketState::Withdrawn => "Retiré",
        TicketState::Merged => "Continue dans un autre ticket",
    }
}

pub(super) fn priority(priority: Priority) -> &'static str {
    match priority {
        Priority::Low => "Cela peut attendre",
        Priority::Normal => "Normal",
        Priority::High => "Cela gêne mon travail",
        Priority::Urgent => "Je ne peux pas travailler",
    }
}
