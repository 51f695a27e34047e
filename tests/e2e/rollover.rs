//! Central's own certificates change, and nobody visits a branch: another root, a server certificate
//! renewed while agents are at work; and tokens that lead to another server than their own.

use std::path::PathBuf;
use std::time::Duration;

use branchline_protocol::enrolment::{Secret, Token};
use harness::processes::{Branch, Central, sandbox, succeeded, text, wait_within};
use serde_json::Value;

use crate::enrolment::agents;

const DAY: i64 = 24 * 3_600;
/// A renewal may wait for a held request to end, and for another process's turn.
const PATIENCE: Duration = Duration::from_secs(90);

fn status(central: &Central) -> Value {
    let said = succeeded(&central.cli(&["cert", "status", "--json"]));
    serde_json::from_str(&said).expect("JSON")
}

/// SHA-256 of the certificate that the server shows.
fn shown(central: &Central) -> String {
    status(central)["certificates"][0]["sha256"].to_string()
}

/// Which trust bundle a branch's identity holds.
fn trust_at(branch: &Branch) -> u64 {
    let identity = std::fs::read(branch.data().join("identity.json")).expect("an identity");
    let identity: Value = serde_json::from_slice(&identity).expect("JSON");
    let identity = match identity.get("trust") {
        Some(_) => &identity,
        None => &identity["identity"],
    };
    identity["trust"]["serial"].as_u64().expect("a serial")
}

fn wait_heard(branch: &Branch, serial: u64) {
    wait_within(PATIENCE, "a branch to hear whom to trust", || {
        (trust_at(branch) == serial).then_some(())
    });
}

/// Files a ticket and sees it arrive.
async fn works(central: &Central, branch: &Branch, subject: &str) {
    branch.file(subject).await;
    branch.wait_drained().await;
    central.assert_equal(branch);
}

/// Enrolments that came as far as being refused in words.
fn refused(central: &Central) -> i64 {
    let ledger = central.folder().join("ledger.db");
    let ledger = rusqlite::Connection::open(ledger).expect("open the ledger");
    let count = "SELECT COUNT(*) FROM trail WHERE action = 'enrolment-refused'";
    ledger
        .query_row(count, [], |row| row.get(0))
        .expect("read the trail")
}

/// Takes a root's key off the machine.
fn away(sandbox: &std::path::Path, central: &Central, number: u32) -> String {
    let name = format!("root-{number}.key");
    let safe: PathBuf = sandbox.join(&name);
    std::fs::rename(central.folder().join("authority").join(name), &safe).expect("move the key");
    safe.to_str().expect("a plain path").to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_root_changes_while_one_branch_works_and_another_is_away() {
    let sandbox = sandbox();
    let mut central = Central::init(sandbox.path());
    central.start();
    let mut here = Branch::join(sandbox.path(), &central, "LYN", central.address);
    let mut gone = Branch::join(sandbox.path(), &central, "PAR", central.address);
    for branch in [&mut here, &mut gone] {
        branch.start();
        works(&central, branch, "Before").await;
    }
    gone.file("On the way out").await;
    gone.stop();

    let first = away(sandbox.path(), &central, 1);
    succeeded(&central.cli(&["cert", "next-root", "--root-key", &first]));
    let second = away(sandbox.path(), &central, 2);
    wait_heard(&here, 2);
    works(&central, &here, "Told").await;
    let old = shown(&central);
    succeeded(&central.cli(&["cert", "switch"]));
    assert_ne!(shown(&central), old);
    // Over new connections, to the server as it is now.
    here.stop();
    here.start();
    works(&central, &here, "Switched").await;
    central.stop();
    central.start();

    // It comes back knowing the old root alone.
    assert_eq!(trust_at(&gone), 1);
    gone.start();
    works(&central, &gone, "Back").await;
    wait_heard(&gone, 2);

    // What they have to show is still from the old root.
    let retire = ["cert", "retire-old", "--root-key", &second];
    let refused = central.cli(&retire);
    let said = text(&refused.stderr);
    assert_eq!(refused.status.code(), Some(75), "{said}");
    assert!(said.contains("LYN") && said.contains("PAR"), "{said}");

    // Until they have renewed, as they do by themselves.
    central.stop();
    central.set_clock(80 * DAY);
    central.start();
    for branch in [&mut here, &mut gone] {
        branch.stop();
        branch.set_clock(80 * DAY);
        branch.start();
    }
    wait_within(PATIENCE, "all agents to renew", || {
        central.cli(&retire).status.success().then_some(())
    });
    for branch in [&mut here, &mut gone] {
        wait_heard(branch, 3);
        branch.stop();
        branch.start();
        works(&central, branch, "After all").await;
    }
    assert_eq!(agents(&central).len(), 2);
    let trusted = status(&central);
    assert_eq!(trusted["trusted"].as_array().map(Vec::len), Some(1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_servers_certificate_is_renewed_while_an_agent_works() {
    let sandbox = sandbox();
    let mut central = Central::init(sandbox.path());
    central.start();
    let mut branch = Branch::join(sandbox.path(), &central, "LYN", central.address);
    branch.start();
    works(&central, &branch, "Before").await;
    branch.stop();
    central.stop();
    let first = shown(&central);

    // Two thirds of the server's certificate have gone by; the agent's own has ended meanwhile.
    central.set_clock(270 * DAY);
    branch.set_clock(270 * DAY);
    central.start();
    branch.start();
    works(&central, &branch, "During").await;
    wait_within(PATIENCE, "the server to renew its certificate", || {
        (shown(&central) != first).then_some(())
    });
    works(&central, &branch, "After").await;
    branch.stop();
    branch.start();
    works(&central, &branch, "Over a new connection").await;
    assert_eq!(agents(&central).len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_of_another_server_gives_nothing_and_costs_nothing() {
    let place = sandbox();
    let mut central = Central::init(place.path());
    central.start();
    let elsewhere = sandbox();
    let mut other = Central::init(elsewhere.path());
    other.start();
    let ours: Token = central.token("LYN").parse().expect("a token");
    let theirs: Token = other.token("LYN").parse().expect("a token");
    let mut branch = Branch::strange(place.path(), "LYN");
    branch.configure_as_enrolled("");

    // The first two are not even shown to the wrong server; the others are refused by the right one.
    for (what, shown, token) in [
        (
            "their token, led to us",
            0,
            Token {
                url: ours.url.clone(),
                ..theirs.clone()
            },
        ),
        (
            "our token, led to them",
            0,
            Token {
                url: theirs.url.clone(),
                ..ours.clone()
            },
        ),
        (
            "their secret under our name",
            1,
            Token {
                secret: theirs.secret.clone(),
                ..ours.clone()
            },
        ),
        (
            "a made-up secret",
            2,
            Token {
                secret: Secret::from_bytes([7; 32]),
                ..ours.clone()
            },
        ),
    ] {
        let output = branch.cli(&["enroll", &token.to_string()]);
        let said = text(&output.stderr);
        assert!(!output.status.success(), "{what}: {said}");
        assert!(!said.is_empty(), "{what}");
        assert_eq!(agents(&central).len() + agents(&other).len(), 0, "{what}");
        assert_eq!((refused(&central), refused(&other)), (shown, 0), "{what}");
    }
    succeeded(&branch.cli(&["enroll", &ours.to_string()]));
    branch.start();
    works(&central, &branch, "With the right one").await;
}
