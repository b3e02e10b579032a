//! A process that is looked into, and the signals for it.

use ratatui::layout::Rect;
use ratatui::style::Style;
use sysmon_api::{Machine, wire};
use sysmon_core::{
    Process, ProcessState, Unit, UnixMillis, clip, display_width, format_duration, format_rate, format_value,
};

use super::overlay::{Line, boxed, position, selectable};
use super::pen::Pen;
use crate::state::State;
use crate::state::inspect::{Answer, Inspected, SIGNALS};
use crate::words;

/// Cells of the names at the left.
const LABEL: u16 = 12;
/// The most lines that a command line takes; the end of a longer one is left out.
const COMMAND_LINES_MAX: usize = 40;
/// Ancestors that are told.
const ANCESTORS_MAX: usize = 12;

/// How loudly something is told.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Tone {
    Plain,
    Quiet,
    Warning,
}

struct Row {
    label: &'static str,
    text: String,
    tone: Tone,
}

fn row(label: &'static str, text: impl Into<String>) -> Row {
    Row {
        label,
        text: text.into(),
        tone: Tone::Plain,
    }
}

/// Where the details are on a screen, of which `lines` lines are to be seen.
fn place(screen: Rect, lines: usize) -> Rect {
    let width = screen.width.min(96);
    let height = u16::try_from(lines)
        .unwrap_or(u16::MAX)
        .saturating_add(2)
        .min(screen.height.saturating_sub(2));
    Rect {
        x: screen.x + (screen.width - width) / 2,
        y: screen.y + 1 + (screen.height.saturating_sub(2) - height) / 2,
        width,
        height,
    }
}

/// The lines of the details and how many of them fit.
fn details_on(screen: Rect, inspected: &Inspected, state: &State) -> (Vec<Row>, Rect) {
    let width = place(screen, 0).width;
    let rows = rows(inspected, state, usize::from(width.saturating_sub(LABEL + 4)));
    let area = place(screen, rows.len());
    (rows, area)
}

/// How far the details can be scrolled down.
pub(crate) fn process_scroll_max(screen: Rect, state: &State) -> usize {
    let Some(inspected) = &state.inspection.process else {
        return 0;
    };
    let (rows, area) = details_on(screen, inspected, state);
    rows.len().saturating_sub(area.height.saturating_sub(2).into())
}

/// Draws the details.
pub(super) fn details(pen: &mut Pen<'_>, screen: Rect, state: &State, scroll: u16) {
    let Some(inspected) = &state.inspection.process else {
        return;
    };
    let (rows, area) = details_on(screen, inspected, state);
    let name = clip(&inspected.process.name, 40).into_owned();
    let title = format!(" {name} {} ", inspected.process.key.pid);
    let most = rows.len().saturating_sub(area.height.saturating_sub(2).into());
    let hint = if inspected.has_ended && most > 0 {
        " j k scroll, Esc closes "
    } else if inspected.has_ended {
        " Esc closes "
    } else if most > 0 {
        " j k scroll, Enter asks again, Esc closes "
    } else {
        " Enter asks again, X signal, Esc closes "
    };
    let room = boxed(pen, area, &title, hint);
    position(
        pen,
        area,
        hint,
        usize::from(scroll).min(most) + usize::from(room.height),
        rows.len(),
    );
    let skip = usize::from(scroll).min(most);
    let label = pen.theme.quiet();
    for (y, row) in (room.y..room.bottom()).zip(rows.iter().skip(skip)) {
        pen.text(room.x + 1, y, LABEL - 1, row.label, label);
        let x = room.x + 1 + LABEL;
        let style = tone(pen, row.tone);
        pen.text(x, y, room.right().saturating_sub(x), &row.text, style);
    }
}

fn tone(pen: &Pen<'_>, tone: Tone) -> Style {
    match tone {
        Tone::Plain => pen.theme.text(),
        Tone::Quiet => pen.theme.quiet(),
        Tone::Warning => pen.theme.warning(),
    }
}

