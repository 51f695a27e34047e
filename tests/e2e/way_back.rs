//! The way back: what central support answers is at the branch, once, and stays there whatever becomes of
//! the link (P2, P10).

mod files;
mod given;

use branchline_agent_api::{AddComment, TicketDetails};
use branchline_protocol::desk::TicketState;
use branchline_protocol::id::TicketNumber;
use harness::processes::{Branch, Central, sandbox, succeeded, wait_until};
use serde_json::Value;

async fn ticket(branch: &Branch, number: &TicketNumber) -> TicketDetails {
    let ticket = branch.client().ticket(number).await;
    ticket.expect("show a ticket")
}

/// Waits until the branch sees its ticket so.
async fn wait_for(
    branch: &Branch,
    number: &TicketNumber,
    what: &str,
    seen: impl Fn(&TicketDetails) -> bool,
) -> TicketDetails {
    wait_until(what, || async {
        let ticket = branch.client().ticket(number).await.ok();
        ticket.filter(&seen)
    })
    .await
}

fn texts(ticket: &TicketDetails) -> Vec<&str> {
    let replies = ticket.replies.iter();
    replies.map(|reply| reply.text.as_str()).collect()
}

fn reply(central: &Central, number: &TicketNumber, text: &str, then: &str) {
    let number = number.to_string();
    let args = ["tickets", "reply", &number, text, "--then", then];
    succeeded(&central.cli(&args));
}

fn state_at(central: &Central, number: &TicketNumber) -> Value {
    let shown = central.cli(&["tickets", "show", &number.to_string(), "--json"]);
    let shown: Value = serde_json::from_str(&succeeded(&shown)).expect("JSON");
    shown["state"].clone()
}

#[tokio::test]
async fn p10_an_answer_is_read_at_the_branch_while_central_is_away_and_answered_there() {
    let sandbox = sandbox();
    let mut central = Central::init(sandbox.path());
    central.start();
    let mut branch = Branch::join(sandbox.path(), &central, "LYN", central.address);
    branch.start();
    let number = branch.file("Till is dark").await.number;
    branch.wait_drained().await;
    assert_eq!(state_at(&central, &number), "new");

    reply(
        &central,
        &number,
        "Is the cable in?\nThe thick one.",
        "waiting",
    );
    let answered = wait_for(&branch, &number, "the answer", |ticket| {
        ticket.summary.state == TicketState::Waiting
    })
    .await;
    assert_eq!(texts(&answered), ["Is the cable in?\nThe thick one."]);

    central.kill();
    branch.kill();
    branch.start();
    let said = succeeded(&branch.cli(&["ticket", "show", &number.to_string()]));
    assert!(said.contains("The thick one."), "{said}");
    assert!(said.contains("waits for your answer"), "{said}");
    let listed = succeeded(&branch.cli(&["ticket", "list"]));
    assert!(listed.contains("waits for your answer"), "{listed}");
    let comment = AddComment {
        id: None,
        text: "It was not.".to_owned(),
    };
    let saved = branch.client().add_comment(&number, &comment).await;
    saved.expect("comment while central is away");

    central.start();
    branch.wait_drained().await;
    wait_for(&branch, &number, "the ticket to be open again", |ticket| {
        ticket.summary.state == TicketState::Open
    })
    .await;
    assert_eq!(state_at(&central, &number), "open");
    assert_eq!(texts(&ticket(&branch, &number).await).len(), 1);
}

#[tokio::test]
async fn a_comment_on_what_is_resolved_opens_it_again_on_both_sides() {
    let sandbox = sandbox();
    let mut central = Central::init(sandbox.path());
    central.start();
    let mut branch = Branch::join(sandbox.path(), &central, "LYN", central.address);
    branch.start();
    let number = branch.file("Scanner is slow").await.number;
    branch.wait_drained().await;
    for (round, state) in [("1", "resolved"), ("2", "closed")] {
        reply(&central, &number, &format!("Done, {round}."), state);
        wait_for(&branch, &number, state, |ticket| {
            ticket.summary.state.as_str() == state
        })
        .await;
        let words = format!("Not at all, {round}.");
        succeeded(&branch.cli(&["ticket", "comment", &number.to_string(), &words]));
        wait_for(&branch, &number, "open", |ticket| {
            ticket.summary.state == TicketState::Open
        })
        .await;
        assert_eq!(state_at(&central, &number), "open");
    }
    let both = ticket(&branch, &number).await;
    assert_eq!(
        (texts(&both), both.entries.len()),
        (vec!["Done, 1.", "Done, 2."], 2)
    );
}

/// Killed between hearing and keeping, and between keeping and going on.
#[tokio::test]
async fn p2_an_agent_killed_while_it_hears_loses_and_doubles_no_answer() {
    let sandbox = sandbox();
    let mut central = Central::init(sandbox.path());
    central.start();
    let mut branch = Branch::join(sandbox.path(), &central, "LYN", central.address);
    branch.start();
    let number = branch.file("Door does not open").await.number;
    branch.wait_drained().await;
    branch.stop();
    for (round, point) in ["feed-received", "feed-committed"].into_iter().enumerate() {
        reply(&central, &number, &format!("Answer {round}"), "waiting");
        let marker = branch.folder().join(point);
        branch.set_environment(
            "BRANCHLINE_HOLD_AT",
            &format!("{point}={}", marker.display()),
        );
        branch.start();
        wait_until(point, || async { marker.exists().then_some(()) }).await;
        branch.kill();
        branch.clear_environment();
        branch.start();
        let count = round + 1;
        let heard = wait_for(&branch, &number, "the answer", |ticket| {
            ticket.replies.len() >= count
        })
        .await;
        let expected: Vec<String> = (0..count).map(|n| format!("Answer {n}")).collect();
        assert_eq!(texts(&heard), expected, "{point}");
        assert_eq!(heard.summary.state, TicketState::Waiting);
        branch.stop();
    }
}
