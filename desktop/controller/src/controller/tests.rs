//! The controller against an agent in memory, which can be away, lose answers and refuse.

mod given;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use branchline_agent_api::{
    AddComment, Attachment, Changes, ChangesQuery, FileSaved, FileTicket, GivenFile,
    OperationSaved, Progress, Status, TicketDetails, TicketList, TicketQuery,
};
use branchline_protocol::id::{Digest, FileId};
use branchline_protocol::problem::{ErrorClass, Problem, ProblemKind};
use branchline_protocol::time::{LocalTime, UnixMillis};
use tempfile::TempDir;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::agent::Answer;
use crate::view::{DraftText, HandedIn};

/// What it was asked for, by id: a second time changes nothing.
#[derive(Debug, Default)]
struct World {
    tickets: Vec<FileTicket>,
    comments: Vec<AddComment>,
    files: Vec<(OperationId, Vec<u8>)>,
    news: Vec<branchline_agent_api::News>,
    /// What central gave with its one answer, with what lies on the agent's disk.
    given: Vec<(GivenFile, Vec<u8>)>,
}

#[derive(Debug, Clone)]
struct Memory {
    world: Arc<Mutex<World>>,
    away: watch::Sender<bool>,
    /// Does what it is asked and never says so.
    loses_answers: Arc<AtomicBool>,
    refuses: Arc<Mutex<Option<ErrorClass>>>,
    refuses_files: Arc<AtomicBool>,
    /// Ends in the middle of a file's bytes.
    breaks_off: Arc<AtomicBool>,
    mark: watch::Sender<u64>,
}

impl Memory {
    fn new() -> Self {
        Self {
            world: Arc::default(),
            away: watch::Sender::new(false),
            loses_answers: Arc::default(),
            refuses: Arc::default(),
            refuses_files: Arc::default(),
            breaks_off: Arc::default(),
            mark: watch::Sender::new(1),
        }
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap()
    }

    fn gone() -> ClientError {
        ClientError::NotRunning {
            socket: "memory".to_owned(),
            fault: "away".to_owned(),
        }
    }

    fn there(&self) -> Result<(), ClientError> {
        if *self.away.borrow() {
            return Err(Self::gone());
        }
        Ok(())
    }

    fn answered<T>(&self, answer: T) -> Result<T, ClientError> {
        self.mark.send_modify(|mark| *mark += 1);
        if self.loses_answers.load(Ordering::SeqCst) {
            return Err(Self::gone());
        }
        Ok(answer)
    }

    fn saved(id: OperationId) -> OperationSaved {
        OperationSaved {
            operation: id,
            number: "LYN-000001".parse().unwrap(),
            saved_at: now(),
            repeated: false,
        }
    }
}

fn now() -> LocalTime {
    LocalTime {
        millis: UnixMillis(1_790_000_000_000),
        offset_minutes: 0,
    }
}

impl Agent for Memory {
    async fn file_ticket(&self, ticket: &FileTicket) -> Result<OperationSaved, ClientError> {
        self.there()?;
        if let Some(class) = *self.refuses.lock().unwrap() {
            let mut problem = Problem::new(ProblemKind::InvalidField, "subject is too long");
            problem.class = class;
            return Err(ClientError::Problem(Box::new(problem)));
        }
        if !self
            .world()
            .tickets
            .iter()
            .any(|known| known.id == ticket.id)
        {
            self.world().tickets.push(ticket.clone());
        }
        self.answered(Self::saved(ticket.id.unwrap()))
    }

    async fn add_comment(
        &self,
        _on: &TicketNumber,
        comment: &AddComment,
    ) -> Result<OperationSaved, ClientError> {
        self.there()?;
        if !self
            .world()
            .comments
            .iter()
            .any(|known| known.id == comment.id)
        {
            self.world().comments.push(comment.clone());
        }
        self.answered(Self::saved(comment.id.unwrap()))
    }

