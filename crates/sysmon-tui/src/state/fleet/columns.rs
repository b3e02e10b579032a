//! Columns of the fleet table: which there are, what they are called, and which the person has chosen.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sysmon_core::{CATALOGUE, Kind, MetricId, Unit};

/// A column of the fleet table, which is also what it can be sorted by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) enum FleetColumn {
    /// Worst first: lost, critical, warning, stale, then the rest, each by processor time.
    #[default]
    Worst,
    Name,
    /// A number that a machine has once.
    Metric(MetricId),
    Age,
    /// How many alerts fire.
    Alerts,
    Status,
    /// Something that seldom changes.
    Fact(Fact),
    /// The value of a label, by its place among the names that the columns know.
    Label(u8),
}

/// What seldom changes about a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Fact {
    Hostname,
    Labels,
    Os,
    Kernel,
    Architecture,
    Processor,
    Cores,
    Interval,
    Collector,
}

impl Fact {
    /// All of them with their words, headings, widths and what they are.
    pub(crate) const ALL: [(Self, &'static str, &'static str, u16, &'static str); 9] = [
        (
            Self::Hostname,
            "hostname",
            "HOST",
            16,
            "Name as the machine calls itself",
        ),
        (Self::Labels, "labels", "LABELS", 24, "All labels"),
        (Self::Os, "os", "OS", 18, "Operating system"),
        (Self::Kernel, "kernel", "KERNEL", 16, "Kernel release"),
        (
            Self::Architecture,
            "architecture",
            "ARCH",
            8,
            "Processor architecture",
        ),
        (
            Self::Processor,
            "processor",
            "PROCESSOR",
            20,
            "Model of the processor",
        ),
        (Self::Cores, "cores", "CORES", 5, "Logical processors"),
        (Self::Interval, "interval", "EVERY", 5, "Time between two samples"),
        (
            Self::Collector,
            "collector",
            "VERSION",
            8,
            "Version of the collector",
        ),
    ];

    /// Its word, heading, width and meaning.
    pub(crate) fn row(self) -> (&'static str, &'static str, u16, &'static str) {
        Self::ALL
            .iter()
            .find(|(fact, ..)| *fact == self)
            .map_or(("", "", 8, ""), |(_, word, heading, width, help)| {
                (*word, *heading, *width, *help)
            })
    }

    /// Whether it is a number, which stands at the right of its cell.
    pub(crate) fn is_number(self) -> bool {
        matches!(self, Self::Cores | Self::Interval)
    }
}

impl FleetColumn {
    pub(crate) const CPU: Self = Self::Metric(MetricId::CpuBusy);
    pub(crate) const MEMORY: Self = Self::Metric(MetricId::MemoryUsedPercent);
    pub(crate) const DISK: Self = Self::Metric(MetricId::MountWorstPercent);
    pub(crate) const RECEIVE: Self = Self::Metric(MetricId::NetworkReceiveTotal);
    pub(crate) const TRANSMIT: Self = Self::Metric(MetricId::NetworkTransmitTotal);
    pub(crate) const LOAD: Self = Self::Metric(MetricId::Load1);

