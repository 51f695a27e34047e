//! What IT does with the MSI, under Wine, beside a real server on loopback: silent installation with
//! properties, a service that joins by itself, tickets from the installed command and from a drop folder,
//! upgrade with a full queue, a downgrade that is refused, removal that leaves the data. And the desktop
//! client's MSI, around stand-ins: Wine has no WebView2, in which its window is drawn.

use std::path::{Path, PathBuf};
use std::process::Command;

use harness::packages::build_msi;
use harness::processes::{Central, sandbox, succeeded, text};
use harness::waiting::{FILE_PATIENCE, wait_within};
use harness::wine::WineComputer;
use serde_json::Value;

/// The one that is installed first, and the one after it.
const VERSIONS: [&str; 2] = ["0.1.0", "0.1.1"];
const AGENT: &str = r"C:\Program Files\Branchline\branchline-agent.exe";

fn msi(folder: &Path, version: &str) -> PathBuf {
    build_msi(folder, &["--profile", "dev", "--version", version])
}

fn msiexec(computer: &WineComputer, words: &[&str]) -> (bool, String) {
    let log = computer.drive_c().join("install.log");
    let _ = std::fs::remove_file(&log);
    let mut all = vec!["msiexec"];
    all.extend(words);
    all.push("/qn");
    // Windows leaves hidden properties out of its log; Wine knows nothing of them.
    if !words.iter().any(|word| word.starts_with("ENROLL_TOKEN=")) {
        all.extend(["/l*v", r"C:\install.log"]);
    }
    let done = computer.run(&all);
    let log = std::fs::read(log).unwrap_or_default();
    (
        done.status.success(),
        String::from_utf8_lossy(&log).replace('\0', ""),
    )
}

fn install(computer: &WineComputer, msi: &Path, properties: &[&str]) {
    let path = computer.path_of(msi);
    let mut words = vec!["/i", path.as_str()];
    words.extend(properties);
    let (done, log) = msiexec(computer, &words);
    let tail: Vec<&str> = log.lines().rev().take(60).collect();
    assert!(done, "msiexec: {tail:#?}");
}

fn subjects(central: &Central) -> Vec<String> {
    let listed = succeeded(&central.cli(&["tickets", "list", "--limit", "1000", "--json"]));
    let listed: Value = serde_json::from_str(&listed).expect("tickets as JSON");
    let tickets = listed["tickets"].as_array().expect("tickets").iter();
    tickets
        .map(|ticket| ticket["subject"].as_str().expect("a subject").to_owned())
        .collect()
}

fn file(computer: &WineComputer, subject: &str) {
    let filed = wait_within(FILE_PATIENCE, "the agent to take a ticket", || {
        let words = [
            AGENT,
            "ticket",
            "new",
            "--subject",
            subject,
            "--description",
            "x",
            "--category",
            "hardware",
        ];
        let filed = computer.run(&words);
        filed.status.success().then(|| text(&filed.stdout))
    });
    assert!(filed.contains("LYN-"), "{filed}");
}

/// Wine has no access lists that could be tried; this is what the MSI asks of Windows, where everybody may
/// otherwise add files below ProgramData.
fn assert_closed(msi: &Path) {
    let mut ask = Command::new("msiinfo");
    ask.arg("export").arg(msi).arg("MsiLockPermissionsEx");
    let lists = succeeded(&ask.output().expect("run msiinfo"));
    let of = |folder: &str| {
        let row = lists.lines().find(|row| row.contains(folder));
        row.and_then(|row| row.split('\t').nth(3)).expect("a list")
    };
    let (settings, data) = (of("SETTINGSDIR"), of("DATADIR"));
    for list in [settings, data] {
        assert!(list.starts_with("D:P("), "nothing is inherited: {list}");
    }
    assert!(!data.contains(";BU)"), "no user sees the data: {data}");
    let users: Vec<&str> = settings
        .split('(')
        .filter(|one| one.contains(";BU)"))
        .collect();
    assert_eq!(
        users,
        ["A;OICI;0x1200a9;;;BU)"],
        "users read settings, no more"
    );
}

