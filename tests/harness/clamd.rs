//! A real clamd with a private database: one signature, one socket, no internet.
//!
//! Debian's package is installed when the machine lacks it (and may install it); nothing of the package's
//! own configuration, database or service is used. The process ends with its handle.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::debian;
use crate::processes::{Running, wait_for};

/// Bytes that the scanner takes for a virus.
pub const INFECTED: &[u8] = b"BRANCHLINE-TEST-SIGNATURE";
/// What it calls them.
pub const SIGNATURE: &str = "Branchline.Test.UNOFFICIAL";

/// A clamd, running or not.
#[derive(Debug)]
pub struct Clamd {
    folder: PathBuf,
    settings: String,
    running: Option<Running>,
}

impl Clamd {
    /// Starts a scanner in a folder of its own below `sandbox`.
    pub fn start(sandbox: &Path) -> Self {
        Self::start_with(sandbox, "")
    }

    /// The same that takes streams of so many bytes and no longer ones.
    pub fn start_taking(sandbox: &Path, most_bytes: u64) -> Self {
        Self::start_with(sandbox, &format!("StreamMaxLength {most_bytes}\n"))
    }

    /// The same with these lines of `clamd.conf`.
    pub fn start_with(sandbox: &Path, settings: &str) -> Self {
        let mut clamd = Self::prepare(sandbox, settings);
        clamd.run();
        clamd
    }

    /// A scanner that is not running yet.
    pub fn prepare(sandbox: &Path, settings: &str) -> Self {
        let folder = sandbox.join("clamd");
        std::fs::create_dir_all(folder.join("database")).expect("make the scanner's folder");
        let clamd = Self {
            folder,
            settings: settings.to_owned(),
            running: None,
        };
        clamd.write_signatures(&[("Branchline.Test", INFECTED)]);
        clamd
    }

    /// Starts it, again where it ran before, and waits until it answers.
    pub fn run(&mut self) {
        let config = self.folder.join("clamd.conf");
        let text = format!(
            "DatabaseDirectory {}\nLocalSocket {}\nFixStaleSocket yes\nForeground yes\nExitOnOOM yes\n{}\n",
            self.folder.join("database").display(),
            self.socket().display(),
            self.settings
        );
        std::fs::write(&config, text).expect("write clamd.conf");
        // A socket left by a killed process would look like one that answers soon.
        let _ = std::fs::remove_file(self.socket());
        let mut command = Command::new(program());
        command.arg("--config-file").arg(&config);
        let (running, _) = Running::start_unready(&mut command, &self.folder.join("clamd.log"));
        self.running = Some(running);
        wait_for("clamd to answer", || {
            (self.ask(b"zPING\0")? == b"PONG\0").then_some(())
        });
    }

    /// Where it listens.
    pub fn socket(&self) -> PathBuf {
        self.folder.join("clamd.sock")
    }

    /// The lines of `server.toml` that name it.
    pub fn server_toml(&self) -> String {
        format!(
            "[scanner]\nsocket = {:?}\n",
            self.socket().display().to_string()
        )
    }

    /// SIGKILL, and waits for its end. The socket stays and refuses.
    pub fn kill(&mut self) {
        self.running = None;
    }

    /// Stops it from running without ending it (SIGSTOP), or lets it run on. Connections are still made
    /// meanwhile, by the kernel.
    pub fn freeze(&self, frozen: bool) {
        let running = self.running.as_ref().expect("clamd runs");
        running.signal(if frozen { libc::SIGSTOP } else { libc::SIGCONT });
    }

    /// Teaches it a further signature and waits until it knows it. Its name gets `.UNOFFICIAL` behind.
    pub fn learn(&self, name: &str, pattern: &[u8]) {
        self.write_signatures(&[("Branchline.Test", INFECTED), (name, pattern)]);
        self.reload(pattern, true);
    }

    /// Makes it forget all but its first signature.
    pub fn forget(&self, pattern: &[u8]) {
        self.write_signatures(&[("Branchline.Test", INFECTED)]);
        self.reload(pattern, false);
    }

    fn reload(&self, pattern: &[u8], known: bool) {
        let answer = self.ask(b"zRELOAD\0").expect("clamd answers");
        assert_eq!(answer, b"RELOADING\0");
        let mut scan = b"zINSTREAM\0".to_vec();
        let length = u32::try_from(pattern.len()).expect("a short pattern");
        scan.extend(length.to_be_bytes());
        scan.extend(pattern);
        scan.extend([0; 4]);
        wait_for("clamd to load its signatures", || {
            (self.ask(&scan)?.ends_with(b" FOUND\0") == known).then_some(())
        });
    }

    fn write_signatures(&self, signatures: &[(&str, &[u8])]) {
        let lines: String = signatures
            .iter()
            .map(|(name, pattern)| {
                let hex: String = pattern.iter().map(|byte| format!("{byte:02x}")).collect();
                format!("{name}:0:*:{hex}\n")
            })
            .collect();
        let path = self.folder.join("database/test.ndb");
        let next = self.folder.join("next.ndb");
        std::fs::write(&next, lines).expect("write signatures");
        std::fs::rename(next, path).expect("replace signatures");
    }

    /// What it answers to these bytes; `None` while it does not.
    fn ask(&self, question: &[u8]) -> Option<Vec<u8>> {
        let mut connection = UnixStream::connect(self.socket()).ok()?;
        connection
            .set_read_timeout(Some(Duration::from_secs(20)))
            .ok()?;
        connection.write_all(question).ok()?;
        let mut answer = Vec::new();
        connection.read_to_end(&mut answer).ok()?;
        Some(answer)
    }
}

fn program() -> PathBuf {
    debian::program(
        &["/usr/sbin/clamd", "/usr/bin/clamd", "/usr/local/sbin/clamd"],
        "clamav-daemon",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::processes::sandbox;

    #[test]
    fn it_knows_what_it_was_taught_and_comes_back_after_its_end() {
        let sandbox = sandbox();
        let mut clamd = Clamd::start(sandbox.path());
        clamd.learn("Branchline.Other", b"another pattern");
        clamd.forget(b"another pattern");
        clamd.kill();
        assert_eq!(clamd.ask(b"zPING\0"), None);
        clamd.run();
        assert_eq!(clamd.ask(b"zPING\0").unwrap(), b"PONG\0");
    }
}
