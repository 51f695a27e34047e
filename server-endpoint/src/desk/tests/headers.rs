//! What browsers are told to keep to: with every answer, whatever it is, so that nothing that somebody filed
//! or typed ever runs, is framed, is guessed at or stays on a disk.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::get;
use http::{Method, StatusCode};
use serde_json::json;

use super::rights::routes;
use super::{Answer, Ask, PASSWORD, World, authority, sign_in};
use crate::desk::{Bounds, Desk, Way, around};
use crate::ledger::Role;

/// The value of a header that must be there once.
fn one<'a>(answer: &'a Answer, name: &str, what: &str) -> &'a str {
    let mut values = answer.headers.get_all(name).iter();
    let value = values
        .next()
        .unwrap_or_else(|| panic!("{what}: no {name}: {answer:?}"));
    assert!(values.next().is_none(), "{what}: {name} twice");
    value.to_str().unwrap()
}

/// A policy by its directives.
fn policy<'a>(answer: &'a Answer, what: &str) -> BTreeMap<&'a str, &'a str> {
    let policy = one(answer, "content-security-policy", what);
    let directives = policy.split(';').map(str::trim);
    directives
        .map(|directive| directive.split_once(' ').unwrap_or((directive, "")))
        .collect()
}

/// What holds of every answer.
fn judge_any(answer: &Answer, what: &str) {
    assert_eq!(
        one(answer, "x-content-type-options", what),
        "nosniff",
        "{what}"
    );
    assert_eq!(
        one(answer, "referrer-policy", what),
        "no-referrer",
        "{what}"
    );
    let policy = policy(answer, what);
    assert_eq!(policy.get("default-src"), Some(&"'none'"), "{what}");
    assert_eq!(policy.get("frame-ancestors"), Some(&"'none'"), "{what}");
    assert!(!one(answer, "x-request-id", what).is_empty(), "{what}");
    // Nobody else's page may read anything here.
    for (name, _) in &answer.headers {
        assert!(!name.as_str().starts_with("access-control-"), "{what}");
    }
}

/// What holds of everything but the page and what it loads.
fn judge(answer: &Answer, what: &str) {
    judge_any(answer, what);
    assert_eq!(policy(answer, what).len(), 2, "{what}");
    assert_eq!(one(answer, "cache-control", what), "no-store", "{what}");
}

#[tokio::test]
async fn every_route_says_what_browsers_keep_to_whoever_asks() {
    let world = World::new();
    let viewer = world.signed_in(Role::Viewer).await;
    let administrator = world.signed_in(Role::Administrator).await;
    for (method, path, body, _) in routes() {
        let ask = || {
            let ask = Ask::new(method.clone(), path);
            if body.is_null() { ask } else { ask.json(&body) }
        };
        for (ask, who) in [
            (ask(), "nobody"),
            (ask().by(&viewer), "a viewer"),
            (ask().by(&administrator), "an administrator"),
        ] {
            let answer = world.ask(ask).await;
            judge(&answer, &format!("{method} {path} by {who}"));
        }
    }
}

#[tokio::test]
async fn what_is_refused_says_so_too() {
    let world = World::new();
    let cookie = world.signed_in(Role::Administrator).await;
    let note = json!({ "kind": "note" });
    let ask = |method: Method, path: &str| Ask::new(method, path);
    let graphql = || ask(Method::POST, "/desk/v1/graphql");
    for (ask, expected) in [
        (ask(Method::GET, "/livez"), 200),
        (ask(Method::GET, "/readyz"), 200),
        (sign_in("administrator", PASSWORD), 204),
        (sign_in("administrator", "not the password"), 401),
        (
            ask(Method::DELETE, "/desk/v1/session").with("cookie", &cookie),
            403,
        ),
        (ask(Method::GET, "/nothing"), 404),
        (ask(Method::GET, "/assets/nothing.js"), 404),
        (ask(Method::GET, "/desk/v1/%ff").by(&cookie), 404),
        (ask(Method::PATCH, "/desk/v1/session").by(&cookie), 405),
        (ask(Method::POST, "/"), 405),
        (graphql().by(&cookie), 415),
        (graphql().json(&json!([[]])).by(&cookie), 400),
        (
            graphql()
                .json(&json!({ "query": "{ nothing }" }))
                .by(&cookie),
            200,
        ),
        (
            graphql()
                .json(&json!({ "query": "x".repeat(300_000) }))
                .by(&cookie),
            413,
        ),
        (
            ask(Method::POST, "/desk/v1/tickets/LYN-000001/commands")
                .json(&note)
                .by(&cookie),
            400,
        ),
        (
            ask(Method::GET, "/desk/v1/live")
                .by(&cookie)
                .with("upgrade", "x"),
            400,
        ),
    ] {
        let what = format!("{} {}", ask.method, ask.path);
        let answer = world.ask(ask).await;
        assert_eq!(answer.status.as_u16(), expected, "{what}: {answer:?}");
        judge(&answer, &what);
        assert_eq!(
            answer.headers.contains_key("allow"),
            expected == 405,
            "{what}"
        );
    }
}

