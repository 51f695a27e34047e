//! Who asks: no credentials, other agents' streams, other branches' tickets, other versions and routes.

use std::process::Command;

use branchline_protocol::chain::Position;
use branchline_protocol::id::StreamId;
use harness::processes::{Central, binary, sandbox, succeeded, text};
use harness::raw_http::{Connection, Request};
use serde_json::{Value, json};

use super::{OPERATIONS, Target, VERSION, assert_problem, filed, new_id, operation};

/// What used to be a credential, or might be somebody's, is none: only a certificate is.
#[test]
fn whoever_shows_no_certificate_is_refused_whatever_else_is_said() {
    let mut target = Target::start();
    let id = target.good.id.clone();
    let nobody = target.evil.nobodys_place();
    let submission = target.good.body(&[]);
    for header in [
        String::new(),
        "Bearer".to_owned(),
        format!("Bearer {id}"),
        format!("Bearer {id}.{}", "0".repeat(64)),
        format!("Basic {}", "YTpi".repeat(2_000)),
    ] {
        for (method, route) in [("POST", OPERATIONS), ("GET", "/v1/feed?after=&wait=25")] {
            let request = Request::new(method, route)
                .header(VERSION, "1")
                .header("Authorization", &header)
                .json(submission.clone());
            let answer = request.ask(&nobody).expect("central answers");
            assert_problem(&answer, 401, "unauthenticated", &header);
        }
    }
    // Refused before a body is waited for, whatever it claims to be.
    let claims = Request::new("POST", OPERATIONS)
        .header(VERSION, "1")
        .header("Content-Length", "2000000");
    let mut connection = Connection::open(&nobody).expect("connect");
    connection.send(&claims.to_bytes()).expect("send");
    assert_eq!(connection.answer().expect("an answer").status, 401);
    target.assert_unharmed("no certificate");
    target.assert_holds(0);
}

#[test]
fn another_agents_stream_is_refused_and_does_not_move() {
    let mut target = Target::start();
    let own = (target.evil.stream, target.evil.at);
    let ticket = filed("PAR-000001").to_string();
    for at in [target.good.at, Position::genesis(target.good.stream)] {
        (target.evil.stream, target.evil.at) = (target.good.stream, at);
        for operations in [vec![], vec![ticket.as_bytes()]] {
            let answer = target.evil.post(target.evil.body(&operations));
            assert_problem(&answer, 403, "foreign-stream", "another's stream");
        }
        target.assert_unharmed("another's stream");
    }
    (target.evil.stream, target.evil.at) = own;
    // A stream of its own that claims to continue another's learns nothing of it: the same answer as
    // for a stream that nobody has.
    let continuing = |stream: StreamId, at: Position| {
        let mut body: Value = serde_json::from_slice(&target.evil.body(&[])).expect("JSON");
        body["continues"] =
            json!({ "stream": stream, "at": at, "cause": "central_restored", "lost": 0 });
        let answer = target.evil.post(body.to_string());
        assert_problem(&answer, 409, "gap", "continuing another's stream")
    };
    let nobodys = StreamId::from_parts(7, [7; 10]);
    let of_good = continuing(target.good.stream, target.good.at);
    assert_eq!(of_good, continuing(nobodys, target.good.at));
    target.evil.assert_served("its own stream");
    target.assert_unharmed("streams of others");
    target.assert_holds(1);
}

#[test]
fn other_versions_routes_and_methods_are_refused_as_such() {
    let mut target = Target::start();
    let submission = target.good.body(&[]);
    let post = || Request::new("POST", OPERATIONS);
    for version in [
        "",
        "0",
        "2",
        "01",
        "1.0",
        "v1",
        "1, 1",
        "\u{e9}",
        "18446744073709551617",
    ] {
        let request = post().header(VERSION, version).json(submission.clone());
        assert_problem(
            &target.good.ask(&request),
            400,
            "unsupported-version",
            version,
        );
    }
    let request = post().json(submission.clone());
    assert_problem(
        &target.good.ask(&request),
        400,
        "unsupported-version",
        "no version",
    );
    let get = Request::new("GET", "/v1/feed");
    assert_problem(
        &target.good.ask(&get),
        400,
        "unsupported-version",
        "a feed without version",
    );
    for path in [
        "/",
        "//",
        "/v1",
        "/v1/operations/",
        "/v1/Operations",
        "/v2/operations",
        "/v1/../livez",
        "*",
        "/v1/feed%00",
        "/livez/x",
        "/metrics",
    ] {
        assert_problem(
            &target.good.ask(&target.good.request("GET", path)),
            404,
            "not-found",
            path,
        );
    }
    for (method, path) in [
        ("GET", OPERATIONS),
        ("PUT", OPERATIONS),
        ("DELETE", "/v1/feed"),
        ("POST", "/v1/feed"),
        ("POST", "/livez"),
        ("BREW", OPERATIONS),
    ] {
        let answer = target.good.ask(&target.good.request(method, path));
        assert_problem(
            &answer,
            405,
            "method-not-allowed",
            &format!("{method} {path}"),
        );
    }
    let long = format!("/{}", "a".repeat(20_000));
    assert_problem(
        &target.good.ask(&target.good.request("GET", &long)),
        404,
        "not-found",
        "a long path",
    );
    target.assert_unharmed("versions and routes");
}

