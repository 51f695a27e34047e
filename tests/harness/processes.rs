//! Real processes: central and branches, each in a folder of its own, on a free port, ended by its
//! own handle.

use std::fs::OpenOptions;
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::sync_channel;

use branchline_agent_api::{Client, FileTicket, OperationSaved, Status};
use branchline_protocol::operation::{Contact, Priority};
use rustls::pki_types::CertificateDer;
use serde_json::Value;
use tempfile::TempDir;

use crate::dmz::Proxy;
use crate::forge::{Forge, Wish};
use crate::identity::{self, Member};
use crate::tls;

pub use crate::programs::binary;
pub use crate::waiting::{FILE_PATIENCE, PATIENCE, wait_for, wait_until, wait_within};

/// A port on loopback that nothing uses, outside the range from which connections take theirs.
pub fn free_address() -> SocketAddr {
    loop {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, fastrand::u16(20_000..32_000)));
        if TcpListener::bind(address).is_ok() {
            return address;
        }
    }
}

/// A process that ends with its handle. Its standard error goes to a log file, whose end is shown
/// when a test fails.
#[derive(Debug)]
pub(crate) struct Running {
    child: Child,
    log: PathBuf,
}

impl Running {
    /// Starts a process and waits for the first line that it prints.
    fn start(command: &mut Command, log: &Path) -> (Self, String) {
        let (mut running, lines) = Self::start_unready(command, log);
        let line = lines.recv_timeout(PATIENCE).unwrap_or_else(|_| {
            let ended = running.child.try_wait();
            panic!(
                "not ready ({ended:?}): {}",
                std::fs::read_to_string(log).unwrap_or_default()
            )
        });
        (running, line)
    }

    /// Starts a process whose first line may never come.
    pub(crate) fn start_unready(
        command: &mut Command,
        log: &Path,
    ) -> (Self, std::sync::mpsc::Receiver<String>) {
        let errors = OpenOptions::new()
            .create(true)
            .append(true)
            .open(log)
            .expect("log");
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(errors)
            .spawn()
            .expect("start a built program");
        let stdout = child.stdout.take().expect("stdout is piped");
        let (lines, first) = sync_channel(1);
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let _ = lines.try_send(line);
            }
        });
        (
            Self {
                child,
                log: log.to_owned(),
            },
            first,
        )
    }

    pub(crate) fn signal(&self, signal: libc::c_int) {
        let pid = libc::pid_t::try_from(self.child.id()).expect("a pid fits");
        // SAFETY: the child has not been waited for, so the pid is its own.
        let sent = unsafe { libc::kill(pid, signal) };
        assert_eq!(sent, 0, "signal the child");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let log = std::fs::read_to_string(&self.log).unwrap_or_default();
            let from = log.len().saturating_sub(4_000);
            let tail = log.get(from..).unwrap_or(&log);
            let _ = writeln!(
                std::io::stderr(),
                "── end of {}\n{tail}",
                self.log.display()
            );
        }
    }
}

/// The name that central knows the tests' proxies by.
pub const PROXY: &str = "middlebox";
/// Shifts the clock of a debug build, in seconds.
const CLOCK_OFFSET: &str = "BRANCHLINE_CLOCK_OFFSET";

/// Central: its folder, its address, and its process while it runs.
#[derive(Debug)]
pub struct Central {
    folder: PathBuf,
    /// Where it listens, running or not.
    pub address: SocketAddr,
    /// Where its desk listens.
    pub desk: SocketAddr,
    running: Option<Running>,
    environment: Vec<(String, String)>,
    clock: Option<i64>,
    proxy: OnceLock<Proxy>,
}

impl Central {
    /// A new central on loopback that is not running.
    pub fn init(sandbox: &Path) -> Self {
        Self::init_at(sandbox, free_address())
    }

    /// A new central of this address that is not running.
    pub fn init_at(sandbox: &Path, address: SocketAddr) -> Self {
        Self::init_saying(sandbox, address).0
    }

