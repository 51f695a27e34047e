//! Memory of agent and server: resident, and the highest that it was.

use std::process::{Command, Stdio};

use harness::processes::{Branch, Central, sandbox, wait_for};

use crate::baseline::IDLE;
use crate::draining::settings;
use crate::report::{Report, mib, verdict};
use crate::tickets::fill;

const BACKLOG: u64 = 1_000_000;

pub async fn measure(report: &mut Report) {
    let bare = bare_process();
    let sandbox = sandbox();
    let mut central = Central::init(sandbox.path());
    let mut branch = Branch::join(sandbox.path(), &central, "LYN", central.address);
    central.start();
    branch.start();
    branch.file("The first").await;
    branch.wait_drained().await;
    row(
        report,
        "memory, agent idle",
        highest(branch.pid(), "VmRSS"),
        bare,
        20.0,
    );
    branch.stop();

    eprintln!("memory: filling a journal with {BACKLOG} tickets");
    fill(settings(&branch.data()), 0..BACKLOG).await;
    let size = std::fs::metadata(branch.journal()).map_or(0, |facts| facts.len());
    eprintln!("memory: draining a journal of {:.0} MiB", mib(size));
    branch.start();
    drained(&branch).await;
    row(
        report,
        "memory, agent draining 1,000,000",
        highest(branch.pid(), "VmHWM"),
        bare,
        64.0,
    );
    row(
        report,
        "memory, server meanwhile",
        highest(central.pid(), "VmHWM"),
        bare,
        96.0,
    );
    central.assert_equal(&branch);
}

/// No patience of a test's fits a million tickets.
async fn drained(branch: &Branch) {
    let client = branch.client();
    let mut last = u64::MAX;
    loop {
        let waiting = client.status().await.map_or(last, |status| status.waiting);
        if waiting == 0 {
            return;
        }
        if last.saturating_sub(waiting) > 100_000 || last == u64::MAX {
            eprintln!("  {waiting} waiting");
            last = waiting;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

fn row(report: &mut Report, what: &str, bytes: u64, bare: u64, goal: f64) {
    let own = mib(bytes);
    report.row(
        what,
        format!("{own:.1} MiB"),
        format!(
            "{:.1} MiB bare process with the runtime and one SQLite file",
            mib(bare)
        ),
        verdict(own <= goal, &format!("{own:.1} MiB (goal ≤ {goal} MiB)")),
    );
}

/// This program, idle.
pub fn bare_process() -> u64 {
    let own = std::env::current_exe().expect("own path");
    let mut child = Command::new(own)
        .arg(IDLE)
        .stdout(Stdio::piped())
        .spawn()
        .expect("start a bare process");
    let mut line = String::new();
    let stdout = child.stdout.take().expect("piped");
    std::io::BufRead::read_line(&mut std::io::BufReader::new(stdout), &mut line).expect("read");
    let bytes = wait_for("the bare process", || Some(highest(child.id(), "VmRSS")));
    child.kill().expect("end the bare process");
    child.wait().expect("wait for the bare process");
    bytes
}

/// A field of `/proc/PID/status`, in bytes.
pub fn highest(pid: u32, field: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    status
        .lines()
        .find_map(|line| {
            line.strip_prefix(field)?
                .strip_prefix(':')?
                .trim()
                .strip_suffix(" kB")
        })
        .and_then(|kib| kib.trim().parse::<u64>().ok())
        .map_or(0, |kib| kib * 1024)
}
