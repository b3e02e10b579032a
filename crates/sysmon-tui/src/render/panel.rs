//! A panel that fills the body: every row and every number it has.

use ratatui::layout::Rect;
use ratatui::style::Style;
use sysmon_api::Machine;
use sysmon_core::{Health, Liveness, MetricId, SeriesKey, Unit, display_width, format_value, thresholds};

use super::chart::{points_in, round_up, sparkline};
use super::machine::busy_style;
use super::note;
use super::pen::Pen;
use super::sections::gauge;
use crate::axis::Axis;
use crate::layout::MachineRegions;
use crate::layout::panel::{PanelRegions, expanded_lines};
use crate::panel::{CORE_WIDTH, Column, FACT_WIDTH, Fact, Line, Panel, STRIP_LABEL, Table};
use crate::state::State;
use crate::track::Track;

/// Lines of the past at the end of rows show this much.
const WINDOW_MS: u64 = 300_000;
/// Cells of the shortest one that tells something, and of the longest.
const SPARK_MIN: u16 = 8;
const SPARK_MAX: u16 = 60;
/// Names get no less and no more.
const NAME_MIN: u16 = 8;
const NAME_MAX: u16 = 40;

/// Draws the lines of the panel that fills the body, under its heading.
pub(super) fn panel(pen: &mut Pen<'_>, regions: &MachineRegions, machine: &Machine, state: &State) {
    let Some(shown) = regions.panel else { return };
    let Some((lines, rows, is_pinned)) = expanded_lines(regions, state) else {
        return;
    };
    let sheet = Sheet {
        machine,
        age_ms: state.age_ms(machine),
        area: shown.lines,
    };
    let most = lines.len().saturating_sub(rows);
    let skip = state.panels.scroll.min(most);
    let pinned = usize::from(is_pinned);
    let counts = (skip, rows.saturating_sub(pinned), lines.len() - pinned);
    title(pen, &shown, counts);
    if lines.is_empty() && shown.panel != Panel::Processes {
        let text = match shown.panel {
            Panel::Units => "no unit has failed",
            Panel::Cpu | Panel::Memory => "",
            _ => "nothing is known of it on this machine",
        };
        note(pen, shown.lines, text);
        return;
    }
    // The headings stay while their rows go by.
    let first = lines.first().filter(|_| is_pinned);
    let visible = first
        .into_iter()
        .chain(lines.iter().skip(skip + usize::from(is_pinned)));
    for (y, line) in (shown.lines.y..shown.lines.bottom()).zip(visible) {
        sheet.line(pen, y, line);
    }
}

/// The heading, with how much of it is on screen when that is not all.
fn title(pen: &mut Pen<'_>, shown: &PanelRegions, (skip, rows, count): (usize, usize, usize)) {
    let area = shown.title;
    if area.height == 0 {
        return;
    }
    let style = pen.theme.title();
    pen.text(
        area.x + 1,
        area.y,
        area.width.saturating_sub(1),
        shown.panel.title(),
        style,
    );
    if count > rows && rows > 0 {
        let text = format!("line {} to {} of {count} ", skip + 1, (skip + rows).min(count));
        let quiet = pen.theme.quiet();
        pen.right(area.x, area.y, area.width, &text, quiet);
    }
}

struct Sheet<'a> {
    machine: &'a Machine,
    age_ms: u64,
    area: Rect,
}

