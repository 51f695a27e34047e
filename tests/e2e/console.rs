//! The console in a real Chromium, over a real central and a real agent with a real scanner.
//!
//! What is clicked and typed stands in `console/*.mjs`; this side is the world around it: a branch that files,
//! central that goes and comes back. The two speak by lines of JSON.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use branchline_agent_api::{AddComment, FileTicket, GivenState};
use branchline_protocol::id::TicketNumber;
use harness::clamd::{Clamd, INFECTED};
use harness::processes::{Branch, Central, sandbox, succeeded, text, wait_for, wait_until};
use serde_json::{Value, json};
use tempfile::TempDir;

/// Everything around the browser.
struct World {
    branch: Branch,
    central: Central,
    password: String,
    _clamd: Clamd,
    sandbox: TempDir,
}

impl World {
    fn new() -> Self {
        let sandbox = sandbox();
        let clamd = Clamd::start(sandbox.path());
        let mut central = Central::init(sandbox.path());
        central.configure(&clamd.server_toml());
        let made = central.cli(&["operator", "add", "paula", "--role", "administrator"]);
        let password = password_in(&succeeded(&made));
        let mut branch = Branch::join(sandbox.path(), &central, "LYN", central.address);
        central.start();
        branch.start();
        Self {
            branch,
            central,
            password,
            _clamd: clamd,
            sandbox,
        }
    }

    /// Does what the browser's side asks for.
    async fn act(&mut self, asked: &Value) -> Value {
        let said = |name: &str| asked[name].as_str().unwrap_or_default().to_owned();
        match said("verb").as_str() {
            "file" => {
                let ticket: FileTicket =
                    serde_json::from_value(asked["ticket"].clone()).expect("a ticket");
                let saved = self.branch.client().file_ticket(&ticket).await;
                json!({ "number": saved.expect("file a ticket").number.to_string() })
            }
            "comment" => {
                let number: TicketNumber = said("number").parse().expect("a number");
                let comment: AddComment =
                    serde_json::from_value(json!({ "text": said("text") })).expect("a comment");
                let client = self.branch.client();
                let saved = client.add_comment(&number, &comment).await;
                saved.expect("add a comment");
                json!({})
            }
            "attach" => {
                let path = self.sandbox.path().join(said("name"));
                let content = match asked["infected"].as_bool() {
                    Some(true) => [b"an invoice with a ", INFECTED].concat(),
                    _ => said("content").into_bytes(),
                };
                std::fs::write(&path, content).expect("write a file");
                self.branch.attach(&said("number"), &path);
                json!({ "attached": true })
            }
            "branch_shows" => json!({ "text": self.branch_shows(&said("number")) }),
            "until_branch_shows" => {
                let (number, wanted) = (said("number"), said("text"));
                wait_for("the branch to show an answer", || {
                    self.branch_shows(&number).contains(&wanted).then_some(())
                });
                json!({})
            }
            "branch_gets" => {
                let held = self.branch_gets(&said("number"), &asked["names"]).await;
                json!({ "held": held })
            }
            "stop_central" => {
                self.central.stop();
                json!({})
            }
            "start_central" => {
                self.central.start();
                json!({})
            }
            other => panic!("nothing is known of {other:?}"),
        }
    }

    /// What the branch holds of the files that came with the last answer, by these names, once it has them
    /// and central is down.
    async fn branch_gets(&mut self, number: &str, names: &Value) -> Vec<String> {
        let number: TicketNumber = number.parse().expect("a number");
        let client = self.branch.client();
        let files = wait_until("the files at the branch", || async {
            let ticket = client.ticket(&number).await.ok()?;
            let files = ticket.replies.last()?.files.clone();
            for file in &files {
                let given = client.given(file.file).await.ok()?;
                (given.state == GivenState::Here).then_some(())?;
            }
            Some(files)
        })
        .await;
        self.central.stop();
        let names = names.as_array().expect("names");
        let held = names.iter().map(|name| {
            let file = files.iter().find(|file| file.name == *name);
            let id = file.expect("it came with the answer").file.to_string();
            let to = self.sandbox.path().join(&id);
            let path = to.to_str().expect("a plain path");
            succeeded(&self.branch.cli(&["files", "get", &id, "--to", path]));
            std::fs::read_to_string(&to).expect("read it")
        });
        held.collect()
    }

    fn branch_shows(&self, number: &str) -> String {
        text(&self.branch.cli(&["ticket", "show", number]).stdout)
    }
}

/// The password at the end of what `operator add` said.
fn password_in(said: &str) -> String {
    let (_, password) = said.trim().rsplit_once(": ").expect("a password is shown");
    password.to_owned()
}

/// Ends the driver with the test.
struct Driver(Child);

impl Drop for Driver {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn scripts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("e2e/console")
}

/// Runs a script to its end, doing what it asks for.
async fn drive(script: &str) {
    let mut world = World::new();
    let place = json!({
        "url": format!("https://{}", world.central.desk),
        "operator": { "name": "paula", "password": world.password },
        "chromium": "/usr/bin/chromium",
        "infected": text(&[b"an invoice with a ", INFECTED].concat()),
    });
    let mut command = Command::new("node");
    command
        .arg(scripts().join(script))
        .env("BRANCHLINE_CONSOLE_TEST", place.to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    let child = command
        .spawn()
        .expect("node runs: `make console chromium` installs what is missing");
    let mut driver = Driver(child);
    let mut answers = driver.0.stdin.take().expect("stdin is piped");
    let asked = BufReader::new(driver.0.stdout.take().expect("stdout is piped"));
    for line in asked.lines() {
        let line = line.expect("read what the script asks for");
        let asked: Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("{line}"));
        let answer = world.act(&asked).await;
        // A script that failed meanwhile says why on stderr.
        let _ = writeln!(answers, "{answer}");
    }
    let ended = driver.0.wait().expect("wait for node");
    assert!(ended.success(), "{script} failed; see above");
}

#[tokio::test]
async fn console_shows_a_ticket_live_and_carries_the_answer_back() {
    drive("live.mjs").await;
}

#[tokio::test]
async fn console_gives_files_with_a_reply_when_they_are_clean() {
    drive("giving.mjs").await;
}

#[tokio::test]
async fn console_takes_markup_for_text_and_tells_who_was_too_late() {
    drive("hostile.mjs").await;
}

#[tokio::test]
async fn console_is_accessible_on_every_page() {
    drive("accessible.mjs").await;
}
