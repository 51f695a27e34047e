//! The client's middle: what a window asks for, and one loop that follows the agent.

mod following;

use std::collections::{HashMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use branchline_agent_api::{ClientError, SEARCH_CHARS, TicketQuery, WithdrawTicket};
use branchline_protocol::desk::Catalogue;
use branchline_protocol::id::{OperationId, TicketNumber};
use branchline_protocol::limits;
use branchline_protocol::text::clipped;
use tokio::sync::broadcast;

use crate::agent::Agent;
use crate::drafts::{Draft, DraftError, Drafts};
use crate::ladder::{self, Telling};
use crate::read_marks::ReadMarks;
use crate::situation::{Heard, situation};
use crate::times::{Clock, size};
use crate::view::{
    Announcement, CategoryChoice, DraftFileView, DraftText, DraftView, Form, Situation, TicketPage,
    TicketView,
};
use crate::words::Language;

/// Tickets in a page of the list.
const PAGE: u32 = 100;
/// Events that wait for a slow window; one that missed some looks at everything anew.
const EVENTS: usize = 256;

/// What a window should know of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// How the way to central is now.
    Situation(Situation),
    /// Tickets may have changed: what is shown of them is to be asked for again.
    Changed,
    /// What has been begun.
    Drafts(Vec<DraftView>),
    /// Something to announce.
    Announce(Announcement),
    /// A draft that had waited for the agent was saved.
    Saved(Announcement),
}

#[derive(Debug)]
struct Shared {
    heard: Heard,
    user: String,
    colleagues: bool,
    language: Language,
    catalogue: Catalogue,
    troubles: HashMap<OperationId, String>,
    carried: HashSet<OperationId>,
}

/// How many bytes of each file the agent has taken.
#[derive(Debug, Clone, Default)]
pub(crate) struct Taken(Arc<Mutex<HashMap<OperationId, u64>>>);

impl Taken {
    pub(crate) fn set(&self, id: OperationId, bytes: u64) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(id, bytes);
    }

    pub(crate) fn forget(&self, id: OperationId) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&id);
    }

    fn get(&self, id: OperationId) -> Option<u64> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&id)
            .copied()
    }
}

/// The client's middle. Methods that keep something on disk return when it is durable.
#[derive(Debug)]
pub struct Controller<A> {
    agent: A,
    drafts: Drafts,
    marks: ReadMarks,
    shared: Mutex<Shared>,
    taken: Taken,
    events: broadcast::Sender<Event>,
}

impl<A: Agent> Controller<A> {
    /// One whose drafts and marks lie in this folder of its person.
    pub fn new(agent: A, folder: &Path, language: Language) -> io::Result<Self> {
        let drafts = Drafts::open(&folder.join("drafts"))?;
        Ok(Self {
            agent,
            drafts,
            marks: ReadMarks::open(folder),
            shared: Mutex::new(Shared {
                heard: Heard::Nothing,
                user: String::new(),
                colleagues: false,
                language,
                catalogue: Catalogue::default(),
                troubles: HashMap::new(),
                carried: HashSet::new(),
            }),
            taken: Taken::default(),
            events: broadcast::Sender::new(EVENTS),
        })
    }

    /// What happens from now on.
    pub fn events(&self) -> broadcast::Receiver<Event> {
        self.events.subscribe()
    }

    /// The language of everything that is said.
    pub fn language(&self) -> Language {
        self.shared().language
    }

    /// Speaks another language from now on.
    pub fn set_language(&self, language: Language) {
        self.shared().language = language;
        self.tell_situation();
        self.tell(Event::Changed);
        self.tell_drafts();
    }

    /// The line that is always visible.
    pub fn situation(&self) -> Situation {
        let shared = self.shared();
        let clock = Clock::system();
        let (user, colleagues) = (&shared.user, shared.colleagues);
        situation(&shared.heard, user, colleagues, &clock, shared.language)
    }

