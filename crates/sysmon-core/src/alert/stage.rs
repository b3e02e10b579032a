//! One severity of one alert: its own hold, hysteresis and clear hold.

use serde::{Deserialize, Serialize};

use super::rule::{Comparison, Severity};
use super::state::Phase;
use crate::time::UnixMillis;

/// Where one severity stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Stage {
    /// Not wrong.
    #[default]
    Idle,
    /// Wrong since then.
    Pending(UnixMillis),
    /// Wrong for long enough.
    Firing,
    /// Right again since then; `None` while it is neither wrong nor right.
    Recovering(Option<UnixMillis>),
}

/// How a level judges a sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// At the trigger or beyond it, and the guard holds.
    Wrong,
    /// Between trigger and clear value.
    Between,
    /// Beyond the clear value, or the guard does not hold.
    Right,
    /// At the trigger or beyond it, but nobody knows whether the guard holds.
    Unknown,
    /// Not judged at all: the window is not full.
    Skipped,
}

/// One level, ready to judge.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct LevelPlan {
    pub(super) trigger: f64,
    pub(super) clear: f64,
    /// Place of its guard among those of the rule.
    pub(super) guard: Option<usize>,
}

impl LevelPlan {
    /// Judges a value. `guard` is whether what has to be true as well is true: `Some(true)` without a guard.
    pub(super) fn judge(&self, comparison: Comparison, value: f64, guard: Option<bool>) -> Verdict {
        let is_right = match comparison {
            Comparison::Above => value < self.clear,
            Comparison::Below => value > self.clear,
        };
        match (comparison.is_beyond(value, self.trigger), guard) {
            (_, Some(false)) => Verdict::Right,
            (true, Some(true)) => Verdict::Wrong,
            (true, None) => Verdict::Unknown,
            (false, _) if is_right => Verdict::Right,
            (false, _) => Verdict::Between,
        }
    }
}

/// How long a level waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Holds {
    pub(super) hold_ms: u64,
    pub(super) clear_hold_ms: u64,
    /// Samples were missing before this one: what was held begins anew.
    pub(super) is_restart: bool,
}

impl Stage {
    /// The stage after a sample.
    #[must_use]
    pub(super) fn after(self, verdict: Verdict, at: UnixMillis, holds: Holds) -> Self {
        let from = |since: UnixMillis| if holds.is_restart { at } else { since };
        match (self, verdict) {
            (stage, Verdict::Skipped) => stage,
            (Self::Idle, Verdict::Wrong) => Self::pend(at, at, holds),
            (Self::Idle, _) => Self::Idle,
            (Self::Pending(since), Verdict::Wrong) => Self::pend(from(since), at, holds),
            // The hold counts only time in which it is known to be wrong.
            (Self::Pending(_), Verdict::Unknown) => Self::Pending(at),
            (Self::Pending(_), Verdict::Between | Verdict::Right) => Self::Idle,
            (Self::Firing | Self::Recovering(_), Verdict::Wrong) => Self::Firing,
            (Self::Firing, Verdict::Right) => Self::recover(at, at, holds),
            (Self::Firing, Verdict::Between | Verdict::Unknown) => Self::Firing,
            (Self::Recovering(since), Verdict::Right) => Self::recover(from(since.unwrap_or(at)), at, holds),
            (Self::Recovering(_), Verdict::Between | Verdict::Unknown) => Self::Recovering(None),
        }
    }

    fn pend(since: UnixMillis, at: UnixMillis, holds: Holds) -> Self {
        if at.since_ms(since) >= holds.hold_ms {
            Self::Firing
        } else {
            Self::Pending(since)
        }
    }

    fn recover(since: UnixMillis, at: UnixMillis, holds: Holds) -> Self {
        if at.since_ms(since) >= holds.clear_hold_ms {
            Self::Idle
        } else {
            Self::Recovering(Some(since))
        }
    }
}

/// Phase and severity of an alert from the stages of its severities, in the order of [`Severity::ALL`]; `None` when
/// all are idle. What fires or recovers counts before what is pending; as long as one fires, the alert fires.
#[must_use]
pub(super) fn combine(stages: &[Stage; 3]) -> Option<(Phase, Severity)> {
    let worst = |wanted: fn(&Stage) -> bool| {
        let at = stages.iter().rposition(wanted)?;
        Severity::ALL.get(at).copied()
    };
    if let Some(severity) = worst(|stage| matches!(stage, Stage::Firing | Stage::Recovering(_))) {
        let is_firing = stages.contains(&Stage::Firing);
        let phase = if is_firing {
            Phase::Firing
        } else {
            Phase::Recovering
        };
        return Some((phase, severity));
    }
    worst(|stage| matches!(stage, Stage::Pending(_))).map(|severity| (Phase::Pending, severity))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clear_hold_counts_only_time_in_which_it_is_right() {
        let holds = Holds {
            hold_ms: 10,
            clear_hold_ms: 10,
            is_restart: false,
        };
        let mut stage = Stage::Idle;
        for (at, verdict, expected) in [
            (0, Verdict::Wrong, Stage::Pending(UnixMillis(0))),
            (5, Verdict::Unknown, Stage::Pending(UnixMillis(5))),
            (14, Verdict::Wrong, Stage::Pending(UnixMillis(5))),
            (15, Verdict::Wrong, Stage::Firing),
            (16, Verdict::Right, Stage::Recovering(Some(UnixMillis(16)))),
            (20, Verdict::Between, Stage::Recovering(None)),
            (25, Verdict::Right, Stage::Recovering(Some(UnixMillis(25)))),
            (30, Verdict::Skipped, Stage::Recovering(Some(UnixMillis(25)))),
            (35, Verdict::Right, Stage::Idle),
        ] {
            stage = stage.after(verdict, UnixMillis(at), holds);
            assert_eq!(stage, expected, "{at}");
        }
    }

    #[test]
    fn as_long_as_one_severity_fires_the_alert_fires_with_the_worst() {
        let (since, idle) = (UnixMillis(0), Stage::Idle);
        for (stages, expected) in [
            ([idle; 3], None),
            (
                [idle, Stage::Pending(since), Stage::Pending(since)],
                Some((Phase::Pending, Severity::Critical)),
            ),
            (
                [idle, Stage::Firing, Stage::Pending(since)],
                Some((Phase::Firing, Severity::Warning)),
            ),
            (
                [idle, Stage::Firing, Stage::Recovering(None)],
                Some((Phase::Firing, Severity::Critical)),
            ),
            (
                [
                    Stage::Recovering(None),
                    Stage::Recovering(None),
                    Stage::Pending(since),
                ],
                Some((Phase::Recovering, Severity::Warning)),
            ),
        ] {
            assert_eq!(combine(&stages), expected, "{stages:?}");
        }
    }
}