#[test]
fn another_branchs_ticket_is_answered_as_one_that_does_not_exist() {
    let mut target = Target::start();
    let theirs = target.good.ticket();
    target
        .good
        .submit(&[theirs.to_string().as_bytes()], "a ticket");
    let nobodys = new_id();
    let attack = |target: &mut Target, kind: &str, ticket: &Value| {
        let body = match kind {
            "comment_added" => json!({ "ticket": ticket, "text": "Hello" }),
            "ticket_withdrawn" => json!({ "ticket": ticket, "reason": "Because" }),
            _ => json!({ "ticket": ticket, "name": "a.txt", "size": 1, "root": "0".repeat(64) }),
        };
        let operation = operation(kind, body).to_string();
        let mut verdicts = target.evil.submit(&[operation.as_bytes()], kind);
        assert_eq!(verdicts.len(), 1, "{kind}: {verdicts:?}");
        verdicts.remove(0)["reason"].take()
    };
    for kind in ["comment_added", "ticket_withdrawn", "file_attached"] {
        let on_theirs = attack(&mut target, kind, &theirs["id"]);
        assert_eq!(on_theirs["code"], "unknown_ticket", "{on_theirs}");
        assert_eq!(
            on_theirs,
            attack(&mut target, kind, &json!(nobodys)),
            "{kind}"
        );
    }
    // The same id again, by another agent of another branch: the first keeps it.
    let mut stolen = filed("PAR-000001");
    stolen["id"] = theirs["id"].clone();
    let verdicts = target
        .evil
        .submit(&[stolen.to_string().as_bytes()], "a stolen id");
    assert_eq!(verdicts[0]["reason"]["code"], "id_taken", "{verdicts:?}");
    let number = theirs["body"]["number"].as_str().expect("a number");
    let shown = succeeded(&target.central.cli(&["tickets", "show", number, "--json"]));
    let shown: Value = serde_json::from_str(&shown).expect("JSON");
    assert_eq!(
        (&shown["state"], &shown["comments"]),
        (&json!("new"), &json!([]))
    );
    target.assert_unharmed("others' tickets");
}

/// Plain HTTP for other machines would carry tickets unprotected.
#[test]
fn central_listens_unprotected_only_where_other_machines_cannot_reach_it() {
    let sandbox = sandbox();
    let central = Central::init(sandbox.path());
    let refused = |output: std::process::Output, what: &str| {
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{what}: {said}");
        assert!(
            said.contains("other machines") && said.contains("(fix the input)"),
            "{what}: {said}"
        );
    };
    for address in [
        "0.0.0.0:0",
        "[::]:0",
        "192.0.2.1:8470",
        "[::ffff:192.0.2.1]:0",
        "[fe80::1]:0",
    ] {
        let serve = ["serve", "--insecure-loopback"];
        refused(
            central.cli(&[&serve[..], &["--listen", address]].concat()),
            address,
        );
        let mut command = Command::new(binary("branchline-server"));
        command.arg("--data-dir").arg(central.folder()).args(serve);
        command.env("BRANCHLINE_SERVER_LISTEN", address);
        refused(command.output().expect("run"), address);
    }
    std::fs::write(
        central.folder().join("server.toml"),
        "listen = \"0.0.0.0:0\"\n",
    )
    .expect("write");
    refused(
        central.cli(&["serve", "--insecure-loopback"]),
        "server.toml",
    );
}
