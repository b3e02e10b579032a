//! Details over the view: how the stores are, what the charts show, and their gaps.

use ratatui::layout::Rect;
use sysmon_core::Gap;

use super::overlay::{Line, overlay};
use super::pen::Pen;
use crate::axis::Axis;
use crate::layout::{Regions, charts_axis};
use crate::state::State;
use crate::state::past::Keeping;
use crate::state::storage::{Component, StorageHealth};
use crate::words;

/// Gaps listed, the newest first.
const GAPS_MAX: usize = 24;

/// Draws the details over the view.
pub(super) fn details(pen: &mut Pen<'_>, screen: Rect, regions: &Regions, state: &State, scroll: u16) {
    let mut lines = storage(state);
    lines.extend(charts(pen, regions, state));
    overlay(pen, screen, " Details ", &lines, scroll);
}

fn storage(state: &State) -> Vec<Line> {
    let mut lines = vec![Line::heading("Storage")];
    if !state.is_live() {
        lines.push(Line::new("", "not connected: nobody says how the stores are"));
    } else if state.storage.components.is_empty() {
        let text = match state.past.keeping {
            Keeping::Kept => "the aggregator does not say how its stores are",
            Keeping::Unknown | Keeping::NotKept => {
                "no history is kept here: the last five minutes are all there is"
            }
        };
        lines.push(Line::new("", text));
    }
    for component in &state.storage.components {
        lines.push(Line::new(component.role, &health(state, component)));
        if !component.detail.is_empty() {
            lines.push(Line::new("", &component.detail));
        }
        let notices = component.notices.iter().map(|notice| Line::new("", notice));
        lines.extend(notices);
    }
    lines
}

fn health(state: &State, component: &Component) -> String {
    let now = state.live_now();
    let engine = if component.engine.is_empty() {
        "?"
    } else {
        &component.engine
    };
    match component.health {
        StorageHealth::Ok | StorageHealth::Unknown => format!("{engine}, {}", component.health.word()),
        StorageHealth::Slow | StorageHealth::Down => format!(
            "{engine}, {} for {}, since {}",
            component.health.word(),
            words::duration(now.since_ms(component.since)),
            words::moment(state, component.since, now),
        ),
    }
}

fn charts(pen: &Pen<'_>, regions: &Regions, state: &State) -> Vec<Line> {
    let Some((machine, axis)) =
        state
            .shown_machine()
            .zip(charts_axis(regions, state, pen.theme.glyphs.points_per_cell()))
    else {
        return Vec::new();
    };
    let mut lines = vec![Line::heading(""), Line::heading("Charts")];
    let range = words::range(state, &axis, &machine.id);
    lines.push(Line::new("range", range.first().map_or("", String::as_str)));
    let answer = state.past.answer_for(&machine.id);
    if let Some(history) = answer.and_then(|answer| answer.history.as_ref()) {
        lines.push(Line::new("history", words::tier(history.tier)));
    } else if let Some(why) = words::absence(state, &machine.id) {
        lines.push(Line::new("history", &why));
    }
    let gaps = state.chart_gaps(machine);
    let shown: Vec<&Gap> = gaps
        .iter()
        .filter(|gap| !axis.touched(gap.from, gap.to).is_empty())
        .collect();
    if shown.is_empty() {
        lines.push(Line::new("gaps", "none"));
    }
    for (index, gap) in shown.iter().rev().take(GAPS_MAX).enumerate() {
        let label = if index == 0 { "gaps" } else { "" };
        lines.push(Line::new(label, &gap_line(state, &axis, gap)));
    }
    if shown.len() > GAPS_MAX {
        let text = format!("and {} older ones", shown.len() - GAPS_MAX);
        lines.push(Line::new("", &text));
    }
    lines
}

fn gap_line(state: &State, axis: &Axis, gap: &Gap) -> String {
    let at = |at| words::moment(state, at, axis.to);
    format!("{} to {}  {}", at(gap.from), at(gap.to), words::gap(gap))
}
