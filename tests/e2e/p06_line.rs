//! P6, nothing blocks the line: operations that central cannot accept, and rows that the disk damaged,
//! in the middle of others.

use branchline_agent_api::{Delivery, LinkState};
use harness::journal;
use harness::processes::{Branch, Central, sandbox, succeeded, text, wait_until};

#[tokio::test]
async fn a_rejected_operation_among_a_hundred_is_shown_and_the_others_arrive() {
    let sandbox = sandbox();
    let mut central = Central::init(sandbox.path());
    let mut branch = Branch::join(sandbox.path(), &central, "LYN", central.address);
    branch.start();
    for n in 0..50 {
        branch.file(&format!("Before {n}")).await;
    }
    let broken = branch.file("Made invalid in the journal").await;
    let newer = branch.file("Becomes an operation of a newer agent").await;
    for n in 0..50 {
        branch.file(&format!("After {n}")).await;
    }
    branch.stop();
    // A newer agent's idea of a ticket: a priority that this central does not know, and a kind that
    // it has never heard of.
    journal::rewrite(&branch.journal(), broken.operation, |text| {
        text.replace(r#""priority":"normal""#, r#""priority":"whenever""#)
    });
    journal::rewrite(&branch.journal(), newer.operation, |text| {
        text.replace(r#""kind":"ticket_filed""#, r#""kind":"ticket_imagined""#)
    });
    central.start();
    branch.start();
    let status = branch.wait_drained().await;
    assert_eq!(status.rejected, 2);
    assert_eq!(status.link.state, LinkState::Connected);

    let shown = |saved: branchline_agent_api::OperationSaved| {
        let client = branch.client();
        async move { client.ticket(&saved.number).await.unwrap().summary.delivery }
    };
    let Delivery::Rejected { reason } = shown(broken).await else {
        panic!("not shown as rejected")
    };
    assert!(reason.detail.contains("whenever"), "{reason:?}");
    let Delivery::Rejected { reason } = shown(newer.clone()).await else {
        panic!("not rejected")
    };
    assert!(reason.detail.contains("ticket_imagined"), "{reason:?}");
    let said = succeeded(&branch.cli(&["ticket", "show", &newer.number.to_string()]));
    assert!(said.contains("not accepted by central"), "{said}");

    let listed = succeeded(&central.cli(&["tickets", "list", "--limit", "200", "--json"]));
    assert_eq!(listed.matches("LYN-").count(), 100, "{listed}");
    central.assert_equal(&branch);
}

/// The row's copy in the branch's view is sound: it heals the journal, and nobody notices.
#[tokio::test]
async fn a_damaged_row_is_healed_from_its_copy() {
    let sandbox = sandbox();
    let mut central = Central::init(sandbox.path());
    let mut branch = Branch::join(sandbox.path(), &central, "LYN", central.address);
    branch.start();
    let mut saved = Vec::new();
    for n in 0..20 {
        saved.push(branch.file(&format!("Ticket {n}")).await);
    }
    branch.stop();
    journal::decay(&branch.journal(), "operation", saved[7].operation);
    let verified = branch.cli(&["queue", "verify"]);
    assert_eq!(
        verified.status.code(),
        Some(3),
        "{}",
        text(&verified.stdout)
    );
    central.start();
    branch.start();
    let status = branch.wait_drained().await;
    assert_eq!((status.damaged, status.rejected), (0, 0));
    central.assert_equal(&branch);
    let listed = succeeded(&central.cli(&["tickets", "list", "--limit", "200", "--json"]));
    assert_eq!(listed.matches("LYN-").count(), 20);
}

#[tokio::test]
async fn rows_damaged_beyond_healing_are_set_aside_and_the_rest_goes_on() {
    let sandbox = sandbox();
    let mut central = Central::init(sandbox.path());
    let mut branch = Branch::join(sandbox.path(), &central, "LYN", central.address);
    branch.start();
    let mut saved = Vec::new();
    for n in 0..20 {
        saved.push(branch.file(&format!("Ticket {n}")).await);
    }
    branch.stop();
    for n in [7, 8, 15] {
        journal::decay(&branch.journal(), "operation", saved[n].operation);
        journal::decay(&branch.journal(), "ticket", saved[n].operation);
    }
    central.start();
    branch.start();
    let status = branch.wait_drained().await;
    assert_eq!(status.damaged, 3);
    let listed = succeeded(&central.cli(&["tickets", "list", "--limit", "200", "--json"]));
    for (n, saved) in saved.iter().enumerate() {
        let arrived = listed.contains(&format!("\"{}\"", saved.number));
        assert_eq!(arrived, ![7, 8, 15].contains(&n), "ticket {n}");
    }
    // Filing goes on, and arrives.
    let after = branch.file("After the damage").await;
    branch.wait_drained().await;
    let listed = succeeded(&central.cli(&["tickets", "list", "--limit", "200", "--json"]));
    assert!(listed.contains(&format!("\"{}\"", after.number)));
    // The audit names what the branch itself lost, and nothing else is amiss.
    let (code, said) = central.audit(&branch);
    assert_eq!(code, Some(3), "{said}");
    assert!(said.contains("2 damaged at the branch") && said.contains("1 damaged at the branch"));
    assert!(
        said.lines()
            .all(|line| line.contains("0 lost, 0 twice, 0 out of order")),
        "{said}"
    );
    assert!(succeeded(&branch.cli(&["status"])).contains("Damaged"));
}

/// Pages overwritten in the middle of the file, as a dying disk does: the agent starts all the same.
#[tokio::test]
async fn an_agent_starts_on_a_journal_whose_pages_are_gone() {
    for (name, from_permille) in [("the header", 0), ("the middle", 500), ("the end", 950)] {
        let sandbox = sandbox();
        let mut central = Central::init(sandbox.path());
        let mut branch = Branch::join(sandbox.path(), &central, "LYN", central.address);
        branch.start();
        for n in 0..120 {
            branch.file(&format!("Ticket {n}")).await;
        }
        branch.stop();
        journal::overwrite_pages(&branch.journal(), from_permille, 2);
        branch.start();
        let after = branch.file("After the damage").await;
        central.start();
        branch.wait_drained().await;
        let arrived = wait_until("the new ticket", || async {
            let listed = succeeded(&central.cli(&["tickets", "list", "--limit", "200", "--json"]));
            listed
                .contains(&format!("\"{}\"", after.number))
                .then(|| listed.matches("LYN-").count())
        })
        .await;
        assert!(arrived >= 1, "{name}: {arrived} arrived");
        println!("{name}: {arrived} of 121 arrived");
    }
}
