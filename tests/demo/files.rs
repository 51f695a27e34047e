//! The demo's second half: files over a slow link that is cut in the middle, to a clean verdict at
//! central.

use std::time::{Duration, Instant};

use harness::chaos::{Chaos, ChaosProxy};
use harness::clamd::{Clamd, INFECTED};
use harness::processes::{Branch, Central, succeeded, text};
use tokio::time::sleep;

use crate::pdf::scanned_page;
use crate::{detail, print_indented, say};

/// What the branch's link carries: the page takes several seconds.
const RATE: &str = "6 Mbit/s";

/// Three files: an attached PDF, a log from a drop folder, and one that the scanner knows.
pub async fn show(central: &mut Central, branch: &mut Branch) -> bool {
    let scanner = Clamd::start(central.folder());
    central.stop();
    central.configure(&scanner.server_toml());
    central.start();

    let proxy = ChaosProxy::start(central.address, 0, Chaos::NONE).expect("start the proxy");
    let dropped = branch.folder().join("scans");
    std::fs::create_dir_all(&dropped).expect("make the drop folder");
    branch.stop();
    branch.configure(
        proxy.addr(),
        &format!(
            "[bulk]\nrate = {RATE:?}\n[[drop_folder]]\npath = {dropped:?}\npatterns = [\"*.log\"]\n\
             settle_seconds = 1\n"
        ),
    );
    branch.start();

    say(
        6,
        &format!(
            "{} attaches a scanned page; a till drops its log into a folder. The link: {RATE}.",
            branch.code
        ),
    );
    let number = branch
        .file("Delivery does not match the note")
        .await
        .number
        .to_string();
    let page = branch.folder().join("delivery-note.pdf");
    let content = scanned_page("Delivery note 4711");
    std::fs::write(&page, &content).expect("write the page");
    let log: String = (1..=20_000)
        .map(|line| {
            format!(
                "2026-11-21T09:{:02}:{:02} till-2 receipt {line:06} printed\n",
                line / 60 % 60,
                line % 60
            )
        })
        .collect();
    std::fs::write(dropped.join("till-2.log"), log).expect("drop the log");
    let attach = |path: &std::path::Path| {
        let path = path.to_str().expect("a plain path");
        print_indented(&succeeded(
            &branch.cli(&["ticket", "attach", &number, path]),
        ));
    };
    attach(&page);
    let odd = branch.folder().join("invoice.pdf");
    std::fs::write(&odd, [b"%PDF-1.4 ", INFECTED].concat()).expect("write the odd file");
    attach(&odd);

    say(
        7,
        "The link is cut in the middle of the page, and comes back three seconds later.",
    );
    let half = content.len() as u64 / 2;
    let before = proxy.stats().bytes_up;
    while proxy.stats().bytes_up - before < half {
        sleep(Duration::from_millis(20)).await;
    }
    proxy.down().await.expect("cut the link");
    detail(&format!(
        "cut after {:.1} of {:.1} MB",
        mb(proxy.stats().bytes_up - before),
        mb(content.len() as u64)
    ));
    print_indented(&succeeded(&branch.cli(&["ticket", "show", &number])));
    sleep(Duration::from_secs(3)).await;
    proxy.up().await.expect("restore the link");

    let back = Instant::now();
    let arrived = wait_judged(central).await;
    detail(&format!(
        "all three arrived and were scanned {:.1} s after the link was back; {:.1} MB went over it in all",
        back.elapsed().as_secs_f64(),
        mb(proxy.stats().bytes_up - before)
    ));
    say(
        8,
        "At central: what the scanner said, and what it found nobody can open.",
    );
    print_indented(&text(&central.cli(&["files", "list"]).stdout));
    arrived
}

/// Until no file waits for its bytes or its verdict.
async fn wait_judged(central: &Central) -> bool {
    let given_up = Instant::now() + Duration::from_secs(120);
    while Instant::now() < given_up {
        let files = central.files();
        let count = |state: &str| files.iter().filter(|file| file["state"] == state).count();
        if count("clean") == 2 && count("infected") == 1 {
            return true;
        }
        sleep(Duration::from_millis(200)).await;
    }
    detail("the files did not arrive in two minutes: this must never happen");
    print_indented(&text(&central.cli(&["files", "list"]).stdout));
    false
}

fn mb(bytes: u64) -> f64 {
    #[allow(clippy::cast_precision_loss, reason = "a figure for people")]
    let bytes = bytes as f64;
    bytes / 1e6
}
