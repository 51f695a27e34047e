//! Bytes on the wire per ticket, HTTP and TCP payload of both directions, counted by a proxy.

use harness::chaos::{Chaos, ChaosProxy};
use harness::processes::{Branch, Central, sandbox};

use crate::draining::settings;
use crate::report::Report;
use crate::tickets::{Tickets, fill};

const BACKLOG: u64 = 2_000;
const SINGLES: u64 = 20;

pub async fn measure(report: &mut Report) {
    let sandbox = sandbox();
    let mut central = Central::init(sandbox.path());
    central.start();
    let proxy = ChaosProxy::start(central.address, 0, Chaos::NONE).expect("start the proxy");
    let mut branch = Branch::join(sandbox.path(), &central, "LYN", proxy.addr());
    branch.start();
    branch.file("warm up").await;
    branch.wait_drained().await;

    let mut tickets = Tickets::new(3);
    let before = proxy.stats();
    let mut plain = 0;
    for _ in 0..SINGLES {
        let ticket = tickets.ask();
        plain += serde_json::to_vec(&ticket).expect("encode").len() as u64;
        branch.client().file_ticket(&ticket).await.expect("file");
        branch.wait_drained().await;
    }
    let after = proxy.stats();
    report.row(
        "bytes per ticket, one at a time",
        format!(
            "{} up, {} down",
            (after.bytes_up - before.bytes_up) / SINGLES,
            (after.bytes_down - before.bytes_down) / SINGLES
        ),
        format!("{} of the ticket as plain JSON", plain / SINGLES),
        "stated".to_owned(),
    );
    branch.stop();
    fill(settings(&branch.data()), 0..BACKLOG).await;
    let before = proxy.stats();
    branch.start();
    branch.wait_drained().await;
    let after = proxy.stats();
    report.row(
        "bytes per ticket, backlog of 2,000",
        format!(
            "{} up, {} down",
            (after.bytes_up - before.bytes_up) / BACKLOG,
            (after.bytes_down - before.bytes_down) / BACKLOG
        ),
        format!("{} of the ticket as plain JSON", plain / SINGLES),
        "stated".to_owned(),
    );
}