    /// The same, with what `init` said.
    pub fn init_saying(sandbox: &Path, address: SocketAddr) -> (Self, String) {
        let folder = sandbox.join("central");
        let central = Self {
            folder,
            address,
            desk: free_address(),
            running: None,
            environment: Vec::new(),
            clock: None,
            proxy: OnceLock::new(),
        };
        let name = address.ip().to_string();
        let said = succeeded(&central.cli(&["init", "--name", &name]));
        central.configure("");
        (central, said)
    }

    /// The data folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Sets a variable for the next starts.
    pub fn set_environment(&mut self, name: &str, value: &str) {
        self.environment.retain(|(known, _)| known != name);
        self.environment.push((name.to_owned(), value.to_owned()));
    }

    /// Sets no variables any more.
    pub fn clear_environment(&mut self) {
        self.environment.clear();
    }

    /// Starts it and waits until it listens.
    pub fn start(&mut self) {
        let mut command = Command::new(binary("branchline-server"));
        command.arg("--data-dir").arg(&self.folder).arg("serve");
        command.arg("--listen").arg(self.address.to_string());
        command.envs(self.environment.iter().cloned());
        self.running = Some(self.serve(&mut command));
    }

    /// Starts it without TLS, for whoever is on this machine.
    pub fn start_insecurely(&mut self) {
        let mut command = Command::new(binary("branchline-server"));
        command.arg("--data-dir").arg(&self.folder).arg("serve");
        command.arg("--listen").arg(self.address.to_string());
        command.arg("--insecure-loopback");
        self.running = Some(self.serve(&mut command));
    }

    fn serve(&self, command: &mut Command) -> Running {
        self.shift(command);
        let (running, line) = Running::start(command, &self.folder.with_extension("log"));
        assert!(line.starts_with("listening on"), "{line}");
        running
    }

    /// Lets it run for as long as `errand` takes, where it does not run.
    fn up_for<T>(&self, errand: impl FnOnce() -> T) -> T {
        let _up = self.running.is_none().then(|| {
            let mut command = Command::new(binary("branchline-server"));
            command.arg("--data-dir").arg(&self.folder).arg("serve");
            command.arg("--listen").arg(self.address.to_string());
            self.serve(&mut command)
        });
        errand()
    }

    fn shift(&self, command: &mut Command) {
        if let Some(seconds) = self.clock {
            command.env(CLOCK_OFFSET, seconds.to_string());
        }
    }

    /// Has its clock off by so many seconds, from the next start or command on.
    pub fn set_clock(&mut self, seconds: i64) {
        self.clock = Some(seconds);
    }

    /// SIGKILL, and waits for its end.
    pub fn kill(&mut self) {
        self.running = None;
    }

    /// SIGTERM, and waits for its end.
    pub fn stop(&mut self) {
        if let Some(mut running) = self.running.take() {
            running.signal(libc::SIGTERM);
            let child = &mut running.child;
            wait_for("central to end", || {
                child.try_wait().expect("wait for central")
            });
        }
    }

    /// Stops it from running without ending it (SIGSTOP), or lets it run on.
    pub fn freeze(&self, frozen: bool) {
        let running = self.running.as_ref().expect("central runs");
        running.signal(if frozen { libc::SIGSTOP } else { libc::SIGCONT });
    }

    /// The process's id.
    pub fn pid(&self) -> u32 {
        self.running.as_ref().expect("central runs").child.id()
    }