impl Sheet<'_> {
    fn line(&self, pen: &mut Pen<'_>, y: u16, line: &Line) {
        match line {
            Line::Blank => {}
            Line::Heading(table) => self.heading(pen, y, table),
            Line::Row(table, entity) => self.row(pen, y, table, entity),
            Line::Facts(facts) => self.facts(pen, y, facts),
            Line::Strip(cores) => self.strip(pen, y, cores),
            Line::Cores(cores) => self.cores(pen, y, cores),
        }
    }

    /// Cells for the names of a table, and for its line of the past; what does not fit is left out from the right.
    fn widths(&self, table: &Table) -> (u16, u16) {
        let columns: u16 = table.columns.iter().map(|column| column.width + 1).sum();
        let room = self.area.width.saturating_sub(columns + 2);
        let names = self.machine.recent.of_metric(table.columns[0].metric);
        let longest = names.map(|(name, _)| display_width(name)).max().unwrap_or(0);
        let longest = u16::try_from(longest).unwrap_or(u16::MAX);
        let title = u16::try_from(table.name.len()).unwrap_or(u16::MAX);
        let name = longest
            .max(title)
            .clamp(NAME_MIN, NAME_MAX)
            .min(room.max(NAME_MIN));
        let spark = room.saturating_sub(name + 1).min(SPARK_MAX);
        let has_spark = spark >= SPARK_MIN && table.line.is_some();
        (name, if has_spark { spark } else { 0 })
    }

    fn heading(&self, pen: &mut Pen<'_>, y: u16, table: &Table) {
        let faint = pen.theme.faint();
        let (name, spark) = self.widths(table);
        let mut x = self.area.x + 1;
        pen.text(x, y, name, table.name, faint);
        x += name + 1;
        for column in table.columns {
            if x + column.width > self.area.right() {
                return;
            }
            pen.right(x, y, column.width, column.heading, faint);
            x += column.width + 1;
        }
        if let Some(line) = table.line.filter(|_| spark > 0) {
            let mut columns = table.columns.iter();
            let of = columns.find(|column| column.metric == line.metric);
            let text = of.map_or("5 MIN", |column| column.heading);
            let long = format!("{text}, 5 min");
            let fits = display_width(&long) <= usize::from(spark);
            pen.text(x + 1, y, spark, if fits { &long } else { text }, faint);
        }
    }

    fn row(&self, pen: &mut Pen<'_>, y: u16, table: &Table, entity: &str) {
        let (name, spark) = self.widths(table);
        let text = pen.theme.text();
        let mut x = self.area.x + 1;
        pen.text(x, y, name, entity, text);
        x += name + 1;
        for column in table.columns {
            if x + column.width > self.area.right() {
                return;
            }
            let (shown, style) = self.cell(pen, column, entity);
            pen.right(x, y, column.width, &shown, style);
            x += column.width + 1;
        }
        let Some(line) = table.line.filter(|_| spark > 0) else {
            return;
        };
        let key = SeriesKey::of(line.metric, entity);
        let number = self.machine.recent.number_of(&key);
        let Some(series) = number.and_then(|number| self.machine.recent.get(number)) else {
            return;
        };
        let axis = Axis::live(self.machine, self.age_ms, points_in(pen, spark), WINDOW_MS);
        let slices = axis.slices(&Track::live(&self.machine.recent, series));
        let largest = slices.iter().flatten().map(|slice| slice.maximum);
        let full = round_up(largest.fold(0.0, f64::max), line.full_at_least);
        let style = pen.theme.chart();
        sparkline(pen, x + 1, y, &slices, full, style);
    }

    /// A number of an entity, in words where it is a flag.
    fn cell(&self, pen: &Pen<'_>, column: &Column, entity: &str) -> (String, Style) {
        let (text, quiet, faint) = (pen.theme.text(), pen.theme.quiet(), pen.theme.faint());
        let none = (pen.pick("–", "-").to_owned(), faint);
        let Some(value) = self.value(column.metric, entity) else {
            return none;
        };
        let health = thresholds(column.metric).map_or(Health::Unknown, |levels| levels.judge(value));
        let warned = |is_bad: bool| if is_bad { pen.theme.warning() } else { faint };
        match column.metric {
            MetricId::NetworkLinkUp if value == 0.0 => ("down".into(), quiet),
            MetricId::NetworkLinkUp => ("up".into(), text),
            MetricId::ContainerRunning if value == 0.0 => ("stopped".into(), quiet),
            MetricId::ContainerRunning => ("runs".into(), text),
            MetricId::ContainerHealthy if value == 0.0 => ("fails".into(), pen.theme.warning()),
            MetricId::ContainerHealthy => ("passes".into(), text),
            MetricId::SystemdUnitFailed => ("failed".into(), pen.theme.critical()),
            MetricId::NetworkReceiveErrors
            | MetricId::NetworkTransmitErrors
            | MetricId::NetworkReceiveDrops
            | MetricId::NetworkTransmitDrops
            | MetricId::ProbeFailures => (shown(value, column.metric), warned(value > 0.0)),
            _ if health >= Health::Warning => (shown(value, column.metric), pen.theme.value(health)),
            _ if value == 0.0 => (shown(value, column.metric), faint),
            _ => (shown(value, column.metric), text),
        }
    }

    /// The newest value; of what waits for requests none where there was no request.
    fn value(&self, metric: MetricId, entity: &str) -> Option<f64> {
        if self.machine.liveness == Liveness::Lost {
            return None;
        }
        let recent = &self.machine.recent;
        let key = if entity.is_empty() {
            SeriesKey::plain(metric)
        } else {
            SeriesKey::of(metric, entity)
        };
        if metric == MetricId::DiskAwait {
            let tick = |metric| {
                let number = recent.number_of(&SeriesKey::of(metric, entity))?;
                recent.get(number)?.column.last().map(|(tick, _)| tick)
            };
            if tick(MetricId::DiskAwait) != tick(MetricId::DiskUtilisation) {
                return None;
            }
        }
        recent.value_of(&key)
    }

    fn facts(&self, pen: &mut Pen<'_>, y: u16, facts: &[&Fact]) {
        let (text, quiet) = (pen.theme.text(), pen.theme.quiet());
        let starts = (self.area.x + 1..).step_by(FACT_WIDTH.into());
        for (x, fact) in starts.zip(facts) {
            let width = (FACT_WIDTH - 2).min(self.area.right().saturating_sub(x));
            let shown = match self.value(fact.metric, "") {
                None => pen.pick("–", "-").to_owned(),
                Some(value) => shown(value, fact.metric),
            };
            let value_width = u16::try_from(display_width(&shown)).unwrap_or(u16::MAX);
            let room = width.saturating_sub(value_width + 1);
            pen.text(x, y, room, fact.name, quiet);
            let health = self.value(fact.metric, "").zip(thresholds(fact.metric));
            let health = health.map_or(Health::Unknown, |(value, levels)| levels.judge(value));
            let style = if health >= Health::Warning {
                pen.theme.value(health)
            } else {
                text
            };
            pen.right(x, y, width, &shown, style);
        }
    }

    /// A cell per core: its height is the share, so that it can be read without colour.
    fn strip(&self, pen: &mut Pen<'_>, y: u16, cores: &[(u32, f64)]) {
        let quiet = pen.theme.quiet();
        let Some((first, _)) = cores.first() else { return };
        pen.right(self.area.x + 1, y, STRIP_LABEL - 2, &first.to_string(), quiet);
        for (x, (_, busy)) in (self.area.x + STRIP_LABEL..self.area.right()).zip(cores) {
            let style = busy_style(pen, *busy);
            let bar = pen.theme.glyphs.bar(busy / 100.0);
            pen.put(x, y, bar, style);
        }
    }

    fn cores(&self, pen: &mut Pen<'_>, y: u16, cores: &[(u32, f64)]) {
        let (text, quiet) = (pen.theme.text(), pen.theme.quiet());
        let starts = (self.area.x + 1..).step_by(CORE_WIDTH.into());
        for (x, (core, busy)) in starts.zip(cores) {
            if x + CORE_WIDTH > self.area.right() + 2 && x > self.area.x + 1 {
                return;
            }
            pen.right(x, y, 4, &core.to_string(), quiet);
            pen.right(x + 5, y, 4, &format_value(*busy, Unit::Percent), text);
            let style = busy_style(pen, *busy);
            gauge(pen, x + 10, y, CORE_WIDTH - 12, busy / 100.0, style);
        }
    }
}

/// A value with its unit where the heading does not tell it; loads with both of their decimals.
fn shown(value: f64, metric: MetricId) -> String {
    let definition = metric.definition();
    match definition.unit {
        Unit::Count if definition.decimals == 2 => format!("{value:.2}"),
        Unit::Milliseconds if metric == MetricId::ClockSkew => format!("{value:.0} ms"),
        unit => format_value(value, unit),
    }
}

/// Marks the panel with the focus, before its heading.
pub(super) fn mark(pen: &mut Pen<'_>, regions: &MachineRegions, panel: Panel) {
    let area = match regions.panel {
        Some(shown) if shown.title.height > 0 => shown.title,
        _ => regions.heading_of(panel),
    };
    if area.height > 0 && area.width > 1 {
        let (glyph, style) = (pen.pick("▸", ">"), pen.theme.accent());
        pen.text(area.x, area.y, 1, glyph, style);
    }
}
