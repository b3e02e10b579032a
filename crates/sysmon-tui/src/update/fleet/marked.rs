//! Marks, and what is done with all marked machines at once.

use std::sync::Arc;

use sysmon_api::wire;
use sysmon_core::MachineId;

use super::go_by_places;
use crate::entry::{duration_text, parse_duration};
use crate::event::Effect;
use crate::state::fleet::marks::{Marks, NAMES_SUBSCRIPTION, Outcome};
use crate::state::silencing::SilenceForm;
use crate::state::{Link, Movement, Prompt, PromptKind, State};
use crate::text_field::TextField;
use crate::update::notify;

/// The most machines that one silence names.
const SILENCED_MAX: usize = 1_000;

/// Marks what is under the cursor, or takes the mark back.
pub(super) fn mark(state: &mut State) {
    let table = &mut state.fleet_table;
    if let Some(name) = table.selected_group().cloned() {
        let group = table.grouping.groups().iter().find(|group| group.name == name);
        let Some(group) = group.cloned() else { return };
        let numbers = table.machines().iter().skip(group.first).take(group.count);
        let ids: Vec<Arc<str>> = numbers
            .filter_map(|number| state.fleet.machine(*number))
            .map(|machine| Arc::clone(&machine.id))
            .collect();
        table.marks.toggle(ids.iter());
    } else if let Some(id) = table.selected().cloned() {
        table.marks.toggle(std::iter::once(&id));
    } else {
        return;
    }
    // On to the next one, so that a run of machines is marked by holding the key.
    if state.fleet_table.is_heat_map {
        go_by_places(state, 1);
    } else {
        state.fleet_table.move_cursor(&state.fleet, Movement::By(1));
    }
}

/// Marks all machines that match.
pub(super) fn mark_all(state: &mut State) -> Vec<Effect> {
    let count = state.fleet_table.match_count();
    if count > Marks::LIMIT {
        notify(
            state,
            format!("at most {} machines can be marked: filter first", Marks::LIMIT),
        );
        return Vec::new();
    }
    let is_windowed = state.fleet_table.is_windowed();
    let table = &mut state.fleet_table;
    if is_windowed {
        if table.marks.len() >= count && count > 0 {
            table.marks.clear();
            return Vec::new();
        }
        if state.link != Link::Live {
            notify(state, "not connected: only machines that are shown can be marked");
            return Vec::new();
        }
        // Only some rows are here: the aggregator is asked which machines match, and for one number of each.
        table.marks.is_asking = true;
        let names = wire::Subscribe {
            subscription: NAMES_SUBSCRIPTION,
            filter: table.filter_text().to_owned(),
            metrics: vec![sysmon_core::MetricId::CpuCount.name().to_owned()],
            history_metrics: vec![sysmon_core::MetricId::CpuCount.name().to_owned()],
            processes: wire::ProcessDetail::None.into(),
            period_ms: 10_000,
            ..Default::default()
        };
        return vec![Effect::Send(wire::command::Body::Subscribe(names))];
    }
    let ids: Vec<Arc<str>> = table
        .machines()
        .iter()
        .filter_map(|number| state.fleet.machine(*number))
        .map(|machine| Arc::clone(&machine.id))
        .collect();
    table.marks.toggle(ids.iter());
    Vec::new()
}

/// Takes what the aggregator says about which machines match: they are marked, and no more is wanted.
pub(in crate::update) fn take_names(state: &mut State, update: &wire::Update) -> Vec<Effect> {
    let marks = &mut state.fleet_table.marks;
    if !marks.is_asking {
        return Vec::new();
    }
    let headers = update
        .machines
        .iter()
        .filter_map(|machine| machine.header.as_ref());
    let ids = headers.map(|header| Arc::from(sysmon_core::sanitize(&header.machine_id).as_ref()));
    marks.add(ids);
    let received = wire::UpdateReceived {
        subscription: update.subscription,
        number: update.number,
    };
    let mut effects = vec![Effect::Send(wire::command::Body::UpdateReceived(received))];
    if !update.more {
        marks.is_asking = false;
        effects.push(Effect::Send(wire::command::Body::Unsubscribe(
            wire::Unsubscribe {
                subscription: NAMES_SUBSCRIPTION,
            },
        )));
    }
    effects
}

