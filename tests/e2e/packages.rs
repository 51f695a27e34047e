//! What IT does with packages, on Debian machines (12, and the newer 13) with a real systemd: silent roll-out
//! with a token, filing by an ordinary user, upgrade with a full queue, removal, purge. The packages are those
//! that `packaging/deb/build.sh` builds, around the programs that these tests were built with.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use harness::debian::{as_root, program};
use harness::debian_machine::{DebianMachine, system_without_mirror};
use harness::packages::Format::Deb;
use harness::packages::build;
use harness::processes::{sandbox, succeeded, text};
use harness::waiting::wait_for;
use serde_json::Value;

/// Two versions of the services' packages, so that there is one to upgrade from.
pub const VERSIONS: [&str; 2] = ["0.1.0", "0.1.1"];

/// The folder with the packages of both versions.
fn packages() -> &'static Path {
    static BUILT: OnceLock<tempfile::TempDir> = OnceLock::new();
    BUILT
        .get_or_init(|| {
            let folder = sandbox();
            build(
                Deb,
                folder.path(),
                Some(VERSIONS[0]),
                &["agent", "server", "desktop"],
            );
            build(Deb, folder.path(), Some(VERSIONS[1]), &["agent", "server"]);
            folder
        })
        .path()
}

fn package(name: &str, version: &str) -> PathBuf {
    let arch = Command::new("dpkg").arg("--print-architecture").output();
    let arch = text(&arch.expect("run dpkg").stdout);
    packages().join(format!("branchline-{name}_{version}-1_{}.deb", arch.trim()))
}

/// Installs a package, as a silent roll-out does.
fn install(machine: &DebianMachine, name: &str, version: &str) -> String {
    let to = format!("/tmp/{name}.deb");
    machine.copy_in(&package(name, version), &to);
    machine.shell(&format!("dpkg -i {to}"))
}

/// Central on the machine itself.
pub fn central(machine: &DebianMachine) {
    let said = install(machine, "server", VERSIONS[0]);
    assert!(said.contains("branchline-server init"), "{said}");
    machine.shell("branchline-server init --name localhost && systemctl start branchline-server");
    machine.shell("branchline-server branch add LYN");
}

pub fn token(machine: &DebianMachine) -> String {
    let made = machine.shell("branchline-server token create --branch LYN --json");
    let made: Value = serde_json::from_str(&made).expect("a token as JSON");
    made["token"].as_str().expect("the token").to_owned()
}

/// An agent that joined by what debconf was told beforehand.
fn rolled_out(machine: &DebianMachine) -> String {
    let token = token(machine);
    let answer = format!("branchline-agent branchline-agent/enrolment-token password {token}\n");
    let told = machine.run_with_input(&["debconf-set-selections"], answer.as_bytes());
    succeeded(&told);
    install(machine, "agent", VERSIONS[0]);
    wait_for("the agent to join", || {
        let status = machine.run(&["branchline-agent", "status"]);
        (status.status.success() && text(&status.stdout).contains("LYN")).then_some(())
    });
    token
}

pub fn file_as_marie(machine: &DebianMachine, subject: &str) -> String {
    machine.shell(&format!(
        "runuser -u marie -- branchline-agent ticket new --subject '{subject}' \
         --description 'paper jam' --category hardware"
    ))
}

/// What central holds, by subject.
pub fn subjects(machine: &DebianMachine) -> Vec<String> {
    let listed = machine.shell("branchline-server tickets list --limit 1000 --json");
    let listed: Value = serde_json::from_str(&listed).expect("tickets as JSON");
    let tickets = listed["tickets"].as_array().expect("tickets").iter();
    let subject = |ticket: &Value| ticket["subject"].as_str().expect("a subject").to_owned();
    tickets.map(subject).collect()
}

/// Both units are exposed by at most 2.0.
pub fn assert_hardened(machine: &DebianMachine) {
    for unit in ["branchline-agent", "branchline-server"] {
        machine.shell(&format!(
            "systemd-analyze security --no-pager --threshold=20 {unit}"
        ));
    }
}