    /// What the table can be sorted by: column, key and name.
    pub(crate) const SORTS: [(Self, char, &'static str); 9] = [
        (Self::Worst, 'w', "worst"),
        (Self::Name, 'n', "name"),
        (Self::CPU, 'c', "cpu"),
        (Self::MEMORY, 'm', "memory"),
        (Self::DISK, 'd', "disk"),
        (Self::RECEIVE, 'r', "recv"),
        (Self::TRANSMIT, 't', "sent"),
        (Self::LOAD, 'l', "load"),
        (Self::Age, 'a', "age"),
    ];

    /// The metric behind a column of numbers.
    pub(crate) fn metric(self) -> Option<MetricId> {
        match self {
            Self::Metric(metric) => Some(metric),
            _ => None,
        }
    }

    /// Whether the table must know it to judge or sort at all, so that it cannot be hidden.
    pub(crate) fn is_fixed(self) -> bool {
        matches!(self, Self::Worst | Self::Name)
    }

    /// Whether a line of its past can be drawn beside it.
    pub(crate) fn has_spark(self) -> bool {
        let Some(definition) = self.metric().map(MetricId::definition) else {
            return false;
        };
        let is_steady = matches!(
            definition.id,
            MetricId::MountWorstPercent | MetricId::MemoryTotal | MetricId::SwapTotal | MetricId::CpuCount
        );
        definition.kind != Kind::Total
            && !is_steady
            && !matches!(definition.unit, Unit::Seconds | Unit::Flag)
            && !definition.name.starts_with("collector.")
    }

    /// Cells that its values take.
    pub(crate) fn width(self) -> u16 {
        match self {
            Self::Worst => 1,
            Self::Name => 12,
            Self::Age | Self::Alerts => 3,
            Self::Status => 12,
            Self::Fact(fact) => fact.row().2,
            Self::Label(_) => 10,
            Self::Metric(metric) => match metric.definition().unit {
                Unit::Percent => 4,
                Unit::Milliseconds | Unit::Celsius => 6,
                Unit::Seconds => 7,
                Unit::Flag => 3,
                _ => 5,
            },
        }
    }

    /// Whether its values stand at the right of their cells.
    pub(crate) fn is_number(self) -> bool {
        match self {
            Self::Metric(_) | Self::Age | Self::Alerts => true,
            Self::Fact(fact) => fact.is_number(),
            _ => false,
        }
    }
}

/// Headings of metrics whose catalogue name would make a poor one.
const HEADINGS: [(MetricId, &str, &str); 36] = [
    (MetricId::CpuBusy, "CPU", "CPU"),
    (MetricId::CpuUser, "USER", "USER"),
    (MetricId::CpuSystem, "SYS", "SYS"),
    (MetricId::CpuIoWait, "WAIT", "WAIT"),
    (MetricId::CpuSteal, "STEAL", "STEAL"),
    (MetricId::CpuIrq, "IRQ", "IRQ"),
    (MetricId::ContextSwitches, "CSW/S", "CSW/S"),
    (MetricId::Interrupts, "IRQ/S", "IRQ/S"),
    (MetricId::CpuCount, "CPUS", "CPUS"),
    (MetricId::Load1, "LOAD", "LOAD"),
    (MetricId::Load5, "LD5", "LD5"),
    (MetricId::Load15, "LD15", "LD15"),
    (MetricId::Uptime, "UP", "UP"),
    (MetricId::UsersLoggedIn, "USERS", "USERS"),
    (MetricId::MemoryTotal, "RAM", "RAM"),
    (MetricId::MemoryUsed, "USED", "USED"),
    (MetricId::MemoryUsedPercent, "MEM", "MEM"),
    (MetricId::MemoryAvailable, "AVAIL", "AVAIL"),
    (MetricId::MemoryFree, "FREE", "FREE"),
    (MetricId::MemoryBuffers, "BUF", "BUF"),
    (MetricId::MemoryCached, "CACHE", "CACHE"),
    (MetricId::SwapTotal, "SW ALL", "SW ALL"),
    (MetricId::SwapUsed, "SWAPD", "SWAPD"),
    (MetricId::SwapIn, "SW IN", "SW IN"),
    (MetricId::SwapOut, "SW OUT", "SW OUT"),
    (MetricId::SwapUsedPercent, "SWAP", "SWAP"),
    (MetricId::MountWorstPercent, "DISK", "DISK"),
    (MetricId::NetworkReceiveTotal, "NET ↓", "RECV"),
    (MetricId::NetworkTransmitTotal, "↑", "SENT"),
    (MetricId::DiskReadTotal, "READ", "READ"),
    (MetricId::DiskWriteTotal, "WRITE", "WRITE"),
    (MetricId::Processes, "PROCS", "PROCS"),
    (MetricId::ProcessesRunning, "RUN", "RUN"),
    (MetricId::ProcessesBlocked, "BLOCK", "BLOCK"),
    (MetricId::ProcessesZombie, "ZOMB", "ZOMB"),
    (MetricId::SystemdFailedUnits, "UNITS", "UNITS"),
];

/// The heading of a metric: for terminals with Unicode, and for those without.
pub(crate) fn metric_heading(metric: MetricId) -> (String, String) {
    if let Some((_, unicode, ascii)) = HEADINGS.iter().find(|(known, ..)| *known == metric) {
        return ((*unicode).to_owned(), (*ascii).to_owned());
    }
    // `pressure.cpu_some_percent` becomes `CPU SOME`.
    let name = metric.name().rsplit('.').next().unwrap_or_default();
    let mut words: Vec<&str> = name.split('_').collect();
    let is_unit = |word: &&str| matches!(*word, "percent" | "bytes" | "total" | "second" | "per" | "ms");
    while words.len() > 1 && words.last().is_some_and(is_unit) {
        words.pop();
    }
    let text = words.join(" ").to_uppercase();
    (text.clone(), text)
}

/// The most columns that can be chosen, and the most label names that columns know.
const COLUMNS_MAX: usize = 64;
const LABELS_MAX: usize = 32;

/// What the person has chosen, and what is remembered of it between two runs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct FleetLayout {
    /// Words of the columns in order; empty for the default ones.
    pub(crate) columns: Vec<String>,
    /// Word of the column that the table is sorted by; empty for the worst first.
    pub(crate) sort: String,
    /// The other way around.
    pub(crate) inverted: bool,
    /// Name of the label that machines are grouped by; empty for none.
    pub(crate) group: String,
    /// Whether the heat map is shown instead of the table.
    pub(crate) heat_map: bool,
    /// Filters that were typed, the newest last.
    pub(crate) history: Vec<String>,
    /// Filters that were saved: name and text.
    pub(crate) saved: Vec<(String, String)>,
}

/// The chosen columns in order. A table that nobody has changed shows as many of the usual ones as there is room for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Columns {
    shown: Vec<FleetColumn>,
    /// Names of labels that columns stand for.
    labels: Vec<Arc<str>>,
    is_default: bool,
}