    /// A page of the list, newest first. Errors are sentences for the person.
    pub async fn tickets(
        &self,
        search: &str,
        mine: bool,
        before: Option<u32>,
    ) -> Result<TicketPage, String> {
        let search = clipped(search.trim(), SEARCH_CHARS);
        let mut query = TicketQuery {
            before,
            limit: Some(PAGE),
            mine,
            search: Some(search.to_owned()).filter(|search| !search.is_empty()),
        };
        let mut found = Vec::new();
        // The agent looks at a bounded number of tickets at once; whoever searches wants to see some.
        let next = loop {
            let page = self.agent.tickets(&query).await;
            let page = page.map_err(|fault| self.why(&fault))?;
            found.extend(page.tickets);
            if found.len() >= PAGE as usize || page.next.is_none() {
                break page.next;
            }
            query.before = page.next;
        };
        let (clock, shared) = (Clock::system(), self.shared());
        let telling = shared.telling(&clock);
        let row = |ticket| {
            let read = self.marks.read(&ladder::number_of(ticket));
            ladder::row(ticket, read, &telling)
        };
        Ok(TicketPage {
            rows: found.iter().map(row).collect(),
            next,
        })
    }

    /// A ticket; its answers count as read from now on.
    pub async fn ticket(&self, number: &str) -> Result<TicketView, String> {
        let number = parse(number)?;
        let details = self.agent.ticket(&number).await;
        let details = details.map_err(|fault| self.why(&fault))?;
        let standings = self.standings(&details).await;
        let standings = standings.map_err(|fault| self.why(&fault))?;
        let replies = u32::try_from(details.replies.len()).unwrap_or(u32::MAX);
        let known = details.summary.number.to_string();
        if self
            .marks
            .set_read(&known, replies.max(details.summary.replies))
        {
            self.tell(Event::Changed);
        }
        let (clock, shared) = (Clock::system(), self.shared());
        Ok(ladder::ticket(
            &details,
            &standings,
            &shared.telling(&clock),
        ))
    }

    /// Takes a ticket back.
    pub async fn withdraw(&self, number: &str, reason: &str) -> Result<(), String> {
        let ask = WithdrawTicket {
            id: Some(new_id()),
            reason: Some(reason.trim().to_owned()).filter(|reason| !reason.is_empty()),
        };
        let saved = self.agent.withdraw(&parse(number)?, &ask).await;
        saved.map(drop).map_err(|fault| self.why(&fault))
    }

    /// What the form needs to know, as the agent said last.
    pub fn form(&self) -> Form {
        let shared = self.shared();
        let code = shared.language.code();
        let categories = shared.catalogue.categories.iter().map(|category| {
            let hint = category.hint.as_ref().map(|hint| hint.text(code));
            CategoryChoice {
                code: category.code.clone(),
                name: category.name.text(code).to_owned(),
                hint: hint.unwrap_or_default().to_owned(),
                priority: category
                    .priority
                    .map_or("", |priority| priority.as_str())
                    .to_owned(),
            }
        });
        let chars = |most: usize| u32::try_from(most).unwrap_or(u32::MAX);
        Form {
            categories: categories.collect(),
            subject_chars: chars(limits::SUBJECT_CHARS),
            text_chars: chars(limits::TEXT_CHARS),
            asset_chars: chars(limits::ASSET_CHARS),
            phone_chars: chars(limits::PHONE_CHARS),
        }
    }

    /// Everything that has been begun, but for empty forms.
    pub fn drafts_begun(&self) -> Vec<DraftView> {
        let all = self.drafts.all();
        let shown = all.iter().filter(|draft| !draft.is_empty());
        shown.map(|draft| self.view(draft)).collect()
    }

    /// What is being written on this ticket, or for a new one.
    pub fn draft(&self, on: Option<&str>) -> Result<DraftView, String> {
        let on = on.map(parse).transpose()?;
        let begun = self.drafts.begun(on.as_ref(), new_id);
        self.shown(begun)
    }

    /// Keeps what was written so far.
    pub fn write(&self, id: OperationId, text: DraftText) -> Result<DraftView, String> {
        self.shown(self.drafts.write(id, text))
    }

    /// Adds files of the disk.
    pub fn add_files(&self, id: OperationId, paths: Vec<PathBuf>) -> Result<DraftView, String> {
        let files = paths.into_iter().map(|path| (new_id(), path)).collect();
        let added = self.shown(self.drafts.add_files(id, files));
        self.tell_drafts();
        added
    }

    /// Adds what was pasted.
    pub fn add_pasted(
        &self,
        id: OperationId,
        name: &str,
        bytes: &[u8],
    ) -> Result<DraftView, String> {
        self.shown(self.drafts.add_pasted(id, new_id(), name, bytes))
    }

    /// Leaves a file out again.
    pub fn remove_file(&self, id: OperationId, file: OperationId) -> Result<DraftView, String> {
        self.set_trouble(file, None);
        self.shown(self.drafts.remove_file(id, file))
    }

