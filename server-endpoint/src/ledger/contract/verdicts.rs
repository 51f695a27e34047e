//! Operations that have no effect, and how the agent hears of it (P6).

use branchline_protocol::event::RejectionCode;
use branchline_protocol::limits;

use super::{codes, effects};
use crate::ledger::{Appended, Ledger, TicketState};
use crate::testing::{FILED_AT, TestAgent, comment, operation_id, unknown_kind, withdrawal};

pub(crate) async fn one_bad_operation_never_stops_the_others(ledger: &impl Ledger) {
    let mut agent = TestAgent::register(ledger, "LYN").await;
    let mut paris = TestAgent::register(ledger, "PAR").await;
    paris.file(&["p"], 1);
    paris.submit_all(ledger).await;
    let large = format!("\"{}\"", "x".repeat(limits::OPERATION_BYTES));
    agent.journal = vec![
        agent.ticket("a", 1),
        unknown_kind("u"),
        b"{\"no\":\"operation\"}".to_vec(),
        b"null".to_vec(),
        large.into_bytes(),
        agent.ticket("f", 2).repeat(1),
        paris.ticket("n", 2),
        comment("c1", "a"),
        comment("c2", "nothing"),
        comment("c3", "p"),
        withdrawal("w1", "a"),
        withdrawal("w2", "a"),
        comment("c4", "a"),
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

pub(crate) async fn verdicts_that_do_not_fit_an_answer_come_with_the_next(ledger: &impl Ledger) {
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
