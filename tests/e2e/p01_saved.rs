//! P1, saved means saved: the agent is killed at each named point of the filing path, and in the
//! middle of many filings. What was answered "saved" is there; what was not can be asked again.

use std::collections::BTreeSet;
use std::time::Duration;

use branchline_agent_api::OperationSaved;
use branchline_protocol::id::OperationId;
use harness::processes::{Branch, Central, sandbox, succeeded, ticket, wait_until};

fn new_id(n: u64) -> OperationId {
    OperationId::from_parts(
        1_790_000_000_000 + n,
        std::array::from_fn(|_| fastrand::u8(..)),
    )
}

#[tokio::test]
async fn a_kill_at_each_point_of_the_filing_path_loses_and_doubles_nothing() {
    let sandbox = sandbox();
    let central = Central::init(sandbox.path());
    for point in ["filing-received", "filing-written", "filing-committed"] {
        let mut branch = Branch::join(sandbox.path(), &central, "LYN", central.address);
        branch.start();
        let before = branch.file("Saved before the kill").await;
        branch.kill();

        let marker = branch.folder().join("marker");
        branch.set_environment(
            "BRANCHLINE_HOLD_AT",
            &format!("{point}={}", marker.display()),
        );
        branch.start();
        let mut asked = ticket("Under way when the agent is killed");
        asked.id = Some(new_id(1));
        let client = branch.client();
        let again = asked.clone();
        let under_way = tokio::spawn(async move { client.file_ticket(&again).await });
        wait_until(point, || async { marker.exists().then_some(()) }).await;
        branch.kill();
        assert!(
            under_way.await.unwrap().is_err(),
            "{point}: answered by a killed agent"
        );

        branch.clear_environment();
        branch.start();
        let repeated = branch
            .client()
            .file_ticket(&asked)
            .await
            .expect("ask again");
        assert_eq!(
            repeated.repeated,
            point == "filing-committed",
            "{point}: {repeated:?}"
        );
        let list = branch.client().tickets(None, 200).await.unwrap();
        let numbers: Vec<String> = list.tickets.iter().map(|t| t.number.to_string()).collect();
        assert_eq!(
            numbers,
            [repeated.number.to_string(), before.number.to_string()],
            "{point}"
        );
        succeeded(&branch.cli(&["queue", "verify"]));
    }
}

#[tokio::test]
async fn kills_in_the_middle_of_many_filings_lose_no_answered_one() {
    let sandbox = sandbox();
    let central = Central::init(sandbox.path());
    let mut branch = Branch::join(sandbox.path(), &central, "LYN", central.address);
    let mut answered: BTreeSet<OperationId> = BTreeSet::new();
    for round in 0..5_u64 {
        branch.start();
        let filers: Vec<_> = (0..8)
            .map(|filer| {
                let client = branch.client();
                tokio::spawn(async move {
                    let mut saved: Vec<OperationSaved> = Vec::new();
                    while let Ok(one) = client.file_ticket(&ticket(&format!("{filer}"))).await {
                        saved.push(one);
                    }
                    saved
                })
            })
            .collect();
        let waiting = 40 * (round + 1);
        let client = branch.client();
        wait_until("some filings", || async {
            client
                .status()
                .await
                .ok()
                .filter(|status| status.waiting >= waiting)
        })
        .await;
        branch.kill();
        for filer in filers {
            answered.extend(
                filer
                    .await
                    .unwrap()
                    .into_iter()
                    .map(|saved| saved.operation),
            );
        }
    }
    branch.start();
    let mut present: BTreeSet<OperationId> = BTreeSet::new();
    let mut before = None;
    loop {
        let list = branch.client().tickets(before, 200).await.unwrap();
        present.extend(list.tickets.iter().map(|ticket| OperationId(ticket.id.0)));
        before = list.next;
        if before.is_none() {
            break;
        }
    }
    let lost: Vec<_> = answered.difference(&present).collect();
    assert!(lost.is_empty(), "answered as saved and gone: {lost:?}");
    assert!(
        answered.len() >= 100,
        "only {} filings were answered",
        answered.len()
    );
    succeeded(&branch.cli(&["queue", "verify"]));
}

#[tokio::test]
async fn asking_again_with_the_same_id_files_once_and_another_text_is_refused() {
    let sandbox = sandbox();
    let central = Central::init(sandbox.path());
    let mut branch = Branch::join(sandbox.path(), &central, "LYN", central.address);
    branch.start();
    let mut asked = ticket("Once");
    asked.id = Some(new_id(7));
    let first = branch.client().file_ticket(&asked).await.unwrap();
    let second = branch.client().file_ticket(&asked).await.unwrap();
    assert_eq!((&first.number, false), (&second.number, !second.repeated));
    asked.subject = "Another".to_owned();
    let refused = branch
        .client()
        .file_ticket(&asked)
        .await
        .unwrap_err()
        .to_string();
    assert!(
        refused.contains("has been used for something else"),
        "{refused}"
    );
    assert_eq!(
        branch
            .client()
            .tickets(None, 10)
            .await
            .unwrap()
            .tickets
            .len(),
        1
    );
}

#[tokio::test]
async fn a_second_agent_on_the_same_socket_is_refused_and_the_first_goes_on() {
    let sandbox = sandbox();
    let central = Central::init(sandbox.path());
    let mut branch = Branch::join(sandbox.path(), &central, "LYN", central.address);
    branch.start();
    let second = branch.start_expecting_failure();
    assert_eq!(second.status.code(), Some(70));
    assert!(harness::processes::text(&second.stderr).contains("another agent is running"));
    tokio::time::timeout(Duration::from_secs(30), branch.file("Still there"))
        .await
        .unwrap();
}
