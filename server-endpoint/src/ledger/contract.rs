//! What every ledger must do, whatever it is made of. A backend's tests name a function that makes an
//! empty ledger (and what must live as long as it) in [`contract_tests`].

use branchline_protocol::event::{RejectionCode, Verdict, VerdictAt};
use branchline_protocol::id::Seq;

use super::{Acknowledged, Ledger, TicketFilter};
use crate::testing::TestAgent;

pub(crate) mod announcing;
pub(crate) mod appending;
pub(crate) mod attached;
pub(crate) mod reading;
pub(crate) mod verdicts;

/// Makes a test of each part of the contract, on ledgers from `$make`.
macro_rules! contract_tests {
    ($make:path) => {
        $crate::ledger::contract::contract_tests!($make, appending:
            repeats_and_overlaps_change_nothing,
            a_gap_is_answered_with_the_head,
            a_fork_is_noticed_wherever_it_lies,
            a_new_stream_repeats_operations_without_a_second_effect,
            a_new_stream_waits_for_what_it_continues,
            a_stream_belongs_to_one_agent,
            a_number_given_out_twice_is_told_apart,
            the_same_id_from_two_agents_is_two_operations);
        $crate::ledger::contract::contract_tests!($make, verdicts:
            one_bad_operation_never_stops_the_others,
            verdicts_that_do_not_fit_an_answer_come_with_the_next);
        $crate::ledger::contract::contract_tests!($make, reading:
            the_feed_gives_what_concerns_the_branch_in_pages,
            agents_are_registered_and_heard_of,
            tickets_are_listed_and_shown);

        $crate::ledger::contract::contract_tests!($make, announcing:
            a_file_is_announced_brought_and_received,
            attaching_makes_a_file_that_waits);

        #[tokio::test]
        async fn a_cursor_of_another_ledger_rewinds() {
            let ((ledger, _here), (other, _there)) = ($make(), $make());
            $crate::ledger::contract::reading::a_cursor_of_another_ledger_rewinds(&ledger, &other)
                .await;
        }
    };
    ($make:path, $part:ident: $($name:ident),*) => {$(
        #[tokio::test]
        async fn $name() {
            let (ledger, _lives_as_long) = $make();
            $crate::ledger::contract::$part::$name(&ledger).await;
        }
    )*};
}
pub(crate) use contract_tests;

/// Everything up to a bound that no test reaches.
fn all() -> TicketFilter {
    TicketFilter {
        most: 1_000,
        ..TicketFilter::default()
    }
}

async fn effects(ledger: &impl Ledger, agent: &TestAgent) -> Vec<u64> {
    let held = ledger.held(agent.stream, Seq(0), 10_000).await.unwrap();
    for (held, count) in held.iter().zip(1..) {
        assert_eq!(held.seq, Seq(count as u64));
        assert_eq!(held.digest, agent.position(count).digest);
    }
    held.iter().map(|held| held.effects).collect()
}

fn codes(held: &Acknowledged) -> Vec<(u64, RejectionCode)> {
    let code = |at: &VerdictAt| match &at.verdict {
        Verdict::Rejected { reason } => (at.seq.0, reason.code),
        other => panic!("not a rejection: {other:?}"),
    };
    held.verdicts.iter().map(code).collect()
}
