//! The table of all machines. Only rows on screen are looked at.

use ratatui::layout::Rect;
use sysmon_api::Machine;
use sysmon_core::{Liveness, display_width};

use super::pen::Pen;
use super::{lines_in_the_middle, note};
use crate::layout::{ColumnRegion, TableRegions};
use crate::state::fleet::columns::metric_heading;
use crate::state::fleet::{FleetColumn, Row, fleet_size};
use crate::state::{Link, State};
use crate::words;

mod cells;
pub(super) mod columns;
mod groups;
pub(super) mod heat;
pub(super) mod prompt;

/// Draws headings and rows.
pub(super) fn fleet(pen: &mut Pen<'_>, table: &TableRegions<FleetColumn>, state: &State) {
    headings(pen, table, state);
    place(pen, table, state);
    let fleet = &state.fleet_table;
    if fleet.len() == 0 {
        empty(pen, table.rows, state);
        return;
    }
    let is_grouped = fleet.grouping.label().is_some();
    let visible = fleet.offset..fleet.len().min(fleet.offset + usize::from(table.rows.height));
    if visible.clone().all(|index| fleet.row(index).is_none()) {
        note(pen, table.rows, pen.pick("loading rows…", "loading rows..."));
        return;
    }
    for (y, index) in (table.rows.y..table.rows.bottom()).zip(fleet.offset..fleet.len()) {
        match fleet.row(index) {
            Some(Row::Machine(number)) => {
                if let Some(machine) = state.fleet.machine(number) {
                    row(pen, table, y, machine, state, is_grouped);
                }
            }
            Some(Row::Group(group)) => {
                if let Some(group) = fleet.grouping.groups().get(group) {
                    pen.set_stale(!state.is_live());
                    groups::heading(pen, table, y, group, state);
                }
            }
            None => {
                pen.set_stale(false);
                let faint = pen.theme.faint();
                let dots = pen.pick("…", "...");
                pen.text(
                    table.rows.x + 3,
                    y,
                    table.rows.width.saturating_sub(4),
                    dots,
                    faint,
                );
            }
        }
        if fleet.cursor() == Some(index) {
            let line = Rect {
                y,
                height: 1,
                ..table.rows
            };
            let selected = pen.theme.selected();
            pen.overlay(line, selected);
        }
    }
    pen.set_stale(false);
}

fn headings(pen: &mut Pen<'_>, table: &TableRegions<FleetColumn>, state: &State) {
    let arrow = if state.fleet_table.inverted {
        pen.pick("▴", "^")
    } else {
        pen.pick("▾", "v")
    };
    for region in &table.columns {
        let is_sort = state.fleet_table.sort == region.column;
        let style = if is_sort {
            pen.theme.accent()
        } else {
            pen.theme.faint()
        };
        let name = heading(pen, region, state);
        let text = match (is_sort, region.column) {
            (true, FleetColumn::Worst) => arrow.to_owned(),
            (true, _) => format!("{name}{arrow}"),
            (false, _) => name,
        };
        let has_spark = region.width > region.column.width() && region.column.has_spark();
        let y = table.heading.y;
        if has_spark {
            // Over number and line together.
            let x = region.x + 1;
            pen.text(x, y, region.width.saturating_sub(1), &text, style);
        } else if region.column.is_number() {
            // A long heading may reach into the gap before it, and an arrow into the one behind.
            let width = region.width + u16::from(is_sort);
            let needed = u16::try_from(display_width(&text)).unwrap_or(u16::MAX);
            let x = if needed > width {
                region.x.saturating_sub(1)
            } else {
                region.x
            };
            let width = if needed > width { width + 1 } else { width };
            pen.right(x, y, width, &text, style);
        } else {
            pen.text(region.x, y, region.width, &text, style);
        }
    }
}

