//! One panel of a machine over the whole body.

use ratatui::layout::{Position, Rect};
use sysmon_api::Machine;

use super::{ChartRegions, MachineRegions, Section, chart_regions, process_columns, split, table, with_axis};
use crate::panel::{Line, Panel};
use crate::state::State;

/// A panel that fills the body: its heading, and its lines below what it has of charts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PanelRegions {
    pub(crate) panel: Panel,
    /// Empty where a chart or a table brings a heading of its own.
    pub(crate) title: Rect,
    pub(crate) lines: Rect,
}

impl From<Section> for Panel {
    fn from(section: Section) -> Self {
        match section {
            Section::Network => Self::Network,
            Section::Disks => Self::Disks,
            Section::Mounts => Self::Mounts,
            Section::Pressure => Self::Pressure,
            Section::Units => Self::Units,
            Section::Sensors => Self::Sensors,
            Section::Containers => Self::Containers,
        }
    }
}

/// The body of a machine of which one panel is shown.
pub(super) fn expanded(area: Rect, panel: Panel, machine: Option<&Machine>) -> MachineRegions {
    let nowhere = Rect { height: 0, ..area };
    let no_chart = ChartRegions {
        title: nowhere,
        chart: nowhere,
        axis: nowhere,
        details: nowhere,
    };
    let mut regions = MachineRegions {
        cpu: no_chart,
        memory: no_chart,
        sections: Vec::new(),
        processes: table(nowhere, Vec::new()),
        panel: None,
    };
    let wanted = machine.map_or(0, |machine| panel.lines(machine, area.width).len());
    let wanted = u16::try_from(wanted).unwrap_or(u16::MAX);
    // The shape comes first: what is counted below it gets at most half, and scrolls.
    let rows = wanted.min(area.height / 2);
    let (upper, lower) = split(area, area.height - rows);
    match panel {
        Panel::Cpu => regions.cpu = with_axis(chart_regions(upper, upper.height, 0)),
        Panel::Memory => regions.memory = with_axis(chart_regions(upper, upper.height, 0)),
        Panel::Processes => {
            // On a low screen the processes themselves are all there is room for.
            let rows = if area.height >= 12 { rows.min(4) } else { 0 };
            let (lines, lower) = split(area, rows);
            regions.processes = table(lower, process_columns(lower));
            regions.panel = Some(PanelRegions {
                panel,
                title: nowhere,
                lines,
            });
            return regions;
        }
        _ => {
            let (title, lines) = split(area, 1);
            regions.panel = Some(PanelRegions { panel, title, lines });
            return regions;
        }
    }
    regions.panel = Some(PanelRegions {
        panel,
        title: nowhere,
        lines: lower,
    });
    regions
}

impl MachineRegions {
    /// All of the body.
    pub(crate) fn whole(&self) -> Rect {
        let mut all = self
            .cpu
            .title
            .union(self.processes.heading)
            .union(self.processes.rows);
        if let Some(shown) = self.panel {
            all = all.union(shown.title).union(shown.lines).union(self.memory.title);
        }
        all
    }

    /// The panels on screen, in the order in which the focus goes through them.
    pub(crate) fn panels(&self) -> Vec<Panel> {
        let mut panels = Vec::new();
        if self.cpu.title.height > 0 {
            panels.push(Panel::Cpu);
        }
        if self.memory.title.height > 0 {
            panels.push(Panel::Memory);
        }
        panels.extend(self.sections.iter().map(|(section, _)| Panel::from(*section)));
        panels.push(Panel::Processes);
        panels
    }

    /// The heading of a panel on screen.
    pub(crate) fn heading_of(&self, panel: Panel) -> Rect {
        match panel {
            Panel::Cpu => self.cpu.title,
            Panel::Memory => self.memory.title,
            Panel::Processes => self.processes.heading,
            _ => {
                let mut sections = self.sections.iter();
                let found = sections.find(|(section, _)| Panel::from(*section) == panel);
                found.map(|(_, area)| *area).unwrap_or_default()
            }
        }
    }

    /// The panel at a place, but for the plots of the charts, which stand for moments.
    pub(crate) fn panel_at(&self, at: Position) -> Option<Panel> {
        let is_in = |chart: ChartRegions| chart.title.contains(at) || chart.details.contains(at);
        if is_in(self.cpu) {
            return Some(Panel::Cpu);
        }
        if is_in(self.memory) {
            return Some(Panel::Memory);
        }
        if self.processes.heading.contains(at) || self.processes.rows.contains(at) {
            return Some(Panel::Processes);
        }
        let mut sections = self.sections.iter();
        let section = sections.find(|(_, area)| area.contains(at))?;
        Some(section.0.into())
    }
}

/// The lines of the panel that fills the body, how many of them are visible, and whether the first stays in place.
pub(crate) fn expanded_lines(regions: &MachineRegions, state: &State) -> Option<(Vec<Line>, usize, bool)> {
    let panel = regions.panel?;
    let lines = panel.panel.lines(state.shown_machine()?, panel.lines.width);
    let is_pinned = matches!(lines.first(), Some(Line::Heading(_)));
    Some((lines, panel.lines.height.into(), is_pinned))
}
