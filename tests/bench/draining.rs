//! Draining a backlog over loopback, durable on both sides.

use std::path::Path;
use std::time::Instant;

use branchline_agent::store::StoreSettings;
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
    fill(settings(&branch.data()), u64::from(TICKETS)).await;
    central.start();
    let before = bare_inserts(sandbox.path(), TICKETS);
    let started = Instant::now();
    branch.start();
    branch.wait_drained().await;
    let rate = f64::from(TICKETS) / started.elapsed().as_secs_f64();
    central.assert_equal(&branch);
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
    }
}
