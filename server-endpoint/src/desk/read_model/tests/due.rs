//! What is due, as the read model keeps it: live, built anew, and counted by other goals.

use branchline_protocol::desk::TicketState;
use branchline_protocol::id::TicketNumber;
use branchline_protocol::operation::Priority;
use branchline_protocol::time::UnixMillis;
use tokio_util::sync::CancellationToken;

use super::desk::operator;
use super::{Central, TicketQuery};
use crate::config;
use crate::desk::read_model::{Order, ReadModel, TicketSummary};
use crate::ledger::contract::desk::{command, reply};
use crate::ledger::sqlite::{FILE_NAME, SqliteLedger};
use crate::ledger::{Change, Command, Commanded, DeskLedger, HistoryLedger, now};
use crate::service::Goals;
use crate::testing::{TestAgent, comment, withdrawal};

const HOUR: i64 = 3_600_000;

/// `high` tickets in so many hours, around the clock; others not at all.
fn goals(hours: u32) -> Goals {
    let text = format!(
        "[[goals]]\npriority = \"low\"\nfirst_answer = \"{}h\"\naround_the_clock = true\n\
         [[goals]]\npriority = \"high\"\nfirst_answer = \"1h\"\nresolution = \"{hours}h\"\n\
         around_the_clock = true\n",
        hours * 2
    );
    let service: config::Service = toml::from_str(&text).unwrap();
    service.goals().unwrap()
}

fn central(hours: u32) -> Central {
    let folder = tempfile::tempdir().unwrap();
    Central {
        ledger: SqliteLedger::open(&folder.path().join(FILE_NAME)).unwrap(),
        model: ReadModel::open_with(folder.path(), goals(hours)).unwrap(),
        folder,
    }
}

async fn all(model: &ReadModel) -> Vec<TicketSummary> {
    let query = TicketQuery {
        most: 200,
        ..TicketQuery::default()
    };
    model.tickets(query).await.unwrap().tickets
}

/// Anna commands, now.
async fn done(ledger: &SqliteLedger, word: &str, ticket: &TicketNumber, change: Change) {
    let command = Command {
        at: now(),
        ..command(ledger, word, ticket, change).await
    };
    let done = ledger.command(command).await.unwrap();
    assert!(matches!(done, Commanded::Done { .. }), "{done:?}");
}

/// Tickets in every state, some answered, one counted low.
async fn worked_on(central: &Central) -> TestAgent {
    let ledger = &central.ledger;
    operator(central, "anna").await;
    let mut lyon = TestAgent::register(ledger, "LYN").await;
    lyon.file(&["a", "b", "c", "d", "e", "f"], 1);
    lyon.submit_all(ledger).await;
    let number = |serial| lyon.number(serial);
    let go = |to| Change::Move { to };
    done(ledger, "b1", &number(2), go(TicketState::Waiting)).await;
    done(ledger, "c1", &number(3), reply("so")).await;
    done(ledger, "d1", &number(4), go(TicketState::Resolved)).await;
    let low = Change::Classify {
        priority: Priority::Low,
        category: "till".into(),
    };
    done(ledger, "f1", &number(6), low).await;
    let from = lyon.journal.len();
    lyon.journal.push(withdrawal("w", "e"));
    lyon.submit(ledger, from, from + 1).await;
    central.catch_up().await;
    lyon
}

