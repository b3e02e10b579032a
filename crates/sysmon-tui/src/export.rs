//! What is on screen as a table of plain values, and that table as CSV, JSON or text.

use std::fmt::Write as _;

use sysmon_api::Machine;
use sysmon_core::{Health, Liveness, MetricId, Process, display_width, sanitize};

use crate::state::alerts::list::AlertRow;
use crate::state::{State, View};
use crate::words;

/// A cell.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    /// Nothing is known.
    None,
    Text(String),
    Number(f64),
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(sanitize(text).into_owned())
    }
}

impl From<Option<f64>> for Value {
    fn from(number: Option<f64>) -> Self {
        number
            .filter(|number| number.is_finite())
            .map_or(Self::None, Self::Number)
    }
}

/// Columns and rows in the order of the screen.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Table {
    /// What it is of, in one word.
    pub(crate) name: &'static str,
    pub(crate) columns: Vec<&'static str>,
    pub(crate) rows: Vec<Vec<Value>>,
    /// The row under the cursor.
    pub(crate) at: Option<usize>,
}

/// How a table is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Csv,
    Json,
    Text,
}

impl Format {
    /// All of them with their words and the endings of their files.
    pub(crate) const ALL: [(Self, &'static str, &'static str); 3] = [
        (Self::Csv, "csv", "csv"),
        (Self::Json, "json", "json"),
        (Self::Text, "text", "txt"),
    ];

    /// The format that a file's name ends with.
    pub(crate) fn of_path(path: &str) -> Option<Self> {
        let (_, ending) = path.rsplit_once('.')?;
        let mut all = Self::ALL.iter();
        all.find(|(_, word, known)| ending.eq_ignore_ascii_case(known) || ending.eq_ignore_ascii_case(word))
            .map(|(format, _, _)| *format)
    }

    /// The usual ending.
    pub(crate) fn ending(self) -> &'static str {
        let mut all = Self::ALL.iter();
        all.find(|(format, _, _)| *format == self)
            .map_or("txt", |(_, _, ending)| ending)
    }
}

impl Table {
    /// The table of the view.
    pub(crate) fn of(state: &State) -> Self {
        match &state.view {
            View::Fleet => fleet(state),
            View::Machine(_) => processes(state),
            View::Alerts => alerts(state),
            View::Rules => rules(state),
        }
    }

    /// The row under the cursor as it is pasted: values apart by tabs.
    pub(crate) fn row_text(&self) -> Option<String> {
        let cells: Vec<String> = self.rows.get(self.at?)?.iter().map(plain).collect();
        Some(cells.join("\t"))
    }

    /// A value of the row under the cursor, by its column.
    pub(crate) fn value(&self, column: &str) -> Option<String> {
        let index = self.columns.iter().position(|known| *known == column)?;
        let text = plain(self.rows.get(self.at?)?.get(index)?);
        (!text.is_empty()).then_some(text)
    }

    /// The whole table.
    pub(crate) fn written(&self, format: Format) -> String {
        match format {
            Format::Csv => self.csv(),
            Format::Json => self.json(),
            Format::Text => self.text(),
        }
    }

    /// RFC 4180, lines ended as Unix does it.
    fn csv(&self) -> String {
        let mut text = self.columns.join(",");
        text.push('\n');
        for row in &self.rows {
            let cells: Vec<String> = row.iter().map(csv_cell).collect();
            text.push_str(&cells.join(","));
            text.push('\n');
        }
        text
    }

    fn json(&self) -> String {
        let rows: Vec<serde_json::Value> = self
            .rows
            .iter()
            .map(|row| {
                let value = |value: &Value| match value {
                    Value::None => serde_json::Value::Null,
                    Value::Text(text) => text.as_str().into(),
                    Value::Number(number) if number.fract() == 0.0 && number.abs() < 9e15 => {
                        serde_json::Value::from(*number as i64)
                    }
                    Value::Number(number) => serde_json::Value::from(*number),
                };
                let pairs = self.columns.iter().zip(row);
                pairs
                    .map(|(column, cell)| ((*column).to_owned(), value(cell)))
                    .collect::<serde_json::Map<_, _>>()
                    .into()
            })
            .collect();
        format!("{:#}\n", serde_json::Value::from(rows))
    }