    /// Where agents find it.
    pub fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    /// What its chain ends in.
    pub fn anchors(&self) -> Vec<CertificateDer<'static>> {
        tls::certificates(&self.root_certificate())
    }

    /// The file of its root's certificate.
    pub fn root_certificate(&self) -> PathBuf {
        self.folder.join("authority").join("root-1.pem")
    }

    /// Makes a branch, if there is none of this code, and a token for one agent of it.
    pub fn token(&self, code: &str) -> String {
        self.token_with(code, &[])
    }

    /// The same with more options of `token create`.
    pub fn token_with(&self, code: &str, options: &[&str]) -> String {
        succeeded(&self.cli(&["branch", "add", code]));
        token_in(&self.cli(&[&["token", "create", "--branch", code][..], options].concat()))
    }

    /// A token for an agent that joins again as itself.
    pub fn token_for_agent(&self, agent: &str) -> String {
        token_in(&self.cli(&["token", "create", "--agent", agent]))
    }

    /// An agent of a branch that is none of our programs.
    pub fn enrol_by_hand(&self, code: &str) -> Member {
        let (token, anchors) = (self.token(code), self.anchors());
        self.up_for(|| identity::join(self.address, &anchors, &token))
    }

    /// The certificate of a proxy that ends TLS in front of it, made when it is first asked for.
    pub fn proxy(&self) -> &Proxy {
        self.proxy.get_or_init(|| Proxy {
            own: Forge::of_central(&self.folder).sign(&Wish::proxy(PROXY)),
            anchors: self.anchors(),
        })
    }

    /// Runs a command of the server's CLI.
    pub fn cli(&self, args: &[&str]) -> Output {
        let mut command = Command::new(binary("branchline-server"));
        command
            .arg("--data-dir")
            .arg(&self.folder)
            .args(args)
            .stdin(Stdio::null());
        self.shift(&mut command);
        command.output().expect("run branchline-server")
    }

    /// The log so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.with_extension("log")).unwrap_or_default()
    }

    /// Writes `server.toml`, for the next start; what tokens and the tests' proxies need is put in unless
    /// this says something else of it.
    pub fn configure(&self, toml: &str) {
        let mut settings: toml::Table = toml.parse().expect("TOML");
        let mut set = |section: &str, key: &str, value: toml::Value| {
            let section = settings
                .entry(section)
                .or_insert_with(|| toml::Table::new().into());
            let section = section.as_table_mut().expect("a section");
            section.entry(key).or_insert(value);
        };
        set("authority", "url", self.url().into());
        set("desk", "listen", self.desk.to_string().into());
        set("ingress", "proxies", vec![PROXY.to_owned()].into());
        std::fs::write(self.folder.join("server.toml"), settings.to_string())
            .expect("write server.toml");
    }

    /// The files that central knows of, as its CLI lists them.
    pub fn files(&self) -> Vec<Value> {
        let listed = succeeded(&self.cli(&["files", "list", "--json", "--limit", "10000"]));
        let listed: Value = serde_json::from_str(&listed).expect("JSON");
        listed["files"].as_array().expect("files").clone()
    }

    /// The only file of this name at central, if it is there.
    pub fn file(&self, name: &str) -> Option<Value> {
        let mut files = self.files();
        files.retain(|file| file["name"] == name);
        assert!(files.len() < 2, "{name} twice: {files:?}");
        files.pop()
    }

    /// Waits until a file of this name is in one of these states, and gives it.
    pub fn wait_file(&self, name: &str, states: &[&str]) -> Value {
        wait_within(FILE_PATIENCE, &format!("{name} to be {states:?}"), || {
            let file = self.file(name)?;
            states
                .iter()
                .any(|state| file["state"] == **state)
                .then_some(file)
        })
    }

    /// Where the vault lies.
    pub fn vault(&self) -> PathBuf {
        self.folder.join("vault")
    }

    /// `audit` of a branch's export: its exit code and what it said.
    pub fn audit(&self, branch: &Branch) -> (Option<i32>, String) {
        let export = branch.folder.join("export.jsonl");
        let export = export.to_str().expect("a plain path");
        succeeded(&branch.cli(&["queue", "export", "--digest", "--output", export]));
        let output = self.cli(&["audit", export]);
        (
            output.status.code(),
            text(&output.stdout) + &text(&output.stderr),
        )
    }

    /// Asserts that central holds what the branch filed, once and in order.
    pub fn assert_equal(&self, branch: &Branch) -> String {
        let (code, said) = self.audit(branch);
        assert_eq!(code, Some(0), "{said}");
        assert!(said.contains("0 lost, 0 twice, 0 out of order"), "{said}");
        said
    }
}

/// A branch: its agent's folder, and its process while it runs.
#[derive(Debug)]
pub struct Branch {
    /// The branch's code.
    pub code: String,
    folder: PathBuf,
    running: Option<Running>,
    environment: Vec<(String, String)>,
    wrapper: Vec<String>,
    clock: Option<i64>,
}

