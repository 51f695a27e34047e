//! The desk end to end: a real central over TLS, a real agent that files, and what central support and its
//! programs get of it.

use branchline_server::ledger::sqlite::FILE_NAME;
use harness::processes::{Branch, Central, sandbox, succeeded, text, wait_for};
use harness::raw_http::{Answer, Place, Request};
use harness::tls;
use serde_json::{Value, json};

/// Somebody at the desk.
pub(super) struct Support<'a> {
    central: &'a Central,
    place: Place,
    /// How it proves itself.
    proof: (&'static str, String),
}

impl<'a> Support<'a> {
    /// A program that may do everything.
    pub(super) fn program(central: &'a Central) -> Self {
        let mut args = vec!["api-token", "create", "tests"];
        for right in ["read", "reply", "release", "administer"] {
            args.extend(["--right", right]);
        }
        let token = succeeded(&central.cli(&args)).trim().to_owned();
        Self {
            place: place(central),
            central,
            proof: ("Authorization", format!("Bearer {token}")),
        }
    }

    pub(super) fn request(&self, method: &str, target: &str) -> Request {
        Request::new(method, target)
            .header("Host", &self.central.desk.to_string())
            .header(self.proof.0, &self.proof.1)
            .header("Branchline-Console", "1")
    }

    pub(super) fn ask(&self, request: &Request) -> Answer {
        request.ask(&self.place).expect("an answer")
    }

    fn question(&self, question: &str) -> Value {
        let body = json!({ "query": question }).to_string();
        let answer = self.ask(&self.request("POST", "/desk/v1/graphql").json(body));
        assert_eq!(answer.status, 200, "{}", answer.text());
        let answer = answer.json();
        assert!(answer.get("errors").is_none(), "{answer}");
        answer["data"].clone()
    }

    /// Gives a file for a reply to this ticket.
    pub(super) fn give(&self, number: &str, name: &str, content: &[u8]) -> Answer {
        let target = format!("/desk/v1/files?ticket={number}&name={name}");
        let request = self.request("POST", &target);
        let request = request.header("Content-Type", "application/octet-stream");
        self.ask(&request.body(content))
    }

    /// A file as central has it, once it is in this state.
    pub(super) fn wait_given(&self, id: &str, state: &str) -> Value {
        let target = format!("/desk/v1/files/{id}/state");
        wait_for(state, || {
            let shown = self.ask(&self.request("GET", &target)).json();
            (shown["state"] == state).then_some(shown)
        })
    }

    pub(super) fn command(&self, number: &str, command: &Value) -> Answer {
        let target = format!("/desk/v1/tickets/{number}/commands");
        self.ask(&self.request("POST", &target).json(command.to_string()))
    }

    /// The ticket, once it is there.
    pub(super) fn ticket(&self, number: &str) -> Value {
        let question = format!(
            "{{ ticket(number: \"{number}\") {{ summary {{ state version }} files {{ id name state readable }} \
             timeline {{ kind said }} }} }}"
        );
        wait_for("the ticket at the desk", || {
            Some(self.question(&question)["ticket"].clone()).filter(|ticket| !ticket.is_null())
        })
    }
}

fn place(central: &Central) -> Place {
    Place::Tls(central.desk, tls::client(&central.anchors(), None))
}

pub(super) fn command(word: u8, saw: &Value, rest: &Value) -> Value {
    let mut command = rest.clone();
    command["id"] = json!(format!("01890000-0000-7000-8000-0000000000{word:02x}"));
    command["saw"] = json!(saw.as_f64().expect("a version") as u64);
    command
}

/// A browser keeps it, and shows, runs, guesses and caches nothing of it.
fn assert_inert(answer: &Answer) {
    for (name, expected) in [
        ("content-type", "application/octet-stream"),
        ("x-content-type-options", "nosniff"),
        ("content-security-policy", "sandbox; default-src 'none'"),
        ("cross-origin-resource-policy", "same-origin"),
        ("referrer-policy", "no-referrer"),
        ("cache-control", "no-store"),
    ] {
        assert_eq!(answer.header(name), Some(expected), "{name}");
    }
    let disposition = answer.header("content-disposition").expect("a name");
    assert!(
        disposition.starts_with("attachment; filename=\""),
        "{disposition}"
    );
    assert_eq!(disposition.matches('"').count(), 2, "{disposition}");
    let encoded = disposition.contains("\"; filename*=UTF-8''");
    assert!(encoded, "{disposition}");
}

