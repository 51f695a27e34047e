//! P5, untrusted until scanned, with a real scanner: whatever a file is short of clean, no route, no command
//! and no path gives its content away; and nobody who files waits for the scanner.

use std::path::Path;

use branchline_protocol::file::FileState;
use harness::clamd::{Clamd, INFECTED, SIGNATURE};
use harness::middlebox::{Middlebox, Plan};
use harness::processes::{Branch, Central, FILE_PATIENCE, sandbox, succeeded, text, wait_within};
use harness::raw_http::{Place, Request};
use harness::samples::{incompressible, root_of};
use serde_json::Value;

use super::hostile_bulk::{assert_taken, attach_as};
use super::hostile_ingress::Agent;
use super::p04_kills::files_below;

/// In the content of each file, and nowhere else.
const MARK: &str = "CONTENT-THAT-NOBODY-MAY-READ";

/// A file that holds the mark, this, and noise.
fn sample(folder: &Path, name: &str, content: &[u8], bytes: u64) -> std::path::PathBuf {
    let path = folder.join(name);
    incompressible(&path, bytes, fastrand::u64(..));
    let noise = std::fs::read(&path).expect("read");
    let whole = [MARK.as_bytes(), content, name.as_bytes(), &noise].concat();
    std::fs::write(&path, whole).expect("write");
    path
}

fn contains(bytes: &[u8], what: &str) -> bool {
    bytes
        .windows(what.len())
        .any(|window| window == what.as_bytes())
}

/// Whoever asks however for this file gets none of its content.
fn assert_unreadable(central: &Central, file: &Value, askers: &[Place]) {
    let what = format!("{} ({})", file["name"], file["state"]);
    let (id, root) = (word(file, "file"), word(file, "root"));
    assert_eq!(file["readable"], false, "{what}");
    by_command(central, &id, &what);
    by_route(&id, &root, askers, &what);
    on_disk(central, &root, &what);
}

fn word(file: &Value, member: &str) -> String {
    file[member].as_str().expect("a word").to_owned()
}

fn by_command(central: &Central, id: &str, what: &str) {
    let folder = sandbox();
    let target = folder.path().join("got");
    let target = target.to_str().expect("plain");
    for args in [
        &["files", "get", id, "--output", target][..],
        &["files", "get", id, "--output", target, "--range", "0-10"],
        &["files", "get", id, "--output", target, "--range", "5-"],
    ] {
        let output = central.cli(args);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{what}: {said}");
        assert!(said.contains("can be read"), "{what}: {said}");
    }
    let left = files_below(folder.path());
    assert!(left.is_empty(), "{what}: {left:?}");
    for args in [
        &["files", "show", id][..],
        &["files", "show", id, "--json"],
        &["files", "list", "--json"],
        &["files", "verify"],
    ] {
        let output = central.cli(args);
        let said = [output.stdout, output.stderr].concat();
        assert!(!contains(&said, MARK), "{what}: {args:?}");
    }
}

fn by_route(id: &str, root: &str, askers: &[Place], what: &str) {
    let paths = [
        format!("/v1/files/{id}"),
        format!("/v1/files/{id}/content"),
        format!("/v1/files/{root}"),
        format!("/v1/manifests/{id}"),
        format!("/v1/chunks/{root}"),
        format!("/v1/chunks?file={id}"),
        "/v1/manifests".to_owned(),
        "/v1/chunks".to_owned(),
        format!("/files/{id}"),
        format!("/vault/quarantine/{}/{root}", &root[..2]),
        format!("/v1/../vault/quarantine/{}/{root}", &root[..2]),
        format!("/%2e%2e/vault/released/{}/{root}", &root[..2]),
    ];
    for path in paths {
        for method in ["GET", "HEAD", "POST", "PROPFIND"] {
            for place in askers {
                let request = Request::new(method, &path)
                    .header("Branchline-Protocol", "1")
                    .header("Range", "bytes=0-99");
                let answer = request.ask(place).expect("central answers");
                assert!(
                    !(200..300).contains(&answer.status),
                    "{what}: {method} {path}: {}",
                    answer.text()
                );
                assert!(!contains(&answer.body, MARK), "{what}: {method} {path}");
            }
        }
    }
}

fn on_disk(central: &Central, root: &str, what: &str) {
    use std::os::unix::fs::PermissionsExt;
    let released = files_below(&central.vault().join("released"));
    for path in released {
        let name = path.file_name().expect("a name").to_string_lossy();
        assert_ne!(name, root, "{what} is released");
    }
    let mode = |path: &Path| {
        let metadata = std::fs::metadata(path).expect("it is there");
        metadata.permissions().mode() & 0o077
    };
    assert_eq!(mode(&central.vault()), 0, "{what}: others get at the vault");
    for path in files_below(&central.vault()) {
        // What is being written may be gone by now.
        if path.exists() {
            assert_eq!(mode(&path), 0, "{what}: others get at {}", path.display());
        }
    }
    for path in files_below(central.folder()) {
        if !path.starts_with(central.vault()) {
            let bytes = std::fs::read(&path).unwrap_or_default();
            assert!(!contains(&bytes, MARK), "{what}: in {}", path.display());
        }
    }
}

