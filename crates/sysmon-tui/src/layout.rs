//! Where everything is, as a pure function: drawing, mouse hits and scroll limits all ask here.

use ratatui::layout::Rect;
use sysmon_api::Machine;
use sysmon_core::MetricId;

use crate::axis::Axis;
use crate::state::alerts::list::RuleColumn;
use crate::state::fleet::FleetColumn;
use crate::state::processes::ProcessColumn;
use crate::state::{State, View};

mod alerts;
mod fleet;
mod hints;
mod palette;
pub(crate) mod panel;

pub(crate) use alerts::{AlertsRegions, EditorRegions, editor_axis, editor_regions};
pub(crate) use fleet::HeatRegions;
pub(crate) use hints::{CLEARS, filter_in_force, has_hints, hints, matching};
pub(crate) use palette::palette_regions;

/// A column of a table at its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ColumnRegion<C> {
    pub(crate) column: C,
    pub(crate) x: u16,
    pub(crate) width: u16,
}

/// A table: one line of headings over rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TableRegions<C> {
    pub(crate) heading: Rect,
    pub(crate) rows: Rect,
    pub(crate) columns: Vec<ColumnRegion<C>>,
}

/// A chart with its title above, then its time axis and details below; any of them may be empty.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ChartRegions {
    pub(crate) title: Rect,
    pub(crate) chart: Rect,
    /// The line under the chart with its times; charts that stand one over the other share the lowest one.
    pub(crate) axis: Rect,
    pub(crate) details: Rect,
}

/// A group of lines in the view of a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Section {
    Network,
    Disks,
    Mounts,
    Pressure,
    Units,
    Sensors,
    Containers,
}

/// The view of a machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MachineRegions {
    pub(crate) cpu: ChartRegions,
    pub(crate) memory: ChartRegions,
    pub(crate) sections: Vec<(Section, Rect)>,
    pub(crate) processes: TableRegions<ProcessColumn>,
    /// The one panel that is shown, when one is.
    pub(crate) panel: Option<panel::PanelRegions>,
}

/// What fills the screen between the two bars.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Body {
    /// Not even one panel fits.
    TooSmall(Rect),
    /// All machines.
    Fleet(TableRegions<FleetColumn>),
    /// All machines, a cell each.
    Heat(HeatRegions),
    /// One machine.
    Machine(MachineRegions),
    /// What is wrong.
    Alerts(AlertsRegions),
    /// What is watched.
    Rules(TableRegions<RuleColumn>),
}

/// The whole screen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Regions {
    pub(crate) header: Rect,
    pub(crate) body: Body,
    pub(crate) footer: Rect,
}

/// Smallest screen that shows anything but a note.
pub(crate) const SMALLEST: (u16, u16) = (24, 5);
/// From this width on, a machine is shown in two columns.
const TWO_COLUMNS_FROM: u16 = 100;
/// Cells at the left of a chart that its scale takes.
pub(crate) const SCALE_WIDTH: u16 = 5;
/// Beside fewer rows than this, a chart has no line for times of its own.
const AXIS_FROM_ROWS: u16 = 4;

/// Divides `area` for what `state` shows.
#[must_use]
pub fn layout(area: Rect, state: &State) -> Regions {
    let header = Rect {
        height: area.height.min(1),
        ..area
    };
    let footer = Rect {
        y: area.bottom().saturating_sub(1).max(area.y),
        height: area.height.min(1),
        ..area
    };
    let body = Rect {
        y: area.y.saturating_add(1),
        height: area.height.saturating_sub(2),
        ..area
    };
    let body = if area.width < SMALLEST.0 || area.height < SMALLEST.1 {
        Body::TooSmall(area)
    } else {
        match (&state.view, state.shown_machine()) {
            (View::Machine(_), machine) => Body::Machine(match state.panels.expanded() {
                Some(panel) => panel::expanded(body, panel, machine),
                None => machine_regions(body, machine),
            }),
            (View::Fleet, _) if state.fleet_table.is_heat_map => Body::Heat(fleet::heat_map(body, state)),
            (View::Fleet, _) => Body::Fleet(fleet::fleet_table(body, state)),
            (View::Alerts, _) => {
                Body::Alerts(alerts::alerts_regions(body, state.alerts.list.rows().is_empty()))
            }
            (View::Rules, _) => Body::Rules(alerts::rule_table(body, state.alerts.rules.widths())),
        }
    };
    Regions { header, body, footer }
}

