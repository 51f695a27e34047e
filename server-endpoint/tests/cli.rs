//! The command line on the real program: exit codes, what it refuses, and that all of it works while
//! the server runs.

#![expect(clippy::unwrap_used, reason = "a test says what is wrong by panicking")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};

use branchline_protocol::enrolment::Token;
use branchline_protocol::id::AgentId;
use branchline_server::ledger::sqlite::SqliteLedger;
use branchline_server::ledger::{Ledger, NewAgent, now};
use serde_json::Value;

#[path = "cli/certificates.rs"]
mod certificates;
#[path = "cli/operators.rs"]
mod operators;

struct Central(tempfile::TempDir);

impl Central {
    /// A data directory that is not made yet.
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn initialised() -> Self {
        let central = Self::new();
        central.ok(&["init"]);
        central
    }

    /// Another agent of LYN, as if it had joined.
    fn agent(&self) -> String {
        let ledger = SqliteLedger::open(&self.path("central/ledger.db")).unwrap();
        let new = NewAgent {
            id: AgentId::from_parts(1, std::array::from_fn(|_| fastrand::u8(..))),
            branch: "LYN".parse().unwrap(),
            branch_name: None,
            at: now(),
        };
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        let registered = runtime.unwrap().block_on(ledger.register_agent(new));
        registered.unwrap().id.to_string()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_branchline-server"));
        command
            .env_clear()
            .arg("--data-dir")
            .arg(self.path("central"));
        command.args(arguments).current_dir(self.0.path());
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments)
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }

    /// With this on standard input.
    fn told(&self, arguments: &[&str], input: &str) -> Output {
        let mut child = self
            .command(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // It may have refused before it read anything.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        child.wait_with_output().unwrap()
    }

    fn ok(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {stderr}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Fails with this code, and says all of these words on standard error.
    fn fails(&self, arguments: &[&str], code: i32, words: &[&str]) {
        let output = self.run(arguments);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {stderr}");
        for word in words {
            assert!(
                stderr.contains(word),
                "{arguments:?} does not say {word:?}: {stderr}"
            );
        }
    }

    /// Without TLS, so that it can be asked without a certificate.
    fn serve(&self) -> Serving {
        self.serve_with("127.0.0.1:0", &["--insecure-loopback"], "http")
    }

    fn serve_with(&self, listen: &str, more: &[&str], scheme: &str) -> Serving {
        let mut child = self
            .command(
                &[
                    &["serve", "--listen", listen, "--desk-listen", "127.0.0.1:0"][..],
                    more,
                ]
                .concat(),
            )
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        let address = line
            .trim_end()
            .strip_prefix("listening on ")
            .and_then(|url| url.strip_prefix(scheme)?.strip_prefix("://"))
            .unwrap()
            .to_owned();
        line.clear();
        stdout.read_line(&mut line).unwrap();
        assert!(
            line.starts_with(&format!("desk on {scheme}://127.0.0.1:")),
            "{line}"
        );
        Serving {
            child,
            stdout,
            address,
        }
    }
}

struct Serving {
    child: Child,
    stdout: BufReader<std::process::ChildStdout>,
    address: String,
}

impl Serving {
    fn get(&self, path: &str) -> String {
        let mut connection = TcpStream::connect(&self.address).unwrap();
        write!(
            connection,
            "GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
        )
        .unwrap();
        let mut answer = String::new();
        connection.read_to_string(&mut answer).unwrap();
        answer
    }

    /// Ends it as a service manager does; answers with what else it printed.
    fn stop(mut self) -> String {
        let killed = Command::new("kill")
            .arg(self.child.id().to_string())
            .status()
            .unwrap();
        assert!(killed.success());
        assert!(self.child.wait().unwrap().success());
        let mut rest = String::new();
        self.stdout.read_to_string(&mut rest).unwrap();
        rest
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn init_can_be_repeated_and_keeps_what_is_there() {
    let central = Central::new();
    central.fails(&["tickets", "list"], 2, &["init", "(fix the input)"]);
    central.fails(&["serve"], 2, &["init"]);
    central.ok(&["init"]);
    let mode = |name: &str| {
        std::fs::metadata(central.path(name))
            .unwrap()
            .permissions()
            .mode()
    };
    assert_eq!(mode("central") & 0o777, 0o700);
    central.ok(&["branch", "add", "LYN"]);
    std::fs::write(central.path("central/server.toml"), "drain_seconds = 3\n").unwrap();
    central.ok(&["init"]);
    let kept = std::fs::read_to_string(central.path("central/server.toml")).unwrap();
    assert_eq!(kept, "drain_seconds = 3\n");
    assert!(central.ok(&["branch", "list"]).contains("LYN"));
    std::fs::write(
        central.path("central/server.toml"),
        "# mine\nlisten_to = 1\n",
    )
    .unwrap();
    central.fails(&["serve"], 2, &["server.toml", "line 2", "listen_to"]);
}

#[test]
fn branches_are_made_and_listed() {
    let central = Central::initialised();
    central.ok(&["branch", "add", "LYN", "--name", "Lyon"]);
    let _ = (central.agent(), central.agent());
    for bad in ["lyn", "L", "LYN2", ""] {
        central.fails(&["branch", "add", bad], 2, &["branch code"]);
    }
    central.fails(
        &["branch", "add", "PAR", "--name", "a\u{1b}[31m"],
        2,
        &["--name", "U+001B"],
    );
    let list: Value = serde_json::from_str(&central.ok(&["branch", "list", "--json"])).unwrap();
    assert_eq!(list.as_array().map(Vec::len), Some(1));
    assert_eq!(list[0]["agents"].as_array().map(Vec::len), Some(2));
}

#[test]
fn serve_without_tls_listens_to_this_machine_only_and_stops_in_good_order() {
    let central = Central::initialised();
    for everyone in ["0.0.0.0:0", "[::]:0"] {
        central.fails(
            &["serve", "--insecure-loopback", "--listen", everyone],
            2,
            &["loopback", "TLS"],
        );
    }
    central.fails(&["serve", "--listen", "somewhere"], 2, &["somewhere"]);
    let serving = central.serve();
    assert!(serving.get("/livez").starts_with("HTTP/1.1 200"));
    assert!(serving.get("/readyz").starts_with("HTTP/1.1 200"));
    assert!(
        serving
            .get("/")
            .contains("urn:branchline:problem:not-found")
    );
    central.fails(&["serve", "--listen", &serving.address], 75, &["try again"]);
    // All of it while the server runs.
    central.ok(&["branch", "add", "LYN"]);
    assert!(central.ok(&["branch", "list"]).contains("no agent yet"));
    assert_eq!(central.ok(&["tickets", "list"]), "no tickets\n");
    assert_eq!(
        serving.stop(),
        "",
        "two lines on standard output and no more"
    );
}

#[test]
fn serve_answers_everybody_over_tls_and_nobody_without() {
    let central = Central::initialised();
    let serving = central.serve_with("0.0.0.0:0", &[], "https");
    let port = serving.address.rsplit(':').next().unwrap();
    let mut connection = TcpStream::connect(format!("127.0.0.1:{port}")).unwrap();
    write!(connection, "GET /livez HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    let _ = connection.read_to_end(&mut answer);
    let answer = String::from_utf8_lossy(&answer);
    assert!(!answer.contains("HTTP"), "{answer}");
    assert_eq!(serving.stop(), "");
    // What TLS needs is missed before anybody connects.
    std::fs::remove_dir_all(central.path("central/authority")).unwrap();
    central.fails(&["serve", "--listen", "127.0.0.1:0"], 2, &["init"]);
}

#[test]
fn what_cannot_be_shown_is_said() {
    let central = Central::initialised();
    central.fails(
        &["tickets", "show", "LYN-000001"],
        2,
        &["no ticket LYN-000001"],
    );
    central.fails(&["tickets", "show", "LYN-1"], 2, &["LYN-000042"]);
    central.fails(&["tickets", "list", "--limit", "0"], 2, &["--limit"]);
    central.fails(&["tickets", "list", "--after", "x"], 2, &["--after"]);
    let empty: Value = serde_json::from_str(&central.ok(&["tickets", "list", "--json"])).unwrap();
    assert_eq!(empty["tickets"].as_array().map(Vec::len), Some(0));
    std::fs::write(central.path("central/ledger.db"), "this is no ledger").unwrap();
    let _ = std::fs::remove_file(central.path("central/ledger.db-wal"));
    central.fails(&["tickets", "list"], 70, &["ledger", "backup", "(call IT)"]);
}

#[test]
fn the_audit_answers_with_its_exit_code() {
    let central = Central::initialised();
    let agent = central.agent();
    let stream = "01939d2e-6f60-7c3a-8f6a-0a1b2c3d4e5f";
    let export = |acknowledged: u64| {
        let digest = "0".repeat(64);
        format!(
            "{{\"export\":\"branchline-digest-1\",\"agent\":\"{agent}\",\"branch\":\"LYN\"}}\n\
             {{\"stream\":\"{stream}\",\"acknowledged\":{{\"seq\":{acknowledged},\"digest\":\"{digest}\"}}}}\n"
        )
    };
    std::fs::write(central.path("good"), export(0)).unwrap();
    std::fs::write(central.path("lost"), export(7)).unwrap();
    std::fs::write(central.path("bad"), "nothing\n").unwrap();
    let line = central.ok(&["audit", "good"]);
    assert!(
        line.starts_with(&format!("LYN {stream}: ")) && line.ends_with(" — equal\n"),
        "{line}"
    );
    let audit = |arguments: &[&str]| {
        let output = central.run(arguments);
        (
            output.status.code(),
            String::from_utf8(output.stdout).unwrap(),
        )
    };
    let (code, line) = audit(&["audit", "good", "lost"]);
    assert!(
        code == Some(3) && line.contains(" 7 lost,") && line.contains("NOT equal"),
        "{line}"
    );
    let (code, json) = audit(&["audit", "lost", "--json"]);
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(
        (code, &json["lost"], &json["equal"]),
        (Some(3), &7.into(), &false.into())
    );
    central.fails(&["audit", "bad"], 2, &["bad: line 1", "export it again"]);
    central.fails(&["audit", "missing"], 2, &["missing"]);
    central.fails(&["audit"], 2, &["EXPORT"]);

    let mut child = central
        .command(&["audit", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(export(0).as_bytes())
        .unwrap();
    assert!(child.wait().unwrap().success());
}

#[test]
fn a_token_is_shown_once_and_stored_by_nobody() {
    let central = Central::new();
    central.ok(&["init", "--name", "central.example.org"]);
    central.fails(
        &["token", "create", "--branch", "LYN"],
        2,
        &["no branch LYN", "branch add"],
    );
    central.ok(&["branch", "add", "LYN", "--name", "Lyon"]);
    let shown = central.ok(&["token", "create", "--branch", "LYN", "--uses", "3"]);
    let token: Token = shown.parse().unwrap();
    assert_eq!(shown.lines().count(), 1, "the token and nothing else");
    assert_eq!(token.url, "https://central.example.org:8470");
    let status: Value = serde_json::from_str(&central.ok(&["token", "list", "--json"])).unwrap();
    assert_eq!(status[0]["branch"], "LYN");
    assert_eq!(status[0]["uses"], 3);
    assert_eq!(status[0]["state"], "good");
    // Nowhere in the data directory, in no form that could be used.
    let secret = shown.trim();
    for entry in std::fs::read_dir(central.path("central")).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            let content = std::fs::read(&path).unwrap();
            let found = content
                .windows(40)
                .any(|part| part == &secret.as_bytes()[5..45]);
            assert!(!found, "{}", path.display());
        }
    }
    assert!(central.ok(&["token", "revoke", "1"]).contains("taken back"));
    central.fails(&["token", "revoke", "9"], 2, &["no token 9", "token list"]);
    assert!(central.ok(&["token", "list"]).contains("revoked"));
    central.ok(&["branch", "add", "LYN"]);
    let with_url = ["--url", "https://gate.example.org"];
    let other = central.ok(&[&["token", "create", "--branch", "LYN"][..], &with_url].concat());
    assert_eq!(other.parse::<Token>().unwrap().url, with_url[1]);
    std::fs::write(
        central.path("central/server.toml"),
        "[authority]\nurl = \"https://set.example.org:443\"\n",
    )
    .unwrap();
    let other = central.ok(&["token", "create", "--branch", "LYN"]);
    let other: Token = other.parse().unwrap();
    assert_eq!(other.url, "https://set.example.org:443");
    assert_eq!(other.anchor, token.anchor);
}

#[test]
fn what_is_wrong_about_tokens_and_agents_is_said() {
    let central = Central::initialised();
    central.ok(&["branch", "add", "LYN"]);
    for (arguments, words) in [
        (&["token", "create"][..], &["--branch"][..]),
        (&["token", "create", "--branch", "lyn"], &["capital"]),
        (
            &["token", "create", "--branch", "LYN", "--uses", "0"],
            &["--uses"],
        ),
        (
            &["token", "create", "--branch", "LYN", "--ttl", "72"],
            &["--ttl", "72h"],
        ),
        (
            &["token", "create", "--branch", "LYN", "--ttl", "400d"],
            &["366d"],
        ),
        (
            &["token", "create", "--branch", "LYN", "--url", "http://a"],
            &["--url", "https://"],
        ),
        (
            &["token", "create", "--agent", "LYN2"],
            &["no agent LYN2", "agent list"],
        ),
        (&["token", "create", "--agent", "lyon"], &["LYN2"]),
        (&["agent", "show", "LYN"], &["no agent LYN"]),
        (&["agent", "revoke", "LYN"], &["no agent LYN"]),
    ] {
        central.fails(arguments, 2, words);
    }
    assert!(central.ok(&["agent", "list"]).contains("token create"));
}

#[test]
fn an_agent_is_shown_and_revoked_by_what_people_call_it() {
    let central = Central::initialised();
    let id = central.agent();
    for name in ["LYN", "LYN1", &id] {
        let shown: Value =
            serde_json::from_str(&central.ok(&["agent", "show", name, "--json"])).unwrap();
        assert_eq!(shown["agent"], id);
        assert_eq!(shown["standing"], "good");
    }
    assert!(
        central
            .ok(&["agent", "revoke", "LYN", "--reason", "stolen"])
            .contains("revoked")
    );
    let list: Value = serde_json::from_str(&central.ok(&["agent", "list", "--json"])).unwrap();
    assert_eq!(list[0]["standing"], "revoked");
    assert!(
        central
            .ok(&["agent", "show", "LYN"])
            .contains("token create --agent LYN")
    );
}

#[test]
fn without_its_authority_or_with_keys_open_to_others_nothing_is_promised() {
    let central = Central::initialised();
    central.ok(&["branch", "add", "LYN"]);
    let key = central.path("central/authority/issuing-1.key");
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
    let words = ["issuing-1.key", "644", "(call IT)"];
    central.fails(&["token", "create", "--branch", "LYN"], 70, &words);
    std::fs::remove_dir_all(central.path("central/authority")).unwrap();
    let words = ["branchline-server init", "(fix the input)"];
    central.fails(&["token", "create", "--branch", "LYN"], 2, &words);
}
