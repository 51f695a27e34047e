//! The bulk lane on real processes: whatever the way does to it, files arrive right, small ones first, at
//! the rate that IT allows.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use branchline_agent_api::{FileSummary, Upload};
use harness::chaos::{Chaos, ChaosProxy, Fault};
use harness::middlebox::Middlebox;
use harness::processes::{Branch, Central, FILE_PATIENCE, sandbox, wait_for, wait_within};
use harness::samples::{incompressible, log_lines, root_of};
use tempfile::TempDir;

const MB: u64 = 1_000_000;

struct World {
    sandbox: TempDir,
    central: Central,
}

impl World {
    fn start() -> Self {
        let sandbox = sandbox();
        let mut central = Central::init(sandbox.path());
        central.start();
        Self { sandbox, central }
    }

    fn branch(&self, server: std::net::SocketAddr) -> Branch {
        Branch::join(self.sandbox.path(), &self.central, "LYN", server)
    }

    fn sample(&self, name: &str, bytes: u64) -> PathBuf {
        let path = self.sandbox.path().join(name);
        incompressible(&path, bytes, bytes);
        path
    }
}

async fn files(branch: &Branch) -> Vec<FileSummary> {
    let list = branch.client().files(None, 200).await;
    list.expect("list the files").files
}

fn is_at_central(file: &FileSummary) -> bool {
    matches!(file.upload, Upload::Sent)
}

