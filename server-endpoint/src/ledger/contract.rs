//! What every ledger must do, whatever it is made of: each backend runs all of this on itself.
//!
//! A backend's tests call [`run`] with a function that makes an empty ledger.

use std::future::Future;

use branchline_protocol::event::{EventBody, RejectionCode, Verdict, VerdictAt};
use branchline_protocol::exchange::{Continues, ForkCause};
use branchline_protocol::id::Seq;
use branchline_protocol::limits;
use branchline_protocol::time::UnixMillis;

use super::{Acknowledged, Appended, Ledger, TicketFilter, TicketState};
use crate::testing::{FILED_AT, TestAgent, operation_id};

/// Runs the contract, each part on a ledger of its own.
pub(crate) async fn run<L: Ledger, F: Future<Output = L>>(make: impl Fn() -> F) {
    repeats_and_overlaps_change_nothing(&make().await).await;
    a_gap_is_answered_with_the_head(&make().await).await;
    a_fork_is_noticed_wherever_it_lies(&make().await).await;
    a_new_stream_repeats_operations_without_a_second_effect(&make().await).await;
    a_new_stream_waits_for_what_it_continues(&make().await).await;
    a_stream_belongs_to_one_agent(&make().await).await;
    a_number_given_out_twice_is_told_apart(&make().await).await;
    the_same_id_from_two_agents_is_two_operations(&make().await).await;
    one_bad_operation_never_stops_the_others(&make().await).await;
    verdicts_that_do_not_fit_an_answer_come_with_the_next(&make().await).await;
    the_feed_gives_what_concerns_the_branch_in_pages(&make().await).await;
    a_cursor_of_another_ledger_rewinds(&make().await, &make().await).await;
    agents_are_registered_and_heard_of(&make().await).await;
    tickets_are_listed_and_shown(&make().await).await;
}

async fn repeats_and_overlaps_change_nothing(ledger: &impl Ledger) {
    let mut agent = TestAgent::register(ledger, "LYN").await;
    agent.file(&["a", "b", "c", "d"], 1);
    assert_eq!(agent.submit(ledger, 0, 3).await.appended, 3);
    // The reply was lost; then the same with one more; then an old one, late.
    assert_eq!(agent.submit(ledger, 0, 3).await.appended, 0);
    assert_eq!(agent.submit(ledger, 1, 4).await.appended, 1);
    let late = agent.submit(ledger, 0, 2).await;
    assert_eq!((late.appended, late.head), (0, agent.position(4)));
    assert_eq!(effects(ledger, &agent).await, [1, 1, 1, 1]);
    assert_eq!(ledger.news(None).await.unwrap().through, 4);
}

async fn a_gap_is_answered_with_the_head(ledger: &impl Ledger) {
    let mut agent = TestAgent::register(ledger, "LYN").await;
    agent.file(&["a", "b", "c"], 1);
    let appended = agent.append(ledger, 1, 3).await;
    assert!(matches!(appended, Appended::Gap { head } if head == agent.position(0)));
    agent.submit(ledger, 0, 1).await;
    let appended = agent.append(ledger, 2, 3).await;
    assert!(matches!(appended, Appended::Gap { head } if head == agent.position(1)));
    assert_eq!(agent.submit(ledger, 1, 3).await.appended, 2);
}

async fn a_fork_is_noticed_wherever_it_lies(ledger: &impl Ledger) {
    let mut agent = TestAgent::register(ledger, "LYN").await;
    agent.file(&["a", "b", "c"], 1);
    agent.submit_all(ledger).await;
    // Restored to after `a`, it filed something else in place of `b`.
    let mut restored = agent.clone();
    restored.journal.truncate(1);
    restored.file(&["x", "y", "z"], 2);
    for (from, common) in [(0, true), (1, true), (2, false)] {
        match restored.append(ledger, from, 4).await {
            Appended::Diverged {
                head,
                agreed,
                serials_used,
            } => {
                assert_eq!((head, agreed, serials_used), (agent.position(3), common, 3));
            }
            other => panic!("from {from}: {other:?}"),
        }
    }
    // What is common ground is acknowledged as ever.
    restored.submit(ledger, 0, 1).await;
    assert_eq!(effects(ledger, &agent).await, [1, 1, 1]);
}

