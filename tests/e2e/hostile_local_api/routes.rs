//! Routes, parameters and content types that do not exist, and who the reporter is whatever a request claims.

use std::os::unix::fs::PermissionsExt;

use harness::raw_http::{Answer, Request};
use serde_json::json;

use super::{COMMENTS, TICKETS, Target, WITHDRAWAL, assert_refused, good_ticket, ticket_with};

#[rustfmt::skip]
const NO_SUCH_ROUTES: &[&str] = &[
    "/", "//", "/v1", "/v1/", "/v1/ticket", "/v1/tickets/", "/v2/tickets", "/V1/tickets", "*",
    "//v1/status", "/v1//status", "/v1/tickets/../status", "/v1/./status", "/v1/status/",
    "/v1/status%00", "/v1/tickets/LYN-000001/", "/v1/tickets/LYN-000001/comments/1",
    "/v1/tickets/LYN-999999", "/v1/tickets/PAR-000001", "/v1/tickets/LYN2-000001",
    "/v1/tickets/LYN-000001-2", "/v1/tickets/LYN-4294967295", "/etc/passwd",
];

#[rustfmt::skip]
const NO_SUCH_METHODS: &[(&str, &str)] = &[
    ("PUT", TICKETS), ("DELETE", TICKETS), ("OPTIONS", TICKETS), ("get", TICKETS), ("BREW", TICKETS),
    ("PATCH", "/v1/tickets/LYN-000001"), ("DELETE", "/v1/tickets/LYN-000001"),
    ("TRACE", "/v1/status"), ("POST", "/v1/status"), ("GET", COMMENTS), ("GET", WITHDRAWAL),
];

#[test]
fn routes_and_methods_that_do_not_exist_are_refused_as_such() {
    let mut target = Target::start();
    for path in NO_SUCH_ROUTES {
        assert_refused(&target.get(path), 404, path);
    }
    for (method, path) in NO_SUCH_METHODS {
        let answer = target.ask(&Request::new(method, path));
        assert_refused(&answer, 405, &format!("{method} {path}"));
        assert!(
            answer.header("allow").is_some(),
            "{method} {path}: {answer:?}"
        );
    }
    for path in [COMMENTS, WITHDRAWAL] {
        let path = path.replace("000001", "000777");
        assert_refused(
            &target.post(&path, r#"{}"#.replace("{}", comment_or_reason(&path))),
            404,
            &path,
        );
    }
    target.assert_unharmed("routes that do not exist");
}

fn comment_or_reason(path: &str) -> &'static str {
    if path.ends_with("comments") {
        r#"{"text":"a"}"#
    } else {
        r#"{"reason":"a"}"#
    }
}

/// Texts in the place of a ticket's number that are none, and the status that says so.
#[rustfmt::skip]
const BAD_NUMBERS: &[(&str, u16)] = &[
    ("x", 422), ("LYN", 422), ("lyn-000001", 422), ("LYN-1", 422), ("LYN-0000001", 422), ("-", 422),
    ("LYN-000000", 422), ("LYN-4294967296", 422), ("LYN1-000001", 422), ("LYN-000001%00", 422),
    ("LYN-000001%20", 422), ("%20LYN-000001", 422), ("LYN-000001%2Fcomments", 422),
    ("..%2fstatus", 422), ("%2e%2e", 422), ("LYN%2d000001x", 422), ("LYN-00000%C4%B1", 422),
    ("LYN-000001;x=y", 422), ("LYN-000001'--", 422), ("%F0%9F%96%A8", 422), ("LYN99999-000001", 422),
    ("LYN-%2B00001", 422), ("LYN-000001%0d%0aX:y", 422), ("%25%34%43YN-000001", 422),
    ("%ff", 422), ("LYN-000001%ff", 422), ("%c0%af", 422), ("%ed%a0%80", 422),
];

#[test]
fn what_is_no_ticket_number_is_refused_however_it_is_spelled() {
    let mut target = Target::start();
    for (number, status) in BAD_NUMBERS {
        for (method, rest) in [("GET", ""), ("POST", "/comments"), ("POST", "/withdrawal")] {
            let path = format!("{TICKETS}/{number}{rest}");
            let request = Request::new(method, &path).json(comment_or_reason(&path));
            let problem = assert_refused(&target.ask(&request), *status, &path);
            assert_eq!(problem["field"], "number", "{path}: {problem}");
        }
    }
    let long = format!("{TICKETS}/{}", "9".repeat(50_000));
    assert_refused(&target.get(&long), 422, "a long number");
    // The same number spelled with escapes is the same number.
    assert_eq!(target.get("/v1/tickets/%4CYN%2D000001").status, 200);
    target.assert_unharmed("numbers that are none");
}

