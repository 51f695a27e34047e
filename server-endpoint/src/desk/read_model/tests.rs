//! The read model on real ledgers and real files.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use branchline_protocol::id::Digest;
use tokio_util::sync::CancellationToken;

use super::{Freshness, ReadModel, TicketQuery};
use crate::ledger::sqlite::{FILE_NAME, SqliteLedger};
use crate::ledger::{History, HistoryLedger, LedgerError, Pending};
use crate::testing::{TestAgent, attachment, comment, withdrawal};

mod desk;
mod due;

struct Central {
    ledger: SqliteLedger,
    model: ReadModel,
    folder: tempfile::TempDir,
}

impl Central {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self {
            ledger: SqliteLedger::open(&folder.path().join(FILE_NAME)).unwrap(),
            model: ReadModel::open(folder.path()).unwrap(),
            folder,
        }
    }

    async fn catch_up(&self) {
        while self.model.step(&self.ledger).await.unwrap() {}
    }

    async fn found(&self, search: &str) -> Vec<String> {
        numbers(&self.model, search).await
    }
}

async fn numbers(model: &ReadModel, search: &str) -> Vec<String> {
    let query = TicketQuery {
        search: search.to_owned(),
        most: 50,
        ..TicketQuery::default()
    };
    let page = model.tickets(query).await.unwrap();
    page.tickets
        .into_iter()
        .map(|ticket| ticket.number)
        .collect()
}

fn files_of(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.to_string_lossy().contains("readmodel-"));
    paths.retain(|path| path.extension().is_some_and(|end| end == "db"));
    paths
}

async fn two_branches() -> Central {
    let central = Central::new();
    let mut lyon = TestAgent::register(&central.ledger, "LYN").await;
    let mut paris = TestAgent::register(&central.ledger, "PAR").await;
    lyon.file(&["printer", "cafétière"], 1);
    lyon.journal.push(comment("more", "printer"));
    lyon.journal
        .push(attachment("scan", "printer", 7, Digest([1; 32])));
    lyon.journal.push(withdrawal("enough", "cafétière"));
    lyon.submit_all(&central.ledger).await;
    paris.file(&["printer in Paris"], 42);
    paris.submit_all(&central.ledger).await;
    central.catch_up().await;
    central
}

#[tokio::test]
async fn what_a_branch_said_is_found() {
    let central = two_branches().await;

    assert_eq!(
        central.found("").await,
        ["PAR-000042", "LYN-000002", "LYN-000001"]
    );
    assert_eq!(central.found("printer").await, ["PAR-000042", "LYN-000001"]);
    assert_eq!(central.found("More on").await, ["LYN-000001"], "a comment");
    assert_eq!(
        central.found("printer scan.pdf").await,
        ["LYN-000001"],
        "a file's name"
    );
    assert_eq!(
        central.found("CAFETIERE").await,
        ["LYN-000002"],
        "accents and capitals"
    );
    assert_eq!(central.found("par-42").await, ["PAR-000042"]);
    assert_eq!(
        central.found("print").await.len(),
        2,
        "the last word may go on"
    );
    assert_eq!(central.found("jeanne").await.len(), 3, "whom to ask");
    assert_eq!(central.found("nobody").await.len(), 0);
    assert_eq!(central.found("\" OR *").await.len(), 0);
}

#[tokio::test]
async fn what_a_branch_said_is_shown() {
    let central = two_branches().await;
    let shown = central
        .model
        .ticket("LYN-000001".to_owned())
        .await
        .unwrap()
        .unwrap();
    assert_eq!((shown.summary.comments, shown.summary.files), (1, 1));
    assert_eq!(shown.timeline[0].said, "More on printer");
    assert_eq!(
        (shown.files[0].name.as_str(), shown.files[0].state.as_str()),
        ("scan.pdf", "waiting")
    );
    let withdrawn = central
        .model
        .ticket("LYN-000002".to_owned())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(withdrawn.summary.state, "withdrawn");
    assert!(
        central
            .model
            .ticket("LYN-000003".to_owned())
            .await
            .unwrap()
            .is_none()
    );
    let tally = central.model.tally().await.unwrap();
    let of = |branch: &str, state: &str, count| (branch.to_owned(), state.to_owned(), count);
    assert_eq!(
        tally,
        [
            of("LYN", "new", 1),
            of("LYN", "withdrawn", 1),
            of("PAR", "new", 1)
        ]
    );
}

