//! The table of all machines.

use ratatui::layout::Rect;
use sysmon_api::Machine;
use sysmon_core::{Health, Liveness, MetricId, SeriesKey, Unit, format_age, format_value, thresholds};

use super::chart::{points_in, sparkline};
use super::pen::Pen;
use super::{lines_in_the_middle, note};
use crate::axis::Axis;
use crate::layout::{ColumnRegion, TableRegions};
use crate::state::fleet::FleetColumn;
use crate::state::{Link, State};
use crate::track::Track;

/// The sparklines of the fleet show at least this much.
const WINDOW_MS: u64 = 120_000;
/// Width of the number in front of a sparkline.
const PERCENT_WIDTH: u16 = 4;

/// Draws headings and rows.
pub(super) fn fleet(pen: &mut Pen<'_>, table: &TableRegions<FleetColumn>, state: &State) {
    headings(pen, table, state);
    let rows = state.fleet_table.rows();
    if rows.is_empty() {
        empty(pen, table.rows, state);
        return;
    }
    let cursor = state.fleet_table.cursor(&state.fleet);
    let visible = rows.iter().enumerate().skip(state.fleet_table.offset);
    for (y, (index, number)) in (table.rows.y..table.rows.bottom()).zip(visible) {
        let Some(machine) = state.fleet.machine(*number) else {
            continue;
        };
        row(pen, table, y, machine, state);
        if cursor == Some(index) {
            let line = Rect {
                x: table.rows.x,
                y,
                width: table.rows.width,
                height: 1,
            };
            let selected = pen.theme.selected();
            pen.overlay(line, selected);
        }
    }
    pen.set_stale(false);
}

fn headings(pen: &mut Pen<'_>, table: &TableRegions<FleetColumn>, state: &State) {
    let sort = state.fleet_table.sort;
    let arrow = if state.fleet_table.inverted {
        pen.pick("▴", "^")
    } else {
        pen.pick("▾", "v")
    };
    for region in &table.columns {
        let name = match region.column {
            FleetColumn::Worst => "",
            FleetColumn::Name => "MACHINE",
            FleetColumn::Cpu => "CPU",
            FleetColumn::Memory => {
                if region.width > PERCENT_WIDTH {
                    "MEMORY"
                } else {
                    "MEM"
                }
            }
            FleetColumn::Disk => "DISK",
            FleetColumn::Receive => pen.pick("NET ↓", "RECV"),
            FleetColumn::Transmit => pen.pick("↑", "SENT"),
            FleetColumn::Load => "LOAD",
            FleetColumn::Age => "AGE",
            FleetColumn::Status => "STATUS",
        };
        let is_sort = sort == region.column;
        let style = if is_sort {
            pen.theme.accent()
        } else {
            pen.theme.faint()
        };
        let text = if is_sort && region.column != FleetColumn::Worst {
            format!("{name}{arrow}")
        } else {
            name.into()
        };
        match region.column {
            FleetColumn::Worst if is_sort => {
                pen.text(region.x, table.heading.y, region.width, arrow, style);
            }
            FleetColumn::Name | FleetColumn::Status | FleetColumn::Worst => {
                pen.text(region.x, table.heading.y, region.width, &text, style);
            }
            FleetColumn::Cpu | FleetColumn::Memory if region.width > PERCENT_WIDTH => {
                pen.text(region.x + 1, table.heading.y, region.width, &text, style);
            }
            _ => pen.right(
                region.x.saturating_sub(1),
                table.heading.y,
                region.width + 1,
                &text,
                style,
            ),
        }
    }
}

fn row(pen: &mut Pen<'_>, table: &TableRegions<FleetColumn>, y: u16, machine: &Machine, state: &State) {
    pen.set_stale(!state.is_live() || machine.liveness != Liveness::Live);
    let age_ms = state.age_ms(machine);
    for region in &table.columns {
        match region.column {
            FleetColumn::Worst => {
                // The mark keeps its colour on a stale row: it says how bad it is.
                pen.set_stale(!state.is_live());
                let mark = pen.theme.glyphs.mark(machine.liveness, machine.health);
                let style = pen.theme.mark(machine.liveness, machine.health);
                pen.text(region.x, y, region.width, mark, style);
                pen.set_stale(!state.is_live() || machine.liveness != Liveness::Live);
            }
            FleetColumn::Name => {
                let style = pen.theme.text();
                pen.text(region.x, y, region.width, &machine.id, style);
            }
            FleetColumn::Age => {
                let style = pen.theme.quiet();
                pen.right(region.x, y, region.width, &format_age(age_ms), style);
            }
            FleetColumn::Status => status(pen, *region, y, machine),
            column => number(pen, *region, y, machine, column, age_ms),
        }
    }
}

