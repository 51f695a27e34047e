//! The desktop client from a cold start to a window that can be used, the memory of all its processes, and
//! the size of its package; beside them the same of a well-known WebKit application from Debian that shows a
//! local page.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use harness::debian::{as_root, program};
use harness::desktop::{Group, Screen};
use harness::processes::{Branch, Central, binary, sandbox};

use crate::packages::{bytes, deb};
use crate::report::{Report, at_most, mib, percentile, verdict};

const STARTS: usize = 5;
/// A window is there when nothing changes on the screen for this long: the last change was when.
const STILL: Duration = Duration::from_secs(2);
const NEVER: Duration = Duration::from_secs(60);
/// Pixels that differ where a cursor blinks or a scroll bar fades away.
const TRIFLE: usize = 1_000;
const COMPARED: (&str, &str) = ("/usr/bin/epiphany", "epiphany-browser");

pub async fn measure(report: &mut Report) {
    eprintln!("desktop: {STARTS} cold starts of the client, as many of GNOME's browser");
    let sandbox = sandbox();
    let central = Central::init(sandbox.path());
    let mut branch = Branch::join(sandbox.path(), &central, "LYN", central.address);
    branch.start();
    for number in 0..30 {
        branch.file(&format!("Till {number} prints nothing")).await;
    }
    let page = sandbox.path().join("page.html");
    std::fs::write(&page, "<h1>Tickets</h1><p>None.</p>").expect("write a page");
    let browser = program(&[COMPARED.0], COMPARED.1);
    let screen = Screen::start(sandbox.path());
    let client = |screen: &Screen| {
        let mut command = screen.command(&binary("branchline-desktop"));
        command.env("BRANCHLINE_SOCKET", branch.socket());
        command
    };
    let other = |screen: &Screen| {
        let mut command = screen.command(&browser);
        command.arg("--incognito-mode").arg(&page);
        command
    };
    let (mut own, mut others) = (Vec::new(), Vec::new());
    let (mut memory, mut memory_of_others) = (0, 0);
    for _ in 0..STARTS {
        let started = Started::cold(&screen, client(&screen));
        own.push(started.usable);
        memory = started.memory.max(memory);
        let started = Started::cold(&screen, other(&screen));
        others.push(started.usable);
        memory_of_others = started.memory.max(memory_of_others);
    }
    let half = percentile(&mut own, 500);
    let compared = percentile(&mut others, 500);
    report.row(
        "desktop client, cold start to a window that stands still",
        format!("{:.1} s", half.as_secs_f64()),
        format!(
            "{:.1} s GNOME's browser with a local page",
            compared.as_secs_f64()
        ),
        at_most(half.as_secs_f64() / compared.as_secs_f64(), 1.0),
    );
    report.row(
        "memory of all its processes",
        format!("{:.0} MiB", mib(memory)),
        format!("{:.0} MiB the browser's", mib(memory_of_others)),
        format!("{:.2} ×", mib(memory) / mib(memory_of_others)),
    );
    let size = bytes(&deb(&sandbox.path().join("packages"), "desktop"));
    let compared = packages_of_debian(&["epiphany-browser", "epiphany-browser-data"]);
    report.row(
        "package size",
        format!("{:.1} MiB", mib(size)),
        format!("{:.1} MiB the browser's two", mib(compared)),
        verdict(
            size <= 12_000_000,
            &format!("{:.1} MB (goal ≤ 12 MB)", megabytes(size)),
        ),
    );
}

#[allow(clippy::cast_precision_loss)]
fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

/// One start, ended again.
struct Started {
    usable: Duration,
    memory: u64,
}

impl Started {
    fn cold(screen: &Screen, mut command: Command) -> Self {
        // Where this is not allowed, both starts are as warm as the other.
        let _ = as_root("sh")
            .args(["-c", "sync; echo 3 > /proc/sys/vm/drop_caches"])
            .output();
        let mut last = screen.pixels();
        let started = Instant::now();
        let mut changed = None;
        let group = Group::start(&mut command);
        while started.elapsed() < NEVER {
            // Looking is work too, for the same processors.
            std::thread::sleep(Duration::from_millis(20));
            let now = screen.pixels();
            let different = now
                .chunks_exact(4)
                .zip(last.chunks_exact(4))
                .filter(|(now, last)| now != last);
            if different.count() > TRIFLE {
                changed = Some(started.elapsed());
                last = now;
            }
            if changed.is_some_and(|at| started.elapsed() > at + STILL) {
                break;
            }
        }
        let memory = memory_of(group.pid());
        drop(group);
        wait_for_blank(screen);
        Self {
            usable: changed.expect("a window appears"),
            memory,
        }
    }
}

/// Until what was on the screen has gone with its processes.
fn wait_for_blank(screen: &Screen) {
    harness::processes::wait_for("an empty screen", || {
        let pixels = screen.pixels();
        let first = pixels.get(..4)?.to_vec();
        let other = pixels.chunks_exact(4).filter(|pixel| *pixel != first);
        (other.count() < TRIFLE).then_some(())
    });
}

/// What a process and all that descend from it take, what they share counted once (PSS), in bytes.
fn memory_of(first: u32) -> u64 {
    let mut pids = vec![first];
    let mut next = 0;
    let all: Vec<(u32, u32)> = std::fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            Some((
                entry.file_name().to_str()?.parse().ok()?,
                parent(&entry.path())?,
            ))
        })
        .collect();
    while let Some(&of) = pids.get(next) {
        pids.extend(
            all.iter()
                .filter(|(_, parent)| *parent == of)
                .map(|(pid, _)| *pid),
        );
        next += 1;
    }
    pids.iter().map(|pid| proportional(*pid)).sum()
}

fn parent(process: &Path) -> Option<u32> {
    let stat = std::fs::read_to_string(process.join("stat")).ok()?;
    let (_, rest) = stat.rsplit_once(") ")?;
    rest.split(' ').nth(1)?.parse().ok()
}

fn proportional(pid: u32) -> u64 {
    let path = PathBuf::from(format!("/proc/{pid}/smaps_rollup"));
    let rollup = std::fs::read_to_string(path).unwrap_or_default();
    let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}

/// Bytes of these packages of Debian; 0 where apt has no lists.
fn packages_of_debian(names: &[&str]) -> u64 {
    let asked = Command::new("apt-cache")
        .args(["show", "--no-all-versions"])
        .args(names)
        .output()
        .expect("run apt-cache");
    let said = String::from_utf8_lossy(&asked.stdout).into_owned();
    said.lines()
        .filter_map(|line| line.strip_prefix("Size: ")?.trim().parse::<u64>().ok())
        .sum()
}