/// How far down the screen is, where the headings leave room for it.
fn place(pen: &mut Pen<'_>, table: &TableRegions<FleetColumn>, state: &State) {
    let fleet = &state.fleet_table;
    let Some(last) = table.columns.last() else {
        return;
    };
    // Before the rows have come nothing is selected, and the screen is where it is.
    let cursor = fleet.cursor().unwrap_or(fleet.offset);
    let (row, all) = (cursor + 1, fleet.len());
    let full = format!("{}/{}", words::count(row as u64), words::count(all as u64));
    let short = format!("{row}/{all}");
    let heading = if last.column == FleetColumn::Status {
        7
    } else {
        last.width
    };
    let free = table.heading.right().saturating_sub(last.x + heading + 2);
    if fleet.len() <= usize::from(table.rows.height) {
        return;
    }
    let fits = |text: &String| display_width(text) <= usize::from(free) + 1;
    if let Some(text) = [full, short].into_iter().find(fits) {
        let faint = pen.theme.faint();
        pen.right(last.x + heading, table.heading.y, free + 1, &text, faint);
    }
}

/// What a column is called above its cells.
fn heading(pen: &Pen<'_>, region: &ColumnRegion<FleetColumn>, state: &State) -> String {
    match region.column {
        FleetColumn::Worst => String::new(),
        FleetColumn::Name => "MACHINE".into(),
        FleetColumn::Age => "AGE".into(),
        FleetColumn::Alerts => pen.pick("▲■", "^#").into(),
        FleetColumn::Status => "STATUS".into(),
        FleetColumn::Fact(fact) => fact.row().1.into(),
        FleetColumn::Label(number) => state.fleet_table.columns.label(number).to_uppercase(),
        FleetColumn::MEMORY if region.width > FleetColumn::MEMORY.width() => "MEMORY".into(),
        FleetColumn::Metric(metric) => {
            let (unicode, ascii) = metric_heading(metric);
            if pen.pick("u", "a") == "u" { unicode } else { ascii }
        }
    }
}

/// What a column is called in a list of columns.
fn title(column: FleetColumn, state: &State) -> String {
    match column {
        FleetColumn::Worst => "STATE".into(),
        FleetColumn::Alerts => "ALERTS".into(),
        FleetColumn::Label(number) => format!("label {}", state.fleet_table.columns.label(number)),
        FleetColumn::Fact(fact) => fact.row().1.into(),
        FleetColumn::Name => "MACHINE".into(),
        FleetColumn::Age => "AGE".into(),
        FleetColumn::Status => "STATUS".into(),
        FleetColumn::Metric(metric) => metric_heading(metric).1,
    }
}

fn row(
    pen: &mut Pen<'_>,
    table: &TableRegions<FleetColumn>,
    y: u16,
    machine: &Machine,
    state: &State,
    is_grouped: bool,
) {
    let is_stale = !state.is_live() || machine.liveness != Liveness::Live;
    pen.set_stale(is_stale);
    let is_marked = state.fleet_table.marks.contains(&machine.id);
    for region in &table.columns {
        match region.column {
            FleetColumn::Worst => {
                // The mark keeps its colour on a stale row: it says how bad it is.
                pen.set_stale(!state.is_live());
                let mark = pen.theme.glyphs.mark(machine.liveness, machine.health);
                let style = pen.theme.mark(machine.liveness, machine.health);
                pen.text(region.x, y, region.width, mark, style);
                if is_marked {
                    let accent = pen.theme.accent();
                    let chosen = pen.pick("┃", ">");
                    pen.text(region.x.saturating_sub(1), y, 1, chosen, accent);
                }
                pen.set_stale(is_stale);
            }
            FleetColumn::Name => {
                let style = if is_marked {
                    pen.theme.accent()
                } else {
                    pen.theme.text()
                };
                let indent = u16::from(is_grouped && region.width > 10);
                let width = region.width - indent;
                let name = cells::shortened(&machine.id, width.into(), pen.pick("…", ".."));
                pen.text(region.x + indent, y, width, &name, style);
            }
            _ => cells::cell(pen, *region, y, machine, state),
        }
    }
}

