//! Filing through the local API: one filer's latency, and sixty-four filers' throughput.

use std::time::{Duration, Instant};

use harness::processes::{Branch, Central, sandbox};

use crate::baseline::append_and_sync;
use crate::report::{Report, at_least, at_most, micros, percentile};
use crate::tickets::Tickets;

/// Filings per block; blocks of filing and of the baseline alternate, so that both see the same disk.
const BLOCK: usize = 200;
const BLOCKS: usize = 10;
/// Filers at once.
const FILERS: usize = 64;
/// Tickets of each.
const EACH: usize = 60;

pub async fn measure(report: &mut Report) {
    eprintln!("filing: central is down; each ticket is answered after its sync");
    let sandbox = sandbox();
    let central = Central::init(sandbox.path());
    let mut branch = Branch::join(sandbox.path(), &central, "LYN", central.address);
    branch.start();
    let client = branch.client();
    let mut tickets = Tickets::new(1);
    let (mut filings, mut bare) = (Vec::new(), Vec::new());
    for _ in 0..BLOCKS {
        for _ in 0..BLOCK {
            let ticket = tickets.ask();
            let started = Instant::now();
            client.file_ticket(&ticket).await.expect("file");
            filings.push(started.elapsed());
        }
        bare.extend(append_and_sync(sandbox.path(), BLOCK));
    }
    for (name, permille) in [("p50", 500), ("p99", 990)] {
        let (own, base) = (
            percentile(&mut filings, permille),
            percentile(&mut bare, permille),
        );
        report.row(
            &format!("filing, one filer, {name}"),
            micros(own),
            format!("{} bare 4 KiB append + fdatasync", micros(base)),
            at_most(own.as_secs_f64() / base.as_secs_f64(), 2.0),
        );
    }
    let together = at_once(&branch).await;
    let bare: Duration = append_and_sync(sandbox.path(), FILERS * EACH / 4)
        .iter()
        .sum();
    #[allow(clippy::cast_precision_loss)]
    let alone = (FILERS * EACH / 4) as f64 / bare.as_secs_f64();
    report.row(
        "filing, 64 at once",
        format!("{together:.0} tickets/s"),
        format!("{alone:.0}/s at one bare sync each"),
        at_least(together / alone, 8.0, "×"),
    );
}

/// Tickets per second of many filers.
async fn at_once(branch: &Branch) -> f64 {
    let started = Instant::now();
    let mut filers = tokio::task::JoinSet::new();
    for filer in 0..FILERS {
        let client = branch.client();
        filers.spawn(async move {
            let mut tickets = Tickets::new(filer as u64);
            for _ in 0..EACH {
                client.file_ticket(&tickets.ask()).await.expect("file");
            }
        });
    }
    while filers.join_next().await.is_some() {}
    #[allow(clippy::cast_precision_loss)]
    let count = (FILERS * EACH) as f64;
    count / started.elapsed().as_secs_f64()
}