fn number(
    pen: &mut Pen<'_>,
    region: ColumnRegion<FleetColumn>,
    y: u16,
    machine: &Machine,
    column: FleetColumn,
    age_ms: u64,
) {
    let Some(metric) = column.metric() else { return };
    let key = SeriesKey::plain(metric);
    let series = machine
        .recent
        .number_of(&key)
        .and_then(|number| machine.recent.get(number));
    // A lost machine has no current values; its past is still worth a look.
    let value = series
        .filter(|_| machine.liveness != Liveness::Lost)
        .and_then(sysmon_core::Series::current);
    let has_spark = matches!(column, FleetColumn::Cpu | FleetColumn::Memory) && region.width > PERCENT_WIDTH;
    let width = if has_spark { PERCENT_WIDTH } else { region.width };
    let style = match (value, thresholds(metric)) {
        (Some(value), Some(thresholds)) => pen.theme.value(thresholds.judge(value)),
        (Some(_), None) => pen.theme.text(),
        (None, _) => pen.theme.faint(),
    };
    let text = value.map_or_else(
        || pen.pick("–", "-").to_owned(),
        |value| format_value(value, metric.definition().unit),
    );
    pen.right(region.x, y, width, &text, style);
    if let Some(series) = series.filter(|_| has_spark) {
        let axis = Axis::live(
            machine,
            age_ms,
            points_in(pen, region.width - PERCENT_WIDTH - 1),
            WINDOW_MS,
        );
        let slices = axis.slices(&Track::live(&machine.recent, series));
        let style = pen.theme.chart();
        sparkline(pen, region.x + PERCENT_WIDTH + 1, y, &slices, 100.0, style);
    }
}

/// In words what is wrong, the worst first.
fn status(pen: &mut Pen<'_>, region: ColumnRegion<FleetColumn>, y: u16, machine: &Machine) {
    let mut pieces: Vec<(String, Health)> = Vec::new();
    if !machine.problem.is_empty() {
        pieces.push((machine.problem.clone(), Health::Critical));
    }
    match machine.liveness {
        Liveness::Lost => pieces.push(("no data".into(), Health::Critical)),
        Liveness::Stale => pieces.push(("late".into(), Health::Warning)),
        Liveness::Live => pieces.extend(over_threshold(machine)),
    }
    let mut x = region.x;
    for (index, (text, health)) in pieces.iter().enumerate() {
        let room = (region.x + region.width).saturating_sub(x);
        let separator = if index == 0 { "" } else { pen.pick(" · ", ", ") };
        let (quiet, style) = (pen.theme.faint(), pen.theme.value(*health));
        x = pen.pieces(x, y, room, &[(separator, quiet), (text, style)]);
    }
}

/// Metrics of the table that are over a level now.
fn over_threshold(machine: &Machine) -> Vec<(String, Health)> {
    let names = [
        (MetricId::CpuBusy, "cpu"),
        (MetricId::MemoryUsedPercent, "memory"),
        (MetricId::MountWorstPercent, "disk"),
    ];
    let judged = names.into_iter().filter_map(|(metric, name)| {
        let value = machine.recent.value(metric)?;
        let health = thresholds(metric)?.judge(value);
        (health >= Health::Warning)
            .then(|| (format!("{name} {}", format_value(value, Unit::Percent)), health))
    });
    let mut judged: Vec<_> = judged.collect();
    judged.sort_by_key(|(_, health)| std::cmp::Reverse(*health));
    judged
}

fn empty(pen: &mut Pen<'_>, area: Rect, state: &State) {
    if !state.fleet_table.filter_text().is_empty() && state.fleet.machines().len() > 0 {
        note(pen, area, "no machine matches the filter: Esc shows all");
    } else if state.link == Link::Connecting || (state.is_live() && !state.fleet.is_complete()) {
        note(pen, area, pen.pick("connecting…", "connecting..."));
    } else if state.is_live() {
        lines_in_the_middle(
            pen,
            area,
            &[
                "no machine has reported yet",
                "",
                "start a collector on each machine:",
                "sysmon collector --aggregator URL",
            ],
        );
    } else {
        note(pen, area, "no connection: nothing is known yet");
    }
}
