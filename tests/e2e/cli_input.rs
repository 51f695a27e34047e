//! Bad input to every command and option of both programs: a clear error that names what is wrong, the
//! exit code that says who must act, and never a panic or a secret.

use std::os::unix::ffi::OsStringExt;
use std::process::{Command, Output, Stdio};

use harness::processes::{Branch, Central, binary, sandbox, succeeded, text, ticket};

const FIX_INPUT: i32 = 2;
const CALL_IT: i32 = 70;
const TRY_AGAIN: i32 = 75;

/// What was asked, which exit code it must end with, and what the error must say.
type Case<'a> = (&'a [&'a str], i32, &'a str);

fn check(output: &Output, asked: &str, code: i32, says: &str) {
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{asked}: {said}");
    assert!(
        said.contains(says),
        "{asked}: {said:?} does not say {says:?}"
    );
    assert!(!said.contains("panicked"), "{asked}: {said}");
}

#[tokio::test]
async fn what_a_person_gets_wrong_on_the_agents_command_line() {
    let sandbox = sandbox();
    let central = Central::init(sandbox.path());
    let mut branch = Branch::join(sandbox.path(), &central, "LYN", central.address);
    branch.start();
    branch.file("There is one").await;
    let long = "x".repeat(201);
    let cases: &[Case] = &[
        (&[], FIX_INPUT, "Usage"),
        (&["tickets"], FIX_INPUT, "unrecognized subcommand"),
        (&["ticket", "new", "-d", "x"], FIX_INPUT, "--subject"),
        (
            &["ticket", "new", "-s", "", "-d", "x"],
            FIX_INPUT,
            "subject must not be empty",
        ),
        (
            &["ticket", "new", "-s", &long, "-d", "x"],
            FIX_INPUT,
            "201 characters",
        ),
        (
            &["ticket", "new", "-s", "a\nb", "-d", "x"],
            FIX_INPUT,
            "U+000A",
        ),
        (
            &["ticket", "new", "-s", "a", "-d", ""],
            FIX_INPUT,
            "description must not be empty",
        ),
        (
            &["ticket", "new", "-s", "a", "-d", "\u{1b}[2J"],
            FIX_INPUT,
            "U+001B",
        ),
        (
            &["ticket", "new", "-s", "a", "-d", "x", "-p", "meh"],
            FIX_INPUT,
            "possible values",
        ),
        (
            &["ticket", "new", "-s", "a", "-d", "x", "-c", " "],
            FIX_INPUT,
            "category",
        ),
        (
            &["ticket", "new", "-s", "a", "-d", "x", "--asset", ""],
            FIX_INPUT,
            "asset",
        ),
        (
            &["ticket", "new", "-s", "a", "-d", "x", "--contact-mail", "x"],
            FIX_INPUT,
            "contact.mail",
        ),
        (
            &[
                "ticket",
                "new",
                "-s",
                "a",
                "-d",
                "x",
                "--contact-phone",
                "x",
            ],
            FIX_INPUT,
            "digits",
        ),
        (
            &["ticket", "new", "-s", "a", "-d", "x", "--contact-name", ""],
            FIX_INPUT,
            "contact.name",
        ),
        (
            &["ticket", "new", "-s", "a", "-d", "x", "--id", "7"],
            FIX_INPUT,
            "UUID",
        ),
        (&["ticket", "list", "--limit", "0"], FIX_INPUT, "1..=200"),
        (&["ticket", "list", "--limit", "many"], FIX_INPUT, "invalid"),
        (
            &["ticket", "list", "--before", "LYN"],
            FIX_INPUT,
            "LYN-000042",
        ),
        (&["ticket", "show"], FIX_INPUT, "NUMBER"),
        (
            &["ticket", "show", "LYN-000099"],
            FIX_INPUT,
            "no ticket LYN-000099",
        ),
        (&["ticket", "show", "../status"], FIX_INPUT, "LYN-000042"),
        (
            &["ticket", "comment", "LYN-000001", " "],
            FIX_INPUT,
            "text must not be empty",
        ),
        (
            &["ticket", "comment", "NCE-000001", "x"],
            FIX_INPUT,
            "no ticket NCE-000001",
        ),
        (
            &["ticket", "withdraw", "LYN-000001", "--reason", ""],
            FIX_INPUT,
            "reason",
        ),
        (&["queue", "list", "--limit", "0"], FIX_INPUT, "1..=100000"),
        (&["queue", "export", "--output", "/"], FIX_INPUT, "write /"),
        (
            &["run", "--log-format", "xml"],
            FIX_INPUT,
            "possible values",
        ),
        (&["doctor", "--loud"], FIX_INPUT, "--loud"),
    ];
    for (args, code, says) in cases {
        check(&branch.cli(args), &format!("{args:?}"), *code, says);
    }
    let not_text = std::ffi::OsString::from_vec(vec![b'a', 0xff, b'b']);
    let mut command = Command::new(binary("branchline-agent"));
    command
        .arg("--config")
        .arg(branch.config())
        .args(["ticket", "new", "-d", "x", "-s"])
        .arg(not_text);
    check(&command.output().unwrap(), "not UTF-8", FIX_INPUT, "UTF-8");
    let endless = vec![b'x'; 10 * 1024 * 1024];
    let output = branch.cli_with_input(&["ticket", "new", "-s", "a"], &endless);
    check(
        &output,
        "10 MiB on standard input",
        FIX_INPUT,
        "16000 characters",
    );
    let output = branch.cli_with_input(&["ticket", "new", "-s", "a"], &[b'a', 0xff]);
    check(&output, "bytes that are no text", FIX_INPUT, "UTF-8");
    assert_eq!(
        branch.status().await.waiting,
        1,
        "something was saved by a refused command"
    );
}

