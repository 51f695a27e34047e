//! The agent's deb: how large it is, and how long a silent installation takes until the service runs, beside a
//! package of the same program and nothing else.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use harness::debian_machine::DebianMachine;
use harness::processes::{binary, sandbox, succeeded};

use crate::report::{Report, mib, percentile, verdict};

const INSTALLATIONS: usize = 5;
/// What a branch's link should have to carry.
const MOST_BYTES: u64 = 6_000_000;

pub fn measure(report: &mut Report) {
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
}

/// A deb around the programs that are measured.
pub fn deb(folder: &Path, name: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let programs = binary("");
    let profile = match programs.file_name().and_then(|name| name.to_str()) {
        Some("debug") => "dev",
        _ => "release",
    };
    let built = Command::new(root.join("packaging/deb/build.sh"))
        .arg(folder)
        .args(["--profile", profile, name])
        .env("CARGO_TARGET_DIR", programs.parent().expect("a folder"))
        .output();
    let said = succeeded(&built.expect("run build.sh"));
    PathBuf::from(said.trim())
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
