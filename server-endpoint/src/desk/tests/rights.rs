//! Each route and each role: who may, and what the others hear.

use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::{Answer, Ask, World};
use crate::ledger::{OperatorLedger, Right, Role};

/// Every route that asks who calls, and the right that it asks for; `None`: to be let in is enough.
#[allow(clippy::too_many_lines, reason = "it is one table")]
pub(super) fn routes() -> Vec<(Method, &'static str, Value, Option<Right>)> {
    use Right::{Administer, Read, Release, Reply};
    let id = "01890000-0000-7000-8000-000000000000";
    let note = json!({ "id": id, "saw": 1, "kind": "note", "text": "x" });
    let post = Method::POST;
    vec![
        (Method::GET, "/desk/v1/session", Value::Null, None),
        (
            post.clone(),
            "/desk/v1/graphql",
            json!({ "query": "{ me { name } }" }),
            Some(Read),
        ),
        (Method::GET, "/desk/v1/live", Value::Null, Some(Read)),
        (
            Method::GET,
            "/desk/v1/files/01890000-0000-7000-8000-000000000000",
            Value::Null,
            Some(Read),
        ),
        (
            Method::GET,
            "/desk/v1/files/01890000-0000-7000-8000-000000000000/state",
            Value::Null,
            Some(Read),
        ),
        (
            post.clone(),
            "/desk/v1/files?ticket=LYN-000001&name=x",
            json!({}),
            Some(Reply),
        ),
        (Method::GET, "/desk/v1/catalogue", Value::Null, Some(Read)),
        (
            post.clone(),
            "/desk/v1/tickets/LYN-000001/commands",
            note,
            Some(Reply),
        ),
        (
            post.clone(),
            "/desk/v1/files/01890000-0000-7000-8000-000000000000/release",
            json!({ "reason": "x" }),
            Some(Release),
        ),
        (
            Method::PUT,
            "/desk/v1/catalogue",
            json!({ "serial": 7, "categories": [] }),
            Some(Administer),
        ),
        (
            Method::PUT,
            "/desk/v1/branches/XXX/bandwidth",
            json!({ "rate": null }),
            Some(Administer),
        ),
        (
            post.clone(),
            "/desk/v1/branches/XXX/tokens",
            json!({}),
            Some(Administer),
        ),
        (
            Method::GET,
            "/desk/v1/enrolment-tokens",
            Value::Null,
            Some(Administer),
        ),
        (
            Method::DELETE,
            "/desk/v1/enrolment-tokens/9",
            Value::Null,
            Some(Administer),
        ),
        (
            post.clone(),
            "/desk/v1/agents/01890000-0000-7000-8000-000000000000/revoke",
            json!({ "reason": "x" }),
            Some(Administer),
        ),
        (
            Method::GET,
            "/desk/v1/operators",
            Value::Null,
            Some(Administer),
        ),
        (
            post.clone(),
            "/desk/v1/operators",
            json!({ "name": "x", "role": "x" }),
            Some(Administer),
        ),
        (
            Method::PATCH,
            "/desk/v1/operators/nobody",
            json!({ "role": "viewer" }),
            Some(Administer),
        ),
        (
            Method::DELETE,
            "/desk/v1/operators/nobody",
            Value::Null,
            Some(Administer),
        ),
        (
            post.clone(),
            "/desk/v1/operators/nobody/password",
            Value::Null,
            Some(Administer),
        ),
        (
            Method::GET,
            "/desk/v1/api-tokens",
            Value::Null,
            Some(Administer),
        ),
        (
            post,
            "/desk/v1/api-tokens",
            json!({ "name": "x", "rights": [] }),
            Some(Administer),
        ),
        (
            Method::DELETE,
            "/desk/v1/api-tokens/99",
            Value::Null,
            Some(Administer),
        ),
        (Method::GET, "/metrics", Value::Null, Some(Read)),
    ]
}

fn judge(answer: &Answer, may: bool, what: &str) {
    if may {
        let refused = [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN];
        assert!(!refused.contains(&answer.status), "{what}: {answer:?}");
    } else {
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{what}");
        assert_eq!(answer.problem(), "forbidden", "{what}");
    }
}

#[tokio::test]
async fn each_route_is_open_to_those_who_have_its_right_and_to_nobody_else() {
    let world = World::new();
    let roles = [Role::Viewer, Role::Support, Role::Administrator];
    let mut cookies = Vec::new();
    for role in roles {
        cookies.push((role, world.signed_in(role).await));
    }
    let mut programs = Vec::new();
    for right in Right::ALL {
        programs.push((vec![right], world.program(&[right]).await));
    }
    for (method, path, body, right) in routes() {
        let ask = || {
            let ask = Ask::new(method.clone(), path);
            if body.is_null() { ask } else { ask.json(&body) }
        };
        let stranger = world.ask(ask()).await;
        assert_eq!(stranger.status, StatusCode::UNAUTHORIZED, "{method} {path}");
        let made_up = ask().by("__Host-branchline=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA");
        assert_eq!(
            world.ask(made_up).await.status,
            StatusCode::UNAUTHORIZED,
            "{method} {path}"
        );
        for (role, cookie) in &cookies {
            let answer = world.ask(ask().by(cookie)).await;
            let may = right.is_none_or(|right| role.rights().contains(&right));
            judge(
                &answer,
                may,
                &format!("{method} {path} by {}", role.as_str()),
            );
        }
        for (rights, token) in &programs {
            let answer = world
                .ask(ask().with("authorization", &format!("Bearer {token}")))
                .await;
            let may = right.is_none_or(|right| rights.contains(&right));
            judge(&answer, may, &format!("{method} {path} with {rights:?}"));
        }
    }
}

