//! Both programs against bad surroundings: endless input, identities and settings that are none,
//! places that are taken, files that are broken or somebody else's, logs that nobody reads, texts that
//! a terminal would obey. [`command_line`]: what people mistype.

mod command_line;
mod output;
mod settings;

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use harness::processes::{Branch, Central, binary, sandbox, text};

const FIX_INPUT: i32 = 2;
const FOUND_SOMETHING: i32 = 3;
const CALL_IT: i32 = 70;
const TRY_AGAIN: i32 = 75;

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

/// The machine's private key, as it stands in the one file that holds it.
fn secret_of(branch: &Branch) -> String {
    let kept = fs::read_to_string(branch.identity()).expect("an identity");
    let kept: serde_json::Value = serde_json::from_str(&kept).expect("JSON");
    let key = kept["identity"]["current"]["key"].as_str().expect("a key");
    key.split(':').nth(1).expect("bytes").to_owned()
}

/// A branch with its agent running, and a central that is not.
fn lonely() -> (tempfile::TempDir, Central, Branch) {
    let sandbox = sandbox();
    let central = Central::init(sandbox.path());
    let branch = Branch::join(sandbox.path(), &central, "LYN", central.address);
    (sandbox, central, branch)
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
