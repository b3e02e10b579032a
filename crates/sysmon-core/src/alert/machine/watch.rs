//! One rule on one entity of a machine.

use std::sync::Arc;

use super::super::rule::{Function, Severity};
use super::super::rule_set::{Compiled, MetricPlan, Shape};
use super::super::stage::{Holds, Stage, Verdict, combine};
use super::super::state::{Cause, Phase, Transition};
use super::super::window::Plan;
use super::feed::{Feed, NONE};
use super::input::Input;
use super::standing::{Context, Judged, Standing};
use crate::sample::SeriesKey;
use crate::time::UnixMillis;

#[derive(Debug)]
pub(super) struct Watch {
    pub(super) input: Input,
    /// Place of the rule in the set.
    pub(super) rule: u32,
    /// Only while something is or was wrong.
    pub(super) standing: Option<Box<Standing>>,
    /// What its levels need as well; empty for most.
    pub(super) guards: Box<[GuardInput]>,
    pub(super) entity: Arc<str>,
    /// Since when the entity is gone, by the receive clock.
    pub(super) gone_since: Option<UnixMillis>,
}

/// A guard's number with its newest value.
#[derive(Clone, Debug)]
pub(super) struct GuardInput {
    /// Its series, by which it is known again when places change.
    pub(super) key: Option<Arc<SeriesKey>>,
    pub(super) input: Input,
    /// Of a window: what it gave last, and when.
    pub(super) value: Option<(UnixMillis, f64)>,
}

impl GuardInput {
    fn value_at(&self, plan: &Plan, feeds: &[Feed], at: UnixMillis, interval_ms: u64) -> Option<f64> {
        let newest = feeds.get(self.input.feed as usize)?.value_at(at, interval_ms)?;
        if plan.function == Function::Last && plan.per.is_none() {
            return Some(newest);
        }
        self.value.map(|(_, value)| value)
    }
}

impl Watch {
    pub(super) fn new(rule: u32, feed: u32, entity: Arc<str>, guards: usize) -> Self {
        let guard = GuardInput {
            key: None,
            input: Input::new(NONE),
            value: None,
        };
        Self {
            input: Input::new(feed),
            rule,
            standing: None,
            guards: vec![guard; guards].into(),
            entity,
            gone_since: None,
        }
    }

    /// Whether there is an alert that is not over.
    pub(super) fn is_active(&self) -> bool {
        self.standing.as_deref().is_some_and(Standing::is_active)
    }

    /// Lets the guards have their samples, which may come at another pace.
    #[inline]
    pub(super) fn note_guards(&mut self, plan: &MetricPlan, feeds: &[Feed], tick: u64, interval_ms: u64) {
        for (guard, guard_plan) in self.guards.iter_mut().zip(&plan.guards) {
            let Some(feed) = feeds.get(guard.input.feed as usize) else {
                continue;
            };
            if feed.tick == tick
                && (guard_plan.plan.function != Function::Last || guard_plan.plan.per.is_some())
            {
                let reading = guard.input.take(&guard_plan.plan, feeds, interval_ms);
                guard.value = reading
                    .filter(|(reading, _)| reading.is_full)
                    .map(|(reading, _)| (feed.at, reading.value));
            }
        }
    }

