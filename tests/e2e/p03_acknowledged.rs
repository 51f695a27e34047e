//! P3, an acknowledgement is a durable fact: central is killed before and after its commit, and a
//! branch that was told "received" never has to take it back.

use harness::processes::{Branch, Central, sandbox, wait_for};

async fn killed_at(point: &str) {
    let sandbox = sandbox();
    let mut central = Central::init(sandbox.path());
    let mut branch = Branch::join(sandbox.path(), &central, "LYN", central.address);
    branch.start();
    for n in 0..5 {
        branch.file(&format!("Ticket {n}")).await;
    }
    let marker = sandbox.path().join("marker");
    central.set_environment(
        "BRANCHLINE_HOLD_AT",
        &format!("{point}={}", marker.display()),
    );
    central.start();
    wait_for(point, || marker.exists().then_some(()));
    assert_eq!(
        branch.status().await.waiting,
        5,
        "{point}: acknowledged without a reply"
    );
    central.kill();

    central.clear_environment();
    central.start();
    branch.wait_drained().await;
    let said = central.assert_equal(&branch);
    assert!(said.contains("5 operations at the branch"), "{said}");
}

#[tokio::test]
async fn central_killed_before_its_commit() {
    killed_at("append-before-commit").await;
}

#[tokio::test]
async fn central_killed_after_its_commit_and_before_the_reply() {
    killed_at("append-committed").await;
}

/// The agent's half: killed between central's reply and its own record of it.
#[tokio::test]
async fn an_agent_killed_before_it_kept_the_acknowledgement_asks_again() {
    for point in ["acknowledgement-received", "acknowledgement-committed"] {
        let sandbox = sandbox();
        let mut central = Central::init(sandbox.path());
        let mut branch = Branch::join(sandbox.path(), &central, "LYN", central.address);
        let marker = branch.folder().join("marker");
        branch.set_environment(
            "BRANCHLINE_HOLD_AT",
            &format!("{point}={}", marker.display()),
        );
        branch.start();
        branch.file("One").await;
        central.start();
        wait_for(point, || marker.exists().then_some(()));
        branch.kill();
        branch.clear_environment();
        branch.start();
        branch.wait_drained().await;
        central.assert_equal(&branch);
    }
}