    fn text(&self) -> String {
        let cells: Vec<Vec<String>> = self
            .rows
            .iter()
            .map(|row| row.iter().map(plain).collect())
            .collect();
        let widths: Vec<usize> = (0..self.columns.len())
            .map(|index| {
                let inside = cells
                    .iter()
                    .map(|row| row.get(index).map_or(0, |cell| display_width(cell)));
                inside.max().unwrap_or(0).max(self.columns[index].len())
            })
            .collect();
        let is_number = |index: usize| {
            let mut column = self.rows.iter().filter_map(|row| row.get(index));
            column.all(|cell| !matches!(cell, Value::Text(_))) && !self.rows.is_empty()
        };
        let mut text = String::new();
        let mut line = |cells: &mut dyn Iterator<Item = &str>| {
            let mut line = String::new();
            for (index, cell) in cells.enumerate() {
                let space = " ".repeat(widths[index].saturating_sub(display_width(cell)));
                let gap = if index == 0 { "" } else { "  " };
                let _ = if is_number(index) {
                    write!(line, "{gap}{space}{cell}")
                } else {
                    write!(line, "{gap}{cell}{space}")
                };
            }
            text.push_str(line.trim_end());
            text.push('\n');
        };
        line(&mut self.columns.iter().copied());
        for row in &cells {
            line(&mut row.iter().map(String::as_str));
        }
        text
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::None => String::new(),
        Value::Text(text) => text.clone(),
        Value::Number(number) => number.to_string(),
    }
}

fn csv_cell(value: &Value) -> String {
    let Value::Text(text) = value else {
        return plain(value);
    };
    // A spreadsheet takes what begins like this for a formula, and names of machines and processes come from afar.
    let is_formula = text.starts_with(['=', '+', '-', '@']);
    let text = if is_formula {
        format!("'{text}")
    } else {
        text.clone()
    };
    if text.contains([',', '"', '\n', '\r']) || is_formula {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text
    }
}

fn fleet(state: &State) -> Table {
    let metrics = [
        MetricId::CpuBusy,
        MetricId::MemoryUsedPercent,
        MetricId::MountWorstPercent,
        MetricId::NetworkReceiveTotal,
        MetricId::NetworkTransmitTotal,
        MetricId::Load1,
    ];
    let row = |machine: &Machine| {
        // Of a machine that is lost nothing is current.
        let is_lost = machine.liveness == Liveness::Lost;
        let health = if is_lost { Health::Unknown } else { machine.health };
        let mut cells: Vec<Value> = vec![
            (&*machine.id).into(),
            machine.host.hostname.as_str().into(),
            machine.liveness.word().into(),
            health.word().into(),
        ];
        cells.extend(metrics.map(|metric| Value::from(machine.recent.value(metric).filter(|_| !is_lost))));
        cells.push(Value::Number(machine.last_seen.0 as f64));
        let labels = machine
            .host
            .labels
            .iter()
            .map(|(name, value)| format!("{name}={value}"));
        cells.push(labels.collect::<Vec<_>>().join(" ").as_str().into());
        cells
    };
    let machines = state.fleet_table.machines().iter();
    Table {
        name: "fleet",
        columns: vec![
            "machine_id",
            "hostname",
            "state",
            "health",
            "cpu_percent",
            "memory_percent",
            "disk_percent",
            "receive_bytes_per_second",
            "transmit_bytes_per_second",
            "load_1",
            "last_seen_unix_ms",
            "labels",
        ],
        rows: machines
            .filter_map(|number| state.fleet.machine(*number))
            .map(row)
            .collect(),
        at: state.fleet_table.selected().and_then(|selected| {
            let mut shown = state.fleet_table.machines().iter();
            shown.position(|number| {
                let machine = state.fleet.machine(*number);
                machine.is_some_and(|machine| machine.id == *selected)
            })
        }),
    }
}

fn processes(state: &State) -> Table {
    let row = |process: &Process| -> Vec<Value> {
        let bytes = |value: Option<u64>| Value::from(value.map(|value| value as f64));
        vec![
            Value::Number(process.key.pid.into()),
            (&*process.user).into(),
            process
                .cpu_percent
                .map(|percent| (f64::from(percent) * 10.0).round() / 10.0)
                .into(),
            Value::Number(process.memory_bytes as f64),
            process.state.letter().to_string().as_str().into(),
            Value::Number(process.threads.into()),
            bytes(process.read_bytes_per_second),
            bytes(process.write_bytes_per_second),
            (&*process.name).into(),
            (&*process.command).into(),
        ]
    };
    let machine = state.shown_machine();
    let keys = state.process_table.rows().iter();
    Table {
        name: "processes",
        columns: vec![
            "pid",
            "user",
            "cpu_percent",
            "memory_bytes",
            "state",
            "threads",
            "read_bytes_per_second",
            "write_bytes_per_second",
            "name",
            "command",
        ],
        rows: keys
            .filter_map(|key| machine.and_then(|machine| machine.processes.get(*key)))
            .map(row)
            .collect(),
        at: state.process_table.cursor(),
    }
}