async fn a_new_stream_repeats_operations_without_a_second_effect(ledger: &impl Ledger) {
    let mut agent = TestAgent::register(ledger, "LYN").await;
    agent.file(&["a", "b"], 1);
    agent.journal.push(agent.unknown_kind("odd"));
    let first = agent.submit_all(ledger).await;
    assert_eq!(codes(&first), [(3, RejectionCode::UnknownKind)]);
    let events = ledger.news(None).await.unwrap().through;

    let mut forked = agent.forked("second", None);
    forked.journal = vec![agent.journal[2].clone(), agent.journal[0].clone()];
    forked.file(&["c"], 3);
    let second = forked.submit_all(ledger).await;
    assert_eq!(second.appended, 3);
    // The repeat has the verdict of the original, in its new place.
    assert_eq!(codes(&second), [(1, RejectionCode::UnknownKind)]);
    assert_eq!(
        codes(&forked.submit_all(ledger).await),
        [(1, RejectionCode::UnknownKind)]
    );
    assert_eq!(ledger.news(None).await.unwrap().through, events + 1);
    assert_eq!(effects(ledger, &forked).await, [1, 1, 1]);
    let held = ledger.held(forked.stream, Seq(0), 9).await.unwrap();
    let repeats: Vec<bool> = held.iter().map(|held| held.repeat).collect();
    assert_eq!(repeats, [true, true, false]);
    let tickets = ledger.tickets(all()).await.unwrap();
    assert_eq!(tickets.len(), 3);

    // Even inside one submission, and even with other bytes under the same id.
    forked.journal.push(forked.ticket("c", 9));
    assert!(forked.submit_all(ledger).await.verdicts.len() == 1);
    assert_eq!(ledger.tickets(all()).await.unwrap().len(), 3);
}

async fn a_new_stream_waits_for_what_it_continues(ledger: &impl Ledger) {
    let mut agent = TestAgent::register(ledger, "LYN").await;
    agent.file(&["a", "b"], 1);
    let continues = Continues {
        stream: agent.stream,
        at: Some(agent.position(2)),
        cause: ForkCause::AgentRestored,
        lost: 0,
    };
    let mut forked = agent.forked("second", Some(continues));
    forked.file(&["c"], 3);
    // Central lacks the first stream, then has less of it, then other things in it.
    for held in 0..2 {
        let appended = forked.append(ledger, 0, 1).await;
        assert!(
            matches!(appended, Appended::Gap { .. }),
            "{held}: {appended:?}"
        );
        agent.submit(ledger, 0, held + 1).await;
    }
    let mut elsewhere = forked.clone();
    elsewhere.continues = Some(Continues {
        at: Some(forked.position(1)),
        ..continues
    });
    let appended = elsewhere.append(ledger, 0, 1).await;
    assert!(matches!(appended, Appended::Gap { .. }), "{appended:?}");
    assert_eq!(forked.submit(ledger, 0, 1).await.appended, 1);
}

async fn a_stream_belongs_to_one_agent(ledger: &impl Ledger) {
    let mut agent = TestAgent::register(ledger, "LYN").await;
    agent.file(&["a"], 1);
    agent.submit_all(ledger).await;
    let mut other = TestAgent::register(ledger, "LYN").await;
    other.stream = agent.stream;
    other.file(&["x"], 1);
    for to in [0, 1] {
        let appended = other.append(ledger, 0, to).await;
        assert!(matches!(appended, Appended::ForeignStream), "{appended:?}");
    }
    // Nor can it be continued: as if it were not there.
    let mut forked = other.forked("second", None);
    forked.continues = Some(Continues {
        stream: agent.stream,
        at: Some(agent.position(1)),
        cause: ForkCause::AgentRestored,
        lost: 0,
    });
    let appended = forked.append(ledger, 0, 0).await;
    assert!(matches!(appended, Appended::Gap { .. }), "{appended:?}");
    let mut stranger = other.clone();
    stranger.credentials.agent = branchline_protocol::id::AgentId::from_bytes([9; 16]);
    let appended = stranger.append(ledger, 0, 1).await;
    assert!(matches!(appended, Appended::UnknownAgent), "{appended:?}");
}

