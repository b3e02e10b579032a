//! Places in the views of alerts and rules, and in the editor of a rule.

use ratatui::layout::Rect;

use super::{ColumnRegion, SCALE_WIDTH, TableRegions, split, table};
use crate::axis::{Axis, Range};
use crate::state::State;
use crate::state::alerts::list::{AlertColumn, RuleColumn};
use crate::state::alerts::widths::RuleWidths;

/// The view of alerts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AlertsRegions {
    /// How many there are of each kind.
    pub(crate) counts: Rect,
    pub(crate) table: TableRegions<AlertColumn>,
    /// What is known of the selected one; may be empty.
    pub(crate) details: Rect,
}

/// Rows below which there is no room for details.
const DETAILS_FROM_ROWS: u16 = 14;

pub(super) fn alerts_regions(area: Rect, is_empty: bool) -> AlertsRegions {
    let (counts, rest) = split(area, 1);
    let details = if is_empty || area.height < DETAILS_FROM_ROWS {
        0
    } else {
        (area.height / 3).min(9)
    };
    let (upper, details) = split(rest, rest.height - details);
    AlertsRegions {
        counts,
        table: table(upper, alert_columns(upper)),
        details,
    }
}

/// Columns of a table: those that fit, in order; one of them takes what is left.
fn columns<C: Copy + PartialEq>(
    area: Rect,
    wanted: &[(C, u16, u16)],
    widest: C,
    least: u16,
) -> Vec<ColumnRegion<C>> {
    let shown = || wanted.iter().filter(|(_, _, from)| area.width >= *from);
    let taken: u16 = shown()
        .filter(|(column, _, _)| *column != widest)
        .map(|(_, width, _)| width + 2)
        .sum();
    let rest = area.width.saturating_sub(taken + 2).max(least);
    let mut x = area.x + 1;
    let mut columns = Vec::new();
    for (column, width, _) in shown() {
        let width = if *column == widest { rest } else { *width };
        let width = width.min(area.right().saturating_sub(x));
        if width > 0 {
            columns.push(ColumnRegion {
                column: *column,
                x,
                width,
            });
        }
        x = x.saturating_add(width + if *column == wanted[0].0 { 1 } else { 2 });
    }
    columns
}

fn alert_columns(area: Rect) -> Vec<ColumnRegion<AlertColumn>> {
    use AlertColumn::{Entity, Machine, Rule, Since, State, Value, Worst};
    // Where there is room, what is known of an alert is worth more than a name in full.
    let is_roomy = area.width >= 100;
    let (machine, entity, value) = match area.width {
        122.. => (24, 18, 14),
        100.. => (16, 12, 11),
        _ => (13, 7, 11),
    };
    // Column, width, and the screen width from which on it is there.
    let wanted = [
        (Worst, 1, 0),
        (Rule, 32, 0),
        (Machine, machine, 36),
        (Entity, entity, 76),
        (Value, value, 52),
        (Since, 4, 30),
        (State, 15, 66),
    ];
    columns(area, &wanted, if is_roomy { State } else { Rule }, 8)
}

/// The table of rules, divided by what there is to read in it.
pub(super) fn rule_table(area: Rect, needed: RuleWidths) -> TableRegions<RuleColumn> {
    use RuleColumn::{Changed, Enabled, Firing, Scope, Title, Watches};
    let title = match area.width {
        0..60 => 18,
        60..110 => 22,
        _ => 32,
    };
    let title = needed.title.clamp(8, title);
    let changed = needed.changed.clamp(7, 30);
    let (has_scope, has_changed) = (area.width >= 96, area.width >= 120);
    // Mark, title and count, each with what is between two columns.
    let taken = 4 + title + 2 + 8 + if has_changed { changed + 2 } else { 0 };
    let left = area.width.saturating_sub(taken + 4);
    // What is watched comes first; what it leaves tells where, and a little of that is always told.
    let scope = needed
        .scope
        .min(left.saturating_sub(needed.watches).max(14))
        .max(2);
    let wanted = [
        (Enabled, 1, 0),
        (Title, title, 0),
        (Watches, 0, 44),
        (Scope, if has_scope { scope } else { 0 }, 96),
        (Firing, 6, 60),
        (Changed, changed, 120),
    ];
    table(area, columns(area, &wanted, Watches, 0))
}

/// The editor of a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct EditorRegions {
    pub(crate) title: Rect,
    pub(crate) chart: Rect,
    pub(crate) axis: Rect,
    /// What the rule would have done.
    pub(crate) report: Rect,
    pub(crate) fields: Rect,
    /// What is wrong.
    pub(crate) message: Rect,
}

/// Rows of the smallest chart that says anything.
const CHART_FROM_ROWS: u16 = 3;

/// Divides what lies between the two bars.
pub(crate) fn editor_regions(screen: Rect, line_count: usize) -> EditorRegions {
    let body = Rect {
        y: screen.y.saturating_add(1),
        height: screen.height.saturating_sub(2),
        ..screen
    };
    let lines = u16::try_from(line_count).unwrap_or(u16::MAX);
    let (title, rest) = split(body, 1);
    let (rest, message) = split(rest, rest.height.saturating_sub(1));
    let report_rows = if rest.height >= lines.saturating_add(6) {
        2
    } else {
        1
    };
    let fields_rows = lines.min(rest.height.saturating_sub(report_rows));
    let chart_rows = rest.height.saturating_sub(fields_rows + report_rows + 1);
    let (chart_rows, axis_rows) = if chart_rows >= CHART_FROM_ROWS {
        (chart_rows, 1)
    } else {
        (0, 0)
    };
    let (chart, rest) = split(rest, chart_rows);
    let (axis, rest) = split(rest, axis_rows);
    let (report, fields) = split(rest, report_rows);
    EditorRegions {
        title,
        chart,
        axis,
        report,
        fields,
        message,
    }
}

/// The axis of the editor's chart; `None` where there is no room for one, or no machine.
pub(crate) fn editor_axis(screen: Rect, state: &State, points_per_cell: usize) -> Option<Axis> {
    let editor = state.editor.as_ref()?;
    let id = editor.machine.as_ref()?;
    let chart = editor_regions(screen, editor.lines_within(screen.width).len()).chart;
    if chart.height == 0 || chart.width <= SCALE_WIDTH {
        return None;
    }
    let points = usize::from(chart.width - SCALE_WIDTH) * points_per_cell;
    let now = state.aggregator_now();
    Some(match state.fleet.find(id) {
        Some(machine) => Axis::of_range(machine, state.age_ms(machine), now, points, Range::Day),
        None => Axis::until(now, points, Range::Day),
    })
}
