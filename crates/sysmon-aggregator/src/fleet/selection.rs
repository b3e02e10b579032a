//! Which machines and which metrics a subscription is about.

use std::collections::{BTreeSet, HashSet};

use sysmon_core::{CATALOGUE, Metric, MetricId, SeriesKey, TextFilter};

use super::machine::Machine;

/// Machines by id and text; both must match.
#[derive(Clone, Debug, Default)]
pub(super) struct Selector {
    /// Empty for all.
    pub(super) ids: HashSet<String>,
    pub(super) filter: TextFilter,
}

impl Selector {
    pub(super) fn matches(&self, machine: &Machine) -> bool {
        if !self.ids.is_empty() && !self.ids.contains(machine.id.as_str()) {
            return false;
        }
        if self.filter.is_empty() {
            return true;
        }
        let labels: Vec<String> = machine
            .host
            .labels
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let own = [machine.id.as_str(), machine.host.hostname.as_str()];
        self.filter
            .matches(own.into_iter().chain(labels.iter().map(String::as_str)))
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