async fn a_number_given_out_twice_is_told_apart(ledger: &impl Ledger) {
    let mut agent = TestAgent::register(ledger, "LYN").await;
    agent.file(&["a", "b"], 1);
    agent.submit_all(ledger).await;
    let mut restored = agent.forked("second", None);
    restored.file(&["x", "y"], 2);
    restored.journal.push(restored.ticket("z", 2));
    let held = restored.submit_all(ledger).await;
    let renumbered = |serial, suffix| {
        let mut number = agent.number(serial);
        number.suffix = suffix;
        Verdict::Renumbered { number }
    };
    let at = |seq, verdict| VerdictAt {
        seq: Seq(seq),
        verdict,
    };
    let expected = [at(1, renumbered(2, 2)), at(3, renumbered(2, 3))];
    assert_eq!(held.verdicts, expected);
    assert_eq!(restored.submit_all(ledger).await.verdicts, expected);
    assert!(held.gave_news);
    let bodies: Vec<_> = held
        .news
        .events
        .iter()
        .filter_map(|event| event.body())
        .collect();
    assert!(
        matches!(&bodies[..], [EventBody::TicketRenumbered { given, number, .. }, _]
            if *given == agent.number(2) && number.suffix == 2),
        "{bodies:?}"
    );
    let numbers: Vec<String> = ledger
        .tickets(all())
        .await
        .unwrap()
        .iter()
        .map(|ticket| format!("{} {}", ticket.number, ticket.filed.subject))
        .collect();
    let listed = [
        "1 About a",
        "2 About b",
        "2-2 About x",
        "2-3 About z",
        "3 About y",
    ];
    assert_eq!(numbers, listed.map(|rest| format!("LYN-00000{rest}")));
}

async fn the_same_id_from_two_agents_is_two_operations(ledger: &impl Ledger) {
    let mut lyon = TestAgent::register(ledger, "LYN").await;
    let mut paris = TestAgent::register(ledger, "PAR").await;
    lyon.file(&["a"], 1);
    lyon.submit_all(ledger).await;
    paris.journal.push(paris.ticket("a", 1));
    paris.journal.push(paris.comment("b", "a"));
    paris.journal.push(paris.ticket("c", 1));
    let held = paris.submit_all(ledger).await;
    let expected = [
        (1, RejectionCode::IdTaken),
        (2, RejectionCode::UnknownTicket),
    ];
    assert_eq!(codes(&held), expected);
    assert_eq!(codes(&paris.submit_all(ledger).await), expected);
    assert_eq!(ledger.tickets(all()).await.unwrap().len(), 2);
    assert_eq!(effects(ledger, &lyon).await, [1]);
}

async fn one_bad_operation_never_stops_the_others(ledger: &impl Ledger) {
    let mut agent = TestAgent::register(ledger, "LYN").await;
    let mut paris = TestAgent::register(ledger, "PAR").await;
    paris.file(&["p"], 1);
    paris.submit_all(ledger).await;
    let large = format!("\"{}\"", "x".repeat(limits::OPERATION_BYTES));
    agent.journal = vec![
        agent.ticket("a", 1),
        agent.unknown_kind("u"),
        b"{\"no\":\"operation\"}".to_vec(),
        b"null".to_vec(),
        large.into_bytes(),
        agent.ticket("f", 2).repeat(1),
        paris.ticket("n", 2),
        agent.comment("c1", "a"),
        agent.comment("c2", "nothing"),
        agent.comment("c3", "p"),
        agent.withdrawal("w1", "a"),
        agent.withdrawal("w2", "a"),
        agent.comment("c4", "a"),
        agent.ticket("z", 3),
    ];
    let held = agent.submit_all(ledger).await;
    let expected = [
        (2, RejectionCode::UnknownKind),
        (3, RejectionCode::Malformed),
        (4, RejectionCode::Malformed),
        (5, RejectionCode::Malformed),
        (7, RejectionCode::ForeignNumber),
        (9, RejectionCode::UnknownTicket),
        (10, RejectionCode::UnknownTicket),
        (12, RejectionCode::AlreadyWithdrawn),
    ];
    assert_eq!(codes(&held), expected);
    assert_eq!(codes(&agent.submit(ledger, 3, 14).await), expected[2..]);
    assert_eq!(effects(ledger, &agent).await, [1; 14]);
    let file = ledger.ticket(agent.number(1)).await.unwrap().unwrap();
    assert_eq!(file.row.state, TicketState::Withdrawn);
    assert_eq!(file.comments.len(), 2);
}

