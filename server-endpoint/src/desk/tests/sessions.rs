//! Who is let in, and what keeps others out.

use branchline_protocol::time::UnixMillis;
use http::{Method, StatusCode};
use serde_json::json;

use super::{Ask, ORIGIN, PASSWORD, World, deed, sign_in};
use crate::authority::operators::secret::Bearer;
use crate::ledger::{NewApiToken, OperatorLedger, Right, Role, now};

#[tokio::test]
async fn whoever_signs_in_is_known_until_signing_out() {
    let world = World::new();
    world.add("jeanne", Role::Support).await;
    let answer = world.ask(sign_in("jeanne", PASSWORD)).await;
    let cookie = answer.headers["set-cookie"].to_str().unwrap();
    for part in [
        "__Host-branchline=",
        "; Path=/",
        "; HttpOnly",
        "; SameSite=Strict",
        "; Secure",
    ] {
        assert!(cookie.contains(part), "{cookie}");
    }
    assert!(!cookie.contains("Domain"));
    let cookie = answer.cookie();
    let session = Ask::new(Method::GET, "/desk/v1/session");
    let shown = world.ask(session.clone().by(&cookie)).await.json();
    assert_eq!(shown["name"], "jeanne");
    assert_eq!(shown["role"], "support");
    assert_eq!(shown["rights"], json!(["read", "reply"]));
    let out = Ask::new(Method::DELETE, "/desk/v1/session").by(&cookie);
    assert_eq!(world.ask(out).await.status, StatusCode::NO_CONTENT);
    let gone = world.ask(session.by(&cookie)).await;
    assert_eq!(
        (gone.status, gone.problem().as_str()),
        (StatusCode::UNAUTHORIZED, "unauthenticated")
    );
    assert_eq!(
        gone.json()["request_id"],
        gone.headers["x-request-id"].to_str().unwrap()
    );
}

#[tokio::test]
async fn a_wrong_password_and_an_unknown_name_look_the_same() {
    let world = World::new();
    world.add("jeanne", Role::Viewer).await;
    let wrong = world.ask(sign_in("jeanne", "not the password")).await;
    let unknown = world.ask(sign_in("jeannot", "not the password")).await;
    assert_eq!(wrong.status, StatusCode::UNAUTHORIZED);
    let (mut one, mut other) = (wrong.json(), unknown.json());
    one["request_id"] = json!(null);
    other["request_id"] = json!(null);
    assert_eq!(one, other);
    assert!(!wrong.headers.contains_key("set-cookie"));
}

#[tokio::test]
async fn a_session_is_never_taken_over_from_before_signing_in() {
    let world = World::new();
    world.add("jeanne", Role::Viewer).await;
    let planted = "__Host-branchline=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    let answer = world
        .ask(sign_in("jeanne", PASSWORD).with("cookie", planted))
        .await;
    let first = answer.cookie();
    assert_ne!(first, planted);
    let again = world
        .ask(sign_in("jeanne", PASSWORD).with("cookie", &first))
        .await;
    let session = |cookie: &str| Ask::new(Method::GET, "/desk/v1/session").by(cookie);
    for (cookie, expected) in [
        (planted, StatusCode::UNAUTHORIZED),
        (first.as_str(), StatusCode::UNAUTHORIZED),
        (again.cookie().as_str(), StatusCode::OK),
    ] {
        assert_eq!(world.ask(session(cookie)).await.status, expected);
    }
}

#[tokio::test]
async fn no_other_site_can_make_a_browser_change_anything() {
    let world = World::new();
    let cookie = world.signed_in(Role::Administrator).await;
    let out = || Ask::new(Method::DELETE, "/desk/v1/session").with("cookie", &cookie);
    let question = || {
        Ask::new(Method::POST, "/desk/v1/graphql")
            .json(&json!({ "query": "{ me { name } }" }))
            .with("cookie", &cookie)
    };
    let strangers = [
        out(),
        out().with("origin", ORIGIN),
        out()
            .with("branchline-console", "1")
            .with("origin", "https://evil.example"),
        out().with("branchline-console", "1").with("origin", "null"),
        out()
            .with("branchline-console", "1")
            .with("origin", "http://central.example:8471"),
        out()
            .with("branchline-console", "1")
            .with("origin", "https://central.example"),
        question(),
        question()
            .with("branchline-console", "1")
            .with("origin", "https://evil.example"),
        sign_in("administrator", PASSWORD).with("origin", "https://evil.example"),
        Ask::new(Method::POST, "/desk/v1/session")
            .json(&json!({ "name": "administrator", "password": PASSWORD })),
    ];
    for ask in strangers {
        let said = format!("{} {} {:?}", ask.method, ask.path, ask.headers);
        let answer = world.ask(ask).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{said}");
        assert_eq!(answer.problem(), "cross-site", "{said}");
    }
    assert_eq!(
        world.data(&cookie, "{ me { name } }").await["me"]["name"],
        "administrator"
    );
}

#[tokio::test]
async fn programs_are_known_by_their_tokens() {
    let world = World::new();
    let bearer = Bearer::random().unwrap();
    let token = |hash, expires_at| NewApiToken {
        name: "reports".to_owned(),
        hash,
        rights: vec![Right::Read],
        expires_at,
        deed: deed(),
    };
    let kept = world
        .ledger
        .add_api_token(token(bearer.hash(), None))
        .await
        .unwrap();
    let ended = Bearer::random().unwrap();
    let over = Some(UnixMillis(now().0 - 1));
    world
        .ledger
        .add_api_token(token(ended.hash(), over))
        .await
        .unwrap();
    let ask = |text: &str| {
        Ask::new(Method::POST, "/desk/v1/graphql")
            .json(&json!({ "query": "{ me { name rights } }" }))
            .with("authorization", &format!("Bearer {text}"))
    };
    let answer = world.ask(ask(&bearer.to_api_token())).await.json();
    assert_eq!(
        answer["data"]["me"],
        json!({ "name": format!("api-token {}", kept.number), "rights": ["READ"] })
    );
    world
        .ledger
        .revoke_api_token(kept.number, deed())
        .await
        .unwrap();
    for text in [
        bearer.to_api_token(),
        ended.to_api_token(),
        bearer.to_session(),
        "x".repeat(10_000),
    ] {
        assert_eq!(world.ask(ask(&text)).await.status, StatusCode::UNAUTHORIZED);
    }
}
