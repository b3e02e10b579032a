//! Which rules judge which series of the machine: worked out anew when either changes, so that a sample costs no search.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::super::rule::RuleId;
use super::super::rule_set::{MetricPlan, RuleSet, Shape};
use super::super::state::{Cause, Transition};
use super::down::Down;
use super::feed::{Feed, NONE};
use super::input::Input;
use super::standing::Standing;
use super::watch::Watch;
use super::{MachineAlerts, WATCHES_MAX};
use crate::sample::SeriesKey;
use crate::time::UnixMillis;

/// What a watch is known by across layouts.
pub(super) type WatchKey = (RuleId, Arc<SeriesKey>);

/// What an old layout leaves to the new one.
#[derive(Default)]
pub(super) struct Legacy {
    pub(super) feeds: Vec<Feed>,
    /// With the print of the quantity that its accumulators belong to.
    pub(super) watches: HashMap<WatchKey, (u64, Watch)>,
    pub(super) downs: HashMap<RuleId, Option<Box<Standing>>>,
}

impl MachineAlerts {
    /// Takes the place of all rules. Rules that stay the same keep everything; changed levels and holds judge from the
    /// next sample on; a changed quantity begins with an empty window. Alerts of rules that are gone, switched off or do
    /// not cover their entity any more end with [`Cause::RuleChanged`].
    pub fn set_rules(&mut self, rules: &Arc<RuleSet>, now: UnixMillis, out: &mut Vec<Transition>) {
        let before = out.len();
        self.now = self.now.max(now);
        let legacy = self.leave();
        self.rules = Arc::clone(rules);
        self.arrange(legacy, now, out);
        self.finish(before, out);
    }

    /// Takes the machine's labels, by name and value, and the time between two of its samples in milliseconds. Other
    /// labels may put it into or out of the scope of rules.
    pub fn set_host(
        &mut self,
        labels: &[(String, String)],
        interval_ms: u64,
        now: UnixMillis,
        out: &mut Vec<Transition>,
    ) {
        let before = out.len();
        self.now = self.now.max(now);
        self.interval_ms = interval_ms.max(1);
        let labels: Vec<String> = labels
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        if labels != self.labels {
            self.labels = labels;
            self.lay_out(now, out);
            self.update_mutes(now);
        }
        self.finish(before, out);
    }

    /// How far the machine's clock is ahead of the receive clock, in milliseconds; 0 at first. Without it a machine
    /// whose clock is half a minute behind would seem late for ever.
    pub fn set_clock_offset(&mut self, offset_ms: i64) {
        self.clock_offset_ms = offset_ms;
    }

    /// Works the layout out anew for changed series or labels.
    pub(super) fn lay_out(&mut self, now: UnixMillis, out: &mut Vec<Transition>) {
        let legacy = self.leave();
        self.arrange(legacy, now, out);
    }

    fn leave(&mut self) -> Legacy {
        let compiled = self.rules.compiled();
        let keyed = self.watches.drain(..).map(|watch| {
            let rule = &compiled[watch.rule as usize];
            let print = match &rule.shape {
                Shape::Metric(plan) => plan.print,
                Shape::Down(_) => 0,
            };
            let key = Arc::clone(&self.feeds[watch.input.feed as usize].key);
            ((rule.rule.id.clone(), key), (print, watch))
        });
        let watches = keyed.collect();
        let downs = self.downs.drain(..);
        Legacy {
            watches,
            downs: downs
                .map(|down| (compiled[down.rule as usize].rule.id.clone(), down.standing))
                .collect(),
            feeds: std::mem::take(&mut self.feeds),
        }
    }

    pub(super) fn arrange(&mut self, mut legacy: Legacy, now: UnixMillis, out: &mut Vec<Transition>) {
        self.is_layout_old = false;
        let was_down = legacy
            .downs
            .values()
            .flatten()
            .any(|standing| standing.alert.is_firing());
        self.arrange_feeds(&mut legacy);
        self.arrange_watches(&mut legacy, now, out);
        let mut over: Vec<(WatchKey, Watch)> = legacy
            .watches
            .drain()
            .map(|(key, (_, watch))| (key, watch))
            .collect();
        over.sort_by(|one, other| one.0.cmp(&other.0));
        for (_, mut watch) in over {
            watch.close(Cause::RuleChanged, now, now, out);
        }
        let mut over: Vec<Box<Standing>> = legacy
            .downs
            .drain()
            .filter_map(|(_, standing)| standing)
            .collect();
        over.sort_by(|one, other| one.alert.key.cmp(&other.alert.key));
        for mut standing in over {
            standing.close(Cause::RuleChanged, now, now, out);
        }
        self.inhibit(was_down);
        self.dispatch = (0u32..)
            .zip(&self.feeds)
            .filter(|(_, feed)| feed.number != NONE)
            .map(|(place, feed)| (feed.number, place))
            .collect();
        self.dispatch.sort_unstable();
        self.missing_at_ms = 0;
    }