    async fn attach_file(
        &self,
        attachment: &Attachment,
        path: &Path,
        progress: Progress,
    ) -> Result<FileSaved, ClientError> {
        self.there()?;
        if self.refuses_files.load(Ordering::SeqCst) {
            return Err(ClientError::File {
                fault: branchline_protocol::file::FileFault::Unreadable,
                detail: String::new(),
            });
        }
        let bytes = std::fs::read(path).unwrap();
        progress(bytes.len() as u64);
        let size = bytes.len() as u64;
        if !self
            .world()
            .files
            .iter()
            .any(|(id, _)| *id == attachment.id)
        {
            self.world().files.push((attachment.id, bytes));
        }
        self.answered(FileSaved {
            file: attachment.id.into(),
            number: attachment.number.clone(),
            name: attachment.name.clone(),
            size,
            root: Digest([0; 32]),
            saved_at: now(),
            repeated: false,
        })
    }

    async fn withdraw(
        &self,
        _number: &TicketNumber,
        ask: &WithdrawTicket,
    ) -> Result<OperationSaved, ClientError> {
        self.there()?;
        self.answered(Self::saved(ask.id.unwrap()))
    }

    async fn tickets(&self, query: &TicketQuery) -> Result<TicketList, ClientError> {
        self.there()?;
        // Like the agent: looks at a bounded number at once, and finds none of it at first.
        let next = if query.before.is_none() {
            Some(7)
        } else {
            None
        };
        Ok(TicketList {
            tickets: Vec::new(),
            next,
        })
    }

    async fn ticket(&self, _number: &TicketNumber) -> Result<TicketDetails, ClientError> {
        self.there()?;
        let received = serde_json::json!({ "state": "received" });
        let mut details = crate::ladder::tests::details(&received, &[]);
        let files = self
            .world()
            .given
            .iter()
            .map(|(given, _)| given.file.clone())
            .collect();
        details.replies.push(branchline_agent_api::Reply {
            id: new_id().to_string().parse().unwrap(),
            at: now().millis,
            by: "anna".to_owned(),
            text: "Read this.".to_owned(),
            files,
        });
        Ok(details)
    }

    async fn given(&self, id: FileId) -> Result<GivenFile, ClientError> {
        self.there()?;
        let world = self.world();
        let mut known = world.given.iter();
        let found = known.find(|(given, _)| given.file.file == id);
        found.map(|(given, _)| given.clone()).ok_or_else(|| {
            let problem = Problem::new(ProblemKind::NotFound, "central gave no such file");
            ClientError::Problem(Box::new(problem))
        })
    }

    async fn given_content(
        &self,
        id: FileId,
        mut take: impl FnMut(&[u8]) -> io::Result<()> + Send,
    ) -> Result<(), ClientError> {
        self.given(id).await?;
        let bytes = {
            let world = self.world();
            let mut known = world.given.iter();
            let found = known.find(|(given, _)| given.file.file == id);
            found.map(|(_, bytes)| bytes.clone()).unwrap_or_default()
        };
        let (first, second) = bytes.split_at(bytes.len() / 2);
        take(first).map_err(|fault| ClientError::Unreadable(fault.to_string()))?;
        if self.breaks_off.load(Ordering::SeqCst) {
            return Err(Self::gone());
        }
        take(second).map_err(|fault| ClientError::Unreadable(fault.to_string()))
    }

    async fn catalogue(&self) -> Result<Catalogue, ClientError> {
        self.there()?;
        Ok(Catalogue::default())
    }

    async fn status(&self) -> Result<Status, ClientError> {
        self.there()?;
        Ok(crate::situation::tests::status("waiting", 3, 2))
    }

    fn changes(&self, query: &ChangesQuery) -> impl Answer<Changes> {
        let (query, memory) = (query.clone(), self.clone());
        async move {
            memory.there()?;
            let mut mark = memory.mark.subscribe();
            let mut away = memory.away.subscribe();
            let seen = mark.borrow_and_update().to_string();
            if query.seen == Some(seen) {
                tokio::select! {
                    _ = mark.changed() => {}
                    _ = away.wait_for(|away| *away) => return Err(Self::gone()),
                    () = tokio::time::sleep(Duration::from_secs(query.wait)) => {}
                }
            }
            let news = memory.world().news.clone();
            let after = query.news.unwrap_or(u64::MAX);
            let newest = news.last().map_or(0, |news| news.id);
            let mark = memory.mark.borrow().to_string();
            Ok(Changes {
                mark,
                user: "marie".to_owned(),
                colleagues: false,
                news: news.into_iter().filter(|news| news.id > after).collect(),
                newest,
            })
        }
    }
}

