//! P10: the ledger is away. Questions are answered and say since when they are behind, commands say so.

use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::{Ask, World, sign_in};
use crate::ledger::{OperatorLedger, Role};

async fn until(world: &World, wanted: fn(&crate::desk::read_model::Freshness) -> bool) {
    let mut freshness = world.desk.model.freshness();
    world.desk.model.news().notify_one();
    let reached = freshness.wait_for(wanted);
    let reached = tokio::time::timeout(std::time::Duration::from_secs(60), reached).await;
    drop(reached.expect("in time").unwrap());
}

#[tokio::test]
async fn p10_support_goes_on_reading_while_the_ledger_is_away() {
    let world = World::new();
    let cookie = world.signed_in(Role::Support).await;
    world.filed("LYN", &["Printer jams"]).await;
    world.desk.look_again().await;
    world.ledger.set_away(true);
    until(&world, |now| now.behind_since.is_some()).await;

    let question = "{ freshness { behindSince } tickets(search: \"printer\") { tickets { number version } } branches { branches { code } } people me { rights } }";
    let answered = world.data(&cookie, question).await;
    assert!(
        answered["freshness"]["behindSince"].is_string(),
        "{answered}"
    );
    assert_eq!(answered["tickets"]["tickets"][0]["number"], "LYN-000001");
    assert_eq!(answered["branches"]["branches"][0]["code"], "LYN");
    assert_eq!(answered["people"], json!(["support"]));
    assert_eq!(answered["me"]["rights"], json!(["READ"]));

    let note = json!({ "id": "01890000-0000-7000-8000-000000000001", "saw": 1, "kind": "note", "text": "x" });
    let refused = world.command(&cookie, "LYN-000001", &note).await;
    assert_eq!(
        (refused.status, refused.problem().as_str()),
        (StatusCode::SERVICE_UNAVAILABLE, "unavailable")
    );
    assert!(refused.headers.contains_key("retry-after"));
    assert_eq!(
        refused.json()["since"],
        answered["freshness"]["behindSince"]
    );
    assert_eq!(refused.json()["class"], "try_again");
    // Whoever was not known before is not let in now.
    for ask in [
        sign_in("support", super::PASSWORD),
        Ask::new(Method::GET, "/desk/v1/session")
            .by("__Host-branchline=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"),
    ] {
        assert_eq!(world.ask(ask).await.status, StatusCode::SERVICE_UNAVAILABLE);
    }
    let ready = world.ask(Ask::new(Method::GET, "/readyz")).await;
    assert_eq!(
        (ready.status, ready.json()),
        (
            StatusCode::OK,
            json!({ "questions": true, "commands": false })
        )
    );

    world.ledger.set_away(false);
    until(&world, |now| now.behind_since.is_none()).await;
    let answered = world.data(&cookie, "{ freshness { behindSince } }").await;
    assert_eq!(answered["freshness"]["behindSince"], Value::Null);
}

#[tokio::test]
async fn whoever_was_sent_away_before_the_outage_is_not_let_in_by_it() {
    let world = World::new();
    let cookie = world.signed_in(Role::Support).await;
    let me = || Ask::new(Method::GET, "/desk/v1/session").by(&cookie);
    assert_eq!(world.ask(me()).await.status, StatusCode::OK);
    world.add("other", Role::Administrator).await;
    world
        .ledger
        .remove_operator("support".parse().unwrap(), super::deed())
        .await
        .unwrap();
    assert_eq!(world.ask(me()).await.status, StatusCode::UNAUTHORIZED);
    world.ledger.set_away(true);
    assert_eq!(
        world.ask(me()).await.status,
        StatusCode::SERVICE_UNAVAILABLE
    );
}

#[tokio::test]
async fn whoever_signs_out_during_the_outage_is_out() {
    let world = World::new();
    let cookie = world.signed_in(Role::Support).await;
    let me = || Ask::new(Method::GET, "/desk/v1/session").by(&cookie);
    assert_eq!(world.ask(me()).await.status, StatusCode::OK);
    world.ledger.set_away(true);
    assert_eq!(world.ask(me()).await.status, StatusCode::OK);
    let out = Ask::new(Method::DELETE, "/desk/v1/session").by(&cookie);
    assert_eq!(world.ask(out).await.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(
        world.ask(me()).await.status,
        StatusCode::SERVICE_UNAVAILABLE
    );
}
