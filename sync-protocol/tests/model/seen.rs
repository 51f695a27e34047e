//! Which situations the histories reached: a model that never gets into trouble proves nothing.

use std::cell::RefCell;
use std::collections::BTreeMap;

/// Every situation that a run of the usual length must reach.
const SITUATIONS: &[&str] = &[
    "placed: append after repeats",
    "placed: gap",
    "placed: gap, what it continues is missing",
    "placed: diverged, agreed",
    "placed: diverged, not agreed",
    "judged: repeat in another stream",
    "judged: renumbered",
    "judged: rejected",
    "feed: rewound",
    "fork: AgentRestored Unacknowledged",
    "fork: AgentRestored Retained",
    "fork: CentralRestored Retained",
    "fork: JournalDamaged Behind",
    "fork: inherits what it continues",
    "compared: agrees",
    "compared: differs",
    "compared: cannot tell",
    "reply: journal is behind",
    "reply: unfit",
];

thread_local! {
    static SEEN: RefCell<BTreeMap<String, u64>> = RefCell::default();
}

/// Notes a situation.
pub fn seen(situation: impl Into<String>) {
    SEEN.with_borrow_mut(|seen| *seen.entry(situation.into()).or_default() += 1);
}

/// Fails where a situation was never reached.
pub fn assert_all_seen() {
    SEEN.with_borrow(|seen| {
        println!("{seen:#?}");
        for situation in SITUATIONS {
            assert!(seen.contains_key(*situation), "never reached: {situation}");
        }
    });
}
