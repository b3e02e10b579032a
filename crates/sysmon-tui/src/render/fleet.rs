//! The table of all machines.

use std::cmp::Reverse;

use ratatui::layout::Rect;
use sysmon_api::Machine;
use sysmon_core::alert::{Alert, Severity};
use sysmon_core::{Health, Liveness, MetricId, SeriesKey, Unit, format_age, format_value, thresholds};

use super::chart::{points_in, sparkline};
use super::pen::Pen;
use super::time_axis::{event_cells, put_mark};
use super::{lines_in_the_middle, note};
use crate::axis::Axis;
use crate::layout::{ColumnRegion, TableRegions};
use crate::marks::marks;
use crate::state::alerts::board::Standing;
use crate::state::fleet::FleetColumn;
use crate::state::{Link, State};
use crate::track::Track;
use crate::words;

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
            FleetColumn::Alerts => pen.pick("▲■", "^#"),
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
            FleetColumn::Alerts => alerts(pen, *region, y, machine, state),
            FleetColumn::Status => status(pen, *region, y, machine, state),
            _ => number(pen, *region, y, machine, state),
        }
    }
}

fn number(pen: &mut Pen<'_>, region: ColumnRegion<FleetColumn>, y: u16, machine: &Machine, state: &State) {
    let column = region.column;
    let age_ms = state.age_ms(machine);
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
        let x = region.x + PERCENT_WIDTH + 1;
        sparkline(pen, x, y, &slices, 100.0, style);
        let plot = Rect::new(x, y, region.width - PERCENT_WIDTH - 1, 1);
        let marks = marks(state, &machine.id, &[metric]);
        for (x, kind) in event_cells(pen, plot, &axis, &marks) {
            put_mark(pen, x, y, kind);
        }
    }
}

/// How many alerts fire on the machine, with the mark of the worst; what is muted quietly.
fn alerts(pen: &mut Pen<'_>, region: ColumnRegion<FleetColumn>, y: u16, machine: &Machine, state: &State) {
    let counts = state.alerts.board.counts_of(&machine.id);
    let (standing, severity, count, style) = match counts.worst() {
        Some(severity) => {
            let style = pen.theme.severity(severity);
            (Standing::Firing, severity, counts.firing(), style)
        }
        None if counts.acknowledged > 0 => {
            let style = pen.theme.quiet();
            (Standing::Acknowledged, Severity::Info, counts.acknowledged, style)
        }
        None => return,
    };
    let mark = pen.theme.glyphs.alert_mark(standing, severity);
    let count = if count > 99 {
        "99".to_owned()
    } else {
        count.to_string()
    };
    pen.right(region.x, y, region.width, &format!("{mark}{count}"), style);
}

/// In words what is wrong, the worst first.
fn status(pen: &mut Pen<'_>, region: ColumnRegion<FleetColumn>, y: u16, machine: &Machine, state: &State) {
    let mut pieces: Vec<(String, Health)> = Vec::new();
    if !machine.problem.is_empty() {
        pieces.push((machine.problem.clone(), Health::Critical));
    }
    match machine.liveness {
        Liveness::Lost => pieces.push(("no data".into(), Health::Critical)),
        Liveness::Stale => pieces.push(("late".into(), Health::Warning)),
        Liveness::Live if state.alerts.is_ready() => {}
        Liveness::Live => pieces.extend(over_threshold(machine)),
    }
    if state.alerts.is_ready() {
        pieces.extend(firing(machine, state));
    }
    let mut x = region.x;
    for (index, (text, health)) in pieces.iter().enumerate() {
        let room = (region.x + region.width).saturating_sub(x);
        let separator = if index == 0 { "" } else { pen.pick(" · ", ", ") };
        let (quiet, style) = (pen.theme.faint(), pen.theme.value(*health));
        x = pen.pieces(x, y, room, &[(separator, quiet), (text, style)]);
    }
}

/// What fires on the machine, the worst first: `CPU busy critical 4m`; what somebody knows of with their name.
fn firing(machine: &Machine, state: &State) -> Vec<(String, Health)> {
    let board = &state.alerts.board;
    let mut alerts: Vec<_> = board
        .alerts_of(&machine.id)
        .map(|alert| (Standing::of(alert), alert))
        .filter(|(standing, _)| matches!(standing, Standing::Firing | Standing::Acknowledged))
        .collect();
    alerts.sort_by_key(|(standing, alert)| (*standing, Reverse(alert.severity), Reverse(alert.since)));
    let words = |(standing, alert): (Standing, &Alert)| {
        let title = board.title(&alert.key.rule);
        let age = words::alerts::age(state, alert.since);
        let text = format!("{title} {} {age}", alert.severity.word());
        match (standing, alert.severity) {
            (Standing::Acknowledged, _) => {
                let by = alert.acknowledged.as_ref().map_or("", |known| &known.by);
                (format!("{text} (ack {by})"), Health::Unknown)
            }
            (_, Severity::Critical) => (text, Health::Critical),
            (_, Severity::Warning) => (text, Health::Warning),
            (_, Severity::Info) => (text, Health::Unknown),
        }
    };
    alerts.into_iter().take(8).map(words).collect()
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
