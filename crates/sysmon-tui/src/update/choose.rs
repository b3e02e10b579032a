//! A second key that names something: a column to sort by, or a metric whose levels are to be edited.

use std::sync::Arc;

use sysmon_api::Machine;
use sysmon_core::{CATALOGUE, MetricId};

use super::{editor, notify};
use crate::key::{Key, KeyCode};
use crate::state::alerts::list::{AlertColumn, RuleColumn};
use crate::state::fleet::FleetColumn;
use crate::state::processes::ProcessColumn;
use crate::state::{Choosing, State, View};

/// Metrics of a machine whose levels can be edited by a key: key, name and metric.
const METRICS: [(char, &str, MetricId); 12] = [
    ('c', "cpu", MetricId::CpuBusy),
    ('m', "memory", MetricId::MemoryUsedPercent),
    ('w', "swap", MetricId::SwapUsedPercent),
    ('l', "load", MetricId::Load15),
    ('d', "disk space", MetricId::MountUsedPercent),
    ('i', "inodes", MetricId::MountInodesUsedPercent),
    ('u', "disk util", MetricId::DiskUtilisation),
    ('a', "await", MetricId::DiskAwait),
    ('r', "recv", MetricId::NetworkReceiveTotal),
    ('t', "sent", MetricId::NetworkTransmitTotal),
    ('p', "pressure", MetricId::PressureCpuSome),
    ('h', "heat", MetricId::Temperature),
];

