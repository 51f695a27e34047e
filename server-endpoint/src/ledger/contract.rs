//! What every ledger must do, whatever it is made of. A backend's tests name a function that makes an
//! empty ledger (and what must live as long as it) in [`contract_tests`].

use branchline_protocol::event::{RejectionCode, Verdict, VerdictAt};
use branchline_protocol::id::Seq;

use super::{Acknowledged, Ledger, TicketFilter};
use crate::testing::TestAgent;

pub(crate) mod announcing;
pub(crate) mod appending;
pub(crate) mod attached;
pub(crate) mod bringing;
pub(crate) mod certificates;
pub(crate) mod desk;
pub(crate) mod desk_settings;
pub(crate) mod giving;
pub(crate) mod joining;
pub(crate) mod judging;
mod model;
pub(crate) mod operators;
pub(crate) mod publishing;
pub(crate) mod random;
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
            a_ticket_filed_again_under_another_number_keeps_its_own,
            the_same_id_from_two_agents_is_two_operations);
        $crate::ledger::contract::contract_tests!($make, verdicts:
            one_bad_operation_never_stops_the_others,
            verdicts_that_do_not_fit_an_answer_come_with_the_next);
        $crate::ledger::contract::contract_tests!($make, reading:
            the_feed_gives_what_concerns_the_branch_in_pages,
            a_cursor_of_another_branch_shows_nothing_of_it,
            agents_are_registered_and_heard_of,
            tickets_are_listed_and_shown);

        $crate::ledger::contract::contract_tests!($make, announcing:
            a_file_is_announced_brought_and_received,
            attaching_makes_a_file_that_waits,
            a_file_of_nobody_or_of_another_agent_is_not_attached,
            a_manifest_that_cannot_be_the_files_is_refused_and_changes_nothing,
            sections_come_in_order_and_repeat_exactly,
            an_empty_file_is_received_at_once,
            what_central_holds_does_not_come_again,
            a_chunk_comes_once_however_often_a_file_has_it,
            what_is_missing_is_told_within_bounds,
            a_large_file_is_announced_in_sections,
            an_agent_at_a_bound_begins_nothing_and_finishes_what_it_began,
            a_judged_file_says_what_became_of_it);
        $crate::ledger::contract::contract_tests!($make, bringing:
            the_first_place_of_a_chunk_stays,
            nobody_brings_what_it_has_not_announced,
            a_chunk_completes_every_file_that_waits_for_it,
            a_lost_chunk_is_waited_for_again,
            chunks_of_an_assembled_file_leave_their_objects,
            two_attempts_of_one_upload_race);
        $crate::ledger::contract::contract_tests!($make, judging:
            a_file_moves_only_from_where_it_was_seen,
            p5_no_file_becomes_readable_but_by_a_verdict_or_a_release,
            an_upload_that_does_not_come_is_given_up,
            a_large_upload_is_given_up_whole,
            a_corrupt_file_gives_its_chunks_back,
            inspection_takes_small_files_first_and_starves_none,
            files_in_trouble_stand_back,
            files_are_listed);
        $crate::ledger::contract::contract_tests!($make, joining:
            a_token_is_good_for_what_it_says,
            a_token_raced_for_by_fifty_makes_one_agent,
            a_repeat_is_the_same_enrolment_and_costs_nothing,
            a_journal_decides_who_joins,
            joining_again_lifts_a_revocation_and_ends_what_was_before,
            a_token_from_before_a_revocation_does_not_lift_it,
            ordinals_are_given_out_once);
        $crate::ledger::contract::contract_tests!($make, certificates:
            the_old_certificate_stays_until_the_new_one_is_proven,
            an_unproven_certificate_gives_way,
            a_certificate_is_its_agents_alone,
            no_certificate_for_who_was_revoked_meanwhile,
            superseded_certificates_are_kept_within_bounds,
            refusals_are_kept_until_an_agent_is_heard,
            revocations_are_told_in_order);
        $crate::ledger::contract::contract_tests!($make, publishing:
            each_deed_is_in_the_trail_and_the_trail_holds_together,
            a_release_is_recorded_with_what_it_moves,
            trust_reaches_each_branch_once_and_in_order);
        $crate::ledger::contract::contract_tests!($make, operators:
            operators_come_change_and_go,
            there_is_always_an_administrator,
            a_session_ends_with_what_it_was_opened_with,
            a_session_is_not_opened_with_what_is_no_longer_so,
            sessions_are_bounded_in_time_and_number,
            api_tokens_are_good_until_they_end);
        $crate::ledger::contract::contract_tests!($make, desk:
            commands_change_a_ticket_and_tell_its_branch,
            what_central_says_to_itself_reaches_no_branch,
            a_command_that_saw_an_older_ticket_changes_nothing,
            files_that_move_make_no_command_stale,
            of_many_commands_at_once_one_is_carried_out,
            a_command_given_again_is_answered_as_the_first_time,
            a_branch_that_speaks_opens_its_ticket_again,
            what_is_said_on_a_merged_ticket_opens_the_one_that_goes_on,
            what_is_withdrawn_or_merged_stays_so,
            a_command_that_breaks_a_rule_is_refused_by_field,
            whoever_takes_up_a_new_ticket_opens_it,
            p5_a_reply_gives_only_files_that_are_clean_or_released);
        $crate::ledger::contract::contract_tests!($make, giving:
            p5_a_file_from_central_is_judged_before_a_reply_carries_it,
            a_file_goes_to_its_own_tickets_branch_alone,
            what_central_gives_is_nothing_that_a_branch_finds,
            what_breaks_a_rule_is_not_given,
            p8_whoever_sends_nothing_gives_no_more,
            a_file_that_no_reply_took_is_given_up);
        $crate::ledger::contract::contract_tests!($make, desk_settings:
            the_catalogue_reaches_every_branch,
            a_catalogue_that_no_answer_could_carry_is_refused,
            bandwidth_is_said_to_its_branch_alone);

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
