//! Both programs against bad surroundings: endless input, registrations and settings that are none,
//! places that are taken, files that are broken or somebody else's, logs that nobody reads, texts that
//! a terminal would obey. What people mistype on a command line is in `cli_input`.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::{FromRawFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use branchline_durable_sqlite::{Settings, open_writer};
use harness::journal;
use harness::processes::{Branch, Central, binary, sandbox, succeeded, text, wait_for};

const FIX_INPUT: i32 = 2;
const FOUND_SOMETHING: i32 = 3;
const CALL_IT: i32 = 70;

/// The command ended with this code and says all of this on standard error, and nothing that only a
/// programmer could read.
fn assert_said(output: &Output, code: i32, words: &[&str], what: &str) {
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{what}: {said}");
    for word in words {
        assert!(
            said.contains(word),
            "{what}: {said:?} does not say {word:?}"
        );
    }
    assert!(!said.contains("panicked at"), "{what}: {said}");
    assert!(said.len() < 4_000, "{what}: {} bytes", said.len());
}

fn agent(config: &Path) -> Command {
    let mut command = Command::new(binary("branchline-agent"));
    command.arg("--config").arg(config).stdin(Stdio::null());
    command
}

fn secret_of(branch: &Branch) -> String {
    let registration = fs::read_to_string(branch.folder().join("registration.toml"));
    let registration = registration.expect("a registration");
    let line = registration
        .lines()
        .find(|line| line.starts_with("secret"))
        .expect("a secret");
    line.split('"').nth(1).expect("a value").to_owned()
}

/// A branch with its agent running, and a central that is not.
fn lonely() -> (tempfile::TempDir, Central, Branch) {
    let sandbox = sandbox();
    let central = Central::init(sandbox.path());
    let branch = Branch::join(sandbox.path(), &central, "LYN", central.address);
    (sandbox, central, branch)
}

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

#[test]
fn a_registration_that_is_none_is_refused_without_showing_the_secret() {
    let (_sandbox, _central, branch) = lonely();
    let path = branch.folder().join("registration.toml");
    let whole = fs::read_to_string(&path).expect("a registration");
    let secret = secret_of(&branch);
    let agent_id = whole
        .split("agent = \"")
        .nth(1)
        .expect("an agent")
        .split('"')
        .next()
        .expect("an id");
    let broken = [
        String::new(),
        "\u{0}\u{1}\u{2}".to_owned(),
        format!("secret = \"{secret}\""),
        format!("{secret} = 1"),
        format!("\"missing field {secret}\" = 1"),
        format!("secret = {secret}"),
        format!("secret = \"{secret}"),
        format!("branch = \"{secret}\""),
        whole.replace("ordinal = 1", &format!("ordinal = \"{secret}\"")),
        whole.replace("ordinal = 1", "ordinal = 0"),
        whole.replace("ordinal = 1", "ordinal = 65536"),
        whole.replace("ordinal = 1", "ordinal = 1.5"),
        whole.replace(agent_id, &secret),
        whole.replace(&secret, agent_id),
        whole.replace(&secret, &secret.to_uppercase()),
        whole.replace(&secret, &format!("{secret}{secret}")),
        whole.replace(&format!("\"{secret}\""), &format!("[\"{secret}\"]")),
        format!("{whole}{whole}"),
        format!("{whole}comment = \"{secret}\"\n"),
    ];
    for text_of in &broken {
        fs::write(&path, text_of).expect("write");
        let output = branch.start_expecting_failure();
        assert_said(
            &output,
            CALL_IT,
            &["registration.toml: ", "(call IT)"],
            text_of,
        );
        let doctor = branch.cli(&["doctor"]);
        assert_eq!(doctor.status.code(), Some(FOUND_SOMETHING), "{text_of}");
        for said in [
            &output.stdout,
            &output.stderr,
            &doctor.stdout,
            &doctor.stderr,
        ] {
            let said = text(said).to_lowercase();
            assert!(!said.contains(&secret), "{text_of}: {said}");
        }
    }
    fs::write(&path, [0xff, 0xfe]).expect("write");
    assert_said(
        &branch.start_expecting_failure(),
        CALL_IT,
        &["registration.toml"],
        "no text",
    );
    fs::remove_file(&path).expect("remove");
    fs::create_dir(&path).expect("a folder in its place");
    assert_said(
        &branch.start_expecting_failure(),
        CALL_IT,
        &["registration.toml"],
        "a folder",
    );
}

