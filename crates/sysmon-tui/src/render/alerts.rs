//! The view of alerts: counts, table, and what is known of the selected one.

use ratatui::layout::Rect;
use ratatui::style::Style;
use sysmon_core::alert::{Alert, Severity, Transition};
use sysmon_core::display_width;

use super::lines_in_the_middle;
use super::pen::Pen;
use crate::layout::{AlertsRegions, ColumnRegion};
use crate::state::State;
use crate::state::alerts::Watching;
use crate::state::alerts::board::{Counts, Standing};
use crate::state::alerts::list::{AlertColumn, AlertRow, Grouping};
use crate::words;

mod details;
pub(super) mod lists;

/// Draws the view.
pub(super) fn alerts(pen: &mut Pen<'_>, regions: &AlertsRegions, state: &State) {
    if !is_told(pen, regions, state) {
        return;
    }
    pen.set_stale(!state.is_live());
    counts(pen, regions.counts, state);
    headings(pen, regions, state);
    let list = &state.alerts.list;
    if list.rows().is_empty() {
        nothing(pen, regions, state);
    }
    let cursor = list.cursor(&state.alerts.log);
    let rows = regions.table.rows;
    let visible = list.rows().iter().enumerate().skip(list.offset);
    for (y, (index, row)) in (rows.y..rows.bottom()).zip(visible) {
        match row {
            AlertRow::History => {
                let title = pen.theme.title();
                pen.text(
                    rows.x + 1,
                    y,
                    rows.width.saturating_sub(1),
                    &history(state),
                    title,
                );
            }
            AlertRow::Group(name, counts) => group(pen, Rect { y, height: 1, ..rows }, name, counts),
            AlertRow::Alert(key) => {
                if let Some(alert) = state.alerts.board.alert(key) {
                    alert_row(pen, regions, y, alert, state);
                }
            }
            AlertRow::Step(index) => {
                if let Some((_, step)) = state.alerts.log.steps.get(*index) {
                    step_row(pen, regions, y, step, state);
                }
            }
        }
        if cursor == Some(index) {
            let selected = pen.theme.selected();
            pen.overlay(Rect { y, height: 1, ..rows }, selected);
        }
    }
    details::details(pen, regions.details, state);
    pen.set_stale(false);
}

/// Says why nothing is known, when nothing is.
fn is_told(pen: &mut Pen<'_>, regions: &AlertsRegions, state: &State) -> bool {
    let area = Rect {
        y: regions.counts.y,
        height: regions.details.bottom().saturating_sub(regions.counts.y),
        ..regions.counts
    };
    told(pen, area, state)
}

/// The same for any view that is drawn from the board.
pub(super) fn told(pen: &mut Pen<'_>, area: Rect, state: &State) -> bool {
    let lines: Vec<&str> = match &state.alerts.watching {
        Watching::Ready => return true,
        Watching::Unknown if state.is_live() => vec!["loading…"],
        Watching::Unknown => vec!["no connection: nothing is known yet"],
        Watching::Loading => vec!["loading the rules and what is wrong…"],
        Watching::NotKept => vec![
            "this aggregator keeps no rules and no alerts",
            "",
            "give it a database, and start the alert service beside it:",
            "sysmon aggregator --database URL",
            "sysmon alerts --database URL",
        ],
        Watching::Refused(reason) => vec!["the aggregator does not tell of alerts:", reason],
    };
    lines_in_the_middle(pen, area, &lines);
    false
}

/// Nothing fires, or the filter hides what does.
fn nothing(pen: &mut Pen<'_>, regions: &AlertsRegions, state: &State) {
    if !state.alerts.list.filter_text().is_empty() {
        lines_in_the_middle(
            pen,
            regions.table.rows,
            &["no alert matches the filter: Esc shows all"],
        );
        return;
    }
    let rules = state
        .alerts
        .board
        .rules()
        .filter(|stored| stored.rule.enabled)
        .count();
    let machines = state.fleet.machines().len();
    let plural = |count: usize, one: &str, many: &str| {
        let word = if count == 1 { one } else { many };
        format!("{count} {word}")
    };
    let verb = if rules == 1 { "watches" } else { "watch" };
    let text = format!(
        "{} {verb} {}.",
        plural(rules, "rule", "rules"),
        plural(machines, "machine", "machines")
    );
    match words::alerts::service(state) {
        _ if state.is_in_past() => {
            let text = super::travel::nothing_wrong(state);
            lines_in_the_middle(pen, regions.table.rows, &[&text, "", "H shows what has happened"]);
        }
        _ if !state.is_live() => {
            let text = "Nothing was wrong when the connection broke.";
            lines_in_the_middle(pen, regions.table.rows, &[text]);
        }
        None if rules > 0 => {
            lines_in_the_middle(pen, regions.table.rows, &["Nothing is wrong.", "", &text]);
        }
        None => lines_in_the_middle(
            pen,
            regions.table.rows,
            &[
                "Nothing is watched: there is no rule that is on.",
                "",
                "3 shows the rules",
            ],
        ),
        // Nobody may say that nothing is wrong when nobody looks.
        Some(silent) => {
            let advice = "start `sysmon alerts` with the aggregator's database, or look at its log";
            let silent = format!("{silent}: nobody judges the rules");
            lines_in_the_middle(pen, regions.table.rows, &[&silent, "", advice]);
        }
    }
}

