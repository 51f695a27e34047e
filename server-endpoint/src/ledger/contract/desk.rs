//! What central support does to tickets, and what its branches hear of it.

use branchline_protocol::desk::TicketState;
use branchline_protocol::event::{Event, EventBody};
use branchline_protocol::file::FileState;
use branchline_protocol::id::{CommandId, FileId, TicketId, TicketNumber};
use branchline_protocol::limits;
use branchline_protocol::operation::Priority;
use futures_util::future::join_all;

use super::attached::{TestFile, attach, move_to, receive};
use super::joining::{NOW, deed};
use super::operators::name;
use crate::ledger::{
    Change, Command, Commanded, Ledger, NewOperator, OperatorLedger, PasswordHash, Role, TicketFile,
};
use crate::testing::{TestAgent, attachment, comment, operation_id, withdrawal};

pub(crate) fn command_id(word: &str) -> CommandId {
    CommandId::from_bytes(*operation_id(word).as_bytes())
}

pub(crate) async fn shown(ledger: &impl Ledger, number: &TicketNumber) -> TicketFile {
    ledger.ticket(number.clone()).await.unwrap().unwrap()
}

/// Anna's command, on the ticket as it is now.
pub(crate) async fn command(
    ledger: &impl Ledger,
    word: &str,
    ticket: &TicketNumber,
    change: Change,
) -> Command {
    Command {
        id: command_id(word),
        ticket: ticket.clone(),
        saw: shown(ledger, ticket).await.row.version,
        by: "anna".into(),
        at: NOW,
        change,
    }
}

/// The version after it.
pub(crate) async fn done(
    ledger: &impl Ledger,
    word: &str,
    ticket: &TicketNumber,
    change: Change,
) -> u64 {
    let command = command(ledger, word, ticket, change).await;
    match ledger.command(command).await.unwrap() {
        Commanded::Done { version } => version,
        other => panic!("{word}: {other:?}"),
    }
}

/// The field whose rule it breaks.
pub(crate) async fn refused(
    ledger: &impl Ledger,
    word: &str,
    ticket: &TicketNumber,
    change: Change,
) -> String {
    let before = shown(ledger, ticket).await.row.version;
    let command = command(ledger, word, ticket, change).await;
    match ledger.command(command).await.unwrap() {
        Commanded::Refused(fault) => {
            assert_eq!(shown(ledger, ticket).await.row.version, before);
            fault.field
        }
        other => panic!("{word}: {other:?}"),
    }
}

pub(crate) fn reply(text: &str) -> Change {
    Change::Reply {
        text: text.into(),
        files: Vec::new(),
        then: None,
    }
}

pub(crate) fn note(text: &str) -> Change {
    Change::Note { text: text.into() }
}

async fn operator(ledger: &impl OperatorLedger, who: &str) {
    let new = NewOperator {
        name: name(who),
        role: Role::Support,
        password: PasswordHash("x".into()),
        must_change: false,
        deed: deed("operator-added", who),
    };
    assert!(ledger.add_operator(new).await.unwrap());
}

/// What the branch's feed says of central support's work.
async fn heard(ledger: &impl Ledger, agent: &TestAgent) -> Vec<EventBody> {
    let page = ledger.feed(agent.branch.clone(), None).await.unwrap();
    let bodies = page.events.iter().filter_map(Event::body);
    let files = |body: &EventBody| matches!(body, EventBody::FileMoved { .. });
    bodies.filter(|body| !files(body)).collect()
}

async fn branch_with_tickets(ledger: &impl Ledger, words: &[&str]) -> TestAgent {
    let mut agent = TestAgent::register(ledger, "LYN").await;
    agent.file(words, 1);
    agent.submit_all(ledger).await;
    agent
}

/// Submits what was added to the journal since it had `from` operations.
async fn say(ledger: &impl Ledger, agent: &mut TestAgent, operations: Vec<Vec<u8>>) -> bool {
    let from = agent.journal.len();
    agent.journal.extend(operations);
    agent
        .submit(ledger, from, agent.journal.len())
        .await
        .gave_news
}

