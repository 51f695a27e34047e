//! The agent's deb and MSI: how large they are, and how long a silent installation takes until the service runs,
//! beside a package of the same program and nothing else; and what the service then takes of the memory.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use harness::debian_machine::DebianMachine;
use harness::packages::Format::Deb;
use harness::packages::{build, build_msi};
use harness::processes::{binary, sandbox, succeeded};
use harness::wine::WineComputer;

use crate::report::{Report, mib, percentile, verdict};

const INSTALLATIONS: usize = 5;
/// What a branch's link should have to carry, as deb and as MSI.
const MOST_BYTES: u64 = 6_000_000;
const MOST_BYTES_OF_MSI: u64 = 8_000_000;

pub fn measure(report: &mut Report) {
    on_debian(report);
    on_windows(report);
}

fn on_debian(report: &mut Report) {
    eprintln!("packages: {INSTALLATIONS} installations on a Debian machine");
    let sandbox = sandbox();
    let own = deb(sandbox.path(), "agent");
    let bare = bare_package(sandbox.path(), "branchline-agent");
    let (size, compared) = (bytes(&own), bytes(&bare));
    report.row(
        "size of the agent's deb",
        format!("{:.1} MiB", mib(size)),
        format!("{:.1} MiB the program alone", mib(compared)),
        verdict(
            size <= MOST_BYTES,
            &format!("{size} bytes (goal ≤ {MOST_BYTES})"),
        ),
    );
    let machine = DebianMachine::start();
    machine.copy_in(&own, "/tmp/own.deb");
    machine.copy_in(&bare, "/tmp/bare.deb");
    let time = |line: &str, purge: &str| -> Duration {
        let started = Instant::now();
        machine.shell(line);
        let took = started.elapsed();
        machine.shell(purge);
        took
    };
    let (mut owns, mut bares) = (Vec::new(), Vec::new());
    for _ in 0..INSTALLATIONS {
        bares.push(time("dpkg -i /tmp/bare.deb", "dpkg -P bare"));
        owns.push(time(
            "dpkg -i /tmp/own.deb && systemctl is-active branchline-agent.socket branchline-agent.service",
            "dpkg -P branchline-agent",
        ));
    }
    let (own, bare) = (percentile(&mut owns, 500), percentile(&mut bares, 500));
    report.row(
        "installing the agent's deb until its service runs",
        format!("{:.1} s", own.as_secs_f64()),
        format!("{:.1} s the program alone", bare.as_secs_f64()),
        format!("{:.1} ×", own.as_secs_f64() / bare.as_secs_f64()),
    );
    memory_of_the_service(report, &machine);
}

/// Of the service as it was installed, not joined, with nothing to do.
fn memory_of_the_service(report: &mut Report, machine: &DebianMachine) {
    machine.shell("dpkg -i /tmp/own.deb");
    let memory_of = |unit: &str| -> u64 {
        let line = format!("grep VmRSS /proc/$(systemctl show -P MainPID {unit})/status");
        let said = machine.shell(&line);
        let kib = said.split_whitespace().nth(1).map(str::parse::<u64>);
        kib.expect("a number").expect("a number") * 1024
    };
    let (own, compared) = (memory_of("branchline-agent"), memory_of("systemd-journald"));
    report.row(
        "memory of the agent's service, idle",
        format!("{:.1} MiB", mib(own)),
        format!("{:.1} MiB systemd's journal", mib(compared)),
        format!("{:.1} ×", mib(own) / mib(compared)),
    );
}

