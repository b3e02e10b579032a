//! An alert with what it takes to go on: the stages of its severities and when it fired.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::super::mute::Silence;
use super::super::rule::{Comparison, Rule, Severity};
use super::super::stage::Stage;
use super::super::state::{Alert, AlertKey, Cause, Phase, Transition};
use super::{FLAPPING_COUNT, FLAPPING_WINDOW_MS, mutes};
use crate::identity::MachineId;
use crate::time::UnixMillis;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Standing {
    pub(super) alert: Alert,
    /// In the order of [`Severity::ALL`].
    pub(super) stages: [Stage; 3],
    /// When it last began to fire, newest first, by the receive clock.
    pub(super) fires: [Option<UnixMillis>; FLAPPING_COUNT],
    /// When it last took a step, by the receive clock.
    pub(super) stepped: UnixMillis,
}

/// What a new alert has to know of its machine.
pub(super) struct Context<'a> {
    pub(super) machine: &'a MachineId,
    pub(super) labels: &'a [String],
    pub(super) silences: &'a [Silence],
    pub(super) received: UnixMillis,
    pub(super) is_inhibited: bool,
}

/// A value that was judged.
pub(super) struct Judged {
    pub(super) at: UnixMillis,
    pub(super) value: Option<f64>,
    pub(super) comparison: Option<Comparison>,
    /// In the order of [`Severity::ALL`].
    pub(super) thresholds: [Option<f64>; 3],
}

impl Standing {
    pub(super) fn new(context: &Context<'_>, rule: &Rule, entity: &Arc<str>, at: UnixMillis) -> Box<Self> {
        let key = AlertKey {
            rule: rule.id.clone(),
            machine: context.machine.clone(),
            entity: Arc::clone(entity),
        };
        let silenced = mutes::silence_of(context.silences, &key, context.labels, context.received);
        let alert = Alert {
            key,
            phase: Phase::Inactive,
            severity: Severity::Info,
            since: at,
            fired: None,
            value: None,
            threshold: None,
            peak: None,
            flapping: false,
            inhibited: context.is_inhibited,
            silenced,
            acknowledged: None,
            culprits: Vec::new(),
        };
        Box::new(Self {
            alert,
            stages: [Stage::Idle; 3],
            fires: [None; FLAPPING_COUNT],
            stepped: context.received,
        })
    }

    pub(super) fn is_active(&self) -> bool {
        !matches!(self.alert.phase, Phase::Inactive | Phase::Resolved)
    }

    /// Brings the alert to where its stages are after a value was judged.
    pub(super) fn judged(
        &mut self,
        target: Option<(Phase, Severity)>,
        judged: &Judged,
        received: UnixMillis,
        out: &mut Vec<Transition>,
    ) {
        let was_active = self.is_active();
        if was_active || target.is_some() {
            self.alert.value = judged.value;
        }
        if was_active {
            self.note_peak(judged);
        }
        let Some((phase, severity)) = target else {
            if was_active {
                let cause = match self.alert.phase {
                    Phase::Pending => Cause::Withdrawn,
                    Phase::NoData => Cause::DataBack,
                    Phase::Recovering => Cause::ClearHeld,
                    _ => Cause::Cleared,
                };
                self.close(cause, judged.at, received, out);
            }
            return;
        };
        if phase == Phase::Pending && self.alert.is_firing() {
            // The level that fired is cleared, another begins its own hold: one alert ends, the next begins.
            let cause = if self.alert.phase == Phase::NoData {
                Cause::DataBack
            } else {
                Cause::Cleared
            };
            let stages = self.stages;
            self.close(cause, judged.at, received, out);
            self.stages = stages;
        }
        if !self.is_active() {
            self.alert.fired = None;
            self.alert.peak = judged.value;
        }
        let threshold = judged.thresholds[severity as usize];
        self.alert.threshold = threshold;
        if let Some(cause) = cause_of(self.alert.phase, self.alert.severity, phase, severity) {
            self.step(phase, severity, cause, judged.at, threshold, received, out);
        }
    }

