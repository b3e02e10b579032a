//! What a person does in the fleet, and what is asked of the aggregator for it.

use std::sync::Arc;

use ratatui::layout::{Position, Rect};
use sysmon_api::{CAPABILITY_WINDOWS, wire};
use sysmon_core::{MachineId, UnixMillis};

use super::{notify, open_machine};
use crate::command::Command;
use crate::entry::{duration_text, parse_duration};
use crate::event::Effect;
use crate::layout::{Body, HeatRegions, layout};
use crate::state::fleet::groups::Row;
use crate::state::fleet::marks::{Marks, NAMES_SUBSCRIPTION, Outcome};
use crate::state::fleet::{Clocks, FleetColumn, heat};
use crate::state::silencing::SilenceForm;
use crate::state::{Link, Movement, Overlay, OverlayKind, Prompt, PromptKind, State, View, scrolled};
use crate::text_field::TextField;

pub(super) mod prompt;

/// No two subscriptions of the fleet are closer than this, however fast somebody scrolls.
const ASK_EVERY_MS: u64 = 100;
/// A filter that is being typed is asked for when the typing rests.
const TYPING_MS: u64 = 200;
/// So is what another size of the terminal needs.
const RESIZING_MS: u64 = 250;
/// The most machines that one silence names.
const SILENCED_MAX: usize = 1_000;

/// Carries a command of the fleet out; `None` for one that is not the fleet's.
pub(super) fn run(state: &mut State, command: Command) -> Option<Vec<Effect>> {
    if state.overlay.map(|overlay| overlay.kind) == Some(OverlayKind::Columns) {
        return run_on_columns(state, command);
    }
    if state.view != View::Fleet {
        return None;
    }
    match command {
        Command::Group => group(state),
        Command::Fold => fold(state),
        Command::HeatMap => toggle_heat_map(state),
        Command::Columns => open_columns(state),
        Command::Mark => mark(state),
        Command::MarkAll => return Some(mark_all(state)),
        Command::Silence => silence(state),
        Command::Interval => start_interval(state),
        Command::Left => go_by_places(state, -1),
        Command::Right => go_by_places(state, 1),
        _ => return None,
    }
    Some(Vec::new())
}

/// Moves the cursor of table or map.
pub(super) fn go(state: &mut State, movement: Movement) {
    if !state.fleet_table.is_heat_map {
        state.fleet_table.move_cursor(&state.fleet, movement);
        return;
    }
    let Some(regions) = heat_regions(state) else { return };
    let place = state.fleet_table.heat_place().unwrap_or(0);
    let to = match movement {
        Movement::First => Some(0),
        Movement::Last => state.fleet_table.machines().len().checked_sub(1),
        Movement::By(_) => heat::moved_vertically(&regions.lines, place, movement),
    };
    if let Some(to) = to {
        state.fleet_table.select_place(&state.fleet, to);
    }
}

fn go_by_places(state: &mut State, step: isize) {
    let count = state.fleet_table.machines().len();
    let to = crate::state::moved(state.fleet_table.heat_place(), count, Movement::By(step));
    if let Some(to) = to {
        state.fleet_table.select_place(&state.fleet, to);
    }
}

fn heat_regions(state: &State) -> Option<HeatRegions> {
    match layout(Rect::new(0, 0, state.width, state.height), state).body {
        Body::Heat(regions) => Some(regions),
        _ => None,
    }
}

/// Brings table or map in line with data, order and screen.
pub(super) fn refresh(state: &mut State, rows: usize) {
    let clocks = Clocks {
        now: state.now,
        aggregator: state.aggregator_now(),
    };
    let table = &mut state.fleet_table;
    table.refresh(&state.fleet, &state.alerts.board, clocks, rows);
    if table.is_heat_map
        && let Some(regions) = heat_regions(state)
    {
        let table = &mut state.fleet_table;
        let line = table
            .heat_place()
            .and_then(|place| heat::position(&regions.lines, place));
        let line = line.map(|(line, ..)| line);
        table.heat_offset = scrolled(table.heat_offset, line, regions.lines.len(), rows);
    }
}

