//! P5, untrusted until scanned, with a real clamd: stopped, killed, taught, too small; central killed at
//! each step of inspection; and what the operator's command line makes of it.

use std::path::Path;
use std::time::Duration;

use branchline_server::inspection::clamd::{Answer, Clamd as Client, Patience, ScanFault};
use harness::clamd::{Clamd, INFECTED, SIGNATURE};
use harness::processes::{Branch, Central, sandbox, succeeded, text, wait_for, wait_until};
use serde_json::Value;

async fn scan(client: &Client, bytes: &[u8]) -> Result<Answer, ScanFault> {
    let mut stream = client.begin().await?;
    if let Some(answer) = stream.send(bytes).await? {
        return Ok(answer);
    }
    stream.finish().await
}

#[tokio::test]
async fn the_client_and_a_real_clamd_understand_each_other() {
    let sandbox = sandbox();
    let mut clamd = Clamd::start_taking(sandbox.path(), 2_000_000);
    let patience = |seconds| Patience {
        answer: Duration::from_secs(seconds),
        scan: Duration::from_secs(seconds),
    };
    let client = Client::new(clamd.socket(), patience(30));
    client.ping().await.expect("it answers");
    let version = client.version().await.expect("a version");
    assert!(version.starts_with("ClamAV "), "{version}");
    assert_eq!(scan(&client, b"a letter").await, Ok(Answer::Clean));
    assert_eq!(scan(&client, b"").await, Ok(Answer::Clean));
    let infected = [b"a letter with a ", INFECTED].concat();
    let found = Ok(Answer::Infected(SIGNATURE.to_owned()));
    assert_eq!(scan(&client, &infected).await, found);
    assert_eq!(scan(&client, &vec![7; 1_900_000]).await, Ok(Answer::Clean));
    assert_eq!(
        scan(&client, &vec![7; 9_000_000]).await,
        Ok(Answer::TooLarge)
    );

    clamd.learn("Branchline.Letter", b"a letter");
    let found = Ok(Answer::Infected("Branchline.Letter.UNOFFICIAL".to_owned()));
    assert_eq!(scan(&client, b"a letter").await, found);

    let hasty = Client::new(clamd.socket(), patience(1));
    clamd.freeze(true);
    assert!(matches!(hasty.ping().await, Err(ScanFault::Away(_))));
    assert!(matches!(scan(&hasty, b"x").await, Err(ScanFault::Away(_))));
    clamd.freeze(false);
    let mut stream = client.begin().await.expect("a stream");
    stream.send(b"half of").await.expect("taken");
    clamd.kill();
    assert!(matches!(stream.finish().await, Err(ScanFault::Away(_))));
    assert!(matches!(client.begin().await, Err(ScanFault::Away(_))));
    clamd.run();
    assert_eq!(scan(&client, b"good").await, Ok(Answer::Clean));
}

/// Files below a folder.
fn files_below(folder: &Path) -> usize {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return 0;
    };
    entries
        .map(|entry| entry.expect("an entry").path())
        .map(|path| if path.is_dir() { files_below(&path) } else { 1 })
        .sum()
}

/// The exit code of getting a file's content, and what was said.
fn get(central: &Central, file: &Value, output: &Path) -> (Option<i32>, String) {
    let id = file["file"].as_str().expect("an id");
    let path = output.to_str().expect("a plain path");
    let output = central.cli(&["files", "get", id, "--output", path]);
    (
        output.status.code(),
        text(&output.stdout) + &text(&output.stderr),
    )
}

async fn branch_with(sandbox: &Path, central: &Central, files: &[(&str, &[u8])]) -> Branch {
    let mut branch = Branch::join(sandbox, central, "LYN", central.address);
    branch.start();
    let number = branch.file("With files").await.number.to_string();
    for (name, content) in files {
        let path = sandbox.join(name);
        std::fs::write(&path, content).expect("write a file");
        branch.attach(&number, &path);
    }
    branch
}