    /// The series that rules read, sorted by key, so that nothing depends on their numbers. Those that are not announced
    /// stay while their entity may come back or an alert needs them.
    fn arrange_feeds(&mut self, legacy: &mut Legacy) {
        let mut known: HashMap<Arc<SeriesKey>, Feed> = HashMap::new();
        for feed in legacy.feeds.drain(..) {
            known.insert(Arc::clone(&feed.key), feed);
        }
        let mut feeds: HashMap<Arc<SeriesKey>, Feed> = HashMap::new();
        for (number, key) in &self.series {
            if !self.rules.needs(key.metric.name()) {
                continue;
            }
            // A key with two numbers goes by the higher.
            let feed = known.remove(key).or_else(|| feeds.remove(key));
            let mut feed = feed.unwrap_or_else(|| Feed::new(Arc::clone(key), self.presence_ms));
            if feed.is_gone {
                feed.presence_ms = self.presence_ms;
            }
            feed.number = *number;
            feed.is_gone = false;
            feeds.insert(Arc::clone(key), feed);
        }
        let watched: HashSet<Arc<SeriesKey>> = legacy
            .watches
            .iter()
            .filter(|(_, (_, watch))| watch.standing.is_some())
            .map(|((_, key), _)| Arc::clone(key))
            .collect();
        for (key, mut feed) in known {
            feed.number = NONE;
            if self.rules.needs(key.metric.name()) && (!feed.is_gone || watched.contains(&key)) {
                feeds.insert(key, feed);
            }
        }
        self.feeds = feeds.into_values().collect();
        self.feeds.sort_by(|one, other| one.key.cmp(&other.key));
        self.feed_of = (0u32..)
            .zip(&self.feeds)
            .map(|(place, feed)| (Arc::clone(&feed.key), place))
            .collect();
    }

    fn arrange_watches(&mut self, legacy: &mut Legacy, now: UnixMillis, out: &mut Vec<Transition>) {
        let rules = Arc::clone(&self.rules);
        let mut entities: HashSet<(usize, Arc<str>)> = HashSet::new();
        for (place, compiled) in rules.compiled().iter().enumerate() {
            if matches!(compiled.shape, Shape::Down(_)) && compiled.covers(&self.id, &self.labels) {
                self.downs.push(Down {
                    rule: number(place),
                    standing: legacy.downs.remove(&compiled.rule.id).flatten(),
                });
            }
        }
        for feed in 0..self.feeds.len() {
            let key = Arc::clone(&self.feeds[feed].key);
            let entity = entity_of(&key);
            for place in rules.judging(key.metric.name()) {
                let compiled = &rules.compiled()[*place];
                let Shape::Metric(plan) = &compiled.shape else {
                    continue;
                };
                if self.watches.len() >= WATCHES_MAX
                    || !compiled.covers(&self.id, &self.labels)
                    || !compiled.covers_entity(&entity)
                    || !entities.insert((*place, Arc::clone(&entity)))
                {
                    continue;
                }
                let old = legacy
                    .watches
                    .remove(&(compiled.rule.id.clone(), Arc::clone(&key)));
                let mut watch = self.adopt(old, plan, feed, &entity);
                watch.rule = number(*place);
                watch.drop_levels(plan, now, out);
                self.watches.push(watch);
            }
        }
    }

    fn adopt(&self, old: Option<(u64, Watch)>, plan: &MetricPlan, feed: usize, entity: &Arc<str>) -> Watch {
        let fresh = || Watch::new(0, number(feed), Arc::clone(entity), plan.guards.len());
        let mut watch = match old {
            Some((print, watch)) if print == plan.print && watch.guards.len() == plan.guards.len() => watch,
            Some((_, watch)) => Watch {
                standing: watch.standing,
                gone_since: watch.gone_since,
                ..fresh()
            },
            None => fresh(),
        };
        let key = &self.feeds[feed].key;
        watch.entity = Arc::clone(entity);
        watch.input.feed = number(feed);
        watch.input.per = self.companion(plan.plan.per.as_deref(), key);
        if !self.feeds[feed].is_gone {
            watch.gone_since = None;
        }
        for (guard, guard_plan) in watch.guards.iter_mut().zip(&plan.guards) {
            let place = self.companion(Some(&guard_plan.plan.metric), key);
            let its = self.feeds.get(place as usize).map(|feed| &feed.key);
            if its != guard.key.as_ref() {
                guard.key = its.cloned();
                guard.input = Input::new(place);
                guard.value = None;
            }
            guard.input.feed = place;
            let of = its.unwrap_or(key);
            guard.input.per = self.companion(guard_plan.plan.per.as_deref(), of);
        }
        watch
    }

    /// The series of a metric that goes with another series: of the same entity, or else the machine's one.
    fn companion(&self, metric: Option<&str>, key: &SeriesKey) -> u32 {
        let Some(metric) = metric else { return NONE };
        let find = |is_wanted: &dyn Fn(&SeriesKey) -> bool| {
            let place = self
                .feeds
                .iter()
                .position(|feed| feed.key.metric.name() == metric && is_wanted(&feed.key));
            place.map(number)
        };
        find(&|other| other.labels == key.labels)
            .or_else(|| find(&|other| other.labels.is_empty()))
            .unwrap_or(NONE)
    }
}

/// The entity of a series: the values of its labels; empty without any.
fn entity_of(key: &SeriesKey) -> Arc<str> {
    match key.labels.as_slice() {
        [] => Arc::from(""),
        [label] => Arc::clone(&label.value),
        labels => {
            let values: Vec<&str> = labels.iter().map(|label| &*label.value).collect();
            values.join(",").into()
        }
    }
}

fn number(place: usize) -> u32 {
    u32::try_from(place).unwrap_or(NONE)
}
