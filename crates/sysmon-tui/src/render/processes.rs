//! The table of processes.

use ratatui::layout::Rect;
use sysmon_api::Machine;
use sysmon_core::{Process, ProcessState, Unit, display_width, format_value};

use super::note;
use super::pen::Pen;
use crate::layout::TableRegions;
use crate::state::State;
use crate::state::processes::{Branch, ProcessColumn};

/// Draws headings and rows.
pub(super) fn processes(
    pen: &mut Pen<'_>,
    table: &TableRegions<ProcessColumn>,
    machine: &Machine,
    state: &State,
) {
    headings(pen, table, machine, state);
    let rows = state.process_table.rows();
    if rows.is_empty() {
        let text = if !state.process_table.filter_text().is_empty() {
            "no process matches the filter: Esc shows all"
        } else if state.is_in_past() {
            return note(pen, table.rows, &absence(state));
        } else if machine.processes.totals().processes == 0 {
            "no processes yet"
        } else {
            ""
        };
        note(pen, table.rows, text);
        return;
    }
    let cursor = state.process_table.cursor();
    let visible = rows.iter().enumerate().skip(state.process_table.offset);
    for (y, (index, key)) in (table.rows.y..table.rows.bottom()).zip(visible) {
        let Some(process) = machine.processes.get(*key) else {
            continue;
        };
        row(pen, table, y, process, state.process_table.branch(index));
        if cursor == Some(index) {
            let selected = pen.theme.selected();
            pen.overlay(
                Rect {
                    x: table.rows.x,
                    y,
                    width: table.rows.width,
                    height: 1,
                },
                selected,
            );
        }
    }
}

/// Why there are no processes of the moment on screen.
fn absence(state: &State) -> String {
    match (state.gap_at_moment(), &state.travel.trip) {
        (_, Some(trip)) if trip.is_loading() => String::new(),
        (Some(gap), _) => super::travel::no_data(state, &gap),
        (None, _) => "no process list was kept for this moment".to_owned(),
    }
}

fn headings(pen: &mut Pen<'_>, table: &TableRegions<ProcessColumn>, machine: &Machine, state: &State) {
    let arrow = if state.process_table.inverted {
        pen.pick("▴", "^")
    } else {
        pen.pick("▾", "v")
    };
    for region in &table.columns {
        let name = match region.column {
            ProcessColumn::Pid => "PID",
            ProcessColumn::User => "USER",
            ProcessColumn::Cpu => "CPU%",
            ProcessColumn::Memory => "MEM",
            ProcessColumn::State => "S",
            ProcessColumn::Threads => "THR",
            ProcessColumn::Read => "READ",
            ProcessColumn::Write => "WRITE",
            ProcessColumn::Command => "COMMAND",
        };
        let is_sort = state.process_table.sort == region.column;
        let style = if is_sort {
            pen.theme.accent()
        } else {
            pen.theme.faint()
        };
        let text = if is_sort {
            format!("{name}{arrow}")
        } else {
            name.into()
        };
        match region.column {
            ProcessColumn::User | ProcessColumn::Command => {
                pen.text(region.x, table.heading.y, region.width, &text, style);
            }
            ProcessColumn::State => {
                pen.text(region.x, table.heading.y, region.width + 1, &text, style);
            }
            _ => pen.right(
                region.x,
                table.heading.y,
                region.width + 1,
                &format!("{text}{}", if is_sort { "" } else { " " }),
                style,
            ),
        }
    }
    totals(pen, table, machine, state);
}

/// Counts over all processes at the right of the headings, as many of them as there is room for.
fn totals(pen: &mut Pen<'_>, table: &TableRegions<ProcessColumn>, machine: &Machine, state: &State) {
    let totals = machine.processes.totals();
    let Some(command) = table.columns.last().filter(|_| totals.processes > 0) else {
        return;
    };
    let listed = machine.processes.iter().len();
    let all = format!("{} processes", totals.processes);
    let mut parts = Vec::new();
    if let Some(followed) = state.process_table.followed() {
        parts.push(format!("following {}", followed.key.pid));
    }
    parts.push(if !state.process_table.filter_text().is_empty() {
        format!("{} of {all}", state.process_table.rows().len())
    } else if !machine.processes.is_complete() && listed < totals.processes as usize {
        format!("busiest {listed} of {all}")
    } else {
        all
    });
    if state.process_table.is_tree() {
        parts.push("tree".to_owned());
    }
    if totals.zombies > 0 {
        parts.push(format!(
            "{} {}",
            totals.zombies,
            if totals.zombies == 1 { "zombie" } else { "zombies" }
        ));
    }
    parts.push(format!("{} threads", totals.threads));
    let room = usize::from(command.width).saturating_sub("COMMAND  ".len());
    while let Some(last) = parts.len().checked_sub(1) {
        let text = parts.join(pen.pick(" · ", ", "));
        if display_width(&text) <= room {
            let style = pen.theme.faint();
            pen.right(command.x, table.heading.y, command.width, &text, style);
            return;
        }
        parts.truncate(last);
    }
}