#[tokio::test]
async fn every_listing_is_json_for_scripts() {
    let sandbox = sandbox();
    let mut central = Central::init(sandbox.path());
    let mut branch = Branch::join(sandbox.path(), &central, "LYN", central.address);
    branch.start();
    central.start();
    branch.client().file_ticket(&ticket("One")).await.unwrap();
    branch.wait_drained().await;
    let agent: &[&[&str]] = &[
        &["ticket", "list", "--json"],
        &["ticket", "show", "LYN-000001", "--json"],
        &["ticket", "comment", "LYN-000001", "x", "--json"],
        &["status", "--json"],
        &["queue", "list", "--json"],
        &["queue", "verify", "--json"],
        &["doctor", "--json"],
    ];
    for args in agent {
        let said = succeeded(&branch.cli(args));
        assert!(
            serde_json::from_str::<serde_json::Value>(&said).is_ok(),
            "{args:?}: {said}"
        );
    }
    let server: &[&[&str]] = &[
        &["tickets", "list", "--json"],
        &["tickets", "show", "LYN-000001", "--json"],
        &["branch", "list", "--json"],
    ];
    for args in server {
        let said = succeeded(&central.cli(args));
        assert!(
            serde_json::from_str::<serde_json::Value>(&said).is_ok(),
            "{args:?}: {said}"
        );
    }
}

