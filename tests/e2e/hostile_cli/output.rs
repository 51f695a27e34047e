//! Journals that are broken or somebody else's, and what is printed of them: nothing that a terminal
//! obeys, nothing secret, and nothing over the journal.

use std::fs;
use std::io::Read;
use std::os::fd::{FromRawFd, OwnedFd};
use std::process::{Command, Output, Stdio};

use branchline_durable_sqlite::{Settings, open_writer};
use harness::journal;
use harness::processes::{binary, succeeded, text, wait_for};

use super::{
    CALL_IT, FIX_INPUT, FOUND_SOMETHING, agent, assert_said, end, lonely, secret_of, start,
};

#[tokio::test]
async fn a_journal_that_is_missing_broken_or_none_is_named_by_every_look_into_it() {
    let (sandbox, central, mut branch) = lonely();
    let looks = [
        &["queue", "list"][..],
        &["queue", "verify"],
        &["queue", "export"],
    ];
    for args in looks {
        assert_said(
            &branch.cli(args),
            CALL_IT,
            &["there is no journal at", "journal.db"],
            "missing",
        );
    }
    branch.start();
    branch.file("One").await;
    branch.stop();
    let whole = fs::read(branch.journal()).expect("a journal");
    let foreign = fs::read(central.folder().join("ledger.db")).expect("a ledger");
    let noise: Vec<u8> = (0..50_000).map(|_| fastrand::u8(..)).collect();
    let attacks = [
        ("empty", Vec::new()),
        ("text", b"Dear IT, this is no journal.".repeat(1_000)),
        ("noise", noise),
        ("somebody else's database", foreign),
        ("cut off", whole[..whole.len() / 3].to_vec()),
        (
            "half of it",
            [&whole[..4_096], &vec![0xa5; whole.len() - 4_096]].concat(),
        ),
    ];
    for (what, bytes) in attacks {
        let place = sandbox
            .path()
            .join(format!("data-{}", what.replace([' ', '\''], "-")));
        fs::create_dir(&place).expect("a folder");
        fs::write(place.join("journal.db"), &bytes).expect("write");
        branch.configure(central.address, "");
        let data = branch.data().display().to_string();
        let settings = fs::read_to_string(branch.config()).expect("settings");
        fs::write(
            branch.config(),
            settings.replace(&data, &place.display().to_string()),
        )
        .expect("write");
        for args in looks {
            let output = branch.cli(args);
            let said = text(&output.stderr);
            assert!(
                matches!(output.status.code(), Some(CALL_IT | FOUND_SOMETHING)),
                "{what} {args:?}: {output:?}"
            );
            assert!(!said.contains("panicked at"), "{what} {args:?}: {said}");
        }
        let left = fs::read(place.join("journal.db")).expect("still there");
        assert_eq!(left, bytes, "{what}: a look changed it");
    }
}

#[tokio::test]
async fn an_export_never_goes_over_the_journal() {
    let (sandbox, _central, mut branch) = lonely();
    branch.start();
    branch.file("One").await;
    let link = sandbox.path().join("harmless.jsonl");
    std::os::unix::fs::symlink(branch.journal(), &link).expect("a link");
    let inside = branch.data().join("export.jsonl");
    let around = branch.data().join("../data/journal.db-wal");
    for path in [branch.journal(), link, inside, around] {
        let name = path.display().to_string();
        for args in [
            &["queue", "export", "-o", &name][..],
            &["queue", "export", "--digest", "-o", &name],
        ] {
            assert_said(
                &branch.cli(args),
                FIX_INPUT,
                &["the agent's data folder", "(fix the input)"],
                &name,
            );
        }
    }
    assert_said(
        &branch.cli(&["queue", "export", "-o", "/dev/full"]),
        CALL_IT,
        &["/dev/full", "o space left"],
        "a full disk",
    );
    branch.file("Two").await;
    assert_eq!(branch.status().await.waiting, 2);
    succeeded(&branch.cli(&["queue", "verify"]));
}

/// What a terminal would obey: colours, the window's title, a control sequence of one byte, text that
/// runs the other way, a bell, deletion.
const OBEYED: &str = "\u{1b}[31m\u{1b}]0;owned\u{7}\u{9b}2J\u{202e}\u{2066}\u{7f}\u{8}";

fn assert_harmless(output: &Output, what: &str) {
    let said = text(&output.stdout) + &text(&output.stderr);
    let obeyed = said
        .chars()
        .find(|c| OBEYED.contains(*c) && c.is_control() || matches!(c, '\u{202e}' | '\u{2066}'));
    assert_eq!(obeyed, None, "{what}: {said:?}");
}

