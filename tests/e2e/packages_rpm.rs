//! The rpms on a machine with a real systemd: installed, joined, upgraded while a ticket waits, removed. The
//! machine is Debian's with Debian's rpm, as no other system can be made here: the scripts, users, units and
//! settings are tried, and what the rpms need is read, not resolved.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use harness::debian::program;
use harness::debian_machine::DebianMachine;
use harness::packages::Format::Rpm;
use harness::packages::build;
use harness::processes::{sandbox, succeeded, text};
use harness::waiting::wait_for;

use crate::packages::{VERSIONS, assert_hardened, file_as_marie, subjects, token};

fn package(name: &str, version: &str) -> PathBuf {
    static BUILT: OnceLock<tempfile::TempDir> = OnceLock::new();
    let folder = BUILT.get_or_init(|| {
        let folder = sandbox();
        build(
            Rpm,
            folder.path(),
            Some(VERSIONS[0]),
            &["agent", "server", "desktop"],
        );
        build(Rpm, folder.path(), Some(VERSIONS[1]), &["agent"]);
        folder
    });
    let file = format!("branchline-{name}-{version}-1.x86_64.rpm");
    folder.path().join(file)
}

/// Debian's rpm knows nothing of Debian's libraries, which rpms need too.
fn rpm(machine: &DebianMachine, words: &str) -> String {
    machine.shell(&format!("rpm --nodeps {words}"))
}

fn copy_in(machine: &DebianMachine, name: &str, version: &str) {
    machine.copy_in(&package(name, version), &format!("/tmp/{name}.rpm"));
}

#[test]
fn an_rpm_joins_files_and_is_upgraded_with_a_full_queue() {
    let machine = DebianMachine::start_with_archive_of(&["rpm"]);
    machine.shell(
        "apt-get install -y --no-install-recommends -o Dpkg::Options::=--force-unsafe-io rpm",
    );
    for name in ["server", "agent"] {
        copy_in(&machine, name, VERSIONS[0]);
        rpm(&machine, &format!("-i /tmp/{name}.rpm"));
    }
    machine.shell("branchline-server init --name localhost && systemctl start branchline-server");
    machine.shell("branchline-server branch add LYN");
    machine.shell("systemctl is-active branchline-agent.socket branchline-agent.service");
    machine.shell(
        "systemctl is-enabled branchline-agent.socket branchline-agent.service branchline-server",
    );

    let token = token(&machine);
    let enroll = [
        "runuser",
        "-u",
        "branchline-agent",
        "--",
        "branchline-agent",
        "enroll",
        "-",
    ];
    succeeded(&machine.run_with_input(&enroll, format!("{token}\n").as_bytes()));
    wait_for("the agent to join", || {
        let status = machine.run(&["branchline-agent", "status"]);
        (status.status.success() && text(&status.stdout).contains("LYN")).then_some(())
    });
    let left = machine.holds(&token[token.len() / 2..]);
    assert!(left.is_empty(), "the token is still in {left:?}");

    machine.shell("useradd marie; systemctl stop branchline-server");
    machine.shell("echo '# ours' >> /etc/branchline/agent.toml");
    file_as_marie(&machine, "one");
    copy_in(&machine, "agent", VERSIONS[1]);
    rpm(&machine, "-U /tmp/agent.rpm");
    file_as_marie(&machine, "two");
    let version = machine.shell("rpm -q --queryformat '%{VERSION}' branchline-agent");
    assert_eq!(version.trim(), VERSIONS[1]);
    machine.shell("grep -q '# ours' /etc/branchline/agent.toml");
    assert_hardened(&machine);
    machine.shell("systemctl start branchline-server");
    wait_for("both at central", || {
        let mut there = subjects(&machine);
        there.sort();
        (there == ["one", "two"]).then_some(())
    });

    rpm(&machine, "-e branchline-agent");
    machine.shell("! systemctl is-active branchline-agent.socket branchline-agent.service");
    machine.shell(
        "! test -e /usr/bin/branchline-agent && test -e /var/lib/branchline-agent/journal.db",
    );
    machine.shell("test -z \"$(find /etc/systemd/system -name 'branchline-agent*')\"");
}

#[test]
fn rpms_name_what_they_need() {
    let rpm = program(&["/usr/bin/rpm"], "rpm");
    let asked = |question: &str, package: &Path| {
        let output = Command::new(&rpm)
            .args(["-qp", question])
            .arg(package)
            .output();
        succeeded(&output.expect("run rpm"))
    };
    let desktop = package("desktop", VERSIONS[0]);
    let needs = asked("--requires", &desktop);
    for need in [
        "branchline-agent >= 0.1",
        "libwebkit2gtk-4.1.so.0()(64bit)",
        "libayatana-appindicator3.so.1()(64bit)",
    ] {
        assert!(needs.contains(need), "{need} is missing in {needs}");
    }
    let holds = asked("--list", &desktop);
    for file in [
        "/usr/bin/branchline-desktop",
        "/usr/share/applications/branchline-desktop.desktop",
        "/etc/xdg/autostart/branchline-desktop.desktop",
        "/usr/share/man/man1/branchline-desktop.1",
    ] {
        assert!(
            holds.lines().any(|line| line == file),
            "{file} is missing in {holds}"
        );
    }
    for name in ["agent", "server"] {
        let needs = asked("--requires", &package(name, VERSIONS[0]));
        assert!(needs.contains("libc.so.6"), "{needs}");
    }
}
