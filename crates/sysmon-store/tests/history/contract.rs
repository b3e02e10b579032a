//! The cases. Each takes an empty store.

pub(crate) mod ingest;
pub(crate) mod letters;
pub(crate) mod maintenance;
pub(crate) mod moments;
pub(crate) mod queries;

/// One test per case, on what `backend().await` gives in the module where it is written.
macro_rules! history_contract {
    () => {
        history_contract! { @each
            ingest: batches_of_an_epoch_are_stored_in_order_and_once;
            ingest: a_batch_ahead_of_the_cursor_is_refused_with_the_one_that_is_due;
            ingest: epochs_and_machines_count_for_themselves;
            ingest: a_commit_that_cannot_be_stored_leaves_nothing_behind;
            ingest: writers_with_the_same_batches_store_them_once;
            ingest: lost_samples_move_the_cursor_and_show_as_a_gap;
            ingest: a_lost_range_that_overlaps_what_is_stored_counts_only_the_rest;
            ingest: a_lost_spool_shows_as_a_gap_from_the_newest_sample;
            ingest: a_machine_says_who_it_is_and_may_change_its_mind;
            ingest: numbers_that_the_table_lacks_are_passed_over;
            ingest: nothing_at_all_is_stored_and_asked_for_without_complaint;
            ingest: hostile_and_long_texts_come_back_as_they_were;
            ingest: everything_is_there_after_reopening;
            ingest: a_commit_that_nobody_waits_for_did_all_or_nothing;
            letters: a_batch_that_cannot_be_stored_is_put_aside_and_the_cursor_moves;
            letters: letters_are_listed_oldest_first_within_the_filter_and_the_limit;
            letters: retrying_stores_the_samples_once_and_removes_the_letter;
            letters: samples_from_the_future_wait_unless_they_are_forced;
            letters: what_could_not_be_read_cannot_be_retried_but_purged;
            maintenance: every_tier_says_the_same_before_and_after_maintenance;
            maintenance: the_coarsest_tier_with_enough_points_answers;
            maintenance: late_samples_reach_every_tier;
            maintenance: what_is_old_is_kept_only_in_coarser_tiers;
            maintenance: cursors_that_nothing_comes_for_are_forgotten;
            maintenance: maintaining_again_changes_nothing;
            maintenance: maintenance_may_be_interrupted_and_shared;
            maintenance: maintenance_beside_commits_loses_nothing;
            moments: a_moment_has_the_newest_value_of_every_series_before_it;
            moments: what_fell_silent_is_not_as_it_was_and_is_known_to_be_silent;
            moments: a_moment_is_the_same_before_and_after_maintenance_and_coarser_when_samples_are_gone;
            moments: processes_come_back_as_they_were_at_the_moment;
            moments: snapshots_that_cannot_be_are_refused_and_empty_ones_kept;
            moments: snapshots_go_when_they_are_old_or_too_many;
            moments: writers_of_the_same_snapshots_store_them_once;
            queries: single_samples_are_exact;
            queries: series_of_foreign_metrics_keep_unit_and_labels;
            queries: only_the_metrics_asked_for_come_back;
            queries: machines_come_in_the_order_asked_for_and_unknown_ones_not_at_all;
            queries: the_range_includes_its_start_and_not_its_end;
            queries: few_points_keep_every_extreme_and_count;
            queries: silence_is_a_gap_and_a_slow_pace_is_none;
            queries: a_range_within_a_silence_is_all_gap;
            queries: a_series_that_lacks_ticks_has_holes;
            queries: samples_that_come_late_are_answered_in_order_of_time;
            queries: a_series_may_change_its_decimals;
            queries: ranges_that_cannot_be_are_answered_with_nothing;
            queries: the_store_says_what_it_is_and_that_it_works;
        }
    };
    (@each $($group:ident: $case:ident;)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                let backend = backend().await;
                $crate::contract::$group::$case(&backend).await;
            }
        )*
    };
}
