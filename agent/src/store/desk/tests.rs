//! What central says back: kept, offline, once, and within bounds whatever it is.

use branchline_agent_api::{NewsKind, TicketDetails};
use branchline_protocol::desk::{Category, Localized};
use branchline_protocol::exchange::FeedReply;
use branchline_protocol::file::FileState;
use branchline_protocol::id::{Digest, FileId};
use serde_json::value::RawValue;

use super::*;
use crate::store::finding::{Question, Sight};
use crate::store::given::Standing;
use crate::store::tests::{ROOMY, id, open, ticket};
use crate::store::{LEAST_LIMIT_BYTES, StoreSettings};

fn everything(limit: u32) -> Question {
    Question {
        before: None,
        limit,
        sight: Sight::All,
        search: None,
    }
}

fn command(n: u8) -> CommandId {
    CommandId::from_bytes([n; 16])
}

fn reply(n: u8, on: u64, text: &str) -> EventBody {
    EventBody::ReplyAdded {
        ticket: id(on).into(),
        reply: command(n),
        by: "anna".to_owned(),
        text: text.to_owned(),
        files: Vec::new(),
    }
}

fn moved(on: u64, state: TicketState) -> EventBody {
    EventBody::TicketMoved {
        ticket: id(on).into(),
        state,
        by: None,
    }
}

fn catalogue(serial: u64, code: &str) -> Catalogue {
    let name = Localized([("en".to_owned(), "Till".to_owned())].into());
    Catalogue {
        serial,
        categories: vec![Category {
            code: code.to_owned(),
            name,
            hint: None,
            priority: None,
        }],
        file_bytes: None,
    }
}

/// A page of the feed: these events from this position on.
fn page(from: u64, rewound: bool, bodies: &[EventBody]) -> FeedReply {
    let events = (from..).zip(bodies).map(|(position, body)| {
        let (kind, body) = body.to_parts();
        Event {
            position,
            at: UnixMillis(i64::try_from(position).unwrap()),
            kind,
            body,
        }
    });
    FeedReply {
        feed: events.collect(),
        cursor: format!("{from}-a"),
        rewound,
        server_time: UnixMillis(1),
    }
}

async fn shown(store: &Store) -> TicketDetails {
    let number = "LYN-000001".parse().unwrap();
    store.ticket(number).await.unwrap().unwrap()
}

fn texts(ticket: &TicketDetails) -> Vec<&str> {
    ticket
        .replies
        .iter()
        .map(|reply| reply.text.as_str())
        .collect()
}

#[tokio::test]
async fn what_central_said_is_there_offline_and_once() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path(), ROOMY);
    ticket(&store, 1).await;
    assert_eq!(shown(&store).await.summary.state, TicketState::New);
    let classified = EventBody::TicketClassified {
        ticket: id(1).into(),
        priority: Priority::Urgent,
        category: "till".to_owned(),
        by: "anna".to_owned(),
    };
    let file = OfferedFile {
        file: FileId::from_bytes([5; 16]),
        name: "manual.pdf".to_owned(),
        size: 9,
        root: Digest([6; 32]),
    };
    let mut with_file = reply(2, 1, "second");
    if let EventBody::ReplyAdded { files, .. } = &mut with_file {
        files.push(file.clone());
    }
    let said = [
        reply(1, 1, "first"),
        moved(1, TicketState::Waiting),
        classified,
        with_file,
        EventBody::CatalogueChanged {
            catalogue: catalogue(1, "till"),
        },
        EventBody::BandwidthChanged {
            serial: 1,
            rate: Some("256 kbit/s".to_owned()),
        },
    ];
    for _ in 0..2 {
        store.apply_feed(page(1, false, &said)).await.unwrap();
    }
    // From the first event on, because central was restored; and once more, after a start.
    store.apply_feed(page(1, true, &said)).await.unwrap();
    drop(store);
    let store = open(folder.path(), ROOMY);
    let now = shown(&store).await;
    assert_eq!(texts(&now), ["first", "second"]);
    assert_eq!(now.replies[1].files, [file]);
    let summary = &now.summary;
    assert_eq!(
        (summary.state, summary.priority),
        (TicketState::Waiting, Priority::Urgent)
    );
    assert_eq!(summary.category, "till");
    let policy = store.policy().borrow().clone();
    assert_eq!(policy.catalogue, catalogue(1, "till"));
    assert_eq!(policy.rate, Some(Rate::Bytes(32_000)));
    let list = store.tickets(everything(10)).await.unwrap().tickets;
    assert_eq!(list[0].state, TicketState::Waiting);
}