/// Takes a press of the mouse on the map: a machine is selected, the selected one opens.
pub(super) fn press_on_map(state: &mut State, regions: &HeatRegions, at: Position) -> Vec<Effect> {
    let Some(place) = regions.place_at(at, state.fleet_table.heat_offset) else {
        return Vec::new();
    };
    if state.fleet_table.heat_place() == Some(place) {
        return open_selected(state);
    }
    state.fleet_table.select_place(&state.fleet, place);
    Vec::new()
}

/// Opens the machine under the cursor, or folds the group whose heading is.
pub(super) fn open_selected(state: &mut State) -> Vec<Effect> {
    if let Some(name) = state.fleet_table.selected_group().cloned()
        && !state.fleet_table.is_heat_map
    {
        let groups = state.fleet_table.grouping.groups();
        let is_collapsed = groups
            .iter()
            .any(|group| group.name == name && group.is_collapsed);
        state.fleet_table.fold(&name, !is_collapsed);
        return Vec::new();
    }
    // A selection that no row shows any more, because its machine is gone or filtered out, cannot be opened.
    let table = &state.fleet_table;
    let is_visible = table.len() > 0 && table.cursor().is_some() || table.is_heat_map;
    let selected = table.selected().cloned();
    match selected.filter(|id| is_visible && state.fleet.find(id).is_some()) {
        Some(id) => open_machine(state, &id),
        None => Vec::new(),
    }
}

/// Pops one layer of the fleet: marks, filter, map.
pub(super) fn back(state: &mut State) {
    let table = &mut state.fleet_table;
    if !table.marks.is_empty() {
        table.marks.clear();
    } else if !table.filter.is_empty() {
        table.set_filter("");
    } else if table.is_heat_map {
        table.is_heat_map = false;
    } else {
        table.group_by(None);
    }
}

fn toggle_heat_map(state: &mut State) {
    let table = &mut state.fleet_table;
    table.is_heat_map = !table.is_heat_map;
    table.heat_offset = 0;
    if let Some(selected) = table.selected().cloned() {
        table.select(&selected);
    }
}

fn group(state: &mut State) {
    let table = &mut state.fleet_table;
    let next = table.grouping.next_label();
    if next.is_none() && table.grouping.label().is_none() {
        notify(
            state,
            "no machine has a label: give some with `sysmon collector --label role=web`",
        );
        return;
    }
    table.group_by(next.as_deref());
}

fn fold(state: &mut State) {
    let table = &mut state.fleet_table;
    let cursor = table.cursor().unwrap_or(0);
    // The heading that the row is under.
    let heading = (0..=cursor).rev().find_map(|index| match table.row(index) {
        Some(Row::Group(group)) => Some(group),
        _ => None,
    });
    let name = heading.and_then(|group| table.grouping.groups().get(group));
    if let Some(name) = name.map(|group| Arc::clone(&group.name)) {
        table.fold(&name, true);
    }
}

fn open_columns(state: &mut State) {
    let names: Vec<Arc<str>> = state.fleet_table.grouping.names().cloned().collect();
    for name in names {
        state.fleet_table.columns.of_label(&name);
    }
    state.overlay = Some(Overlay {
        kind: OverlayKind::Columns,
        scroll: 0,
    });
}

fn run_on_columns(state: &mut State, command: Command) -> Option<Vec<Effect>> {
    let overlay = state.overlay?;
    let table = &mut state.fleet_table;
    let choices = table.columns.choices();
    let at = usize::from(overlay.scroll).min(choices.len().saturating_sub(1));
    let column = *choices.get(at)?;
    let mut cursor = None;
    match command {
        Command::Toggle => {
            table.columns.toggle(column);
            // The cursor stays with the place: several can be chosen one after the other.
            if table.columns.shown().contains(&column) {
                cursor = Some(at + 1);
            }
        }
        Command::ShiftLeft | Command::ShiftRight => {
            table.columns.shift(column, command == Command::ShiftRight);
            cursor = table.columns.choices().iter().position(|other| *other == column);
        }
        Command::Reset => table.columns.reset(),
        Command::Sort => table.sort_by(column),
        Command::Columns => state.overlay = None,
        _ => return None,
    }
    if let (Some(cursor), Some(overlay)) = (cursor, &mut state.overlay) {
        overlay.scroll = u16::try_from(cursor.min(choices.len().saturating_sub(1))).unwrap_or(0);
    }
    Some(Vec::new())
}

