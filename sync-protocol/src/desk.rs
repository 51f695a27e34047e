//! What central support says back: where a ticket stands, replies, and the catalogue that branches file by.
//!
//! On the data's way these come from the desk and travel in the feed, as [`crate::event::EventBody`]. Both
//! sides use the same rules: central before it takes a command, the branch to show what is settled.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::id::{Digest, FileId};
use crate::limits;
use crate::operation::{FieldFault, Priority};
use crate::text::{Shape, fault};

/// Where a ticket stands at central.
///
/// ```text
/// new → open ⇄ waiting ⇄ resolved ⇄ closed      (by the desk, in any order, never back to new)
///        ▲────────┴─────────┴─────────┘          (by the branch: whatever it adds opens the ticket again)
/// any of them → withdrawn (by the branch) | merged (by the desk): both for good
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TicketState {
    /// Filed; nobody at central has taken it up.
    New,
    /// Central is at it.
    Open,
    /// Central waits for the branch.
    Waiting,
    /// Central thinks that it is done.
    Resolved,
    /// It is done.
    Closed,
    /// The branch took it back.
    Withdrawn,
    /// Another ticket goes on in its place.
    Merged,
    /// A state of a newer central.
    #[serde(other)]
    Other,
}

impl TicketState {
    /// Every state of this version.
    pub const ALL: [Self; 7] = [
        Self::New,
        Self::Open,
        Self::Waiting,
        Self::Resolved,
        Self::Closed,
        Self::Withdrawn,
        Self::Merged,
    ];

    /// The word on the wire, in stores, listings and APIs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Open => "open",
            Self::Waiting => "waiting",
            Self::Resolved => "resolved",
            Self::Closed => "closed",
            Self::Withdrawn => "withdrawn",
            Self::Merged => "merged",
            Self::Other => "other",
        }
    }

    /// Nothing moves it any more.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Withdrawn | Self::Merged)
    }

    /// Whether the desk may move a ticket from here to there.
    pub fn desk_may_move(self, to: Self) -> bool {
        let wanted = matches!(
            to,
            Self::Open | Self::Waiting | Self::Resolved | Self::Closed
        );
        wanted && self != to && !self.is_final() && self != Self::Other
    }

    /// Where a ticket stands after its branch has added something to it.
    #[must_use]
    pub fn after_branch_spoke(self) -> Self {
        match self {
            Self::Waiting | Self::Resolved | Self::Closed => Self::Open,
            other => other,
        }
    }
}

impl fmt::Display for TicketState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Not the word of a state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a ticket is new, open, waiting, resolved, closed, withdrawn or merged")]
pub struct NoSuchState;

impl FromStr for TicketState {
    type Err = NoSuchState;

    fn from_str(text: &str) -> Result<Self, NoSuchState> {
        let found = Self::ALL.into_iter().find(|state| state.as_str() == text);
        found.ok_or(NoSuchState)
    }
}

/// A file that central gives to a branch, with a reply.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OfferedFile {
    /// Names it for ever; made at central.
    pub file: FileId,
    /// As given at central: not to be used as a path. At most [`limits::FILE_NAME_CHARS`].
    pub name: String,
    /// Bytes.
    pub size: u64,
    /// BLAKE3 of the whole: whoever fetches it proves it by this (P4).
    pub root: Digest,
}

/// A text in several languages, by their two-letter codes; `en` is there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Localized(pub BTreeMap<String, String>);

impl Localized {
    /// In one language, or in English where it is not there.
    pub fn text(&self, language: &str) -> &str {
        let text = self.0.get(language).or_else(|| self.0.get("en"));
        text.map_or("", String::as_str)
    }

    fn fault(&self, field: &str, most_chars: usize) -> Option<FieldFault> {
        let wrong = |fault: String| FieldFault {
            field: field.to_owned(),
            fault,
        };
        if !self.0.contains_key("en") {
            return Some(wrong("must have an English text (en)".to_owned()));
        }
        if self.0.len() > limits::LANGUAGES {
            return Some(wrong(format!(
                "is in {} languages; at most {} are allowed",
                self.0.len(),
                limits::LANGUAGES
            )));
        }
        self.0.iter().find_map(|(language, text)| {
            let code = language.len() == 2 && language.bytes().all(|b| b.is_ascii_lowercase());
            if !code {
                return Some(wrong("names a language by two small letters".to_owned()));
            }
            fault(text, Shape::Lines, most_chars).map(wrong)
        })
    }
}