pub(crate) async fn commands_change_a_ticket_and_tell_its_branch(
    ledger: &(impl Ledger + OperatorLedger),
) {
    operator(ledger, "anna").await;
    let agent = branch_with_tickets(ledger, &["a"]).await;
    let (number, ticket) = (agent.number(1), TicketId::from(operation_id("a")));
    let filed = shown(ledger, &number).await.row;
    assert_eq!((filed.state, filed.version > 0), (TicketState::New, true));

    let answer = Change::Reply {
        text: "Which printer?".into(),
        files: Vec::new(),
        then: Some(TicketState::Waiting),
    };
    let first = done(ledger, "r", &number, answer).await;
    done(ledger, "n", &number, note("ask Ben")).await;
    let to = Some(name("anna"));
    done(ledger, "as", &number, Change::Assign { to }).await;
    let tags = vec!["till".into(), " lyon".into(), "till".into()];
    done(ledger, "t", &number, Change::Tag { tags }).await;
    let seen = Change::Classify {
        priority: Priority::Low,
        category: "network".into(),
    };
    done(ledger, "c", &number, seen).await;
    let to = TicketState::Resolved;
    let last = done(ledger, "m", &number, Change::Move { to }).await;

    let file = shown(ledger, &number).await;
    let row = &file.row;
    assert_eq!((row.state, row.version), (TicketState::Resolved, last));
    assert_eq!(
        (row.priority, row.category.as_str()),
        (Priority::Low, "network")
    );
    assert_eq!((row.filed.priority, row.tags.len()), (Priority::High, 2));
    assert_eq!(row.assignee.as_deref(), Some("anna"));
    let answers: Vec<_> = file
        .answers
        .iter()
        .map(|answer| (answer.text.as_str(), answer.is_note))
        .collect();
    assert_eq!(answers, [("Which printer?", false), ("ask Ben", true)]);
    assert!(first < last);

    let by = || "anna".to_owned();
    let moved = |state| EventBody::TicketMoved {
        ticket,
        state,
        by: Some(by()),
    };
    let expected = [
        EventBody::ReplyAdded {
            ticket,
            reply: command_id("r"),
            by: by(),
            text: "Which printer?".into(),
            files: Vec::new(),
        },
        moved(TicketState::Waiting),
        EventBody::TicketClassified {
            ticket,
            priority: Priority::Low,
            category: "network".into(),
            by: by(),
        },
        moved(TicketState::Resolved),
    ];
    assert_eq!(heard(ledger, &agent).await, expected);
}

/// Whatever is for central alone is in nobody's feed, to the byte.
pub(crate) async fn what_central_says_to_itself_reaches_no_branch(
    ledger: &(impl Ledger + OperatorLedger),
) {
    operator(ledger, "confidential.operator").await;
    let agent = branch_with_tickets(ledger, &["a"]).await;
    let number = agent.number(1);
    done(
        ledger,
        "open",
        &number,
        Change::Move {
            to: TicketState::Open,
        },
    )
    .await;
    done(ledger, "n", &number, note("confidential note")).await;
    let tags = vec!["confidential tag".into()];
    done(ledger, "t", &number, Change::Tag { tags }).await;
    let to = Some(name("confidential.operator"));
    done(ledger, "as", &number, Change::Assign { to }).await;
    done(ledger, "r", &number, reply("for all")).await;
    let page = ledger.feed(agent.branch.clone(), None).await.unwrap();
    let said: Vec<_> = page.events.iter().map(|event| event.body.get()).collect();
    let said = said.join("\n");
    assert!(said.contains("for all"), "{said}");
    assert!(!said.contains("confidential"), "{said}");
}