fn rows(inspected: &Inspected, state: &State, width: usize) -> Vec<Row> {
    let process = &inspected.process;
    let machine = state.machine.find(&inspected.machine);
    let known = match &inspected.answer {
        Answer::Known(details) => Some(&**details),
        _ => None,
    };
    let mut rows = Vec::new();
    if inspected.has_ended {
        rows.push(Row {
            tone: Tone::Warning,
            ..row("", "this process has ended; this is what was known of it last")
        });
    }
    let command = known.map_or("", |details| details.command.as_str());
    let command = match (command, &*process.command) {
        ("", "") => format!("[{}]", process.name.trim_matches(['[', ']'])),
        ("", listed) => listed.to_owned(),
        (command, _) => command.to_owned(),
    };
    for (index, line) in wrapped(&command, width).into_iter().enumerate() {
        rows.push(row(if index == 0 { "command" } else { "" }, line));
    }
    rows.push(row("machine", &*inspected.machine));
    rows.push(row("user", &*process.user));
    rows.push(row("state", state_words(process.state)));
    rows.push(row("started", started(process, machine, state)));
    if let Some(machine) = machine {
        rows.push(row("parents", ancestors(process, machine)));
    }
    rows.push(row("processor", processor(process, known)));
    rows.push(row("memory", memory(process, known)));
    rows.push(row("threads", process.threads.to_string()));
    let rates = [
        (
            "reads",
            process.read_bytes_per_second,
            known.and_then(|d| d.read_bytes),
        ),
        (
            "writes",
            process.write_bytes_per_second,
            known.and_then(|d| d.written_bytes),
        ),
    ];
    for (label, rate, total) in rates {
        rows.push(row(label, storage(rate, total)));
    }
    asked_rows(&inspected.answer, &inspected.machine, &mut rows);
    rows
}

/// What only the machine could tell, or why it did not.
fn asked_rows(answer: &Answer, machine: &str, rows: &mut Vec<Row>) {
    match answer {
        Answer::Asking { .. } => rows.push(Row {
            tone: Tone::Quiet,
            ..row("", format!("asking {machine} for the rest…"))
        }),
        // Told on top.
        Answer::Ended => {}
        Answer::None(reason) if reason.is_empty() => {}
        Answer::None(reason) => rows.push(Row {
            tone: Tone::Warning,
            ..row("", reason.as_str())
        }),
        Answer::Known(details) => {
            let files = match (details.open_files, details.open_files_max) {
                (None, _) => NOT_SEEN.to_owned(),
                (Some(count), None) => words::count(count),
                (Some(count), Some(most)) => format!("{} of {}", words::count(count), words::count(most)),
            };
            rows.push(row("open files", files));
            rows.push(row("cgroup", or_none(&details.cgroup)));
            rows.push(row("program", or_none(&details.executable)));
        }
    }
}

/// What the collector's user has no right to.
const NOT_SEEN: &str = "– the collector may not see it";

fn or_none(text: &str) -> &str {
    if text.is_empty() { NOT_SEEN } else { text }
}

fn state_words(state: ProcessState) -> &'static str {
    match state {
        ProcessState::Running => "running or ready to",
        ProcessState::Sleeping => "asleep",
        ProcessState::Blocked => "blocked, usually by storage; signals wait",
        ProcessState::Stopped => "stopped",
        ProcessState::Zombie => "zombie: ended, and its parent has not noticed",
        ProcessState::Idle => "idle kernel thread",
        ProcessState::Unknown => "–",
    }
}

/// Milliseconds from which on a start is a time since 1970, and not since boot.
const UNIX_START_MS: u64 = 1_000_000_000_000;

/// When a process began, where that can be told.
fn start_of(process: &Process, machine: Option<&Machine>) -> Option<UnixMillis> {
    let start_ms = i64::try_from(process.key.start_ms).ok()?;
    if process.key.start_ms >= UNIX_START_MS {
        return Some(UnixMillis(start_ms));
    }
    let boot = machine?.host.boot_unix_ms;
    (boot > 0)
        .then(|| boot.checked_add(start_ms).map(UnixMillis))
        .flatten()
}

fn started(process: &Process, machine: Option<&Machine>, state: &State) -> String {
    let now = state.aggregator_now();
    match start_of(process, machine).filter(|start| start.0 > 0) {
        None => "–".into(),
        Some(start) => {
            let age = format_duration(now.since_ms(start) / 1_000);
            format!("{}, {age} ago", words::moment_to_the_second(state, start, now))
        }
    }
}

/// Parent, its parent, and so on to the first.
fn ancestors(process: &Process, machine: &Machine) -> String {
    let mut names = Vec::new();
    let mut pid = process.parent_pid;
    let mut seen = vec![process.key.pid];
    while pid != 0 && !seen.contains(&pid) && names.len() < ANCESTORS_MAX {
        seen.push(pid);
        let Some(parent) = machine.processes.iter().find(|other| other.key.pid == pid) else {
            names.push(format!("{pid}"));
            break;
        };
        names.push(format!("{} ({pid})", clip(&parent.name, 20)));
        pid = parent.parent_pid;
    }
    if names.is_empty() {
        "none".into()
    } else {
        names.join(" < ")
    }
}

fn processor(process: &Process, known: Option<&wire::ProcessDetails>) -> String {
    let now = process.cpu_percent.map_or_else(
        || "–".into(),
        |percent| format_value(percent.into(), Unit::Percent),
    );
    match known.and_then(|details| details.processor_ms) {
        None => now,
        Some(ms) => format!("{now}, {} in all", words::duration(ms)),
    }
}