#[test]
fn a_silent_roll_out_joins_files_and_leaves_no_token() {
    let machine = DebianMachine::start();
    central(&machine);
    let token = rolled_out(&machine);
    let left = machine.holds(&token[token.len() / 2..]);
    assert!(left.is_empty(), "the token is still in {left:?}");
    machine.shell("useradd --create-home marie");
    machine.shell("echo hello > /home/marie/note.txt");
    let filed = machine.shell(
        "runuser -u marie -- branchline-agent ticket new --subject Printer --description jam \
         --category hardware --attach /home/marie/note.txt",
    );
    assert!(filed.contains("LYN-000001"), "{filed}");
    wait_for("the ticket at central", || {
        (subjects(&machine) == ["Printer"]).then_some(())
    });
    let shown = machine.shell("branchline-server tickets show LYN-000001");
    assert!(
        shown.contains("marie"),
        "the kernel says who files: {shown}"
    );
    // Colleagues on the same computer see their own, unless the branch says otherwise.
    machine.shell("useradd paul");
    let as_paul = |words: &str| {
        let line = format!("runuser -u paul -- branchline-agent ticket {words} 2>&1");
        text(&machine.run(&["sh", "-c", &line]).stdout)
    };
    for words in ["list", "list --search printer", "show LYN-000001"] {
        let seen = as_paul(words);
        assert!(!seen.contains("Printer"), "{words}: {seen}");
    }
    assert_hardened(&machine);
    let others = machine.run(&[
        "runuser",
        "-u",
        "marie",
        "--",
        "ls",
        "/var/lib/branchline-agent",
    ]);
    assert!(
        !others.status.success(),
        "a user looks into the agent's folder"
    );
}

#[test]
fn an_upgrade_with_a_full_queue_turns_nobody_away_and_loses_nothing() {
    let machine = DebianMachine::start();
    central(&machine);
    rolled_out(&machine);
    machine.shell("useradd marie; systemctl stop branchline-server");
    // Files without a pause while the package changes; each must be told "saved".
    machine.copy_in(Path::new(FILER), "/tmp/filer");
    machine.shell("chmod +x /tmp/filer");
    let filing = machine.command(&["runuser", "-u", "marie", "--", "sh", "/tmp/filer"]);
    let mut filing = filing_in_background(filing);
    wait_for("a queue", || (saved(&machine) >= 20).then_some(()));
    let before = saved(&machine);
    install(&machine, "agent", VERSIONS[1]);
    wait_for("filing after the upgrade", || {
        (saved(&machine) >= before + 20).then_some(())
    });
    machine.shell("touch /tmp/enough");
    let ended = filing.wait().expect("await the filer");
    assert!(
        ended.success(),
        "a filing was refused: {}",
        machine.shell("tail -3 /tmp/said")
    );
    let all = saved(&machine);
    let version = machine.shell("dpkg-query -W -f '${Version}' branchline-agent");
    assert_eq!(version.trim(), format!("{}-1", VERSIONS[1]));
    machine.shell("systemctl start branchline-server");
    wait_for("all at central", || {
        (subjects(&machine).len() == all).then_some(())
    });
    let mut arrived = subjects(&machine);
    arrived.sort();
    arrived.dedup();
    assert_eq!(arrived.len(), all, "each once");
}

/// The script that files until `/tmp/enough` is there, and ends with the fault of the first that fails.
const FILER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/e2e/packages/filer.sh");

fn filing_in_background(mut command: Command) -> std::process::Child {
    command.spawn().expect("start filing")
}

fn saved(machine: &DebianMachine) -> usize {
    let count = machine.shell("grep -c . /tmp/saved 2>/dev/null || true");
    count.trim().parse().unwrap_or(0)
}

#[test]
fn removal_keeps_everything_and_a_purge_deletes_what_somebody_said_may_go() {
    let machine = DebianMachine::start();
    central(&machine);
    rolled_out(&machine);
    machine.shell("useradd marie; systemctl stop branchline-server");
    file_as_marie(&machine, "one");
    machine.shell("echo '# ours' >> /etc/branchline/agent.toml");
    machine.shell("apt-get remove -y branchline-agent");
    machine.shell("! systemctl is-active branchline-agent.socket branchline-agent.service");
    install(&machine, "agent", VERSIONS[0]);
    let listed = wait_for("the agent to answer", || {
        let listed = machine.run(&["branchline-agent", "ticket", "list"]);
        listed.status.success().then(|| text(&listed.stdout))
    });
    assert!(listed.contains("one"), "the queue is still there: {listed}");
    machine.shell("grep -q '# ours' /etc/branchline/agent.toml");
    machine.shell("systemctl start branchline-server");
    wait_for("the ticket at central", || {
        (subjects(&machine) == ["one"]).then_some(())
    });

    let said = machine.shell("apt-get purge -y branchline-agent");
    assert!(said.contains("kept /var/lib/branchline-agent"), "{said}");
    machine.shell(
        "test -e /var/lib/branchline-agent/journal.db && ! test -e /etc/branchline/agent.toml",
    );
    install(&machine, "agent", VERSIONS[0]);
    let answer = "branchline-agent branchline-agent/purge-data boolean true\n";
    succeeded(&machine.run_with_input(&["debconf-set-selections"], answer.as_bytes()));
    machine.shell("apt-get purge -y branchline-agent");
    machine.shell("! test -e /var/lib/branchline-agent");
}

