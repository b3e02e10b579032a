//! The snapshot for people.

mod alerts;
mod fleet;
mod machine;
mod table;

use sysmon_api::Machine;
use sysmon_core::{Health, Process};

use super::Snapshot;
use crate::words;

/// How the text may look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TextStyle {
    /// Cells per line.
    pub width: usize,
    /// Whether the output is a terminal that shows colour.
    pub is_coloured: bool,
}

impl TextStyle {
    /// A text in the colour of a health; healthy and unknown stay as they are.
    fn tint(self, text: &str, health: Health) -> String {
        let code = match health {
            Health::Critical => "31",
            Health::Warning => "33",
            Health::Healthy | Health::Unknown => return text.into(),
        };
        if self.is_coloured {
            format!("\u{1b}[{code}m{text}\u{1b}[0m")
        } else {
            text.into()
        }
    }
}

/// Cells per line of the terminal that the output goes to; `None` when that is not known.
#[must_use]
pub fn terminal_width() -> Option<usize> {
    let (columns, _) = crossterm::terminal::size().ok()?;
    (columns > 0).then_some(columns.into())
}

/// What is wrong, then the fleet as a table, worst first; of a single machine also its parts.
#[must_use]
pub fn to_text(snapshot: &Snapshot, style: TextStyle) -> String {
    let mut machines: Vec<&Machine> = snapshot.machines().map(|(_, machine)| machine).collect();
    let mut text = match machines.as_slice() {
        [] if snapshot.shown.is_some() => "no machine matches the filter\n".into(),
        [] => {
            "no machine has reported yet; start `sysmon collector` where there is something to watch\n".into()
        }
        _ => fleet::describe(&mut machines, snapshot.fleet.now(), style),
    };
    let missing = snapshot.missing();
    if missing > 0 {
        let machines = if missing == 1 {
            "machine is"
        } else {
            "machines are"
        };
        text.push_str(&format!(
            "\n{} further {machines} not in the recording\n",
            words::count(missing)
        ));
    }
    text.push_str(&alerts::describe(snapshot, style));
    if let [machine] = machines.as_slice() {
        text.push('\n');
        text.push_str(&machine::describe(machine, style));
    }
    text
}

/// The listed processes, busiest first, then largest.
pub(super) fn busiest(machine: &Machine) -> Vec<&Process> {
    let mut processes: Vec<&Process> = machine.processes.iter().collect();
    processes.sort_by(|a, b| {
        let cpu = |process: &Process| process.cpu_percent.unwrap_or(-1.0);
        cpu(b)
            .total_cmp(&cpu(a))
            .then(b.memory_bytes.cmp(&a.memory_bytes))
            .then(a.key.cmp(&b.key))
    });
    processes
}

#[cfg(test)]
mod tests;