impl Branch {
    /// A new branch, enrolled at central, whose agent is not running. It finds central at `server`, which
    /// may be a proxy.
    pub fn join(sandbox: &Path, central: &Central, code: &str, server: SocketAddr) -> Self {
        let branch = Self::strange(sandbox, code);
        branch.configure_as_enrolled("");
        let token = central.token(code);
        // Straight to central: what a proxy does is for what comes later.
        succeeded(&central.up_for(|| branch.cli(&["enroll", &token])));
        branch.configure(server, "");
        branch
    }

    /// A new branch that central does not know, without a configuration.
    pub fn strange(sandbox: &Path, code: &str) -> Self {
        let folder = sandbox.join(format!("{code}-{}", fastrand::u32(..)));
        std::fs::create_dir_all(&folder).expect("make the branch's folder");
        Self {
            code: code.to_owned(),
            folder,
            running: None,
            environment: Vec::new(),
            wrapper: Vec::new(),
            clock: None,
        }
    }

    /// Writes the configuration; `more` is further TOML.
    pub fn configure(&self, server: SocketAddr, more: &str) {
        self.configure_with(&format!("server = \"https://{server}\"\n"), more);
    }

    /// The same with the address of its identity.
    pub fn configure_as_enrolled(&self, more: &str) {
        self.configure_with("", more);
    }

    fn configure_with(&self, server: &str, more: &str) {
        let data = self.data().display().to_string();
        let socket = self.socket().display().to_string();
        let text = format!("{server}data_dir = {data:?}\nsocket = {socket:?}\n{more}\n");
        std::fs::write(self.config(), text).expect("write the configuration");
    }

    /// Has its clock off by so many seconds, from the next start or command on.
    pub fn set_clock(&mut self, seconds: i64) {
        self.clock = Some(seconds);
    }

    /// The branch's folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The agent's data folder.
    pub fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// Who the agent is, with its key.
    pub fn identity(&self) -> PathBuf {
        self.data().join("identity.json")
    }

    /// Puts something in the data folder's place, such as another disk; the identity goes along.
    pub fn replace_data<T>(&self, replace: impl FnOnce(&Path) -> T) -> T {
        let kept = std::fs::read(self.identity()).expect("read the identity");
        let replaced = replace(&self.data());
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(self.identity());
        let written = file.and_then(|mut file| {
            file.write_all(&kept)?;
            file.sync_all()?;
            std::fs::File::open(self.data())?.sync_all()
        });
        written.expect("write the identity");
        replaced
    }

    /// The journal's file.
    pub fn journal(&self) -> PathBuf {
        self.data().join("journal.db")
    }

    /// The configuration file.
    pub fn config(&self) -> PathBuf {
        self.folder.join("agent.toml")
    }

    /// The local API's socket.
    pub fn socket(&self) -> PathBuf {
        self.folder.join("agent.sock")
    }

    /// Sets a variable for the next starts.
    pub fn set_environment(&mut self, name: &str, value: &str) {
        self.environment.retain(|(known, _)| known != name);
        self.environment.push((name.to_owned(), value.to_owned()));
    }

    /// Sets no variables any more.
    pub fn clear_environment(&mut self) {
        self.environment.clear();
    }

    /// Starts the agent and waits until its local API answers.
    pub fn start(&mut self) {
        let mut command = self.command();
        let (running, line) = Running::start(command.arg("run"), &self.log_file());
        assert!(line.starts_with("ready on"), "{line}");
        self.running = Some(running);
    }

    /// Runs the agent to its end, for starts that must fail.
    pub fn start_expecting_failure(&self) -> Output {
        self.cli(&["run"])
    }

    fn log_file(&self) -> PathBuf {
        self.folder.join("agent.log")
    }

    /// A command of the agent's CLI, to be started by the caller.
    pub fn agent_command(&self, args: &[&str]) -> Command {
        let mut command = self.command();
        command.args(args);
        command
    }

    /// Has the agent run by another program, which takes it and its arguments behind its own and
    /// becomes it: with fewer rights, or in another namespace.
    pub fn set_wrapper(&mut self, wrapper: &[&str]) {
        self.wrapper = wrapper.iter().map(|&word| word.to_owned()).collect();
    }

