//! The model test of P2, exactly once and in order: random histories on the real sender and
//! receiver, with simulated disks and network between them.
//!
//! A history is a list of [`action::Act`]. After each act, and again when faults have ended and
//! everything has come to rest, [`reference`] says what must be. A failing history is shrunk and
//! printed as values; paste it into [`past`]. `MODEL_SEED` runs one seed again, `MODEL_CASES`
//! sets how many histories are tried.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::result_large_err,
    missing_docs,
    unreachable_pub,
    reason = "a test: a panic is its answer, and what it prints says what it reached"
)]

mod action;
mod agent;
mod central;
mod past;
mod reference;
mod seen;
mod world;

use std::hash::{BuildHasher, RandomState};

use proptest::test_runner::{Config, RngSeed, TestCaseError, TestError, TestRunner};

/// A few seconds' worth.
const USUAL_CASES: u64 = 10_000;

#[test]
fn exactly_once_and_in_order() {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse().unwrap());
    let seed: u64 = number("MODEL_SEED").unwrap_or_else(|| RandomState::new().hash_one(0));
    let cases = number("MODEL_CASES").unwrap_or(USUAL_CASES);
    let mut runner = TestRunner::new(Config {
        cases: cases.try_into().unwrap(),
        rng_seed: RngSeed::Fixed(seed),
        failure_persistence: None,
        ..Config::default()
    });
    let ran = runner.run(&action::histories(120), |history| {
        run(&history).map_err(TestCaseError::fail)
    });
    match ran {
        Ok(()) if cases >= USUAL_CASES => seen::assert_all_seen(),
        Ok(()) => {}
        Err(TestError::Fail(fault, history)) => {
            let history = without_what_does_not_matter(history);
            let fault = run(&history).err().unwrap_or(fault.to_string());
            panic!("MODEL_SEED={seed}: {fault}\n{history:?}");
        }
        Err(TestError::Abort(reason)) => panic!("MODEL_SEED={seed}: {reason}"),
    }
}

#[test]
fn past_failures() {
    for history in past::FAILURES {
        run(history).unwrap_or_else(|fault| panic!("{fault}\n{history:?}"));
    }
}

/// A panic of the protocol's own or of central's is a failure like any other.
fn run(history: &[action::Act]) -> Result<(), String> {
    let caught = std::panic::catch_unwind(|| world::run(history));
    caught.unwrap_or_else(|_| Err("panicked, see above".to_owned()))
}

/// Acts that proptest had to keep while others were larger.
fn without_what_does_not_matter(mut history: Vec<action::Act>) -> Vec<action::Act> {
    let mut n = 0;
    while n < history.len() {
        let mut less = history.clone();
        less.remove(n);
        if run(&less).is_err() {
            history = less;
            n = 0;
        } else {
            n += 1;
        }
    }
    history
}
