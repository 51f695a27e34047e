//! Carrying files to central over loopback, durable there: against `curl` to a receiver that syncs, and
//! against tus. And what of a grown log is sent again.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use harness::chaos::{Chaos, ChaosProxy};
use harness::processes::{Branch, Central, sandbox};

use crate::intake::attach;
use crate::memory::highest;
use crate::report::{Report, at_least, mib, percentile, verdict};
use harness::samples::{incompressible, log_lines};

const MIB: u64 = 1024 * 1024;
const FILE_MIB: u64 = 512;
const LOG_BYTES: u64 = 100_000_000;

pub async fn measure(report: &mut Report) {
    let sandbox = sandbox();
    let mut central = Central::init(sandbox.path());
    central.start();
    let mut branch = Branch::join(sandbox.path(), &central, "LYN", central.address);
    branch.start();
    let number = branch.file("Files").await.number.to_string();
    branch.wait_drained().await;

    let file = sandbox.path().join("file");
    let (mut own, mut curl, mut tus) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..3 {
        incompressible(&file, FILE_MIB * MIB, 20 + round);
        curl.push(by_curl(&file, sandbox.path()));
        tus.extend(by_tus(&file, sandbox.path()));
        attach(&branch, &number, &file);
        own.push(until_received(&central, round as usize + 1));
    }
    #[allow(clippy::cast_precision_loss)]
    let rate = |times: &mut Vec<Duration>| FILE_MIB as f64 / percentile(times, 500).as_secs_f64();
    let (own, curl) = (rate(&mut own), rate(&mut curl));
    let tus = if tus.is_empty() {
        "no tus beside it: node or npm is missing".to_owned()
    } else {
        format!("{:.0} MiB/s tus, not synced", rate(&mut tus))
    };
    report.row(
        "upload over loopback, durable at central",
        format!("{own:.0} MiB/s"),
        format!("{curl:.0} MiB/s curl to a receiver that syncs; {tus}"),
        at_least(own / curl, 0.5, "×"),
    );
    for (what, pid, goal) in [
        ("agent", branch.pid(), 64.0),
        ("server", central.pid(), 96.0),
    ] {
        let highest = mib(highest(pid, "VmHWM"));
        report.row(
            &format!("memory, {what} while uploading"),
            format!("{highest:.1} MiB"),
            format!("{FILE_MIB} MiB of file"),
            verdict(
                highest <= goal,
                &format!("{highest:.1} MiB (goal ≤ {goal} MiB)"),
            ),
        );
    }
    grown_log(report, sandbox.path(), &central).await;
}

/// From the end of the intake until central has every byte.
fn until_received(central: &Central, files: usize) -> Duration {
    let started = Instant::now();
    loop {
        let listed = central.files();
        if listed.len() >= files && listed.iter().all(|file| file["state"] != "waiting") {
            return started.elapsed();
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

async fn grown_log(report: &mut Report, folder: &Path, central: &Central) {
    let proxy = ChaosProxy::start(central.address, 0, Chaos::NONE).expect("start the proxy");
    let mut branch = Branch::join(folder, central, "NCE", proxy.addr());
    branch.start();
    let number = branch.file("A log").await.number.to_string();
    branch.wait_drained().await;
    let log = folder.join("till.log");
    let next = log_lines(&log, LOG_BYTES, 0);
    let first = sent(&proxy, &branch, &number, &log, central);
    let size = std::fs::metadata(&log).expect("read the log's size").len();
    log_lines(&log, size / 100, next);
    let again = sent(&proxy, &branch, &number, &log, central);
    #[allow(clippy::cast_precision_loss)]
    let percent = again as f64 * 100.0 / size as f64;
    report.row(
        "a log that grew by 1 %, bytes sent",
        format!("{again} of {size}"),
        format!("{first} the first time"),
        verdict(percent <= 3.0, &format!("{percent:.2} % (goal ≤ 3 %)")),
    );
}

fn sent(proxy: &ChaosProxy, branch: &Branch, number: &str, log: &Path, central: &Central) -> u64 {
    let before = proxy.stats().bytes_up;
    let files = central.files().len();
    attach(branch, number, log);
    until_received(central, files + 1);
    proxy.stats().bytes_up - before
}

fn by_curl(file: &Path, folder: &Path) -> Duration {
    let listener = TcpListener::bind("127.0.0.1:0").expect("listen");
    let address = listener.local_addr().expect("an address");
    let copy = folder.join("received");
    let receiver = {
        let copy = copy.clone();
        std::thread::spawn(move || receive(&listener.accept().expect("accept").0, &copy))
    };
    let started = Instant::now();
    let url = format!("http://{address}/");
    let status = Command::new("curl")
        .args(["-sS", "-T"])
        .arg(file)
        .arg(url)
        .status();
    assert!(status.expect("run curl").success());
    let took = started.elapsed();
    receiver.join().expect("the receiver ends");
    std::fs::remove_file(copy).expect("remove the copy");
    took
}

/// Takes one body, syncs it, and only then answers.
fn receive(mut connection: &TcpStream, copy: &Path) {
    let mut reader = BufReader::with_capacity(256 * 1024, connection.try_clone().expect("clone"));
    let (mut length, mut line) = (0, String::new());
    while reader.read_line(&mut line).expect("read the head") > 2 {
        let lower = line.to_ascii_lowercase();
        if let Some(value) = lower.strip_prefix("content-length:") {
            length = value.trim().parse().expect("a length");
        }
        if lower.starts_with("expect:") {
            connection
                .write_all(b"HTTP/1.1 100 Continue\r\n\r\n")
                .expect("go on");
        }
        line.clear();
    }
    let mut file = std::fs::File::create(copy).expect("make the copy");
    std::io::copy(&mut reader.take(length), &mut file).expect("receive");
    file.sync_all().expect("sync");
    connection
        .write_all(b"HTTP/1.1 201 Created\r\ncontent-length: 0\r\n\r\n")
        .expect("answer");
}

/// `None` where there is no node or npm.
fn by_tus(file: &Path, folder: &Path) -> Option<Duration> {
    let home = tus_home()?;
    let output = Command::new("node")
        .arg(home.join("measure.mjs"))
        .arg(file)
        .arg(folder)
        .output()
        .ok()?;
    let seconds = String::from_utf8(output.stdout).ok()?.trim().parse().ok()?;
    Some(Duration::from_secs_f64(seconds))
}

/// The tus client and server, installed beside the built programs at the first time.
fn tus_home() -> Option<PathBuf> {
    let own = std::env::current_exe().ok()?;
    let home = own.parent()?.join("bench-tus");
    if !home.join("node_modules").exists() {
        eprintln!("  installing tus from npm, as a baseline");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("bench/tus");
        std::fs::create_dir_all(&home).ok()?;
        for name in ["package.json", "package-lock.json", "measure.mjs"] {
            std::fs::copy(source.join(name), home.join(name)).ok()?;
        }
        let installed = Command::new("npm")
            .args(["ci", "--no-fund", "--no-audit"])
            .current_dir(&home)
            .output();
        if !installed.ok()?.status.success() {
            let _ = std::fs::remove_dir_all(home.join("node_modules"));
            return None;
        }
    }
    Some(home)
}
