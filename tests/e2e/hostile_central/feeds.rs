//! Feeds and verdicts gone mad: cursors that are queries, events of nobody, words without end.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use branchline_agent_api::Delivery;
use branchline_protocol::id::Seq;
use harness::processes::{Branch, Central, sandbox, succeeded};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::Heals::AfterItsDelay;
use super::{
    Asked, Behaviour, FalseCentral, SUBMISSIONS, Victim, WATCHED, acknowledging, good, html,
    no_news, reply,
};

/// A central that acknowledges rightly what is submitted, with these verdicts and news, and answers the
/// feed at once with these news.
fn telling(verdicts: fn(&Asked) -> Value, news: fn(u64) -> Value) -> impl Fn(&Asked) -> Vec<u8> {
    let answers = AtomicU64::new(0);
    move |asked| {
        let news = news(answers.fetch_add(1, Ordering::Relaxed));
        if asked.is_feed() {
            return good(&news);
        }
        let reached = asked.reached();
        good(&reply(reached, reached, verdicts(asked), news))
    }
}

fn no_verdicts(_: &Asked) -> Value {
    json!([])
}

fn news(cursor: &str, feed: Value) -> Value {
    json!({ "feed": feed, "cursor": cursor, "server_time": 0 })
}

fn event(position: u64, kind: &str, body: Value) -> Value {
    json!({ "position": position, "at": 0, "kind": kind, "body": body })
}

/// Events that no central tells: kinds from the future, bodies that do not fit, others' tickets.
fn odd_events() -> Value {
    let other = "01939d2e-6f60-7c3a-8f6a-0a1b2c3d4e5f";
    let renumbered = |number: Value| {
        event(
            9,
            "ticket_renumbered",
            json!({ "ticket": other, "given": "LYN-000001", "number": number }),
        )
    };
    json!([
        event(u64::MAX, "imagined", json!({ "any": ["thing"] })),
        event(0, "", json!(null)),
        event(5, "ticket_filed", json!("no object")),
        event(5, "operation_rejected", json!({ "operation": other })),
        event(
            5,
            "operation_rejected",
            json!({ "operation": other, "reason": { "code": 5, "detail": [] } })
        ),
        event(
            5,
            "operation_rejected",
            json!({ "operation": other, "reason": { "code": "x", "detail": "not ours" } })
        ),
        event(
            5,
            "operation_rejected",
            json!({ "operation": null, "reason": { "code": "malformed", "detail": "x" } })
        ),
        renumbered(json!("LYN-000001-4294967295")),
        renumbered(json!("LYN-000001-0")),
        renumbered(json!(7)),
        renumbered(json!("PAR-000001-2")),
    ])
}

