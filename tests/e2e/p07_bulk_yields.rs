//! P7, bulk yields: while a file is taken in and while it is sent, tickets are filed and acknowledged all
//! the time. What is waited for is that they arrive, and what is measured is what lies before them on the
//! line, in bytes: not how fast anything is.

use std::io::Write;
use std::process::Stdio;

use harness::middlebox::Middlebox;
use harness::narrow::NarrowLine;
use harness::processes::{Branch, Central, sandbox, wait_for};
use harness::samples::incompressible;

const TICKETS: usize = 200;
/// Filed one after another, and then seen to be acknowledged.
const AT_ONCE: usize = 10;

async fn file_and_see_acknowledged(branch: &Branch) {
    for round in 0..TICKETS / AT_ONCE {
        for ticket in 0..AT_ONCE {
            branch.file(&format!("Ticket {ticket} of {round}")).await;
        }
        branch.wait_drained().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tickets_are_filed_and_acknowledged_while_a_file_is_sent() {
    let sandbox = sandbox();
    let mut central = Central::init(sandbox.path());
    central.start();
    for buffers in [false, true] {
        let middlebox = if buffers {
            Middlebox::buffering(&central).await
        } else {
            Middlebox::start(&central).await
        };
        // Some ten minutes for the file, if nobody lets it go.
        middlebox.set_rate(Some(100_000));
        let code = if buffers { "NCE" } else { "LYN" };
        let mut branch = Branch::join(sandbox.path(), &central, code, middlebox.address());
        branch.start();
        let number = branch.file("With a large file").await.number.to_string();
        let name = format!("{code}.bin");
        let path = sandbox.path().join(&name);
        // Other bytes each time: central would want none of what it holds.
        incompressible(&path, 60_000_000, 7 + u64::from(buffers));
        branch.attach(&number, &path);
        central.wait_file(&name, &["waiting"]);
        wait_for("the upload to begin", || {
            middlebox
                .carried()
                .iter()
                .any(|body| body.bytes > 0)
                .then_some(())
        });
        file_and_see_acknowledged(&branch).await;
        let file = central.file(&name).expect("it is known");
        assert_eq!(file["state"], "waiting", "the tickets came behind the file");
        middlebox.set_rate(None);
        central.wait_file(&name, &["held"]);
        central.assert_equal(&branch);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tickets_find_a_short_queue_while_a_file_is_sent() {
    const QUEUE_BYTES: u64 = 512 * 1024;
    let sandbox = sandbox();
    let mut central = Central::init(sandbox.path());
    central.start();
    let line = NarrowLine::start(&central, 200_000, QUEUE_BYTES as usize).await;
    let mut branch = Branch::join(sandbox.path(), &central, "LYN", line.address());
    branch.start();
    let number = branch.file("With a large file").await.number.to_string();
    branch.wait_drained().await;
    let path = sandbox.path().join("large.bin");
    incompressible(&path, 60_000_000, 9);
    branch.attach(&number, &path);
    // Twice the queue: long enough for it to fill.
    wait_for("the file to be under way", || {
        (line.carried() > 2 * QUEUE_BYTES).then_some(())
    });
    line.take_before_submissions();
    for ticket in 0..40 {
        branch.file(&format!("Ticket {ticket}")).await;
        branch.wait_drained().await;
    }
    let mut before = line.take_before_submissions();
    before.sort_unstable();
    println!("bytes before each submission: {before:?}");
    let file = central.file("large.bin").expect("it is known");
    assert_eq!(file["state"], "waiting", "the tickets came behind the file");
    // Half a second of the line would be a hundred thousand.
    let median = before[before.len() / 2];
    assert!(median < 50_000, "{median} bytes lay before a submission");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tickets_are_filed_and_acknowledged_while_a_file_is_taken_in() {
    let sandbox = sandbox();
    let mut central = Central::init(sandbox.path());
    central.start();
    let mut branch = Branch::join(sandbox.path(), &central, "LYN", central.address);
    branch.start();
    let number = branch.file("With a large file").await.number.to_string();
    let path = sandbox.path().join("large.bin");
    incompressible(&path, 60_000_000, 8);
    let content = std::fs::read(&path).expect("read the file");
    let mut attaching = branch
        .agent_command(&["ticket", "attach", &number, "-", "--name", "large.bin"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .expect("start attaching");
    let mut input = attaching.stdin.take().expect("stdin is piped");
    let (first, rest) = content.split_at(content.len() / 2);
    input.write_all(first).expect("the agent reads");
    // In the middle of it for as long as the tickets take.
    file_and_see_acknowledged(&branch).await;
    assert!(central.file("large.bin").is_none(), "it is not whole yet");
    input.write_all(rest).expect("the agent reads on");
    drop(input);
    assert!(attaching.wait().expect("wait").success());
    central.wait_file("large.bin", &["held"]);
    super::p04_kills::assert_quarantined(&central, &path);
}