fn mark(state: &mut State) {
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

fn mark_all(state: &mut State) -> Vec<Effect> {
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
pub(super) fn take_names(state: &mut State, update: &wire::Update) -> Vec<Effect> {
    let marks = &mut state.fleet_table.marks;
    if !marks.is_asking {
        return Vec::new();
    }
    let headers = update.machines.iter().filter_map(|machine| machine.header.as_ref());
    let ids = headers.map(|header| Arc::from(sysmon_core::sanitize(&header.machine_id).as_ref()));
    marks.add(ids);
    let received = wire::UpdateReceived {
        subscription: update.subscription,
        number: update.number,
    };
    let mut effects = vec![Effect::Send(wire::command::Body::UpdateReceived(received))];
    if !update.more {
        marks.is_asking = false;
        effects.push(Effect::Send(wire::command::Body::Unsubscribe(wire::Unsubscribe {
            subscription: NAMES_SUBSCRIPTION,
        })));
    }
    effects
}

/// The marked machines, or else the one under the cursor.
fn chosen(state: &State) -> Vec<Arc<str>> {
    let table = &state.fleet_table;
    if table.marks.is_empty() {
        table.selected().cloned().into_iter().collect()
    } else {
        table.marks.ids().cloned().collect()
    }
}

fn silence(state: &mut State) {
    let machines: Vec<MachineId> = chosen(state)
        .iter()
        .filter_map(|id| MachineId::parse(id).ok())
        .collect();
    if !state.alerts.is_ready() {
        notify(state, "this aggregator keeps no alerts: there is nothing to silence");
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

fn start_interval(state: &mut State) {
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
pub(super) fn set_interval(state: &mut State, machines: Vec<Arc<str>>, text: &str) -> Vec<Effect> {
    let text = text.trim();
    let interval_ms = match text {
        "" => return Vec::new(),
        "default" | "0" => 0,
        text => match parse_duration(text) {
            Ok(ms @ 100..=3_600_000) => u32::try_from(ms).unwrap_or(0),
            Ok(_) => {
                notify(state, "an interval is 100ms to 1h; `default` is the collector's own");
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
pub(super) fn answered(state: &mut State, request_id: u64, problem: Option<&str>) -> Option<Vec<Effect>> {
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
    let interval = if outcome.interval_ms == 0 {
        "at their own interval".to_owned()
    } else {
        format!("every {}", duration_text(outcome.interval_ms.into()))
    };
    let done = format!("{} measure {interval}", machines(outcome.done));
    match &outcome.problem {
        None => done,
        Some(problem) if outcome.done == 0 => format!("{} refused: {problem}", machines(outcome.refused)),
        Some(problem) => format!("{done}; {} refused: {problem}", machines(outcome.refused)),
    }
}

/// A connection stands: what the aggregator can, and the first subscription.
pub(super) fn connected(state: &mut State, capabilities: &[String]) -> Effect {
    let feed = &mut state.fleet_table.feed;
    feed.has_windows = capabilities.iter().any(|word| word == CAPABILITY_WINDOWS);
    feed.sent = None;
    subscribe(state)
}

/// The connection is gone.
pub(super) fn disconnected(state: &mut State) {
    let table = &mut state.fleet_table;
    table.marks.is_asking = false;
    let open = table.marks.bulk.abandon();
    table.feed.pending = None;
    if open > 0 {
        notify(
            state,
            format!("the connection broke: {open} intervals may not have been changed"),
        );
    }
}

/// The subscription for what is on screen now.
pub(super) fn subscribe(state: &mut State) -> Effect {
    let wanted = wanted(state);
    let feed = &mut state.fleet_table.feed;
    let body = wanted.subscribe();
    feed.sent = Some(wanted);
    feed.sent_at = state.now;
    feed.pending = None;
    Effect::Send(wire::command::Body::Subscribe(body))
}

fn wanted(state: &State) -> crate::state::fleet::window::Wanted {
    // The rows of the table, whatever view is on screen now; headings, two bars.
    let rows = usize::from(state.height.saturating_sub(3));
    state.fleet_table.wanted(&state.fleet, rows, state.width)
}

/// Asks anew when something else is on screen than what was asked for.
pub(super) fn poll(state: &mut State) -> Vec<Effect> {
    if state.link != Link::Live || state.fleet_table.feed.sent.is_none() {
        return Vec::new();
    }
    let wanted = wanted(state);
    let now = state.now;
    let is_typing = matches!(
        state.prompt.as_ref().map(|prompt| &prompt.kind),
        Some(PromptKind::Machines)
    );
    let feed = &mut state.fleet_table.feed;
    if feed.sent.as_ref() == Some(&wanted) {
        feed.pending = None;
        return Vec::new();
    }
    let since = match &feed.pending {
        Some((pending, since)) if *pending == wanted => *since,
        // Rows that move on as somebody scrolls do not begin to wait anew each time.
        Some((pending, since)) if wanted.is_scroll_of(pending) => *since,
        _ => now,
    };
    let delay_ms = delay_ms(feed.sent.as_ref(), &wanted, is_typing);
    let due = since
        .plus_ms(i64::try_from(delay_ms).unwrap_or(0))
        .max(feed.sent_at.plus_ms(i64::try_from(ASK_EVERY_MS).unwrap_or(0)));
    if now < due {
        feed.pending = Some((wanted, since));
        return Vec::new();
    }
    vec![subscribe(state)]
}

fn delay_ms(
    sent: Option<&crate::state::fleet::window::Wanted>,
    wanted: &crate::state::fleet::window::Wanted,
    is_typing: bool,
) -> u64 {
    match sent {
        Some(sent) if wanted.is_scroll_of(sent) => 0,
        Some(sent) if sent.filter != wanted.filter && is_typing => TYPING_MS,
        Some(sent) if sent.metrics != wanted.metrics || sent.past != wanted.past => RESIZING_MS,
        _ => 0,
    }
}

/// When the next subscription is due.
pub(super) fn wakes_at(state: &State) -> Option<UnixMillis> {
    let feed = &state.fleet_table.feed;
    let (wanted, since) = feed.pending.as_ref()?;
    if state.link != Link::Live {
        return None;
    }
    let is_typing = state.prompt.is_some();
    let delay_ms = delay_ms(feed.sent.as_ref(), wanted, is_typing);
    let due = since.plus_ms(i64::try_from(delay_ms).unwrap_or(0));
    Some(due.max(feed.sent_at.plus_ms(i64::try_from(ASK_EVERY_MS).unwrap_or(0))))
}

/// The machine after the one on screen in the order of the fleet, or before it.
pub(super) fn neighbour(state: &mut State, step: isize) -> Vec<Effect> {
    // The order of the fleet may be old while a machine is shown.
    refresh(state, 1);
    let table = &mut state.fleet_table;
    let count = table.len();
    let machines = table.match_count();
    let Some(mut at) = table.cursor().filter(|_| machines > 1) else {
        notify(state, "there is no other machine");
        return Vec::new();
    };
    // Headings are passed over.
    for _ in 0..count {
        at = if step > 0 {
            (at + 1) % count
        } else {
            (at + count - 1) % count
        };
        match table.row(at) {
            Some(Row::Group(_)) => {}
            Some(Row::Machine(number)) => {
                let id = state.fleet.machine(number).map(|machine| Arc::clone(&machine.id));
                return id.map(|id| open_machine(state, &id)).unwrap_or_default();
            }
            None => break,
        }
    }
    notify(state, "the next machine has not come yet: try again");
    Vec::new()
}

/// The column of a heading that was clicked.
pub(super) fn click_heading(state: &mut State, column: FleetColumn) {
    state.fleet_table.click_heading(column);
}