fn row(
    pen: &mut Pen<'_>,
    table: &TableRegions<ProcessColumn>,
    y: u16,
    process: &Process,
    branch: Option<&Branch>,
) {
    let (text, quiet, faint) = (pen.theme.text(), pen.theme.quiet(), pen.theme.faint());
    let none = pen.pick("–", "-");
    for region in &table.columns {
        let (x, width) = (region.x, region.width);
        let rate = |value: Option<u64>| match value {
            None => (none.to_owned(), faint),
            Some(0) => ("0".into(), faint),
            Some(value) => (format_value(value as f64, Unit::BytesPerSecond), text),
        };
        match region.column {
            ProcessColumn::Pid => pen.right(x, y, width, &process.key.pid.to_string(), quiet),
            ProcessColumn::User => {
                pen.text(x, y, width, &process.user, quiet);
            }
            ProcessColumn::Cpu => {
                let (shown, style) = match process.cpu_percent {
                    None => (none.to_owned(), faint),
                    Some(percent) if percent < 0.05 => ("0".into(), faint),
                    Some(percent) if percent < 9.95 => (format!("{percent:.1}"), text),
                    Some(percent) => (format!("{percent:.0}"), text),
                };
                pen.right(x, y, width, &shown, style);
            }
            ProcessColumn::Memory => {
                let style = if process.memory_bytes == 0 { faint } else { text };
                pen.right(
                    x,
                    y,
                    width,
                    &format_value(process.memory_bytes as f64, Unit::Bytes),
                    style,
                );
            }
            ProcessColumn::State => {
                let style = match process.state {
                    ProcessState::Zombie | ProcessState::Blocked => pen.theme.warning(),
                    ProcessState::Running => text,
                    _ => faint,
                };
                pen.text(
                    x,
                    y,
                    width,
                    process.state.letter().encode_utf8(&mut [0; 4]),
                    style,
                );
            }
            ProcessColumn::Threads => pen.right(x, y, width, &process.threads.to_string(), quiet),
            ProcessColumn::Read | ProcessColumn::Write => {
                let value = if region.column == ProcessColumn::Read {
                    process.read_bytes_per_second
                } else {
                    process.write_bytes_per_second
                };
                let (shown, style) = rate(value);
                pen.right(x, y, width, &shown, style);
            }
            ProcessColumn::Command => command(pen, (x, y, width), process, branch),
        }
    }
}

/// The lines from the ancestors of a process to it; returns their width, of which the command line keeps its share.
fn lines(pen: &mut Pen<'_>, x: u16, y: u16, width: u16, branch: &Branch) -> u16 {
    const STEP: usize = 3;
    let room = usize::from(width / 2) / STEP;
    let skipped = branch.goes_on.len().saturating_sub(room);
    let Some((own, above)) = branch.goes_on[skipped..].split_last() else {
        return 0;
    };
    let mut text = String::new();
    for goes_on in above {
        text.push_str(if *goes_on { pen.pick("│  ", "|  ") } else { "   " });
    }
    text.push_str(if *own {
        pen.pick("├─ ", "|- ")
    } else {
        pen.pick("└─ ", "`- ")
    });
    let rule = pen.theme.rule();
    let taken = u16::try_from(STEP * (above.len() + 1))
        .unwrap_or(width)
        .min(width);
    pen.text(x, y, taken, &text, rule);
    taken
}

/// The command line, its program in plain sight and the path before it and the arguments after it quieter.
fn command(pen: &mut Pen<'_>, (x, y, width): (u16, u16, u16), process: &Process, branch: Option<&Branch>) {
    let taken = branch.map_or(0, |branch| lines(pen, x, y, width, branch));
    let (x, width) = (x + taken, width - taken);
    let (text, quiet, faint) = (pen.theme.text(), pen.theme.quiet(), pen.theme.faint());
    if process.command.is_empty() {
        let name = format!("[{}]", process.name.trim_matches(['[', ']']));
        pen.text(x, y, width, &name, faint);
        return;
    }
    let (program, arguments) = process.command.split_once(' ').unwrap_or((&process.command, ""));
    let start = if program.starts_with('/') {
        program.rfind('/').map_or(0, |index| index + 1)
    } else {
        0
    };
    let space = if arguments.is_empty() { "" } else { " " };
    pen.pieces(
        x,
        y,
        width,
        &[(&program[start..], text), (space, quiet), (arguments, quiet)],
    );
}