struct Desk {
    folder: TempDir,
    agent: Memory,
    controller: Arc<Controller<Memory>>,
    end: CancellationToken,
}

impl Drop for Desk {
    fn drop(&mut self) {
        self.end.cancel();
    }
}

impl Desk {
    fn new() -> Self {
        let (folder, agent) = (TempDir::new().unwrap(), Memory::new());
        let controller = Controller::new(agent.clone(), folder.path(), Language::En).unwrap();
        Self {
            folder,
            agent,
            controller: Arc::new(controller),
            end: CancellationToken::new(),
        }
    }

    /// As after a crash: what is on disk is all there is.
    fn reopened(&self) -> Arc<Controller<Memory>> {
        Arc::new(Controller::new(self.agent.clone(), self.folder.path(), Language::En).unwrap())
    }

    #[allow(
        clippy::disallowed_methods,
        reason = "a test's tasks end with the test"
    )]
    fn run(&self) {
        let (controller, end) = (self.controller.clone(), self.end.clone());
        tokio::spawn(async move { controller.run(end).await });
    }

    fn written(&self, subject: &str) -> OperationId {
        let draft = self.controller.draft(None).unwrap();
        let id = draft.id.parse().unwrap();
        let text = DraftText {
            subject: subject.to_owned(),
            ..DraftText::default()
        };
        self.controller.write(id, text).unwrap();
        id
    }

    fn file(&self, name: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, name.as_bytes()).unwrap();
        path
    }
}

#[tokio::test]
async fn p1_saved_is_said_only_after_the_agents_answer() {
    let desk = Desk::new();
    let id = desk.written("The till");
    desk.controller
        .add_files(id, vec![desk.file("scan.pdf")])
        .unwrap();
    desk.agent.away.send_replace(true);
    let said = desk.controller.hand_in(id).await;
    assert!(matches!(said, HandedIn::Waiting { .. }), "{said:?}");
    assert_eq!(desk.controller.drafts_begun().len(), 1, "it is kept");
    desk.agent.away.send_replace(false);
    let said = desk.controller.hand_in(id).await;
    assert!(matches!(said, HandedIn::Saved { .. }), "{said:?}");
    assert!(desk.controller.drafts_begun().is_empty());
    let world = desk.agent.world();
    assert_eq!(world.tickets[0].description, "The till");
    assert_eq!(world.files[0].1, b"scan.pdf");
}