/// The usual columns: each with the screen width below which it is left out.
const USUAL: [(FleetColumn, u16); 17] = [
    (FleetColumn::Worst, 0),
    (FleetColumn::Name, 0),
    (FleetColumn::CPU, 0),
    (FleetColumn::MEMORY, 30),
    (FleetColumn::Metric(MetricId::SwapUsedPercent), 190),
    (FleetColumn::DISK, 40),
    (FleetColumn::RECEIVE, 56),
    (FleetColumn::TRANSMIT, 64),
    (FleetColumn::Metric(MetricId::DiskReadTotal), 160),
    (FleetColumn::Metric(MetricId::DiskWriteTotal), 160),
    (FleetColumn::Metric(MetricId::CpuIoWait), 130),
    (FleetColumn::LOAD, 48),
    (FleetColumn::Metric(MetricId::Uptime), 210),
    (FleetColumn::Fact(Fact::Labels), 230),
    (FleetColumn::Age, 36),
    (FleetColumn::Alerts, 24),
    (FleetColumn::Status, 0),
];

impl Default for Columns {
    fn default() -> Self {
        Self {
            shown: USUAL.iter().map(|(column, _)| *column).collect(),
            labels: Vec::new(),
            is_default: true,
        }
    }
}

impl Columns {
    /// The chosen columns in order, on a screen of this width.
    pub(crate) fn on(&self, screen_width: u16) -> Vec<FleetColumn> {
        if self.is_default {
            let fits = |(_, from): &&(FleetColumn, u16)| screen_width >= *from;
            return USUAL.iter().filter(fits).map(|(column, _)| *column).collect();
        }
        self.shown.clone()
    }

    /// Makes what a screen of this width shows the beginning of what is chosen next.
    pub(crate) fn prepare(&mut self, screen_width: u16) {
        if self.is_default {
            self.shown = self.on(screen_width);
        }
    }

    /// Whether nobody has changed them.
    pub(crate) fn is_default(&self) -> bool {
        self.is_default
    }