/// What branches file by: edited at central, carried by the feed, used offline.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Catalogue {
    /// Grows with every change; an agent keeps the highest that it has seen.
    pub serial: u64,
    /// In the order in which people see them; at most [`limits::CATEGORIES`].
    pub categories: Vec<Category>,
    /// Bytes of a file that people may attach; the agent's own bound holds beside it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file_bytes: Option<u64>,
}

/// A kind of trouble that branches choose from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Category {
    /// What tickets carry: small letters, digits and `-`; at most [`limits::CATEGORY_CHARS`].
    pub code: String,
    /// What people read.
    pub name: Localized,
    /// What to write, below the form's text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<Localized>,
    /// What the form begins with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<Priority>,
}

impl Catalogue {
    /// The first fault in it.
    pub fn fault(&self) -> Option<FieldFault> {
        let wrong = |field: String, fault: String| Some(FieldFault { field, fault });
        if self.categories.len() > limits::CATEGORIES {
            let count = self.categories.len();
            return wrong(
                "categories".to_owned(),
                format!(
                    "has {count} of them; at most {} are allowed",
                    limits::CATEGORIES
                ),
            );
        }
        for (place, category) in self.categories.iter().enumerate() {
            let field = |name: &str| format!("categories[{place}].{name}");
            let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
            let code = &category.code;
            if code.is_empty() || code.len() > limits::CATEGORY_CHARS || !code.bytes().all(allowed)
            {
                return wrong(
                    field("code"),
                    "is small letters, digits and -, and is not empty or too long".to_owned(),
                );
            }
            let before = self.categories.get(..place).unwrap_or_default();
            if before.iter().any(|other| other.code == *code) {
                return wrong(field("code"), "stands there twice".to_owned());
            }
            let faulty = category
                .name
                .fault(&field("name"), limits::CATEGORY_CHARS)
                .or_else(|| {
                    let hint = category.hint.as_ref()?;
                    hint.fault(&field("hint"), limits::HINT_CHARS)
                });
            if faulty.is_some() {
                return faulty;
            }
        }
        let bytes = serde_json::to_string(self).map_or(usize::MAX, |text| text.len());
        if bytes > limits::CATALOGUE_BYTES {
            let most = limits::CATALOGUE_BYTES;
            return wrong(
                "categories".to_owned(),
                format!("are {bytes} bytes in all; at most {most} are allowed"),
            );
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_final_state_is_left_by_nobody_and_new_is_never_returned_to() {
        for from in TicketState::ALL {
            assert!(!from.desk_may_move(TicketState::New), "{from}");
            assert!(!from.desk_may_move(from), "{from}");
            for to in TicketState::ALL {
                if from.is_final() {
                    assert!(!from.desk_may_move(to), "{from} to {to}");
                    assert_eq!(from.after_branch_spoke(), from);
                }
            }
        }
        assert!(TicketState::Closed.desk_may_move(TicketState::Open));
        assert_eq!(
            TicketState::Resolved.after_branch_spoke(),
            TicketState::Open
        );
        assert_eq!(TicketState::New.after_branch_spoke(), TicketState::New);
    }

    #[test]
    fn states_are_read_as_they_are_written() {
        for state in TicketState::ALL {
            assert_eq!(state.as_str().parse(), Ok(state));
            let json = serde_json::to_string(&state).unwrap();
            assert_eq!(json, format!("\"{state}\""));
        }
        let newer: TicketState = serde_json::from_str("\"escalated\"").unwrap();
        assert_eq!(newer, TicketState::Other);
        assert_eq!("other".parse::<TicketState>(), Err(NoSuchState));
    }

    #[test]
    fn a_catalogue_says_what_is_wrong_with_it() {
        let named = |text: &str| Localized([("en".to_owned(), text.to_owned())].into());
        let category = |code: &str, name: Localized| Category {
            code: code.to_owned(),
            name,
            hint: None,
            priority: None,
        };
        let of = |categories| Catalogue {
            categories,
            ..Catalogue::default()
        };
        assert_eq!(of(vec![category("till", named("Till"))]).fault(), None);
        for (faulty, field) in [
            (
                of(vec![category("Till", named("Till"))]),
                "categories[0].code",
            ),
            (
                of(vec![category("till", Localized::default())]),
                "categories[0].name",
            ),
            (
                of(vec![category("a", named("A")), category("a", named("B"))]),
                "categories[1].code",
            ),
        ] {
            assert_eq!(
                faulty.fault().map(|fault| fault.field).as_deref(),
                Some(field)
            );
        }
    }
}
