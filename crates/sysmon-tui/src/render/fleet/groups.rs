//! Headings of groups in the fleet's table.

use ratatui::style::Style;

use super::super::pen::Pen;
use super::cells::value_text;
use crate::layout::TableRegions;
use crate::state::State;
use crate::state::fleet::FleetColumn;
use crate::state::fleet::columns::metric_heading;
use crate::state::fleet::groups::Group;
use crate::words;

/// What a group is called: the value of its label.
pub(super) fn name(group: &Group) -> &str {
    if group.name.is_empty() {
        "(without)"
    } else {
        &group.name
    }
}

/// What is said of a group behind its name.
pub(super) fn totals(pen: &Pen<'_>, group: &Group, state: &State) -> Vec<(String, Style)> {
    let (quiet, text) = (pen.theme.quiet(), pen.theme.text());
    let noun = if group.count == 1 { "machine" } else { "machines" };
    let mut pieces = vec![(format!("  {} {noun}", words::count(group.count as u64)), quiet)];
    for (index, (liveness, health, count)) in group.bad.iter().enumerate() {
        let mark = pen.theme.glyphs.mark(*liveness, *health);
        let style = pen.theme.mark(*liveness, *health);
        let gap = if index == 0 { "  " } else { " " };
        pieces.push((format!("{gap}{mark}{}", words::count(*count as u64)), style));
    }
    let metric = state.fleet_table.measure();
    if let (Some(mean), Some(maximum)) = (group.mean, group.maximum) {
        let title = metric_heading(metric).1.to_lowercase();
        pieces.push((format!("  {title} mean "), quiet));
        pieces.push((value_text(mean, metric), text));
        pieces.push((" max ".into(), quiet));
        pieces.push((value_text(maximum, metric), text));
    }
    pieces
}

/// Draws the heading of a group.
pub(super) fn heading(
    pen: &mut Pen<'_>,
    table: &TableRegions<FleetColumn>,
    y: u16,
    group: &Group,
    state: &State,
) {
    let (x, width) = (table.rows.x + 1, table.rows.width.saturating_sub(2));
    let fold = if group.is_collapsed {
        pen.pick("▸", "+")
    } else {
        pen.pick("▾", "-")
    };
    let label = state.fleet_table.grouping.label().map_or("", |label| label);
    let (title, faint, accent) = (pen.theme.title(), pen.theme.faint(), pen.theme.accent());
    let totals = totals(pen, group, state);
    let mut pieces: Vec<(&str, Style)> = vec![(fold, accent), (" ", faint), (label, faint), ("=", faint)];
    pieces.push((name(group), title));
    pieces.extend(totals.iter().map(|(text, style)| (text.as_str(), *style)));
    pen.pieces(x, y, width, &pieces);
}