/// What the alerts below have in common, how many they are, and how they stand.
fn group(pen: &mut Pen<'_>, line: Rect, name: &str, counts: &Counts) {
    let (title, quiet) = (pen.theme.title(), pen.theme.quiet());
    let noun = if counts.all() == 1 { "alert" } else { "alerts" };
    let mut pieces = vec![
        (name.to_owned(), title),
        (format!("  {} {noun} ", counts.all()), quiet),
    ];
    let kinds = [
        (counts.critical, Standing::Firing, Severity::Critical),
        (counts.warning, Standing::Firing, Severity::Warning),
        (counts.info, Standing::Firing, Severity::Info),
        (counts.pending, Standing::Pending, Severity::Info),
        (counts.acknowledged, Standing::Acknowledged, Severity::Info),
        (counts.muted(), Standing::Silenced, Severity::Info),
    ];
    for (count, standing, severity) in kinds.into_iter().filter(|(count, _, _)| *count > 0) {
        let mark = pen.theme.glyphs.alert_mark(standing, severity);
        let style = match standing {
            Standing::Firing => pen.theme.severity(severity),
            _ => quiet,
        };
        pieces.push((format!(" {mark}{count}"), style));
    }
    write(pen, line.x + 1, line.y, line.width.saturating_sub(1), &pieces);
}

/// The line above what was before.
fn history(state: &State) -> String {
    let log = &state.alerts.log;
    match &log.problem {
        Some(problem) => format!("history: {problem}"),
        None if log.is_loading => "history, loading…".into(),
        None if log.steps.is_empty() => "history: nothing has happened yet".into(),
        None if log.is_whole => "history".into(),
        None => "history, H for more".into(),
    }
}

/// Whether somebody judges the rules or, in the past, whether the steps of that moment are known.
fn is_known(state: &State) -> bool {
    match &state.travel.trip {
        Some(trip) => trip.log.covers(state.aggregator_now()),
        None => words::alerts::service(state).is_none(),
    }
}

fn counts(pen: &mut Pen<'_>, area: Rect, state: &State) {
    let board = &state.alerts.board;
    let counts = board.counts();
    let (title, quiet, warning) = (pen.theme.title(), pen.theme.quiet(), pen.theme.warning());
    let firing = match counts.worst() {
        Some(severity) => pen.theme.severity(severity),
        None => quiet,
    };
    // None known is not none.
    let is_known = is_known(state);
    let number = |count: usize| match count {
        0 if !is_known => pen.pick("–", "-").to_owned(),
        count => count.to_string(),
    };
    let grouped = match state.alerts.list.grouping {
        Grouping::None => "",
        Grouping::Machine => "by machine  ",
        Grouping::Rule => "by rule  ",
    };
    let failed = board.failed_deliveries();
    let wording = |acknowledged: &str, between: &str| {
        let mut pieces = vec![
            (format!("{grouped}FIRING "), title),
            (number(counts.firing()), firing),
            (format!("{between}pending {}", number(counts.pending)), quiet),
            (
                format!("{between}{acknowledged} {}", number(counts.acknowledged)),
                quiet,
            ),
            (format!("{between}silenced {}", number(counts.silenced)), quiet),
        ];
        if counts.inhibited > 0 {
            pieces.push((format!("{between}inhibited {}", counts.inhibited), quiet));
        }
        if failed > 0 {
            pieces.push((format!("{between}not delivered {failed}"), warning));
        }
        pieces
    };
    let room = area.width.saturating_sub(1);
    let width =
        |pieces: &[(String, Style)]| -> usize { pieces.iter().map(|(text, _)| display_width(text)).sum() };
    let mut pieces = wording("acknowledged", "   ");
    if width(&pieces) > room.into() {
        pieces = wording("acknowledged", "  ");
    }
    if width(&pieces) > room.into() {
        pieces = wording("ack", "  ");
    }
    // A number that is cut would be another one: what does not fit is left out whole.
    while width(&pieces) > room.into() && pieces.len() > 2 {
        pieces.pop();
    }
    write(pen, area.x + 1, area.y, room, &pieces);
}

/// Writes pieces that are made up on the spot.
pub(super) fn write(pen: &mut Pen<'_>, x: u16, y: u16, width: u16, pieces: &[(String, Style)]) -> u16 {
    let pieces: Vec<(&str, Style)> = pieces
        .iter()
        .map(|(text, style)| (text.as_str(), *style))
        .collect();
    pen.pieces(x, y, width, &pieces)
}

