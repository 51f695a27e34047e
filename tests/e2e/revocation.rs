//! Revoked while it works: open connections end, the agent says so and keeps what is filed, and once it
//! has joined again everything arrives, once.

use std::time::{Duration, Instant};

use harness::processes::{Branch, Central, sandbox, succeeded, wait_until};
use harness::raw_http::{Connection, Request};

use crate::enrolment::agents;
use crate::hostile_ingress::{Agent, assert_problem};

/// A request that is held for up to this long is answered, or its connection closed, well before.
const HELD: Duration = Duration::from_secs(25);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revoked_agent_says_so_keeps_its_tickets_and_joins_again_as_itself() {
    let sandbox = sandbox();
    let mut central = Central::init(sandbox.path());
    central.start();
    let mut branch = Branch::join(sandbox.path(), &central, "LYN", central.address);
    branch.start();
    branch.file("Before").await;
    branch.wait_drained().await;
    let name = agents(&central)[0]["agent"]
        .as_str()
        .expect("an id")
        .to_owned();

    succeeded(&central.cli(&["agent", "revoke", &name]));
    let filed = branch.file("While revoked").await;
    assert_eq!(filed.number.to_string(), "LYN-000002");
    let client = branch.client();
    wait_until("the agent to say that it is revoked", || async {
        let error = client.status().await.ok()?.last_error?;
        error.words.contains("revoked").then_some(())
    })
    .await;
    branch.file("Still saved").await;
    assert_eq!(branch.status().await.waiting, 2);
    // Neither a restart nor a token of the branch is a way around it.
    branch.kill();
    branch.start();
    assert_eq!(branch.status().await.waiting, 2);
    let another = central.token("LYN");
    let output = branch.cli(&["enroll", &another]);
    assert!(!output.status.success(), "{output:?}");
    assert_eq!(agents(&central).len(), 1);

    let token = central.token_for_agent(&name);
    succeeded(&branch.cli(&["enroll", &token]));
    branch.wait_drained().await;
    let said = central.assert_equal(&branch);
    assert!(said.contains("3 operations at the branch"), "{said}");
    assert_eq!(
        branch.file("As before").await.number.to_string(),
        "LYN-000004"
    );
    branch.wait_drained().await;
    assert_eq!(agents(&central).len(), 1);
}

/// Whatever a revoked agent's connections are at, they end; another agent's go on.
#[test]
fn open_connections_of_a_revoked_agent_end_and_no_others() {
    let sandbox = sandbox();
    let mut central = Central::init(sandbox.path());
    central.start();
    let evil = Agent::register(&central, "PAR");
    let good = Agent::register(&central, "LYN");
    let feed = |agent: &Agent| agent.request("GET", "/v1/feed?wait=25").to_bytes();
    let open = |agent: &Agent, bytes: &[u8]| {
        let mut connection = Connection::open(&agent.place).expect("connect");
        connection.shake_hands().expect("shake hands");
        connection.send(bytes).expect("send");
        connection
    };
    let mut held = [open(&evil, &feed(&evil)), open(&good, &feed(&good))];
    let mut idle = [open(&evil, b""), open(&good, b"")];
    for connection in &mut idle {
        connection
            .send(&Request::new("GET", "/livez").to_bytes())
            .expect("send");
        assert_eq!(connection.answer().expect("an answer").status, 200);
    }
    succeeded(&central.cli(&["agent", "revoke", &evil.id]));
    let since = Instant::now();
    let [evils_idle, goods_idle] = &mut idle;
    assert!(evils_idle.rest().expect("it is closed").is_empty());
    let [evils, goods] = &mut held;
    if let Ok(answer) = evils.answer() {
        assert_problem(&answer, 401, "revoked", "a held request");
    }
    assert!(
        since.elapsed() < HELD - Duration::from_secs(5),
        "{:?}",
        since.elapsed()
    );
    let again = evil.ask(&evil.request("GET", "/v1/feed?wait=0"));
    assert_problem(&again, 401, "revoked", "a new connection");
    goods_idle
        .send(&good.request("GET", "/v1/feed?wait=0").to_bytes())
        .expect("send");
    assert_eq!(goods_idle.answer().expect("an answer").status, 200);
    assert_eq!(goods.answer().expect("an answer").status, 200);
}