fn table<C>(area: Rect, columns: Vec<ColumnRegion<C>>) -> TableRegions<C> {
    let heading = Rect {
        height: area.height.min(1),
        ..area
    };
    let rows = Rect {
        y: area.y.saturating_add(1),
        height: area.height.saturating_sub(1),
        ..area
    };
    TableRegions {
        heading,
        rows,
        columns,
    }
}

/// Columns of the process table.
fn process_columns(area: Rect) -> Vec<ColumnRegion<ProcessColumn>> {
    use ProcessColumn::{Command, Cpu, Memory, Pid, Read, State, Threads, User, Write};
    let fixed = [
        (Pid, 7, 30),
        (User, if area.width >= 120 { 12 } else { 8 }, 50),
        (Cpu, 5, 0),
        (Memory, 5, 0),
        (State, 1, 40),
        (Threads, 4, 72),
        (Read, 5, 90),
        (Write, 5, 90),
    ];
    let mut x = area.x + 1;
    let mut columns = Vec::new();
    for (column, width, from) in fixed {
        if area.width >= from {
            columns.push(ColumnRegion { column, x, width });
            x += width + 2;
        }
    }
    let width = area.right().saturating_sub(x + 1);
    if width > 0 {
        columns.push(ColumnRegion {
            column: Command,
            x,
            width,
        });
    }
    columns
}

fn machine_regions(area: Rect, machine: Option<&Machine>) -> MachineRegions {
    let wanted = machine.map(section_rows).unwrap_or_default();
    let (top, lower) = if area.width >= TWO_COLUMNS_FROM && area.height >= 14 {
        two_columns(area, &wanted)
    } else {
        one_column(area, &wanted)
    };
    MachineRegions {
        processes: table(lower, process_columns(lower)),
        ..top
    }
}

fn two_columns(area: Rect, wanted: &[(Section, u16)]) -> (MachineRegions, Rect) {
    let lines: u16 = wanted.iter().map(|(_, rows)| rows).sum();
    // Half of the screen for processes; what the lists on the right do not need is theirs too.
    let most = (area.height / 2).max(7);
    let height = (lines + 8).clamp(9.min(most), most);
    let (upper, lower) = split(area, height);
    let left_width = area.width / 2;
    let left = Rect {
        width: left_width.saturating_sub(1),
        ..upper
    };
    let right = Rect {
        x: area.x + left_width,
        width: area.width - left_width,
        ..upper
    };
    let cpu = with_axis(chart_regions(left, height.saturating_sub(1), 2));
    let memory_height = (height / 3).clamp(3, 9);
    let (memory_area, lists) = split(right, memory_height);
    let memory = with_axis(chart_regions(memory_area, memory_height, 1));
    let sections = stack(lists, wanted);
    (
        MachineRegions {
            cpu,
            memory,
            sections,
            processes: table(lower, Vec::new()),
            panel: None,
        },
        lower,
    )
}

fn one_column(area: Rect, wanted: &[(Section, u16)]) -> (MachineRegions, Rect) {
    // Eight processes and their heading always have room first; then the lists, then the charts grow.
    let spare = area.height.saturating_sub(9);
    // One line of times for both charts, as soon as everything else has its least.
    let axis_rows = u16::from(spare >= 12);
    let spare = spare - axis_rows;
    let (cpu_rows, memory_rows, list_rows) = match spare {
        0..2 => (1, 0, 0),
        2..5 => (1, 1, spare - 2),
        5..9 => (2, 1, spare - 3),
        9..11 => (3, 2, spare - 5),
        _ => {
            let charts = (spare - 7) / 4;
            (
                2 + (2 + charts).min(9),
                1 + (1 + charts).min(6),
                4 + (spare - 11) / 3,
            )
        }
    };
    let lists: u16 = wanted.iter().map(|(_, rows)| rows).sum();
    let list_rows = list_rows.min(lists);
    let (cpu_area, rest) = split(area, cpu_rows);
    let (memory_area, rest) = split(rest, memory_rows);
    let (axis, rest) = split(rest, axis_rows);
    let (list_area, lower) = split(rest, list_rows);
    let regions = MachineRegions {
        cpu: chart_regions(cpu_area, cpu_rows, u16::from(cpu_rows >= 2)),
        memory: ChartRegions {
            axis,
            ..chart_regions(memory_area, memory_rows, 0)
        },
        sections: stack(list_area, wanted),
        processes: table(lower, Vec::new()),
        panel: None,
    };
    (regions, lower)
}