/// The marked machines, or else the one under the cursor.
pub(in crate::update) fn chosen(state: &State) -> Vec<Arc<str>> {
    let table = &state.fleet_table;
    if table.marks.is_empty() {
        table.selected().cloned().into_iter().collect()
    } else {
        table.marks.ids().cloned().collect()
    }
}

/// Opens the form for a silence of machines.
pub(in crate::update) fn silence(state: &mut State, machines: &[Arc<str>]) {
    let machines: Vec<MachineId> = machines
        .iter()
        .filter_map(|id| MachineId::parse(id).ok())
        .collect();
    if !state.alerts.is_ready() {
        notify(
            state,
            "this aggregator keeps no alerts: there is nothing to silence",
        );
    } else if machines.len() > SILENCED_MAX {
        notify(
            state,
            format!(
                "one silence names at most {SILENCED_MAX} machines, and {} are marked: silence them by a label of theirs",
                machines.len()
            ),
        );
    } else if let Some(form) = SilenceForm::of_machines(machines) {
        state.silencing = Some(form);
    }
}

/// Asks how often the chosen machines are to measure.
pub(super) fn start_interval(state: &mut State) {
    let machines = chosen(state);
    if state.fleet_table.marks.bulk.is_busy() {
        notify(state, "the last change of intervals is still under way");
    } else if !machines.is_empty() {
        state.prompt = Some(Prompt {
            kind: PromptKind::Interval(machines),
            field: TextField::default(),
            before: String::new(),
        });
    }
}

/// Sets the interval that was typed; says why not when it is none.
pub(in crate::update) fn set_interval(state: &mut State, machines: Vec<Arc<str>>, text: &str) -> Vec<Effect> {
    let text = text.trim();
    let interval_ms = match text {
        "" => return Vec::new(),
        "default" | "0" => 0,
        text => match parse_duration(text) {
            Ok(ms @ 100..=3_600_000) => u32::try_from(ms).unwrap_or(0),
            Ok(_) => {
                notify(
                    state,
                    "an interval is 100ms to 1h; `default` is the collector's own",
                );
                return Vec::new();
            }
            Err(problem) => {
                notify(state, problem);
                return Vec::new();
            }
        },
    };
    if state.link != Link::Live {
        notify(state, "not connected: nothing was changed");
        return Vec::new();
    }
    let bulk = &mut state.fleet_table.marks.bulk;
    bulk.start(machines.into_iter(), interval_ms);
    next_of_bulk(state)
}

fn next_of_bulk(state: &mut State) -> Vec<Effect> {
    let commands = state.fleet_table.marks.bulk.next().into_iter();
    commands
        .map(|(request_id, body)| Effect::Ask { request_id, body })
        .collect()
}

/// Takes an answer to one of many commands; `None` when it is not one of these.
pub(in crate::update) fn answered(
    state: &mut State,
    request_id: u64,
    problem: Option<&str>,
) -> Option<Vec<Effect>> {
    let bulk = &mut state.fleet_table.marks.bulk;
    if !bulk.owns(request_id) {
        return None;
    }
    if let Some(outcome) = bulk.answered(request_id, problem) {
        notify(state, said(&outcome));
    }
    Some(next_of_bulk(state))
}

fn said(outcome: &Outcome) -> String {
    let machines = |count: usize| {
        let noun = if count == 1 { "machine" } else { "machines" };
        format!("{count} {noun}")
    };
    let verb = if outcome.done == 1 { "measures" } else { "measure" };
    let interval = if outcome.interval_ms == 0 {
        "at their own interval".to_owned()
    } else {
        format!("every {}", duration_text(outcome.interval_ms.into()))
    };
    let done = format!("{} {verb} {interval}", machines(outcome.done));
    match &outcome.problem {
        None => done,
        Some(problem) if outcome.done == 0 => format!("{} refused: {problem}", machines(outcome.refused)),
        Some(problem) => format!("{done}; {} refused: {problem}", machines(outcome.refused)),
    }
}