pub(crate) async fn a_command_that_saw_an_older_ticket_changes_nothing(ledger: &impl Ledger) {
    let mut agent = branch_with_tickets(ledger, &["a"]).await;
    let number = agent.number(1);
    let late = command(ledger, "late", &number, reply("late")).await;
    say(ledger, &mut agent, vec![comment("more", "a")]).await;
    let version = shown(ledger, &number).await.row.version;
    assert!(version > late.saw);
    let stale = Commanded::Stale { version };
    assert_eq!(ledger.command(late.clone()).await.unwrap(), stale);
    let ahead = Command {
        saw: version + 1,
        ..late.clone()
    };
    assert_eq!(ledger.command(ahead).await.unwrap(), stale);
    assert_eq!(shown(ledger, &number).await.answers.len(), 0);
    // Having seen what is new, under the same id.
    let again = Command {
        saw: version,
        ..late
    };
    let answer = ledger.command(again).await.unwrap();
    assert!(matches!(answer, Commanded::Done { .. }), "{answer:?}");
    let nobody = command(ledger, "x", &number, reply("x")).await;
    let nobody = Command {
        ticket: agent.number(2),
        ..nobody
    };
    let answer = ledger.command(nobody).await.unwrap();
    assert_eq!(answer, Commanded::UnknownTicket);
}

/// What becomes of a file is nothing that an answer has to wait for.
pub(crate) async fn files_that_move_make_no_command_stale(ledger: &impl Ledger) {
    let mut agent = TestAgent::register(ledger, "LYN").await;
    let file = TestFile::new("f", &["x"]);
    attach(ledger, &mut agent, &file, "f").await;
    let late = command(ledger, "late", &agent.number(1), reply("late")).await;
    receive(ledger, &agent, &file, "one").await;
    move_to(ledger, &file, FileState::Scanning).await;
    move_to(ledger, &file, FileState::Clean).await;
    let answer = ledger.command(late).await.unwrap();
    assert!(matches!(answer, Commanded::Done { .. }), "{answer:?}");
}

pub(crate) async fn of_many_commands_at_once_one_is_carried_out(ledger: &impl Ledger) {
    let agent = branch_with_tickets(ledger, &["a"]).await;
    let number = agent.number(1);
    let saw = shown(ledger, &number).await.row.version;
    let racing = (0..20).map(|index| {
        ledger.command(Command {
            id: command_id(&index.to_string()),
            ticket: number.clone(),
            saw,
            by: format!("operator {index}"),
            at: NOW,
            change: reply(&format!("answer {index}")),
        })
    });
    let answers: Vec<_> = join_all(racing)
        .await
        .into_iter()
        .map(Result::unwrap)
        .collect();
    let done = |answer: &&Commanded| matches!(answer, Commanded::Done { .. });
    assert_eq!(answers.iter().filter(done).count(), 1, "{answers:?}");
    let file = shown(ledger, &number).await;
    assert_eq!(file.answers.len(), 1);
    let version = file.row.version;
    for answer in answers.iter().filter(|answer| !done(answer)) {
        assert_eq!(*answer, Commanded::Stale { version });
    }
}

pub(crate) async fn a_command_given_again_is_answered_as_the_first_time(ledger: &impl Ledger) {
    let mut agent = branch_with_tickets(ledger, &["a", "b"]).await;
    let number = agent.number(1);
    let first = command(ledger, "r", &number, reply("hello")).await;
    let racing = join_all((0..9).map(|_| ledger.command(first.clone()))).await;
    let version = shown(ledger, &number).await.row.version;
    let answer = Commanded::Done { version };
    assert!(
        racing.iter().all(|it| it.as_ref() == Ok(&answer)),
        "{racing:?}"
    );
    // Later, when the ticket is another and whoever asks has seen that.
    say(ledger, &mut agent, vec![comment("more", "a")]).await;
    let saw = shown(ledger, &number).await.row.version;
    let again = Command {
        saw,
        at: branchline_protocol::time::UnixMillis(NOW.0 + 1),
        ..first.clone()
    };
    assert_eq!(ledger.command(again).await.unwrap(), answer);
    assert_eq!(shown(ledger, &number).await.answers.len(), 1);
    let text = "hello".to_owned();
    let then = Some(TicketState::Closed);
    let other_ways = [
        (agent.number(2), "anna", first.change.clone()),
        (number.clone(), "ben", first.change.clone()),
        (number.clone(), "anna", reply("hello!")),
        (number.clone(), "anna", note("hello")),
        (
            number.clone(),
            "anna",
            Change::Reply {
                text,
                files: Vec::new(),
                then,
            },
        ),
    ];
    for (ticket, by, change) in other_ways {
        let other = Command {
            ticket,
            by: by.into(),
            change,
            saw,
            ..first.clone()
        };
        let answer = ledger.command(other.clone()).await.unwrap();
        assert_eq!(answer, Commanded::IdTaken, "{other:?}");
    }
}

