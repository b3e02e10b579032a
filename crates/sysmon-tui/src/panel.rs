//! The panels of a machine: what each of them has, in small where it shares the screen and all of it where it fills it.

use sysmon_api::Machine;
use sysmon_core::{MetricId, SeriesKey};

use crate::state::fleet::natural;

mod contents;

pub(crate) use contents::{Column, Fact, Table};

/// A part of the view of a machine that can have the focus and can fill the body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) enum Panel {
    Cpu,
    Memory,
    Network,
    Disks,
    Mounts,
    Pressure,
    Units,
    Sensors,
    Containers,
    #[default]
    Processes,
    /// The collector itself. It has no place beside the others, only one of its own.
    Collector,
}

/// Which panel has the focus, and whether it fills the body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Panels {
    pub(crate) focused: Panel,
    pub(crate) is_expanded: bool,
    /// Lines that an expanded panel is scrolled down by.
    pub(crate) scroll: usize,
}

impl Panels {
    /// The panel that fills the body, if one does.
    pub(crate) fn expanded(self) -> Option<Panel> {
        self.is_expanded.then_some(self.focused)
    }
}

impl Panel {
    /// In the order in which the focus goes through them.
    pub(crate) const ALL: [Self; 11] = [
        Self::Cpu,
        Self::Memory,
        Self::Network,
        Self::Disks,
        Self::Mounts,
        Self::Pressure,
        Self::Units,
        Self::Sensors,
        Self::Containers,
        Self::Processes,
        Self::Collector,
    ];

    /// The heading of the panel when it fills the body.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Cpu => "CPU",
            Self::Memory => "MEMORY",
            Self::Network => "NETWORK",
            Self::Disks => "DISKS",
            Self::Mounts => "MOUNTS",
            Self::Pressure => "PRESSURE",
            Self::Units => "UNITS",
            Self::Sensors => "SENSORS",
            Self::Containers => "CONTAINERS",
            Self::Processes => "PROCESSES",
            Self::Collector => "COLLECTOR",
        }
    }

    /// Whether there is anything of this panel on a machine.
    pub(crate) fn is_on(self, machine: &Machine) -> bool {
        let contents = self.contents();
        match self {
            Self::Cpu | Self::Memory | Self::Processes => true,
            Self::Units => machine
                .recent
                .of_metric(MetricId::SystemdFailedUnits)
                .next()
                .is_some(),
            _ => {
                let metrics = contents.tables.iter().flat_map(|table| table.columns);
                let facts = contents.facts.iter().map(|fact| fact.metric);
                let mut all = metrics.map(|column| column.metric).chain(facts);
                all.any(|metric| machine.recent.of_metric(metric).next().is_some())
            }
        }
    }

    /// What an expanded panel shows of a machine, line by line, on a screen of `width` cells.
    pub(crate) fn lines(self, machine: &Machine, width: u16) -> Vec<Line> {
        let contents = self.contents();
        let mut lines = Vec::new();
        let cores = if contents.has_cores {
            cores(machine)
        } else {
            Vec::new()
        };
        strip_lines(&cores, width, &mut lines);
        let mut shown = contents.tables.iter().filter_map(|table| {
            let entities = table.entities(machine);
            (!entities.is_empty()).then_some((table, entities))
        });
        let facts = |lines: &mut Vec<Line>| {
            let known = contents.facts.iter();
            let known: Vec<&'static Fact> = known
                .filter(|fact| machine.recent.of_metric(fact.metric).next().is_some())
                .collect();
            let abreast = facts_abreast(width);
            lines.extend(known.chunks(abreast).map(|chunk| Line::Facts(chunk.to_vec())));
        };
        let begins_with_facts = contents.tables.is_empty() || contents.begins_with_facts;
        if begins_with_facts {
            facts(&mut lines);
        }
        core_lines(&cores, width, &mut lines);
        for (table, entities) in &mut shown {
            if !lines.is_empty() {
                lines.push(Line::Blank);
            }
            lines.push(Line::Heading(table));
            lines.extend(entities.into_iter().map(|entity| Line::Row(table, entity)));
        }
        if !begins_with_facts && !contents.facts.is_empty() {
            if !lines.is_empty() {
                lines.push(Line::Blank);
            }
            facts(&mut lines);
        }
        lines
    }
}

/// A line of an expanded panel.
#[derive(Clone, Debug)]
pub(crate) enum Line {
    Blank,
    /// The headings of a table.
    Heading(&'static Table),
    /// One entity of it.
    Row(&'static Table, String),
    /// Numbers that the machine has once.
    Facts(Vec<&'static Fact>),
    /// A cell per core, from the first one on.
    Strip(Vec<(u32, f64)>),
    /// A number and a bar per core.
    Cores(Vec<(u32, f64)>),
}

/// Cells of a number that the machine has once, with its name.
pub(crate) const FACT_WIDTH: u16 = 26;
/// Cells of a core's number, share and bar.
pub(crate) const CORE_WIDTH: u16 = 26;
/// Cells of the number in front of a row of cores.
pub(crate) const STRIP_LABEL: u16 = 6;

fn facts_abreast(width: u16) -> usize {
    usize::from(width.saturating_sub(1) / FACT_WIDTH).max(1)
}

/// The cores of a machine with their shares, by number.
pub(crate) fn cores(machine: &Machine) -> Vec<(u32, f64)> {
    let mut cores: Vec<(u32, f64)> = machine
        .recent
        .of_metric(MetricId::CpuCoreBusy)
        .filter_map(|(core, series)| Some((core.parse().ok()?, series.current()?)))
        .collect();
    cores.sort_by_key(|(core, _)| *core);
    cores
}

/// Cells in a row of the strip: 64 where there is room, else the power of two below, so that rows begin at round numbers.
fn strip_cells(width: u16) -> usize {
    let room = usize::from(width.saturating_sub(STRIP_LABEL + 1)).max(1);
    let most = room.min(64);
    1 << most.ilog2()
}

/// A cell per core.
fn strip_lines(cores: &[(u32, f64)], width: u16, lines: &mut Vec<Line>) {
    let strips = cores.chunks(strip_cells(width));
    lines.extend(strips.map(|chunk| Line::Strip(chunk.to_vec())));
    if !cores.is_empty() {
        lines.push(Line::Blank);
    }
}

/// A number and a bar per core, down the columns, as a list is read.
fn core_lines(cores: &[(u32, f64)], width: u16, lines: &mut Vec<Line>) {
    if cores.is_empty() {
        return;
    }
    lines.push(Line::Blank);
    let abreast = usize::from(width.saturating_sub(1) / CORE_WIDTH).max(1);
    let rows = cores.len().div_ceil(abreast);
    for row in 0..rows {
        let of_row = cores.iter().copied().skip(row).step_by(rows);
        lines.push(Line::Cores(of_row.collect()));
    }
}

impl Table {
    /// The entities that have anything of the table, in its order.
    fn entities(&self, machine: &Machine) -> Vec<String> {
        let mut entities: Vec<&str> = self
            .columns
            .iter()
            .flat_map(|column| machine.recent.of_metric(column.metric))
            .map(|(entity, _)| entity)
            .collect();
        entities.sort_by(|a, b| natural(a, b));
        entities.dedup();
        if let Some(metric) = self.largest_first {
            let weight = |entity: &str| {
                machine
                    .recent
                    .value_of(&SeriesKey::of(metric, entity))
                    .map_or(-1.0, f64::floor)
            };
            entities.sort_by(|a, b| weight(b).total_cmp(&weight(a)));
        }
        entities.into_iter().map(str::to_owned).collect()
    }
}
