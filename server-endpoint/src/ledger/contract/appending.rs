//! Submissions: what is appended, what is repeated, and what is refused (P2).

use branchline_protocol::event::{Event, EventBody, RejectionCode, Verdict, VerdictAt};
use branchline_protocol::exchange::{Continues, ForkCause};
use branchline_protocol::id::Seq;

use super::{all, codes, effects};
use crate::ledger::{Appended, Ledger};
use crate::testing::{TestAgent, comment, unknown_kind};

pub(crate) async fn repeats_and_overlaps_change_nothing(ledger: &impl Ledger) {
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

pub(crate) async fn a_gap_is_answered_with_the_head(ledger: &impl Ledger) {
    let mut agent = TestAgent::register(ledger, "LYN").await;
    agent.file(&["a", "b", "c"], 1);
    let appended = agent.append(ledger, 1, 3).await;
    assert!(matches!(appended, Appended::Gap { head } if head == agent.position(0)));
    agent.submit(ledger, 0, 1).await;
    let appended = agent.append(ledger, 2, 3).await;
    assert!(matches!(appended, Appended::Gap { head } if head == agent.position(1)));
    assert_eq!(agent.submit(ledger, 1, 3).await.appended, 2);
}

pub(crate) async fn a_fork_is_noticed_wherever_it_lies(ledger: &impl Ledger) {
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

pub(crate) async fn a_new_stream_repeats_operations_without_a_second_effect(ledger: &impl Ledger) {
    let mut agent = TestAgent::register(ledger, "LYN").await;
    agent.file(&["a", "b"], 1);
    agent.journal.push(unknown_kind("odd"));
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
    let repeated = forked.submit_all(ledger).await.verdicts;
    let number = forked.number(3);
    assert_eq!(
        repeated.last().unwrap().verdict,
        Verdict::Renumbered { number }
    );
    assert_eq!(ledger.tickets(all()).await.unwrap().len(), 3);
}

pub(crate) async fn a_new_stream_waits_for_what_it_continues(ledger: &impl Ledger) {
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

pub(crate) async fn a_stream_belongs_to_one_agent(ledger: &impl Ledger) {
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
    stranger.id = branchline_protocol::id::AgentId::from_bytes([9; 16]);
    let appended = stranger.append(ledger, 0, 1).await;
    assert!(matches!(appended, Appended::UnknownAgent), "{appended:?}");
}

pub(crate) async fn a_number_given_out_twice_is_told_apart(ledger: &impl Ledger) {
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
    let bodies: Vec<_> = held.news.events.iter().filter_map(Event::body).collect();
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

pub(crate) async fn a_ticket_filed_again_under_another_number_keeps_its_own(ledger: &impl Ledger) {
    let mut agent = TestAgent::register(ledger, "LYN").await;
    agent.file(&["a", "b"], 1);
    agent.submit_all(ledger).await;
    let mut restored = agent.forked("second", None);
    // A person's ticket came first, and took the number that "b" had.
    restored.journal = vec![restored.ticket("x", 2), restored.ticket("b", 3)];
    let held = restored.submit_all(ledger).await;
    let mut after = agent.number(2);
    after.suffix = 2;
    let expected = [(1, after.clone()), (2, agent.number(2))].map(|(seq, number)| VerdictAt {
        seq: Seq(seq),
        verdict: Verdict::Renumbered { number },
    });
    assert_eq!(held.verdicts, expected);
    let bodies: Vec<_> = held.news.events.iter().filter_map(Event::body).collect();
    assert!(
        matches!(&bodies[..], [_, EventBody::TicketRenumbered { given, number, .. }]
            if *given == agent.number(3) && *number == agent.number(2)),
        "{bodies:?}"
    );
    assert_eq!(effects(ledger, &restored).await, [1, 1]);
    assert_eq!(ledger.tickets(all()).await.unwrap().len(), 3);
    let mut third = restored.forked("third", None);
    third.journal = restored.journal.clone();
    assert_eq!(third.submit_all(ledger).await.verdicts, expected);
    assert_eq!(ledger.tickets(all()).await.unwrap().len(), 3);
}

pub(crate) async fn the_same_id_from_two_agents_is_two_operations(ledger: &impl Ledger) {
    let mut lyon = TestAgent::register(ledger, "LYN").await;
    let mut paris = TestAgent::register(ledger, "PAR").await;
    lyon.file(&["a"], 1);
    lyon.submit_all(ledger).await;
    paris.journal.push(paris.ticket("a", 1));
    paris.journal.push(comment("b", "a"));
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