    /// The chosen columns in order.
    pub(crate) fn shown(&self) -> &[FleetColumn] {
        &self.shown
    }

    /// Back to the usual ones.
    pub(crate) fn reset(&mut self) {
        self.shown = Self::default().shown;
        self.is_default = true;
    }

    /// Shows a column at the end, or hides it.
    pub(crate) fn toggle(&mut self, column: FleetColumn) {
        if column.is_fixed() {
            return;
        }
        self.is_default = false;
        match self.shown.iter().position(|known| *known == column) {
            Some(at) => {
                self.shown.remove(at);
            }
            // What is wrong in words takes the rest of the line: others stand before it.
            None if self.shown.len() < COLUMNS_MAX => {
                let at = match self.shown.last() {
                    Some(FleetColumn::Status) => self.shown.len() - 1,
                    _ => self.shown.len(),
                };
                self.shown.insert(at, column);
            }
            None => {}
        }
    }

    /// Moves a column by one place; its mark and name stay in front. Says whether it moved.
    pub(crate) fn shift(&mut self, column: FleetColumn, is_right: bool) -> bool {
        let Some(at) = self.shown.iter().position(|known| *known == column) else {
            return false;
        };
        let to = if is_right { at + 1 } else { at.saturating_sub(1) };
        let is_movable = |column: FleetColumn| !column.is_fixed();
        let is_allowed =
            to != at && is_movable(column) && self.shown.get(to).is_some_and(|other| is_movable(*other));
        if is_allowed {
            self.shown.swap(at, to);
            self.is_default = false;
        }
        is_allowed
    }

    /// The name of the label behind a column.
    pub(crate) fn label(&self, number: u8) -> &str {
        self.labels.get(usize::from(number)).map_or("", |name| name)
    }

    /// The column of a label; `None` when too many are known.
    pub(crate) fn of_label(&mut self, name: &str) -> Option<FleetColumn> {
        let at = match self.labels.iter().position(|known| **known == *name) {
            Some(at) => at,
            None if self.labels.len() < LABELS_MAX && !name.is_empty() => {
                self.labels.push(name.into());
                self.labels.len() - 1
            }
            None => return None,
        };
        u8::try_from(at).ok().map(FleetColumn::Label)
    }

    /// Everything that can be shown: what is shown in its order, then the rest.
    pub(crate) fn choices(&self) -> Vec<FleetColumn> {
        let metrics = CATALOGUE
            .iter()
            .filter(|definition| definition.label.is_none())
            .map(|definition| FleetColumn::Metric(definition.id));
        let facts = Fact::ALL.iter().map(|(fact, ..)| FleetColumn::Fact(*fact));
        let labels = (0..self.labels.len()).filter_map(|at| u8::try_from(at).ok().map(FleetColumn::Label));
        let plain = [FleetColumn::Age, FleetColumn::Alerts, FleetColumn::Status];
        let rest = plain.into_iter().chain(labels).chain(facts).chain(metrics);
        let mut all = self.shown.clone();
        all.extend(rest.filter(|column| !self.shown.contains(column)));
        all
    }

    /// The word of a column, as it is remembered and sorted by in scripts.
    pub(crate) fn word(&self, column: FleetColumn) -> String {
        match column {
            FleetColumn::Worst => "worst".into(),
            FleetColumn::Name => "machine".into(),
            FleetColumn::Age => "age".into(),
            FleetColumn::Alerts => "alerts".into(),
            FleetColumn::Status => "status".into(),
            FleetColumn::Metric(metric) => metric.name().into(),
            FleetColumn::Fact(fact) => fact.row().0.into(),
            FleetColumn::Label(number) => format!("label.{}", self.label(number)),
        }
    }

    /// What a column is, in a line.
    pub(crate) fn help(&self, column: FleetColumn) -> String {
        match column {
            FleetColumn::Worst => "How bad it is, as a mark".into(),
            FleetColumn::Name => "Id of the machine".into(),
            FleetColumn::Age => "How long ago it was heard of".into(),
            FleetColumn::Alerts => "How many alerts fire".into(),
            FleetColumn::Status => "What is wrong, in words".into(),
            FleetColumn::Metric(metric) => metric.definition().help.into(),
            FleetColumn::Fact(fact) => fact.row().3.into(),
            FleetColumn::Label(number) => format!("Value of the label {}", self.label(number)),
        }
    }

