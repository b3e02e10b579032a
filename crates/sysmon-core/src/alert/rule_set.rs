//! Rules made ready to judge, once for all machines.

use std::collections::{HashMap, HashSet};

use super::pattern;
use super::rule::{Check, Comparison, Guard, MetricCheck, Rule, RuleId, Severity};
use super::stage::LevelPlan;
use super::window::Plan;
use crate::identity::MachineId;

/// The rules that are evaluated. Share one by `Arc` among all machines.
#[derive(Debug, Default)]
pub struct RuleSet {
    rules: Vec<Compiled>,
    /// Which rules judge a metric.
    by_metric: HashMap<String, Vec<usize>>,
    /// Metrics that any rule needs in any part.
    needed: HashSet<String>,
    refused: Vec<RuleId>,
}

/// A rule that is ready to judge.
#[derive(Debug)]
pub(super) struct Compiled {
    pub(super) rule: Rule,
    pub(super) shape: Shape,
}

#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "nearly all rules are of the large variant, and there are few rules"
)]
pub(super) enum Shape {
    Down(Severity),
    Metric(MetricPlan),
}

/// A number, its levels and what has to be true as well.
#[derive(Debug)]
pub(super) struct MetricPlan {
    pub(super) comparison: Comparison,
    pub(super) plan: Plan,
    /// In the order of [`Severity::ALL`].
    pub(super) levels: [Option<LevelPlan>; 3],
    pub(super) guards: Vec<GuardPlan>,
    /// Tells accumulators of another quantity or other guards from ours.
    pub(super) print: u64,
    /// The mildest trigger: what is not beyond it triggers nothing.
    pub(super) mildest: f64,
}

#[derive(Debug)]
pub(super) struct GuardPlan {
    pub(super) plan: Plan,
    pub(super) comparison: Comparison,
    pub(super) value: f64,
}

impl RuleSet {
    /// Makes rules ready. Left out are those that are switched off, those that have [`Rule::problems`], and those whose
    /// id was there before; see [`RuleSet::refused`] for the last two.
    #[must_use]
    pub fn new(rules: impl IntoIterator<Item = Rule>) -> Self {
        let mut set = Self::default();
        let mut ids: HashSet<RuleId> = HashSet::new();
        for rule in rules {
            if !ids.insert(rule.id.clone()) || !rule.problems().is_empty() {
                set.refused.push(rule.id);
            } else if rule.enabled {
                set.add(rule);
            }
        }
        set
    }

    fn add(&mut self, rule: Rule) {
        let shape = match &rule.check {
            Check::MachineDown { severity } => Shape::Down(*severity),
            Check::Metric(check) => {
                let plan = MetricPlan::new(check);
                let at = self.rules.len();
                self.by_metric
                    .entry(plan.plan.metric.clone())
                    .or_default()
                    .push(at);
                self.needed.extend(plan.metrics().map(str::to_owned));
                Shape::Metric(plan)
            }
        };
        self.rules.push(Compiled { rule, shape });
    }

    /// The ids of rules that are not evaluated because they are wrong or doubled.
    #[must_use]
    pub fn refused(&self) -> &[RuleId] {
        &self.refused
    }

    /// The rules that are evaluated.
    pub fn rules(&self) -> impl Iterator<Item = &Rule> {
        self.rules.iter().map(|compiled| &compiled.rule)
    }

    pub(super) fn compiled(&self) -> &[Compiled] {
        &self.rules
    }

    pub(super) fn judging(&self, metric: &str) -> &[usize] {
        self.by_metric.get(metric).map_or(&[], Vec::as_slice)
    }

    /// Whether any rule reads this metric: series of others need not be sent to the engine.
    #[must_use]
    pub fn needs(&self, metric: &str) -> bool {
        self.needed.contains(metric)
    }
}

impl Compiled {
    /// Whether the rule watches a machine with these labels, as `name=value`.
    pub(super) fn covers(&self, machine: &MachineId, labels: &[String]) -> bool {
        let scope = &self.rule.scope;
        (scope.machines.is_empty() || scope.machines.contains(machine))
            && scope.labels.iter().all(|wanted| labels.contains(wanted))
    }

    /// Whether its number is divided by another.
    pub(super) fn is_ratio(&self) -> bool {
        matches!(&self.shape, Shape::Metric(plan) if plan.plan.per.is_some())
    }

    /// Whether it watches this entity.
    pub(super) fn covers_entity(&self, entity: &str) -> bool {
        let scope = &self.rule.scope;
        (scope.entities.is_empty() || pattern::any(&scope.entities, entity))
            && !pattern::any(&scope.except_entities, entity)
    }
}

impl MetricPlan {
    fn new(check: &MetricCheck) -> Self {
        let is_percent = check.quantity.is_percent();
        let plan = Plan::new(&check.quantity);
        let mut guards = Vec::new();
        let mut print = plan.print();
        let levels = Severity::ALL.map(|severity| {
            let level = check.level(severity)?;
            let guard = level.and.as_ref().map(|guard| {
                let guard = GuardPlan::new(guard);
                print = print.rotate_left(7) ^ guard.plan.print();
                guards.push(guard);
                guards.len() - 1
            });
            Some(LevelPlan {
                trigger: level.trigger,
                clear: level.clear_or_default(check.comparison, is_percent),
                guard,
            })
        });
        let triggers = levels.iter().flatten().map(|level| level.trigger);
        let mildest = triggers.reduce(|one, other| match check.comparison {
            Comparison::Above => one.min(other),
            Comparison::Below => one.max(other),
        });
        Self {
            comparison: check.comparison,
            plan,
            levels,
            guards,
            print,
            mildest: mildest.unwrap_or(f64::NAN),
        }
    }

    fn metrics(&self) -> impl Iterator<Item = &str> {
        let plans = std::iter::once(&self.plan).chain(self.guards.iter().map(|guard| &guard.plan));
        plans.flat_map(|plan| std::iter::once(plan.metric.as_str()).chain(plan.per.as_deref()))
    }
}

impl GuardPlan {
    fn new(guard: &Guard) -> Self {
        Self {
            plan: Plan::new(&guard.quantity),
            comparison: guard.comparison,
            value: guard.value,
        }
    }
}
