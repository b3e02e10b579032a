//! The view of rules.

use ratatui::layout::Rect;

use super::alerts::told;
use super::lines_in_the_middle;
use super::pen::Pen;
use crate::layout::TableRegions;
use crate::state::State;
use crate::state::alerts::board::StoredRule;
use crate::state::alerts::list::RuleColumn;
use crate::words;
use sysmon_core::format_age;

/// Draws headings and rows.
pub(super) fn rules(pen: &mut Pen<'_>, table: &TableRegions<RuleColumn>, state: &State) {
    let area = Rect {
        y: table.heading.y,
        height: table.rows.bottom().saturating_sub(table.heading.y),
        ..table.heading
    };
    if !told(pen, area, state) {
        return;
    }
    pen.set_stale(!state.is_live());
    headings(pen, table, state);
    let list = &state.alerts.rules;
    if list.rows().is_empty() {
        let lines = if list.filter_text().is_empty() {
            [
                "there is no rule yet: n makes one",
                "",
                "e on a metric of a machine does too",
            ]
        } else {
            ["no rule matches the filter: Esc shows all", "", ""]
        };
        lines_in_the_middle(pen, table.rows, &lines);
    }
    let cursor = list.cursor();
    let visible = list.rows().iter().enumerate().skip(list.offset);
    for (y, (index, id)) in (table.rows.y..table.rows.bottom()).zip(visible) {
        if let Some(stored) = state.alerts.board.rule(id) {
            row(pen, table, y, stored, state);
        }
        if cursor == Some(index) {
            let selected = pen.theme.selected();
            let line = Rect {
                y,
                height: 1,
                ..table.rows
            };
            pen.overlay(line, selected);
        }
    }
    pen.set_stale(false);
}

fn headings(pen: &mut Pen<'_>, table: &TableRegions<RuleColumn>, state: &State) {
    let list = &state.alerts.rules;
    let arrow = if list.inverted {
        pen.pick("▴", "^")
    } else {
        pen.pick("▾", "v")
    };
    for region in &table.columns {
        let name = match region.column {
            RuleColumn::Enabled => "",
            RuleColumn::Title => "RULE",
            RuleColumn::Watches => "WATCHES",
            RuleColumn::Scope => "ON",
            RuleColumn::Firing => "FIRING",
            RuleColumn::Changed => "CHANGED",
        };
        let is_sort = list.sort == region.column;
        let style = if is_sort {
            pen.theme.accent()
        } else {
            pen.theme.faint()
        };
        let text = format!("{name}{}", if is_sort { arrow } else { "" });
        pen.text(region.x, table.heading.y, region.width + 1, &text, style);
    }
}

fn row(pen: &mut Pen<'_>, table: &TableRegions<RuleColumn>, y: u16, stored: &StoredRule, state: &State) {
    let rule = &stored.rule;
    let board = &state.alerts.board;
    let (quiet, faint) = (pen.theme.quiet(), pen.theme.faint());
    let plain = if rule.enabled { pen.theme.text() } else { faint };
    for region in &table.columns {
        let (x, width) = (region.x, region.width);
        match region.column {
            RuleColumn::Enabled => {
                let mark = if rule.enabled {
                    pen.pick("●", "*")
                } else {
                    pen.pick("○", "-")
                };
                let style = if rule.enabled { pen.theme.ok() } else { faint };
                pen.text(x, y, width, mark, style);
            }
            RuleColumn::Title => {
                pen.text(x, y, width, board.title(&rule.id), plain);
            }
            RuleColumn::Watches => {
                let words = words::alerts::watches(rule);
                let style = if rule.enabled { quiet } else { faint };
                pen.text(x, y, width, &words, style);
            }
            RuleColumn::Scope => {
                pen.text(x, y, width, &words::alerts::scope(rule), quiet);
            }
            RuleColumn::Firing => {
                let count = board.firing_of(&rule.id);
                let style = if count > 0 { pen.theme.warning() } else { faint };
                let text = if count > 0 {
                    count.to_string()
                } else {
                    pen.pick("–", "-").to_owned()
                };
                pen.right(x, y, width, &text, style);
            }
            RuleColumn::Changed => {
                // Rules are told as they are now, in the past too.
                let age = format_age(state.live_now().since_ms(stored.changed_at));
                let text = format!("v{} {} {age} ago", stored.version, stored.changed_by);
                pen.text(x, y, width, &text, quiet);
            }
        }
    }
}
