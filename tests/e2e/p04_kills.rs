//! P4 and P2 for files: agent and central are killed again and again in the middle of an upload, and
//! requests that were given up wake late. The file arrives right, and what is sent twice is what was on
//! its way when somebody was killed.

use std::collections::HashMap;
use std::path::Path;

use branchline_protocol::frame::HEADER_BYTES;
use branchline_protocol::limits::CHUNK_BODIES_IN_FLIGHT;
use branchline_protocol::manifest::ChunkRef;
use harness::middlebox::{Carried, Middlebox, Plan};
use harness::processes::{Branch, Central, FILE_PATIENCE, sandbox, wait_within};
use harness::samples::{incompressible, root_of};

const MB: u64 = 1_000_000;
const FILE_BYTES: u64 = 200 * MB;
const KILLS: usize = 50;
/// So that kills fall into the upload and not behind it.
const BYTES_PER_SECOND: u64 = 30 * MB;

/// Central's copy of a file that nobody has released is what was attached.
pub(crate) fn assert_quarantined(central: &Central, path: &Path) {
    let root = root_of(path);
    let copy = central
        .vault()
        .join("quarantine")
        .join(&root[..2])
        .join(&root);
    assert_eq!(root_of(&copy), root, "{}", copy.display());
}

fn bytes_of(carried: &[Carried]) -> u64 {
    carried.iter().map(|body| body.bytes).sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_kills_during_an_upload_cost_what_was_on_its_way_and_nothing_else() {
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let sandbox = sandbox();
    let mut central = Central::init(sandbox.path());
    central.start();
    let middlebox = Middlebox::start(&central).await;
    let mut branch = Branch::join(sandbox.path(), &central, "LYN", middlebox.address());
    branch.start();
    let number = branch.file("A large file").await.number.to_string();
    branch.wait_drained().await;

    let path = sandbox.path().join("large.bin");
    incompressible(&path, FILE_BYTES, seed);
    middlebox.set_rate(Some(BYTES_PER_SECOND));
    branch.attach(&number, &path);
    // Four fifths of the file in as many steps as there are kills, so that it is under way at each.
    let step = FILE_BYTES * 8 / 10 / KILLS as u64;
    let mut next = 0;
    let mut agents = 0;
    for kill in 0..KILLS {
        next += random.u64(0..=2 * step).min(step * (kill as u64 + 1));
        let what = format!("{next} bytes to be carried before kill {kill}");
        wait_within(FILE_PATIENCE, &what, || {
            (bytes_of(&middlebox.carried()) >= next).then_some(())
        });
        next = next.max(bytes_of(&middlebox.carried()));
        if random.bool() {
            agents += 1;
            branch.kill();
            branch.start();
        } else {
            central.kill();
            central.start();
        }
    }
    let waiting = central.file("large.bin").map(|file| file["state"].clone());
    assert_eq!(waiting, Some("waiting".into()), "killed behind the upload");
    middlebox.set_rate(None);
    central.wait_file("large.bin", &["held"]);
    assert_quarantined(&central, &path);
    central.assert_equal(&branch);

    let carried = middlebox.carried();
    assert_nothing_acknowledged_was_sent_again(&carried);
    let (answered, lost): (Vec<Carried>, Vec<Carried>) = carried
        .into_iter()
        .partition(|body| body.answered == Some(200));
    let frames: usize = answered.iter().map(|body| body.chunks.len()).sum();
    let own = FILE_BYTES + (frames * HEADER_BYTES + answered.len() * 8) as u64;
    println!(
        "{agents} kills of the agent, {} of central; {} bytes in {} answered bodies, {} in {} lost",
        KILLS - agents,
        bytes_of(&answered),
        answered.len(),
        bytes_of(&lost),
        lost.len(),
    );
    // What was sent twice was on its way at a cut, and no more is on its way than the protocol lets be.
    assert!(
        lost.len() <= KILLS * CHUNK_BODIES_IN_FLIGHT,
        "{} bodies were lost at {KILLS} kills",
        lost.len()
    );
    assert!(
        bytes_of(&answered) <= own,
        "more was acknowledged than the file has: {} of {own}",
        bytes_of(&answered)
    );
}

/// A chunk is sent once, and once more for each body with it that nobody answered.
fn assert_nothing_acknowledged_was_sent_again(carried: &[Carried]) {
    let mut sent: HashMap<ChunkRef, (usize, usize)> = HashMap::new();
    for body in carried {
        for chunk in &body.chunks {
            let (times, lost) = sent.entry(*chunk).or_default();
            *times += 1;
            *lost += usize::from(body.answered != Some(200));
        }
    }
    for (chunk, (times, lost)) in sent {
        assert!(
            times <= lost + 1,
            "{chunk:?} was sent {times} times, {lost} of them lost"
        );
    }
}

/// Requests of an attempt that was given up wake when the file is whole, judged and being read: they
/// find everything done, and change nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_older_attempt_that_wakes_late_overwrites_nothing() {
    let sandbox = sandbox();
    let mut central = Central::init(sandbox.path());
    central.start();
    let middlebox = Middlebox::start(&central).await;
    let mut kept = 0;
    // The first of everything, and some bodies of chunks from the middle.
    middlebox.set_rule(move |heading| {
        let bulk = heading.brings_chunks() || heading.target == "/v1/manifests";
        let keep = bulk && kept < 6 && (kept < 2 || heading.number % 3 == 0);
        kept += usize::from(keep);
        Plan {
            keep,
            ..Plan::default()
        }
    });
    let mut branch = Branch::join(sandbox.path(), &central, "LYN", middlebox.address());
    branch.start();
    let number = branch.file("A file sent twice").await.number.to_string();
    let path = sandbox.path().join("twice.bin");
    incompressible(&path, 20 * MB, 5);
    branch.attach(&number, &path);
    let before = central.wait_file("twice.bin", &["held"]);
    assert!(middlebox.kept() > 1, "nothing was kept back");
    assert_quarantined(&central, &path);

    for (status, body) in middlebox.release().await {
        let body = String::from_utf8_lossy(&body).into_owned();
        assert_eq!(status, 200, "{body}");
        assert!(
            !body.contains("wanted") && !body.contains("corrupt"),
            "{body}"
        );
    }
    assert_quarantined(&central, &path);
    assert_eq!(central.file("twice.bin"), Some(before), "it was touched");
    let incoming = central.vault().join("incoming");
    wait_within(FILE_PATIENCE, "nothing to be left of late requests", || {
        files_below(&incoming).is_empty().then_some(())
    });
    branch.file("Still well").await;
    branch.wait_drained().await;
}

/// Every file in a folder and those below it.
pub(crate) fn files_below(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    let Ok(entries) = std::fs::read_dir(folder) else {
        return found;
    };
    for entry in entries.flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(files_below(&path));
        } else {
            found.push(path);
        }
    }
    found
}
