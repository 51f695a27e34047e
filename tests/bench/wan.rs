//! Wide-area links, emulated between two network namespaces with the kernel's own TCP: many small files
//! against one large one, and tickets beside an upload. Skipped with a note where not root.

use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use harness::processes::{Branch, Central, sandbox, wait_for};
use harness::samples::incompressible;

use crate::linkemu::ARGUMENT;
use crate::report::{Report, at_most, percentile};

/// The ends of the link. Addresses of the loopback range, which no machine's network uses for anything else.
pub const BRANCH: (&str, &str) = ("wan-branch", "127.77.0.1");
pub const CENTRAL: (&str, &str) = ("wan-hq", "127.77.0.2");
/// Small files, and bytes of each; and the large one of the same size.
const SMALL_FILES: u64 = 2_000;
const SMALL_BYTES: u64 = 20_000;
const LARGE_BYTES: u64 = SMALL_FILES * SMALL_BYTES;
/// Files attached by one command.
const AT_ONCE: usize = 50;
/// Cold starts that are timed, and the round trip that they are counted in.
const COLD_STARTS: usize = 5;
const ROUND_TRIP: Duration = Duration::from_millis(300);
/// Tickets whose way to central is timed.
const TICKETS: usize = 200;

/// The emulated link, which ends with this handle.
pub struct Wan {
    emulator: Child,
    socket: PathBuf,
}

impl Drop for Wan {
    fn drop(&mut self) {
        let _ = self.emulator.kill();
        let _ = self.emulator.wait();
        for (name, _) in [BRANCH, CENTRAL] {
            let _ = Command::new("ip").args(["netns", "del", name]).status();
        }
    }
}

impl Wan {
    pub fn start(folder: &Path, link: &str) -> Self {
        let socket = folder.join("linkemu.sock");
        let emulator = Command::new(std::env::current_exe().expect("a program knows its path"))
            .args([ARGUMENT, "run", "--name", "wan-", "--sock"])
            .arg(&socket)
            .args(["--both", link])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("start the emulator");
        let wan = Self { emulator, socket };
        wait_for("the emulated link", || {
            let both = [BRANCH.0, CENTRAL.0];
            both.iter()
                .all(|name| is_well(&["ip", "-n", name, "link", "show", "up", "dev", "lnk0"]))
                .then_some(())
        });
        wait_for("the emulator", || wan.socket.exists().then_some(()));
        for ((name, own), (_, other)) in [(BRANCH, CENTRAL), (CENTRAL, BRANCH)] {
            for scope in ["all", "lnk0"] {
                let setting = format!("net.ipv4.conf.{scope}.route_localnet=1");
                run(&["ip", "netns", "exec", name, "sysctl", "-qw", &setting]);
                let setting = format!("net.ipv4.conf.{scope}.rp_filter=0");
                run(&["ip", "netns", "exec", name, "sysctl", "-qw", &setting]);
            }
            run(&["ip", "-n", name, "addr", "del", "127.0.0.1/8", "dev", "lo"]);
            run(&["ip", "-n", name, "addr", "add", "127.0.0.1/32", "dev", "lo"]);
            run(&[
                "ip", "-n", name, "addr", "add", own, "peer", other, "dev", "lnk0",
            ]);
            // As a Windows PC of a branch would.
            run(&[
                "ip", "-n", name, "route", "replace", other, "dev", "lnk0", "src", own, "congctl",
                "cubic",
            ]);
        }
        wan
    }

    fn set(&self, words: &[&str]) {
        let done = Command::new(std::env::current_exe().expect("a program knows its path"))
            .args([ARGUMENT, "ctl"])
            .arg(&self.socket)
            .args(words)
            .stdout(Stdio::null())
            .status();
        assert!(done.expect("tell the emulator").success(), "{words:?}");
    }
}

fn is_well(words: &[&str]) -> bool {
    let output = Command::new(words[0]).args(&words[1..]).output();
    output.is_ok_and(|output| output.status.success() && !output.stdout.is_empty())
}

fn run(words: &[&str]) {
    let status = Command::new(words[0]).args(&words[1..]).status();
    assert!(status.expect("run a command").success(), "{words:?}");
}

/// Processes that `start` begins live in this namespace.
pub fn within<T>(namespace: &str, start: impl FnOnce() -> T) -> T {
    let own = std::fs::File::open("/proc/thread-self/ns/net").expect("open the own namespace");
    let other = std::fs::File::open(format!("/run/netns/{namespace}")).expect("open a namespace");
    // SAFETY: only this thread changes its namespace, and changes back before it does anything else.
    let changed = unsafe { libc::setns(other.as_raw_fd(), libc::CLONE_NEWNET) };
    assert_eq!(changed, 0, "enter {namespace}");
    let started = start();
    // SAFETY: as above.
    let back = unsafe { libc::setns(own.as_raw_fd(), libc::CLONE_NEWNET) };
    assert_eq!(back, 0, "leave {namespace}");
    started
}

pub fn can_emulate() -> bool {
    // SAFETY: reads a number.
    let is_root = unsafe { libc::geteuid() } == 0;
    is_root && Path::new("/dev/net/tun").exists()
}

pub async fn measure(report: &mut Report) {
    if !can_emulate() {
        let skipped = "skipped: needs root and /dev/net/tun".to_owned();
        report.row("wide-area links", skipped, String::new(), String::new());
        return;
    }
    small_against_large(report).await;
    tickets_beside_an_upload(report).await;
}