#[tokio::test]
async fn p5_central_killed_at_each_step_of_inspection_releases_nothing_early() {
    for (point, judged) in [
        ("inspection-begun", false),
        ("inspection-proven", false),
        ("inspection-assembled", false),
        ("inspection-settled", false),
        ("inspection-judged", true),
        ("inspection-followed", true),
    ] {
        let sandbox = sandbox();
        let clamd = Clamd::start(sandbox.path());
        let mut central = Central::init(sandbox.path());
        central.configure(&clamd.server_toml());
        let marker = sandbox.path().join("marker");
        let hold = format!("{point}={}", marker.display());
        central.set_environment("BRANCHLINE_HOLD_AT", &hold);
        central.start();
        let content = b"a letter, proven and scanned".repeat(5_000);
        let branch = branch_with(sandbox.path(), &central, &[("letter.txt", &content)]).await;
        wait_for(point, || marker.exists().then_some(()));
        let released = files_below(&central.vault().join("released"));
        let file = central.file("letter.txt").expect("it is known");
        assert_eq!(file["readable"], judged, "{point}: {file}");
        assert!(judged || released == 0, "{point}");
        if !judged {
            let early = get(&central, &file, &sandbox.path().join("early"));
            assert_eq!(early.0, Some(2), "{point}: {}", early.1);
        }
        central.kill();
        central.clear_environment();
        central.start();
        let file = central.wait_file("letter.txt", &["clean"]);
        let output = sandbox.path().join("content");
        let (code, said) = get(&central, &file, &output);
        assert_eq!(code, Some(0), "{point}: {said}");
        assert!(
            std::fs::read(&output).expect("content") == content,
            "{point}"
        );
        wait_for("incoming to be empty, or left to upkeep", || {
            (files_below(&central.vault().join("quarantine")) == 0).then_some(())
        });
        drop(branch);
    }
}

#[tokio::test]
async fn p5_the_operator_sees_and_decides() {
    let sandbox = sandbox();
    let mut central = Central::init(sandbox.path());
    central.start();
    let letter = b"a letter".repeat(1_000);
    let virus = [&letter, INFECTED].concat();
    let files: [(&str, &[u8]); 2] = [("letter.txt", &letter), ("virus.pdf", &virus)];
    let branch = branch_with(sandbox.path(), &central, &files).await;
    let held = central.wait_file("letter.txt", &["held"]);
    central.wait_file("virus.pdf", &["held"]);
    let id = held["file"].as_str().expect("an id");
    let output = sandbox.path().join("content");
    let (code, said) = get(&central, &held, &output);
    assert!(code == Some(2) && said.contains("held"), "{said}");
    assert_eq!(files_below(&central.vault().join("released")), 0);
    // A person decides, on record.
    let release = [
        "files",
        "release",
        id,
        "--by",
        "Ada",
        "--reason",
        "known sender",
    ];
    succeeded(&central.cli(&release));
    assert_eq!(central.cli(&release).status.code(), Some(2), "once");
    let shown = succeeded(&central.cli(&["files", "show", id]));
    assert!(shown.contains("by Ada: known sender"), "{shown}");
    assert_eq!(get(&central, &held, &output).0, Some(0));
    assert_eq!(std::fs::read(&output).expect("content"), letter);
    let (code, said) = get(&central, &held, &output);
    assert!(code == Some(2) && said.contains("exists"), "{said}");
    let part = sandbox.path().join("part");
    let part_path = part.to_str().expect("a plain path");
    succeeded(&central.cli(&["files", "get", id, "--range", "2-7", "--output", part_path]));
    assert_eq!(std::fs::read(&part).expect("part"), letter[2..8]);

    // A scanner comes; what was held is scanned.
    let clamd = Clamd::start(sandbox.path());
    central.stop();
    central.configure(&clamd.server_toml());
    central.start();
    succeeded(&central.cli(&["files", "rescan", "--all-held"]));
    let infected = central.wait_file("virus.pdf", &["infected"]);
    assert_eq!(infected["signature"], SIGNATURE);
    let bad = infected["file"].as_str().expect("an id");
    let refused = central.cli(&["files", "release", bad, "--by", "Ada", "--reason", "please"]);
    assert_eq!(refused.status.code(), Some(2));
    // Signatures improve; what a person released is found, and withdrawn.
    clamd.learn("Branchline.Letter", b"a letter");
    succeeded(&central.cli(&["files", "rescan", "--since", "2020-01-01"]));
    let found = central.wait_file("letter.txt", &["infected"]);
    assert_eq!(
        get(&central, &found, &sandbox.path().join("again")).0,
        Some(2)
    );
    wait_for("the file to be withdrawn", || {
        (files_below(&central.vault().join("released")) == 0).then_some(())
    });
    // The branch is told all of it.
    let client = branch.client();
    wait_until("the branch to know", || async {
        let status = client.status().await.ok()?;
        (status.waiting == 0).then_some(())
    })
    .await;

    let verified = succeeded(&central.cli(&["files", "verify"]));
    assert!(verified.contains("all as they should be"), "{verified}");
    let root = found["root"].as_str().expect("a root");
    let path = central
        .vault()
        .join("quarantine")
        .join(&root[..2])
        .join(root);
    let mut bytes = std::fs::read(&path).expect("the file in quarantine");
    bytes[100] ^= 1;
    std::fs::write(&path, bytes).expect("flip a bit");
    let verified = central.cli(&["files", "verify", "--json"]);
    assert_eq!(verified.status.code(), Some(3));
    assert!(
        text(&verified.stdout).contains(root),
        "{:?}",
        verified.stdout
    );
}