    fn command(&self) -> Command {
        let agent = binary("branchline-agent");
        let mut command = match self.wrapper.split_first() {
            Some((wrapper, words)) => {
                let mut command = Command::new(wrapper);
                command.args(words).arg(agent);
                command
            }
            None => Command::new(agent),
        };
        command
            .arg("--config")
            .arg(self.config())
            .stdin(Stdio::null());
        command.envs(self.environment.iter().cloned());
        if let Some(seconds) = self.clock {
            command.env(CLOCK_OFFSET, seconds.to_string());
        }
        command
    }

    /// SIGKILL, and waits for its end.
    pub fn kill(&mut self) {
        self.running = None;
    }

    /// SIGTERM, and waits for its end.
    pub fn stop(&mut self) {
        if let Some(mut running) = self.running.take() {
            running.signal(libc::SIGTERM);
            let child = &mut running.child;
            wait_for("the agent to end", || {
                child.try_wait().expect("wait for the agent")
            });
        }
    }

    /// The process's id.
    pub fn pid(&self) -> u32 {
        self.running.as_ref().expect("the agent runs").child.id()
    }

    /// Runs a command of the agent's CLI.
    pub fn cli(&self, args: &[&str]) -> Output {
        self.command()
            .args(args)
            .output()
            .expect("run branchline-agent")
    }

    /// The same with something on standard input.
    pub fn cli_with_input(&self, args: &[&str], input: &[u8]) -> Output {
        let mut command = self.command();
        command
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().expect("run branchline-agent");
        // A command that refuses its input early closes the pipe.
        let _ = child.stdin.take().expect("stdin is piped").write_all(input);
        child.wait_with_output().expect("wait for branchline-agent")
    }

    /// The log so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.log_file()).unwrap_or_default()
    }

    /// A client of the local API.
    pub fn client(&self) -> Client {
        Client::new(&self.socket()).expect("make a client")
    }

    /// Files a ticket that must be saved.
    pub async fn file(&self, subject: &str) -> OperationSaved {
        self.client()
            .file_ticket(&ticket(subject))
            .await
            .expect("file a ticket")
    }

    /// Attaches a file that must be taken in.
    pub fn attach(&self, number: &str, path: &Path) -> String {
        let path = path.to_str().expect("a plain path");
        succeeded(&self.cli(&["ticket", "attach", number, path]))
    }

    /// How the agent is.
    pub async fn status(&self) -> Status {
        self.client().status().await.expect("ask for the status")
    }

    /// Waits until central has acknowledged everything.
    pub async fn wait_drained(&self) -> Status {
        let client = self.client();
        wait_until("the journal to drain", || async {
            client
                .status()
                .await
                .ok()
                .filter(|status| status.waiting == 0)
        })
        .await
    }
}

/// A ticket with this subject.
pub fn ticket(subject: &str) -> FileTicket {
    FileTicket {
        id: None,
        subject: subject.to_owned(),
        description: format!("Filed to see that {subject:?} arrives."),
        category: Some("hardware".to_owned()),
        priority: Priority::Normal,
        contact: Contact {
            name: Some("Marie".to_owned()),
            ..Contact::default()
        },
        asset: None,
    }
}

/// A folder of one's own that goes away at the end.
pub fn sandbox() -> TempDir {
    tempfile::Builder::new()
        .prefix("branchline-")
        .tempdir()
        .expect("make a temporary folder")
}

/// Bytes of a command's output as text.
pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The token in what `token create` printed.
fn token_in(created: &Output) -> String {
    let said = succeeded(created);
    let token = said
        .split_whitespace()
        .find(|word| word.starts_with("blt1_"));
    token.expect("a token is shown").to_owned()
}

/// Asserts that a command succeeded and gives what it printed.
pub fn succeeded(output: &Output) -> String {
    assert!(
        output.status.success(),
        "{:?}: {}{}",
        output.status,
        text(&output.stdout),
        text(&output.stderr)
    );
    text(&output.stdout)
}