#[test]
fn a_service_that_no_longer_answers_is_started_again() {
    let machine = DebianMachine::start();
    central(&machine);
    rolled_out(&machine);
    machine.shell(
        "mkdir -p /etc/systemd/system/branchline-agent.service.d && printf '[Service]\\nWatchdogSec=2s\\n' \
         > /etc/systemd/system/branchline-agent.service.d/test.conf && systemctl daemon-reload && \
         systemctl restart branchline-agent",
    );
    machine.shell("systemctl kill --signal=STOP --kill-who=main branchline-agent");
    wait_for("systemd to start it again", || {
        let restarts = machine.shell("systemctl show -P NRestarts branchline-agent");
        let answers = machine.run(&["timeout", "5", "branchline-agent", "status"]);
        (restarts.trim() != "0" && answers.status.success()).then_some(())
    });
}

#[test]
fn packages_are_clean_and_two_builds_are_the_same() {
    let lintian = program(&["/usr/bin/lintian"], "lintian");
    let all = ["agent", "server", "desktop"];
    for name in all {
        let found = Command::new(&lintian)
            .args(["--fail-on", "error,warning", "--allow-root"])
            .arg(package(name, VERSIONS[0]))
            .output()
            .expect("run lintian");
        assert!(found.status.success(), "{}", text(&found.stdout));
    }
    let again = sandbox();
    build(Deb, again.path(), Some(VERSIONS[0]), &all);
    for name in all {
        let first = package(name, VERSIONS[0]);
        let second = again.path().join(first.file_name().expect("a file's name"));
        let same = std::fs::read(&first).expect("read") == std::fs::read(second).expect("read");
        assert!(same, "two builds of {} differ", first.display());
    }
}

#[test]
fn piuparts_finds_nothing_that_a_purge_leaves() {
    let piuparts = program(&["/usr/sbin/piuparts"], "piuparts");
    let folder = sandbox();
    let system = system_without_mirror(folder.path());
    let log = folder.path().join("log");
    let tried = as_root(&piuparts.to_string_lossy())
        .args(["--no-eatmydata", "-d", "bookworm", "--keep-sources-list"])
        .arg("--fail-on-broken-symlinks")
        .args([Path::new("--existing-chroot"), &system])
        .args([Path::new("--log-file"), &log])
        .args([
            package("agent", VERSIONS[0]),
            package("server", VERSIONS[0]),
        ])
        .env("TMPDIR", folder.path())
        .output()
        .expect("run piuparts");
    let said = std::fs::read_to_string(&log).unwrap_or_default();
    let faults: Vec<&str> = said
        .lines()
        .filter(|line| line.contains("ERROR:") || line.contains("WARN"))
        .collect();
    assert!(
        tried.status.success(),
        "{faults:#?} {}",
        text(&tried.stderr)
    );
    assert!(said.contains("PASS: Installation and purging test"));
}