/// Keys and names of what can be chosen; whether it is what there is now.
pub(crate) fn choices(state: &State, choosing: Choosing) -> Vec<(char, &'static str, bool)> {
    fn of<C: Copy + PartialEq>(
        sorts: &[(C, char, &'static str)],
        current: C,
    ) -> Vec<(char, &'static str, bool)> {
        let named = |(column, key, name): &(C, char, &'static str)| (*key, *name, *column == current);
        sorts.iter().map(named).collect()
    }
    match (choosing, &state.view) {
        (Choosing::Sort, View::Fleet) => of(&FleetColumn::SORTS, state.fleet_table.sort),
        (Choosing::Sort, View::Machine(_)) => of(&ProcessColumn::SORTS, state.process_table.sort),
        (Choosing::Sort, View::Alerts) => of(&AlertColumn::SORTS, state.alerts.list.sort),
        (Choosing::Sort, View::Rules) => of(&RuleColumn::SORTS, state.alerts.rules.sort),
        (Choosing::Copy, view) => super::export::copies(view)
            .iter()
            .map(|(key, name, _)| (*key, *name, false))
            .collect(),
        (Choosing::Metric, View::Fleet) => FleetColumn::SORTS
            .iter()
            .filter(|(column, _, _)| column.metric().is_some())
            .map(|(column, key, name)| (*key, *name, *column == state.fleet_table.sort))
            .collect(),
        (Choosing::Metric, _) => METRICS
            .iter()
            .map(|(key, name, _)| (*key, *name, false))
            .collect(),
    }
}

/// Takes the key that names something.
pub(super) fn chosen(state: &mut State, choosing: Choosing, key: Key) {
    let KeyCode::Char(pressed) = key.code else { return };
    let is_known = match choosing {
        Choosing::Sort => sort(state, pressed),
        Choosing::Metric => edit(state, pressed),
        // Taken before it comes here.
        Choosing::Copy => true,
    };
    if !is_known {
        let what = match choosing {
            Choosing::Sort => "column",
            Choosing::Metric | Choosing::Copy => "metric",
        };
        notify(state, format!("no {what} has the key {pressed:?}"));
    }
}

fn column<C: Copy>(sorts: &[(C, char, &str)], pressed: char) -> Option<C> {
    let mut sorts = sorts.iter();
    sorts
        .find(|(_, key, _)| *key == pressed)
        .map(|(column, _, _)| *column)
}

fn sort(state: &mut State, pressed: char) -> bool {
    match state.view {
        View::Fleet => column(&FleetColumn::SORTS, pressed).map(|column| state.fleet_table.sort_by(column)),
        View::Machine(_) => {
            column(&ProcessColumn::SORTS, pressed).map(|column| state.process_table.sort_by(column))
        }
        View::Alerts => column(&AlertColumn::SORTS, pressed).map(|column| state.alerts.list.sort_by(column)),
        View::Rules => column(&RuleColumn::SORTS, pressed).map(|column| state.alerts.rules.sort_by(column)),
    }
    .is_some()
}

/// Edits the levels of what is selected: at once where only one metric is, else of what the next key names.
pub(super) fn threshold(state: &mut State) {
    match &state.view {
        View::Alerts => {
            let Some(key) = state.alerts.list.selected_key(&state.alerts.log).cloned() else {
                return;
            };
            let machine: Arc<str> = key.machine.as_str().into();
            editor::open_rule(state, &key.rule, Some(machine), &key.entity);
        }
        View::Machine(id) => match state.focus.clone() {
            Some(focus) => {
                let id = Arc::clone(id);
                editor::open_metric(state, &id, focus.metric, &focus.entity);
            }
            None => state.choosing = Some(Choosing::Metric),
        },
        View::Fleet | View::Rules => state.choosing = Some(Choosing::Metric),
    }
}

fn edit(state: &mut State, pressed: char) -> bool {
    let metric = match &state.view {
        View::Fleet => column(&FleetColumn::SORTS, pressed).and_then(FleetColumn::metric),
        _ => METRICS
            .iter()
            .find(|(key, _, _)| *key == pressed)
            .map(|(_, _, metric)| *metric),
    };
    let Some(metric) = metric else { return false };
    // The table shows the fullest file system; rules watch each of them.
    let metric = if metric == MetricId::MountWorstPercent {
        MetricId::MountUsedPercent
    } else {
        metric
    };
    if let Err(reason) = edit_metric(state, metric, None) {
        notify(state, reason);
    }
    true
}

/// The machine whose levels are edited: the one on screen, else the one under the cursor.
fn machine_here(state: &State) -> Option<Arc<str>> {
    match &state.view {
        View::Machine(id) => Some(Arc::clone(id)),
        _ => state.fleet_table.selected().cloned(),
    }
}

/// Edits the levels of a metric of the machine here, and of one of what it is measured of; without a name of the one with
/// the largest value.
fn edit_metric(state: &mut State, metric: MetricId, entity: Option<&str>) -> Result<(), String> {
    let machine = machine_here(state).ok_or("there is no machine to edit a threshold for")?;
    let entity = entity.map(str::to_owned).or_else(|| {
        let machine = state.shown_machine();
        machine.and_then(|machine| largest(machine, metric))
    });
    editor::open_metric(state, &machine, metric, &entity.unwrap_or_default());
    Ok(())
}

/// The metrics that the machine here gives, in the order of the catalogue; all of them where that is not known.
pub(crate) fn measured(state: &State) -> Vec<MetricId> {
    let all = CATALOGUE.iter().map(|definition| definition.id);
    match state.shown_machine() {
        Some(machine) => all
            .filter(|metric| machine.recent.entities_of(*metric).next().is_some())
            .collect(),
        None => all.collect(),
    }
}

/// Edits the levels of a metric by its name, followed perhaps by the name of one of what it is measured of.
///
/// # Errors
/// What to type instead.
pub(super) fn threshold_of(state: &mut State, text: &str) -> Result<(), String> {
    let (name, entity) = match text.split_once(' ') {
        Some((name, entity)) => (name, Some(entity.trim()).filter(|entity| !entity.is_empty())),
        None => (text, None),
    };
    let Some(metric) = MetricId::from_name(name) else {
        return Err(format!(
            "there is no metric {name:?}; begin with a word of it, and Tab completes it"
        ));
    };
    if entity.is_some() && metric.definition().label.is_none() {
        return Err(format!(
            "{name} is measured once on a machine: leave out what follows it"
        ));
    }
    edit_metric(state, metric, entity)
}

/// The entity of a metric that has the largest value now.
fn largest(machine: &Machine, metric: MetricId) -> Option<String> {
    metric.definition().label?;
    machine
        .recent
        .of_metric(metric)
        .max_by(|(_, a), (_, b)| {
            let value = |series: &sysmon_core::Series| series.current().unwrap_or(f64::NEG_INFINITY);
            value(a).total_cmp(&value(b))
        })
        .map(|(entity, _)| entity.to_owned())
}