pub(crate) async fn a_branch_that_speaks_opens_its_ticket_again(ledger: &impl Ledger) {
    let mut agent = branch_with_tickets(ledger, &["a"]).await;
    let number = agent.number(1);
    assert!(!say(ledger, &mut agent, vec![comment("c", "a")]).await);
    assert_eq!(shown(ledger, &number).await.row.state, TicketState::New);
    let away = [
        TicketState::Waiting,
        TicketState::Resolved,
        TicketState::Closed,
    ];
    for (index, to) in (0..).zip(away.into_iter().chain(away)) {
        done(ledger, &format!("m{index}"), &number, Change::Move { to }).await;
        let word = format!("w{index}");
        let said = if index < 3 {
            comment(&word, "a")
        } else {
            attachment(&word, "a", 5, branchline_protocol::id::Digest([7; 32]))
        };
        assert!(
            say(ledger, &mut agent, vec![said]).await,
            "news for the branch"
        );
        let row = shown(ledger, &number).await.row;
        assert_eq!(row.state, TicketState::Open, "from {to}");
        let opened = EventBody::TicketMoved {
            ticket: row.id,
            state: TicketState::Open,
            by: None,
        };
        assert_eq!(heard(ledger, &agent).await.last(), Some(&opened));
        let seen = command(ledger, &word, &number, note("seen")).await;
        let answer = ledger.command(seen).await.unwrap();
        assert!(
            matches!(answer, Commanded::Done { .. }),
            "the version is the last event's"
        );
    }
}

pub(crate) async fn what_is_said_on_a_merged_ticket_opens_the_one_that_goes_on(
    ledger: &impl Ledger,
) {
    let mut agent = branch_with_tickets(ledger, &["a", "b", "c"]).await;
    let [a, b, c] = [1, 2, 3].map(|serial| agent.number(serial));
    done(ledger, "ab", &a, Change::Merge { into: b.clone() }).await;
    done(ledger, "bc", &b, Change::Merge { into: c.clone() }).await;
    let to = TicketState::Resolved;
    done(ledger, "c", &c, Change::Move { to }).await;
    say(ledger, &mut agent, vec![comment("on a", "a")]).await;
    let merged = shown(ledger, &a).await;
    assert_eq!(
        (merged.row.state, merged.comments.len()),
        (TicketState::Merged, 1)
    );
    assert_eq!(merged.row.merged_into, Some(b.clone()));
    assert_eq!(shown(ledger, &b).await.row.state, TicketState::Merged);
    assert_eq!(shown(ledger, &c).await.row.state, TicketState::Open);
    // And a branch that takes back what was merged leaves the other one as it is.
    say(ledger, &mut agent, vec![withdrawal("w", "a")]).await;
    assert_eq!(shown(ledger, &a).await.row.state, TicketState::Merged);
    assert_eq!(shown(ledger, &c).await.row.state, TicketState::Open);
}

