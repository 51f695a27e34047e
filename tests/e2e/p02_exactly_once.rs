//! P2, exactly once, in order: real agents and a real central behind a line that cuts, swallows and
//! repeats, both killed again and again. [`restored`]: disks put back to older images.

mod record;
mod restored;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use branchline_agent_api::{
    AddComment, Client, ClientError, OperationSaved, Status, WithdrawTicket,
};
use harness::chaos::{Chaos, ChaosProxy, Fault};
use harness::processes::{Branch, Central, sandbox, ticket, wait_until};
use tokio::task::JoinSet;

use record::{Record, held_tickets, new_id};
pub(crate) use restored::copy_folder;

/// Another one each time; `BRANCHLINE_SEED` runs one again.
fn seed() -> u64 {
    let given = std::env::var("BRANCHLINE_SEED").ok();
    let seed = given.map_or_else(|| fastrand::u64(..), |text| text.parse().expect("a number"));
    println!("BRANCHLINE_SEED={seed}");
    seed
}

/// Asks under one id until the agent has answered, as a client does whose agent is restarted.
async fn until_answered<F>(mut ask: impl FnMut() -> F) -> OperationSaved
where
    F: Future<Output = Result<OperationSaved, ClientError>>,
{
    wait_until("an answer of the agent", || {
        let asked = ask();
        async {
            match asked.await {
                Err(ClientError::Problem(problem)) => panic!("refused: {problem:?}"),
                answered => answered.ok(),
            }
        }
    })
    .await
}

/// Files tickets with two comments each, and takes every third ticket back: operations that depend
/// on the ones before them.
async fn file_away(
    client: Client,
    filer: usize,
    tickets: usize,
    answered: Arc<AtomicUsize>,
) -> Record {
    let mut record = Record::default();
    let done = || answered.fetch_add(1, Ordering::Relaxed);
    for n in 0..tickets {
        let mut asked = ticket(&format!("Filer {filer}, ticket {n}"));
        asked.id = Some(new_id());
        let saved = until_answered(|| client.file_ticket(&asked)).await;
        done();
        record.filed(&saved);
        for text in ["First", "Second"] {
            let (id, text) = (Some(new_id()), text.to_owned());
            let comment = AddComment { id, text };
            let said = until_answered(|| client.add_comment(&saved.number, &comment)).await;
            done();
            record.commented(&saved, &said);
        }
        if n % 3 == 0 {
            let (id, reason) = (Some(new_id()), None);
            let withdrawal = WithdrawTicket { id, reason };
            until_answered(|| client.withdraw_ticket(&saved.number, &withdrawal)).await;
            done();
            record.withdrawn(&saved);
        }
    }
    record
}

/// A branch, what its filers have been answered so far, and those filers.
struct Busy {
    branch: Branch,
    answered: Arc<AtomicUsize>,
    record: Record,
}

impl Busy {
    /// Three people file at once, and the agent is killed in the middle of it.
    async fn file_through_a_kill(&mut self, tickets_each: usize) {
        let before = self.answered.load(Ordering::Relaxed);
        let mut filers = JoinSet::new();
        for filer in 0..3 {
            let (client, answered) = (self.branch.client(), self.answered.clone());
            filers.spawn(file_away(client, filer, tickets_each, answered));
        }
        wait_until("half of the filings", || async {
            let now = self.answered.load(Ordering::Relaxed) - before;
            (now >= 3 * tickets_each).then_some(())
        })
        .await;
        self.branch.kill();
        self.branch.start();
        while let Some(record) = filers.join_next().await {
            self.record.extend(record.unwrap());
        }
    }

    /// Until central has acknowledged something more.
    async fn wait_for_progress(&mut self) {
        let seq = |status: &Status| status.acknowledged.map(|position| position.seq);
        let before = seq(&self.branch.status().await);
        wait_impatiently(&mut self.branch, |now| {
            seq(now) > before || now.waiting == 0
        })
        .await;
    }
}

/// Waits until `done`, and restarts the agent where it waits long before it tries again: on a line
/// that loses every second request some delays grow beyond a test's patience.
async fn wait_impatiently(branch: &mut Branch, done: impl Fn(&Status) -> bool) {
    let client = branch.client();
    loop {
        let status = wait_until("the line to let something through", || async {
            let status = client.status().await.ok()?;
            (done(&status) || waits_long(&status)).then_some(status)
        })
        .await;
        if done(&status) {
            return;
        }
        branch.kill();
        branch.start();
    }
}

fn waits_long(status: &Status) -> bool {
    let next = status.link.next_attempt.unwrap_or_default();
    next.0 > branchline_agent::ids::now().0 + 1_000
}