/// What is in force beside the filter, at the left of the line at the bottom; returns the column behind it.
pub(super) fn footing(pen: &mut Pen<'_>, row: Rect, state: &State) -> u16 {
    let table = &state.fleet_table;
    let (accent, word) = (pen.theme.accent(), pen.theme.quiet());
    let mut x = row.x;
    if !table.marks.is_empty() || table.marks.is_asking {
        let count = words::count(table.marks.len() as u64);
        let pieces = [
            (count.as_str(), accent),
            (" marked  ", word),
            ("Esc ", accent),
            ("none   ", word),
        ];
        x = pen.pieces(x, row.y, row.width, &pieces);
    }
    if let Some(label) = table.grouping.label() {
        let pieces = [("by ", word), (label.as_ref(), pen.theme.text()), ("   ", word)];
        x = pen.pieces(x, row.y, row.right().saturating_sub(x), &pieces);
    }
    // A column that is not on screen, or a map without headings.
    let is_hidden = table.is_heat_map || !table.columns.on(state.width).contains(&table.sort);
    if is_hidden {
        let order = match table.sort {
            FleetColumn::Worst => "worst".to_owned(),
            sort => title(sort, state).to_lowercase(),
        };
        let pieces = [("sort ", word), (order.as_str(), pen.theme.text()), ("   ", word)];
        x = pen.pieces(x, row.y, row.right().saturating_sub(x), &pieces);
    }
    x
}

fn empty(pen: &mut Pen<'_>, area: Rect, state: &State) {
    let total = fleet_size(&state.fleet);
    if !state.fleet_table.filter.is_empty() && total > 0 {
        let machines = if total == 1 { "machine" } else { "machines" };
        let first = format!("none of {} {machines} matches the filter", words::count(total));
        let hint = if state.prompt.is_some() {
            "Esc takes it back"
        } else {
            "Esc shows all"
        };
        lines_in_the_middle(pen, area, &[&first, "", hint]);
    } else if state.link == Link::Connecting {
        note(pen, area, pen.pick("connecting…", "connecting..."));
    } else if state.link == Link::Live && !state.fleet.is_complete() {
        note(
            pen,
            area,
            pen.pick("loading the machines…", "loading the machines..."),
        );
    } else if state.is_live() {
        first_machine(pen, area, state);
    } else {
        note(pen, area, "no connection: nothing is known yet");
    }
}

/// How to have the first machine report: every command whole, to be typed as it stands.
fn first_machine(pen: &mut Pen<'_>, area: Rect, state: &State) {
    let nothing = "no machine has reported yet";
    let collector = start_command(&state.source_name);
    let with_token = format!("{collector} --token-file FILE");
    let lines = [
        nothing,
        "",
        "make a token for each machine, beside the aggregator:",
        "sysmon tokens create --role agent --name NAME --machine-id NAME",
        "",
        "start a collector on that machine, with the token in a file:",
        &with_token,
    ];
    let width = usize::from(area.width);
    let is_wide = lines.iter().all(|line| display_width(line) <= width);
    if is_wide && usize::from(area.height) >= lines.len() {
        lines_in_the_middle(pen, area, &lines);
        return;
    }
    // On a small screen the commands are what counts, over several lines of a shell.
    let (head, address) = collector.rsplit_once(' ').unwrap_or((&collector, ""));
    let commands = [
        "sysmon tokens create --role agent \\".to_owned(),
        "  --name NAME --machine-id NAME".to_owned(),
        format!("{head} \\"),
        format!("  {address} \\"),
        "  --token-file FILE".to_owned(),
    ];
    // All as wide as the widest, so that they stand below each other.
    let widest = commands.iter().map(|line| display_width(line)).max().unwrap_or(0);
    let commands = commands.map(|line| format!("{line:<widest$}"));
    let has_room = usize::from(area.height) > commands.len();
    let shown = commands.iter().skip(if has_room { 0 } else { 2 });
    let lines: Vec<&str> = std::iter::once(nothing)
        .chain(shown.map(String::as_str))
        .collect();
    lines_in_the_middle(pen, area, &lines);
}

/// The command that starts a collector for this aggregator.
fn start_command(source: &str) -> String {
    if source.contains("://") {
        return format!("sysmon collector --aggregator {source}");
    }
    let has_port = source
        .rsplit_once(':')
        .is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    if has_port && !source.contains(' ') {
        return format!("sysmon collector --aggregator http://{source}");
    }
    "sysmon collector --aggregator http://HOST:50051".into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_names_the_aggregator_where_that_is_known() {
        let of = |source| start_command(source).replace("sysmon collector --aggregator ", "");
        assert_eq!(of("prod.example:50051"), "http://prod.example:50051");
        assert_eq!(of("https://prod:443"), "https://prod:443");
        assert_eq!(of("this machine"), "http://HOST:50051");
    }
}