/// Whoever can read it can speak for the branch. Filing goes on all the same, and IT is told.
#[tokio::test]
async fn a_registration_that_others_can_read_is_told_and_stops_nobody() {
    let (_sandbox, mut central, mut branch) = lonely();
    central.start();
    let path = branch.folder().join("registration.toml");
    for mode in [0o644, 0o640, 0o604] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("chmod");
        branch.start();
        branch.file("Filed all the same").await;
        branch.wait_drained().await;
        assert!(
            branch
                .log()
                .contains("others than its owner can read the registration")
        );
        let doctor = branch.cli(&["doctor"]);
        assert_eq!(doctor.status.code(), Some(FOUND_SOMETHING), "{mode:o}");
        assert!(
            text(&doctor.stdout).contains("others than its owner"),
            "{mode:o}"
        );
        branch.kill();
    }
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("chmod");
    branch.start();
    assert_eq!(branch.cli(&["doctor"]).status.code(), Some(0));
}

#[tokio::test]
async fn a_server_that_is_not_plainly_this_machine_is_refused_with_the_reason() {
    let (_sandbox, mut central, mut branch) = lonely();
    let good = fs::read_to_string(branch.config()).expect("a configuration");
    let own = format!("http://{}", central.address);
    for server in [
        "",
        "127.0.0.1:8470",
        "https://127.0.0.1:8470",
        "http://10.0.0.1",
        "http://0.0.0.0:1",
        "http://[::]:1",
        "http://127.0.0.1.example.org",
        "http://localhost@192.0.2.1",
        "http://user:pass@127.0.0.1:1",
        "http://127.0.0.1:1/path",
        "http://127.0.0.1:1?a=b",
        "http://127.0.0.1:1#c",
        "http://127.0.0.1:99999",
        "http://",
        "http://[::1",
        "ftp://127.0.0.1",
        "unix:/run/x.sock",
        "file:///etc/passwd",
        "http://\\u001b[31m",
    ] {
        fs::write(branch.config(), good.replace(&own, server)).expect("write");
        let output = branch.start_expecting_failure();
        assert_said(
            &output,
            CALL_IT,
            &["server = ", "only plain HTTP to this machine", "(call IT)"],
            server,
        );
    }
    central.start();
    for server in [
        format!("{own}/"),
        format!(" {own} "),
        format!("{own}//"),
        own.replace("http://", "HTTP:"),
    ] {
        fs::write(branch.config(), good.replace(&own, &server)).expect("write");
        branch.start();
        branch.file("Finds central all the same").await;
        branch.wait_drained().await;
        branch.kill();
    }
}

#[tokio::test]
async fn settings_files_that_cannot_be_read_are_named() {
    let (sandbox, _central, branch) = lonely();
    let odd = sandbox.path().join("odd.toml");
    let link = sandbox.path().join("loop.toml");
    std::os::unix::fs::symlink(&link, &link).expect("a loop");
    fs::write(&odd, [b's', 0xff]).expect("write");
    for path in [
        Path::new("/nowhere/agent.toml"),
        sandbox.path(),
        Path::new("/dev/zero"),
        Path::new("/dev/null"),
        &link,
        &odd,
    ] {
        for args in [
            &["run"][..],
            &["status"],
            &["ticket", "list"],
            &["queue", "list"],
        ] {
            let what = format!("{} {args:?}", path.display());
            let name = path.display().to_string();
            let output = agent(path).args(args).output().expect("run");
            assert_said(&output, CALL_IT, &[&name, "(call IT)"], &what);
        }
        let doctor = agent(path).arg("doctor").output().expect("run");
        assert_eq!(
            doctor.status.code(),
            Some(FOUND_SOMETHING),
            "{}",
            path.display()
        );
    }
    fs::set_permissions(branch.config(), fs::Permissions::from_mode(0o000)).expect("chmod");
    for folder in [sandbox.path(), branch.folder()] {
        fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).expect("let others pass");
    }
    let mut command = agent(&branch.config());
    // SAFETY: only asks who this process is.
    if unsafe { libc::geteuid() } == 0 {
        command.uid(65_534).gid(65_534);
    }
    match command.arg("status").output() {
        Ok(output) => assert_said(
            &output,
            CALL_IT,
            &["agent.toml", "ermission denied"],
            "not readable",
        ),
        Err(fault) => println!("another user may not run the programs here: {fault}"),
    }
}

