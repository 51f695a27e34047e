//! How long the outbox tries, what it gives up and what it never gives up, and who waits meanwhile: on a
//! clock of the test's own, which passes hours as fast as the machine can.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::net::TcpSocket;

use super::super::post::{Blame, blame};
use super::{Heard, Manner, Receiver, Running, World};
use crate::ledger::OutboxLedger;
use crate::testing::comment;

/// Attempts after which a letter that its target answers, and does not take, is given up.
const ATTEMPTS: usize = 12;
/// The machine's own time that a story may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// How far the test's clock goes in one step: far less than any request may take.
const STEP: Duration = Duration::from_millis(100);

/// Lets the test's clock go on until there is something to be seen.
async fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    while began.elapsed() < PATIENCE {
        if let Some(found) = look() {
            return found;
        }
        tokio::time::sleep(STEP).await;
    }
    panic!("waited {PATIENCE:?} for {what}");
}

/// Those with these words in them.
fn with<'a>(heard: &'a [Heard], words: &str) -> Vec<&'a Heard> {
    heard
        .iter()
        .filter(|letter| letter.body.contains(words))
        .collect()
}

/// Two tickets are filed and one is commented on; its filing meets this manner, whenever it comes.
async fn one_bad_letter(manner: Manner) -> (World, Arc<Receiver>, Running) {
    let mut world = World::new().await;
    let (receiver, target) = world.receiver("desk").await;
    receiver.choke_on("About printer", manner);
    let running = Running::start(&world, &[target]).await;
    world.lyon.file(&["printer", "till"], 1);
    world.lyon.journal.push(comment("more", "printer"));
    world.lyon.submit_all(&*world.store).await;
    (world, receiver, running)
}

#[tokio::test(start_paused = true)]
async fn a_letter_that_is_never_taken_is_given_up_and_kept_and_the_next_goes_on() {
    for (manner, words) in [
        (Manner::Say(500), "it answered 500, 12 times"),
        (Manner::Hang, ", 12 times"),
    ] {
        let (mut world, receiver, running) = one_bad_letter(manner).await;
        let heard = until("the letter behind it", || {
            let heard = receiver.heard();
            let tried = with(&heard, "About printer").len();
            assert!(tried <= ATTEMPTS, "{manner:?}: it is tried for ever");
            (!with(&heard, "More on printer").is_empty()).then_some(heard)
        })
        .await;
        let tried = with(&heard, "About printer");
        assert_eq!(tried.len(), ATTEMPTS, "{manner:?}");
        assert!(tried.iter().all(|letter| letter.id == tried[0].id));
        let dead = world.store.dead_letters(None, 0, 10).await.unwrap();
        assert_eq!(dead.len(), 1, "{manner:?}: {dead:?}");
        assert_eq!((&dead[0].id, &dead[0].body), (&tried[0].id, &tried[0].body));
        assert!(dead[0].reason.ends_with(words), "{}", dead[0].reason);
        // Nothing stands behind it any more.
        world.file(&["door"], 3).await;
        until("the letters to come", || {
            (!with(&receiver.heard(), "About door").is_empty()).then_some(())
        })
        .await;
        running.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn letters_of_a_ticket_wait_for_the_one_before_and_those_of_others_do_not() {
    let (_world, receiver, running) = one_bad_letter(Manner::Say(503)).await;
    let heard = until("the first to be tried again and again", || {
        let heard = receiver.heard();
        (with(&heard, "About printer").len() >= 4).then_some(heard)
    })
    .await;
    assert_eq!(with(&heard, "About till").len(), 1);
    assert_eq!(
        with(&heard, "More on printer").len(),
        0,
        "it came too early"
    );
    receiver.choke_on_nothing();
    let heard = until("the second", || {
        let heard = receiver.heard();
        (!with(&heard, "More on printer").is_empty()).then_some(heard)
    })
    .await;
    let kinds: Vec<String> = heard
        .iter()
        .filter(|letter| letter.ticket() == "LYN-000001")
        .map(|letter| letter.json()["type"].as_str().unwrap().to_owned())
        .collect();
    let (last, before) = kinds.split_last().unwrap();
    assert_eq!(last, "comment_added");
    assert!(
        before.iter().all(|kind| kind == "ticket_filed"),
        "{kinds:?}"
    );
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_target_that_nobody_can_reach_for_hours_loses_nothing() {
    let mut world = World::new().await;
    // Its port is kept, and nobody listens there.
    let nobody = TcpSocket::new_v4().unwrap();
    nobody.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = nobody.local_addr().unwrap();
    let target = world.target("away", address, "networks = [\"127.0.0.0/8\"]");
    let running = Running::start(&world, &[target]).await;
    let before = world.state("away").await.unwrap().mark;
    world.file(&["printer"], 1).await;
    // Far more attempts than a letter has that is answered: one in ten minutes, in the end.
    let dark = tokio::time::Instant::now();
    until("hours to pass", || {
        (dark.elapsed() > Duration::from_secs(6 * 3_600)).then_some(())
    })
    .await;
    let state = world.state("away").await.unwrap();
    assert_eq!(state.mark, before, "it does not have it");
    assert!(state.failing_since.is_some());
    let dead = world.store.dead_letters(None, 0, 10).await.unwrap();
    assert!(dead.is_empty(), "{dead:?}");
    let receiver = world.receiver_at(nobody.listen(16).unwrap());
    until("the letter", || {
        (!with(&receiver.heard(), "About printer").is_empty()).then_some(())
    })
    .await;
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_target_that_says_it_cannot_now_is_believed_for_hours() {
    let (world, receiver, running) = one_bad_letter(Manner::Say(503)).await;
    let began = tokio::time::Instant::now();
    until("four hours to pass", || {
        (began.elapsed() > Duration::from_secs(4 * 3_600)).then_some(())
    })
    .await;
    assert!(with(&receiver.heard(), "About printer").len() > ATTEMPTS);
    let dead = world.store.dead_letters(None, 0, 10).await.unwrap();
    assert!(dead.is_empty(), "{dead:?}");
    receiver.choke_on_nothing();
    until("the letter behind it", || {
        (!with(&receiver.heard(), "More on printer").is_empty()).then_some(())
    })
    .await;
    running.stop().await;
}

#[test]
fn what_a_target_says_of_itself_is_its_own_fault_for_a_day() {
    let hours = |hours: u64| Duration::from_secs(hours * 3_600);
    for status in [429, 502, 503, 504] {
        let blame = blame(status.try_into().unwrap());
        assert!(!blame.is_the_letters(hours(23)), "{status}");
        assert!(blame.is_the_letters(hours(25)), "{status}");
    }
    assert!(blame(500.try_into().unwrap()).is_the_letters(hours(0)));
    assert!(!Blame::Way.is_the_letters(hours(1_000)));
}