#[tokio::test]
async fn pages_neither_repeat_nor_leave_out_while_tickets_arrive() {
    let central = Central::new();
    let mut lyon = TestAgent::register(&central.ledger, "LYN").await;
    let words: Vec<String> = (0..25).map(|index| format!("ticket {index}")).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    lyon.file(&words[..20], 1);
    lyon.submit_all(&central.ledger).await;
    central.catch_up().await;
    for search in ["", "ticket"] {
        let mut query = TicketQuery {
            search: search.to_owned(),
            most: 6,
            ..TicketQuery::default()
        };
        let mut seen = Vec::new();
        loop {
            let page = central.model.tickets(query.clone()).await.unwrap();
            seen.extend(page.tickets.into_iter().map(|ticket| ticket.subject));
            let Some(next) = page.next else { break };
            query.after = Some(next);
            if lyon.journal.len() < words.len() {
                let from = lyon.journal.len();
                lyon.file(&words[from..=from], u32::try_from(from).unwrap() + 1);
                lyon.submit(&central.ledger, from, from + 1).await;
                central.catch_up().await;
            }
        }
        let expected = if search.is_empty() { 20 } else { seen.len() };
        assert_eq!(seen.len(), expected);
        let first = seen.first().unwrap().clone();
        seen.sort();
        seen.dedup();
        assert_eq!(seen.len(), expected, "none twice, beginning at {first}");
    }
}

#[tokio::test]
async fn filters_narrow_what_is_found() {
    let central = Central::new();
    for branch in ["LYN", "PAR", "NCE"] {
        let mut agent = TestAgent::register(&central.ledger, branch).await;
        agent.file(&[&format!("one {branch}"), &format!("two {branch}")], 1);
        agent
            .journal
            .push(withdrawal(&format!("w {branch}"), &format!("two {branch}")));
        agent.submit_all(&central.ledger).await;
    }
    central.catch_up().await;
    let query = |search: &str, branches: &[&str], states: &[&str]| TicketQuery {
        search: search.to_owned(),
        branches: branches.iter().map(|code| code.parse().unwrap()).collect(),
        states: states.iter().map(|&state| state.to_owned()).collect(),
        most: 50,
        ..TicketQuery::default()
    };
    let count = async |query| central.model.tickets(query).await.unwrap().tickets.len();
    assert_eq!(count(query("", &["LYN", "NCE"], &[])).await, 4);
    assert_eq!(count(query("", &["LYN"], &["new"])).await, 1);
    assert_eq!(count(query("two", &[], &["withdrawn"])).await, 3);
    assert_eq!(count(query("two", &["PAR"], &["new"])).await, 0);
    let low = TicketQuery {
        priorities: vec!["low".to_owned()],
        ..query("", &[], &[])
    };
    assert_eq!(count(low).await, 0);
}

#[tokio::test]
async fn a_rebuilt_model_is_the_same_and_the_old_file_is_gone() {
    let central = Central::new();
    let mut lyon = TestAgent::register(&central.ledger, "LYN").await;
    for round in 0..3_u32 {
        let word = format!("round {round}");
        let from = lyon.journal.len();
        lyon.file(&[&word], round + 1);
        lyon.journal.push(comment(&format!("c {round}"), &word));
        lyon.submit(&central.ledger, from, from + 2).await;
        central.catch_up().await;
    }
    let before = central.model.ticket("LYN-000002".to_owned()).await.unwrap();
    let old = files_of(central.folder.path());
    let position = central.model.rebuild(&central.ledger).await.unwrap();
    assert_eq!(position, central.model.freshness().borrow().position);
    assert_eq!(
        central.model.ticket("LYN-000002".to_owned()).await.unwrap(),
        before
    );
    assert_eq!(central.found("round").await.len(), 3);
    let new = files_of(central.folder.path());
    assert!(new.len() == 1 && new != old, "{old:?} {new:?}");
    // What comes after goes on in the new one, and a restart finds it there.
    lyon.file(&["later"], 9);
    lyon.submit(&central.ledger, 6, 7).await;
    central.catch_up().await;
    let again = ReadModel::open(central.folder.path()).unwrap();
    assert_eq!(numbers(&again, "later").await, ["LYN-000009"]);
}

#[tokio::test]
async fn a_damaged_or_unfinished_file_is_left_and_built_again() {
    let central = Central::new();
    let mut lyon = TestAgent::register(&central.ledger, "LYN").await;
    lyon.file(&["a"], 1);
    lyon.submit_all(&central.ledger).await;
    central.catch_up().await;
    let Central {
        ledger,
        model,
        folder,
    } = central;
    drop(model);
    let unfinished = super::files::begin(folder.path(), 99, &Arc::default()).unwrap();
    drop(unfinished);
    let model = ReadModel::open(folder.path()).unwrap();
    assert_eq!(
        numbers(&model, "a").await,
        ["LYN-000001"],
        "an unfinished file is not used"
    );
    drop(model);
    for path in files_of(folder.path()) {
        std::fs::write(
            &path,
            b"no database at all, but long enough to look like one",
        )
        .unwrap();
    }
    let model = ReadModel::open(folder.path()).unwrap();
    assert!(numbers(&model, "a").await.is_empty());
    while model.step(&ledger).await.unwrap() {}
    assert_eq!(numbers(&model, "a").await, ["LYN-000001"]);
}