#[tokio::test]
async fn files_that_come_with_answers_are_fetched_once_and_again_only_when_given_again() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path(), ROOMY);
    ticket(&store, 1).await;
    let file = |n: u8, size| OfferedFile {
        file: FileId::from_bytes([n; 16]),
        name: format!("{n}.pdf"),
        size,
        root: Digest([n; 32]),
    };
    let with = |word: u8, given: &[OfferedFile]| {
        let mut body = reply(word, 1, "see here");
        if let EventBody::ReplyAdded { files, .. } = &mut body {
            files.extend_from_slice(given);
        }
        body
    };
    let [large, small] = [file(1, 900), file(2, 9)];
    let first = [with(1, &[large.clone(), small.clone()])];
    store.apply_feed(page(1, false, &first)).await.unwrap();
    let wanted = async || store.given_wanted(9).await.unwrap();
    assert_eq!(
        wanted().await,
        [small.clone(), large.clone()],
        "small ones first"
    );
    for given in [&large, &small] {
        store.note_given(given.file, Standing::Here).await.unwrap();
    }
    assert_eq!(store.given_oldest().await.unwrap(), Some(large.file));
    store.note_given(large.file, Standing::Gone).await.unwrap();
    assert_eq!(store.given_oldest().await.unwrap(), Some(small.file));
    // Heard again, and given again.
    store.apply_feed(page(1, true, &first)).await.unwrap();
    assert_eq!(wanted().await, []);
    let again = [with(2, &[large.clone(), small.clone()])];
    store.apply_feed(page(2, false, &again)).await.unwrap();
    assert_eq!(wanted().await, std::slice::from_ref(&large));
    store
        .note_given(large.file, Standing::Refused)
        .await
        .unwrap();
    let known = store.given(large.file).await.unwrap();
    assert_eq!(known, Some((large, Standing::Refused)));
    assert_eq!(
        store.given(FileId::from_bytes([9; 16])).await.unwrap(),
        None
    );
}

#[tokio::test]
async fn what_a_restored_central_does_not_know_is_void() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path(), ROOMY);
    ticket(&store, 1).await;
    let merged = EventBody::TicketMerged {
        ticket: id(1).into(),
        into: id(9).into(),
        number: "LYN-000009".parse().unwrap(),
        by: "anna".to_owned(),
    };
    let said = [
        reply(1, 1, "read"),
        merged,
        EventBody::CatalogueChanged {
            catalogue: catalogue(7, "till"),
        },
        EventBody::BandwidthChanged {
            serial: 7,
            rate: Some("256 kbit/s".to_owned()),
        },
    ];
    store.apply_feed(page(1, false, &said)).await.unwrap();
    let before = shown(&store).await.summary;
    assert_eq!(before.state, TicketState::Merged);
    assert_eq!(before.merged_into.map(|into| into.serial), Some(9));
    // Older than what was heard: not believed, unless central was restored.
    let older = [
        EventBody::CatalogueChanged {
            catalogue: catalogue(2, "web"),
        },
        EventBody::BandwidthChanged {
            serial: 2,
            rate: None,
        },
    ];
    let mut policy = store.policy();
    policy.mark_unchanged();
    store.apply_feed(page(5, false, &older)).await.unwrap();
    assert!(!policy.has_changed().unwrap());
    store.apply_feed(page(1, true, &older)).await.unwrap();
    assert!(policy.has_changed().unwrap());
    assert_eq!(policy.borrow_and_update().catalogue, catalogue(2, "web"));
    assert_eq!(policy.borrow().rate, None);
    let now = shown(&store).await;
    assert_eq!(
        (now.summary.state, now.summary.merged_into.clone()),
        (TicketState::New, None)
    );
    assert_eq!(texts(&now), ["read"], "what somebody may have read stays");
}

