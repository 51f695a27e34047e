//! Bad input to every command and option of both programs: a clear error that names what is wrong, the
//! exit code that says who must act, and nothing is done.

use std::io::Write;
use std::os::unix::ffi::OsStringExt;
use std::process::{Command, Stdio};

use harness::processes::{Branch, Central, binary, sandbox, succeeded, text, ticket};

use super::{FIX_INPUT, agent, assert_said, lonely};

#[tokio::test]
async fn standard_input_is_read_no_further_than_it_could_be_accepted() {
    let (_sandbox, _central, mut branch) = lonely();
    branch.start();
    for args in [
        vec!["ticket", "new", "-s", "a"],
        vec!["ticket", "new", "-s", "a", "-d", "-"],
        vec!["ticket", "comment", "LYN-000001"],
    ] {
        let mut command = agent(&branch.config());
        command
            .args(&args)
            .stdin(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().expect("run branchline-agent");
        let mut input = child.stdin.take().expect("stdin is piped");
        let mut taken = 0;
        while input.write_all(&[b'x'; 4_096]).is_ok() {
            taken += 4_096;
        }
        let output = child.wait_with_output().expect("wait");
        assert_said(
            &output,
            FIX_INPUT,
            &["16000 characters", "(fix the input)"],
            "endless input",
        );
        // What the pipe holds comes on top of what was read.
        assert!(taken < 256 * 1024, "{args:?}: {taken} bytes were taken");
    }
    let new = ["ticket", "new", "-s", "a"];
    let longest = "\u{1f5a8}".repeat(16_000);
    for line_end in ["", "\n", "\r\n"] {
        succeeded(&branch.cli_with_input(&new, format!("{longest}{line_end}").as_bytes()));
    }
    let longer = branch.cli_with_input(&new, format!("{longest}x\n").as_bytes());
    assert_said(
        &longer,
        FIX_INPUT,
        &["16001 characters"],
        "one character more",
    );
    assert_said(
        &branch.cli_with_input(&new, b"\n\n"),
        FIX_INPUT,
        &["description must not be empty"],
        "blank lines",
    );
    assert_eq!(branch.status().await.waiting, 3);
}

/// What was asked, which exit code it must end with, and what the error must say.
type Case<'a> = (&'a [&'a str], i32, &'a str);

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
        assert_said(&branch.cli(args), *code, &[says], &format!("{args:?}"));
    }
    let not_text = std::ffi::OsString::from_vec(vec![b'a', 0xff, b'b']);
    let mut command = Command::new(binary("branchline-agent"));
    command
        .arg("--config")
        .arg(branch.config())
        .args(["ticket", "new", "-d", "x", "-s"])
        .arg(not_text);
    assert_said(
        &command.output().unwrap(),
        FIX_INPUT,
        &["UTF-8"],
        "not UTF-8",
    );
    let output = branch.cli_with_input(&["ticket", "new", "-s", "a"], &[b'a', 0xff]);
    assert_said(&output, FIX_INPUT, &["UTF-8"], "bytes that are no text");
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

#[test]
fn what_a_person_gets_wrong_on_the_servers_command_line() {
    let sandbox = sandbox();
    let central = Central::init(sandbox.path());
    let cases: &[Case] = &[
        (&[], FIX_INPUT, "Usage"),
        (&["serve", "--listen", "here"], FIX_INPUT, "here"),
        (&["branch", "add"], FIX_INPUT, "CODE"),
        (
            &["branch", "add", "lyn"],
            FIX_INPUT,
            "2 to 8 capital letters",
        ),
        (&["token", "create"], FIX_INPUT, "--branch"),
        (
            &["token", "create", "--branch", "LYN"],
            FIX_INPUT,
            "no branch LYN",
        ),
        (&["agent", "revoke", "LYN"], FIX_INPUT, "no agent LYN"),
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
        assert_said(&central.cli(args), *code, &[says], &format!("{args:?}"));
    }
    let mut elsewhere = Command::new(binary("branchline-server"));
    elsewhere
        .arg("--data-dir")
        .arg(sandbox.path().join("nothing"))
        .args(["tickets", "list"]);
    assert_said(
        &elsewhere.output().unwrap(),
        FIX_INPUT,
        &["init"],
        "no ledger",
    );
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