/// Who may ask: an agent of the branch that filed, one of another branch, and nobody.
fn askers(central: &Central) -> Vec<Place> {
    let own = Agent::register(central, "LYN");
    let other = Agent::register(central, "PAR");
    let nobody = own.nobodys_place();
    vec![own.place, other.place, nobody]
}

async fn attach(branch: &Branch, path: &Path) {
    let number = branch.file("With a file").await.number.to_string();
    branch.attach(&number, path);
}

fn release(central: &Central, id: &str) -> std::process::Output {
    let words = ["--by", "Paula", "--reason", "the till's maker sent it"];
    central.cli(&[&["files", "release", id][..], &words].concat())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_way_leads_to_a_file_without_a_clean_verdict() {
    let sandbox = sandbox();
    let folder = sandbox.path();
    let clamd = Clamd::start(folder);
    let mut central = Central::init(folder);
    central.configure(&format!("{}largest_mib = 1\n", clamd.server_toml()));
    central.start();
    let middlebox = Middlebox::start(&central).await;
    let mut branch = Branch::join(folder, &central, "LYN", middlebox.address());
    branch.start();
    let askers = askers(&central);

    attach(&branch, &sample(folder, "bad.exe", INFECTED, 5_000)).await;
    let infected = central.wait_file("bad.exe", &["infected"]);
    assert_eq!(infected["signature"], SIGNATURE);
    attach(&branch, &sample(folder, "huge.iso", b"", 1 << 21)).await;
    let too_large = central.wait_file("huge.iso", &["too_large"]);
    let mut liar = Agent::register(&central, "NCE");
    let content = [MARK.as_bytes(), b"corrupt"].concat();
    let size = content.len() as u64;
    let root = blake3::hash(b"another content").to_hex().to_string();
    let lie = attach_as(&mut liar, "lie.txt", size, root, vec![content]);
    assert_taken(&liar, &lie, "a lie");
    let corrupt = central.wait_file("lie.txt", &["corrupt"]);
    clamd.freeze(true);
    attach(&branch, &sample(folder, "scanned.pdf", b"", 5_000)).await;
    let scanning = central.wait_file("scanned.pdf", &["scanning"]);
    middlebox.set_rule(|heading| Plan {
        cut: heading.brings_chunks().then_some(60),
        ..Plan::default()
    });
    attach(&branch, &sample(folder, "late.pdf", b"", 5_000)).await;
    let waiting = central.wait_file("late.pdf", &["waiting"]);

    for file in [&infected, &too_large, &corrupt, &scanning, &waiting] {
        assert_unreadable(&central, file, &askers);
        if file["state"] != "too_large" {
            let refused = release(&central, &word(file, "file"));
            assert!(
                !refused.status.success(),
                "{file}: {}",
                text(&refused.stdout)
            );
            assert_unreadable(&central, file, &askers);
        }
    }
    // Central starts anew: nothing becomes readable by that.
    central.kill();
    central.start();
    for file in [&infected, &too_large, &corrupt, &scanning, &waiting] {
        assert_unreadable(&central, file, &askers);
    }
    clamd.freeze(false);
    middlebox.set_rule(|_| Plan::default());
    for name in ["scanned.pdf", "late.pdf"] {
        central.wait_file(name, &["clean"]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_verdict_comes_by_itself_however_the_scanner_behaves_meanwhile() {
    let sandbox = sandbox();
    let folder = sandbox.path();
    let mut clamd = Clamd::prepare(folder, "");
    let mut central = Central::init(folder);
    central.configure(&clamd.server_toml());
    central.start();
    let mut branch = Branch::join(folder, &central, "LYN", central.address);
    branch.start();
    // Not there yet.
    attach(&branch, &sample(folder, "before.pdf", b"", 9_000)).await;
    central.wait_file("before.pdf", &["received", "scanning"]);
    branch.file("Nobody waits for a scanner").await;
    branch.wait_drained().await;
    clamd.run();
    central.wait_file("before.pdf", &["clean"]);
    // It answers nothing, with a file in its hands; and is killed like that.
    clamd.freeze(true);
    attach(&branch, &sample(folder, "during.pdf", b"", 20_000_000)).await;
    attach(&branch, &sample(folder, "found.exe", INFECTED, 9_000)).await;
    for name in ["during.pdf", "found.exe"] {
        central.wait_file(name, &["received", "scanning"]);
    }
    branch.file("Nobody waits for a slow one either").await;
    branch.wait_drained().await;
    clamd.freeze(false);
    clamd.kill();
    clamd.run();
    central.wait_file("during.pdf", &["clean"]);
    central.wait_file("found.exe", &["infected"]);
    // Central is killed while it waits for the verdict.
    clamd.freeze(true);
    attach(&branch, &sample(folder, "again.pdf", b"", 9_000)).await;
    central.wait_file("again.pdf", &["scanning"]);
    central.kill();
    clamd.freeze(false);
    central.start();
    central.wait_file("again.pdf", &["clean"]);
    // What is clean can be read, whole.
    let file = central.file("during.pdf").expect("it is known");
    let copy = folder.join("copy");
    let to = copy.to_str().expect("plain");
    succeeded(&central.cli(&["files", "get", &word(&file, "file"), "--output", to]));
    assert_eq!(root_of(&copy), word(&file, "root"));
    wait_told(
        &branch,
        "found.exe",
        |state| matches!(state, FileState::Infected { signature } if signature == SIGNATURE),
    )
    .await;
    wait_told(&branch, "again.pdf", |state| *state == FileState::Clean).await;
    central.assert_equal(&branch);
}

/// Waits until the branch knows what became of a file.
async fn wait_told(branch: &Branch, name: &str, is_it: impl Fn(&FileState) -> bool) {
    let client = branch.client();
    harness::processes::wait_until(&format!("the branch to hear of {name}"), || async {
        let files = client.files(None, 50).await.ok()?.files;
        let file = files.into_iter().find(|file| file.name == name)?;
        is_it(&file.state?).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_releases_a_held_file_on_record_and_never_an_infected_one() {
    let sandbox = sandbox();
    let folder = sandbox.path();
    let mut central = Central::init(folder);
    central.start();
    let mut branch = Branch::join(folder, &central, "LYN", central.address);
    branch.start();
    let askers = askers(&central);
    for name in ["wanted.pdf", "doubtful.pdf"] {
        attach(&branch, &sample(folder, name, b"", 9_000)).await;
    }
    let wanted = central.wait_file("wanted.pdf", &["held"]);
    let doubtful = central.wait_file("doubtful.pdf", &["held"]);
    for file in [&wanted, &doubtful] {
        assert_unreadable(&central, file, &askers);
    }
    let id = word(&wanted, "file");
    // Nobody, and for no reason, is no record.
    for words in [
        ["--by", "", "--reason", "x"],
        ["--by", "x", "--reason", " "],
    ] {
        let refused = central.cli(&[&["files", "release", &id][..], &words].concat());
        assert!(!refused.status.success(), "{words:?}");
    }
    assert_unreadable(&central, &wanted, &askers);
    succeeded(&release(&central, &id));
    let released = central.wait_file("wanted.pdf", &["released"]);
    assert_eq!(released["released"]["by"], "Paula", "{released}");
    assert_eq!(released["readable"], true);
    let copy = folder.join("copy");
    let to = copy.to_str().expect("plain");
    succeeded(&central.cli(&["files", "get", &id, "--output", to]));
    assert_eq!(root_of(&copy), word(&wanted, "root"));
    wait_told(
        &branch,
        "wanted.pdf",
        |state| matches!(state, FileState::Released { by, .. } if by == "Paula"),
    )
    .await;
    assert_unreadable(&central, &doubtful, &askers);
    // A scanner comes: what is found is nobody's to release, whatever was released before.
    let clamd = Clamd::start(folder);
    clamd.learn("Late.Finding", MARK.as_bytes());
    central.stop();
    central.configure(&clamd.server_toml());
    central.start();
    for file in [&wanted, &doubtful] {
        succeeded(&central.cli(&["files", "rescan", &word(file, "file")]));
    }
    for name in ["wanted.pdf", "doubtful.pdf"] {
        let infected = central.wait_file(name, &["infected"]);
        assert!(!release(&central, &word(&infected, "file")).status.success());
        assert_unreadable(&central, &infected, &askers);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn better_signatures_withdraw_what_was_clean() {
    let sandbox = sandbox();
    let folder = sandbox.path();
    let clamd = Clamd::start(folder);
    let mut central = Central::init(folder);
    central.configure(&clamd.server_toml());
    central.start();
    let mut branch = Branch::join(folder, &central, "LYN", central.address);
    branch.start();
    let askers = askers(&central);
    let path = sample(folder, "sleeper.doc", b"A-LATE-DISCOVERY", 9_000);
    attach(&branch, &path).await;
    attach(&branch, &sample(folder, "harmless.doc", b"", 9_000)).await;
    let clean = central.wait_file("sleeper.doc", &["clean"]);
    central.wait_file("harmless.doc", &["clean"]);
    // The same content under another name, judged on its own.
    let twin = folder.join("twin.doc");
    std::fs::copy(&path, &twin).expect("copy");
    attach(&branch, &twin).await;
    central.wait_file("twin.doc", &["clean"]);
    let released = central.vault().join("released");
    assert_eq!(files_below(&released).len(), 2, "one for each content");

    clamd.learn("Late.Finding", b"A-LATE-DISCOVERY");
    succeeded(&central.cli(&["files", "rescan", &word(&clean, "file")]));
    for name in ["sleeper.doc", "twin.doc"] {
        let infected = central.wait_file(name, &["infected"]);
        assert_eq!(infected["signature"], "Late.Finding.UNOFFICIAL");
        wait_within(FILE_PATIENCE, "the content to be withdrawn", || {
            (files_below(&released).len() == 1).then_some(())
        });
        assert_unreadable(&central, &infected, &askers);
        wait_told(&branch, name, |state| {
            matches!(state, FileState::Infected { .. })
        })
        .await;
    }
    assert_eq!(
        central.file("harmless.doc").expect("known")["state"],
        "clean"
    );
}
