//! Cells of the fleet's table: numbers with a line of their past, and what is wrong in words.

use std::borrow::Cow;
use std::cmp::Reverse;

use ratatui::layout::Rect;
use sysmon_api::Machine;
use sysmon_core::alert::{Alert, Severity};
use sysmon_core::{
    Health, Liveness, MetricId, SeriesKey, Unit, display_width, format_age, format_value, thresholds,
};

use super::super::chart::{points_in, sparkline};
use super::super::pen::Pen;
use super::super::time_axis::{event_cells, put_mark};
use crate::axis::{Axis, Slice};
use crate::layout::ColumnRegion;
use crate::marks::marks;
use crate::state::State;
use crate::state::alerts::board::Standing;
use crate::state::fleet::window::SPARK_MS;
use crate::state::fleet::{FleetColumn, order};
use crate::track::Track;
use crate::words;

/// The sparklines of the fleet show at least this much.
const WINDOW_MS: u64 = SPARK_MS as u64;
/// Ages of machines that report go in steps of this where they are told every few seconds.
const CALM_AGE_MS: u64 = 5_000;
/// In less room than this, how bad something is stands as a mark before it, not as a word behind it.
const BRIEF_BELOW: u16 = 24;

/// Draws any cell but the mark and the name.
pub(super) fn cell(
    pen: &mut Pen<'_>,
    region: ColumnRegion<FleetColumn>,
    y: u16,
    machine: &Machine,
    state: &State,
) {
    let (x, width) = (region.x, region.width);
    match region.column {
        FleetColumn::Age => {
            let style = pen.theme.quiet();
            let mut age_ms = state.age_ms(machine);
            if state.is_live() && machine.liveness == Liveness::Live && state.fleet_table.period_ms() > 1_000
            {
                // Told every few seconds: a column that counts them up each time says nothing.
                age_ms -= age_ms % CALM_AGE_MS;
            }
            pen.right(x, y, width, &format_age(age_ms), style);
        }
        FleetColumn::Alerts => alerts(pen, region, y, machine, state),
        FleetColumn::Status => status(pen, region, y, machine, state),
        FleetColumn::Metric(metric) => number(pen, region, y, machine, metric, state),
        column => {
            let text = order::text(machine, column, &state.fleet_table.columns);
            let style = pen.theme.quiet();
            if column.is_number() {
                pen.right(x, y, width, &text, style);
            } else {
                pen.text(x, y, width, &text, style);
            }
        }
    }
}

/// A name cut in its middle: its end tells machines apart as often as its beginning.
pub(super) fn shortened<'a>(name: &'a str, cells: usize, dots: &str) -> Cow<'a, str> {
    if display_width(name) <= cells || cells < 8 || !name.is_ascii() {
        return Cow::Borrowed(name);
    }
    // The name is ASCII: bytes are cells.
    let end = cells / 3;
    let start = cells - display_width(dots) - end;
    Cow::Owned(format!("{}{dots}{}", &name[..start], &name[name.len() - end..]))
}

/// A value as it is shown in a cell: a cumulative zero or a flag says little, but never nothing.
pub(super) fn value_text(value: f64, metric: MetricId) -> String {
    let unit = metric.definition().unit;
    let text = format_value(value, unit);
    // Two parts of a duration are more than a glance takes.
    if unit == Unit::Seconds && display_width(&text) > 7 {
        return text.split(' ').next().unwrap_or_default().to_owned();
    }
    text
}

fn number(
    pen: &mut Pen<'_>,
    region: ColumnRegion<FleetColumn>,
    y: u16,
    machine: &Machine,
    metric: MetricId,
    state: &State,
) {
    let recent = &machine.recent;
    let series = recent
        .number_of(&SeriesKey::plain(metric))
        .and_then(|number| recent.get(number));
    // A lost machine has no current values; its past is still worth a look.
    let value = series
        .filter(|_| machine.liveness != Liveness::Lost)
        .and_then(sysmon_core::Series::current);
    let number_width = region.column.width();
    let has_spark = region.column.has_spark() && region.width > number_width + 1;
    let width = if has_spark { number_width } else { region.width };
    let style = match (value, thresholds(metric)) {
        (Some(value), Some(thresholds)) => pen.theme.value(thresholds.judge(value)),
        (Some(_), None) => pen.theme.text(),
        (None, _) => pen.theme.faint(),
    };
    let text = value.map_or_else(
        || pen.pick("–", "-").to_owned(),
        |value| value_text(value, metric),
    );
    pen.right(region.x, y, width, &text, style);
    let Some(series) = series.filter(|_| has_spark) else {
        return;
    };
    let x = region.x + number_width + 1;
    let width = region.width - number_width - 1;
    let axis = Axis::live(machine, state.age_ms(machine), points_in(pen, width), WINDOW_MS);
    let slices = axis.slices(&Track::live(recent, series));
    let full = full_scale(metric, &slices, machine);
    let style = pen.theme.chart();
    sparkline(pen, x, y, &slices, full, style);
    let counts = state.alerts.board.counts_of(&machine.id);
    if counts == Default::default() && state.alerts.board.steps().len() == 0 {
        return;
    }
    let marks = marks(state, &machine.id, &[metric]);
    for (x, kind) in event_cells(pen, Rect::new(x, y, width, 1), &axis, &marks) {
        put_mark(pen, x, y, kind);
    }
}

