//! What the desk does, as the read model shows it.

use branchline_protocol::desk::TicketState;
use branchline_protocol::file::FileState;
use branchline_protocol::operation::Priority;

use super::{Central, TicketQuery};
use crate::desk::read_model::TicketView;
use crate::ledger::contract::attached::{TestFile, attach, move_to, receive};
use crate::ledger::contract::desk::{done, note, reply, shown};
use crate::ledger::contract::joining::deed;
use crate::ledger::contract::operators::name;
use crate::ledger::{Change, NewOperator, OperatorLedger, PasswordHash, Role};
use crate::testing::{TestAgent, comment, withdrawal};

async fn view(central: &Central, number: &str) -> TicketView {
    let found = central.model.ticket(number.to_owned()).await.unwrap();
    found.unwrap_or_else(|| panic!("no {number}"))
}

pub(super) async fn operator(central: &Central, who: &str) {
    let new = NewOperator {
        name: name(who),
        role: Role::Support,
        password: PasswordHash("x".into()),
        must_change: false,
        deed: deed("operator-added", who),
    };
    assert!(central.ledger.add_operator(new).await.unwrap());
}

fn entries(view: &TicketView) -> Vec<(&str, &str, &str)> {
    let entries = view.timeline.iter();
    let told = entries.map(|it| (it.kind.as_str(), it.who.as_str(), it.said.as_str()));
    told.collect()
}

/// A branch with a clean file on its first ticket, two more tickets, and all that the desk can do.
async fn worked_on() -> (Central, TestAgent, TestFile) {
    let central = Central::new();
    let ledger = &central.ledger;
    operator(&central, "anna").await;
    let mut lyon = TestAgent::register(ledger, "LYN").await;
    let file = TestFile::new("f", &["x"]);
    attach(ledger, &mut lyon, &file, "f").await;
    receive(ledger, &lyon, &file, "one").await;
    move_to(ledger, &file, FileState::Scanning).await;
    move_to(ledger, &file, FileState::Clean).await;
    lyon.file(&["b", "c"], 2);
    lyon.submit(ledger, 2, 4).await;
    let [a, b, c] = [1, 2, 3].map(|serial| lyon.number(serial));
    let answer = Change::Reply {
        text: "Have you tried the zweitdrucker?".into(),
        files: vec![file.id],
        then: Some(TicketState::Waiting),
    };
    done(ledger, "r", &a, answer).await;
    done(ledger, "n", &a, note("known from Strasbourg")).await;
    let to = Some(name("anna"));
    done(ledger, "as", &a, Change::Assign { to }).await;
    let tags = vec!["toner".into(), "old".into()];
    done(ledger, "t1", &a, Change::Tag { tags }).await;
    let tags = vec!["toner".into()];
    done(ledger, "t2", &a, Change::Tag { tags }).await;
    let classify = Change::Classify {
        priority: Priority::Low,
        category: "network".into(),
    };
    done(ledger, "c", &a, classify).await;
    done(ledger, "m", &b, Change::Merge { into: c }).await;
    central.catch_up().await;
    (central, lyon, file)
}

#[tokio::test]
async fn what_the_desk_did_is_shown() {
    let (central, lyon, file) = worked_on().await;
    let a = view(&central, "LYN-000001").await;
    let expected = [
        ("file", "j.martin", "f.pdf"),
        ("reply", "anna", "Have you tried the zweitdrucker?"),
        ("moved", "anna", "waiting"),
        ("note", "anna", "known from Strasbourg"),
        ("assigned", "anna", "anna"),
        ("tagged", "anna", "old\ntoner"),
        ("tagged", "anna", "toner"),
        ("classified", "anna", "low network"),
    ];
    assert_eq!(entries(&a), expected);
    for place in [0, 1] {
        let [with] = &a.timeline[place].files[..] else {
            panic!("{:?}", a.timeline[place]);
        };
        assert_eq!(
            (&with.id, with.state.as_str()),
            (file.id.as_bytes(), "clean")
        );
    }
    let summary = &a.summary;
    assert_eq!((summary.state.as_str(), summary.replies), ("waiting", 1));
    assert_eq!(
        (summary.priority.as_str(), summary.category.as_str()),
        ("low", "network")
    );
    assert_eq!(summary.assignee.as_deref(), Some("anna"));
    assert_eq!(summary.tags, ["toner"]);
    let [b, c] = ["LYN-000002", "LYN-000003"];
    let merged = view(&central, b).await;
    assert_eq!(merged.summary.state, "merged");
    assert_eq!(merged.merged_into.as_deref(), Some(c));
    assert_eq!(entries(&merged), [("merged", "anna", c)]);
    let goes_on = view(&central, c).await;
    assert_eq!(
        (goes_on.merged.as_slice(), goes_on.merged_into.as_deref()),
        (&[b.to_owned()][..], None)
    );
    assert_eq!(entries(&goes_on), [("merged", "anna", b)]);
    let tally = central.model.tally().await.unwrap();
    let of = |state: &str| ("LYN".to_owned(), state.to_owned(), 1);
    assert_eq!(tally, [of("merged"), of("new"), of("waiting")]);
    drop(lyon);
}