fn headings(pen: &mut Pen<'_>, regions: &AlertsRegions, state: &State) {
    let list = &state.alerts.list;
    let arrow = if list.inverted {
        pen.pick("▴", "^")
    } else {
        pen.pick("▾", "v")
    };
    for region in &regions.table.columns {
        let name = match region.column {
            AlertColumn::Worst => "",
            AlertColumn::Rule => "RULE",
            AlertColumn::Machine => "MACHINE",
            AlertColumn::Entity => "WHERE",
            AlertColumn::Value => "VALUE",
            AlertColumn::Since => "SINCE",
            AlertColumn::State => "STATE",
        };
        let is_sort = list.sort == region.column;
        let style = if is_sort {
            pen.theme.accent()
        } else {
            pen.theme.faint()
        };
        let arrow = if is_sort { arrow } else { "" };
        let text = format!("{name}{arrow}");
        let y = regions.table.heading.y;
        // One more cell, so that the arrow has room.
        if region.column == AlertColumn::Since {
            pen.right(region.x.saturating_sub(2), y, region.width + 2, &text, style);
        } else {
            pen.text(region.x, y, region.width + 1, &text, style);
        }
    }
}

fn alert_row(pen: &mut Pen<'_>, regions: &AlertsRegions, y: u16, alert: &Alert, state: &State) {
    let standing = Standing::of(alert);
    let (text, quiet) = (pen.theme.text(), pen.theme.quiet());
    let loud = match standing {
        Standing::Firing => pen.theme.severity(alert.severity),
        Standing::Pending => pen.theme.text(),
        Standing::Acknowledged | Standing::Silenced | Standing::Resolved => quiet,
    };
    let plain = if standing <= Standing::Pending {
        text
    } else {
        quiet
    };
    let board = &state.alerts.board;
    for region in &regions.table.columns {
        let ColumnRegion { column, x, width } = *region;
        match column {
            AlertColumn::Worst => {
                let mark = pen.theme.glyphs.alert_mark(standing, alert.severity);
                pen.text(x, y, width, mark, loud);
            }
            AlertColumn::Rule => {
                title(
                    pen,
                    *region,
                    y,
                    board.title(&alert.key.rule),
                    alert.severity,
                    loud,
                );
            }
            AlertColumn::Machine => {
                pen.text(x, y, width, alert.key.machine.as_str(), plain);
            }
            AlertColumn::Entity => {
                pen.text(x, y, width, &alert.key.entity, plain);
            }
            AlertColumn::Value => {
                let value = words::alerts::comparison(board, alert);
                let value = if value.is_empty() {
                    pen.pick("–", "-")
                } else {
                    &value
                };
                pen.text(x, y, width, value, loud);
            }
            AlertColumn::Since => {
                pen.right(x, y, width, &words::alerts::age(state, alert.since), quiet);
            }
            AlertColumn::State => {
                let [full, short] = words::alerts::standing(state, alert);
                let fits = display_width(&full) <= usize::from(width);
                let end = pen.text(x, y, width, if fits { &full } else { &short }, quiet);
                let more = words::alerts::remark(alert);
                let faint = pen.theme.faint();
                if width > 40 {
                    pen.text(end + 2, y, (x + width).saturating_sub(end + 2), &more, faint);
                }
            }
        }
    }
}

/// The rule's name and the severity behind it, which stays when there is little room.
fn title(
    pen: &mut Pen<'_>,
    region: ColumnRegion<AlertColumn>,
    y: u16,
    name: &str,
    severity: Severity,
    style: Style,
) {
    let word = severity.word();
    let needed = u16::try_from(word.len() + 1).unwrap_or(9);
    let room = region.width.saturating_sub(needed);
    if room < 8 {
        pen.text(region.x, y, region.width, name, style);
        return;
    }
    let end = pen.text(region.x, y, room, name, style);
    pen.text(end + 1, y, needed, word, style);
}

fn step_row(pen: &mut Pen<'_>, regions: &AlertsRegions, y: u16, step: &Transition, state: &State) {
    let (quiet, faint) = (pen.theme.quiet(), pen.theme.faint());
    let board = &state.alerts.board;
    let now = state.aggregator_now();
    for ColumnRegion { column, x, width } in regions.table.columns.iter().copied() {
        match column {
            AlertColumn::Worst => {
                let mark = pen.theme.glyphs.alert_mark(Standing::Resolved, step.severity);
                pen.text(x, y, width, mark, faint);
            }
            AlertColumn::Rule => {
                let region = ColumnRegion { column, x, width };
                title(pen, region, y, board.title(&step.key.rule), step.severity, quiet);
            }
            AlertColumn::Machine => {
                pen.text(x, y, width, step.key.machine.as_str(), quiet);
            }
            AlertColumn::Entity => {
                pen.text(x, y, width, &step.key.entity, quiet);
            }
            AlertColumn::Value => {
                let value = words::alerts::comparison_of_step(board, step);
                let value = if value.is_empty() {
                    pen.pick("–", "-")
                } else {
                    &value
                };
                pen.text(x, y, width, value, quiet);
            }
            AlertColumn::Since => pen.right(x, y, width, &words::alerts::age(state, step.at), quiet),
            AlertColumn::State => {
                let at = words::moment(state, step.at, now);
                pen.text(x, y, width, &format!("{} {at}", step.to.word()), quiet);
            }
        }
    }
}
