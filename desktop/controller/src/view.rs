//! What the window shows, ready to be shown: every sentence is in the person's language. TypeScript's types
//! are made from these (`desktop/ui/src/api/types.ts`); a test finds drift.

use serde::{Deserialize, Serialize};

/// How something is, for colour and icon; never said by colour alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum Mood {
    /// As it should be.
    Good,
    /// Under way.
    Calm,
    /// Waits.
    Warn,
    /// Somebody must act.
    Bad,
    /// Nothing of it.
    Plain,
}

/// Whether the agent answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum Presence {
    /// It has not been asked yet.
    Looking,
    /// It answers.
    Here,
    /// It does not.
    Away,
}

/// The line that is always visible.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Situation {
    /// Whether the agent answers.
    pub agent: Presence,
    /// For colour, icon and the tray.
    pub mood: Mood,
    /// How the way to central is.
    pub headline: String,
    /// What that means for what was written.
    pub detail: String,
    /// Who sits here, as the agent knows them.
    pub user: String,
    /// Whether they may see what colleagues filed.
    pub colleagues: bool,
}

/// One line of the list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct TicketRow {
    /// Such as `LYN-000042`.
    pub number: String,
    /// As filed.
    pub subject: String,
    /// When it was filed, in words.
    pub filed: String,
    /// Who filed it.
    pub reporter: String,
    /// Where it stands.
    pub mood: Mood,
    /// The same in words.
    pub standing: String,
    /// Answers that this person has not opened yet.
    pub unread: u32,
    /// Answers in all.
    pub replies: u32,
    /// Files in all.
    pub files: u32,
}

/// A page of the list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct TicketPage {
    /// Newest first.
    pub rows: Vec<TicketRow>,
    /// Where the next page begins; absent on the last.
    pub next: Option<u32>,
}

/// The rungs of the ladder, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// Durable on this computer.
    Saved,
    /// What was written is at central.
    Sent,
    /// All files are, too.
    Received,
    /// The files are examined.
    Checked,
    /// Central has taken the ticket.
    Accepted,
}

/// How a rung is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum RungState {
    /// Reached.
    Done,
    /// Being climbed.
    Now,
    /// Still to come.
    Ahead,
    /// Not to be had as things are.
    Wrong,
}

/// One rung.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Rung {
    /// Which.
    pub step: Step,
    /// Its name.
    pub name: String,
    /// How it is.
    pub state: RungState,
    /// What there is to say of it; empty where there is nothing.
    pub words: String,
}

/// What is wrong, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Trouble {
    /// What is wrong.
    pub what: String,
    /// What to do.
    pub todo: String,
}

/// A file of a ticket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct FileView {
    /// Names it.
    pub id: String,
    /// As filed.
    pub name: String,
    /// Its size in words.
    pub size: String,
    /// Where it stands.
    pub mood: Mood,
    /// The same in words.
    pub standing: String,
    /// How much of it has gone, while it is going.
    pub percent: Option<u8>,
    /// What is wrong with it.
    pub trouble: Option<Trouble>,
}

/// Whose word an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum EntryKind {
    /// The branch's.
    Comment,
    /// Central's.
    Answer,
    /// The branch took the ticket back.
    Withdrawal,
}

/// A file that central gave with an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct GivenFileView {
    /// Names it.
    pub id: String,
    /// As central named it, fit to be shown.
    pub name: String,
    /// Its size in words.
    pub size: String,
    /// Where it stands.
    pub mood: Mood,
    /// The same in words.
    pub standing: String,
    /// It is on this computer, so that it can be saved somewhere.
    pub here: bool,
}

/// What became of saving such a file somewhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum FileKept {
    /// It lies there, whole.
    Kept {
        /// Where, in a sentence.
        words: String,
    },
    /// Its person chose no place.
    Left,
    /// It does not, and what lay there before still does.
    Refused {
        /// Why, and what to do.
        trouble: Trouble,
    },
}

/// What was said on a ticket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct EntryView {
    /// Whose word.
    pub kind: EntryKind,
    /// Who.
    pub by: String,
    /// When, in words.
    pub at: String,
    /// What.
    pub text: String,
    /// How far it has come; empty for answers.
    pub standing: String,
    /// For colour and icon.
    pub mood: Mood,
    /// Files that central gave with it.
    pub files: Vec<GivenFileView>,
}

/// A ticket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct TicketView {
    /// Such as `LYN-000042`.
    pub number: String,
    /// As filed.
    pub subject: String,
    /// As filed.
    pub description: String,
    /// The category's name.
    pub category: String,
    /// The priority's word.
    pub priority: String,
    /// The device or workplace.
    pub asset: String,
    /// Whom to ask.
    pub contact: String,
    /// Who filed it.
    pub reporter: String,
    /// When, in words.
    pub filed: String,
    /// Where it stands at central, or here.
    pub standing: String,
    /// For colour and icon.
    pub mood: Mood,
    /// How far it has come.
    pub ladder: Vec<Rung>,
    /// What is wrong with it.
    pub trouble: Option<Trouble>,
    /// Its files.
    pub files: Vec<FileView>,
    /// What was said, in order.
    pub entries: Vec<EntryView>,
    /// Whether comments and files can be added, and it can be taken back.
    pub open: bool,
    /// Whether files are on their way, so that it is worth looking again soon.
    pub moving: bool,
}

/// What a ticket can be about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct CategoryChoice {
    /// What the ticket carries.
    pub code: String,
    /// What people read.
    pub name: String,
    /// What to write.
    pub hint: String,
    /// What the form begins with.
    pub priority: String,
}