    /// Judges the newest value of its series.
    #[inline]
    #[expect(
        clippy::too_many_arguments,
        reason = "the machine's parts, borrowed one by one"
    )]
    pub(super) fn judge(
        &mut self,
        compiled: &Compiled,
        plan: &MetricPlan,
        feeds: &[Feed],
        interval_ms: u64,
        at: UnixMillis,
        context: &Context<'_>,
        out: &mut Vec<Transition>,
    ) {
        let Some((reading, is_gap)) = self.input.take(&plan.plan, feeds, interval_ms) else {
            return;
        };
        let value = reading.value;
        if self.standing.is_none() && !plan.comparison.is_beyond(value, plan.mildest) {
            return;
        }
        if !reading.is_full && !plan.plan.only_worsens(plan.comparison) {
            return;
        }
        let holds = Holds {
            hold_ms: compiled.rule.hold_ms,
            clear_hold_ms: compiled.rule.clear_hold_ms,
            is_restart: is_gap,
        };
        let before = self
            .standing
            .as_deref()
            .map_or([Stage::Idle; 3], |standing| standing.stages);
        let mut stages = before;
        for (stage, level) in stages.iter_mut().zip(&plan.levels) {
            let Some(level) = level else { continue };
            let guard = level.guard.map_or(Some(true), |place| {
                let guard_plan = &plan.guards[place];
                let value = self.guards[place].value_at(&guard_plan.plan, feeds, at, interval_ms)?;
                Some(guard_plan.comparison.is_beyond(value, guard_plan.value))
            });
            let mut verdict = level.judge(plan.comparison, value, guard);
            if !reading.is_full && verdict != Verdict::Wrong {
                verdict = Verdict::Skipped;
            }
            *stage = stage.after(verdict, at, holds);
        }
        let target = combine(&stages);
        if target.is_none() && self.standing.is_none() {
            return;
        }
        let standing = self
            .standing
            .get_or_insert_with(|| Standing::new(context, &compiled.rule, &self.entity, at));
        standing.stages = stages;
        let judged = Judged {
            at,
            value: Some(value).filter(|value| value.is_finite()),
            comparison: Some(plan.comparison),
            thresholds: plan
                .levels
                .each_ref()
                .map(|level| level.as_ref().map(|level| level.trigger)),
        };
        standing.judged(target, &judged, context.received, out);
        self.tidy();
    }

    /// The clock was set back.
    pub(super) fn begin_anew(&mut self) {
        self.input.begin_anew();
        self.guards.iter_mut().for_each(|guard| {
            guard.input.begin_anew();
            guard.value = None;
        });
    }

    /// No samples come any more for the guards that read this series.
    pub(super) fn end_guards(&mut self, feed: u32) {
        for guard in self.guards.iter_mut().filter(|guard| guard.input.feed == feed) {
            guard.input.begin_anew();
            guard.value = None;
        }
    }

    /// No samples come any more. `value` is what that means, where it means something.
    pub(super) fn end(
        &mut self,
        compiled: &Compiled,
        value: Option<f64>,
        at: UnixMillis,
        received: UnixMillis,
        out: &mut Vec<Transition>,
    ) {
        self.input.begin_anew();
        let Some(standing) = self.standing.as_deref_mut() else {
            return;
        };
        if let (Some(value), Shape::Metric(plan)) = (value, &compiled.shape)
            && plan.plan.function == Function::Last
            && plan
                .levels
                .iter()
                .flatten()
                .all(|level| level.judge(plan.comparison, value, Some(true)) == Verdict::Right)
        {
            let cause = if standing.alert.is_firing() {
                Cause::Cleared
            } else {
                Cause::Withdrawn
            };
            standing.alert.value = Some(value);
            standing.close(cause, at, received, out);
        } else if standing.alert.is_firing() {
            standing.lose_data(received, out);
        } else {
            standing.close(Cause::DataMissing, received, received, out);
        }
        self.tidy();
    }

    /// Forgets what never fired and is over.
    fn tidy(&mut self) {
        let is_over = |standing: &Standing| !standing.is_active() && standing.fires[0].is_none();
        if self.standing.as_deref().is_some_and(is_over) {
            self.standing = None;
        }
    }

    /// Ends the alert, whatever its state.
    pub(super) fn close(
        &mut self,
        cause: Cause,
        at: UnixMillis,
        received: UnixMillis,
        out: &mut Vec<Transition>,
    ) {
        if let Some(standing) = self.standing.as_deref_mut() {
            standing.close(cause, at, received, out);
        }
        self.tidy();
    }

    /// Levels that the rule no longer has do not fire any more.
    pub(super) fn drop_levels(&mut self, plan: &MetricPlan, now: UnixMillis, out: &mut Vec<Transition>) {
        let Some(standing) = self.standing.as_deref_mut() else {
            return;
        };
        let before = standing.stages;
        for (stage, level) in standing.stages.iter_mut().zip(&plan.levels) {
            if level.is_none() {
                *stage = Stage::Idle;
            }
        }
        if standing.stages == before || standing.alert.phase == Phase::NoData {
            return;
        }
        match combine(&standing.stages) {
            Some((phase, severity))
                if severity != standing.alert.severity || phase != standing.alert.phase =>
            {
                let threshold = threshold(plan, severity);
                standing.step(phase, severity, Cause::RuleChanged, now, threshold, now, out);
            }
            Some(_) => {}
            None => standing.close(Cause::RuleChanged, now, now, out),
        }
    }
}

fn threshold(plan: &MetricPlan, severity: Severity) -> Option<f64> {
    plan.levels[severity as usize].as_ref().map(|level| level.trigger)
}