fn split(area: Rect, height: u16) -> (Rect, Rect) {
    let height = height.min(area.height);
    let lower = Rect {
        y: area.y + height,
        height: area.height - height,
        ..area
    };
    (Rect { height, ..area }, lower)
}

fn chart_regions(area: Rect, height: u16, details: u16) -> ChartRegions {
    let (area, _) = split(area, height);
    let (title, rest) = split(area, 1);
    let (chart, details) = split(rest, rest.height.saturating_sub(details));
    ChartRegions {
        title,
        chart,
        axis: Rect { height: 0, ..details },
        details,
    }
}

/// Gives the lowest line of a chart to its times when the chart can spare it.
fn with_axis(regions: ChartRegions) -> ChartRegions {
    if regions.chart.height <= AXIS_FROM_ROWS {
        return regions;
    }
    let (chart, axis) = split(regions.chart, regions.chart.height - 1);
    ChartRegions {
        chart,
        axis,
        ..regions
    }
}

/// The one axis of all charts on screen, as wide as the widest of them; `None` when there is no chart.
#[must_use]
pub(crate) fn charts_axis(regions: &Regions, state: &State, points_per_cell: usize) -> Option<Axis> {
    let Body::Machine(regions) = &regions.body else {
        return None;
    };
    let machine = state.shown_machine()?;
    let width = regions.chart_width()?;
    let points = usize::from(width) * points_per_cell;
    if let Some(trip) = &state.travel.trip {
        let range = state.past.range();
        return Some(Axis::ending_at(trip.charts_end, machine, points, range));
    }
    Some(Axis::of_range(
        machine,
        state.age_ms(machine),
        state.aggregator_now(),
        points,
        state.past.range(),
    ))
}

impl MachineRegions {
    /// Cells of the widest plot; `None` when no chart has room.
    fn chart_width(&self) -> Option<u16> {
        [self.cpu.chart, self.memory.chart]
            .into_iter()
            .filter(|chart| chart.height > 0 && chart.width > SCALE_WIDTH)
            .map(|chart| chart.width - SCALE_WIDTH)
            .max()
    }
}

/// Gives every section one row as far as there is room, then row after row to those that want more.
fn stack(area: Rect, wanted: &[(Section, u16)]) -> Vec<(Section, Rect)> {
    let mut given: Vec<u16> = vec![0; wanted.len()];
    let mut left = area.height;
    while left > 0 {
        let before = left;
        for (given, (_, want)) in given.iter_mut().zip(wanted) {
            if *given < *want && left > 0 {
                *given += 1;
                left -= 1;
            }
        }
        if left == before {
            break;
        }
    }
    let mut y = area.y;
    let mut sections = Vec::new();
    for ((section, _), height) in wanted.iter().zip(given).filter(|(_, height)| *height > 0) {
        sections.push((*section, Rect { y, height, ..area }));
        y += height;
    }
    sections
}

/// How many lines each section of a machine would fill, most important first.
fn section_rows(machine: &Machine) -> Vec<(Section, u16)> {
    let count = |metric| u16::try_from(machine.recent.of_metric(metric).count()).unwrap_or(u16::MAX);
    let any = |metric| u16::from(machine.recent.of_metric(metric).next().is_some());
    let failed = machine.recent.value(MetricId::SystemdFailedUnits).unwrap_or(0.0) > 0.0;
    let rows = [
        (Section::Network, count(MetricId::NetworkReceive)),
        (Section::Disks, count(MetricId::DiskUtilisation)),
        (Section::Mounts, count(MetricId::MountUsedPercent)),
        (Section::Pressure, any(MetricId::PressureCpuSome)),
        (Section::Units, u16::from(failed)),
        (Section::Sensors, any(MetricId::Temperature)),
        (Section::Containers, count(MetricId::ContainerRunning)),
    ];
    rows.into_iter().filter(|(_, rows)| *rows > 0).collect()
}

impl Regions {
    /// How many rows of the table in the body are visible.
    #[must_use]
    pub(crate) fn table_rows(&self) -> usize {
        match &self.body {
            Body::TooSmall(_) => 0,
            Body::Fleet(table) => table.rows.height.into(),
            Body::Heat(heat) => heat.map.height.into(),
            Body::Machine(machine) => match machine.panel {
                Some(shown) if shown.panel != crate::panel::Panel::Processes => shown.lines.height.into(),
                _ => machine.processes.rows.height.into(),
            },
            Body::Alerts(alerts) => alerts.table.rows.height.into(),
            Body::Rules(table) => table.rows.height.into(),
        }
    }
}