async fn verdicts_that_do_not_fit_an_answer_come_with_the_next(ledger: &impl Ledger) {
    let mut agent = TestAgent::register(ledger, "LYN").await;
    // A fault whose words are as long as they may be.
    let kind = "k".repeat(60);
    for index in 0..limits::SUBMISSION_OPERATIONS {
        let id = operation_id(&index.to_string());
        let operation = format!(
            r#"{{"id":"{id}","at":"{FILED_AT}","by":{{"user":"x"}},"kind":"{kind}","body":1}}"#
        );
        agent.journal.push(operation.into_bytes());
    }
    let (mut from, mut answers) = (0, 0);
    while from < agent.journal.len() {
        let appended = agent.append(ledger, from, agent.journal.len()).await;
        let Appended::Held(held) = appended else {
            panic!("{appended:?}");
        };
        let reach = usize::try_from(held.acknowledged.seq.0).unwrap();
        assert_eq!(held.acknowledged, agent.position(reach));
        assert_eq!(held.head, agent.position(agent.journal.len()));
        assert_eq!(held.verdicts.len(), reach - from, "each has its verdict");
        assert!(serde_json::to_vec(&held.verdicts).unwrap().len() < limits::ANSWER_BYTES / 2);
        assert!(reach > from, "no answer may stand still");
        from = reach;
        answers += 1;
    }
    assert!((2..10).contains(&answers), "{answers} answers");
}

async fn the_feed_gives_what_concerns_the_branch_in_pages(ledger: &impl Ledger) {
    let mut lyon = TestAgent::register(ledger, "LYN").await;
    let mut paris = TestAgent::register(ledger, "PAR").await;
    paris.journal.push(paris.unknown_kind("p"));
    paris.submit_all(ledger).await;
    lyon.file(&["a"], 1);
    let held = lyon.submit_all(ledger).await;
    assert!(!held.gave_news && held.news.events.is_empty() && held.news.cursor.is_empty());
    let count = limits::FEED_EVENTS + 7;
    for index in 0..count {
        lyon.journal.push(lyon.unknown_kind(&index.to_string()));
    }
    let held = lyon.submit(ledger, 1, count + 1).await;
    assert_eq!(held.news.events.len(), limits::FEED_EVENTS);
    let mut seen: Vec<u64> = positions(&held.news.events);
    let rest = ledger.feed(lyon.branch.clone(), Some(held.news.cursor.clone()));
    let rest = rest.await.unwrap();
    seen.extend(positions(&rest.events));
    assert_eq!(seen.len(), count);
    assert!(seen.is_sorted_by(|a, b| a < b), "in order, none twice");
    let after = ledger.feed(lyon.branch.clone(), Some(rest.cursor.clone()));
    let after = after.await.unwrap();
    assert!(after.events.is_empty() && !after.rewound);
    assert_eq!(after.cursor, rest.cursor);

    let flash = ledger.news(Some(1)).await.unwrap();
    assert_eq!(flash.branches, [lyon.branch]);
    assert!(
        ledger
            .news(Some(flash.through))
            .await
            .unwrap()
            .branches
            .is_empty()
    );
}

async fn a_cursor_of_another_ledger_rewinds(ledger: &impl Ledger, other: &impl Ledger) {
    let mut cursors = Vec::new();
    for (ledger, word) in [(ledger as &dyn Ledger, "here"), (other, "there")] {
        let mut agent = TestAgent::register(ledger, "LYN").await;
        agent.journal.push(agent.unknown_kind(word));
        cursors.push(agent.submit_all(ledger).await.news.cursor);
    }
    let branch: branchline_protocol::id::BranchCode = "LYN".parse().unwrap();
    let own = ledger
        .feed(branch.clone(), Some(cursors[0].clone()))
        .await
        .unwrap();
    assert!(!own.rewound && own.events.is_empty());
    let theirs = cursors[1].clone();
    for strange in [
        theirs.as_str(),
        "9-0123456789abcdef",
        "1-",
        "x",
        "-1-1",
        "1",
        "\u{1F5A8}",
    ] {
        let page = ledger
            .feed(branch.clone(), Some(strange.to_owned()))
            .await
            .unwrap();
        assert!(page.rewound, "{strange}");
        assert_eq!(
            (page.events.len(), &page.cursor),
            (1, &cursors[0]),
            "{strange}"
        );
    }
    for start in [None, Some(String::new())] {
        let page = ledger.feed(branch.clone(), start).await.unwrap();
        assert_eq!((page.events.len(), page.rewound), (1, false));
    }
}

