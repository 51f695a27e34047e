//! Every sentence that says how things are, in the languages of the client. What never changes (labels,
//! buttons) stands in `desktop/ui/src/words`.

mod de;
mod en;
mod fr;

use branchline_protocol::desk::TicketState;
use branchline_protocol::file::FileFault;
use branchline_protocol::operation::Priority;
use serde::{Deserialize, Serialize};

/// The languages of the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Language {
    /// English.
    #[default]
    En,
    /// French.
    Fr,
    /// German.
    De,
}

impl Language {
    /// Every one.
    pub const ALL: [Self; 3] = [Self::En, Self::Fr, Self::De];

    /// The language of a setting such as `de-AT` or `fr_CH.UTF-8`; English where it is none of ours.
    pub fn of(locale: &str) -> Self {
        match locale.get(..2).map(str::to_ascii_lowercase).as_deref() {
            Some("fr") => Self::Fr,
            Some("de") => Self::De,
            _ => Self::En,
        }
    }

    /// Its two letters.
    pub fn code(self) -> &'static str {
        match self {
            Self::En => "en",
            Self::Fr => "fr",
            Self::De => "de",
        }
    }

    /// Its words.
    pub fn words(self) -> &'static Words {
        match self {
            Self::En => &en::WORDS,
            Self::Fr => &fr::WORDS,
            Self::De => &de::WORDS,
        }
    }
}

/// The singular and the plural; `#` is the number.
#[derive(Debug)]
pub struct Counted(pub &'static str, pub &'static str);

impl Counted {
    /// For this number.
    pub fn of(&self, count: u64, language: Language) -> String {
        // French counts nothing as one.
        let one = count == 1 || (count == 0 && language == Language::Fr);
        let template = if one { self.0 } else { self.1 };
        template.replace('#', &count.to_string())
    }
}

/// What is wrong, and what to do.
pub(crate) type Fault = (&'static str, &'static str);

/// The words of a language. `{}` is what the sentence is about.
#[derive(Debug)]
#[expect(missing_docs, reason = "the English words say what each is")]
pub struct Words {
    pub and: &'static str,
    pub tickets: Counted,
    pub files: Counted,
    pub one_waits: &'static str,
    pub several_wait: &'static str,
    pub one_is_sent: &'static str,
    pub several_are_sent: &'static str,
    pub nothing_lost: &'static str,

    pub looking: &'static str,
    pub away_since: &'static str,
    pub away_means: &'static str,
    pub not_joined: &'static str,
    pub not_joined_means: &'static str,
    pub starting: &'static str,
    pub connected: &'static str,
    pub all_sent: &'static str,
    pub no_connection_since: &'static str,
    pub go_on: &'static str,
    pub refused_since: &'static str,
    pub tell_it: &'static str,

    pub saved: &'static str,
    pub sent: &'static str,
    pub received: &'static str,
    pub checked: &'static str,
    pub accepted: &'static str,
    pub waits_for_connection: &'static str,
    pub being_sent: &'static str,
    pub files_arrived: &'static str,
    pub nothing_to_check: &'static str,
    pub being_checked: &'static str,
    pub looked_at_by_hand: &'static str,
    pub file_wrong: &'static str,
    pub not_accepted: &'static str,

    pub row_saved: &'static str,
    pub row_damaged: &'static str,
    pub row_file_wrong: &'static str,
    pub row_files_sent: &'static str,
    pub row_files_checked: &'static str,
    pub merged_into: &'static str,
    pub entry_waits: &'static str,
    pub entry_received: &'static str,

    pub damaged: Fault,
    pub rejected: Fault,
    pub rejected_withdrawn: Fault,

    pub file_waits: &'static str,
    pub file_sent_part: &'static str,
    pub file_received: &'static str,
    pub file_checked: &'static str,
    pub file_clean: &'static str,
    pub file_held: &'static str,
    pub file_not_attached: &'static str,

    pub saved_as: &'static str,
    pub comment_saved: &'static str,
    pub kept_until_back: &'static str,
    pub try_again: &'static str,
    pub fix_input: &'static str,
    pub call_it: &'static str,
    pub partly: &'static str,
    pub too_many_files: &'static str,
    pub disk_fault: &'static str,
    pub file_gone: &'static str,

    pub given_here: &'static str,
    pub given_comes: &'static str,
    pub given_waits: &'static str,
    pub given_refused: &'static str,
    pub given_gone: &'static str,
    pub kept_at: &'static str,
    pub given_away: Fault,
    pub given_later: Fault,
    pub given_not_here: Fault,
    pub given_decayed: Fault,
    pub given_fault: Fault,
    pub place_full: Fault,
    pub place_wrong: Fault,
    pub place_fault: Fault,
    pub save_as: &'static str,
    pub add_files: &'static str,

    pub told_answer: &'static str,
    pub told_asked: &'static str,
    pub told_resolved: &'static str,
    pub told_refused: &'static str,
    pub told_file: &'static str,

    pub tray_open: &'static str,
    pub tray_new: &'static str,
    pub tray_quit: &'static str,
}

/// Puts `what` into its place in a sentence.
pub(crate) fn put(sentence: &str, what: &str) -> String {
    sentence.replacen("{}", what, 1)
}

/// What is wrong with a file, and what to do.
pub(crate) fn file_fault(fault: FileFault, language: Language) -> Fault {
    match language {
        Language::En => en::file_fault(fault),
        Language::Fr => fr::file_fault(fault),
        Language::De => de::file_fault(fault),
    }
}

/// Where central says that a ticket stands.
pub(crate) fn state(state: TicketState, language: Language) -> &'static str {
    match language {
        Language::En => en::state(state),
        Language::Fr => fr::state(state),
        Language::De => de::state(state),
    }
}

/// How much it hurts.
pub(crate) fn priority(priority: Priority, language: Language) -> &'static str {
    match language {
        Language::En => en::priority(priority),
        Language::Fr => fr::priority(priority),
        Language::De => de::priority(priority),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_systems_setting_names_a_language() {
        assert_eq!(Language::of("de_AT.UTF-8"), Language::De);
        assert_eq!(Language::of("FR"), Language::Fr);
        assert_eq!(Language::of("C"), Language::En);
        assert_eq!(Language::of(""), Language::En);
    }

    #[test]
    fn every_fault_says_what_to_do_in_every_language() {
        for language in Language::ALL {
            for fault in FileFault::ALL {
                let (what, todo) = file_fault(*fault, language);
                assert!(
                    !what.is_empty() && !todo.is_empty(),
                    "{fault:?} {language:?}"
                );
            }
        }
    }

    #[test]
    fn sentences_have_a_place_for_what_they_are_about() {
        for language in Language::ALL {
            let words = language.words();
            for sentence in [
                words.away_since,
                words.no_connection_since,
                words.refused_since,
                words.saved_as,
                words.files_arrived,
                words.file_sent_part,
                words.merged_into,
                words.fix_input,
                words.call_it,
                words.partly,
                words.file_gone,
                words.kept_at,
            ] {
                assert!(sentence.contains("{}"), "{sentence}");
            }
        }
    }
}