/// Waits until central has all files of the branch.
async fn wait_arrived(branch: &Branch) {
    let started = Instant::now();
    while !files(branch).await.iter().all(is_at_central) {
        assert!(started.elapsed() < FILE_PATIENCE, "{}", branch.log());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Waits until central has proven the file, and compares its copy with what was attached (P4).
fn assert_right(central: &Central, path: &Path) {
    let root = root_of(path);
    let copy = central
        .vault()
        .join("quarantine")
        .join(&root[..2])
        .join(&root);
    wait_within(FILE_PATIENCE, "central's copy", || {
        copy.exists().then_some(())
    });
    assert_eq!(root_of(&copy), root);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_arrives_right_over_a_line_that_cuts_bends_and_repeats() {
    let seed = fastrand::u64(..);
    let world = World::start();
    let chaos = Chaos {
        flip_byte: 60,
        cut_within: 2 * 1024 * 1024,
        ..Chaos::rough()
    };
    let proxy = ChaosProxy::inside(&world.central, seed, chaos).expect("start the proxy");
    let mut branch = world.branch(proxy.addr());
    branch.start();
    let number = branch.file("Over a bad line").await.number.to_string();
    let paths = [
        world.sample("large.bin", 60 * MB),
        world.sample("small.bin", 3_000),
    ];
    for path in &paths {
        branch.attach(&number, path);
    }
    let log = world.sandbox.path().join("till.log");
    log_lines(&log, 5 * MB, 1);
    branch.attach(&number, &log);
    wait_arrived(&branch).await;
    for path in paths.iter().chain([&log]) {
        assert_right(&world.central, path);
    }
    let stats = proxy.stats();
    println!("{stats:?}");
    assert!(stats.faults_of(Fault::CutRequest) + stats.faults_of(Fault::FlipByte) > 0);
    proxy.set(Chaos::NONE);
    world.central.assert_equal(&branch);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proxy_that_buffers_whole_bodies_changes_nothing() {
    let world = World::start();
    let middlebox = Middlebox::buffering(&world.central).await;
    // Each body takes longest from there, when the agent has long got rid of it.
    middlebox.set_rate(Some(3_000_000));
    let mut branch = world.branch(middlebox.address());
    branch.start();
    let number = branch.file("Behind a proxy").await.number.to_string();
    let path = world.sample("buffered.bin", 20 * MB);
    branch.attach(&number, &path);
    wait_arrived(&branch).await;
    assert_right(&world.central, &path);
    let carried = middlebox.carried();
    let sent: u64 = carried.iter().map(|body| body.bytes).sum();
    assert!(
        sent < 21 * MB,
        "{sent} bytes: bodies were given up and sent again"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn small_files_overtake_a_large_one_which_goes_on() {
    let world = World::start();
    let middlebox = Middlebox::start(&world.central).await;
    middlebox.set_rate(Some(1_000_000));
    let mut branch = world.branch(middlebox.address());
    branch.start();
    let number = branch.file("Many files").await.number.to_string();
    let large = world.sample("large.bin", 80 * MB);
    branch.attach(&number, &large);
    wait_for("the large file to be under way", || {
        middlebox
            .carried()
            .iter()
            .any(|body| body.answered == Some(200))
            .then_some(())
    });
    for index in 0..60 {
        let path = world.sample(&format!("small-{index}"), 5_000 + index);
        branch.attach(&number, &path);
    }
    let started = Instant::now();
    loop {
        let files = files(&branch).await;
        let large = files
            .iter()
            .find(|file| file.name == "large.bin")
            .expect("it is listed");
        assert!(!is_at_central(large), "the small ones came behind it");
        if files.iter().filter(|file| is_at_central(file)).count() == 60 {
            break;
        }
        assert!(started.elapsed() < FILE_PATIENCE, "{}", branch.log());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    middlebox.set_rate(None);
    wait_arrived(&branch).await;
    assert_right(&world.central, &large);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_rate_is_kept_and_changed_live_and_a_faulty_one_changes_nothing() {
    let world = World::start();
    let middlebox = Middlebox::start(&world.central).await;
    let mut branch = world.branch(middlebox.address());
    let set = |bulk: &str| branch.configure(middlebox.address(), &format!("[bulk]\n{bulk}"));
    set("timetable = [\"00:00-24:00 2 Mbit/s\"]");
    let carried = || {
        middlebox
            .carried()
            .iter()
            .map(|body| body.bytes)
            .sum::<u64>()
    };
    // How long so many bytes more take, and how many they were.
    let time_for = |bytes: u64| {
        let (begun, before) = (Instant::now(), carried());
        let after = wait_within(FILE_PATIENCE, "bytes to be carried", || {
            Some(carried()).filter(|now| *now >= before + bytes)
        });
        (begun.elapsed().as_secs_f64(), after - before)
    };
    set("timetable = [\"00:00-24:00 2 Mbit/s\"]");
    let folder = branch.folder().to_owned();
    branch.start();
    let number = branch.file("At a rate").await.number.to_string();
    branch.attach(&number, &world.sample("paced.bin", 40 * MB));
    wait_for("the upload to begin", || (carried() > 0).then_some(()));
    // A machine that is busy makes it slower, and nothing faster.
    let (seconds, bytes) = time_for(MB);
    #[allow(clippy::cast_precision_loss)]
    let rate = bytes as f64 / seconds;
    assert!(rate <= 250_000.0 * 1.05, "{rate} bytes/s");

    let configure = |bulk: &str| {
        let text = std::fs::read_to_string(folder.join("agent.toml")).expect("read");
        let head = text.split("[bulk]").next().expect("a head");
        std::fs::write(folder.join("agent.toml"), format!("{head}[bulk]\n{bulk}\n"))
            .expect("write");
    };
    configure("rate = \"as fast as you can\"");
    wait_for("the fault to be said", || {
        branch.log().contains("as fast as you can").then_some(())
    });
    let sending = branch.status().await.files.sending;
    assert_eq!(sending.limit, Some(250_000));
    assert!(
        sending
            .settings_fault
            .is_some_and(|fault| fault.contains("as fast as you can"))
    );
    let (seconds, bytes) = time_for(MB / 2);
    #[allow(clippy::cast_precision_loss)]
    let rate = bytes as f64 / seconds;
    assert!(rate <= 250_000.0 * 1.05, "{rate} bytes/s");

    // At the old rate the rest would take as long as nobody waits for.
    configure("rate = \"unlimited\"");
    wait_arrived(&branch).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_in_the_middle_costs_what_was_on_its_way() {
    let world = World::start();
    let middlebox = Middlebox::start(&world.central).await;
    middlebox.set_rate(Some(4_000_000));
    let proxy = ChaosProxy::start(middlebox.address(), 1, Chaos::NONE).expect("start the proxy");
    let mut branch = world.branch(proxy.addr());
    branch.start();
    let number = branch.file("Through an outage").await.number.to_string();
    let path = world.sample("outage.bin", 30 * MB);
    branch.attach(&number, &path);
    let carried = || {
        middlebox
            .carried()
            .iter()
            .map(|body| body.bytes)
            .sum::<u64>()
    };
    for outage in 1..=3 {
        let before = outage * 6 * MB;
        wait_within(FILE_PATIENCE, "some of the file", || {
            (carried() > before).then_some(())
        });
        proxy.down().await.expect("cut the line");
        branch.file("Filed in an outage").await;
        proxy.up().await.expect("mend the line");
    }
    wait_arrived(&branch).await;
    assert_right(&world.central, &path);
    // Two bodies were on their way at most times; none is larger than what goes in a few seconds.
    let sent = carried();
    assert!(sent < 30 * MB + 3 * 16 * MB, "{sent} bytes");
    world.central.assert_equal(&branch);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_central_holds_is_not_sent_again() {
    let world = World::start();
    let middlebox = Middlebox::start(&world.central).await;
    let mut branch = world.branch(middlebox.address());
    branch.start();
    let number = branch.file("The same twice").await.number.to_string();
    let path = world.sample("first.bin", 10 * MB);
    branch.attach(&number, &path);
    wait_arrived(&branch).await;
    let again = world.sandbox.path().join("second.bin");
    std::fs::copy(&path, &again).expect("copy");
    branch.attach(&number, &again);
    wait_arrived(&branch).await;
    let sent: u64 = middlebox.carried().iter().map(|body| body.bytes).sum();
    assert!(sent < 10 * MB + MB / 2, "{sent} bytes");
}
