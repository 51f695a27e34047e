//! `make demo`: the main job on real processes, told in a few lines.
//!
//! Central makes its certificate authority, and two branches join with a token each: from there on
//! everything goes over mutual TLS. They file tickets while central is down; central comes up and they arrive; then a thousand
//! more from each while agents and central are killed with SIGKILL; then the audit; then files, over a
//! link that is cut in the middle ([`files`]). With `ONCE=1` it ends there, and fails if anything was not
//! as it must be; otherwise it stays up for trying things out, with the desktop client where there is a
//! screen. `DESKTOP=1` makes a screen where there is none, with `ONCE=1` too.

#![allow(
    clippy::disallowed_methods,
    reason = "a test's tasks end with the test"
)]

mod files;
mod pdf;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use branchline_agent_api::Client;
use branchline_protocol::id::OperationId;
use harness::desktop::Screen;
use harness::processes::{Branch, Central, free_address, sandbox, succeeded, ticket};
use harness::waiting::wait_for;
use tokio::time::sleep;

/// Tickets from each branch while things are killed.
const UNDER_FIRE: u64 = 1_000;
/// How often each of the three processes is killed meanwhile.
const KILLS: u32 = 4;
/// Characters of a token that fit on a line.
const TOKEN_SHOWN: usize = 24;

#[tokio::main]
async fn main() -> ExitCode {
    let once = std::env::var("ONCE").is_ok_and(|once| !once.is_empty() && once != "0");
    let sandbox = sandbox();
    let (mut central, mut branches) = join(sandbox.path());

    say(
        2,
        "Central is down. Two branches, LYN and NCE, file tickets all the same.",
    );
    for branch in &mut branches {
        branch.start();
        for subject in [
            "Printer on the third floor jams",
            "Till 2 does not print receipts",
        ] {
            let saved = branch.file(subject).await;
            detail(&format!("{}  saved  {subject}", saved.number));
        }
    }
    for branch in &branches {
        let status = branch.status().await;
        detail(&format!(
            "{}: {} waiting, nothing lost",
            branch.code, status.waiting
        ));
    }

    say(3, "Central comes up, and they arrive.");
    let up = Instant::now();
    central.start();
    for branch in &branches {
        branch.wait_drained().await;
    }
    detail(&format!(
        "all acknowledged {:.1} s after central came up",
        up.elapsed().as_secs_f64()
    ));
    print_indented(&harness::processes::text(
        &central.cli(&["tickets", "list"]).stdout,
    ));

    say(
        4,
        "1,000 more from each, while both agents and central are killed with SIGKILL.",
    );
    let filed = under_fire(&mut central, &mut branches).await;
    let back = Instant::now();
    for branch in &branches {
        branch.wait_drained().await;
    }
    detail(&format!(
        "{filed} tickets filed, {} kills; drained {:.1} s after the last one",
        KILLS * 3,
        back.elapsed().as_secs_f64()
    ));

    say(
        5,
        "The audit: what each branch holds against what central holds.",
    );
    let mut sound = true;
    for branch in &branches {
        let (code, said) = central.audit(branch);
        sound &= code == Some(0);
        print_indented(&said);
    }
    if !sound {
        detail("the audit found something: this must never happen");
        return ExitCode::FAILURE;
    }
    if !files::show(&mut central, &mut branches[0]).await {
        return ExitCode::FAILURE;
    }
    if once {
        if std::env::var_os("DESKTOP").is_some() {
            show_client_once(&branches[0]);
        }
        return ExitCode::SUCCESS;
    }
    stay_up(&central, &branches).await;
    ExitCode::SUCCESS
}

/// Central from nothing, and two branches that join with a token each.
fn join(sandbox: &Path) -> (Central, [Branch; 2]) {
    say(
        1,
        "Central makes its certificate authority; two branches join with a token each.",
    );
    let (mut central, said) = Central::init_saying(sandbox, free_address());
    detail("$ branchline-server init --name 127.0.0.1");
    for line in said.lines().filter(|line| line.contains("certificate")) {
        detail(line);
    }
    central.start();
    let branches = ["LYN", "NCE"].map(|code| {
        let branch = Branch::strange(sandbox, code);
        branch.configure_as_enrolled("");
        detail(&format!("$ branchline-server token create --branch {code}"));
        let token = central.token(code);
        detail(&format!("{}…", &token[..TOKEN_SHOWN]));
        detail(&format!(
            "$ branchline-agent enroll {}…",
            &token[..TOKEN_SHOWN]
        ));
        print_indented(&succeeded(&branch.cli(&["enroll", &token])));
        branch
    });
    central.stop();
    (central, branches)
}

