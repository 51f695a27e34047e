//! Handing a draft in: its text, then its files, one operation each. May be broken off at any point and
//! begun again: what the agent has answered for is marked on disk, and the rest has ids that file nothing
//! twice.

use std::sync::Arc;

use branchline_agent_api::{AddComment, Attachment, ClientError, FileTicket};
use branchline_protocol::id::{OperationId, TicketNumber};
use branchline_protocol::operation::{Contact, Priority};
use branchline_protocol::problem::ErrorClass;

use crate::agent::Agent;
use crate::controller::Controller;
use crate::drafts::{Draft, DraftError, DraftFile};
use crate::view::HandedIn;
use crate::words::{file_fault, put};

/// Why it goes no further.
enum Stop {
    /// Tried again by itself.
    Later(String),
    /// Its person must do something.
    Refused(String),
}

impl<A: Agent> Controller<A> {
    /// Hands a draft in. Says "saved" only when the agent has answered for all of it (P1).
    pub async fn hand_in(&self, id: OperationId) -> HandedIn {
        let words = self.language().words();
        // Before the draft says so: the loop looks for such, and would leave its person with "not yet".
        let turn = self.try_to_carry(id);
        match self.drafts().hand_in(id, true) {
            Ok(_) | Err(DraftError::Disk(_)) => {}
            Err(fault) => return refused(self.fault_words(&fault)),
        }
        let outcome = match turn {
            Some(_turn) => self.carry(id).await,
            // It had been handed in before, and the loop is at it.
            None => HandedIn::Waiting {
                words: words.try_again.to_owned(),
            },
        };
        self.tell_drafts();
        outcome
    }

    pub(crate) async fn carry(&self, id: OperationId) -> HandedIn {
        let Some(draft) = self.drafts().get(id) else {
            return refused(String::new());
        };
        let number = match self.carry_text(&draft).await {
            Ok(number) => number,
            Err(Stop::Later(words)) => return HandedIn::Waiting { words },
            Err(Stop::Refused(words)) => {
                let _ = self.drafts().hand_in(id, false);
                self.set_trouble(id, Some(words.clone()));
                return refused(words);
            }
        };
        self.set_trouble(id, None);
        let mut failed = false;
        for file in draft.files.iter().filter(|file| !file.saved) {
            match self.carry_file(id, file, &number).await {
                Ok(()) => self.set_trouble(file.id, None),
                Err(Stop::Later(words)) => return HandedIn::Waiting { words },
                // The others go on (P6).
                Err(Stop::Refused(words)) => {
                    failed = true;
                    self.set_trouble(file.id, Some(words));
                }
            }
        }
        let words = self.language().words();
        let number = number.to_string();
        if failed {
            let _ = self.drafts().hand_in(id, false);
            let words = put(words.partly, &number);
            return HandedIn::Partly { number, words };
        }
        if let Err(fault) = self.drafts().remove(id) {
            // It is saved; handing it in again would change nothing.
            tracing::warn!(error = %fault, "throw a finished draft away");
        }
        let said = if draft.on.is_some() {
            words.comment_saved.to_owned()
        } else {
            put(words.saved_as, &number)
        };
        HandedIn::Saved {
            number,
            words: said,
        }
    }

    async fn carry_text(&self, draft: &Draft) -> Result<TicketNumber, Stop> {
        if let Some(number) = &draft.number {
            return Ok(number.clone());
        }
        let text = draft.text.text.trim_end();
        let answer = match &draft.on {
            None => self.agent().file_ticket(&self.ticket_of(draft)).await,
            Some(on) if text.is_empty() => return Ok(on.clone()),
            Some(on) => {
                let comment = AddComment {
                    id: Some(draft.id),
                    text: text.to_owned(),
                };
                self.agent().add_comment(on, &comment).await
            }
        };
        let saved = answer.map_err(|fault| self.stop(&fault))?;
        if let Err(fault) = self.drafts().text_saved(draft.id, saved.number.clone()) {
            tracing::warn!(error = %fault, "mark a draft's text as saved");
        }
        Ok(saved.number)
    }

    fn ticket_of(&self, draft: &Draft) -> FileTicket {
        let text = &draft.text;
        let said = |text: &str| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
        let subject = text.subject.trim().to_owned();
        let description = text.text.trim_end();
        FileTicket {
            id: Some(draft.id),
            // One line says it all, sometimes.
            description: if description.is_empty() {
                subject.clone()
            } else {
                description.to_owned()
            },
            subject,
            category: said(&text.category),
            priority: priority_of(&text.priority),
            contact: Contact {
                name: said(&self.user()),
                phone: said(&text.phone),
                mail: None,
            },
            asset: said(&text.asset),
        }
    }

    async fn carry_file(
        &self,
        draft: OperationId,
        file: &DraftFile,
        number: &TicketNumber,
    ) -> Result<(), Stop> {
        let words = self.language().words();
        if !file.path.exists() {
            return Err(Stop::Refused(put(words.file_gone, &file.name)));
        }
        let attachment = Attachment {
            number: number.clone(),
            id: file.id,
            name: file.name.clone(),
        };
        let taken = self.taken();
        let id = file.id;
        let progress = Arc::new(move |bytes| taken.set(id, bytes));
        let answer = self
            .agent()
            .attach_file(&attachment, &file.path, progress)
            .await;
        self.taken().forget(file.id);
        answer.map_err(|fault| self.stop(&fault))?;
        if let Err(fault) = self.drafts().file_saved(draft, file.id) {
            tracing::warn!(error = %fault, "mark a draft's file as saved");
        }
        Ok(())
    }

    fn stop(&self, fault: &ClientError) -> Stop {
        let language = self.language();
        let words = language.words();
        if let ClientError::File { fault, .. } = fault {
            let (what, todo) = file_fault(*fault, language);
            return Stop::Refused(format!("{what} {todo}"));
        }
        match fault.class() {
            _ if matches!(fault, ClientError::NotRunning { .. }) => {
                Stop::Later(words.kept_until_back.to_owned())
            }
            ErrorClass::TryAgain => Stop::Later(words.try_again.to_owned()),
            ErrorClass::FixInput => Stop::Refused(put(words.fix_input, &fault.to_string())),
            ErrorClass::CallIt => Stop::Refused(put(words.call_it, &fault.to_string())),
        }
    }

    /// Why asking for something else came to nothing.
    pub(crate) fn why(&self, fault: &ClientError) -> String {
        let words = self.language().words();
        match (self.stop(fault), fault) {
            (_, ClientError::NotRunning { .. }) => words.away_means.to_owned(),
            (Stop::Later(said) | Stop::Refused(said), _) => said,
        }
    }
}

fn refused(words: String) -> HandedIn {
    HandedIn::Refused { words }
}

fn priority_of(word: &str) -> Priority {
    [Priority::Low, Priority::High, Priority::Urgent]
        .into_iter()
        .find(|priority| priority.as_str() == word)
        .unwrap_or_default()
}
