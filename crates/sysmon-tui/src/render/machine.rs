//! The view of one machine: charts and lists above, processes below.

use ratatui::layout::Rect;
use ratatui::style::Style;
use sysmon_api::Machine;
use sysmon_core::{
    Gap, Health, Liveness, MetricId, SeriesKey, Thresholds, Unit, display_width, format_value, thresholds,
};

use super::chart::{Chart, points_in, scale};
use super::pen::Pen;
use super::processes::processes;
use super::sections::{gauge, section};
use super::time_axis::{TimeAxis, legends};
use super::{lines_in_the_middle, note, panel, travel};
use crate::axis::{Axis, Range, Slice};
use crate::layout::{ChartRegions, MachineRegions, SCALE_WIDTH};
use crate::marks::marks;
use crate::state::{Focus, Link, State, View, series_key};
use crate::words;

/// Draws the view; `axis` is that of its charts, when it has any.
pub(super) fn machine(pen: &mut Pen<'_>, regions: &MachineRegions, axis: Option<Axis>, state: &State) {
    let Some(machine) = state.shown_machine() else {
        missing(pen, regions, state);
        return;
    };
    pen.set_stale(!state.is_live() || machine.liveness != Liveness::Live);
    let age_ms = state.age_ms(machine);
    let screen = Screen {
        machine,
        state,
        axis,
        gaps: state.chart_gaps(machine),
        focus: state.focus.as_ref(),
        is_stacked: regions.cpu.chart.x == regions.memory.chart.x && regions.panel.is_none(),
    };
    if regions.cpu.title.height > 0 {
        screen.cpu(pen, regions.cpu);
    }
    if regions.memory.title.height > 0 {
        screen.memory(pen, regions.memory);
    }
    panel::panel(pen, regions, machine, state);
    for (kind, area) in &regions.sections {
        section(pen, *kind, *area, machine, age_ms);
    }
    if regions.processes.heading.height > 0 {
        processes(pen, &regions.processes, machine, state);
    }
    panel::mark(pen, regions, state.panels.focused);
    pen.set_stale(false);
}

fn missing(pen: &mut Pen<'_>, regions: &MachineRegions, state: &State) {
    let View::Machine(id) = &state.view else { return };
    let area = regions.whole();
    let is_missing = state.fleet.is_complete() || state.machine.is_complete();
    if state.link == Link::Connecting {
        note(pen, area, pen.pick("connecting…", "connecting..."));
    } else if state.link == Link::Live && !is_missing {
        note(
            pen,
            area,
            pen.pick("loading the machine…", "loading the machine..."),
        );
    } else if !is_missing {
        note(pen, area, "no connection: nothing is known yet");
    } else {
        let text = format!("{id} is not known to this aggregator");
        lines_in_the_middle(pen, area, &[&text, "", "Esc goes to the fleet"]);
    }
}

struct Screen<'a> {
    machine: &'a Machine,
    state: &'a State,
    axis: Option<Axis>,
    gaps: Vec<Gap>,
    /// What the machine was opened for: it takes the place of the first chart.
    focus: Option<&'a Focus>,
    /// Whether the charts stand one over the other.
    is_stacked: bool,
}