pub(crate) async fn what_is_withdrawn_or_merged_stays_so(ledger: &impl Ledger) {
    let mut agent = branch_with_tickets(ledger, &["a", "b", "c"]).await;
    let [a, b, c] = [1, 2, 3].map(|serial| agent.number(serial));
    say(ledger, &mut agent, vec![withdrawal("w", "a")]).await;
    done(ledger, "m", &b, Change::Merge { into: c.clone() }).await;
    for (number, state) in [(&a, TicketState::Withdrawn), (&b, TicketState::Merged)] {
        let classify = Change::Classify {
            priority: Priority::Low,
            category: "x".into(),
        };
        let ways = [
            reply("no"),
            Change::Move {
                to: TicketState::Open,
            },
            Change::Assign { to: None },
            classify,
            Change::Merge { into: c.clone() },
        ];
        for (index, change) in ways.into_iter().enumerate() {
            let word = format!("{number} {index}");
            assert_eq!(refused(ledger, &word, number, change).await, "ticket");
        }
        let into = Change::Merge {
            into: number.clone(),
        };
        assert_eq!(refused(ledger, "into", &c, into).await, "into");
        done(
            ledger,
            &format!("n {number}"),
            number,
            note("for the record"),
        )
        .await;
        let tags = vec!["x".into()];
        done(ledger, &format!("t {number}"), number, Change::Tag { tags }).await;
        let on = if *number == a { "a" } else { "b" };
        say(ledger, &mut agent, vec![comment(&format!("c {on}"), on)]).await;
        assert_eq!(shown(ledger, number).await.row.state, state);
    }
}

/// Commands on the first ticket of `own`, each with the field whose rule it breaks. The first of `other`, of
/// another branch, is there.
fn breaking_rules(own: &TestAgent, other: &TestAgent) -> Vec<(Change, &'static str)> {
    let long = "x".repeat(limits::TEXT_CHARS + 1);
    let classify = |category: &str| Change::Classify {
        priority: Priority::Low,
        category: category.into(),
    };
    let tags = |tags: Vec<String>| Change::Tag { tags };
    let then = |state| Change::Reply {
        text: "x".into(),
        files: Vec::new(),
        then: Some(state),
    };
    let merge = |into| Change::Merge { into };
    let to = |to| Change::Move { to };
    let many = (0..=limits::TAGS).map(|tag| tag.to_string()).collect();
    let nobody: FileId = operation_id("nobody").into();
    let files = Change::Reply {
        text: "x".into(),
        files: vec![nobody],
        then: None,
    };
    let too_many = Change::Reply {
        text: "x".into(),
        files: vec![nobody; limits::REPLY_FILES + 1],
        then: None,
    };
    vec![
        (reply(""), "text"),
        (reply(&long), "text"),
        (reply("bell\u{7}"), "text"),
        (note(" \n"), "text"),
        (note(&long), "text"),
        (then(TicketState::New), "then"),
        (then(TicketState::Withdrawn), "then"),
        (then(TicketState::Merged), "then"),
        (then(TicketState::Other), "then"),
        (files, "files[0]"),
        (too_many, "files"),
        (to(TicketState::New), "to"),
        (to(TicketState::Withdrawn), "to"),
        (to(TicketState::Merged), "to"),
        (to(TicketState::Other), "to"),
        (classify(""), "category"),
        (classify("two\nlines"), "category"),
        (
            classify(&"x".repeat(limits::CATEGORY_CHARS + 1)),
            "category",
        ),
        (tags(vec![String::new()]), "tags[0]"),
        (
            tags(vec!["a".into(), "x".repeat(limits::TAG_CHARS + 1)]),
            "tags[1]",
        ),
        (tags(many), "tags"),
        (merge(own.number(1)), "into"),
        (merge(own.number(3)), "into"),
        (merge(other.number(1)), "into"),
        (
            Change::Assign {
                to: Some(name("nobody")),
            },
            "to",
        ),
    ]
}