#[test]
fn an_msi_is_rolled_out_upgraded_and_removed() {
    let folder = sandbox();
    let [first, second] = VERSIONS.map(|version| msi(folder.path(), version));
    assert_closed(&first);
    let mut central = Central::init(folder.path());
    central.start();
    let token = central.token("LYN");
    let computer = WineComputer::start();

    let said = format!("ENROLL_TOKEN={token}");
    install(&computer, &first, &[&said, r"DROP_FOLDER=C:\Scans\"]);
    file(&computer, "from the command");
    wait_within(FILE_PATIENCE, "the ticket at central", || {
        (subjects(&central) == ["from the command"]).then_some(())
    });
    let service = r"HKLM\SYSTEM\CurrentControlSet\Services\BranchlineAgent";
    let service = text(&computer.run(&["reg", "query", service]).stdout);
    let quoted = format!("\"{AGENT}\" run --service");
    assert!(service.contains(&quoted), "{service}");
    let source = r"HKLM\SYSTEM\CurrentControlSet\Services\EventLog\Application\BranchlineAgent";
    let events = text(&computer.run(&["reg", "query", source]).stdout).to_lowercase();
    assert!(
        events.contains(r"c:\windows\system32\eventcreate.exe"),
        "{events}"
    );
    let left = computer.holding(&token[token.len() / 2..]);
    assert!(left.is_empty(), "the token is still in {left:?}");

    std::fs::create_dir_all(computer.drive_c().join("Scans")).expect("make the drop folder");
    std::fs::write(computer.drive_c().join("Scans/scan.txt"), "scanned").expect("drop a file");
    wait_within(
        FILE_PATIENCE,
        "the dropped file's ticket at central",
        || (subjects(&central).len() == 2).then_some(()),
    );

    central.stop();
    for n in 0..5 {
        file(&computer, &format!("waiting {n}"));
    }
    install(&computer, &second, &[]);
    let version = computer.run(&[AGENT, "--version"]);
    assert!(version.status.success());
    file(&computer, "after the upgrade");
    let (done, _) = msiexec(&computer, &["/i", &computer.path_of(&first)]);
    assert!(!done, "a downgrade is refused");
    central.start();
    wait_within(FILE_PATIENCE, "everything at central", || {
        (subjects(&central).len() == 8).then_some(())
    });

    let (done, log) = msiexec(&computer, &["/x", &computer.path_of(&second)]);
    assert!(done, "{log}");
    let programs = computer.drive_c().join("Program Files/Branchline");
    assert!(
        !programs.join("branchline-agent.exe").exists(),
        "the program is gone"
    );
    let service = computer.run(&["sc", "query", "BranchlineAgent"]);
    assert!(
        !text(&service.stdout).contains("RUNNING"),
        "the service is gone"
    );
    let data = computer.drive_c().join("ProgramData/Branchline");
    assert!(data.join("agent/journal.db").exists(), "the data stays");
    assert!(data.join("agent.toml").exists(), "the settings stay");
}

/// Where WebView2 says that it is installed for everybody, in the view of 32-bit programs.
const WEBVIEW2: &str =
    r"HKLM\SOFTWARE\Microsoft\EdgeUpdate\Clients\{F3017226-FE2A-4295-8BDF-00C3A9A7E4C5}";
const RUN: &str = r"HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Run";

/// Files of this name below a folder: Wine has start menus of its own.
fn named(folder: &Path, name: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => found.extend(named(&entry.path(), name)),
            Ok(_) if entry.file_name() == name => found.push(entry.path()),
            _ => {}
        }
    }
    found
}

#[test]
fn the_desktop_clients_msi_is_rolled_out_upgraded_and_removed() {
    let folder = sandbox();
    for file in ["branchline-desktop.exe", "WebView2Loader.dll"] {
        std::fs::write(folder.path().join(file), "a stand-in").expect("write a stand-in");
    }
    let program = folder.path().join("branchline-desktop.exe");
    let program = program.to_str().expect("a plain path");
    let options = ["--name", "desktop", "--program", program, "--version"];
    let [first, second] =
        VERSIONS.map(|version| build_msi(folder.path(), &[&options[..], &[version]].concat()));
    let computer = WineComputer::start();
    let programs = computer.drive_c().join("Program Files/Branchline/Desktop");
    let is_in_menu = || !named(&computer.drive_c(), "Branchline.lnk").is_empty();
    let starts_at_log_on = || {
        let run = computer.run(&["reg", "query", RUN, "/v", "Branchline"]);
        text(&run.stdout).contains("--at-log-on")
    };
    let try_to = |verb: &str, msi: &Path| msiexec(&computer, &[verb, &computer.path_of(msi)]).0;

    assert!(!try_to("/i", &first), "it is installed without WebView2");
    assert!(!programs.exists());
    let found = computer.run(&["reg", "add", WEBVIEW2, "/v", "pv", "/d", "120.0", "/reg:32"]);
    succeeded(&found);
    install(&computer, &first, &[]);
    assert!(programs.join("branchline-desktop.exe").exists());
    assert!(programs.join("WebView2Loader.dll").exists());
    assert!(is_in_menu(), "the start menu knows it");
    assert!(starts_at_log_on());

    install(&computer, &second, &[]);
    assert!(starts_at_log_on() && is_in_menu());
    assert!(!try_to("/i", &first), "a downgrade is refused");
    assert!(try_to("/x", &second));
    assert!(!programs.exists(), "the programs are gone");
    assert!(!is_in_menu() && !starts_at_log_on());

    install(&computer, &first, &["AUTOSTART=0"]);
    assert!(programs.join("branchline-desktop.exe").exists() && !starts_at_log_on());
}