#[test]
fn places_that_are_taken_or_cannot_be_are_named_and_left_alone() {
    let (sandbox, _central, branch) = lonely();
    let good = fs::read_to_string(branch.config()).expect("a configuration");
    let precious = sandbox.path().join("precious");
    fs::write(&precious, "not a socket").expect("write");
    let (data, socket) = (
        branch.data().display().to_string(),
        branch.socket().display().to_string(),
    );
    let precious_text = precious.display().to_string();
    let long = format!("{}/{}", sandbox.path().display(), "s".repeat(120));
    let below = format!("{precious_text}/below");
    let folder = branch.folder().display().to_string();
    for (key, from, to, words) in [
        ("data_dir", &data, precious_text.as_str(), "data_dir"),
        ("data_dir", &data, &below, "data_dir"),
        ("data_dir", &data, "", "whole path"),
        ("data_dir", &data, "data", "whole path"),
        ("data_dir", &data, "/proc/nowhere", "data_dir"),
        ("socket", &socket, &precious_text, "not a socket"),
        ("socket", &socket, &folder, "not a socket"),
        ("socket", &socket, &long, "SUN_LEN"),
        ("socket", &socket, &below, "listen on"),
        ("socket", &socket, "/proc/agent.sock", "listen on"),
        ("socket", &socket, "", "whole path"),
        ("socket", &socket, "agent.sock", "whole path"),
    ] {
        let what = format!("{key} = {to:.60}");
        let line = |value: &str| format!("{key} = {value:?}");
        fs::write(branch.config(), good.replace(&line(from), &line(to))).expect("write");
        assert_said(
            &branch.start_expecting_failure(),
            CALL_IT,
            &[words, "(call IT)"],
            &what,
        );
        assert_eq!(
            fs::read_to_string(&precious).expect("still there"),
            "not a socket",
            "{what}"
        );
    }
    // A folder that is missing is made.
    let deep = sandbox.path().join("not/there/yet");
    let moved = good.replace(&socket, &format!("{}/agent.sock", deep.display()));
    fs::write(
        branch.config(),
        moved.replace(&data, &format!("{}/data", deep.display())),
    )
    .expect("write");
    let mut running = start(agent(&branch.config()).arg("run"));
    succeeded(&branch.cli(&["ticket", "new", "-s", "a", "-d", "b"]));
    end(&mut running);
}

/// Starts a program whose log nobody keeps, and waits for its first line.
fn start(command: &mut Command) -> Child {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("start a built program");
    let mut line = String::new();
    let stdout = child.stdout.as_mut().expect("stdout is piped");
    BufReader::new(stdout).read_line(&mut line).expect("a line");
    assert!(line.contains("on"), "{line:?}: not ready");
    child
}

fn end(child: &mut Child) {
    child.kill().expect("kill");
    child.wait().expect("wait");
}

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
        assert!(
            !text.to_lowercase().contains(&secret),
            "the secret is in {what}"
        );
    }
    for file in [branch.journal(), central.folder().join("ledger.db")] {
        let bytes = fs::read(&file).expect("read");
        let found = bytes
            .windows(secret.len())
            .any(|window| window == secret.as_bytes());
        assert!(!found, "the secret is in {}", file.display());
    }
}

#[test]
fn central_refuses_settings_and_ledgers_that_are_none() {
    let (sandbox, central, _branch) = lonely();
    let settings = central.folder().join("server.toml");
    for (text_of, words) in [
        ("lisen = 1", "unknown field `lisen`"),
        ("listen = 8470", "line 1"),
        ("listen = \"here\"", "line 1"),
        ("drain_seconds = -1", "line 1"),
        ("drain_seconds = 301", "drain_seconds"),
        ("log_format = \"xml\"", "unknown variant"),
        ("= =", "line 1"),
    ] {
        fs::write(&settings, text_of).expect("write");
        for args in [
            &["serve"][..],
            &["tickets", "list"],
            &["branch", "add", "PAR"],
            &["init"],
        ] {
            assert_said(
                &central.cli(args),
                FIX_INPUT,
                &["server.toml", words, "(fix the input)"],
                text_of,
            );
        }
    }
    fs::remove_file(&settings).expect("remove");
    let ledger = fs::read(central.folder().join("ledger.db")).expect("a ledger");
    let noise: Vec<u8> = (0..50_000).map(|_| fastrand::u8(..)).collect();
    for (what, bytes) in [
        ("noise", noise),
        ("text", b"no ledger".repeat(9_000)),
        ("cut off", ledger[..5_000].to_vec()),
    ] {
        let place = sandbox
            .path()
            .join(format!("central-{}", what.replace(' ', "-")));
        fs::create_dir(&place).expect("a folder");
        fs::write(place.join("ledger.db"), &bytes).expect("write");
        for args in [
            &["serve", "--listen", "127.0.0.1:0"][..],
            &["tickets", "list"],
            &["branch", "add", "PAR"],
            &["init"],
        ] {
            let mut command = Command::new(binary("branchline-server"));
            let output = command
                .arg("--data-dir")
                .arg(&place)
                .args(args)
                .output()
                .expect("run");
            assert_said(
                &output,
                CALL_IT,
                &["ledger", "(call IT)"],
                &format!("{what} {args:?}"),
            );
            assert_eq!(
                fs::read(place.join("ledger.db")).expect("read"),
                bytes,
                "{what}: the file was changed"
            );
        }
    }
}