    /// Throws away what was begun.
    pub fn discard(&self, id: OperationId) -> Result<(), String> {
        let removed = self
            .drafts
            .remove(id)
            .map_err(|fault| self.fault_words(&fault));
        self.tell_drafts();
        removed
    }

    fn shown(&self, draft: Result<Draft, DraftError>) -> Result<DraftView, String> {
        match draft {
            Ok(draft) => Ok(self.view(&draft)),
            Err(fault) => {
                tracing::warn!(error = %fault, "change a draft");
                Err(self.fault_words(&fault))
            }
        }
    }

    fn view(&self, draft: &Draft) -> DraftView {
        let shared = self.shared();
        let files = draft.files.iter().map(|file| {
            let taken = self.taken.get(file.id).filter(|_| file.size > 0);
            let percent = taken.map(|bytes| bytes.saturating_mul(100) / file.size);
            DraftFileView {
                id: file.id.to_string(),
                name: file.name.clone(),
                size: size(file.size, shared.language),
                saved: file.saved,
                percent: percent.and_then(|percent| u8::try_from(percent.min(100)).ok()),
                trouble: shared.troubles.get(&file.id).cloned(),
            }
        });
        DraftView {
            id: draft.id.to_string(),
            on: draft.on.as_ref().map(TicketNumber::to_string),
            text: draft.text.clone(),
            files: files.collect(),
            handed_in: draft.handed_in,
            number: draft.number.as_ref().map(TicketNumber::to_string),
            trouble: shared.troubles.get(&draft.id).cloned(),
        }
    }

    pub(crate) fn fault_words(&self, fault: &DraftError) -> String {
        let words = self.language().words();
        let said = match fault {
            DraftError::TooMany => words.too_many_files,
            DraftError::Disk(_) => words.disk_fault,
            DraftError::Unknown | DraftError::HandedIn => words.try_again,
        };
        said.to_owned()
    }

    pub(crate) fn set_trouble(&self, id: OperationId, trouble: Option<String>) {
        let troubles = &mut self.shared().troubles;
        match trouble {
            Some(words) => troubles.insert(id, words),
            None => troubles.remove(&id),
        };
    }

    /// The turn to carry a draft, unless somebody has it.
    pub(crate) fn try_to_carry(&self, id: OperationId) -> Option<Turn<'_, A>> {
        let free = self.shared().carried.insert(id);
        free.then_some(Turn {
            controller: self,
            id,
        })
    }

    pub(crate) fn agent(&self) -> &A {
        &self.agent
    }

    pub(crate) fn drafts(&self) -> &Drafts {
        &self.drafts
    }

    pub(crate) fn taken(&self) -> Taken {
        self.taken.clone()
    }

    pub(crate) fn user(&self) -> String {
        self.shared().user.clone()
    }

    pub(crate) fn tell_drafts(&self) {
        self.tell(Event::Drafts(self.drafts_begun()));
    }

    fn tell_situation(&self) {
        self.tell(Event::Situation(self.situation()));
    }

    fn tell(&self, event: Event) {
        // Nobody listens while there is no window.
        let _ = self.events.send(event);
    }

    fn shared(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared {
    fn telling<'a>(&'a self, clock: &'a Clock) -> Telling<'a> {
        Telling {
            clock,
            language: self.language,
            connected: self.heard.is_connected(),
            catalogue: &self.catalogue,
        }
    }
}

/// Given back when dropped.
pub(crate) struct Turn<'a, A: Agent> {
    controller: &'a Controller<A>,
    id: OperationId,
}

impl<A: Agent> Drop for Turn<'_, A> {
    fn drop(&mut self) {
        self.controller.shared().carried.remove(&self.id);
    }
}

fn parse(number: &str) -> Result<TicketNumber, String> {
    number.parse().map_err(|fault| format!("{fault}"))
}

/// Names an operation for ever.
pub(crate) fn new_id() -> OperationId {
    let mut random = [0; 10];
    // Without the system's randomness the time alone tells ids apart, which one person's hands do too.
    if let Err(fault) = getrandom::fill(&mut random) {
        tracing::error!(error = %fault, "ask the system for randomness");
    }
    let now = jiff::Timestamp::now().as_millisecond();
    OperationId::from_parts(u64::try_from(now).unwrap_or(0), random)
}

/// Whether this says that nobody answers, rather than that the answer is no.
fn is_away(fault: &ClientError) -> bool {
    matches!(
        fault,
        ClientError::NotRunning { .. } | ClientError::Unreadable(_)
    )
}

#[cfg(test)]
mod tests;