async fn agents_are_registered_and_heard_of(ledger: &impl Ledger) {
    let mut first = TestAgent::register(ledger, "LYN").await;
    let second = TestAgent::register(ledger, "LYN").await;
    TestAgent::register(ledger, "PAR").await;
    assert_eq!((first.ordinal, second.ordinal), (1, 2));
    let known = ledger
        .agent(first.credentials.agent)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(known.secret_hash, first.credentials.secret_hash());
    assert_eq!(known.contact, None);
    let nobody = branchline_protocol::id::AgentId::from_bytes([9; 16]);
    assert!(ledger.agent(nobody).await.unwrap().is_none());

    first.file(&["a", "b", "c"], 1);
    let mut submission = first.submission(0, 2);
    submission.health.oldest_waiting = Some(UnixMillis(5));
    let at = submission.received_at;
    assert!(matches!(
        ledger.append(submission).await,
        Ok(Appended::Held(_))
    ));
    // An answer that acknowledges nothing is a contact too.
    let contact = ledger
        .agent(first.credentials.agent)
        .await
        .unwrap()
        .unwrap()
        .contact
        .unwrap();
    assert_eq!(
        (contact.at, contact.waiting, contact.oldest_waiting),
        (at, 1, Some(UnixMillis(5)))
    );
    assert!(
        (89_000..=90_000).contains(&contact.clock_skew),
        "{}",
        contact.clock_skew
    );
    let mut strange = first.submission(3, 3);
    strange.health.waiting = u64::MAX;
    strange.health.clock = UnixMillis(i64::MIN);
    strange.health.version = "v".repeat(1_000);
    strange.received_at = UnixMillis(at.0 + 1);
    assert!(matches!(
        ledger.append(strange).await,
        Ok(Appended::Gap { .. })
    ));
    let branches = ledger.branches().await.unwrap();
    let codes: Vec<_> = branches
        .iter()
        .map(|branch| (branch.code.as_str(), branch.agents.len()))
        .collect();
    assert_eq!(codes, [("LYN", 2), ("PAR", 1)]);
    let contact = branches[0].agents[0].contact.clone().unwrap();
    assert_eq!((contact.at.0, contact.version.len()), (at.0 + 1, 60));
}

async fn tickets_are_listed_and_shown(ledger: &impl Ledger) {
    let mut lyon = TestAgent::register(ledger, "LYN").await;
    let mut paris = TestAgent::register(ledger, "PAR").await;
    lyon.file(&["a", "b", "c"], 1);
    lyon.journal.push(lyon.comment("more", "b"));
    lyon.submit_all(ledger).await;
    paris.file(&["p"], 1);
    paris.submit_all(ledger).await;
    let page = |branch: Option<&str>, after: Option<&str>, most| {
        let filter = TicketFilter {
            branch: branch.map(|code| code.parse().unwrap()),
            after: after.map(|number| number.parse().unwrap()),
            most,
        };
        async {
            let tickets = ledger.tickets(filter).await.unwrap();
            let numbers = tickets.iter().map(|ticket| ticket.number.to_string());
            numbers.collect::<Vec<_>>()
        }
    };
    assert_eq!(page(None, None, 2).await, ["LYN-000001", "LYN-000002"]);
    assert_eq!(
        page(None, Some("LYN-000002"), 9).await,
        ["LYN-000003", "PAR-000001"]
    );
    assert_eq!(
        page(Some("LYN"), Some("LYN-000002"), 9).await,
        ["LYN-000003"]
    );
    assert_eq!(
        page(Some("PAR"), Some("LYN-000002"), 9).await,
        ["PAR-000001"]
    );
    assert!(page(Some("NCE"), None, 9).await.is_empty());

    let file = ledger.ticket(lyon.number(2)).await.unwrap().unwrap();
    assert_eq!(file.row.filed.subject, "About b");
    assert_eq!(file.row.filed_at.to_string(), FILED_AT);
    assert_eq!(file.row.reporter, "j.martin");
    assert_eq!(file.comments.len(), 1);
    assert_eq!(file.comments[0].text, "More on b");
    assert!(ledger.ticket(lyon.number(4)).await.unwrap().is_none());
}

/// Everything up to a bound that no test reaches.
fn all() -> TicketFilter {
    TicketFilter {
        most: 1_000,
        ..TicketFilter::default()
    }
}

async fn effects(ledger: &impl Ledger, agent: &TestAgent) -> Vec<u64> {
    let held = ledger.held(agent.stream, Seq(0), 10_000).await.unwrap();
    for (held, count) in held.iter().zip(1..) {
        assert_eq!(held.seq, Seq(count as u64));
        assert_eq!(held.digest, agent.position(count).digest);
    }
    held.iter().map(|held| held.effects).collect()
}

fn codes(held: &Acknowledged) -> Vec<(u64, RejectionCode)> {
    let code = |at: &VerdictAt| match &at.verdict {
        Verdict::Rejected { reason } => (at.seq.0, reason.code),
        other => panic!("not a rejection: {other:?}"),
    };
    held.verdicts.iter().map(code).collect()
}

fn positions(events: &[branchline_protocol::event::Event]) -> Vec<u64> {
    events.iter().map(|event| event.position).collect()
}