#[tokio::test]
async fn a_ticket_arrives_is_answered_and_its_file_is_fetched_by_parts() {
    let sandbox = sandbox();
    let mut central = Central::init(sandbox.path());
    let mut branch = Branch::join(sandbox.path(), &central, "LYN", central.address);
    central.start();
    branch.start();
    let support = Support::program(&central);
    let number = branch.file("Printer jams").await.number.to_string();
    let path = sandbox.path().join("scan \"1\";é.pdf");
    let content: Vec<u8> = (0..3_000_000_u32).map(|n| (n / 7) as u8).collect();
    std::fs::write(&path, &content).unwrap();
    branch.attach(&number, &path);
    branch.wait_drained().await;
    let ticket = support.ticket(&number);
    let answered = support.command(
        &number,
        &command(
            1,
            &ticket["summary"]["version"],
            &json!({ "kind": "reply", "text": "On it" }),
        ),
    );
    assert_eq!(answered.status, 200, "{}", answered.text());
    let shown = support.ticket(&number);
    assert_eq!(shown["summary"]["state"], "OPEN");

    // Nobody scans here: held until somebody releases it, on record.
    let held = wait_for("the file to be held", || {
        let ticket = support.ticket(&number);
        let file = ticket["files"][0].clone();
        (file["state"] == "held").then_some(file)
    });
    assert_eq!(held["readable"], false);
    let target = format!("/desk/v1/files/{}", held["id"].as_str().unwrap());
    let refused = support.ask(&support.request("GET", &target));
    assert_eq!(
        (refused.status, refused.problem()["class"].as_str()),
        (409, Some("fix_input"))
    );
    let release = support.request("POST", &format!("{target}/release"));
    let released = support.ask(&release.json(json!({ "reason": "a photo" }).to_string()));
    assert_eq!(released.json()["state"], "released", "{}", released.text());

    let whole = support.ask(&support.request("GET", &target));
    assert_eq!((whole.status, whole.body == content), (200, true));
    assert_inert(&whole);
    let part = support.ask(
        &support
            .request("GET", &target)
            .header("Range", "bytes=1000000-1999999"),
    );
    assert_eq!(
        (part.status, part.header("content-range")),
        (206, Some("bytes 1000000-1999999/3000000"))
    );
    assert!(part.body == content[1_000_000..2_000_000]);
    assert_inert(&part);
    let beyond = support.ask(
        &support
            .request("GET", &target)
            .header("Range", "bytes=3000000-"),
    );
    assert_eq!(beyond.status, 416);
}

#[test]
fn an_operator_signs_in_over_tls_and_is_out_when_removed() {
    let sandbox = sandbox();
    let mut central = Central::init(sandbox.path());
    central.start();
    let said = succeeded(&central.cli(&["operator", "add", "jeanne", "--role", "support"]));
    let first = said.split_whitespace().last().unwrap().to_owned();
    let place = place(&central);
    let host = central.desk.to_string();
    let post = |target: &str, body: &Value| {
        Request::new("POST", target)
            .header("Host", &host)
            .header("Origin", &format!("https://{host}"))
            .header("Branchline-Console", "1")
            .json(body.to_string())
            .ask(&place)
            .expect("an answer")
    };
    let password = "correct horse battery";
    let change = json!({ "name": "jeanne", "password": first, "new_password": password });
    let refused = post(
        "/desk/v1/session",
        &json!({ "name": "jeanne", "password": first }),
    );
    assert_eq!(
        refused.problem()["type"],
        "urn:branchline:problem:password-change-needed"
    );
    assert_eq!(post("/desk/v1/password", &change).status, 204);
    let entered = post(
        "/desk/v1/session",
        &json!({ "name": "jeanne", "password": password }),
    );
    assert_eq!(entered.status, 204);
    let cookie = entered
        .header("set-cookie")
        .unwrap()
        .split(';')
        .next()
        .unwrap()
        .to_owned();
    let me = || {
        let request = Request::new("GET", "/desk/v1/session").header("Host", &host);
        request
            .header("Cookie", &cookie)
            .ask(&place)
            .expect("an answer")
    };
    assert_eq!(me().json()["name"], "jeanne");
    succeeded(&central.cli(&["operator", "remove", "jeanne"]));
    assert_eq!(me().status, 401);
    // What was typed is in no log.
    let log = central.log();
    assert!(!log.contains(password) && !log.contains(&first) && !log.contains(&cookie));
}

