//! Marks on charts and sparklines: where an alert began to fire, where it was over, and since when one is pending.

use sysmon_core::alert::{AlertKey, Phase, Severity, Transition};
use sysmon_core::{MetricId, UnixMillis};

use crate::state::State;
use crate::state::alerts::scope::metric_check;

/// What happened; the worst is the greatest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum MarkKind {
    /// It has been wrong since then, and has yet to fire. What came to nothing leaves no mark.
    Pending(Severity),
    /// It was over.
    Resolved,
    /// It began to fire, or got worse.
    Fires(Severity),
}

/// Something that happened, at a moment or for a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) from: UnixMillis,
    pub(crate) to: UnixMillis,
    pub(crate) kind: MarkKind,
}

impl Mark {
    fn at(at: UnixMillis, kind: MarkKind) -> Self {
        Self {
            from: at,
            to: at,
            kind,
        }
    }

    fn of(step: &Transition) -> Option<Self> {
        let kind = match step.to {
            // Data that comes and goes while it fires is no news.
            Phase::Firing if step.from != Phase::NoData => MarkKind::Fires(step.severity),
            Phase::Resolved => MarkKind::Resolved,
            _ => return None,
        };
        Some(Self::at(step.at, kind))
    }
}

/// What happened to one of the metrics on a machine, as far as it is known here: the steps that came while the client
/// was connected, those of the log that was asked for, and since when what fires or is pending does.
pub(crate) fn marks(state: &State, machine: &str, metrics: &[MetricId]) -> Vec<Mark> {
    let board = &state.alerts.board;
    let is_of = |key: &AlertKey| {
        key.machine.as_str() == machine
            && board
                .rule(&key.rule)
                .and_then(|stored| metric_check(&stored.rule))
                .is_some_and(|check| {
                    metrics
                        .iter()
                        .any(|metric| watches(&check.quantity.metric, *metric))
                })
    };
    let steps = board
        .steps()
        .chain(state.alerts.log.steps.iter().map(|(_, step)| step));
    let steps = steps.filter(|step| is_of(&step.key)).filter_map(Mark::of);
    let alerts = board.alerts_of(machine).filter(|alert| is_of(&alert.key));
    let begun = alerts.filter_map(|alert| match alert.phase {
        Phase::Pending => Some(Mark::at(alert.since, MarkKind::Pending(alert.severity))),
        _ => Some(Mark::at(alert.fired?, MarkKind::Fires(alert.severity))),
    });
    steps.chain(begun).collect()
}

/// Whether a rule's metric is what a chart or column shows: the fullest file system stands for each of them.
fn watches(name: &str, metric: MetricId) -> bool {
    name == metric.name()
        || metric == MetricId::MountWorstPercent && name == MetricId::MountUsedPercent.name()
}
