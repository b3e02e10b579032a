//! The state of a machine's alerts as it is kept across restarts, timers and accumulators included.

use std::collections::HashMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::super::bits;
use super::super::rule::RuleId;
use super::super::rule_set::{RuleSet, Shape};
use super::super::state::Transition;
use super::super::window::Window;
use super::MachineAlerts;
use super::feed::{Feed, NONE};
use super::input::Input;
use super::layout::Legacy;
use super::standing::Standing;
use super::watch::{GuardInput, Watch};
use crate::catalogue::Unit;
use crate::identity::MachineId;
use crate::sample::{Label, Metric, SeriesKey};
use crate::time::UnixMillis;

/// What [`MachineAlerts::save`] gives and [`MachineAlerts::restore`] takes; opaque. Silences, rules and the numbers of
/// series are not in it: whoever restores gives them again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SavedMachine {
    machine: MachineId,
    labels: Vec<String>,
    interval_ms: u64,
    clock_offset_ms: i64,
    newest: Option<UnixMillis>,
    heard: Option<UnixMillis>,
    presence_ms: u64,
    now: UnixMillis,
    feeds: Vec<SavedFeed>,
    watches: Vec<SavedWatch>,
    downs: Vec<(RuleId, SavedStanding)>,
}

impl SavedMachine {
    /// Whose state it is.
    #[must_use]
    pub fn machine(&self) -> &MachineId {
        &self.machine
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct SavedFeed {
    metric: String,
    unit: String,
    labels: Vec<(String, String)>,
    #[serde(with = "bits")]
    value: f64,
    at: UnixMillis,
    presence_ms: u64,
    distances_ms: [u32; 3],
    has_value: bool,
    is_gone: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct SavedWatch {
    rule: RuleId,
    print: u64,
    /// Place of its series among the saved ones.
    feed: usize,
    gone_since: Option<UnixMillis>,
    input: SavedInput,
    guards: Vec<SavedGuard>,
    standing: Option<SavedStanding>,
}

/// An alert whose numbers come back exactly.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct SavedStanding {
    standing: Standing,
    #[serde(with = "bits::option")]
    value: Option<f64>,
    #[serde(with = "bits::option")]
    threshold: Option<f64>,
    #[serde(with = "bits::option")]
    peak: Option<f64>,
}

impl SavedStanding {
    fn of(standing: &Standing) -> Self {
        let alert = &standing.alert;
        Self {
            value: alert.value,
            threshold: alert.threshold,
            peak: alert.peak,
            standing: standing.clone(),
        }
    }

    fn restored(self) -> Box<Standing> {
        let mut standing = self.standing;
        standing.alert.value = self.value;
        standing.alert.threshold = self.threshold;
        standing.alert.peak = self.peak;
        Box::new(standing)
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct SavedInput {
    last: UnixMillis,
    window: Option<Window>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct SavedGuard {
    /// Place of its series among the saved ones.
    feed: Option<usize>,
    input: SavedInput,
    at: Option<UnixMillis>,
    #[serde(with = "bits::option")]
    value: Option<f64>,
}

impl SavedInput {
    fn of(input: &Input) -> Self {
        Self {
            last: input.last,
            window: input.window.as_deref().cloned(),
        }
    }

    /// Its series are found when everything is arranged anew.
    fn restored(self) -> Input {
        Input {
            last: self.last,
            window: self.window.map(Box::new),
            ..Input::new(NONE)
        }
    }
}

impl SavedFeed {
    fn of(feed: &Feed) -> Self {
        let labels = feed.key.labels.iter();
        Self {
            metric: feed.key.metric.name().into(),
            unit: feed.key.metric.unit().word().into(),
            labels: labels
                .map(|label| (label.name.as_ref().into(), label.value.as_ref().into()))
                .collect(),
            value: feed.value,
            at: feed.at,
            presence_ms: feed.presence_ms,
            distances_ms: feed.distances_ms,
            has_value: feed.has_value,
            is_gone: feed.is_gone,
        }
    }

    fn restored(self) -> Feed {
        let labels = self.labels.into_iter().map(|(name, value)| Label {
            name: name.into(),
            value: value.into(),
        });
        let key = SeriesKey {
            metric: Metric::named(&self.metric, Unit::from_word(&self.unit)),
            labels: labels.collect(),
        };
        Feed {
            value: self.value,
            at: self.at,
            distances_ms: self.distances_ms,
            has_value: self.has_value,
            is_gone: self.is_gone,
            ..Feed::new(Arc::new(key), self.presence_ms)
        }
    }
}

impl MachineAlerts {
    /// Everything that a restart must not lose. Meant for seldom: its size is that of the state, up to a kilobyte or two
    /// per rule with a window.
    #[must_use]
    pub fn save(&self) -> SavedMachine {
        let compiled = self.rules.compiled();
        let guard = |guard: &GuardInput| SavedGuard {
            feed: self
                .feeds
                .get(guard.input.feed as usize)
                .map(|_| guard.input.feed as usize),
            input: SavedInput::of(&guard.input),
            at: guard.value.map(|(at, _)| at),
            value: guard.value.map(|(_, value)| value),
        };
        let watches = self.watches.iter().map(|watch| {
            let rule = &compiled[watch.rule as usize];
            SavedWatch {
                rule: rule.rule.id.clone(),
                print: match &rule.shape {
                    Shape::Metric(plan) => plan.print,
                    Shape::Down(_) => 0,
                },
                feed: watch.input.feed as usize,
                gone_since: watch.gone_since,
                input: SavedInput::of(&watch.input),
                guards: watch.guards.iter().map(guard).collect(),
                standing: watch.standing.as_deref().map(SavedStanding::of),
            }
        });
        let downs = self.downs.iter().filter_map(|down| {
            let standing = SavedStanding::of(down.standing.as_deref()?);
            Some((compiled[down.rule as usize].rule.id.clone(), standing))
        });
        SavedMachine {
            machine: self.id.clone(),
            labels: self.labels.clone(),
            interval_ms: self.interval_ms,
            clock_offset_ms: self.clock_offset_ms,
            newest: self.newest,
            heard: self.heard,
            presence_ms: self.presence_ms,
            now: self.now,
            feeds: self.feeds.iter().map(SavedFeed::of).collect(),
            watches: watches.collect(),
            downs: downs.collect(),
        }
    }

    /// Goes on where [`MachineAlerts::save`] was called, under rules that may have changed meanwhile, at `now` by the
    /// receive clock. Announce the series and set the silences afterwards, and call [`MachineAlerts::resume`] when
    /// there was a pause. State that does not fit together is left out, never a panic.
    #[must_use]
    pub fn restore(
        saved: SavedMachine,
        rules: &Arc<RuleSet>,
        now: UnixMillis,
        out: &mut Vec<Transition>,
    ) -> Self {
        let mut machine = Self::new(saved.machine);
        let before = out.len();
        machine.labels = saved.labels;
        machine.interval_ms = saved.interval_ms.max(1);
        machine.clock_offset_ms = saved.clock_offset_ms;
        machine.newest = saved.newest;
        machine.heard = saved.heard;
        machine.presence_ms = saved.presence_ms;
        machine.now = saved.now.max(now);
        machine.rules = Arc::clone(rules);
        let feeds: Vec<Feed> = saved.feeds.into_iter().map(SavedFeed::restored).collect();
        let keys: Vec<Arc<SeriesKey>> = feeds.iter().map(|feed| Arc::clone(&feed.key)).collect();
        let mut legacy = Legacy {
            feeds,
            watches: HashMap::new(),
            downs: saved
                .downs
                .into_iter()
                .map(|(rule, standing)| (rule, Some(standing.restored())))
                .collect(),
        };
        for saved in saved.watches {
            let Some(key) = keys.get(saved.feed) else {
                continue;
            };
            let known_as = (saved.rule.clone(), Arc::clone(key));
            legacy
                .watches
                .insert(known_as, (saved.print, saved.restored(&keys)));
        }
        machine.arrange(legacy, now, out);
        machine.finish(before, out);
        machine.plan_timers();
        machine
    }
}

impl SavedWatch {
    fn restored(self, keys: &[Arc<SeriesKey>]) -> Watch {
        let guards = self.guards.into_iter().map(|guard| GuardInput {
            key: guard.feed.and_then(|feed| keys.get(feed).cloned()),
            value: guard.at.zip(guard.value),
            input: guard.input.restored(),
        });
        let mut watch = Watch::new(0, NONE, Arc::from(""), 0);
        watch.input = self.input.restored();
        watch.guards = guards.collect();
        watch.gone_since = self.gone_since;
        watch.standing = self.standing.map(SavedStanding::restored);
        watch
    }
}