/// What no central says, and what it says of a ticket between.
fn monstrous() -> Vec<EventBody> {
    let file = OfferedFile {
        file: FileId::from_bytes([5; 16]),
        name: "x\r\n../".repeat(1_000),
        size: 9,
        root: Digest([6; 32]),
    };
    let huge = OfferedFile {
        size: u64::MAX,
        ..file.clone()
    };
    let mut files = vec![huge];
    files.extend(vec![file; 1_000]);
    let monster = EventBody::ReplyAdded {
        ticket: id(1).into(),
        reply: command(1),
        by: "a\u{1b}[31m".repeat(1_000),
        text: "\u{1F5A8}".repeat(200_000),
        files,
    };
    let mut large = catalogue(9, "till");
    large.categories[0]
        .name
        .0
        .insert("en".to_owned(), "x".repeat(100_000));
    vec![
        monster,
        moved(1, TicketState::Resolved),
        moved(1, TicketState::Other),
        moved(1, TicketState::Withdrawn),
        moved(1, TicketState::Merged),
        reply(2, 77, "on a ticket that nobody here has"),
        moved(77, TicketState::Closed),
        EventBody::TicketClassified {
            ticket: id(1).into(),
            priority: Priority::Low,
            category: "two\nlines".to_owned(),
            by: String::new(),
        },
        EventBody::CatalogueChanged { catalogue: large },
        EventBody::BandwidthChanged {
            serial: u64::MAX,
            rate: Some("fast, please".to_owned()),
        },
        EventBody::FileMoved {
            file: FileId::from_bytes([5; 16]),
            state: FileState::Clean,
        },
    ]
}

/// P6, P8: whatever central sends, the journal takes the rest and goes on.
#[tokio::test]
async fn p8_nothing_that_central_says_harms_the_journal() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path(), ROOMY);
    ticket(&store, 1).await;
    let mut feed = page(1, false, &monstrous());
    for (kind, body) in [
        ("dance", "7"),
        ("reply_added", "{}"),
        ("ticket_moved", "[]"),
    ] {
        feed.feed.push(Event {
            position: u64::MAX,
            at: UnixMillis(i64::MAX),
            kind: kind.to_owned(),
            body: RawValue::from_string(body.to_owned()).unwrap(),
        });
    }
    store.apply_feed(feed).await.unwrap();
    let now = shown(&store).await;
    assert_eq!(now.summary.state, TicketState::Resolved);
    assert_eq!(
        (now.summary.priority, now.summary.category.as_str()),
        (Priority::Normal, "hardware")
    );
    let [kept] = &now.replies[..] else {
        panic!("{} replies", now.replies.len());
    };
    assert_eq!(kept.text.chars().count(), limits::TEXT_CHARS);
    assert!(kept.by.chars().count() <= limits::USER_CHARS && !kept.by.contains('\u{1b}'));
    assert_eq!(kept.files.len(), limits::REPLY_FILES);
    assert!(
        kept.files
            .iter()
            .all(|file| file.name.chars().count() <= limits::FILE_NAME_CHARS)
    );
    assert_eq!(*store.policy().borrow(), Policy::default());
    assert_eq!(store.feed_cursor().await.unwrap().as_deref(), Some("1-a"));
}

#[tokio::test]
async fn p9_replies_leave_room_for_tickets() {
    let folder = tempfile::tempdir().unwrap();
    let settings = StoreSettings {
        folder: folder.path().to_owned(),
        limit_bytes: LEAST_LIMIT_BYTES,
        branch: "LYN".parse().unwrap(),
        ordinal: 1,
        agent: None,
        chunks: ROOMY,
    };
    let store = Store::open(settings, UnixMillis(1_790_000_000_000)).unwrap();
    ticket(&store, 1).await;
    let mut position = 1;
    for round in 0..20_u8 {
        let said: Vec<EventBody> = (0..50_u8)
            .map(|n| {
                let mut reply = reply(0, 1, &format!("{round} {n} {}", "x".repeat(15_000)));
                if let EventBody::ReplyAdded { reply: name, .. } = &mut reply {
                    *name =
                        CommandId::from_bytes([[round; 8], [n; 8]].concat().try_into().unwrap());
                }
                reply
            })
            .collect();
        store
            .apply_feed(page(position, false, &said))
            .await
            .unwrap();
        position += 50;
    }
    let now = shown(&store).await;
    let bytes: usize = now.replies.iter().map(|reply| reply.text.len()).sum();
    assert!(
        bytes as u64 <= LEAST_LIMIT_BYTES / PART_OF_JOURNAL,
        "{bytes}"
    );
    assert!(
        now.replies.last().unwrap().text.starts_with("19 49"),
        "the newest stay"
    );
    assert!(now.replies.len() > 5);
    for n in 2..20 {
        ticket(&store, n).await;
    }
}

