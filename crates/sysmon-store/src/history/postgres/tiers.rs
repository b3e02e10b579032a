//! Which tiers answer a question: what is kept, and what is rolled up so far.

use std::collections::BTreeMap;

use sysmon_core::{HistoryQuery, Tier};

use super::maintain::floor;
use super::query::Asked;
use super::settings::{Setting, Settings};
use crate::history::plan::{FIVE_MINUTES_MS, Plan};

/// The shared plan; where finer roll-ups or samples are forgotten already, what is coarser answers.
pub(super) fn plan(query: &HistoryQuery, settings: &Settings, asked: &BTreeMap<i32, Asked>) -> Option<Plan> {
    let plan = Plan::of(query)?;
    let is_forgotten = |setting| {
        let kept = settings.get(setting)?;
        let had_some = asked
            .values()
            .filter_map(|machine| machine.span)
            .any(|(first, _)| first < kept);
        (plan.from < kept && had_some).then_some(())
    };
    let raw_is_gone = plan.tier == Tier::Raw && is_forgotten(Setting::RawKept).is_some();
    let minutes_are_gone =
        (raw_is_gone || plan.tier == Tier::Minute) && is_forgotten(Setting::MinuteKept).is_some();
    match (raw_is_gone, minutes_are_gone) {
        (_, true) => Plan::at(query, Tier::Hour),
        (true, false) => Plan::at(query, Tier::Minute),
        (false, false) => Some(plan),
    }
}

/// From which roll-ups a range is read: in the middle from those of five minutes where moments are made of such, as far as
/// they are made.
pub(super) fn stretches(
    plan: &Plan,
    tier: &'static str,
    (from, to): (i64, i64),
    fives_done: i64,
) -> Vec<(&'static str, (i64, i64))> {
    let mut stretches = vec![(tier, (from, to))];
    let is_of_fives = plan.step_ms % FIVE_MINUTES_MS == 0 && plan.first % FIVE_MINUTES_MS == 0;
    if plan.tier == Tier::Minute && is_of_fives {
        let first = floor(from.saturating_add(FIVE_MINUTES_MS - 1), FIVE_MINUTES_MS);
        let last = floor(to.min(fives_done), FIVE_MINUTES_MS);
        if first < last {
            stretches = vec![
                (tier, (from, first)),
                ("five_minutes", (first, last)),
                (tier, (last, to)),
            ];
        }
    }
    stretches.retain(|(_, (from, to))| from < to);
    stretches
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use sysmon_core::UnixMillis;

    proptest! {
        #[test]
        fn stretches_are_the_range_and_no_moment_is_within_one_roll_up_with_another(
            from in 0i64..1 << 40, length in 1i64..1 << 31, points in 1u32..2_000, done in 0i64..1 << 40,
        ) {
            let query = HistoryQuery {
                machines: Vec::new(),
                metrics: Vec::new(),
                from: UnixMillis(from),
                to: UnixMillis(from + length),
                points,
            };
            let plan = Plan::at(&query, Tier::Minute).unwrap();
            let (start, end) = plan.reach();
            let mut at = start;
            for (tier, (from, to)) in stretches(&plan, "minute", (start, end), start + done % (2 * length)) {
                prop_assert_eq!(from, at);
                prop_assert!(from < to);
                if tier == "five_minutes" {
                    prop_assert_eq!((from % FIVE_MINUTES_MS, to % FIVE_MINUTES_MS), (0, 0));
                    prop_assert_eq!((plan.first % FIVE_MINUTES_MS, plan.step_ms % FIVE_MINUTES_MS), (0, 0));
                }
                at = to;
            }
            prop_assert_eq!(at, end);
        }
    }
}