/// Under Wine, whose installer is not Windows'.
fn on_windows(report: &mut Report) {
    eprintln!(
        "packages: {INSTALLATIONS} installations under Wine (ten minutes to build, the first time)"
    );
    let sandbox = sandbox();
    let own = build_msi(sandbox.path(), &[]);
    let bare = bare_msi(sandbox.path(), &own);
    let (size, compared) = (bytes(&own), bytes(&bare));
    report.row(
        "size of the agent's MSI",
        format!("{:.1} MiB", mib(size)),
        format!("{:.1} MiB the program alone", mib(compared)),
        verdict(
            size <= MOST_BYTES_OF_MSI,
            &format!("{size} bytes (goal ≤ {MOST_BYTES_OF_MSI})"),
        ),
    );
    let computer = WineComputer::start();
    let run = |verb: &str, msi: &Path| -> Duration {
        let started = Instant::now();
        let done = computer.run(&["msiexec", verb, &computer.path_of(msi), "/qn"]);
        assert!(done.status.success(), "msiexec {verb} {}", msi.display());
        started.elapsed()
    };
    let (mut owns, mut bares) = (Vec::new(), Vec::new());
    for _ in 0..INSTALLATIONS {
        bares.push(run("/i", &bare));
        owns.push(run("/i", &own));
        let service = computer.run(&["sc", "query", "BranchlineAgent"]);
        assert!(service.status.success(), "the service is there");
        run("/x", &own);
        run("/x", &bare);
    }
    let (own, bare) = (percentile(&mut owns, 500), percentile(&mut bares, 500));
    report.row(
        "installing the agent's MSI until its service is started, under Wine",
        format!("{:.1} s", own.as_secs_f64()),
        format!("{:.1} s the program alone", bare.as_secs_f64()),
        format!("{:.1} ×", own.as_secs_f64() / bare.as_secs_f64()),
    );
}

/// An MSI with the program that another one holds, and nothing else.
fn bare_msi(folder: &Path, other: &Path) -> PathBuf {
    let work = folder.join("bare-msi");
    std::fs::create_dir_all(&work).expect("make a folder");
    let held = Command::new("msiextract")
        .arg("-C")
        .arg(&work)
        .arg(other)
        .output();
    let held = succeeded(&held.expect("run msiextract"));
    let program = held
        .lines()
        .find(|line| line.ends_with("branchline-agent.exe"));
    let program = work.join(program.expect("the program is in it"));
    let source = include_str!("packages/bare.wxs");
    std::fs::write(work.join("bare.wxs"), source).expect("write");
    std::fs::rename(program, work.join("bare.exe")).expect("rename");
    let msi = folder.join("bare.msi");
    let made = Command::new("wixl")
        .args(["-a", "x64", "-o"])
        .arg(&msi)
        .arg("bare.wxs")
        .current_dir(&work)
        .output();
    succeeded(&made.expect("run wixl"));
    msi
}

/// A deb around the programs that are measured.
pub fn deb(folder: &Path, name: &str) -> PathBuf {
    build(Deb, folder, None, &[name]);
    let mut files = std::fs::read_dir(folder).expect("look into the folder");
    let package = files.find_map(|file| {
        let path = file.expect("an entry").path();
        let own = path
            .file_name()?
            .to_str()?
            .starts_with(&format!("branchline-{name}_"));
        own.then_some(path)
    });
    package.expect("a deb was made")
}

/// A package that holds a program and does nothing.
fn bare_package(folder: &Path, program: &str) -> PathBuf {
    let tree = folder.join("bare");
    std::fs::create_dir_all(tree.join("DEBIAN")).expect("make a folder");
    std::fs::create_dir_all(tree.join("usr/bin")).expect("make a folder");
    let control =
        "Package: bare\nVersion: 1\nArchitecture: all\nMaintainer: nobody\nDescription: bare\n";
    std::fs::write(tree.join("DEBIAN/control"), control).expect("write");
    let stripped = Command::new("strip")
        .arg("-o")
        .arg(tree.join("usr/bin/bare"))
        .arg(binary(program))
        .output();
    succeeded(&stripped.expect("run strip"));
    let package = folder.join("bare.deb");
    let packed = Command::new("dpkg-deb")
        .args(["--root-owner-group", "--build"])
        .args([&tree, &package])
        .output();
    succeeded(&packed.expect("run dpkg-deb"));
    package
}

/// How large a file is.
pub fn bytes(file: &Path) -> u64 {
    std::fs::metadata(file).map_or(0, |facts| facts.len())
}
