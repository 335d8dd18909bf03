//! Every home is held to the same rules. The AWS home stands on the local AWS: the real handlers and adapters, and a
//! pump that does what Lambda's mappings do. The home on one machine stands on its store. Each rule has queues and a
//! store of its own, so they run side by side.

use chaski_tests::conformance::{
    body, burial, callback, cancel, dedup, delivery, flow, foreign, identity, line, order, pause, retry, time,
};
use chaski_tests::home::aws::AwsHome;
use chaski_tests::home::embedded::EmbeddedHome;

macro_rules! holds {
    ($($file:ident :: $rule:ident;)*) => {
        mod aws {
            use super::*;

            $(
                #[tokio::test]
                async fn $rule() -> anyhow::Result<()> {
                    $file::$rule(&AwsHome::open(stringify!($file)).await?).await
                }
            )*
        }

        mod embedded {
            use super::*;

            $(
                #[tokio::test]
                async fn $rule() -> anyhow::Result<()> {
                    $file::$rule(&EmbeddedHome::open()?).await
                }
            )*
        }
    };
}

holds! {
    body::a_body_of_any_size_arrives_as_it_was_given;
    body::a_retry_sends_the_same_body;
    body::a_dead_letter_keeps_its_body_and_a_replay_sends_it;
    body::an_upload_is_one_message_s;
    body::a_body_goes_with_what_names_it;
    delivery::what_is_done_is_never_seen_again;
    delivery::a_lost_answer_is_an_entry_seen_again_and_nothing_more;
    delivery::a_batch_delivered_twice_is_handed_off_once;
    delivery::in_bad_weather_nothing_is_lost;
    dedup::one_key_and_body_is_one_delivery;
    dedup::a_move_that_is_no_attempt_is_not_swallowed;
    dedup::ten_waits_within_five_minutes_lose_nothing;
    dedup::a_replay_within_the_window_is_another_message;
    retry::a_retry_is_not_early_and_carries_the_next_attempt;
    retry::the_first_error_picks_the_policy;
    burial::a_burial_repeated_a_hundred_times_is_one_dead_letter;
    line::first_attempts_of_a_subject_are_in_order;
    line::what_follows_a_refused_entry_of_its_subject_is_not_sent;
    line::a_failed_settlement_leaves_the_message_and_its_line_as_they_were;
    line::a_failed_burial_lets_nothing_go;
    line::the_third_panic_buries_and_nobody_else_suffers;
    foreign::first_entries_of_every_version_are_delivered;
    foreign::an_envelope_without_meta_in_a_tier_is_buried;
    foreign::what_can_not_be_read_is_buried_as_it_is;
    foreign::what_the_queues_gave_up_is_buried;
    order::a_failed_head_holds_its_line_and_no_other;
    order::every_line_is_in_order_over_crashes;
    order::a_poison_head_dies_and_its_line_goes_on;
    order::a_batch_may_mix_both_kinds;
    order::a_failed_hold_leaves_the_line_as_it_was;
    order::places_in_a_line_rise;
    order::a_line_waits_as_long_as_its_head_asks;
    time::a_delayed_message_joins_its_line_in_time;
    time::a_delay_of_twenty_days_is_kept;
    time::what_has_expired_is_not_sent;
    time::what_waits_for_its_retry_expires;
    time::ten_waits_lose_nothing;
    time::each_message_has_its_own_timeout;
    time::each_message_is_retried_as_it_asks;
    identity::a_key_belongs_to_its_producer_and_body;
    identity::a_delayed_message_posted_again_is_one;
    cancel::what_is_cancelled_is_never_sent;
    cancel::what_waits_for_its_retry_can_be_cancelled;
    cancel::what_is_cancelled_is_not_attempted_and_what_comes_later_is;
    pause::everything_can_be_paused;
    pause::a_route_can_be_paused;
    pause::a_subject_can_be_paused;
    pause::a_target_can_be_paused;
    pause::a_narrower_pause_still_holds_what_a_wider_one_let_go;
    callback::each_end_is_told;
    callback::a_cancellation_is_told;
    callback::a_callback_that_fails_is_retried_and_dies_once;
    callback::an_end_that_can_not_be_told_is_none_yet;
    callback::a_crash_around_an_end_makes_no_second_callback;
    flow::no_more_run_at_once_than_a_flow_allows;
    flow::no_more_run_at_once_than_a_host_allows;
    flow::no_more_begin_in_a_second_than_a_flow_allows;
    flow::a_host_that_keeps_failing_is_left_alone;
}