#[rustfmt::skip]
const BAD_QUERIES: &[(&str, u16)] = &[
    ("limit=0", 422), ("limit=201", 422), ("limit=4294967295", 422), ("limit=4294967296", 400),
    ("limit=-1", 400), ("limit=1e3", 400), ("limit=0x10", 400), ("limit=", 400), ("limit=%00", 400),
    ("limit=NaN", 400), ("limit=99999999999999999999999999", 400), ("limit=10&limit=10", 400),
    ("before=-1", 400), ("before=x", 400), ("before=4294967296", 400), ("before=%ff", 400),
    ("befor=3", 400), ("limit[]=3", 400), ("=", 400), ("%", 400), ("limit=%F0%9F%96%A8", 400),
];

#[test]
fn absurd_parameters_of_a_list_are_refused_and_large_ones_taken() {
    let mut target = Target::start();
    for (query, status) in BAD_QUERIES {
        assert_refused(&target.get(&format!("{TICKETS}?{query}")), *status, query);
    }
    let long = format!("{TICKETS}?before={}", "9".repeat(20_000));
    assert_refused(&target.get(&long), 400, "a long query");
    let good = [
        ("", 1),
        ("limit=1", 1),
        ("limit=200", 1),
        ("limit=%31", 1),
        ("limit=0200", 1),
    ];
    let edges = [("before=0", 0), ("before=1", 0), ("before=4294967295", 1)];
    for (query, tickets) in good.into_iter().chain(edges) {
        let answer = target.get(&format!("{TICKETS}?{query}"));
        assert_eq!(answer.status, 200, "{query}: {}", answer.text());
        assert_eq!(
            answer.json()["tickets"].as_array().map(Vec::len),
            Some(tickets),
            "{query}"
        );
    }
    target.assert_unharmed("absurd parameters");
}

#[rustfmt::skip]
const OTHER_TYPES: &[&str] = &[
    "", "text/plain", "application/x-www-form-urlencoded", "text/json", "application/jsonx", "\u{e9}",
    "application/problem+json", "multipart/form-data; boundary=x", "application/json, text/plain",
];

#[test]
fn other_content_types_and_codings_are_refused() {
    let mut target = Target::start();
    let post = || Request::new("POST", TICKETS).body(good_ticket().to_string());
    assert_refused(&target.ask(&post()), 415, "no content type");
    for kind in OTHER_TYPES {
        assert_refused(&target.ask(&post().header("Content-Type", kind)), 415, kind);
    }
    let post = |kind| post().header("Content-Type", kind);
    for coding in ["gzip", "zstd", "identity, zstd", "br", "x"] {
        let request = post("application/json").header("Content-Encoding", coding);
        assert_refused(&target.ask(&request), 415, coding);
    }
    for kind in [
        "application/json",
        "Application/JSON",
        "application/json ; charset=utf-8",
    ] {
        let saved = target.ask(&post(kind));
        assert_eq!(saved.status, 200, "{kind}: {}", saved.text());
        target.saved += 1;
    }
    target.assert_unharmed("other content types");
}

#[test]
fn the_recorded_reporter_is_the_systems_user_whatever_the_request_claims() {
    let mut target = Target::start();
    let own = std::process::Command::new("id")
        .arg("-un")
        .output()
        .expect("run id");
    let own = harness::processes::text(&own.stdout).trim().to_owned();
    let claim = ticket_with(
        "contact",
        json!({ "name": "director", "mail": "director@example.org" }),
    );
    let request = Request::new("POST", TICKETS)
        .header("X-Forwarded-User", "director")
        .header("Remote-User", "director")
        .header("Authorization", "Basic ZGlyZWN0b3I6")
        .json(claim);
    let saved = target.ask(&request);
    assert_eq!(saved.status, 200, "{}", saved.text());
    target.saved += 1;
    let shown = |saved: &Answer| {
        let saved = saved.json();
        let number = saved["number"].as_str().expect("a number");
        target.get(&format!("{TICKETS}/{number}")).json()
    };
    assert_eq!(shown(&saved)["summary"]["reporter"], own.as_str());
    assert_eq!(shown(&saved)["contact"]["name"], "director");

    if let Some(saved) = file_as_another_user(&target) {
        let reporter = shown(&saved)["summary"]["reporter"].clone();
        assert!(
            reporter != own.as_str() && reporter.is_string(),
            "{reporter} is not the caller"
        );
        target.saved += 1;
    }
    target.assert_unharmed("false claims");
}

/// Files as user 65534 (nobody) where the test may take that user on: the kernel tells the agent who
/// was the connecting thread's user.
fn file_as_another_user(target: &Target) -> Option<Answer> {
    for folder in [target.sandbox.path(), target.branch.folder()] {
        let open = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(folder, open).expect("let others pass");
    }
    let place = target.place.clone();
    let filing = std::thread::spawn(move || {
        // SAFETY: the raw call changes the user of this thread alone, which ends after one request.
        let changed = unsafe { libc::syscall(libc::SYS_setresuid, 65_534, 65_534, 65_534) };
        (changed == 0).then(|| {
            let request = Request::new("POST", TICKETS).json(good_ticket().to_string());
            request.ask(&place).expect("every local user may file")
        })
    });
    let saved = filing.join().expect("the thread ends");
    if saved.is_none() {
        println!("filing as another user needs privileges and was not tried");
    }
    saved
}
