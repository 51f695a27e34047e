//! P9, tickets outlive files: disks and quotas run full on either side. Files are refused or wait, with
//! words that say why; tickets are filed and arrive; and all goes on by itself when there is space again.
//!
//! The small disks are file systems in memory, in mounts that only this test sees; they take root.

use std::path::Path;

use harness::disks::{MIB, fill, small_disk, with_own_mounts};
use harness::middlebox::{Middlebox, Plan};
use harness::processes::{Branch, Central, sandbox, text, wait_for};
use harness::samples::incompressible;

async fn file_some(branch: &Branch, what: &str) {
    for ticket in 0..20 {
        branch.file(&format!("Ticket {ticket} while {what}")).await;
    }
}

/// `ticket attach` that must be refused, with these words.
fn refused(branch: &Branch, number: &str, path: &Path, words: &[&str]) {
    let output = branch.cli(&["ticket", "attach", number, path.to_str().expect("plain")]);
    let said = text(&output.stdout) + &text(&output.stderr);
    assert!(!output.status.success(), "{said}");
    for word in words {
        assert!(said.contains(word), "{said:?} does not say {word:?}");
    }
}

#[test]
fn a_full_disk_at_the_branch_refuses_files_and_takes_tickets() {
    with_own_mounts(|| async {
        let sandbox = sandbox();
        let mut central = Central::init(sandbox.path());
        central.start();
        let mut branch = Branch::join(sandbox.path(), &central, "LYN", central.address);
        branch.replace_data(|data| small_disk(data, 128));
        branch.configure(
            central.address,
            "journal_limit_mib = 16\n[files]\nreserve_mib = 32\nquota_mib = 1000",
        );
        branch.start();
        let number = branch.file("Files").await.number.to_string();
        let file = |name: &str, mib: u64, seed: u64| {
            let path = sandbox.path().join(name);
            incompressible(&path, mib * MIB, seed);
            path
        };
        branch.attach(&number, &file("before.bin", 4, 1));
        let filler = fill(&branch.data(), 30);
        let large = file("while-full.bin", 4, 2);
        refused(&branch, &number, &large, &["disk", "call IT"]);
        file_some(&branch, "the disk is full").await;
        branch.wait_drained().await;
        // A file that fills the disk while it is taken in leaves nothing behind.
        std::fs::remove_file(&filler).expect("make room");
        let too_large = file("too-large.bin", 120, 3);
        refused(&branch, &number, &too_large, &["disk"]);
        file_some(&branch, "one file is too large").await;
        branch.attach(&number, &large);
        branch.wait_drained().await;
        for name in ["before.bin", "while-full.bin"] {
            central.wait_file(name, &["held"]);
        }
        assert_eq!(central.files().len(), 2, "what was refused is nowhere");
        central.assert_equal(&branch);
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_quota_at_the_branch_refuses_files_until_earlier_ones_have_arrived() {
    let sandbox = sandbox();
    let mut central = Central::init(sandbox.path());
    let mut branch = Branch::join(sandbox.path(), &central, "LYN", central.address);
    branch.configure(
        central.address,
        "[files]\nquota_mib = 16\nreserve_mib = 1\nfile_mib = 64",
    );
    branch.start();
    let number = branch.file("Files").await.number.to_string();
    let file = |name: &str, mib: u64, seed: u64| {
        let path = sandbox.path().join(name);
        incompressible(&path, mib * MIB, seed);
        path
    };
    branch.attach(&number, &file("one.bin", 10, 1));
    let two = file("two.bin", 10, 2);
    refused(&branch, &number, &two, &["space for files"]);
    refused(&branch, &number, &file("huge.bin", 65, 3), &["64"]);
    file_some(&branch, "the quota is used up").await;
    assert_eq!(branch.status().await.waiting, 22);
    central.start();
    branch.wait_drained().await;
    central.wait_file("one.bin", &["held"]);
    wait_for("the quota to have room again", || {
        let path = two.to_str().expect("plain");
        let output = branch.cli(&["ticket", "attach", &number, path]);
        output.status.success().then_some(())
    });
    central.wait_file("two.bin", &["held"]);
}

#[test]
fn a_full_vault_lets_files_wait_and_tickets_through() {
    with_own_mounts(|| async {
        let sandbox = sandbox();
        let mut central = Central::init(sandbox.path());
        small_disk(&central.vault(), 128);
        central.configure("[files]\nreserve_mib = 32\n");
        let filler = fill(&central.vault(), 30);
        central.start();
        let mut branch = Branch::join(sandbox.path(), &central, "LYN", central.address);
        branch.start();
        let number = branch.file("Files").await.number.to_string();
        let path = sandbox.path().join("waiting.bin");
        incompressible(&path, 8 * MIB, 4);
        branch.attach(&number, &path);
        central.wait_file("waiting.bin", &["waiting"]);
        for round in 0..3 {
            file_some(&branch, &format!("the vault is full, {round}")).await;
            branch.wait_drained().await;
        }
        wait_for("central to say that its disk is full", || {
            central.log().contains("tickets go on").then_some(())
        });
        let file = central.file("waiting.bin").expect("it is known");
        assert_eq!(file["state"], "waiting", "{file}");
        // Somebody makes room: nobody has to be told.
        std::fs::remove_file(filler).expect("make room");
        central.wait_file("waiting.bin", &["held"]);
        central.assert_equal(&branch);
    });
}

#[test]
fn a_disk_that_central_shares_with_its_ledger_runs_full_for_files_first() {
    with_own_mounts(|| async {
        let sandbox = sandbox();
        small_disk(&sandbox.path().join("central"), 128);
        let mut central = Central::init(sandbox.path());
        central.configure("[files]\nreserve_mib = 64\n");
        central.start();
        let mut branch = Branch::join(sandbox.path(), &central, "LYN", central.address);
        branch.start();
        let number = branch.file("Files").await.number.to_string();
        // More than there is room for: what fits arrives, the rest waits, and nothing is lost.
        for seed in 0..10 {
            let path = sandbox.path().join(format!("file-{seed}.bin"));
            incompressible(&path, 8 * MIB, seed);
            branch.attach(&number, &path);
        }
        wait_for("central to say that its disk is full", || {
            central.log().contains("tickets go on").then_some(())
        });
        file_some(&branch, "central's disk is full").await;
        branch.wait_drained().await;
        let waiting = |central: &Central| {
            let files = central.files();
            files
                .iter()
                .filter(|file| file["state"] == "waiting")
                .count()
        };
        assert!(waiting(&central) > 0, "all of it fitted");
        central.assert_equal(&branch);
        central.kill();
        central.start();
        file_some(&branch, "central's disk is full and it was killed").await;
        branch.wait_drained().await;
        central.assert_equal(&branch);
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_quota_at_central_lets_files_wait_their_turn() {
    let sandbox = sandbox();
    let mut central = Central::init(sandbox.path());
    central.configure("[files]\nagent_files = 1\n");
    central.start();
    let middlebox = Middlebox::start(&central).await;
    // No chunk gets through, so that the first file stays under way.
    middlebox.set_rule(|heading| Plan {
        cut: heading.brings_chunks().then_some(100),
        ..Plan::default()
    });
    let mut branch = Branch::join(sandbox.path(), &central, "LYN", middlebox.address());
    branch.start();
    let number = branch.file("Files").await.number.to_string();
    let names: Vec<String> = (0..4).map(|seed| format!("file-{seed}.bin")).collect();
    for (seed, name) in names.iter().enumerate() {
        let path = sandbox.path().join(name);
        // One chunk each, so that all would fit one body.
        incompressible(&path, 3_000, seed as u64);
        branch.attach(&number, &path);
    }
    wait_for("the upload to begin", || {
        (!middlebox.carried().is_empty()).then_some(())
    });
    file_some(&branch, "the quota is used up").await;
    branch.wait_drained().await;
    assert!(
        central
            .files()
            .iter()
            .all(|file| file["state"] == "waiting")
    );
    middlebox.set_rule(|_| Plan::default());
    for name in &names {
        central.wait_file(name, &["held"]);
    }
    for body in middlebox.carried() {
        assert!(body.chunks.len() <= 1, "two files at once: {body:?}");
    }
    central.assert_equal(&branch);
}
