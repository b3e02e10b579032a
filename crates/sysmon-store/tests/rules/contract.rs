//! The cases. Each takes an empty store.

pub(crate) mod leases;
pub(crate) mod notifications;
pub(crate) mod people;
pub(crate) mod shards;
pub(crate) mod texts;
pub(crate) mod upkeep;

/// One test per case, on what `backend().await` gives in the module where it is written.
macro_rules! rules_contract {
    () => {
        rules_contract! { @each
            people: a_rule_is_made_changed_and_removed_by_its_version;
            people: a_rule_that_is_made_again_goes_on_with_its_version;
            people: of_writers_who_saw_the_same_version_one_succeeds;
            people: the_starter_pack_is_stored_once_and_replaces_nothing;
            people: silences_begin_and_end;
            people: acknowledgements_are_set_changed_and_cleared;
            people: every_change_is_audited_with_how_it_was_and_is;
            people: the_audit_log_is_read_in_pages;
            leases: a_lease_is_kept_by_its_holder_until_it_is_given_back;
            leases: a_lapsed_lease_is_taken_over_and_the_old_holder_writes_nothing;
            leases: a_lapsed_lease_that_nobody_took_goes_on_with_its_fence;
            leases: no_more_are_taken_than_asked_for_and_those_wanted_most_first;
            leases: holders_who_race_never_hold_the_same;
            leases: leases_that_cannot_be_are_refused;
            shards: a_shard_comes_back_as_it_was_saved;
            shards: steps_are_stored_once_in_their_order;
            shards: what_is_gone_takes_its_acknowledgement_along;
            shards: a_save_that_is_refused_leaves_nothing_behind;
            shards: a_lease_is_good_for_its_own_work_only;
            shards: the_log_is_asked_by_machine_rule_and_time;
            shards: no_step_appears_before_one_that_was_seen;
            shards: a_save_that_nobody_waits_for_did_all_or_nothing;
            shards: everything_is_there_after_reopening;
            notifications: the_notifier_begins_at_the_newest_step_and_goes_on_where_it_was;
            notifications: deliveries_are_kept_changed_and_listed_newest_first;
            notifications: a_dead_delivery_is_sent_again_and_no_other;
            notifications: what_somebody_asks_for_is_due_at_once;
            notifications: an_old_notifier_writes_nothing;
            texts: hostile_and_long_texts_come_back_as_they_were;
            texts: what_cannot_be_kept_is_refused_with_advice;
            texts: numbers_come_back_to_the_last_bit;
            upkeep: what_is_old_is_removed_and_the_rest_stays;
            upkeep: the_store_says_what_it_is;
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