fn memory(process: &Process, known: Option<&wire::ProcessDetails>) -> String {
    let bytes = |value: u64| format_value(value as f64, Unit::Bytes);
    let mut parts = vec![bytes(process.memory_bytes)];
    if let Some(peak) = known.and_then(|details| details.memory_peak_bytes) {
        parts.push(format!("at most {}", bytes(peak)));
    }
    if let Some(swap) = known.and_then(|details| details.swap_bytes) {
        parts.push(format!("{} in swap", bytes(swap)));
    }
    parts.join(", ")
}

fn storage(rate: Option<u64>, total: Option<u64>) -> String {
    let total = total.map(|total| format!("{} in all", format_value(total as f64, Unit::Bytes)));
    let rate = rate.map(|rate| format_rate(rate as f64, Unit::BytesPerSecond));
    match (rate, total) {
        (None, None) => NOT_SEEN.into(),
        (Some(one), None) | (None, Some(one)) => one,
        (Some(rate), Some(total)) => format!("{rate}, {total}"),
    }
}

/// A text in lines of so many cells, broken between words where there are any.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let width = width.max(8);
    let mut lines = vec![String::new()];
    let mut taken = 0;
    for word in text.split_inclusive(' ') {
        let cells = display_width(word.trim_end());
        if taken > 0 && taken + cells > width {
            lines.push(String::new());
            taken = 0;
        }
        for character in word.chars() {
            let mut buffer = [0; 4];
            let cells = display_width(character.encode_utf8(&mut buffer));
            if taken + cells > width {
                if character == ' ' {
                    continue;
                }
                lines.push(String::new());
                taken = 0;
            }
            if let Some(line) = lines.last_mut() {
                line.push(character);
            }
            taken += cells;
        }
        if lines.len() > COMMAND_LINES_MAX {
            lines.truncate(COMMAND_LINES_MAX);
            lines.push("…".into());
            break;
        }
    }
    lines
}

/// Draws the list of signals.
pub(super) fn signals(pen: &mut Pen<'_>, screen: Rect, state: &State, at: u16) {
    let Some(inspected) = &state.inspection.process else {
        return;
    };
    let lines: Vec<Line> = SIGNALS
        .iter()
        .map(|choice| Line::new(choice.name, choice.help))
        .collect();
    let title = format!(
        " Signal for {} {} ",
        clip(&inspected.process.name, 24),
        inspected.process.key.pid
    );
    selectable(pen, screen, &title, &lines, at, "", " Enter chooses, Esc leaves ");
}

/// Asks whether the signal is to be sent, and to whom.
pub(super) fn confirm(pen: &mut Pen<'_>, screen: Rect, state: &State) {
    let Some(inspected) = &state.inspection.process else {
        return;
    };
    let choice = &SIGNALS[state.inspection.signal.min(SIGNALS.len() - 1)];
    let process = &inspected.process;
    let machine = state.machine.find(&inspected.machine);
    let width = usize::from(place(screen, 0).width.saturating_sub(LABEL + 4));
    let mut rows = Vec::new();
    if inspected.has_ended {
        rows.push(Row {
            tone: Tone::Warning,
            ..row("", "it has ended meanwhile: nothing is sent")
        });
    }
    rows.push(row("signal", format!("{}: {}", choice.name, choice.help)));
    let command = if process.command.is_empty() {
        &process.name
    } else {
        &process.command
    };
    rows.push(row("process", clip(command, width).into_owned()));
    rows.push(row("pid", process.key.pid.to_string()));
    rows.push(row("user", &*process.user));
    rows.push(row("started", started(process, machine, state)));
    rows.push(row("machine", &*inspected.machine));
    let area = place(screen, rows.len());
    let title = format!(" Send {} to {}? ", choice.name, clip(&process.name, 24));
    let hint = if inspected.has_ended {
        " Esc closes "
    } else {
        " y sends it, Esc does not "
    };
    let room = boxed(pen, area, &title, hint);
    let label = pen.theme.quiet();
    for (y, row) in (room.y..room.bottom()).zip(&rows) {
        pen.text(room.x + 1, y, LABEL - 1, row.label, label);
        let x = room.x + 1 + LABEL;
        let style = tone(pen, row.tone);
        pen.text(x, y, room.right().saturating_sub(x), &row.text, style);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_line_is_broken_between_words_and_within_them_where_it_must() {
        assert_eq!(wrapped("java -jar shop.jar", 10), ["java -jar ", "shop.jar"]);
        assert_eq!(wrapped("abcdefghijkl m", 8), ["abcdefgh", "ijkl m"]);
        assert_eq!(wrapped("", 10), [""]);
        assert_eq!(wrapped(&"データ".repeat(4), 8).len(), 3);
        let long = wrapped(&"x ".repeat(100_000), 10);
        assert_eq!(long.len(), COMMAND_LINES_MAX + 1);
    }
}