#[test]
fn p10_a_ledger_that_somebody_holds_stops_commands_and_nothing_else() {
    let sandbox = sandbox();
    let mut central = Central::init(sandbox.path());
    central.start();
    let support = Support::program(&central);
    support.question("{ me { name } }");
    let ledger = rusqlite::Connection::open(central.folder().join(FILE_NAME)).unwrap();
    ledger.execute_batch("BEGIN IMMEDIATE").unwrap();
    let note = json!({ "kind": "note", "text": "x" });
    let refused = support.command("LYN-000001", &command(1, &json!(1.0), &note));
    assert_eq!(refused.status, 503, "{}", refused.text());
    assert_eq!(refused.problem()["class"], "try_again");
    assert!(refused.header("retry-after").is_some());
    support.question("{ tickets { tickets { number } } freshness { position } }");
    ledger.execute_batch("ROLLBACK").unwrap();
    let answered = support.command("LYN-000001", &command(1, &json!(1.0), &note));
    assert_eq!(answered.status, 404, "{}", answered.text());
}

#[tokio::test]
async fn a_desk_that_cannot_listen_keeps_nobody_from_filing() {
    let sandbox = sandbox();
    let mut central = Central::init(sandbox.path());
    let mut branch = Branch::join(sandbox.path(), &central, "LYN", central.address);
    let taken = std::net::TcpListener::bind(central.desk).unwrap();
    central.start();
    branch.start();
    branch.file("Printer jams").await;
    branch.wait_drained().await;
    assert!(central.log().contains("central runs without a desk"));
    drop(taken);
}

#[tokio::test]
async fn the_read_model_is_built_anew_at_will() {
    let sandbox = sandbox();
    let mut central = Central::init(sandbox.path());
    let mut branch = Branch::join(sandbox.path(), &central, "LYN", central.address);
    central.start();
    branch.start();
    let support = Support::program(&central);
    let number = branch.file("Printer jams").await.number.to_string();
    support.ticket(&number);
    let files = || -> Vec<String> {
        let entries = std::fs::read_dir(central.folder().join("desk")).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name.ends_with(".db")).collect()
    };
    let before = files();
    succeeded(&central.cli(&["readmodel", "rebuild"]));
    wait_for("the new read model", || {
        assert_eq!(
            support.question("{ tickets { tickets { number } } }")["tickets"]["tickets"][0]["number"],
            number.as_str()
        );
        let now = files();
        (now.len() == 1 && now != before).then_some(())
    });
    let status: Value =
        serde_json::from_str(&succeeded(&central.cli(&["readmodel", "status", "--json"]))).unwrap();
    assert_eq!(
        (&status["waiting"], &status["rebuild_wished"]),
        (&json!(0), &json!(false))
    );
}