pub(crate) async fn a_command_that_breaks_a_rule_is_refused_by_field(
    ledger: &(impl Ledger + OperatorLedger),
) {
    let agent = branch_with_tickets(ledger, &["a", "b"]).await;
    let mut paris = TestAgent::register(ledger, "PAR").await;
    paris.file(&["p"], 1);
    paris.submit_all(ledger).await;
    let number = agent.number(1);
    let to = |to| Change::Move { to };
    for (index, (change, field)) in breaking_rules(&agent, &paris).into_iter().enumerate() {
        let words = format!("{change:?}");
        let found = refused(ledger, &index.to_string(), &number, change).await;
        assert_eq!(found, field, "{words}");
    }
    let mut nameless = command(ledger, "by", &number, note("x")).await;
    nameless.by = "two\nlines".into();
    let answer = ledger.command(nameless).await.unwrap();
    assert!(matches!(answer, Commanded::Refused(fault) if fault.field == "by"));
    assert_eq!(heard(ledger, &agent).await, []);
    done(ledger, "now", &number, to(TicketState::Open)).await;
    assert_eq!(
        refused(ledger, "again", &number, to(TicketState::Open)).await,
        "to"
    );
}

pub(crate) async fn whoever_takes_up_a_new_ticket_opens_it(
    ledger: &(impl Ledger + OperatorLedger),
) {
    operator(ledger, "anna").await;
    let agent = branch_with_tickets(ledger, &["a", "b"]).await;
    let [a, b] = [1, 2].map(|serial| agent.number(serial));
    let assign = |to| Change::Assign { to };
    let none = done(ledger, "none", &a, assign(None)).await;
    assert_eq!(shown(ledger, &a).await.row.state, TicketState::New);
    let taken = done(ledger, "anna", &a, assign(Some(name("anna")))).await;
    assert_eq!(shown(ledger, &a).await.row.state, TicketState::Open);
    assert!(taken > none);
    let same = done(ledger, "same", &a, assign(Some(name("anna")))).await;
    assert_eq!(same, taken, "nothing changed");
    done(ledger, "b", &b, reply("hello")).await;
    assert_eq!(shown(ledger, &b).await.row.state, TicketState::Open);
}

/// P5: no file goes to a branch that central has not found harmless, in whatever state it is.
pub(crate) async fn p5_a_reply_gives_only_files_that_are_clean_or_released(ledger: &impl Ledger) {
    let mut agent = TestAgent::register(ledger, "LYN").await;
    let mut number = None;
    let infected = FileState::Infected {
        signature: "S".into(),
    };
    let released = FileState::Released {
        by: "b".into(),
        reason: "r".into(),
    };
    let ways: [&[FileState]; 7] = [
        &[],
        &[FileState::Scanning],
        &[FileState::Scanning, FileState::Clean],
        &[FileState::Scanning, infected.clone()],
        &[FileState::Scanning, FileState::Held],
        &[FileState::Scanning, FileState::Held, released],
        &[FileState::Scanning, FileState::Clean, infected],
    ];
    for (index, way) in ways.into_iter().enumerate() {
        let word = format!("f{index}");
        let file = TestFile::new(&word, &[&word]);
        attach(ledger, &mut agent, &file, &word).await;
        let number = number.get_or_insert_with(|| agent.number(1)).clone();
        receive(ledger, &agent, &file, &word).await;
        for state in way {
            move_to(ledger, &file, state.clone()).await;
        }
        let given = Change::Reply {
            text: "see here".into(),
            files: vec![file.id],
            then: None,
        };
        let offered = async |branch: &str| {
            let branch = branch.parse().unwrap();
            ledger.offered(branch, file.id).await.unwrap()
        };
        if [2, 5].contains(&index) {
            done(ledger, &word, &number, given).await;
            let offer = offered("LYN").await.unwrap();
            assert_eq!((offer.size, offer.root), (file.size(), file.root));
            assert_eq!(offer.name, format!("{word}.pdf"));
            let answers = shown(ledger, &number).await.answers;
            assert_eq!(answers.last().unwrap().files, [offer]);
        } else {
            assert_eq!(refused(ledger, &word, &number, given).await, "files[0]");
            assert_eq!(offered("LYN").await, None);
        }
        assert_eq!(
            offered("PAR").await,
            None,
            "another branch has nothing of it"
        );
    }
}