#[tokio::test]
async fn p2_a_lost_answer_and_a_crash_file_nothing_twice() {
    let desk = Desk::new();
    let id = desk.written("The till");
    desk.controller
        .add_files(id, vec![desk.file("scan.pdf")])
        .unwrap();
    desk.agent.loses_answers.store(true, Ordering::SeqCst);
    for _ in 0..2 {
        let said = desk.controller.hand_in(id).await;
        assert!(matches!(said, HandedIn::Waiting { .. }), "{said:?}");
    }
    // The client is killed, and the agent answers again.
    let again = desk.reopened();
    assert!(again.drafts_begun()[0].handed_in);
    desk.agent.loses_answers.store(false, Ordering::SeqCst);
    let said = again.hand_in(id).await;
    assert!(matches!(said, HandedIn::Saved { .. }), "{said:?}");
    let world = desk.agent.world();
    assert_eq!((world.tickets.len(), world.files.len()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn what_waits_is_handed_in_when_the_agent_is_back() {
    let desk = Desk::new();
    desk.agent.away.send_replace(true);
    let mut events = desk.controller.events();
    desk.run();
    let id = desk.written("The till");
    let said = desk.controller.hand_in(id).await;
    assert!(matches!(said, HandedIn::Waiting { .. }), "{said:?}");
    desk.agent.away.send_replace(false);
    let saved = loop {
        if let Event::Saved(saved) = events.recv().await.unwrap() {
            break saved;
        }
    };
    assert_eq!(saved.number, "LYN-000001");
    assert!(desk.controller.drafts_begun().is_empty());
    assert_eq!(desk.agent.world().tickets.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_line_says_when_the_agent_goes_and_comes() {
    let desk = Desk::new();
    let mut events = desk.controller.events();
    desk.run();
    let mut said = async |wanted: &str| loop {
        if let Event::Situation(now) = events.recv().await.unwrap()
            && format!("{} {}", now.headline, now.detail).contains(wanted)
        {
            return now;
        }
    };
    let now = said("3 tickets and 2 files are waiting. Nothing is lost.").await;
    assert_eq!(now.user, "marie");
    desk.agent.away.send_replace(true);
    said("has not answered since").await;
    desk.agent.away.send_replace(false);
    said("No connection since").await;
}

#[tokio::test]
async fn what_must_be_changed_first_is_given_back() {
    let desk = Desk::new();
    let id = desk.written("The till");
    *desk.agent.refuses.lock().unwrap() = Some(ErrorClass::FixInput);
    let said = desk.controller.hand_in(id).await;
    assert!(
        matches!(&said, HandedIn::Refused { words } if words.contains("subject is too long")),
        "{said:?}"
    );
    let draft = desk.controller.draft(None).unwrap();
    assert_eq!((draft.id, draft.handed_in), (id.to_string(), false));
    // Only the agent's being away is waited for in silence.
    *desk.agent.refuses.lock().unwrap() = Some(ErrorClass::CallIt);
    let said = desk.controller.hand_in(id).await;
    assert!(matches!(&said, HandedIn::Refused { words } if words.contains("tell IT")));
}

#[tokio::test]
async fn p6_a_file_that_cannot_be_attached_holds_nothing_else_back() {
    let desk = Desk::new();
    let id = desk.written("The till");
    let gone = desk.file("gone.pdf");
    let paths = vec![gone.clone(), desk.file("there.pdf")];
    let draft = desk.controller.add_files(id, paths).unwrap();
    std::fs::remove_file(gone).unwrap();
    let said = desk.controller.hand_in(id).await;
    assert!(matches!(said, HandedIn::Partly { .. }), "{said:?}");
    let kept = desk.controller.drafts_begun();
    assert!(
        kept[0].files[0]
            .trouble
            .as_ref()
            .unwrap()
            .contains("gone.pdf")
    );
    assert!(kept[0].files[1].saved);
    // The form for the next ticket is a new one.
    assert_ne!(desk.controller.draft(None).unwrap().id, draft.id);
    let file = draft.files[0].id.parse().unwrap();
    desk.controller.remove_file(id, file).unwrap();
    let said = desk.controller.hand_in(id).await;
    assert!(matches!(said, HandedIn::Saved { .. }), "{said:?}");
    let world = desk.agent.world();
    assert_eq!((world.tickets.len(), world.files.len()), (1, 1));
}

#[tokio::test]
async fn an_addition_needs_no_text_where_it_has_files() {
    let desk = Desk::new();
    let draft = desk.controller.draft(Some("LYN-000007")).unwrap();
    let id = draft.id.parse().unwrap();
    desk.controller
        .add_pasted(id, "Screenshot.png", b"png")
        .unwrap();
    let said = desk.controller.hand_in(id).await;
    assert!(matches!(&said, HandedIn::Saved { number, .. } if number == "LYN-000007"));
    let world = desk.agent.world();
    assert_eq!((world.comments.len(), world.files.len()), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn news_are_announced_once_and_not_again_after_a_start() {
    let desk = Desk::new();
    let mut events = desk.controller.events();
    desk.run();
    let mut heard = async || loop {
        match events.recv().await.unwrap() {
            Event::Announce(told) => return told,
            Event::Situation(_) if desk.controller.marks.told() == Some(0) => {
                let news = serde_json::json!({
                    "id": 1, "number": "LYN-000003", "subject": "Scanner", "kind": "answer",
                });
                desk.agent.world().news = vec![serde_json::from_value(news).unwrap()];
                desk.agent.mark.send_modify(|mark| *mark += 1);
            }
            Event::Situation(_) => {
                desk.agent.mark.send_modify(|mark| *mark += 1);
            }
            _ => {}
        }
    };
    let told = heard().await;
    assert_eq!(told.title, "Central support has answered");
    assert_eq!(told.body, "LYN-000003 · Scanner");
    // Told is remembered by the time that the next thing happens.
    while desk.controller.marks.told() != Some(1) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(desk.reopened().marks.told(), Some(1));
}

#[tokio::test]
async fn a_search_goes_on_until_it_has_looked_at_everything() {
    let desk = Desk::new();
    let page = desk.controller.tickets("x", true, None).await.unwrap();
    assert_eq!(page.next, None);
}