/// What a feed says, and how often at most an agent may ask for it in the time that it is watched.
#[rustfmt::skip]
fn feeds() -> Vec<(&'static str, Box<Behaviour>)> {
    vec![
        ("a cursor with a line end", Box::new(telling(no_verdicts, |_| news("7-abc\r\nX-Injected: yes", json!([]))))),
        ("a cursor that is a query", Box::new(telling(no_verdicts, |_| news("7&wait=0#/../../v1/operations?x", json!([]))))),
        ("a cursor of ten kilobytes", Box::new(telling(no_verdicts, |_| news(&"7".repeat(10_000), json!([]))))),
        ("a cursor beyond ASCII", Box::new(telling(no_verdicts, |_| news("\u{1f5a8}\0", json!([]))))),
        ("odd events", Box::new(telling(no_verdicts, |_| news("7-abc", odd_events())))),
        ("a feed that never waits", Box::new(telling(no_verdicts, |_| news("7-abc", json!([]))))),
        ("a feed that never ends", Box::new(telling(no_verdicts, |n| news(&format!("{n}-abc"), json!([]))))),
        ("a feed that always starts again", Box::new(telling(no_verdicts, |_| json!({ "feed": [], "cursor": "", "rewound": true, "server_time": 0 })))),
        ("no feed at all", Box::new(acknowledging(Asked::reached))),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_feed_gone_mad_is_survived() {
    let sandbox = sandbox();
    let mut central = Central::init(sandbox.path());
    central.start();
    let mut serving = JoinSet::new();
    let mut victims = Vec::new();
    for (index, (name, behaviour)) in feeds().into_iter().enumerate() {
        let fake = FalseCentral::start(&mut serving, &central, behaviour).await;
        let code = format!(
            "F{}",
            char::from(b'A' + u8::try_from(index).expect("a letter"))
        );
        let mut branch = Branch::join(sandbox.path(), &central, &code, fake.address);
        branch.start();
        for n in 0..3 {
            branch.file(&format!("Ticket {n}")).await;
        }
        branch.wait_drained().await;
        victims.push(Victim {
            name,
            words: "",
            heals: AfterItsDelay,
            fake,
            branch,
            since: Instant::now(),
        });
    }
    // What must not happen can only be watched for a time.
    tokio::time::sleep(WATCHED).await;
    let mut spinning = Vec::new();
    for victim in &victims {
        let name = victim.name;
        victim.branch.file("Filed under attack").await;
        let status = victim.branch.wait_drained().await;
        assert_eq!(
            (status.rejected, status.damaged),
            (0, 0),
            "{name}: {status:?}"
        );
        let polls = victim.fake.polls.load(Ordering::Relaxed);
        let submissions = victim.fake.submissions.load(Ordering::Relaxed);
        println!("{name}: {polls} polls, {submissions} submissions");
        let most = SUBMISSIONS.max(victim.since.elapsed().as_secs() * 2);
        if polls > most || submissions > most {
            spinning.push(format!("{name}: {polls} polls, {submissions} submissions"));
        }
        assert!(!victim.branch.log().contains("panicked at"), "{name}");
    }
    for victim in &victims {
        victim.fake.become_real();
    }
    for victim in &mut victims {
        // The real central has nothing of what the false one acknowledged; all of it comes again.
        victim.recover(&central).await;
    }
    assert!(spinning.is_empty(), "the agent spins: {spinning:#?}");
}

/// Verdicts on what was never sent, and one on the first operation with these words.
fn verdicts_with(words: String) -> impl Fn(&Asked) -> Vec<u8> {
    move |asked| {
        if asked.is_feed() {
            return html("503 Service Unavailable");
        }
        let (first, reached) = (asked.submission().after.seq.0 + 1, asked.reached());
        let rejected = |seq: u64, detail: &str| {
            let reason = json!({ "code": "malformed", "detail": detail });
            json!({ "seq": seq, "verdict": "rejected", "reason": reason })
        };
        let mut verdicts: Vec<Value> = [0, reached.seq.0 + 1, u64::MAX]
            .into_iter()
            .map(|seq| rejected(seq, "never sent"))
            .collect();
        if first == 1 && reached.seq >= Seq(1) {
            verdicts.push(rejected(1, &words));
        }
        good(&reply(reached, reached, verdicts.into(), no_news()))
    }
}

/// Everything that a person can see of a ticket, rejected with these words, and of two others.
async fn shown_after_rejection(words: String) -> Vec<String> {
    let sandbox = sandbox();
    let mut central = Central::init(sandbox.path());
    central.start();
    let mut serving = JoinSet::new();
    let behaviour = verdicts_with(words);
    let fake = FalseCentral::start(&mut serving, &central, behaviour).await;
    let mut branch = Branch::join(sandbox.path(), &central, "LYN", fake.address);
    branch.start();
    let first = branch.file("Rejected with much noise").await;
    branch.wait_drained().await;
    let others = [
        branch.file("Never spoken of").await,
        branch.file("Nor this").await,
    ];
    let status = branch.wait_drained().await;
    assert_eq!(status.rejected, 1, "{status:?}");
    for saved in &others {
        let shown = branch
            .client()
            .ticket(&saved.number)
            .await
            .expect("it is there");
        assert_eq!(shown.summary.delivery, Delivery::Received);
    }
    let number = first.number.to_string();
    [
        &["ticket", "show", &number][..],
        &["ticket", "show", &number, "--json"],
        &["ticket", "list"],
    ]
    .map(|args| succeeded(&branch.cli(args)))
    .to_vec()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn verdicts_touch_only_what_was_sent_and_their_words_stay_words() {
    let words = "\u{1b}[31m\u{9b}31m\u{202e}not accepted, says central";
    let shown = shown_after_rejection(words.to_owned()).await;
    assert!(
        shown[0].contains("says central") && shown[1].contains("says central"),
        "{shown:?}"
    );
    for said in shown {
        assert!(!said.contains(['\u{1b}', '\u{9b}', '\u{202e}']), "{said:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn verdicts_that_never_end_are_cut() {
    for said in shown_after_rejection("very long ".repeat(100_000)).await {
        assert!(said.len() < 8_000, "{} bytes", said.len());
    }
}