fn alerts(state: &State) -> Table {
    let board = &state.alerts.board;
    let list = &state.alerts.list;
    let cursor = list.cursor(&state.alerts.log);
    let mut table = Table {
        name: "alerts",
        columns: vec![
            "rule",
            "machine_id",
            "entity",
            "state",
            "severity",
            "value",
            "since_unix_ms",
            "text",
        ],
        ..Table::default()
    };
    for (index, line) in list.rows().iter().enumerate() {
        let row: Vec<Value> = match line {
            AlertRow::Group(..) | AlertRow::History => continue,
            AlertRow::Alert(key) => {
                let Some(alert) = board.alert(key) else { continue };
                vec![
                    key.rule.as_str().into(),
                    key.machine.as_str().into(),
                    (&*key.entity).into(),
                    alert.phase.word().into(),
                    alert.severity.word().into(),
                    alert.value.into(),
                    Value::Number(alert.since.0 as f64),
                    words::alerts::standing(state, alert)[0].as_str().into(),
                ]
            }
            AlertRow::Step(step) => {
                let Some((_, step)) = state.alerts.log.steps.get(*step) else {
                    continue;
                };
                vec![
                    step.key.rule.as_str().into(),
                    step.key.machine.as_str().into(),
                    (&*step.key.entity).into(),
                    step.to.word().into(),
                    step.severity.word().into(),
                    step.value.into(),
                    Value::Number(step.at.0 as f64),
                    words::alerts::comparison_of_step(board, step).as_str().into(),
                ]
            }
        };
        if cursor == Some(index) {
            table.at = Some(table.rows.len());
        }
        table.rows.push(row);
    }
    table
}

fn rules(state: &State) -> Table {
    let board = &state.alerts.board;
    let ids = state.alerts.rules.rows();
    let stored = ids.iter().filter_map(|id| board.rule(id));
    let row = |stored: &crate::state::alerts::board::StoredRule| -> Vec<Value> {
        let rule = &stored.rule;
        vec![
            rule.id.as_str().into(),
            board.title(&rule.id).into(),
            if rule.enabled { "on" } else { "off" }.into(),
            words::alerts::rule(rule).as_str().into(),
            words::alerts::scope(rule).as_str().into(),
            Value::Number(board.firing_of(&rule.id) as f64),
            Value::Number(stored.version as f64),
            stored.changed_by.as_str().into(),
        ]
    };
    Table {
        name: "rules",
        columns: vec![
            "rule",
            "title",
            "state",
            "watches",
            "scope",
            "firing",
            "version",
            "changed_by",
        ],
        rows: stored.map(row).collect(),
        at: state.alerts.rules.cursor(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn table() -> Table {
        Table {
            name: "fleet",
            columns: vec!["machine_id", "cpu_percent", "note"],
            rows: vec![
                vec!["web-1".into(), Value::Number(97.5), "a \"quoted\", comma".into()],
                vec!["=cmd()".into(), Value::None, "\u{1b}[31mred".into()],
                vec!["漢字".into(), Value::Number(-3.0), "".into()],
            ],
            at: Some(0),
        }
    }

    #[test]
    fn a_table_is_written_in_every_format() {
        let table = table();
        insta::assert_snapshot!(
            Format::ALL
                .map(|(format, word, _)| format!("{word}\n{}", table.written(format)))
                .join("\n")
        );
        assert_eq!(table.row_text().unwrap(), "web-1\t97.5\ta \"quoted\", comma");
        assert_eq!(table.value("machine_id").as_deref(), Some("web-1"));
        assert_eq!(table.value("nothing"), None);
    }

    #[test]
    fn the_name_of_a_file_says_how_it_is_written() {
        assert_eq!(Format::of_path("a/b.CSV"), Some(Format::Csv));
        assert_eq!(Format::of_path("x.json"), Some(Format::Json));
        assert_eq!(Format::of_path("x.txt"), Some(Format::Text));
        assert_eq!(Format::of_path("x.png"), None);
        assert_eq!(Format::of_path("csv"), None);
    }

    proptest! {
        #[test]
        fn no_cell_breaks_out_of_its_place(text in "\\PC{0,20}|[=+@,\"\n\r\t\u{1b}a-]{0,9}") {
            let table = Table { rows: vec![vec![text.as_str().into(), Value::Number(1.5), Value::None]], ..table() };
            let csv = table.written(Format::Csv);
            prop_assert_eq!(csv.lines().count(), 2);
            let cell = csv.lines().nth(1).unwrap();
            prop_assert!(!cell.strip_prefix('"').unwrap_or(cell).starts_with(['=', '+', '@', '-']), "{}", cell);
            let has_escape = csv.contains('\u{1b}');
            prop_assert!(!has_escape);
            let json: serde_json::Value = serde_json::from_str(&table.written(Format::Json)).unwrap();
            prop_assert_eq!(json[0]["machine_id"].as_str().unwrap(), sanitize(&text));
            prop_assert_eq!(table.written(Format::Text).lines().count(), 2);
        }
    }
}
