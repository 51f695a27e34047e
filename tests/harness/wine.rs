//! A Windows computer as Wine makes one: a prefix of its own, in which an MSI is installed and services run.
//!
//! Not real Windows: access lists have no effect, and services end with the last program of a user, which
//! is why one idles here for as long as the computer is there.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Output, Stdio};

use tempfile::TempDir;

use crate::processes::{binary, sandbox, succeeded};

/// The computer; all its programs end when this is dropped.
pub struct WineComputer {
    idling: Child,
    _said: BufReader<ChildStdout>,
    prefix: PathBuf,
    _folder: TempDir,
}

/// A program that runs under Wine.
pub struct WineProgram(Child);

impl Drop for WineProgram {
    fn drop(&mut self) {
        // The scripts became the program, so that this is its own end, as hard as a loss of power.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The agent as it is built for Windows, from the sources beside this.
pub fn windows_agent() -> PathBuf {
    let target = binary("").canonicalize().expect("programs are built");
    let target = target.parent().expect("a target folder");
    let built = Command::new(root().join("packaging/windows/cargo.sh"))
        .args([
            "build",
            "--quiet",
            "-p",
            "branchline-agent",
            "--locked",
            "--bins",
        ])
        .env("CARGO_TARGET_DIR", target)
        .current_dir(root())
        .output();
    succeeded(&built.expect("run cargo.sh"));
    target.join("windows/x86_64-pc-windows-gnu/debug/branchline-agent.exe")
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn wine(prefix: &Path) -> Command {
    let mut command = Command::new(root().join("packaging/windows/wine.sh"));
    command.env("WINEPREFIX", prefix);
    command
}

impl WineComputer {
    /// Makes one; half a minute.
    pub fn start() -> Self {
        let folder = sandbox();
        let prefix = folder.path().join("prefix");
        let greeted = wine(&prefix).args(["cmd", "/c", "ver"]).output();
        succeeded(&greeted.expect("run wine.sh"));
        let mut idling = wine(&prefix)
            .arg("cmd")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("start the program that idles");
        // The first program starts the system's own ones, which keep its output for as long as they run:
        // another one's would never end. So this one is waited for.
        let mut said = BufReader::new(idling.stdout.take().expect("stdout is piped"));
        let greeted = said.read_line(&mut String::new());
        greeted.expect("the program that idles says that it is there");
        Self {
            idling,
            _said: said,
            prefix,
            _folder: folder,
        }
    }

    /// Runs a program.
    pub fn run(&self, words: &[&str]) -> Output {
        let mut command = wine(&self.prefix);
        command.args(words).stdin(Stdio::null());
        command.output().expect("run a program under Wine")
    }

    /// Starts a program that runs until what this gives is dropped, which kills it.
    pub fn start_program(&self, words: &[&str]) -> WineProgram {
        let mut command = wine(&self.prefix);
        let started = command
            .args(words)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        WineProgram(started.expect("start a program under Wine"))
    }

    /// Drive C as this system sees it.
    pub fn drive_c(&self) -> PathBuf {
        self.prefix.join("drive_c")
    }

    /// A path of this system as the computer sees it.
    pub fn path_of(&self, path: &Path) -> String {
        format!("Z:{}", path.display()).replace('/', "\\")
    }

    /// Files in which a text stands, as bytes or in Windows' own wide letters: the disk, the registry.
    pub fn holding(&self, text: &str) -> Vec<PathBuf> {
        let wide: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let mut found = Vec::new();
        let mut folders = vec![self.prefix.clone()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
                let Ok(kind) = entry.file_type() else {
                    continue;
                };
                if kind.is_dir() {
                    folders.push(entry.path());
                } else if kind.is_file() {
                    let bytes = std::fs::read(entry.path()).unwrap_or_default();
                    let holds =
                        |wanted: &[u8]| bytes.windows(wanted.len()).any(|bytes| bytes == wanted);
                    if holds(text.as_bytes()) || holds(&wide) {
                        found.push(entry.path());
                    }
                }
            }
        }
        found
    }
}

impl Drop for WineComputer {
    fn drop(&mut self) {
        // What runs in a prefix is one server's, which ends all of it.
        let _ = Command::new("wineserver")
            .arg("-k")
            .env("WINEPREFIX", &self.prefix)
            .status();
        let _ = self.idling.kill();
        let _ = self.idling.wait();
        let _ = Command::new("wineserver")
            .arg("-w")
            .env("WINEPREFIX", &self.prefix)
            .status();
    }
}
