//! P4, bytes are proven: bits flipped on the way, on the branch's disk, and in each place of the vault.
//! Each is found and named; it heals where the good bytes still are; and nobody ever reads a wrong byte.

use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;

use branchline_agent_api::Upload;
use branchline_protocol::file::FileFault;
use harness::middlebox::{Middlebox, Plan};
use harness::processes::{
    Branch, Central, FILE_PATIENCE, sandbox, succeeded, text, wait_for, wait_within,
};
use harness::samples::{incompressible, log_lines, root_of};
use rusqlite::Connection;

use super::p04_kills::{assert_quarantined, files_below};

const MB: u64 = 1_000_000;

/// Flips a bit of a file in place, as decay does.
fn flip(path: &Path, at: u64) {
    let mut file = std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open(path)
        .expect("open a file of the vault");
    let mut byte = [0];
    file.seek(SeekFrom::Start(at)).expect("seek");
    file.read_exact(&mut byte).expect("read");
    file.seek(SeekFrom::Start(at)).expect("seek");
    file.write_all(&[byte[0] ^ 0x10]).expect("write");
}

/// Flips a bit in the middle of some chunk's bytes in the agent's store.
fn flip_a_chunk(branch: &Branch, random: &mut fastrand::Rng) {
    let store = Connection::open(branch.data().join("chunks.db")).expect("open the store");
    let chunks: i64 = store
        .query_row("SELECT count(*) FROM chunk", [], |row| row.get(0))
        .expect("count");
    let (id, mut bytes): (i64, Vec<u8>) = store
        .query_row(
            "SELECT id, bytes FROM chunk ORDER BY id LIMIT 1 OFFSET ?1",
            [random.i64(0..chunks)],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .expect("find a chunk");
    let at = random.usize(..bytes.len());
    bytes[at] ^= 1 << random.u8(..8);
    store
        .execute("UPDATE chunk SET bytes = ?1 WHERE id = ?2", (bytes, id))
        .expect("flip");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bits_flipped_on_the_way_never_reach_a_file() {
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let sandbox = sandbox();
    let mut central = Central::init(sandbox.path());
    central.start();
    let middlebox = Middlebox::start(&central).await;
    let mut random = fastrand::Rng::with_seed(seed);
    // The first requests of each kind are hit surely, and then every third.
    let (mut bulk, mut hit) = (0_u64, 0_u64);
    middlebox.set_rule(move |heading| {
        let is_bulk = heading.brings_chunks() || heading.target == "/v1/manifests";
        let mut plan = Plan::default();
        if is_bulk && heading.length > 0 {
            bulk += 1;
            if hit < 20 && (bulk <= 4 || random.u8(..3) == 0) {
                hit += 1;
                if random.u8(..4) == 0 {
                    plan.flip_reply = Some(random.usize(..10_000));
                } else {
                    plan.flip = Some(random.usize(..heading.length));
                }
            }
        }
        plan
    });
    let mut branch = Branch::join(sandbox.path(), &central, "LYN", middlebox.address());
    branch.start();
    let number = branch
        .file("Files over a bad line")
        .await
        .number
        .to_string();
    let (noise, log) = (
        sandbox.path().join("noise.bin"),
        sandbox.path().join("till.log"),
    );
    incompressible(&noise, 8 * MB, seed);
    log_lines(&log, 4 * MB, seed % 1_000);
    for path in [&noise, &log] {
        branch.attach(&number, path);
    }
    for (name, path) in [("noise.bin", &noise), ("till.log", &log)] {
        central.wait_file(name, &["held"]);
        assert_quarantined(&central, path);
    }
    let refused = central.log().matches("problem:damaged").count();
    println!("{refused} announcements were damaged");
    central.assert_equal(&branch);
}

/// A chunk that decays before central has it: its file is named, the others go on, and attaching it
/// again heals it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_chunk_that_decays_on_the_branchs_disk_is_named_and_healed_by_the_next_copy() {
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let sandbox = sandbox();
    let mut central = Central::init(sandbox.path());
    let mut branch = Branch::join(sandbox.path(), &central, "LYN", central.address);
    branch.start();
    let number = branch.file("Files on a bad disk").await.number.to_string();
    let decays = sandbox.path().join("decays.bin");
    incompressible(&decays, 3 * MB, seed);
    branch.attach(&number, &decays);
    branch.stop();
    succeeded(&branch.cli(&["queue", "verify"]));
    flip_a_chunk(&branch, &mut random);
    let verified = branch.cli(&["queue", "verify"]);
    let said = text(&verified.stdout);
    assert!(!verified.status.success(), "{said}");
    assert!(said.contains("damaged: decays.bin"), "{said}");
    assert!(said.contains(FileFault::BranchDamaged.advice()), "{said}");
    branch.start();
    // The running agent has the file for itself from its first look at it on, and says so.
    let had = harness::processes::wait_until("the agent to have its chunks", || async {
        let verified = branch.cli(&["queue", "verify"]);
        text(&verified.stdout)
            .contains("stop the agent")
            .then_some(verified)
    });
    succeeded(&had.await);
    let sound = sandbox.path().join("sound.bin");
    incompressible(&sound, 3 * MB, seed + 1);
    branch.attach(&number, &sound);
    central.start();
    branch.wait_drained().await;
    // The others are not held up by it (P6).
    central.wait_file("sound.bin", &["held"]);
    let client = branch.client();
    let damaged = harness::processes::wait_until("the damage to be named", || async {
        let files = client.files(None, 10).await.ok()?.files;
        files
            .into_iter()
            .find(|file| file.name == "decays.bin" && file.upload == Upload::Damaged)
    })
    .await;
    assert_eq!(damaged.fault, Some(FileFault::BranchDamaged));
    assert!(succeeded(&branch.cli(&["files", "list"])).contains("damaged"));
    let file = central.file("decays.bin").expect("its operation arrived");
    assert_eq!(file["state"], "waiting", "{file}");
    // Whoever has the good bytes attaches them again: both are whole.
    let again = sandbox.path().join("again.bin");
    std::fs::copy(&decays, &again).expect("copy");
    branch.attach(&number, &again);
    for name in ["again.bin", "decays.bin"] {
        central.wait_file(name, &["held"]);
    }
    assert_quarantined(&central, &decays);
    central.assert_equal(&branch);
}

/// What the doctor says of files, by the name of its step: the result and the words.
fn doctor_on_files(branch: &Branch) -> (String, String) {
    let output = branch.cli(&["doctor", "--json"]);
    let findings: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let findings = findings.as_array().expect("findings");
    let files = findings.iter().find(|finding| finding["step"] == "files");
    let files = files.expect("a step for files");
    let word = |name: &str| files[name].as_str().unwrap_or_default().to_owned();
    (word("result"), word("words") + " " + &word("advice"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_doctor_says_which_files_are_not_whole_and_what_to_do() {
    let sandbox = sandbox();
    let central = Central::init(sandbox.path());
    let mut branch = Branch::join(sandbox.path(), &central, "LYN", central.address);
    branch.start();
    let number = branch.file("Files on a bad disk").await.number.to_string();
    for (seed, name) in [(1, "whole.bin"), (2, "lacking.bin")] {
        let path = sandbox.path().join(name);
        incompressible(&path, MB, seed);
        branch.attach(&number, &path);
    }
    assert_eq!(doctor_on_files(&branch).0, "good");
    branch.stop();
    assert_eq!(doctor_on_files(&branch).0, "good");
    let chunks = branch.data().join("chunks.db");
    let store = Connection::open(&chunks).expect("open the store");
    let lost = "DELETE FROM chunk WHERE id = (SELECT max(id) FROM chunk)";
    store.execute(lost, []).expect("lose a chunk");
    drop(store);
    let (result, words) = doctor_on_files(&branch);
    assert_eq!(result, "bad", "{words}");
    assert!(
        words.contains("1 of 2") && words.contains("attach them again"),
        "{words}"
    );
    let verified = text(&branch.cli(&["queue", "verify"]).stdout);
    assert!(verified.contains("missing: lacking.bin"), "{verified}");
    // No database any more, and then none at all.
    std::fs::write(&chunks, vec![0xee; 100_000]).expect("overwrite the store");
    for _ in 0..2 {
        let (result, words) = doctor_on_files(&branch);
        assert_eq!(result, "bad", "{words}");
        let verified = branch.cli(&["queue", "verify"]);
        let said = text(&verified.stdout);
        assert!(
            !verified.status.success() && said.contains("call IT"),
            "{said}"
        );
        let _ = std::fs::remove_file(&chunks);
    }
}

/// Objects that decay before inspection has read them: the branch sends what is lost again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_object_that_decays_in_the_vault_is_named_and_sent_again() {
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let sandbox = sandbox();
    let mut central = Central::init(sandbox.path());
    central.start();
    let middlebox = Middlebox::start(&central).await;
    middlebox.set_rate(Some(MB));
    let mut branch = Branch::join(sandbox.path(), &central, "LYN", middlebox.address());
    branch.start();
    let number = branch
        .file("A file for a bad vault")
        .await
        .number
        .to_string();
    let path = sandbox.path().join("decays.bin");
    incompressible(&path, 12 * MB, seed);
    branch.attach(&number, &path);
    let incoming = central.vault().join("incoming");
    wait_for("some objects", || {
        (files_below(&incoming).len() >= 3).then_some(())
    });
    let objects = files_below(&incoming);
    let file = central.file("decays.bin").expect("it is known");
    assert_eq!(file["state"], "waiting", "it is whole already: {file}");
    // One decays, one is cut short, one is gone.
    let size = |path: &Path| std::fs::metadata(path).expect("an object").len();
    flip(&objects[0], random.u64(..size(&objects[0])));
    let cut = std::fs::OpenOptions::new().write(true).open(&objects[1]);
    let cut = cut.and_then(|file| file.set_len(random.u64(..size(&objects[1]))));
    cut.expect("cut an object");
    std::fs::remove_file(&objects[2]).expect("remove an object");
    middlebox.set_rate(None);
    central.wait_file("decays.bin", &["held"]);
    assert_quarantined(&central, &path);
    let log = central.log();
    for object in &objects[..3] {
        let name = object.file_name().expect("a name").to_string_lossy();
        assert!(log.contains(&*name), "{name} is not named");
    }
    central.assert_equal(&branch);
}

/// What decays when the branch may have given its copy up: it is named, and no wrong byte is handed out.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_decays_in_the_vault_is_never_read_wrong() {
    let sandbox = sandbox();
    let mut central = Central::init(sandbox.path());
    central.start();
    let mut branch = Branch::join(sandbox.path(), &central, "LYN", central.address);
    branch.start();
    let number = branch.file("Files in a bad vault").await.number.to_string();
    let path = sandbox.path().join("quarantined.bin");
    incompressible(&path, 2 * MB, 3);
    branch.attach(&number, &path);
    let held = central.wait_file("quarantined.bin", &["held"]);
    let id = held["file"].as_str().expect("an id").to_owned();
    let root = root_of(&path);
    let on = |shelf: &str| central.vault().join(shelf).join(&root[..2]).join(&root);
    let copy = sandbox.path().join("copy");
    let read = || {
        let to = copy.to_str().expect("plain");
        central.cli(&["files", "get", &id, "--output", to])
    };
    let release = |id: &str| {
        let words = ["--by", "Paula", "--reason", "it is a test"];
        central.cli(&[&["files", "release", id][..], &words].concat())
    };
    // In quarantine: what decayed is not released.
    flip(&on("quarantine"), MB);
    let refused = release(&id);
    assert!(!refused.status.success(), "{}", text(&refused.stdout));
    assert!(!on("released").exists(), "a damaged file was released");
    assert!(!read().status.success());
    flip(&on("quarantine"), MB);
    succeeded(&release(&id));
    succeeded(&read());
    assert_eq!(root_of(&copy), root);
    // Among the released: everything before the damage may come, nothing from there on.
    for at in [0, MB, 2 * MB - 1] {
        let _ = std::fs::remove_file(&copy);
        flip(&on("released"), at);
        let output = read();
        let said = text(&output.stderr);
        assert!(
            !output.status.success() && said.contains("damaged"),
            "{said}"
        );
        if let Ok(got) = std::fs::read(&copy) {
            let whole = std::fs::read(&path).expect("read");
            assert!(whole.starts_with(&got), "wrong bytes were handed out");
        }
        flip(&on("released"), at);
        succeeded(&read());
        assert_eq!(root_of(&copy), root);
    }
    // Damaged for good: the branch attaches it again, and the good copy takes its place.
    flip(&on("released"), MB);
    let verified = central.cli(&["files", "verify"]);
    let said = text(&verified.stdout);
    assert!(
        !verified.status.success() && said.contains("LOST"),
        "{said}"
    );
    assert!(said.contains("call IT: restore"), "{said}");
    let again = sandbox.path().join("again.bin");
    std::fs::copy(&path, &again).expect("copy");
    branch.attach(&number, &again);
    let good = central.wait_file("again.bin", &["held"]);
    succeeded(&release(good["file"].as_str().expect("an id")));
    wait_within(FILE_PATIENCE, "the good copy to take its place", || {
        let _ = std::fs::remove_file(&copy);
        (read().status.success() && root_of(&copy) == root).then_some(())
    });
}