/// What the console says that it saw is what the ledger compares with: after anything that can happen.
#[tokio::test]
async fn versions_are_the_ledgers_own() {
    let (central, mut lyon, file) = worked_on().await;
    let said = [
        comment("more", "b"),
        comment("again", &format!("ticket of {}", lyon.id)),
        withdrawal("w", "c"),
        withdrawal("w2", "b"),
        // Filed again under another number, as an agent does that was restored.
        lyon.ticket("c", 9),
    ];
    for operation in said {
        let from = lyon.journal.len();
        lyon.journal.push(operation);
        lyon.submit(&central.ledger, from, from + 1).await;
    }
    // A second ticket of the same number.
    let mut fork = lyon.forked("another", None);
    fork.journal.push(fork.ticket("twice", 1));
    fork.submit_all(&central.ledger).await;
    let state = FileState::Infected {
        signature: "S".into(),
    };
    move_to(&central.ledger, &file, state).await;
    central.catch_up().await;
    let page = central.model.tickets(TicketQuery {
        most: 50,
        ..TicketQuery::default()
    });
    let tickets = page.await.unwrap().tickets;
    assert_eq!(tickets.len(), 4);
    for ticket in tickets {
        let number = ticket.number.parse().unwrap();
        let row = shown(&central.ledger, &number).await.row;
        assert_eq!(ticket.version, row.version, "{number}");
        assert_eq!(ticket.state, row.state.as_str(), "{number}");
        assert_eq!(ticket.assignee, row.assignee, "{number}");
        assert_eq!(ticket.tags, row.tags, "{number}");
    }
    let a = view(&central, "LYN-000001").await;
    assert_eq!(
        a.timeline.last().map(|entry| entry.said.as_str()),
        Some("open")
    );
    assert_eq!(
        a.timeline[1].files[0].state, "infected",
        "what was given is judged again"
    );
}

#[tokio::test]
async fn answers_are_found_and_filters_know_whose_tickets_are() {
    let (central, ..) = worked_on().await;
    for words in ["zweitdrucker", "strasbourg", "toner anna", "network"] {
        assert_eq!(central.found(words).await, ["LYN-000001"], "{words}");
    }
    assert!(
        central.found("waiting").await.is_empty(),
        "a state is no word that was said"
    );
    let found = async |query: TicketQuery| {
        let query = TicketQuery { most: 50, ..query };
        let tickets = central.model.tickets(query).await.unwrap().tickets;
        let serials = tickets
            .iter()
            .map(|ticket| ticket.number.rsplit('0').next().unwrap().to_owned());
        serials.collect::<Vec<_>>().join(" ")
    };
    let none = TicketQuery::default;
    let anna = Some("anna".to_owned());
    assert_eq!(
        found(TicketQuery {
            assignee: anna.clone(),
            ..none()
        })
        .await,
        "1"
    );
    assert_eq!(
        found(TicketQuery {
            unassigned: true,
            ..none()
        })
        .await,
        "3 2"
    );
    let either = TicketQuery {
        assignee: anna,
        unassigned: true,
        ..none()
    };
    assert_eq!(found(either).await, "3 2 1");
    let with = |tags: &[&str]| TicketQuery {
        tags: tags.iter().map(|&tag| tag.to_owned()).collect(),
        ..none()
    };
    assert_eq!(found(with(&["toner", "x"])).await, "1");
    assert_eq!(found(with(&["old"])).await, "", "a tag that was taken off");
    let categories = vec!["hardware".to_owned()];
    let hardware = TicketQuery {
        categories,
        ..none()
    };
    assert_eq!(found(hardware.clone()).await, "3 2");
    let search = "about".to_owned();
    assert_eq!(found(TicketQuery { search, ..hardware }).await, "3 2");
}