#[tokio::test]
async fn what_is_not_there_is_not_found_by_anybody() {
    let world = World::new();
    let cookie = world.signed_in(Role::Administrator).await;
    let reason = json!({ "reason": "x" });
    for (method, path, body) in [
        (Method::GET, "/desk/v1/nothing", Value::Null),
        (Method::GET, "/desk/v1/files/nothing", Value::Null),
        (
            Method::GET,
            "/desk/v1/files/%2e%2e%2fledger.db",
            Value::Null,
        ),
        (Method::GET, "/desk/v1/files/%ff", Value::Null),
        (
            Method::POST,
            "/desk/v1/files/01890000-0000-7000-8000-000000000000/release",
            reason.clone(),
        ),
        (Method::POST, "/desk/v1/agents/nobody/revoke", reason),
        (
            Method::PUT,
            "/desk/v1/branches/%27%3b--/bandwidth",
            json!({ "rate": null }),
        ),
        (Method::POST, "/desk/v1/branches/XXX/tokens", json!({})),
        (Method::DELETE, "/desk/v1/operators/nobody", Value::Null),
        (Method::DELETE, "/desk/v1/api-tokens/99", Value::Null),
    ] {
        let mut ask = Ask::new(method, path).by(&cookie);
        if !body.is_null() {
            ask = ask.json(&body);
        }
        let answer = world.ask(ask).await;
        assert_eq!(
            (answer.status, answer.problem().as_str()),
            (StatusCode::NOT_FOUND, "not-found"),
            "{path}"
        );
    }
    let wrong = world
        .ask(Ask::new(Method::PATCH, "/desk/v1/session").by(&cookie))
        .await;
    assert_eq!(wrong.problem(), "method-not-allowed");
}

#[tokio::test]
async fn people_are_added_changed_and_removed_and_hear_of_it_at_once() {
    let world = World::new();
    let admin = world.signed_in(Role::Administrator).await;
    let ask = |method, path: &str, body: &Value| Ask::new(method, path).json(body).by(&admin);
    let made = world
        .ask(ask(
            Method::POST,
            "/desk/v1/operators",
            &json!({ "name": "paul", "role": "support" }),
        ))
        .await;
    assert_eq!(made.status, StatusCode::CREATED);
    let first = made.json()["password"].as_str().unwrap().to_owned();
    let refused = world.ask(super::sign_in("paul", &first)).await;
    assert_eq!(
        (refused.status, refused.problem().as_str()),
        (StatusCode::FORBIDDEN, "password-change-needed")
    );
    let change = json!({ "name": "paul", "password": first, "new_password": super::PASSWORD });
    let change = Ask::new(Method::POST, "/desk/v1/password")
        .json(&change)
        .with("branchline-console", "1");
    assert_eq!(world.ask(change).await.status, StatusCode::NO_CONTENT);
    let paul = world.sign_in("paul").await;
    let me = || Ask::new(Method::GET, "/desk/v1/session").by(&paul);
    assert_eq!(world.ask(me()).await.json()["role"], "support");
    let viewer = ask(
        Method::PATCH,
        "/desk/v1/operators/paul",
        &json!({ "role": "viewer" }),
    );
    assert_eq!(world.ask(viewer).await.status, StatusCode::NO_CONTENT);
    assert_eq!(world.ask(me()).await.status, StatusCode::UNAUTHORIZED);
    let paul = world.sign_in("paul").await;
    let gone = Ask::new(Method::DELETE, "/desk/v1/operators/paul").by(&admin);
    assert_eq!(world.ask(gone).await.status, StatusCode::NO_CONTENT);
    let after = world
        .ask(Ask::new(Method::GET, "/desk/v1/session").by(&paul))
        .await;
    assert_eq!(after.status, StatusCode::UNAUTHORIZED);
    let last = Ask::new(Method::DELETE, "/desk/v1/operators/administrator").by(&admin);
    assert_eq!(world.ask(last).await.problem(), "conflict");
    assert_eq!(world.ledger.operators().await.unwrap().len(), 1);
    let trail = world
        .data(
            &admin,
            "{ trail(action: \"operator-removed\") { actor subject address } }",
        )
        .await;
    let expected =
        json!([{ "actor": "operator:administrator", "subject": "paul", "address": "127.0.0.1" }]);
    assert_eq!(trail["trail"], expected);
}
