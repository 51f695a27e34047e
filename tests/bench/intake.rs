//! Taking files in at the branch: against `cp` and a sync of the same file, in memory, and what filing
//! feels of it.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use harness::processes::{Branch, Central, sandbox, succeeded};

use crate::memory::highest;
use crate::report::{Report, at_least, at_most, mib, percentile, verdict};
use crate::tickets::Tickets;
use harness::samples::incompressible;

const MIB: u64 = 1024 * 1024;
/// Filings that show what is usual.
const IDLE_FILINGS: usize = 2_000;

pub async fn measure(report: &mut Report) {
    let sandbox = sandbox();
    let central = Central::init(sandbox.path());
    let mut branch = Branch::join(sandbox.path(), &central, "LYN", central.address);
    branch.start();
    let number = branch.file("Files").await.number.to_string();

    let file = sandbox.path().join("one");
    incompressible(&file, 1024 * MIB, 1);
    let (mut copies, mut intakes) = (Vec::new(), Vec::new());
    for round in 0..3 {
        copies.push(copy_and_sync(&file, sandbox.path()));
        // Other bytes each time: what is known already would not be taken in again.
        incompressible(&file, 1024 * MIB, 2 + round);
        intakes.push(attach(&branch, &number, &file));
    }
    let (copy, own) = (percentile(&mut copies, 500), percentile(&mut intakes, 500));
    report.row(
        "taking in 1 GiB, durable",
        format!("{:.0} MiB/s", 1024.0 / own.as_secs_f64()),
        format!("{:.0} MiB/s cp and sync", 1024.0 / copy.as_secs_f64()),
        at_least(copy.as_secs_f64() / own.as_secs_f64(), 0.5, "×"),
    );

    filing_meanwhile(report, &branch, &number, &file).await;

    incompressible(&file, 4 * 1024 * MIB, 9);
    attach(&branch, &number, &file);
    let highest = mib(highest(branch.pid(), "VmHWM"));
    report.row(
        "memory, agent taking in 4 GiB",
        format!("{highest:.1} MiB"),
        "4,096 MiB of file".to_owned(),
        verdict(
            highest <= 64.0,
            &format!("{highest:.1} MiB (goal ≤ 64 MiB)"),
        ),
    );
}

async fn filing_meanwhile(report: &mut Report, branch: &Branch, number: &str, file: &Path) {
    let mut tickets = Tickets::new(11);
    let mut idle = Vec::new();
    for _ in 0..IDLE_FILINGS {
        idle.push(file_one(branch, &mut tickets).await);
    }
    incompressible(file, 2 * 1024 * MIB, 8);
    let mut attaching = branch
        .agent_command(&[
            "ticket",
            "attach",
            number,
            file.to_str().expect("a plain path"),
        ])
        .stdout(std::process::Stdio::null())
        .spawn()
        .expect("start attaching");
    let mut busy = Vec::new();
    while attaching.try_wait().expect("wait").is_none() {
        busy.push(file_one(branch, &mut tickets).await);
    }
    let count = busy.len();
    for (name, permille) in [("p50", 500), ("p99", 990)] {
        let (idle, busy) = (
            percentile(&mut idle, permille),
            percentile(&mut busy, permille),
        );
        let ratio = busy.as_secs_f64() / idle.as_secs_f64();
        report.row(
            &format!("filing while 2 GiB are taken in, {name}"),
            format!("{:.2} ms ({count} filings)", busy.as_secs_f64() * 1e3),
            format!("{:.2} ms idle", idle.as_secs_f64() * 1e3),
            if permille == 990 {
                at_most(ratio, 3.0)
            } else {
                format!("{ratio:.2} ×")
            },
        );
    }
}

async fn file_one(branch: &Branch, tickets: &mut Tickets) -> Duration {
    let (client, ticket) = (branch.client(), tickets.ask());
    // The connection is part of no filing.
    client.status().await.expect("status");
    let started = Instant::now();
    client.file_ticket(&ticket).await.expect("file");
    started.elapsed()
}

/// Until the command says that it is saved.
pub fn attach(branch: &Branch, number: &str, file: &Path) -> Duration {
    let started = Instant::now();
    let path = file.to_str().expect("a plain path");
    succeeded(&branch.cli(&["ticket", "attach", number, path]));
    started.elapsed()
}

fn copy_and_sync(file: &Path, folder: &Path) -> Duration {
    let copy = folder.join("copy");
    let started = Instant::now();
    let run = |command: &mut Command| assert!(command.status().expect("run").success());
    run(Command::new("cp").arg(file).arg(&copy));
    run(Command::new("sync").arg(&copy));
    let took = started.elapsed();
    std::fs::remove_file(&copy).expect("remove the copy");
    took
}
