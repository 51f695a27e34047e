//! Commands to tickets, by two who are at it at once, and settings that are changed.

use http::{Method, StatusCode};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Ask, World};
use crate::ledger::Role;

fn id(word: u8) -> String {
    Uuid::from_bytes([1, 0x89, 0, 0, 0, 0, 0x70, 0, 0x80, 0, 0, 0, 0, 0, 0, word]).to_string()
}

pub(super) async fn version(world: &World, cookie: &str, number: &str) -> Value {
    let question = format!("{{ ticket(number: \"{number}\") {{ summary {{ version }} }} }}");
    let seen = world.data(cookie, &question).await;
    let seen = seen["ticket"]["summary"]["version"].as_f64().unwrap();
    // A whole number is written without its point.
    json!(seen.to_string().parse::<u64>().unwrap())
}

#[tokio::test]
async fn of_two_who_answer_at_once_one_is_told_to_look_again() {
    let world = World::new();
    let one = world.signed_in(Role::Support).await;
    let other = world.signed_in(Role::Administrator).await;
    world.filed("LYN", &["Printer jams"]).await;
    let saw = version(&world, &one, "LYN-000001").await;
    let reply = |word, text: &str| json!({ "id": id(word), "saw": saw, "kind": "reply", "text": text, "then": "waiting" });
    let (first, second) = (reply(1, "Turn it off"), reply(2, "Turn it on"));
    let (first, second) = tokio::join!(
        world.command(&one, "LYN-000001", &first),
        world.command(&other, "LYN-000001", &second),
    );
    let mut statuses = [first.status, second.status];
    statuses.sort();
    assert_eq!(statuses, [StatusCode::OK, StatusCode::CONFLICT]);
    let (won, lost) = if first.status == StatusCode::OK {
        (first, second)
    } else {
        (second, first)
    };
    assert_eq!(lost.problem(), "stale");
    assert_eq!(lost.json()["version"], won.json()["version"]);
    // What was done shows in the very next question, and asking again is harmless.
    let shown = world
        .data(
            &one,
            "{ ticket(number: \"LYN-000001\") { summary { state } timeline { kind said } } }",
        )
        .await;
    let timeline = shown["ticket"]["timeline"].as_array().unwrap();
    let replies = timeline.iter().filter(|entry| entry["kind"] == "REPLY");
    assert_eq!(replies.count(), 1, "{shown}");
    assert_eq!(shown["ticket"]["summary"]["state"], "WAITING");
}

#[tokio::test]
async fn a_command_is_carried_out_once_however_often_it_is_given() {
    let world = World::new();
    let cookie = world.signed_in(Role::Support).await;
    world.filed("LYN", &["Printer jams"]).await;
    let saw = version(&world, &cookie, "LYN-000001").await;
    let note = json!({ "id": id(1), "saw": saw, "kind": "note", "text": "Known fault" });
    let first = world.command(&cookie, "LYN-000001", &note).await;
    let again = world.command(&cookie, "LYN-000001", &note).await;
    assert_eq!((first.status, first.json()), (again.status, again.json()));
    let taken = json!({ "id": id(1), "saw": saw, "kind": "note", "text": "Another" });
    assert_eq!(
        world.command(&cookie, "LYN-000001", &taken).await.problem(),
        "conflict"
    );
}

#[tokio::test]
async fn what_breaks_a_rule_is_refused_by_field() {
    let world = World::new();
    let cookie = world.signed_in(Role::Support).await;
    world.filed("LYN", &["Printer jams"]).await;
    let saw = version(&world, &cookie, "LYN-000001").await;
    for (command, problem) in [
        (json!({ "kind": "note", "text": "" }), "invalid-field"),
        (
            json!({ "kind": "note", "text": "x".repeat(20_000) }),
            "invalid-field",
        ),
        (
            json!({ "kind": "assign", "to": "Nobody Here" }),
            "invalid-field",
        ),
        (json!({ "kind": "move", "to": "new" }), "invalid-field"),
        (json!({ "kind": "merge", "into": "x" }), "invalid-field"),
        (json!({ "kind": "explode" }), "malformed"),
        (json!({}), "malformed"),
        (
            json!({ "kind": "note", "text": "x".repeat(300_000) }),
            "too-large",
        ),
    ] {
        let mut command = command;
        command["id"] = json!(id(9));
        command["saw"] = saw.clone();
        let answer = world.command(&cookie, "LYN-000001", &command).await;
        assert_eq!(answer.problem(), problem, "{:?}", answer.json());
    }
    let plain = Ask::new(Method::POST, "/desk/v1/tickets/LYN-000001/commands").by(&cookie);
    assert_eq!(world.ask(plain).await.problem(), "unsupported-media");
    let unknown = json!({ "id": id(8), "saw": saw, "kind": "note", "text": "x" });
    assert_eq!(
        world
            .command(&cookie, "LYN-000009", &unknown)
            .await
            .problem(),
        "not-found"
    );
}

#[tokio::test]
async fn catalogue_bandwidth_and_tokens_are_set_centrally() {
    let world = World::new();
    let cookie = world.signed_in(Role::Administrator).await;
    world.filed("LYN", &["a"]).await;
    let ask = |method, path: &str, body: &Value| Ask::new(method, path).json(body).by(&cookie);
    let catalogue =
        json!({ "serial": 0, "categories": [{ "code": "till", "name": { "en": "Till" } }] });
    let put = || ask(Method::PUT, "/desk/v1/catalogue", &catalogue);
    let serial = world.ask(put()).await.json()["serial"].clone();
    let stale = world.ask(put()).await;
    assert_eq!(
        (stale.problem().as_str(), &stale.json()["version"]),
        ("stale", &serial)
    );
    let bad = json!({ "serial": serial, "categories": [{ "code": "Till", "name": {} }] });
    assert_eq!(
        world
            .ask(ask(Method::PUT, "/desk/v1/catalogue", &bad))
            .await
            .problem(),
        "invalid-field"
    );
    let asked = world
        .data(
            &cookie,
            "{ catalogue { serial categories { code names { language text } } } }",
        )
        .await;
    assert_eq!(
        asked["catalogue"]["categories"][0]["names"][0]["text"],
        "Till"
    );
    let rate = json!({ "rate": "2 Mbit/s" });
    let set = world
        .ask(ask(Method::PUT, "/desk/v1/branches/LYN/bandwidth", &rate))
        .await;
    assert_eq!(set.status, StatusCode::NO_CONTENT);
    let branches = world
        .data(&cookie, "{ branches { branches { code bandwidth } } }")
        .await;
    assert_eq!(branches["branches"]["branches"][0]["bandwidth"], "2 Mbit/s");
    let token = world
        .ask(ask(
            Method::POST,
            "/desk/v1/branches/LYN/tokens",
            &json!({ "uses": 2 }),
        ))
        .await;
    assert_eq!(token.status, StatusCode::CREATED);
    assert!(token.json()["token"].as_str().unwrap().starts_with("blt1_"));
    let listed = world
        .ask(Ask::new(Method::GET, "/desk/v1/enrolment-tokens").by(&cookie))
        .await;
    assert_eq!(listed.json()[0]["uses"], 2);
    assert!(listed.json()[0].get("token").is_none());
    for bad in [json!({ "uses": 0 }), json!({ "ttl_seconds": 1 })] {
        let refused = world
            .ask(ask(Method::POST, "/desk/v1/branches/LYN/tokens", &bad))
            .await;
        assert_eq!(refused.problem(), "invalid-field");
    }
}
