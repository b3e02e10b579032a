//! Which alerts there were at a moment: told from the log of their steps, and from what is known now.

use std::collections::BTreeMap;

use sysmon_core::UnixMillis;
use sysmon_core::alert::{Alert, AlertKey, Phase, Severity, Transition};

use crate::state::alerts::board::Board;

/// A part of the log of alerts, for the moments on screen.
#[derive(Debug, Default)]
pub(crate) struct Log {
    /// Steps with their numbers, oldest first.
    pub(crate) steps: Vec<Transition>,
    /// It has every step from here on.
    pub(crate) from: Option<UnixMillis>,
    /// It has every step before this.
    pub(crate) to: UnixMillis,
    /// The question under way: its number, the end that was asked for, and when it was asked.
    pub(crate) question: Option<(u64, UnixMillis, UnixMillis)>,
    /// There is no asking: refused, or nobody keeps a log.
    pub(crate) is_closed: bool,
}

impl Log {
    /// The most steps that are asked for at once.
    pub(crate) const PAGE: u32 = 200;

    /// Whether all steps shortly before and after a moment are known.
    pub(crate) fn covers(&self, at: UnixMillis) -> bool {
        self.from.is_some_and(|from| from <= at) && at < self.to
    }

    /// Takes an answer over; `page` is newest first.
    pub(crate) fn take(&mut self, page: Vec<Transition>, to: UnixMillis, is_whole: bool) {
        let oldest = page.last().map_or(to, |step| step.at);
        self.from = Some(if is_whole { UnixMillis(i64::MIN) } else { oldest });
        self.to = to;
        self.steps = page;
        self.steps.reverse();
    }

    /// The alerts of a moment: what a later step says was before it, what an earlier one left behind, and for an alert
    /// without any step what it is now, if it has been so since before.
    pub(crate) fn alerts_at(&self, at: UnixMillis, live: &Board) -> Vec<Alert> {
        let mut known: BTreeMap<&AlertKey, Option<Alert>> = BTreeMap::new();
        for step in &self.steps {
            if step.at <= at {
                known.insert(&step.key, left_behind(step));
            } else {
                known.entry(&step.key).or_insert_with(|| before(step, at));
            }
        }
        for alert in live.alerts().filter(|alert| alert.since <= at) {
            known
                .entry(&alert.key)
                .or_insert_with(|| Some(as_known_then(alert, at)));
        }
        known.into_values().flatten().collect()
    }
}

/// What an alert is after a step; nothing when it is over.
fn left_behind(step: &Transition) -> Option<Alert> {
    alert(step, step.to, step.severity, step.at, step.fired)
}

/// What an alert was before a step that came after the moment.
fn before(step: &Transition, at: UnixMillis) -> Option<Alert> {
    let fired = step.fired.filter(|fired| *fired <= at);
    alert(step, step.from, step.severity_before, fired.unwrap_or(at), fired)
}

fn alert(
    step: &Transition,
    phase: Phase,
    severity: Severity,
    since: UnixMillis,
    fired: Option<UnixMillis>,
) -> Option<Alert> {
    let is_over = matches!(phase, Phase::Inactive | Phase::Resolved);
    (!is_over).then(|| Alert {
        key: step.key.clone(),
        phase,
        severity,
        since,
        fired,
        value: step.value,
        threshold: step.threshold,
        peak: None,
        flapping: false,
        inhibited: false,
        silenced: None,
        acknowledged: None,
        culprits: step.culprits.clone(),
    })
}

/// An alert that has not changed since: who knows of it now need not have known then.
fn as_known_then(alert: &Alert, at: UnixMillis) -> Alert {
    let mut alert = alert.clone();
    alert.acknowledged = alert.acknowledged.filter(|known| known.at <= at);
    alert
}

#[cfg(test)]
mod tests;