#[tokio::test]
async fn clocks_stop_with_the_first_answer_and_with_the_resolution_until_the_branch_speaks() {
    let central = Central::new();
    let ledger = &central.ledger;
    let mut lyon = TestAgent::register(ledger, "LYN").await;
    lyon.file(&["a", "b"], 1);
    lyon.submit_all(ledger).await;
    let [a, b] = [1, 2].map(|serial| lyon.number(serial));
    let clocks = async |number: &str| {
        central.catch_up().await;
        let summary = view(&central, number).await.summary;
        (
            summary.first_answered_at.is_some(),
            summary.resolved_at.is_some(),
        )
    };
    done(ledger, "n", &a, note("not an answer")).await;
    assert_eq!(clocks("LYN-000001").await, (false, false));
    done(ledger, "r", &a, reply("hello")).await;
    assert_eq!(clocks("LYN-000001").await, (true, false));
    let to = TicketState::Resolved;
    done(ledger, "m", &a, Change::Move { to }).await;
    done(ledger, "mb", &b, Change::Move { to }).await;
    assert_eq!(clocks("LYN-000001").await, (true, true));
    assert_eq!(clocks("LYN-000002").await, (true, true));
    lyon.journal.push(comment("no", "a"));
    lyon.submit(ledger, 2, 3).await;
    assert_eq!(clocks("LYN-000001").await, (true, false));
    assert_eq!(view(&central, "LYN-000001").await.summary.state, "open");
    // Made anew, it says the same.
    let before = view(&central, "LYN-000001").await;
    central.model.rebuild(ledger).await.unwrap();
    assert_eq!(view(&central, "LYN-000001").await, before);
}

#[tokio::test]
async fn pages_of_several_states_are_what_all_pages_have_of_them() {
    let (central, mut lyon, _) = worked_on().await;
    let words: Vec<String> = (0..40).map(|n| format!("more {n}")).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let from = lyon.journal.len();
    lyon.file(&words, 10);
    for word in words.iter().step_by(3) {
        lyon.journal.push(withdrawal(&format!("w {word}"), word));
    }
    lyon.submit(&central.ledger, from, lyon.journal.len()).await;
    central.catch_up().await;
    let listed = async |states: &[&str], branch: &str, search: &str, most: usize| {
        let mut query = TicketQuery {
            states: states.iter().map(|&state| state.to_owned()).collect(),
            branches: vec![branch.parse().unwrap()],
            search: search.to_owned(),
            most,
            ..TicketQuery::default()
        };
        let mut found = Vec::new();
        loop {
            let page = central.model.tickets(query.clone()).await.unwrap();
            assert!(page.tickets.len() <= most);
            found.extend(page.tickets);
            let Some(next) = page.next else { return found };
            query.after = Some(next);
        }
    };
    let all = listed(&[], "LYN", "", 200).await;
    assert_eq!(all.len(), 43);
    for states in [
        &["new"][..],
        &["new", "withdrawn"],
        &["merged", "waiting", "new", "new"],
        &["open", "closed"],
    ] {
        let wanted = all.iter().filter(|it| states.contains(&it.state.as_str()));
        let wanted: Vec<_> = wanted.collect();
        for most in [1, 7, 200] {
            let found = listed(states, "LYN", "", most).await;
            assert!(found.iter().eq(wanted.iter().copied()), "{states:?} {most}");
        }
        let of_words = wanted.iter().filter(|it| it.subject.contains("more"));
        let found = listed(states, "LYN", "more", 7).await;
        assert!(found.iter().eq(of_words.copied()), "{states:?}");
        assert!(listed(states, "PAR", "", 7).await.is_empty());
    }
}