#[tokio::test]
async fn what_is_due_is_kept_filtered_and_sorted() {
    let central = central(4);
    worked_on(&central).await;
    let tickets = all(&central.model).await;
    let service = |serial: usize| {
        let ticket = &tickets[tickets.len() - serial];
        (ticket.service, ticket.received_at.0)
    };
    let after = |from: i64, hours: i64| Some(UnixMillis(from + hours * HOUR));
    let (a, received) = service(1);
    assert_eq!(a.received.first_answer, after(received, 1));
    assert_eq!(a.received.resolution, after(received, 4));
    assert_eq!(a.next, after(received, 1));
    assert!(a.filed.first_answer <= a.received.first_answer);
    let (b, received) = service(2);
    assert!(b.paused && b.received.resolution.is_none());
    assert_eq!(b.next, after(received, 1), "an answer is owed all the same");
    let (c, received) = service(3);
    assert_eq!(c.next, after(received, 4), "answered, not done");
    let (d, received) = service(4);
    assert_eq!((d.next, d.received.resolution), (None, after(received, 4)));
    assert_eq!(service(5).0, crate::service::Service::default());
    assert_eq!(service(6).0.next, after(received, 8));

    let at = |hours: i64| UnixMillis(now().0 + hours * HOUR);
    let found = async |before: Option<UnixMillis>, from: Option<UnixMillis>| {
        let mut query = TicketQuery {
            due_before: before,
            due_from: from,
            order: Order::Due,
            most: 1,
            ..TicketQuery::default()
        };
        let mut serials = Vec::new();
        loop {
            let page = central.model.tickets(query.clone()).await.unwrap();
            serials.extend(page.tickets.iter().map(|it| it.number[8..].to_owned()));
            let Some(next) = page.next else {
                return serials;
            };
            assert_eq!(next.to_string().parse(), Ok(next));
            query.after = Some(next);
        }
    };
    assert_eq!(found(None, None).await, ["01", "02", "03", "06"]);
    assert_eq!(found(Some(at(2)), None).await, ["01", "02"]);
    assert_eq!(found(Some(at(5)), Some(at(2))).await, ["03"]);
    assert_eq!(central.model.overdue(at(2)).await.unwrap(), 2);
    assert_eq!(central.model.overdue(at(0)).await.unwrap(), 0);
}

#[tokio::test]
async fn what_is_due_is_the_same_however_it_was_counted() {
    let central = central(4);
    let mut lyon = worked_on(&central).await;
    // The branch speaks: what waited is open again. Each in a page of its own, as it comes live.
    let from = lyon.journal.len();
    lyon.journal.push(comment("more", "b"));
    lyon.journal.push(comment("again", "d"));
    lyon.submit(&central.ledger, from, from + 2).await;
    central.catch_up().await;
    let live = all(&central.model).await;
    assert!(live.iter().filter(|it| it.service.next.is_some()).count() >= 5);
    central.model.rebuild(&central.ledger).await.unwrap();
    assert_eq!(all(&central.model).await, live, "built anew");

    let Central {
        ledger,
        model,
        folder,
    } = central;
    drop(model);
    // Other goals, none, and the first again: each as if they had always been there.
    for hours in [Some(9), None, Some(4)] {
        let goals = || hours.map_or_else(Goals::default, goals);
        let model = ReadModel::open_with(folder.path(), goals()).unwrap();
        model.count_again().await;
        let counted = all(&model).await;
        let fresh = tempfile::tempdir().unwrap();
        let anew = ReadModel::open_with(fresh.path(), goals()).unwrap();
        while anew.step(&ledger).await.unwrap() {}
        assert_eq!(counted, all(&anew).await, "{hours:?}");
        assert_eq!(hours == Some(4), counted == live);
    }
}

struct Away;
impl HistoryLedger for Away {
    fn history(
        &self,
        _after: Option<String>,
        _most: usize,
    ) -> crate::ledger::Pending<'_, crate::ledger::History> {
        Box::pin(async { Err(crate::ledger::LedgerError::Away("the test says so".into())) })
    }
}

#[tokio::test]
async fn counting_again_goes_on_after_a_stop_and_needs_no_ledger() {
    let central = central(4);
    let mut lyon = TestAgent::register(&central.ledger, "LYN").await;
    let words: Vec<String> = (0..1_200).map(|n| format!("t{n}")).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    lyon.file(&words, 1);
    for from in (0..1_200).step_by(100) {
        lyon.submit(&central.ledger, from, from + 100).await;
    }
    central.catch_up().await;
    let Central { model, folder, .. } = central;
    drop(model);
    let counted = async |model: &ReadModel| {
        let due = UnixMillis(now().0 + 7 * HOUR);
        1_200 - model.overdue(due).await.unwrap()
    };
    {
        let model = ReadModel::open_with(folder.path(), goals(9)).unwrap();
        assert!(model.generation().count_again().await.unwrap());
        drop(model);
    }
    let model = ReadModel::open_with(folder.path(), Goals::default()).unwrap();
    let stopping = CancellationToken::new();
    let until = async {
        while counted(&model).await < 1_200 {
            tokio::task::yield_now().await;
        }
        stopping.cancel();
    };
    tokio::time::timeout(std::time::Duration::from_secs(60), async {
        tokio::join!(model.follow(&Away, &stopping), until)
    })
    .await
    .expect("in time");
}