/// Planted in the journal and in the view of it, as an older version or a hostile disk might have.
#[tokio::test]
async fn nothing_that_a_terminal_obeys_reaches_it() {
    let (_sandbox, _central, mut branch) = lonely();
    branch.start();
    let saved = branch.file("Harmless").await;
    let id = saved.operation.to_string();
    branch.stop();
    let escaped = serde_json::to_string(OBEYED).expect("JSON");
    let planted = escaped.trim_matches('"').to_owned();
    let change = |text: &str| {
        text.replace("Harmless", &planted)
            .replace("Marie", &planted)
            .replace("hardware", &planted)
    };
    journal::rewrite(&branch.journal(), saved.operation, change);
    let connection = open_writer(&branch.journal(), &Settings::default()).expect("open");
    connection
        .execute("UPDATE ticket SET bytes = (SELECT bytes FROM operation WHERE operation.id = ticket.id)", [])
        .expect("plant");
    drop(connection);
    branch.start();
    let number = saved.number.to_string();
    let mut shown = 0;
    for args in [
        &["ticket", "list"][..],
        &["ticket", "show", &number],
        &["queue", "list"],
        &["status"],
        &["doctor"],
        &["queue", "verify"],
    ] {
        for json in [false, true] {
            let mut args = args.to_vec();
            args.extend(json.then_some("--json"));
            let output = branch.cli(&args);
            assert_harmless(&output, &format!("{args:?}"));
            let said = text(&output.stdout);
            shown += usize::from(said.contains("owned"));
            assert!(
                !json || serde_json::from_str::<serde_json::Value>(&said).is_ok(),
                "{args:?}: {said}"
            );
        }
    }
    assert_eq!(
        shown, 6,
        "the text is shown, harmless, by list, show and queue"
    );
    // Somebody who looks at an export on a terminal is safe; a program gets the exact bytes.
    let looked_at = on_a_terminal(agent(&branch.config()).args(["queue", "export"]));
    assert!(
        looked_at.contains("owned") && looked_at.contains(&id),
        "{looked_at}"
    );
    assert!(
        !looked_at.contains(['\u{1b}', '\u{9b}', '\u{202e}', '\u{7}']),
        "{looked_at:?}"
    );
    let exact = succeeded(&branch.cli(&["queue", "export"]));
    assert!(
        exact.contains('\u{9b}') && exact.contains('\u{202e}'),
        "{exact:?}"
    );
}

/// Runs a command with a terminal for its standard output, and gives what it wrote there.
fn on_a_terminal(command: &mut Command) -> String {
    let (mut ours, mut theirs) = (0, 0);
    let (none, no_size) = (std::ptr::null_mut(), std::ptr::null_mut());
    // SAFETY: both handles are written before use, and each is owned by exactly one side below.
    let (ours, theirs) = unsafe {
        let opened = libc::openpty(&mut ours, &mut theirs, none, std::ptr::null_mut(), no_size);
        assert_eq!(opened, 0, "open a terminal");
        (OwnedFd::from_raw_fd(ours), OwnedFd::from_raw_fd(theirs))
    };
    let reading = std::thread::spawn(move || {
        let (mut said, mut piece) = (Vec::new(), [0; 4_096]);
        let mut terminal = fs::File::from(ours);
        // Linux ends a terminal that nobody holds any more with an error.
        while let Ok(read @ 1..) = terminal.read(&mut piece) {
            said.extend_from_slice(&piece[..read]);
        }
        text(&said)
    });
    let status = command.stdout(theirs).status().expect("run");
    assert!(status.success(), "{status:?}");
    command.stdout(Stdio::null());
    reading.join().expect("the reader ends")
}

/// The log's reader may go away: a log shipper that restarts, a terminal that is closed.
#[tokio::test]
async fn both_programs_go_on_when_nobody_reads_their_log() {
    let (_sandbox, central, branch) = lonely();
    let mut running = start(agent(&branch.config()).arg("run"));
    drop(running.stderr.take());
    // Without central the agent logs trouble; with it, that all is well.
    let client = branch.client();
    branch.file("Filed into the void").await;
    let mut server = Command::new(binary("branchline-server"));
    server.arg("--data-dir").arg(central.folder()).arg("serve");
    server.arg("--listen").arg(central.address.to_string());
    let mut serving = start(server.env("RUST_LOG", "debug"));
    drop(serving.stderr.take());
    branch.wait_drained().await;
    end(&mut serving);
    wait_for("the agent to notice", || {
        succeeded(&branch.cli(&["status"]))
            .contains("no connection")
            .then_some(())
    });
    let mut serving = start(&mut server);
    drop(serving.stderr.take());
    branch.file("Filed when central was back").await;
    branch.wait_drained().await;
    assert!(client.status().await.is_ok());
    for child in [&mut running, &mut serving] {
        let pid = libc::pid_t::try_from(child.id()).expect("a pid");
        // SAFETY: the child has not been waited for, so the pid is its own.
        assert_eq!(unsafe { libc::kill(pid, libc::SIGTERM) }, 0);
        let status = child.wait().expect("wait");
        assert!(status.success(), "ended with {status:?}");
    }
}

/// Logs at their most talkative, and everything that anybody prints, hold no secret.
#[tokio::test]
async fn the_secret_is_in_no_output_and_no_log() {
    let (_sandbox, mut central, mut branch) = lonely();
    branch.set_environment("RUST_LOG", "trace");
    central.set_environment("RUST_LOG", "trace");
    central.start();
    branch.start();
    branch.file("Seen by everybody who logs").await;
    branch.wait_drained().await;
    central.kill();
    branch.file("Seen while there is trouble").await;
    let mut said = String::new();
    for args in [
        &["doctor"][..],
        &["status", "--json"],
        &["queue", "export", "--digest"],
        &["queue", "list", "--json"],
    ] {
        let output = branch.cli(args);
        said += &(text(&output.stdout) + &text(&output.stderr));
    }
    for args in [&["branch", "list", "--json"][..], &["tickets", "list"]] {
        said += &succeeded(&central.cli(args));
    }
    branch.stop();
    let secret = secret_of(&branch);
    let (agents, centrals) = (branch.log(), central.log());
    assert!(
        agents.contains("DEBUG") && centrals.contains("DEBUG"),
        "the logs are not talkative"
    );
    for (what, text) in [
        ("the agent's log", &agents),
        ("central's log", &centrals),
        ("output", &said),
    ] {
        assert!(!text.contains(&secret), "the secret is in {what}");
    }
    for file in [branch.journal(), central.folder().join("ledger.db")] {
        let bytes = fs::read(&file).expect("read");
        let found = bytes
            .windows(secret.len())
            .any(|window| window == secret.as_bytes());
        assert!(!found, "the secret is in {}", file.display());
    }
}