    fn note_peak(&mut self, judged: &Judged) {
        if let (Some(value), Some(comparison)) = (judged.value, judged.comparison) {
            let peak = self
                .alert
                .peak
                .map_or(value, |peak| comparison.worse(peak, value));
            self.alert.peak = Some(peak);
        }
    }

    /// Ends the alert: resolved when it fired, as if it had never been otherwise.
    pub(super) fn close(
        &mut self,
        cause: Cause,
        at: UnixMillis,
        received: UnixMillis,
        out: &mut Vec<Transition>,
    ) {
        self.stages = [Stage::Idle; 3];
        if !self.is_active() {
            return;
        }
        let to = if self.alert.is_firing() {
            Phase::Resolved
        } else {
            Phase::Inactive
        };
        let (severity, threshold) = (self.alert.severity, self.alert.threshold);
        self.step(to, severity, cause, at, threshold, received, out);
        self.alert.acknowledged = None;
    }

    /// No samples come: what fired still counts as firing. By the receive clock.
    pub(super) fn lose_data(&mut self, now: UnixMillis, out: &mut Vec<Transition>) {
        if matches!(
            self.alert.phase,
            Phase::Pending | Phase::Firing | Phase::Recovering
        ) {
            for stage in &mut self.stages {
                *stage = match *stage {
                    Stage::Pending(_) => Stage::Idle,
                    Stage::Recovering(_) => Stage::Recovering(None),
                    stage => stage,
                };
            }
            let (severity, threshold) = (self.alert.severity, self.alert.threshold);
            self.step(
                Phase::NoData,
                severity,
                Cause::DataMissing,
                now,
                threshold,
                now,
                out,
            );
        }
    }

    /// Takes one step and tells of it.
    #[expect(clippy::too_many_arguments, reason = "the parts of a transition")]
    pub(super) fn step(
        &mut self,
        to: Phase,
        severity: Severity,
        cause: Cause,
        at: UnixMillis,
        threshold: Option<f64>,
        received: UnixMillis,
        out: &mut Vec<Transition>,
    ) {
        let alert = &mut self.alert;
        let (from, severity_before) = (alert.phase, alert.severity);
        let severity_before = if matches!(from, Phase::Inactive) {
            severity
        } else {
            severity_before
        };
        alert.phase = to;
        alert.severity = severity;
        alert.since = at;
        alert.threshold = threshold;
        self.stepped = received;
        if to == Phase::Firing && alert.fired.is_none() {
            alert.fired = Some(at);
            self.fires.rotate_right(1);
            self.fires[0] = Some(received);
            self.judge_flapping(received);
        }
        let alert = &self.alert;
        out.push(Transition {
            key: alert.key.clone(),
            at,
            from,
            to,
            severity_before,
            severity,
            cause,
            value: alert.value,
            threshold,
            fired: alert.fired,
            culprits: Vec::new(),
        });
    }

    /// Whether it fires too often. Returns whether that has changed.
    pub(super) fn judge_flapping(&mut self, now: UnixMillis) -> bool {
        let within =
            |fire: Option<UnixMillis>| fire.is_some_and(|fire| now.since_ms(fire) < FLAPPING_WINDOW_MS);
        let was = self.alert.flapping;
        // It begins when the oldest of the last few is recent, and lasts until none is.
        self.alert.flapping = within(self.fires[FLAPPING_COUNT - 1]) || was && within(self.fires[0]);
        was != self.alert.flapping
    }
}

/// Why an alert goes from one phase and severity to another; `None` when it stays. An alert that resolved or never was
/// begins anew.
fn cause_of(from: Phase, before: Severity, to: Phase, severity: Severity) -> Option<Cause> {
    if from == to && before == severity {
        return None;
    }
    Some(match (from, to) {
        (Phase::NoData, _) => Cause::DataBack,
        (Phase::Inactive | Phase::Resolved, _) => Cause::Crossed,
        (Phase::Pending, Phase::Firing) => Cause::Held,
        (Phase::Pending, _) if severity > before => Cause::Crossed,
        (Phase::Recovering, Phase::Firing) if severity <= before => Cause::Relapsed,
        (Phase::Firing, Phase::Recovering) => Cause::Cleared,
        _ if severity > before => Cause::Worsened,
        _ => Cause::Eased,
    })
}