#[tokio::test]
async fn news_are_told_once_to_whoever_filed() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path(), ROOMY);
    ticket(&store, 1).await;
    let news = |after: Option<u64>, user: &str| store.news(after, user.to_owned());
    let (told, start) = news(None, "marie").await.unwrap();
    assert!(told.is_empty(), "{told:?}");
    let said = [
        reply(1, 1, "first"),
        moved(1, TicketState::Waiting),
        moved(1, TicketState::Waiting),
        reply(1, 1, "first"),
    ];
    let mut commits = store.commits();
    commits.borrow_and_update();
    store.apply_feed(page(1, false, &said)).await.unwrap();
    commits.changed().await.unwrap();
    let (told, newest) = news(Some(start), "marie").await.unwrap();
    let kinds: Vec<_> = told.iter().map(|news| news.kind).collect();
    assert_eq!(kinds, [NewsKind::Asked], "a reply that asks is told once");
    assert_eq!(told[0].number.to_string(), "LYN-000001");
    assert!(news(Some(newest), "marie").await.unwrap().0.is_empty());
    assert!(news(Some(start), "paul").await.unwrap().0.is_empty());
    // The same events again, after central was restored, are no news.
    store.apply_feed(page(1, true, &said[..1])).await.unwrap();
    let (again, _) = news(Some(newest), "marie").await.unwrap();
    assert!(again.iter().all(|news| news.kind != NewsKind::Answer));
}

#[tokio::test]
async fn a_reply_and_what_it_makes_of_its_ticket_are_one_piece_of_news() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path(), ROOMY);
    ticket(&store, 1).await;
    ticket(&store, 2).await;
    let said = [
        reply(1, 1, "What does it say?"),
        moved(1, TicketState::Waiting),
        reply(2, 1, "So it is done"),
        moved(1, TicketState::Resolved),
        // Moves of their own, and a reply that leaves its ticket where it is.
        moved(1, TicketState::Waiting),
        reply(3, 1, "More"),
        moved(2, TicketState::Waiting),
        reply(4, 2, "On it"),
        moved(2, TicketState::Open),
    ];
    store.apply_feed(page(1, false, &said)).await.unwrap();
    let (told, _) = store.news(Some(0), "marie".to_owned()).await.unwrap();
    let kinds: Vec<_> = told
        .iter()
        .map(|news| (news.number.serial, news.kind))
        .collect();
    let expected = [
        (1, NewsKind::Asked),
        (1, NewsKind::Resolved),
        (1, NewsKind::Asked),
        (1, NewsKind::Answer),
        (2, NewsKind::Asked),
        (2, NewsKind::Answer),
    ];
    assert_eq!(kinds, expected);
}

#[tokio::test]
async fn tickets_are_found_by_any_of_their_words_and_by_whose_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path(), ROOMY);
    for n in 1..=30 {
        ticket(&store, n).await;
    }
    let answer = reply(1, 7, "Der Tröter ist unterwegs");
    store.apply_feed(page(1, false, &[answer])).await.unwrap();
    let find = async |search: &str, sight: Sight| {
        let question = Question {
            before: None,
            limit: 200,
            sight,
            search: Some(search.to_owned()),
        };
        let found = store.tickets(question).await.unwrap().tickets;
        found
            .iter()
            .map(|ticket| ticket.number.serial)
            .collect::<Vec<_>>()
    };
    assert_eq!(find("TRÖTER scanner", Sight::All).await, [7]);
    assert_eq!(find("lyn-000012", Sight::All).await, [12]);
    assert_eq!(find("", Sight::All).await.len(), 30);
    assert!(find("tröter printer", Sight::All).await.is_empty());
    assert!(find("", Sight::Own("paul".to_owned())).await.is_empty());
    assert_eq!(find("", Sight::Own("marie".to_owned())).await.len(), 30);
    let number = || "LYN-000007".parse().unwrap();
    let seen = |sight| store.is_seen(number(), sight);
    assert!(!seen(Sight::Own("paul".to_owned())).await.unwrap());
    assert!(seen(Sight::Own("marie".to_owned())).await.unwrap());
    // Page by page gives each once.
    let mut question = everything(7);
    let mut serials = Vec::new();
    loop {
        let list = store.tickets(question.clone()).await.unwrap();
        serials.extend(list.tickets.iter().map(|ticket| ticket.number.serial));
        question.before = list.next;
        if list.next.is_none() {
            break;
        }
    }
    assert_eq!(serials, (1..=30).rev().collect::<Vec<_>>());
}