    /// The column of a word; `None` for one that this release does not know.
    pub(crate) fn parse(&mut self, word: &str) -> Option<FleetColumn> {
        if let Some(name) = word.strip_prefix("label.") {
            return self.of_label(name);
        }
        let plain = [
            FleetColumn::Worst,
            FleetColumn::Name,
            FleetColumn::Age,
            FleetColumn::Alerts,
            FleetColumn::Status,
        ];
        let known = plain.into_iter().find(|column| self.word(*column) == word);
        let fact = || Fact::ALL.iter().find(|(_, known, ..)| *known == word);
        let metric = || MetricId::from_name(word).filter(|metric| metric.definition().label.is_none());
        known
            .or_else(|| fact().map(|(fact, ..)| FleetColumn::Fact(*fact)))
            .or_else(|| metric().map(FleetColumn::Metric))
    }

    /// Words of the columns; empty when they are the usual ones.
    pub(crate) fn words(&self) -> Vec<String> {
        if self.is_default {
            return Vec::new();
        }
        self.shown.iter().map(|column| self.word(*column)).collect()
    }

    /// Takes remembered words over; unknown and repeated ones are left out, mark and name are always there.
    pub(crate) fn restore(&mut self, words: &[String]) {
        self.reset();
        if words.is_empty() {
            return;
        }
        let mut shown = vec![FleetColumn::Worst, FleetColumn::Name];
        for word in words.iter().take(COLUMNS_MAX) {
            if let Some(column) = self.parse(word).filter(|column| !shown.contains(column)) {
                shown.push(column);
            }
        }
        self.shown = shown;
        self.is_default = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_sort_has_its_own_key() {
        let mut keys: Vec<char> = FleetColumn::SORTS.iter().map(|(_, key, _)| *key).collect();
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(keys.len(), FleetColumn::SORTS.len());
    }

    #[test]
    fn columns_survive_being_remembered_and_strange_words_do_no_harm() {
        let mut columns = Columns::default();
        assert!(columns.words().is_empty());
        let role = columns.of_label("role").unwrap();
        columns.toggle(role);
        columns.toggle(FleetColumn::LOAD);
        assert!(columns.shift(FleetColumn::MEMORY, false) && !columns.shift(FleetColumn::MEMORY, false));
        let words = columns.words();
        let mut other = Columns::default();
        other.restore(&words);
        assert_eq!(other.words(), words);
        assert!(words.contains(&"label.role".to_owned()) && !words.contains(&"load.1m".to_owned()));
        other.restore(&["nonsense".into(), "age".into(), "age".into(), "label.".into()]);
        assert_eq!(
            other.shown(),
            [FleetColumn::Worst, FleetColumn::Name, FleetColumn::Age]
        );
    }

    #[test]
    fn every_column_has_a_word_that_leads_back_to_it() {
        let mut columns = Columns::default();
        columns.of_label("dc");
        for column in columns.choices() {
            let word = columns.word(column);
            assert_eq!(columns.parse(&word), Some(column), "{word}");
            assert!(!columns.help(column).is_empty() && column.width() > 0);
        }
    }

    #[test]
    fn mark_and_name_can_be_neither_hidden_nor_moved() {
        let mut columns = Columns::default();
        columns.toggle(FleetColumn::Name);
        assert!(!columns.shift(FleetColumn::Name, true) && !columns.shift(FleetColumn::CPU, false));
        assert!(columns.is_default());
    }

    #[test]
    fn headings_are_short() {
        for definition in CATALOGUE.iter().filter(|definition| definition.label.is_none()) {
            let (_, heading) = metric_heading(definition.id);
            assert!(heading.len() <= 16 && heading.is_ascii(), "{heading}");
        }
        assert_eq!(metric_heading(MetricId::PressureCpuSome).1, "CPU SOME");
    }
}
