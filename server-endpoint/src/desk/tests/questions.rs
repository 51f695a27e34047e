//! What is asked in GraphQL, and what asking may cost.

use std::fmt::Write;

use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::{Ask, World};
use crate::ledger::Role;

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
    let viewer = world.signed_in(Role::Viewer).await;
    let refused = world.question(&viewer, question).await;
    assert_eq!(
        refused["errors"][0]["extensions"]["type"],
        "urn:branchline:problem:forbidden"
    );
    let administrator = world.signed_in(Role::Administrator).await;
    let trail = world.data(&administrator, question).await;
    assert_eq!(trail["trail"][0]["position"], 1.0);
}

#[tokio::test]
async fn p8_questions_that_cost_too_much_are_refused_before_they_are_answered() {
    let world = World::new();
    let cookie = world.signed_in(Role::Viewer).await;
    let aliases = |count: usize, field: &str| {
        let mut question = String::from("{");
        for index in 0..count {
            write!(question, " a{index}: {field}").unwrap();
        }
        question + " }"
    };
    // Each fragment holds the next twice: 2^40 fields in 2 kB.
    let mut bomb = String::from("{ ...f0 }");
    for index in 0..40 {
        let next = index + 1;
        write!(
            bomb,
            " fragment f{index} on Query {{ ...f{next} ...f{next} }}"
        )
        .unwrap();
    }
    bomb.push_str(" fragment f40 on Query { me { name } }");
    let deep = format!("{{ {}name{} }}", "me { ".repeat(400), " }".repeat(400));
    let floods = [
        aliases(
            20,
            "tickets(first: 200) { tickets { number subject reporter } }",
        ),
        aliases(2_000, "ticket(number: \"LYN-000001\") { description }"),
        aliases(100, "tally { tickets }"),
        aliases(8_000, "me { name }"),
        bomb,
        deep,
        // Within its cost, and deeper than anything that is asked for.
        "{ __schema { types { fields { type { ofType { ofType { ofType { ofType { name } } } } } } } } }"
            .to_owned(),
        format!("{{ me {} {{ name }} }}", "@include(if: true) ".repeat(100)),
        "fragment a on Query { ...b } fragment b on Query { ...a } { ...a }".to_owned(),
        "{ tickets(first: 1) { tickets { number".to_owned(),
        "mutation { x }".to_owned(),
    ];
    for question in floods {
        let body = json!({ "query": question });
        let ask = Ask::new(Method::POST, "/desk/v1/graphql")
            .json(&body)
            .by(&cookie);
        let answer = world.ask(ask).await;
        let begin: String = question.chars().take(80).collect();
        assert_eq!(answer.status, StatusCode::OK, "{begin}");
        assert!(answer.json()["errors"][0].is_object(), "{begin}");
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
