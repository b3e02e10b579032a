//! A machine that is not heard of: an alert of its own, by the receive clock.

use std::sync::Arc;

use super::super::rule::{Rule, Severity};
use super::super::rule_set::{Compiled, Shape};
use super::super::state::{Cause, Phase, Transition};
use super::MachineAlerts;
use super::standing::{Context, Standing};
use crate::time::{Liveness, UnixMillis};

/// A machine-down rule of this machine.
#[derive(Debug)]
pub(super) struct Down {
    /// Place of the rule in the set.
    pub(super) rule: u32,
    pub(super) standing: Option<Box<Standing>>,
}

impl Down {
    /// Whether it inhibits the machine's other alerts.
    pub(super) fn is_firing(&self) -> bool {
        self.standing
            .as_deref()
            .is_some_and(|standing| standing.alert.is_firing())
    }

    fn phase(&self) -> Phase {
        self.standing
            .as_deref()
            .map_or(Phase::Inactive, |standing| standing.alert.phase)
    }

    /// When the silence that began at `heard` makes it take its next step; `None` when it makes none.
    fn due_ms(&self, rule: &Rule, stale_ms: u64) -> Option<u64> {
        match self.phase() {
            Phase::Inactive | Phase::Resolved | Phase::Recovering => Some(stale_ms),
            Phase::Pending => Some(rule.hold_ms.max(stale_ms)),
            Phase::Firing | Phase::NoData => None,
        }
    }

    fn step(
        &mut self,
        to: Phase,
        cause: Cause,
        severity: Severity,
        at: UnixMillis,
        fresh: impl FnOnce() -> Box<Standing>,
        out: &mut Vec<Transition>,
    ) {
        let standing = self.standing.get_or_insert_with(fresh);
        if !standing.is_active() {
            standing.alert.fired = None;
        }
        standing.step(to, severity, cause, at, None, at, out);
        if !standing.is_active() {
            standing.alert.acknowledged = None;
        }
    }
}

fn severity_of(compiled: &Compiled) -> Severity {
    match &compiled.shape {
        Shape::Down(severity) => *severity,
        Shape::Metric(_) => Severity::Info,
    }
}

impl MachineAlerts {
    /// The steps that silence makes until `now`, each at the moment when it was due.
    pub(super) fn note_silence(&mut self, now: UnixMillis, out: &mut Vec<Transition>) {
        let Some(heard) = self.heard else { return };
        let stale_ms = Liveness::stale_after_ms(self.interval_ms);
        let silent_ms = now.since_ms(heard);
        if silent_ms < stale_ms {
            return;
        }
        let was_down = self.downs.iter().any(Down::is_firing);
        for down in &mut self.downs {
            let compiled = &self.rules.compiled()[down.rule as usize];
            while let Some(due_ms) = down
                .due_ms(&compiled.rule, stale_ms)
                .filter(|due_ms| silent_ms >= *due_ms)
            {
                let at = heard.plus_ms(i64::try_from(due_ms).unwrap_or(i64::MAX));
                let (to, cause) = match down.phase() {
                    Phase::Pending => (Phase::Firing, Cause::Held),
                    Phase::Recovering => (Phase::Firing, Cause::Relapsed),
                    _ if compiled.rule.hold_ms <= stale_ms => (Phase::Firing, Cause::MachineSilent),
                    _ => (Phase::Pending, Cause::MachineSilent),
                };
                let context = Context {
                    machine: &self.id,
                    labels: &self.labels,
                    silences: &self.silences,
                    received: now,
                    is_inhibited: false,
                };
                let fresh = || Standing::new(&context, &compiled.rule, &Arc::from(""), at);
                down.step(to, cause, severity_of(compiled), at, fresh, out);
            }
        }
        self.inhibit(was_down);
    }

    /// Something was heard: the machine is back, if it was away.
    pub(super) fn hear(&mut self, received: UnixMillis, out: &mut Vec<Transition>) {
        self.now = self.now.max(received);
        self.note_silence(received, out);
        self.presence_ms = self.presence_at(received);
        self.heard = Some(received);
        let was_down = self.downs.iter().any(Down::is_firing);
        for down in &mut self.downs {
            let Some(standing) = down.standing.as_deref_mut() else {
                continue;
            };
            let compiled = &self.rules.compiled()[down.rule as usize];
            let clear_hold_ms = compiled.rule.clear_hold_ms;
            let step = match standing.alert.phase {
                Phase::Pending => Some((Phase::Inactive, Cause::MachineBack)),
                Phase::Firing if clear_hold_ms == 0 => Some((Phase::Resolved, Cause::MachineBack)),
                Phase::Firing => Some((Phase::Recovering, Cause::MachineBack)),
                Phase::Recovering if received.since_ms(standing.alert.since) >= clear_hold_ms => {
                    Some((Phase::Resolved, Cause::ClearHeld))
                }
                _ => None,
            };
            if let Some((to, cause)) = step {
                standing.step(to, severity_of(compiled), cause, received, None, received, out);
                if !standing.is_active() {
                    standing.alert.acknowledged = None;
                }
            }
        }
        self.inhibit(was_down);
    }

    /// When the silence of the machine makes the next step.
    pub(super) fn silence_due(&self) -> Option<UnixMillis> {
        let heard = self.heard?;
        let stale_ms = Liveness::stale_after_ms(self.interval_ms);
        let due_ms = |down: &Down| down.due_ms(&self.rules.compiled()[down.rule as usize].rule, stale_ms);
        let earliest_ms = self.downs.iter().filter_map(due_ms).min()?;
        Some(heard.plus_ms(i64::try_from(earliest_ms).unwrap_or(i64::MAX)))
    }

    /// Marks the other alerts when the machine went down or came back.
    pub(super) fn inhibit(&mut self, was_down: bool) {
        let is_down = self.downs.iter().any(Down::is_firing);
        if is_down == was_down {
            return;
        }
        for standing in self
            .watches
            .iter_mut()
            .filter_map(|watch| watch.standing.as_deref_mut())
        {
            standing.alert.inhibited = is_down;
        }
        self.revision += 1;
    }
}
