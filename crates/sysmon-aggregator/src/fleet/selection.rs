//! Which machines and which metrics a subscription is about.

use std::collections::{BTreeSet, HashSet};

use sysmon_core::filter::{AlertFacts, Filter, Seen, Subject};
use sysmon_core::{CATALOGUE, Metric, MetricId, Series, SeriesKey};

use super::machine::Machine;

/// Machines by id and filter; both must match.
#[derive(Clone, Debug, Default)]
pub(super) struct Selector {
    /// Empty for all.
    pub(super) ids: HashSet<String>,
    pub(super) filter: Filter,
}

impl Selector {
    /// Whether a machine matches at `now_ms`, on the monotonic clock.
    pub(super) fn matches(&self, machine: &Machine, now_ms: u64) -> bool {
        if !self.ids.is_empty() && !self.ids.contains(machine.id.as_str()) {
            return false;
        }
        self.filter.is_empty() || self.filter.matches(&seen(machine, now_ms))
    }
}

/// A machine as filters see it.
fn seen(machine: &Machine, now_ms: u64) -> impl Subject {
    Seen {
        id: machine.id.as_str(),
        host: &machine.host,
        liveness: machine.liveness,
        health: machine.health,
        age_ms: now_ms.saturating_sub(machine.heard_ms),
        interval_ms: machine.interval_ms,
        recent: &machine.recent,
        any_alert: |test: &mut dyn FnMut(AlertFacts<'_>) -> bool| {
            machine.alerts.iter().any(|alert| test(alert.facts()))
        },
    }
}

const WORDS: usize = CATALOGUE.len().div_ceil(64);

/// Metrics by name: a bit for each of the catalogue, a text for any other.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct MetricSet {
    all: bool,
    known: [u64; WORDS],
    custom: BTreeSet<String>,
}

impl MetricSet {
    /// The metrics of these names; all when there are none.
    pub(super) fn parse(names: &[String]) -> Self {
        let mut set = Self {
            all: names.is_empty(),
            known: [0; WORDS],
            custom: BTreeSet::new(),
        };
        for name in names {
            match MetricId::from_name(name) {
                Some(id) => set.known[id as usize / 64] |= 1 << (id as usize % 64),
                None => {
                    set.custom.insert(name.clone());
                }
            }
        }
        set
    }

    /// About how many of a machine's series are in the set: exact for all, a guess for some.
    pub(super) fn count_of(&self, series_count: usize) -> usize {
        const SOME: usize = 16;
        if self.all {
            series_count
        } else {
            series_count.min(SOME)
        }
    }

    pub(super) fn contains(&self, key: &SeriesKey) -> bool {
        self.all
            || match &key.metric {
                Metric::Known(id) => self.has(*id as usize),
                Metric::Custom { name, .. } => self.custom.contains(&**name),
            }
    }

    /// The same of a series that a machine has; looks at its key only where there is no other way.
    pub(super) fn covers(&self, series: &Series) -> bool {
        match series.catalogue_index() {
            Some(index) => self.all || self.has(index),
            None => self.contains(&series.key),
        }
    }

    fn has(&self, index: usize) -> bool {
        self.known[index / 64] & (1 << (index % 64)) != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use sysmon_core::{Recent, Unit};

    #[test]
    fn every_metric_is_found_by_its_own_name_only() {
        let mut recent = Recent::new(1_000);
        for (number, metric) in (0..).zip(CATALOGUE) {
            recent.announce(number, Arc::new(SeriesKey::plain(metric.id)), 0);
        }
        for wanted in CATALOGUE {
            let set = MetricSet::parse(&[wanted.name.to_string()]);
            for (_, series) in recent.series() {
                let is_it = series.key.id() == Some(wanted.id);
                assert_eq!(
                    set.contains(&series.key),
                    is_it,
                    "{} in {}",
                    series.key,
                    wanted.name
                );
                assert_eq!(set.covers(series), is_it, "{} in {}", series.key, wanted.name);
            }
        }
    }

    #[test]
    fn a_foreign_metric_is_found_by_name_and_no_name_means_all() {
        let key = SeriesKey {
            metric: Metric::named("jvm.heap_bytes", Unit::Bytes),
            labels: Vec::new(),
        };
        assert!(MetricSet::parse(&[]).contains(&key));
        assert!(MetricSet::parse(&["jvm.heap_bytes".into()]).contains(&key));
        assert!(!MetricSet::parse(&["cpu.busy_percent".into()]).contains(&key));
        let mut recent = Recent::new(1_000);
        recent.announce(1, Arc::new(key), 0);
        let series = recent.get(1).unwrap();
        for (names, is_covered) in [
            (&[][..], true),
            (&["jvm.heap_bytes"], true),
            (&["cpu.busy_percent"], false),
        ] {
            let names: Vec<String> = names.iter().map(|name| (*name).to_string()).collect();
            assert_eq!(MetricSet::parse(&names).covers(series), is_covered, "{names:?}");
        }
    }
}