/// What the form needs to know. Bounds are the agent's; it judges.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Form {
    /// What a ticket can be about; empty before central has said so.
    pub categories: Vec<CategoryChoice>,
    /// Characters of a subject.
    pub subject_chars: u32,
    /// Characters of a text.
    pub text_chars: u32,
    /// Characters of a device or workplace.
    pub asset_chars: u32,
    /// Characters of a telephone number.
    pub phone_chars: u32,
}

/// What a person has written of a draft.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(default, deny_unknown_fields)]
pub struct DraftText {
    /// One line; not of a comment.
    pub subject: String,
    /// Any number of lines.
    pub text: String,
    /// A category's code, or nothing.
    pub category: String,
    /// A priority's word, or nothing.
    pub priority: String,
    /// The device or workplace.
    pub asset: String,
    /// Where to call back.
    pub phone: String,
}

/// A file that goes with a draft.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct DraftFileView {
    /// Names it.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its size in words.
    pub size: String,
    /// It is saved with the agent.
    pub saved: bool,
    /// How much of it the agent has taken, while it does.
    pub percent: Option<u8>,
    /// Why it cannot be attached.
    pub trouble: Option<String>,
}

/// What has been begun and not yet saved with the agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct DraftView {
    /// Names it.
    pub id: String,
    /// The ticket that it adds to; absent for a new one.
    pub on: Option<String>,
    /// What was written.
    pub text: DraftText,
    /// Its files.
    pub files: Vec<DraftFileView>,
    /// It was handed in, and waits for the agent.
    pub handed_in: bool,
    /// The number, where the ticket itself is saved and its files are not yet.
    pub number: Option<String>,
    /// Why it could not be saved.
    pub trouble: Option<String>,
}

/// What became of handing a draft in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum HandedIn {
    /// The agent has answered for all of it (P1).
    Saved {
        /// The ticket.
        number: String,
        /// Said to the person.
        words: String,
    },
    /// The agent does not answer; it is kept, and handed in by itself.
    Waiting {
        /// Said to the person.
        words: String,
    },
    /// Something must be changed first.
    Refused {
        /// Said to the person.
        words: String,
    },
    /// The ticket is saved, and some of its files could not be.
    Partly {
        /// The ticket.
        number: String,
        /// Said to the person.
        words: String,
    },
}

/// What may be switched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(default)]
pub struct Settings {
    /// `en`, `fr`, `de`, or nothing for the system's.
    pub language: String,
    /// `light`, `dark`, or nothing for the system's.
    pub theme: String,
    /// Whether answers and problems are announced by the system.
    pub notifications: bool,
    /// Whether there is an icon in the tray; closing the window then keeps the program.
    pub tray: bool,
    /// Whether it starts, hidden, when this person logs on; where a package asks it to.
    pub autostart: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            language: String::new(),
            theme: String::new(),
            notifications: true,
            tray: true,
            autostart: true,
        }
    }
}

/// What the window begins with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Startup {
    /// The language in use: `en`, `fr` or `de`.
    pub language: String,
    /// What is switched how.
    pub settings: Settings,
    /// How things are.
    pub situation: Situation,
    /// What has been begun.
    pub drafts: Vec<DraftView>,
    /// What version this is.
    pub version: String,
}

/// Something to tell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Announcement {
    /// The ticket.
    pub number: String,
    /// One line.
    pub title: String,
    /// Which ticket it is on.
    pub body: String,
}

/// What the window is told without having asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Told {
    /// How the way to central is now.
    Situation {
        /// In one line.
        situation: Situation,
    },
    /// What is shown of tickets is to be asked for again.
    Changed,
    /// What has been begun.
    Drafts {
        /// All of it.
        drafts: Vec<DraftView>,
    },
    /// Something to announce.
    Announce {
        /// What.
        announcement: Announcement,
    },
    /// A draft that had waited was saved.
    Saved {
        /// Which.
        announcement: Announcement,
    },
    /// This ticket is to be shown.
    Open {
        /// Which.
        number: String,
    },
    /// The form for a new ticket is to be shown.
    New,
    /// Files are held over the window, or not any more.
    Dragging {
        /// Whether they are.
        over: bool,
    },
    /// Files were added to a draft from outside the window, or could not be.
    Added {
        /// The draft as it is now.
        draft: Option<DraftView>,
        /// Why not.
        trouble: Option<String>,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fmt::Write;
    use ts_rs::{Config, TS};

    fn file() -> std::path::PathBuf {
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../ui/src/api/types.ts")
    }

    /// `BRANCHLINE_WRITE_API=1` writes them anew.
    #[test]
    fn the_types_in_the_window_are_these() {
        let config = Config::default();
        let mut text = String::from(
            "// Made from desktop/controller/src/view.rs; `BRANCHLINE_WRITE_API=1 cargo test --workspace --lib \\\n\
             // the_types_in_the_window` writes it anew.\n",
        );
        macro_rules! declare {
            ($($name:ty),+ $(,)?) => {
                $(let _ = writeln!(text, "export {}", <$name as TS>::decl(&config));)+
            };
        }
        declare!(
            Mood,
            Presence,
            Situation,
            TicketRow,
            TicketPage,
            Step,
            RungState,
            Rung,
            Trouble,
            FileView,
            EntryKind,
            GivenFileView,
            FileKept,
            EntryView,
            TicketView,
            CategoryChoice,
            Form,
            DraftText,
            DraftFileView,
            DraftView,
            HandedIn,
            Settings,
            Startup,
            Announcement,
            Told,
        );
        if std::env::var_os("BRANCHLINE_WRITE_API").is_some() {
            std::fs::write(file(), &text).unwrap();
        }
        let kept = std::fs::read_to_string(file()).unwrap();
        assert_eq!(
            kept, text,
            "the types in desktop/ui are not those of the controller"
        );
    }
}