/// Routes that fail in their own ways, within everything that goes around a request.
fn faulty(desk: &Arc<Desk>) -> Router {
    let in_turn = from_fn_with_state(desk.clone(), around::in_turn);
    let around = from_fn_with_state(desk.clone(), around::around);
    Router::new()
        .route("/slow", get(std::future::pending::<()>))
        .route("/faulty", get(async || -> () { panic!("a test's own") }))
        .route_layer(in_turn)
        .layer(around)
}

#[tokio::test]
async fn what_fails_says_so_too() {
    let here = Ipv4Addr::LOCALHOST;
    let slow = || Ask::new(Method::GET, "/slow");
    let hasty = Bounds {
        request_within: Duration::from_millis(10),
        ..Bounds::default()
    };
    let world = World::within(Way::Tls(authority().desk_config()), hasty);
    let answer = World::ask_of(faulty(&world.desk), here, slow()).await;
    assert_eq!(answer.problem(), "too-slow");
    judge(&answer, "what takes too long");
    let panics = Ask::new(Method::GET, "/faulty");
    let answer = World::ask_of(faulty(&world.desk), here, panics).await;
    assert_eq!(answer.problem(), "internal");
    judge(&answer, "what panics");
    let crowded = Bounds {
        requests: 0,
        turn_within: Duration::from_millis(10),
        ..Bounds::default()
    };
    let world = World::within(Way::InsecureLoopback, crowded);
    let answer = World::ask_of(faulty(&world.desk), here, slow()).await;
    assert_eq!(answer.problem(), "busy");
    judge(&answer, "what finds no place");
    let elsewhere = Ipv4Addr::new(10, 0, 0, 1);
    let answer = World::ask_of(faulty(&world.desk), elsewhere, slow()).await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    judge(&answer, "what comes from elsewhere");
}

/// The page may load from nowhere else, run nothing that is written into it, send nothing elsewhere.
fn judge_page(answer: &Answer, what: &str) {
    judge_any(answer, what);
    let opener = one(answer, "cross-origin-opener-policy", what);
    assert_eq!(opener, "same-origin", "{what}");
    for (directive, sources) in policy(answer, what) {
        let allowed: &[&str] = match directive {
            "default-src" | "frame-ancestors" | "base-uri" => &["'none'"],
            "img-src" => &["'self' data:"],
            "script-src" | "style-src" | "font-src" | "connect-src" | "form-action" => &["'self'"],
            other => panic!("{what}: nobody thought of {other}"),
        };
        assert!(allowed.contains(&sources), "{what}: {directive} {sources}");
    }
    for needed in ["base-uri", "form-action"] {
        assert!(
            policy(answer, what).contains_key(needed),
            "{what}: {needed}"
        );
    }
}

#[tokio::test]
async fn the_console_runs_and_loads_nothing_but_its_own() {
    let world = World::new();
    let page = world.ask(Ask::new(Method::GET, "/")).await;
    assert_eq!(page.status, StatusCode::OK);
    judge_page(&page, "the page");
    assert_eq!(one(&page, "cache-control", "the page"), "no-cache");
    let head = world.ask(Ask::new(Method::HEAD, "/")).await;
    judge_page(&head, "the page's head");
    let tag = one(&page, "etag", "the page").to_owned();
    let known = Ask::new(Method::GET, "/").with("if-none-match", &tag);
    let known = world.ask(known).await;
    assert_eq!(known.status, StatusCode::NOT_MODIFIED);
    judge_page(&known, "the page as known");
    // Nothing in it needs more than that; what it names is there, and is told the same.
    let text = String::from_utf8(page.body).unwrap();
    for inline in [
        "<style",
        " style=",
        "<script>",
        "javascript:",
        " onload=",
        " onerror=",
    ] {
        assert!(!text.contains(inline), "{inline} in {text}");
    }
    let named = text.split("=\"/assets/").skip(1);
    for path in named.filter_map(|rest| rest.split('"').next()) {
        let path = format!("/assets/{path}");
        let asset = world.ask(Ask::new(Method::GET, &path)).await;
        assert_eq!(asset.status, StatusCode::OK, "{path}");
        judge_page(&asset, &path);
        let kept = one(&asset, "cache-control", &path);
        assert!(kept.contains("immutable"), "{path}: {kept}");
    }
}