#[tokio::test]
async fn a_configuration_that_cannot_be_used_is_named_and_shows_no_secret() {
    let sandbox = sandbox();
    let central = Central::init(sandbox.path());
    let branch = Branch::join(sandbox.path(), &central, "LYN", central.address);
    let good = std::fs::read_to_string(branch.config()).unwrap();
    let elsewhere = good.replace("http://127.0.0.1", "http://192.0.2.1");
    let encrypted = good.replace("http://", "https://");
    let configurations: &[(&str, &str)] = &[
        ("", "missing field `server`"),
        ("server = 7", "line 1"),
        ("server = \"x\"\nservre = 1", "unknown field `servre`"),
        ("not toml", "agent.toml"),
        (&elsewhere, "only plain HTTP to this machine"),
        (&encrypted, "only plain HTTP to this machine"),
        (
            &format!("{good}journal_limit_mib = 0"),
            "journal_limit_mib = 0",
        ),
        (
            &format!("{good}retention_days = 99999"),
            "retention_days = 99999",
        ),
    ];
    for (configuration, says) in configurations {
        std::fs::write(branch.config(), configuration).unwrap();
        check(
            &branch.start_expecting_failure(),
            configuration,
            CALL_IT,
            says,
        );
    }
    std::fs::write(branch.config(), &good).unwrap();
    let registration = branch.folder().join("registration.toml");
    let whole = std::fs::read_to_string(&registration).unwrap();
    let secret = whole
        .split("secret = \"")
        .nth(1)
        .unwrap()
        .split('"')
        .next()
        .unwrap()
        .to_owned();
    for broken in [
        whole.replace("agent = ", "agnet = "),
        whole.replace("\"LYN\"", "\"lyn\""),
    ] {
        std::fs::write(&registration, broken).unwrap();
        let output = branch.start_expecting_failure();
        check(
            &output,
            "a broken registration",
            CALL_IT,
            "registration.toml",
        );
        let said = text(&output.stderr) + &text(&output.stdout);
        assert!(!said.contains(&secret), "{said}");
    }
    std::fs::remove_file(&registration).unwrap();
    check(
        &branch.start_expecting_failure(),
        "no registration",
        CALL_IT,
        "registration.toml",
    );
    check(
        &branch.cli(&["status"]),
        "no agent",
        TRY_AGAIN,
        "does not answer",
    );
    check(
        &branch.cli(&["queue", "list"]),
        "no journal",
        CALL_IT,
        "journal",
    );
}

#[test]
fn what_a_person_gets_wrong_on_the_servers_command_line() {
    let sandbox = sandbox();
    let central = Central::init(sandbox.path());
    let cases: &[Case] = &[
        (&[], FIX_INPUT, "Usage"),
        (&["serve", "--listen", "here"], FIX_INPUT, "here"),
        (&["serve", "--listen", "0.0.0.0:0"], FIX_INPUT, "loopback"),
        (&["serve", "--listen", "[::]:0"], FIX_INPUT, "loopback"),
        (&["branch", "add"], FIX_INPUT, "CODE"),
        (
            &["branch", "add", "lyn"],
            FIX_INPUT,
            "2 to 8 capital letters",
        ),
        (
            &["branch", "add", "LYN", "--registration", "/"],
            FIX_INPUT,
            "/",
        ),
        (&["tickets", "list", "--limit", "0"], FIX_INPUT, "0"),
        (
            &["tickets", "list", "--branch", "l"],
            FIX_INPUT,
            "capital letters",
        ),
        (&["tickets", "show", "42"], FIX_INPUT, "LYN-000042"),
        (
            &["tickets", "show", "LYN-000042"],
            FIX_INPUT,
            "no ticket LYN-000042",
        ),
        (&["audit"], FIX_INPUT, "EXPORT"),
        (&["audit", "/nowhere"], FIX_INPUT, "/nowhere"),
    ];
    for (args, code, says) in cases {
        check(&central.cli(args), &format!("{args:?}"), *code, says);
    }
    let mut elsewhere = Command::new(binary("branchline-server"));
    elsewhere
        .arg("--data-dir")
        .arg(sandbox.path().join("nothing"))
        .args(["tickets", "list"]);
    check(&elsewhere.output().unwrap(), "no ledger", FIX_INPUT, "init");
    let branches = succeeded(&central.cli(&["branch", "list", "--json"]));
    assert!(
        !branches.contains("LYN"),
        "a refused command registered: {branches}"
    );
}

/// A reader that has seen enough is no fault.
#[tokio::test]
async fn a_closed_pipe_is_no_panic() {
    let sandbox = sandbox();
    let central = Central::init(sandbox.path());
    let mut branch = Branch::join(sandbox.path(), &central, "LYN", central.address);
    branch.start();
    for n in 0..30 {
        branch.file(&format!("Ticket {n}")).await;
    }
    for args in [
        &["ticket", "list"][..],
        &["queue", "list"],
        &["queue", "export"],
    ] {
        let mut child = Command::new(binary("branchline-agent"))
            .arg("--config")
            .arg(branch.config())
            .args(args)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        assert!(
            !text(&output.stderr).contains("panicked"),
            "{args:?}: {}",
            text(&output.stderr)
        );
    }
}
