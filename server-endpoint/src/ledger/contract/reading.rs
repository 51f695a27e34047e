//! What can be read: the feed, agents, tickets.

use branchline_protocol::limits;
use branchline_protocol::time::UnixMillis;

use crate::ledger::{Appended, Ledger, TicketFilter};
use crate::testing::{FILED_AT, TestAgent, comment, unknown_kind};

pub(crate) async fn the_feed_gives_what_concerns_the_branch_in_pages(ledger: &impl Ledger) {
    let mut lyon = TestAgent::register(ledger, "LYN").await;
    let mut paris = TestAgent::register(ledger, "PAR").await;
    paris.journal.push(unknown_kind("p"));
    paris.submit_all(ledger).await;
    lyon.file(&["a"], 1);
    let held = lyon.submit_all(ledger).await;
    assert!(!held.gave_news && held.news.events.is_empty() && held.news.cursor.is_empty());
    let count = limits::FEED_EVENTS + 7;
    for index in 0..count {
        lyon.journal.push(unknown_kind(&index.to_string()));
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

pub(crate) async fn a_cursor_of_another_ledger_rewinds(ledger: &impl Ledger, other: &impl Ledger) {
    let mut cursors = Vec::new();
    for (ledger, word) in [(ledger as &dyn Ledger, "here"), (other, "there")] {
        let mut agent = TestAgent::register(ledger, "LYN").await;
        agent.journal.push(unknown_kind(word));
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

/// Whatever somebody knows of another branch: the cursor says only how far, and the branch is the agent's.
pub(crate) async fn a_cursor_of_another_branch_shows_nothing_of_it(ledger: &impl Ledger) {
    let mut lyon = TestAgent::register(ledger, "LYN").await;
    let mut paris = TestAgent::register(ledger, "PAR").await;
    lyon.journal.push(unknown_kind("l1"));
    paris.journal.push(unknown_kind("p1"));
    let theirs = lyon.submit_all(ledger).await.news;
    paris.submit_all(ledger).await;
    lyon.journal.push(unknown_kind("l2"));
    lyon.submit(ledger, 1, 2).await;

    let cursor = Some(theirs.cursor);
    let page = ledger.feed(paris.branch.clone(), cursor.clone());
    let page = page.await.unwrap();
    let own = ledger.feed(paris.branch.clone(), None).await.unwrap();
    assert_eq!(positions(&page.events), positions(&own.events));
    assert_eq!(page.events.len(), 1);
    paris.cursor = cursor;
    paris.journal.push(unknown_kind("p2"));
    let held = paris.submit(ledger, 1, 2).await;
    assert_eq!(held.news.events.len(), 2);
    let seen = positions(&held.news.events);
    assert!(
        positions(&theirs.events)
            .iter()
            .all(|at| !seen.contains(at))
    );
}

pub(crate) async fn agents_are_registered_and_heard_of(ledger: &impl Ledger) {
    let mut first = TestAgent::register(ledger, "LYN").await;
    let second = TestAgent::register(ledger, "LYN").await;
    TestAgent::register(ledger, "PAR").await;
    assert_eq!((first.ordinal, second.ordinal), (1, 2));
    let known = ledger.agent(first.id).await.unwrap().unwrap();
    assert_eq!((known.trust, known.certificate_until), (None, None));
    assert_eq!(known.contact, None);
    let nobody = branchline_protocol::id::AgentId::from_bytes([9; 16]);
    assert!(ledger.agent(nobody).await.unwrap().is_none());

    first.file(&["a", "b", "c"], 1);
    let mut submission = first.submission(0, 2);
    submission.health.oldest_waiting = Some(UnixMillis(5));
    submission.health.certificate_until = Some(UnixMillis(77));
    submission.health.trust = Some(3);
    let at = submission.received_at;
    assert!(matches!(
        ledger.append(submission).await,
        Ok(Appended::Held(_))
    ));
    // An answer that acknowledges nothing is a contact too.
    let contact = ledger
        .agent(first.id)
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
    let known = branches[0].agents[0].clone();
    // What the last submission does not say is as it was said before.
    assert_eq!(
        (known.trust, known.certificate_until),
        (Some(3), Some(UnixMillis(77)))
    );
    let contact = known.contact.unwrap();
    assert_eq!((contact.at.0, contact.version.len()), (at.0 + 1, 60));
}

pub(crate) async fn tickets_are_listed_and_shown(ledger: &impl Ledger) {
    let mut lyon = TestAgent::register(ledger, "LYN").await;
    let mut paris = TestAgent::register(ledger, "PAR").await;
    lyon.file(&["a", "b", "c"], 1);
    lyon.journal.push(comment("more", "b"));
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

fn positions(events: &[branchline_protocol::event::Event]) -> Vec<u64> {
    events.iter().map(|event| event.position).collect()
}
