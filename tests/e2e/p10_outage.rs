//! P10, central outages are not branch outages: central is absent for the whole test, and nothing
//! that an employee does is the worse for it.

use branchline_agent_api::{AddComment, Delivery, EntryKind, LinkState, WithdrawTicket};
use branchline_protocol::problem::ErrorClass;
use harness::processes::{Branch, Central, sandbox, succeeded, wait_until};

#[tokio::test]
async fn filing_listing_commenting_and_withdrawing_do_not_need_central() {
    let sandbox = sandbox();
    let central = Central::init(sandbox.path());
    let mut branch = Branch::join(sandbox.path(), &central, "LYN", central.address);
    branch.start();
    let client = branch.client();
    let first = branch.file("Printer jams").await;
    let second = branch.file("Filed by mistake").await;
    let comment = AddComment {
        id: None,
        text: "It still does.\nTwice now.".to_owned(),
    };
    client.add_comment(&first.number, &comment).await.unwrap();
    let reason = Some("found the plug".to_owned());
    client
        .withdraw_ticket(&second.number, &WithdrawTicket { id: None, reason })
        .await
        .unwrap();
    let again = client
        .withdraw_ticket(&second.number, &WithdrawTicket::default())
        .await;
    assert!(
        again
            .unwrap_err()
            .to_string()
            .contains("has been withdrawn")
    );

    let status = wait_until("the first attempt", || async {
        Some(client.status().await.unwrap()).filter(|s| s.link.state == LinkState::Waiting)
    })
    .await;
    assert_eq!(status.waiting, 4);
    let error = status.last_error.expect("something went wrong");
    assert_eq!(
        (error.class, error.words.as_str()),
        (ErrorClass::TryAgain, "Central cannot be reached.")
    );

    branch.kill();
    branch.start();
    let ticket = client.ticket(&first.number).await.unwrap();
    assert_eq!(ticket.summary.delivery, Delivery::Waiting);
    assert_eq!(ticket.entries.len(), 1);
    assert_eq!(
        (ticket.entries[0].kind, &ticket.entries[0].text),
        (EntryKind::Comment, &comment.text)
    );
    assert!(
        client
            .ticket(&second.number)
            .await
            .unwrap()
            .summary
            .withdrawn
    );
    let said = succeeded(&branch.cli(&["status"]));
    assert!(
        said.contains("Nothing is lost") || said.contains("starting"),
        "{said}"
    );
    assert!(said.contains("4 operations"), "{said}");
    let doctor = branch.cli(&["doctor"]);
    assert_eq!(doctor.status.code(), Some(3));
    assert!(harness::processes::text(&doctor.stdout).contains("Central cannot be reached"));
}

/// Central hangs rather than being away: accepted connections, no answers.
#[tokio::test]
async fn a_central_that_hangs_disturbs_nobody() {
    let sandbox = sandbox();
    let mut central = Central::init(sandbox.path());
    let mut branch = Branch::join(sandbox.path(), &central, "LYN", central.address);
    central.start();
    branch.start();
    branch.file("While all is well").await;
    branch.wait_drained().await;
    central.freeze(true);
    for n in 0..20 {
        branch.file(&format!("While central hangs {n}")).await;
    }
    assert_eq!(
        branch
            .client()
            .tickets(None, 50)
            .await
            .unwrap()
            .tickets
            .len(),
        21
    );
    central.freeze(false);
    branch.wait_drained().await;
    central.assert_equal(&branch);
}
