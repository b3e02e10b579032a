//! Which tier answers a question, and where the moments of the answer lie.

use sysmon_core::{HistoryQuery, Tier};

/// Times further from 1970 than this are no times of samples (the year 275,760): within it no sum of times runs over.
pub(crate) const TIME_LIMIT_MS: i64 = 8_640_000_000_000_000;

/// Moments of at least this length are made of whole ones: PostgreSQL keeps roll-ups of five minutes beside those of one,
/// which then answer with a fifth of the rows.
pub(crate) const FIVE_MINUTES_MS: i64 = 300_000;

/// How a question is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    /// Which tier.
    pub(crate) tier: Tier,
    /// Start, included, in Unix milliseconds, within [`TIME_LIMIT_MS`].
    pub(crate) from: i64,
    /// End, not included.
    pub(crate) to: i64,
    /// Start of the first moment, at or before `from`.
    pub(crate) first: i64,
    /// Length of a moment: a multiple of the tier's width, of minutes also of [`FIVE_MINUTES_MS`] where it is as long;
    /// at least 1 ms. Moments start at multiples of it, so that an
    /// answer to the same question a little later has the same ones.
    pub(crate) step_ms: i64,
    /// How many moments reach from `first` to `to`: at most what was asked for.
    pub(crate) moments: usize,
    /// What was asked for.
    pub(crate) points: usize,
}

impl Plan {
    /// The plan for a question: the coarsest tier whose roll-ups are no longer than the moments asked for. `None` for an
    /// empty range.
    pub(crate) fn of(query: &HistoryQuery) -> Option<Self> {
        let step_ms = query.finest_step_ms();
        let tier = [Tier::Hour, Tier::Minute]
            .into_iter()
            .find(|tier| tier.width_ms().is_some_and(|width| width <= step_ms));
        Self::at(query, tier.unwrap_or(Tier::Raw))
    }

    /// The plan for a question that this tier is to answer.
    pub(crate) fn at(query: &HistoryQuery, tier: Tier) -> Option<Self> {
        let from = query.from.0.clamp(-TIME_LIMIT_MS, TIME_LIMIT_MS);
        let to = query.to.0.clamp(-TIME_LIMIT_MS, TIME_LIMIT_MS);
        if from >= to {
            return None;
        }
        let width = i64::try_from(tier.width_ms().unwrap_or(1)).unwrap_or(1);
        let points = i64::from(query.points.clamp(1, HistoryQuery::MOMENTS_MAX));
        let ceil = |length: i64, parts: i64| (length + parts - 1).div_euclid(parts);
        let whole = |length: i64| {
            let width = if tier == Tier::Minute && length >= FIVE_MINUTES_MS {
                FIVE_MINUTES_MS
            } else {
                width
            };
            ceil(length, width).max(1) * width
        };
        let aligned = |step: i64| (from.div_euclid(step) * step, step);
        let count = |(first, step): (i64, i64)| (to - first + step - 1).div_euclid(step);
        // Moments that start at multiples of the step may be one more than the range has steps.
        let (first, step_ms) = Some(aligned(whole(ceil(to - from, points))))
            .filter(|plan| count(*plan) <= points)
            .or_else(|| (points > 1).then(|| aligned(whole(ceil(to - from, points - 1)))))
            .filter(|plan| count(*plan) <= points)
            .unwrap_or_else(|| {
                let first = from.div_euclid(width) * width;
                (first, whole(ceil(to - first, points)))
            });
        Some(Self {
            tier,
            from,
            to,
            first,
            step_ms,
            moments: usize::try_from(count((first, step_ms))).unwrap_or(0),
            points: usize::try_from(points).unwrap_or(1),
        })
    }

    /// The time that decides where a sample or a roll-up goes: the start of its roll-up, so that an answer is the same
    /// before and after rolling up.
    pub(crate) fn time_of(&self, time: i64) -> i64 {
        let width = self.width();
        time.div_euclid(width) * width
    }

    /// The range in whole roll-ups: start, included, and end, not included.
    pub(crate) fn reach(&self) -> (i64, i64) {
        let width = self.width();
        (
            self.time_of(self.from),
            (self.to + width - 1).div_euclid(width) * width,
        )
    }

    fn width(&self) -> i64 {
        i64::try_from(self.tier.width_ms().unwrap_or(1)).unwrap_or(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use sysmon_core::UnixMillis;

    fn query(from: i64, to: i64, points: u32) -> HistoryQuery {
        HistoryQuery {
            machines: Vec::new(),
            metrics: Vec::new(),
            from: UnixMillis(from),
            to: UnixMillis(to),
            points,
        }
    }

    #[test]
    fn the_coarsest_tier_that_still_has_the_points_answers() {
        let tier = |hours: i64, points| Plan::of(&query(0, hours * 3_600_000, points)).unwrap().tier;
        assert_eq!(tier(1, 300), Tier::Raw);
        assert_eq!(tier(5, 300), Tier::Minute);
        assert_eq!(tier(24, 300), Tier::Minute);
        assert_eq!(tier(24, 24), Tier::Hour);
        assert_eq!(tier(720, 300), Tier::Hour);
    }

    #[test]
    fn long_moments_of_minutes_are_whole_fives_of_them() {
        for (hours, points, minutes) in [
            (6, 300, 2),
            (20, 300, 4),
            (24, 300, 5),
            (48, 300, 10),
            (168, 300, 35),
        ] {
            let plan = Plan::of(&query(0, hours * 3_600_000, points)).unwrap();
            assert_eq!(
                (plan.tier, plan.step_ms),
                (Tier::Minute, minutes * 60_000),
                "{hours} h"
            );
            assert_eq!(plan.first % plan.step_ms, 0);
        }
    }

    proptest! {
        #[test]
        fn moments_cover_the_range_within_the_budget(
            from in any::<i64>(), length in 1i64..1 << 45, points in 0u32..40_000, tier in 0usize..3,
        ) {
            let tier = [Tier::Raw, Tier::Minute, Tier::Hour][tier];
            let query = query(from, from.saturating_add(length), points);
            if let Some(plan) = Plan::at(&query, tier) {
                prop_assert!(plan.moments <= points.clamp(1, 20_000) as usize);
                prop_assert!(plan.first <= plan.from);
                prop_assert!(plan.first + plan.step_ms * i64::try_from(plan.moments).unwrap() >= plan.to);
                prop_assert_eq!(plan.step_ms % i64::try_from(tier.width_ms().unwrap_or(1)).unwrap(), 0);
            } else {
                prop_assert!(from.abs_diff(0) >= TIME_LIMIT_MS as u64);
            }
        }
    }
}
