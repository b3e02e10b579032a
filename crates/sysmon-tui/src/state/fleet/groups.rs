//! Machines by the value of a label, with what is said of each group.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use sysmon_api::{Machine, Replica};
use sysmon_core::{Health, Liveness, MetricId};

use super::{badness, natural};

/// More label names than this are not offered to group by.
const NAMES_MAX: usize = 32;

/// Machines that belong together.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Group {
    /// Value of the label; empty for machines that do not have it.
    pub(crate) name: Arc<str>,
    /// Where its machines begin among all, and how many there are.
    pub(crate) first: usize,
    pub(crate) count: usize,
    /// What is not well, the worst first: state and how many are in it.
    pub(crate) bad: Vec<(Liveness, Health, usize)>,
    /// Mean and largest of the number that the table is sorted by.
    pub(crate) mean: Option<f64>,
    pub(crate) maximum: Option<f64>,
    pub(crate) is_collapsed: bool,
}

/// A line of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Row {
    /// The heading of a group, by its place among the groups.
    Group(usize),
    /// A machine, by its number.
    Machine(u32),
}

/// How machines are grouped.
#[derive(Clone, Debug, Default)]
pub(crate) struct Grouping {
    /// Name of the label; `None` for one long list.
    label: Option<Arc<str>>,
    collapsed: BTreeSet<Arc<str>>,
    groups: Vec<Group>,
    /// Label names that machines have, with how many have them.
    names: BTreeMap<Arc<str>, usize>,
}

impl Grouping {
    /// Name of the label that machines are grouped by.
    pub(crate) fn label(&self) -> Option<&Arc<str>> {
        self.label.as_ref()
    }

    /// Groups by this label from now on.
    pub(crate) fn set_label(&mut self, label: Option<&str>) {
        self.label = label.filter(|name| !name.is_empty()).map(Arc::from);
        self.collapsed.clear();
        self.groups.clear();
    }

    /// The groups in order; one without a name when nothing is grouped.
    pub(crate) fn groups(&self) -> &[Group] {
        &self.groups
    }

    /// Label names that machines have.
    pub(crate) fn names(&self) -> impl Iterator<Item = &Arc<str>> {
        self.names.keys()
    }

    /// The label after the present one, then none. A label that only names single machines comes too: it is the
    /// person's to choose.
    pub(crate) fn next_label(&self) -> Option<Arc<str>> {
        match &self.label {
            None => self.names.keys().next().cloned(),
            Some(label) => self
                .names
                .range::<Arc<str>, _>((
                    std::ops::Bound::Excluded(Arc::clone(label)),
                    std::ops::Bound::Unbounded,
                ))
                .next()
                .map(|(name, _)| Arc::clone(name)),
        }
    }

    /// Folds or unfolds a group.
    pub(crate) fn set_collapsed(&mut self, name: &Arc<str>, is_collapsed: bool) {
        if is_collapsed {
            self.collapsed.insert(Arc::clone(name));
        } else {
            self.collapsed.remove(name);
        }
        for group in self.groups.iter_mut().filter(|group| group.name == *name) {
            group.is_collapsed = is_collapsed;
        }
    }

    /// Learns which labels there are.
    pub(super) fn learn(&mut self, fleet: &Replica) {
        self.names.clear();
        for (_, machine) in fleet.machines() {
            for (name, _) in &machine.host.labels {
                if let Some(count) = self.names.get_mut(name.as_str()) {
                    *count += 1;
                } else if self.names.len() < NAMES_MAX {
                    self.names.insert(name.as_str().into(), 1);
                }
            }
        }
    }

    /// Gathers machines that are in order already; the worst group comes first, then by name.
    pub(super) fn gather(&mut self, fleet: &Replica, ordered: Vec<u32>, metric: MetricId) -> Vec<u32> {
        let Some(label) = &self.label else {
            self.groups = vec![Group {
                name: "".into(),
                first: 0,
                count: ordered.len(),
                bad: Vec::new(),
                mean: None,
                maximum: None,
                is_collapsed: false,
            }];
            return ordered;
        };
        let mut parts: BTreeMap<&str, Vec<(u32, &Machine)>> = BTreeMap::new();
        for number in ordered {
            if let Some(machine) = fleet.machine(number) {
                parts
                    .entry(value_of(machine, label))
                    .or_default()
                    .push((number, machine));
            }
        }
        let mut parts: Vec<(&str, Vec<(u32, &Machine)>)> = parts.into_iter().collect();
        let worst = |machines: &[(u32, &Machine)]| machines.iter().map(|(_, machine)| badness(machine)).max();
        parts.sort_by_cached_key(|(_, machines)| std::cmp::Reverse(worst(machines)));
        // Within the same state by name; machines without the label come last.
        parts.sort_by(|(a, mine), (b, theirs)| {
            worst(theirs)
                .cmp(&worst(mine))
                .then_with(|| a.is_empty().cmp(&b.is_empty()))
                .then_with(|| natural(a, b))
        });
        let mut all = Vec::new();
        let mut groups = Vec::new();
        for (name, machines) in parts {
            let mut group = summary(name, all.len(), &machines, metric);
            group.is_collapsed = self.collapsed.contains(&group.name);
            groups.push(group);
            all.extend(machines.into_iter().map(|(number, _)| number));
        }
        self.groups = groups;
        all
    }

    /// The lines of the table: headings, and the machines of groups that are not folded.
    pub(super) fn rows(&self, all: &[u32]) -> Vec<Row> {
        if self.label.is_none() {
            return all.iter().map(|number| Row::Machine(*number)).collect();
        }
        let mut rows = Vec::with_capacity(all.len() + self.groups.len());
        for (index, group) in self.groups.iter().enumerate() {
            rows.push(Row::Group(index));
            if !group.is_collapsed {
                let machines = all.iter().skip(group.first).take(group.count);
                rows.extend(machines.map(|number| Row::Machine(*number)));
            }
        }
        rows
    }
}

fn value_of<'a>(machine: &'a Machine, label: &str) -> &'a str {
    let labels = machine.host.labels.iter();
    labels
        .filter(|(name, _)| name == label)
        .map(|(_, value)| value.as_str())
        .next()
        .unwrap_or("")
}

/// How many machines are in each state that is not well, the worst first.
fn bad(machines: &[(u32, &Machine)]) -> Vec<(Liveness, Health, usize)> {
    let mut states = [
        (Liveness::Lost, Health::Unknown, 0),
        (Liveness::Live, Health::Critical, 0),
        (Liveness::Live, Health::Warning, 0),
        (Liveness::Stale, Health::Unknown, 0),
    ];
    for (_, machine) in machines {
        let count = states.iter_mut().find(|(liveness, health, _)| {
            *liveness == machine.liveness && (*liveness != Liveness::Live || *health == machine.health)
        });
        if let Some((_, _, count)) = count {
            *count += 1;
        }
    }
    states.into_iter().filter(|(_, _, count)| *count > 0).collect()
}

fn summary(name: &str, first: usize, machines: &[(u32, &Machine)], metric: MetricId) -> Group {
    // What was lost has no current number.
    let values: Vec<f64> = machines
        .iter()
        .filter(|(_, machine)| machine.liveness != Liveness::Lost)
        .filter_map(|(_, machine)| machine.recent.value(metric))
        .collect();
    let sum: f64 = values.iter().sum();
    Group {
        name: name.into(),
        first,
        count: machines.len(),
        bad: bad(machines),
        mean: (!values.is_empty()).then(|| sum / values.len() as f64),
        maximum: values.into_iter().max_by(f64::total_cmp),
        is_collapsed: false,
    }
}