#[test]
fn whoever_shows_nothing_sees_a_page_and_that_central_lives() {
    let sandbox = sandbox();
    let mut central = Central::init(sandbox.path());
    central.start();
    let place = place(&central);
    let get = |target: &str| Request::new("GET", target).ask(&place).expect("an answer");
    let page = get("/");
    assert_eq!(
        (page.status, page.header("content-type")),
        (200, Some("text/html; charset=utf-8"))
    );
    let policy = page.header("content-security-policy").unwrap();
    assert!(
        policy.starts_with("default-src 'none'; script-src 'self';"),
        "{policy}"
    );
    assert!(
        !page.text().contains("<style") && !page.text().contains("style="),
        "{}",
        page.text()
    );
    assert_eq!((get("/livez").status, get("/readyz").status), (200, 200));
    for hidden in ["/metrics", "/desk/v1/session", "/desk/v1/operators"] {
        let refused = get(hidden);
        assert_eq!(
            (refused.status, refused.problem()["status"].clone()),
            (401, json!(401)),
            "{hidden}"
        );
    }
    assert_eq!(get("/assets/../../ledger.db").status, 404);
    let id = get("/nothing");
    assert_eq!(id.json()["request_id"].as_str(), id.header("x-request-id"));
    let metrics = {
        let support = Support::program(&central);
        support.ask(&support.request("GET", "/metrics"))
    };
    assert!(
        text(&metrics.body).contains("branchline_read_model_position"),
        "{}",
        metrics.text()
    );
}

/// The cookie of an operator who has just been made.
fn signed_in(central: &Central, name: &str) -> String {
    let said = succeeded(&central.cli(&["operator", "add", name, "--role", "administrator"]));
    let (_, first) = said.trim().rsplit_once(": ").expect("a password is shown");
    let place = place(central);
    let ask = |target: &str, body: &Value| {
        let request = Request::new("POST", target)
            .header("Host", &central.desk.to_string())
            .header("Branchline-Console", "1");
        let answer = request
            .json(body.to_string())
            .ask(&place)
            .expect("an answer");
        assert_eq!(answer.status, 204, "{}", answer.text());
        answer
    };
    let password = "correct horse battery staple";
    let new = json!({ "name": name, "password": first, "new_password": password });
    ask("/desk/v1/password", &new);
    let session = ask(
        "/desk/v1/session",
        &json!({ "name": name, "password": password }),
    );
    let cookie = session.header("set-cookie").expect("a cookie");
    cookie.split(';').next().expect("a cookie").to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_download_ends_with_the_session_that_began_it() {
    const SIZE: u64 = 96 << 20;
    let sandbox = sandbox();
    let mut central = Central::init(sandbox.path());
    let mut branch = Branch::join(sandbox.path(), &central, "LYN", central.address);
    central.start();
    branch.start();
    let number = branch.file("A large file").await.number.to_string();
    let path = sandbox.path().join("large");
    harness::samples::incompressible(&path, SIZE, 1);
    branch.attach(&number, &path);
    let file = central.wait_file("large", &["held"]);
    let id = file["file"].as_str().expect("an id");
    succeeded(&central.cli(&["files", "release", id, "--by", "it", "--reason", "a test"]));
    let cookie = signed_in(&central, "paula");
    let _ = rustls::crypto::ring::default_provider().install_default();
    let http = reqwest::Client::builder()
        .no_proxy()
        .tls_backend_preconfigured(tls::client(&central.anchors(), None).as_ref().clone())
        .build()
        .expect("a client");
    let url = format!("https://{}/desk/v1/files/{id}", central.desk);
    let mut download = http
        .get(url)
        .header("cookie", &cookie)
        .send()
        .await
        .expect("an answer");
    assert_eq!(
        (download.status().as_u16(), download.content_length()),
        (200, Some(SIZE))
    );
    let mut read = download
        .chunk()
        .await
        .expect("content")
        .expect("content")
        .len() as u64;
    succeeded(&central.cli(&["operator", "add", "other", "--role", "administrator"]));
    succeeded(&central.cli(&["operator", "remove", "paula"]));
    // The session is asked for every two seconds: what is fetched slowly for longer does not come to its end.
    let mut pace = tokio::time::interval(std::time::Duration::from_millis(50));
    let broken = loop {
        pace.tick().await;
        match download.chunk().await {
            Ok(Some(more)) => read += more.len() as u64,
            Ok(None) => break false,
            Err(_) => break true,
        }
    };
    assert!(broken && read < SIZE, "{read} bytes, broken off: {broken}");
    wait_for("the log to say so", || {
        central.log().contains("broken off").then_some(())
    });
}
