//! Draining a backlog over loopback, durable on both sides.

use std::path::Path;
use std::time::Instant;

use branchline_agent::store::{ChunkBounds, StoreSettings};
use branchline_protocol::id::BranchCode;
use harness::processes::{Branch, Central, sandbox};

use crate::baseline::bare_inserts;
use crate::report::{Report, at_least};
use crate::tickets::fill;

const TICKETS: u32 = 100_000;

pub async fn measure(report: &mut Report) {
    eprintln!("draining: {TICKETS} tickets of 1 KiB");
    let sandbox = sandbox();
    let mut central = Central::init(sandbox.path());
    let mut branch = Branch::join(sandbox.path(), &central, "LYN", central.address);
    fill(settings(&branch.data()), 0..u64::from(TICKETS)).await;
    central.start();
    let before = bare_inserts(sandbox.path(), TICKETS);
    let started = Instant::now();
    branch.start();
    branch.wait_drained().await;
    let rate = f64::from(TICKETS) / started.elapsed().as_secs_f64();
    let (agent, server) = (cpu_seconds(branch.pid()), cpu_seconds(central.pid()));
    central.assert_equal(&branch);
    report.row(
        "processor time of that drain",
        format!("agent {agent:.2} s, server {server:.2} s"),
        format!("{:.2} s from start to end", f64::from(TICKETS) / rate),
        "says what limits it: one submission is in flight at a time, so the two take turns"
            .to_owned(),
    );
    report.row(
        "draining 100,000 tickets",
        format!("{rate:.0} tickets/s"),
        format!("{before:.0}/s bare SQLite inserts, one process"),
        at_least(rate, 15_000.0, "tickets/s"),
    );
}

/// The settings of a branch's store.
pub fn settings(data: &Path) -> StoreSettings {
    StoreSettings {
        folder: data.to_owned(),
        limit_bytes: 64 << 30,
        branch: "LYN".parse::<BranchCode>().expect("a branch code"),
        ordinal: 1,
        agent: None,
        chunks: ChunkBounds::default(),
    }
}

/// User and system time of a process so far.
fn cpu_seconds(pid: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The name in parentheses may hold spaces; the fields behind it do not.
    let fields = stat.rsplit(')').next().unwrap_or_default();
    let ticks: u32 = fields
        .split_whitespace()
        .skip(11)
        .take(2)
        .filter_map(|t| t.parse::<u32>().ok())
        .sum();
    // SAFETY: sysconf only reads.
    let per_second = unsafe { libc::sysconf(libc::_SC_CLK_TCK) };
    #[allow(clippy::cast_precision_loss)]
    let per_second = per_second as f64;
    f64::from(ticks) / per_second
}