/// What the upper edge of a line stands for: the whole where there is one, else a round number above all that is shown,
/// so that the line does not grow and shrink with every value.
fn full_scale(metric: MetricId, slices: &[Option<Slice>], machine: &Machine) -> f64 {
    let floor = match metric.definition().unit {
        Unit::Percent => return 100.0,
        Unit::BytesPerSecond => 100_000.0,
        _ if matches!(metric, MetricId::Load1 | MetricId::Load5 | MetricId::Load15) => {
            f64::from(machine.host.cpu_count.max(1))
        }
        _ => 1.0,
    };
    let largest = slices
        .iter()
        .flatten()
        .map(|slice| slice.maximum)
        .fold(floor, f64::max);
    round_up(largest)
}

/// The next of 1, 2 and 5 times a power of ten.
fn round_up(value: f64) -> f64 {
    let power = 10f64.powf(value.max(f64::MIN_POSITIVE).log10().floor());
    [1.0, 2.0, 5.0, 10.0]
        .into_iter()
        .map(|step| step * power)
        .find(|step| *step >= value)
        .unwrap_or(value)
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
    let mut x = region.x;
    let is_brief = region.width < BRIEF_BELOW;
    let log = state.travel.trip.as_ref().map(|trip| &trip.log);
    let is_unknown = log.is_some_and(|log| !log.covers(state.aggregator_now()));
    if is_unknown && state.alerts.is_ready() && machine.liveness == Liveness::Live {
        // What was wrong then is not known yet, or not at all: nothing would say that all was well.
        let (faint, unknown) = (pen.theme.faint(), pen.pick("–", "-"));
        pen.text(x, y, region.width, unknown, faint);
        return;
    }
    for (index, (text, health)) in troubles(pen, machine, state, is_brief).iter().enumerate() {
        let room = (region.x + region.width).saturating_sub(x);
        let separator = if index == 0 { "" } else { pen.pick(" · ", ", ") };
        // A piece of which only the first letters fit says nothing.
        if index > 0 && room < 12 {
            break;
        }
        let (quiet, style) = (pen.theme.faint(), pen.theme.value(*health));
        x = pen.pieces(x, y, room, &[(separator, quiet), (text, style)]);
    }
}

/// What is wrong with a machine, the worst first; `is_brief` puts a mark in the place of how bad it is.
pub(super) fn troubles(
    pen: &Pen<'_>,
    machine: &Machine,
    state: &State,
    is_brief: bool,
) -> Vec<(String, Health)> {
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
    if state.alerts.is_ready() && state.alerts.board.counts_of(&machine.id) != Default::default() {
        pieces.extend(firing(pen, machine, state, is_brief));
    }
    pieces
}

/// What fires on the machine, the worst first: `CPU busy critical 4m`; what somebody knows of with their name.
fn firing(pen: &Pen<'_>, machine: &Machine, state: &State, is_brief: bool) -> Vec<(String, Health)> {
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
        let text = if is_brief {
            let mark = pen.theme.glyphs.alert_mark(standing, alert.severity);
            format!("{mark} {title} {age}")
        } else {
            format!("{title} {} {age}", alert.severity.word())
        };
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
    judged.sort_by_key(|(_, health)| Reverse(*health));
    judged
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_name_keeps_both_ends() {
        let name = "batch-node-with-a-name-of-forty-characters";
        for cells in 8..50 {
            let short = shortened(name, cells, "…");
            assert!(display_width(&short) <= cells.max(8), "{short}");
        }
        assert_eq!(shortened(name, 16, "…"), "batch-node…cters");
        assert_eq!(shortened(name, 16, ".."), "batch-nod..cters");
        assert_eq!(shortened("漢字漢字漢字漢字漢字", 10, "…"), "漢字漢字漢字漢字漢字");
    }

    #[test]
    fn scales_are_round() {
        for (value, full) in [(0.3, 0.5), (1.0, 1.0), (1.1, 2.0), (340.0, 500.0), (7e6, 1e7)] {
            assert!((round_up(value) - full).abs() < full / 1e6, "{value}");
        }
    }
}