/// Follows this ledger to its end; one that begins again and again has none.
async fn follow_to_the_end(model: &ReadModel, ledger: &SqliteLedger) {
    let following = async { while model.step(ledger).await.unwrap() {} };
    let followed = tokio::time::timeout(Duration::from_secs(60), following).await;
    followed.expect("it begins again and again");
}

#[tokio::test]
async fn p2_another_ledger_is_noticed_and_read_from_its_beginning() {
    let central = Central::new();
    let mut lyon = TestAgent::register(&central.ledger, "LYN").await;
    lyon.file(&["lost", "lost too"], 1);
    lyon.submit_all(&central.ledger).await;
    central.catch_up().await;
    let restored = Central::new();
    let mut paris = TestAgent::register(&restored.ledger, "PAR").await;
    paris.file(&["kept"], 1);
    paris.submit_all(&restored.ledger).await;
    follow_to_the_end(&central.model, &restored.ledger).await;
    assert_eq!(central.found("").await, ["PAR-000001"]);
    assert_eq!(central.model.freshness().borrow().rewinds, 1);
}

/// Positions of before stand for other events, in places, and are not there at all at first.
#[tokio::test]
async fn p2_an_older_image_of_the_ledger_is_noticed_and_what_it_lost_goes() {
    let folder = tempfile::tempdir().unwrap();
    let image = folder.path().join("image.db");
    let mut lyon = {
        let first = SqliteLedger::open(&image).unwrap();
        let mut lyon = TestAgent::register(&first, "LYN").await;
        lyon.file(&["kept"], 1);
        lyon.submit_all(&first).await;
        lyon
    };
    let present = folder.path().join(FILE_NAME);
    std::fs::copy(&image, &present).unwrap();
    let model = ReadModel::open(&folder.path().join("desk")).unwrap();
    {
        let ledger = SqliteLedger::open(&present).unwrap();
        lyon.file(&["lost", "lost too"], 2);
        lyon.submit(&ledger, 1, 3).await;
        follow_to_the_end(&model, &ledger).await;
    }
    assert_eq!(numbers(&model, "lost").await.len(), 2);
    let restored = SqliteLedger::open(&image).unwrap();
    follow_to_the_end(&model, &restored).await;
    assert_eq!(numbers(&model, "").await, ["LYN-000001"]);
    assert_eq!(model.freshness().borrow().rewinds, 1);
    // Others come in the lost ones' places, and it goes on from there as ever.
    let mut paris = TestAgent::register(&restored, "PAR").await;
    paris.file(&["new", "new too", "and more"], 1);
    paris.submit_all(&restored).await;
    follow_to_the_end(&model, &restored).await;
    assert!(numbers(&model, "lost").await.is_empty());
    assert_eq!(
        numbers(&model, "").await,
        ["PAR-000003", "PAR-000002", "PAR-000001", "LYN-000001"]
    );
    assert_eq!(model.freshness().borrow().rewinds, 1);
}

/// A ledger that can go away.
struct Switchable<'a> {
    ledger: &'a SqliteLedger,
    away: Arc<std::sync::atomic::AtomicBool>,
}

impl HistoryLedger for Switchable<'_> {
    fn history(&self, after: Option<String>, most: usize) -> Pending<'_, History> {
        if self.away.load(std::sync::atomic::Ordering::SeqCst) {
            return Box::pin(async { Err(LedgerError::Away("the test says so".to_owned())) });
        }
        self.ledger.history(after, most)
    }
}

#[tokio::test]
async fn p10_questions_are_answered_while_the_ledger_is_away_and_say_since_when() {
    let central = Central::new();
    let mut lyon = TestAgent::register(&central.ledger, "LYN").await;
    lyon.file(&["before"], 1);
    lyon.submit_all(&central.ledger).await;
    let away = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let ledger = Switchable {
        ledger: &central.ledger,
        away: away.clone(),
    };
    let stopping = CancellationToken::new();
    let mut freshness = central.model.freshness();
    let until = async |freshness: &mut tokio::sync::watch::Receiver<Freshness>,
                       wanted: fn(&Freshness) -> bool| {
        let reached = tokio::time::timeout(Duration::from_secs(30), freshness.wait_for(wanted));
        drop(reached.await.expect("in time").unwrap());
    };
    let story = async {
        until(&mut freshness, |said| said.position > 0).await;
        away.store(true, std::sync::atomic::Ordering::SeqCst);
        until(&mut freshness, |said| said.behind_since.is_some()).await;
        assert_eq!(central.found("before").await, ["LYN-000001"]);
        lyon.file(&["meanwhile"], 2);
        lyon.submit(&central.ledger, 1, 2).await;
        away.store(false, std::sync::atomic::Ordering::SeqCst);
        central.model.news().notify_one();
        until(&mut freshness, |said| said.behind_since.is_none()).await;
        assert_eq!(central.found("meanwhile").await, ["LYN-000002"]);
        stopping.cancel();
    };
    tokio::join!(central.model.follow(&ledger, &stopping), story);
}
