//! Which machines and which metrics a subscription is about.

use std::collections::{BTreeSet, HashSet};

use sysmon_core::filter::{self, AlertFacts, Filter, Subject};
use sysmon_core::{CATALOGUE, Health, HostInfo, Liveness, Metric, MetricId, SeriesKey};

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
        self.filter.is_empty() || self.filter.matches(&View { machine, now_ms })
    }
}

/// A machine as filters see it.
struct View<'a> {
    machine: &'a Machine,
    now_ms: u64,
}

impl Subject for View<'_> {
    fn id(&self) -> &str {
        self.machine.id.as_str()
    }

    fn host(&self) -> &HostInfo {
        &self.machine.host
    }

    fn liveness(&self) -> Liveness {
        self.machine.liveness
    }

    fn health(&self) -> Health {
        self.machine.health
    }

    fn age_ms(&self) -> u64 {
        self.now_ms.saturating_sub(self.machine.heard_ms)
    }

    fn interval_ms(&self) -> u32 {
        self.machine.interval_ms
    }

    fn any_value(&self, metric: MetricId, entity: Option<&str>, test: &mut dyn FnMut(f64) -> bool) -> bool {
        filter::any_value(&self.machine.recent, metric, entity, test)
    }

    fn any_alert(&self, test: &mut dyn FnMut(AlertFacts<'_>) -> bool) -> bool {
        self.machine.alerts.iter().any(|alert| test(alert.facts()))
    }
}

const WORDS: usize = CATALOGUE.len().div_ceil(64);

/// Metrics by name: a bit for each of the catalogue, a text for any other.
#[derive(Clone, Debug)]
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
                Metric::Known(id) => self.known[*id as usize / 64] & (1 << (*id as usize % 64)) != 0,
                Metric::Custom { name, .. } => self.custom.contains(&**name),
            }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sysmon_core::Unit;

    #[test]
    fn every_metric_is_found_by_its_own_name_only() {
        for wanted in CATALOGUE {
            let set = MetricSet::parse(&[wanted.name.to_string()]);
            for other in CATALOGUE {
                assert_eq!(
                    set.contains(&SeriesKey::plain(other.id)),
                    wanted.id == other.id,
                    "{} in {}",
                    other.name,
                    wanted.name
                );
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
    }
}
