//! What is asked in GraphQL, and what asking may cost.

use std::fmt::Write;

use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::{Ask, World};
use crate::ledger::{Right, Role};

#[tokio::test]
async fn tickets_are_listed_searched_and_shown() {
    let world = World::new();
    let cookie = world.signed_in(Role::Viewer).await;
    world
        .filed("LYN", &["Printer jams", "Till is slow", "No paper"])
        .await;
    let page = "{ tickets(first: 2) { next tickets { number subject state priority receivedAt version } } }";
    let page = world.data(&cookie, page).await["tickets"].clone();
    let numbers = |page: &Value| -> Vec<String> {
        let tickets = page["tickets"].as_array().unwrap();
        tickets
            .iter()
            .map(|t| t["number"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(numbers(&page), ["LYN-000003", "LYN-000002"]);
    let next = page["next"].as_str().unwrap();
    let rest = format!("{{ tickets(after: \"{next}\") {{ next tickets {{ number }} }} }}");
    let rest = world.data(&cookie, &rest).await["tickets"].clone();
    assert_eq!(
        (numbers(&rest), &rest["next"]),
        (vec!["LYN-000001".to_owned()], &Value::Null)
    );
    let found = world
        .data(
            &cookie,
            "{ tickets(search: \"printer\", branches: [\"LYN\"]) { tickets { number } } }",
        )
        .await;
    assert_eq!(numbers(&found["tickets"]), ["LYN-000001"]);
    let ticket = world.data(&cookie, "{ ticket(number: \"LYN-000001\") { summary { subject } timeline { said } files { id } } none: ticket(number: \"LYN-000009\") { description } }").await;
    assert_eq!(ticket["ticket"]["summary"]["subject"], "About Printer jams");
    assert_eq!(ticket["none"], Value::Null);
    let wrong = world
        .question(&cookie, "{ tickets(after: \"x\") { next } }")
        .await;
    assert_eq!(
        wrong["errors"][0]["extensions"]["type"],
        "urn:branchline:problem:invalid-field"
    );
    assert_eq!(wrong["errors"][0]["extensions"]["class"], "fix_input");
}

/// The console asks its one question with a variable for each filter, and sets those that are chosen.
#[tokio::test]
async fn variables_that_are_not_set_stand_for_the_defaults() {
    let world = World::new();
    let cookie = world.signed_in(Role::Administrator).await;
    world.filed("LYN", &["Printer jams", "Till is slow"]).await;
    let question =
        "query T($order: TicketOrder, $first: Int, $after: String, $from: Float, $most: Int) {
        tickets(order: $order, first: $first, after: $after) { tickets { number } }
        trail(after: $from, first: $most) { position } }";
    let answer = world.data(&cookie, question).await;
    assert_eq!(answer["tickets"]["tickets"][0]["number"], "LYN-000002");
    assert_eq!(answer["trail"][0]["position"], 1.0);
}

#[tokio::test]
async fn the_trail_is_for_administrators() {
    let world = World::new();
    let question = "{ trail(first: 5) { position action actor } }";
    for role in [Role::Viewer, Role::Support] {
        let cookie = world.signed_in(role).await;
        let refused = world.question(&cookie, question).await;
        assert_eq!(
            refused["errors"][0]["extensions"]["type"],
            "urn:branchline:problem:forbidden"
        );
        assert_eq!(refused["data"], Value::Null, "{refused}");
    }
    let all_but_one = world
        .program(&[Right::Read, Right::Reply, Right::Release])
        .await;
    let ask = Ask::new(Method::POST, "/desk/v1/graphql").json(&json!({ "query": question }));
    let ask = ask.with("authorization", &format!("Bearer {all_but_one}"));
    let refused = world.ask(ask).await.json();
    assert_eq!(refused["data"], Value::Null, "{refused}");
    let administrator = world.signed_in(Role::Administrator).await;
    let trail = world.data(&administrator, question).await;
    assert_eq!(trail["trail"][0]["position"], 1.0);
}

/// This field, so many times.
fn aliases(count: usize, field: &str) -> String {
    let mut question = String::from("{");
    for index in 0..count {
        write!(question, " a{index}: {field}").unwrap();
    }
    question + " }"
}

/// Fragments within each other, each of which names the next so many times.
fn bomb(deep: usize, wide: usize) -> String {
    let mut bomb = String::from("{ ...f0 }");
    for index in 0..deep {
        let next = format!("...f{} ", index + 1).repeat(wide);
        write!(bomb, " fragment f{index} on Query {{ {next}}}").unwrap();
    }
    write!(bomb, " fragment f{deep} on Query {{ me {{ name }} }}").unwrap();
    bomb
}

/// Questions that cost too much, and some words of the bound that each meets.
fn floods() -> Vec<(String, &'static str)> {
    let nested = |open: &str, count: usize| open.repeat(count);
    vec![
        (
            aliases(
                20,
                "tickets(first: 200) { tickets { number subject reporter } }",
            ),
            "too complex",
        ),
        (
            aliases(2_000, "ticket(number: \"LYN-000001\") { description }"),
            "too complex",
        ),
        (aliases(100, "tally { tickets }"), "too complex"),
        (aliases(8_000, "me { name }"), "names too much"),
        // 2^40 fields in 2 kB; and 50^12 that nest less deep than what is asked for in earnest.
        (bomb(40, 2), "fragments nest too deep"),
        (bomb(12, 50), "names too much"),
        (
            "fragment a on Query { ...b } fragment b on Query { ...a } { ...a }".to_owned(),
            "fragments nest too deep",
        ),
        // As deep as a stack is, in whatever nests.
        (nested("{ me ", 400), "question nests too deep"),
        (nested("{ me ", 50_000), "question nests too deep"),
        (
            format!("{{ tickets(search: {}", nested("[", 200_000)),
            "question nests too deep",
        ),
        (
            format!("{{ tickets(search: {}", nested("{a:", 80_000)),
            "question nests too deep",
        ),
        (
            format!("query x($a: {}", nested("[", 200_000)),
            "question nests too deep",
        ),
        (
            format!("{{ tickets(search: [\"\"\"x\" {}", nested("[", 200_000)),
            "three quotes",
        ),
        (
            format!("{} x {}", nested("{ me ", 20), nested("}", 20)),
            "recursion depth",
        ),
        // Within its cost, and deeper than anything that is asked for.
        (
            "{ __schema { types { fields { type { ofType { ofType { ofType { ofType { name } } } } } } } } }"
                .to_owned(),
            "nested too deep",
        ),
        (
            format!("{{ me {} {{ name }} }}", "@include(if: true) ".repeat(100)),
            "number of directives",
        ),
        ("{ tickets(first: 1) { tickets { number".to_owned(), "expected"),
        ("mutation { x }".to_owned(), "mutation"),
    ]
}

/// Runs it to its end, or fails: what has no bound may keep a processor for ever, which no runtime can take
/// from it, so that its thread is left behind then.
pub(super) fn within_a_minute<F: Future<Output = ()>>(story: impl FnOnce() -> F + Send + 'static) {
    let (end, ended) = std::sync::mpsc::sync_channel::<()>(0);
    let telling = std::thread::spawn(move || {
        let _end = end;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        runtime.unwrap().block_on(story());
    });
    let timed_out = Err(std::sync::mpsc::RecvTimeoutError::Timeout);
    let heard = ended.recv_timeout(std::time::Duration::from_secs(60));
    assert_ne!(heard, timed_out, "it goes on and on");
    if let Err(panicked) = telling.join() {
        std::panic::resume_unwind(panicked);
    }
}

#[test]
fn p8_questions_that_cost_too_much_are_refused_before_they_are_answered() {
    within_a_minute(questions_that_cost_too_much);
}

async fn questions_that_cost_too_much() {
    let world = World::new();
    let cookie = world.signed_in(Role::Viewer).await;
    for (question, words) in floods() {
        let body = json!({ "query": question });
        let ask = Ask::new(Method::POST, "/desk/v1/graphql")
            .json(&body)
            .by(&cookie);
        let answer = world.ask(ask).await;
        let begin: String = question.chars().take(80).collect();
        assert_eq!(answer.status, StatusCode::OK, "{begin}");
        let said = answer.json()["errors"][0]["message"].to_string();
        assert!(said.contains(words), "{begin}: {said}");
        assert!(answer.body.len() < 4_096, "{begin}");
    }
    let long = json!({ "query": "{ me { name } }".repeat(100_000) });
    let ask = Ask::new(Method::POST, "/desk/v1/graphql")
        .json(&long)
        .by(&cookie);
    assert_eq!(world.ask(ask).await.status, StatusCode::PAYLOAD_TOO_LARGE);
    // What a console asks for is well within.
    let page = "{ tickets(first: 200) { next tickets { number branch state priority category subject \
                reporter assignee tags filedAt receivedAt changedAt version comments replies files \
                service { firstAnswerDue resolutionDue } } } freshness { position behindSince } }";
    world.data(&cookie, page).await;
    let branches = "{ branches { asOf branches { code name bandwidth attention agents { id ordinal version lastContact connected clockSkewMs waiting oldestWaiting diskFree damaged certificateUntil revoked troubles } } } people }";
    world.data(&cookie, branches).await;
}

#[tokio::test]
async fn nothing_is_answered_to_nobody_the_schema_included() {
    let world = World::new();
    for question in ["{ __schema { types { name } } }", "{ me { name } }"] {
        let body = json!({ "query": question });
        let ask = Ask::new(Method::POST, "/desk/v1/graphql").json(&body);
        assert_eq!(world.ask(ask).await.status, StatusCode::UNAUTHORIZED);
    }
}