pub fn join(sandbox: &Path) -> (Central, Branch) {
    let address: SocketAddr = format!("{}:18470", CENTRAL.1).parse().expect("an address");
    let mut central = Central::init_at(sandbox, address);
    within(CENTRAL.0, || central.start());
    let branch = within(CENTRAL.0, || {
        Branch::join(sandbox, &central, "LYN", address)
    });
    (central, branch)
}

/// From an agent's start to its first acknowledged ticket, on a link where round trips are all that
/// counts.
pub async fn cold_start(report: &mut Report) {
    let what = "cold start to the first acknowledged ticket at 300 ms";
    if !can_emulate() {
        let skipped = "skipped: needs root and /dev/net/tun".to_owned();
        report.row(what, skipped, String::new(), String::new());
        return;
    }
    eprintln!("identity: an agent starts with a ticket waiting, {COLD_STARTS} times");
    let sandbox = sandbox();
    let _wan = Wan::start(sandbox.path(), "rtt=300ms");
    let (central, mut branch) = join(sandbox.path());
    let mut times = Vec::new();
    for index in 0..COLD_STARTS {
        // Filed where central cannot be reached.
        branch.start();
        branch.file(&format!("Ticket {index}")).await;
        branch.kill();
        within(BRANCH.0, || branch.start());
        let started = Instant::now();
        while branch.status().await.waiting > 0 {
            assert!(
                started.elapsed() < Duration::from_secs(60),
                "{}",
                branch.log()
            );
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        times.push(started.elapsed());
        branch.kill();
    }
    drop(central);
    let median = percentile(&mut times, 500);
    let trips = median.as_secs_f64() / ROUND_TRIP.as_secs_f64();
    report.row(
        what,
        format!("{:.2} s, {trips:.1} round trips", median.as_secs_f64()),
        "3 at least: TCP, TLS 1.3, and the request".to_owned(),
        at_most(trips, 4.0),
    );
}

async fn small_against_large(report: &mut Report) {
    eprintln!(
        "wan: {SMALL_FILES} files of {SMALL_BYTES} bytes at 300 ms, and one of the same size"
    );
    let large = time_to_carry(1, LARGE_BYTES).await;
    let small = time_to_carry(SMALL_FILES, SMALL_BYTES).await;
    report.row(
        "2,000 files of 20 KB at 20 Mbit/s, 300 ms",
        format!("{:.1} s", small.as_secs_f64()),
        format!("{:.1} s one file of 40 MB", large.as_secs_f64()),
        at_most(small.as_secs_f64() / large.as_secs_f64(), 1.5),
    );
}

/// Saved while the link is down; timed from an agent's start with the link up until central has all.
async fn time_to_carry(count: u64, bytes: u64) -> Duration {
    let sandbox = sandbox();
    let wan = Wan::start(sandbox.path(), "rate=20mbit,rtt=300ms");
    let (_central, mut branch) = join(sandbox.path());
    within(BRANCH.0, || branch.start());
    let number = branch.file("Files").await.number.to_string();
    branch.wait_drained().await;
    wan.set(&["down"]);
    let paths: Vec<PathBuf> = (0..count)
        .map(|index| {
            let path = sandbox.path().join(format!("file-{index}"));
            incompressible(&path, bytes, index);
            path
        })
        .collect();
    for some in paths.chunks(AT_ONCE) {
        let mut words = vec!["ticket", "attach", number.as_str()];
        words.extend(some.iter().map(|path| path.to_str().expect("a plain path")));
        harness::processes::succeeded(&branch.cli(&words));
    }
    branch.stop();
    wan.set(&["up"]);
    let started = Instant::now();
    within(BRANCH.0, || branch.start());
    while branch.status().await.files.waiting > 0 {
        assert!(
            started.elapsed() < Duration::from_secs(600),
            "{}",
            branch.log()
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    started.elapsed()
}

async fn tickets_beside_an_upload(report: &mut Report) {
    eprintln!("wan: tickets beside an upload at 10 Mbit/s, 50 ms");
    let sandbox = sandbox();
    let _wan = Wan::start(sandbox.path(), "rate=10mbit,rtt=50ms");
    let (_central, mut branch) = join(sandbox.path());
    within(BRANCH.0, || branch.start());
    let number = branch.file("Files").await.number.to_string();
    branch.wait_drained().await;
    let mut idle = sync_times(&branch).await;
    let path = sandbox.path().join("large");
    incompressible(&path, 200_000_000, 1);
    branch.attach(&number, &path);
    let mut before = 0;
    while before < SMALL_BYTES * 10 {
        before = branch.status().await.files.sending.sent_bytes;
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let begun = Instant::now();
    let mut busy = sync_times(&branch).await;
    let sending = branch.status().await.files.sending.sent_bytes - before;
    #[allow(clippy::cast_precision_loss)]
    let rate = sending as f64 * 8.0 / 1e6 / begun.elapsed().as_secs_f64();
    let (idle, busy) = (percentile(&mut idle, 990), percentile(&mut busy, 990));
    report.row(
        "ticket sync p99 during upload, 10 Mbit/s, 50 ms",
        format!(
            "{:.0} ms, files at {rate:.1} Mbit/s",
            busy.as_secs_f64() * 1e3
        ),
        format!("{:.0} ms idle", idle.as_secs_f64() * 1e3),
        at_most(busy.as_secs_f64() / idle.as_secs_f64(), 2.0),
    );
}

/// How long each of some tickets takes from being filed to being acknowledged.
async fn sync_times(branch: &Branch) -> Vec<Duration> {
    let client = branch.client();
    let mut times = Vec::new();
    for index in 0..TICKETS {
        let started = Instant::now();
        branch.file(&format!("Ticket {index}")).await;
        while client.status().await.expect("ask for the status").waiting > 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        times.push(started.elapsed());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    times
}
