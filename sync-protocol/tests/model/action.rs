//! What can happen, as values: a failing case prints as a list of them that can be pasted into
//! `main.rs` and run again. Numbers are taken modulo what there is to choose from, so that every
//! list is a possible history and shrinking never makes an impossible one.

use proptest::prelude::*;

/// One thing that happens. The first number is which of the running agents it happens to.
#[derive(Debug, Clone, Copy)]
pub enum Act {
    /// A person files a ticket.
    File(u8),
    /// ... comments on a ticket that the agent knows.
    Comment(u8, u8),
    /// ... attaches a file to one.
    Attach(u8, u8),
    /// ... takes one back.
    Withdraw(u8, u8),
    /// A client asks again for what this agent, restored from an older image, knows nothing of.
    AskAgain(u8, u8),
    /// The sender takes one turn with at most so many operations, and its request fares so.
    Turn(u8, u8, Fate),
    /// A request held up on the way reaches central now; nobody listens to the answer any more.
    LateRequest(u8),
    /// The agent stops and starts: all it knows is its journal.
    Restart(u8),
    /// Somebody takes an image of the agent's disk.
    Image(u8),
    /// The agent's disk is replaced by one of the images.
    Restored(u8, u8),
    /// An image is started as well, beside what runs.
    Twin(u8),
    /// One of several running copies is switched off for good.
    Retire(u8),
    /// Central is backed up.
    Backup,
    /// Central is restored from one of its backups.
    CentralRestored(u8),
    /// A row of the journal is damaged on disk.
    Damage(u8, u8),
    /// The journal's file no longer opens: the agent carries what it can read into a new one.
    Rebuilt(u8),
    /// A long time passes: the oldest acknowledged operations leave the journal.
    Prune(u8, u8),
}

/// How a request and its answer fare.
#[derive(Debug, Clone, Copy)]
pub enum Fate {
    /// Both arrive.
    Through,
    /// Central takes the first so many operations only.
    Partly(u8),
    /// The request never arrives, or central stops before its commit.
    RequestLost,
    /// The answer never arrives, or central stops after its commit.
    ReplyLost,
    /// Both arrive, and the request again later.
    Doubled,
    /// The agent gives up waiting; the request arrives later.
    Late,
    /// The request is lost, and an old answer to something else arrives in its place.
    OldReply(u8),
    /// Central asks to come back later.
    Busy,
    /// Somebody finds the request too large.
    TooLarge,
}

/// Any history of at most `most` acts.
pub fn histories(most: usize) -> impl Strategy<Value = Vec<Act>> {
    prop::collection::vec(act(), 1..most)
}

fn act() -> impl Strategy<Value = Act> {
    let n = any::<u8>;
    let who = || 0_u8..3;
    prop_oneof![
        12 => who().prop_map(Act::File),
        4 => (who(), n()).prop_map(|(who, n)| Act::Comment(who, n)),
        2 => (who(), n()).prop_map(|(who, n)| Act::Attach(who, n)),
        3 => (who(), n()).prop_map(|(who, n)| Act::Withdraw(who, n)),
        2 => (who(), n()).prop_map(|(who, n)| Act::AskAgain(who, n)),
        36 => (who(), 1_u8..6, fate()).prop_map(|(who, most, fate)| Act::Turn(who, most, fate)),
        4 => n().prop_map(Act::LateRequest),
        3 => who().prop_map(Act::Restart),
        5 => who().prop_map(Act::Image),
        4 => (who(), n()).prop_map(|(who, n)| Act::Restored(who, n)),
        3 => n().prop_map(Act::Twin),
        1 => who().prop_map(Act::Retire),
        4 => Just(Act::Backup),
        4 => n().prop_map(Act::CentralRestored),
        3 => (who(), n()).prop_map(|(who, n)| Act::Damage(who, n)),
        1 => who().prop_map(Act::Rebuilt),
        3 => (who(), 1_u8..5).prop_map(|(who, n)| Act::Prune(who, n)),
    ]
}

fn fate() -> impl Strategy<Value = Fate> {
    let n = any::<u8>;
    prop_oneof![
        12 => Just(Fate::Through),
        2 => (0_u8..4).prop_map(Fate::Partly),
        2 => Just(Fate::RequestLost),
        3 => Just(Fate::ReplyLost),
        2 => Just(Fate::Doubled),
        2 => Just(Fate::Late),
        2 => n().prop_map(Fate::OldReply),
        1 => Just(Fate::Busy),
        1 => Just(Fate::TooLarge),
    ]
}