/// Files from both branches while everything is killed in turn; answers how many were saved.
async fn under_fire(central: &mut Central, branches: &mut [Branch; 2]) -> u64 {
    let saved = Arc::new(AtomicU64::new(0));
    let filers: Vec<_> = branches
        .iter()
        .map(|branch| tokio::spawn(file_many(branch.client(), saved.clone())))
        .collect();
    for round in 1..=u64::from(KILLS) {
        // Spread over the filing, so that each kill finds all three at work.
        let due = round * 2 * UNDER_FIRE / (u64::from(KILLS) + 1);
        while saved.load(Ordering::Relaxed) < due {
            sleep(Duration::from_millis(5)).await;
        }
        branches[0].kill();
        central.kill();
        branches[1].kill();
        branches[0].start();
        branches[1].start();
        central.start();
        detail(&format!(
            "{due} saved: LYN, central and NCE killed and started again"
        ));
    }
    for filer in filers {
        filer.await.expect("a filer ends");
    }
    saved.load(Ordering::Relaxed)
}

/// Files like a careful program: each ticket has an id, and is asked for again until it is saved.
async fn file_many(client: Client, saved: Arc<AtomicU64>) {
    for n in 1..=UNDER_FIRE {
        let mut ticket = ticket(&format!("Under fire, ticket {n}"));
        let random = std::array::from_fn(|_| fastrand::u8(..));
        ticket.id = Some(OperationId::from_parts(1_790_000_000_000 + n, random));
        while client.file_ticket(&ticket).await.is_err() {
            sleep(Duration::from_millis(20)).await;
        }
        saved.fetch_add(1, Ordering::Relaxed);
    }
}

async fn stay_up(central: &Central, branches: &[Branch; 2]) {
    let agent = harness::processes::binary("branchline-agent");
    let server = harness::processes::binary("branchline-server");
    println!("\nEverything stays up until Ctrl-C. To try:\n");
    for branch in branches {
        println!(
            "  export BRANCHLINE_AGENT_CONFIG={}",
            branch.config().display()
        );
        println!("  {} status", agent.display());
        println!(
            "  {} ticket new -s 'Screen is dark' -d 'Since this morning'",
            agent.display()
        );
        println!("  {} ticket list\n", agent.display());
    }
    println!(
        "  export BRANCHLINE_SERVER_DATA_DIR={}",
        central.folder().display()
    );
    println!("  {} tickets list", server.display());
    println!("  {} agent list", server.display());
    println!("  {} trail list", server.display());
    println!(
        "  kill -9 {}   # central; then see what a branch says",
        central.pid()
    );
    let _client = open_client(&branches[0]);
    let _ = tokio::signal::ctrl_c().await;
}

/// The desktop client; it ends with this, and so does the screen that was made for it.
struct OpenClient {
    process: std::process::Child,
    data: PathBuf,
    _screen: Option<Screen>,
}

/// The desktop client of the first branch, where there is a screen or one was asked for.
fn open_client(branch: &Branch) -> Option<OpenClient> {
    let program = harness::processes::binary("branchline-desktop");
    let is_there = |name: &str| std::env::var_os(name).is_some();
    let screen = if is_there("DISPLAY") || is_there("WAYLAND_DISPLAY") {
        None
    } else if is_there("DESKTOP") {
        Some(Screen::start(branch.folder()))
    } else {
        println!(
            "  {} needs a screen, and there is none here",
            program.display()
        );
        return None;
    };
    let mut command = match &screen {
        Some(screen) => screen.command(&program),
        None => std::process::Command::new(program),
    };
    let data = branch.folder().join("desktop");
    command
        .env("BRANCHLINE_SOCKET", branch.socket())
        .env("BRANCHLINE_DESKTOP_DATA", &data);
    match command.spawn() {
        Ok(process) => {
            println!("  the desktop client of {} is open", branch.code);
            Some(OpenClient {
                process,
                data,
                _screen: screen,
            })
        }
        Err(fault) => {
            println!("  the desktop client does not start: {fault}");
            None
        }
    }
}

/// Opens it, and goes on when it is up.
fn show_client_once(branch: &Branch) {
    let mut client = open_client(branch).expect("the desktop client starts");
    wait_for("the desktop client", || {
        let ended = client.process.try_wait().expect("ask for the client");
        assert!(ended.is_none(), "the desktop client ended: {ended:?}");
        client.data.join("drafts").exists().then_some(())
    });
}

impl Drop for OpenClient {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn say(step: u32, text: &str) {
    println!("\n{step}. {text}");
}

fn detail(text: &str) {
    println!("   {text}");
}

fn print_indented(text: &str) {
    for line in text.lines() {
        detail(line);
    }
}