/// Kills central as soon as so many operations were answered at a branch, while others are.
async fn kill_central_amid(central: &mut Central, answered: &AtomicUsize, after: usize) {
    wait_until("filings under way", || async {
        (answered.load(Ordering::Relaxed) > after).then_some(())
    })
    .await;
    central.kill();
    central.start();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hostile_line_and_kills_on_both_sides_lose_and_double_nothing() {
    let sandbox = sandbox();
    let mut central = Central::init(sandbox.path());
    central.start();
    // Submissions are small here, and are to be cut in the middle too.
    let hostile = Chaos {
        cut_within: 4_096,
        ..Chaos::hostile()
    };
    let proxy = ChaosProxy::inside(&central, seed(), hostile).unwrap();
    let mut busy = ["LYN", "PAR"].map(|code| {
        let mut branch = Branch::join(sandbox.path(), &central, code, proxy.addr());
        branch.start();
        let (answered, record) = (Arc::default(), Record::default());
        Busy {
            branch,
            answered,
            record,
        }
    });
    for round in 0..8 {
        let [lyon, paris] = &mut busy;
        let answered = lyon.answered.clone();
        let after = answered.load(Ordering::Relaxed) + 5;
        tokio::join!(
            lyon.file_through_a_kill(2),
            paris.file_through_a_kill(2),
            kill_central_amid(&mut central, &answered, after),
        );
        lyon.wait_for_progress().await;
        central.kill();
        central.start();
        paris.wait_for_progress().await;
        println!("after round {round}: {:?}", proxy.stats());
    }
    proxy.set(Chaos::NONE);
    for Busy {
        branch,
        answered,
        record,
    } in &mut busy
    {
        // Once more, which also ends a delay that has grown long.
        branch.kill();
        branch.start();
        branch.wait_drained().await;
        let said = central.assert_equal(branch);
        let operations = answered.load(Ordering::Relaxed);
        assert!(operations > 150, "only {operations} operations");
        assert!(
            said.contains(&format!("{operations} operations at the branch")),
            "{said}"
        );
        record.assert_arrived(&central, &branch.code);
    }
}

/// A reply that gets lost after the request had its effect: each time until central has the
/// operations and the agent does not know it, so that each is submitted twice at least.
#[tokio::test]
async fn submissions_whose_replies_are_dropped_take_effect_once() {
    let sandbox = sandbox();
    let mut central = Central::init(sandbox.path());
    central.start();
    let proxy = ChaosProxy::inside(&central, seed(), Chaos::NONE).unwrap();
    let mut branch = Branch::join(sandbox.path(), &central, "LYN", proxy.addr());
    branch.start();
    let mut record = Record::default();
    let swallow = |swallow_reply| Chaos {
        swallow_reply,
        ..Chaos::NONE
    };
    for round in 1..=6 {
        proxy.set(swallow(1_000));
        let swallowed = proxy.stats().faults_of(Fault::SwallowReply);
        for n in 0..4 {
            record.filed(&branch.file(&format!("Round {round}, ticket {n}")).await);
        }
        wait_until("central to have them", || async {
            (held_tickets(&central, "LYN").len() == 4 * round).then_some(())
        })
        .await;
        assert_eq!(
            branch.status().await.waiting,
            4,
            "told in spite of the line"
        );
        proxy.set(swallow(500));
        wait_impatiently(&mut branch, |status| status.waiting == 0).await;
        assert!(proxy.stats().faults_of(Fault::SwallowReply) > swallowed);
    }
    proxy.set(Chaos::NONE);
    record.assert_arrived(&central, "LYN");
    let said = central.assert_equal(&branch);
    assert!(
        said.contains("24 operations at the branch, 24 at central"),
        "{said}"
    );
}

/// The same operations reach central by two agents at once: one machine image, started twice.
#[tokio::test]
async fn two_clones_of_one_agent_at_the_same_time() {
    let sandbox = sandbox();
    let mut central = Central::init(sandbox.path());
    let mut original = Branch::join(sandbox.path(), &central, "LYN", central.address);
    central.start();
    original.start();
    let mut record = Record::default();
    for n in 0..3 {
        record.filed(
            &original
                .file(&format!("Acknowledged before the cloning {n}"))
                .await,
        );
    }
    original.wait_drained().await;
    central.stop();
    for n in 0..3 {
        record.filed(&original.file(&format!("Waiting at the cloning {n}")).await);
    }
    original.stop();
    let mut clone = clone_of(&original, &central, sandbox.path());
    central.start();
    original.start();
    clone.start();

    let answered = Arc::new(AtomicUsize::new(0));
    for round in 0..3 {
        let mut filers = JoinSet::new();
        for (filer, branch) in [&original, &clone].into_iter().enumerate() {
            let filer = 10 * round + filer;
            filers.spawn(file_away(branch.client(), filer, 5, answered.clone()));
        }
        while let Some(filed) = filers.join_next().await {
            record.extend(filed.unwrap());
        }
        original.wait_drained().await;
        clone.wait_drained().await;
    }
    for branch in [&original, &clone] {
        central.assert_equal(branch);
        assert_eq!(branch.status().await.rejected, 0);
    }
    record.assert_arrived(&central, "LYN");
}

/// The whole folder copied, identity and journal; only the socket is another.
fn clone_of(original: &Branch, central: &Central, sandbox: &std::path::Path) -> Branch {
    let clone = Branch::strange(sandbox, &original.code);
    clone.configure(central.address, "");
    copy_folder(&original.data(), &clone.data());
    clone
}