impl Screen<'_> {
    fn value(&self, metric: MetricId) -> Option<f64> {
        self.machine
            .recent
            .value(metric)
            .filter(|_| self.machine.liveness != Liveness::Lost)
    }

    /// A value as text, or the sign for "not known".
    fn shown(&self, pen: &Pen<'_>, metric: MetricId) -> String {
        let unit = metric.definition().unit;
        self.value(metric).map_or_else(
            || pen.pick("–", "-").to_owned(),
            |value| format_value(value, unit),
        )
    }

    fn cpu(&self, pen: &mut Pen<'_>, regions: ChartRegions) {
        let parts = [
            ("user", MetricId::CpuUser),
            ("system", MetricId::CpuSystem),
            ("iowait", MetricId::CpuIoWait),
            ("steal", MetricId::CpuSteal),
            ("irq", MetricId::CpuIrq),
        ];
        let parts = parts
            .into_iter()
            .filter_map(|(name, metric)| Some(format!("{name} {:.0}", self.value(metric)?)));
        // The range in its shortest form goes before the parts, and gets what they leave for more words.
        let first = self.first();
        let name = match self.focus {
            None => "CPU".to_owned(),
            Some(focus) => format!("{} {}", words::metric_title(focus.metric.name()), focus.entity)
                .trim_end()
                .to_owned(),
        };
        let parts = parts.filter(|_| first.id() == Some(MetricId::CpuBusy));
        let room = usize::from(regions.title.width).saturating_sub(display_width(&name) + 9);
        let range = self.range_wordings();
        let least = range.last().map_or(0, |range| display_width(range) + 2);
        let details = as_many_as_fit(parts, "  ", room.saturating_sub(least));
        let left = room.saturating_sub(display_width(&details) + 2);
        self.title(pen, regions.title, &name, &first, &details);
        if let Some(range) = range.iter().find(|range| display_width(range) <= left) {
            let range = range
                .replace(" · ", pen.pick(" · ", ", "))
                .replace('–', pen.pick("–", "-"));
            let quiet = pen.theme.quiet();
            pen.right(
                regions.title.x,
                regions.title.y,
                regions.title.width.saturating_sub(1),
                &range,
                quiet,
            );
        }
        self.chart(pen, regions, &first);
        let [cores, load] = rows(regions.details);
        match (cores, load) {
            (Some(cores), Some(load)) => {
                self.cores(pen, cores);
                self.load(pen, load);
            }
            (Some(line), None) => {
                // One line for both: the load first, for its width is known.
                let load_width = 24.min(line.width);
                self.load(
                    pen,
                    Rect {
                        width: load_width,
                        ..line
                    },
                );
                self.cores(
                    pen,
                    Rect {
                        x: line.x + load_width,
                        width: line.width - load_width,
                        ..line
                    },
                );
            }
            _ => {}
        }
    }

    fn memory(&self, pen: &mut Pen<'_>, regions: ChartRegions) {
        let size = |metric| self.value(metric).map(|value| format_value(value, Unit::Bytes));
        let mut details = match (size(MetricId::MemoryUsed), size(MetricId::MemoryTotal)) {
            (Some(used), Some(total)) => format!("{used} of {total}"),
            _ => String::new(),
        };
        let swap = self.swap(pen);
        if regions.details.height == 0 {
            details = format!("{details}  {swap}");
        }
        self.title(
            pen,
            regions.title,
            "MEMORY",
            &SeriesKey::plain(MetricId::MemoryUsedPercent),
            &details,
        );
        self.chart(pen, regions, &SeriesKey::plain(MetricId::MemoryUsedPercent));
        if let [Some(line), _] = rows(regions.details) {
            let quiet = pen.theme.quiet();
            pen.text(line.x + 1, line.y, line.width.saturating_sub(1), &swap, quiet);
        }
    }

    fn swap(&self, pen: &Pen<'_>) -> String {
        let mut parts = Vec::new();
        if let Some(percent) = self.value(MetricId::SwapUsedPercent) {
            parts.push(format!("swap {}", format_value(percent, Unit::Percent)));
        }
        parts.push(format!("cache {}", self.shown(pen, MetricId::MemoryCached)));
        if let Some(kills) = self.value(MetricId::OomKills).filter(|kills| *kills > 0.0) {
            parts.push(format!("OOM kills {kills:.0}"));
        }
        parts.join("  ")
    }

    /// The series of the first chart.
    fn first(&self) -> SeriesKey {
        match self.focus {
            None => SeriesKey::plain(MetricId::CpuBusy),
            Some(focus) => series_key(focus.metric, &focus.entity),
        }
    }

    fn title(&self, pen: &mut Pen<'_>, area: Rect, name: &str, key: &SeriesKey, details: &str) {
        if area.height == 0 {
            return;
        }
        let value = self.machine.recent.value_of(key);
        let value = value.filter(|_| self.machine.liveness != Liveness::Lost);
        let health = value
            .zip(key.id().and_then(thresholds))
            .map_or(Health::Unknown, |(value, levels)| levels.judge(value));
        let shown = value.map_or_else(
            || pen.pick("–", "-").to_owned(),
            |value| format_value(value, key.metric.unit()),
        );
        let shown = format!(" {shown:>4}  ");
        let (title, value, quiet) = (pen.theme.title(), pen.theme.value(health), pen.theme.quiet());
        pen.pieces(
            area.x + 1,
            area.y,
            area.width.saturating_sub(1),
            &[(name, title), (&shown, value), (details, quiet)],
        );
    }

    fn range_wordings(&self) -> Vec<String> {
        self.axis
            .map(|axis| words::range(self.state, &axis, &self.machine.id))
            .unwrap_or_default()
    }

    fn chart(&self, pen: &mut Pen<'_>, regions: ChartRegions, key: &SeriesKey) {
        let area = regions.chart;
        let Some(axis) = self.axis.filter(|_| area.width > SCALE_WIDTH) else {
            return;
        };
        let axis = axis.last(points_in(pen, area.width - SCALE_WIDTH));
        let range = self.state.past.range();
        let slices = axis.slices(&self.state.track(self.machine, key));
        let levels = self.levels(key);
        let highest = levels.map_or(0.0, |levels| {
            let both = [levels.warning, levels.critical].into_iter();
            both.filter(|level| level.is_finite()).fold(0.0, f64::max)
        });
        let other_day = travel::other_day(self.state, &self.machine.id, key, &axis);
        let most = |slices: &[Option<Slice>]| {
            slices
                .iter()
                .flatten()
                .map(|slice| slice.mean)
                .fold(0.0, f64::max)
        };
        let (full, top_label) = scale(&slices, key.metric.unit(), highest.max(most(&other_day)));
        Chart {
            slices: &slices,
            full,
            thresholds: levels,
            top_label: &top_label,
            unit: key.metric.unit(),
            is_banded: range != Range::FiveMinutes,
            lines: &[],
        }
        .draw(pen, area);
        travel::ghost(pen, area, &other_day, full, self.state, &self.machine.id);
        legends(pen, area, &axis, &self.gaps);
        travel::cursor(pen, area, &axis, self.state);
        if *key == self.first()
            && let Some(text) = words::absence(self.state, &self.machine.id)
        {
            // Where the past would be there is room for why it is not.
            let known = slices.iter().position(Option::is_some).unwrap_or(slices.len());
            let cells = u16::try_from(known / pen.theme.glyphs.points_per_cell()).unwrap_or(u16::MAX);
            let faint = pen.theme.quiet();
            pen.text(
                area.x + SCALE_WIDTH + 1,
                area.y + area.height / 2,
                cells.min(area.width - SCALE_WIDTH).saturating_sub(2),
                &text,
                faint,
            );
        }
        // Charts that stand one over the other share a line of times, and with it what happened to either.
        let shown = [self.first().id(), Some(MetricId::MemoryUsedPercent)];
        let is_shared = self.is_stacked;
        let shown: Vec<MetricId> = shown
            .into_iter()
            .flatten()
            .filter(|metric| is_shared || key.id() == Some(*metric))
            .collect();
        TimeAxis {
            axis,
            range,
            gaps: &self.gaps,
            events: &marks(self.state, &self.machine.id, &shown),
            utc_offset_seconds: self.state.utc_offset_seconds,
            cursor: travel::cursor_column(pen, area, &axis, self.state),
            ends_now: !self.state.is_in_past(),
        }
        .draw(pen, regions.axis);
    }

    /// The levels of the rules, where they are known, else those of the starter rules.
    fn levels(&self, key: &SeriesKey) -> Option<Thresholds> {
        let metric = key.id()?;
        if !self.state.alerts.is_ready() {
            return thresholds(metric);
        }
        let entity = key.entity().unwrap_or_default();
        self.state.alerts.board.levels_for(self.machine, metric, entity)
    }

    /// One bar per core; with more cores than cells, each bar is the busiest of its group.
    fn cores(&self, pen: &mut Pen<'_>, area: Rect) {
        let cores = crate::panel::cores(self.machine);
        if cores.is_empty() || area.width < 10 {
            return;
        }
        let quiet = pen.theme.quiet();
        let x = pen.text(area.x + 1, area.y, area.width, "cores ", quiet);
        let width = area.right().saturating_sub(x + 1).max(1);
        let per_core = usize::from(width) / cores.len();
        if per_core >= CORE_GAUGE_WIDTH {
            self.core_gauges(pen, Rect { x, width, ..area }, &cores);
            return;
        }
        let per_bar = cores.len().div_ceil(width.into());
        for (x, group) in (x..area.right()).zip(cores.chunks(per_bar)) {
            let busiest = group.iter().map(|(_, busy)| *busy).fold(0.0, f64::max);
            let style = busy_style(pen, busiest);
            let bar = pen.theme.glyphs.bar(busiest / 100.0);
            pen.put(x, area.y, bar, style);
        }
    }

    /// With few cores there is room for a number and a bar for each.
    fn core_gauges(&self, pen: &mut Pen<'_>, area: Rect, cores: &[(u32, f64)]) {
        let slot = u16::try_from(usize::from(area.width) / cores.len())
            .unwrap_or(area.width)
            .min(24);
        for (x, (_, busy)) in (area.x..area.right()).step_by(slot.into()).zip(cores) {
            let (text, style) = (pen.theme.text(), busy_style(pen, *busy));
            pen.right(x, area.y, 4, &format_value(*busy, Unit::Percent), text);
            gauge(pen, x + 5, area.y, slot.saturating_sub(7), busy / 100.0, style);
        }
    }

    fn load(&self, pen: &mut Pen<'_>, area: Rect) {
        let numbers = [MetricId::Load1, MetricId::Load5, MetricId::Load15].map(|metric| self.value(metric));
        let shown = numbers.map(|value| {
            let unknown = || pen.pick("–", "-").to_owned();
            value.map_or_else(unknown, |value| format_value(value, Unit::Count))
        });
        let more = [
            ("running", MetricId::ProcessesRunning),
            ("blocked", MetricId::ProcessesBlocked),
            ("switches/s", MetricId::ContextSwitches),
            ("forks/s", MetricId::ProcessForks),
        ];
        let more = more.into_iter().filter_map(|(name, metric)| {
            Some(format!(
                "{name} {}",
                format_value(self.value(metric)?, Unit::Count)
            ))
        });
        let parts = std::iter::once(format!("load {}", shown.join(" "))).chain(more);
        let text = as_many_as_fit(parts, "   ", usize::from(area.width.saturating_sub(1)));
        let quiet = pen.theme.quiet();
        pen.text(area.x + 1, area.y, area.width.saturating_sub(1), &text, quiet);
    }
}

/// Cells that a core needs for a number and a bar of its own.
const CORE_GAUGE_WIDTH: usize = 12;

/// The colour of a bar for a core.
pub(super) fn busy_style(pen: &Pen<'_>, busy: f64) -> Style {
    match thresholds(MetricId::CpuBusy).map(|levels| levels.judge(busy)) {
        Some(health @ (Health::Critical | Health::Warning)) => pen.theme.value(health),
        _ => pen.theme.chart(),
    }
}

/// Joins parts as long as they fit: half a word tells nothing.
pub(super) fn as_many_as_fit(parts: impl Iterator<Item = String>, separator: &str, width: usize) -> String {
    let mut text = String::new();
    for part in parts {
        let gap = if text.is_empty() { "" } else { separator };
        if display_width(&text) + display_width(gap) + display_width(&part) > width {
            break;
        }
        text.push_str(gap);
        text.push_str(&part);
    }
    text
}

/// The first two lines of an area.
fn rows(area: Rect) -> [Option<Rect>; 2] {
    [0, 1].map(|row| {
        (row < area.height).then(|| Rect {
            y: area.y + row,
            height: 1,
            ..area
        })
    })
}