/// Debian 13 has another systemd, debconf and C library.
#[test]
fn a_newer_debian_takes_the_same_packages() {
    let Some(machine) = DebianMachine::start_newer() else {
        return;
    };
    let release = machine.shell("cat /etc/debian_version");
    assert!(release.starts_with("13"), "{release}");
    central(&machine);
    rolled_out(&machine);
    machine.shell("useradd marie; systemctl stop branchline-server");
    file_as_marie(&machine, "one");
    install(&machine, "agent", VERSIONS[1]);
    file_as_marie(&machine, "two");
    assert_hardened(&machine);
    machine.shell("systemctl start branchline-server");
    wait_for("both at central", || {
        let mut there = subjects(&machine);
        there.sort();
        (there == ["one", "two"]).then_some(())
    });
    machine.shell("apt-get remove -y branchline-agent branchline-server");
    machine.shell("test -e /var/lib/branchline-agent/journal.db");
    machine.shell("! systemctl is-active branchline-agent.socket branchline-agent.service");
    let answers = "branchline-agent branchline-agent/purge-data boolean true\n";
    succeeded(&machine.run_with_input(&["debconf-set-selections"], answers.as_bytes()));
    machine.shell("apt-get purge -y branchline-agent");
    machine.shell("! test -e /var/lib/branchline-agent");
}

/// What the client's window is made of; Debian's own words for it are the package's.
const WINDOW: [&str; 2] = ["libwebkit2gtk-4.1-0", "libayatana-appindicator3-1"];

#[test]
fn the_desktop_client_comes_with_what_it_needs_and_goes_without_the_agent() {
    let machine = DebianMachine::start_with_archive_of(&WINDOW);
    for name in ["agent", "desktop"] {
        machine.copy_in(&package(name, VERSIONS[0]), &format!("/tmp/{name}.deb"));
    }
    let alone = machine.run(&["dpkg", "-i", "/tmp/desktop.deb"]);
    assert!(!alone.status.success(), "it is installed without an agent");
    machine.shell(
        "dpkg --purge branchline-desktop && apt-get install -y --no-install-recommends \
         -o Dpkg::Options::=--force-unsafe-io /tmp/agent.deb /tmp/desktop.deb",
    );
    machine
        .shell("useradd --create-home marie; ! ldd /usr/bin/branchline-desktop | grep 'not found'");
    let said = machine.shell("runuser -u marie -- branchline-desktop --version");
    assert!(said.starts_with("branchline-desktop "), "{said}");
    machine.shell("test -s /etc/xdg/autostart/branchline-desktop.desktop");
    machine.shell("apt-get remove -y branchline-desktop && ! test -e /usr/bin/branchline-desktop");
    machine.shell("apt-get purge -y branchline-desktop && ! test -e /etc/xdg/autostart/branchline-desktop.desktop");
    let left = machine.shell(
        "find / -xdev -name '*branchline-desktop*' -not -path '/proc/*' -not -path '/tmp/*'",
    );
    assert_eq!(left.trim(), "", "a purge leaves nothing");
    machine.shell("systemctl is-active branchline-agent.socket");
}

#[test]
fn the_desktop_clients_entries_say_what_desktops_understand() {
    let folder = sandbox();
    let unpacked = Command::new("dpkg-deb")
        .arg("-x")
        .arg(package("desktop", VERSIONS[0]))
        .arg(folder.path())
        .output();
    succeeded(&unpacked.expect("run dpkg-deb"));
    let validate = program(&["/usr/bin/desktop-file-validate"], "desktop-file-utils");
    for entry in [
        "usr/share/applications/branchline-desktop.desktop",
        "etc/xdg/autostart/branchline-desktop.desktop",
    ] {
        let entry = folder.path().join(entry);
        let said = Command::new(&validate).arg(&entry).output();
        let said = succeeded(&said.expect("run desktop-file-validate"));
        assert_eq!(said.trim(), "", "{}", entry.display());
        let words = std::fs::read_to_string(&entry).expect("read the entry");
        for language in ["Comment=", "Comment[de]=", "Comment[fr]="] {
            assert!(words.contains(language), "{language} is missing");
        }
    }
    let appstream = program(&["/usr/bin/appstreamcli"], "appstream");
    let metainfo = "usr/share/metainfo/org.branchline.Branchline.metainfo.xml";
    let said = Command::new(appstream)
        .args(["validate", "--no-net"])
        .arg(folder.path().join(metainfo))
        .output();
    succeeded(&said.expect("run appstreamcli"));
    for size in [48_u32, 64, 128, 256] {
        let icon = format!("usr/share/icons/hicolor/{size}x{size}/apps/branchline-desktop.png");
        let bytes = std::fs::read(folder.path().join(icon)).expect("read an icon");
        // Width and height of a PNG.
        assert_eq!(bytes[16..20], size.to_be_bytes());
        assert_eq!(bytes[20..24], size.to_be_bytes());
    }
}
